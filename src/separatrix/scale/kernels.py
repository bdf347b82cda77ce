"""What is computed of one task, in PyTorch: tiles of float32, sums in float64. Pure functions of a task to arrays.

float16 becomes float32 here, where the conversion is vectorised. A task is computed by one thread, so that its bytes do
not depend on how many there are; `executors` computes several tasks beside each other. The last argument of a function
is the device (`--device`): a GPU holds larger tiles, multiplies in float32 as it is, and adds in a fixed order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import Tensor

from separatrix.scale.blocks import BlockSource, ranges, tile_rows
from separatrix.scale.device import worker_device, worker_number

Partial = dict[str, NDArray[Any]]

_FULL_ROWS = 4096  # of a tile of which all products are summed
_OF_FREE = 64  # part of the free memory of a GPU that a tile takes
_EXACT = "highest"  # float32 products of full precision, on a GPU too
CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class Preparation:
    """What is done to a row: less `mean`, times `scale`, times `matrix`, less `offset`; what is None is left out.

    With `how` "unit" a row is brought to length 1 instead.
    """

    how: str = "none"
    mean: NDArray[np.float64] | None = None  # (width,)
    scale: NDArray[np.float64] | None = None  # (width,), 0 for a constant column
    matrix: NDArray[np.float64] | None = None  # (width, width)
    constant: int = 0  # columns that say nothing
    offset: NDArray[np.float64] | None = None  # (width,)

    def moved(self, offset: NDArray[np.float64]) -> Preparation:
        """The same, after which a vector (width,) is taken away."""
        return replace(self, offset=offset)

    def apply(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """Prepared rows, (rows, width)."""
        return np.asarray(prepared_by(self)(to_float32(rows)).numpy())


def threads() -> int:
    """Threads that PyTorch may use here."""
    return torch.get_num_threads()


def use_one_thread() -> None:
    """From now on, one thread computes in PyTorch (of this thread) and in NumPy (of this process), float32 as it is."""
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision(_EXACT)
    threadpool_limits(1)


@contextmanager
def exact_products() -> Iterator[None]:
    """Float32 is multiplied as it is, not as TF32; what was before holds again afterwards."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(_EXACT)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread computes, in PyTorch and in NumPy, float32 as it is; what was before holds again afterwards."""
    before = torch.get_num_threads()
    with threadpool_limits(1), exact_products():
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def device_of(name: str) -> torch.device:
    """The device of this worker; see `device.worker_device`."""
    return CPU if name == "cpu" else torch.device(worker_device(name, worker_number()))


def to_float32(values: NDArray[Any]) -> Tensor:
    """Numbers (rows, width) as a float32 tensor of their own."""
    return torch.empty(values.shape).copy_(_tensor_of(values))


def rows_of_tile(source: BlockSource, device: torch.device, rows: int = 0, scores: int = 0) -> int:
    """Rows of a tile: what a processor's cache holds (or `rows`); on a GPU, the whole task if its memory allows.

    `scores` are the numbers that are computed of each row.
    """
    if device.type == "cpu":
        return min(rows or tile_rows(source.width), source.rows)
    most = torch.cuda.mem_get_info(device)[0] // _OF_FREE // (4 * source.width + 8 * scores)
    return max(1, min(source.rows, most))


def tiles(
    source: BlockSource,
    prepare: Preparation | None = None,
    rows: int = 0,
    device: torch.device = CPU,
    scores: int = 0,
) -> Iterator[tuple[int, Tensor]]:
    """The number of the first row and the prepared numbers (rows, width), float32, of each tile of a task.

    All tiles stand in the same memory: one must be done with before the next is asked for, and may be written to.
    """
    change, rows = prepared_by(prepare, device), rows_of_tile(source, device, rows, scores)
    buffer, upload = torch.empty((rows, source.width), device=device), _uploader(device)
    start = filled = 0
    for values, scales in source.raw(0, source.rows):
        stored, factors, used = _tensor_of(values), None if scales is None else _tensor_of(scales)[:, None], 0
        while used < len(stored):
            count = min(rows - filled, len(stored) - used)
            part = slice(used, used + count)
            target = buffer[filled : filled + count].copy_(upload(stored[part]))
            if factors is not None:
                target *= factors[part].to(device)
            used, filled = used + count, filled + count
            if filled == rows:
                yield start, change(buffer)
                start, filled = start + rows, 0
    if filled:
        yield start, change(buffer[:filled])


