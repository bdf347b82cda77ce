"""Vectors as a map of a page, where no map of them was asked for: the quickest one that says how faithful it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from separatrix.codes import draw_rows
from separatrix.geometry.order import class_groups
from separatrix.geometry.project import faithfulness, fit_plane
from separatrix.reports.rows import MANY, ClassOrder, RowMap

LEAST = 25  # rows of a map
FITTED = 20_000  # rows that fit its plane, at most
COMPARED = 1_000  # rows that say how faithful it is, at most


def flat_map(vectors: NDArray[np.float32], seed: int) -> RowMap | None:
    """All rows in the plane of largest variance of a sample of them; None where they are too few to judge it.

    >>> print(flat_map(np.ones((3, 2), np.float32), 0))
    None
    """
    if len(vectors) < LEAST:
        return None
    plane = fit_plane(vectors[draw_rows(len(vectors), FITTED, seed)], seed=seed)
    flat = plane.place(vectors)
    figures = faithfulness(vectors, flat, rows=COMPARED, seed=seed)
    fitted = f"PCA plane fitted on {min(FITTED, len(vectors))} of {len(vectors)} rows"
    faithful = f"trustworthiness {figures.trustworthiness:.2f}, k-NN overlap {figures.knn_overlap:.2f}"
    axes = [f"PC {number} ({share:.1%} of variance)" for number, share in enumerate(plane.explained, 1)]
    note = f"{fitted}; {faithful} (k = {figures.k}, {figures.rows} rows, seed {seed})"
    return RowMap("vectors", flat[None].astype(np.float32), axes, note)


def class_order(names: Sequence[str], labels: NDArray[np.int64], points: NDArray[np.floating]) -> ClassOrder | None:
    """Many classes by closeness of the means of their rows in vectors or on a map; None of few.

    >>> class_order(["a", "b"], np.array([0, 1]), np.eye(2)) is None
    True
    """
    known = labels >= 0
    if len(names) <= MANY or not known.any():
        return None
    alike = class_groups(points[known], labels[known], len(names))
    return ClassOrder.of(names, alike.order, alike.group, alike.middle)
