"""Folders that are data sets, and data sets of the Hub."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ingest_files import Notes, write_rows
from smartx.corpus import ingest
from smartx.corpus.sources import find_sources
from smartx.errors import CorpusError

CARD = """---
configs:
- config_name: extra
  data_files:
  - {split: train, path: "other/*.parquet"}
- config_name: default
  data_files:
  - {split: easy, path: "data/easy-*"}
  - {split: hard, path: ["data/hard-0*", "data/hard-1*"]}
---
# A set
"""


def rows(*prompts):
    return [{"prompt": prompt, "response": "r"} for prompt in prompts]


def found(source, hub=None):
    notes = []
    files = find_sources([source], notes.append, hub)
    return [(file.name, file.label) for file in files], notes


def test_of_named_splits_train_is_read_and_the_rest_is_said(tmp_path):
    for split in ("train", "test", "validation"):
        for number in (1, 0):
            name = f"set/data/{split}-0000{number}-of-00002.parquet"
            write_rows(tmp_path / name, rows(split))
    files, (note,) = found(tmp_path / "set")
    assert files == [(f"train-0000{n}-of-00002.parquet", "set") for n in (0, 1)]
    assert all(word in note for word in ('"train" is read', '"test"', '"validation"'))


def test_splits_that_are_not_named_train_are_all_read_and_lend_their_names(tmp_path):
    for split in ("no_think", "think"):
        write_rows(tmp_path / f"set/data/{split}-00000-of-00001.parquet", rows(split))
    corpus = ingest([tmp_path / "set"], tmp_path / "out")
    assert corpus.groups.task == ["no_think", "think"]


def test_the_card_says_which_files_are_which_split(tmp_path):
    for name in ("data/easy-0", "data/hard-1", "data/hard-0", "data/else", "other/x"):
        write_rows(tmp_path / f"set/{name}.parquet", rows(name))
    (tmp_path / "set/README.md").write_text(CARD)
    assert found(tmp_path / "set")[0] == [
        ("easy-0.parquet", "easy"),
        ("hard-0.parquet", "hard"),
        ("hard-1.parquet", "hard"),
    ]


@pytest.mark.parametrize(
    "card", ["", "---\nconfigs: 3\n---\n", "---\n[\n---\n", "---\nx: y\n---\n"]
)
def test_a_card_that_says_nothing_leaves_the_folder_as_it_is(tmp_path, card):
    write_rows(tmp_path / "set/b.jsonl", rows("b"))
    write_rows(tmp_path / "set/a.parquet", rows("a"))
    (tmp_path / "set/README.md").write_text(card)
    (tmp_path / "set/dataset_info.json").write_text("{}")
    assert [name for name, _ in found(tmp_path / "set")[0]] == ["a.parquet", "b.jsonl"]


def test_a_card_cannot_point_outside_its_folder(tmp_path):
    write_rows(tmp_path / "secret.parquet", rows("s"))
    write_rows(tmp_path / "set/a.parquet", rows("a"))
    card = 'configs:\n- data_files:\n  - {split: train, path: "../*.parquet"}\n'
    (tmp_path / "set/README.md").write_text(f"---\n{card}---\n")
    assert [name for name, _ in found(tmp_path / "set")[0]] == ["a.parquet"]


def test_what_save_to_disk_writes_is_read_in_its_order(tmp_path):
    datasets = pytest.importorskip("datasets")
    data = datasets.Dataset.from_list(rows(*map(str, range(10))))
    data.save_to_disk(tmp_path / "one", num_shards=3)
    corpus = ingest([tmp_path / "one"], tmp_path / "out")
    assert corpus.prompts(0, 10) == [str(i) for i in range(10)]
    assert corpus.groups.task == ["one"]


def test_of_a_saved_dict_train_is_read(tmp_path):
    datasets = pytest.importorskip("datasets")
    splits = {name: datasets.Dataset.from_list(rows(name)) for name in ("test", "train")}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "set")
    progress = Notes()
    corpus = ingest([tmp_path / "set"], tmp_path / "out", progress=progress)
    assert corpus.prompts(0, corpus.num_rows) == ["train"]
    assert any('left out: "test"' in note for note in progress.notes)
    datasets.DatasetDict({"a": splits["test"], "b": splits["train"]}).save_to_disk(tmp_path / "ab")
    assert ingest([tmp_path / "ab"], tmp_path / "out2").groups.task == ["a", "b"]


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("{", "cannot be read"),
        ("[]", "not an object"),
        ("{}", "no files"),
        ('{"_data_files": [{"filename": "../x.arrow"}]}', "not inside"),
        ('{"_data_files": [{"filename": "gone.arrow"}]}', "no such file"),
        ('{"_indices_files": [1]}', "indices"),
    ],
)
def test_a_damaged_saved_data_set_is_an_error_that_names_the_file(tmp_path, state, says):
    (tmp_path / "dataset_info.json").write_text("{}")
    (tmp_path / "state.json").write_text(state)
    with pytest.raises(CorpusError, match=says) as caught:
        found(tmp_path)
    assert caught.value.path.endswith("state.json")


class FakeHub:
    """Stands in for the Hub: one data set with one revision."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, []

    def revision(self, name, wanted):
        self.asked.append((name, wanted))
        if name != "org/set":
            raise ConnectionError("no network\nmore words")
        return "c0ffee"

    def fetch(self, name, commit):
        assert (name, commit) == ("org/set", "c0ffee")
        return self.folder


def test_a_hub_name_is_fetched_at_one_revision(tmp_path):
    write_rows(tmp_path / "c0ffee/data/train-00000-of-00001.parquet", rows("a"))
    hub = FakeHub(tmp_path / "c0ffee")
    for source in ("org/set", "org/set@v1", "hf://datasets/org/set"):
        files, notes = found(source, hub)
        assert files == [("train-00000-of-00001.parquet", "org/set")]
        assert "org/set@c0ffee" in notes[-1]
    assert hub.asked == [("org/set", None), ("org/set", "v1"), ("org/set", None)]


def test_the_revision_of_a_hub_data_set_is_in_the_manifest(tmp_path, monkeypatch):
    write_rows(tmp_path / "c0ffee/data/train-00000-of-00001.parquet", rows("a"))
    hub = FakeHub(tmp_path / "c0ffee")
    monkeypatch.setattr("smartx.corpus.hub._hugging_face", lambda name: hub)
    manifest = ingest(["org/set"], tmp_path / "out").manifest
    assert [source["hub"] for source in manifest["sources"]] == ["org/set@c0ffee"]
    assert json.dumps(manifest).count(str(tmp_path)) == 0


def test_a_hub_data_set_without_parquet_files_is_an_error_that_says_where_they_may_be(tmp_path):
    with pytest.raises(CorpusError, match="no Parquet files") as caught:
        found("org/set", FakeHub(tmp_path))
    assert "org/set@refs/convert/parquet" in caught.value.fix


def test_without_the_hub_the_name_is_an_error_that_says_why(tmp_path):
    with pytest.raises(CorpusError, match="no network") as caught:
        found("org/none", FakeHub(tmp_path))
    assert caught.value.path == "org/none"
    assert "more words" not in str(caught.value)


def test_a_missing_file_is_never_looked_for_on_the_hub(tmp_path):
    hub = FakeHub(tmp_path)
    for name in ("data/x.jsonl", "/tmp/none/x", "a/b/c"):
        with pytest.raises(CorpusError, match="no such file"):
            found(name, hub)
    assert hub.asked == []
