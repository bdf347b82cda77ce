"""Where rows that were evaluated lie in the plane of the outputs: fitted when a training ends, kept with the run.

Coordinates are kept, not outputs: all rows then stand on the map, and a run with wide outputs stays small.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from separatrix.geometry.neighbors import unit_rows
from separatrix.geometry.project import faithfulness, fit_plane
from separatrix.learn.job import TrainedModel
from separatrix.learn.trained.encoder import AlignModel
from separatrix.learn.trained.probe import ProbeModel
from separatrix.learn.trained.saved import Predictions
from separatrix.store.files import read_tensors, write_tensors

FILE = "plane.safetensors"  # beside the predictions
LEAST = 25  # rows from which on a faithfulness is measured
MEASURED = 1000  # rows that it is measured on, at most
NOTE = {"fitted_on": str, "fitted_rows": int, "explained": [float], "faithful": (dict, None), "again": bool}


@dataclass(frozen=True, eq=False)
class OutputPlane:
    """Evaluated rows in the plane of largest variance of a trained model's outputs."""

    coordinates: Mapping[str, np.ndarray]  # part -> (rows, 2) float32
    fitted_on: str  # rows that the plane was fitted to, in words
    fitted_rows: int
    explained: tuple[float, ...]  # share of the variance along each axis
    faithful: Mapping[str, Any] | None  # figures of `Faithfulness`; None: too few rows
    again: bool = False  # whether test rows were answered by a model that was trained once more

    @property
    def axes(self) -> list[str]:
        """Names of the axes."""
        return [f"PC {number} ({share:.1%} of variance)" for number, share in enumerate(self.explained, 1)]

    @property
    def note(self) -> str:
        """How it was made, and how faithful it is."""
        parts = [f"PCA plane fitted on {self.fitted_rows} {self.fitted_on}, all others placed by it"]
        if self.again:
            parts.append("test rows are outputs of the model that was trained once more")
        if self.faithful is None:
            return "; ".join([*parts, "too few rows to say how faithful it is"])
        figures = dict(self.faithful)
        close = f"trustworthiness {figures['trustworthiness']:.2f}, k-NN overlap {figures['knn_overlap']:.2f}"
        return "; ".join([*parts, f"{close} (k = {figures['k']}, {figures['rows']} rows, seed {figures['seed']})"])

    def write(self, folder: Path) -> None:
        """Write the file of a folder of predictions."""
        note = {name: getattr(self, name) for name in NOTE}
        write_tensors(folder / FILE, self.coordinates, note | {"explained": list(self.explained)})

    @classmethod
    def read(cls, folder: Path) -> OutputPlane | None:
        """What a folder of predictions keeps; None of a run that kept none."""
        if not (folder / FILE).is_file():
            return None
        shapes = {f"{part}?": (f"{part} rows", 2) for part in ("validation", "test")}
        coordinates, note = read_tensors(folder / FILE, shapes, NOTE)
        return cls(coordinates, **note | {"explained": tuple(note["explained"])})


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
