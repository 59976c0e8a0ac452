"""Plant one fault at a time into a copy of the core: do the tests see it?

    make mutants                                   all faults; half an hour on two cores
    python tests/mutants/run.py "k-NN" "ties"      those with such words in their name
    python tests/mutants/run.py --core             by the core's own tests alone: some minutes
    python tests/mutants/run.py --texts            only see whether each text is still in the core

A fault is a text of a file of cpp/ and another that takes its place (`faults.py`). One whose text
is no longer there, or is there twice, is an error: the core has changed and the fault must follow.
The copy is built as it is first and must pass; then once for each fault. The core's own tests run
first, and those of Python where they see nothing. A fault that none sees must come with a proof
that no test can see it.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faults import FAULTS, Fault

REPOSITORY = Path(__file__).parents[2]
WORK = REPOSITORY / "build" / "mutants"
SOURCE, BUILD, PACKAGE = WORK / "source", WORK / "build", WORK / "package"
# Seconds of CPU, some ten times what is needed: tests that take more hang, and that is seen too.
CORE_SECONDS, PYTHON_SECONDS = 60, 900
IDLE = 1800.0  # and seconds of any kind

# From what is most likely to see a fault to what is least; all of them are quick.
PYTHON_TESTS = [
    f"tests/engine/test_{name}.py"
    for name in (
        "attacks",
        "repeated_rows",
        "costs",
        "cut_rows",
        "rank",
        "balanced",
        "dense_head",
        "graph",
    )
]


def copy_of_the_core() -> None:
    """CMakeLists.txt, cpp/ and the package, written only where they differ: builds are short."""
    SOURCE.mkdir(parents=True, exist_ok=True)
    old = {path for path in SOURCE.rglob("*") if path.is_file()}
    for path in [REPOSITORY / "CMakeLists.txt", *(REPOSITORY / "cpp").rglob("*")]:
        if path.is_file():
            target = SOURCE / path.relative_to(REPOSITORY)
            old.discard(target)
            if not target.exists() or target.read_bytes() != path.read_bytes():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
    for path in old:
        path.unlink()
    shutil.rmtree(PACKAGE, ignore_errors=True)
    outside = shutil.ignore_patterns("_core*.so", "__pycache__")
    shutil.copytree(REPOSITORY / "python" / "smartx", PACKAGE / "smartx", ignore=outside)


def configure() -> None:
    find = [sys.executable, "-m", "pybind11", "--cmakedir"]
    pybind11 = subprocess.run(find, capture_output=True, text=True, check=True).stdout.strip()
    options = {
        "SMARTX_PYTHON": "ON",
        "SMARTX_TESTS": "ON",
        "SKBUILD_PROJECT_VERSION": "0",
        "CMAKE_CXX_FLAGS_RELEASE": "-O1",  # compiles in half the time; no bit depends on it
        "Python_EXECUTABLE": sys.executable,
        "pybind11_DIR": pybind11,
    }
    if shutil.which("ccache"):
        options["CMAKE_CXX_COMPILER_LAUNCHER"] = "ccache"
    arguments = [f"-D{name}={value}" for name, value in options.items()]
    command = ["cmake", "-S", SOURCE, "-B", BUILD, "-G", "Ninja", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def build(target: str, jobs: int) -> None:
    command = ["ninja", "-C", BUILD, f"-j{jobs}", target]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"the copy does not build:\n{done.stdout[-3000:]}")


def sees(command: list[str | Path], seconds: int, **environment: str) -> str:
    """Which test failed; "" where all pass."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))

    try:
        done = subprocess.run(
            command,
            cwd=REPOSITORY,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=IDLE,
            preexec_fn=limited,
        )
    except subprocess.TimeoutExpired:
        return "hangs"
    if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        return "hangs"
    if done.returncode == 0:
        return ""
    lines = (done.stderr + done.stdout).splitlines()
    told = [line for line in lines if line.startswith("FAILED ")] or [*lines[-1:], ""]
    name = told[0].removeprefix("FAILED ").removeprefix("tests/engine/").split(" - ")[0]
    return f"{name} ({done.returncode})" if done.returncode != 1 else name


def seen_by(jobs: int, core_alone: bool) -> tuple[str, str]:
    """("core" or "python", the test), or two empty texts."""
    build("smartx_core_tests", jobs)
    if found := sees([BUILD / "smartx_core_tests"], CORE_SECONDS):
        return "core", found
    if core_alone:
        return "", ""
    build("_core", jobs)
    for module in BUILD.glob("_core*.so"):
        shutil.copyfile(module, PACKAGE / "smartx" / module.name)
    options = ["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0"]
    quick = ["-m", "not slow and not corpus", "-k", "not every_instruction_set"]
    found = sees(
        [sys.executable, "-m", "pytest", *options, *quick, *PYTHON_TESTS],
        PYTHON_SECONDS,
        PYTHONPATH=str(PACKAGE),
        PYTHONDONTWRITEBYTECODE="1",
        HYPOTHESIS_MAX_EXAMPLES="20",
        SMARTX_ATTACK_ROUNDS="1",
    )
    return ("python", found) if found else ("", "")


@contextmanager
def planted(fault: Fault) -> Iterator[None]:
    path = SOURCE / fault.file
    sound = path.read_text(encoding="utf-8")
    path.write_text(sound.replace(fault.old, fault.new), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(sound, encoding="utf-8")


def check_texts(faults: list[Fault]) -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.[chi]*")}
    lost = [
        f"{fault.name}: found {count} times in {fault.file}"
        for fault in faults
        if (count := texts.get(SOURCE / fault.file, "").count(fault.old)) != 1
    ]
    if lost:
        raise SystemExit("texts to replace must be in the core once:\n  " + "\n  ".join(lost))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="of names of faults; all where none is given")
    parser.add_argument("--core", action="store_true", help="leave the tests of Python out")
    parser.add_argument("--texts", action="store_true", help="build and run nothing")
    parser.add_argument("--jobs", type=int, default=1, help="of the compiler at once")
    options = parser.parse_args()
    faults = [
        fault
        for fault in FAULTS
        if not options.words or any(word in fault.name for word in options.words)
    ]
    copy_of_the_core()
    check_texts(faults)
    if options.texts:
        return 0
    configure()
    began = time.monotonic()
    where, test = seen_by(options.jobs, options.core)
    if where:
        raise SystemExit(f"the core as it is fails a test already: {test}")
    survivors = 0
    for fault in sorted(faults, key=lambda fault: fault.file):
        with planted(fault):
            where, test = seen_by(options.jobs, options.core)
        survivors += not where and not fault.equivalent
        verdict = f"{where}: {test}" if where else fault.equivalent or "SURVIVED"
        print(f"| {fault.name} | {fault.breaks} | {verdict} |", flush=True)
    minutes = (time.monotonic() - began) / 60
    print(f"{len(faults)} faults, {survivors} survived without a proof, {minutes:.0f} minutes")
    return min(survivors, 1)


if __name__ == "__main__":
    sys.exit(main())
