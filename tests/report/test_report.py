"""The page: it loads nothing, runs only its own script, and shows hostile text as text."""

from __future__ import annotations

import base64
import hashlib
import html
import math
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from read_pages import Page, script_of
from smartx.report import render
from smartx.report.numbers import numbers


def facts_of(names, rows=None, **more):
    rows = rows or [i + 1 for i in range(len(names))]
    tasks = [
        {
            "source": "s",
            "task": name,
            "capacity": 10 * count,
            "near_duplicates": i % 2,
            "order": i,
            "gain": 0.5,
            "weight": 1 / len(names),
            "asked": count,
            "rows": count,
        }
        for i, (name, count) in enumerate(zip(names, rows, strict=True))
    ]
    return {
        "smartx": "0",
        "preset": "equal",
        "seed": 1,
        "rows": sum(rows),
        "weights": {"name": "equal"},
        "ranker": {"name": "random", "seed": 1},
        "inputs": {"corpus": "c" * 64, "rankings": "r" * 64},
        "embedding": None,
        "near_duplicates": {"threshold": 0.95, "rows": len(names) // 2},
        "sources": [{"name": "a.jsonl", "rows": 9, "sha256": "f" * 64}],
        "corpus_rows": {"read": 9, "kept": 8, "dropped": {"empty response": 1}},
        "tasks": tasks,
        "groups": [
            {"task": i, "template": "t", "capacity": 10, "rows": 1} for i in range(len(names))
        ],
        "trainers": {"conversations": False, "shortened": 0, "refused": []},
        "value": {"held": 3.0, "whole": 4.0, "curve": [0.0, 2.0, 4.0]},
        **more,
    }


@pytest.fixture
def folder(tmp_path):
    """One row of data a task, told by what the test put into `rows`."""

    def make(rows):
        (tmp_path / "data").mkdir()
        names = ["source", "task", "template", "prompt", "completion", "smartx_rank"]
        columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
        pq.write_table(pa.table(columns), tmp_path / "data" / "train-00000-of-00001.parquet")
        return tmp_path

    return make


def test_the_page_is_whole_and_loads_nothing(folder):
    text = render(folder([("s", "one", "t", "p", "r", 0)]), facts_of(["one", "two"]))
    page = Page(text)
    assert text.startswith("<!doctype html>")
    assert not page.open
    assert not page.addresses
    assert not {"link", "iframe", "img", "form", "object"} & set(page.tags)
    namespace = "http://www.w3.org/2000/svg"
    assert not re.search(r"@import|url\(|https?:", text.replace(namespace, ""))


def test_the_policy_names_the_style_and_the_script_that_stand_there_and_no_others(folder):
    text = render(folder([("s", "one", "t", "p", "r", 0)]), facts_of(["one", "two"]))
    policy = html.unescape(
        re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1]
    )
    parts = dict(part.split(" ", 1) for part in policy.split("; "))
    assert parts["default-src"] == parts["base-uri"] == parts["form-action"] == "'none'"
    for name, tag in (("style-src", "style"), ("script-src", "script")):
        (own,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
        assert parts[name] == f"'sha256-{digest}'"
    assert set(re.findall(r"<script[^>]*>", text)) == {
        "<script>",
        '<script id="told" type="application/json">',
    }
    assert "eval(" not in text
    assert ".innerHTML" not in text


def test_hostile_names_and_rows_are_shown_as_text(folder):
    evil = "<script>alert('&')</script><img src=x onerror=1>\u202e\x1b[31m"
    names = [evil, "x" * 300, "", "مهمة"]
    rows = [("s", name, evil, evil + "\nsecond line", evil, 0) for name in names]
    text = render(folder(rows), facts_of(names, preset=evil))
    page = Page(text)
    assert page.tags.count("script") == 2
    assert "img" not in page.tags
    assert script_of(text)["tasks"]["name"][3].startswith("<script>alert('&')</script>")
    shown = "".join(page.text)
    assert "<script>alert('&')</script><img src=x onerror=1>" in shown
    assert "second line" in shown
    assert "\u202e" not in shown
    assert "\x1b" not in shown
    assert "x" * 121 not in shown


def test_thousands_of_tasks_stay_a_page_of_a_few_megabytes(folder):
    names = [f"task {i}" for i in range(1_840)]
    text = render(folder([("s", "task 0", "t", "p", "r", 0)]), facts_of(names))
    assert len(text) < 3_000_000
    assert len(script_of(text)["tasks"]["name"]) == 1_840
    assert text.count("<tr") < 120  # the script makes the others


def test_a_mixture_of_no_rows_and_no_gains_has_a_page(folder):
    text = render(folder([]), facts_of(["one"], [0], value=None, sources=[]))
    assert not Page(text).open


def test_numbers_say_what_the_mixture_holds(folder):
    rows = [("s", "b", "t", "later", "r", 4), ("s", "b", "t", "best", "r", 1)]
    found = numbers(folder(rows), facts_of(["a", "b", "none"], [1, 3, 0]))
    assert [line.name for line in found.lines] == ["b", "a", "none"]
    assert found.lines[0].share == 0.75
    assert found.lines[0].used == pytest.approx(0.1)
    assert [line.equal_share for line in found.lines] == [pytest.approx(0.5), 0.5, 0.0]
    assert found.value == 0.75
    assert found.spread == pytest.approx(math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25))))
    assert (found.tasks_given, found.tasks) == (2, 3)
    assert [sample.prompt for sample in found.samples] == ["best"]


