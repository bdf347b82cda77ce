"""What every trained model writes about itself, and what is checked before it is used again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from separatrix.errors import ModelError, StoreError
from separatrix.models.backbone import Backbone
from separatrix.store.files import read_json
from separatrix.texts import Classes

FORMAT = 1
TENSORS, NOTES = "model.safetensors", "model.json"


@dataclass(frozen=True)
class Scaling:
    """Numbers to predict are trained standardised; this turns them back."""

    mean: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True, eq=False)
class Answer:
    """What a trained model says of texts."""

    labels: np.ndarray  # (rows,) class labels, or numbers
    scores: np.ndarray  # (rows, classes), or (rows, 1)
    probabilities: np.ndarray | None  # (rows, classes), calibrated on validation
    distances: np.ndarray | None  # (rows, classes) to each centroid
    vectors: np.ndarray  # (rows, width): the frozen text's own layer means
    cut: int  # texts that were longer than max_length


class Predictor(Protocol):
    """A trained model in use."""

    backbone: Backbone
    classes: Classes | None

    def answer(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> Answer:
        """Labels, probabilities and distances of texts."""
        ...

    def save(self, folder: Path) -> None:
        """Write the model into a folder."""
        ...


def describe(backbone: Backbone) -> dict[str, Any]:
    """The identity of the model that a result belongs to."""
    source = backbone.source
    return {"name": source.name, "revision": source.revision, "origin": source.origin, "weights": source.weights}


def read_notes(folder: Path) -> dict[str, Any]:
    """The notes of a saved model.

    Raises:
        StoreError: there is no model in the folder, or a newer version wrote it.
    """
    if not (folder / NOTES).is_file():
        raise StoreError(f"{folder} holds no trained model", expected=f"{NOTES} and {TENSORS}", hint="train one first")
    notes = read_json(folder / NOTES)
    if notes.get("format", 0) > FORMAT:
        raise StoreError(
            f"{folder / NOTES} was written by a newer version",
            got=f"format {notes.get('format')}",
            expected=f"format {FORMAT} or older",
            hint="update separatrix",
        )
    return notes


def check_same(backbone: Backbone, base: dict[str, Any], folder: Path) -> None:
    """Raise a `ModelError` unless the model found has the weights that the result was trained on."""
    if backbone.source.weights != base["weights"]:
        raise ModelError(
            f"the model in {folder} belongs to other weights",
            got=f"{backbone.source.name} with {backbone.source.weights[:12]}",
            expected=f"{base['name']} with {base['weights'][:12]}",
            hint="give the model that it was trained on, or train again",
        )
