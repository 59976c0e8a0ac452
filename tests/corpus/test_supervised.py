"""Tokens that are learned from: the response, and of a chat every answer."""

from __future__ import annotations

import json

from smartx.corpus import Columns, ingest
from smartx.corpus.supervised import supervised_tokens


def turn(role, letters):
    return {"role": role, "content": "x" * letters}


def corpus_of(rows, folder):
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ingest([path], folder / "corpus", columns=Columns())


def test_every_answer_of_a_chat_counts_and_the_last_as_the_corpus_counts_it(tmp_path):
    chats = [
        [turn("user", 40), turn("assistant", 8)],
        [turn("user", 38), turn("assistant", 40), turn("user", 38), turn("assistant", 80)],
        [turn("system", 8), turn("user", 4), turn("assistant", 12), turn("user", 9)],
    ]
    corpus = corpus_of([{"messages": chat} for chat in chats], tmp_path)
    prompts = corpus.prompts(0, 3)
    by_prompt = dict(zip(map(len, prompts), supervised_tokens(corpus).tolist(), strict=True))
    # Of 120 characters (turns are joined by two line ends) 40 are the answer: a third of 30 tokens.
    assert by_prompt == {40: 2, 120: 20 + 10, 14: 3}


def test_of_pairs_it_is_the_response(tmp_path):
    rows = [{"prompt": "x" * n, "response": "y" * 4 * n} for n in (1, 5, 9)]
    corpus = corpus_of(rows, tmp_path)
    assert sorted(supervised_tokens(corpus).tolist()) == [1, 5, 9]


def test_pairs_beside_chats_are_counted_too(tmp_path):
    rows = [
        {"prompt": "x" * 9, "response": "y" * 12, "system": ""},
        {"prompt": "x" * 9, "response": "y" * 24, "system": "be brief"},
    ]
    corpus = corpus_of(rows, tmp_path)
    assert sorted(supervised_tokens(corpus).tolist()) == [3, 6]
