"""A training as it went by, in bounded room: what the animation, the curves and the training dynamics are made from.

On disk, one small file per event, each written whole under a name that depends only on the step, so a resumed training
writes the same bytes again:

- `frame-<step>.safetensors`: outputs of a fixed, seeded subsample of validation rows (at most 121 frames), centroids,
  predicted classes;
- `epoch-<n>.safetensors`: validation outputs (a fixed subsample) and scores of all validation rows, and, for every
  training row, the probability of its own class when it was last trained on; for encoders also outputs and predicted
  classes of a fixed subsample of training rows.

Outputs wider than `WIDEST` (logits over a vocabulary) are stored through a fixed random projection, which keeps
distances (Johnson and Lindenstrauss); so the room is rows x frames x WIDEST x 2 bytes at most.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from separatrix.codes import draw_some
from separatrix.store.files import TensorShape, read_tensors, reading, write_tensors

OWN = "own.safetensors"
FRAME_ROWS = 300  # of a frame, and of a map of training rows, unless the recipe says otherwise
EPOCH_ROWS = 2000
WIDEST = 4096
NARROWED = 256
HALF_MAX = float(np.finfo(np.float16).max)


def subsample(rows: int, limit: int, seed: int) -> np.ndarray:
    """At most `limit` row numbers, sorted, the same for the same seed."""
    return draw_some(rows, limit, [seed, rows, limit])


def begun_with(folder: Path, wanted: int) -> int:
    """Rows of a frame: those that the training in a folder began with, else those that are wanted."""
    if not (folder / OWN).is_file():
        return wanted
    note = read_tensors(folder / OWN, note={"frame_rows?": int})[1]
    return int(note.get("frame_rows", FRAME_ROWS))  # early ones do not say it


@dataclass(frozen=True)
class Frame:
    """Outputs of the fixed rows at one moment."""

    step: int
    title: str
    outputs: np.ndarray  # (rows, width) float16 as stored
    predicted: np.ndarray  # (rows,) class ids, or predicted numbers
    centroids: np.ndarray | None  # (classes, width)


@dataclass
class Recorder:
    """Writes the files of one training."""

    folder: Path
    train_rows: int
    validation_rows: int
    seed: int
    most: int = FRAME_ROWS  # rows of a frame; a training that is gone on with keeps to those that it began with

    def __post_init__(self) -> None:
        self.most = begun_with(self.folder, self.most)
        self.frame_rows = subsample(self.validation_rows, self.most, self.seed)
        self.epoch_rows = subsample(self.validation_rows, EPOCH_ROWS, self.seed)
        self.map_rows = subsample(self.train_rows, self.most, self.seed)
        self.own = np.full(self.train_rows, np.nan, dtype=np.float32)  # (train rows,)
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / OWN
        if path.is_file():
            own = read_tensors(path)[0].get("own", self.own)
            self.own = own.copy() if len(own) == self.train_rows else self.own

    def frame(
        self, step: int, title: str, outputs: np.ndarray, predicted: np.ndarray, centroids: np.ndarray | None = None
    ) -> None:
        """Keep the outputs, (rows, width), of `frame_rows`, and the centroids."""
        arrays = {"outputs": self._narrow(outputs), "predicted": predicted}
        if centroids is not None:
            arrays["centroids"] = self._narrow(centroids)
        write_tensors(self.folder / f"frame-{step:07d}.safetensors", arrays, {"step": step, "title": title})

    def rows(self, rows: np.ndarray, own: np.ndarray) -> None:
        """Note the probability of the own class for a training batch."""
        self.own[rows] = own

    def keep_own(self) -> None:
        """Save the notes within an epoch, beside the loop's checkpoint."""
        write_tensors(self.folder / OWN, {"own": self.own}, {"frame_rows": self.most})

    def epoch(
        self, epoch: int, outputs: np.ndarray, scores: np.ndarray, train: tuple[np.ndarray, np.ndarray] | None = None
    ) -> None:
        """Close an epoch: validation outputs and scores, and the notes on the training rows.

        Args:
            epoch: its number, from 1.
            outputs: of all validation rows, (rows, width).
            scores: of all validation rows, (rows, classes).
            train: outputs and predicted classes of `map_rows`, if they are kept.
        """
        arrays = {
            "outputs": self._narrow(outputs[self.epoch_rows]),
            "rows": self.epoch_rows,
            "scores": scores.astype(np.float32),
            "own": self.own.astype(np.float16),
        }
        if train is not None:
            arrays |= {"train_outputs": self._narrow(train[0]), "train_predicted": train[1]}
        write_tensors(self.folder / f"epoch-{epoch:04d}.safetensors", arrays, {"epoch": epoch})
        self.keep_own()

    def _narrow(self, values: np.ndarray) -> np.ndarray:
        return narrowed(values, self.seed)


def narrowed(values: np.ndarray, seed: int) -> np.ndarray:
    """Outputs (rows, width) as float16; more than `WIDEST` columns go through a fixed random projection.

    >>> narrowed(np.array([[1.0, 1e6]]), 0).tolist()
    [[1.0, 65504.0]]
    """
    width = values.shape[1]
    if width > WIDEST:
        matrix = np.random.default_rng([seed, width]).standard_normal((width, NARROWED), dtype=np.float32)
        values = values @ (matrix / np.sqrt(NARROWED))
    return values.clip(-HALF_MAX, HALF_MAX).astype(np.float16)


def _read(
    folder: Path, kind: str, shapes: dict[str, TensorShape] | None, note: dict[str, type]
) -> Iterator[tuple[Any, Any]]:
    for path in sorted(folder.glob(f"{kind}-*.safetensors")):
        yield read_tensors(path, shapes, note)


def read_frames(folder: Path) -> list[Frame]:
    """All frames of a training in order."""
    shapes: dict[str, TensorShape] = {"outputs": ("rows", "width"), "predicted": ("rows",)}
    shapes["centroids?"] = ("classes", "width")
    return [
        Frame(note["step"], note["title"], arrays["outputs"], arrays["predicted"], arrays.get("centroids"))
        for arrays, note in _read(folder, "frame", shapes, {"step": int, "title": str})
    ]


def read_train_frames(folder: Path) -> list[Frame]:
    """Training rows after each epoch, where they were kept."""
    shapes: dict[str, TensorShape] = {"train_outputs?": ("rows", "width"), "train_predicted?": ("rows",)}
    return [
        Frame(note["epoch"], f"epoch {note['epoch']}", arrays["train_outputs"], arrays["train_predicted"], None)
        for arrays, note in _read(folder, "epoch", shapes, {"epoch": int})
        if "train_outputs" in arrays
    ]


def read_dynamics(folder: Path) -> np.ndarray:
    """Probability of the own class of every training row when an epoch trained on it, (epochs, train rows).

    NaN where no class has an anchor within an epoch (cosine, distance), and for numbers.
    """
    with reading(folder):
        epochs = [arrays["own"] for arrays, _ in _read(folder, "epoch", None, {})]
        return np.stack(epochs) if epochs else np.empty((0, 0), np.float16)


def read_epoch_scores(folder: Path) -> list[np.ndarray]:
    """Scores of all validation rows after each epoch, each (rows, classes)."""
    return [arrays["scores"] for arrays, _ in _read(folder, "epoch", {"scores": ("rows", "classes")}, {})]
