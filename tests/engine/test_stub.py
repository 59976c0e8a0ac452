"""`_core.pyi` says what the extension has: every name, every argument, every default."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import smartx
from smartx import _core

STUB = ast.parse((Path(smartx.__file__).parent / "_core.pyi").read_text(encoding="utf-8"))


def arguments(function: ast.FunctionDef) -> list[tuple[str, object]]:
    """Names of a function's arguments, and their defaults as Python writes them."""
    names = [argument.arg for argument in function.args.args]
    defaults = [ast.unparse(default) for default in function.args.defaults]
    return list(zip(names, [None] * (len(names) - len(defaults)) + defaults, strict=True))


def functions_in(body: list[ast.stmt]) -> dict[str, list[tuple[str, object]]]:
    return {node.name: arguments(node) for node in body if isinstance(node, ast.FunctionDef)}


def signature(function: Any) -> list[tuple[str, object]]:
    """pybind11 writes the signature of a function into the first line of its docstring."""
    (node,) = ast.parse(f"def {function.__doc__.splitlines()[0]}: ...").body
    assert isinstance(node, ast.FunctionDef)
    return arguments(node)


def test_functions_have_the_arguments_and_defaults_that_the_stub_says():
    functions = {
        name: signature(value)
        for name, value in vars(_core).items()
        if callable(value) and not isinstance(value, type)
    }
    assert functions == functions_in(STUB.body)


def test_classes_and_constants_are_those_of_the_stub():
    classes = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}
    real = {name for name, value in vars(_core).items() if isinstance(value, type)}
    assert set(classes) == real
    for name, node in classes.items():
        real_class = getattr(_core, name)
        for method, expected in functions_in(node.body).items():
            assert signature(getattr(real_class, method)) == expected
        assert list(getattr(real_class, "__members__", [])) == [
            member.target.id
            for member in node.body
            if isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name)
        ]
    constants = {
        node.target.id: ast.unparse(node.annotation)
        for node in STUB.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    for name, kind in constants.items():
        assert type(getattr(_core, name)).__name__ == kind
    assert set(constants) >= {name for name in vars(_core) if name.isupper()}
