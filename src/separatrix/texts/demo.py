"""The questions that ship with the package, by the kind of answer they ask for.

The six kinds are the coarse classes of Li and Roth's question taxonomy (Learning Question Classifiers, 2002).
"""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import as_file, files

from separatrix.texts.columns import Columns
from separatrix.texts.folder import PARTS
from separatrix.texts.load import Splits
from separatrix.texts.read import read_file
from separatrix.texts.table import Texts


def load_demo() -> Splits:
    """The shipped questions with their fixed train, validation and test parts.

    The label is the kind of answer asked for (abbreviation, description, entity, human, location or number), the
    group is the topic.
    """
    parts = {part: _part(part) for part in PARTS}
    notes = tuple(f"{part}: the {len(table)} rows of {table.name}" for part, table in parts.items())
    return Splits(parts["train"], parts["validation"], parts["test"], notes)


def _part(name: str) -> Texts:
    with as_file(files("separatrix.texts") / "questions" / f"{name}.csv") as path:
        table = read_file(path, Columns("question", "kind", "topic"))
    return replace(table, source=f"questions/{name}.csv")  # the place of the package on disk tells nothing
