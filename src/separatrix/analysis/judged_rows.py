"""Rows whose labels are judged: what stands beside each row, and why it is suspect, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from separatrix.codes import encode, ranks_in_class
from separatrix.errors import DataError
from separatrix.geometry.classes import spread_order, spread_sets
from separatrix.geometry.score import classification
from separatrix.geometry.suspects import ConfidentJoint, confident_joint
from separatrix.recipe.cluster import SuspectsRecipe
from separatrix.rowtable import RowTable
from separatrix.texts.characters import normalise
from separatrix.texts.columns import listing

FEWEST = 50  # rows of each class that judge, where not all do
LIKELY = 0.5  # probability from which a label is taken for wrong
TINY = 1e-12  # probability below which a judge says no more
_FEW = 100  # rows below which hard ones can hardly be told from wrong labels
_MANY = 0.1  # share of the rows above which the suspects are no short list
_NAMED = 8  # classes in a warning
_FIRST = (20, 50, 100)  # rows whose expected share of wrong labels is said
_MOST_CLASSES = 1000
_UNLIKE = 0.5  # confidence below which the training dynamics doubt a label


@dataclass(frozen=True, eq=False)
class JudgedRows:
    """Rows with their labels, and what the models say of them."""

    rows: RowTable
    labels: NDArray[np.int64]  # (rows,)
    names: tuple[str, ...]
    chances: dict[str, NDArray[np.float64]]  # model -> (rows, classes)
    seed: int
    warnings: list[str] = field(default_factory=list)
    learnt: NDArray[np.bool_] | None = None  # (rows,) whether the judges have learnt the class of a row; None: of all

    @cached_property
    def copies(self) -> NDArray[np.int64] | None:
        """Number of the text of each row, (rows,): equal texts, up to case and white space, have the same."""
        if "text" not in self.rows:
            return None
        batches = self.rows.batches(columns=("text",))  # a text can be long: a hash of it is kept
        forms = [
            blake2b(normalise(str(text)).encode("utf-8", "surrogatepass"), digest_size=16).digest()
            for one in batches
            for text in one["text"]
        ]
        return np.unique(np.array(forms), return_inverse=True)[1].reshape(-1).astype(np.int64)

    @cached_property
    def judged(self) -> NDArray[np.bool_]:
        """Rows that are judged, (rows,)."""
        return np.ones(len(self.labels), bool) if self.learnt is None else self.learnt

    @cached_property
    def possible(self) -> NDArray[np.int64]:
        """Numbers of the classes that a row may be of: all but those of which there are rows and none is judged."""
        rows, judged = (np.bincount(one, minlength=len(self.names)) for one in (self.labels, self.labels[self.judged]))
        return np.flatnonzero((judged > 0) | (rows == 0))

    def spread(self, figures: NDArray[np.float64]) -> NDArray[np.float64]:
        """Figures of the rows that are judged, as those of all rows, (rows,): NaN where none judges."""
        whole = np.full(len(self.labels), np.nan)
        whole[self.judged] = figures
        return whole


def class_numbers(labels: Any, name: str, *, sets: bool = False) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Class number of each row (-1: no label), in the order of their first rows, and the names.

    Args:
        labels: a column, as a pandas series.
        name: of the column.
        sets: cells hold several labels, so that each row may have a cell of its own.

    Raises:
        DataError: fewer than four rows (of sets: two), one class, numbers that are no classes, or hardly two rows of a
            class.
    """
    if labels.dtype.kind == "f" and (labels.dropna() % 1).any():
        raise DataError(f"the column {name!r} holds numbers, not classes", got="fractions", hint="name another --label")
    codes, classes = encode(labels, by_row=True)  # no figure depends on a name
    known = int((codes >= 0).sum())
    least = 2 if sets else 4  # rows: two classes of two
    if known < least:
        head = f"the rows with a label in the column {name!r} are too few to judge each other"
        raise DataError(head, got=known, expected=f"{least} or more")
    most = known if sets else min(_MOST_CLASSES, known // 2)
    if not 2 <= len(classes) <= most:
        got = f"{len(classes)} different values in {known} rows"
        raise DataError(f"the column {name!r} holds no classes", got=got, expected=f"2 to {most}")
    return codes, tuple(map(str, classes))


def judging_rows(labels: NDArray[np.int64], recipe: SuspectsRecipe) -> NDArray[np.int64]:
    """Numbers of the rows that judge, rising: all, or of many rows some of each class, then its share.

    A class with hardly any row that judges would be doubted in all of its rows.

    >>> judging_rows(np.array([0] * 80 + [1] * 60), SuspectsRecipe(most_rows=90)).size
    101
    """
    if not 0 < recipe.most_rows < len(labels):
        return np.arange(len(labels))
    order = spread_order(labels, [recipe.seed, 13])
    by_class = order[np.argsort(labels[order], kind="stable")]
    first = by_class[ranks_in_class(np.bincount(labels)) < FEWEST]
    return np.union1d(order[: recipe.most_rows], first)


def judging_sets(marks: NDArray[np.int64], recipe: SuspectsRecipe) -> NDArray[np.int64]:
    """Numbers of the rows that judge where rows have several labels, marks (rows, labels): some of each label too.

    >>> judging_sets(np.array([[1, 0]] * 80 + [[0, 1]] * 60), SuspectsRecipe(most_rows=20)).size
    100
    """
    if not 0 < recipe.most_rows < len(marks):
        return np.arange(len(marks))
    order = spread_sets(marks, [recipe.seed, 13])
    first = [order[np.flatnonzero(column)[:FEWEST]] for column in marks[order].T]
    return np.unique(np.concatenate([order[: recipe.most_rows], *first]))


def expected_shares(error: NDArray[np.float64]) -> dict[str, float]:
    """What share of the first rows is expected to be wrong, of falling probabilities (rows,).

    >>> expected_shares(np.linspace(1, 0, 21))
    {'20': 0.525}
    """
    return {str(count): float(error[:count].mean()) for count in _FIRST if count <= len(error)}


def which_rows(source: str, judging: int, rows: int) -> str:
    """Which rows are judged, and by which.

    >>> which_rows("texts", 20, 30)
    'out-of-fold rows of the texts, by 20 of 30 rows: 50 of each class, and its share (--most-rows 0: by all)'
    """
    words = f"out-of-fold rows of the {source}"
    rule = f"{FEWEST} of each class, and its share (--most-rows 0: by all)"
    return words if judging == rows else f"{words}, by {judging} of {rows} rows: {rule}"


def quality(case: JudgedRows, chances: NDArray[np.float64]) -> dict[str, Any]:
    """How good a judge is: its accuracy against the labels given, with baseline and interval."""
    answers = chances[case.judged].argmax(axis=1)
    scores = classification(case.labels[case.judged], answers, case.names, seed=case.seed)
    return {"accuracy": scores.accuracy, "interval": list(scores.interval), "majority": scores.majority}


def judged_joint(case: JudgedRows, chances: NDArray[np.float64]) -> ConfidentJoint:
    """The confident joint of the rows that are judged; the others keep their label, and have no confidence in it."""
    joint = confident_joint(chances[case.judged], case.labels[case.judged])
    flagged, suggested = np.zeros(len(case.labels), bool), case.labels.copy()
    flagged[case.judged], suggested[case.judged] = joint.flagged, joint.suggested
    confidence, margin = (case.spread(one) for one in (joint.self_confidence, joint.margin))
    return replace(joint, suggested=suggested, flagged=flagged, self_confidence=confidence, margin=margin)


def near_columns(case: JudgedRows, index: NDArray[np.int64], cosine: NDArray[Any], near: float) -> dict[str, Any]:
    """The nearest near duplicate with another label: its id (or None) and its cosine."""
    clash = (cosine >= near) & (case.labels[index] != case.labels[:, None])
    any_clash, column = clash.any(axis=1), clash.argmax(axis=1)
    row, ids = np.arange(len(index)), np.full(len(index), None, dtype=object)
    ids[any_clash] = [str(one) for one in case.rows.take(index[row, column][any_clash]).column("id")]
    return {"near_id": ids, "near_cosine": np.where(any_clash, cosine[row, column], np.nan)}


def text_columns(case: JudgedRows) -> dict[str, Any]:
    """Labels that the very same text carries elsewhere (up to case and white space)."""
    if case.copies is None:
        return {}
    forms = case.copies.tolist()
    given: dict[int, set[int]] = {}
    for form, label in zip(forms, case.labels.tolist(), strict=True):
        given.setdefault(form, set()).add(label)
    others = [sorted(given[form] - {label}) for form, label in zip(forms, case.labels.tolist(), strict=True)]
    words = [", ".join(case.names[k] for k in labels) or None for labels in others]
    return {"same_text_labels": np.array(words, dtype=object)}


def reasons(case: JudgedRows, joints: dict[str, ConfidentJoint], columns: dict[str, Any]) -> list[str]:
    """Why a row is suspect, in words; empty for those that are not."""
    words: list[list[str]] = [[] for _ in case.labels]
    flagged = np.array([joint.flagged for joint in joints.values()])  # (models, rows)
    for row in np.flatnonzero(flagged.any(axis=0)).tolist():
        votes: dict[str, list[str]] = {}
        for name, joint in joints.items():
            if joint.flagged[row]:
                votes.setdefault(case.names[joint.suggested[row]], []).append(name)
        words[row] += [f"{' and '.join(models)}: {name}" for name, models in votes.items()]
    for row, other in enumerate(columns.get("near_id", ())):
        if other is not None:
            words[row].append(
                f"near duplicate of {other} (cosine {columns['near_cosine'][row]:.3f}), labelled otherwise"
            )
    for row, names in enumerate(columns.get("same_text_labels", ())):
        if names is not None:
            words[row].append(f"same text labelled {names}")
    for row, chance in enumerate(columns.get("confidence", ())):
        if words[row] and chance < _UNLIKE:
            words[row].append(f"training confidence {chance:.2f}")
    return ["; ".join(parts) for parts in words]


def doubts(judges: Mapping[str, Any], expected: Mapping[str, float], suspects: int, rows: int) -> list[str]:
    """Warnings about judges that are no better than the majority, or too weak for what they doubt."""
    lines = [
        f"the judge {name} is not above the majority baseline, so what it doubts means nothing"
        for name, figures in judges.items()
        if figures["interval"][0] <= figures["majority"]
    ]
    first, best = next(iter(expected), None), max(figures["accuracy"] for figures in judges.values())
    misread = round((1 - best) * rows)  # of fewer than the first rows, most of those are not in doubt
    if suspects and first is not None and expected[first] < LIKELY and misread >= int(first):
        lines.append(
            f"the judges are weak (accuracy {best:.2f}): of the first {first} rows only {expected[first]:.0%} are "
            "expected to be wrong; hard rows stand among them"
        )
    return [*lines, *size_doubts(suspects, rows)]


def size_doubts(suspects: int, rows: int) -> list[str]:
    """Warnings where few rows are judged, and where many of them are suspects.

    >>> size_doubts(3, 40)
    ['40 rows are few to tell wrong labels from hard rows: that rows are suspect says little, and so does that none is']
    >>> size_doubts(60, 400), size_doubts(40, 400)
    (['60 of 400 rows are suspects (15%): a tenth of a file is rarely wrong, so look before you drop them'], [])
    """
    lines = []
    if rows < _FEW:
        doubt = "that rows are suspect says little, and so does that none is"
        lines.append(f"{rows} rows are few to tell wrong labels from hard rows: {doubt}")
    if suspects > _MANY * rows:
        what = f"{suspects} of {rows} rows are suspects ({suspects / rows:.0%})"
        lines.append(f"{what}: a tenth of a file is rarely wrong, so look before you drop them")
    return lines


def undoubted(names: Sequence[str], why: str) -> list[str]:
    """A warning that names classes or labels that doubt no row, if there are some.

    >>> undoubted(["owl"], "too few rows"), undoubted([], "too few rows")
    (['no row is doubted for owl: too few rows'], [])
    """
    return [f"no row is doubted for {listing(names, _NAMED)}: {why}"] if names else []


def few_rows(case: JudgedRows, folds: int) -> list[str]:
    """Warnings about classes that no judge has learnt without the row itself, and that few have."""
    sizes, judged = np.bincount(case.labels), np.bincount(case.labels[case.judged], minlength=len(case.names))
    unjudged = [name for name, few in zip(case.names, judged < sizes, strict=True) if few]
    thin = [name for name, few in zip(case.names, (judged == sizes) & (sizes < folds), strict=True) if few]
    rows = (sizes - judged).sum()
    lines = undoubted(unjudged, f"{len(unjudged)} classes ({rows} rows) that no other row shows to the judges")
    if thin:
        lines.append(f"classes with fewer rows than folds cannot be judged well: {listing(thin, _NAMED)}")
    return lines
