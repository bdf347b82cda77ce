"""Texts whose rows have several labels: what is refused, what is taken off, and columns that only look joined."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from separatrix.errors import DataError
from separatrix.texts.label_sets import set_names
from separatrix.texts.table import Texts

SEPARATORS = (",", ";", "|", "/", "+")  # of joined labels, as they are recognised where none is named
FEWEST_JOINED = 2  # different joined values from which a column is spoken of
_LIST_SIGNS = ",;|"  # that join names; paths have / and names +
_SHARING = 3  # values of which each shares a part with the others, on average
_NEARLY_ALL = 0.9


def check_sets(texts: Texts) -> tuple[str, ...]:
    """Refuse sets of labels that cannot be learnt; `check_labels` of rows with several labels.

    Raises:
        DataError: fewer than two labels, or one with a single row.
    """
    assert texts.label is not None
    set_names(texts.label, texts.source)
    counts = Counter(name for labels in texts.label.tolist() for name in labels)
    single = sorted(name for name, rows in counts.items() if rows == 1)
    if single:
        listed = ", ".join(map(repr, single[:3])) + (f" and {len(single) - 3} more" if len(single) > 3 else "")
        what = "a label has" if len(single) == 1 else f"{len(single)} labels have"
        hint = "add rows or remove it"
        raise DataError(f"{texts.source}: {what} one row to learn from", got=listed, expected="two rows", hint=hint)
    return ()


def bare_rows(parts: Mapping[str, Texts]) -> tuple[str, ...]:
    """A note for each part with rows that have none of the labels.

    >>> bare_rows({"train": Texts.of(["u", "v", "w"], [["a"], [], ["a", "b"]])})
    ('train: 1 of 3 rows has none of the labels',)
    """
    notes = []
    for name, part in parts.items():
        rows = 0 if part.label is None or part.kind != "sets" else part.label.tolist().count(())
        if rows:
            notes.append(f"{name}: {rows} of {len(part)} rows {'has' if rows == 1 else 'have'} none of the labels")
    return tuple(notes)


def without_labels(texts: Texts, names: Sequence[str]) -> Texts:
    """The same rows without these labels; a row may be left with none."""
    if texts.label is None:
        return texts
    gone, sets = set(names), np.empty(len(texts), dtype=object)
    for row, labels in enumerate(texts.label.tolist()):
        sets[row] = tuple(name for name in labels if name not in gone)
    return replace(texts, label=sets)


def one_label_each(texts: Texts, what: str) -> Texts:
    """The texts themselves, or a `DataError` where rows have several labels, which `what` does not take."""
    if texts.kind != "sets":
        return texts
    hint = "give a column with one label a row; several labels are for train, predict, sweep, rank, suspects and "
    hint += "the estimators"
    hint += ' (extract reads such texts without labels: --label "")' if what == "extract" else ""
    raise DataError(f"{texts.source}: {what} takes one label a row", got="sets of labels", hint=hint)


def joined_labels(
    texts: Texts, hint: str = "type --label-separator {sign} to learn several labels a row"
) -> tuple[str, ...]:
    """A warning where many labels are others, joined by a sign: they may be meant as several labels a row.

    Half of the values with the sign, and two at least, must consist of parts that occur elsewhere too; or nearly all
    values have the sign, with no blank beside it (names of places and sentences have one), and few different parts
    begin or end them.

    Args:
        texts: whose labels are looked at.
        hint: what to do about it; `{sign}` stands for the sign as it is typed.

    >>> texts = Texts.of(["t", "u", "v", "w"], ["joy", "anger", "anger,joy", "fear,joy"], source="q.csv")
    >>> joined_labels(texts)
    ()
    >>> joined_labels(texts.join(Texts.of(["x", "y"], ["anger,fear", "fear"])))
    ("q.csv: 3 labels are others joined by ',' (such as 'anger,joy'), and each is taken as a class of its own: \
type --label-separator , to learn several labels a row",)
    """
    if texts.label is None or texts.kind != "names":
        return ()
    names = list(dict.fromkeys(texts.label.tolist()))
    for sign in SEPARATORS:
        split = {name: [part.strip() for part in name.split(sign)] for name in names if sign in name}
        uses = Counter(part for parts in split.values() for part in set(parts))
        alone = {name for name in names if name not in split}
        whole = [
            name for name, parts in split.items() if all(part and (part in alone or uses[part] > 1) for part in parts)
        ]
        if len(whole) >= FEWEST_JOINED and 2 * len(whole) >= len(split):
            what = f"{len(whole)} labels are others joined by {sign!r} (such as {whole[0]!r})"
        elif len(split) >= _NEARLY_ALL * len(names) and _share_parts(split, sign):
            what = f"{len(split)} of {len(names)} labels share parts joined by {sign!r} (such as {next(iter(split))!r})"
        else:
            continue
        typed = sign if sign in ",+/" else f'"{sign}"'
        return (f"{texts.name}: {what}, and each is taken as a class of its own: {hint.format(sign=typed)}",)
    return ()


def _share_parts(split: Mapping[str, Sequence[str]], sign: str) -> bool:
    """Whether few different parts begin or end names that a sign joins without a blank, and that are no numbers."""
    if sign not in _LIST_SIGNS or any(name != sign.join(parts) or not all(parts) for name, parts in split.items()):
        return False
    if all(part.isdecimal() for parts in split.values() for part in parts):
        return False
    fewest = min(len({parts[end] for parts in split.values()}) for end in (0, -1))
    return 1 < fewest <= len(split) / _SHARING
