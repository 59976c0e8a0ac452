"""Reports of unusual mixtures: each has what it should, and nothing that means nothing."""

from __future__ import annotations

import json
import re

import pytest

import odd_mixtures
from read_pages import Page, script_of


@pytest.fixture
def shown(odd):
    """Manifest, text and script's material of an unusual mixture."""

    def read(name):
        file, _ = odd(name)
        text = file.read_text(encoding="utf-8")
        return json.loads((file.parent / "manifest.json").read_bytes()), text, script_of(text)

    return read


@pytest.mark.parametrize("name", odd_mixtures.ALL)
def test_every_page_is_whole_and_counts_what_the_manifest_counts(shown, name):
    facts, text, told = shown(name)
    page = Page(text)
    assert not page.open
    assert not page.addresses
    assert sum(told["tasks"]["rows"]) == facts["rows"]
    assert len(told["tasks"]["name"]) == len(facts["tasks"])
    said = "".join(page.text)
    assert not re.search(r"\b(nan|inf|None|undefined)\b", said)
    for heading in re.findall(r"<h2[^>]*>([^<]*)</h2>\s*(?=<h2)", text):
        raise AssertionError(f"nothing stands under {heading}")


def test_names_of_any_script_are_shown_and_long_ones_are_cut(shown):
    _, text, told = shown("odd_names")
    names = told["tasks"]["name"]
    assert odd_mixtures.ARABIC in names
    assert any("café" in name for name in names)
    assert max(map(len, names)) <= 120
    assert len(odd_mixtures.LONG) == 300
    assert odd_mixtures.LONG not in text


def test_one_task_says_that_there_was_nothing_to_share_out(shown):
    _, text, _ = shown("one_task")
    assert "All rows are of one task" in text
    assert "equally large tasks;" not in text


def test_found_tasks_have_names(shown):
    facts, _, told = shown("no_task_column")
    assert facts["found_tasks"]
    assert all(told["tasks"]["name"])


def test_a_budget_in_tokens_says_what_was_asked_and_taken(shown):
    facts, text, _ = shown("of_tokens")
    assert f"Asked for: 400 tokens ({facts['tokens']} taken)." in text


def test_rows_that_stay_out_are_counted(shown):
    facts, text, told = shown("with_near_duplicates")
    assert facts["near_duplicates"]["rows"] >= 10
    assert sum(told["tasks"]["near"]) == facts["near_duplicates"]["rows"]
    assert "Near duplicates</h2>" in text
    facts, text, told = shown("with_rows_left_out")
    assert sum(told["tasks"]["out"]) == 10
    assert "<p>Of 80 rows 10 stand in evaluation sets" in text


def test_templates_and_sources_are_named_where_there_are_any(shown):
    _, text, told = shown("with_templates")
    assert "Templates, of all tasks together" in text
    assert len(told["tasks"]["templates"][0]) == 2
    assert "Templates, of all tasks together" not in shown("one_task")[1]
    assert "<small><bdi>flan</bdi></small>" in shown("of_two_sources")[1]
    assert "<small><bdi>" not in shown("with_templates")[1]


def test_without_gains_none_are_shown(shown):
    _, text, told = shown("random_rows")
    assert told["tasks"]["gain"] is None
    assert {one[2] for task in told["tasks"]["examples"] for one in task} == {None}
    assert "gain is what" not in text
    assert "Rows to look at" not in text  # they stand with their tasks


def test_where_everything_was_taken_the_page_says_so(shown):
    facts, text, _ = shown("all_rows")
    assert facts["rows"] == 40
    assert "twice as many" not in text  # there are no more
