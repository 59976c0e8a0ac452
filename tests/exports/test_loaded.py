"""Every export is loaded by the tool that it is for, as far as that is installed.

datasets and TRL are the real ones. Of LLaMA-Factory 0.9.5, Axolotl 0.19.0, torchtune 0.6.1, litgpt
0.5 and Oumi 0.9 the very files that read rows are loaded where the packages are there (without what
these need besides, `pip install --no-deps`); mlcroissant where it is there. Where they are not, and
of alignment-handbook and Nemotron, the rules by which they read are here in a few lines.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import types
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from made_mixtures import CALLS, CHATS, PAIRS, TOOLS, mixture_of
from smartx import exports
from tiny_sft import train

datasets = pytest.importorskip("datasets")
from llama_factory_rules import llama_factory  # noqa: E402  (needs datasets)

pytestmark = pytest.mark.filterwarnings("ignore")  # of the packages that load and train
ALL = [*CALLS, *CHATS, *PAIRS]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    return mixture_of(ALL, tmp_path_factory.mktemp("mixed"))


@pytest.fixture(scope="module")
def chats(tmp_path_factory):
    return mixture_of([*CHATS, *PAIRS], tmp_path_factory.mktemp("chats"))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return mixture_of(PAIRS, tmp_path_factory.mktemp("pairs"))


def reading(module, monkeypatch, **beside):
    """A module of a package of which nothing else is loaded; skips where it is not installed.

    beside: names that it imports from other modules of the package, which need what is not here.
    """
    *packages, _ = module.split(".")
    spec = importlib.util.find_spec(packages[0]) if packages[0] not in sys.modules else None
    places = spec.submodule_search_locations if spec else None
    if not places:
        pytest.skip(f"needs {packages[0]}")
    before = {name for name in sys.modules if name.split(".")[0] == packages[0]}
    for depth in range(1, len(packages) + 1):
        name = ".".join(packages[:depth])
        bare = types.ModuleType(name)
        bare.__path__ = [str(Path(places[0], *packages[1:depth]))]
        monkeypatch.setitem(sys.modules, name, bare)
    for name, names in beside.items():
        stand_in = types.ModuleType(f"{packages[0]}.{name}")
        vars(stand_in).update(names)
        monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    try:
        return importlib.import_module(module)
    except ImportError as missing:
        pytest.skip(f"{packages[0]} needs more ({missing})")
    finally:
        for name in list(sys.modules):
            if name.split(".")[0] == packages[0] and name not in before:
                monkeypatch.delitem(sys.modules, name)


def said(turns):
    return [(turn["role"], turn["content"] or "") for turn in turns]


def of_source(rows):
    """(who says what) of each row of a source, sorted."""
    turns = [
        said(row["messages"])
        if "messages" in row
        else [("user", row["inputs"]), ("assistant", row["targets"])]
        for row in rows
    ]
    return sorted(turns)


class TestDatasets:
    @pytest.mark.parametrize("name", ["datasets", "jsonl", "messages", "prompt-completion", "trl"])
    def test_the_folder_has_both_splits_of_the_same_columns(self, mixed, tmp_path, name):
        made = exports.export(mixed, name, tmp_path / "out", validation="20%")
        loaded = datasets.load_dataset(str(made.folder))
        assert {split: len(loaded[split]) for split in loaded} == made.rows
        assert loaded["train"].column_names == loaded["validation"].column_names

    def test_calls_and_tools_are_objects_without_keys_of_others(self, mixed, tmp_path):
        made = exports.export(mixed, "messages", tmp_path / "out")
        loaded = datasets.load_dataset("json", data_files=str(made.folder / "train.jsonl"))["train"]
        found = [row for row in loaded if row["tools"]]
        assert len(found) == len(CALLS)
        for row in found:
            number = int(row["messages"][0]["content"].removeprefix("Look "))
            call = row["messages"][1]["tool_calls"][0]["function"]
            assert call == {"name": "look", "arguments": {f"key{number}": number}}
            assert row["tools"] == TOOLS

    def test_alpaca_and_ids_load(self, pairs, tmp_path):
        for name, kind in (("alpaca", "json"), ("ids", "csv")):
            made = exports.export(pairs, name, tmp_path / name)
            (file,) = made.folder.glob("train.*")
            assert len(datasets.load_dataset(kind, data_files=str(file))["train"]) == len(PAIRS)


@pytest.mark.slow
class TestTrl:
    @pytest.fixture(scope="class")
    def trl(self):
        return pytest.importorskip("trl")

    def test_a_step_on_trl_yaml_learns_every_turn_in_the_chat_template(self, trl, chats, tmp_path):
        made = exports.export(chats, "trl", tmp_path / "out", validation="20%")
        asked = yaml.safe_load((made.folder / "trl.yaml").read_text())
        both = datasets.load_dataset(asked["dataset_name"])
        rows = both[asked["dataset_train_split"]]
        assert len(both[asked["dataset_test_split"]]) == made.rows["validation"]
        found = [text for text, _ in train(trl, tmp_path / "run", rows)]
        wanted = {
            "".join(f"<{role}>{text}<end>" for role, text in turns)
            for turns in of_source([*CHATS, *PAIRS])
        }
        assert len(found) == made.rows["train"]
        assert set(found) <= wanted

    def test_a_step_on_prompt_completion_learns_the_last_answer_alone(self, trl, mixed, tmp_path):
        made = exports.export(mixed, "prompt-completion", tmp_path / "out")
        rows = datasets.load_dataset(str(made.folder), split="train")
        learned = sorted(answer for _, answer in train(trl, tmp_path / "run", rows))
        assert learned == sorted(f"{turns[-1][1]}<end>" for turns in of_source(ALL))


class TestLlamaFactory:
    def test_by_its_rules_it_learns_every_row(self, mixed, tmp_path):
        made = exports.export(mixed, "llama-factory", tmp_path / "out", validation=8)
        found = [llama_factory(made.folder, name) for name in NAMES]
        assert [len(rows) for rows in found] == [*made.rows.values()]
        kinds = {"function": ("user", "function", "observation", "assistant")}
        for _, tools, turns in (row for rows in found for row in rows):
            roles = tuple(role for role, _ in turns)
            assert roles == kinds["function"] if tools else set(roles) == {"user", "assistant"}

    @pytest.mark.parametrize("which", ["mixed", "chats", "pairs"])
    def test_its_own_parser_and_converters_give_what_the_rules_give(
        self, request, tmp_path, monkeypatch, which
    ):
        parser = reading("llamafactory.data.parser", monkeypatch)
        converter = reading("llamafactory.data.converter", monkeypatch)
        mixture = request.getfixturevalue(which)
        made = exports.export(mixture, "llama-factory", tmp_path / "out", validation=8)
        for named in parser.get_dataset_list(NAMES, str(made.folder)):
            files = sorted(str(path) for path in (made.folder / named.dataset_name).iterdir())
            loaded = datasets.load_dataset("parquet", data_files=files, split=named.split)
            convert = converter.DATASET_CONVERTERS[named.formatting](named, SimpleNamespace())
            rows = [row for row in map(convert, loaded) if row["_response"]]
            name = NAMES[0] if "train" in named.dataset_name else NAMES[1]
            wanted = llama_factory(made.folder, name)
            assert len(rows) == len(wanted) == len(loaded)
            for row, (system, tools, turns) in zip(rows, wanted, strict=True):
                assert said(row["_prompt"] + row["_response"]) == turns
                assert (row["_system"] or "", row["_tools"] or "") == (system, tools or "")


NAMES = ["smartx_mixture", "smartx_validation"]


class TestAxolotl:
    def entries(self, made):
        asked = yaml.safe_load((made.folder / "axolotl.yaml").read_text())
        return [*asked["datasets"], *asked["test_datasets"]]

    def test_its_schema_takes_the_section(self, mixed, tmp_path, monkeypatch):
        schema = reading("axolotl.utils.schemas.datasets", monkeypatch)
        made = exports.export(mixed, "axolotl", tmp_path / "out", validation=8)
        for entry in self.entries(made):
            read = schema.SFTDataset(**entry)
            assert set(entry) <= set(schema.SFTDataset.model_fields)
            assert read.field_tools == "tools"

    def test_each_file_loads_as_it_loads_one(self, mixed, tmp_path):
        """After `_load_from_local_path` of axolotl/utils/data/shared.py (0.19.0)."""
        made = exports.export(mixed, "axolotl", tmp_path / "out", validation=8)
        for entry, rows in zip(self.entries(made), made.rows.values(), strict=True):
            assert Path(entry["path"]).is_file()
            loaded = datasets.load_dataset(
                entry["ds_type"], data_files=entry["path"], split=entry["split"]
            )
            assert len(loaded) == rows
            assert {entry["field_messages"], entry["field_tools"]} <= set(loaded.column_names)


class TestTorchtune:
    def test_its_transform_and_checks_take_every_row(self, chats, tmp_path, monkeypatch):
        made = exports.export(chats, "torchtune", tmp_path / "out", validation=8)
        asked = yaml.safe_load((made.folder / "torchtune.yaml").read_text())
        beside = {  # which need an older torch; of these it uses a base class, and what images need
            "modules.transforms": {"Transform": object},
            "data._utils": {"format_content_with_images": None, "load_image": None},
        }
        module = reading("torchtune.data._messages", monkeypatch, **beside)
        for part, rows in zip(("dataset", "dataset_val"), made.rows.values(), strict=True):
            entry = asked[part]
            loaded = datasets.load_dataset(
                entry["source"], data_files=entry["data_files"], split=entry["split"]
            )
            assert len(loaded) == rows
            transform = module.OpenAIToMessages(
                train_on_input=entry["train_on_input"],
                column_map={"messages": entry["conversation_column"]},
            )
            for row in loaded:
                turns = transform(row)["messages"]
                module.validate_messages(turns)
                wanted = [(turn["role"], turn["content"]) for turn in row["messages"]]
                assert [(turn.role, turn.text_content) for turn in turns] == wanted
                assert [turn.masked for turn in turns] == [
                    role != "assistant" for role, _ in wanted
                ]


class TestLitgpt:
    def test_its_json_data_finds_and_reads_both_files(self, pairs, tmp_path, monkeypatch):
        made = exports.export(pairs, "litgpt", tmp_path / "out", validation=8)
        assert {path.name for path in made.folder.glob("*.jsonl")} == {"train.jsonl", "val.jsonl"}
        module = reading("litgpt.prompts", monkeypatch)  # its styles fill the template of a row
        style = module.PromptStyle.from_name("alpaca")
        for line in (made.folder / "val.jsonl").read_text().splitlines():
            row = json.loads(line)
            assert row["instruction"] in style.apply(prompt=row["instruction"], **row)


class TestOumi:
    def test_its_conversations_take_every_row(self, chats, tmp_path, monkeypatch):
        made = exports.export(chats, "oumi", tmp_path / "out", validation=8)
        asked = yaml.safe_load((made.folder / "oumi.yaml").read_text())["data"]
        module = reading("oumi.core.types.conversation", monkeypatch)
        for part, rows in made.rows.items():
            (entry,) = asked[part]["datasets"]
            assert entry["dataset_name"] == "text_sft_jsonl"
            lines = Path(entry["dataset_path"]).read_text(encoding="utf-8").splitlines()
            assert len(lines) == rows
            for line in lines:
                read = module.Conversation.model_validate(json.loads(line))
                wanted = said(json.loads(line)["messages"])
                assert [(turn.role.value, turn.content) for turn in read.messages] == wanted


class TestAlignmentHandbook:
    @pytest.mark.parametrize("which", ["mixed", "pairs"])
    def test_by_its_rules_the_mixture_has_every_row_once(self, request, tmp_path, which):
        """After `get_dataset` of alignment/data.py (2025-07): it concatenates, so types agree."""
        mixture = request.getfixturevalue(which)
        made = exports.export(mixture, "alignment-handbook", tmp_path / "out", validation=8)
        asked = yaml.safe_load((made.folder / "dataset_mixture.yaml").read_text())
        asked = asked["dataset_mixture"]
        parts = []
        for entry in asked["datasets"]:
            assert set(entry) == {"id", "split", "columns", "weight"}
            rows = datasets.load_dataset(entry["id"], split=entry["split"])
            rows = rows.select_columns(entry["columns"]).shuffle(seed=asked["seed"])
            parts.append(rows.select(range(int(len(rows) * entry["weight"]))))
        whole = datasets.concatenate_datasets(parts)
        assert len(whole) == made.rows["train"]
        found = {json.dumps(said(row["messages"])) for row in whole}
        assert found <= {json.dumps(turns) for turns in of_source(ALL)}
        assert len(found) == made.rows["train"]


class TestNemotron:
    FIELDS = frozenset({"name", "path", "weight", "split", "subset", "text_field"})

    @pytest.mark.parametrize("validation", [None, 8])
    def test_the_blend_has_its_fields_in_one_of_its_modes(self, mixed, tmp_path, validation):
        """After `DataBlend` of nemotron/data_prep/blend.py: `datasets`, or splits, not both."""
        made = exports.export(mixed, "nemotron", tmp_path / "out", validation=validation)
        blend = json.loads((made.folder / "blend.json").read_text())
        assert set(blend) == ({"train", "valid"} if validation else {"datasets"})
        for entries in blend.values():
            assert all({"name", "path"} <= set(entry) <= self.FIELDS for entry in entries)
            assert len({entry["name"] for entry in entries}) == len(entries)
        rows = sum(entry["weight"] for entries in blend.values() for entry in entries)
        assert rows == len(ALL)


class TestCroissant:
    def test_mlcroissant_reads_the_description_and_every_row(self, mixed, tmp_path):
        croissant = pytest.importorskip("mlcroissant")
        made = exports.export(mixed, "croissant", tmp_path / "out", validation=8)
        described = croissant.Dataset(jsonld=str(made.folder / "croissant.json"))
        assert not described.metadata.ctx.issues.errors
        for split, rows in made.rows.items():
            records = list(described.records(split))
            assert len(records) == rows
            texts = {record[f"{split}/completion_text"].decode() for record in records}
            assert texts <= {turns[-1][1] for turns in of_source(ALL)}
