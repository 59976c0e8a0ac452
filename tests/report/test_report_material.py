"""What is read of corpus, ranking and vectors, each against plain loops."""

from __future__ import annotations

import json
import re
import shutil
from collections import defaultdict

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import smartx
from smartx.compare import Draws, Protocol, compare
from smartx.config import config_from
from smartx.engine import SCALE
from smartx.errors import InputError, StoreError
from smartx.files import canonical_json
from smartx.report import Beside, Material, material_of, render, report_again, write_map
from smartx.report.compared import compared
from smartx.report.examples import examples
from smartx.report.files import atlas_command, write_map_file, write_report
from smartx.report.lengths import EDGES, lengths
from smartx.report.pictures import budget_curve, histograms
from smartx.report.points import maps_of
from smartx.report.repeat import configuration
from smartx.report.stages import StageLine, stage_lines
from smartx.report.walk import APART, PASSED, PICKED, scaled_budgets, walk
from smartx.report.words import equal_rows, moved
from smartx.store import sealed
from smartx.strategies import facts_of


def ranked_rows(made):
    """(task, row, rank, gain, whether anybody may take it), as the files of the ranking say."""
    material = made.material
    groups = material.corpus.groups
    units = material.rankings.units(groups)
    kept = material.rankings.kept(groups)
    for unit, found in enumerate(material.rankings.prefixes(units.start, units.rows)):
        for row, rank, gain in zip(*(part.tolist() for part in found), strict=True):
            task = int(np.searchsorted(material.tasks.start, row, side="right")) - 1
            yield task, row, rank, gain, rank < kept[unit]


def test_a_walk_sums_gains_by_task_and_finds_the_first_rows(made):
    found = walk(made.material)
    held, whole, lines = defaultdict(float), defaultdict(float), defaultdict(list)
    for task, row, rank, gain, may in ranked_rows(made):
        whole[task] += gain
        taken = bool(made.material.picked[row])
        held[task] += gain * taken
        kind = PICKED if taken else PASSED if may else APART
        lines[kind, task].append((rank, row))
    tasks = range(len(made.material.tasks))
    assert found.held == pytest.approx([held[task] for task in tasks])
    assert found.whole == pytest.approx([whole[task] for task in tasks])
    for kind, of_tasks in found.rows.items():
        for task, line in enumerate(of_tasks):
            ranks = sorted(rank for rank, _ in lines[kind, task])[: len(line)]
            assert [one.rank for one in line] == ranks
            assert {(one.rank, one.row) for one in line} <= set(lines[kind, task])
    near = made.mixture.manifest["near_duplicates"]["rows"]
    assert any(found.rows[APART]) == (near > 0)


def test_the_curve_goes_through_the_mixture_and_ends_at_all_that_may_be_taken(made):
    found, facts = walk(made.material), made.mixture.manifest
    here = found.budgets.index(facts["rows"])
    assert found.values[here] == pytest.approx(facts["value"]["held"])
    assert found.budgets == sorted(found.budgets)
    assert found.values == sorted(found.values)
    may = sum(gain for *_, gain, may in ranked_rows(made) if may)
    assert found.values[-1] == pytest.approx(may)
    curve = budget_curve(found, facts["rows"], facts["value"])
    assert curve.points[here].x == pytest.approx(curve.here)
    assert budget_curve(found, facts["rows"], None) is None


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=8))
def test_budgets_on_a_curve_keep_the_shares_and_what_there_is(pairs):
    given_rows = np.array([a for a, _ in pairs])
    kept = given_rows + np.array([b for _, b in pairs])
    budgets, counts = scaled_budgets(given_rows, kept)
    if not given_rows.sum():
        assert budgets == []
        return
    assert (counts >= 0).all()
    assert (counts <= kept).all()
    assert (np.diff(counts, axis=0) >= 0).all()
    assert any(np.array_equal(line, given_rows) for line in counts)
    assert counts[-1].sum() == kept[given_rows > 0].sum()
    assert (counts[:, given_rows == 0] == 0).all()


