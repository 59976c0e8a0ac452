"""Near duplicates: every fast path against the definition, and planted ones through a whole run."""

from __future__ import annotations

import math

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import smartx
from conftest import tree_digest
from q12_reference import extreme_rows
from small import RANKERS, corpus_of, flan_like, row, vectors_for
from smartx import _core
from smartx.cli import app
from smartx.engine import near_duplicate_bytes, near_duplicates, quantize
from smartx.errors import BudgetError, ConfigError, InputError
from smartx.progress import Silent
from smartx.rankers import cost, is_ranked, open_rankings, rank_corpus, rankings, run
from smartx.verify import verify_folder

LEVELS = [(level, threads) for level in _core.simd_levels() for threads in (1, 2, 8)]


def by_definition(rows, sizes, order, millionths):
    """Plain integers: a row stays unless dot^2 / (a.a b.b) >= threshold^2 for one that stayed."""
    origins, start = [], 0
    for size in sizes:
        own = [rows[start + place].tolist() for place in order[start : start + size]]
        norms = [sum(x * x for x in values) for values in own]
        kept = []
        for i, values in enumerate(own):
            origin = -1
            for j in kept:
                dot = sum(x * y for x, y in zip(values, own[j], strict=True))
                if dot > 0 and (dot * 10**6) ** 2 >= millionths**2 * norms[i] * norms[j]:
                    origin = j
                    break
            if origin < 0:
                kept.append(i)
            origins.append(origin)
        start += size
    return origins


def found(rows, sizes, order, millionths, level="", threads=1):
    sizes, order = np.array(sizes, np.int64), np.array(order, np.int32)
    return _core.near_duplicates(rows, sizes, order, millionths, level, threads)


@st.composite
def small_groups(draw):
    """Whole numbers, so that equal rows, multiples of rows and ties at a threshold are common."""
    sizes = draw(st.lists(st.integers(0, 40), min_size=1, max_size=4))
    d = draw(st.integers(1, 3))
    some = st.lists(st.integers(-4, 4), min_size=d, max_size=d).filter(any)
    rows = draw(st.lists(some, min_size=sum(sizes), max_size=sum(sizes)))
    order = [place for size in sizes for place in draw(st.permutations(range(size)))]
    return np.array(rows, np.int16).reshape(-1, d), sizes, order


@given(small_groups(), st.sampled_from([1, 600_000, 800_000, 950_000, 960_000, 1_000_000]))
def test_every_level_and_number_of_threads_gives_what_the_definition_says(groups, millionths):
    rows, sizes, order = groups
    if not len(rows):
        return
    expected = by_definition(rows, sizes, order, millionths)
    for level, threads in LEVELS:
        assert found(rows, sizes, order, millionths, level, threads)[0].tolist() == expected


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.3])
def test_groups_of_many_panels_are_as_the_definition_says(noise):
    rng = np.random.default_rng(3)
    sizes = [200, 17, 0, 16, 1, 333]
    centres = rng.normal(size=(90, 7))
    rows = quantize(centres[rng.integers(90, size=567)] + noise * rng.normal(size=(567, 7)))
    order = np.concatenate([rng.permutation(size) for size in sizes])
    for millionths in (990_000, 1_000_000):
        expected = by_definition(rows, sizes, order.tolist(), millionths)
        for level, threads in LEVELS:
            assert found(rows, sizes, order, millionths, level, threads)[0].tolist() == expected


def test_groups_of_many_blocks_are_as_numpy_says():
    """9,000 rows: several blocks, all threads at one group; a second group small enough for one."""
    rng = np.random.default_rng(4)
    n, small = 9_000, 4_000
    centres = rng.normal(size=(5_000, 8))
    rows = quantize(centres[rng.integers(5_000, size=n + small)])
    rows = quantize(rows + rng.choice([0.0, 90.0], size=(n + small, 1)) * rng.normal(size=(1, 8)))
    order = np.concatenate([rng.permutation(n), rng.permutation(small)]).astype(np.int32)
    expected = []
    for own in (rows[order[:n]], rows[n + order[n:]]):
        wide = own.astype(np.float64)
        norms = (wide * wide).sum(axis=1)
        kept = np.zeros(len(own), np.bool_)
        for i in range(len(own)):
            dots = wide[:i] @ wide[i]
            cosines = dots / np.sqrt(norms[:i] * norms[i])
            assert not (np.abs(cosines - 0.97) < 1e-12).any()  # no tie for rounding to decide
            near = np.flatnonzero(kept[:i] & (cosines > 0.97))
            kept[i] = not len(near)
            expected.append(int(near[0]) if len(near) else -1)
    assert 2_000 < np.count_nonzero(np.array(expected) < 0) < n
    for level, threads in LEVELS:
        origin, _ = found(rows, [n, small], order, 970_000, level, threads)
        assert origin.tolist() == expected


