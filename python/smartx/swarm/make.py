"""The mixtures of a swarm from the rankings of one run: SWARM/mix-000, ... and what was taken.

All have one budget (rows or tokens) and the same nested rankings: of two mixtures, the one that
takes less of a task takes rows that the other takes too. No row comes more often than `epochs`
allows. mix-000 is the prior itself, as a control.

    SWARM/mix-000/      a mixture that trainers load; with rows_only mix-000.npy, (n,) int64 row ids
    SWARM/ratios.csv    a line a mixture, the shares that were really taken
    SWARM/swarm.json    what was asked, the prior, the caps; written last
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from smartx.budget import supply_of, supply_of_rows
from smartx.config import RunConfig
from smartx.errors import ConfigError, StoreError
from smartx.files import canonical_json, commit_bytes, committing, own
from smartx.mixture.assemble import all_ranked
from smartx.mixture.out import causes, delete_mixture
from smartx.progress import Progress, Silent, step
from smartx.session import Session
from smartx.strategies import facts_of
from smartx.swarm.designs import dirichlet, divergence, leave_one_out, scale_one
from smartx.swarm.tables import RUN, write_table
from smartx.swarm.units import Level, Units, units_of

Design = Literal["dirichlet", "leave-one-out", "scale-one"]
DESIGNS = ("dirichlet", "leave-one-out", "scale-one")
SCHEMA = 1
RATIOS, MANIFEST = "ratios.csv", "swarm.json"
FACTOR = 2.0


@dataclass(frozen=True)
class Wanted:
    """What a swarm is to hold.

    design: "dirichlet": draws around the prior; "leave-one-out": the prior without a unit;
    "scale-one": a unit's share times `factor`.  level: of the units.
    count: mixtures, the prior among them; None: 64 draws, or one for each unit and the prior.
    concentration: of the draws; None: the number of units, so that equal priors are uniform draws.
    rows_only: write row ids, not mixtures.
    """

    design: Design = "dirichlet"
    level: Level = "task"
    count: int | None = None
    concentration: float | None = None
    factor: float = FACTOR
    rows_only: bool = False

    def __post_init__(self) -> None:
        if self.design not in DESIGNS:
            raise ConfigError(
                f"it must be one of {', '.join(DESIGNS)}, not {self.design!r}", place="design"
            )
        if self.level not in ("task", "source"):
            raise ConfigError(f"it must be task or source, not {self.level!r}", place="level")
        if self.count is not None and self.count < 1:
            raise ConfigError(f"it must be at least 1, not {self.count}", place="count")
        for name, value in (("concentration", self.concentration), ("factor", self.factor)):
            if value is not None and not 0 < value < np.inf:
                raise ConfigError(f"it must be above 0, not {value}", place=name)


@dataclass(frozen=True)
class Swarm:
    """A swarm on disk. folder: of its files.  manifest: as it stands there."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def units(self) -> Units:
        """What was varied."""
        return Units.of_facts(self.manifest["units"])


