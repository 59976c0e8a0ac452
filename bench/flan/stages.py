"""What is run over a made-up corpus, one process a stage, and what each stage took."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flan.make import Spec

HERE = Path(__file__).parent.parent
SMARTX = ("-c", "from smartx.cli import main; main()")
SPEC_FILE = "spec.json"
WATCH_SECONDS = 2.0
FINISHED = re.compile(r": [\d,]+ \w+ in [\d.]+ ?[a-z]")  # "embed: 1,018 rows in 1m11s"


@dataclass(frozen=True)
class Stage:
    """One process. makes: the folder in the bench's folder that it writes, "" if it only reads."""

    name: str
    command: tuple[str, ...]
    makes: str = ""


def stages(
    folder: Path, rows: int, threads: int, memory: str, encoder: str | None = None
) -> list[Stage]:
    """Every stage, in order. rows: of the corpus; the mixtures take 1 % and 10 % of them.
    encoder: of smartx, with its flags, embeds the texts; without one vectors are made for them."""
    run, spec = str(folder / "run"), str(folder / SPEC_FILE)

    def smartx(command: str, *flags: str) -> tuple[str, ...]:
        return (*SMARTX, command, *flags)

    def mix(percent: int) -> tuple[str, ...]:
        out = str(folder / f"mix-{percent}")
        return ("--run-dir", run, "--rows", str(max(1, rows * percent // 100)), "--out", out)

    limits = ("--threads", str(threads), "--memory", memory)
    vectors = [
        Stage("vectors", ("-m", "flan.make", "embeddings", spec, str(folder)), "run/vectors"),
        Stage("plan", smartx("plan", *mix(1), *limits)),
    ]
    if encoder:
        told = ("--encoder", *encoder.split())
        vectors = [
            Stage("plan", smartx("plan", *mix(1), *told, *limits)),
            Stage("embed", smartx("embed", "--run-dir", run, *told), "run/vectors"),
        ]
    return [
        Stage("texts", ("-m", "flan.make", "sources", spec, str(folder)), "sources"),
        Stage("ingest", smartx("ingest", str(folder / "sources"), "--run-dir", run), "run/corpus"),
        *vectors,
        Stage("rank", smartx("rank", "--run-dir", run, *limits), "run/rankings"),
        Stage("mix 1 %", smartx("mix", *mix(1), *limits), "mix-1"),
        Stage("mix 10 %", smartx("mix", *mix(10), *limits), "mix-10"),
        Stage("verify", smartx("verify", run)),
        Stage("verify mix", smartx("verify", str(folder / "mix-10"))),
    ]


def write_spec(spec: Spec, folder: Path) -> None:
    """Raises SystemExit where the folder belongs to another corpus."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / SPEC_FILE
    if path.exists() and json.loads(path.read_text()) != asdict(spec):
        raise SystemExit(f"{folder} holds another corpus ({path}): name another --folder")
    path.write_text(json.dumps(asdict(spec)))


def forget(stage: Stage, folder: Path) -> None:
    """Delete what a stage wrote, so that it is made anew."""
    if stage.makes:
        shutil.rmtree(folder / stage.makes, ignore_errors=True)


def run(stage: Stage, folder: Path) -> dict[str, Any]:
    """Run a stage. What it prints is shown, and kept in FOLDER/logs.

    Returns wall, cpu: seconds.  memory: bytes, the largest resident set of its process, as the
    system counted it.  memory_all: of it and its children together, at most, looked at every two
    seconds.  steps: what it said was finished, with wall and cpu until then.  disk: bytes of what
    it made.  disk_peak: of the whole folder, at most.
    load: of the machine, before and after.  failure: how it ended, where that is not well.
    """
    begun = folder / "logs" / f"{stage.name}.begun"
    begun.parent.mkdir(exist_ok=True)
    resumed = begun.exists()
    begun.touch()
    before = os.getloadavg()[0]
    peak, over = {"disk": 0, "memory": 0, "process": 0}, threading.Event()
    steps: list[dict[str, Any]] = []
    watcher = threading.Thread(target=_watch, args=(folder, peak, over))
    watcher.start()
    started = time.perf_counter()
    try:
        log = folder / "logs" / stage.name
        status, usage = _waited([sys.executable, *stage.command], log, peak, steps)
    finally:
        over.set()
        watcher.join()
    row = {
        "stage": stage.name,
        "wall": round(time.perf_counter() - started, 2),
        "cpu": round(usage.ru_utime + usage.ru_stime, 2),
        "memory": usage.ru_maxrss << 10,
        "memory_all": max(peak["memory"], usage.ru_maxrss << 10),
        "disk": _size(folder / stage.makes) if stage.makes else 0,
        "disk_peak": peak["disk"],
        "steps": steps,
        "load": [round(before, 2), round(os.getloadavg()[0], 2)],
        "resumed": resumed,
    }
    if status:
        return row | {"failure": f"status {status}"}
    begun.unlink()
    return row


def _waited(
    command: Sequence[str], log: Path, peak: dict[str, int], steps: list[dict[str, Any]]
) -> tuple[int, Any]:
    """Run to the end, showing and keeping what is said. Returns status and resource usage."""
    started = time.perf_counter()
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    with log.with_suffix(".log").open("a") as kept:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        peak["process"] = process.pid
        assert process.stdout is not None
        try:
            for line in process.stdout:
                print(f"    {line}", end="", flush=True)
                kept.write(line)
                if FINISHED.search(line):
                    wall = round(time.perf_counter() - started, 2)
                    steps.append({"line": line.strip(), "wall": wall, "cpu": _cpu(process.pid)})
        except BaseException:
            process.terminate()
            raise
        finally:
            process.stdout.close()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage


def _watch(folder: Path, peak: dict[str, int], over: threading.Event) -> None:
    """Keep the largest size of the folder, and the largest memory of the process that runs."""
    while True:
        peak["disk"] = max(peak["disk"], _size(folder))
        if peak["process"]:
            peak["memory"] = max(peak["memory"], _resident(peak["process"]))
        if over.wait(WATCH_SECONDS):
            peak["disk"] = max(peak["disk"], _size(folder))
            return


def _cpu(process: int) -> float:
    """Seconds that the threads of a process took so far, those of its ended children with them."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        return round(sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK"), 2)
    except (OSError, ValueError):
        return 0.0


def _resident(process: int) -> int:
    """Bytes of memory of a process and all below it; 0 where the system does not say."""
    try:
        place = Path("/proc") / str(process)
        pages = int((place / "statm").read_text().split()[1])
        children = [
            int(child)
            for listed in (place / "task").glob("*/children")
            for child in listed.read_text().split()
        ]
    except (OSError, IndexError):
        return 0  # it has ended
    return pages * os.sysconf("SC_PAGE_SIZE") + sum(map(_resident, children))


def _size(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(root, name)).st_size
            except OSError:
                continue  # it was temporary
    return total
