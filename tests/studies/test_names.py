"""Benchmarks and studies use names that the package has: many of them are too long to run in a test."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(path for room in ("benchmarks", "studies") for path in (ROOT / room).rglob("*.py"))


def modules_of(tree: ast.Module) -> dict[str, ModuleType]:
    """Names by which a file knows modules of the package."""
    known = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.module:
            known |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    modules = {}
    for name, path in known.items():
        if path.partition(".")[0] == "separatrix":
            try:
                modules[name] = importlib.import_module(path)
            except ModuleNotFoundError:  # a function or a class
                continue
    return modules


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_name_of_the_package_exists(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "separatrix":
            module = importlib.import_module(node.module)
            for alias in node.names:
                assert hasattr(module, alias.name) or importlib.import_module(f"{node.module}.{alias.name}")
    modules = modules_of(tree)
    used = {
        (node.value.id, node.attr)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules
    }
    assert [f"{name}.{attribute}" for name, attribute in sorted(used) if not hasattr(modules[name], attribute)] == []
