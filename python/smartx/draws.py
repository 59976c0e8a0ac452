"""Counter-based random draws: a draw depends on (seed, stream, index) alone, never on what was
drawn before.

So the draws of one group do not change when another group grows, work may be split among any number
of threads, and the numbers are the same under every version of numpy.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def draws(seed: int, stream: int, start: int, stop: int) -> NDArray[np.uint64]:
    """One 64-bit draw for each index start..stop-1 of a numbered stream.

    seed: any int; only its low 64 bits count.  stream: keeps uses of one seed apart.
    Returns (stop - start,) uint64, uniform over the whole range.
    Source: SplitMix64 (Steele, Lea, Flood 2014), used as a hash of the counter.
    """
    return draws_at(seed, stream, np.arange(start, stop, dtype=np.uint64))


def draws_at(seed: int, stream: int, indices: NDArray[np.integer[Any]]) -> NDArray[np.uint64]:
    """The draws of a stream at the given indices >= 0, in that order."""
    with np.errstate(over="ignore"):
        return _mixed(key_of_stream(seed, stream) + indices.astype(np.uint64) * _GOLDEN)


def key_of_stream(seed: int, stream: int) -> NDArray[np.uint64]:
    """(1,) uint64, to which draws add the golden ratio times their index before they are mixed."""
    with np.errstate(over="ignore"):
        key = _mixed(np.array([seed & 0xFFFFFFFFFFFFFFFF], dtype=np.uint64))
        return _mixed(key ^ np.uint64(stream & 0xFFFFFFFFFFFFFFFF))


def draws_on(seed: int, stream: int, indices: Any) -> Any:
    """`draws_at` where a torch tensor of int64 indices is, as int64 of the same bits."""
    key = int(key_of_stream(seed, stream).view(np.int64)[0])
    value = indices * _signed(_GOLDEN) + key + _signed(_GOLDEN)  # torch's integers wrap around
    value = (value ^ _shifted(value, 30)) * _signed(_MIX_1)
    value = (value ^ _shifted(value, 27)) * _signed(_MIX_2)
    return value ^ _shifted(value, 31)


def _signed(value: np.uint64) -> int:
    return int(value.view(np.int64))


def _shifted(value: Any, places: int) -> Any:
    """To the right, with zeros from the left."""
    return (value >> places) & ((1 << (64 - places)) - 1)


def _mixed(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    value = value + _GOLDEN
    value = (value ^ (value >> np.uint64(30))) * _MIX_1
    value = (value ^ (value >> np.uint64(27))) * _MIX_2
    mixed: NDArray[np.uint64] = value ^ (value >> np.uint64(31))
    return mixed


# Streams in use. A new use of randomness takes the next number.
ROW_ORDER = 1  # the random order of rows: presets random, proportional, equal
MIXTURE_ORDER = 2  # the order of the rows in a written mixture
TASK_ORDER = 3  # tasks drawn at random in stage 1
RECALL_SAMPLE = 4  # rows at which the recall of a neighbour graph is measured
VECTOR_DIGEST = 5  # factors of the digest of a vector
HELD_OUT = 16  # templates and families of tasks that `compare` holds out
HELD_ROWS = 17  # which of their rows it looks at
CONTROL = 18  # its random choices; draw r has the stream CONTROL + 256 r
BOOTSTRAP = 19  # families of tasks drawn again for an interval
CLUSTER_STARTS = 24  # the rows that K-means begins with
CLUSTER_ROWS = 25  # the order of rows inside a cluster
TARGET_DRAWS = 26  # rows drawn by what transport to queries gives them
DENSITY_ROWS = 27  # rows drawn by how empty their surroundings are
DENSITY_HASHES = 28  # the hashes that tell how empty; their offsets have the next number
SWARM = 32  # the mixtures of a swarm
SWARM_FOLDS = 33  # which of its runs are left out together
SWARM_SEARCH = 34  # where a proposal is looked for
TASK_SAMPLE = 40  # the rows that tasks are found among, where none are named
STUDENT_ROWS = 44  # the rows that a student encoder learns from
STUDENT_HELD = 45  # and those that it is judged by
STUDENT_GROUPS = 46  # groups of which many rows are held out
STUDENT_PAIRS = 47  # pairs that are compared; random choices of group g: this + 256 (g + 1)
MAP_START = 50  # where the search for the axes of a map begins
VALIDATION = 52  # the rows of a mixture that an export sets aside
ORDER_CHECK = 54  # random orders of vectors, beside which theirs is judged
GROUP_PARTS = 55  # the parts of a group too large for one node
ONLINE_TASKS = 56  # the task of each row that online mixing draws
ONLINE_ROWS = 57  # the order of a task's rows there
TRAINING_ROWS = 60  # the rows that a model is fine-tuned on, for loss trajectories
TRAINING_ORDER = 61  # the order in which they come in pass p: this + 256 p
GRADIENT_SIGNS = 64  # the projection of gradients
WARM_UP_ROWS = 65  # the rows that adapters are warmed up on before gradients are taken
WARM_UP_ORDER = 66  # the order in which they come in epoch e: this + 256 e
WARM_UP_DRAWS = 67  # the first weights of the adapters, and what dropout leaves out
CLEAN_DROPPED = 72  # rows that cleaning drops, for human eyes
CLEAN_KEPT = 73  # and rows that it keeps
