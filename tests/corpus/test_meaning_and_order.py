"""Files of any mixture of layouts and columns: what rows mean depends on no order."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_files import Notes, table_of, write_rows
from smartx.corpus import ingest, json_rows

BOT = {"role": "assistant", "content": "b"}
LAYOUTS = (
    lambda text: {"prompt": text, "response": "r"},
    lambda text: {"instruction": text, "output": "r"},
    lambda text: {"messages": [{"role": "user", "content": text}, BOT]},
)
NAMES = {"task": "t", "category": "c", "dataset": "d", "task_source": "s"}
BESIDES = {"system": "be brief", "template": "x", "input": "in"}


@st.composite
def files_of_rows(draw, names):
    """Two files; a row has its text, and columns that only some rows have."""
    layouts = draw(st.lists(st.sampled_from(LAYOUTS), min_size=1, max_size=3))
    columns = [*BESIDES, *draw(names)]
    files = []
    for number in range(2):
        rows = []
        for line in range(draw(st.integers(3, 9))):
            row = draw(st.sampled_from(layouts))(f"{number} {line}")
            for name in draw(st.sets(st.sampled_from(columns))):
                row[name] = {**BESIDES, **NAMES}[name] + str(line % 2) * (name in NAMES)
            rows.append(row)
        files.append(rows)
    return files


def meaning(paths, folder):
    """What each row is, in no order, and what was said about columns."""
    notes = Notes()
    corpus = ingest(paths, folder, progress=notes)
    keys = ("name", "prompt", "response", "messages")
    rows = sorted(str([row[key] for key in keys]) for row in table_of(corpus))
    return rows, [n for n in notes.notes if "it is not used" in n or "was not taken" in n]


def written(folder, files):
    return [write_rows(folder / f"f{number}.jsonl", rows) for number, rows in enumerate(files)]


def small_samples(monkeypatch):
    monkeypatch.setattr(json_rows, "SAMPLE_ROWS", 3)
    monkeypatch.setattr(json_rows, "BLOCK_ROWS", 2)


one_name = st.lists(st.sampled_from(sorted(NAMES)), max_size=1)
any_names = st.lists(st.sampled_from(sorted(NAMES)), unique=True)


@pytest.mark.slow
def test_the_order_of_sources_changes_nothing(tmp_path_factory, monkeypatch):
    small_samples(monkeypatch)

    @settings(deadline=None, max_examples=15)
    @given(files_of_rows(any_names))
    def check(files):
        folder = tmp_path_factory.mktemp("sources")
        paths = written(folder / "in", files)
        one, other = meaning(paths, folder / "one"), meaning(paths[::-1], folder / "other")
        assert one[0] == other[0]

    check()


@pytest.mark.slow
def test_the_order_of_rows_changes_nothing_where_one_column_can_be_the_task(
    tmp_path_factory, monkeypatch
):
    small_samples(monkeypatch)

    @settings(deadline=None, max_examples=15)
    @given(files_of_rows(one_name), st.randoms(use_true_random=False))
    def check(files, random):
        folder = tmp_path_factory.mktemp("rows")
        one, _ = meaning(written(folder / "in", files), folder / "one")
        for rows in files:
            random.shuffle(rows)
        assert one == meaning(written(folder / "turned", files), folder / "other")[0]

    check()


@pytest.mark.slow
def test_where_the_order_of_rows_decides_between_two_columns_it_is_said(
    tmp_path_factory, monkeypatch
):
    small_samples(monkeypatch)

    @settings(deadline=None, max_examples=15)
    @given(files_of_rows(any_names), st.randoms(use_true_random=False))
    def check(files, random):
        folder = tmp_path_factory.mktemp("rows")
        one, said = meaning(written(folder / "in", files), folder / "one")
        for rows in files:
            random.shuffle(rows)
        other, also_said = meaning(written(folder / "turned", files), folder / "other")
        assert one == other or said or also_said

    check()


def test_an_input_that_shows_first_in_a_row_of_another_layout_keeps_its_place(
    tmp_path, monkeypatch
):
    small_samples(monkeypatch)
    plain = [{"instruction": f"do {i}", "output": "r"} for i in range(4)]
    other = {"prompt": "ask", "response": "r", "input": "not read there"}
    last = {"instruction": "do 9", "output": "r", "input": "with this"}
    for number, rows in enumerate(([*plain, other, last], [last, *plain, other])):
        path = write_rows(tmp_path / f"{number}.jsonl", rows)
        prompts = [row["prompt"] for row in table_of(ingest([path], tmp_path / f"out{number}"))]
        assert "do 9\n\nwith this" in prompts
        assert "ask" in prompts