def test_lengths_count_every_row_once_and_the_mixture_as_often_as_it_has_it(made):
    material = made.material
    again = Material(
        material.corpus,
        material.rankings,
        np.concatenate([material.row_ids, material.row_ids[:5]]),
        material.embeddings,
    )
    found = lengths(again)
    counts = material.corpus.token_counts(0, material.corpus.num_rows)
    for column in (0, 1):
        bins = [max(i for i, edge in enumerate(EDGES) if edge <= n) for n in counts[:, column]]
        assert found.corpus[column].tolist() == np.bincount(bins, minlength=len(EDGES)).tolist()
        mine = [bins[row] for row in again.row_ids]
        assert found.mixture[column].tolist() == np.bincount(mine, minlength=len(EDGES)).tolist()
    assert found.tasks.sum() == counts[again.row_ids].sum()
    assert [one.title for one in histograms(found)] == ["prompt", "response"]
    assert max(bar.corpus for bar in histograms(found)[0].bars) <= 1


def test_examples_say_how_near_a_passed_over_row_is_to_one_that_was_taken(made):
    material = made.material
    seen = set()
    for task, line in enumerate(examples(material, walk(material))):
        start, rows = int(material.tasks.start[task]), int(material.tasks.rows[task])
        own = material.embeddings.rows(start, start + rows).astype(float)
        own /= np.linalg.norm(own, axis=1, keepdims=True)
        taken = material.picked[start : start + rows]
        for one in line:
            seen.add(one.kind)
            assert material.picked[one.row] == (one.kind == PICKED)
            assert one.prompt == material.corpus.prompts(one.row, one.row + 1)[0]
            if one.kind == PICKED:
                assert one.cosine is None
            elif taken.any():
                assert one.cosine == pytest.approx(
                    (own[taken] @ own[one.row - start]).max(), abs=6e-4
                )
    assert {PICKED, PASSED} <= seen


def test_maps_show_every_row_of_a_small_task_with_the_taken_ones_last(made):
    found, material = maps_of(made.material), made.material
    assert found.tasks.shape == (len(material.tasks), 2)
    for task, own in enumerate(found.rows):
        start, rows = int(material.tasks.start[task]), int(material.tasks.rows[task])
        assert sorted([*own.others, *own.picked]) == list(range(start, start + rows))
        assert material.picked[own.picked].all()
        assert len(own.places) == rows
    nothing = Material(material.corpus, material.rankings, material.row_ids)
    assert maps_of(nothing) is None


def test_a_page_of_its_own_mixture_is_the_one_that_stands_there(made):
    again = render(made.mixture.folder, made.mixture.manifest, made.material)
    assert again == made.page
    found = json.loads(re.search(r'type="application/json">(.*?)</script>', made.page)[1])
    assert sum(found["tasks"]["rows"]) == 60
    assert set(found["tasks"]) >= {"at", "points", "picked", "held", "tokens", "examples"}


def strategy_of(facts, name, delta):
    """A strategy as `smartx compare --json` lists it."""
    return {
        "name": name,
        "weights": facts["weights"],
        "ranker": facts["ranker"],
        "near_duplicates": {"cosine": 0.97},
        "unseen_tasks": {
            "delta": delta, "interval": [-0.01, 0.02], "better": 3, "of": 7, "z": 1.0
        },
        "copied": {"value": 0.25},
        "probe": None,
        "twins": {"other_template": 0.125},
        "shares": {"effective_tasks": 6.5},
        "tokens": {"total": 12_345},
    }  # fmt: skip


def comparison_of(facts, *strategies, rows=60):
    inputs = {"corpus": facts["inputs"]["corpus"]}
    return {"strategies": [*strategies], "rows": rows, "inputs": inputs}


def test_a_report_made_again_says_what_the_stages_took_and_how_others_do(made, tmp_path):
    file, facts = tmp_path / "compared.json", made.mixture.manifest
    other = {**facts, "weights": {"name": "equal"}}
    strategies = [strategy_of(other, "<b>random", 0.01), strategy_of(facts, "mine", 0.015)]
    file.write_text(json.dumps(comparison_of(facts, *strategies)))
    page = report_again(made.mixture, made.run, comparison=file)
    assert "Time and memory" in page
    for said in ("<td>rank</td>", "+15.0", "3 of 7", "12.5%", "12,345", "&lt;b&gt;random"):
        assert said in page
    assert re.search(r"<bdi>mine</bdi> <span[^>]*>this mixture", page)
    assert page.count("this mixture's</span>") == 1
    assert page.index("<bdi>mine") < page.index("<bdi>&lt;b&gt;random")  # the nearest first
    assert "another corpus" not in page
    assert "Time and memory" not in made.page
    records = json.loads((made.run / "run.json").read_bytes())
    assert all(one["peak_memory"] > 1 << 20 for one in records)