def test_equal_rows_are_near_at_cosine_one_and_of_them_the_first_stays():
    one = np.random.default_rng(0).normal(size=(1, 384))
    for group in (quantize(np.repeat(one, 5_000, axis=0)), quantize(np.ones((20, 10)))):
        order = np.arange(len(group), dtype=np.int32)[::-1]
        result = near_duplicates(group, np.array([len(group)]), order, 1.0)
        assert result.origin.tolist() == [-1] + [0] * (len(group) - 1)
        assert result.cosine.tolist() == [0.0] + [1.0] * (len(group) - 1)


def test_rows_at_the_edge_of_the_bound():
    rows = extreme_rows(70, 12)
    order = np.arange(70).tolist()
    for millionths in (1, 999_999, 1_000_000):
        expected = by_definition(rows, [70], order, millionths)
        for level, threads in LEVELS:
            assert found(rows, [70], order, millionths, level, threads)[0].tolist() == expected


def test_a_row_near_one_that_was_left_out_stays():
    angles = np.radians([0, 20, 40])
    rows = quantize(np.column_stack([np.cos(angles), np.sin(angles)]))
    chain = near_duplicates(rows, np.array([3]), np.array([0, 1, 2]), math.cos(math.radians(21)))
    assert chain.origin.tolist() == [-1, 0, -1]
    assert chain.cosine[1] == pytest.approx(math.cos(math.radians(20)), abs=1e-3)
    middle = near_duplicates(rows, np.array([3]), np.array([1, 0, 2]), math.cos(math.radians(21)))
    assert middle.origin.tolist() == [-1, 0, 0]


@pytest.mark.parametrize("threshold", [0.0, -0.5, 1.1, math.nan, math.inf, 1e-7])
def test_what_is_no_threshold_is_refused(threshold):
    rows = quantize(np.eye(3))
    with pytest.raises(InputError, match=r"0\.95"):
        near_duplicates(rows, np.array([3]), np.arange(3), threshold)
    with pytest.raises(ConfigError, match=r"near.duplicates"):
        smartx.config.config_from({"near_duplicates": threshold})


@pytest.mark.parametrize(("sizes", "order"), [([4], [0, 1, 2]), ([3], [0, 1]), ([2, 1], [0, 2, 0])])
def test_what_does_not_fit_together_is_refused(sizes, order):
    with pytest.raises(InputError):
        near_duplicates(quantize(np.eye(3)), np.array(sizes), np.array(order), 0.9)


