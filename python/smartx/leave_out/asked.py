"""What a configuration wants left out, found with the vectors of the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smartx.config import RunConfig
from smartx.corpus import Corpus
from smartx.costs import StagePlan
from smartx.embed import Embeddings, VectorsSpec, embed_corpus, embeddings_there
from smartx.embed.run import Source, encoder_of
from smartx.errors import ConfigError
from smartx.leave_out.cost import leave_out_cost
from smartx.leave_out.detection import DETECTORS, NEAR, Detection
from smartx.leave_out.evaluation import EvaluationSet, evaluation_sets, set_names
from smartx.leave_out.left_out import LeftOut, Vectors, leave_out, left_out_there
from smartx.leave_out.trained import Trained, trained_on
from smartx.progress import Progress, Silent
from smartx.run_folder import LEAVE_OUT

_SILENT = Silent()


@dataclass(frozen=True)
class Asked:
    """Evaluation sets and data sets that were trained on, as a configuration names them."""

    config: RunConfig

    def __bool__(self) -> bool:
        """Whether anything is to be left out."""
        return bool(self.config.leave_out or self.config.trained)

    @property
    def near(self) -> bool:
        """Whether vectors are looked at."""
        return bool(self.config.leave_out) and NEAR in self.detection.by

    @property
    def detection(self) -> Detection:
        """By what rows are told to be in an evaluation set. Raises ConfigError, InputError."""
        config = self.config
        return Detection(
            by=tuple(config.leave_out_by),
            words=config.leave_out_words,
            share=config.leave_out_share,
            cosine=config.leave_out_cosine,
        )

    def check(self) -> None:
        """Raise ConfigError where the fields contradict each other."""
        config = self.config
        if not self:
            return
        _ = self.detection
        set_names(config.leave_out, "leave_out")
        set_names(config.trained, "trained")
        vectors = len(config.leave_out_vectors)
        if vectors and vectors != len(config.leave_out):
            raise ConfigError(
                f"{vectors} files of vectors do not fit {len(config.leave_out)} evaluation sets",
                place="leave_out_vectors",
                fix="give one file for each set, in the same order, or none",
            )
        if self.near and config.vectors is not None:
            self._check_ready()

    def _check_ready(self) -> None:
        """The rows have ready vectors: then so must the evaluation sets."""
        if not self.config.leave_out_vectors:
            raise ConfigError(
                "the rows have ready vectors, so near rows need those of the evaluation sets too",
                place="leave_out_vectors",
                fix=f"give them, or `leave_out_by` {','.join(DETECTORS[:2])}",
            )

    def facts(self) -> dict[str, Any]:
        """What a manifest says of it before anything is found; nothing where nothing is asked."""
        if not self:
            return {}
        sets = set_names(self.config.leave_out, "leave_out")
        trained = set_names(self.config.trained, "trained")
        how = self.detection.parameters() if sets else {}
        return {"sets": sets, "trained": trained, **how}

    def find(
        self,
        corpus: Corpus,
        run_folder: Path,
        encoding: Source,
        embeddings: Callable[[], Embeddings],
        *,
        threads: int,
        memory: int | None = None,
        progress: Progress = _SILENT,
    ) -> LeftOut:
        """Find the rows, or use what stands in RUN/leave_out/ID.

        encoding: of the run, with which evaluation rows are embedded.  embeddings: of the corpus,
        asked for where near rows are. Raises ConfigError where these are of another encoder.
        """
        sets, trained = self._read(corpus, run_folder, memory, progress)
        vectors = None
        if self.near:
            rows = embeddings().by_one_encoder
            if "vectors" in rows.manifest["parameters"]:
                self._check_ready()
            specs = self._encodings(encoder_of(corpus, encoding, run_folder))
            own = [
                embed_corpus(one.corpus, spec, run_folder, progress=progress)
                for one, spec in zip(sets, specs, strict=True)
            ]
            for known in own:
                _check_one_encoder(rows.manifest, known.manifest)
            vectors = Vectors(rows, own)
        return leave_out(
            corpus,
            sets,
            run_folder / LEAVE_OUT,
            self.detection,
            vectors=vectors,
            trained=trained,
            threads=threads,
            progress=progress,
        )

    def there(
        self, corpus: Corpus, run_folder: Path, encoding: Source, embeddings: Embeddings | None
    ) -> LeftOut | None:
        """What `find` would use, if it stands in the run folder. Evaluation sets are read."""
        sets, trained = self._read(corpus, run_folder, None, _SILENT)
        vectors = None
        if self.near:
            specs = self._encodings(encoder_of(corpus, encoding, run_folder))
            own = [
                embeddings_there(one.corpus, spec, run_folder)
                for one, spec in zip(sets, specs, strict=True)
            ]
            known = [one for one in own if one is not None]
            if embeddings is None or len(known) < len(sets):
                return None
            vectors = Vectors(embeddings.by_one_encoder, known)
        folder = run_folder / LEAVE_OUT
        return left_out_there(
            corpus, sets, folder, self.detection, vectors=vectors, trained=trained
        )

    def cost(
        self, corpus: Corpus, run_folder: Path, *, dimensions: int, threads: int, done: bool
    ) -> StagePlan:
        """What `find` takes. dimensions: of the vectors of the run.  done: it stands there."""
        sets, trained = self._read(corpus, run_folder, None, _SILENT)
        known = [one.corpus for one in sets] + [one.texts for one in trained if one.texts]
        return leave_out_cost(
            corpus,
            known,
            run_folder / LEAVE_OUT,
            dimensions=dimensions if self.near else 0,
            threads=threads,
            done=done,
        )

    def _read(
        self, corpus: Corpus, run_folder: Path, memory: int | None, progress: Progress
    ) -> tuple[list[EvaluationSet], list[Trained]]:
        config = self.config
        sets = evaluation_sets(
            config.leave_out,
            run_folder,
            prompt_column=config.leave_out_column,
            memory=memory,
            progress=progress,
        )
        known = trained_on(config.trained, corpus, run_folder, memory=memory, progress=progress)
        return sets, known

    def _encodings(self, encoding: Source) -> list[Source]:
        """What makes the vectors of each evaluation set."""
        given = self.config.leave_out_vectors
        if given:
            return [VectorsSpec(path) for path in given]
        return [encoding] * len(self.config.leave_out)


def _check_one_encoder(rows: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Raise ConfigError where vectors are known to be made by two encoders."""
    made = [{**one["inputs"], **one["parameters"]} for one in (rows, own)]
    if any("vectors" in one for one in made):
        return  # of a file nobody knows
    first, second = ({k: v for k, v in one.items() if k != "corpus"} for one in made)
    if differ := sorted(name for name in first if first[name] != second.get(name)):
        names = [str(one["parameters"].get("encoder")) for one in (rows, own)]
        raise ConfigError(
            f"the vectors of the rows are of {names[0]}, and evaluation rows would be embedded by "
            f"{names[1]} (they differ in: {', '.join(differ)})",
            place="leave_out_by",
            fix="give the `encoder` and its options as they were when the rows were embedded",
        )
