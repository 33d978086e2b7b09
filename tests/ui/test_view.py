"""What a person does on the page of `klio view`, on the demo catalogue, in a real browser.

One track's recording is overwritten after it was computed, and one has an id that would be a script
in a page that took it for HTML.
"""

import json
import re
import time

import pytest
from playwright.sync_api import expect

from tests.ui.served import viewed

pytestmark = pytest.mark.browser

OVERWRITTEN = "guit_harmonics"
SCRIPT = '<img src=x onerror="document.title=1">'


@pytest.fixture(scope="module")
def address(project, first_run):
    project.recording(OVERWRITTEN).write_text("not a recording any more")
    project.klio("entities", "add", SCRIPT)
    project.klio("run", OVERWRITTEN, SCRIPT)
    with viewed(project) as address:
        yield address


@pytest.fixture
def seen(page, address):
    """The page with everything known, and no complaint of the browser at the end."""
    complaints = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.goto(address)
    expect(page.locator("#notice")).to_be_empty()
    expect(page.locator("#rows .row")).not_to_have_count(0)
    yield page
    assert complaints == []


def row(page, entity):
    return page.locator(f"#rows .row[data-entity={json.dumps(entity, ensure_ascii=False)}]")


def chosen(page):
    return page.locator("#rows .row[aria-selected=true]")


def sound(page, what):
    return page.evaluate(f"(audio => {what})(document.getElementById('audio'))")


def until(page, what):
    """Playwright's own way is text made code, which the page's policy forbids."""
    deadline = time.monotonic() + 15
    while not sound(page, what):
        assert time.monotonic() < deadline, what
        page.wait_for_timeout(50)


def test_all_tracks_are_listed_with_states_and_thumbnails(seen):
    line = row(seen, "loop_breakbeat")

    expect(line.get_by_title("recording: materialized")).to_be_visible()
    expect(line.get_by_title("mel: materialized")).to_be_visible()
    for name, width in (("waveform", 240), ("heatmap", 128)):
        picture = line.get_by_role("img", name=name)
        expect(picture).to_be_visible()
        assert picture.evaluate("image => image.naturalWidth") == width
    expect(line).to_contain_text("1.90 s")
    expect(seen.locator("#where")).to_have_text("1 \N{EN DASH} 22 of 22")


def test_a_track_is_found_by_a_part_of_its_id(seen):
    seen.keyboard.press("/")
    seen.keyboard.type("TABLA")

    expect(seen.locator("#where")).to_contain_text("of 3")
    expect(row(seen, "tabla_na_s")).to_be_visible()
    expect(row(seen, "loop_breakbeat")).to_have_count(0)


def test_tracks_are_filtered_by_their_numbers_and_an_address_keeps_it(seen, page):
    seen.get_by_label("Number").select_option("recording.duration_s")
    seen.get_by_label("Value").fill("3")
    seen.get_by_role("button", name="Add").click()

    chip = seen.get_by_role("button", name="recording.duration_s > 3")
    expect(chip).to_be_visible()
    expect(row(seen, "loop_breakbeat")).to_have_count(0)
    expect(row(seen, "guit_e_slide")).to_be_visible()
    seen.reload()
    expect(row(seen, "guit_e_slide")).to_be_visible()
    expect(row(seen, "loop_breakbeat")).to_have_count(0)
    seen.get_by_role("button", name="recording.duration_s > 3").click()
    expect(row(seen, "loop_breakbeat")).to_be_visible()


def test_the_longest_track_comes_first_when_sorted_by_length(seen):
    seen.locator("#head").get_by_role("button", name="duration").click()

    expect(seen.locator("#rows .row").first).to_contain_text("4.33 s")


def test_a_track_is_played_by_a_key_and_sought_by_a_click(seen):
    row(seen, "guit_e_slide").locator(".id").click()
    seen.keyboard.press(" ")

    expect(seen.locator("#play")).to_have_class(re.compile("playing"))
    until(seen, "audio.currentTime > 0.05")
    assert sound(seen, "audio.readyState") >= 2
    assert sound(seen, "audio.duration") == pytest.approx(4.33, abs=0.02)
    seen.keyboard.press(" ")
    expect(seen.locator("#play")).not_to_have_class(re.compile("playing"))
    wave = seen.locator("#track .wave").bounding_box()
    seen.mouse.click(wave["x"] + 0.75 * wave["width"], wave["y"] + 10)
    until(seen, "audio.currentTime > 3.1")


