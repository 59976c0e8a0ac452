"""A whole comparison, against one that is worked out plainly, a row at a time."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from smartx import pipeline
from smartx.compare import Draws, Protocol, candidates, compare
from smartx.compare.board import group_of, task_of
from smartx.compare.choose import Chooser, part_of
from smartx.compare.controls import random_rows
from smartx.compare.holdout import split_of
from smartx.compare.proxies import macro_f1, probe
from smartx.config import config_from
from smartx.engine import SCALE
from smartx.errors import BudgetError, ConfigError, InputError, StoreError
from smartx.files import canonical_json
from smartx.needs import InMemory
from smartx.progress import Silent
from smartx.rankers import Ranking
from smartx.runs import open_run
from smartx.strategies import RANKERS

ROWS = 60
FEW = Protocol(folds=4, draws=Draws(rows=12, same_sizes=4))
SOME = [
    "smart-acl2024",
    "proportional",
    "task=equal / facility-location:per=task,balance=no",
    "all=equal / facility-location:per=corpus",
    "no tasks",
    "few=taylor-softmax:num_tasks=3 / random",
    "apart=equal / facility-location / near:cosine=0.95,within=task",
]


@pytest.fixture(scope="module")
def facts(run_dir):
    return compare({"run_dir": str(run_dir), "rows": ROWS}, SOME, protocol=FEW)


@pytest.fixture(scope="module")
def ground(run_dir):
    """The corpus, its Q12 rows, and responses."""
    run = open_run(run_dir)
    corpus = run.corpus()
    rows = run.embeddings().rows(0, corpus.num_rows)
    texts = corpus.rows(np.arange(corpus.num_rows))["response"].to_pylist()
    return corpus, rows, texts


def strategy(facts, name):
    return next(one for one in facts["strategies"] if one["name"] == name)


def chosen_plainly(corpus, rows, fold, sizes):
    """Equal shares of each task, and facility location over its rows that are in the pool."""
    groups = corpus.groups
    kept = np.ones(len(groups), bool) if fold is None else fold.groups
    found, tasks = [], groups.tasks()
    products = rows.astype(np.int64) @ rows.astype(np.int64).T
    for task, count in enumerate(sizes):
        own = [
            row
            for row in range(tasks.start[task], tasks.start[task] + tasks.rows[task])
            if kept[group_of(groups, np.array([row]))[0]]
        ]
        taken = []
        while len(taken) < count:

            def worth(row, taken=taken, own=own):
                return sum(max(0, *(products[u, v] for v in [*taken, row])) for u in own)

            taken.append(max((r for r in own if r not in taken), key=lambda r: (worth(r), -r)))
        found += taken
    return sorted(found)


def nearest(rows, query, chosen):
    return max(chosen, key=lambda row: (int(rows[row].astype(int) @ rows[query].astype(int)), -row))


def cosine(rows, a, b):
    return int(rows[a].astype(int) @ rows[b].astype(int)) / SCALE**2


@pytest.fixture(scope="module")
def plain(facts, ground):
    """For "task": the choices of the corpus and of each fold, by the definition."""
    corpus, rows, _ = ground
    split = split_of(corpus.groups, folds=4)
    whole = chosen_plainly(corpus, rows, None, strategy(facts, "task")["rows_by_task"])
    folds = []
    for fold in split.folds:
        tasks = np.delete(np.arange(8), fold.tasks)
        sizes = np.zeros(8, int)
        sizes[tasks] = ROWS // len(tasks)  # equal: 60 rows of 6 tasks
        folds.append(chosen_plainly(corpus, rows, fold, sizes))
    return split, whole, folds


def test_coverage_is_that_of_the_definition(facts, ground, plain):
    _, rows, _ = ground
    split, _, choices = plain
    for of, held in (("tasks", "task_rows"), ("templates", "template_rows")):
        found = [
            cosine(rows, query, nearest(rows, query, chosen))
            for fold, chosen in zip(split.folds, choices, strict=True)
            for query in getattr(fold, held).tolist()
        ]
        seen = strategy(facts, "task")[f"unseen_{of}"]
        assert seen["mean"] == pytest.approx(np.mean(found), abs=1e-6)  # tasks are equally large
        assert seen["p10"] == pytest.approx(np.quantile(found, 0.1), abs=1e-6)


def test_chance_and_z_are_those_of_the_draws(facts, ground):
    corpus, rows, _ = ground
    split = split_of(corpus.groups, folds=4)
    means = []
    for draw in range(FEW.draws.rows):
        found = []
        for number, fold in enumerate(split.folds):
            pool = np.flatnonzero(np.repeat(fold.groups, corpus.groups.rows))
            chosen = random_rows(pool, ROWS, draw, seed=number).tolist()
            found += [cosine(rows, q, nearest(rows, q, chosen)) for q in fold.task_rows.tolist()]
        means.append(np.mean(found))
    chance = facts["chance"]["unseen_tasks"]
    assert chance["mean"] == pytest.approx(np.mean(means), abs=1e-6)
    assert chance["deviation"] == pytest.approx(np.std(means, ddof=1), abs=1e-6)
    seen = strategy(facts, "task")["unseen_tasks"]
    assert seen["z"] == pytest.approx(
        (seen["mean"] - np.mean(means)) / np.std(means, ddof=1), abs=0.02
    )
    assert seen["delta"] == pytest.approx(seen["mean"] - np.mean(means), abs=2e-6)


def test_copied_responses_are_those_of_the_nearest_chosen_rows(facts, ground, plain):
    _, rows, texts = ground
    split, _, choices = plain
    hits = [
        texts[nearest(rows, query, chosen)] == texts[query]
        for fold, chosen in zip(split.folds, choices, strict=True)
        for query in fold.template_rows.tolist()
        if len(texts[query].split()) <= 3
    ]
    assert strategy(facts, "task")["copied"]["value"] == pytest.approx(np.mean(hits), abs=1e-6)
    assert np.mean(hits) > 0.3
    assert facts["held_out"]["copied_rows"] == len(hits)


def test_the_probe_is_fitted_to_the_choices_of_each_fold(facts, ground, plain):
    corpus, rows, _ = ground
    split, _, choices = plain
    scores = [
        probe(
            rows[chosen],
            task_of(corpus.groups, np.array(chosen)),
            rows[fold.template_rows],
            task_of(corpus.groups, fold.template_rows),
        )
        for fold, chosen in zip(split.folds, choices, strict=True)
    ]
    assert strategy(facts, "task")["probe"]["value"] == pytest.approx(np.mean(scores), abs=1e-6)


def test_the_mixture_is_measured_as_a_whole(facts, ground, plain):
    corpus, rows, _ = ground
    _, whole, _ = plain
    one = strategy(facts, "task")
    groups = corpus.groups
    twins = sum(
        any(
            a != b
            and cosine(rows, a, b) >= 0.95
            and task_of(groups, np.array([a]))[0] == task_of(groups, np.array([b]))[0]
            and group_of(groups, np.array([a]))[0] != group_of(groups, np.array([b]))[0]
            for b in whole
        )
        for a in whole
    )
    assert one["twins"]["other_template"] == pytest.approx(twins / ROWS, abs=1e-6)
    tasks = [[r for r in whole if task_of(groups, np.array([r]))[0] == t] for t in range(8)]
    value = sum(
        max(0.0, *(cosine(rows, row, v) for v in tasks[task_of(groups, np.array([row]))[0]]))
        for row in range(corpus.num_rows)
    )
    assert one["objective"]["value"] == pytest.approx(value / corpus.num_rows, abs=1e-6)
    assert one["objective"]["of_greedy"] == 1.0  # it is greedy
    assert one["objective"]["certificate"] <= 1.0
    counts = corpus.token_counts(0, corpus.num_rows)[whole].sum(axis=0)
    assert one["tokens"]["total"] == counts.sum()
    assert one["tokens"]["response"] == pytest.approx(counts[1] / ROWS, abs=0.01)


def test_strategies_choose_what_mixtures_hold(facts, run_dir, tmp_path):
    """The rows by task and the tokens of `smartx mix` with the same strategy."""
    fields = {"run_dir": str(run_dir), "rows": ROWS, "out": str(tmp_path / "mix")}
    mixture = pipeline.mix_step(config_from({**fields, "preset": "smart-acl2024"}), Silent())
    one = strategy(facts, "smart-acl2024")
    assert one["rows_by_task"] == [task["rows"] for task in mixture.manifest["tasks"]]


def test_near_rows_of_a_task_are_left_out_of_choices_and_of_no_held_out_row(facts, ground, run_dir):
    """The twins that stay are those of a pool: what is near to a held-out row alone stays."""
    apart = strategy(facts, "apart")
    assert apart["twins"]["other_template"] == apart["twins"]["same_template"] == 0
    assert strategy(facts, "proportional")["twins"]["other_template"] > 0.1
    corpus, rows, _ = ground
    split = split_of(corpus.groups, folds=4)
    (candidate,) = candidates([SOME[-1]])
    folder = run_dir / "rankings"
    chooser = Chooser(corpus, open_run(run_dir).embeddings(), split, folder)
    kept = chooser.rankings(candidate, split.folds[0]).kept_of_groups(corpus.groups)
    assert (kept[split.templates] == 0).all()
    out = np.flatnonzero(np.repeat(split.templates, corpus.groups.rows))
    alone = part_of(corpus.groups, ~split.templates)
    stays = np.delete(np.arange(corpus.num_rows), out)
    again = Ranking(alone, candidate.ranker, {"vectors": InMemory(rows[stays])}, near=0.95)
    again = replace(again, near_within="task").ranked(0, len(alone))
    assert kept.sum() == len(stays) - (len(again.near[0]) - again.near[0].null_count)


def test_a_choice_without_tasks_is_the_beginning_of_a_ranking_of_the_pool(ground, run_dir):
    corpus, _, _ = ground
    split = split_of(corpus.groups, folds=4)
    (candidate,) = candidates(["no tasks"])
    chooser = Chooser(corpus, open_run(run_dir).embeddings(), split, run_dir / "rankings")
    for fold in (None, *split.folds):
        first = chooser.rankings(candidate, fold).prefix(0, ROWS)[0]
        assert (np.sort(first) == chooser.choose(candidate, ROWS, fold).row_ids).all()


def test_rows_may_be_a_part_of_the_corpus(facts, run_dir):
    part = compare({"run_dir": str(run_dir), "rows": "10%"}, SOME[:1], protocol=FEW)
    assert part["rows"] == 56


def test_a_ranking_of_the_corpus_is_made_anew_for_each_pool(ground):
    """Its order is that of the pool's rows alone."""
    corpus, rows, _ = ground
    split = split_of(corpus.groups, folds=4)
    ranker = RANKERS.made("facility-location:per=corpus")
    for fold in split.folds:
        out = np.flatnonzero(np.repeat(~fold.groups, corpus.groups.rows))
        left = np.flatnonzero(np.repeat(fold.groups, corpus.groups.rows))
        whole = Ranking(corpus.groups, ranker, {"vectors": InMemory(rows)}, left_out=out)
        alone = part_of(corpus.groups, fold.groups)
        again = Ranking(alone, ranker, {"vectors": InMemory(rows[left])}).ranked(0, 1)
        ranked = whole.ranked(0, 1)
        assert (ranked.row_ids[: len(left)] == left[again.row_ids]).all()