def some_tiles(
    source: BlockSource,
    prepare: Preparation | None,
    rows: NDArray[np.int64],
    device: torch.device = CPU,
    scores: int = 0,
) -> Iterator[tuple[slice | NDArray[np.int64], Tensor]]:
    """Tiles of rows given by their numbers, ascending; of all rows where picking them would save little."""
    if 4 * len(rows) > 3 * source.rows:
        for start, x in tiles(source, prepare, 0, device, scores):
            yield slice(start, start + len(x)), x
        return
    change, begin, step = prepared_by(prepare, device), 0, rows_of_tile(source, device, 0, scores)
    for values, scales in source.raw(0, source.rows):
        inside = rows[slice(*np.searchsorted(rows, (begin, begin + len(values))))]
        for low, high in ranges(len(inside), step):
            some = inside[low:high] - begin
            x = to_float32(values[some])
            x = x if scales is None else x.mul_(_tensor_of(scales[some])[:, None])
            yield inside[low:high], change(x.to(device))
        begin += len(values)


def _uploader(device: torch.device) -> Callable[[Tensor], Tensor]:
    """What brings stored numbers to a device: to a GPU as they are stored, while it computes what came before."""
    if device.type == "cpu":
        return lambda stored: stored
    free: list[tuple[Tensor, Any]] = []  # page-locked memory, and when the GPU has read it

    def upload(stored: Tensor) -> Tensor:
        host, read = free.pop(0) if len(free) == 2 else (None, torch.cuda.Event())
        read.synchronize()
        if host is None or host.shape != stored.shape or host.dtype != stored.dtype:
            host = torch.empty(stored.shape, dtype=stored.dtype, pin_memory=True)
        there = host.copy_(stored).to(device, non_blocking=True)
        read.record(torch.cuda.current_stream(device))
        free.append((host, read))
        return there

    return upload


def _tensor_of(values: NDArray[Any]) -> Tensor:
    """An array as a tensor, without a copy where PyTorch takes it as it is."""
    if values.dtype.kind not in "fi" or values.dtype.itemsize > 8 or not values.dtype.isnative:
        values = values.astype(np.float64)
    if not values.flags.writeable or any(step < 0 for step in values.strides):
        values = values.copy()
    return torch.from_numpy(values)


def prepared_by(prepare: Preparation | None, device: torch.device = CPU) -> Callable[[Tensor], Tensor]:
    """The function that prepares a tile on a device, in its place where it can."""
    if prepare is None:
        return lambda x: x
    arrays = (prepare.mean, prepare.scale, prepare.matrix, prepare.offset)
    mean, scale, matrix, offset = (None if array is None else torch.from_numpy(array).to(device) for array in arrays)
    turned, narrow = (None if tensor is None else tensor.float() for tensor in (matrix, offset))

    def change(x: Tensor) -> Tensor:
        if prepare.how == "unit":
            wide = x.double()
            length = wide.norm(dim=1, keepdim=True)
            x = (wide / torch.where(length > 0, length, 1)).float()
        if mean is not None:
            y = x.double().sub_(mean)  # exact for what float32 holds; rounded once, at the end
            x = (y if scale is None else y.mul_(scale)).float()
        if turned is not None:
            x = x @ turned.T
        return x if narrow is None else x.sub_(narrow)

    return change


def moments(source: BlockSource, prepare: Preparation | None, full: bool, device: str = "cpu") -> Partial:
    """Rows, mean, sums of squares about the mean (the whole matrix of products if `full`), least and largest number.

    Each tile is centred at about its own mean, so that no large mean drowns a small spread; tiles are joined in float64
    as Chan, Golub and LeVeque (1983) do. On a CPU NumPy multiplies: of a matrix with itself it computes one half.
    """
    on, width = device_of(device), source.width
    squares_of = _squares_by_numpy if on.type == "cpu" else _squares_by_torch
    count, mean = 0, torch.zeros(width, dtype=torch.float64, device=on)
    squares = torch.zeros((width, width) if full else width, dtype=torch.float64, device=on)
    low, high = torch.full((width,), torch.inf, device=on), torch.full((width,), -torch.inf, device=on)
    for _, x in tiles(source, prepare, max(_FULL_ROWS, 2 * width) if full else 0, on):
        low, high = torch.minimum(low, x.amin(0)), torch.maximum(high, x.amax(0))
        middle = x.mean(0)
        rest, share = squares_of(x.sub_(middle), full)  # rest: from the middle to the mean
        squares += share
        squares -= len(x) * (torch.outer(rest, rest) if full else rest * rest)
        total, gap = count + len(x), middle.double() + rest - mean
        squares += (count * len(x) / total) * (torch.outer(gap, gap) if full else gap * gap)
        mean += gap * (len(x) / total)
        count = total
    arrays = {"mean": mean, "squares": squares, "low": low, "high": high}
    return {"count": np.array(count)} | {name: each.cpu().numpy() for name, each in arrays.items()}