def test_the_next_track_plays_on_when_one_is_playing(seen):
    row(seen, "guit_e_slide").locator(".wave").click(position={"x": 2, "y": 10})
    expect(seen.locator("#now")).to_contain_text("guit_e_slide")

    seen.keyboard.press("ArrowUp")

    expect(seen.locator("#now")).to_contain_text("elec_chime")
    expect(chosen(seen)).to_contain_text("elec_chime")
    until(seen, "!audio.paused")


def test_the_next_failed_track_tells_why_and_how_to_see_it_again(seen):
    row(seen, "elec_chime").locator(".id").click()

    for entity in (OVERWRITTEN, "notes"):
        seen.keyboard.press("n")
        expect(chosen(seen)).to_have_attribute("data-entity", entity)

    pane = seen.locator("#details section[data-asset=recording]")
    expect(pane).to_contain_text("no audio that can be read")
    expect(pane.locator("code")).to_have_text("klio run notes --select recording --debug")
    pane.get_by_text("traceback", exact=True).click()
    expect(pane.locator("pre")).to_contain_text("Traceback (most recent call last)")
    expect(pane.locator(".why")).to_contain_text("A run would compute it: missing")
    expect(seen.locator("#details section[data-asset=mel]")).to_contain_text("blocked")


def test_a_track_that_fails_now_can_be_heard_as_it_was(seen):
    row(seen, OVERWRITTEN).locator(".id").click()

    pane = seen.locator("#details section[data-asset=recording]")
    expect(pane).to_contain_text("The last one that worked:")
    pane.get_by_role("button", name="Play recording").click()
    until(seen, "audio.readyState >= 2")


def test_links_lead_to_the_pages_of_dagster(seen, first_run):
    row(seen, "Ré majeur \N{EN DASH} étude 1").locator(".id").click()
    pane = seen.locator("#details section[data-asset=recording]")
    pane.get_by_text("where it comes from").click()

    expect(pane.get_by_role("link", name="partition")).to_have_attribute(
        "href",
        "http://127.0.0.1:3999/assets/recording?view=partitions"
        "&partition=R%C3%A9%20majeur%20%E2%80%93%20%C3%A9tude%201",
    )
    expect(pane.get_by_role("link", name=first_run)).to_have_attribute(
        "href", f"http://127.0.0.1:3999/runs/{first_run}"
    )


def test_a_table_shows_its_columns(seen):
    row(seen, "loop_breakbeat").locator(".id").click()
    pane = seen.locator("#details section[data-asset=features]")
    pane.get_by_text("columns and rows").click()

    expect(pane.locator("th").filter(has_text="double").first).to_be_visible()


def test_an_id_is_text_and_never_a_part_of_the_page(seen):
    title = seen.title()

    row(seen, SCRIPT).locator(".id").click()

    expect(seen.locator("#details h2")).to_have_text(SCRIPT)
    expect(seen.locator("#details")).to_contain_text("input_missing")
    assert seen.title() == title
    assert seen.locator("img[src=x]").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_hangs_over_the_edge_in_either_colour(page, address, scheme):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(f"{address}/#entity=notes")
    expect(page.locator("#details")).to_contain_text("A run would compute it")

    widths = page.evaluate(
        "[document.documentElement, document.getElementById('details')]"
        ".map((each) => each.scrollWidth - each.clientWidth)"
    )
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")

    assert widths == [0, 0]
    assert (background == "rgb(20, 24, 26)") == (scheme == "dark")


def test_it_says_so_when_the_command_has_ended(page, project):
    with viewed(project) as address:
        page.goto(address)
        expect(page.locator("#rows .row").first).to_be_visible()

    expect(page.locator("#notice")).to_have_text(
        "klio view has ended; start it again", timeout=15_000
    )
