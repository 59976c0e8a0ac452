"""Hybrid embeddings: whole tasks by the teacher, all else by its student; each row of the right
encoder, and whatever compares tasks by one of them.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_fakes import FakeEncoder, FakeStudent, hybrid_of, vector_of
from smartx.config import RunConfig
from smartx.corpus import Corpus, Groups, ingest
from smartx.corpus.regroup import new_groups, regrouped
from smartx.embed import (
    embed_corpus,
    embeddings_like,
    open_embeddings,
    regrouped_embeddings,
    warnings_of,
)
from smartx.embed.encoded import encoded
from smartx.embed.encoders import identity_of
from smartx.embed.hybrid import Teaching, placed_hybrid, rows_of, taught_groups
from smartx.engine import quantize
from smartx.errors import ConfigError, InputError, StoreError
from smartx.files import canonical_json, own
from smartx.leave_out import Asked
from smartx.means import kept_task_means
from smartx.progress import Silent
from smartx.rankers import rank_corpus
from smartx.rankers.submodular import FacilityLocationRanker
from smartx.store import Stage, sealed
from smartx.tasks import AutoTasks, group_rows, grouped_there
from smartx.verify import verify_folder

TASKS = ("arithmetic", "letters", "poems")  # short texts, long ones, and longer ones
WORDS = dict(zip(TASKS, (3, 12, 20), strict=True))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    own(tmp_path / "run", "run folder")
    return tmp_path / "run"


@pytest.fixture
def corpus(tmp_path: Path, run: Path) -> Corpus:
    """Two templates of each task; one text stands in every task, and one twice in a task."""
    lines = [
        {"prompt": prompt, "response": "r", "task": task, "template": f"t{row % 2}"}
        for task, words in WORDS.items()
        for row, prompt in enumerate(
            [f"{task} {row} " + "word " * words for row in range(9)]
            + ["the same everywhere", "the same everywhere"]
        )
    ]
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    return ingest([file], run / "corpus" / "0123")


def groups_of(corpus: Corpus, *tasks: str) -> np.ndarray:
    return np.array([task in tasks for task in corpus.groups.task])


def expected_rows(corpus: Corpus, taught: np.ndarray) -> np.ndarray:
    texts, by_teacher = corpus.prompts(0, corpus.num_rows), np.repeat(taught, corpus.groups.rows)
    return quantize(
        np.stack(
            [
                vector_of(text if teacher else f"student {text}")
                for text, teacher in zip(texts, by_teacher.tolist(), strict=True)
            ]
        )
    )


@pytest.mark.parametrize("tasks", [(), ("letters",), ("arithmetic", "poems"), TASKS])
def test_every_row_has_the_vector_of_its_own_encoder(corpus, run, tasks):
    taught = groups_of(corpus, *tasks)
    made, wanted = hybrid_of(corpus, taught, run), expected_rows(corpus, taught)
    assert made.rows(0, made.num_rows).tolist() == wanted.tolist()
    some = np.array([32, 0, 11, 11, 31, 3])
    assert made.take(some).tolist() == wanted[some].tolist()
    assert made.rows(9, 25).tolist() == wanted[9:25].tolist()
    assert made.whole()
    assert verify_folder(run).faults == ()


def test_the_manifest_says_who_embedded_what_and_a_line_tells_it(corpus, run):
    made = hybrid_of(corpus, groups_of(corpus, "letters"), run)
    told = made.manifest["made"]
    assert told["encoders"] == [
        {"encoder": "fake", "rows": 11},
        {"encoder": "student:fake", "rows": 22},
    ]
    assert told["by_group"] == [1, 1, 0, 0, 1, 1]
    lines = [line for line in warnings_of(made, corpus) if "embedded" in line]
    assert lines == ["fake embedded 1 task of 3 (11 rows), student:fake the other 22 rows"]
    alone = made.by_one_encoder
    assert not [line for line in warnings_of(alone, corpus) if "embedded" in line]


def test_the_digest_names_the_vectors_and_not_where_they_lie(corpus, run, tmp_path):
    """All tasks taught: the very embeddings of the teacher."""
    own(tmp_path / "other", "run folder")
    made = hybrid_of(corpus, groups_of(corpus, *TASKS), run)
    teacher = embed_corpus(corpus, FakeEncoder(), tmp_path / "other")
    assert made.digest == teacher.digest
    counts = ("shared", "one_vector", "cut")
    assert [made.manifest[c] for c in counts] == [teacher.manifest[c] for c in counts]
    assert made.digest != hybrid_of(corpus, groups_of(corpus, "poems"), run).digest


@pytest.mark.parametrize("lost", ["teacher", "student", "manifest", "other student"])
def test_what_a_hybrid_needs_elsewhere_is_missed(corpus, run, lost):
    made = hybrid_of(corpus, groups_of(corpus, "letters"), run)
    student = made.by_one_encoder
    key = [entry["key"] for entry in made.manifest["vectors"]][lost != "teacher"]
    if lost == "manifest":
        shutil.rmtree(student.folder)
    elif lost == "other student":
        manifest = {n: v for n, v in student.manifest.items() if n != "seal"}
        manifest["digest"] = "0" * 64
        (student.folder / "manifest.json").write_bytes(canonical_json(sealed(manifest)))
    else:
        path = next((run / "vectors" / key[:16]).glob("part-00000.npy"))
        path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    found = open_embeddings(made.folder, corpus)
    assert not found.whole()
    if lost in ("manifest", "other student"):
        with pytest.raises(StoreError) as caught:
            found.by_one_encoder  # noqa: B018
        assert str(student.folder) in caught.value.place
    if lost != "other student":
        assert verify_folder(run).faults
    again = hybrid_of(corpus, groups_of(corpus, "letters"), run)
    assert again.whole()
    assert again.digest == made.digest


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("vectors", []),
        ("vectors", [{"key": "0123", "parts": [{"name": "../part-00000.npy"}]}]),
        ("vectors", [{"key": "../0123", "parts": []}]),
        ("vectors", [5]),
        ("vectors", 5),
        ("vectors", None),
        ("vectors", [{"parts": []}]),
        ("one_encoder", {"key": "../..", "digest": "0"}),
        ("one_encoder", {"key": "0123"}),
        ("one_encoder", {"key": 5, "digest": "0"}),
        ("one_encoder", None),
        ("one_encoder", []),
    ],
)
def test_a_hostile_manifest_is_damage(corpus, run, field, value):
    made = hybrid_of(corpus, groups_of(corpus, "letters"), run)
    content = {n: v for n, v in made.manifest.items() if n != "seal"}
    path = made.folder / "manifest.json"
    path.write_bytes(canonical_json(sealed({**content, field: value})))
    with pytest.raises(StoreError) as caught:
        open_embeddings(made.folder, corpus)
    assert caught.value.place == str(path)
    assert [fault.path for fault in verify_folder(run).faults]


def test_a_hybrid_that_names_itself_as_its_student_is_no_endless_search(corpus, run):
    made = hybrid_of(corpus, groups_of(corpus, "letters"), run)
    content = {n: v for n, v in made.manifest.items() if n != "seal"}
    content["one_encoder"] = {"key": made.manifest["key"], "digest": made.digest}
    (made.folder / "manifest.json").write_bytes(canonical_json(sealed(content)))
    assert not open_embeddings(made.folder, corpus).whole()


def test_vectors_of_two_widths_are_refused(corpus, run, monkeypatch):
    class Wide(FakeEncoder):
        def encode(self, texts, length):
            vectors = super().encode(texts, length)
            return np.concatenate([vectors, vectors], axis=1)

    monkeypatch.setattr("embed_fakes.FakeEncoder", Wide)
    with pytest.raises(InputError, match="48 values and of 24"):
        hybrid_of(corpus, groups_of(corpus, "letters"), run)


def test_rows_or_a_student_of_something_else_are_refused(corpus, run, tmp_path):
    taught, teacher = groups_of(corpus, "letters"), FakeEncoder()
    rows = rows_of(corpus, taught)
    parts, places = encoded(corpus, teacher, identity_of(teacher), run, Silent(), rows=rows)
    student = embed_corpus(corpus, FakeStudent(), run)
    made = Teaching("fake", teacher.made_by, taught, parts, places)
    stage = Stage("embeddings", tmp_path / "stage")
    with pytest.raises(InputError, match="10 vectors of the teacher for 11 rows"):
        placed_hybrid(corpus, replace(made, places=places[1:]), student, stage, "0")
    with pytest.raises(InputError, match="this corpus"):
        placed_hybrid(replace(corpus, digest="0"), made, student, stage, "0")
    hybrid = hybrid_of(corpus, taught, run)
    with pytest.raises(InputError, match="a student's"):
        placed_hybrid(corpus, made, hybrid, stage, "0")
    assert not stage.folder.exists()


def test_task_means_are_of_the_rows_as_they_are(corpus, run):
    made = hybrid_of(corpus, groups_of(corpus, "letters"), run)
    means = kept_task_means(corpus, made, run / "means")
    own = kept_task_means(corpus, made.by_one_encoder, run / "means")
    teacher = kept_task_means(corpus, embed_corpus(corpus, FakeEncoder(), run), run / "means")
    assert means.tolist() == [own[0].tolist(), teacher[1].tolist(), own[2].tolist()]


@pytest.mark.parametrize("per", ["template", "task"])
def test_units_are_ranked_as_by_their_own_encoder_alone(corpus, run, per):
    ranker = FacilityLocationRanker(per=per)
    made = hybrid_of(corpus, groups_of(corpus, "letters"), run)
    both = {
        by: rank_corpus(corpus, vectors, ranker, run / "rankings", threads=1)
        for by, vectors in {
            "hybrid": made,
            "student": made.by_one_encoder,
            "teacher": embed_corpus(corpus, FakeEncoder(), run),
        }.items()
    }
    digests = {ranking.manifest["digest"] for ranking in both.values()}
    assert len(digests) == 3
    ends = np.cumsum(corpus.groups.tasks().rows).tolist()
    for start, stop, by in zip([0, *ends], ends, ("student", "teacher", "student"), strict=False):
        assert _of_rows(both["hybrid"], start, stop) == _of_rows(both[by], start, stop)


def _of_rows(rankings, start, stop):
    """Rows and gains of a ranking that lie within a range of row ids, in order."""
    import pyarrow.parquet as pq

    table = pq.read_table(next(rankings.folder.glob("ranks-*.parquet")))
    rows, gains = table["row_id"].to_numpy(), table["gain"].to_numpy()
    own = (rows >= start) & (rows < stop)
    return rows[own].tolist(), gains[own].tolist()


@pytest.mark.parametrize(
    ("per", "within", "warns"),
    [
        ("template", None, False),
        ("template", "task", False),
        ("template", "corpus", True),
        ("corpus", None, True),
        ("corpus", "task", False),
    ],
)
def test_copies_in_tasks_of_two_encoders_are_said_not_to_be_found(corpus, run, per, within, warns):
    heard = []
    progress = SimpleNamespace(
        note=heard.append,
        start=lambda *_: None,
        advance=lambda *_: None,
        finish=lambda: None,
    )
    made = hybrid_of(corpus, groups_of(corpus, "letters"), run)
    for vectors, wanted in ((made, warns), (made.by_one_encoder, False)):
        heard.clear()
        rank_corpus(
            corpus,
            vectors,
            FacilityLocationRanker(per=per),
            run / "rankings",
            threads=1,
            near_duplicates=0.99,
            near_within=within,
            progress=progress,
        )
        assert any("two encoders" in line for line in heard) == wanted


def test_the_same_rows_under_other_tasks_are_the_students(corpus, run):
    made = hybrid_of(corpus, groups_of(corpus, "letters"), run)
    labels, names = (np.arange(corpus.num_rows) % 3).astype(np.int32), ["a", "b", "c"]
    other = regrouped(corpus, labels, names, "digest", run / "corpus")
    order = new_groups(corpus.groups, labels, names)[2]
    assert embeddings_like(made, other, run) is None
    found = regrouped_embeddings(made, other, order, run)
    student = made.by_one_encoder
    assert found.rows(0, 33).tolist() == student.rows(0, 33)[order].tolist()
    assert found.folder == embed_corpus(other, FakeStudent(), run).folder
    assert embeddings_like(made, other, run).folder == found.folder


def test_found_tasks_are_those_of_the_student(corpus, run):
    pytest.importorskip("sklearn")
    made = hybrid_of(corpus, groups_of(corpus, "letters"), run)
    asked = AutoTasks(clusters=3)
    assert grouped_there(corpus, made, asked, run) is None
    found = group_rows(corpus, made, asked, run, threads=1, progress=Silent())
    alone = group_rows(corpus, made.by_one_encoder, asked, run, threads=1, progress=Silent())
    assert found.tasks.folder == alone.tasks.folder
    assert found.embeddings.folder == alone.embeddings.folder
    assert not found.embeddings.hybrid
    assert grouped_there(corpus, made, asked, run)[1].folder == found.embeddings.folder


def test_rows_in_evaluation_sets_are_found_whoever_embedded_them(corpus, run, tmp_path):
    texts = corpus.prompts(0, corpus.num_rows)
    wanted = [texts.index(next(t for t in texts if t.startswith(f"{task} 4"))) for task in TASKS]
    evaluation = tmp_path / "evaluation.jsonl"
    evaluation.write_bytes(b"".join(orjson.dumps({"prompt": texts[row]}) + b"\n" for row in wanted))
    config = RunConfig(
        run_dir=run, leave_out=[str(evaluation)], leave_out_by=["near"], leave_out_cosine=0.95
    )
    made = hybrid_of(corpus, groups_of(corpus, "letters"), run)
    found = Asked(config).find(corpus, run, FakeStudent(), lambda: made, threads=1)
    assert found.contaminated.tolist() == wanted
    there = Asked(config).there(corpus, run, FakeStudent(), made)
    assert there.folder == found.folder


def plainly(tasks, tokens, texts, amount):
    """Which tasks are taught, by the words of `taught_groups`. tasks: the rows of each."""
    shares = isinstance(amount, float)
    cost = {text: tokens[row] if shares else 1 for row, text in reversed(list(enumerate(texts)))}
    size = {text: tokens[row] for row, text in reversed(list(enumerate(texts)))}
    left = int(amount * sum(cost.values())) if shares else amount
    whole = [sum(size[text] for text in set(own)) for own in tasks]
    paid, taught = set(), [False] * len(tasks)
    for number in sorted(range(len(tasks)), key=lambda number: (whole[number], number)):
        new = set(tasks[number]) - paid
        if sum(cost[text] for text in new) <= left:
            left -= sum(cost[text] for text in new)
            taught[number], paid = True, paid | new
    return taught


rows = st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1, max_size=6)


@given(
    st.lists(rows, min_size=1, max_size=6),
    st.lists(st.integers(1, 30), min_size=13, max_size=13),
    st.one_of(st.sampled_from([0.05, 0.1, 0.25, 0.5, 0.75, 1.0]), st.integers(1, 8)),
)
def test_the_cheapest_tasks_are_taught_as_far_as_they_fit(tasks, lengths, amount):
    """A text is paid for once; a template never goes without its task; nothing is overdrawn."""
    names = [
        (f"task {t}", "ab"[late])
        for t, own in enumerate(tasks)
        for _, late in sorted(own, key=lambda row: row[1])
    ]
    texts = [text for own in tasks for text, _ in sorted(own, key=lambda row: row[1])]
    groups = sorted(set(names))
    sizes = np.array([names.count(group) for group in groups], dtype=np.int64)
    tokens = np.array([[lengths[text], 1] for text in texts], dtype=np.int32)
    told = Groups(
        [""] * len(groups), [g[0] for g in groups], [g[1] for g in groups],
        np.cumsum(sizes) - sizes, sizes,
    )  # fmt: skip
    corpus = SimpleNamespace(
        groups=told, num_rows=len(texts), token_counts=lambda start, stop: tokens[start:stop]
    )
    digests = np.array([[text * 977 % 13, 0] for text in texts], dtype=np.uint64)
    by_task = [[text for text, _ in own] for own in tasks]
    costs = [min(lengths[text] + 2, 20) for text in texts]
    amount = min(amount, len(texts)) if isinstance(amount, int) else amount
    wanted = plainly(by_task, costs, texts, amount)
    if not any(wanted):
        with pytest.raises(ConfigError, match="whole tasks") as caught:
            taught_groups(corpus, digests, amount, window=20)
        least = re.search(r"at least ([\d.,]+)(%?)", caught.value.fix)
        enough = float(least[1]) / 100 if least[2] else int(least[1].replace(",", ""))
        assert taught_groups(corpus, digests, enough, window=20).any()
        return
    found = taught_groups(corpus, digests, amount, window=20)
    assert found.tolist() == [wanted[int(task.split()[1])] for task in told.task]


@pytest.mark.parametrize("amount", [0, -1, 0.0, -0.1, 1.1, 34])
def test_amounts_that_cannot_be_are_refused(corpus, amount):
    texts = np.zeros((corpus.num_rows, 2), dtype=np.uint64)
    with pytest.raises(ConfigError, match="at most"):
        taught_groups(corpus, texts, amount)


def test_long_texts_cost_no_more_than_the_encoder_reads():
    """One text of 100 tokens, or three of 8: read as far as 20 tokens the one is cheaper."""
    groups = Groups([""] * 2, ["long", "short"], [""] * 2, np.array([0, 1]), np.array([1, 3]))
    tokens = np.array([[100, 1], [8, 1], [8, 1], [8, 1]], dtype=np.int32)
    corpus = SimpleNamespace(
        groups=groups, num_rows=4, token_counts=lambda start, stop: tokens[start:stop]
    )
    texts = np.arange(8, dtype=np.uint64).reshape(-1, 2)
    assert taught_groups(corpus, texts, 0.5, window=20).tolist() == [True, False]
    assert taught_groups(corpus, texts, 0.5).tolist() == [False, True]
    assert taught_groups(corpus, texts, 0.4, window=20).tolist() == [True, False]
    with pytest.raises(ConfigError, match="20 of any task"):
        taught_groups(corpus, texts, 0.39, window=20)
