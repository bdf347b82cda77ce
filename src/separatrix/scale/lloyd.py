"""One pass of k-means over a task: which rows can have changed their cluster, and what their sums change by."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from separatrix.scale.blocks import BlockSource, tile_rows
from separatrix.scale.kernels import Partial, Preparation, add_by_class, device_of, some_tiles

_ROUNDING = 2.0**-22  # of a few operations in float32


class Bounds(NamedTuple):
    """What k-means knows of each row's distances: its cluster, and how far that and any other centroid can be.

    Hamerly (2010): where a row is nearer to its centroid than any other can be, it stays, and need not be read.
    """

    labels: NDArray[np.int32]  # (rows,), -1 before the first pass
    upper: NDArray[np.float32]  # (rows,), at least the distance to its centroid
    lower: NDArray[np.float32]  # (rows,), at most the distance to any other

    @classmethod
    def none(cls, rows: int) -> Bounds:
        """Nothing is known."""
        return cls(np.full(rows, -1, np.int32), np.full(rows, np.inf, np.float32), np.zeros(rows, np.float32))

    def part(self, start: int, stop: int) -> Bounds:
        """Those of some rows."""
        return Bounds(self.labels[start:stop], self.upper[start:stop], self.lower[start:stop])

    def after(self, moves: NDArray[np.float32]) -> Bounds:
        """What still holds after each centroid has moved by so much (centroids,), in memory of its own.

        >>> known = Bounds(np.int32([0, 1]), np.float32([1, 2]), np.float32([5, 5]))
        >>> known.after(np.float32([0.5, 2])).upper.round(3).tolist()
        [1.5, 4.0]
        """
        first = int(moves.argmax())
        others = np.full(len(moves), moves[first], np.float32)  # the farthest that another one moved
        others[first] = np.delete(moves, first).max(initial=0)
        return Bounds(
            self.labels.copy(),
            (self.upper + moves[self.labels]) * np.float32(1 + _ROUNDING),
            (self.lower - others[self.labels]) * np.float32(1 - _ROUNDING),
        )


def lloyd(
    source: BlockSource,
    prepare: Preparation | None,
    centroids: tuple[NDArray[np.float32], ...],
    moves: tuple[NDArray[np.float32], ...],
    bounds: tuple[Bounds, ...],
    device: str = "cpu",
) -> Partial:
    """One pass of k-means for several k at once, of the rows that may change their cluster.

    One product serves all centroids. Measured in milliseconds of one core for 1,024 x 256 and 35 centroids: the product
    0.28 in NumPy for a multiple of four centroids (0.35 for 35, 0.44 in PyTorch), the largest score of a row 0.02 in
    NumPy (0.07), float64 sums of rows that moved 0.14 (`index_add_`; 0.07 in float32, 0.5 as a product).

    Args:
        centroids: of each k, (k, width).
        moves: of each k, how far the centroids have moved since the bounds were measured, (k,).
        bounds: of each k.
        device: that multiplies and adds; bounds are kept on the host.

    Returns:
        what the sums (all centroids, width) and the numbers of rows (all centroids,) change by; the squares of rows
        that had no cluster yet; how many rows were read; the bounds, one k after the other, (ks, rows) each.
    """
    ends = np.cumsum([len(one) for one in centroids]).tolist()
    spans, on = list(zip([0, *ends], ends, strict=False)), device_of(device)
    score = (_scorer_by_numpy if on.type == "cpu" else _scorer_by_torch)(centroids, spans, on)
    known = [one.after(move) for one, move in zip(bounds, moves, strict=True)]
    open_rows = np.flatnonzero(np.any([one.upper >= one.lower for one in known], axis=0))
    sums = torch.zeros((ends[-1], source.width), dtype=torch.float64)
    counts, squares = np.zeros(ends[-1], np.int64), 0.0
    # A sum in float32 would keep what a far row has rounded away after that row has left.
    share = torch.empty(sums.shape, dtype=torch.float64, device=on)
    rounding = np.float32(8 * np.sqrt(source.width) * _ROUNDING)
    for rows, x in some_tiles(source, prepare, open_rows, on, 2 * ends[-1]):
        lengths, largest = score(x)
        share.zero_()
        for (low, high), one, (labels, best, second) in zip(spans, known, largest, strict=True):
            before = one.labels[rows].copy()
            # A centroid's square, which rounds, is at most twice that of the row and twice that of the distance.
            own, other = np.maximum(lengths - 2 * best, 0), np.maximum(lengths - 2 * second, 0)
            one.labels[rows] = labels
            one.upper[rows] = np.sqrt(own + rounding * (own + lengths))
            one.lower[rows] = np.sqrt(np.maximum((1 - rounding) * other - rounding * lengths, 0))
            squares += float(lengths[before < 0].sum(dtype=np.float64)) if low == 0 else 0.0
            _move(share[low:high], counts[low:high], x, before, labels)
        sums += share.cpu()
    arrays = {name: np.stack([getattr(one, name) for one in known]) for name in Bounds._fields}
    read = np.array(len(open_rows))
    return {"sums": sums.numpy(), "counts": counts, "squares": np.array(squares), "read": read} | arrays


Largest = tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]
Scores = tuple[NDArray[np.float32], list[Largest]]  # squared lengths (rows,), and of each k what `_two_largest` gives


def _scorer_by_numpy(
    centroids: tuple[NDArray[np.float32], ...], spans: list[tuple[int, int]], _on: torch.device
) -> Callable[[Tensor], Scores]:
    """What scores rows (rows, width): the score is largest where the distance is smallest."""
    every = np.concatenate(centroids)  # (centroids, width)
    turned = np.zeros((every.shape[1], -(-len(every) // 4) * 4), np.float32)
    turned[:, : len(every)] = every.T
    half = np.zeros(turned.shape[1], np.float32)
    half[: len(every)] = -(every * every).sum(axis=1) / 2
    memory = np.empty((tile_rows(every.shape[1]), turned.shape[1]), np.float32)

    def score(x: Tensor) -> Scores:
        rows = x.numpy()
        scores = np.matmul(rows, turned, out=memory[: len(x)])
        scores += half
        return np.vecdot(rows, rows), [_two_largest(scores[:, low:high]) for low, high in spans]

    return score


def _scorer_by_torch(
    centroids: tuple[NDArray[np.float32], ...], spans: list[tuple[int, int]], on: torch.device
) -> Callable[[Tensor], Scores]:
    """The same on a GPU."""
    every = torch.from_numpy(np.concatenate(centroids)).to(on)
    half, turned = -(every * every).sum(1) / 2, every.T.contiguous()

    def score(x: Tensor) -> Scores:
        scores = torch.addmm(half, x, turned)
        largest = []
        for low, high in spans:
            best, labels = scores[:, low:high].max(1)
            second = scores[:, low:high].scatter(1, labels[:, None], -torch.inf).amax(1)
            largest.append((labels.cpu().numpy(), best.cpu().numpy(), second.cpu().numpy()))
        return (x * x).sum(1).cpu().numpy(), largest

    return score


def _two_largest(scores: NDArray[np.float32]) -> Largest:
    """The column of the largest score (rows, columns) of each row, that score, and the next one; scores are lost."""
    labels, rows = scores.argmax(axis=1), np.arange(len(scores))
    best = scores[rows, labels]
    scores[rows, labels] = -np.inf
    return labels, best, scores.max(axis=1)


def _move(
    share: Tensor, counts: NDArray[np.int64], x: Tensor, before: NDArray[np.int32], labels: NDArray[np.int64]
) -> None:
    """Take rows (rows, width) from the sums of the clusters they were in (-1: none) and add them to those of now."""
    moved = np.flatnonzero(labels != before)
    after, earlier = labels[moved], before[moved].astype(np.int64)
    if not len(moved):
        return
    if len(moved) < len(x):  # on a CPU, PyTorch takes 17 times as long as NumPy
        x = torch.from_numpy(x.numpy()[moved]) if x.device.type == "cpu" else x[torch.from_numpy(moved).to(x.device)]
    x = x.double()
    add_by_class(share, torch.from_numpy(after).to(x.device), x)
    counts += np.bincount(after, minlength=len(counts))
    if (earlier >= 0).all():  # so they are, or none is: before the first pass
        add_by_class(share, torch.from_numpy(earlier).to(x.device), x, -1)
        counts -= np.bincount(earlier, minlength=len(counts))
