"""A call of `smartx.run`: data, keywords, a mapping or a YAML file -> one configuration.

What is in memory is written as files for as long as the run works: into RUN/given where the caller
names a folder, else into a temporary one. Their names and bytes depend on the data alone, so that
the same data are the same sources in the next run, and no stage is done again.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from smartx.config import RunConfig, config_from
from smartx.config_file import read_fields
from smartx.corpus.sources import ENDINGS
from smartx.engine.fixed_point import native
from smartx.errors import ConfigError, InputError, SmartxError
from smartx.files import MARK, committing, own, sweep
from smartx.frames.rows import KINDS, ending_of, is_rows, train_of, write_rows
from smartx.lock import working_in
from smartx.mixture import Mixture
from smartx.progress import Progress
from smartx.urls import is_url

GIVEN = "given"  # in the run folder, while a run works
_SOURCES = ("sources", "leave_out", "trained")
_ROW_NUMBERS = ("include_rows", "exclude_rows")
_NOT_IN_NAMES = frozenset("=/\\*?[")
_CONFIG = (".json", ".json.gz", ".json.zst")  # JSON is YAML: a configuration may end so


@dataclass(frozen=True)
class _Held:
    """Something in memory and the file it becomes. stem: its name there, without the ending."""

    place: str
    stem: str
    value: Any

    @property
    def is_array(self) -> bool:
        return self.place not in _SOURCES

    @property
    def called(self) -> str:
        """As the caller may know it: sources, or sources[1]."""
        number = self.stem.rpartition("-")[2]
        return f"{self.place}[{number}]" if number.isdecimal() else self.place

    def path(self, folder: Path) -> Path:
        """Where it is written."""
        return folder / (self.stem + (".npy" if self.is_array else ending_of(self.value)))

    def write(self, folder: Path) -> None:
        """Write it. Raises InputError where it cannot be."""
        if not self.is_array:
            write_rows(self.value, self.path(folder), self.place)
            return
        with committing(self.path(folder)) as temporary, temporary.open("wb") as file:
            np.save(file, np.ascontiguousarray(self.value), allow_pickle=False)


@dataclass(frozen=True)
class Call:
    """What a caller asked for.

    config: with the names of files that are yet to be written.  held: what these will hold.
    temporary: a folder that is ours alone and is to vanish, or None.
    """

    config: RunConfig
    held: list[_Held] = field(default_factory=list)
    temporary: Path | None = None

    @contextmanager
    def files(self, progress: Progress) -> Iterator[RunConfig]:
        """Inside the block the files are there. What failed leaves nothing behind."""
        try:
            if not self.held:
                yield self.config
                return
            run = self.config.work_folder
            with working_in(run, progress):
                given = run / GIVEN
                own(given, "folder of what a caller gave")
                try:
                    for one in self.held:
                        one.write(given)
                    yield self.config
                finally:
                    _clear(given, self.held)
        except BaseException as problem:
            if self.held and isinstance(problem, SmartxError):  # names what was given, not its file
                given = self.config.work_folder / GIVEN
                problem.renamed({str(one.path(given)): one.called for one in self.held})
            self.clean()
            raise

    def kept(self, mixture: Mixture) -> Mixture:
        """The mixture; a temporary one lives for as long as this object, its stages not at all."""
        if self.temporary is None:
            return mixture
        if self.config.run_dir is not None and self.temporary in self.config.run_dir.parents:
            shutil.rmtree(self.config.run_dir, ignore_errors=True)
        if self.temporary in mixture.folder.parents:
            remove = partial(_remove, self.temporary, os.getpid())
            weakref.finalize(mixture, remove)
        else:
            self.clean()
        return mixture

    def clean(self) -> None:
        """Delete the temporary folder."""
        if self.temporary is not None:
            shutil.rmtree(self.temporary, ignore_errors=True)


def call_of(config: Any, fields: Mapping[str, Any], *, makes: bool) -> Call:
    """What `run(config, **fields)` asks for. makes: a mixture, which needs a folder.

    config: as `smartx.run` takes it. Raises ConfigError or InputError, before anything is written.
    """
    if isinstance(config, RunConfig) and not fields:
        return Call(config)  # whole, as the command line has it
    values, file = _values(config, fields)
    there = {**(read_fields(file) if file else {}), **values}
    named = {name for name in ("out", "run_dir") if there.get(name) is not None}
    needed = [*(["out"] if makes else []), *([] if "out" in named else ["run_dir"])]
    temporary = None
    if lacking := [name for name in needed if name not in named]:
        temporary = Path(tempfile.mkdtemp(prefix="smartx-"))
        values |= {name: temporary / name.removesuffix("_dir") for name in lacking}
        there |= values
    try:
        run = _run_folder(there)
        held: list[_Held] = []
        values = {name: _on_disk(name, value, run, held) for name, value in values.items()}
        return Call(config_from(values, file=file), held, temporary)
    except BaseException:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
        raise


def _values(config: Any, fields: Mapping[str, Any]) -> tuple[dict[str, Any], Path | None]:
    """The fields that a caller gave, and the YAML file that has the others."""
    if config is None:
        return dict(fields), None
    if isinstance(config, RunConfig):
        given = {name: getattr(config, name) for name in config.model_fields_set}
        return {**given, **fields}, None
    config = train_of(config)
    if isinstance(config, Mapping):
        return {**config, **fields}, None
    url = isinstance(config, str) and is_url(config)
    if isinstance(config, str | Path) and not url and not _is_source(Path(config)):
        return dict(fields), Path(config)
    if not (isinstance(config, str | Path | list | tuple) or is_rows(config)):
        raise ConfigError(
            f"{type(config).__name__} is neither a configuration nor rows",
            place="config",
            fix=f"give {KINDS}; or keywords: smartx.run(sources=..., rows=500)",
        )
    if "sources" in fields:
        raise ConfigError("it is given twice", place="sources", fix="give the data once")
    return {"sources": config, **fields}, None


def _is_source(path: Path) -> bool:
    """Whether a path names rows, and not a configuration."""
    name = path.name.lower()
    data = any(name.endswith(ending) for ending in ENDINGS) and not name.endswith(_CONFIG)
    return data or path.is_dir()


def _run_folder(fields: Mapping[str, Any]) -> Path:
    """Where the stages of these fields work."""
    paths = {n: fields[n] for n in ("out", "run_dir") if isinstance(fields.get(n), str | Path)}
    return Path(os.path.abspath(config_from(paths).work_folder))


def _on_disk(name: str, value: Any, run: Path, held: list[_Held]) -> Any:
    """A field's value with names of files for what is in memory, which `held` gets."""

    def kept(stem: str, value: Any) -> str:
        one = _Held(name, stem, value)
        held.append(one)
        return str(one.path(run / GIVEN))

    if value is None or isinstance(value, str | Path):
        return value
    if name in _SOURCES:
        return _sources(name, value, kept)
    if name == "vectors":
        return kept("vectors", _array(name, value))
    if name == "leave_out_vectors":
        parts = value if isinstance(value, list | tuple) else [value]
        return [
            one if isinstance(one, str | Path) else kept(f"{name}-{i}", _array(name, one))
            for i, one in enumerate(parts)
        ]
    if name == "feature" and isinstance(value, Mapping):
        return {
            key: one if isinstance(one, str | Path) else kept(f"feature-{i}", _array(key, one))
            for i, (key, one) in enumerate(value.items())
        }
    if name in _ROW_NUMBERS:
        return kept(name, _numbers(name, value))
    return value