def test_overlap_is_of_the_whole_mixtures(facts):
    table = np.array(facts["overlap"])
    assert (table == table.T).all()
    assert (np.diag(table) == 1).all()
    assert (table < 1).sum() == len(table) * (len(table) - 1)


def test_the_facts_are_json_and_the_same_again_on_other_threads(facts, run_dir):
    again = compare({"run_dir": str(run_dir), "rows": ROWS, "threads": 3}, SOME, protocol=FEW)
    assert canonical_json(again) == canonical_json(facts)
    assert json.loads(canonical_json(facts)) == facts


def test_what_cannot_be_is_said_and_the_others_are_compared(run_dir):
    given = ["one=taylor-softmax:num_tasks=1 / random", "proportional"]
    found = compare({"run_dir": str(run_dir), "rows": ROWS}, given, protocol=FEW)
    assert [one["name"] for one in found["strategies"]] == ["proportional"]
    assert [one["name"] for one in found["failed"]] == ["one"]
    assert "fewer than" in found["failed"][0]["fault"]
    with pytest.raises(InputError, match="none of the strategies can be"):
        compare({"run_dir": str(run_dir), "rows": ROWS}, given[:1], protocol=FEW)


def test_too_many_rows_for_a_fold_are_refused_with_what_there_is(run_dir):
    with pytest.raises(BudgetError, match="336 rows are left, 14 fewer than the 350 asked"):
        compare({"run_dir": str(run_dir), "rows": 350}, SOME, protocol=FEW)


