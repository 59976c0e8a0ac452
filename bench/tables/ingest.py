"""Reading sources: what ingest does in a second, beside readers that only read."""

from __future__ import annotations

from case import Case, Row, both_threads
from vectors import real_folder

from tables import markdown, megabytes, seconds, who

TITLE = "Reading sources"
FORMATS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".csv", ".parquet", ".arrow")
READERS = ("smartx", "pyarrow", "datasets")


def cases(quick: bool) -> list[Case]:
    n = 5_000 if quick else 200_000
    asked = [{"data": "made", "format": ending, "n": n} for ending in FORMATS]
    if real_folder():
        asked += [{"data": name, "format": ".parquet", "n": 0} for name in ("t0", "bigbench")]
    return both_threads(
        [
            Case("ingest", reader, "read_rows.py", each | {"reader": reader})
            for each in asked
            for reader in READERS
        ]
    )


def check(rows: list[Row]) -> list[str]:
    """All read the same rows, and smartx makes the same corpus on any number of threads."""
    faults, counts, corpora = [], {}, {}
    for row in rows:
        if "result" in row:
            asked, run = row["arguments"], row["result"]["runs"][0]
            source = (asked["data"], asked["format"], asked["n"])
            if counts.setdefault(source, run["rows"]) != run["rows"]:
                faults.append(f"{source}: {row['who']} read {run['rows']} rows")
            if run["digests"] and corpora.setdefault(source, run["digests"]) != run["digests"]:
                faults.append(f"{source}: another corpus on {row['threads']} threads")
    return faults


def lines(rows: list[Row]) -> list[str]:
    body = []
    for row in rows:
        if "result" in row:
            asked, run = row["arguments"], row["result"]["runs"][0]
            body.append(
                [
                    asked["data"], asked["format"].removeprefix("."), f"{run['rows']:,}",
                    megabytes(run["bytes"]), who(row), row["threads"], seconds(run["cpu"]),
                    seconds(run["wall"]), f"{run['rows'] / run['wall']:,.0f}",
                    f"{run['bytes'] / run['wall'] / 1e6:,.0f}", megabytes(run["memory"]),
                ]
            )  # fmt: skip
    return [
        "Rows of FLAN's columns: made ones (1,836 tasks, prompts of 430 characters on the mean) and"
        " real ones. What they do is not the same. smartx hashes the source, finds out what the"
        " columns mean, checks every row, brings rows into the order of their groups, counts"
        " duplicates and writes the corpus to disk, flushed and hashed. datasets copies the rows"
        " into its cache as Arrow. pyarrow parses them into memory and leaves it at that: it is"
        " the floor, not an alternative. Speeds are by wall time; MB are those of the source as"
        " it lies on the disk. Memory: peak above what the process held before.",
        "",
        *markdown(
            [
                "rows", "format", "n", "size", "by", "threads", "CPU", "wall", "rows/s", "MB/s",
                "memory",
            ],
            body,
        ),
    ]  # fmt: skip
