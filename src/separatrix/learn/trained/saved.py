"""What every trained model writes about itself, and what is checked before it is used again."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from separatrix.errors import DataError, ModelError, OptionError, StoreError, system_path
from separatrix.geometry.calibrate import ScoreCalibration
from separatrix.models.backbone import Backbone
from separatrix.models.load import load_backbone
from separatrix.models.tokens import UnreadCounts
from separatrix.progress import Progress
from separatrix.recipe import ModelRecipe
from separatrix.store.artifacts import new_folder
from separatrix.store.contents import open_artifact
from separatrix.store.files import (
    Schema,
    TensorShape,
    check_format,
    damaged,
    mismatch,
    read_json,
    read_recipe,
    read_tensors,
    write_json,
    write_tensors,
)
from separatrix.store.result import Lines, Printed
from separatrix.texts import Classes
from separatrix.texts.arrays import NEW, strings
from separatrix.texts.characters import is_missing
from separatrix.texts.columns import name_rows
from separatrix.texts.label_sets import sets_of
from separatrix.texts.pairs import is_pair

M = TypeVar("M")
R = TypeVar("R")
A = TypeVar("A", bound=Callable[..., "Predictions"])

FORMAT = 1
TENSORS, NOTES = "model.safetensors", "model.json"
# Of a trained model; the numbers of an index are compared when they are read.
FILES = (TENSORS, NOTES, "encoder/*", "index/manifest.json", "*estimator.json")
CLASSES: Schema = {"classes": (lambda values: all_of(values, str), lambda values: all_of(values, int))}


def all_of(values: Any, kind: type) -> bool:
    """Whether these are two or more different values of one type."""
    return isinstance(values, list) and len(set(map(str, values))) == len(values) > 1 and {*map(type, values)} == {kind}


def positive(value: Any) -> bool:
    """Whether a plain value is a number above 0."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def not_negative(value: Any) -> bool:
    """Whether a plain value is 0 or a number above it."""
    return value == 0 or positive(value)