def _squares_by_numpy(centred: Tensor, full: bool) -> tuple[Tensor, Tensor]:
    """Mean (width,) in float64, and products or squares about zero in float32."""
    x = centred.numpy()
    rest = np.ones(len(x), np.float32) @ x / np.float64(len(x))
    return torch.from_numpy(rest), torch.from_numpy(x.T @ x if full else np.einsum("rw,rw->w", x, x))


def _squares_by_torch(centred: Tensor, full: bool) -> tuple[Tensor, Tensor]:
    """The same on a GPU."""
    return centred.mean(0, dtype=torch.float64), centred.T @ centred if full else (centred * centred).sum(0)


def add_by_class(total: Tensor, ids: Tensor, rows: Tensor, sign: int = 1) -> None:
    """Add each row to the line of its class in `total` (classes, width), or take it away; on a GPU in fixed order."""
    if rows.device.type == "cpu":
        total.index_add_(0, ids, rows, alpha=sign)
    else:
        total += sign * sums_as_product(ids, rows.to(total.dtype), len(total))


def sums_as_product(ids: Tensor, rows: Tensor, count: int) -> Tensor:
    """Sums of the rows of each class (classes, width), as a product with zeros and ones."""
    ones = torch.zeros((len(ids), count), dtype=rows.dtype, device=rows.device).scatter_(1, ids[:, None], 1)
    return ones.T @ rows


def fourth_powers(source: BlockSource, prepare: Preparation, device: str = "cpu") -> Partial:
    """The sum over rows of the fourth power of their length."""
    on = device_of(device)
    total = torch.zeros((), dtype=torch.float64, device=on)
    for _, x in tiles(source, prepare, device=on):
        total += (x * x).sum(1, dtype=torch.float64).square().sum()
    return {"fourth": total.cpu().numpy()}


def squares(source: BlockSource, prepare: Preparation, device: str = "cpu") -> Partial:
    """The square of each row's length, (rows,), in float64."""
    on = device_of(device)
    lengths = [torch.linalg.vector_norm(x, dim=1) for _, x in tiles(source, prepare, device=on)]
    return {"squares": torch.cat(lengths).double().square().cpu().numpy()}


def project(
    source: BlockSource, prepare: Preparation | None, mean: NDArray[Any], axes: NDArray[Any], device: str = "cpu"
) -> Partial:
    """Coordinates (rows, axes) in float32."""
    on = device_of(device)
    centre, turned = torch.from_numpy(mean).float().to(on), torch.from_numpy(axes.T.copy()).float().to(on)
    coordinates = [(x - centre) @ turned for _, x in tiles(source, prepare, device=on)]
    return {"coordinates": torch.cat(coordinates).cpu().numpy()}


def sketch(
    source: BlockSource, prepare: Preparation | None, mean: NDArray[Any], axes: NDArray[Any], device: str = "cpu"
) -> Partial:
    """Of centred rows X and directions A: X'XA (width, directions), the products of XA, and the squares of all of X."""
    on = device_of(device)
    centre, turned = torch.from_numpy(mean).float().to(on), torch.from_numpy(axes.T.copy()).float().to(on)
    wide = torch.zeros(turned.shape, dtype=torch.float64, device=on)
    small = torch.zeros((turned.shape[1], turned.shape[1]), dtype=torch.float64, device=on)
    squares = torch.zeros((), dtype=torch.float64, device=on)
    for _, x in tiles(source, prepare, 1024, on):
        centred = x - centre
        within = centred @ turned
        wide += centred.T @ within
        small += within.T @ within
        squares += (centred * centred).sum(1, dtype=torch.float64).sum()
    return {"wide": wide.cpu().numpy(), "small": small.cpu().numpy(), "squares": squares.cpu().numpy()}


