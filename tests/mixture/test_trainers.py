"""What the README, the card and the trainers' files tell people to load trains right.

TRL and datasets are the real ones. Of LLaMA-Factory 0.9.5 and Axolotl 0.19.0, which need other
versions of what the tests use, the rules by which they read a folder are here in a few lines.
"""

from __future__ import annotations

import json
import re
import shutil
from functools import partial
from pathlib import Path

import pytest
import yaml

from small import corpus_of, mixture_of_all
from smartx.corpus import Columns
from tiny_sft import train

datasets = pytest.importorskip("datasets")
from llama_factory_rules import llama_factory  # noqa: E402  (needs datasets)

pytestmark = pytest.mark.filterwarnings("ignore")  # of the packages that load and train

TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
PLAIN = [{"inputs": f"Question {i}?", "targets": f"A{i}.", "text": "x"} for i in range(6)]


def say(role, content, **more):
    return {"role": role, "content": content, **more}


def call(**arguments):
    return [{"type": "function", "function": {"name": "look", "arguments": arguments}}]


def chat(number):
    return [say("system", "Be kind."), say("user", f"Q{number}"), say("assistant", f"R{number}")]


CHATS = [{"messages": chat(i), "prompt": f"TRAP {i}", "system": None} for i in range(5)]
CALLS = [
    {
        "messages": [
            say("user", f"Q{i}"),
            say("assistant", None, tool_calls=call(**{f"key{i}": i})),
            say("tool", f"F{i}"),
            say("assistant", f"R{i}"),
        ],
        "tools": json.dumps(TOOLS) if i % 2 else TOOLS,
    }
    for i in range(4)
]
MIXED = [*CHATS, *PLAIN]


@pytest.fixture
def mixture(tmp_path):
    """Mix all of the rows into tmp_path/NAME/mix."""

    def make(rows, name="one", columns=None):
        folder = tmp_path / name
        folder.mkdir()
        corpus = corpus_of([{"task_name": "t", **row} for row in rows], folder, columns=columns)
        assert corpus.num_rows == len(rows)
        return mixture_of_all(corpus, folder)

    return make


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


class TestDatasets:
    @pytest.mark.parametrize("rows", [PLAIN, CHATS, CALLS, MIXED])
    def test_the_folder_loads_by_its_name_and_holds_every_row(self, mixture, monkeypatch, rows):
        folder = mixture(rows).folder
        monkeypatch.chdir(folder.parent)
        assert len(datasets.load_dataset("mix", split="train")) == len(rows)

    def test_another_mixture_of_the_same_name_is_not_given_from_a_cache(self, mixture, monkeypatch):
        """With `configs` in the card it is, by datasets 4.0 to 5.2."""
        for name, rows in (("one", PLAIN), ("two", CHATS), ("three", CALLS)):
            monkeypatch.chdir(mixture(rows, name).folder.parent)
            assert len(datasets.load_dataset("mix", split="train")) == len(rows)

    def test_a_mixture_in_the_place_of_another_is_the_one_that_loads(self, mixture, tmp_path):
        for name, rows in (("one", PLAIN), ("two", CHATS)):
            folder = mixture(rows, name).folder
            shutil.rmtree(tmp_path / "mix", ignore_errors=True)
            shutil.copytree(folder, tmp_path / "mix")
            loaded = datasets.load_dataset(str(tmp_path / "mix"), split="train")
            assert len(loaded) == len(rows)

    def test_arguments_of_calls_are_the_objects_that_they_were(self, mixture):
        loaded = datasets.load_dataset(str(mixture(CALLS).folder), split="train")
        found = [row["messages"][1]["tool_calls"][0]["function"] for row in loaded]
        wanted = [row["messages"][1]["tool_calls"][0]["function"] for row in CALLS]
        assert sorted(map(json.dumps, found)) == sorted(map(json.dumps, wanted))


@pytest.fixture(scope="module")
def trl():
    return pytest.importorskip("trl")


@pytest.fixture
def learn(trl, tmp_path):
    """What TRL makes of a data set: for each row its tokens as text, and those it learns."""
    return partial(train, trl, tmp_path / "out")


