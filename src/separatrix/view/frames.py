"""A training seen in one fixed plane.

The plane is chosen once for the whole run (say, a PCA of all outputs), so that a point that moves on the picture has
moved in truth. The same rows stand in every frame and keep their order: row 7 is the same text from start to end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from separatrix.errors import ShapeError

MARGIN = 0.05  # of the span, on each side


@dataclass(frozen=True)
class Box:
    """The limits of two axes."""

    left: float
    right: float
    bottom: float
    top: float

    def widened(self, ratio: float) -> Box:
        """Return the smallest box around this one whose width is `ratio` times its height, with the same centre.

        With the ratio of the drawn axes, a unit is as long on both of them.

        >>> Box(0.0, 2.0, 0.0, 2.0).widened(2.0)
        Box(left=-1.0, right=3.0, bottom=0.0, top=2.0)
        """
        width, height = self.right - self.left, self.top - self.bottom
        wider, taller = max(0.0, ratio * height - width) / 2, max(0.0, width / ratio - height) / 2
        return Box(self.left - wider, self.right + wider, self.bottom - taller, self.top + taller)


@dataclass(frozen=True, eq=False)
class Frames:
    """Rows and centroids at every recorded moment of a training.

    Raises:
        ShapeError: lengths that do not fit each other, class ids outside the names, or positions that are not finite.

    >>> frames = Frames(np.array([[[1, 1], [3, 2]]]), None, np.array([0, 1]), np.array([[0, 0]]), ("a", "b"),
    ...                 ("end",), ("one", "two"), ("x", "y"), "")
    >>> frames.right.tolist(), frames.limits
    ([1], Box(left=0.9, right=3.1, bottom=0.95, top=2.05))
    """

    points: np.ndarray  # (frames, rows, 2) positions in the plane
    centroids: np.ndarray | None  # (frames, classes, 2) positions of the centroids in the same plane, or None
    labels: np.ndarray  # (rows,) class ids, gold
    predicted: np.ndarray  # (frames, rows) class ids as predicted at that moment
    names: tuple[str, ...]  # (classes,) class names
    titles: tuple[str, ...]  # (frames,) what the moment is called, such as "epoch 1.25"
    texts: tuple[str, ...]  # (rows,) shown on hover
    axes: tuple[str, str]  # names of the two axes, such as "PC 1 (41.2 % of variance)"
    note: str  # how faithful the plane is, such as "trustworthiness 0.93, k-NN overlap 0.41 (k = 10, 500 rows)"

    def __post_init__(self) -> None:
        points = _positions("points", self.points, None)
        count, rows, classes = points.shape[0], points.shape[1], len(self.names)
        if not count or not rows or not classes:
            raise ShapeError("there is nothing to show", got=f"{count} frames, {rows} rows, {classes} classes")
        object.__setattr__(self, "points", points)
        if self.centroids is not None:
            object.__setattr__(self, "centroids", _positions("centroids", self.centroids, (count, classes, 2)))
        object.__setattr__(self, "labels", _class_ids("labels", self.labels, (rows,), classes))
        object.__setattr__(self, "predicted", _class_ids("predicted", self.predicted, (count, rows), classes))
        for name, length in (("titles", count), ("texts", rows), ("axes", 2)):
            values = getattr(self, name)
            if len(values) != length:
                raise ShapeError(f"{name} of the frames do not fit", got=len(values), expected=length)
            object.__setattr__(self, name, tuple(values))
        object.__setattr__(self, "names", tuple(self.names))

    @property
    def limits(self) -> Box:
        """A box around all points and centroids of all frames, with a margin on each side."""
        return enclose(self.points, self.centroids)

    @property
    def right(self) -> np.ndarray:
        """(frames,) rows predicted right."""
        return (self.predicted == self.labels).sum(axis=1)

    @property
    def largest(self) -> int:
        """Rows of the largest class: what a constant prediction would get right."""
        return int(np.bincount(self.labels).max())

    def at(self, index: int) -> int:
        """Return the number of a frame that may be counted from the end (-1 the last); `ShapeError` outside them."""
        count = len(self.titles)
        if not -count <= index < count:
            raise ShapeError("there is no such frame", got=index, expected=f"{-count} to {count - 1}")
        return index % count

    def score(self, index: int) -> str:
        """Say in numbers what the picture of a frame shows, with its baseline."""
        rows = len(self.labels)
        return f"{self.right[index]} of {rows} rows right, largest class {self.largest}"


def enclose(points: np.ndarray, centroids: np.ndarray | None) -> Box:
    """Put a box around all positions (..., 2), with a margin that is a share of the span: right also far from zero.

    Limits multiplied by 1.1 would cut a positive minimum off.

    >>> enclose(np.array([[10.0, 5.0], [20.0, 5.0]]), None)
    Box(left=9.5, right=20.5, bottom=4.75, top=5.25)
    """
    parts = [points] if centroids is None else [points, centroids]
    flat = np.concatenate([np.asarray(part, dtype=np.float64).reshape(-1, 2) for part in parts])
    low, high = flat.min(axis=0), flat.max(axis=0)
    # A constant coordinate still needs room: as much as its own size, and 1 at zero.
    span = np.where(high > low, high - low, np.where(low == 0, 1.0, np.abs(low)))
    low, high = low - MARGIN * span, high + MARGIN * span
    return Box(float(low[0]), float(high[0]), float(low[1]), float(high[1]))


def _positions(name: str, values: Any, shape: tuple[int, ...] | None) -> np.ndarray:
    array = np.asarray(values, dtype=np.float32)  # (frames, rows, 2)
    if array.ndim != 3 or array.shape[2] != 2 or (shape is not None and array.shape != shape):
        wanted = shape or "(frames, rows, 2)"
        raise ShapeError(f"{name} of the frames have the wrong shape", got=array.shape, expected=wanted)
    if not np.isfinite(array).all():
        where = tuple(int(number) for number in np.argwhere(~np.isfinite(array))[0])
        raise ShapeError(f"{name} of the frames must be finite", got=f"{array[where]} at {where}")
    return array


def _class_ids(name: str, values: Any, shape: tuple[int, ...], classes: int) -> np.ndarray:
    array = np.asarray(values)
    if array.shape != shape or array.dtype.kind not in "iu":
        got = f"{array.dtype} {array.shape}"
        raise ShapeError(f"{name} of the frames do not fit", got=got, expected=f"integers {shape}")
    if array.min() < 0 or array.max() >= classes:
        span = f"{array.min()} to {array.max()}"
        raise ShapeError(f"{name} name a class that has no name", got=span, expected=f"0 to {classes - 1}")
    return array.astype(np.int64)
