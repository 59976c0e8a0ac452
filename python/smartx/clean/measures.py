"""The measures of rows, as a table: all that rules are asked of, so that other thresholds cost
seconds.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import pyarrow as pa

from smartx.clean.scores import NAMES, coherence, readability, similarity
from smartx.clean.signs import REPLACEMENT, controls, is_mojibake, language, letters
from smartx.clean.texts import REPEATED_GRAMS, TOP_GRAMS, quality, repetition, words_of

_WHOLE = (
    *("prompt_words", "response_words", "response_lines", "longest_word"),
    *("replacements", "controls", "letters"),
)
_YES_NO = ("mojibake", "echo")
QUALITY = (
    *("word_length", "hashes", "ellipses", "ellipsis_lines", "bullet_lines", "alphabetic_words"),
    "stop_words",
)
REPETITION = (
    *("lines", "paragraphs", "line_characters", "paragraph_characters"),
    *(f"top_{n}" for n in TOP_GRAMS),
    *(f"repeated_{n}" for n in REPEATED_GRAMS),
)
_NUMBERS = ("language_confidence", *QUALITY, *REPETITION, *NAMES)
# What rows are told to be copies by. exact: 128 bits of both texts.  answer: of the response.
# words: of the prompt without case and marks that end sentences.
HASHES = ("exact_high", "exact_low", "answer", "words")
SCHEMA = pa.schema(
    [
        *((name, pa.int32()) for name in _WHOLE),
        *((name, pa.bool_()) for name in _YES_NO),
        ("language", pa.string()),
        *((name, pa.float32()) for name in _NUMBERS),
        *((name, pa.uint64()) for name in HASHES),
    ]
)
_SPACE = re.compile(r"\s+")
_END = re.compile(r"(?<=[\w'\")\]])[.!?…]+(?=\s|$)")  # where a sentence ends
_NAN = float("nan")


def measured(prompts: Sequence[str], responses: Sequence[str], *, least_letters: int) -> pa.Table:
    """The measures of rows (schema SCHEMA). least_letters: of a text whose language is told.

    What a rule asks of answers is of the response alone; Gopher's measures are NaN where it has no
    word.
    """
    rows = [_row(p, r, least_letters) for p, r in zip(prompts, responses, strict=True)]
    columns = {
        field.name: pa.array([row.get(field.name) for row in rows], field.type) for field in SCHEMA
    }
    return pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def _row(prompt: str, response: str, least_letters: int) -> dict[str, Any]:
    asked, words, whole = words_of(prompt), words_of(response), f"{prompt}\n{response}"
    told = response if letters(response) >= least_letters else prompt
    judged = letters(told)
    name, sure = language(told) if judged >= max(1, least_letters) else (None, _NAN)
    usual = tuple(
        _SPACE.sub(" ", unicodedata.normalize("NFC", t)).strip() for t in (prompt, response)
    )
    high, low = _hashes("\0".join((str(len(usual[0])), *usual)))
    none = dict.fromkeys((*QUALITY, *REPETITION), _NAN)
    return {
        "prompt_words": len(asked),
        "response_words": len(words),
        "response_lines": len(response.splitlines()),
        "longest_word": max(map(len, (*asked, *words)), default=0),
        "replacements": whole.count(REPLACEMENT),
        "controls": controls(whole),
        "letters": judged,
        "mojibake": is_mojibake(prompt) or is_mojibake(response),
        "echo": usual[0] == usual[1],
        "language": name,
        "language_confidence": sure,
        **(quality(response, words) | repetition(response, words) if words else none),
        "coherence": coherence(whole),
        "readability": readability(whole),
        "similarity": similarity(prompt, response),
        "exact_high": high,
        "exact_low": low,
        "answer": _hashes(usual[1])[0],
        "words": _hashes(_SPACE.sub(" ", _END.sub("", usual[0].casefold())).strip())[0],
    }


def _hashes(text: str) -> tuple[int, int]:
    found = blake2b(text.encode(), digest_size=16).digest()
    return int.from_bytes(found[:8], "little"), int.from_bytes(found[8:], "little")