def _sources(name: str, value: Any, kept: Any) -> Any:
    """The sources of a field, in order, as names of files; NAME=FILE where they have names."""
    value = train_of(value)
    stem = "table" if name == "sources" else name
    if isinstance(value, Mixture):
        return [str(value.folder)]
    if is_rows(value):
        return [kept(stem, value)]
    if isinstance(value, Mapping):
        return [
            f"{_name(key, name)}={_source(name, train_of(one), f'{stem}-{i}', kept)}"
            for i, (key, one) in enumerate(value.items())
        ]
    if isinstance(value, list | tuple):
        return [_source(name, train_of(one), f"{stem}-{i}", kept) for i, one in enumerate(value)]
    raise _no_rows(name, value)


def _source(name: str, value: Any, stem: str, kept: Any) -> str:
    if isinstance(value, str | Path):
        return str(value)
    if isinstance(value, Mixture):
        return str(value.folder)
    if is_rows(value):
        return str(kept(stem, value))
    raise _no_rows(name, value)


def _no_rows(name: str, value: Any) -> InputError:
    found = f"{type(value).__name__} is not rows"
    if isinstance(value, list | tuple):
        found = f"a list of {type(value[0]).__name__} is not rows" if value else "a list is empty"
    return InputError(found, place=name, fix=f"give {KINDS}; several as a dict of name: rows")


def _name(key: object, place: str) -> str:
    text = str(key)
    if not text.strip() or _NOT_IN_NAMES & set(text):
        fault = f"a source cannot be called {text!r}"
        raise InputError(fault, place=place, fix="leave out = / \\ * ? [ and give it letters")
    return text


def _array(name: str, value: Any) -> Any:
    """Numbers as numpy has them, of a tensor too. What they must be is checked where they count."""
    array = native(value, name)
    if array.dtype == object:
        raise InputError("numbers of one shape are needed", place=name)
    return array


def _numbers(name: str, value: Any) -> Any:
    """Row numbers of row numbers or booleans."""
    array = _array(name, value)
    if array.dtype == np.bool_ and array.ndim == 1:
        return np.flatnonzero(array)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise InputError("(n,) booleans, or numbers of rows from 0, are needed", place=name)
    return array.astype(np.int64)


def _clear(folder: Path, held: list[_Held]) -> None:
    """Delete what was written into a folder with our mark, and the folder if that was all."""
    with suppress(OSError):
        sweep(folder)
        for one in held:
            one.path(folder).unlink(missing_ok=True)
        if {path.name for path in folder.iterdir()} == {MARK}:
            (folder / MARK).unlink()
            folder.rmdir()


def _remove(folder: Path, process: int) -> None:
    """Delete the folder of a mixture that is gone; a forked child leaves it to its parent."""
    if os.getpid() == process:
        with suppress(OSError):
            shutil.rmtree(folder, ignore_errors=True)
