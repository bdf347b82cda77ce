"""The inner loops of density clustering: which pairs of a tile are near, how near, and what is kept of them.

Each function stands here twice: in NumPy, and as one loop that numba (extra `maps`) compiles, which reads a tile once
where NumPy reads it four times. Both give the same pairs; numba is taken where it is installed.
"""

from __future__ import annotations

from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_CHUNK = 64  # distances that are looked at one by one only if one of them is small enough
_TWO = np.float32(2)
_MEASURED = 4_000_000  # numbers gathered at a time when pairs are measured again


def _near_pairs(
    product: Array,
    left_squares: Array,
    right_squares: Array,
    limit: Any,
    left_tags: Array,
    right_tags: Array,
    diagonal: bool,
) -> tuple[Array, Array, Array]:
    squared = left_squares[:, None] - 2 * product  # (left, right)
    squared += right_squares
    left, right = np.nonzero(squared <= limit)
    wanted = left_tags[left] != right_tags[right]
    if diagonal:
        wanted &= left < right
    left, right = left[wanted], right[wanted]
    return left.astype(np.int32), right.astype(np.int32), squared[left, right]


def _near_pairs_loop(
    product: Array,
    left_squares: Array,
    right_squares: Array,
    limit: Any,
    left_tags: Array,
    right_tags: Array,
    diagonal: bool,
) -> tuple[Array, Array, Array]:
    left, right = np.empty(product.size, np.int32), np.empty(product.size, np.int32)
    squared = np.empty(product.size, np.float32)
    count = 0
    for i in range(product.shape[0]):
        bound, first = limit - left_squares[i], i + 1 if diagonal else 0
        for start in range(0, product.shape[1], _CHUNK):
            end = min(start + _CHUNK, product.shape[1])
            hits = 0  # counted, so that the loop compiles to vector instructions
            for j in range(start, end):
                hits += right_squares[j] - _TWO * product[i, j] <= bound
            if hits:
                for j in range(max(start, first), end):
                    gap = right_squares[j] - _TWO * product[i, j]
                    if gap <= bound and left_tags[i] != right_tags[j]:
                        left[count], right[count], squared[count] = i, j, left_squares[i] + gap
                        count += 1
    return left[:count].copy(), right[:count].copy(), squared[:count].copy()


