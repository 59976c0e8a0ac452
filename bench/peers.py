"""The packages that smartx is compared with, exact versions: each in a virtual environment of its
own, or, where it works on what smartx has (torch, tokenizers), in a folder beside that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FOLDER = HERE.parent / "build" / "peers"
COMMON = ("numpy==2.4.6", "scipy==1.17.1", "scikit-learn==1.9.1", "numba==0.68.1")
REQUIREMENTS = {
    "submodlib": ("submodlib-py==0.0.3", *COMMON),
    "apricot": ("apricot-select==0.6.1", *COMMON),
}
# With --no-deps: all else that they need is in the environment that runs the suite.
BESIDE = {
    "model2vec": ("model2vec==0.10.0", "skeletoken==0.6.1"),
    "wordllama": (
        "wordllama==0.4.0.post1", "toml==0.10.2", "requests==2.34.2", "urllib3==2.8.0",
        "charset-normalizer==3.5.3", "certifi==2026.10.19.post1",
    ),
    "onnx": (
        "onnxruntime==1.32.0", "onnx==1.23.2", "ml_dtypes==0.6.0", "protobuf==7.36.2",
        "flatbuffers==25.12.19",
    ),
    "openvino": ("openvino==2026.4.1",),
}  # fmt: skip
LIBRARIES = ("OMP", "OPENBLAS", "MKL", "NUMBA")
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in LIBRARIES}


def python_of(peer: str) -> Path:
    """The interpreter of a peer's environment, which is made if it is not there."""
    python = FOLDER / peer / "bin" / "python"
    ready = FOLDER / peer / ".ready"
    if not ready.exists():
        print(f"making an environment for {peer} (once) ...", file=sys.stderr)
        venv.create(FOLDER / peer, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *REQUIREMENTS[peer]], check=True)
        ready.touch()
    return python


def folder_of(peer: str) -> Path:
    """The folder of a peer of BESIDE, which is made if it is not there.

    Raises RuntimeError, in one line, where it cannot be installed.
    """
    folder = FOLDER / peer
    if not (folder / ".ready").exists():
        print(f"making a folder for {peer} (once) ...", file=sys.stderr)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade"]
        done = subprocess.run(
            [*command, "--target", folder, *BESIDE[peer]],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise RuntimeError(f"{peer} cannot be installed: {reason}")
        (folder / ".ready").touch()
    return folder


def ask(peer: str, script: str, *arguments: str, timeout: float = 3600) -> dict[str, Any]:
    """Run bench/<script> with a peer's interpreter, on one thread; its last line of output is
    JSON."""
    done = subprocess.run(
        [python_of(peer), HERE / script, *arguments],
        env=os.environ | ONE_THREAD, capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{peer} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])
