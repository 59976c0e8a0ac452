"""Virtual environments of the packages that smartx is compared with, one each, exact versions."""

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