def test_stages_are_shown_as_their_records_say(tmp_path):
    noted = [
        {"step": "embed", "started": "2026-01-02T03:04:05+00:00", "seconds": 75.4, "threads": 2,
         "peak_memory": 3 << 30},
        {"step": "<b>", "seconds": "?", "peak_memory": None},
    ]  # fmt: skip
    (tmp_path / "run.json").write_text(json.dumps(noted))
    known, strange = stage_lines(tmp_path)
    assert known == StageLine("embed", "2026-01-02 03:04:05 UTC", "1m15s", "2", "3.0 GiB")
    assert strange == StageLine("<b>", "", "–", "–", "–")
    assert stage_lines(tmp_path / "no") == []


def test_a_comparison_says_where_it_is_of_something_else(made):
    facts = made.mixture.manifest
    one = strategy_of({**facts, "near_duplicates": None}, "a", 0.0)
    found = comparison_of(facts, one, rows=50)
    found["inputs"]["corpus"] = "0" * 64
    said = compared(found, "here", facts)
    assert len(said.warnings) == 2
    assert "another corpus" in said.warnings[0]
    assert "50 rows" in said.warnings[1]
    assert compared(comparison_of(facts, one), "here", facts).warnings == []
    different = {**one, "near_duplicates": None}
    assert [line.own for line in compared(comparison_of(facts, different), "", facts).lines] == [
        False
    ]


def test_a_real_comparison_stands_beside_a_mixture(made, tmp_path):
    """The JSON of `smartx compare` itself, of which one strategy is the mixture's."""
    mine = {"name": "mine", "weights": "taylor-softmax", "ranker": "facility-location"}
    given = [mine | {"near": {"cosine": 0.97, "within": "template"}}, "equal"]
    few = Protocol(draws=Draws(rows=5, same_sizes=2))
    facts = compare({"run_dir": str(made.run), "rows": 60}, given, protocol=few)
    file = tmp_path / "compared.json"
    file.write_bytes(canonical_json(facts))
    page = report_again(made.mixture, made.run, comparison=file)
    nearness = {one["name"]: one["unseen_tasks"]["delta"] for one in facts["strategies"]}
    for name in ("mine", "equal"):
        assert re.search(rf"<bdi>{name}</bdi>.*?<td>\{1000 * nearness[name]:+.1f}</td>", page)
    assert re.search(r"<bdi>mine</bdi> <span[^>]*>this mixture", page)
    assert "another corpus" not in page


@pytest.mark.parametrize("content", ["[]", "{}", '{"strategies": [{}]}', "no JSON"])
def test_what_is_no_comparison_is_refused(made, tmp_path, content):
    file = tmp_path / "compared.json"
    file.write_text(content)
    with pytest.raises(InputError, match="smartx compare --json"):
        report_again(made.mixture, made.run, comparison=file)


def test_a_comparison_without_held_out_tasks_has_a_table_and_no_picture():
    facts = {"weights": {}, "ranker": {}, "near_duplicates": None, "inputs": {"corpus": ""}}
    strategy = strategy_of(facts, "a", 0.0)
    strategy |= dict.fromkeys(["unseen_tasks", "copied", "probe", "shares"])
    found = compared(comparison_of(facts, strategy), "here", facts | {"rows": 60})
    assert found.marks == []
    assert len(found.lines[0].cells) == len(found.heads)


def test_a_run_folder_without_what_the_mixture_was_made_from_is_refused(made, tmp_path):
    with pytest.raises(StoreError, match="run folder"):
        material_of(made.mixture, tmp_path)


def test_the_configuration_on_the_page_asks_for_what_was_made(made, tmp_path):
    file = tmp_path / "again.yaml"
    file.write_text(configuration(made.mixture.manifest))
    config = config_from({}, file=file)
    facts = made.mixture.manifest
    assert (config.rows, config.seed, config.near_duplicates) == (60, 0, 0.97)
    assert facts_of(config.law) == facts["weights"]
    assert facts_of(config.row_ranker) == facts["ranker"]


def test_a_map_lists_the_exact_neighbours_of_every_row(made, tmp_path):
    files = [tmp_path / f"{threads}.parquet" for threads in (1, 3)]
    for threads, file in zip((1, 3), files, strict=True):
        assert write_map(made.material, file, neighbours=4, threads=threads) == 398
    table = pq.read_table(files[0])
    assert files[0].read_bytes() == files[1].read_bytes()
    rows = made.material.embeddings.rows(0, 398).astype(np.int64)
    products = rows @ rows.T
    np.fill_diagonal(products, -(1 << 40))
    order = np.argsort(-products, axis=1, kind="stable")[:, :4]
    for row, found in enumerate(table["neighbors"].to_pylist()):
        assert found["ids"] == order[row].tolist()
        assert found["distances"] == pytest.approx(1 - products[row, order[row]] / SCALE**2)
    assert sum(table["picked"].to_pylist()) == 60
    ranks = {row: rank for _, row, rank, *_ in ranked_rows(made)}
    assert table["rank"].to_pylist() == [ranks[row] for row in table["row"].to_pylist()]
    assert max(abs(x) for x in table["x"].to_pylist()) <= 1


