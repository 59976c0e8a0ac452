"""How many tokens of each row are learned from: those of the response, of a chat those of every
turn of the assistant.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from smartx.corpus.corpus import ROWS_PER_FILE, Corpus

_COLUMNS = ("prompt", "messages", "prompt_tokens", "response_tokens")
_ASSISTANT = "assistant"


def supervised_tokens(corpus: Corpus) -> NDArray[np.int64]:
    """(n,) by row id.

    The last answer of a chat is counted as the corpus counts it. Earlier answers are part of the
    prompt there: they have the part of its tokens that they have of its characters, rounded down.
    """
    tokens = np.zeros(corpus.num_rows, dtype=np.int64)
    for start in range(0, corpus.num_rows, ROWS_PER_FILE):
        stop = min(start + ROWS_PER_FILE, corpus.num_rows)
        if not corpus.manifest["conversations"]:
            tokens[start:stop] = corpus.token_counts(start, stop)[:, 1]
            continue
        done = start
        for table in corpus.rising(np.arange(start, stop), _COLUMNS):
            tokens[done : done + table.num_rows] = _supervised(table)
            done += table.num_rows
    return tokens


def _supervised(table: pa.Table) -> NDArray[np.int64]:
    prompt, response = (table[name].to_numpy().astype(np.int64) for name in _COLUMNS[2:])
    characters = np.asarray(pc.utf8_length(table["prompt"]), dtype=np.int64)
    early = np.minimum(_characters_of_earlier_answers(table["messages"]), characters)
    return np.asarray(response + prompt * early // np.maximum(characters, 1))


def _characters_of_earlier_answers(messages: pa.ChunkedArray) -> NDArray[np.int64]:
    """(n,) of all turns of the assistant but the last; 0 for a row that is no chat."""
    lists = pa.concat_arrays(messages.chunks)
    turns, rows = lists.flatten(), pc.list_parent_indices(lists).to_numpy()
    answers = pc.equal(turns.field("role"), _ASSISTANT).to_numpy(zero_copy_only=False)
    lengths = pc.utf8_length(turns.field("content")).to_numpy(zero_copy_only=False)
    places = np.flatnonzero(answers)
    earlier = places[:-1][rows[places[:-1]] == rows[places[1:]]]
    found = np.zeros(len(lists), dtype=np.int64)
    np.add.at(found, rows[earlier], lengths[earlier].astype(np.int64))
    return found
