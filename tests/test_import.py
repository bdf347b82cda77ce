"""`import separatrix` and `separatrix --help` are light; the public names are all there and all documented."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import separatrix

HEAVY = ("torch", "transformers", "sklearn", "pandas", "scipy", "matplotlib", "datasets", "pyarrow", "dask")
LIGHT = 60  # modules beside those that Python itself has loaded; seconds would depend on how busy the machine is
HELP = 350  # likewise: the parser and its tables are loaded as well


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def modules(code: str) -> int:
    """How many modules some code loads."""
    out = run(f"import sys\nbefore = len(sys.modules)\n{code}\nprint('MODULES', len(sys.modules) - before)")
    return int(out.rsplit("MODULES", 1)[1])


def loaded(code: str, heavy: tuple[str, ...] = HEAVY) -> set[str]:
    """The heavy packages that are loaded after some code."""
    out = run(f"import sys\n{code}\nprint('LOADED', *[name for name in {heavy} if name in sys.modules])")
    return set(out.rsplit("LOADED", 1)[1].split())


def test_import_loads_nothing_heavy() -> None:
    code = "import separatrix as sx; sx.recipe.TrainRecipe; sx.load_texts; sx.errors.SeparatrixError; dir(sx)"
    assert loaded(code) == set()
    assert "pandas" in loaded("import pandas")  # the check can fail


def test_import_is_light() -> None:
    assert 0 < modules("import separatrix") < LIGHT


def test_help_and_mistyped_options_load_nothing_heavy() -> None:
    typed = [["--help"], ["train", "--help"], ["train", "x", "--lr", "-1"], ["trian"]]
    code = f"from separatrix.cli import main\nfor words in {typed}:\n    main(words)"
    assert loaded(code, (*HEAVY, "numpy")) == set()


def test_help_is_light() -> None:
    assert LIGHT < modules("from separatrix.cli import main\nmain(['--help'])") < HELP


def test_public_names() -> None:
    assert len(separatrix.__all__) <= 40
    assert dir(separatrix) == sorted(separatrix.__all__)
    assert separatrix.recipe.TrainRecipe().prompt.tokens
    assert {separatrix.results.Clusters.kind, separatrix.results.Separation.kind} == {"clusters", "score"}
    for name in separatrix.__all__:
        assert getattr(separatrix, name).__doc__
    with pytest.raises(AttributeError, match="has no attribute 'PromptClasifier'"):
        separatrix.PromptClasifier  # noqa: B018


def test_a_verb_is_not_hidden_by_a_room_of_its_name() -> None:
    """Importing a submodule sets the package's attribute of its name, so a public name must not be one of a room."""
    rooms = {path.stem for path in Path(separatrix.__file__).parent.iterdir() if path.stem != "__init__"}
    assert rooms & {*separatrix.__all__} == {"recipe", "errors", "results"}


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


def test_every_file_that_is_no_module_goes_into_the_wheel() -> None:
    """The page's templates, the shipped questions, the format of points: package-data names each."""
    import tomllib
    from pathlib import Path

    root = Path(separatrix.__file__).parent
    project = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text())
    named = {path for line in project["tool"]["setuptools"]["package-data"]["separatrix"] for path in root.glob(line)}
    files = {
        path
        for path in root.rglob("*")
        if path.is_file() and path.suffix != ".py" and path.parent.name != "__pycache__"
    }
    assert root / "store" / "README.md" in named
    assert files == named


def plain_name(requirement: str) -> str:
    """The name of a distribution without its version, as package indexes compare names."""
    return re.split(r"[ <>=!~;\[]", requirement)[0].lower().replace("_", "-")