def _levels(x: Array, left: Array, right: Array, squared: Array, radii: Array, margin: float) -> Array:
    bounds = radii**2
    levels = np.searchsorted(bounds, squared, side="left")
    step = max(1, _MEASURED // x.shape[1])
    nearest = np.abs(squared[:, None] - bounds).min(axis=1)
    unsure = np.flatnonzero(nearest <= margin + 1e-6 * bounds[-1])
    for start in range(0, len(unsure), step):
        part = unsure[start : start + step]
        gap = x[left[part]].astype(np.float64) - x[right[part]]
        levels[part] = np.searchsorted(radii, np.sqrt((gap**2).sum(axis=1)), side="left")
    return levels


def _levels_loop(x: Array, left: Array, right: Array, squared: Array, radii: Array, margin: float) -> Array:
    levels = np.empty(len(left), np.int64)
    margin += 1e-6 * radii[-1] ** 2
    for pair in range(len(left)):
        gap = np.float64(squared[pair])
        unsure = False
        for radius in radii:
            unsure |= abs(gap - radius**2) <= margin
        if unsure:
            gap = np.float64(0)
            for column in range(x.shape[1]):
                # Not `float`, which numba leaves as it is: float32.
                difference = np.float64(x[left[pair], column]) - np.float64(x[right[pair], column])
                gap += difference * difference
        distance = np.sqrt(max(gap, 0.0))
        level = 0
        while level < len(radii) and distance > radii[level]:
            level += 1
        levels[pair] = level
    return levels


def _record(
    rows: Array, others: Array, levels: Array, count: int, neighbors: Array, listed: Array, lengths: Array
) -> None:
    inside = (levels < count) & (levels < listed.max(axis=1, initial=0)[rows])
    rows, others, levels = rows[inside], others[inside], levels[inside]
    if not len(rows) or not listed.shape[1]:
        return
    touched = np.unique(rows)
    kept = np.arange(listed.shape[1]) < lengths[touched][:, None]
    owner = np.concatenate([np.repeat(touched, lengths[touched]), rows])
    other = np.concatenate([neighbors[touched][kept], others])
    level = np.concatenate([listed[touched][kept], levels])
    order = np.lexsort((level, owner))
    owner, other, level = owner[order], other[order], level[order]
    first = np.searchsorted(owner, touched)
    rank = np.arange(len(owner)) - np.repeat(first, np.diff(np.append(first, len(owner))))
    short = rank < listed.shape[1]
    owner, rank = owner[short], rank[short]
    neighbors[owner, rank], listed[owner, rank] = other[short], level[short]
    np.maximum.at(lengths, owner, rank + 1)


def _record_loop(
    rows: Array, others: Array, levels: Array, count: int, neighbors: Array, listed: Array, lengths: Array
) -> None:
    most = listed.shape[1]
    if most == 0:
        return
    for pair in range(len(rows)):
        row, level = rows[pair], levels[pair]
        if level >= count:
            continue
        slot = lengths[row]
        if slot < most:
            lengths[row] += 1
        else:
            slot = 0
            for other in range(1, most):
                if listed[row, other] > listed[row, slot]:
                    slot = other
            if listed[row, slot] <= level:
                continue
        neighbors[row, slot], listed[row, slot] = others[pair], level


def _union(parents: Array, left: Array, right: Array) -> None:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    edges = (np.ones(len(left), bool), (parents[left], parents[right]))
    graph = coo_matrix(edges, shape=(len(parents), len(parents)))
    component = connected_components(graph, directed=False)[1]
    # The smallest number of its parts: a number that another thread still holds never comes to mean another component.
    smallest = np.full(len(component), len(component))
    np.minimum.at(smallest, component, np.arange(len(component)))
    parents[:] = smallest[component[parents]]


def _union_loop(parents: Array, left: Array, right: Array) -> None:
    for pair in range(len(left)):
        a, b = left[pair], right[pair]
        while parents[a] != a:
            parents[a] = parents[parents[a]]
            a = parents[a]
        while parents[b] != b:
            parents[b] = parents[parents[b]]
            b = parents[b]
        parents[max(a, b)] = min(a, b)


def _roots(parents: Array, rows: Array) -> Array:
    return parents[rows]


def _roots_loop(parents: Array, rows: Array) -> Array:
    roots = np.empty(len(rows), parents.dtype)
    for index in range(len(rows)):
        root = rows[index]
        while parents[root] != root:
            parents[root] = parents[parents[root]]
            root = parents[root]
        roots[index] = root
    return roots


NUMPY = SimpleNamespace(
    name="numpy", near_pairs=_near_pairs, levels=_levels, record=_record, union=_union, roots=_roots
)


def kernels(name: str = "auto") -> Any:
    """The functions of this module under their names: `numba` compiles them, `numpy` needs nothing, `auto` chooses.

    >>> kernels("numpy").roots(np.array([0, 0, 2]), np.array([1, 2]))
    array([0, 2])
    """
    if name == "numpy" or (name == "auto" and find_spec("numba") is None):
        return NUMPY
    if "numba" not in _COMPILED:
        from numba import njit

        def compiled(loop: Any) -> Any:
            try:
                return njit(nogil=True, cache=True)(loop)
            except RuntimeError:  # nowhere to keep what was compiled
                return njit(nogil=True)(loop)

        _COMPILED["numba"] = SimpleNamespace(
            name="numba",
            near_pairs=compiled(_near_pairs_loop),
            levels=compiled(_levels_loop),
            record=compiled(_record_loop),
            union=compiled(_union_loop),
            roots=compiled(_roots_loop),
        )
    return _COMPILED["numba"]


_COMPILED: dict[str, Any] = {}
