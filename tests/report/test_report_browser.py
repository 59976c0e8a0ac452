"""The pages in a real browser: they load nothing, search and sorting work, hostile names do
nothing, at the width of a desk and of a phone. Needs playwright and an installed Chromium
(`apt-get install chromium`); without these the tests are skipped.
"""

from __future__ import annotations

import io
import json
import re
import runpy
import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import odd_mixtures
import smartx
from smartx.compare import Draws, Protocol, compare
from smartx.compare.page import page as compare_page
from smartx.files import canonical_json
from smartx.report import render, report_again

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
Image = pytest.importorskip("PIL.Image", reason="pillow is not installed")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.processes,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium (apt-get install chromium)"),
]
EVIL = "</script><script>document.title='hit'</script><img src=x onerror=document.title='hit'>"
FORMULA = '=HYPERLINK("http://example.org")'


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    """A mixture of 60 tasks, two of which have hostile names, and rows that hold markup too."""
    folder = tmp_path_factory.mktemp("browser")
    rng = np.random.default_rng(1)
    tasks = rng.choice(60, size=1_500, p=(weights := 1 / np.arange(1, 61)) / weights.sum())
    names = {0: EVIL, 1: FORMULA}
    lines = [
        {"prompt": f"{EVIL} question {row}", "response": "word " * int(rng.integers(1, 90)),
         "task": names.get(task, f"task {task:02d}")}
        for row, task in enumerate(tasks.tolist())
    ]  # fmt: skip
    (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    vectors = rng.normal(size=(60, 16))[tasks] + 0.5 * rng.normal(size=(1_500, 16))
    np.save(folder / "vectors.npy", vectors.astype(np.float32))
    smartx.run(
        {
            "sources": [str(folder / "rows.jsonl")],
            "vectors": folder / "vectors.npy",
            "run_dir": folder / "work",
            "out": folder / "mix",
            "rows": 300,
            "threads": 1,
        }
    )
    return folder / "mix" / "report.html"


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        own = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield own
        own.close()


def title_of(rows):
    return f"Mixture of {rows} rows"


@contextmanager
def opened(browser, file, width, *, dark=False, title=None):
    """A page at a width. What it says to the console, asks of a network, or draws beside its
    window is a failure.
    """
    scheme = "dark" if dark else "light"
    page = browser.new_page(
        viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True
    )
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    try:
        yield page
        assert said == []
        assert [url for url in asked if not url.startswith(("file:", "blob:"))] == []
        assert page.title() == (title or title_of(300))
        assert page.evaluate("document.documentElement.scrollWidth") == width
    finally:
        page.close()


def names_shown(page):
    return page.locator("#tasks td.name button").all_inner_texts()


def numbers_shown(page, column):
    cells = page.locator(f"#tasks tr td:nth-child({column})").all_inner_texts()
    return [float(cell.replace(",", "").removesuffix("%")) for cell in cells]


def test_search_and_sorting_work_and_hostile_names_do_nothing(browser, page_file):
    with opened(browser, page_file, 1280) as page:
        assert page.locator("#found").inner_text() == "60 tasks"
        assert len(names_shown(page)) == 25
        rows = numbers_shown(page, 3)
        assert rows == sorted(rows, reverse=True)
        page.click("#more")
        assert len(names_shown(page)) == 60
        page.click('th[data-by="proportional"] button')
        shares = numbers_shown(page, 5)
        assert shares == sorted(shares, reverse=True)
        assert page.get_attribute('th[data-by="proportional"]', "aria-sort") == "descending"
        page.click('th[data-by="proportional"] button')
        assert numbers_shown(page, 5) == sorted(numbers_shown(page, 5))
        page.click('th[data-by="name"] button')
        assert names_shown(page) == sorted(names_shown(page))
        page.fill("#search", "SCRIPT")
        assert names_shown(page) == [EVIL]
        page.click("#tasks td.name button")
        assert page.locator("#task-name").inner_text() == EVIL
        assert EVIL in page.locator("#examples pre").first.inner_text()
        assert page.locator("img").count() == 0
        page.fill("#search", "no such task")
        assert names_shown(page) == []
        page.fill("#search", "")
        with page.expect_download() as download:
            page.click("#csv")
        text = download.value.path().read_text()
        assert len(text.splitlines()) == 61
        assert "\"'=HYPERLINK" in text  # a spreadsheet takes it for text


def test_a_click_on_a_map_opens_the_task_there(browser, page_file):
    with opened(browser, page_file, 1280) as page:
        before = page.locator("#task-name").inner_text()
        canvas = page.locator("#map")
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        for part in range(1, 20):  # along the diagonals, until a task is met
            for x, y in ((part / 20, part / 20), (part / 20, 1 - part / 20)):
                page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
            if page.locator("#task-name").inner_text() != before:
                break
        assert page.locator("#task-name").inner_text() != before
        drawn = page.evaluate(
            "id => { const c = document.getElementById(id);"
            " return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v) }",
            "rows",
        )
        assert drawn


WINDOWS = [(1280, False), (1280, True), (390, False), (390, True)]


def colour(page, selector, name):
    """(red, green, blue) of what is drawn."""
    found = page.evaluate(
        "([selector, name]) => getComputedStyle(document.querySelector(selector))[name]",
        [selector, name],
    )
    return [int(part) for part in re.findall(r"\d+", found)[:3]]


def contrast(one, other):
    """Of two colours, after WCAG 2.2: from 1, none, to 21."""

    def light(rgb):
        parts = [part / 255 for part in rgb]
        even = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * even[0] + 0.7152 * even[1] + 0.0722 * even[2]

    low, high = sorted([light(one), light(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("width", "dark"), WINDOWS)
def test_a_page_can_be_read_at_a_desk_and_on_a_phone_by_day_and_by_night(
    browser, page_file, width, dark
):
    with opened(browser, page_file, width, dark=dark) as page:
        paper = colour(page, "body", "backgroundColor")
        assert (sum(paper) < 3 * 64) == dark
        for text in ("h1", ".hint", ".tile span", "td.name button", "figcaption", ".sample pre"):
            assert contrast(colour(page, text, "color"), paper) >= 4.5, text
        box = page.locator(".tiles").bounding_box()
        assert box["y"] + box["height"] < 900  # seen before anything is scrolled


@pytest.fixture(scope="module")
def comparison(made, tmp_path_factory):
    """The page of a comparison, and that of a mixture beside it."""
    folder = tmp_path_factory.mktemp("compared")
    given = [{"name": EVIL, "weights": "equal", "ranker": "random"}, "smart-acl2024"]
    few = Protocol(draws=Draws(rows=5, same_sizes=2))
    facts = compare({"run_dir": str(made.run), "rows": 60}, given, protocol=few)
    (folder / "all.json").write_bytes(canonical_json(facts))
    (folder / "all.html").write_text(compare_page(facts), encoding="utf-8")
    again = report_again(made.mixture, made.run, comparison=folder / "all.json")
    (folder / "report.html").write_text(again, encoding="utf-8")
    return {folder / "all.html": "2 strategies compared", folder / "report.html": title_of(60)}


@pytest.mark.parametrize(("width", "dark"), WINDOWS)
def test_a_comparison_is_a_page_too_and_stands_beside_a_mixture(browser, comparison, width, dark):
    for file, title in comparison.items():
        with opened(browser, file, width, dark=dark, title=title) as page:
            paper = colour(page, "body", "backgroundColor")
            assert (sum(paper) < 3 * 64) == dark
            assert contrast(colour(page, "td", "color"), paper) >= 4.5
            assert EVIL[:60] in page.locator("body").inner_text()
            drawn = page.locator("svg circle").first.evaluate("c => getComputedStyle(c).fill")
            assert drawn not in ("rgb(0, 0, 0)", "none")  # the style sheet is allowed
            assert page.locator("img").count() == 0


@pytest.mark.parametrize("name", odd_mixtures.ALL)
def test_unusual_mixtures_have_pages_without_a_fault(browser, odd, name):
    file, rows = odd(name)
    for width, dark in ((1280, False), (390, True)):
        with opened(browser, file, width, dark=dark, title=title_of(rows)) as page:
            assert page.locator("#tasks tr").count() > 0
            assert page.locator("#panel").is_visible()
            page.locator("#tasks td.name button").last.click()
            assert page.locator("#why p").count() > 0


def test_a_page_of_1840_tasks_opens_and_is_searched(browser, many_tasks):
    with opened(browser, many_tasks, 1280, title=title_of("4,000")) as page:
        assert page.locator("#found").inner_text() == "1,840 tasks"
        page.fill("#search", "name, 1839")
        assert names_shown(page) == ["a task of a long name, 1839"]
        page.click("#tasks td.name button")
        assert page.locator("#task-name").inner_text() == "a task of a long name, 1839"
        page.fill("#search", "")
        page.click('th[data-by="name"] button')
        assert names_shown(page)[0] == "a task of a long name, 0000"
        assert page.locator("#tasks tr").count() == 25  # as many as are looked at


def test_one_row_is_spoken_of_as_one(browser, odd):
    file, _ = odd("three_rows")
    with opened(browser, file, 1280, title=title_of(3)) as page:
        assert "Its only row is in the mixture: 33" in page.locator("#why").inner_text()
        assert page.locator("#of-rows").is_hidden()  # a map of one row says nothing


def test_a_page_of_facts_alone_works_too(browser, made, tmp_path):
    file = tmp_path / "report.html"
    facts = {**made.mixture.manifest, "rows": 300}
    file.write_text(render(made.mixture.folder, facts), encoding="utf-8")
    with opened(browser, file, 1280) as page:
        page.fill("#search", "task-0")
        assert names_shown(page) == ["task-0"]
        assert page.locator("#map").count() == 0


def test_screenshots_are_of_the_first_screen_and_small(browser, page_file):
    file = Path(__file__).parents[2] / "docs" / "pictures" / "screenshots.py"
    script = runpy.run_path(str(file))
    seen = {}
    for name, (width, height, _, dense) in script["SHOTS"].items():
        picture = script["small"](script["shot"](browser, page_file, name))
        assert len(picture) < 200_000
        image = Image.open(io.BytesIO(picture)).convert("RGB")
        assert image.size == (width * dense, height * dense)
        seen[name] = image.getpixel((1, 1))
        committed = (file.parent / f"{name}.png").read_bytes()
        assert Image.open(io.BytesIO(committed)).size == image.size
        assert len(committed) < 200_000
    assert sum(seen["report-dark"]) < 3 * 64 < sum(seen["report-light"])
