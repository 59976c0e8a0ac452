"""What lies in the folder where the blocks of a page run: small corpora in each shape that readers
have, and encoders that cost nothing.

The rows (tests/docs/rows.jsonl) are from OpenAI Evals, MIT licence: 24 tasks, each with its system
turn and what user and assistant say. The encoders are stand-ins: a table of random token vectors
under the name of the real one, found by its path, so that a command runs as the page shows it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from conftest import REPOSITORY

ROWS = REPOSITORY / "tests" / "docs" / "rows.jsonl"
ENCODERS = ("thenlper/gte-large", "all-MiniLM-L6-v2")
WIDTH = 64
Task = dict[str, Any]


def write_corpora(folder: Path) -> None:
    """Everything that a page may name, into an empty folder."""
    tasks = [json.loads(line) for line in ROWS.read_text(encoding="utf-8").splitlines()]
    ours = [task for task in tasks if task["file"] != "more"]
    (folder / "data").mkdir()
    for name in sorted({task["file"] for task in ours}):
        lines(folder / "data" / f"{name}.jsonl", pairs(t for t in ours if t["file"] == name))
    (folder / "more").mkdir()
    lines(folder / "more" / "new.jsonl", pairs(t for t in tasks if t["file"] == "more"))
    lines(folder / "chats.jsonl", chats(ours)[::3])
    tables(folder, ours)
    rows = [row for name in sorted(folder.glob("data/*.jsonl")) for row in read(name)]
    alpaca = [
        {"instruction": row["system"], "input": row["user"], "output": row["answer"]}
        for row in said(ours)[::6]
    ]
    (folder / "alpaca.json").write_text(json.dumps(alpaca, indent=1), encoding="utf-8")
    logic = [row for row in rows if row["task"] == "formal_logic"]  # which is a task of MMLU
    new = read(folder / "more" / "new.jsonl")
    lines(folder / "mmlu.jsonl", [without_task(row) for row in (*logic[:20], *new[:20])])
    target = [without_task(row) for row in rows[7::30]]
    lines(folder / "target.jsonl", target)
    table = token_table([row["prompt"] for row in (*rows, *new)])
    for name in ENCODERS:
        write_encoder(folder / name, table)
    np.save(folder / "vectors.npy", vectors([row["prompt"] for row in rows], table))
    np.save(folder / "queries.npy", vectors([row["prompt"] for row in target], table))
    scores = np.array([len(set(row["prompt"].split())) for row in rows], dtype=np.float64)
    np.save(folder / "scores.npy", scores / scores.max())


def lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def without_task(row: dict[str, Any]) -> dict[str, Any]:
    return {"prompt": row["prompt"], "response": row["response"]}


def said(tasks: Iterable[Task]) -> list[dict[str, str]]:
    """The first question and answer of each row, with the task and its system turn."""
    return [
        {"task": task["task"], "system": task["system"], "user": row[0], "answer": row[1]}
        for task in tasks
        for row in task["rows"]
    ]


def pairs(tasks: Iterable[Task]) -> list[dict[str, str]]:
    return [
        {
            "prompt": f"{row['system']}\n{row['user']}",
            "response": row["answer"],
            "task": row["task"],
        }
        for row in said(tasks)
    ]


def chats(tasks: Iterable[Task]) -> list[dict[str, Any]]:
    """Chats with a system turn; where a task has a second row left, every other one of two."""
    found: list[dict[str, Any]] = []
    for task in tasks:
        for place, row in enumerate(task["rows"]):
            turns = row + task["rows"][place - 1] if place % 2 else row
            messages = [
                {"role": ("user", "assistant")[number % 2], "content": text}
                for number, text in enumerate(turns)
            ]
            if place % 3 == 0:
                messages[0]["content"] = f"{task['system']}\n\n{row[0]}"
            else:
                messages.insert(0, {"role": "system", "content": task["system"]})
            found.append({"messages": messages, "category": task["task"]})
    return found


def tables(folder: Path, tasks: list[Task]) -> None:
    """Parquet: columns as FLAN has them, and as Tulu 3 has them."""
    flan = [
        {
            "inputs": row["prompt"],
            "targets": row["response"],
            "task_source": ("Flan2021", "P3", "NIv2")[task % 3],
            "task_name": row["task"],
            "template_type": ("zs_noopt", "zs_opt")[number % 2],
        }
        for task, rows in enumerate(pairs([one]) for one in tasks)
        for number, row in enumerate(rows[::2])
    ]
    tulu = [
        {
            "id": f"{chat['category']}_{number}",
            "messages": chat["messages"],
            "source": chat["category"],
        }
        for number, chat in enumerate(chats(tasks)[1::2])
    ]
    for name, rows in (("flan", flan), ("tulu", tulu)):
        (folder / name).mkdir()
        half = len(rows) // 2
        for part, some in enumerate((rows[:half], rows[half:])):
            pq.write_table(pa.Table.from_pylist(some), folder / name / f"part-{part}.parquet")


def words_of(text: str) -> list[str]:
    """Words and single punctuation marks, as the stand-ins' tokenizer takes them apart."""
    from tokenizers import pre_tokenizers

    pieces = pre_tokenizers.BertPreTokenizer().pre_tokenize_str(text.lower())
    return [word for word, _ in pieces]


def token_table(texts: list[str]) -> dict[str, np.ndarray]:
    """A random vector for each word, rare words the longer ones: (WIDTH,) float32."""
    counts = Counter(word for text in texts for word in set(words_of(text)))
    words = ["[PAD]", "[UNK]", *sorted(counts)]
    rarity = np.array([np.log1p(len(texts) / (1 + counts[word])) for word in words])
    table = np.random.default_rng(0).normal(size=(len(words), WIDTH)) * rarity[:, None]
    return dict(zip(words, table.astype(np.float32), strict=True))


def write_encoder(folder: Path, table: dict[str, np.ndarray]) -> None:
    """A folder as model2vec saves one."""
    import tokenizers
    from safetensors.numpy import save_file
    from tokenizers import models, normalizers, pre_tokenizers

    numbers = {word: number for number, word in enumerate(table)}
    made = tokenizers.Tokenizer(models.WordLevel(numbers, "[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.add_special_tokens(["[PAD]", "[UNK]"])
    folder.mkdir(parents=True)
    made.save(str(folder / "tokenizer.json"))
    save_file({"embeddings": np.stack([*table.values()])}, folder / "model.safetensors")
    config = {"model_type": "model2vec", "normalize": True}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def vectors(texts: list[str], table: dict[str, np.ndarray]) -> np.ndarray:
    """(n, WIDTH) float32: the mean of each text's token vectors."""
    return np.stack([np.mean([table[word] for word in words_of(text)], axis=0) for text in texts])
