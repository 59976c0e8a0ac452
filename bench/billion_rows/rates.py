"""How fast one thread of a machine is, and how large rows are: what the simulation goes by."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from smartx import pipeline
from smartx.config import RunConfig, config_from
from smartx.dividing import divided
from smartx.embed.texts import Texts, strings
from smartx.progress import Silent
from smartx.session import Session

_TEACHER_TEXTS = 192
_FILES = 4


@dataclass(frozen=True)
class Rates:
    """Of one thread, in seconds a row where nothing else is said.

    read: a file of the sources becomes a part of the corpus.  gathered: the corpus is put together
    of all parts.  digested: a text is read and its digest taken, by whoever embeds.
    taught, looked_up: a text is embedded by the transformer MiniLM, by a table as a student is.
    placed: each row's vector is found.  ranked: seconds for one that the cost model says.
    assembled: pieces of a ranking are put together.  mixed: of a row of the mixture.
    weighed: of a row of the corpus, while a mixture is chosen.
    source, corpus, ranking, mixture: bytes of a row on disk; others: of a vector's places.
    unit: seconds to hand a unit out and hear of it.  start: until a worker is ready.
    """

    read: float
    gathered: float
    digested: float
    taught: float
    looked_up: float
    placed: float
    ranked: float
    assembled: float
    mixed: float
    weighed: float
    source: float
    corpus: float
    ranking: float
    mixture: float
    unit: float = 0.004
    start: float = 3.0

    @classmethod
    def kept(cls, path: Path) -> Rates:
        return cls(**json.loads(path.read_text()))

    def save(self, path: Path) -> None:
        told = {name: float(f"{value:.4g}") for name, value in asdict(self).items()}
        path.write_text(json.dumps(told, indent=1) + "\n")


def measured(sources: list[Path], teacher: Path, folder: Path) -> Rates:
    """Run the stages over these files (Parquet), one thread each; processor time counts, so that
    other work on the machine matters little. teacher: a folder of a static encoder.
    """
    shutil.rmtree(folder / "run", ignore_errors=True)
    files = _cut(sources, folder / "sources")
    fields: dict[str, Any] = {"sources": [str(path) for path in files], "threads": 1}
    fields |= {"run_dir": str(folder / "run"), "out": str(folder / "mix")}
    fields |= {"encoder": str(teacher), "overwrite": True}
    config = config_from({**fields, "rows": 1000})
    took: dict[str, float] = {}

    def timed(name: str, work: Any) -> Any:
        began = time.process_time()
        made = work()
        took[name] = time.process_time() - began
        return made

    def both(stage: str, step: Any) -> Any:
        timed(f"{stage} units", lambda: pipeline.shard_step(config, Silent(), stage, "0/1"))
        return timed(stage, lambda: step(config, Silent()))

    corpus = both("ingest", pipeline.ingest_step)
    timed("digests", lambda: Texts(corpus, "").digests)
    both("embed", pipeline.embed_step)
    seconds = _model_seconds(config)
    rankings = both("rank", pipeline.rank_step)
    rows, mixed = corpus.num_rows, dict[int, float]()
    for part in (100, 10):
        asked = config.model_copy(update={"rows": rows // part})
        pipeline.mix_step(asked, Silent())  # means of tasks are kept after the first
        timed("mix", lambda asked=asked: pipeline.mix_step(asked, Silent()))
        mixed[part] = took["mix"]
    of_mixed = (mixed[10] - mixed[100]) / (rows // 10 - rows // 100)
    per = {name: value / rows for name, value in took.items()}
    return Rates(
        read=per["ingest units"],
        gathered=per["ingest"],
        digested=per["digests"],
        taught=_taught(corpus),
        looked_up=max(per["embed units"] - per["digests"], 0.0),
        placed=per["embed"],
        ranked=took["rank units"] / seconds,
        assembled=per["rank"],
        mixed=of_mixed,
        weighed=max(0.0, mixed[100] - of_mixed * (rows // 100)) / rows,
        source=sum(path.stat().st_size for path in files) / rows,
        corpus=_size(corpus.folder) / rows,
        ranking=_size(rankings.folder) / rows,
        mixture=_size(folder / "mix" / "data") / (rows // 10),
    )


def _cut(sources: list[Path], folder: Path) -> list[Path]:
    """The same rows in more files, so that reading is divided."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    made = []
    for path in sources:
        table = pq.read_table(path)
        size = -(-table.num_rows // _FILES)
        for number in range(_FILES):
            made.append(folder / f"{path.stem}-{number}.parquet")
            pq.write_table(table.slice(number * size, size), made[-1])
    return made


def _model_seconds(config: RunConfig) -> float:
    """Of all units of the ranking, by the cost model."""
    session = Session(config.model_copy(update={"sources": []}), None, command="rank")
    with session.alone():
        work = divided(session, "rank")
    assert work is not None
    return sum(unit.seconds for unit in work.units())


def _taught(corpus: Any) -> float:
    """Of MiniLM, on texts from all over the corpus."""
    from smartx.embed.encoders import PACKAGED, EncoderSpec
    from smartx.embed.loading import loaded

    rows = np.unique(np.linspace(0, corpus.num_rows - 1, _TEACHER_TEXTS, dtype=np.int64))
    texts = [text for part in Texts(corpus, "").of(rows) for text in strings(part)]
    with loaded(EncoderSpec(PACKAGED, device="cpu", threads=1), Silent()) as encoder:
        read = encoder.read(texts)
        order = np.argsort(read.lengths, kind="stable")
        batches = [order[at : at + 16] for at in range(0, len(order), 16)]
        encoder.encode([read.texts[batches[0][0]]], int(read.lengths[batches[0][0]]))
        began = time.process_time()
        for batch in batches:
            encoder.encode([read.texts[i] for i in batch], int(read.lengths[batch].max()))
        return (time.process_time() - began) / len(rows)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
