"""What identifies a row: its id and, where they are there, layer, head and token: never its place in a table.

Two published claims on attention heads rested on layers and heads worked out from row numbers that had started anew in
every file and every subset. Here rows are found by name, and all other columns must agree as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from separatrix.codes import encode
from separatrix.errors import DataError, OptionError
from separatrix.points import KEY, Points
from separatrix.rowtable import RowTable

CLUSTER, PARENT = "cluster", "parent"
PREDICTED = "predicted"  # column of what a model decided for
_ROWS = 1 << 16  # of a batch


def members(points: Points, clusters: RowTable, of: int | None) -> tuple[Points, str]:
    """The rows of one cluster, in the order of the points, and the path of their parent.

    Args:
        points: at least the rows that were clustered, in any order.
        clusters: their table, with the column `cluster`.
        of: number of the cluster.

    Raises:
        OptionError: there is no such cluster.
        DataError: the rows of the clusters are not, or not all, those of the points; the first such row is named.
    """
    labels = clusters.column(CLUSTER)
    known = np.unique(labels).tolist()
    if of is None or of not in known:
        got = "none" if of is None else of
        raise OptionError("no such cluster to look within", got=got, expected=f"one of {known[:12]}", hint="pass --of")
    key = [name for name in KEY if name in points.columns]
    missing = [name for name in key if name not in clusters]
    if missing:
        raise DataError("the clusters lack a column that names rows", got=missing[0], expected=", ".join(key))
    index = _places(points.rows, clusters, key)
    _check_same_rows(points.rows if index is None else points.rows.take(index), clusters)
    inside = np.flatnonzero(labels == of)
    parent = clusters.take(np.zeros(1, np.int64)).column(PARENT)[0] if PARENT in clusters else None
    path = str(of) if parent is None else f"{parent}/{of}"
    return points.take(inside if index is None else np.sort(index[inside])), path


def _places(points: RowTable, clusters: RowTable, key: list[str]) -> NDArray[np.int64] | None:
    """The row of the points that each row of the clusters is, by name; None where they are the same in this order."""
    import pandas as pd

    if _all_differ(points, key) and _first_difference(points, clusters, key) is None:
        return None
    mine = pd.MultiIndex.from_frame(points.frame(key))
    if not mine.is_unique:
        row = int(np.flatnonzero(mine.duplicated())[0])
        raise DataError(f"row {row} has the name of an earlier row", got=mine[row], expected="names that differ")
    theirs = clusters.frame(key)
    index = mine.get_indexer(pd.MultiIndex.from_frame(theirs))
    if (index < 0).any():
        row = int(np.flatnonzero(index < 0)[0])
        got = ", ".join(f"{name} {theirs[name].iloc[row]}" for name in key)
        raise DataError(f"row {row} of the clusters is none of these points", got=got, hint="give the same points")
    return np.asarray(index, np.int64)


def _all_differ(rows: RowTable, names: list[str]) -> bool:
    """Whether no two rows have the same hash of these columns, batch by batch; equal names have equal hashes."""
    import pandas as pd

    frames = rows.batches(_ROWS, names)
    hashes = [pd.util.hash_pandas_object(frame, index=False).to_numpy() for frame in frames]
    return len(np.unique(np.concatenate(hashes))) == len(rows)


def _first_difference(ours: RowTable, theirs: RowTable, names: list[str]) -> int | None:
    """The first row in which two tables differ in one of these columns; gaps are equal."""
    start = 0
    for mine, other in zip(ours.batches(_ROWS, names), theirs.batches(_ROWS, names), strict=False):
        if len(mine) != len(other):
            return start + min(len(mine), len(other))
        wrong = np.flatnonzero(~((mine == other) | (mine.isna() & other.isna())).to_numpy().all(axis=1))
        if len(wrong):
            return start + int(wrong[0])
        start += len(mine)
    return None if len(ours) == len(theirs) else start


def _check_same_rows(points: RowTable, clusters: RowTable) -> None:
    """Rows of one name must agree in all other columns too."""
    for name in [name for name in points if name in clusters and name not in (CLUSTER, PARENT)]:
        if (row := _first_difference(points, clusters, [name])) is not None:
            mine, other = (rows.take(np.array([row])).column(name)[0] for rows in (points, clusters))
            what = f"row {row} of the clusters differs from the points in {name!r}"
            raise DataError(what, got=repr(other), expected=repr(mine))


def row_digest(rows: RowTable) -> str:
    """Sixteen hexadecimal digits over the rows of every cluster."""
    import pandas as pd

    total, names = hashlib.sha256(), [name for name in (*KEY, CLUSTER) if name in rows]
    for frame in rows.batches(_ROWS, names):
        total.update(pd.util.hash_pandas_object(frame.astype(str), index=False).to_numpy().tobytes())
    return total.hexdigest()[:16]


def read_decision(table: RowTable, label: str, names: Sequence[str]) -> NDArray[np.int64] | None:
    """Class numbers that a model decided for, (rows,), of the column `predicted`, -1 for none of these classes.

    None without such a column, where it is itself the label, and where it holds none of the classes.
    """
    if PREDICTED not in table.columns or label == PREDICTED:
        return None
    codes, values = encode(table.series(PREDICTED))
    numbers = {name: number for number, name in enumerate(names)}
    decided = np.array([*(numbers.get(str(value), -1) for value in values), -1], np.int64)[codes]
    return decided if (decided >= 0).any() else None