def test_tasks_can_be_held_out_by_name(run_dir):
    protocol = Protocol(hold_out_tasks=["a_*", "own/b_task"], draws=FEW.draws)
    found = compare({"run_dir": str(run_dir), "rows": ROWS}, SOME[:1], protocol=protocol)
    (fold,) = found["held_out"]["folds"]
    assert fold["tasks"] == ["a_task", "b_task"]
    assert found["strategies"][0]["unseen_tasks"]["of"] == 2
    assert found["strategies"][0]["unseen_tasks"]["interval"] is None


def test_a_corpus_of_one_task_and_template_is_compared_by_what_there_is(tmp_path):
    file, vectors = tmp_path / "rows.jsonl", tmp_path / "rows.npy"
    file.write_text("".join(f'{{"inputs": "q{i}", "targets": "a"}}\n' for i in range(30)))
    np.save(vectors, np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32))
    config = {"sources": [str(file)], "vectors": str(vectors), "run_dir": str(tmp_path / "run")}
    pipeline.ingest_step(config_from(config), Silent())
    pipeline.embed_step(config_from(config), Silent())
    found = compare({"run_dir": config["run_dir"], "rows": 10}, ["proportional"], protocol=FEW)
    (one,) = found["strategies"]
    assert [one[n] for n in ("unseen_tasks", "unseen_templates", "copied", "probe")] == [None] * 4
    assert one["objective"]["value"] > 0


def test_a_run_without_embeddings_or_rows_is_refused(run_dir, tmp_path):
    with pytest.raises(ConfigError, match="rows"):
        compare({"run_dir": str(run_dir)}, SOME)
    with pytest.raises(StoreError, match="has not been finished"):
        compare({"run_dir": str(tmp_path / "no"), "rows": 5}, SOME)


def test_macro_f1_counts_the_true_classes_only():
    assert macro_f1(np.array([3, 3]), np.array([3, 4])) == pytest.approx((2 / 3 + 0) / 2)


def test_the_usual_list_has_what_the_issue_asks():
    names = [one.name for one in candidates()]
    assert len(names) >= 12
    assert {"random", "proportional", "equal", "smart-acl2024", "smart-balanced"} <= set(names)
