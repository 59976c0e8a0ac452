"""Every public name of `smartx` says by an example how it is called, and the examples are true."""

from __future__ import annotations

import doctest
import importlib
import re

import pytest

import smartx
from conftest import REPOSITORY

NAMES = [name for name in smartx.__all__ if name != "__version__"]
PAGE = REPOSITORY / "docs" / "from_other_packages.md"
OPTIONAL = {"smartx.selector": "sklearn"}


def examples_of(name: str) -> list[doctest.DocTest]:
    """Those of a public name and its public methods."""
    thing = getattr(smartx, name)
    finder = doctest.DocTestFinder(exclude_empty=True)
    return [test for test in finder.find(thing, name) if test.examples]


def run_examples(test: doctest.DocTest) -> None:
    printed: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    runner.run(test, out=printed.append)
    assert runner.failures == 0, "".join(printed)


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_has_examples_and_they_are_true(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = examples_of(name)
    assert found, f"smartx.{name} has no example in its docstring"
    for test in found:
        run_examples(test)


@pytest.mark.parametrize("module", OPTIONAL)
def test_the_examples_of_optional_modules_are_true(module):
    pytest.importorskip(OPTIONAL[module])
    tests = doctest.DocTestFinder().find(importlib.import_module(module))
    assert sum(len(test.examples) for test in tests)
    for test in tests:
        run_examples(test)


def test_the_page_names_only_what_there_is():
    text = PAGE.read_text(encoding="utf-8")
    for name in set(re.findall(r"\bsmartx\.(\w+)", text)):
        assert hasattr(smartx, name) or name in ("engine", "selector"), name