def test_dots_are_rows_in_the_corpus_against_rows_in_the_mixture(folder, tmp_path):
    found = numbers(folder([]), facts_of(["a", "b"], [99, 9]))
    (x1, y1, large), (x2, y2, small) = found.dots
    assert (large, small) == ("a: 99 of 990", "b: 9 of 90")
    top = math.log10(991)
    assert (x1, y1) == pytest.approx((1.0, 2 / top))
    assert (x2, y2) == pytest.approx((math.log10(91) / top, 1 / top))
    page = render(tmp_path, facts_of(["a"], [9]))
    (x, y) = re.search(r'class="dot" cx="([0-9.]+)" cy="([0-9.]+)"', page).groups()
    assert (float(x), float(y)) == pytest.approx((400, 260 - 240 / math.log10(91)), abs=0.06)


def test_what_trainers_refuse_is_named_with_its_rows(folder):
    refused = [{"reason": "no user turn", "rows": 1234, "by": {"LLaMA-Factory": "leaves it out"}}]
    met = {"conversations": True, "shortened": 7, "refused": refused}
    text = "".join(Page(render(folder([]), facts_of(["a"], trainers=met))).text)
    for shown in ("no user turn", "1,234", "LLaMA-Factory: leaves it out", "7 rows went on"):
        assert shown in text


def test_templates_that_no_row_names_take_no_table(folder):
    nameless = [{"task": 0, "template": "", "capacity": 10, "rows": 1}]
    assert "Templates" not in render(folder([]), facts_of(["a"], groups=nameless))


def test_a_choice_that_was_not_made_is_not_called_all(folder):
    facts = facts_of(["a"], embedding={"name": "tiny", "revision": None})
    facts["weights"] = {"name": "taylor-softmax", "num_tasks": None}
    recipe = dict(numbers(folder([]), facts).recipe)
    assert recipe["embedding: revision"] == "not set"
    assert recipe["weights: num_tasks"] == "all"


def test_words_that_newcomers_do_not_know_are_explained_where_they_stand(folder):
    facts = facts_of(["a", "b"], [1, 3])
    facts["shares"] = {
        "effective_tasks": 1.9,
        "kl_to_proportional": 0.123,
        "tasks": 2,
        "largest": {"task": 1, "share": 0.75},
        "like": None,
        "moved": {"equal": 0.25, "proportional": 0.0},
    }
    text = render(folder([]), facts)
    said = "".join(Page(text).text)
    assert "1.9 tasks" in said
    assert "0.123 away from the proportional shares" in said
    assert "Known as KL divergence" in said
    for column in ("rows", "proportional", "ratio", "gain"):
        assert re.search(rf'data-by="{column}"[^>]* title="[^"]{{20,}}"', text)
    assert "Known as marginal gain" in said
    assert "tokens/row" not in said  # a column that is not there


def test_columns_that_would_say_nothing_are_not_there(folder, tmp_path):
    facts = facts_of(["a", "b"], [1, 3])
    for task in facts["tasks"]:
        task["gain"] = None
    text = render(folder([]), facts)
    assert 'data-by="gain"' not in text
    assert "<small>" not in text  # one source needs no name beside each task
    facts["tasks"][0]["source"] = "another"
    assert "<small><bdi>another</bdi></small>" in render(tmp_path, facts)


def test_tasks_whose_order_says_nothing_are_told_once(folder):
    facts = facts_of(["blind", "b"], [10, 10])
    facts["tasks"][0]["one_vector"] = 90
    text = render(folder([]), facts)
    assert 'role="alert"' in text
    assert text.count("90 of 100 rows") == 1
    assert text.count("one and the same vector") == 1
