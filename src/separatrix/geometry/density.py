"""DBSCAN (Ester et al., 1996) that ends: several radii from one pass over the distances, in bounded memory.

Lists of all neighbors grow with eps until they are the square of the rows; a published run halted there (eps 0.8 on
561,600 rows). Here each row lists at most `min_samples - 1` neighbors, those within the smallest radii, and is left
alone once its list can change no more. From these lists follow, for every radius at once, the cores, the clusters of
border rows, and nearly all links between cores; one more pass looks for links between clusters that are still apart.

The labels are those of scikit-learn, whatever the number of threads and the kernels; `tiles` says how distances are
read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from time import monotonic
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from separatrix.codes import encode
from separatrix.errors import OptionError
from separatrix.geometry.checks import check_count
from separatrix.geometry.tiles import BLOCK, Ids, TileSpace, row_tiles, slices, squared_lengths
from separatrix.progress import Progress, silent

STAGE = "neighbors within eps (rows)"
_FIRST = 8  # tiles around each tile that are looked at first, at most
_TREE_WIDTH = 8  # columns up to which a k-d tree finds neighbors faster than a product
_LEVELS = 254
_LISTS = ("neighbors", "levels", "lengths")
_KEEP_SECONDS = 30.0  # between two states of the lists that are kept
_A_ROUND = 16  # tiles of each thread after which the lists may be kept
TileMaker = Callable[[NDArray[np.float32], NDArray[np.float64], str, float | None], TileSpace]


class Kept(Protocol):
    """Where unfinished lists are kept, from which the same work goes on."""

    def load(self) -> Mapping[str, NDArray[Any]]:
        """What was kept last; empty where nothing was."""
        ...

    def save(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Keep arrays by name."""
        ...


@dataclass(frozen=True)
class Reading:
    """How distances are read: what compares rows, and where unfinished lists of neighbors are kept (None: nowhere)."""

    tiles: TileMaker = TileSpace.of  # `scale.device_tiles` has one for a GPU
    kept: Callable[[NDArray[np.float32], NDArray[np.float64], int], Kept] | None = None  # of rows, radii, neighbors


IN_MEMORY = Reading()


@dataclass(frozen=True, eq=False)
class DensityClusters:
    """Labels and cores of DBSCAN."""

    labels: NDArray[np.int64]  # (rows,), -1 for noise; clusters in the order of their first core
    core: NDArray[np.bool_]  # (rows,)


def dbscan(
    x: NDArray[np.float32],
    eps: float,
    min_samples: int = 10,
    *,
    deadline: float | None = None,
    progress: Progress | None = None,
    engine: str = "auto",
    reading: Reading = IN_MEMORY,
) -> DensityClusters:
    """Clusters of rows that reach each other over cores.

    A core has at least `min_samples` rows within `eps`, itself counted. Clusters are numbered in the order of their
    first core; a border row belongs to the lowest numbered cluster that has a core within eps. These are the labels
    of scikit-learn's DBSCAN.

    Args:
        eps: radius, Euclidean.
        min_samples: rows within eps that make a core.
        deadline: reading of `time.monotonic` after which it gives up.
        progress: is called with (stage, done, total, note): rows whose neighbors are known, and an estimate.
        engine: `numba`, `numpy`, or `auto`: numba for many rows where it is installed. The labels are the same.
        reading: how distances are read.

    Raises:
        OptionError: eps is not above 0, or min_samples below 1.
        OutOfTimeError: the deadline passed.

    >>> dbscan(np.float32([[0], [1], [2], [9]]), 1.0, 3).labels
    array([ 0,  0,  0, -1])
    """
    options: dict[str, Any] = {"deadline": deadline, "progress": progress, "engine": engine, "reading": reading}
    graph = DensityGraph.build(x, [eps], min_samples, **options)
    return graph.clusters(0, min_samples, deadline=deadline)


