"""Exports stand whole or not at all, hold every row, and say what they are."""

from __future__ import annotations

import csv
import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from made_mixtures import CALLS, CHATS, HOSTILE, PAIRS, mixture_of
from smartx import exports
from smartx.budget.asked import named_rows
from smartx.corpus import open_corpus
from smartx.errors import InputError, StoreError
from smartx.exports import FORMATS, forms
from smartx.exports.rows import Rows, objects
from smartx.exports.writing import file_name
from smartx.files import MARK
from smartx.mixture import chats
from smartx.mixture.out import _beside
from smartx.verify import verify_folder

KINDS = {"pairs": PAIRS, "chats": CHATS, "calls": [*CALLS, *CHATS, *PAIRS]}


@pytest.fixture(scope="module", params=KINDS)
def mixture(request, tmp_path_factory):
    return request.param, mixture_of(KINDS[request.param], tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    return mixture_of(KINDS["calls"], tmp_path_factory.mktemp("tools"))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return mixture_of(PAIRS, tmp_path_factory.mktemp("plain"))


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def source_rows(rows):
    """The turns of each row of a source, as a mixture is to have them."""
    for row in rows:
        turns = row.get("messages") or [
            {"role": "user", "content": row["inputs"]},
            {"role": "assistant", "content": row["targets"]},
        ]
        yield [{**turn, "content": turn["content"] or ""} for turn in turns], row.get("tools")


def plain(turns):
    return json.dumps(turns, sort_keys=True)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_writes_all_rows_it_has_a_place_for_and_is_as_it_was_written(
    mixture, tmp_path, name
):
    kind, mixture = mixture
    given = {"validation": "20%", "leave_out_misfits": True}
    if kind == "chats" and name in ("alpaca", "litgpt"):
        with pytest.raises(InputError, match="has no place for 10 rows of 10"):
            exports.export(mixture, name, tmp_path / "out", **given)
        assert list(tmp_path.iterdir()) == []
        return
    made = exports.export(mixture, name, tmp_path / "out", **given)
    left_out = sum(made.manifest["misfits"].values())
    assert sum(made.rows.values()) + left_out == mixture.manifest["rows"]
    assert 0 < made.rows["validation"] < made.rows["train"]
    assert not verify_folder(made.folder).faults
    inside = {path.name for path in tmp_path.iterdir()}
    assert inside == {"out"}  # no name led out of the folder, nothing half-written beside it
    text = (made.folder / "README.md").read_text(encoding="utf-8")
    assert FORMATS[name].weight in text
    assert FORMATS[name].proven in text


def test_every_format_says_what_a_weight_is_how_to_use_it_and_who_has_loaded_it():
    for kind in FORMATS.values():
        assert kind.holds
        assert kind.weight
        assert kind.proven
        assert "{home}" in kind.use
        assert kind.use.format(home="x")


def test_turns_roles_calls_and_tools_are_those_of_the_source(mixture, tmp_path):
    kind, mixture = mixture
    made = exports.export(mixture, "messages", tmp_path / "out")
    found = lines_of(made.folder / "train.jsonl")
    wanted = [(plain(turns), plain(tools)) for turns, tools in source_rows(KINDS[kind])]
    assert sorted((plain(r["messages"]), plain(r.get("tools"))) for r in found) == sorted(wanted)
    assert all(set(row) <= {"messages", "tools"} for row in found)


def test_prompt_and_completion_are_all_turns_and_the_last_one(calls, tmp_path):
    made = exports.export(calls, "prompt-completion", tmp_path / "out")
    found = lines_of(made.folder / "train.jsonl")
    wanted = [plain(turns) for turns, _ in source_rows(KINDS["calls"])]
    assert sorted(plain(row["prompt"] + row["completion"]) for row in found) == sorted(wanted)
    assert {len(row["completion"]) for row in found} == {1}
    assert {row["completion"][0]["role"] for row in found} == {"assistant"}


def test_jsonl_has_every_column_and_jsons_as_objects(calls, tmp_path):
    made = exports.export(calls, "jsonl", tmp_path / "out")
    found = lines_of(made.folder / "train.jsonl")
    assert set(found[0]) == set(Rows(calls).schema.names)
    by_row = {row["smartx_row"]: row for row in found}
    assert len(by_row) == len(found) == 40
    offered = [row for row in found if row["tools"]]
    assert len(offered) == len(CALLS)
    assert {plain(row["tools"]) for row in offered} == {plain(CALLS[0]["tools"])}
    (call,) = offered[0]["messages"][1]["tool_calls"]
    assert set(call["function"]) == {"name", "arguments"}


def test_bytes_are_refused_where_json_has_no_place_for_them(calls, tmp_path, monkeypatch):
    monkeypatch.setattr(Rows, "schema", pa.schema([("image", pa.binary())]))
    with pytest.raises(InputError, match="'image' holds bytes"):
        exports.export(calls, "jsonl", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["alpaca", "litgpt"])
def test_alpaca_has_its_three_keys_alone(pairs, tmp_path, name):
    found = lines_of(exports.export(pairs, name, tmp_path / "out").folder / "train.jsonl")
    wanted = {(row["inputs"], "", row["targets"]) for row in PAIRS}
    assert {(row["instruction"], row["input"], row["output"]) for row in found} == wanted
    assert {tuple(row) for row in found} == {("instruction", "input", "output")}


@pytest.mark.parametrize(
    ("name", "place"), [("llm-foundry", "data/train.jsonl"), ("torchtune", "train.jsonl")]
)
def test_trainers_without_tools_get_roles_and_texts_alone(calls, tmp_path, name, place):
    made = exports.export(calls, name, tmp_path / "out", leave_out_misfits=True)
    found = lines_of(made.folder / place)
    assert made.manifest["misfits"] == {forms.TOOLS: len(CALLS)}
    assert len(found) == len(CHATS) + len(PAIRS)
    assert {tuple(row) for row in found} == {("messages",)}
    assert {tuple(turn) for row in found for turn in row["messages"]} == {("role", "content")}


def test_rows_without_a_place_are_an_error_that_counts_them_and_nothing_stands(calls, tmp_path):
    with pytest.raises(InputError) as problem:
        exports.export(calls, "alpaca", tmp_path / "out")
    for part in (
        "alpaca has no place for 20 rows of 40",
        f"10 with {forms.TOOLS}",
        f"10 with {forms.SYSTEM}",
        "leave_out_misfits",
    ):
        assert part in str(problem.value)
    assert list(tmp_path.iterdir()) == []


BAD = {
    forms.REPEATED: [("user", "a"), ("user", "b"), ("assistant", "c")],
    forms.NO_ANSWER: [("user", "a"), ("assistant", "b"), ("user", "c")],
    chats.ODD_ROLE: [("user", "a"), ("critic", "b"), ("assistant", "c")],
    forms.NO_TEXT: [("user", None), ("assistant", "b")],
}


@pytest.mark.parametrize("reason", BAD)
def test_what_llm_foundry_raises_on_is_a_misfit(reason):
    """Its checks: llmfoundry/data/finetuning/tasks.py, `_validate_chat_formatted_example`."""
    turns = [{"role": role, "content": text} for role, text in BAD[reason]]
    with pytest.raises(forms.MisfitError, match=reason):
        forms.bare_messages({"messages": turns})


def test_what_torchtune_raises_on_is_a_misfit():
    """Its checks: torchtune/data/_messages.py, `validate_messages`."""
    for roles, reason in (
        (["assistant", "user", "assistant"], chats.ANSWER_FIRST),
        (["user", "assistant", "system", "assistant"], chats.LATE_SYSTEM),
    ):
        turns = [{"role": role, "content": "x"} for role in roles]
        forms.bare_messages({"messages": turns})
        with pytest.raises(forms.MisfitError, match=reason):
            forms.alternating({"messages": turns})
    for roles in (["user", "assistant"], ["system", "user", "assistant", "user", "assistant"]):
        turns = [{"role": role, "content": "x"} for role in roles]
        assert forms.alternating({"messages": turns}) == {"messages": turns}


def test_calls_for_oumi_have_ids_and_arguments_as_texts():
    calls = [{"id": "c1", "function": {"name": "look", "arguments": {"at": [1]}}}]
    turns = [{"role": "assistant", "content": "", "tool_calls": calls}]
    (turn,) = forms.openai_messages({"messages": turns, "tools": []})["messages"]
    assert turn["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"at":[1]}'}
    turns[0]["tool_calls"] = [{"function": {"name": "look", "arguments": {}}}]
    with pytest.raises(forms.MisfitError, match="has no id"):
        forms.openai_messages({"messages": turns})


def test_llm_foundry_finds_a_folder_of_data_alone(pairs, tmp_path):
    made = exports.export(pairs, "llm-foundry", tmp_path / "out", validation=2)
    inside = {path.suffix for path in (made.folder / "data").iterdir()}
    assert inside == {".jsonl"}


def test_alpaca_does_not_flatten_several_turns():
    turns = [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]
    row = {"messages": [{"role": role, "content": text} for role, text in turns]}
    with pytest.raises(forms.MisfitError, match="several turns"):
        forms.alpaca(row)


def test_ids_are_numbers_that_a_mixture_takes_again(tmp_path):
    mixture = mixture_of(PAIRS, tmp_path)
    made = exports.export(mixture, "ids", tmp_path / "ids", validation=4)
    corpus = open_corpus(tmp_path / "corpus")
    sides = [
        named_rows(corpus, str(made.folder / f"{split}.csv"), "include_rows")
        for split in ("train", "validation")
    ]
    assert [side.sum() for side in sides] == [16, 4]
    assert (sides[0] ^ sides[1]).all()
    with (made.folder / "train.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["task"] for row in rows} == {"sums", HOSTILE}
    assert "prompt" not in rows[0]


def test_files_of_tasks_are_named_by_what_no_folder_can_be_left_with(pairs, tmp_path):
    made = exports.export(pairs, "nemotron", tmp_path / "out", validation=4)
    blend = json.loads((made.folder / "blend.json").read_text())
    assert set(blend) == {"train", "valid"}
    for side in blend.values():
        for entry in side:
            assert os.path.commonpath([entry["path"], made.folder]) == str(made.folder)
            table = pq.read_table(entry["path"])
            assert entry["weight"] == table.num_rows
            assert table.column_names == ["messages"]
    assert len({entry["name"] for entry in blend["train"]}) == 2
    for name in ("..", "/", "a/b", "\x00", "CON", HOSTILE, "é", "-rf", "x" * 300):
        plain_name = file_name(3, name)
        assert plain_name.startswith("00003")
        assert plain_name.replace("-", "").isalnum()
        assert len(plain_name) < 60


def test_a_task_file_has_its_best_rows_first(pairs, tmp_path):
    made = exports.export(pairs, "alignment-handbook", tmp_path / "out")
    rank = {}
    for row in Rows(pairs).columns(["prompt", "smartx_rank"]).to_pylist():
        rank[row["prompt"]] = row["smartx_rank"]
    asked = yaml.safe_load((made.folder / "dataset_mixture.yaml").read_text())["dataset_mixture"]
    for entry in asked["datasets"]:
        table = pq.read_table(os.path.join(entry["id"], "train.parquet"))
        ranks = [rank[turns[0]["content"]] for turns in table["messages"].to_pylist()]
        assert ranks == sorted(ranks)


class TestWholeOrNotAtAll:
    def test_the_same_export_again_is_used_as_it_is_and_another_is_refused(self, pairs, tmp_path):
        out = tmp_path / "out"
        first = exports.export(pairs, "messages", out)
        state = (out / "train.jsonl").stat()
        assert exports.export(pairs, "messages", out).manifest == first.manifest
        assert (out / "train.jsonl").stat().st_mtime_ns == state.st_mtime_ns
        with pytest.raises(InputError, match="another export stands there"):
            exports.export(pairs, "alpaca", out)
        assert (out / "train.jsonl").stat().st_mtime_ns == state.st_mtime_ns
        exports.export(pairs, "alpaca", out, overwrite=True)
        assert "instruction" in (out / "train.jsonl").read_text()

    def test_where_writing_fails_the_old_one_stands_and_nothing_is_left_over(
        self, pairs, tmp_path, monkeypatch
    ):
        out = tmp_path / "out"
        before = exports.export(pairs, "messages", out).manifest

        def full(row):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("smartx.exports.run.readme", lambda job, kind: full(job))
        with pytest.raises(StoreError, match="free some space"):
            exports.export(pairs, "messages", out, validation=2, overwrite=True)
        assert exports.run.open_mixture(out, stage="export").manifest == before
        assert [path.name for path in tmp_path.iterdir()] == ["out"]

    def test_what_a_kill_left_is_put_right_by_the_next_export(self, pairs, tmp_path):
        out = tmp_path / "out"
        exports.export(pairs, "messages", out)
        state = (out / "train.jsonl").stat()
        os.rename(out, _beside(out, "old"))  # killed between the two steps of a replacement
        half = _beside(out, "0" * 32)
        half.mkdir()
        (half / MARK).write_text("{}")
        (half / "train.jsonl").write_text("{")
        exports.export(pairs, "messages", out)
        assert (out / "train.jsonl").stat().st_ino == state.st_ino
        assert [path.name for path in tmp_path.iterdir()] == ["out"]

    def test_what_is_not_an_export_is_never_replaced(self, pairs, tmp_path):
        own = tmp_path / "own"
        own.mkdir()
        (own / "thesis.txt").write_text("x")
        with pytest.raises(InputError, match="not an export"):
            exports.export(pairs, "messages", own, overwrite=True)
        with pytest.raises(InputError, match="not in it or around it"):
            exports.export(pairs, "messages", pairs.folder / "inside", overwrite=True)
        with pytest.raises(InputError, match="not in it or around it"):
            exports.export(pairs, "messages", pairs.folder, overwrite=True)
        assert (own / "thesis.txt").read_text() == "x"

    def test_a_damaged_mixture_is_not_exported(self, tmp_path):
        mixture = mixture_of(PAIRS, tmp_path)
        (data,) = (mixture.folder / "data").iterdir()
        content = bytearray(data.read_bytes())
        content[100] ^= 1
        data.write_bytes(content)
        with pytest.raises(StoreError, match="not what was written"):
            exports.export(mixture, "messages", tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_the_same_bytes_again(self, calls, tmp_path):
        for name in ("messages", "datasets", "ids"):
            made = [
                exports.export(calls, name, tmp_path / name / side, validation="25%")
                for side in ("a", "b")
            ]
            assert made[0].manifest["files"] == made[1].manifest["files"]


def test_an_unknown_format_is_answered_with_the_nearest(pairs, tmp_path):
    with pytest.raises(InputError, match="did you mean messages"):
        exports.export(pairs, "mesages", tmp_path / "out")


def test_a_validation_that_is_no_amount_is_refused(pairs, tmp_path):
    with pytest.raises(InputError, match=r"5000, 5k, 1\.5m or 10%"):
        exports.export(pairs, "messages", tmp_path / "out", validation="some")


def test_both_sides_together_are_the_whole_and_share_nothing(calls, tmp_path):
    made = exports.export(calls, "messages", tmp_path / "out", validation=8)
    sides = [lines_of(made.folder / f"{split}.jsonl") for split in ("train", "validation")]
    texts = [{plain(row["messages"]) for row in side} for side in sides]
    assert not texts[0] & texts[1]
    everything = exports.export(calls, "messages", tmp_path / "all")
    whole = {plain(row["messages"]) for row in lines_of(everything.folder / "train.jsonl")}
    assert texts[0] | texts[1] == whole


def test_a_mixture_is_found_by_its_folder_and_pieces_are_in_its_order(calls, tmp_path, monkeypatch):
    monkeypatch.setattr("smartx.exports.rows.PIECE_ROWS", 7)
    made = exports.export(str(calls.folder), "messages", tmp_path / "out", validation=5)
    table = pq.read_table(calls.folder / "data", columns=["messages", "tools"])
    wanted = [plain(row["messages"]) for row in objects(table)]
    place = {text: i for i, text in enumerate(wanted)}
    for split in ("train", "validation"):
        found = [place[plain(row["messages"])] for row in lines_of(made.folder / f"{split}.jsonl")]
        assert found == sorted(found)
    assert np.sum([*made.rows.values()]) == len(wanted)
