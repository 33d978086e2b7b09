"""The pictures of messages: the sensor's page, a batch's run, the dead letter in a terminal."""

import html
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import Browser, expect

from demo.prepare import prepare
from klio_dagster.message import Message
from tests.services.pubsub import NOT_THERE, PubSubEmulator, program
from tests.ui.served import browser
from tools.pictures import opened, taken
from tools.streaming_stage import SENSOR, Stage
from tools.streaming_watch import Pass, Watch

ROOT = Path(__file__).resolve().parent.parent
_PATIENCE_S = 240.0
_TERMINAL = """<body style="margin:0;background:#1d2026"><pre style="margin:0;padding:20px 24px;
color:#d6dae1;font:14px/1.5 monospace;display:inline-block">{text}</pre></body>"""
_PROMPT = '<span style="color:#7ec699">$ {command}</span>\n{said}'


def messages() -> int:
    """Take them all.

    Returns:
        0; 1 without the emulator.
    """
    command = program()
    if command is None:
        print(f"no pictures of messages: {NOT_THERE}", file=sys.stderr)
        return 1
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="streaming-")))
        stage = Stage(ROOT, folder, PubSubEmulator(command))
        tracks = prepare(stage.store_folder)
        stack.callback(stage.stop)
        stage.start()
        watch = Watch(stage)
        asked = Pass("once", asked=tracks, poison=2)
        stage.publish(tracks)
        stage.publish(['{"track": "kick-808"}'], "--non-klio")
        watch.publish(Message(entity_id="kick...final"))
        watch.follow(asked, lambda: None, _PATIENCE_S)
        stage.publish(tracks[:3])
        watch.follow(Pass("again", asked=tracks[:3], poison=0), lambda: None, _PATIENCE_S)
        started = stack.enter_context(browser())
        sensor(started, stage)
        batch_run(started, stage, watch)
        dead_letter(started, stage)
    return 0


def sensor(started: Browser, stage: Stage) -> None:
    """The sensor, and what one of its ticks took in."""
    page = opened(started, 1400, 860)
    page.goto(f"{stage.address}/locations/klio_dagster/sensors/{SENSOR}")
    expect(page.get_by_text("1 run requested").first).to_be_visible()
    taken(page, "sensor")
    page = opened(started, 1200, 460)
    page.goto(f"{stage.address}/locations/klio_dagster/sensors/{SENSOR}")
    requested = page.get_by_role("row").filter(has_text="1 run requested")
    requested.get_by_role("button", name="View logs").click()
    expect(page.get_by_text("accepted 21").first).to_be_visible()
    taken(page, "tick")


def batch_run(started: Browser, stage: Stage, watch: Watch) -> None:
    """The run of a batch: its tags, and what it did."""
    page = opened(started, 1280, 720)
    page.goto(f"{stage.address}/runs/{watch.newest_run()}?logs=type%3AENGINE_EVENT")
    expect(page.get_by_text("View tags and config")).to_be_visible()
    page.get_by_text("View tags and config").click()
    taken(page, "batch-run")


def dead_letter(started: Browser, stage: Stage) -> None:
    """The messages that were given up, and one of them."""
    listed = stage.said("dead-letter", "list")
    newest = listed.splitlines()[1].split()[0]
    parts = [("klio dead-letter list", listed)]
    parts.append((f"klio dead-letter show {newest}", stage.said("dead-letter", "show", newest)))
    text = "\n".join(
        _PROMPT.format(command=html.escape(command), said=html.escape(said))
        for command, said in parts
    )
    page = opened(started, 1100, 800)
    page.set_content(_TERMINAL.format(text=text.rstrip()))
    text_box = page.locator("pre").bounding_box()
    assert text_box is not None
    page.set_viewport_size({"width": 1100, "height": round(text_box["height"])})
    taken(page, "dead-letter")
