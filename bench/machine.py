"""The machine and the packages that a run of the suite was made with."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from peers import BESIDE, REQUIREMENTS

PACKAGES = ("numpy", "torch", "hnswlib", "pyarrow")
FEATURES = ("avx2", "avx512f", "avx512_vnni", "amx_int8")


def described() -> dict[str, Any]:
    """Facts of this machine, the packages and the moment; nothing that names the machine."""
    info = _fields(Path("/proc/cpuinfo"))
    memory = _fields(Path("/proc/meminfo")).get("MemTotal", "0 kB").split()[0]
    flags = info.get("flags", "").split()
    return {
        "processor": info.get("model name", platform.processor()),
        "instruction sets": ", ".join(name for name in FEATURES if name in flags),
        "cores": len(os.sched_getaffinity(0)),
        "caches": _caches(),
        "memory": f"{int(memory) / 2**20:.1f} GiB",
        "system": _system(),
        "python": platform.python_version(),
        "packages": ", ".join(filter(None, map(_installed, PACKAGES))),
        "peers": ", ".join(first for first, *_ in (*REQUIREMENTS.values(), *BESIDE.values())),
        "smartx": _smartx(),
        "date": datetime.now(timezone.utc).date().isoformat(),
    }


def _smartx() -> str:
    """Version, and the commit where the package runs from a checkout."""
    probe = (
        "import smartx, pathlib, sys; from smartx import _core;"
        "print(_core.__version__, _core.simd_level(), pathlib.Path(smartx.__file__).parent)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    number, level, folder = done.stdout.strip().split(maxsplit=2)
    commit = subprocess.run(
        ["git", "-C", folder, "rev-parse", "--short", "HEAD"],
        capture_output=True, text=True, check=False,
    ).stdout.strip()  # fmt: skip
    return f"{number}, default level {level}" + (f", commit {commit}" if commit else "")


def _system() -> str:
    release = _fields(Path("/etc/os-release"), "=").get("PRETTY_NAME", platform.system())
    return f"{release.strip(chr(34))}, {platform.system()} {platform.release().split('-')[0]}"


def _caches() -> str:
    found = []
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = (
                (index / name).read_text().strip() for name in ("level", "type", "size")
            )
        except OSError:
            continue
        if kind != "Instruction":
            found.append(f"L{level} {size}")
    return ", ".join(found) or "unknown"


def _installed(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return ""


def _fields(path: Path, separator: str = ":") -> dict[str, str]:
    """name: value lines of a file of the system, the first of each name; {} if it is not there."""
    found: dict[str, str] = {}
    try:
        for line in path.read_text().splitlines():
            name, _, value = line.partition(separator)
            found.setdefault(name.strip(), value.strip())
    except OSError:
        pass
    return found