def card_code(folder):
    """The Python blocks of the card, told where the folder is."""
    text = (folder / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    return [block.replace("path/to/this/folder", str(folder)) for block in blocks]


@pytest.mark.slow
class TestTrl:
    def from_yaml(self, folder, monkeypatch):
        """As `trl sft --config trl.yaml`, started in the folder."""
        from trl import DatasetMixtureConfig, get_dataset
        from trl.scripts.utils import DatasetConfig

        monkeypatch.chdir(folder)
        asked = yaml.safe_load(Path("trl.yaml").read_text())["datasets"]
        found = get_dataset(DatasetMixtureConfig([DatasetConfig(**one) for one in asked]))
        return found["train"]

    def test_chats_and_plain_rows_together_are_trained_in_the_chat_template(
        self, mixture, learn, monkeypatch
    ):
        folder = mixture(MIXED).folder
        expected = [f"<system>Be kind.<end><user>Q{i}<end><assistant>R{i}<end>" for i in range(5)]
        expected += [f"<user>Question {i}?<end><assistant>A{i}.<end>" for i in range(6)]
        for rows in (
            datasets.load_dataset(str(folder), split="train"),
            self.from_yaml(folder, monkeypatch),
        ):
            assert [text for text, _ in learn(rows)] == sorted(expected)

    def test_the_code_of_the_card_learns_the_last_answer_alone(self, mixture, learn):
        loading, answers = card_code(mixture(MIXED).folder)
        names = {}
        exec(loading, names)
        exec(answers, names)
        expected = [f"R{i}<end>" for i in range(5)] + [f"A{i}.<end>" for i in range(6)]
        assert sorted(learned for _, learned in learn(names["rows"])) == sorted(expected)

    def test_pairs_are_joined_as_they_are_and_the_completion_is_learned_with_its_end(
        self, mixture, learn, monkeypatch
    ):
        """The column `text` of the source does not take the end token away."""
        folder = mixture(PLAIN).folder
        expected = [(f"Question {i}?A{i}.<end>", f"A{i}.<end>") for i in range(6)]
        assert learn(datasets.load_dataset(str(folder), split="train")) == expected
        assert learn(self.from_yaml(folder, monkeypatch)) == expected

    def test_the_code_of_the_card_puts_pairs_into_the_chat_template(self, mixture, learn):
        names = {}
        for block in card_code(mixture(PLAIN).folder):
            exec(block, names)
        assert learn(names["rows"]) == [
            (f"<user>Question {i}?<end><assistant>A{i}.<end>", f"A{i}.<end>") for i in range(6)
        ]

    def test_calls_of_tools_reach_the_template_as_objects(self, mixture, learn, monkeypatch):
        folder = mixture([*CALLS, *PLAIN]).folder
        expected = [
            f"<tools>{json.dumps(TOOLS)}\n<user>Q{i}<end>"
            f'<assistant><call>look{{"key{i}": {i}}}<end><tool>F{i}<end><assistant>R{i}<end>'
            for i in range(4)
        ]
        for rows in (
            datasets.load_dataset(str(folder), split="train"),
            self.from_yaml(folder, monkeypatch),
        ):
            found = [text for text, _ in learn(rows)]
            assert [text for text in found if "<call>" in text] == expected
            assert len(found) == 10

    def test_strict_templates_stop_at_what_is_counted_for_them(self, trl):
        from jinja2.exceptions import TemplateError
        from transformers.utils.chat_template_utils import render_jinja_template

        from smartx.mixture import chats

        strict = (Path(trl.__file__).parent / "chat_templates" / "gemma3.jinja").read_text()
        roles = {"s": "system", "u": "user", "a": "assistant", "?": "critic"}
        for pattern in ("ua", "sua", "suaua", "uua", "sa", "a", "uaa", "ssua", "aua", "u?aua"):
            messages = [say(roles[letter], "x") for letter in pattern]
            reason = chats.refusal(pattern)
            try:
                render_jinja_template([messages], chat_template=strict, bos_token="")
                stopped = False
            except TemplateError:
                stopped = True
            assert stopped == (reason is not None), pattern
            assert reason is None or len(chats.REFUSED_BY[reason]) == 2


class TestAxolotl:
    def load(self, folder, monkeypatch):
        """After `_load_from_local_path` of axolotl/utils/data/shared.py (0.19.0)."""
        monkeypatch.chdir(folder)
        (asked,) = yaml.safe_load(Path("axolotl.yaml").read_text())["datasets"]
        assert Path(asked["path"]).is_dir()
        assert not asked.get("data_files")
        with pytest.raises(FileNotFoundError):
            datasets.load_from_disk(asked["path"])
        return asked, datasets.load_dataset(asked["path"], split=asked["split"])

    @pytest.mark.parametrize("rows", [CHATS, CALLS, MIXED])
    def test_chats_load_as_messages(self, mixture, monkeypatch, rows):
        asked, loaded = self.load(mixture(rows).folder, monkeypatch)
        assert asked["type"] == "chat_template"
        assert len(loaded) == len(rows)
        assert all(row[asked["field_messages"]][-1]["role"] == "assistant" for row in loaded)

    def test_a_column_called_system_is_not_put_before_every_chat(self, mixture, monkeypatch):
        rows = [{**row, "system": "aside", "sys": "Be kind."} for row in PLAIN]
        made = mixture(rows, columns=Columns(system="sys"))
        _, loaded = self.load(made.folder, monkeypatch)
        assert "system" not in loaded.column_names
        assert set(loaded["original_system"]) == {"aside"}
        assert loaded[0]["messages"][0]["content"] == "Be kind."

    def test_pairs_load_by_the_named_columns(self, mixture, monkeypatch):
        asked, loaded = self.load(mixture(PLAIN).folder, monkeypatch)
        pair = asked["type"]["field_instruction"], asked["type"]["field_output"]
        found = sorted((row[pair[0]], row[pair[1]]) for row in loaded)
        assert found == [(f"Question {i}?", f"A{i}.") for i in range(6)]
        assert asked["type"]["format"] == asked["type"]["no_input_format"] == "{instruction}"


class TestLlamaFactory:
    def test_pairs_are_read_as_prompt_and_response(self, mixture):
        found = sorted(turns for _, _, turns in llama_factory(mixture(PLAIN).folder))
        assert found == [[("user", f"Question {i}?"), ("assistant", f"A{i}.")] for i in range(6)]

    def test_chats_keep_their_system_prompt_and_who_says_what(self, mixture):
        found = llama_factory(mixture(MIXED).folder)
        assert len(found) == len(MIXED)
        for system, tools, turns in found:
            assert [role for role, _ in turns] == ["user", "assistant"]
            assert (system, tools) == ("Be kind." if turns[0][1][1:].isdigit() else "", "")
            assert turns[0][1].startswith("Q")
            assert turns[1][1].startswith(("R", "A"))

    def test_calls_and_tools_are_read_in_its_own_form(self, mixture):
        found = [row for row in llama_factory(mixture([*CALLS, *PLAIN]).folder) if row[1]]
        assert len(found) == len(CALLS)
        for _, tools, turns in found:
            assert json.loads(tools) == TOOLS
            assert [role for role, _ in turns] == ["user", "function", "observation", "assistant"]
            number = int(turns[0][1].removeprefix("Q"))
            wanted = [{"name": "look", "arguments": {f"key{number}": number}}]
            assert json.loads(turns[1][1]) == wanted

    def test_text_beside_a_call_is_counted_as_lost(self, mixture):
        turns = CALLS[0]["messages"]
        beside = [turns[0], {**turns[1], "content": "I look."}, *turns[2:]]
        made = mixture([*CALLS, {"messages": beside}])
        (lost,) = made.manifest["trainers"]["refused"]
        assert (lost["rows"], lost["by"]) == (1, {"LLaMA-Factory": "leaves that text out"})
        texts = [text for _, _, said in llama_factory(made.folder) for _, text in said]
        assert len(texts) == 5 * 4
        assert not any("I look." in text for text in texts)

    @pytest.mark.parametrize("with_calls", [False, True])
    def test_rows_that_it_leaves_out_are_the_ones_that_the_manifest_counts(
        self, mixture, with_calls
    ):
        odd = [
            [say("user", "a"), say("user", "b"), say("assistant", "c")],
            [say("system", "a"), say("assistant", "b")],
            [say("user", "a"), say("assistant", "b"), say("critic", "c"), say("assistant", "d")],
            [say("user", "a"), say("assistant", "b"), say("user", "last")],
        ]
        rows = [*({"messages": turns} for turns in odd), *CHATS, *(CALLS if with_calls else [])]
        made = mixture(rows)
        met = made.manifest["trainers"]
        left_out = sum(refused["rows"] for refused in met["refused"])
        assert left_out == len(rows) - len(llama_factory(made.folder)) == 3
        assert met["shortened"] == 1
        assert all(refused["by"]["LLaMA-Factory"] for refused in met["refused"])
        text = (made.folder / "README.md").read_text()
        for refused in met["refused"]:
            assert f"| {refused['reason']} | 1 | LLaMA-Factory: leaves the row out" in text
