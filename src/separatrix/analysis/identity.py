"""What identifies a row: its id and, where they are there, layer, head and token: never its place in a table.

Two published claims on attention heads rested on layers and heads worked out from row numbers that had started anew in
every file and every subset. Here rows are found by name, and all other columns must agree as well.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from separatrix.errors import DataError, OptionError
from separatrix.points import KEY, Points
from separatrix.rowtable import RowTable

if TYPE_CHECKING:
    import pandas as pd

CLUSTER, PARENT = "cluster", "parent"


def members(points: Points, clusters: pd.DataFrame, of: int | None) -> tuple[Points, str]:
    """The rows of one cluster, in the order of the points, and the path of their parent.

    Args:
        points: at least the rows that were clustered, in any order.
        clusters: their table, with the column `cluster`.
        of: number of the cluster.

    Raises:
        OptionError: there is no such cluster.
        DataError: the rows of the clusters are not, or not all, those of the points; the first such row is named.
    """
    import pandas as pd

    labels = clusters[CLUSTER].to_numpy()
    known = sorted(set(labels.tolist()))
    if of is None or of not in known:
        got = "none" if of is None else of
        raise OptionError("no such cluster to look within", got=got, expected=f"one of {known[:12]}", hint="pass --of")
    key = [name for name in KEY if name in points.columns]
    missing = [name for name in key if name not in clusters.columns]
    if missing:
        raise DataError("the clusters lack a column that names rows", got=missing[0], expected=", ".join(key))
    mine = pd.MultiIndex.from_frame(points.rows.frame(key))
    if not mine.is_unique:
        row = int(np.flatnonzero(mine.duplicated())[0])
        raise DataError(f"row {row} has the name of an earlier row", got=mine[row], expected="names that differ")
    index = mine.get_indexer(pd.MultiIndex.from_frame(clusters[key]))
    if (index < 0).any():
        row = int(np.flatnonzero(index < 0)[0])
        got = ", ".join(f"{name} {clusters[name].iloc[row]}" for name in key)
        raise DataError(f"row {row} of the clusters is none of these points", got=got, hint="give the same points")
    _check_same_rows(points.take(index), clusters)
    parents = clusters[PARENT].iloc[0] if PARENT in clusters.columns else None
    return points.take(np.sort(index[labels == of])), str(of) if parents is None else f"{parents}/{of}"


def _check_same_rows(points: Points, clusters: pd.DataFrame) -> None:
    """Rows of one name must agree in all other columns too."""
    for name in [name for name in points.columns if name in clusters.columns and name not in (CLUSTER, PARENT)]:
        ours, theirs = points.rows.frame([name])[name], clusters[name].reset_index(drop=True)
        wrong = np.flatnonzero(~((ours == theirs) | (ours.isna() & theirs.isna())).to_numpy())
        if len(wrong):
            row = int(wrong[0])
            got, expected = repr(theirs.iloc[row]), repr(ours.iloc[row])
            raise DataError(
                f"row {row} of the clusters differs from the points in {name!r}", got=got, expected=expected
            )


def row_digest(rows: RowTable) -> str:
    """Sixteen hexadecimal digits over the rows of every cluster."""
    import pandas as pd

    total, names = hashlib.sha256(), [name for name in (*KEY, CLUSTER) if name in rows]
    for frame in rows.batches(columns=names):
        total.update(pd.util.hash_pandas_object(frame.astype(str), index=False).to_numpy().tobytes())
    return total.hexdigest()[:16]
