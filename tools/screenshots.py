"""`make screenshots`: the pictures of Dagster's UI and of `klio view`, of the demo catalogue."""

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Browser, expect  # noqa: E402 - the project's folder comes first

from tests.ui.served import CHROMIUM, Project, Ui, browser, served, viewed  # noqa: E402
from tools.pictures import IMAGES, opened, taken  # noqa: E402
from tools.streaming_screenshots import messages  # noqa: E402

GOOD = "loop_breakbeat"
OVERWRITTEN = "guit_harmonics"
"""A track that has worked, and fails once its recording is no audio any more."""


def main() -> int:
    """Take them all.

    Returns:
        0; 1 if there is no browser, or no emulator for those of messages.
    """
    if CHROMIUM is None:
        print("Chromium is not installed; sh tools/debian-packages.sh", file=sys.stderr)
        return 1
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="catalogue-") as folder:
        project = Project(Path(folder))
        project.klio("entities", "sync")
        run_id = project.klio("run")["run_id"]
        with served(project) as ui, browser() as started:
            asset_graph(started, ui)
            partition(started, ui)
            plots(started, ui)
            checks(started, ui)
            run(started, ui, run_id)
            project.recording(OVERWRITTEN).write_text("not a recording any more")
            project.klio("run", OVERWRITTEN)
            failed_partition(started, ui)
        with viewed(project) as address, browser() as started:
            view(started, address)
            view_of_failed(started, address)
    return messages()


def asset_graph(started: Browser, ui: Ui) -> None:
    """The assets, large enough to be read."""
    page = opened(started, 1400, 500)
    page.goto(f"{ui.address}/asset-groups")
    page.get_by_text("Hide navigation").click()
    page.reload()  # fits the graph into the room that is now there
    expect(page.get_by_text("2 failed").first).to_be_visible()
    taken(page, "asset-graph")


def partition(started: Browser, ui: Ui) -> None:
    """A track that is done: how it sounds, and its numbers."""
    page = opened(started, 1280, 710)
    page.goto(ui.partition("recording", GOOD))
    expect(page.get_by_role("img", name="waveform")).to_be_visible()
    taken(page, "partition")


def plots(started: Browser, ui: Ui) -> None:
    """Numbers of all tracks, as Dagster draws them."""
    page = opened(started, 1400, 900)
    page.goto(f"{ui.address}/assets/recording")
    page.get_by_role("button", name="Plots").click()
    page.get_by_text("clipped_samples", exact=True).hover()
    page.mouse.wheel(0, 700)  # to what an audio person looks for
    expect(page.get_by_text("peak", exact=True)).to_be_in_viewport()
    taken(page, "plots")


def checks(started: Browser, ui: Ui) -> None:
    """What the checks flagged, and why."""
    page = opened(started, 1400, 1090)
    page.goto(f"{ui.address}/assets/recording?view=checks&checkDetail=not_silent")
    expect(page.get_by_text("Execution history")).to_be_visible()
    page.get_by_text("Partitions", exact=True).last.click()  # the check's, not the asset's
    page.get_by_text("silence", exact=True).first.click()
    expect(page.get_by_text("the peak is at -inf dBFS")).to_be_visible()
    taken(page, "checks")


def run(started: Browser, ui: Ui, run_id: str) -> None:
    """What a run did, why, and where its time went."""
    page = opened(started, 1600, 1000)
    page.goto(f"{ui.address}/runs/{run_id}?logs=type%3AENGINE_EVENT")
    page.get_by_role("button", name="View full message").first.click()
    expect(page.get_by_text("CPU seconds").last).to_be_visible()
    taken(page, "run")


def failed_partition(started: Browser, ui: Ui) -> None:
    """A track that failed: why, and how to see it again."""
    page = opened(started, 1400, 820)
    page.goto(ui.partition("recording", OVERWRITTEN))
    expect(page.get_by_text("no audio that can be read").first).to_be_visible()
    taken(page, "failed-partition")


def view(started: Browser, address: str) -> None:
    """The catalogue of `klio view` with a track half heard."""
    page = opened(started, 1440, 820)
    page.goto(f"{address}/#entity={GOOD}")
    row = page.locator("#rows .row[aria-selected=true]")
    row.locator(".wave").click(position={"x": 120, "y": 20})
    expect(page.locator("#play.playing")).to_be_visible()
    page.keyboard.press(" ")
    page.locator("#counts").hover()  # away from what the pointer would colour
    expect(page.locator("#notice")).to_be_empty()
    taken(page, "view")


def view_of_failed(started: Browser, address: str) -> None:
    """What `klio view` says of a track that failed; the dark one."""
    page = opened(started, 1440, 700)
    page.emulate_media(color_scheme="dark")
    page.goto(f"{address}/#state=failed&entity={OVERWRITTEN}")
    expect(page.locator("#details")).to_contain_text("A run would compute it")
    expect(page.locator("#notice")).to_be_empty()
    taken(page, "view-failed")


if __name__ == "__main__":
    sys.exit(main())
