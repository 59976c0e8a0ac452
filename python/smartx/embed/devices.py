"""What an encoder computes on, and in which type of numbers.

On a machine without a GPU both are known without loading torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from smartx.errors import EncoderError, MissingPackageError

DTYPES = ("float32", "bfloat16", "float16")
_GPU_FILES = ("nvidia[0-9]*", "kfd", "dxg")  # in /dev, where a driver is


def devices_of(asked: str) -> tuple[str, ...]:
    """The devices that "auto", "cpu", "cuda:0,cuda:1", ... stand for.

    "auto": every GPU that torch sees, or the CPU.
    Raises EncoderError where a name is missing, MissingPackageError for "auto" on a machine with a
    GPU and without torch.
    """
    if asked == "auto":
        return tuple(f"cuda:{number}" for number in range(_gpus())) or ("cpu",)
    devices = tuple(device.strip() for device in asked.split(","))
    if "" in devices:
        raise EncoderError(
            f'"{asked}" is no list of devices',
            place="device",
            fix="pass auto, cpu, cuda:1 or several, such as cuda:0,cuda:1",
        )
    return devices


def kind_of(device: str) -> str:
    """What computes: devices of one kind are taken to compute alike."""
    return device.partition(":")[0]


def dtype_of(asked: str, device: str) -> str:
    """The type of numbers that "auto", "float32", ... stands for on a device."""
    if asked == "auto":
        return "bfloat16" if computes_in_bfloat16(device) else "float32"
    if asked not in DTYPES:
        raise EncoderError(
            f'there is no dtype "{asked}"', place="dtype", fix=f"one of: auto, {', '.join(DTYPES)}"
        )
    return asked


def torch_library() -> Any:
    """The module torch. Raises MissingPackageError."""
    try:
        import torch
    except ImportError:
        raise MissingPackageError("torch", needed_for="embedding", extra="embed") from None
    return torch


def _gpus() -> int:
    """How many GPUs torch sees; starts nothing on them."""
    if not any(any(Path("/dev").glob(name)) for name in _GPU_FILES):
        return 0
    torch = torch_library()
    return int(torch.cuda.device_count()) if torch.cuda.is_available() else 0


def computes_in_bfloat16(device: str) -> bool:
    """Whether bfloat16 is fast: on a GPU, or a CPU with AVX-512 or AMX instructions for it.

    Measured on Zen 5 with MiniLM: 2.4 times the rows of float32 at two threads. A CPU without the
    instructions emulates it.
    """
    if kind_of(device) == "cuda":
        torch = torch_library()
        try:
            with torch.cuda.device(device):
                return bool(torch.cuda.is_bf16_supported())
        except (RuntimeError, AssertionError):
            return False  # it is not there: who loads the encoder says so
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        return False
    return device == "cpu" and not {"avx512_bf16", "amx_bf16"}.isdisjoint(flags)