class DensityGraph:
    """The neighbor lists of rows for several radii, and the clusters of each; `build` reads the distances once."""

    def __init__(self, space: TileSpace, lists: NeighborLists) -> None:
        self.space, self.lists = space, lists
        self.joined: dict[int, tuple[int, Ids]] = {}  # min_samples -> the last level, and the parts of its cores

    @classmethod
    def build(
        cls,
        x: NDArray[np.float32],
        radii: Sequence[float],
        min_samples: int = 10,
        *,
        deadline: float | None = None,
        progress: Progress | None = None,
        engine: str = "auto",
        reading: Reading = IN_MEMORY,
    ) -> DensityGraph:
        """List the neighbors of each row.

        Args:
            radii: all values of eps that will be asked for, ascending.
            min_samples: the largest that will be asked for.
            deadline: reading of `time.monotonic` after which it gives up.
            engine, reading: as `dbscan`.

        Raises:
            OptionError: radii that are not above 0 or do not ascend; min_samples below 1.
            OutOfTimeError: the deadline passed.
        """
        bounds = np.asarray(radii, dtype=np.float64)
        if not (len(bounds) and (bounds > 0).all() and np.isfinite(bounds).all()):
            raise OptionError(
                "eps is out of range", got=radii[0] if len(radii) == 1 else list(radii), expected="above 0"
            )
        if (np.diff(bounds) <= 0).any() or len(bounds) > _LEVELS:
            raise OptionError("radii must ascend", got=list(radii), expected=f"at most {_LEVELS} different ones")
        check_count(min_samples, "min_samples")
        most = min(min_samples - 1, len(x))
        space = reading.tiles(x, bounds, engine, deadline)
        if x.shape[1] <= _TREE_WIDTH:
            return cls(space, _lists_by_tree(space, most))
        kept = None if reading.kept is None else reading.kept(x, bounds, most)
        return cls(space, _lists_by_tiles(space, most, progress or silent, kept))

    def clusters(self, level: int, min_samples: int, *, deadline: float | None = None) -> DensityClusters:
        """Clusters of the level-th radius; cheapest if smaller radii were asked for before larger ones."""
        self.space.deadline = deadline
        self.space.check_time()
        core = self.lists.within(level) >= min_samples - 1
        labels, inner, order = np.full(len(core), -1, np.int64), np.flatnonzero(core), self.space.order
        if len(inner):
            last, parts = self.joined.get(min_samples, (-1, np.arange(len(core))))
            parts = _join(self.space, self.lists, level, core, parts if last <= level else np.arange(len(core)))
            self.joined[min_samples] = (level, parts)
            by_first_row = np.argsort(order[inner])
            labels[inner[by_first_row]] = encode(parts[inner[by_first_row]], by_row=True)[0]
            labels = _with_border(self.lists, level, core, labels)
        back = np.argsort(order)  # from the rows as they were given to those here
        return DensityClusters(labels[back], core[back])


@dataclass(frozen=True, eq=False)
class NeighborLists:
    """Some neighbors of each row, those at the lowest levels; level e: within the e-th radius, not within a smaller.

    A row whose list is not full has all its neighbors in it; in a full list, all those below its highest level.
    """

    radii: NDArray[np.float64]  # (levels,) ascending
    neighbors: NDArray[np.int32]  # (rows, most)
    levels: NDArray[np.uint8]  # (rows, most); the number of radii where nothing stands
    lengths: NDArray[np.int32]  # (rows,) neighbors listed

    @classmethod
    def empty(cls, rows: int, most: int, radii: NDArray[np.float64]) -> NeighborLists:
        """Lists of `rows` rows without neighbors."""
        levels = np.full((rows, most), len(radii), np.uint8)
        return cls(radii, np.zeros((rows, most), np.int32), levels, np.zeros(rows, np.int32))

    def open(self, rows: Any) -> NDArray[np.bool_]:
        """Whether the lists of these rows could still change: they have room, or a neighbor beyond the first level."""
        return self.levels[rows].max(axis=1, initial=0) > 0

    def clear(self, rows: NDArray[np.bool_]) -> None:
        """Empty the lists of these rows."""
        self.neighbors[rows], self.levels[rows], self.lengths[rows] = 0, len(self.radii), 0

    def within(self, level: int) -> NDArray[np.int64]:
        """Listed neighbors of each row up to a level, (rows,)."""
        return (self.levels <= level).sum(axis=1)


def _threads() -> int:
    """As many as NumPy has for a product."""
    from threadpoolctl import threadpool_info

    return max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1)


def _side_by_side(tasks: Iterable[Callable[[], None]]) -> None:
    """Tasks on as many threads as NumPy has for a product, each of them with one."""
    from threadpoolctl import threadpool_limits

    threads = _threads()
    if threads == 1:
        for task in tasks:
            task()
        return
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(task) for task in tasks]
        try:
            for future in futures:
                future.result()
        finally:
            for future in futures:
                future.cancel()


def _lists_by_tree(space: TileSpace, most: int) -> NeighborLists:
    """Lists of narrow rows, in which a k-d tree finds the nearest."""
    from scipy.spatial import cKDTree

    x, radii = space.given[space.order], space.radii
    lists = NeighborLists.empty(len(x), most, radii)
    if not most:
        return lists
    tree, beyond = cKDTree(x), np.nextafter(radii[-1], np.inf)
    for part in slices(len(x), BLOCK):
        space.check_time()
        distance, index = tree.query(x[part], most + 1, distance_upper_bound=beyond, workers=-1)
        # Where more rows are equal than a list holds, the row itself may be missing: any of them stands for it.
        own = index == np.arange(part.start, part.stop)[:, None]
        own[~own.any(axis=1), 0] = True
        levels = np.searchsorted(radii, distance[~own].reshape(-1, most), side="left")
        lists.levels[part] = levels
        lists.neighbors[part] = np.where(levels < len(radii), index[~own].reshape(-1, most), 0)
    lists.lengths[:] = (lists.levels < len(radii)).sum(axis=1)
    return lists