def make_swarm(config: RunConfig, wanted: Wanted, progress: Progress | None = None) -> Swarm:
    """Write the swarm that is wanted to the folder `out` of the configuration.

    config: as for `mix`; its weight law is the prior. Mixtures that stand there as they are wanted
    are used as they are.
    Raises ConfigError, InputError for what cannot be, before a mixture is written; StoreError where
    another swarm, or something else, stands in `out` (unless `overwrite`).
    """
    if config.out is None:
        raise ConfigError("it is needed here and not given", place="out", fix="give `out`")
    if isinstance(config.out, str):
        fault, fix = "a swarm is written to a disk", "name a folder, and copy it to the store"
        raise ConfigError(fault, place="out", fix=fix)
    folder, progress = config.out, progress or Silent()
    session = Session(_with(config, out=folder / _name(0)), progress, command="mix")
    with session.alone():
        _, facts = session.choose()
        plan = _planned(facts, _held(session), wanted, session)
        manifest = {**plan.manifest, "prior_law": facts_of(config.law)}
        stands = _check_other(folder, manifest, overwrite=config.overwrite)
        own(folder, "swarm")
        if not stands:  # what is half replaced must not look finished
            _clear(folder, len(plan.shares), wanted)
            (folder / MANIFEST).unlink(missing_ok=True)
        taken = []
        with step(progress, "swarm", len(plan.shares), "mixtures") as advance:
            session.progress = Silent()
            for place, shares in enumerate(plan.shares):
                session.law = plan.units.law(shares)
                taken.append(_write(session, folder, place, wanted, plan.units))
                advance(1)
    ratios = np.array([row for row, _ in taken])
    names = [_name(place) for place in range(len(taken))]
    rows = [[name, *row] for name, row in zip(names, ratios.tolist(), strict=True)]
    write_table(folder / RATIOS, [RUN, *plan.units.names], rows)
    manifest["mixtures"] = [
        {"run": name, "kl": round(float(kl), 9), "digest": digest}
        for name, kl, (_, digest) in zip(
            names, divergence(ratios, plan.shares[0]), taken, strict=True
        )
    ]
    commit_bytes(folder / MANIFEST, canonical_json(manifest))
    return Swarm(folder, manifest)


def open_swarm(folder: Path) -> Swarm | None:
    """The swarm in a folder; None where none has been finished there.

    Raises StoreError for one that cannot be read.
    """
    path = folder / MANIFEST
    if not path.exists():
        return None
    try:
        manifest = json.loads(path.read_bytes())
        if manifest["schema"] != SCHEMA or manifest["stage"] != "swarm":
            raise ValueError("it is of another version")
        found = Swarm(folder, manifest)
        found.units.gathered(np.zeros(len(found.units.tasks)))
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise StoreError(
            f"it cannot be read ({type(problem).__name__}: {problem})",
            place=str(path),
            fix="run `smartx swarm` again",
        ) from None
    return found


@dataclass(frozen=True, eq=False)
class _Plan:
    units: Units
    shares: NDArray[np.float64]
    manifest: dict[str, Any]


def _planned(
    facts: Mapping[str, Any], held: NDArray[np.int64], wanted: Wanted, session: Session
) -> _Plan:
    """The mixtures of a swarm: shares of units, the prior first.

    facts: of the prior's mixture, which say what it gives each task.  held: (M,) what each may
    give, repetitions counted. Both are rows, or tokens where the budget is in tokens.
    """
    tasks = [(str(task["source"]), str(task["task"])) for task in facts["tasks"]]
    given, budget, seed = _amounts(facts), session.budget, session.config.seed
    total, units = int(given.sum()), units_of(tasks, given, wanted.level)
    prior, most = units.gathered(given) / total, units.most(held)
    shares = _design(prior, np.minimum(most / total, 1.0), wanted, seed, units)
    manifest = {
        "stage": "swarm",
        "schema": SCHEMA,
        **asdict(wanted),
        "count": len(shares),
        "seed": seed,
        "budget": budget.facts(),
        "total": total,
        "unit": "token" if budget.kind else "row",
        "epochs": budget.epochs,
        "ranker": facts["ranker"],
        "inputs": facts["inputs"],
        "units": units.facts(),
        "prior": prior.tolist(),
        "most": most.tolist(),
    }
    return _Plan(units, shares, manifest)


def _amounts(facts: Mapping[str, Any]) -> NDArray[np.int64]:
    """(M,) rows that a mixture has of each task, or their tokens where the budget is in tokens."""
    return np.array([task.get("tokens", task["rows"]) for task in facts["tasks"]], dtype=np.int64)


def _held(session: Session) -> NDArray[np.int64]:
    """(M,) what may be taken of each task, repetitions counted, in the unit of the budget."""
    corpus, budget, rankings = session.corpus, session.budget, session.rank()
    if budget.by_row:
        takeable = all_ranked(corpus, rankings).takeable
        supply = supply_of(corpus.groups, **budget.limits(corpus, takeable))
    else:
        supply = supply_of_rows(corpus.groups.resized(rankings.kept_of_groups(corpus.groups)))
    held: NDArray[np.int64] = np.add.reduceat(supply.held, corpus.groups.tasks().first_group[:-1])
    return held


