"""The contract of every ranker, and rankings on disk."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from small import RANKERS, Vectors, flan_like, vectors_for
from smartx.draws import ROW_ORDER, draws
from smartx.engine import FacilityLocation, maximize
from smartx.errors import InputError, StoreError
from smartx.progress import Silent
from smartx.rankers import (
    GraphCutRanker,
    RandomRanker,
    open_rankings,
    rank,
    rank_corpus,
    rankings,
    run,
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return flan_like(tmp_path_factory.mktemp("rankers"))


@pytest.fixture(scope="module")
def vectors(corpus):
    return vectors_for(corpus)


@pytest.fixture
def small_files(monkeypatch):
    """Several files, several blocks in each, several bundles."""
    for module in (run, rankings):
        monkeypatch.setattr(module, "PART_ROWS", 24)
        monkeypatch.setattr(module, "BLOCK_ROWS", 8)
    monkeypatch.setattr(run, "BUNDLE_ROWS", 10)


def table_of(ranked):
    return pq.read_table(sorted(ranked.folder.glob("ranks-*.parquet")))


@pytest.mark.parametrize("ranker", RANKERS.values(), ids=RANKERS)
class TestEveryRanker:
    def test_every_row_of_every_group_is_ranked_once_and_in_place(
        self, ranker, corpus, vectors, tmp_path, small_files
    ):
        ranked = rank_corpus(corpus, vectors, ranker, tmp_path, threads=1)
        table = table_of(ranked).to_pydict()
        assert sorted(table["row_id"]) == list(range(corpus.num_rows))
        groups = corpus.groups
        for group, (start, rows) in enumerate(zip(groups.start, groups.rows, strict=True)):
            own = slice(int(start), int(start + rows))
            assert set(table["group_id"][own]) == {group}
            assert table["rank"][own] == list(range(rows))
            assert sorted(table["row_id"][own]) == list(range(own.start, own.stop))
        assert np.isfinite(table["gain"]).all()

    def test_neither_threads_nor_bundles_nor_files_change_the_ranking(
        self, ranker, corpus, vectors, tmp_path, monkeypatch
    ):
        whole = rank_corpus(corpus, vectors, ranker, tmp_path / "whole", threads=2)
        monkeypatch.setattr(run, "BUNDLE_ROWS", 1)
        single = rank_corpus(corpus, vectors, ranker, tmp_path / "single", threads=1)
        assert table_of(single).equals(table_of(whole))
        assert single.manifest == whole.manifest

    def test_parameters_can_be_written_and_tell_the_ranker_apart(
        self, ranker, corpus, vectors, tmp_path
    ):
        written = json.dumps({"name": ranker.name, **ranker.parameters()}, allow_nan=False)
        others = [other for other in RANKERS.values() if other != ranker]
        assert written not in [json.dumps({"name": o.name, **o.parameters()}) for o in others]
        assert RANKERS[ranker.name] == ranker


def test_what_the_manifest_says_does_not_depend_on_how_rows_were_cut_into_files(
    corpus, vectors, tmp_path, request
):
    ranker = RANKERS["facility-location"]
    whole = rank_corpus(corpus, vectors, ranker, tmp_path / "whole", threads=1)
    request.getfixturevalue("small_files")
    cut = rank_corpus(corpus, vectors, ranker, tmp_path / "cut", threads=1)
    assert len(cut.manifest["files"]) > len(whole.manifest["files"])
    assert cut.digest == whole.digest
    assert cut.manifest["curve"] == whole.manifest["curve"]
    gains = table_of(whole)["gain"].to_numpy()
    assert whole.manifest["curve"][-1] == pytest.approx(gains.sum())
    assert whole.manifest["curve"][0] == 0


def test_memory_cuts_bundles_and_changes_nothing(corpus, vectors, tmp_path, monkeypatch):
    ranker, read = RANKERS["facility-location"], []
    whole = rank_corpus(corpus, vectors, ranker, tmp_path / "a", threads=1)
    monkeypatch.setattr(Vectors, "rows", lambda self, a, b: read.append(b - a) or self.table[a:b])
    tight = rank_corpus(corpus, vectors, ranker, tmp_path / "b", threads=1, memory=4 * 4 * 8 * 10)
    assert max(read) <= max(10, int(corpus.groups.rows.max()))
    assert len(read) > 3
    assert tight.manifest == whole.manifest


def test_a_group_is_ranked_as_the_engine_ranks_it_alone(corpus, vectors, tmp_path):
    ranked = rank_corpus(corpus, vectors, RANKERS["facility-location"], tmp_path, threads=1)
    for start, rows in zip(corpus.groups.start.tolist(), corpus.groups.rows.tolist(), strict=True):
        alone = maximize(FacilityLocation(), vectors.table[start : start + rows], rows)
        row_ids, ranks, gains = ranked.prefix(start, rows)
        assert (row_ids - start).tolist() == alone.items.tolist()
        assert ranks.tolist() == list(range(rows))
        assert gains.tolist() == alone.gains.tolist()


def test_prefixes_read_across_blocks_and_files(corpus, vectors, tmp_path, small_files):
    ranked = rank_corpus(corpus, vectors, RANKERS["graph-cut"], tmp_path, threads=1)
    whole = table_of(ranked)
    assert len(list(ranked.folder.glob("ranks-*.parquet"))) == 3
    starts, counts = np.array([0, 5, 20, 61 - 2]), np.array([3, 30, 0, 2])
    for (row_ids, ranks, gains), start, count in zip(
        ranked.prefixes(starts, counts), starts.tolist(), counts.tolist(), strict=True
    ):
        expected = whole.slice(start, count)
        assert row_ids.tolist() == expected["row_id"].to_pylist()
        assert ranks.tolist() == expected["rank"].to_pylist()
        assert gains.tolist() == expected["gain"].to_pylist()
    with pytest.raises(StoreError):
        ranked.prefix(60, 2)


def test_random_rows_are_in_the_order_of_their_draws(corpus, tmp_path):
    ranked = rank_corpus(corpus, None, RandomRanker(7), tmp_path, threads=1)
    keys = draws(7, ROW_ORDER, 0, corpus.num_rows)
    for start, rows in zip(corpus.groups.start.tolist(), corpus.groups.rows.tolist(), strict=True):
        row_ids, _, gains = ranked.prefix(start, rows)
        assert (np.diff(keys[row_ids].astype(object)) > 0).all()
        assert not gains.any()


class Counting(Silent):
    def __init__(self):
        self.total, self.done, self.notes = 0, 0, []

    def start(self, step, total, unit):
        self.total += total

    def advance(self, amount):
        self.done += amount

    def note(self, message):
        self.notes.append(message)


def test_finished_rankings_are_reused_and_others_get_a_folder_of_their_own(
    corpus, vectors, tmp_path
):
    ranker, progress = RANKERS["facility-location"], Counting()
    first = rank_corpus(corpus, vectors, ranker, tmp_path, threads=1, progress=progress)
    assert progress.done == progress.total > 0
    again = Counting()
    second = rank_corpus(corpus, vectors, ranker, tmp_path, threads=1, progress=again)
    assert second == first
    assert again.done == 0
    assert len(again.notes) == 1
    others = [
        rank_corpus(corpus, vectors, GraphCutRanker(0.2), tmp_path, threads=1),
        rank_corpus(corpus, replace(vectors, digest="new"), ranker, tmp_path, threads=1),
        rank_corpus(corpus, None, RandomRanker(1), tmp_path, threads=1),
        rank_corpus(corpus, vectors, RandomRanker(2), tmp_path, threads=1),
    ]
    assert len({first.folder, *(other.folder for other in others)}) == 5
    assert open_rankings(first.folder) == first


@pytest.mark.parametrize("fault", ["bit", "cut", "other", "gone", "folder"])
def test_a_damaged_ranking_is_an_error_that_names_file_and_fix(
    corpus, tmp_path, fault, small_files
):
    ranked = rank_corpus(corpus, None, RandomRanker(), tmp_path / "here", threads=1)
    path = ranked.folder / "ranks-00001.parquet"
    content = bytearray(path.read_bytes())
    if fault == "bit":
        content[len(content) // 8] ^= 0xFF
        path.write_bytes(content)
    elif fault == "cut":
        path.write_bytes(content[:-9])
    elif fault == "other":  # a sound file of another ranking
        other = rank_corpus(corpus, None, RandomRanker(9), tmp_path / "there", threads=1)
        shutil.copy(other.folder / path.name, path)
    elif fault == "gone":
        path.unlink()
    else:
        shutil.rmtree(ranked.folder)
    with pytest.raises(StoreError) as caught:
        ranked.prefix(30, 2)
    assert caught.value.place == str(path)
    assert "smartx rank" in caught.value.fix
    assert rank_corpus(corpus, None, RandomRanker(), tmp_path / "here", threads=1) == ranked
    assert len(ranked.prefix(30, 2)[0]) == 2  # as the fix says


class Removing(RandomRanker):
    """Somebody deletes the run folder while it works."""

    def rank(self, pool, *, threads):
        if pool.row_ids[0] > 40 and removed:
            shutil.rmtree(removed.pop())
        return super().rank(pool, threads=threads)


removed = []


def test_a_ranking_that_is_removed_in_mid_run_is_a_store_error(corpus, tmp_path, small_files):
    removed[:] = [tmp_path / "rankings"]
    with pytest.raises(StoreError, match="ranks-00000"):
        rank_corpus(corpus, None, Removing(), tmp_path / "rankings", threads=1)
    assert not removed


def test_missing_or_foreign_vectors_are_an_error(corpus, vectors, tmp_path):
    ranker = RANKERS["facility-location"]
    with pytest.raises(InputError, match="needs embeddings"):
        rank_corpus(corpus, None, ranker, tmp_path, threads=1)
    other = {"inputs": {"corpus": "0" * 64}}  # of as many rows as this one
    for foreign in (replace(vectors, manifest=other), Vectors(vectors.table[1:])):
        with pytest.raises(InputError, match="vectors are those of another corpus"):
            rank_corpus(corpus, foreign, ranker, tmp_path, threads=1)
    assert not list(tmp_path.iterdir())


class Broken(RandomRanker):
    """Names a row twice and another never."""

    def rank(self, pool, *, threads):
        order, gains = super().rank(pool, threads=threads)
        order[1] = order[0]
        return order, gains


def test_a_ranker_that_loses_a_row_is_found_out(corpus, tmp_path):
    with pytest.raises(InputError, match="exactly once"):
        rank_corpus(corpus, None, Broken(), tmp_path, threads=1)
    with pytest.raises(StoreError):
        open_rankings(next(tmp_path.iterdir()))


def test_bundles_cover_all_groups_and_only_single_groups_are_too_large():
    sizes = np.random.default_rng(0).integers(1, 40_000, size=200)
    seconds = 4e-9 * sizes.astype(np.float64) ** 2
    cuts = list(rank.bundles(sizes, seconds, run.BUNDLE_ROWS))
    assert [first for first, _ in cuts] == [0, *[last for _, last in cuts[:-1]]]
    assert cuts[-1][1] == 200
    for first, last in cuts:
        quick = seconds[first:last].sum() <= rank.BUNDLE_SECONDS
        small = sizes[first:last].sum() <= run.BUNDLE_ROWS and quick
        assert small or last - first == 1


class Amounts(Silent):
    def __init__(self):
        self.total, self.amounts = 0, []

    def start(self, step, total, unit):
        self.total = total

    def advance(self, amount):
        self.amounts.append(amount)


@pytest.mark.parametrize("name", ["facility-location", "graph-cut", "log-det"])
def test_progress_moves_with_the_estimated_time_and_not_with_rows(
    name, corpus, vectors, tmp_path, monkeypatch
):
    monkeypatch.setattr(run, "BUNDLE_ROWS", 1)
    sizes, ranker, heard = corpus.groups.rows, RANKERS[name], Amounts()
    rank_corpus(corpus, vectors, ranker, tmp_path, threads=1, progress=heard)
    seconds = ranker.seconds(sizes, vectors.dimensions)
    assert heard.total == sum(heard.amounts) == corpus.num_rows
    np.testing.assert_allclose(
        np.cumsum(heard.amounts[1:]), np.cumsum(seconds) / seconds.sum() * heard.total, atol=1
    )


def test_parts_that_were_there_are_told_at_once(corpus, vectors, tmp_path, small_files):
    ranker, sizes = RANKERS["graph-cut"], corpus.groups.rows
    ranked = rank_corpus(corpus, vectors, ranker, tmp_path, threads=1)
    last = sorted(ranked.folder.glob("ranks-*.parquet"))[-1]
    last.unlink()
    heard = Amounts()
    rank_corpus(corpus, vectors, ranker, tmp_path, threads=1, progress=heard)
    assert sum(heard.amounts) == corpus.num_rows
    assert heard.amounts[0] > 0
    assert len(heard.amounts) < len(list(rank.bundles(sizes, np.zeros(len(sizes)), 10)))


def test_the_curve_is_the_value_of_the_first_parts_of_all_groups(corpus, vectors, tmp_path):
    ranked = rank_corpus(corpus, vectors, RANKERS["facility-location"], tmp_path, threads=1)
    curve = ranked.manifest["curve"]
    assert curve[0] == 0
    assert (np.diff(curve) >= 0).all()
    half = [
        ranked.prefix(start, -(-rows // 2))[2].sum()
        for start, rows in zip(corpus.groups.start, corpus.groups.rows, strict=True)
    ]
    assert curve[10] == pytest.approx(sum(half))
    assert curve[20] == pytest.approx(sum(table_of(ranked)["gain"].to_pylist()))
