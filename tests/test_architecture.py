"""The map of the house names what is there: every path, module and name of `docs/architecture.md`."""

import ast
import re
from collections import defaultdict
from functools import cache
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


@cache
def trees():
    """The name and the tree of each file; nobody changes them."""
    return [(path.name, ast.parse(path.read_text("utf-8"))) for path in HOUSE.rglob("*.py")]


def test_a_class_name_stands_for_one_thing():
    """No class name twice, and no class named as a type alias of another module."""
    places = defaultdict(list)
    for file, tree in trees():
        aliases = [node for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)]
        for node in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
            places[node.name].append(file)
        for name in {node.targets[0].id for node in aliases}:
            places[name].append(None)
    assert len(places) > 300
    assert {name: files for name, files in places.items() if len(files) > 1 and any(files)} == {}


def test_no_function_body_stands_twice():
    """Of eight statements or more, whatever its variables are called."""
    bodies = defaultdict(list)
    for file, tree in trees.__wrapped__():  # changes them
        for node in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            inner = [one for statement in body for one in ast.walk(statement)]
            if sum(isinstance(one, ast.stmt) for one in inner) >= 8:
                numbers = {}
                for name in (one for one in inner if isinstance(one, ast.Name)):
                    name.id = f"name {numbers.setdefault(name.id, len(numbers))}"
                bodies["\n".join(map(ast.dump, body))].append(f"{file}: {node.name}")
    assert len(bodies) > 200
    assert [copies for copies in bodies.values() if len(copies) > 1] == []


def test_variables_say_what_they_hold():
    """What is placed, found or said has a name of the field."""
    vague = {"found", "place", "made", "asked", "said", "told"}
    named = [
        (f"{file}:{node.lineno}", node.id if isinstance(node, ast.Name) else node.arg)
        for file, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.arg) or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    ]
    assert len(named) > 5000
    assert [place for place, name in named if name in vague] == []


def test_no_stop_is_told_as_another_error():
    """Where errors of any type become a sentence or an answer, a Ctrl-C that they came of goes on as it is."""
    no_main_thread, writes_a_value = "server.py", "core.py"
    swallowing = [
        f"{file}:{node.lineno}"
        for file, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and isinstance(node.type, ast.Name) and node.type.id == "Exception"
        if "raise_interrupt" not in ast.dump(node) and file not in (no_main_thread, writes_a_value)
    ]
    assert swallowing == []
