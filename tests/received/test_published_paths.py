"""What people publish - folders, reports, cards, figures, tables - names models and files, and no path of a machine."""

from pathlib import Path

import pandas as pd

import received
from separatrix.cli.commands import COMMANDS

# By these the program finds again the model that was trained on, which lies elsewhere; and a grid that a user wrote.
KEPT = ("prompt/model.json", "probe/model.json", "study/runs/*/model.json", "transformers/config.json", "**/grid.toml")


def test_no_verb_writes_a_path(artefacts):
    kept = [path for pattern in KEPT for path in artefacts.glob(pattern)]
    assert len(kept) == 7
    assert all(map(names_a_path, kept))
    paths = [path for path in artefacts.rglob("*") if path.is_file() and path not in kept]
    assert len(paths) > 100
    telling = [str(path.relative_to(artefacts)) for path in paths if names_a_path(path)]
    assert not telling


def test_every_verb_is_among_them():
    """`demo` is `train` on texts of the package, `explore` writes nothing."""
    source = Path(received.__file__).read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f'"{name}",' not in source] == ["demo", "explore"]


def names_a_path(path: Path) -> bool:
    """Whether a file holds the name of the folder above everything."""
    if path.suffix == ".parquet":
        table = pd.read_parquet(path)
        return received.HOME in table.to_csv() or any(received.HOME in str(name) for name in table.columns)
    return received.HOME.encode() in path.read_bytes()


def test_the_model_is_named(artefacts):
    assert "base (weights " in (artefacts / "align" / "encoder" / "README.md").read_text()
    for kind in ("prompt", "probe", "align"):
        assert '"name": "base"' in (artefacts / kind / "result.json").read_text()
    for kind in ("prompt", "probe", "align", "answers", "heads"):
        for name in ("recipe.json", "manifest.json"):
            assert '"model": "base"' in (artefacts / kind / name).read_text()


def test_the_file_of_texts_is_named(artefacts):
    for kind in ("prompt", "rank"):
        result = (artefacts / kind / "result.json").read_text()
        assert "data.csv: 1 of 120 texts holds invisible characters" in result, kind
