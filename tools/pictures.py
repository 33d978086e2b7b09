"""Pictures of pages, for the documentation."""

import io
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
_COLOURS = 256  # a palette makes a picture a third of the size; no value is more than 8 of 255 off


def opened(started: Browser, width: int, height: int) -> Page:
    """An empty page of so many pixels, drawn twice as fine."""
    return started.new_page(viewport={"width": width, "height": height}, device_scale_factor=2)


def taken(page: Page, name: str) -> None:
    """Take the picture once the page is at rest, and close it."""
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(1000)  # what moves comes to its end
    picture = Image.open(io.BytesIO(page.screenshot()))
    small = picture.quantize(_COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    small.save(IMAGES / f"{name}.png", optimize=True)
    print(f"docs/images/{name}.png")
    page.close()