def assign(
    source: BlockSource, prepare: Preparation | None, several: tuple[NDArray[np.float64], ...], device: str = "cpu"
) -> Partial:
    """The nearest centroid of each row, in float64, for several sets of centroids (k, width) from one reading.

    Returns:
        for each set, behind its number: labels (rows,); sums of the squared and of the plain distances; of each
        centroid, the nearest of its rows and how near it is (-1 and infinity without rows); the rows that are farthest
        from their centroids and how far, at most as many as there are centroids.
    """
    on = device_of(device)
    tensors = [torch.from_numpy(centroids).to(on) for centroids in several]
    sets = [(every, (every * every).sum(1), every.T.contiguous()) for every in tensors]
    labels = np.empty((len(sets), source.rows), np.int32)
    gaps = np.empty((len(sets), source.rows))
    for start, x in tiles(source, prepare, 0, on, max(map(len, several))):
        wide, part = x.double(), slice(start, start + len(x))
        for number, (every, lengths, turned) in enumerate(sets):
            nearest = torch.addmm(lengths, wide, turned, alpha=-2).argmin(1)
            labels[number, part] = nearest.cpu().numpy()
            gaps[number, part] = torch.linalg.vector_norm(wide - every[nearest], dim=1).cpu().numpy()
    partial: Partial = {}
    for number, centroids in enumerate(several):
        figures = _near_and_far(labels[number], gaps[number], len(centroids))
        partial |= {f"{number} {name}": array for name, array in figures.items()}
    return partial


def _near_and_far(labels: NDArray[np.int32], gaps: NDArray[np.float64], k: int) -> Partial:
    """What `assign` gives of one set of centroids."""
    order = np.lexsort((gaps, labels))
    present, first = np.unique(labels[order], return_index=True)
    nearest_row, nearest_gap = np.full(k, -1), np.full(k, np.inf)
    nearest_row[present], nearest_gap[present] = order[first], gaps[order[first]]
    far = np.argsort(-gaps, kind="stable")[:k]
    return {
        "labels": labels, "squared": np.array((gaps**2).sum()), "plain": np.array(gaps.sum()),
        "nearest": nearest_row, "nearest_gap": nearest_gap, "far": far, "far_gap": gaps[far],
    }  # fmt: skip


def class_moments(source: BlockSource, classes: NDArray[np.int64], count: int, device: str = "cpu") -> Partial:
    """`moments` of the rows that have a class, with all products; and rows and sums (count, width) of each class."""
    known, on = np.flatnonzero(classes >= 0), device_of(device)
    rows = torch.zeros((count, source.width), dtype=torch.float64, device=on)
    for start, x in tiles(source, device=on, scores=count):
        ids = torch.from_numpy(classes[start : start + len(x)]).to(on)
        add_by_class(rows, ids[ids >= 0], x[ids >= 0].double())
    inside = source if len(known) == source.rows else BlockSource.of(source.take(known))
    counts = np.bincount(classes[known], minlength=count)
    return moments(inside, None, True, device) | {"sums": rows.cpu().numpy(), "counts": counts}


def fourth_within(
    source: BlockSource, classes: NDArray[np.int64], means: NDArray[np.float64], device: str = "cpu"
) -> Partial:
    """The sum over rows that have a class of the fourth power of their distance to its mean (classes, width)."""
    on = device_of(device)
    centres, total = torch.from_numpy(means).to(on), torch.zeros((), dtype=torch.float64, device=on)
    for start, x in tiles(source, device=on):
        ids = torch.from_numpy(classes[start : start + len(x)]).to(on)
        gaps = x[ids >= 0].double() - centres[ids[ids >= 0]]
        total += (gaps * gaps).sum(1).square().sum()
    return {"fourth": total.cpu().numpy()}


def linear(
    source: BlockSource, prepare: Preparation | None, weight: NDArray[Any], bias: NDArray[Any], device: str = "cpu"
) -> Partial:
    """The row of `weight` (classes, width) with the largest score, (rows,)."""
    on = device_of(device)
    turned, constant = torch.from_numpy(weight.T.copy()).to(on), torch.from_numpy(bias).to(on)
    answers = [
        torch.addmm(constant, x.double(), turned).argmax(1) for _, x in tiles(source, prepare, 0, on, len(weight))
    ]
    return {"answers": torch.cat(answers).cpu().numpy()}


def nearest_members(
    source: BlockSource, prepare: Preparation | None, members: NDArray[np.float32], labels: NDArray[np.int64],
    reach: NDArray[np.float64], device: str = "cpu",
) -> Partial:  # fmt: skip
    """The cluster of each row's nearest member (members, width), or -1 where that lies beyond its cluster's reach."""
    on = device_of(device)
    every, ids, limit = (torch.from_numpy(array).to(on) for array in (members, labels, reach))
    half, turned = -(every * every).sum(1) / 2, every.T.contiguous()
    answers = []
    for _, x in tiles(source, prepare, 0, on, len(members)):
        nearest = torch.addmm(half, x, turned).argmax(1)
        gap = torch.linalg.vector_norm(x.double() - every[nearest].double(), dim=1)
        answers.append(torch.where(gap <= limit[ids[nearest]], ids[nearest], -1))
    return {"labels": torch.cat(answers).to(torch.int32).cpu().numpy()}
