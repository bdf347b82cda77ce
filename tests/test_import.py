"""`import separatrix` and `separatrix --help` are light; the public names are all there and all documented."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

import separatrix

HEAVY = ("torch", "transformers", "sklearn", "pandas", "scipy", "matplotlib", "plotly", "datasets", "pyarrow", "dask")
LIGHT = 60  # modules beside those that Python itself has loaded; seconds would depend on how busy the machine is
HELP = 350  # likewise: the parser and its tables are loaded as well


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def modules(code: str) -> int:
    """How many modules some code loads."""
    out = run(f"import sys\nbefore = len(sys.modules)\n{code}\nprint('MODULES', len(sys.modules) - before)")
    return int(out.rsplit("MODULES", 1)[1])


def loaded(code: str) -> set[str]:
    """The heavy packages that are loaded after some code."""
    out = run(f"import sys\n{code}\nprint('LOADED', *[name for name in {HEAVY} if name in sys.modules])")
    return set(out.rsplit("LOADED", 1)[1].split())


def test_import_loads_nothing_heavy() -> None:
    assert loaded("import separatrix") == set()
    assert loaded("import separatrix as sx; sx.TrainRecipe; sx.load_texts; sx.SeparatrixError; dir(sx)") == set()
    assert "pandas" in loaded("import pandas")  # the check can fail


def test_import_is_light() -> None:
    assert 0 < modules("import separatrix") < LIGHT


@pytest.mark.parametrize("words", [["--help"], ["train", "--help"], ["train", "x", "--lr", "-1"], ["trian"]])
def test_help_and_mistyped_options_load_nothing_heavy(words: list[str]) -> None:
    assert loaded(f"from separatrix.cli import main\nmain({words})") == set()


def test_help_is_light() -> None:
    assert LIGHT < modules("from separatrix.cli import main\nmain(['--help'])") < HELP


def test_public_names() -> None:
    assert set(separatrix.__all__) == {*separatrix._HOME, "__version__"}
    assert set(separatrix.__all__) <= set(dir(separatrix))
    assert {"Any", "import_module", "annotations", "TYPE_CHECKING"}.isdisjoint(dir(separatrix))
    assert "recipe" in dir(separatrix)  # a module
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


def test_every_package_that_is_imported_is_declared() -> None:
    """What another package happens to bring may be gone with its next version."""
    import ast
    import tomllib
    from importlib.metadata import packages_distributions
    from pathlib import Path

    root = Path(separatrix.__file__).parent
    nodes = [node for path in root.rglob("*.py") for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    tops = {name.partition(".")[0] for name in names} - {"separatrix", *sys.stdlib_module_names}
    assert {"numpy", "scipy", "PIL", "umap"} <= tops
    project = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())["project"]
    extras = {name: lines for name, lines in project["optional-dependencies"].items() if name not in ("dev", "bench")}
    declared = {plain_name(line) for line in sum(extras.values(), project["dependencies"])}
    homes = packages_distributions()
    missing = {top for top in tops if not {plain_name(home) for home in homes.get(top, [top])} & declared}
    assert missing == set()


def plain_name(requirement: str) -> str:
    """The name of a distribution without its version, as package indexes compare names."""
    return re.split(r"[ <>=!~;\[]", requirement)[0].lower().replace("_", "-")
