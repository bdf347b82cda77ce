"""The nearest rows of each row: of a map that listed them (`project --nearest`), or sought."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from separatrix.analysis.project import MAP, NEIGHBORS
from separatrix.errors import DataError, StoreError
from separatrix.geometry.neighbors import Neighbors, unit_rows
from separatrix.geometry.suspects import sampled_neighbors
from separatrix.points import Points
from separatrix.store.contents import open_artifact
from separatrix.store.kinds import kind_of
from separatrix.store.rows import ParquetTable

_DRAWN = 50  # rows whose listed distances are measured again
_OFF = 0.01  # by which a distance may differ: vectors may be stored in fewer bits


def neighbor_graph(
    points: Points, sample: NDArray[np.int64], k: int, known: str | None, fewest: int, *, verify: bool = True
) -> Neighbors:
    """Neighbors of all rows among those of a sample, by cosine.

    Args:
        points: the rows.
        sample: numbers of the rows that are neighbors.
        k: neighbors to seek.
        known: folder of a map of the same rows, whose neighbors among all rows are taken instead, however many.
        fewest: neighbors that it must list.
        verify: compare the files of the map with their hashes.

    Raises:
        StoreError: the folder holds no map, or one without neighbors.
        DataError: other rows, other vectors, or too few neighbors.
    """
    vectors = points.values
    if known is None:
        return sampled_neighbors(vectors, sample, k)
    folder = Path(known)
    if not folder.is_dir() or kind_of(folder) != "map":
        raise StoreError(f"{known} holds no map", expected="what project wrote with --nearest")
    open_artifact(folder, only=(MAP,), verify=verify)
    table = ParquetTable.open(folder / MAP, ("id",))
    hint = f"type separatrix project POINTS --nearest {min(k, 100)} --out {known}"
    if NEIGHBORS not in table:
        raise StoreError(f"{known} lists no neighbors", hint=hint)
    if [*map(str, table.column("id"))] != [*map(str, points.column("id"))]:
        got, expected = f"{len(table)} rows", f"the {len(points)} rows that are judged, in their order"
        raise DataError(f"{known} is a map of other rows", got=got, expected=expected)
    listed = table.series(NEIGHBORS).tolist()
    near = Neighbors(
        np.array([one["ids"] for one in listed], np.int64), np.array([one["distances"] for one in listed], np.float32)
    )
    if near.index.shape[1] < min(fewest, len(points) - 1):
        raise DataError(f"{known} lists too few neighbors", got=near.index.shape[1], expected=f"{fewest}", hint=hint)
    _check_distances(near, vectors, known)
    return near


def _check_distances(near: Neighbors, vectors: NDArray[np.floating], known: str) -> None:
    """Refuse neighbors of other vectors: of some rows, the distances are measured again."""
    rows = np.linspace(0, len(vectors) - 1, min(_DRAWN, len(vectors))).astype(int)
    if near.index.min() >= 0 and near.index.max() < len(vectors):
        here = unit_rows(vectors[rows].astype(np.float64))
        there = unit_rows(vectors[near.index[rows].ravel()].astype(np.float64)).reshape(*near.index[rows].shape, -1)
        if np.abs(1 - np.einsum("rd,rkd->rk", here, there) - near.distance[rows]).max() <= _OFF:
            return
    raise DataError(f"{known} lists neighbors of other vectors", hint="make the map of the points that are judged")
