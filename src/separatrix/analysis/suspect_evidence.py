"""What speaks against a label besides the judges: neighbours, equal texts, the course of a training - and in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from separatrix import recipe as recipes
from separatrix.errors import DataError, StoreError
from separatrix.geometry.suspects import ConfidentJoint, Dynamics, dynamics, scored_dynamics
from separatrix.store.artifacts import open_artifact
from separatrix.store.files import read_json
from separatrix.store.folder import SHOWN
from separatrix.store.kinds import kind_of
from separatrix.texts.audit import normalise

if TYPE_CHECKING:
    import pandas as pd

_UNLIKE = 0.5  # confidence below which the training dynamics doubt a label


@dataclass(frozen=True, eq=False)
class Case:
    """Rows with their labels, and what the models say of them."""

    table: pd.DataFrame
    labels: NDArray[np.int64]  # (rows,)
    names: tuple[str, ...]
    chances: dict[str, NDArray[np.float64]]  # model -> (rows, classes)
    seed: int
    warnings: list[str] = field(default_factory=list)


def near_columns(case: Case, index: NDArray[np.int64], cosine: NDArray[Any], near: float) -> dict[str, Any]:
    """The nearest near duplicate with another label: its id (or None) and its cosine."""
    clash = (cosine >= near) & (case.labels[index] != case.labels[:, None])
    any_clash, place = clash.any(axis=1), clash.argmax(axis=1)
    row = np.arange(len(index))
    ids = np.asarray(case.table["id"].astype(str), dtype=object)[index[row, place]]
    return {
        "near_id": np.where(any_clash, ids, None),
        "near_cosine": np.where(any_clash, cosine[row, place], np.nan),
    }


def text_columns(case: Case) -> dict[str, Any]:
    """Labels that the very same text carries elsewhere (up to case and white space)."""
    if "text" not in case.table.columns:
        return {}
    forms = [normalise(str(text)) for text in case.table["text"]]
    given: dict[str, set[int]] = {}
    for form, label in zip(forms, case.labels.tolist(), strict=True):
        given.setdefault(form, set()).add(label)
    others = [sorted(given[form] - {label}) for form, label in zip(forms, case.labels.tolist(), strict=True)]
    return {"same_text_labels": [", ".join(case.names[k] for k in found) or None for found in others]}


def dynamics_columns(case: Case, run: Path, column: str, verify: bool = True) -> dict[str, Any]:
    """Training dynamics of the rows that the run was trained on, checked text by text."""
    from separatrix.learn.trajectory import read_dynamics
    from separatrix.store.folder import TRAJECTORY

    recipe = run_file(run, "recipe.json", verify)
    table = case.table
    train = np.flatnonzero(table["split"] == "train") if "split" in table.columns else np.arange(len(table))
    own = read_dynamics(run / TRAJECTORY).astype(np.float64)  # (epochs, train rows)
    wanted = recipe["data"]["train"]
    texts = table["text"].iloc[train].tolist() if "text" in table.columns else []
    given = table[column].iloc[train]
    same = any(recipes.digest(texts, said) == wanted["digest"] for said in (given.tolist(), given.astype(str).tolist()))
    if not same:
        got = f"{len(train)} rows"
        raise DataError(
            f"{run} was trained on other rows", got=got, expected=f"the {wanted['rows']} rows of its training"
        )
    if not own.size or np.isnan(own).all(axis=0).any():
        case.warnings.append(f"{run} keeps no training dynamics (its loss has no classes within an epoch)")
        return {}
    return _spread(dynamics(own[~np.isnan(own).any(axis=1)]), train, len(table))


def _spread(found: Dynamics, places: NDArray[np.int64], rows: int) -> dict[str, Any]:
    columns = {}
    for name in ("confidence", "variability", "correctness"):
        columns[name] = np.full(rows, np.nan)
        columns[name][places] = getattr(found, name)
    return columns


def epoch_columns(case: Case, run: Path) -> dict[str, Any]:
    """Training dynamics of the validation rows of a run, from its scores after every epoch."""
    from separatrix.learn.trajectory import read_epoch_scores
    from separatrix.store.folder import TRAJECTORY

    if not (run / TRAJECTORY).is_dir():
        return {}
    scores = read_epoch_scores(run / TRAJECTORY)
    if not scores:
        return {}
    found = scored_dynamics(np.stack(scores), case.labels)
    return _spread(found, np.arange(len(case.labels)), len(case.labels))


def run_file(run: Path, name: str, verify: bool = True) -> dict[str, Any]:
    """A JSON file of a finished run.

    Raises:
        StoreError: it is not there.
    """
    if not (run / name).is_file():
        raise StoreError(f"{run} holds no finished run", expected=name, hint="give the folder that train wrote")
    if kind_of(run) == "run":
        open_artifact(run, verify=verify, only=SHOWN)
    return read_json(run / name)


def reasons(case: Case, joints: dict[str, ConfidentJoint], columns: dict[str, Any]) -> list[str]:
    """Why a row is suspect, in words; empty for those that are not."""
    said: list[list[str]] = [[] for _ in case.labels]
    flagged = np.array([joint.flagged for joint in joints.values()])  # (models, rows)
    for row in np.flatnonzero(flagged.any(axis=0)).tolist():
        votes: dict[str, list[str]] = {}
        for name, joint in joints.items():
            if joint.flagged[row]:
                votes.setdefault(case.names[joint.suggested[row]], []).append(name)
        said[row] += [f"{' and '.join(models)}: {name}" for name, models in votes.items()]
    for row, other in enumerate(columns.get("near_id", ())):
        if other is not None:
            said[row].append(
                f"near duplicate of {other} (cosine {columns['near_cosine'][row]:.3f}), labelled otherwise"
            )
    for row, names in enumerate(columns.get("same_text_labels", ())):
        if names is not None:
            said[row].append(f"same text labelled {names}")
    for row, chance in enumerate(columns.get("confidence", ())):
        if said[row] and chance < _UNLIKE:
            said[row].append(f"training confidence {chance:.2f}")
    return ["; ".join(parts) for parts in said]