def _lists_by_tiles(space: TileSpace, most: int, progress: Progress, kept: Kept | None) -> NeighborLists:
    """Lists of all rows: first from the surroundings of each tile, then of those still open from everything."""
    lists = NeighborLists.empty(len(space.rows), most, space.radii)
    if not most:
        return lists
    lister, note, done = _Lister(space, lists), "", 0
    before = _resumed(lists, space, kept)
    if before is None:
        longest = lister.add_surroundings()
        note = "" if longest is None else f"at most some {longest:.0f} s"
        open_rows = lists.open(slice(None))
    else:
        open_rows, done = before
    waiting, finished = lister.split(open_rows)
    lister.start(progress, len(open_rows) - sum(map(len, waiting[done:])), note)
    step = len(waiting) if kept is None else _A_ROUND * _threads()
    last = monotonic()
    for begin in range(done, len(waiting), max(step, 1)):
        end = min(begin + step, len(waiting))
        _side_by_side(partial(lister.add_all, waiting[i:], finished) for i in range(begin, end))
        if kept is not None and (monotonic() - last >= _KEEP_SECONDS or end == len(waiting)):
            state = {"order": space.order, "open": open_rows, "done": np.array(end)}
            kept.save(state | {name: getattr(lists, name) for name in _LISTS})
            last = monotonic()
    return lists


def _resumed(lists: NeighborLists, space: TileSpace, kept: Kept | None) -> tuple[NDArray[np.bool_], int] | None:
    """Fill the lists with those that were kept: which rows were open, and how many of their tiles are done."""
    state = {} if kept is None else kept.load()
    if not state or not np.array_equal(state["order"], space.order):  # other threads may have rounded it otherwise
        return None
    for name in _LISTS:
        getattr(lists, name)[:] = state[name]
    return state["open"], int(state["done"])


def listing_seconds(x: NDArray[np.float32], radii: Sequence[float], min_samples: int = 10, tiles: int = 8) -> float:
    """About how long `DensityGraph.build` takes: what comes first is done, then a few tiles, evenly spaced, are timed.

    Rows whose lists earlier tiles would have filled are still open here: where many rows are cores it takes less.

    Args:
        radii: all values of eps, ascending.
        min_samples: the largest that will be asked for.
        tiles: how many are timed.
    """
    begun = monotonic()
    if x.shape[1] <= _TREE_WIDTH or min_samples < 2:
        DensityGraph.build(x, radii, min_samples)
        return monotonic() - begun
    space = TileSpace.of(x, np.asarray(radii, np.float64), "auto", None)
    lister = _Lister(space, NeighborLists.empty(len(x), min(min_samples - 1, len(x)), space.radii))
    lister.add_surroundings()
    waiting, finished = lister.split(lister.lists.open(slice(None)))
    first, begun = monotonic() - begun, monotonic()
    chosen = np.unique(((np.arange(tiles) + 0.5) / tiles * len(waiting)).astype(int)).tolist() if waiting else []
    _side_by_side(partial(lister.add_all, waiting[i:], finished) for i in chosen)
    return first + (monotonic() - begun) * len(waiting) / max(1, len(chosen))


