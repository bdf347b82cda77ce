"""The nearest rows of each row: of a map that listed them (`project --nearest`), or sought."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from separatrix.analysis.project import MAP, NEIGHBORS
from separatrix.errors import DataError, StoreError
from separatrix.geometry.neighbors import Neighbors, unit_rows
from separatrix.geometry.suspects import graph_size, near_groups, sampled_neighbors
from separatrix.points import Points
from separatrix.recipe.cluster import SuspectsRecipe
from separatrix.store.contents import open_artifact
from separatrix.store.kinds import kind_of
from separatrix.store.rows import ParquetTable

_CROWD = 0.1  # share of the rows in one heap of near duplicates from which `near` says nothing
_NEIGHBORHOOD = 10  # nearest rows among which near duplicates are looked for
_EQUAL = 1 - 1e-6  # cosine of equal vectors
_DRAWN = 50  # rows whose listed distances are measured again
_OFF = 0.01  # by which a distance may differ: vectors may be stored in fewer bits


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What stands around each row that is judged."""

    around: Neighbors  # among the rows that judge
    index: NDArray[np.int64]  # (rows, 10) nearest rows
    cosine: NDArray[np.float32]  # (rows, 10)
    equal: NDArray[np.int64]  # (rows,) group number: equal vectors have the same
    warnings: list[str]


def surroundings(
    points: Points, sample: NDArray[np.int64], recipe: SuspectsRecipe, *, verify: bool = True
) -> Surroundings:
    """Neighbors, near duplicates and equal rows; arguments and errors as `neighbor_graph`."""
    vectors = points.values
    size = max(graph_size(len(sample), recipe.k, recipe.folds), _NEIGHBORHOOD)
    around = neighbor_graph(points, sample, size, recipe.neighbors, _NEIGHBORHOOD, verify=verify)
    index, cosine, heaps = near_groups(vectors, near=recipe.near, k=_NEIGHBORHOOD, around=around)
    crowd, warnings = np.bincount(heaps).max() / len(heaps), list[str]()
    if crowd > _CROWD:
        warnings.append(
            f"{crowd:.0%} of the rows hang together by a cosine of {recipe.near} or more: these vectors lie close "
            "together, and near duplicates say little; raise --near"
        )
    # Equal rows share a fold: a copy with the same wrong label would vouch for it. Nearly equal ones judge each other.
    equal = near_groups(vectors, near=_EQUAL, k=_NEIGHBORHOOD, around=around)[2]
    return Surroundings(around, index, cosine, equal, warnings)


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