def _design(
    prior: NDArray[np.float64],
    caps: NDArray[np.float64],
    wanted: Wanted,
    seed: int,
    units: Units,
) -> NDArray[np.float64]:
    """(count, p) shares, the prior first."""
    having, names, count = int((prior > 0).sum()), units.names, wanted.count
    if wanted.design == "dirichlet":
        drawn = dirichlet(
            prior,
            (64 if count is None else count) - 1,
            concentration=float(wanted.concentration or having),
            caps=caps,
            seed=seed,
            names=names,
        )
        return np.vstack([prior[None, :], drawn])
    if count is not None and count > 1 + having:
        raise ConfigError(
            f"{wanted.design} has {1 + having:,} mixtures, the prior and one for each "
            f"{wanted.level}",
            place="count",
            fix=f"at most {1 + having:,}",
        )
    if wanted.design == "leave-one-out":
        drawn = leave_one_out(prior)
    else:
        drawn = scale_one(prior, wanted.factor, names=names)
    drawn = drawn[: None if count is None else count - 1]
    return np.vstack([prior[None, :], drawn])


def _write(
    session: Session, folder: Path, place: int, wanted: Wanted, units: Units
) -> tuple[NDArray[np.float64], str]:
    """One mixture, or its row ids. Returns the shares that were taken, and its digest."""
    out = folder / _name(place)
    session.config = _with(session.config, out=out)
    if wanted.rows_only:
        chosen, facts = session.choose()
        rows = chosen.row_ids.astype("<i8")
        with committing(out.with_suffix(".npy")) as path, path.open("wb") as file:
            np.save(file, rows)
        digest = hashlib.sha256(rows.tobytes()).hexdigest()  # that of a mixture of these rows
    else:
        facts = session.mix().manifest
        digest = str(facts["digest"])
    given = _amounts(facts)
    return units.gathered(given) / given.sum(), digest


def _check_other(folder: Path, manifest: Mapping[str, Any], *, overwrite: bool) -> bool:
    """Whether the very swarm stands there. Raises StoreError where another one does."""
    found = open_swarm(folder)
    if found is None:
        return False
    wanted = json.loads(canonical_json(dict(manifest)))
    differ = sorted(name for name in wanted if found.manifest.get(name) != wanted[name])
    if differ and not overwrite:
        raise StoreError(
            f"another swarm stands there (it differs in: {', '.join(causes(differ))})",
            place=str(folder),
            fix="choose another folder for `out`, or pass `overwrite` to replace it",
        )
    return not differ


def _clear(folder: Path, count: int, wanted: Wanted) -> None:
    """Delete the mixtures of the swarm that stood here which the new one does not replace."""
    found = open_swarm(folder)
    if found is None:
        return
    kept = {_name(place) for place in range(count)}
    of_kind = bool(found.manifest.get("rows_only")) == wanted.rows_only
    for one in found.manifest["mixtures"]:
        name = str(one["run"])
        if re.fullmatch(r"mix-\d{3,}", name) and not (of_kind and name in kept):
            delete_mixture(folder / name)
            rows = folder / f"{name}.npy"
            if rows.is_file() and _digest_of(rows) == one["digest"]:
                rows.unlink()


def _digest_of(path: Path) -> str:
    """Of the row ids in a file; nothing where it holds something else."""
    try:
        rows = np.load(path, allow_pickle=False)
    except (OSError, ValueError):
        return ""
    return hashlib.sha256(rows.tobytes()).hexdigest()


def _with(config: RunConfig, *, out: Path) -> RunConfig:
    return config.model_copy(update={"out": out, "run_dir": config.work_folder})


def _name(place: int) -> str:
    return f"mix-{place:03d}"
