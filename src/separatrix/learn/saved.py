"""What every trained model writes about itself, and what is checked before it is used again."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
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
    neighbours: np.ndarray | None = None  # (rows, k) ids of the nearest training rows, nearest first


class Predictor(Protocol):
    """A trained model in use."""

    @property
    def backbone(self) -> Backbone:
        """The frozen model."""
        ...

    @property
    def classes(self) -> Classes | None:
        """The classes; None where numbers are predicted."""
        ...

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


def read_notes(folder: Path, kind: str | None = None) -> dict[str, Any]:
    """The notes of a saved model, of one kind ("prompt", "probe") or of any.

    Raises:
        StoreError: no model in the folder, one of another kind, damaged, or written by a newer version.
    """
    path = folder / NOTES
    if not path.is_file():
        raise StoreError(f"{folder} holds no trained model", expected=f"{NOTES} and {TENSORS}", hint="train one first")
    notes = read_json(path)
    check_has(notes if isinstance(notes, dict) else {}, ("format", "kind", "classes", "base_model"), path)
    if notes["format"] > FORMAT:
        raise StoreError(
            f"{path} was written by a newer version",
            got=f"format {notes['format']}",
            expected=f"format {FORMAT} or older",
            hint="update separatrix",
        )
    if kind is not None and notes["kind"] != kind:
        raise StoreError(f"{folder} holds a model of another kind", got=notes["kind"], expected=kind)
    return notes


def check_has(held: Container[str], names: Iterable[str], path: Path) -> None:
    """Raise a `StoreError` unless a file holds these entries."""
    missing = [name for name in names if name not in held]
    if missing:
        raise StoreError(f"{path} is damaged ({missing[0]} is missing)", hint="train again with --overwrite")


def check_same(backbone: Backbone, base: dict[str, Any], folder: Path) -> None:
    """Raise a `ModelError` unless the model found has the weights that the result was trained on."""
    if backbone.source.weights != base["weights"]:
        raise ModelError(
            f"the model in {folder} belongs to other weights",
            got=f"{backbone.source.name} with {backbone.source.weights[:12]}",
            expected=f"{base['name']} with {base['weights'][:12]}",
            hint="give the model that it was trained on, or train again",
        )
