"""How clean the texts are: duplicates inside a part, overlap between parts, and labels that contradict.

Two texts are the same exactly, or the same "normalised": lower-cased, with white space collapsed. Nothing is removed;
the counts are reported beside every score, because a test row that stands in training flatters it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from separatrix.texts.characters import normalise
from separatrix.texts.table import Texts


@dataclass(frozen=True, eq=False)
class Duplicates:
    """Rows that repeat an earlier one or, of another part, one of training."""

    total: int  # rows looked at
    exact: int  # rows whose text stands there as well
    normalised: int  # the same up to case and white space (never fewer than `exact`)
    # Distinct normalised texts with more than one label; of another part, those of its rows whose label training
    # does not give to that text.
    conflicting: int
    rows: np.ndarray  # (normalised,) int64, ascending


def duplicates(texts: Texts) -> Duplicates:
    """Count the rows that repeat an earlier one.

    >>> found = duplicates(Texts.of(["Who?", "who?", "Who?", "Why?"], ["a", "b", "a", "c"]))
    >>> found.exact, found.normalised, found.conflicting, found.rows.tolist()
    (1, 2, 1, [1, 2])
    """
    forms = [normalise(text) for text in texts.text]
    labels = _labels_of(forms, texts)
    seen: set[str] = set()
    rows = []
    for row, form in enumerate(forms):
        if form in seen:
            rows.append(row)
        seen.add(form)
    exact = len(texts) - len(set(texts.text))
    conflicting = sum(len(given) > 1 for given in labels.values())
    return Duplicates(len(texts), exact, len(rows), conflicting, np.array(rows, dtype=np.int64))


def overlap(train: Texts, other: Texts) -> Duplicates:
    """Count the rows of `other` that stand in `train`.

    >>> train = Texts.of(["Who?", "Why?"], ["a", "b"])
    >>> found = overlap(train, Texts.of(["Who?", "WHY?", "When?"], ["a", "c", "c"]))
    >>> found.exact, found.normalised, found.conflicting, found.rows.tolist()
    (1, 2, 1, [0, 1])
    """
    known = set(train.text)
    labels = _labels_of([normalise(text) for text in train.text], train)
    forms = [normalise(text) for text in other.text]
    rows = [row for row, form in enumerate(forms) if form in labels]
    exact = sum(text in known for text in other.text)
    conflicting = 0
    if train.label is not None and other.label is not None:
        conflicting = sum(other.label[row] not in labels[forms[row]] for row in rows)
    return Duplicates(len(other), exact, len(rows), conflicting, np.array(rows, dtype=np.int64))


def _labels_of(forms: list[str], texts: Texts) -> dict[str, set[object]]:
    labels: dict[str, set[object]] = {form: set() for form in forms}
    if texts.label is not None:
        for form, label in zip(forms, texts.label.tolist(), strict=True):
            labels[form].add(label)
    return labels
