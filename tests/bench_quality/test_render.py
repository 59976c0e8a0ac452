"""The page holds what the runs say, its prose stays, and the same runs give the same bytes."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from quality.outcomes import read
from quality.render import PAGE, Told, blocks, filled, render

from conftest import REPOSITORY, tree_digest
from made_runs import Made, write
from smartx.errors import InputError

EFFECTS = {
    "untuned": 0.9, "random a": 0.0, "random b": 0.0, "equal": -0.1, "smart-acl2024": 0.1,
    "no tasks": -0.05, "half": 0.1,
}  # fmt: skip
DOCS = REPOSITORY / "docs"
RESULTS = REPOSITORY / "bench" / "quality" / "results" / "t0"
LARGEST = 150_000  # bytes of a picture


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("runs"), Made(EFFECTS).lines())


def test_only_blocks_are_replaced():
    page = "before\n<!-- table: a -->\nold\n<!-- end -->\nbetween\n<!-- table: b -->\n<!-- end -->"
    made = {"a": ["1"], "b": ["2", "3"], "c": ["4"]}
    once = filled(page, made, Path(PAGE))
    assert once == (
        "before\n<!-- table: a -->\n\n1\n\n<!-- end -->\nbetween\n"
        "<!-- table: b -->\n\n2\n3\n\n<!-- end -->"
    )
    assert filled(once, made, Path(PAGE)) == once


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ("<!-- table: other -->\n<!-- end -->", 'no block "other"'),
        ("<!-- table: a -->\nforgotten", "no end"),
        ("<!-- table: a -->\n<!-- table: a -->\n<!-- end -->", "no end"),
    ],
)
def test_a_block_that_is_not_one_is_refused(page, fault):
    with pytest.raises(InputError, match=fault):
        filled(page, {"a": ["1"]}, Path(PAGE))


def test_no_runs_are_refused_with_what_to_do(tmp_path):
    with pytest.raises(InputError, match=r"no runs\n  fix: .*evidence.py run"):
        render(write(tmp_path, []), tmp_path / "docs")


@pytest.fixture(scope="module")
def drawn(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The page and the pictures. What matplotlib is set to must stay as it was."""
    mpl = pytest.importorskip("matplotlib", reason="pictures need the extra evidence")
    before = dict(mpl.rcParams)
    made = render(runs, tmp_path_factory.mktemp("docs"))
    assert dict(mpl.rcParams) == before
    return made


def test_pages_and_pictures_are_the_same_bytes_twice(runs, drawn):
    folder = drawn[0].parent
    assert drawn[0].name == PAGE
    assert set(drawn) == {path for path in folder.rglob("*") if path.is_file()}
    before = tree_digest(folder)
    assert render(runs, folder) == drawn
    assert tree_digest(folder) == before


def test_pictures_are_small_and_name_every_arm_for_light_and_dark(drawn):
    for path in drawn[1:]:
        text = path.read_text()
        root = ET.fromstring(text)
        assert root.tag.endswith("}svg")
        assert len(text) < LARGEST, path.name
        written = " ".join("".join(node.itertext()) for node in root.iter() if "text" in node.tag)
        for arm in ("equal", "smart-acl2024", "no tasks"):
            assert arm in written, (path.name, arm)
        # Nothing has a colour that a dark scheme would leave as it is.
        colours = set(re.findall(r'style="[^"]*(?:fill|stroke): (#\w{6})', text))
        exchanged = set(re.findall(r"(#\w{6})\"\]", text))
        assert colours <= exchanged, path.name
        assert str(path.parent) not in text
        assert "dc:date" not in text


def test_two_arms_of_one_fold_and_seed_make_a_page(tmp_path):
    """As `make evidence` has them, of a corpus without BIG-bench's tasks."""
    pytest.importorskip("matplotlib", reason="pictures need the extra evidence")
    lines = Made({"untuned": 0.9, "random a": 0, "equal": 0.1}, seeds=(0,), folds=(1,)).lines()
    for line in lines:
        line["evaluated"]["bigbench"] = {}
    made = render(write(tmp_path / "runs", lines), tmp_path / "docs")
    assert [path.name for path in made][:2] == [PAGE, "held.svg"]
    text = made[0].read_text()
    assert "| equal |" in text
    assert not re.search(r"\b(nan|inf)\b", text)
    for path in made[1:]:
        drawing = path.read_text()
        assert ET.fromstring(drawing).tag.endswith("}svg")
        assert not re.search(r"\bnan\b", drawing)


def test_the_page_shows_every_block_and_only_pictures_that_are_drawn(runs, tmp_path):
    page = (DOCS / PAGE).read_text()
    made = blocks(Told(*read(runs), runs))
    assert set(re.findall(r"<!-- table: ([\w-]+) -->", page)) == set(made)
    shown = set(re.findall(r"\]\(evidence/([\w.]+)\)", page))
    source = (REPOSITORY / "bench" / "quality" / "render.py").read_text()
    assert shown == set(re.findall(r'"(\w+\.svg)"', source))


def test_the_committed_page_is_what_the_committed_results_say():
    if not (RESULTS / "runs.jsonl").exists():
        pytest.skip("no results are committed yet")
    page = DOCS / PAGE
    text = page.read_text()
    assert filled(text, blocks(Told(*read(RESULTS), RESULTS)), page) == text
    for name in re.findall(r"\]\((evidence/[\w.]+)\)", text):
        assert (DOCS / name).stat().st_size < LARGEST