def test_a_map_of_many_rows_is_of_a_sample(made, tmp_path):
    assert write_map(made.material, tmp_path / "a.parquet", rows=80, neighbours=2) == 80
    table = pq.read_table(tmp_path / "a.parquet")
    assert sum(table["picked"].to_pylist()) == 40
    assert max(max(found["ids"]) for found in table["neighbors"].to_pylist()) < 80
    material = made.material
    without = Material(material.corpus, material.rankings, material.row_ids)
    with pytest.raises(InputError, match="vectors"):
        write_map(without, tmp_path / "b.parquet")


@given(st.lists(st.integers(0, 40), min_size=1, max_size=9), st.integers(0, 400))
def test_equal_rows_are_equal_but_for_what_small_tasks_lack(capacities, total):
    found = equal_rows(total, capacities)
    assert sum(found) == pytest.approx(min(total, sum(capacities)))
    level = max(found)
    for rows, capacity in zip(found, capacities, strict=True):
        assert rows == pytest.approx(min(capacity, level))


def test_moved_is_the_part_of_the_rows_that_other_shares_put_elsewhere():
    assert moved([10, 0], [1.0, 1.0]) == 0.5
    assert moved([5, 5], [1.0, 1.0]) == 0.0
    assert Beside([]).compared is None


@pytest.mark.slow
def test_a_page_of_1840_tasks_is_below_ten_megabytes(many_tasks):
    page = many_tasks.read_bytes()
    assert 2_000_000 < len(page) < 10_000_000
    found = json.loads(re.search(rb'type="application/json">(.*?)</script>', page)[1])["tasks"]
    assert len(found["name"]) == len(found["points"]) == 1_840
    assert all(found["examples"])
    said = smartx.plan({"run_dir": many_tasks.parents[1] / "work", "out": "mix", "rows": 4_000})
    files = (path for path in many_tasks.parent.rglob("*") if path.is_file())
    assert sum(path.stat().st_size for path in files) <= said.stages[-1].disk


def test_files_about_a_mixture_lie_beside_it_and_never_in_it(made, tmp_path):
    home = made.mixture.folder
    for write in (write_report, write_map_file):
        with pytest.raises(InputError, match="its own"):
            write(home, home / "more.html", run=made.run)
    assert write_report(home, tmp_path / "page.html", run=made.run).read_text().startswith("<!doc")
    path, rows = write_map_file(home, tmp_path / "map.parquet", run=made.run, rows=50)
    assert (path, rows) == (tmp_path / "map.parquet", 50)
    assert str(path) in atlas_command(path)
    with pytest.raises(StoreError):
        write_report(home, tmp_path / "page.html")  # there is no folder MIXTURE.run


LATER = ("budget", "tokens", "found_tasks", "leave_out", "left_out", "shares")


def copied(made, folder, schema, without=()):
    """The mixture, as another version would have sealed it."""
    shutil.copytree(made.mixture.folder, folder)
    facts = {k: v for k, v in made.mixture.manifest.items() if k not in {*without, "seal"}}
    manifest = sealed({**facts, "schema": schema, "smartx": "9.9"})
    (folder / "manifest.json").write_bytes(canonical_json(manifest))
    return folder


def test_a_mixture_of_an_earlier_version_has_a_page_of_what_its_manifest_knows(made, tmp_path):
    old = copied(made, tmp_path / "old", 2, LATER)
    page = write_report(old, tmp_path / "page.html", run=made.run).read_text()
    assert "A mixture of 60 rows" in page
    assert "Time and memory" in page
    assert "<dt>weights</dt>" not in page  # nothing is known of these
    assert "<dt>spread</dt>" in page


def test_a_mixture_of_a_later_version_is_refused_with_the_reason(made, tmp_path):
    new = copied(made, tmp_path / "new", 99)
    with pytest.raises(InputError, match=r"9\.9.*\n.*update smartx"):
        write_report(new, tmp_path / "page.html", run=made.run)
