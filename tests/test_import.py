"""`import separatrix` and `separatrix --help` are light; the public names are all there and all documented."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import separatrix

HEAVY = ("torch", "transformers", "sklearn", "pandas", "scipy", "matplotlib", "plotly", "datasets", "pyarrow", "dask")
SLACK = 2  # the limits are for a quiet machine; on a busy one even processor seconds grow


def run(code: str, tries: int = 1) -> tuple[str, float]:
    """What a fresh interpreter prints, and the fewest processor seconds of some tries."""
    seconds = []
    for _ in range(tries):
        begun = spent()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        seconds.append(spent() - begun)
    return done.stdout, min(seconds)


def spent() -> float:
    """Processor seconds of all child processes so far; unlike the clock, they hardly grow when others are at work."""
    times = os.times()
    return times.children_user + times.children_system


def loaded(code: str) -> set[str]:
    """The heavy packages that are loaded after some code."""
    out, _ = run(f"import sys\n{code}\nprint('LOADED', *[name for name in {HEAVY} if name in sys.modules])")
    return set(out.rsplit("LOADED", 1)[1].split())


def test_import_loads_nothing_heavy() -> None:
    assert loaded("import separatrix") == set()
    assert loaded("import separatrix as sx; sx.TrainRecipe; sx.load_texts; sx.SeparatrixError; dir(sx)") == set()
    assert "pandas" in loaded("import pandas")  # the check can fail


def test_import_is_quick() -> None:
    _, start = run("pass", 3)
    _, whole = run("import separatrix", 3)
    assert whole - start < 0.2 * SLACK


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["train", "x", "--lr", "-1"], ["trian"]])
def test_help_and_mistyped_options_load_nothing_heavy(words: list[str]) -> None:
    assert loaded(f"from separatrix.cli import main\nmain({words})") == set()


def test_help_is_quick() -> None:
    _, seconds = run("from separatrix.cli import main\nmain(['--help'])", 3)
    assert seconds < 0.5 * SLACK


def test_public_names() -> None:
    assert set(separatrix.__all__) == {*separatrix._HOME, "__version__"}
    assert set(separatrix.__all__) <= set(dir(separatrix))
    assert separatrix.TrainRecipe is separatrix.recipe.TrainRecipe
    for name in separatrix.__all__:
        assert getattr(separatrix, name).__doc__
    with pytest.raises(AttributeError, match="has no attribute 'PromptClasifier'"):
        separatrix.PromptClasifier  # noqa: B018


def test_type_checkers_see_the_same_names() -> None:
    """The imports under TYPE_CHECKING and the lazy ones name the same homes."""
    import ast
    from pathlib import Path

    tree = ast.parse(Path(separatrix.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == separatrix._HOME
