"""Folders that are Hugging Face data sets: which of their files to read, and which split that is.

Known: what `save_to_disk` writes (one split, or several), and what the Hub holds (a README.md that
lists the files of each split, or Parquet files named after their splits). Of several splits `train`
is read; where there is none, all of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from smartx.corpus.remote import Location
from smartx.errors import CorpusError, plain

TRAIN = "train"
# Files that describe data and hold none, passed over where a folder is searched.
NOT_DATA = frozenset(
    f"{name}.json"
    for name in (
        *("dataset_info", "dataset_infos", "dataset_dict", "state", "manifest", "config"),
        *("tokenizer", "tokenizer_config", "special_tokens_map", "package"),
    )
)
_SHARD = re.compile(r"(.+?)-\d{5}-of-\d{5}(?:-[0-9a-f]+)?\.parquet")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CARD_BYTES = 2 << 20  # of a data card; what is behind them is not its head
_CARD_DEPTH = 50
_DEEP_WILDS = 2  # `**` in a pattern; every further one multiplies the time it takes
_FRONT = re.compile(r"---\s*\n(.*?)\n---\s*(?:\n|$)", re.DOTALL)


@dataclass(frozen=True)
class SplitFile:
    """A file of a data set. split: the one it is of, "" where one split is read."""

    path: Location
    split: str


def hugging_face_files(folder: Location, note: Callable[[str], None]) -> list[SplitFile] | None:
    """The files of a Hugging Face data set in their order; None for a folder that is none."""
    for look in (_saved_splits, _saved, partial(_listed_in_readme, note=note), _shards):
        splits = look(folder)
        if splits is not None:
            return _choose(folder, splits, note)
    return None


def _choose(
    folder: Location, splits: dict[str, list[Location]], note: Callable[[str], None]
) -> list[SplitFile]:
    if TRAIN in splits and len(splits) > 1:
        others = ", ".join(f'"{name}"' for name in splits if name != TRAIN)
        said = (
            f'{folder}: the split "{TRAIN}" is read; left out: {others} (name their files to mix)'
        )
        note(plain(said))
        splits = {TRAIN: splits[TRAIN]}
    one = len(splits) == 1
    return [
        SplitFile(path, "" if one else name) for name, paths in splits.items() for path in paths
    ]


def _saved_splits(folder: Location) -> dict[str, list[Location]] | None:
    """`DatasetDict.save_to_disk`: a folder a split."""
    listed = folder / "dataset_dict.json"
    if not listed.is_file():
        return None
    names = _json(listed).get("splits")
    if not isinstance(names, list) or not names:
        raise _damaged(listed, "it lists no splits")
    splits = {str(name): _saved_files(_inside(folder, str(name), listed)) for name in names}
    lost = [name for name, paths in splits.items() if paths is None]
    if lost:
        raise _damaged(listed, f'it lists the split "{lost[0]}", and there is no such folder')
    return {name: paths for name, paths in splits.items() if paths}


def _saved(folder: Location) -> dict[str, list[Location]] | None:
    """`Dataset.save_to_disk`."""
    paths = _saved_files(folder)
    return {TRAIN: paths} if paths else None


def _saved_files(folder: Location) -> list[Location] | None:
    """The Arrow files that state.json lists."""
    state = folder / "state.json"
    if not state.is_file() or not (folder / "dataset_info.json").is_file():
        return None
    content = _json(state)
    if content.get("_indices_files"):
        raise _damaged(state, "it keeps its rows in another order by indices (an old layout)")
    listed = content.get("_data_files")
    names = [file.get("filename") for file in listed or [] if isinstance(file, dict)]
    if not names:
        raise _damaged(state, "it lists no files")
    paths = [_inside(folder, str(name), state) for name in names]
    lost = [path.name for path in paths if not path.is_file()]
    if lost:
        raise _damaged(state, f"it lists {lost[0]}, and there is no such file")
    return paths


def _listed_in_readme(
    folder: Location, note: Callable[[str], None]
) -> dict[str, list[Location]] | None:
    """The `configs:` of the data card. Of several configurations the default one, or the first."""
    listed = _card(folder, note).get("configs")
    configs = [c for c in listed if isinstance(c, dict)] if isinstance(listed, list) else []
    configs = [c for c in configs if c.get("data_files")]
    if not configs:
        return None
    usual = [c for c in configs if c.get("default") or c.get("config_name") == "default"]
    files = (usual or configs)[0]["data_files"]
    if not isinstance(files, list) or not all(isinstance(entry, dict) for entry in files):
        files = [{"split": TRAIN, "path": files}]
    splits: dict[str, list[Location]] = {}
    for entry in files:
        patterns = entry.get("path")
        found = _matching(folder, patterns if isinstance(patterns, list) else [patterns])
        if found:
            splits.setdefault(str(entry.get("split") or TRAIN), []).extend(found)
    return splits or None


def _shards(folder: Location) -> dict[str, list[Location]] | None:
    """Parquet files in data/ that are named SPLIT-00000-of-00007.parquet."""
    found: list[Location] = [*(folder / "data").glob("*.parquet")]
    paths = sorted(found, key=lambda path: path.name)
    named = [(_SHARD.fullmatch(path.name), path) for path in paths]
    if not named or not all(match for match, _ in named):
        return None
    splits: dict[str, list[Location]] = {}
    for match, path in named:
        assert match is not None
        splits.setdefault(match[1], []).append(path)
    return splits


def _matching(folder: Location, patterns: Sequence[Any]) -> list[Location]:
    """The files of the folder that fit a pattern; what is no pattern of files in it fits none."""
    found: list[Location] = []
    for pattern in patterns:
        if not isinstance(pattern, str) or pattern.startswith("/") or ".." in pattern:
            continue
        if not pattern or pattern.count("**") > _DEEP_WILDS:
            continue
        with suppress(ValueError, NotImplementedError, OSError, RecursionError):
            found += sorted(path for path in folder.glob(pattern) if path.is_file())
    return list(dict.fromkeys(found))


def _card(folder: Location, note: Callable[[str], None]) -> dict[str, Any]:
    """The YAML head of README.md; nothing where there is none or it cannot be read."""
    path = folder / "README.md"
    try:
        if not path.is_file():
            return {}
        with path.open("rb") as file:
            head = _FRONT.match(file.read(_CARD_BYTES).decode("utf-8", "replace"))
        content = _yaml(head[1]) if head else None
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as problem:
        reason = str(problem).split("\n", 1)[0][:200]
        note(plain(f"{path}: its head is not used, since it cannot be read as YAML ({reason})"))
        return {}
    return content if isinstance(content, dict) else {}


def _yaml(text: str) -> Any:
    """YAML from anybody. Raises ValueError for what may unfold to any size or depth."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("it has an alias, which may unfold to any size")
        if depth > _CARD_DEPTH:
            raise ValueError("lists and mappings lie inside each other too deeply")
    return yaml.load(text, Loader=_LOADER)


def _json(path: Location) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as problem:
        raise _damaged(path, f"it cannot be read ({problem})") from None
    if not isinstance(content, dict):
        raise _damaged(path, "it is not an object")
    return content


def _inside(folder: Location, name: str, listed: Location) -> Location:
    if Path(name).name != name or name in (".", ".."):
        raise _damaged(listed, f"it names {name!r}, which is not inside the folder")
    return folder / name


def _damaged(path: Location, fault: str) -> CorpusError:
    return CorpusError(path, 0, fault, fix="save the data set again, or name its files")
