"""The plane of a trained model's outputs: fitted when a training ends, to the rows that are at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from separatrix.geometry.neighbors import unit_rows
from separatrix.geometry.project import faithfulness, fit_plane
from separatrix.learn.job import TrainedModel
from separatrix.learn.plane import OutputPlane
from separatrix.learn.trained.encoder import AlignModel
from separatrix.learn.trained.probe import ProbeModel
from separatrix.learn.trained.saved import Predictions

LEAST = 25  # rows from which on a faithfulness is measured
MEASURED = 1000  # rows that it is measured on, at most


def place_outputs(trained: TrainedModel[Any], answers: Mapping[str, Predictions], seed: int) -> OutputPlane | None:
    """Fit the plane and place the rows of every part in it; None where two rows or fewer were answered.

    It is fitted to training rows where their outputs are at hand (encoders, probes), else to validation rows.
    """
    train = _training_outputs(trained)
    outputs = {part: _outputs(trained.model, answer) for part, answer in answers.items() if len(answer.vectors)}
    fitted_on, rows = ("validation rows", outputs.get("validation")) if train is None else ("training rows", train)
    if rows is None or len(rows) < 3 or not all(np.isfinite(one).all() for one in (rows, *outputs.values())):
        return None
    plane = fit_plane(rows, seed=seed)
    coordinates = {part: plane.place(one) for part, one in outputs.items()}
    high, flat = np.concatenate([*outputs.values()]), np.concatenate([*coordinates.values()])
    faithful = asdict(faithfulness(high, flat, rows=MEASURED, seed=seed)) if len(high) >= LEAST else None
    again = trained.judged is not None and not isinstance(trained.model, ProbeModel)
    return OutputPlane(
        {part: one.astype(np.float32) for part, one in coordinates.items()}, fitted_on, len(rows),
        tuple(map(float, plane.explained)), faithful, again,
    )  # fmt: skip


def _outputs(model: Any, answer: Predictions) -> np.ndarray:
    """What a model decides by, (rows, width); directions where cosines decide."""
    values = answer.vectors if answer.outputs is None else answer.outputs
    return unit_rows(values) if isinstance(model, AlignModel) else values.astype(np.float32)


def _training_outputs(trained: TrainedModel[Any]) -> np.ndarray | None:
    """The same of the training rows, where it was computed."""
    if isinstance(trained.model, AlignModel):
        return trained.model.index.vectors
    if isinstance(trained.model, ProbeModel):
        return trained.vectors["train"].get(trained.model.pool)
    return None
