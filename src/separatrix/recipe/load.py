"""Recipe of reading texts: how the files are written, and what is done with rows without a label."""

from __future__ import annotations

from typing import TypedDict

from separatrix.errors import OptionError
from separatrix.recipe.core import option, recipe_class

# Columns, shares and ways to split that `load_splits` and the command line have by default.
TEXT, LABEL, VALIDATION, TEST, BY = "text", "label", 0.1, 0.2, ("label", "group", "rows")
RARE = ("drop", "merge", "refuse")  # what becomes of classes with one training row
QUOTING = ("double", "none")
TABS = ("tab", "\\t")  # other spellings of the tab, which no shell passes on easily


@recipe_class
class LoadRecipe:
    """File format."""

    sep: str | None = option(
        None, "csv and tsv: the character between two cells, or `tab` (default: a comma in .csv, a tab in .tsv)"
    )
    quoting: str = option(
        "double", "csv and tsv: a double quote opens a quoted cell, or is a character like others", choices=QUOTING
    )
    drop_unlabelled: bool = option(
        False, "leave out rows without a label (empty, or -1 among integers), and count them"
    )

    def __post_init__(self) -> None:
        if self.sep in TABS:
            object.__setattr__(self, "sep", "\t")
        if self.sep is not None and (not isinstance(self.sep, str) or len(self.sep) != 1 or self.sep in '"\r\n\0'):
            raise OptionError("--sep is no separator", got=repr(self.sep), expected="one character, or tab")


class LoadOptions(TypedDict, total=False):
    """The options of `LoadRecipe` as keywords of `load_texts` and `load_splits`."""

    sep: str | None
    quoting: str
    drop_unlabelled: bool
