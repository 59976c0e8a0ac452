"""Rules asked of measures: which row fails which, and how many rows do.

A rule that is switched off is asked with its published threshold where there is one, and told; it
drops nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from smartx.clean.measuring import Measures
from smartx.clean.rules import PUBLISHED, Rules
from smartx.corpus import Corpus
from smartx.corpus.corpus import ROWS_PER_FILE
from smartx.progress import Progress, step

Mask = NDArray[np.bool_]
EXACT, WORDS, NEAR = "copy: exact", "copy: same words", "copy: near"
COPIES = (EXACT, WORDS, NEAR)
PERPLEXITY = "perplexity"
# What a rule says of a row, for people; names stay as they are from version to version.
MEANINGS = {
    "encoding: replacement": "a character that stands where bytes were lost (U+FFFD)",
    "encoding: control": "control characters in the text",
    "encoding: mojibake": "UTF-8 that was read in another encoding",
    "language": "another language than those that are kept",
    "length: few words": "an answer of too few words",
    "length: many words": "a row of too many words",
    "length: long word": "a word of too many characters",
    "quality: word length": "words that are very short or very long on average",
    "quality: hashes": "many # for its words",
    "quality: ellipses": "many ellipses for its words",
    "quality: ellipsis lines": "many lines that end in an ellipsis",
    "quality: bullet lines": "nearly all lines are bullets",
    "quality: alphabetic words": "few words with a letter",
    "quality: stop words": "few of the most usual English words",
    "repetition: lines": "many lines that came before",
    "repetition: paragraphs": "many paragraphs that came before",
    "repetition: line characters": "much of the text in lines that came before",
    "repetition: paragraph characters": "much of the text in paragraphs that came before",
    "repetition: top n-gram": "one run of 2 to 4 words is much of the text",
    "repetition: repeated n-grams": "runs of 5 to 10 words that came before are much of the text",
    "phrase": "a phrase that nobody wants to be taught",
    "echo": "the answer is the prompt again",
    PERPLEXITY: "outside the band of the score",
    EXACT: "an earlier row, but for white space",
    WORDS: "the answer of an earlier row, and its prompt but for case and ends of sentences",
    NEAR: "nearly an earlier row",
}


@dataclass(frozen=True, eq=False)
class Verdict:
    """What one rule says. mask: (n,) of the rows that fail it.  drops: whether they go.

    detail: what it found in a row, in words.
    """

    name: str
    mask: Mask
    drops: bool
    detail: Callable[[int], str]


def verdicts(
    corpus: Corpus, measures: Measures, rules: Rules, progress: Progress
) -> Iterator[Verdict]:
    """What each rule says that looks at a row alone, in the order of MEANINGS."""
    yield from _encoding(measures, rules)
    yield from _language(measures, rules)
    yield from _length(measures, rules)
    yield from _quality(measures, rules)
    yield from _repetition(measures, rules)
    found = _phrases(corpus, rules, progress)
    held = np.array(sorted(found), np.int64)
    mask = np.zeros(corpus.num_rows, np.bool_)
    mask[held] = True
    yield Verdict("phrase", mask, True, lambda row: f'"{found[row]}"')
    least = rules.echo.from_words
    echo = measures.column("echo") & (measures.column("response_words") >= (least or 1))
    yield Verdict("echo", echo, least is not None, _nothing)


def in_band(values: NDArray[np.float64], rules: Rules) -> Verdict | None:
    """What the band of a score says; None where none is asked. values: (n,), NaN: not judged."""
    asked = rules.perplexity
    if asked.feature is None:
        return None
    known = values[~np.isnan(values)]
    low, high = (_bound(side, known) for side in (asked.lowest, asked.highest))
    mask = np.zeros(len(values), np.bool_)
    mask |= values < (-np.inf if low is None else low)
    mask |= values > (np.inf if high is None else high)
    return Verdict(PERPLEXITY, mask, True, lambda row: f"{asked.feature} {values[row]:.6g}")


def _bound(side: float | str | None, known: NDArray[np.float64]) -> float | None:
    if not isinstance(side, str):
        return side
    return float(np.percentile(known, float(side[:-1]))) if len(known) else None


def _encoding(measures: Measures, rules: Rules) -> Iterator[Verdict]:
    asked = rules.encoding
    for name, column, drops in (
        ("replacement", "replacements", asked.replacement),
        ("control", "controls", asked.control and not asked.repair),
    ):
        counts = measures.column(column)
        yield Verdict(f"encoding: {name}", counts > 0, drops, _number(counts, "characters"))
    drops = asked.mojibake and not asked.repair
    yield Verdict("encoding: mojibake", measures.column("mojibake"), drops, _nothing)


def _language(measures: Measures, rules: Rules) -> Iterator[Verdict]:
    asked = rules.language
    names, sure = measures.column("language"), measures.column("language_confidence")
    judged = sure >= asked.confidence
    mask = judged & ~np.isin(names.astype(str), asked.keep) if asked.keep else np.zeros_like(judged)
    yield Verdict(
        "language", mask, bool(asked.keep), lambda row: f"{names[row]}, {sure[row]:.0%} sure"
    )


def _length(measures: Measures, rules: Rules) -> Iterator[Verdict]:
    asked, words = rules.length, measures.column("response_words")
    both = words + measures.column("prompt_words")
    longest = measures.column("longest_word")
    yield Verdict("length: few words", words < asked.least_words, True, _number(words, "words"))
    yield Verdict("length: many words", both > asked.most_words, True, _number(both, "words"))
    most = asked.longest_word
    mask = longest > (PUBLISHED.length.longest_word if most is None else most)
    yield Verdict("length: long word", mask, most is not None, _number(longest, "characters"))


def _quality(measures: Measures, rules: Rules) -> Iterator[Verdict]:
    asked, usual = rules.quality, PUBLISHED.quality
    judged = measures.column("response_words") >= max(1, asked.from_words)
    values = measures.column("word_length")
    low, high = asked.word_length or usual.word_length or (0, 0)
    mask = judged & ((values < low) | (values > high))
    drops = asked.word_length is not None
    yield Verdict("quality: word length", mask, drops, _number(values, "characters"))
    lines = judged & (measures.column("response_lines") >= asked.from_lines)
    for name in ("hashes", "ellipses", "ellipsis_lines", "bullet_lines"):
        who = lines if name.endswith("lines") else judged
        yield _more(measures, "quality", name, getattr(asked, name), getattr(usual, name), who)
    for name in ("alphabetic_words", "stop_words"):
        least, values = getattr(asked, name), measures.column(name)
        mask = judged & (values < (getattr(usual, name) if least is None else least))
        drops = least is not None
        yield Verdict(f"quality: {name.replace('_', ' ')}", mask, drops, _number(values, ""))


def _repetition(measures: Measures, rules: Rules) -> Iterator[Verdict]:
    asked, usual = rules.repetition, PUBLISHED.repetition
    top, repeated = asked.top_grams, asked.repeated_grams
    judged = measures.column("response_words") >= max(1, asked.from_words)
    for name in ("lines", "paragraphs", "line_characters", "paragraph_characters"):
        most = getattr(asked, name)
        yield _more(measures, "repetition", name, most, getattr(usual, name), judged)
    for name, column, most_of, drops in (
        ("top n-gram", "top", top or usual.top_grams, bool(top)),
        ("repeated n-grams", "repeated", repeated or usual.repeated_grams, bool(repeated)),
    ):
        found = {n: measures.column(f"{column}_{n}") for n in most_of}
        over = {n: judged & (found[n] > most_of[n]) for n in found}
        mask = np.logical_or.reduce([np.zeros_like(judged), *over.values()])
        yield Verdict(f"repetition: {name}", mask, drops, _gram(found, over))


def _gram(found: Mapping[int, NDArray[Any]], over: Mapping[int, Mask]) -> Callable[[int], str]:
    def told(row: int) -> str:
        n = next(n for n in over if over[n][row])
        return f"{n} words, {found[n][row]:.0%} of the characters"

    return told


def _more(
    measures: Measures, section: str, name: str, most: float | None, usual: float, judged: Mask
) -> Verdict:
    """Rows of which a measure is more than asked, or than published where nothing is asked."""
    values = measures.column(name)
    mask = judged & (values > (usual if most is None else most))
    told = f"{section}: {name.replace('_', ' ')}"
    return Verdict(told, mask, most is not None, _number(values, ""))


def _phrases(corpus: Corpus, rules: Rules, progress: Progress) -> dict[int, str]:
    """The first phrase of each row that has one."""
    found: dict[int, str] = {}
    asked = rules.phrases
    if not (asked.anywhere or asked.unasked):
        return found
    with step(progress, "phrases", corpus.num_rows, "rows") as advance:
        for start in range(0, corpus.num_rows, ROWS_PER_FILE // 4):
            stop = min(start + ROWS_PER_FILE // 4, corpus.num_rows)
            done = start
            for table in corpus.rising(np.arange(start, stop), ("prompt", "response")):
                for place, phrase in _in_table(table, rules):
                    found.setdefault(done + place, phrase)
                done += table.num_rows
            advance(stop - start)
    return found


def _in_table(table: pa.Table, rules: Rules) -> Iterator[tuple[int, str]]:
    for phrase in (*rules.phrases.anywhere, *rules.phrases.unasked):
        asked, given = (
            pc.match_substring(table[name], phrase, ignore_case=True)
            for name in ("prompt", "response")
        )
        anywhere = phrase in rules.phrases.anywhere
        hit = pc.or_(asked, given) if anywhere else pc.and_not(given, asked)
        yield from ((int(place), phrase) for place in np.flatnonzero(np.asarray(hit)))


def _number(values: NDArray[Any], unit: str) -> Callable[[int], str]:
    return lambda row: f"{values[row]:.4g} {unit}".strip()


def _nothing(row: int) -> str:
    del row
    return ""
