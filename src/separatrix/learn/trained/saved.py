"""What every trained model writes about itself, and what is checked before it is used again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from separatrix.errors import ModelError, StoreError, public_name
from separatrix.models.backbone import Backbone
from separatrix.models.load import load_backbone
from separatrix.models.tokens import Unread
from separatrix.recipe import ModelRecipe
from separatrix.store.artifacts import open_artifact
from separatrix.store.files import Schema, check_format, damaged, mismatch, read_json
from separatrix.texts import Classes

FORMAT = 1
TENSORS, NOTES = "model.safetensors", "model.json"
# Of a trained model; the numbers of an index are compared when they are read.
FILES = (TENSORS, NOTES, "encoder/*", "index/manifest.json", "*estimator.json")
CLASSES: Schema = {"classes": (lambda values: all_of(values, str), lambda values: all_of(values, int))}
# What every saved model says of itself; each kind adds its own.
SAVED: dict[str, Schema] = {
    "format": int,
    "kind": str,
    "classes": (CLASSES, None),
    "base_model": {"name": str, "weights": str, "revision?": (str, None), "origin?": str},
}


def all_of(values: Any, kind: type) -> bool:
    """Whether these are two or more different values of one type."""
    return isinstance(values, list) and len(set(map(str, values))) == len(values) > 1 and {*map(type, values)} == {kind}


def positive(value: Any) -> bool:
    """Whether a plain value is a number above 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a trained model says of texts."""

    labels: np.ndarray  # (rows,) class labels, or numbers
    scores: np.ndarray  # (rows, classes), or (rows, 1)
    probabilities: np.ndarray | None  # (rows, classes), calibrated on validation
    distances: np.ndarray | None  # (rows, classes) to each centroid
    vectors: np.ndarray  # (rows, width): of the frozen text its layer means, or what decides
    cut: int  # texts that were longer than max_length
    neighbours: np.ndarray | None = None  # (rows, k) ids of the nearest training rows, nearest first
    unread: Unread = Unread()
    reasons: Mapping[int, str] = field(default_factory=dict)  # row without an answer -> why
    blocks: Mapping[str, np.ndarray] = field(default_factory=dict)  # frozen vectors by pooling, (rows, width) each


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

    def answer(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> Predictions:
        """Labels, probabilities and distances of texts."""
        ...

    def save(self, folder: Path) -> None:
        """Write the model into a folder."""
        ...


def describe(backbone: Backbone) -> dict[str, Any]:
    """The identity of the model that a result belongs to."""
    source = backbone.source
    name = public_name(source.name)
    return {"name": name, "revision": source.revision, "origin": source.origin, "weights": source.weights}


def read_notes(
    folder: Path, kind: str | None = None, schema: Mapping[str, Schema] | None = None, *, verify: bool = True
) -> dict[str, Any]:
    """The notes of a saved model, of one kind ("prompt", "probe") or of any.

    Args:
        folder: of the model.
        kind: the kind wanted.
        schema: what the notes of this kind hold beside `SAVED`.
        verify: compare all files of the model with the hashes in the folder's manifest, where there is one.

    Raises:
        StoreError: no model in the folder, one of another kind, damaged, or written by a newer version.
    """
    path = folder / NOTES
    if not path.is_file():
        raise StoreError(f"{folder} holds no trained model", expected=f"{NOTES} and {TENSORS}", hint="train one first")
    open_artifact(folder, verify=verify, only=FILES)
    notes = read_json(path, {"format": int, "kind": str})
    check_format(notes["format"], FORMAT, path)
    if kind is not None and notes["kind"] != kind:
        raise StoreError(f"{folder} holds a model of another kind", got=notes["kind"], expected=kind)
    if (wrong := mismatch(notes, SAVED | dict(schema or {}))) is not None:
        raise damaged(path, wrong)
    return notes


def load_base(folder: Path, recipe: ModelRecipe, base: dict[str, Any], *, logits: bool = False) -> Backbone:
    """The transformer that a saved model belongs to.

    Args:
        folder: of the saved model.
        recipe: which transformer.
        base: its identity, as `describe` gave it.
        logits: load the language model's head as well.

    Raises:
        ModelError: it is not found, or has other weights than the one that was trained on.
    """
    try:
        backbone = load_backbone(recipe, logits=logits)
    except ModelError as error:
        if Path(recipe.model).is_dir():
            raise
        what = "the transformer that this model was trained on was not found"
        raise ModelError(what, got=repr(recipe.model), hint="say where it is now with --model") from error
    check_same(backbone, base, folder)
    return backbone


def check_same(backbone: Backbone, base: dict[str, Any], folder: Path) -> None:
    """Raise a `ModelError` unless the model found has the weights that the result was trained on."""
    if backbone.source.weights != base["weights"]:
        raise ModelError(
            f"the model in {folder} belongs to other weights",
            got=f"{backbone.source.name} with {backbone.source.weights[:12]}",
            expected=f"{base['name']} with {base['weights'][:12]}",
            hint="give the model that it was trained on with --model, or train again",
        )
