"""What is embedded of a row is what tells it from the others."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embed_fakes import FakeEncoder, corpus_of
from smartx.corpus import Corpus, ingest
from smartx.embed import EncoderSpec, embed_corpus
from smartx.embed import texts as texts_file
from smartx.embed.texts import Texts, strings, text_digests

ROLES = ["system", "user", "assistant", "tool"]
SAID = st.sampled_from(["", " ", "a", "b", "be short", "äö", "x\n\ny"])
turns = st.lists(st.tuples(st.sampled_from(ROLES), SAID), min_size=1, max_size=6)


def chats(folder: Path, talks: list[list[tuple[str, str]]], *, name: str = "chats") -> Corpus:
    """A corpus of chats, each with one more answer at its end; ids tell them apart."""
    lines = [
        {
            "messages": [
                *({"role": role, "content": said} for role, said in talk),
                {"role": "assistant", "content": f"answer {number}"},
            ],
            "task": "t",
        }
        for number, talk in enumerate(talks)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.jsonl").write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    return ingest([folder / f"{name}.jsonl"], folder / "corpus")


def texts_of(corpus: Corpus, turns: str = "user") -> list[str]:
    rows = np.arange(corpus.num_rows)
    return [text for part in Texts(corpus, turns).of(rows) for text in strings(part)]


def expected(corpus: Corpus) -> list[str]:
    """The rule in plain Python, from what the corpus says of its rows."""
    rows = corpus.rows(np.arange(corpus.num_rows))
    talks = rows.column("messages").to_pylist()
    prompts = rows.column("prompt").to_pylist()

    def said(talk, roles):
        last = max(i for i, turn in enumerate(talk) if turn["role"] == "assistant")
        contents = [turn["content"] for turn in talk[:last] if turn["role"] in roles]
        return "\n\n".join(content for content in contents if content.strip())

    systems = [said(talk, {"system"}) if talk else "" for talk in talks]
    count = Counter(systems)
    found = []
    for prompt, talk, system in zip(prompts, talks, systems, strict=True):
        if talk is None:
            found.append(prompt)
            continue
        own = [said(talk, {"user", "tool"}), system if count[system] == 1 else ""]
        found.append("\n\n".join(part for part in own if part) or prompt)
    return found


@settings(max_examples=60, deadline=None)
@given(st.lists(turns, min_size=1, max_size=12), st.sampled_from([1, 3, 100]))
def test_texts_are_those_of_the_rule(tmp_path_factory, talks, block):
    talks = [*talks, [("user", "so that one is kept")]]
    corpus = chats(tmp_path_factory.mktemp("chats"), talks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(texts_file, "BLOCK_ROWS", block)
        assert texts_of(corpus) == expected(corpus)


def test_of_plain_rows_the_prompt_is_embedded(tmp_path):
    corpus = corpus_of(tmp_path, ["one", "two", "a longer one"])
    assert texts_of(corpus) == corpus.prompts(0, 3)


def test_chats_and_plain_rows_stand_together(tmp_path):
    lines = [
        {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"},
                      {"role": "assistant", "content": "a"}]},
        {"prompt": "p", "response": "r"},
    ]  # fmt: skip
    for number, line in enumerate(lines):
        (tmp_path / f"{number}.jsonl").write_bytes(orjson.dumps(line) + b"\n")
    corpus = ingest([tmp_path / "0.jsonl", tmp_path / "1.jsonl"], tmp_path / "corpus")
    assert sorted(texts_of(corpus)) == ["p", "u\n\ns"]


def test_a_system_prompt_that_all_rows_share_does_not_make_them_one(tmp_path):
    """60 chats with one long system prompt gave one distinct vector, without a warning."""
    system = "You are a helpful assistant. " * 400
    talks = [[("system", system), ("user", f"question {row}")] for row in range(60)]
    corpus = chats(tmp_path, talks)
    encoder = FakeEncoder()
    made = embed_corpus(corpus, encoder, tmp_path / "run")
    assert sorted(encoder.encoded) == sorted(f"question {row}" for row in range(60))
    assert len(np.unique(made.rows(0, 60), axis=0)) == 60
    assert made.manifest["cut"]["rows"] == 0


def test_a_system_prompt_of_one_row_only_is_embedded_last(tmp_path):
    corpus = chats(tmp_path, [[("system", "shared"), ("user", "q")]] * 2 + [
        [("system", "own"), ("user", "q")], [("system", "alone")]
    ])  # fmt: skip
    assert sorted(texts_of(corpus)) == ["alone", "q", "q", "q\n\nown"]


def test_what_a_tool_returned_counts_and_earlier_answers_do_not(tmp_path):
    talk = [
        ("user", "weather?"),
        ("assistant", "let me see"),
        ("tool", "12 degrees"),
        ("user", "and?"),
    ]
    assert texts_of(chats(tmp_path, [talk])) == ["weather?\n\n12 degrees\n\nand?"]


def test_what_is_said_behind_the_last_answer_is_no_question(tmp_path):
    talk = [("user", "weather?"), ("assistant", "sunny")]
    lines = [{"messages": [{"role": r, "content": c} for r, c in [*talk, ("user", "thanks")]]}]
    (tmp_path / "c.jsonl").write_bytes(orjson.dumps(lines[0]) + b"\n")
    assert texts_of(ingest([tmp_path / "c.jsonl"], tmp_path / "corpus")) == ["weather?"]


def test_where_nothing_is_left_all_turns_are_embedded(tmp_path):
    talks = [[("system", "shared"), ("assistant", "hello")], [("system", "shared"), ("user", " ")]]
    assert sorted(texts_of(chats(tmp_path, talks))) == ["shared", "shared\n\nhello"]


def test_whoever_wants_all_turns_gets_them_under_another_key(tmp_path):
    corpus = chats(tmp_path, [[("system", "s"), ("user", "u")]] * 2)
    assert texts_of(corpus, "all") == ["s\n\nu"] * 2
    folder = tmp_path / "encoder"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    from smartx.embed import embedding_key

    keys = {embedding_key(corpus, EncoderSpec(str(folder), turns=t)) for t in ("user", "all")}
    assert len(keys) == 2


def test_texts_of_some_rows_are_those_of_all(tmp_path):
    corpus = chats(
        tmp_path, [[("system", f"s {row % 3}"), ("user", f"u {row}")] for row in range(20)]
    )
    every, some = texts_of(corpus), np.array([0, 3, 4, 11, 19])
    texts = Texts(corpus, "user")
    again = Texts(corpus, "user", texts.own_system[np.isin(texts.own_system, some)])
    assert [t for part in again.of(some) for t in strings(part)] == [every[row] for row in some]


@given(st.lists(st.text(max_size=9)), st.integers(0, 5))
def test_a_text_is_known_by_its_bytes_wherever_it_lies(texts, start):
    array = pa.array(texts, pa.large_string())[start:]
    wanted = [
        np.frombuffer(hashlib.sha256(text.encode()).digest()[:16], dtype="<u8").tolist()
        for text in texts[start:]
    ]
    assert text_digests(array).tolist() == wanted
    assert strings(array) == texts[start:]
