"""The numbers of a picture as CSV, so that nobody has to read them off the picture."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from separatrix.errors import ShapeError
from separatrix.store.files import write_bytes
from separatrix.store.table import csv_lines
from separatrix.view.frames import Frames


def write_data(
    source: Frames | Sequence[Mapping[str, Any]] | np.ndarray, path: str | Path, names: Sequence[str] | None = None
) -> Path:
    """Write what a picture shows; the same source gives the same bytes.

    Args:
        source: frames (one line per frame and row or centroid), rows of `metrics.jsonl` (nested keys joined by dots),
            or a confusion matrix (one line per gold class).
        path: the CSV file, in UTF-8.
        names: (classes,) class names, for a matrix; numbers if absent.

    Raises:
        ShapeError: a matrix that is not square or has another number of names.
        StoreError: the place cannot be written.
    """
    if isinstance(source, Frames):
        lines = _frame_lines(source)
    elif isinstance(source, np.ndarray):
        lines = _matrix_lines(source, names)
    else:
        lines = _metric_lines(source)
    write_bytes(Path(path), csv_lines(lines).encode())
    return Path(path)


def _frame_lines(frames: Frames) -> Iterator[Iterable[Any]]:
    yield ("frame", "title", "kind", "id", "x", "y", "label", "predicted")
    gold = [frames.names[class_id] for class_id in frames.labels]
    for index, title in enumerate(frames.titles):
        guesses = frames.predicted[index]
        for row, point in enumerate(frames.points[index]):
            yield (index, title, "row", row, str(point[0]), str(point[1]), gold[row], frames.names[guesses[row]])
        for class_id, point in enumerate(frames.centroids[index] if frames.centroids is not None else ()):
            yield (index, title, "centroid", class_id, str(point[0]), str(point[1]), frames.names[class_id], "")


def _matrix_lines(matrix: np.ndarray, names: Sequence[str] | None) -> Iterator[Iterable[Any]]:
    labels = [str(number) for number in range(len(matrix))] if names is None else list(names)
    if matrix.shape != (len(labels), len(labels)):
        raise ShapeError("a confusion matrix is square", got=matrix.shape, expected=(len(labels), len(labels)))
    yield ("gold", *labels)
    for label, row in zip(labels, matrix.tolist(), strict=True):
        yield (label, *row)


def _metric_lines(metrics: Sequence[Mapping[str, Any]]) -> Iterator[Iterable[Any]]:
    flat = [dict(flatten(row)) for row in metrics]
    columns = list(dict.fromkeys(key for row in flat for key in row))
    yield columns
    for row in flat:
        yield [row.get(column, "") for column in columns]


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Join nested keys by dots, in their order; a list stays one value, as JSON.

    >>> dict(flatten({"loop": {"lr": 0.1}, "words": ["a"], "seed": 0}))
    {'loop.lr': 0.1, 'words': '["a"]', 'seed': 0}
    """
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield prefix + str(key), json.dumps(list(value)) if isinstance(value, (list, tuple)) else value
