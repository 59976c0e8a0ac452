"""How long the units of a stage take on so many nodes, and what they wait for."""

from __future__ import annotations

from dataclasses import dataclass

from billion_rows.rates import Rates
from billion_rows.stages import Stage
from smartx.units import Unit, shares


@dataclass(frozen=True)
class Nodes:
    """cores: of a node, of which a worker takes `threads`.  efficiency: of each of these.
    memory: bytes.  disk: bytes a second that all nodes together read and write.
    price, gpu_price: of an hour of a node, and of a card.  gpus: of a node.
    """

    count: int
    cores: int
    threads: int
    efficiency: float
    memory: float
    disk: float
    price: float
    gpus: int
    gpu_price: float


@dataclass(frozen=True)
class Took:
    """Seconds of a stage. alone: one node works.  opening, made: all nodes.  why: what bounds it.
    money: all nodes while units are made, one while one works.
    """

    seconds: float
    alone: float
    opening: float
    made: float
    why: str
    money: float
    short_of_memory: bool


def took(stage: Stage, nodes: Nodes, rates: Rates) -> Took:
    """The stage on so many nodes: its units go longest first to the worker with the least to do."""
    per_node = nodes.gpus if stage.on_gpus else max(1, nodes.cores // nodes.threads)
    workers = nodes.count * per_node
    speed = 1.0 if stage.on_gpus else nodes.threads * nodes.efficiency
    alone = stage.before + stage.after
    if not stage.units:
        seconds = max(alone, (stage.read + stage.written) / nodes.disk)
        return Took(seconds, alone, 0, 0, stage.alone, nodes.price * seconds / 3600, False)
    # Readers of the same bytes share the disk.
    opening = rates.start + max(stage.opening, workers * stage.opened / nodes.disk)
    spans = {
        "work": makespan(stage.units, min(workers, len(stage.units)), speed, rates.unit),
        "the shared disk": (stage.read + stage.written) / nodes.disk,
        "handing units out": len(stage.units) * rates.unit,
    }
    why, made = max(spans.items(), key=lambda item: item[1])
    longest = max(unit.seconds for unit in stage.units) / speed
    if why == "work" and made < 1.05 * longest:
        why = "the largest unit"
    parallel = opening + made
    if alone > max(opening, made):
        why = stage.alone
    elif opening > made:
        embeds = stage.name.startswith("embed")
        why = "every worker reads " + ("all texts" if embeds else "where all vectors lie")
    price = nodes.price + (nodes.gpus * nodes.gpu_price if stage.on_gpus else 0)
    money = (nodes.count * price * parallel + nodes.price * alone) / 3600
    short = stage.memory * per_node > nodes.memory
    return Took(alone + parallel, alone, opening, made, why, money, short)


def makespan(units: list[Unit], workers: int, speed: float, overhead: float) -> float:
    """Until the last worker is done."""
    loads = shares(units, workers)
    return max(sum(unit.seconds / speed + overhead for unit in load) for load in loads)