def test_what_the_search_holds_is_within_what_was_said():
    import subprocess
    import sys

    code = (
        "import re, numpy as np; from smartx.engine import *;"
        "rows = quantize(np.random.default_rng(0).normal(size=(40_000, 256)).astype('f4'));"
        "peak = lambda: int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]);"
        "open('/proc/self/clear_refs', 'w').write('5'); before = peak();"
        "near_duplicates(rows, np.array([40_000]), np.arange(40_000), 0.95, threads=1);"
        "print((peak() - before) << 10)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    said = near_duplicate_bytes(40_000, 256)
    assert 0.7 * said < int(done.stdout) <= said + (16 << 20)


# ---- in rankings ----


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return flan_like(tmp_path_factory.mktemp("near"))


@pytest.fixture(scope="module")
def vectors(corpus):
    return vectors_for(corpus)


def table_of(ranked):
    return pq.read_table(sorted(ranked.folder.glob("ranks-*.parquet")))


@pytest.mark.parametrize("ranker", RANKERS.values(), ids=RANKERS)
class TestEveryRanker:
    def test_near_duplicates_stand_last_beside_the_row_that_stays(
        self, ranker, corpus, vectors, tmp_path
    ):
        plain = rank_corpus(corpus, vectors, ranker, tmp_path, threads=1)
        ranked = rank_corpus(corpus, vectors, ranker, tmp_path, threads=1, near_duplicates=0.9)
        units = ranked.units(corpus.groups)
        starts, sizes = units.start.tolist(), units.rows.tolist()
        kept, total = ranked.kept(corpus.groups).tolist(), 0
        table = table_of(ranked).to_pylist()
        for start, rows, stay in zip(starts, sizes, kept, strict=True):
            row_ids, _, gains = plain.prefix(start, rows)
            order = (row_ids - start).tolist()
            origin = by_definition(vectors.table[start : start + rows], [rows], order, 900_000)
            stays = np.array(origin) < 0
            moved = [*np.flatnonzero(stays), *np.flatnonzero(~stays)]
            own = table[start : start + rows]
            assert [r["row_id"] for r in own] == row_ids[moved].tolist()
            assert [r["gain"] for r in own] == gains[moved].tolist()
            assert [r["rank"] for r in own] == list(range(rows))
            instead = [None if origin[i] < 0 else int(row_ids[origin[i]]) for i in moved]
            assert [r["duplicate_of"] for r in own] == instead
            assert stay == stays.sum()
            for r in own[stay:]:
                a, b = (vectors.table[r[name]].astype(float) for name in ("row_id", "duplicate_of"))
                assert r["cosine"] == pytest.approx(a @ b / math.sqrt((a @ a) * (b @ b)))
            assert all(r["cosine"] is None for r in own[:stay])
            total += rows - stay
        assert 0 < total < corpus.num_rows
        assert ranked.near_duplicates == {"threshold": 0.9, "rows": total}
        assert plain.near_duplicates is None
        assert plain.kept(corpus.groups).tolist() == sizes

    def test_neither_threads_nor_bundles_nor_files_change_them(
        self, ranker, corpus, vectors, tmp_path, monkeypatch
    ):
        options = {"near_duplicates": 0.9}
        whole = rank_corpus(corpus, vectors, ranker, tmp_path / "a", threads=2, **options)
        listed = whole.duplicates()
        for module in (run, rankings):
            monkeypatch.setattr(module, "PART_ROWS", 24)
            monkeypatch.setattr(module, "BLOCK_ROWS", 8)
        monkeypatch.setattr(run, "BUNDLE_ROWS", 10)
        cut = rank_corpus(corpus, vectors, ranker, tmp_path / "b", threads=1, **options)
        assert table_of(cut).equals(table_of(whole))
        assert cut.digest == whole.digest
        assert cut.duplicates().equals(listed)
        assert cut.manifest["near_duplicates"] == whole.manifest["near_duplicates"]


def test_the_threshold_is_in_the_key_and_nothing_is_where_it_is_off(corpus, vectors, tmp_path):
    ranker = RANKERS["facility-location"]
    folders = set()
    for near in (None, 0.9, 0.95, 1.0):
        assert not is_ranked(corpus, vectors, ranker, tmp_path, near_duplicates=near)
        ranked = rank_corpus(corpus, vectors, ranker, tmp_path, threads=1, near_duplicates=near)
        assert is_ranked(corpus, vectors, ranker, tmp_path, near_duplicates=near)
        assert ranked.manifest["parameters"].get("near_duplicates") == near
        folders.add(ranked.folder)
    assert len(folders) == 4
    same = rank_corpus(corpus, vectors, ranker, tmp_path, threads=1, near_duplicates=0.94999999)
    assert same.folder in folders  # to the millionth
    off = rank_corpus(corpus, vectors, ranker, tmp_path, threads=1)
    assert table_of(off).column_names == ["row_id", "group_id", "rank", "gain"]
    assert off.duplicates().num_rows == 0


def test_a_damaged_part_is_made_again_with_its_near_duplicates(
    corpus, vectors, tmp_path, monkeypatch
):
    for module in (run, rankings):
        monkeypatch.setattr(module, "PART_ROWS", 24)
    ranker = RANKERS["facility-location"]
    first = rank_corpus(corpus, vectors, ranker, tmp_path, threads=1, near_duplicates=0.9)
    expected = {path: path.read_bytes() for path in first.folder.iterdir()}
    (first.folder / "ranks-00001.parquet").write_bytes(b"damaged")
    again = rank_corpus(corpus, vectors, ranker, tmp_path, threads=1, near_duplicates=0.9)
    assert {path: path.read_bytes() for path in again.folder.iterdir()} == expected


def test_random_rows_need_vectors_for_it(corpus, tmp_path):
    with pytest.raises(InputError, match="near duplicates need embeddings"):
        rank_corpus(corpus, None, RANKERS["random"], tmp_path, threads=1, near_duplicates=0.9)
    assert not is_ranked(corpus, None, RANKERS["random"], tmp_path, near_duplicates=0.9)


# ---- in whole runs ----

PLANTED = {"news": 12, "poems": 5, "maths": 0}  # near copies of earlier rows, 30 rows each besides


class Steps(Silent):
    def __init__(self):
        self.steps, self.notes = [], []

    def start(self, step, total, unit):
        self.steps.append(step)

    def note(self, message):
        self.notes.append(message)


@pytest.fixture
def planted(tmp_path):
    """A corpus of 107 rows in which 17 are near copies, and the fields of a run over it."""
    rng = np.random.default_rng(8)
    rows, table = [], []
    for task, copies in PLANTED.items():
        own = rng.normal(size=(30, 64))
        near = own[:copies] + 0.01 * rng.normal(size=(copies, 64))
        table += [own, near]
        rows += [row(f"{task} {i}", task) for i in range(30)]
        rows += [row(f"{task} {i} again", task) for i in range(copies)]
    corpus_of(list(rows), tmp_path)
    np.save(tmp_path / "vectors.npy", np.concatenate(table).astype(np.float32))
    return {
        "sources": [str(tmp_path / "rows.jsonl")],
        "vectors": tmp_path / "vectors.npy",
        "run_dir": tmp_path / "work",
        "out": tmp_path / "mix",
        "rows": 90,
        "threads": 1,
        "near_duplicates": 0.95,
    }


@pytest.mark.parametrize("preset", ["smart-acl2024", "proportional", "equal", "random"])
def test_of_planted_near_copies_one_of_each_pair_is_mixed(planted, preset):
    mixture = smartx.run({**planted, "preset": preset})
    prompts = [r["prompt"] for r in pq.read_table(mixture.folder / "data").to_pylist()]
    assert len(prompts) == 90
    assert len({prompt.removesuffix(" again") for prompt in prompts}) == 90
    assert mixture.manifest["near_duplicates"] == {"threshold": 0.95, "rows": 17}
    told = {t["task"]: t["near_duplicates"] for t in mixture.manifest["tasks"]}
    assert told == PLANTED
    assert [t["capacity"] for t in mixture.manifest["tasks"]] == [30, 42, 35]
    assert not verify_folder(mixture.folder).faults
    assert not verify_folder(planted["run_dir"]).faults


def test_they_are_counted_for_people_and_listed_for_programs(planted, tmp_path):
    progress = Steps()
    mixture = smartx.run(planted, progress=progress)
    words = "17 of 107 rows are near duplicates (cosine >= 0.95) and left out"
    assert f"rank: {words}" in progress.notes
    assert words.replace(">=", "&gt;=") in (mixture.folder / "report.html").read_text()
    assert "17 of 107 rows are near duplicates" in (mixture.folder / "README.md").read_text()
    (ranking,) = smartx.open_run(planted["run_dir"]).rankings()
    listed = ranking.duplicates().to_pylist()
    assert len(listed) == 17
    corpus = smartx.open_run(planted["run_dir"]).corpus()
    for pair in listed:
        ids = np.array([pair["row_id"], pair["duplicate_of"]])
        one, other = corpus.rows(ids)["prompt"].to_pylist()
        assert one != other
        assert one.removesuffix(" again") == other.removesuffix(" again")
        assert 0.95 <= pair["cosine"] <= 1
    arguments = ["mix", "--run-dir", planted["run_dir"], "--rows", 50, "--out", tmp_path / "m"]
    arguments += ["--near-duplicates", 0.95]
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    assert words in done.output
    without = CliRunner().invoke(app, [str(a) for a in [*arguments[:-2], "--overwrite"]])
    assert without.exit_code == 0, without.output
    assert "near duplicates" not in without.output
    assert "Near duplicates" not in (tmp_path / "m" / "report.html").read_text()


def test_another_threshold_ranks_and_mixes_again_and_nothing_else(planted):
    smartx.run(planted)
    before = {name: tree_digest(planted["run_dir"] / name) for name in ("corpus", "embeddings")}
    progress, again = Steps(), {"near_duplicates": 0.999999, "overwrite": True}
    mixture = smartx.run({**planted, **again}, progress=progress)
    assert mixture.manifest["near_duplicates"]["rows"] == 0
    assert any("rank" in step for step in progress.steps)
    assert not any("embed" in step or "ingest" in step for step in progress.steps)
    assert {name: tree_digest(planted["run_dir"] / name) for name in before} == before
    last = Steps()
    smartx.run({**planted, "overwrite": True}, progress=last)
    assert not any("rank" in step for step in last.steps)


def test_a_budget_that_needs_near_duplicates_is_refused_with_the_numbers(planted):
    with pytest.raises(BudgetError, match="without 17 rows that are left out") as caught:
        smartx.run({**planted, "rows": 91})
    assert (caught.value.asked, caught.value.available) == (91, 90)
    assert "near_duplicates" in caught.value.fix
    assert not planted["out"].exists()


def test_the_plan_knows_of_the_search(planted, monkeypatch):
    nominal = lambda ranker, d, threads: cost.NOMINAL  # noqa: E731, the machine's speed varies
    monkeypatch.setattr(cost, "measured_speed", nominal)
    monkeypatch.setattr(cost, "measured_products", lambda d, threads: cost.NOMINAL.products)
    without = smartx.plan({**planted, "near_duplicates": None, "preset": "random"})
    assert [stage.name for stage in without.stages] == ["rank", "mix"]
    searching = smartx.plan({**planted, "preset": "random"})
    assert [stage.name for stage in searching.stages] == ["embed", "rank", "mix"]
    rank = searching.stages[1]
    assert rank.memory > without.stages[0].memory
    assert rank.seconds > without.stages[0].seconds
    smartx.run({**planted, "preset": "random"})
    assert smartx.plan({**planted, "preset": "random"}).stages[1].done


@pytest.mark.corpus
def test_near_duplicates_of_t0_are_those_of_a_brute_force_search(real_data, tmp_path):
    fields = {
        "sources": [str(real_data / "t0.parquet")],
        "vectors": real_data / "t0_minilm_q12.npy",
        "preset": "smart-acl2024",  # which looks for them in each template
        "run_dir": tmp_path / "work",
        "out": tmp_path / "mix",
        "rows": 1000,
    }
    counts = {}
    for threshold in (0.95, 0.99):
        mixture = smartx.run({**fields, "near_duplicates": threshold, "overwrite": True})
        counts[threshold] = mixture.manifest["near_duplicates"]["rows"]
    assert 53_785 > counts[0.95] > counts[0.99] > 1_153  # which are there word for word
    done = smartx.open_run(tmp_path / "work")
    corpus, embeddings = done.corpus(), done.embeddings()
    ranking = next(r for r in done.rankings() if r.near_duplicates["threshold"] == 0.95)
    groups, kept = corpus.groups, ranking.kept(corpus.groups)
    for group in np.argsort(-groups.rows)[:5].tolist():
        start, rows, stay = int(groups.start[group]), int(groups.rows[group]), int(kept[group])
        order = open_rankings(ranking.folder).prefix(start, rows)[0] - start
        own = embeddings.rows(start, start + rows).astype(np.float64)[order]
        own /= np.linalg.norm(own, axis=1, keepdims=True)
        cosines = own @ own.T
        assert (np.triu(cosines[:stay, :stay], 1) < 0.95 + 1e-9).all()
        assert (cosines[stay:, :stay].max(axis=1, initial=0.0) >= 0.95 - 1e-9).all()
