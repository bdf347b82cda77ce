"""Raw columns in, checked and typed columns out: the one door that every source of texts passes.

A text is a string with something in it. A label is a name, an integer (a class) or a float (a number to predict);
one column holds one kind. A group is a name. What is missing or broken is refused here, with file and rows, before
any work is done; rows are counted from 0 over the whole source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np

from separatrix.errors import DataError, OptionError, public_name
from separatrix.recipe.core import checked
from separatrix.recipe.load import LoadRecipe
from separatrix.texts.characters import has_invisible, is_decomposed, is_missing, listed_characters, plain_name

UNLABELLED = -1  # public test parts (GLUE's, for one) carry -1 where the label is kept secret
FILL_IN = "fill them in or remove these rows"


@dataclass(frozen=True)
class Columns:
    """Which columns of a table are text, label, group and weight (`None` = not wanted), and how they are read.

    >>> Columns("question", "kind").names
    ('question', 'kind')
    """

    text: str | tuple[str, ...] = "text"  # two columns: pairs
    label: str | None = "label"
    group: str | None = None
    reading: LoadRecipe = LoadRecipe()
    keep_blank: bool = False  # texts with nothing in them are kept, as ""
    weight: str | None = None
    label_separator: str | None = None  # splits a cell into several labels

    def __post_init__(self) -> None:
        names = checked("text", self.text, tuple[str, ...])
        if len(names) not in (1, 2) or len(set(names)) < len(names):
            expected = "a column, or the two columns of pairs of texts"
            raise OptionError("--text cannot be this", got=" ".join(map(repr, names)) or "nothing", expected=expected)
        object.__setattr__(self, "text", names[0] if len(names) == 1 else names)
        checked("label", self.label, str | None)
        checked("group", self.group, str | None)
        checked("weight", self.weight, str | None)
        if self.label_separator is not None and (self.label is None or not self.label_separator.strip()):
            what = (
                "--label-separator has no effect without labels" if self.label is None else "--label-separator is blank"
            )
            raise OptionError(what, hint="name the column of labels with --label, and what joins them")
        if self.reading.drop_unlabelled and self.label is None:
            raise OptionError("--drop-unlabelled has no effect without labels", hint="name their column with --label")
        roles = {"--label": self.label, "--group": self.group, "--weight": self.weight}
        for role, name in roles.items():
            if name in self.texts:
                raise DataError(f"--text and {role} name the same column", got=repr(name), expected="two columns")

    @property
    def texts(self) -> tuple[str, ...]:
        """The column of texts, or the two of pairs."""
        return (self.text,) if isinstance(self.text, str) else self.text

    @property
    def names(self) -> tuple[str, ...]:
        """The wanted columns, each once."""
        wanted = (*self.texts, self.label, self.group, self.weight)
        return tuple(dict.fromkeys(name for name in wanted if name is not None))

    def check(self, present: Sequence[str], source: str) -> None:
        """Raise a `DataError` unless each wanted column stands exactly once among those found.

        >>> Columns("txt", None).check(["text", "kind"], "a.csv")
        Traceback (most recent call last):
            ...
        separatrix.errors.DataError: a.csv has no column 'txt': got columns text, kind; did you mean --text text?
        """
        others = (("--label", self.label), ("--group", self.group), ("--weight", self.weight))
        for flag, name in (*(("--text", name) for name in self.texts), *others):
            if name is None:
                continue
            if name not in present:
                listed = listing(present) or "none"
                hint = _column_hint(flag, name, self.names, present)
                raise DataError(f"{source} has no column {name!r}", got=f"columns {listed}", hint=hint)
            if list(present).count(name) > 1:
                times = list(present).count(name)
                raise DataError(
                    f"{source} has {times} columns named {name!r}", expected="one", hint="rename the others"
                )


def as_columns(text: str | Sequence[str]) -> str | tuple[str, ...]:
    """The columns of texts as they are typed, plain."""
    return tuple(text) if isinstance(text, list | tuple) else text  # type: ignore[return-value]


def _column_hint(flag: str, name: str, wanted: Sequence[str], present: Sequence[str]) -> str:
    free = [str(column) for column in present if column not in wanted]
    if len(present) == 1 and any(mark in str(present[0]) for mark in ";\t|"):
        mark = next(mark for mark in ";\t|" if mark in str(present[0]))
        word = "tab" if mark == "\t" else repr(mark)
        return f"the columns seem to be separated by another character: type --sep {word}"
    by_lower = {column.lower(): column for column in free}
    near = get_close_matches(name.lower(), by_lower, n=1)
    if near:
        return f"did you mean {flag} {listing([by_lower[near[0]]])}?"
    return f"name the column, for example {flag} {listing(free[:1])}" if free else f"name the column with {flag}"


def listing(names: Sequence[object], most: int = 20) -> str:
    """Names on one line: what cannot be printed is quoted, long names and long lists are cut.

    >>> listing(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    shown = [name if name.isprintable() else repr(name) for name in map(str, names[:most])]
    short = [name if len(name) <= 60 else name[:57] + "..." for name in shown]
    return ", ".join(short) + (f" and {len(names) - most} more" if len(names) > most else "")


def name_rows(rows: Sequence[int]) -> str:
    """The first three rows and how many more there are.

    >>> name_rows([4]), name_rows([1, 2, 5, 8, 9])
    ('row 4 (counted from 0)', 'rows 1, 2, 5 and 2 more (counted from 0)')
    """
    listed = ", ".join(str(row) for row in rows[:3])
    more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
    return f"row{'s' if len(rows) > 1 else ''} {listed}{more} (counted from 0)"


def refuse_missing(values: Sequence[object], source: str, what: str, hint: str = FILL_IN) -> None:
    """Raise a `DataError` where a cell of these values holds nothing: an empty text, None or NaN."""
    rows = [row for row, value in enumerate(values) if is_missing(value)]
    if rows:
        raise DataError(f"{source}: {len(rows)} of {len(values)} rows have no {what}", got=name_rows(rows), hint=hint)


def refuse_broken(values: Sequence[str], source: str, what: str) -> None:
    """Raise a `DataError` where a text holds a NUL or half a surrogate pair, which files cannot hold."""
    rows = [row for row, value in enumerate(values) if is_broken(value)]
    if rows:
        head = f"{source}: {len(rows)} of {len(values)} rows hold a NUL or half a surrogate pair in the {what}"
        raise DataError(head, got=name_rows(rows), hint="write the source again as valid UTF-8")


def is_broken(value: str) -> bool:
    """Whether a text holds a NUL or half a surrogate pair."""
    if "\0" in value:
        return True
    try:
        value.isascii() or value.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def text_column(values: Sequence[object], source: str, *, keep_blank: bool = False) -> tuple[str, ...]:
    """The texts, each a string with at least one visible character; with `keep_blank` those without are "", or none.

    Raises:
        DataError: no rows; a text that is empty, null, no string, or holds a NUL or a lone surrogate.
    """
    if not len(values) and not keep_blank:
        raise DataError(f"{source} holds no rows")
    if keep_blank:
        values = ["" if is_missing(value) else value for value in values]
    else:
        refuse_missing(values, source, "text")
    texts = [str(value) for value in values if isinstance(value, str)]  # np.str_ becomes a plain str
    if len(texts) < len(values):
        row = next(row for row, value in enumerate(values) if not isinstance(value, str))
        got = f"{type(values[row]).__name__} in row {row} (counted from 0)"
        raise DataError(f"{source}: a text is not a string", got=got, hint="name the column of texts with --text")
    refuse_broken(texts, source, "text")
    return tuple(texts)


def group_column(values: Sequence[object], source: str) -> np.ndarray:
    """The groups as names: (rows,) object array of str."""
    refuse_missing(values, source, "group")
    groups = [str(value) for value in values]
    refuse_broken(groups, source, "group")
    return _names(groups)


def weight_column(values: Sequence[object], source: str) -> np.ndarray:
    """The weights of the rows: (rows,) float64, each finite and not below 0.

    Raises:
        DataError: a weight is missing, no number, infinite or negative.

    >>> weight_column([2, 0.5], "a.csv")
    array([2. , 0.5])
    """
    refuse_missing(values, source, "weight")
    weights = np.array([_weight(value) for value in values])
    for row in np.flatnonzero(~((weights >= 0) & (weights < np.inf))).tolist():
        head = f"{source}: the weight in row {row} (counted from 0) cannot be used"
        raise DataError(head, got=repr(values[row]), expected="a finite number, 0 or more")
    return weights


def _weight(value: object) -> float:
    """A weight, as a number or as the text of one, which csv has; NaN of anything else."""
    try:
        return float("nan") if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return float("nan")


def label_column(values: Sequence[Any] | np.ndarray, source: str) -> np.ndarray:
    """The labels as one kind: (rows,) object array of str, int64 or float64.

    Booleans become the names "False" and "True"; integers among floats become floats. In integers whose smallest
    value is -1, -1 marks a row without label, as in the public test parts of GLUE.

    Raises:
        DataError: a label is missing, -1, infinite, too large, neither name nor number, or kinds are mixed.

    >>> label_column([2, 1], "a.jsonl"), label_column([2, 0.5], "a.jsonl")
    (array([2, 1]), array([2. , 0.5]))
    """
    plain = plain_cells(values)
    refuse_missing(plain, source, "label", f"{FILL_IN}, or type --drop-unlabelled")
    labels: list[Any] = [str(value) if isinstance(value, bool) else value for value in plain]
    kinds = {type(label) for label in labels}
    if kinds == {str}:
        refuse_broken(labels, source, "label")
        return _names(labels)
    if kinds == {int}:
        return _integers(labels, source)
    if kinds <= {int, float}:
        return _floats(labels, source)
    if tuple in kinds:
        hint = "give a column with one label a row; several are for train, predict, sweep, rank and the estimators"
        raise DataError(f"{source}: rows have sets of labels", expected="one label a row", hint=hint)
    raise _mixed(labels, source)


def plain_cells(values: Sequence[Any] | np.ndarray) -> list[Any]:
    """Cells as values of Python."""
    return values.tolist() if isinstance(values, np.ndarray) else [_plain(value) for value in values]


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    return str(value) if type(value) is not str and isinstance(value, str) else value


def _names(values: Sequence[str]) -> np.ndarray:
    plain = {name: plain_name(name) for name in dict.fromkeys(values)}
    same = {name: name for name in plain.values()}  # one string object per distinct name, however many rows carry it
    array = np.empty(len(values), dtype=object)
    array[:] = [same[plain[value]] for value in values]
    return array


def is_unlabelled(labels: Sequence[object]) -> list[bool]:
    """Which rows have no label: an empty cell, or -1 where it is the smallest of nothing but integers.

    >>> is_unlabelled(["a", None, ""]), is_unlabelled([0, -1]), is_unlabelled([0, -2, -1])
    ([False, True, True], [False, True], [False, False, False])
    """
    filled: list[Any] = [label for label in labels if not is_missing(label)]
    integers = all(isinstance(label, int | np.integer) and not isinstance(label, bool) for label in filled)
    secret = integers and min(filled, default=0) == UNLABELLED
    return [is_missing(label) or (secret and label == UNLABELLED) for label in labels]


def name_warnings(values: Sequence[object], source: str, what: str) -> list[str]:
    r"""Warnings about labels or groups that were not kept as they were written.

    >>> name_warnings(["a", "a\u200b"], "q.csv", "label")
    ['q.csv: 1 of 2 labels holds invisible characters (U+200B), which are left out: row 1 (counted from 0)']
    """
    names = dict.fromkeys(value for value in values if isinstance(value, str))
    hidden = {name for name in names if has_invisible(name)}
    apart = {name for name in names if is_decomposed(name)}
    warnings = []
    for strange, one, many, rest in (
        (hidden, "holds", "hold", f"invisible characters ({listed_characters(list(hidden))}), which are left out"),
        (apart, "is", "are", "not written in composed Unicode (NFC), and is composed: é as one character"),
    ):
        rows = [row for row, value in enumerate(values) if isinstance(value, str) and value in strange]
        if rows:
            verb = one if len(rows) == 1 else many
            count = f"{len(rows)} of {len(values)} {what}s"
            warnings.append(f"{public_name(source)}: {count} {verb} {rest}: {name_rows(rows)}")
    return warnings


def text_warnings(texts: Sequence[str], source: str) -> list[str]:
    r"""Warnings about texts with invisible characters; they are kept as they are.

    >>> text_warnings(["a", "a\u200bb"], "q.csv")
    ['q.csv: 1 of 2 texts holds invisible characters (U+200B), which a tokenizer may not know: row 1 (counted from 0)']
    """
    rows = [row for row, text in enumerate(texts) if has_invisible(text)]
    if not rows:
        return []
    listed = listed_characters([texts[row] for row in rows])
    verb = "holds" if len(rows) == 1 else "hold"
    what = f"{len(rows)} of {len(texts)} texts {verb} invisible characters ({listed}), which a tokenizer may not know"
    return [f"{public_name(source)}: {what}: {name_rows(rows)}"]


def refuse_unlabelled(labels: Sequence[int], source: str, hint: str) -> None:
    """Raise a `DataError` where -1, the smallest of whole numbers, marks rows without a label."""
    if min(labels) == UNLABELLED:
        rows = [row for row, label in enumerate(labels) if label == UNLABELLED]
        head = f"{source}: {len(rows)} of {len(labels)} rows are unlabelled (-1)"
        raise DataError(head, got=name_rows(rows), hint=hint)


def _integers(labels: list[int], source: str) -> np.ndarray:
    hint = (
        "type --drop-unlabelled to leave them out, or leave a test part out with --test 0; "
        "if -1 is a class, give it a name, if a number to predict, write -1.0"
    )
    refuse_unlabelled(labels, source, hint)
    try:
        return np.array(labels, dtype=np.int64)
    except OverflowError:
        row = next(row for row, label in enumerate(labels) if not -(2**63) <= label < 2**63)
        got = f"row {row} (counted from 0)"
        raise DataError(
            f"{source}: an integer label does not fit 64 bits", got=got, hint="write it as a name"
        ) from None


def _floats(labels: list[float], source: str) -> np.ndarray:
    try:
        numbers = np.array(labels, dtype=np.float64)
    except OverflowError:  # an integer beyond the range of float64 among floats
        raise DataError(f"{source}: a label is too large for a number", expected="a finite number") from None
    rows = np.flatnonzero(~np.isfinite(numbers)).tolist()
    if rows:
        raise DataError(f"{source}: {len(rows)} labels are infinite", got=name_rows(rows), expected="finite numbers")
    return numbers


def _mixed(labels: Sequence[object], source: str) -> DataError:
    first: dict[str, int] = {}
    for row, label in enumerate(labels):
        word = (
            "a name"
            if isinstance(label, str)
            else "a number"
            if isinstance(label, int | float)
            else type(label).__name__
        )
        first.setdefault(word, row)
    got = ", ".join(f"{word} in row {row}" for word, row in first.items()) + " (counted from 0)"
    return DataError(f"{source}: the labels are not of one kind", got=got, expected="all names or all numbers")


def same_kind(parts: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Bring the labels of several parts to one kind.

    A csv file has no types, so one part's column may look like integers while another's are names or floats:
    integers beside names become names, integers beside floats become floats.

    >>> same_kind({"train": np.array(["01", "2"], dtype=object), "test": np.array([2])})["test"].tolist()
    ['2']
    """
    kinds = {part: labels.dtype.kind for part, labels in parts.items()}
    if {"O", "f"} <= set(kinds.values()):
        words = {"O": "names", "f": "floats", "i": "integers"}
        got = ", ".join(f"{words[kind]} in {part}" for part, kind in kinds.items())
        raise DataError("the parts have labels of different kinds", got=got, expected="one kind in all parts")
    if "O" in kinds.values():
        return {part: _names([str(label) for label in labels.tolist()]) for part, labels in parts.items()}
    if "f" in kinds.values():
        return {part: labels.astype(np.float64) for part, labels in parts.items()}
    return dict(parts)
