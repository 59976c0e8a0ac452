"""Small source files of most kinds, whose rows depend on each other in every way there is."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 60


def chat(row: int) -> dict[str, Any]:
    turns = [{"role": "user", "content": f"ask {row}"}, {"role": "assistant", "content": "so"}]
    if row % 3 == 0:
        turns[1] |= {"weight": row, "tool_calls": [{"name": "f"}]}
    return {"messages": turns, "topic": f"t{row % 4}", "extra": {"a": row}}


def write_sources(folder: Path) -> Path:
    """Files of most kinds: tables, chats, late columns, bad lines, copies, many types."""
    folder.mkdir()

    def lines(name, rows):
        text = "".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows)
        packed = gzip.compress(text.encode(), mtime=0) if name.endswith(".gz") else text.encode()
        (folder / name).write_bytes(packed)

    own = [
        {"prompt": f"p{row}", "response": f"r{row}", "task": f"t{row % 5}", "score": row}
        for row in range(ROWS)
    ]
    lines("a.jsonl", [*own[:30], "{no json\n", {"prompt": "", "response": "x"}, *own[30:]])
    lines("b.jsonl.gz", [{**row, "score": row["score"] / 2, "note": None} for row in own])
    late = [{"instruction": f"do {row}", "output": "done"} for row in range(ROWS)]
    lines("c.jsonl", [*late, *({**row, "input": "with"} for row in late), *own[:7], *own[:3]])
    lines("d.jsonl", [chat(row) for row in range(ROWS)])
    table = {
        "question": [f"q{row}" for row in range(ROWS)],
        "answer": [f"a{row}" if row % 9 else None for row in range(ROWS)],
        "score": pa.array(range(ROWS), pa.uint32()),
        "level": pa.array([row % 7 for row in range(ROWS)], pa.int8()),
        "seen": pa.array([0] * ROWS, pa.timestamp("us")),
    }
    pq.write_table(pa.table(table), folder / "e.parquet", row_group_size=17)
    table["level"] = pa.array([row / 3 for row in range(ROWS)], pa.float32())
    pq.write_table(pa.table(table), folder / "f.parquet")
    (folder / "g.csv").write_text("prompt,response,more\nx,y,1\nbad\np1,r1,2\n")
    lines("h.jsonl", [])
    lines("i.jsonl", [{"prompt": "p", "response": f"{n}", f"k{n % 5}": [n]} for n in range(ROWS)])
    return folder