@dataclass(eq=False)
class _Lister:
    """Adds to neighbor lists what is near, from several threads."""

    space: TileSpace
    lists: NeighborLists
    lock: Any = field(default_factory=Lock)
    progress: Progress = silent
    done: int = 0
    note: str = ""

    def add_surroundings(self) -> float | None:
        """Fill what lists the nearest tiles can fill; seconds that the others take at most (None: there are few)."""
        tiles = row_tiles(np.arange(len(self.space.rows)), self.space.tile)
        if len(tiles) <= _FIRST:
            return None
        begun, pairs = monotonic(), _surroundings(self.space, tiles)
        _side_by_side(partial(self.add, tiles[i], tiles[j]) for i, j in pairs)
        unfilled = self.lists.open(slice(None))
        self.lists.clear(unfilled)  # those are listed again, from everything
        left = int(unfilled.sum()) / self.space.tile
        return (monotonic() - begun) / len(pairs) * left * (len(tiles) - left / 2)

    def split(self, open_rows: NDArray[np.bool_]) -> tuple[list[Ids], list[Ids]]:
        """Tiles of the rows that are open, and of the others."""
        waiting, finished = (row_tiles(np.flatnonzero(mask), self.space.tile) for mask in (open_rows, ~open_rows))
        return waiting, finished

    def start(self, progress: Progress, done: int, note: str) -> None:
        """Count rows from here on."""
        self.progress, self.done, self.note = progress, done, note
        progress(STAGE, done, len(self.space.rows), note)

    def add(self, left: Ids, right: Ids, *, both: bool = True) -> None:
        """Add pairs of two tiles of which a row is open; with `both` to the lists of the right rows as well."""
        # Another thread may close a row meanwhile: its list then takes no more.
        tags = np.where(self.lists.open(left), 1, 0), np.where(self.lists.open(right), 2, 0)
        if not (tags[0].any() or (both and tags[1].any())):
            return
        top = len(self.space.radii) - 1
        most = self.lists.neighbors.shape[1]
        near = self.space.near(left, right, top, tags, diagonal=left is right, most=most)
        if len(near.left):
            arrays = (self.lists.neighbors, self.lists.levels, self.lists.lengths)
            with self.lock:
                self.space.kernels.record(near.left, near.right, near.levels, top + 1, *arrays)
                if both:
                    self.space.kernels.record(near.right, near.left, near.levels, top + 1, *arrays)

    def add_all(self, tiles: list[Ids], finished: list[Ids]) -> None:
        """Add all pairs of the first tile with the finished rows and with the tiles from it on."""
        mine = tiles[0]
        for right in finished:
            mine = mine[self.lists.open(mine)]
            if not len(mine):
                break
            self.add(mine, right, both=False)
        for right in tiles:
            self.add(tiles[0], right)
        with self.lock:
            self.done += len(tiles[0])
            self.progress(STAGE, self.done, len(self.space.rows), self.note)


def _surroundings(space: TileSpace, tiles: list[Ids]) -> list[tuple[int, int]]:
    """Each tile with itself and with the few tiles whose middles are nearest; every pair once."""
    middles = np.stack([space.rows[tile].mean(axis=0) for tile in tiles])
    count = min(_FIRST, max(1, len(tiles) // 16))
    pairs = {(i, i) for i in range(len(tiles))}
    for i, middle in enumerate(middles):
        gaps = squared_lengths(middles - middle)
        pairs |= {(min(i, j), max(i, j)) for j in np.argsort(gaps, kind="stable")[: count + 1].tolist()}
    return sorted(pairs, key=lambda pair: (pair[1] - pair[0] > 0, pair))


def _join(space: TileSpace, lists: NeighborLists, level: int, core: NDArray[np.bool_], parts: Ids) -> Ids:
    """Parts of the graph of cores: `kernels.roots` of two cores are equal if they are in one cluster."""
    inner = np.flatnonzero(core)
    others = lists.neighbors[inner]
    linked = (lists.levels[inner] <= level) & core[others]
    owners = np.repeat(inner, linked.sum(axis=1))
    space.kernels.union(parts, owners, others[linked].astype(np.int64))
    roots = space.kernels.roots(parts, inner)
    _, number, sizes = np.unique(roots, return_inverse=True, return_counts=True)
    if len(sizes) > 1:
        # Clusters stand together, the largest first: most pairs of tiles are then of one cluster.
        tiles = row_tiles(inner[np.lexsort((number, -sizes[number]))], space.tile)
        lock = Lock()
        _side_by_side(partial(_link, space, level, parts, tiles[i:], lock) for i in range(len(tiles)))
    parts[inner] = space.kernels.roots(parts, inner)
    return parts


def _link(space: TileSpace, level: int, parts: Ids, tiles: list[Ids], lock: Any) -> None:
    """Join clusters of which the first tile and the tiles from it on hold rows within the radius."""
    mine = space.kernels.roots(parts, tiles[0])
    for right in tiles:
        theirs = space.kernels.roots(parts, right)
        if mine.min() == mine.max() == theirs.min() == theirs.max():
            continue
        near = space.near(tiles[0], right, level, (mine, theirs), diagonal=right is tiles[0])
        if len(near.left):
            with lock:
                space.kernels.union(parts, near.left, near.right)
            mine = space.kernels.roots(parts, tiles[0])


def _with_border(lists: NeighborLists, level: int, core: NDArray[np.bool_], labels: Ids) -> Ids:
    """Labels with those of rows that are no cores: the lowest cluster that has a core among their neighbors."""
    outer = np.flatnonzero(~core)
    others = lists.neighbors[outer]
    reached = (lists.levels[outer] <= level) & core[others]
    none = np.iinfo(np.int64).max
    lowest = np.where(reached, labels[others], none).min(axis=1, initial=none)
    result = labels.copy()
    result[outer] = np.where(lowest == none, -1, lowest)
    return result
