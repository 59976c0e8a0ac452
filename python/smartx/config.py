"""The one configuration: every flag of the command line is a field here, and one YAML file can hold
them all.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from smartx.errors import ConfigError
from smartx.strategies import LAWS, RANKERS, TASK_FUNCTIONS

Preset = Literal["smart-acl2024", "proportional", "equal", "random"]
if TYPE_CHECKING:
    Function: TypeAlias = str
    TaskFunction: TypeAlias = str
    Law: TypeAlias = str
else:
    Function, TaskFunction = Literal[tuple(RANKERS)], Literal[tuple(TASK_FUNCTIONS)]
    Law = Literal[tuple(LAWS)]

# mixture = weight law x ranker x budget. A preset names the first two; the user's own choice
# goes before it.
PRESETS: dict[str, tuple[Law, Function]] = {
    "smart-acl2024": ("taylor-softmax", "facility-location"),
    "proportional": ("proportional", "random"),
    "equal": ("equal", "random"),
    "random": ("random-rows", "random"),
}


def size_in_bytes(value: Any) -> Any:
    """8G, 512M, 1.5GiB or a number of bytes, as a whole number. Raises ValueError otherwise."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kKmMgGtT]?)(?:[iI]?[bB])?\s*", str(value))
    if not found:
        raise ValueError("a size such as 8G or 512M is needed")
    return int(float(found[1]) * 1024 ** " KMGT".index(found[2].upper() or " "))


SIZES = ("memory", "dense_limit")  # fields in bytes


class RunConfig(BaseModel):
    """What to mix, how, and where to. The flag `--num-tasks` is the field `num_tasks`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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
    encoder: str | None = Field(None, description="sentence encoder: hub name or folder")
    encoder_revision: str | None = Field(None, description="revision of the encoder on the hub")
    batch_size: int | None = Field(None, ge=1, description="rows an encoder call")
    max_length: int | None = Field(None, ge=1, description="tokens of a prompt that are read")
    prompt_prefix: str = Field("", description="text put before every prompt for the encoder")
    device: str = Field(
        "auto", description="auto (all GPUs, or the CPU), cpu, cuda:1, or several: cuda:0,cuda:1"
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="number type the encoder computes in"
    )
    vectors: Path | None = Field(
        None,
        description="ready vectors instead of an encoder: .npy, or Parquet with vectors_column",
    )
    vectors_column: str | None = Field(None, description="column of the vectors in a Parquet file")

    # Which strategy
    preset: Preset = Field("smart-acl2024", description="a named choice of weight law and ranker")
    weights: Law | None = Field(None, description="weight law, instead of the preset's")
    ranker: Function | None = Field(None, description="ranker of rows, instead of the preset's")
    num_tasks: int | None = Field(
        None, ge=1, description="SMART's M': how many tasks (default all)"
    )
    task_function: TaskFunction = Field(
        "graph-cut", description="set function that orders the tasks"
    )
    penalty: float = Field(0.4, description="graph cut's lambda: how much redundancy costs")
    ridge: float = Field(1.0, description="log-det's lambda: added to the kernel's diagonal")
    dense_limit: int = Field(
        4 << 30,
        ge=0,
        description="largest kernel of facility location; a group above it is ranked over the "
        "neighbours of its rows",
    )
    near_duplicates: float | None = Field(
        None,
        ge=1e-6,
        le=1,
        description="leave out rows whose prompt's vector has at least this cosine with that of a "
        "better-ranked row of the same task and template, such as 0.95 (default: keep them)",
    )
    seed: int = Field(0, description="of every random choice")

    # How much, and where to
    rows: int | None = Field(None, ge=1, description="rows of the mixture")
    out: Path | None = Field(None, description="folder of the mixture")
    overwrite: bool = Field(
        False, description="replace the mixture that stands in OUT, if it is another one"
    )
    run_dir: Path | None = Field(
        None, description="folder where the stages keep their work (default: OUT.run)"
    )
    threads: int | None = Field(None, ge=1, description="default: all cores this process may use")
    memory: int | None = Field(
        None, ge=1, description="most to use, such as 8G (default: 3/4 of what is available)"
    )

    @field_validator("sources", mode="before")
    @classmethod
    def _one_source_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str | Path) else value

    @field_validator(*SIZES, mode="before")
    @classmethod
    def _sizes_have_units(cls, value: Any) -> Any:
        return value if value is None else size_in_bytes(value)

    @property
    def law(self) -> Law:
        """The weight law in force."""
        return self.weights or PRESETS[self.preset][0]

    @property
    def row_function(self) -> Function:
        """The ranker in force."""
        return self.ranker or PRESETS[self.preset][1]

    @property
    def changes_preset(self) -> bool:
        """Whether something else runs than the preset's name stands for.

        The number of tasks and the seed are inputs of a preset, as the rows are; all else that
        decides which rows are taken is the preset's own.
        """
        return _in_use(self) != _in_use(RunConfig.model_validate({"preset": self.preset}))

    @property
    def work_folder(self) -> Path:
        """Where the stages keep their work. Raises ConfigError without `run_dir` and `out`."""
        if self.run_dir is not None:
            return self.run_dir
        if self.out is not None:
            nameless = self.out.name in ("", "..")
            out = Path(os.path.abspath(self.out)) if nameless else self.out
            return out.parent / f"{out.name}.run"
        raise ConfigError("no run folder is given", place="run_dir", fix="name one in `run_dir`")


def _in_use(config: RunConfig) -> tuple[object, ...]:
    """What decides which rows a strategy takes, from the same corpus, vectors, M' and seed."""
    orders_tasks = config.law == "taylor-softmax"
    functions = {config.row_function, *([config.task_function] if orders_tasks else [])}
    return (
        config.law,
        config.row_function,
        config.task_function if orders_tasks else None,
        config.penalty if "graph-cut" in functions else None,
        config.ridge if "log-det" in functions else None,
        config.dense_limit if config.row_function == "facility-location" else None,
        config.near_duplicates,
    )


def config_from(values: Mapping[str, Any], *, file: Path | None = None) -> RunConfig:
    """A checked configuration from the fields of a YAML file, if one is given, and `values`,
    which win.

    Raises ConfigError that names the field (and the file), what is wrong with it and what would
    be right.
    """
    fields = {**(read_yaml(file) if file else {}), **values}
    try:
        return RunConfig.model_validate(fields)
    except ValidationError as problem:
        raise _config_error(problem, file) from None


def read_yaml(path: Path) -> dict[str, Any]:
    """The fields of a YAML file. Raises ConfigError where it cannot be read or is not a mapping."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise ConfigError(
            f"it cannot be read ({problem.strerror})", place=os.fspath(path)
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise ConfigError(f"it is not YAML: {problem}", place=os.fspath(path)) from None
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise ConfigError(
            "it must be a mapping of field names to values",
            place=os.fspath(path),
            fix="write lines such as `rows: 25000`",
        )
    return content


def _config_error(problem: ValidationError, file: Path | None) -> ConfigError:
    first = problem.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else "configuration"
    place = f"{file}: {name}" if file else f"--{name.replace('_', '-')}"
    if first["type"] == "extra_forbidden":
        known = ", ".join(sorted(RunConfig.model_fields))
        return ConfigError("there is no such field", place=place, fix=f"the fields are: {known}")
    return ConfigError(f"{first['msg']} (given: {first['input']!r})", place=place)
