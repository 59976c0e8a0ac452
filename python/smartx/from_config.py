"""What a configuration asks of the stages: sources and their columns, vectors, steps to come."""

from __future__ import annotations

from typing import Any

from smartx.config import RunConfig
from smartx.corpus import Columns, ingestion
from smartx.embed import EncoderSpec, HybridSpec, StudentSpec, VectorsSpec, default_encoder
from smartx.embed.run import Spec
from smartx.embed.student.spec import STUDENT
from smartx.engine import resolve_threads
from smartx.errors import ConfigError
from smartx.leave_out import Asked
from smartx.progress import Progress


def ingestion_of(config: RunConfig, progress: Progress) -> Any:
    """How the sources are read, for `ingested`. Raises ConfigError where there are none."""
    return ingestion(
        required(config, "sources"),
        columns=_columns(config),
        keep_empty_responses=config.keep_empty_responses,
        task_name=config.task,
        source_name=config.source,
        other_columns=not config.drop_other_columns,
        duplicates=config.duplicates,
        tokenizer=config.tokenizer,
        progress=progress,
    )


def _columns(config: RunConfig) -> Columns:
    return Columns(
        prompt=config.prompt_column,
        response=config.response_column,
        system=config.system_column,
        messages=config.messages_column,
        source=config.source_column,
        task=config.task_column,
        template=config.template_column,
    )


def vectors_of(config: RunConfig) -> Spec:
    """Where the vectors come from: a file of ready ones, an encoder, or its student."""
    if config.vectors is not None:
        return VectorsSpec(config.vectors, config.vectors_column)
    encoder = EncoderSpec(
        name=config.encoder_name or default_encoder(),
        revision=config.encoder_revision,
        batch_size=config.batch_size,
        max_length=config.max_length,
        prompt_prefix=config.prompt_prefix,
        turns=config.embed_turns,
        device=config.device,
        dtype=config.dtype,
        threads=resolve_threads(config.threads),
    )
    if not config.encoder_kind:
        return encoder
    student = StudentSpec(encoder, config.student_rows)  # another seed embeds nothing again
    if config.encoder_kind == STUDENT:
        return student
    return HybridSpec(student, config.teacher_rows or HybridSpec(student).teacher_rows)


def stages_of(command: str, config: RunConfig, *, embeds: bool) -> list[str]:
    """The stages of a command, in order, as a session tells of them. embeds: vectors are needed."""
    grouped = ["tasks"] if config.tasks is not None else []
    apart = [*(["leave_out"] if Asked(config) else []), *(["clean"] if config.clean else [])]
    ranked = [*apart, "rank"]
    mixed = [*ranked, *(["means"] if config.law.needs_means else []), "mix"]
    embedded = ["embed"] if embeds else []
    read = ["ingest"] if config.sources else []
    of_command = {
        "run": ["ingest", *embedded, *grouped, *mixed],
        "mix": [*grouped, *mixed],
        "rank": [*grouped, *ranked],
        "plan": read,
        "ingest": read,
        "embed": ["embed"],
        "features": [*read, "features"],
        "clean": [*read, "clean"],
        "tasks": grouped,
    }
    return of_command.get(command, [])


def required(config: RunConfig, field: str) -> Any:
    """The value of a field. Raises ConfigError where it was not given."""
    value = getattr(config, field)
    if value in (None, []):
        raise ConfigError("it is needed here and not given", place=field, fix=f"give `{field}`")
    return value
