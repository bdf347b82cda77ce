"""The condensed tree of HDBSCAN (Campello, Moulavi and Sander, 2013; McInnes and Healy, 2017).

Single linkage gives a binary tree over all rows. Read from the top (everything is one) downwards in distance, a split
counts only if both sides have at least `min_cluster_size` rows; otherwise the small side has merely fallen off, and
the large one goes on under its old name. What is left are a few nodes, each with a birth and a death. Density is
lambda = 1 / distance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class CondensedTree:
    """Nodes 0 .. nodes - 1; node 0 is the root and holds every row at lambda 0."""

    parent: NDArray[np.int64]  # (nodes,), -1 for the root
    birth: NDArray[np.float64]  # (nodes,) lambda at which it splits off
    death: NDArray[np.float64]  # (nodes,) lambda at which its last row falls off or it splits
    size: NDArray[np.int64]  # (nodes,) rows at birth
    stability: NDArray[np.float64]  # (nodes,) sum over its rows of lambda at leaving - birth
    left: NDArray[np.float64]  # (rows,) lambda at which each row falls off
    last: NDArray[np.int64]  # (rows,) node from which it falls
    selected: NDArray[np.int64]  # (clusters,) node of each label; -1 where no node holds just these rows

    def lines(self) -> list[dict[str, Any]]:
        """A mapping per node, ready for a table; an infinite lambda (equal rows) is None."""
        label = {int(node): number for number, node in enumerate(self.selected)}
        return [
            {
                "node": node,
                "parent": int(self.parent[node]),
                "birth": _finite(self.birth[node]),
                "death": _finite(self.death[node]),
                "size": int(self.size[node]),
                "stability": _finite(self.stability[node]),
                "cluster": label.get(node, -1),
            }
            for node in range(len(self.parent))
        ]

    def exemplars(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """The row of each cluster that stays longest, (clusters,); the lower row on a tie."""
        inside = np.flatnonzero(labels >= 0)
        order = inside[np.lexsort((inside, -self.left[inside], labels[inside]))]
        return order[np.unique(labels[order], return_index=True)[1]].astype(np.int64)


def condense(linkage: NDArray[np.float64], min_cluster_size: int, labels: NDArray[np.int64]) -> CondensedTree:
    """Condense a single-linkage tree.

    Args:
        linkage: (rows - 1, 4): the two that merge (rows first, then merges in their order), distance, rows; as SciPy.
        min_cluster_size: rows that both sides of a split must have.
        labels: (rows,) the clusters found, to say which node each of them is.

    >>> linkage = np.array([[0, 1, 1.0, 2], [2, 3, 1.0, 2], [4, 5, 8.0, 4]])
    >>> tree = condense(linkage, 2, np.array([0, 0, 1, 1]))
    >>> tree.size.tolist(), tree.birth.tolist(), tree.death.tolist(), tree.selected.tolist()
    ([4, 2, 2], [0.0, 0.125, 0.125], [0.125, 1.0, 1.0], [1, 2])
    """
    rows = len(linkage) + 1
    sides = linkage[:, :2].astype(np.int64)
    counts = np.concatenate([np.ones(rows, np.int64), linkage[:, 3].astype(np.int64)])
    with np.errstate(divide="ignore"):
        density = 1.0 / linkage[:, 2]
    parent, birth, size = [-1], [0.0], [rows]
    node_of = np.full(2 * rows - 1, -1, np.int64)  # node that a branch of the binary tree belongs to
    node_of[-1] = 0
    left, last = np.zeros(rows), np.zeros(rows, np.int64)
    fell = np.full(2 * rows - 1, np.nan)  # lambda at which a branch fell off, handed down to its rows
    for branch in range(2 * rows - 2, rows - 1, -1):  # a merge stands after what it merged: top to bottom
        node, level = int(node_of[branch]), float(density[branch - rows])
        large = [side for side in sides[branch - rows] if counts[side] >= min_cluster_size]
        splits = np.isnan(fell[branch]) and len(large) == 2
        for side in sides[branch - rows]:
            if splits:
                parent.append(node)
                birth.append(level)
                size.append(int(counts[side]))
                node_of[side] = len(parent) - 1
                continue
            node_of[side] = node
            if not np.isnan(fell[branch]):
                fell[side] = fell[branch]
            elif counts[side] < min_cluster_size:
                fell[side] = level
    left[:], last[:] = fell[:rows], node_of[:rows]
    return _figures(np.array(parent), np.array(birth), np.array(size), left, last, labels)


def excess_of_mass(tree: CondensedTree) -> NDArray[np.int64]:
    """Labels of the most stable nodes, (rows,): of a node and what lies below it, whatever has more stability.

    The root is never taken; a row that fell off above every taken node is noise (-1).

    >>> linkage = np.array([[0, 1, 1.0, 2], [2, 3, 1.0, 2], [4, 5, 8.0, 4]])
    >>> excess_of_mass(condense(linkage, 2, np.zeros(4, int))).tolist()
    [0, 0, 1, 1]
    """
    nodes = len(tree.parent)
    below, taken = np.zeros(nodes), np.zeros(nodes, dtype=bool)
    for node in range(nodes - 1, 0, -1):  # a child stands after its parent
        taken[node] = tree.stability[node] >= below[node]
        below[tree.parent[node]] += max(tree.stability[node], below[node])
    owner = np.full(nodes, -1, np.int64)
    number = 0
    for node in range(1, nodes):
        owner[node] = owner[tree.parent[node]]
        if owner[node] < 0 and taken[node]:
            owner[node], number = number, number + 1
    return owner[tree.last]


def _figures(
    parent: NDArray[np.int64],
    birth: NDArray[np.float64],
    size: NDArray[np.int64],
    left: NDArray[np.float64],
    last: NDArray[np.int64],
    labels: NDArray[np.int64],
) -> CondensedTree:
    nodes = len(parent)
    death = birth.copy()
    np.maximum.at(death, last, left)
    np.maximum.at(death, parent[1:], birth[1:])
    with np.errstate(invalid="ignore"):  # equal rows: an infinite lambda that was born infinite adds nothing
        gain = np.nan_to_num(left - birth[last], nan=0.0, posinf=np.inf)
        branch = np.nan_to_num((birth[1:] - birth[parent[1:]]) * size[1:], nan=0.0, posinf=np.inf)
    stability = np.bincount(last, gain, nodes).astype(np.float64) + np.bincount(parent[1:], branch, nodes)
    return CondensedTree(parent, birth, death, size, stability, left, last, _selected(parent, size, last, labels))


def _selected(
    parent: NDArray[np.int64], size: NDArray[np.int64], last: NDArray[np.int64], labels: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The node that holds the rows of a label: the lowest one under which all of them are."""
    selected = np.full(int(labels.max(initial=-1)) + 1, -1, np.int64)
    for label in range(len(selected)):
        inside = np.bincount(last[labels == label], minlength=len(parent))
        total = int(inside.sum())
        for node in range(len(parent) - 1, 0, -1):  # a child stands after its parent
            if inside[node] == total:
                break
            inside[parent[node]] += inside[node]
        else:
            node = 0
        selected[label] = node if size[node] >= total else -1
    return selected


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