# What every saved model says of itself; each kind adds its own.
SAVED: dict[str, Schema] = {
    "format": int,
    "kind": str,
    "classes": (CLASSES, None),
    "temperature": positive,
    "calibration?": ScoreCalibration.is_plain,
    "pairs?": bool,
    "base_model": {"name": str, "weights": str, "revision?": (str, None), "origin?": str},
}


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a trained model says of texts."""

    labels: np.ndarray  # (rows,) class labels, tuples of them where rows have several, or numbers
    scores: np.ndarray  # (rows, classes), or (rows, 1)
    probabilities: np.ndarray | None  # (rows, classes), calibrated on validation
    distances: np.ndarray | None  # (rows, classes) to each centroid
    vectors: np.ndarray  # (rows, width): of the frozen text its layer means, or what decides
    cut: int  # texts that were longer than max_length
    neighbors: np.ndarray | None = None  # (rows, k) ids of the nearest training rows, nearest first
    unread: UnreadCounts = UnreadCounts()
    reasons: Mapping[int, str] = field(default_factory=dict)  # row without an answer -> why
    withheld: frozenset[int] | None = None  # rows whose answer was too unsure; None: every answer counts
    blocks: Mapping[str, np.ndarray] = field(default_factory=dict)  # frozen vectors by pooling, (rows, width) each
    outputs: np.ndarray | None = None  # (rows, width) that decide, very wide ones narrowed; None: `vectors` decide


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

    def answer(self, texts: Sequence[str], progress: Progress | None = None) -> Predictions:
        """Labels, probabilities and distances of texts."""
        ...

    def write_files(self, folder: Path) -> None:
        """Write the model into a folder."""
        ...


class Trained(Protocol):
    """What holds a trained model, as the result of a training does."""

    @property
    def model(self) -> Predictor:
        """The model."""
        ...


class PrintedModel(Printed):
    """How a trained model is shown. It is no result: its figures are those of the `TrainingResult` that holds it."""

    classes: Classes | None
    calibration: ScoreCalibration
    pairs: bool = False  # whether it learnt from pairs of texts, and so takes them alone

    if TYPE_CHECKING:  # a field or a property of the subclass

        @property
        def backbone(self) -> Backbone:
            """The transformer."""

        @property
        def recipe(self) -> Any:
            """What it was trained with."""

        def write_files(self, folder: Path) -> None:
            """Write its files into a folder."""

    def save(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Write the model as a folder that `load` and `separatrix predict` read; a frozen transformer is not copied.

        Args:
            folder: a new or empty folder.
            overwrite: replace a saved model.

        Raises:
            StoreError: the folder is not empty (with `overwrite`: and holds something else than a saved model).
        """
        with new_folder(folder, "model", self.recipe, overwrite=overwrite) as path:
            self.write_files(path)

    @property
    def temperature(self) -> float:
        """That the scores are divided by before anything else."""
        return self.calibration.temperature

    def decided(self, scores: np.ndarray) -> np.ndarray:
        """The class with the highest score of each row, (rows,); of several labels, tuples of those that are given."""
        assert self.classes is not None
        if self.calibration.sets:
            return sets_of(self.calibration.decide(scores) if len(scores) else scores, self.classes.names)
        return self.classes.decode(scores.argmax(axis=1))

    def base_notes(self, kind: str, **notes: Any) -> dict[str, Any]:
        """What a trained model says of itself; `notes` are what its kind says beside `SAVED`."""
        classes = None if self.classes is None else self.classes.to_dict()
        own = {"format": FORMAT, "kind": kind, "temperature": self.temperature, "classes": classes}
        if more := self.calibration.to_dict():
            own["calibration"] = more
        if self.pairs:
            own["pairs"] = True
        return own | {"base_model": self.backbone.identity} | notes

    @staticmethod
    def write(folder: Path, notes: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
        """Write the two files of a trained model, each whole."""
        write_tensors(folder / TENSORS, tensors)
        write_json(folder / NOTES, notes)

    def to_dict(self) -> dict[str, Any]:
        """What it is: the class of the model, its transformer, and its classes (None where numbers are predicted)."""
        classes = None if self.classes is None else list(self.classes.values)
        return {"kind": type(self).__name__, "model": self.backbone.identity, "classes": classes}

    def parts(self) -> list[Lines]:
        """What it is, in three lines."""
        classes = ", ".join(self.classes.names) if self.classes else "none: numbers are predicted"
        name = self.backbone.identity["name"]
        return [[("kind", type(self).__name__), ("model", name), ("classes", classes)]]


def on_strings(answer: A) -> A:
    """The `answer` of a model, which refuses what is no column of strings; pairs are joined, see `texts.pairs`.

    Raises:
        DataError: one string, a cell that is none, or several columns.
    """

    @wraps(answer)
    def call(self: Any, texts: Any, progress: Progress | None = None) -> Predictions:
        cells = strings(texts, NEW)
        if None in cells:
            hint = "use predict, which gives no answer to it"
            raise DataError(f"{NEW}: a text is missing", got=name_rows([cells.index(None)]), hint=hint)
        return answer(self, cells, progress)

    return call  # type: ignore[return-value]


def gives_sets(model: Predictor) -> bool:
    """Whether a model gives several labels a row."""
    calibration = getattr(model, "calibration", None)
    return isinstance(calibration, ScoreCalibration) and calibration.sets


def one_label_each(model: Predictor, what: str) -> None:
    """Raise a `ModelError` where a model gives several labels a row, which `what` does not take."""
    if gives_sets(model):
        hint = "use predict, or the estimators"
        raise ModelError(f"{what} takes models with one label a row", got="several labels a row", hint=hint)


def of_pairs(model: M, pairs: bool) -> M:
    """The model as one that learnt from pairs of texts, where it did."""
    given: Any = model
    return replace(given, pairs=True) if pairs else model


def check_input_kind(model: Predictor, texts: Sequence[str]) -> None:
    """Refuse single texts for a model of pairs, and pairs for one of single texts; blank ones are neither.

    Raises:
        OptionError: some are of the other kind.
    """
    wanted = getattr(model, "pairs", False)
    if all(is_pair(text) == wanted for text in texts if not is_missing(text)):
        return
    if wanted:
        hint = "name both columns, as in training: --text FIRST SECOND; in Python, two texts a row"
        raise OptionError("the model was trained on pairs of texts", got="single texts", hint=hint)
    hint = "name one column, as in training: --text COLUMN; in Python, one text a row"
    raise OptionError("the model was trained on single texts", got="pairs of texts", hint=hint)


@dataclass(frozen=True, eq=False)
class SavedModel:
    """The notes of a saved model, checked, and what was typed to load it."""

    folder: Path
    notes: dict[str, Any]
    model: str | None = None  # another place of the transformer
    device: str = "auto"
    trust_remote_code: bool = False
    verify: bool = True
    file: str = NOTES  # that the notes stand in
    option: str = "--model"  # that names another place of the transformer

    @property
    def classes(self) -> Classes | None:
        """The classes; None where numbers are predicted."""
        return None if self.notes["classes"] is None else Classes.from_dict(self.notes["classes"])

    @property
    def class_count(self) -> int:
        """How many; 0 where numbers are predicted."""
        return 0 if self.classes is None else len(self.classes)

    @property
    def calibration(self) -> ScoreCalibration:
        """How scores become probabilities.

        Raises:
            StoreError: it is one of other classes.
        """
        calibration = ScoreCalibration.of(self.notes["temperature"], self.notes.get("calibration"))
        parts = {"vector": calibration.weight, "labels": calibration.thresholds}.get(calibration.method)
        if parts is not None and len(parts) != self.class_count:
            raise self.damaged("its calibration does not fit the classes", self.class_count, file=self.file)
        return calibration

    def recipe(self, cls: type[R], name: str = "recipe") -> R:
        """A recipe that stands in the notes; what it says of remote code is ignored."""
        path = self.folder / self.file
        return read_recipe(cls, self.notes[name], path, trust_remote_code=self.trust_remote_code)

    def tensors(self, shapes: Mapping[str, TensorShape]) -> dict[str, np.ndarray]:
        """The tensors, of these shapes."""
        return read_tensors(self.folder / TENSORS, shapes)[0]

    def damaged(self, what: str, expected: object = None, *, file: str = TENSORS) -> StoreError:
        """The error of a file that holds something else."""
        return damaged(self.folder / file, what, expected)

    def backbone(self, recipe: ModelRecipe, *, logits: bool = False) -> Backbone:
        """The transformer that the model was trained on, from where the recipe says it is or from where it was typed.

        Raises:
            ModelError: it is not found, or has other weights than the one that was trained on.
        """
        here, base = recipe.at(self.model, self.device), self.notes["base_model"]
        try:
            backbone = load_backbone(here, logits=logits)
        except ModelError as error:
            if os.path.exists(system_path(here.model)):
                raise
            what = "the transformer that this model was trained on was not found"
            raise ModelError(what, got=repr(here.model), hint=f"say where it is now with {self.option}") from error
        if backbone.source.weights != base["weights"]:
            raise ModelError(
                f"the model in {self.folder} belongs to other weights",
                got=f"{backbone.source.name} with {backbone.source.weights[:12]}",
                expected=f"{base['name']} with {base['weights'][:12]}",
                hint=f"give the model that it was trained on with {self.option}, or train again",
            )
        return backbone


def read_notes(folder: Path, *, verify: bool = True) -> dict[str, Any]:
    """What a saved model says of itself; of its kind and format only is it known that they are there.

    Args:
        verify: compare all files of the model with the hashes in the folder's manifest, where there is one.

    Raises:
        StoreError: no model in the folder, damaged, or written by a newer version.
    """
    path = folder / NOTES
    if not path.is_file():
        raise StoreError(f"{folder} holds no trained model", expected=f"{NOTES} and {TENSORS}", hint="train one first")
    open_artifact(folder, verify=verify, only=FILES)
    notes = read_json(path, {"format": int, "kind": str})
    check_format(notes["format"], FORMAT, path)
    return notes


def check_notes(path: Path, notes: Mapping[str, Any], schema: Mapping[str, Schema]) -> None:
    """Raise a `StoreError` unless the notes in a file hold `SAVED` and what this schema of their kind says."""
    if (wrong := mismatch(notes, SAVED | dict(schema))) is not None:
        raise damaged(path, wrong)
