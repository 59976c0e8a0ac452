"""Screenshots of a mixture's report for the docs: light, dark, and on a phone.

    make screenshots        (or: python docs/pictures/screenshots.py MIXTURE FOLDER)

The report is made again from the mixture and its run folder, so that it is that of this version.
Needs playwright, pillow and an installed Chromium; nothing is asked of a network.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from smartx.report.files import write_report

# Name: width and height of the window, whether it is dark, pixels a CSS pixel.
SHOTS = {
    "report-light": (1280, 1000, False, 1.0),
    "report-dark": (1280, 1000, True, 1.0),
    "report-phone": (390, 844, False, 2.0),
}
COLOURS = 256
MOST_BYTES = 200_000


def main() -> int:
    """Write the pictures, and say how large each is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mixture", type=Path, help="folder of a mixture, such as demo")
    parser.add_argument("folder", type=Path, help="folder for the pictures")
    asked = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if chromium is None:
        print("there is no chromium here\n  fix: apt-get install chromium", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as started:
        page = write_report(asked.mixture, Path(folder) / "report.html")
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name in SHOTS:
            picture = small(shot(browser, page, name))
            path = asked.folder / f"{name}.png"
            path.write_bytes(picture)
            print(f"{path}: {len(picture):,} bytes")
        browser.close()
    return 0


def shot(browser: Browser, file: Path, name: str) -> bytes:
    """The first screen of a page, as PNG."""
    width, height, dark, dense = SHOTS[name]
    page = browser.new_page(
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        device_scale_factor=dense,
    )
    page.goto(file.as_uri())
    page.wait_for_function("document.querySelectorAll('#tasks tr').length > 0")
    picture = page.screenshot()
    page.close()
    return picture


def small(picture: bytes) -> bytes:
    """The same with few colours. Raises ValueError where it is still large."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    kept = io.BytesIO()
    few = image.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(kept, "PNG", optimize=True)
    if kept.tell() > MOST_BYTES:
        raise ValueError(f"a picture has {kept.tell():,} bytes, more than {MOST_BYTES:,}")
    return kept.getvalue()


if __name__ == "__main__":
    sys.exit(main())
