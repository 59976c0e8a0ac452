"""The map of docs/architecture.md, checked: who may import whom, and how light `import smartx`
is.
"""

import ast
import re
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import smartx

PACKAGE = Path(smartx.__file__).parent
REPOSITORY = Path(__file__).parents[1]
MAP = REPOSITORY / "docs" / "architecture.md"
# From the ground up: a file imports only from rooms above its own in this list (or from its own
# room).
ROOMS = [
    "errors", "urls", "progress", "usage", "costs", "draws", "options", "amounts", "needs",
    "strategies", "config_file", "config", "files", "store", "run_folder", "lock", "units",
    "engine", "executors", "corpus", "embed", "features", "causal", "collect", "means", "leave_out",
    "weights", "rankers", "tasks", "budget", "mixture", "selection", "selector", "report",
    "exports", "clean", "frames", "planning", "runs", "verify", "preflight_folders", "preflight",
    "forecast", "from_config", "session", "dividing", "pipeline", "doctor", "demo", "compare",
    "swarm", "online", "augment", "terminal", "display", "tellers", "outcomes", "flags",
    "field_flags", "starter", "console", "feature_commands", "augment_commands", "cli", "__main__",
]  # fmt: skip


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imported_modules(path: Path):
    """Modules of smartx that a file imports, except those it needs for annotations only."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(node)
        for test in ast.walk(tree)
        if isinstance(test, ast.If) and "TYPE_CHECKING" in ast.unparse(test.test)
        for node in ast.walk(test)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("smartx"):
            yield from (
                f"smartx.{alias.name}" if node.module == "smartx" else node.module
                for alias in node.names
            )
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("smartx."))


def files():
    for path in sorted(PACKAGE.rglob("*.py")):
        relative = path.relative_to(PACKAGE)
        if relative != Path("__init__.py"):
            yield relative.parts[0].removesuffix(".py"), path


def test_every_file_stands_in_a_known_room():
    assert {room for room, _ in files()} <= set(ROOMS)


def test_a_file_imports_only_from_rooms_above_its_own():
    wrong = [
        f"{path.relative_to(PACKAGE)} imports {module}"
        for room, path in files()
        for module in imported_modules(path)
        if room_of(module) in ROOMS and ROOMS.index(room_of(module)) > ROOMS.index(room)
    ]
    assert wrong == []


def test_no_import_goes_in_a_circle_inside_a_room_either():
    """Also imports inside of functions, which only hide a circle."""
    imports = {}
    for _, path in files():
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        imports[name] = set(imported_modules(path))
    try:
        list(TopologicalSorter(imports).static_order())
    except CycleError as circle:
        raise AssertionError(" -> ".join(circle.args[1])) from None


def test_the_map_names_every_room_and_only_tests_and_files_that_exist():
    named = re.findall(r"`([\w./]+)`", MAP.read_text().partition("### A weight law")[0])
    missing = [room for room in ROOMS if f"{room}.py" not in named and f"{room}/" not in named]
    assert missing == []
    places = [PACKAGE, REPOSITORY / "tests", REPOSITORY]
    here = [path for path in PACKAGE.iterdir() if path.is_dir()]
    paths = [name for name in named if name.endswith(".py") and not name.startswith("smartx")]
    gone = [p for p in paths if not any((place / p).exists() for place in [*places, *here])]
    assert gone == []


def test_only_the_engine_touches_the_extension():
    users = {
        room
        for room, path in files()
        if "_core" in {m.split(".")[-1] for m in imported_modules(path)}
    }
    assert users == {"engine"}


def test_only_the_command_line_prints():
    printing = [
        str(path.relative_to(PACKAGE))
        for room, path in files()
        if room != "console"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "sys.stdout.write")
    ]
    assert printing == []


def test_import_smartx_loads_neither_torch_nor_transformers():
    code = (
        "import sys, smartx; smartx.maximize; smartx.task_budgets; "
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'pydantic', 'typer', 'rich'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert printed.strip() == "[]"


def test_a_room_is_an_attribute_before_anything_loads_it():
    code = (
        "import smartx; print(smartx.engine.quantize.__name__, hasattr(smartx, 'nothing'), "
        "hasattr(smartx, '__wrapped__'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["quantize", "False", "False"]


def test_every_public_name_exists():
    assert set(smartx.__all__) == {*smartx._PUBLIC, "__version__"}
    assert [name for name in smartx.__all__ if not hasattr(smartx, name)] == []
