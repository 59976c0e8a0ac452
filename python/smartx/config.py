"""The one configuration: every flag of the command line is a field here, and one YAML file can hold
them all.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from smartx.amounts import Percent, amount, demands, patterns
from smartx.config_file import read_fields, split_encoder
from smartx.errors import ConfigError, SmartxError
from smartx.options import MOST, executor, size_in_bytes
from smartx.strategies import LAWS, RANKERS, TASKS, Table, facts_of
from smartx.urls import is_url, was_url

DEFAULT_ENCODER = "thenlper/gte-large"  # SMART as published

Preset = Literal["smart-acl2024", "smart-balanced", "proportional", "equal", "random"]

# mixture = weight law x ranker x budget. A preset names the first two, whole; the user's own choice
# goes before it.
PRESETS: dict[str, tuple[str, str]] = {
    "smart-acl2024": (
        "taylor-softmax:function=graph-cut,function.penalty=0.4,temperature=1",
        "facility-location",
    ),
    "smart-balanced": ("power:exponent=0.5", "facility-location:per=task"),
    "proportional": ("proportional", "random"),
    "equal": ("equal", "random"),
    "random": ("random-rows", "random"),
}
DEFAULT_PRESET: Preset = "smart-balanced"  # of those that read vectors the one that loses nowhere

SIZES = ("memory",)  # fields in bytes
# Fields of many values.
LISTS = (
    *("sources", "feature", "leave_out", "leave_out_by", "leave_out_vectors", "trained"),
    *("floor", "cap", "pin", "exclude"),
)
AMOUNTS = ("rows", "tokens", "teacher_rows")  # fields of whole numbers, 5k, 10%
DEMANDS = ("floor", "cap", "pin")
STRATEGIES: dict[str, Table] = {  # fields that hold one
    "weights": LAWS,
    "ranker": RANKERS,
    "tasks": TASKS,
}


class RunConfig(BaseModel):
    """What to mix, how, and where to. The flag `--run-dir` is the field `run_dir`.

    >>> import smartx
    >>> config = smartx.RunConfig(sources="chats.jsonl", rows="5k", preset="equal", out="mix")
    >>> config.rows, config.sources, config.work_folder.name
    (5000, ['chats.jsonl'], 'mix.run')
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    # What comes in
    sources: list[str] = Field(default=[], description="files, folders or globs, in order")
    prompt_column: str | None = Field(None, description="column of the prompt")
    response_column: str | None = Field(None, description="column of the response")
    system_column: str | None = Field(None, description="column of a system prompt")
    messages_column: str | None = Field(None, description="column of a chat's list of messages")
    source_column: str | None = Field(None, description="column that names where a row came from")
    task_column: str | None = Field(None, description="column that names the task")
    template_column: str | None = Field(None, description="column that names the template")
    task: str | None = Field(None, description="one task name for every row")
    source: str | None = Field(None, description="one source name for every row")
    keep_empty_responses: bool = Field(False, description="keep rows whose response is empty")
    duplicates: Literal["keep", "drop"] = Field(
        "keep", description="rows that say word for word what an earlier row says"
    )
    tokenizer: str | None = Field(
        None,
        description="tokenizer.json, its folder or a Hub name, to count tokens (else: estimated)",
    )
    drop_other_columns: bool = Field(
        False, description="leave out the columns that smartx does not use, instead of keeping them"
    )

    # How rows are embedded
    encoder: str | None = Field(
        None,
        description=f"sentence encoder: Hub name or folder (default: {DEFAULT_ENCODER}); "
        "student:NAME: a quick one that is fitted on a sample of the rows to give what NAME would; "
        "hybrid:NAME: that one, and NAME for some tasks",
    )
    student_rows: int | None = Field(
        None,
        ge=64,
        le=MOST,
        description="rows that a student: encoder learns from (default: until more help little)",
    )
    teacher_rows: int | Percent | None = Field(
        None,
        description="what NAME embeds itself of hybrid:NAME, whole tasks: rows, or a part of its "
        "work for all rows (default: 10%)",
    )
    encoder_revision: str | None = Field(None, description="revision of the encoder on the hub")
    batch_size: int | None = Field(
        None, ge=1, le=MOST, description="rows an encoder call (default: as many as are fast)"
    )
    max_length: int | None = Field(
        None, ge=1, le=MOST, description="tokens of a prompt that are read (default: the encoder's)"
    )
    embed_turns: Literal["user", "all"] = Field(
        "user",
        description="of a chat, embed what the user said and tools returned (and a system prompt "
        "that no other row has), or all turns before the answer",
    )
    prompt_prefix: str = Field("", description="text put before every prompt for the encoder")
    device: str = Field(
        "auto", description="auto (all GPUs, or the CPU), cpu, cuda:1, or several: cuda:0,cuda:1"
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="number type the encoder computes in"
    )
    vectors: Path | None = Field(
        None,
        description="ready vectors instead of an encoder: .npy, or Parquet with `vectors_column`",
    )
    vectors_column: str | None = Field(None, description="column of the vectors in a Parquet file")

    feature: list[str] = Field(
        default=[],
        description="what a strategy needs to know of the rows besides: NAME=FILE.npy or "
        "NAME=FILE.parquet:COLUMN, one entry a row of the sources, in their order (columns of the "
        "sources are known by their names)",
    )

    # Which strategy
    preset: Preset = Field(DEFAULT_PRESET, description="a named choice of weight law and ranker")
    seed: int = Field(0, ge=-MOST, le=MOST, description="seed of every random choice")
    weights: Any = Field(
        None,
        description="weight law, instead of the preset's, with its parameters, such as "
        "taylor-softmax:num_tasks=256 (those of a parameter have a dot: "
        "function=log-det,function.ridge=3); the command strategies lists all",
    )
    ranker: Any = Field(
        None,
        description="ranker of rows, instead of the preset's, with its parameters: "
        "graph-cut:penalty=0.6",
    )
    tasks: Any = Field(
        None,
        description="find the tasks instead of reading them from the rows: clusters of vectors, "
        "named after their typical words; auto:clusters=200 says how many "
        "(default: the square root of the rows, from 2 to 1,840)",
    )
    near_duplicates: float | None = Field(
        None,
        ge=1e-6,
        le=1,
        description="leave out rows whose prompt's vector has at least this cosine with that of a "
        "better-ranked row of the same task and template, such as 0.95 (default: keep them)",
    )
    near_duplicates_within: Literal["template", "task", "corpus"] | None = Field(
        None,
        description="where near duplicates are looked for: among the rows of one template of a "
        "task, of a task, or of the corpus (default: among those that are ranked together)",
    )

    # What must not be in it
    leave_out: list[str] = Field(
        default=[],
        description="evaluation sets of which no row may be in the mixture: files, folders, globs "
        "or Hub names, or NAME=FILE",
    )
    leave_out_by: list[Literal["exact", "ngrams", "near"]] = Field(
        default=["exact", "ngrams"],
        description="how their rows are found: equal texts, n-grams, near vectors",
    )
    leave_out_words: int = Field(8, ge=2, le=1_000, description="words of an n-gram")
    leave_out_share: float = Field(
        0.5, ge=1e-6, le=1, description="least part of an evaluation prompt under n-grams of a row"
    )
    leave_out_cosine: float = Field(0.9, ge=1e-6, le=1, description="least cosine of near rows")
    leave_out_column: str | None = Field(
        None, description="column of the evaluation sets' prompts, where it is not found by name"
    )
    leave_out_vectors: list[Path] = Field(
        default=[], description="ready vectors of the evaluation sets, a file each, in their order"
    )
    trained: list[str] = Field(
        default=[],
        description="what a model was trained on: an earlier mixture, or sources; its rows are "
        "left out, and a ranker that can do so ranks what the others add to them",
    )

    clean: str | None = Field(
        None,
        description="leave out the rows that rules find to be no good: instructions, published, or "
        "a YAML file of rules (the command clean says what they find; default: keep them)",
    )

    # How much, and where to
    rows: int | Percent | None = Field(
        None, description="rows of the mixture: 5000, 5k, or 10% of those that may be taken"
    )
    tokens: int | Percent | None = Field(
        None, description="tokens of the mixture, instead of rows: 1m, or 10%"
    )
    token_kind: Literal["all", "prompt", "response", "supervised"] = Field(
        "all",
        description="which tokens `tokens` counts; supervised are those of the response, of a chat "
        "those of all answers",
    )
    floor: list[str] = Field(
        default=[],
        description="what gets at least so much, in rows (or tokens) or of the mixture: math=500, "
        "flan/=40%; SOURCE/, TASK, SOURCE/TASK or SOURCE/TASK/TEMPLATE, with * and ?, each for "
        "itself (*=50: 50, or all that a task has)",
    )
    cap: list[str] = Field(default=[], description="what gets at most so much: *=5%")
    pin: list[str] = Field(default=[], description="what gets exactly so much: flan/=40%")
    exclude: list[str] = Field(default=[], description="what gets nothing: toxic*")
    include_rows: str | None = Field(
        None,
        description="rows that must be in the mixture: a column of true and false, or a file of "
        "row numbers of the sources, from 0 (.txt, .csv, .npy, .parquet)",
    )
    exclude_rows: str | None = Field(
        None, description="rows that may not be in it: a column or a file in the same way"
    )
    epochs: int = Field(
        1, ge=1, le=1_000, description="how often a row may be taken where a task has too few"
    )
    rounding: Literal["published", "largest-remainder", "monotone"] | None = Field(
        None,
        description="how shares become whole rows (default: the weight law's own); monotone: a "
        "larger budget takes nothing away from any task, so that mixtures are nested",
    )
    out: Path | str | None = Field(
        None, description="folder of the mixture, or the URL of one in an object store (s3://...)"
    )
    overwrite: bool = Field(
        False, description="replace the mixture that stands in OUT, if it is another one"
    )
    run_dir: Path | None = Field(
        None, description="folder where the stages keep their work (default: OUT.run)"
    )
    threads: int | None = Field(
        None, ge=1, le=1024, description="processor threads (default: all this process may use)"
    )
    executor: str | None = Field(
        None,
        description="where embedding and ranking are done: this (process), processes:4 (of this "
        "machine, which share the threads and the memory), or ray, ray:ADDRESS (a cluster; each "
        "unit gets `threads` of a node, 1 where none are given). No byte depends on it",
    )
    memory: int | None = Field(
        None,
        ge=1,
        le=MOST,
        description="most to use, such as 8G (default: 3/4 of what is available)",
    )

    @field_validator(
        *("sources", "feature", "leave_out", "leave_out_vectors", "trained"),
        *("out", "run_dir", "vectors", "encoder", "tokenizer", "include_rows", "exclude_rows"),
        mode="before",
    )
    @classmethod
    def _paths_are_not_empty_and_begin_at_home(cls, value: Any) -> Any:
        return [_path(one) for one in value] if isinstance(value, list | tuple) else _path(value)

    @field_validator(*LISTS, mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            return [f"{name}={one}" for name, one in value.items()]
        return [value] if isinstance(value, str | Path) else value

    @field_validator("out", mode="after")
    @classmethod
    def _a_text_is_a_url(cls, value: Path | str | None) -> Path | str | None:
        return Path(value) if isinstance(value, str) and not is_url(value) else value

    @field_validator("run_dir", mode="after")
    @classmethod
    def _stages_are_kept_on_a_disk(cls, value: Path | None) -> Path | None:
        if value is not None and was_url(value):
            raise ValueError("a run folder cannot be in an object store: name one on a disk")
        return value

    @field_validator("leave_out_by", mode="before")
    @classmethod
    def _names_may_be_joined_by_commas(cls, value: Any) -> Any:
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            return value
        return [name.strip() for one in names for name in one.split(",")]

    @field_validator(*DEMANDS, mode="after")
    @classmethod
    def _demands_are_amounts_by_name(cls, value: list[str]) -> list[str]:
        demands(value)
        return value

    @field_validator("exclude", mode="after")
    @classmethod
    def _names_are_not_empty(cls, value: list[str]) -> list[str]:
        return list(patterns(value))

    @field_validator(*AMOUNTS, mode="before")
    @classmethod
    def _amounts_are_written_shortly(cls, value: Any) -> Any:
        return value if value is None else amount(value)

    @field_validator(*SIZES, mode="before")
    @classmethod
    def _sizes_have_units(cls, value: Any) -> Any:
        return value if value is None else size_in_bytes(value)

    @field_validator("executor", mode="before")
    @classmethod
    def _executors_are_known(cls, value: Any) -> Any:
        return value if value is None else executor(value)

    @field_validator(*STRATEGIES, mode="before")
    @classmethod
    def _strategies_are_made(cls, value: Any, field: ValidationInfo) -> Any:
        table, seed = STRATEGIES[str(field.field_name)], field.data.get("seed", 0)
        return value if value is None else table.made(value, seed=seed)

    @field_validator("*", mode="before")
    @classmethod  # the last one: it is asked first
    def _yes_and_no_are_neither_numbers_nor_words(cls, value: Any, field: ValidationInfo) -> Any:
        takes = cls.model_fields[str(field.field_name)].annotation
        if isinstance(value, bool) and takes is not bool:
            raise ValueError("yes and no (on, off) mean nothing here; a word stands in quotes")
        return value

    @property
    def law(self) -> Any:
        """The weight law in force."""
        if self.weights is not None:
            return self.weights
        return LAWS.made(PRESETS[self.preset][0], seed=self.seed)

    @property
    def row_ranker(self) -> Any:
        """The ranker in force."""
        if self.ranker is not None:
            return self.ranker
        return RANKERS.made(PRESETS[self.preset][1], seed=self.seed)

    @property
    def encoder_kind(self) -> str:
        """What `encoder` asks for besides the encoder itself: "student", "hybrid", or nothing."""
        return split_encoder(self.encoder or "")[0]

    @property
    def encoder_name(self) -> str:
        """The encoder, also where only its student is asked for; nothing where none is named."""
        return split_encoder(self.encoder or "")[1]

    @property
    def changes_preset(self) -> bool:
        """Whether something else runs than the preset's name stands for.

        The number of tasks and the seed are inputs of a preset, as the rows are; all else that
        decides which rows are taken is the preset's own.
        """
        inputs = {"preset": self.preset, "seed": self.seed}
        return _strategy(self) != _strategy(RunConfig.model_validate(inputs))

    @property
    def work_folder(self) -> Path:
        """Where the stages keep their work. Raises ConfigError without `run_dir` and `out`."""
        if self.run_dir is not None:
            return self.run_dir
        if isinstance(self.out, str):
            fault = "the mixture goes to an object store, and stages keep their work on a disk"
            raise ConfigError(fault, place="run_dir", fix="name a folder in `run_dir`")
        if self.out is not None:
            nameless = self.out.name in ("", "..")
            out = Path(os.path.abspath(self.out)) if nameless else self.out
            return out.parent / f"{out.name}.run"
        raise ConfigError("no run folder is given", place="run_dir", fix="name one in `run_dir`")


def _strategy(config: RunConfig) -> tuple[object, ...]:
    law = {**facts_of(config.law), "num_tasks": None}
    near = config.near_duplicates
    within = None if near is None else config.near_duplicates_within
    demanded = [getattr(config, name) for name in (*DEMANDS, "exclude")]
    more = (config.include_rows, config.exclude_rows, config.epochs, config.rounding)
    return law, facts_of(config.row_ranker), near, within, demanded, more


def _path(value: Any) -> Any:
    """`~` at the beginning, also of PATH in NAME=PATH, is the home of the user."""
    if not isinstance(value, str | Path):
        return value
    text = str(value)
    if not text or "\0" in text:
        raise ValueError("it is empty" if not text else "a path cannot hold a null character")
    name, path = text.split("=", 1) if "=~" in text else ("", text)
    if name:
        return f"{name}={os.path.expanduser(path)}"
    kind, path = split_encoder(text)
    return f"{kind}:{os.path.expanduser(path)}" if kind else os.path.expanduser(text)


def config_from(values: Mapping[str, Any], *, file: Path | None = None) -> RunConfig:
    """A checked configuration from the fields of a YAML file, if one is given, and `values`,
    which win.

    Raises ConfigError that names the field (and the file), what is wrong with it and what would
    be right.
    """
    file = file and Path(os.path.expanduser(file))
    fields = {**(read_fields(file) if file else {}), **values}
    try:
        return RunConfig.model_validate(fields)
    except ValidationError as problem:
        raise _config_error(problem, "" if file is None else f"{file}: ", values) from None


def _config_error(problem: ValidationError, of_file: str, values: Mapping[str, Any]) -> ConfigError:
    """The first fault, blamed on the file only where the value stands in it."""
    faults = problem.errors()
    unknown = [fault for fault in faults if fault["type"] == "extra_forbidden"]
    first = (unknown or faults)[0]  # an unknown name may be why another field is wrong
    name = str(first["loc"][0]) if first["loc"] else "configuration"
    place = name if name in values else of_file + name
    if first["type"] == "extra_forbidden":
        known = sorted(RunConfig.model_fields)
        meant = close_to(name.replace("-", "_"), known)
        fix = f'did you mean "{meant}"?' if meant else f"the fields are: {', '.join(known)}"
        if name == "code":
            fix = "it stands within a strategy: weights: {name: NAME, code: FILE.py}"
        return ConfigError("there is no such field", place=place, fix=fix)
    fault, fix = _words(first)
    given = repr(first["input"])
    given = given if len(given) <= 60 else given[:59] + "…"
    told = "(given: " in fault or fault.startswith('"')  # then it names the part that is wrong
    return ConfigError(fault if told else f"{fault} (given: {given})", place=place, fix=fix)


def _words(error: Any) -> tuple[str, str]:
    """Fault and fix of one error of pydantic, for people."""
    kind, limits = error["type"], error.get("ctx", {})
    if kind == "value_error":
        fault = limits["error"]
        if isinstance(fault, SmartxError):
            return (f"{fault.place}: " if fault.place else "") + fault.fault, fault.fix
        return str(fault), ""
    if kind == "greater_than_equal":
        return f"it must be at least {limits['ge']:,}", ""
    if kind == "less_than_equal":
        return f"it must be at most {limits['le']:,}", ""
    if kind == "literal_error":
        names = [name.strip("'") for name in re.split(", | or ", limits["expected"])]
        meant = close_to(str(error["input"]), names)
        return f"it must be one of {', '.join(names)}", meant and f"did you mean {meant}?"
    needed = {
        "int": ("a whole number is needed", "write it in digits, such as 25000"),
        "float": ("a number is needed", "write it in digits, such as 0.95"),
        "bool": ("yes or no is needed", ""),
        "string": ("a text is needed", "put it in quotes"),
        "path": ("a path is needed", ""),
        "list": ("a list is needed", ""),
    }
    return needed.get(kind.split("_")[0], (error["msg"], ""))


def close_to(word: str, names: Sequence[str]) -> str:
    """The name that somebody who wrote `word` meant, or nothing."""
    near = get_close_matches(word, names, 1) or [n for n in names if word and n.startswith(word)]
    return near[0] if near else ""
