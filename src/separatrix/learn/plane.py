"""Where rows that were evaluated lie in the plane of a run's outputs, as a file beside the predictions.

Coordinates are kept, not outputs: all rows then stand on the map, and a run with wide outputs stays small.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from separatrix.store.files import read_tensors, write_tensors

FILE = "plane.safetensors"  # beside the predictions
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
