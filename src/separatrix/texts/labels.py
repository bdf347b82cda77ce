"""Class names to class numbers and back, and what is suspicious about a column of labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np

from separatrix.errors import DataError
from separatrix.texts.characters import likeness, plain_name
from separatrix.texts.columns import label_column, listing
from separatrix.texts.set_checks import check_sets
from separatrix.texts.table import Texts


@dataclass(frozen=True)
class Classes:
    """The ordered vocabulary of classes: names sorted, integers by size.

    Attributes:
        values: the classes, all str or all int; the place of a class is its number.

    >>> classes = Classes.of(["b", "a", "b"])
    >>> classes.encode(["b", "a"]), classes.decode([0, 1]).tolist()
    (array([1, 0]), ['a', 'b'])
    """

    values: tuple[str, ...] | tuple[int, ...]
    _number: dict[str | int, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.values) < 2 or len(set(self.values)) < len(self.values):
            raise DataError("a classifier needs two classes or more, each named once", got=list(self.values))
        if len({type(value) for value in self.values}) > 1 or not isinstance(self.values[0], str | int):
            raise DataError("classes are all names or all integers", got=list(self.values))
        numbers = {value: number for number, value in enumerate(self.values)}
        object.__setattr__(self, "_number", {_plain(value): number for value, number in numbers.items()} | numbers)

    @classmethod
    def of(cls, labels: Sequence[Any] | np.ndarray, *, source: str = "the labels") -> Classes:
        """The classes that occur in the labels.

        Raises:
            DataError: labels missing or -1, numbers to predict (floats), or one class only.

        >>> Classes.of([10, 9, 10]).values
        (9, 10)
        """
        column = label_column(labels, source) if len(labels) else np.empty(0, dtype=object)
        if column.dtype.kind == "f":
            hint = "use --loss mse"
            if (column == column.astype(np.int64)).all():
                hint += ", or write them as whole numbers (1, not 1.0) to learn classes"
            raise DataError(f"{source}: labels are numbers to predict, not classes", got="floats", hint=hint)
        classes = sorted(set(column.tolist()))
        if len(classes) < 2:
            got = f"only {classes[0]!r} in {len(column)} rows" if classes else "no rows"
            raise DataError(f"{source}: a classifier needs two classes or more", got=got)
        return cls(tuple(classes))

    def __len__(self) -> int:
        return len(self.values)

    @property
    def names(self) -> tuple[str, ...]:
        """The classes as text, in order."""
        return tuple(str(value) for value in self.values)

    def encode(self, labels: Sequence[Any] | np.ndarray, *, source: str = "the labels") -> np.ndarray:
        """The number of each label's class: (rows,) int64.

        Raises:
            DataError: a label that is not among the classes; it names label, row and the nearest class.

        >>> Classes(("human", "number")).encode(["number", "human"])
        array([1, 0])
        """
        given = labels.tolist() if isinstance(labels, np.ndarray) else list(labels)
        plain = [_plain(label) for label in given]
        try:
            numbers = [self._number[label] for label in plain]
        except (KeyError, TypeError):  # TypeError: a label that cannot be a key, such as a list
            raise self._unknown(plain, source) from None
        return np.array(numbers, dtype=np.int64)

    def _unknown(self, labels: list[Any], source: str) -> DataError:
        known = set(self.values)
        rows = [row for row, label in enumerate(labels) if not isinstance(label, str | int) or label not in known]
        listed = listing(self.names)
        near = get_close_matches(str(labels[rows[0]]), self.names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "the label was never seen in training: remove these rows"
        more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
        head = f"{source}: unknown label in row {rows[0]}{more} (counted from 0)"
        return DataError(head, got=repr(labels[rows[0]]), expected=f"one of {listed}", hint=hint)

    def decode(self, ids: Sequence[int] | np.ndarray) -> np.ndarray:
        """The labels of class numbers: (rows,) object array of str, or int64."""
        numbers = np.asarray(ids, dtype=np.int64)
        if numbers.size and not 0 <= numbers.min() <= numbers.max() < len(self):
            got = f"{numbers.min()} to {numbers.max()}"
            raise DataError("a class number is out of range", got=got, expected=f"0 to {len(self) - 1}")
        return np.array(self.values, dtype=object if isinstance(self.values[0], str) else np.int64)[numbers]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `from_dict` reads it back.

        >>> Classes.from_dict(Classes((1, 2)).to_dict()) == Classes((1, 2))
        True
        """
        return {"classes": list(self.values)}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Classes:
        """The classes that `to_dict` wrote."""
        if not isinstance(plain.get("classes"), list):
            raise DataError("this is not a saved list of classes", got=sorted(plain), expected="classes")
        return cls(tuple(plain["classes"]))


def _plain(label: Any) -> Any:
    """A label as `label_column` keeps it."""
    return str(label) if isinstance(label, bool) else plain_name(label)


def check_labels(texts: Texts) -> tuple[str, ...]:
    """Refuse labels that cannot be learnt; return warnings, one sentence each, about those that are suspicious.

    Refused: no labels at all, one class only, and a class with one row (it cannot be both learnt and checked). Warned
    of: names that look alike. Floats are numbers to predict: refused when all are equal.

    Raises:
        DataError: an unknown label.

    >>> check_labels(Texts.of(["w", "x", "y", "z"], ["a", "a", "A", "A"], source="q.csv"))
    ("q.csv: the classes 'A' and 'a' differ only in case, white space or characters that nobody sees",)
    """
    if texts.label is None:
        raise DataError(f"{texts.source} was read without labels", hint="name their column with --label")
    if texts.kind == "sets":
        return check_sets(texts)
    if texts.kind == "floats":
        if len(set(texts.label.tolist())) < 2:
            raise DataError(f"{texts.source}: all labels are the same number", got=texts.label[:1].tolist())
        return ()
    counts = Counter(texts.label.tolist())
    Classes.of(texts.label, source=texts.source)
    _refuse_single(sorted(label for label, rows in counts.items() if rows == 1), texts.source)
    by_form: dict[str, list[str]] = {}
    for name in sorted(counts) if texts.kind == "names" else ():
        by_form.setdefault(likeness(name), []).append(repr(name))
    alike = [" and ".join(names) for names in by_form.values() if len(names) > 1]
    what = "differ only in case, white space or characters that nobody sees"
    return tuple(f"{texts.name}: the classes {names} {what}" for names in alike)


def _refuse_single(single: list[Any], source: str) -> None:
    if not single:
        return
    what = f"the class {single[0]!r} has" if len(single) == 1 else f"{len(single)} classes have"
    raise DataError(
        f"{source}: {what} one row to learn from",
        got=", ".join(map(repr, single[:3])) + (f" and {len(single) - 3} more" if len(single) > 3 else ""),
        expected="two rows or more of each class",
        hint="add rows, give the class to another one, or remove it",
    )
