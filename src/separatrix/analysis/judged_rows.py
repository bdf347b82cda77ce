"""Rows whose labels are judged: what stands beside each row, and why it is suspect, in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from separatrix.geometry.score import classification
from separatrix.geometry.suspects import ConfidentJoint
from separatrix.rowtable import RowTable
from separatrix.texts.audit import normalise

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


def quality(case: JudgedRows, chances: NDArray[np.float64]) -> dict[str, Any]:
    """How good a judge is: its accuracy against the labels given, with baseline and interval."""
    scores = classification(case.labels, chances.argmax(axis=1), case.names, seed=case.seed)
    return {"accuracy": scores.accuracy, "interval": list(scores.interval), "majority": scores.majority}


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
