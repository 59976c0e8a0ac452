import json

import pytest

from smartx.clean.out import write_cleaned
from smartx.corpus import ingest
from smartx.errors import InputError
from smartx.progress import Silent

ROWS = [
    {"prompt": "one?", "response": "1", "task": "b", "difficulty": 3, "note": None},
    {"prompt": "two?", "response": "2", "task": "a", "difficulty": 1, "note": "é"},
    {"prompt": "two?", "response": "2", "task": "a", "difficulty": 9, "note": None},
]
CHAT = [
    {"role": "system", "content": "Be short."},
    {"role": "user", "content": "It’s late?".encode().decode("cp1252")},
    {"role": "assistant", "content": "Yes.", "weight": 1},
]


def write(corpus, made, out, format="jsonl", overwrite=False):
    return write_cleaned(corpus, made, out, format=format, overwrite=overwrite, progress=Silent())


@pytest.mark.parametrize("format", ["parquet", "jsonl"])
def test_what_stays_is_read_again_as_the_same_rows(cleaned, tmp_path, format):
    corpus, made = cleaned(ROWS)
    out = write(corpus, made, tmp_path / "out", format)
    again = ingest([out / "data"], tmp_path / "again")
    wanted = [ROWS[1], ROWS[0]]  # in the order of the corpus
    for name in ("prompt", "response"):
        told = again.rows([0, 1])[name].to_pylist()
        assert told == [row[name] for row in wanted]
    assert again.groups.task == ["a", "b"]
    assert set(again.manifest["extra"]["columns"]["types"]) >= {"difficulty", "note"}
    if format == "jsonl":
        lines = (out / "data" / "train-00000-of-00001.jsonl").read_text().splitlines()
        assert json.loads(lines[0])["difficulty"] == 1
        assert "note" not in json.loads(lines[1])


def test_chats_keep_their_turns_and_are_repaired_where_asked(cleaned, tmp_path):
    rows = [{"messages": CHAT}, {"messages": [*CHAT[1:2], {"role": "assistant", "content": "No"}]}]
    corpus, made = cleaned(rows)
    assert len(made.rows) == 2  # mojibake
    corpus, made = cleaned(rows, {"encoding": {"repair": True}})
    assert len(made.rows) == 0
    out = write(corpus, made, tmp_path / "out")
    lines = [json.loads(x) for x in next((out / "data").iterdir()).read_text().splitlines()]
    assert lines[0]["messages"][0] == CHAT[0]
    assert lines[0]["messages"][1]["content"] == "It’s late?"
    assert lines[0]["messages"][2]["weight"] == 1
    assert "weight" not in lines[1]["messages"][1]


def test_nothing_of_the_users_is_written_over(cleaned, tmp_path):
    corpus, made = cleaned(ROWS)
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty and not an export"):
        write(corpus, made, full)
    assert (full / "mine.txt").read_text() == "mine"
    out = write(corpus, made, tmp_path / "out")
    _, other = cleaned(ROWS, {"copies": {"exact": False, "words": False}})
    with pytest.raises(InputError, match="another export stands there"):
        write(corpus, other, out)
    assert write(corpus, made, out) == out  # the same is used as it is
    write(corpus, other, out, overwrite=True)
    assert len(next((out / "data").iterdir()).read_text().splitlines()) == 3
    (out / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not part of it"):
        write(corpus, made, out, overwrite=True)
    assert (out / "mine.txt").read_text() == "mine"


def test_no_row_that_stays_is_an_error(cleaned, tmp_path):
    corpus, made = cleaned(ROWS, {"length": {"least_words": 50}})
    with pytest.raises(InputError, match="no row stays"):
        write(corpus, made, tmp_path / "out")
    assert not (tmp_path / "out").exists()
