"""What the vectors of a corpus are, from a digest of each: their name, and how many are alike."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartx.corpus import Corpus, Groups
from smartx.embed.embeddings import Embeddings
from smartx.embed.order import out_of_order
from smartx.progress import counted

_BLOCK = 262_144  # rows looked at together, unless one group has more
_NAMED = 3  # groups that are named in a warning
_FEW = 20  # rows of a group too small to speak of
Digests = Callable[[int, int], NDArray[np.uint64]]


def facts_of(groups: Groups, digests: Digests) -> dict[str, Any]:
    """digest: of all vectors in order.  shared: rows whose vector another row of their group has.
    one_vector: those of them in groups in which most rows have one and the same.

    digests: gives (stop - start, 2) digests of the vectors of rows start..stop-1.
    """
    sha, shared = hashlib.sha256(), np.zeros(len(groups), dtype=np.int64)
    one = np.zeros_like(shared)
    for first, last, start, stop in _runs(groups):
        found = np.ascontiguousarray(digests(start, stop), dtype="<u8")
        sha.update(found.data)
        group = np.repeat(np.arange(first, last), groups.rows[first:last])
        order = np.lexsort((found[:, 0], group))
        alike = found[order[1:], 0] == found[order[:-1], 0]
        alike &= group[1:] == group[:-1]  # groups stand in order, sorted or not
        either = np.append(alike, False) | np.insert(alike, 0, False)
        shared += np.bincount(group[either], minlength=len(groups))
        starts = np.flatnonzero(~np.insert(alike, 0, False))
        np.maximum.at(one, group[starts], np.diff(np.append(starts, len(group))))
    one[(2 * one <= groups.rows) | (groups.rows < _FEW)] = 0
    counts = {"shared": counted_by_group(shared), "one_vector": counted_by_group(one)}
    return {"digest": sha.hexdigest(), **counts}


def cut_of(groups: Groups, cut: Callable[[int, int], NDArray[np.bool_]]) -> dict[str, Any]:
    """Rows whose text was cut at the encoder's window."""
    found = np.zeros(len(groups), dtype=np.int64)
    for first, last, start, stop in _runs(groups):
        group = np.repeat(np.arange(first, last), groups.rows[first:last])
        found += np.bincount(group[cut(start, stop)], minlength=len(groups))
    return counted_by_group(found)


def counted_by_group(rows: NDArray[np.int64]) -> dict[str, Any]:
    """As manifests have it."""
    return {"rows": int(rows.sum()), "by_group": rows.tolist()}


def warnings_of(embeddings: Embeddings, corpus: Corpus) -> list[str]:
    """What a person should know of the vectors before they trust them; the worst first."""
    groups, manifest = corpus.groups, embeddings.manifest
    lines = []
    one = np.array(manifest["one_vector"]["by_group"], dtype=np.int64)
    if one.any():
        worst = np.argsort(-one, kind="stable")[: min(_NAMED, np.count_nonzero(one))].tolist()
        named = "; ".join(
            f"{_name(groups, g)}: {int(one[g]):,} of {int(groups.rows[g]):,} rows" for g in worst
        )
        lines.append(
            f"WARNING: in {counted(int(np.count_nonzero(one)), 'group')} most rows have one and "
            f"the same vector, so their order there says nothing ({named}). What tells these rows "
            "apart is not in what the encoder reads."
        )
    if wrong := out_of_order(manifest.get("order", {})):
        named = ", ".join(wrong[:_NAMED]) + (", ..." if len(wrong) > _NAMED else "")
        lines.append(
            f"WARNING: the ready vectors of {named or 'the rows'} do not follow the texts of their "
            "rows: are they in the order of the rows of the sources, and of all of these rows? "
            "(Vectors are more alike where texts have words in common; these are so no more than "
            "by chance, or as much if they are shifted by a row.)"
        )
    if rows := int(manifest["shared"]["rows"]):
        lines.append(
            f"{counted(rows, 'row')} of {corpus.num_rows:,} have the very vector of another row of "
            "their group (the same text, or texts that differ only behind what the encoder reads)"
        )
    if rows := int(manifest.get("cut", {}).get("rows", 0)):
        window = manifest["parameters"].get("max_length")
        where = f" at {window} tokens" if window else " at the encoder's window"
        lines.append(
            f"the texts of {counted(rows, 'row')} of {corpus.num_rows:,} were cut{where}: what "
            "stands behind does not count"
        )
    if "made" in manifest:
        lines.append(_made_line(manifest["made"], groups))
    return lines


def _made_line(made: Mapping[str, Any], groups: Groups) -> str:
    """Who embedded what, where a teacher and its student did."""
    teacher, student = made["encoders"]
    first = groups.tasks().first_group[:-1]
    tasks = int((np.array(made["by_group"], dtype=np.int64)[first] == 0).sum())
    return (
        f"{teacher['encoder']} embedded {counted(tasks, 'task')} of {len(first):,} "
        f"({counted(teacher['rows'], 'row')}), {student['encoder']} the other "
        f"{counted(student['rows'], 'row')}"
    )


def _name(groups: Groups, group: int) -> str:
    names = (groups.source[group], groups.task[group], groups.template[group])
    return " / ".join(name for name in dict.fromkeys(names) if name)


def _runs(groups: Groups) -> Iterator[tuple[int, int, int, int]]:
    """(first, last, start, stop): runs of whole groups, and their rows."""
    ends = np.cumsum(groups.rows)
    first = start = 0
    while first < len(groups):
        last = max(first + 1, int(np.searchsorted(ends, start + _BLOCK, side="right")))
        stop = int(ends[last - 1])
        yield first, last, start, stop
        first, start = last, stop
