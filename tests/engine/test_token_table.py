"""Bags of tokens and their products, against plain loops over single float32 numbers."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartx import _core
from smartx.engine import (
    Bags,
    bags_times,
    bags_transposed_times,
    embed_tokens,
    quantize,
    token_bags,
    transposed_bags,
)
from smartx.errors import InputError

LEVELS = _core.simd_levels()
WIDTHS = [1, 2, 7, 8, 15, 16, 17, 31, 33, 64, 96, 97, 192, 200, 384, 391, 768, 1024]


def rows_of(bags: Bags) -> list[list[tuple[int, np.float32]]]:
    return [
        [(int(t), v) for t, v in zip(bags.tokens[a:b], bags.values[a:b], strict=True)]
        for a, b in zip(bags.starts[:-1], bags.starts[1:], strict=True)
    ]


def bags_by_definition(texts, weights, counts) -> list[list[tuple[int, np.float32]]]:
    found = []
    for text in texts:
        bag = []
        for token in sorted(set(text)):
            value = weights[token] * counts[min(text.count(token), len(counts) - 1)]
            assert value.dtype == np.float32
            if value != 0:
                bag.append((token, value))
        length = np.float64(0)
        for _, value in bag:
            length += np.float64(value) ** 2
        found.append([(token, np.float32(value / np.sqrt(length))) for token, value in bag])
    return found


def product_by_definition(rows, table) -> np.ndarray:
    """Row by row, entry by entry; numpy rounds each product and each sum to float32."""
    out = np.zeros((len(rows), table.shape[1]), np.float32)
    for i, row in enumerate(rows):
        for token, value in row:
            out[i] = out[i] + value * table[token]
    return out


def flat(texts) -> tuple[np.ndarray, np.ndarray]:
    ids = np.array([token for text in texts for token in text], np.uint32)
    return ids, np.array([len(text) for text in texts], np.int64)


def some_texts(n: int, v: int, longest: int, seed: int) -> list[list[int]]:
    """Tokens as rare as those of a language; every seventh text has none."""
    rng = np.random.default_rng(seed)
    return [
        (v * rng.random(int(rng.integers(1, longest)) * (i % 7 > 0)) ** 4).astype(int).tolist()
        for i in range(n)
    ]


def worth(v: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights of both signs, every eleventh of them 0; counts up to 4."""
    weights = np.random.default_rng(seed).normal(size=v).astype(np.float32)
    weights[::11] = 0
    return weights, np.array([np.nan_to_num(np.nan), 1, 2**0.5, 3**0.5, 2], np.float32)


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


few = st.lists(st.lists(st.integers(0, 200), max_size=12), max_size=20)


@given(few, st.integers(0, 99))
def test_bags_are_their_definition(texts: list[list[int]], seed: int) -> None:
    weights, counts = worth(201, seed)
    bags = token_bags(*flat(texts), weights, counts)
    assert rows_of(bags) == bags_by_definition(texts, weights, counts)
    assert [array.dtype for array in (bags.starts, bags.tokens, bags.values)] == [
        np.int64,
        np.int32,
        np.float32,
    ]


@pytest.mark.parametrize("v", [1, 63, 64, 65, 4095, 4096, 4097, 300_000])
def test_bags_of_every_size_of_vocabulary(v: int) -> None:
    texts = [*some_texts(40, v, 700, v), [v - 1, 0, v - 1], list(range(v))[-700:]]
    weights, counts = worth(v, 1)
    wanted = bags_by_definition(texts, weights, counts)
    for threads in (1, 2, 8):
        bags = token_bags(*flat(texts), weights, counts, threads=threads)
        assert rows_of(bags) == wanted
    lengths = [sum(float(value) ** 2 for _, value in bag) for bag in wanted if bag]
    assert np.allclose(lengths, 1, atol=1e-6)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("d", WIDTHS)
def test_products_of_every_level_and_width_have_the_bits_of_the_definition(
    level: str, d: int
) -> None:
    v = 90
    weights, counts = worth(v, d)
    ids, lengths = flat(some_texts(70, v, 60, d))
    table = (
        np.random.default_rng(d).normal(size=(v, d)) * 10.0 ** (np.arange(v) % 9)[:, None]
    ).astype(np.float32)
    bags = token_bags(ids, lengths, weights, counts)
    wanted = product_by_definition(rows_of(bags), table)
    parts = (bags.starts, bags.tokens, bags.values)
    centre = np.linspace(-1, 2, d).astype(np.float32)
    for threads in (1, 3):
        rows, fault = _core.bags_times(*parts, table, level, threads)
        assert fault == len(rows)
        assert same_bits(rows, wanted)
        q, faults = _core.embed_tokens(ids, lengths, weights, counts, table, centre, level, threads)
        assert faults[0] == ""
        assert same_bits(q, quantize(wanted + centre))


