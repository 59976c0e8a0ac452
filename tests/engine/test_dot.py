from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import q12_reference as reference
from smartx import _core

LEVELS = _core.simd_levels()

SHAPES = [(1, 1), (2, 1), (3, 2), (17, 7), (49, 33), (97, 384), (100, 385), (51, 1024), (9, 4096)]


def all_kinds_of_rows() -> list[NDArray[np.int16]]:
    return [
        make(n, d)
        for n, d in SHAPES
        for make in (lambda n, d: reference.random_rows(n, d, n + d), reference.extreme_rows)
    ]


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_gives_the_exact_similarities(level: str) -> None:
    for rows in all_kinds_of_rows():
        wanted = reference.similarities(rows, rows)
        assert np.abs(wanted).max() <= 2**24
        assert np.array_equal(_core.similarities(rows, rows, level, 1), wanted)
        some = rows[: 1 + len(rows) // 3]
        assert np.array_equal(_core.similarities(some, rows, level, 2), wanted[: len(some)])


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("threads", [1, 2, 8])
def test_the_16_bit_kernel_is_its_formula(level: str, threads: int) -> None:
    for rows in all_kinds_of_rows():
        assert np.array_equal(_core.kernel16(rows, level, threads), reference.kernel16(rows))


@pytest.mark.parametrize("level", LEVELS)
def test_the_largest_similarity_saturates_the_16_bit_kernel(level: str) -> None:
    rows = np.array([[4096, 0], [4095, 0], [-4096, 0]], dtype=np.int16)
    assert _core.kernel16(rows, level, 1).tolist() == [
        [65535, 65520, 0],
        [65520, (4095 * 4095 + 128) >> 8, 0],
        [0, 0, 65535],
    ]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("threads", [1, 2, 8])
def test_the_smallest_similarity_is_that_of_two_different_rows(level: str, threads: int) -> None:
    for rows in all_kinds_of_rows():
        if len(rows) < 2:
            assert _core.min_similarity(rows, level, threads) == 0
            continue
        different = ~np.eye(len(rows), dtype=bool)
        wanted = reference.similarities(rows, rows)[different].min()
        assert _core.min_similarity(rows, level, threads) == wanted


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("n", [2, 47, 48, 49, 150])
def test_padding_never_counts_as_a_similarity_of_zero(level: str, n: int) -> None:
    """All similarities are positive, so a zero from the padding would be the smallest."""
    rows = np.full((n, 3), 2000, dtype=np.int16)
    assert _core.min_similarity(rows, level, 1) == 3 * 2000 * 2000


def test_similarities_of_pairs_are_those_of_the_matrix() -> None:
    rows = reference.random_rows(60, 31, 0)
    kernel = reference.similarities(rows, rows)
    i, j = (np.random.default_rng(s).integers(0, 60, 2000).astype(np.int32) for s in (1, 2))
    for threads in (1, 2):
        assert np.array_equal(_core.pair_similarities(rows, i, j, threads), kernel[i, j])


def test_a_pair_outside_the_rows_is_an_error() -> None:
    rows = reference.random_rows(5, 4, 0)
    for bad in (-1, 5):
        with pytest.raises(ValueError, match="pair 1"):
            _core.pair_similarities(rows, np.array([0, bad], np.int32), np.array([0, 1], np.int32))


def test_the_slowest_level_is_generic_and_the_default_is_one_of_the_levels() -> None:
    assert LEVELS[0] == "generic"
    assert _core.simd_level() in LEVELS


def test_a_level_the_processor_does_not_run_is_an_error() -> None:
    rows = reference.random_rows(5, 4, 0)
    with pytest.raises(ValueError, match='"mmx" is no instruction set'):
        _core.similarities(rows, rows, "mmx", 1)


def level_with(forced: str) -> subprocess.CompletedProcess[str]:
    code = "from smartx import _core; print(_core.simd_level())"
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "SMARTX_SIMD": forced},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("level", LEVELS)
def test_the_environment_forces_a_level(level: str) -> None:
    assert level_with(level).stdout.strip() == level


def test_an_unknown_forced_level_is_an_error_that_names_the_variable() -> None:
    result = level_with("fastest")
    assert result.returncode != 0
    assert 'SMARTX_SIMD: "fastest"' in result.stderr


WORK = {
    "facility location": "maximize(FacilityLocation(), X, 3)",
    "graph cut": "maximize(GraphCut(), X, 3)",
    "log-det": "maximize(LogDet(), X, 3)",
    "groups": "rank_groups(quantize(X), np.array([50]), FacilityLocation())",
    "neighbours": "knn_graph(X, 3)",
    "tasks": "task_gains(X, GraphCut())",
    "near duplicates": "near_duplicates(quantize(X), np.array([50]), np.arange(50), 0.9)",
}


def test_an_unknown_forced_level_is_one_error_and_never_an_abort() -> None:
    code = (
        "import numpy as np; from smartx.engine import *; from smartx.errors import InputError\n"
        "X = np.random.default_rng(0).normal(size=(50, 8))\n"
        f"for work in {list(WORK.values())!r}:\n"
        "    try:\n"
        "        eval(work)\n"
        "    except InputError as problem:\n"
        "        print(problem.place, 'generic' in problem.fault)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "SMARTX_SIMD": "bogus"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["SMARTX_SIMD True"] * len(WORK)


@pytest.mark.corpus
def test_all_levels_agree_on_real_vectors(real_data: Path) -> None:
    rows = np.ascontiguousarray(np.load(real_data / "t0_minilm_q12.npy", mmap_mode="r")[::30])
    wanted = reference.similarities(rows, rows)
    for level in LEVELS:
        assert np.array_equal(_core.similarities(rows, rows, level, 2), wanted)
