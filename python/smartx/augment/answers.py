"""What a generator answered -> a source of new rows, each with the row that it was made from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smartx.augment.asked import ROUND
from smartx.augment.overlap import overlaps, words_of
from smartx.augment.run import PROMPTS, SCHEMA, STAGE
from smartx.errors import InputError
from smartx.files import committing, has_mark, unchanged_digest
from smartx.store import Stage

OVERLAP = 0.95  # of LLM2LLM: a new row whose ROUGE-L with another is above is none
TEMPLATE = "llm2llm"  # of the new rows
UNREADABLE, UNKNOWN, SECOND = "no JSON object in the line", "no prompt has this id", "one is enough"
UNPARSED = "no object with prompt and response in the answer"
COPY = "too near to a row that was shown, or to another new one"
_TEXTS = ("answer", "text", "content", "output", "completion")


@dataclass(frozen=True)
class Taken:
    """path: of the new rows.  rows: how many.  dropped: answers that gave none, by reason.
    unanswered: prompts without a new row.
    """

    path: Path
    rows: int
    dropped: Mapping[str, int]
    unanswered: int


def take(
    asked: Path | str,
    answers: Sequence[Path | str],
    to: Path | str,
    *,
    overlap: float = OVERLAP,
    overwrite: bool = False,
) -> Taken:
    """Write the new rows of a generator's answers as JSON Lines, a source for `smartx ingest`.

    asked: folder that `ask` wrote.  answers: JSON Lines with `id` and `answer`, or responses of an
    OpenAI batch. The first answer that gives a row counts, so each wrong row gives one at most.
    to: the file to write.  overlap: ROUGE-L above which a prompt is a copy of a wrong row's or of
    another new one; 1 keeps all. Beside it `<to>.dropped.jsonl` has every answer that gave no row.
    Each row has its seed's source and task, template "llm2llm", `llm2llm_of` (the seed's id) and
    `llm2llm_round`, by which a later round leaves it aside.
    Raises InputError where a file is missing or `to` stands, StoreError for a damaged folder.
    """
    home = Path(to)
    if home.exists() and not overwrite:
        raise InputError("a file stands there", place=str(home), fix="name another, or overwrite")
    prompts = _prompts(Path(asked))
    seen = [words_of(line["prompt"]) for line in prompts.values()]
    rows: dict[str, dict[str, Any]] = {}
    dropped: list[dict[str, Any]] = []
    for place, line in _lines(answers):
        row, reason = _row(line, prompts, rows)
        if row is not None and _copies(row["prompt"], seen, overlap):
            row, reason = None, COPY
        if row is None:
            dropped.append({"place": place, "reason": reason})
        else:
            rows[row["llm2llm_of"]] = row
            seen.append(words_of(row["prompt"]))
    _write(home, (rows[name] for name in prompts if name in rows))
    if dropped:
        _write(home.with_name(f"{home.name}.dropped.jsonl"), dropped)
    reasons = Counter(one["reason"] for one in dropped)
    return Taken(home, len(rows), dict(reasons.most_common()), len(prompts) - len(rows))


def _prompts(folder: Path) -> dict[str, dict[str, Any]]:
    """The lines of a finished folder by id, in their order."""
    manifest = Stage(STAGE, folder).manifest(SCHEMA)
    entry = next(entry for entry in manifest["files"] if entry["name"] == PROMPTS)
    path = folder / PROMPTS
    if not has_mark(folder) or not path.is_file() or unchanged_digest(path) != entry["sha256"]:
        fix = "run `smartx augment ask` again"
        raise InputError("it is not what was written", place=str(path), fix=fix)
    lines = map(json.loads, path.read_bytes().splitlines())
    return {line["id"]: line for line in lines}


def _lines(paths: Iterable[Path | str]) -> Iterator[tuple[str, Any]]:
    """(file:line, what stands there) of every line that is not blank; None where it is no JSON."""
    for path in map(Path, paths):
        try:
            with path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    if line.strip():
                        yield f"{path.name}:{number}", _read(line)
        except OSError as problem:
            raise InputError(f"it cannot be read ({problem.strerror})", place=str(path)) from None


def _row(
    line: Any, prompts: Mapping[str, dict[str, Any]], rows: Mapping[str, Any]
) -> tuple[dict[str, Any] | None, str]:
    """(the new row, "") or (None, why there is none)."""
    if not isinstance(line, dict):
        return None, UNREADABLE
    name = line.get("id") if line.get("custom_id") is None else line["custom_id"]
    seed = prompts.get(name) if isinstance(name, str) else None
    if seed is None:
        return None, UNKNOWN
    if seed["id"] in rows:
        return None, SECOND
    made = _made(line)
    if made is None:
        return None, UNPARSED
    named = {"source": seed["source"], "task": seed["task"], "template": TEMPLATE}
    lineage = {"llm2llm_of": seed["id"], "llm2llm_from": seed["origin"], ROUND: seed["round"]}
    return {"prompt": made[0], "response": made[1], **named, **lineage}, ""


def _made(line: Mapping[str, Any]) -> tuple[str, str] | None:
    """(prompt, response) of an answer; None where it has not both."""
    direct = _pair(line)
    if direct is not None:
        return direct
    text = _text(line)
    start = text.find("{")
    while start >= 0:
        try:
            found = _pair(json.JSONDecoder().raw_decode(text, start)[0])
        except (ValueError, RecursionError):
            found = None
        if found is not None:
            return found
        start = text.find("{", start + 1)
    return None


def _text(line: Mapping[str, Any]) -> str:
    """The text of an answer: as one of _TEXTS, the last turn, or the first choice of a batch."""
    for name in _TEXTS:
        if isinstance(line.get(name), str):
            return str(line[name])
    try:
        body = line["response"]["body"] if isinstance(line.get("response"), dict) else line
        turns = line.get("messages") or [body["choices"][0]["message"]]
        return str(turns[-1]["content"] or "")
    except (KeyError, IndexError, TypeError, AttributeError):
        return ""


def _pair(found: Any) -> tuple[str, str] | None:
    if not isinstance(found, dict):
        return None
    texts = [found.get(name) for name in ("prompt", "response")]
    both = [text.strip() for text in texts if isinstance(text, str)]
    return (both[0], both[1]) if len(both) == 2 and all(both) else None


def _copies(prompt: str, seen: Iterable[Sequence[str]], threshold: float) -> bool:
    words = words_of(prompt)
    return any(overlaps(words, other, threshold) for other in seen)


def _read(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with committing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def told(found: Taken) -> list[str]:
    """What a person reads of it."""
    lines = [f"{found.rows:,} new rows in {found.path}; {found.unanswered:,} prompts gave none"]
    reasons = (f"{count:,} {reason}" for reason, count in found.dropped.items())
    return [*lines, *(f"  answers left out: {reason}" for reason in reasons)]