@given(few, st.integers(1, 40), st.integers(0, 99))
def test_one_go_is_the_three_steps(texts: list[list[int]], d: int, seed: int) -> None:
    weights, counts = worth(201, seed)
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(201, d)).astype(np.float32)
    centre = np.abs(rng.normal(size=d)).astype(np.float32) + 20
    wanted = bags_times(token_bags(*flat(texts), weights, counts), table) + centre
    found = embed_tokens(*flat(texts), weights, counts, table, centre, threads=2)
    assert found.dtype == np.int16
    assert found.shape == wanted.shape
    assert not len(wanted) or same_bits(found, quantize(wanted))


@given(few, st.integers(1, 20), st.integers(1, 9), st.integers(0, 99))
def test_the_product_with_the_turned_bags_is_its_definition(
    texts: list[list[int]], d: int, threads: int, seed: int
) -> None:
    weights, counts = worth(201, seed)
    bags = token_bags(*flat(texts), weights, counts)
    rows = np.random.default_rng(seed).normal(size=(len(texts), d)).astype(np.float32)
    turned: list[list[tuple[int, np.float32]]] = [[] for _ in range(201)]
    for i, bag in enumerate(rows_of(bags)):
        for token, value in bag:
            turned[token].append((i, value))
    assert rows_of(transposed_bags(bags, 201, threads=threads)) == turned
    found = bags_transposed_times(bags, rows, 201, threads=threads)
    assert same_bits(found, product_by_definition(turned, rows))


def test_large_products_do_not_depend_on_threads() -> None:
    v, d = 5_000, 384
    weights, counts = worth(v, 3)
    ids, lengths = flat(some_texts(3_000, v, 150, 5))
    rng = np.random.default_rng(2)
    table, centre = (rng.normal(size=s).astype(np.float32) for s in ((v, d), d))
    bags = token_bags(ids, lengths, weights, counts, threads=1)
    rows = bags_times(bags, table, threads=1)
    back = bags_transposed_times(bags, rows, v, threads=1)
    q = embed_tokens(ids, lengths, weights, counts, table, centre, threads=1)
    assert same_bits(q, quantize(rows + centre))
    sample = np.arange(0, 3_000, 300)
    assert same_bits(rows[sample], product_by_definition([rows_of(bags)[i] for i in sample], table))
    for threads in (2, 3, 8):
        more = token_bags(ids, lengths, weights, counts, threads=threads)
        assert same_bits(more.values, bags.values)
        assert same_bits(more.tokens, bags.tokens)
        assert same_bits(bags_times(bags, table, threads=threads), rows)
        assert same_bits(bags_transposed_times(bags, rows, v, threads=threads), back)
        again = embed_tokens(ids, lengths, weights, counts, table, centre, threads=threads)
        assert same_bits(again, q)


def test_a_text_worth_nothing_has_the_vector_of_the_centre() -> None:
    weights, counts = np.array([0, 1], np.float32), np.array([0, 1], np.float32)
    table, centre = np.array([[np.nan, 1], [5, 6]], np.float32), np.array([3, 4], np.float32)
    found = embed_tokens(*flat([[], [0, 0], [1]]), weights, counts, table, centre)
    assert same_bits(found[:2], quantize(np.array([[3, 4], [3, 4]], np.float32)))
    assert same_bits(found[2:], quantize(np.array([[8, 10]], np.float32)))


W, C = np.ones(4, np.float32), np.ones(3, np.float32)
T, M = np.ones((4, 5), np.float32), np.zeros(5, np.float32)
IDS, LENGTHS = flat([[0, 1], [], [3]])


def given_(**other: Any) -> Any:
    sound = {
        "ids": IDS,
        "lengths": LENGTHS,
        "weights": W,
        "counts": C,
        "table": T,
        "centre": T[0],
    }
    return embed_tokens(**(sound | other))


def with_value(array: np.ndarray, place: Any, value: float) -> np.ndarray:
    changed = array.copy()
    changed[place] = value
    return changed


