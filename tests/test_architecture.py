"""The map of the house names what is there: every path, module and name of `docs/architecture.md`."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
HOUSE = ROOT / "src" / "separatrix"
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
QUOTED = sorted(set(re.findall(r"`([^`\n]+)`", PAGE)))
SOURCE = "\n".join(path.read_text("utf-8") for path in HOUSE.rglob("*.py*") if path.suffix in (".py", ".pyi"))
PATH = re.compile(r"[\w./*]+(/|\.(py|pyi|js|md|json|toml))")
NAME = re.compile(r"[A-Za-z_][\w.]*(\(.*\))?")
NO_NAMES = {"docs", "manifest.json", "result.json"}  # files of results, no files of the house


def stands(path):
    """Whether a path is there, from the root, from the package, or below one of its rooms."""
    return (
        any((root / path).exists() or any(root.glob(f"**/{path.rstrip('/')}")) for root in (HOUSE, ROOT / "docs"))
        or (ROOT / path).exists()
    )


def test_every_path_is_there():
    paths = [name for name in QUOTED if PATH.fullmatch(name) and name not in NO_NAMES]
    assert len(paths) > 40
    assert [path for path in paths if not stands(path)] == []


def test_every_name_is_there():
    names = [name.partition("(")[0] for name in QUOTED if NAME.fullmatch(name) and not PATH.fullmatch(name)]
    last = {name: name.rpartition(".")[2] for name in names}
    assert len(last) > 40
    assert [name for name, word in last.items() if not re.search(rf"\b{word}\b", SOURCE)] == []


def test_every_room_is_named():
    rooms = {path.name for path in HOUSE.iterdir() if path.is_dir() and (path / "__init__.py").is_file()}
    assert {room for room in rooms if f"`{room}/`" not in PAGE} == set()
