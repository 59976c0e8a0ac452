"""The page holds what the runs say, its prose stays, and the same runs give the same bytes."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from quality.measured import OF_CHOICE, PROXIES_FILE
from quality.render import NAMES, PAGE, POOLS, TRUST, Told, blocks, filled, pools_of, render

from conftest import REPOSITORY, tree_digest
from made_runs import PLACES, Made, write
from smartx.errors import InputError

EFFECTS = {
    "untuned": 0.9, "random a": 0.0, "random b": 0.0, "equal": -0.1, "smart-acl2024": 0.1,
    "no tasks": -0.05, "half": 0.1,
}  # fmt: skip
DOCS = REPOSITORY / "docs"
RESULTS = REPOSITORY / "bench" / "quality" / "results"
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


def test_two_pools_stand_on_one_page_each_with_the_other_corpus_named(tmp_path):
    """BIG-bench's runs: fewer seeds than T0's, other numbers of them by arm, no second draw."""
    pytest.importorskip("matplotlib", reason="pictures need the extra evidence")
    seeds = {"random a": range(2), "smart-acl2024": range(2), "equal": (0,)}
    lines = [
        line
        for arm, own in seeds.items()
        for line in Made({arm: EFFECTS[arm]}, own, setting={"corpus": "bigbench"}).lines()
    ]
    write(tmp_path / "runs" / "a", lines)
    write(tmp_path / "runs" / "b", Made(EFFECTS).lines())
    made = render(tmp_path / "runs", tmp_path / "docs")
    assert {path.name for path in made} >= {PAGE, "t0-held.svg", "bigbench-held.svg"}
    page = made[0].read_text()
    t0, other = (page.split(f"## {pool}/main")[1].split("##")[0] for pool in POOLS)
    assert "A/A" in t0
    assert "4 × 3 |" in t0
    assert "A/A" not in other
    assert "4 × 2 |" in other
    assert "4 × 1 |" in other
    t0, other = (page.split(f"## {pool}/secondary")[1].split("##")[0] for pool in POOLS)
    assert "| BIG-bench tasks, % |" in t0
    assert "| data sets of T0, % |" in other
    assert "](evidence/bigbench-held.svg)" in page
    assert not re.search(r"\b(nan|inf)\b", page)
    before = tree_digest(tmp_path / "docs")
    assert render(tmp_path / "runs", tmp_path / "docs") == made
    assert tree_digest(tmp_path / "docs") == before
    crossed = (tmp_path / "docs" / "evidence" / "bigbench-data_sets.svg").read_text()
    assert "crossed out: not run" not in crossed  # every arm was run on every data set


def test_a_pool_without_runs_says_so_on_a_page_that_asks_for_it(runs, tmp_path):
    pytest.importorskip("matplotlib", reason="pictures need the extra evidence")
    page = tmp_path / PAGE
    page.write_text("<!-- table: bigbench/main -->\n<!-- end -->\n")
    render(runs, tmp_path)
    assert page.read_text() == "<!-- table: bigbench/main -->\n\nNot run yet.\n\n<!-- end -->\n"


def test_two_folders_of_one_corpus_are_refused(runs, tmp_path):
    for name in ("a", "b"):
        write(tmp_path / name, Made({"random a": 0, "equal": 0}).lines())
    with pytest.raises(InputError, match="has runs of t0, too"):
        render(tmp_path, tmp_path / "docs")


def test_proxies_of_some_runs_stand_beside_these_alone(tmp_path):
    lines = Made({name: EFFECTS[name] for name in EFFECTS if name != "half"}).lines()
    folder = write(tmp_path, lines)
    assert Told(folder).beside["held"].startswith("Not measured: 0 arms")
    with (folder / PROXIES_FILE).open("w") as file:
        for setting in (line["setting"] for line in lines):
            if setting["seed"] < 2 and setting["arm"] != "untuned":
                told = {name: setting.get(name) for name in OF_CHOICE}
                kept = {"setting": told, "proxies": {"probe": -EFFECTS[setting["arm"]]}}
                file.write(json.dumps(kept) + "\n")
    found = Told(folder).beside["held"]
    assert (found.seeds, len(found.arms)) == ((0, 1), 5)


def test_where_an_arm_was_not_run_its_cells_are_crossed_out(tmp_path):
    pytest.importorskip("matplotlib", reason="pictures need the extra evidence")
    lines = Made(EFFECTS).lines()
    whole = render(write(tmp_path / "a", lines), tmp_path / "whole")
    few = [x for x in lines if (s := x["setting"])["arm"] != "no tasks" or s["fold"] != 1]
    gaps = render(write(tmp_path / "b", few), tmp_path / "gaps")
    texts = [
        next(path for path in made if path.name == "t0-data_sets.svg").read_text()
        for made in (whole, gaps)
    ]
    assert ["crossed out: not run" in text for text in texts] == [False, True]
    # each cross is two lines, in one outline that is the only one without a fill
    thin = r'<path d="([^"]*)"[^>]*style="fill: none; [^"]*stroke-width: 0.5'
    (cross,) = re.findall(thin, texts[1])
    assert cross.count("M") == 2 * sum(fold == 1 for fold in PLACES.values())
    assert not re.search(thin, texts[0])


def test_two_arms_of_one_fold_and_seed_make_a_page(tmp_path):
    """As `make evidence` has them, of a corpus without BIG-bench's tasks."""
    pytest.importorskip("matplotlib", reason="pictures need the extra evidence")
    lines = Made({"untuned": 0.9, "random a": 0, "equal": 0.1}, seeds=(0,), folds=(1,)).lines()
    for line in lines:
        line["evaluated"]["bigbench"] = {}
    made = render(write(tmp_path / "runs", lines), tmp_path / "docs")
    assert [path.name for path in made][:2] == [PAGE, "t0-held.svg"]
    text = made[0].read_text()
    assert "| equal |" in text
    assert not re.search(r"\b(nan|inf)\b", text)
    for path in made[1:]:
        drawing = path.read_text()
        assert ET.fromstring(drawing).tag.endswith("}svg")
        assert not re.search(r"\bnan\b", drawing)


def test_the_page_shows_every_block_of_t0_and_only_pictures_that_are_drawn():
    page = (DOCS / PAGE).read_text()
    asked = set(re.findall(r"<!-- table: ([\w/-]+) -->", page))
    known = {f"{pool}/{name}" for pool in POOLS for name in NAMES}
    assert asked <= known | {TRUST}
    assert asked >= {f"t0/{name}" for name in NAMES if name != "pictures"} | {TRUST}
    for name in re.findall(r"\]\((evidence/[\w.-]+)\)", page):
        assert (DOCS / name).stat().st_size < LARGEST


def test_the_committed_page_is_what_the_committed_results_say():
    page = DOCS / PAGE
    text = page.read_text()
    assert filled(text, blocks(pools_of(RESULTS)), page) == text