@pytest.mark.parametrize(
    ("other", "place", "fault"),
    [
        ({"ids": np.array([0, 1, 4], np.uint32)}, "ids", "text 2 has token 4 of 4"),
        ({"ids": np.array([2**31, 1, 0], np.uint32)}, "ids", "text 0 has token 2147483648 of 4"),
        ({"ids": np.array([0, 1, 2], np.int64)}, "ids", "expected 1 dimension of uint32"),
        ({"ids": [0, 1, 2]}, "ids", "list"),
        ({"lengths": np.array([2, -1, 2])}, "lengths", "text 1 has -1"),
        ({"lengths": np.array([2, 0, 2])}, "lengths", "sum to 4, and there are 3"),
        ({"lengths": np.array([[2, 0, 1]])}, "lengths", r"shape \(1, 3\)"),
        ({"weights": with_value(W, 2, np.nan)}, "weights", "value 2 is not finite"),
        ({"weights": W.astype(np.float64)}, "weights", "expected 1 dimension of float32"),
        ({"weights": W[:3]}, "table", r"expected \(3, 5\).* got \(4, 5\)"),
        ({"weights": W * 1e30, "counts": C * 1e30}, "weights", "product"),
        ({"counts": C[:1]}, "counts", "expected 2 or more"),
        ({"counts": with_value(C, 0, np.inf)}, "counts", "value 0 is not finite"),
        ({"table": T[0]}, "table", "expected 2 dimensions"),
        ({"table": T.astype(np.float16)}, "table", "float16"),
        ({"table": with_value(T, (3, 4), np.inf)}, "texts", "row 2 is not finite"),
        ({"centre": M}, "texts", "row 1 has zero length"),
        ({"centre": T[0, :4]}, "table", r"expected \(4, 4\)"),
        ({"threads": 0}, "threads", "outside"),
    ],
)
def test_what_does_not_fit_is_refused(other: dict[str, Any], place: str, fault: str) -> None:
    with pytest.raises(InputError, match=fault) as refused:
        given_(**other)
    assert refused.value.place == place


def test_products_refuse_what_does_not_fit() -> None:
    bags = token_bags(IDS, LENGTHS, W, C)
    with pytest.raises(InputError, match="table: the product for bag 2 is not finite"):
        bags_times(bags, with_value(T, 3, np.inf))
    with pytest.raises(InputError, match="row 2 lists column 3 of 3"):
        bags_times(bags, T[:3])
    with pytest.raises(InputError, match="row 2 lists column 3 of 3"):
        bags_transposed_times(bags, T[:3], 3)
    with pytest.raises(InputError, match="there are 4, and 3 bags"):
        bags_transposed_times(bags, T, 4)
    with pytest.raises(InputError, match="rows: the product for token 3 is not finite"):
        bags_transposed_times(bags, with_value(T[:3], 2, np.nan), 4)
    with pytest.raises(InputError, match="columns must ascend"):
        bags_times(Bags(np.array([0, 2]), np.array([1, 1], np.int32), W[:2]), T)
    with pytest.raises(InputError, match="indptr ends at 3"):
        bags_times(Bags(np.array([0, 3]), np.array([0, 1], np.int32), W[:2]), T)
    with pytest.raises(InputError, match="vocabulary"):
        transposed_bags(bags, -1)


def test_the_core_itself_refuses_lengths_that_lead_outside() -> None:
    for lengths in ([5], [-1, 4], [2**62, 2**62, 2**62, 2**62, 3], [2]):
        with pytest.raises(InputError, match="lengths"):
            _core.token_bags(IDS, np.array(lengths, np.int64), W, C)


def test_nothing_at_all_is_no_rows() -> None:
    nothing = flat([])
    bags = token_bags(*nothing, W, C)
    assert len(bags) == 0
    assert bags_times(bags, T).shape == (0, 5)
    assert same_bits(bags_transposed_times(bags, T[:0], 4), np.zeros((4, 5), np.float32))
    assert embed_tokens(*nothing, W, C, T, M).shape == (0, 5)
    assert rows_of(token_bags(*flat([[], []]), W[:0], C)) == [[], []]


AT_EVERY_LEVEL = """
import hashlib, numpy as np
from smartx.engine import bags_times, bags_transposed_times, embed_tokens, simd_level, token_bags
rng = np.random.default_rng(0)
lengths = rng.integers(0, 90, 300)
ids = (2000 * rng.random(lengths.sum()) ** 3).astype(np.uint32)
weights, counts, centre = (rng.random(k).astype(np.float32) for k in (2000, 4, 100))
table = rng.normal(size=(2000, 100)).astype(np.float32)
bags = token_bags(ids, lengths, weights, counts)
rows = bags_times(bags, table)
made = [*map(np.asarray, (bags.starts, bags.tokens, bags.values)), rows]
made += [bags_transposed_times(bags, rows, 2000)]
made += [embed_tokens(ids, lengths, weights, counts, table, centre)]
print(simd_level(), hashlib.sha256(b"".join(a.tobytes() for a in made)).hexdigest())
"""


def test_every_instruction_set_gives_the_same_bytes() -> None:
    told = []
    for level in LEVELS:
        done = subprocess.run(
            [sys.executable, "-c", AT_EVERY_LEVEL],
            env={**os.environ, "SMARTX_SIMD": level},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        told.append(done.stdout.split())
    assert [level for level, _ in told] == LEVELS
    assert len({digest for _, digest in told}) == 1
