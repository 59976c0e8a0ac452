"""The pictures of docs/how_smart_works.md are drawn, and its numbers are those that were drawn."""

from __future__ import annotations

import importlib
import json
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from conftest import REPOSITORY

PICTURES = REPOSITORY / "docs" / "pictures"


@pytest.fixture
def numbers() -> dict[str, Any]:
    kept: dict[str, Any] = json.loads((PICTURES / "numbers.json").read_text(encoding="utf-8"))
    return kept


@pytest.fixture
def draw(monkeypatch) -> ModuleType:
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    monkeypatch.syspath_prepend(str(PICTURES))
    return importlib.import_module("draw")


def test_pictures_of_made_up_points_are_drawn_with_the_numbers_that_are_kept(
    draw, numbers, tmp_path
):
    made: dict[str, Any] = {}
    draw.covering(made, tmp_path)
    draw.templates(made, tmp_path)
    assert made == {name: numbers[name] for name in ("covering", "templates")}
    for name, marks in {"covering": 4 * 71, "gains": 0, "templates": 2 * 75}.items():
        svg = (tmp_path / f"{name}.svg").read_text(encoding="utf-8")
        assert svg.startswith("<?xml")
        assert svg.count("<use") >= marks


def test_the_vectors_of_points_have_the_cosines_that_are_said(draw):
    points = np.random.default_rng(0).uniform(0, 4, (30, 2))
    rows = draw.lifted(points)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    squares = ((points[:, None] - points) ** 2).sum(axis=-1)
    np.testing.assert_allclose(rows @ rows.T, np.exp(-squares / 2), atol=0.01)


def test_the_page_says_the_numbers_that_were_drawn(numbers):
    page = (REPOSITORY / "docs" / "how_smart_works.md").read_text(encoding="utf-8")
    words = " ".join(page.split())
    points, rows, tasks = numbers["covering"], numbers["rows"], numbers["all_tasks"]
    of, greedy = numbers["templates"], numbers["tasks"]
    last = greedy["greedy"].index("heart-disease")
    for said in (
        f"Five picks are worth {points['value_of_5']:.2f} here, five random points "
        f"{points['random_5']:.2f}",
        f"500 of them are worth {rows['random']:.2f}, facility location's first 500 are worth "
        f"{rows['value']:.2f}, and it needs {rows['random_needs']} rows",
        f"takes {rows['naive']:,} gains, lazily {rows['lazy']:,}",
        f"the {tasks['tasks']} tasks and {rows['rows']:,} rows",
        f"gets {greedy['rows'][last]} rows of its {greedy['sizes'][last]}, "
        f"`{greedy['greedy'][0]}` {greedy['rows'][0]} of its {greedy['sizes'][0]}",
        f"the largest share is {tasks['graph cut']['largest']:.1%} by graph cut".replace("%", " %"),
        f"as even as {tasks['graph cut']['effective']:.0f} tasks of one size",
        f"{tasks['log-det']['largest'] * 100:.1f} % by log-det "
        f"({tasks['log-det']['effective']:.0f})",
        f"{tasks['facility location']['largest'] * 100:.0f} % by facility location",
    ):
        assert said in words.replace("**", ""), said
    assert (of["template"]["questions"], of["task"]["questions"]) == (4, 12)
