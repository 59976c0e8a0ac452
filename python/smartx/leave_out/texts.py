"""Evaluation rows by what they say, for all sets at once: equal texts, and texts in part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from smartx.corpus import Corpus
from smartx.leave_out.evaluation import EvaluationSet
from smartx.leave_out.grams import GramIndex
from smartx.leave_out.words import PROSE, STRICT, Hashes, Words, plain, words_of

BLOCK_ROWS = 8_192  # rows of a corpus that are looked at together
Ints = NDArray[np.int64]
_TEXT = pa.large_string()


@dataclass(frozen=True, eq=False)
class Found:
    """Rows of a corpus and the evaluation rows that they are found by.

    rows, evaluations: (k,) int64.  scores: (k,) float64. Evaluation rows are numbered through all
    sets, set after set.
    """

    rows: Ints
    evaluations: Ints
    scores: NDArray[np.float64]

    @classmethod
    def joined(cls, found: Iterable[Found]) -> Found:
        """One behind the other."""
        parts = [(one.rows, one.evaluations, one.scores) for one in found]
        none = (np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
        return cls(*(np.concatenate(column) for column in zip(none, *parts, strict=True)))

    def best(self, sets: Ints) -> Found:
        """Of each row and set the best score; ties go to the lower evaluation row.

        sets: (s + 1,) where the evaluation rows of each set begin, and how many there are.
        """
        of = np.searchsorted(sets, self.evaluations, side="right")
        order = np.lexsort((self.evaluations, -self.scores, of, self.rows))
        row, of = self.rows[order], of[order]
        new = np.append(True, (np.diff(row) != 0) | (np.diff(of) != 0))[: len(order)]
        order = order[new]
        return Found(self.rows[order], self.evaluations[order], self.scores[order])


@dataclass(frozen=True, eq=False)
class Places:
    """Where each of some texts first stands in each set. keys: (k,) rising, all different.

    ends: (k + 1,), text i has evaluations[ends[i]:ends[i + 1]], one of each set that holds it.
    """

    keys: Hashes
    ends: Ints
    evaluations: Ints

    @classmethod
    def of(cls, hashes: Hashes, sets: Ints) -> Places:
        """hashes: (e,) of all evaluation rows; 0 has no text."""
        of = np.searchsorted(sets, np.arange(len(hashes)), side="right")
        order = np.lexsort((of, hashes))  # stable: the first of equal ones is the lowest
        order = order[hashes[order] != 0]
        key, of = hashes[order], of[order]
        new = np.append(True, key[1:] != key[:-1])[: len(key)]
        first = new | np.append(True, of[1:] != of[:-1])[: len(key)]
        order, new = order[first], new[first]
        starts = np.flatnonzero(new)
        return cls(hashes[order[starts]], np.append(starts, len(order)), order)

    def found(self, hashes: Hashes) -> Found:
        """Which of some texts are among these; they are numbered 0, 1, ..."""
        at = np.searchsorted(self.keys, hashes)
        at[at == len(self.keys)] = 0
        rows = np.flatnonzero(self.keys[at] == hashes) if len(self.keys) else at[:0]
        return self.expanded(rows, at[rows], np.ones(len(rows)))

    def expanded(self, rows: Ints, texts: Ints, scores: NDArray[np.float64]) -> Found:
        """Pairs of rows and texts as rows and evaluation rows."""
        counts = self.ends[texts + 1] - self.ends[texts]
        before = np.cumsum(counts) - counts
        at = np.arange(int(counts.sum())) + np.repeat(self.ends[texts] - before, counts)
        return Found(np.repeat(rows, counts), self.evaluations[at], np.repeat(scores, counts))


@dataclass(frozen=True, eq=False)
class Block:
    """Some rows of a corpus, numbered 0, 1, ... prompts, responses: (n,) large_string, `plain`."""

    prompts: pa.Array
    responses: pa.Array

    def __len__(self) -> int:
        return len(self.prompts)

    @cached_property
    def prose(self) -> Words:
        """Their words, letters and digits only."""
        return words_of(self.prompts, self.responses, PROSE)


class Equal:
    """Rows of which the prompt, or prompt and response in one, is one of some texts.

    Words are compared first as PROSE has them, which are at hand, and then as STRICT has them:
    what is equal there is equal here.
    """

    def __init__(self, corpora: Sequence[tuple[Corpus, bool]], forms: Sequence[int]) -> None:
        """corpora: and whether their rows have responses.  forms: 0 for the prompt, 1 for both."""
        strict, prose = [], []
        for corpus, answered in corpora:
            for block in blocks_of(corpus, answered=answered):
                strict.append(words_of(block.prompts, block.responses, STRICT).texts())
                prose.append(block.prose.texts())
        starts = starts_of([corpus for corpus, _ in corpora])
        self._forms = tuple(forms)
        both = np.concatenate(strict)
        self._texts = [Places.of(both[:, form], starts) for form in forms]
        self._maybe = [np.unique(np.concatenate(prose)[:, form]) for form in forms]

    def found(self, block: Block) -> Found:
        """Of a block of rows; one may be found twice."""
        seen = block.prose.texts()
        maybe = np.zeros(len(block), dtype=np.bool_)
        for form, known in zip(self._forms, self._maybe, strict=True):
            maybe |= _among(seen[:, form], known)
        rows = np.flatnonzero(maybe)
        prompts, responses = (t.take(pa.array(rows)) for t in (block.prompts, block.responses))
        hashes = words_of(prompts, responses, STRICT).texts()
        pairs = zip(self._forms, self._texts, strict=True)
        found = Found.joined(texts.found(hashes[:, form]) for form, texts in pairs)
        return Found(rows[found.rows], found.evaluations, found.scores)


class Grams:
    """Rows that hold much of what an evaluation row's prompt says. index: of its n-grams."""

    def __init__(
        self, sets: Sequence[EvaluationSet], *, n: int, least: int, common: int, share: float
    ) -> None:
        """As GramIndex has them."""
        words, hashes = [], []
        for one in sets:
            for block in blocks_of(one.corpus, answered=False):
                words.append(block.prose)
                hashes.append(words[-1].texts()[:, 0])
        self._texts = Places.of(np.concatenate(hashes), starts_of([one.corpus for one in sets]))
        first = self._texts.evaluations[self._texts.ends[:-1]]
        different = Words.joined(words).take(first)
        self.index = GramIndex(different, n=n, least=least, common=common, share=share)

    def found(self, block: Block) -> Found:
        """Of a block of rows."""
        hits = self.index.hits(block.prose)
        return self._texts.expanded(hits.rows, hits.texts, hits.scores)


def starts_of(corpora: Sequence[Corpus]) -> Ints:
    """(s + 1,) where the rows of each corpus begin, when they are numbered through."""
    sizes = [corpus.num_rows for corpus in corpora]
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def blocks_of(corpus: Corpus, *, answered: bool = True) -> Iterator[Block]:
    """All rows; their responses are "" unless `answered`."""
    for start in range(0, corpus.num_rows, BLOCK_ROWS):
        rows = np.arange(start, min(start + BLOCK_ROWS, corpus.num_rows), dtype=np.int64)
        for table in corpus.rising(rows, ("prompt", "response") if answered else ("prompt",)):
            prompts = _array(table, "prompt")
            none = pa.repeat(pa.scalar("", _TEXT), len(prompts))
            yield Block(plain(prompts), plain(_array(table, "response")) if answered else none)


def _array(table: pa.Table, name: str) -> pa.Array:
    column = table.column(name).cast(_TEXT).combine_chunks()
    return pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column


def _among(hashes: Hashes, known: Hashes) -> NDArray[np.bool_]:
    """Whether each is known. known: rising, at least one."""
    at = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
    among: NDArray[np.bool_] = known[at] == hashes
    return among
