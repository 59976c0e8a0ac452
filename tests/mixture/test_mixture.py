"""The folder that trainers load: what is in it, and that it appears whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from conftest import tree_digest
from small import RANKERS, corpus_of, flan_like, row, vectors_for
from smartx.budget import allot
from smartx.corpus import ingest
from smartx.draws import ROW_ORDER, draws
from smartx.errors import BudgetError
from smartx.means import task_means
from smartx.mixture import assemble, mixture_facts, open_mixture, write, write_mixture
from smartx.mixture.names import markdown, shown
from smartx.rankers import RandomRanker, rank_corpus
from smartx.report import render
from smartx.weights import Equal, Proportional, RandomRows, TaylorSoftmax

HOSTILE = [
    "../../etc/passwd",
    "<script>alert(1)</script>",
    'a"b|c`d`',
    "[x](javascript:alert(1))",
    "!!python/object: x",
    "\u202etxt.exe",
    "x" * 300,
    "two\nlines\u2028three",
    "CON",
    "Ünïcode 任务 مهمة",
    "esc\x1b[31mred",
    "www.example.com",
    "{{ 7*7 }}{% raw %}",
    "",
]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return flan_like(tmp_path_factory.mktemp("mixture"))


@pytest.fixture(scope="module")
def ranked(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rankings")
    return rank_corpus(corpus, vectors_for(corpus), RANKERS["facility-location"], folder, threads=1)


def mix(
    corpus, ranked, out, *, total=20, seed=0, law=None, means=None, report=render, embedding=None
):
    law = law or Proportional()
    allotment = allot(corpus.groups, law, means=means, total=total, seed=seed)
    chosen = assemble(corpus, ranked, allotment.groups, seed=seed)
    facts = mixture_facts(
        corpus,
        ranked,
        allotment,
        chosen,
        law=law,
        ranker=RANKERS["facility-location"],
        preset="",
        seed=seed,
        version="0",
        embedding=embedding,
    )
    return write_mixture(corpus, chosen, out, facts=facts, report=report)


def rows_of(mixture):
    return pq.read_table(mixture.folder / "data").to_pylist()


def test_chosen_rows_are_prefixes_of_the_rankings(corpus, ranked):
    budgets = allot(corpus.groups, Equal(), means=None, total=33, seed=0).groups
    chosen = assemble(corpus, ranked, budgets, seed=0)
    order = np.lexsort(
        (chosen.ranks, np.searchsorted(corpus.groups.start, chosen.row_ids, "right"))
    )
    expected = [
        ranked.prefix(start, count)
        for start, count in zip(corpus.groups.start.tolist(), budgets.tolist(), strict=True)
    ]
    for place, found in enumerate((chosen.row_ids, chosen.ranks, chosen.gains)):
        assert found[order].tolist() == np.concatenate([part[place] for part in expected]).tolist()


def test_rows_that_two_mixtures_share_stand_in_the_same_order(corpus, ranked):
    few, many = (
        assemble(
            corpus,
            ranked,
            allot(corpus.groups, Proportional(), means=None, total=n, seed=0).groups,
            seed=3,
        )
        for n in (15, 50)
    )
    shared = set(few.row_ids.tolist()) & set(many.row_ids.tolist())
    assert len(shared) > 10
    assert [r for r in few.row_ids.tolist() if r in shared] == [
        r for r in many.row_ids.tolist() if r in shared
    ]


def test_the_order_of_a_mixture_is_shuffled_by_the_seed(corpus, ranked):
    budgets = corpus.groups.rows
    first, other = (assemble(corpus, ranked, budgets, seed=seed) for seed in (0, 1))
    assert sorted(first.row_ids) == sorted(other.row_ids) == list(range(corpus.num_rows))
    assert first.row_ids.tolist() != other.row_ids.tolist()
    assert first.row_ids.tolist() != sorted(first.row_ids)


def test_a_budget_above_a_group_is_an_error_with_both_numbers(corpus, ranked):
    budgets = np.array(corpus.groups.rows)
    budgets[2] += 1
    with pytest.raises(BudgetError, match="group 2"):
        assemble(corpus, ranked, budgets, seed=0)


@pytest.mark.parametrize("total", [1, 17, 61])
def test_random_rows_with_the_random_ranker_are_a_uniform_sample(corpus, tmp_path, total):
    ranked = rank_corpus(corpus, None, RandomRanker(4), tmp_path, threads=1)
    budgets = allot(corpus.groups, RandomRows(), means=None, total=total, seed=4).groups
    chosen = assemble(corpus, ranked, budgets, seed=4)
    sample = np.argsort(draws(4, ROW_ORDER, 0, corpus.num_rows), kind="stable")[:total]
    assert sorted(chosen.row_ids) == sorted(sample)


def test_the_files_hold_the_chosen_rows_of_the_corpus(corpus, ranked, tmp_path):
    mixture = mix(corpus, ranked, tmp_path / "mix", total=33)
    found = rows_of(mixture)
    source = corpus.rows(np.array([row["smartx_row"] for row in found])).to_pylist()
    assert len(found) == 33
    for written, own in zip(found, source, strict=True):
        assert (written["prompt"], written["completion"]) == (own["prompt"], own["response"])
        group = own["group_id"]
        names = (
            corpus.groups.source[group],
            corpus.groups.task[group],
            corpus.groups.template[group],
        )
        assert (written["source"], written["task"], written["template"]) == names
    tasks = mixture.manifest["tasks"]
    assert sum(task["rows"] for task in tasks) == 33
    assert "messages" not in found[0]


def test_the_manifest_names_every_file_and_nothing_of_this_machine(corpus, ranked, tmp_path):
    mixture = mix(corpus, ranked, tmp_path / "mix")
    listed = {entry["name"]: entry["sha256"] for entry in mixture.manifest["files"]}
    on_disk = tree_digest(mixture.folder)
    manifest = on_disk.pop("manifest.json")
    assert listed == on_disk
    assert {"README.md", "report.html", "dataset_info.json", "trl.yaml", "axolotl.yaml"} < set(
        listed
    )
    assert "state.json" not in listed
    text = (mixture.folder / "manifest.json").read_bytes()
    assert hashlib.sha256(text).hexdigest() == manifest
    assert open_mixture(mixture.folder) == mixture
    for private in (str(tmp_path), os.uname().nodename, "/tmp"):
        for path in mixture.folder.rglob("*.*"):
            if path.suffix in (".json", ".html", ".md", ".yaml"):
                assert private not in path.read_text()


def test_a_rerun_gives_the_same_bytes(corpus, ranked, tmp_path):
    first = mix(corpus, ranked, tmp_path / "a" / "mix")
    other = mix(corpus, ranked, tmp_path / "b" / "other name")
    assert tree_digest(first.folder) == tree_digest(other.folder)
    again = mix(corpus, ranked, tmp_path / "a" / "mix")
    assert tree_digest(again.folder) == tree_digest(other.folder)


def test_smart_itself_is_written_with_its_gains(corpus, ranked, tmp_path):
    means = task_means(vectors_for(corpus), corpus.groups.tasks())
    mixture = mix(corpus, ranked, tmp_path / "mix", law=TaylorSoftmax(num_tasks=3), means=means)
    tasks = mixture.manifest["tasks"]
    assert sorted(task["order"] for task in tasks if task["order"] is not None) == [0, 1, 2]
    assert sum(task["gain"] is None for task in tasks) == 1
    assert mixture.manifest["weights"]["function"] == {"name": "graph-cut", "penalty": 0.4}
    assert 0 < mixture.manifest["value"]["held"] < mixture.manifest["value"]["whole"]


def seen(corpus, cut, shared, one):
    """Facts of embeddings: rows of each group."""
    counts = {"cut": cut, "shared": shared, "one_vector": one}
    return {
        "name": "tiny",
        **{name: {"rows": sum(rows), "by_group": rows} for name, rows in counts.items()},
    }


def test_what_the_encoder_did_not_see_is_counted_for_each_task(corpus, ranked, tmp_path):
    cut, shared = [[i * factor for i in range(len(corpus.groups))] for factor in (1, 2)]
    one = [0] * len(shared)
    boolq = corpus.groups.task.index("boolq")
    shared[boolq] = one[boolq] = 29  # of 30
    folder = mix(corpus, ranked, tmp_path / "mix", embedding=seen(corpus, cut, shared, one)).folder
    manifest = open_mixture(folder).manifest
    for task in manifest["tasks"]:
        groups = [g for g, name in enumerate(corpus.groups.task) if name == task["task"]]
        assert task["cut"] == sum(cut[g] for g in groups)
        assert task["shared"] == sum(shared[g] for g in groups)
    counts = {"cut": sum(cut), "shared": sum(shared), "one_vector": 29}
    assert manifest["embedding"] == {"name": "tiny", **counts}
    card, report = ((folder / name).read_text() for name in ("README.md", "report.html"))
    assert "> [!WARNING]\n> In 1 task most rows have one and the same vector" in card
    assert "> - boolq: 29 of 30 rows" in card
    assert card.index("[!WARNING]") < card.index("## ")  # above everything else
    assert f"| rows cut at the encoder's window | {sum(cut)} |" in card
    assert 'role="alert"' in report
    assert "<bdi>boolq</bdi>: 29 of 30 rows" in report


def test_nobody_is_warned_where_most_vectors_differ_or_none_were_used(corpus, ranked, tmp_path):
    none = [0] * len(corpus.groups)
    all_twice = corpus.groups.rows.tolist()  # as in common_gen of T0: three answers to a prompt
    for name, embedding in (("few", seen(corpus, none, all_twice, none)), ("none", None)):
        folder = mix(corpus, ranked, tmp_path / name, embedding=embedding).folder
        assert "WARNING" not in (folder / "README.md").read_text()
        assert 'role="alert"' not in (folder / "report.html").read_text()


def test_rows_are_cut_into_files_of_one_size(corpus, ranked, tmp_path, monkeypatch):
    monkeypatch.setattr(write, "PART_ROWS", 8)
    mixture = mix(corpus, ranked, tmp_path / "mix")
    names = sorted(path.name for path in (mixture.folder / "data").iterdir())
    assert names == [f"train-0000{i}-of-00003.parquet" for i in range(3)]
    sizes = [pq.read_metadata(mixture.folder / "data" / name).num_rows for name in names]
    assert sizes == [8, 8, 4]
    whole = mix(corpus, ranked, tmp_path / "whole")
    assert rows_of(whole) == rows_of(mixture)


def load(folder, tmp_path):
    datasets = pytest.importorskip("datasets")
    return datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))


@pytest.mark.filterwarnings("ignore")  # of the package that loads
def test_datasets_loads_the_folder_as_it_is(corpus, ranked, tmp_path, monkeypatch):
    monkeypatch.setattr(write, "PART_ROWS", 8)
    mixture = mix(corpus, ranked, tmp_path / "mix")
    loaded = load(mixture.folder, tmp_path)
    assert list(loaded) == ["train"]
    assert loaded["train"].to_list() == rows_of(mixture)


@pytest.mark.filterwarnings("ignore")
def test_conversations_and_hostile_names_survive_the_round_trip(tmp_path):
    turns = [{"role": "user", "content": "hi <b>"}, {"role": "assistant", "content": "ho"}]
    rows = [row(f"prompt {i}", name, template=name) for i, name in enumerate(HOSTILE)]
    talks = tmp_path / "in" / "talks.jsonl"
    talks.parent.mkdir()
    talks.write_text(json.dumps({"messages": turns, "task_name": "talk"}) + "\n")
    corpus_of(list(rows), tmp_path / "in")
    corpus = ingest([tmp_path / "in" / "rows.jsonl", talks], tmp_path / "both")
    ranked = rank_corpus(corpus, None, RandomRanker(), tmp_path / "rankings", threads=1)
    mixture = mix(corpus, ranked, tmp_path / "mix", total=corpus.num_rows)
    loaded = load(mixture.folder, tmp_path)["train"].to_list()
    assert loaded == rows_of(mixture)
    assert {line["task"] for line in loaded} == set(corpus.groups.task)
    assert [line["messages"] for line in loaded if line["task"] == "talk"] == [turns]
    for line in loaded:
        said = [(turn["role"], turn["content"]) for turn in line["messages"]]
        assert said == [("user", line["prompt_text"]), ("assistant", line["completion_text"])]
    assert "formatting: " not in (mixture.folder / "axolotl.yaml").read_text()


def test_columns_of_a_mixture_with_chats(tmp_path):
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]
    rows = [
        {"messages": turns, "task_name": "talk", "prompt": "mine", "text": "x", "language": "en"}
    ]
    corpus = corpus_of([*rows, {"inputs": "a", "targets": "b", "task_name": "plain"}], tmp_path)
    ranked = rank_corpus(corpus, None, RandomRanker(), tmp_path / "rankings", threads=1)
    few = mix(corpus, ranked, tmp_path / "few", total=1).folder
    all_rows = mix(corpus, ranked, tmp_path / "all", total=2).folder
    schemas = [pq.read_schema(next((folder / "data").iterdir())) for folder in (few, all_rows)]
    assert schemas[0] == schemas[1]  # columns do not depend on the choice
    assert schemas[0].names == [
        *("messages", "prompt_text", "completion_text", "source", "task", "template"),
        *("smartx_row", "smartx_rank", "smartx_gain", "smartx_index"),
        *("original_prompt", "original_text", "language"),
    ]
    kind = schemas[0].field("messages").type
    assert str(kind) == "list<element: struct<role: string, content: string>>"


@pytest.mark.parametrize("written", ["objects", "text"])
def test_trl_is_told_of_the_tools_that_conversations_call(tmp_path, written):
    """TRL 1.16 keeps the listed columns only, and takes tools as a list or as its JSON text."""
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]
    tools = [{"type": "function", "function": {"name": "look_up", "description": "d"}}]
    carried = {"tools": {"objects": tools, "text": json.dumps(tools)}[written]}
    rows = [{"messages": turns, "task_name": "t"} | (carried if i else {}) for i in range(5)]
    corpus = corpus_of(rows, tmp_path)
    ranked = rank_corpus(corpus, None, RandomRanker(), tmp_path / "rankings", threads=1)
    folder = mix(corpus, ranked, tmp_path / "mix", total=5).folder
    trl = yaml.safe_load((folder / "trl.yaml").read_text())["datasets"][0]
    assert trl["columns"] == ["messages", "tools"]
    table = pq.read_table(next((folder / "data").iterdir()), columns=trl["columns"])
    found = [json.loads(t) if isinstance(t, str) else t for t in table["tools"].to_pylist()]
    assert sorted(found, key=str) == sorted([None, *[tools] * 4], key=str)


def test_columns_are_plain_strings_and_numbers(corpus, ranked, tmp_path):
    schema = pq.read_schema(next((mix(corpus, ranked, tmp_path / "mix").folder / "data").iterdir()))
    assert {field.type for field in schema if field.name in ("task", "source", "template")} == {
        pa.string()
    }
    assert schema.names[-4:] == ["smartx_row", "smartx_rank", "smartx_gain", "smartx_index"]


def test_the_card_opens_with_yaml_that_names_the_data(corpus, ranked, tmp_path):
    text = (mix(corpus, ranked, tmp_path / "mix").folder / "README.md").read_text()
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["size_categories"] == ["n<1K"]
    assert "configs" not in front  # see the test of caches in test_trainers.py


def test_the_card_says_each_task_s_share_of_the_mixture_and_of_the_corpus(corpus, ranked, tmp_path):
    text = (mix(corpus, ranked, tmp_path / "mix", total=20).folder / "README.md").read_text()
    assert corpus.num_rows == 61
    lines = [line for line in text.splitlines() if line.startswith(("| boolq", "| cot", "| qa"))]
    assert lines[0] == "| boolq | t | 10 | 50.00% | 49.18% | 30 |"
    for line in lines:
        _, _, _, rows, share, held_share, held, _ = (cell.strip() for cell in line.split("|"))
        assert share == f"{int(rows) / 20:.2%}"
        assert held_share == f"{int(held) / 61:.2%}"


@pytest.mark.parametrize(
    "name", ["www.example.com", "see WWW.a.b", "http://a.b", "me@a.b", "ftp://a"]
)
def test_no_name_becomes_a_link(name):
    """GitHub's autolinks begin with www., a scheme and ://, or hold an @."""
    assert not re.search(r"(?i)www\.|\w://|\w@\w", markdown(name))
    assert markdown(name).replace("\\", "") == name


@pytest.mark.parametrize("name", HOSTILE)
def test_a_shown_name_is_one_plain_short_line(name):
    for text in (shown(name), markdown(name)):
        assert "\n" not in text
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert len(shown(name)) <= 80
    assert "<" not in markdown(name)
    assert "|" not in markdown(name).replace("\\|", "")


def test_a_mixture_says_how_its_law_spreads_the_rows(corpus, ranked, tmp_path):
    mixture = mix(corpus, ranked, tmp_path / "mix")
    shares = mixture.manifest["shares"]
    assert shares["like"] == "proportional"
    assert shares["kl_to_proportional"] == 0
    assert "effective of 4 tasks" in (mixture.folder / "README.md").read_text()
