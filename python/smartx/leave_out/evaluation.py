"""Evaluation sets: sources like any other, read by the same readers into corpora of their own."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from smartx.corpus import Columns, Corpus, ingestion
from smartx.corpus.columns import find_layout
from smartx.corpus.formats import open_source
from smartx.corpus.sources import SourceFile
from smartx.errors import ConfigError, CorpusError
from smartx.progress import Progress, Silent
from smartx.run_folder import CORPUS
from smartx.store import folder_of

# What the text is called in sets that ask something and answer it with a number, a list or not at
# all, so that their columns are not those of a row to train on; first found, first taken.
PROMPTS = (
    *("prompt", "question", "instruction", "query", "problem", "input", "inputs"),
    *("Question", "Problem", "text", "task", "goal", "ctx", "sentence", "passage"),
)
_TASK = "evaluation"  # of every row: one group, in the order of the source


@dataclass(frozen=True)
class EvaluationSet:
    """Rows that a mixture must not hold. answered: they have responses, and not only prompts."""

    name: str
    corpus: Corpus
    answered: bool


def evaluation_sets(
    sources: Sequence[str | Path],
    run_folder: Path,
    *,
    prompt_column: str | None = None,
    memory: int | None = None,
    progress: Progress | None = None,
) -> list[EvaluationSet]:
    """Each source as one set, read into RUN/corpus/ID or used as it stands there.

    sources: files, folders, globs or names of the Hub; NAME=SOURCE calls the set NAME.
    prompt_column: of sets in which it is not found by name.
    Raises CorpusError for what is missing or not understood, ConfigError for two sets of one name,
    or where no set has the column.
    """
    read = [
        _read(name, source, run_folder, prompt_column, memory, progress or Silent())
        for name, source in zip(set_names(sources, "leave_out"), sources, strict=True)
    ]
    if prompt_column is not None and read and not any(has for _, has in read):
        raise ConfigError(
            f'no evaluation set has a column "{prompt_column}"',
            place="leave_out_column",
            fix="check its name, or leave it out",
        )
    return [found for found, _ in read]


def set_names(sources: Sequence[str | Path], field: str) -> list[str]:
    """What the sets are called: as the caller says, or like their file or folder.

    field: that they come from. Raises ConfigError for two of one name.
    """
    names = [_name(os.fspath(source)) for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f'{names.count(name)} sets are called "{name}"',
                place=field,
                fix="give each a name of its own: NAME=SOURCE",
            )
    return names


def _name(source: str) -> str:
    if not os.path.exists(source) and "=" in source:
        return source.partition("=")[0]
    file = os.path.basename(os.path.abspath(source))
    return file.partition(".")[0] or file


def _read(
    name: str,
    source: str | Path,
    run_folder: Path,
    prompt_column: str | None,
    memory: int | None,
    progress: Progress,
) -> tuple[EvaluationSet, bool]:
    """The set, and whether its prompts are in the column that is named."""
    plain = ingestion([source], task_name=_TASK, source_name=name, progress=progress)
    columns = columns_of(plain.files[0], prompt_column)
    wanted = ingestion(
        [source],
        columns=columns,
        keep_empty_responses=True,
        task_name=_TASK,
        source_name=name,
        other_columns=False,
    )
    corpus = wanted.into(folder_of(run_folder / CORPUS, wanted.key), memory=memory)
    dropped = corpus.num_source_rows - corpus.num_rows
    lost = f" ({dropped:,} of its rows have no text)" if dropped else ""
    progress.note(f"leave out: {name} has {corpus.num_rows:,} rows{lost}")
    answered = columns.prompt is None or columns.response != columns.prompt
    return EvaluationSet(name, corpus, answered), columns.prompt == prompt_column


def columns_of(file: SourceFile, prompt_column: str | None) -> Columns:
    """What is named to the reader: nothing where it finds prompt and response itself. A set without
    responses has its prompts for both.

    Raises CorpusError where no column of prompts is found.
    """
    sample = open_source(file).sample()
    named = Columns(prompt=prompt_column) if prompt_column in sample.names else Columns()
    try:
        find_layout(sample, named, file, one_task=True, one_source=True)
    except CorpusError as problem:
        there = [name for name in (prompt_column, *PROMPTS) if name in sample.names]
        texts = [name for name in there if _is_text(sample.values[str(name)])]
        if not texts:
            fix = f"{problem.fix.partition(';')[0]}; name that of the prompts in `leave_out_column`"
            raise CorpusError(problem.path, problem.line, problem.fault, fix=fix) from None
        return Columns(prompt=texts[0], response=texts[0])
    return named


def _is_text(cells: list[object]) -> bool:
    return any(isinstance(cell, str) and cell.strip() for cell in cells)
