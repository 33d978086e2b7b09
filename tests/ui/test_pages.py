"""What a person sees of the demo catalogue in Dagster's UI, and starts from there.

All in one file: xdist gives a file to one process, and so there is one server.
"""

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

NEW = ["new-1", "new-2", "new-broken"]
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}

_BACKFILL = """mutation ($assets: [AssetKeyInput!], $entities: [String!]) {
  launchPartitionBackfill(backfillParams: {assetSelection: $assets, partitionNames: $entities}) {
    ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""

_BACKFILL_STATE = """query ($id: String!) { partitionBackfillOrError(backfillId: $id) {
  ... on PartitionBackfill { status assetBackfillData { assetBackfillStatuses {
    ... on AssetPartitionsStatusCounts { assetKey { path }
      numPartitionsMaterialized numPartitionsFailed } } } } } }"""

_RUNS = """query ($entity: String!) {
  runsOrError(filter: {tags: [{key: "dagster/partition", value: $entity}]}) {
    ... on Runs { results { status } } } }"""

_REPAIRS = """{ runsOrError(filter: {pipelineName: "repair_track_audio"}) {
  ... on Runs { results { status } } } }"""

_STALE = """query ($key: AssetKeyInput!, $entity: String!) { assetNodeOrError(assetKey: $key) {
  ... on AssetNode { staleStatus(partition: $entity)
    staleCauses(partition: $entity) { key { path } reason } } } }"""


@pytest.fixture(scope="module", autouse=True)
def backfill(project, ui):
    """New tracks, asked for as the UI asks for several; first, as the daemon takes its time."""
    for entity in NEW:
        project.recording(entity).write_bytes(project.recording("tabla_tas1").read_bytes())
    project.recording("new-broken").write_text("not audio")
    project.klio("entities", "sync")
    assets = [{"path": [asset]} for asset in ("recording", "mel", "features")]
    return ui.ask(_BACKFILL, assets=assets, entities=NEW)["launchPartitionBackfill"]["backfillId"]


@pytest.fixture(scope="module")
def backfilled(ui, backfill):
    """The same when it has ended."""

    def ended(answer):
        return answer["partitionBackfillOrError"]["status"].startswith("COMPLETED")

    return ui.poll(_BACKFILL_STATE, ended, id=backfill)["partitionBackfillOrError"]


def stale(ui, asset, entity):
    """What Dagster says of a track, and of which asset that is said why."""
    node = ui.ask(_STALE, key={"path": [asset]}, entity=entity)["assetNodeOrError"]
    causes = [("/".join(cause["key"]["path"]), cause["reason"]) for cause in node["staleCauses"]]
    return node["staleStatus"], causes


def launch(page, ui, asset, entity):
    """Compute one track by the button of its page, and wait for it."""
    page.goto(ui.partition(asset, entity))
    page.get_by_role("button", name="Materialize").first.click()
    page.get_by_role("button", name="Launch 1 run").click()

    def ended(answer):
        return [run["status"] in ENDED for run in answer["runsOrError"]["results"]] == [True]

    return ui.poll(_RUNS, ended, entity=entity)["runsOrError"]["results"][0]["status"]


def cell(page, name):
    """What the table of metadata shows beside a name."""
    return page.get_by_role("row").filter(has=page.get_by_text(name, exact=True)).first


# Columns of pixels in which something has the colour of the line; axes and labels are grey.
_DRAWN = """canvas => {
  const {width, height} = canvas;
  const {data} = canvas.getContext("2d").getImageData(0, 0, width, height);
  const columns = new Set();
  for (let i = 0; i < data.length; i += 4)
    if (data[i + 2] > 200 && data[i] < 120 && data[i + 3] > 200) columns.add((i / 4) % width);
  return columns.size;
}"""


def drawn(page, name):
    """How wide the line of a plot is, once it moves no more."""
    title = page.get_by_text(name, exact=True)
    plot = page.locator("div").filter(has=title).filter(has=page.locator("canvas")).last
    before, now = 0, 0
    while now == 0 or now != before:
        page.wait_for_timeout(300)
        before, now = now, plot.locator("canvas").evaluate(_DRAWN)
    return now


def test_the_graph_leads_from_the_recordings_to_the_features(page, ui):
    page.goto(f"{ui.address}/asset-groups")

    nodes = [
        page.locator("foreignObject").filter(has_text=re.compile(rf"^{name}")).first
        for name in ("tracks_flac", "recording", "mel", "features")
    ]
    for node in nodes:
        expect(node).to_be_visible()
    expect(nodes[0]).to_contain_text("Source")
    expect(nodes[1]).to_contain_text("filled")
    left = [node.bounding_box()["x"] for node in nodes]
    assert left == sorted(set(left))


def test_the_group_shows_its_assets_and_an_asset_whose_it_is_and_what_it_is(page, ui):
    page.goto(f"{ui.address}/locations/klio_dagster/asset-groups/tracks")

    for name in ("tracks_flac", "recording", "mel", "features"):
        expect(
            page.locator("foreignObject").filter(has_text=re.compile(rf"^{name}"))
        ).to_be_visible()
    page.goto(f"{ui.address}/assets/recording")
    expect(page.get_by_text("The recording, scaled to a peak of -1 dBFS")).to_be_visible()
    expect(page.get_by_role("link", name="tracks", exact=True)).to_be_visible()
    for chip in ("audio", "flac", "Python", "reconcile_track_audio", "repair_track_audio"):
        expect(page.get_by_text(chip, exact=True).first).to_be_visible()


def test_numbers_are_drawn_over_the_tracks_with_gaps_where_there_is_none(page, ui):
    page.set_viewport_size({"width": 1600, "height": 1800})
    page.goto(f"{ui.address}/assets/recording")
    page.get_by_role("button", name="Plots").click()

    everywhere = drawn(page, "duration_s")
    assert everywhere > 100
    assert drawn(page, "peak") > 0.9 * everywhere
    assert drawn(page, "loudness_lufs") < 0.9 * everywhere, "silence has none, nor under 400 ms"


def test_the_columns_of_a_table_are_shown_with_what_they_promise(page, ui):
    page.goto(f"{ui.address}/assets/features")

    row = page.get_by_role("row").filter(has=page.get_by_text("rms_dbfs", exact=True)).first
    for text in ("double", "non-nullable", ">= -120", "<= 0", "level; -120 is silence"):
        expect(row.get_by_text(text, exact=True)).to_be_visible()


def test_a_track_shows_the_versions_it_was_made_from(page, ui):
    page.goto(ui.partition("features", "loop_breakbeat"))
    page.get_by_text("Show tags").click()

    for name, digits in (("code_version", 16), ("data_version", 32)):
        expect(page.get_by_text(name, exact=True)).to_be_visible()
        expect(cell(page, name)).to_contain_text(re.compile(rf"[0-9a-f]{{{digits}}}"))
    for name in ("recording", "mel"):
        expect(page.get_by_text(f"input_data_version/{name}", exact=True)).to_be_visible()


def test_a_check_shows_which_track_it_flagged_and_why(page, ui):
    page.goto(f"{ui.address}/assets/recording?view=checks&checkDetail=not_silent")
    expect(page.get_by_text("Execution history")).to_be_visible()
    page.get_by_text("Partitions", exact=True).last.click()  # the check's, not the asset's
    page.get_by_text("silence", exact=True).first.click()

    expect(page.get_by_text("the peak is at -inf dBFS")).to_be_visible()
    expect(cell(page, "peak_dbfs")).to_contain_text("-inf")


@pytest.mark.parametrize(
    ("asset", "figure", "width", "shown"),
    [
        pytest.param(
            "recording",
            "waveform",
            240,
            {"duration_s": "1.90476", "sample_rate_hz": "44100", "channels": "2"},
            id="waveform",
        ),
        pytest.param("mel", "heatmap", 128, {"shape": "128 x 165"}, id="mel-spectrogram"),
    ],
)
def test_a_good_track_shows_how_it_sounds_and_its_numbers(page, ui, asset, figure, width, shown):
    page.goto(ui.partition(asset, "loop_breakbeat"))

    picture = page.get_by_role("img", name=figure)
    expect(picture).to_be_in_viewport()
    assert picture.evaluate("image => image.naturalWidth") == width
    for name, value in shown.items():
        expect(cell(page, name)).to_contain_text(value)
    expect(cell(page, "uri")).to_contain_text(f"/{asset}/loop_breakbeat.")


@pytest.mark.parametrize(
    ("entity", "error"),
    [
        pytest.param("notes", "no audio that can be read", id="text-file"),
        pytest.param("truncated", "the file is damaged or truncated", id="truncated"),
    ],
)
def test_a_track_that_never_worked_shows_failed_and_its_error_among_its_events(
    page, ui, entity, error
):
    page.goto(ui.partition("recording", entity))

    expect(page.get_by_text("failed, and did not materialize this asset")).to_be_visible()
    page.get_by_role("button", name="View all historical events").click()
    page.get_by_role("dialog").get_by_text("Observation").first.click()
    expect(page.get_by_role("dialog").get_by_text(error).first).to_be_visible()
    expect(page.get_by_role("dialog").get_by_text(f"klio run {entity}")).to_be_visible()


def test_the_page_of_a_run_has_a_table_of_what_failed(page, ui, first_run):
    page.goto(f"{ui.address}/runs/{first_run}?logs=type%3ASTEP_FAILURE")

    expect(page.get_by_text("2 failed, 4 blocked by them").first).to_be_visible()
    page.get_by_role("button", name="View full message").first.click()
    for entity, error in (("notes", "no audio"), ("truncated", "damaged or truncated")):
        row = page.get_by_role("row").filter(has_text=entity).filter(has_text=error)
        expect(row.first).to_be_visible()


def test_the_page_of_a_run_tells_why_tracks_ran_and_where_the_time_went(page, ui, first_run):
    page.set_viewport_size({"width": 1600, "height": 1400})
    page.goto(f"{ui.address}/runs/{first_run}?logs=type%3AENGINE_EVENT")

    expect(page.get_by_text("What was done, why, and where the time went")).to_be_visible()
    page.get_by_role("button", name="View full message").first.click()
    for row in (["mel", "run", "upstream", "21"], ["recording", "not_silent", "18", "1", "0"]):
        found = page.get_by_role("row")
        for text in row:
            found = found.filter(has_text=text)
        expect(found.first).to_be_visible()
    expect(page.get_by_text("CPU seconds").first).to_be_visible()
    expect(page.get_by_text("failures.jsonl").first).to_be_visible()


def test_the_page_of_an_asset_leads_to_the_code_that_makes_it(page, project, ui):
    page.goto(f"{ui.address}/assets/mel")

    link = page.get_by_role("link", name="mel_spectrogram")
    expect(link).to_have_attribute(
        "href", re.compile(r"^vscode://file/.*/beam_jobs/audio\.py:\d+$")
    )


def test_a_changed_recording_shows_on_the_page_of_what_was_made_from_it(page, project, ui):
    before = stale(ui, "recording", "tabla_ghe5")
    changed = project.recording("tabla_na_s").read_bytes()
    project.recording("tabla_ghe5").write_bytes(changed)
    project.klio("entities", "sync")
    page.goto(ui.partition("recording", "tabla_ghe5"))

    expect(page.get_by_text("Unsynced")).to_be_visible()
    assert before == ("FRESH", [])
    assert stale(ui, "recording", "tabla_ghe5") == (
        "STALE",
        [("source/tracks_flac", "has a new data version")],
    )
    assert stale(ui, "recording", "tabla_tas1") == ("FRESH", [])


def test_a_track_is_computed_by_the_button_of_its_page(page, project, ui):
    project.recording("new-alone").write_bytes(project.recording("silence").read_bytes())
    project.klio("entities", "sync")

    status = launch(page, ui, "recording", "new-alone")

    page.goto(ui.partition("recording", "new-alone"))
    assert status == "SUCCESS"
    expect(page.get_by_role("img", name="waveform")).to_be_visible()
    assert stale(ui, "recording", "new-alone") == ("FRESH", [])


def test_a_track_that_worked_before_shows_its_new_error_first(page, project, ui):
    project.recording("bass_hit_c").write_text("overwritten")

    status = launch(page, ui, "recording", "bass_hit_c")

    page.goto(ui.partition("recording", "bass_hit_c"))
    assert status == "FAILURE"
    expect(page.get_by_text("failed, and did not materialize this asset")).to_be_visible()
    expect(cell(page, "error")).to_contain_text("no audio that can be read")
    expect(page.get_by_role("img", name="waveform")).to_be_visible()  # of the last good one


def test_several_tracks_asked_for_in_the_ui_are_computed_all_but_the_broken_one(backfilled):
    counts = {
        asset["assetKey"]["path"][0]: (
            asset["numPartitionsMaterialized"],
            asset["numPartitionsFailed"],
        )
        for asset in backfilled["assetBackfillData"]["assetBackfillStatuses"]
    }
    assert counts == {"recording": (2, 1), "mel": (2, 1), "features": (2, 1)}
    assert backfilled["status"] == "COMPLETED_FAILED"


@pytest.mark.usefixtures("backfilled")  # one of its tracks has failed
def test_failed_tracks_are_mended_by_the_repair_job(page, project, ui):
    project.recording("new-broken").write_bytes(project.recording("silence").read_bytes())

    page.goto(f"{ui.address}/jobs")
    page.get_by_role("link", name="repair_track_audio").first.click()
    page.get_by_role("link", name="open the launchpad").click()
    page.get_by_role("button", name="Launch Run").click()

    def ended(answer):
        return [run["status"] in ENDED for run in answer["runsOrError"]["results"]] == [True]

    ui.poll(_REPAIRS, ended)
    assert stale(ui, "features", "new-broken") == ("FRESH", [])
