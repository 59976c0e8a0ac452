"""The features that a strategy needs: from a file, from what was collected, or from a column."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from smartx.collect.forms import as_vectors, for_rows
from smartx.corpus import Corpus, open_corpus
from smartx.corpus.numbers import has_column
from smartx.corpus.regroup import original_of
from smartx.errors import ConfigError, StoreError
from smartx.features import (
    SCHEMA,
    STAGE,
    FeatureFile,
    StoredFeature,
    feature_there,
    kept_feature,
    missing,
)
from smartx.needs import Need
from smartx.progress import Progress, Silent
from smartx.run_folder import FEATURES, collected, collected_names
from smartx.store import Stage


def collected_feature(
    run: Path, corpus: Corpus, need: Need, *, make: bool = True
) -> StoredFeature | None:
    """The feature of this name that was collected last for this corpus; None where none was.

    Of rows that were put under found tasks it may have been collected before; a matrix is found
    where vectors are needed. make: these forms of it, where they are not there yet; else None.
    Raises ConfigError where it is of another kind, or the sources have a column of this name too;
    StoreError where its folder is damaged.
    """
    found = _standing(run, corpus, need.name)
    before = None if found is not None else original_of(corpus)
    if before is not None:
        read = open_corpus(before)
        found = _standing(run, read, need.name)
        found = None if found is None else for_rows(found, read, run, corpus, make=make)
    if found is None:
        return None
    if need.kind == "column" and has_column(corpus, need.name):
        raise ConfigError(
            f'"{need.name}" is a column of the sources, and was collected too',
            place="feature",
            fix="say which in `feature`, or collect it under another name",
        )
    kind = found.manifest["parameters"]["kind"]
    if (kind, need.kind) == ("matrix", "vectors"):
        return as_vectors(found, run, corpus, make=make)
    if kind != need.kind:
        raise ConfigError(
            f'"{need.name}" was collected as a {kind}, and a {need.kind} is needed',
            place="feature",
            fix="name another feature",
        )
    return found


def needed_feature(
    corpus: Corpus,
    need: Need,
    files: Mapping[str, FeatureFile],
    run: Path,
    *,
    make: bool = True,
    progress: Progress | None = None,
) -> StoredFeature | None:
    """A feature of the rows: of the file that was given for it, else what was collected under its
    name, else a column of the sources.

    make: what is not in the run folder yet; else None is returned for it.
    Raises what `kept_feature` and `collected_feature` raise.
    """
    file = files.get(need.name)
    found = None if file is not None else collected_feature(run, corpus, need, make=make)
    if found is not None:
        if make:
            made = found.manifest["parameters"].get("by", "collected")
            told = f"feature {need.name}: {found.folder.name}, by smartx features {made}"
            (progress or Silent()).note(told)
        return found
    if make and file is None and need.kind != "column" and is_collected(run, need.name):
        raise _of_others(need)
    asked = (corpus, need, file, run / FEATURES)
    return kept_feature(*asked, progress=progress) if make else feature_there(*asked)


def is_collected(run: Path, name: str) -> bool:
    """Whether a feature of this name was collected in the run folder, for whichever rows."""
    return name in collected_names(run)


def _standing(run: Path, corpus: Corpus, name: str) -> StoredFeature | None:
    folder = collected(run, corpus.digest).get(name)
    if folder is None:
        return None
    stage = Stage(STAGE, folder)
    manifest = stage.manifest(SCHEMA)
    if not stage.is_done(manifest["key"]):
        raise StoreError(
            "its files are not what its manifest says",
            place=str(folder),
            fix="run the `smartx features` command that made it again",
        )
    return StoredFeature(folder, manifest)


def _of_others(need: Need) -> ConfigError:
    told = missing(need)
    return ConfigError(
        f'the feature "{need.name}" that was collected is one of other rows',
        place="feature",
        fix=f"run the `smartx features` command for these rows, or {told.fix}",
    )
