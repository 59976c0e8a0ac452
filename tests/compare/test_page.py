"""What a person sees of a comparison: on the screen, and as a page that loads and runs nothing."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from html.parser import HTMLParser

import pytest
from typer.testing import CliRunner

from smartx.cli import app
from smartx.compare import COLUMNS, Draws, Protocol, chance_line, compare, lines
from smartx.compare.page import page

EVIL = "<script>alert(1)</script>\u202e"
VOID = {"meta"}


@pytest.fixture(scope="module")
def facts(run_dir):
    few = Protocol(draws=Draws(rows=5, same_sizes=2))
    given = [{"name": EVIL, "weights": "equal", "ranker": "random"}, "smart-acl2024"]
    return compare({"run_dir": str(run_dir), "rows": 60}, given, protocol=few)


class Reader(HTMLParser):
    """Notes the elements, and that each one is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_loads_nothing_and_shows_names_as_text(facts):
    text = page(facts)
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in reader.seen}
    assert not any(name in attrs for _, attrs in reader.seen for name in ("src", "href", "onclick"))
    assert "&lt;script&gt;" in text
    assert "\u202e" not in text


def test_the_pictures_have_a_mark_for_each_strategy_inside_of_the_frame(facts):
    reader = Reader()
    reader.feed(page(facts))
    dots = [attrs for tag, attrs in reader.seen if tag == "circle"]
    assert len(dots) == 2 * len(facts["strategies"]) + 1  # and chance
    assert all(0 <= float(dot["cx"]) <= 560 and 0 <= float(dot["cy"]) <= 400 for dot in dots)
    cells = [attrs for tag, attrs in reader.seen if tag == "rect"]
    assert len(cells) == len(facts["strategies"]) ** 2 + len(facts["strategies"]) * 8
    assert all(0 <= float(cell["fill-opacity"]) <= 1 for cell in cells)


def test_a_page_without_held_out_rows_is_a_page(facts):
    bare = json.loads(json.dumps(facts))
    for one in [bare["chance"], *bare["strategies"]]:
        one.update(unseen_tasks=None, unseen_templates=None, copied=None, probe=None)
    for one in bare["strategies"]:
        one.update(objective=None)
    Reader().feed(page(bare))
    assert all(len(line.cells) == len(COLUMNS) for line in lines(bare))
    assert "cosine" not in chance_line(bare)


def test_cells_say_what_the_facts_say(facts):
    heads = [head for head, _ in COLUMNS]
    for line, one in zip(lines(facts), facts["strategies"], strict=True):
        cells = dict(zip(heads, line.cells, strict=True))
        assert cells["copied"] == f"{one['copied']['value']:.3f}"
        assert cells["tasks"] == f"{1000 * one['unseen_tasks']['delta']:+.1f}"
        assert cells["tokens"] == f"{one['tokens']['total']:,}"


def test_every_mark_and_cell_says_what_it_stands_for(facts):
    """The words of each title, against the facts."""
    titles = re.findall(r"<title>(.*?)</title>", page(facts))
    assert titles[0] == "2 strategies compared"
    second = facts["strategies"][1]
    (own,) = [t for t in titles if re.match(r"smart-acl2024: [+-]\d+\.\d \(", t)]
    assert own.startswith(f"smart-acl2024: {1000 * second['unseen_tasks']['delta']:+.1f} (")
    twins = second["twins"]["other_template"]
    assert any(t.startswith(f"smart-acl2024: {twins:.1%} twins, cosine ") for t in titles)
    shared = facts["overlap"][0][1]
    assert any(t.endswith(f"{shared:.0%} of the rows in either are in both") for t in titles)
    assert sum(t.startswith("smart-acl2024: ") for t in titles) == 2 + 8
    assert titles.count("2 strategies compared") == 1


def test_the_policy_names_the_style_and_allows_nothing_else(facts):
    text = page(facts)
    policy = html.unescape(
        re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1]
    )
    (own,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
    assert policy.split("; ")[:2] == ["default-src 'none'", f"style-src 'sha256-{digest}'"]
    assert "unsafe" not in policy
    assert "script-src" not in policy
    assert " style=" not in text


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_command_prints_a_table_and_writes_json_and_a_page(run_dir, tmp_path):
    found = run(
        *("compare", "--run-dir", run_dir, "--rows", 60, "--draws", 4, "--quiet"),
        *("--strategy", "smart-acl2024", "--strategy", "mine=equal / random"),
        *("--json", tmp_path / "all.json", "--report", tmp_path / "all.html"),
    )
    assert found.exit_code == 0, found.output
    assert re.search(r"^mine +\d+\.\d% +8\.0 ", found.output, re.MULTILINE)
    assert "random rows (4 choices)" in found.output
    facts = json.loads((tmp_path / "all.json").read_text())
    assert [one["name"] for one in facts["strategies"]] == ["smart-acl2024", "mine"]
    assert facts["rows"] == 60
    assert "<svg" in (tmp_path / "all.html").read_text()


def test_a_file_without_a_folder_is_refused_before_any_work(tmp_path):
    found = run(
        "compare", "--run-dir", tmp_path / "no", "--rows", 5, "--json", tmp_path / "a" / "b.json"
    )
    assert found.exit_code == 2
    assert "is no folder" in found.output


def test_strategies_come_from_a_file_too(run_dir, tmp_path):
    file = tmp_path / "all.yaml"
    file.write_text("strategies: [{name: mine, weights: equal, ranker: random}]\n")
    found = run(
        *("compare", "--run-dir", run_dir, "--rows", 60, "--draws", 4, "--quiet"),
        *("--strategies", file, "--hold-out-tasks", "a_*"),
    )
    assert found.exit_code == 0, found.output
    assert "1/1" in found.output or "0/1" in found.output
