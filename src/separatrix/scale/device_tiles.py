"""Tiles of distances on a GPU: nearest rows, and pairs of rows within a radius. What is near is given back to the host.

Products are of float32 as it is (`kernels.exact_products`); what lies within rounding of a radius is measured again in
float64, on the device. So neighbors and labels are those of `geometry.neighbors` and `geometry.density`, which do the
rest of the work. Of more equal rows than neighbors are wanted, any are given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from separatrix.errors import OptionError
from separatrix.geometry.checks import check_distances, check_matrix
from separatrix.geometry.density import TileMaker
from separatrix.geometry.neighbors import SPARE, Neighbors, middle_of
from separatrix.geometry.tiles import Ids, NearPairs, TileSpace
from separatrix.models.device import cuda_count
from separatrix.scale.kernels import device_of

_PAIR_BYTES = 64  # of a tile for each of its pairs, if all of them were near
_LARGEST, _LEAST = 16_384, 512  # rows and columns of a tile
_MEASURED = 1 << 26  # numbers gathered at a time when pairs are measured again
_WORTH = 20_000  # rows from which a GPU is worth its start
_SHARE = 4  # part of the free memory that one tile may take


def near_on(device: str) -> Callable[..., Neighbors]:
    """`geometry.neighbors.neighbors` of float32 rows, computed on a device of this worker."""
    return partial(nearest, on=device_of(device))


def nearest(
    queries: NDArray[np.float32], rows: NDArray[np.float32], k: int, *, metric: str, on: torch.device
) -> Neighbors:
    """The k nearest of the rows (rows, width) to each query (queries, width); see `geometry.neighbors`.

    >>> x = np.array([[0, 1], [1, 0], [0, 0.5]], np.float32)
    >>> nearest(x, x, 2, metric="euclidean", on=torch.device("cpu")).index.tolist()
    [[0, 2], [1, 2], [2, 0]]
    """
    for name, given in (("rows", rows), ("queries", queries)):
        (check_matrix if metric == "cosine" else check_distances)(given, name)
    centre = torch.from_numpy(middle_of(rows, metric)).to(on)
    x, of_queries = _moved(queries, metric, centre)
    y, of_rows = _moved(rows, metric, centre)
    half = -0.5 * ((y * y).sum(1) + (1 - of_rows))
    keep, step = min(k + SPARE, len(y)), _columns(len(x), on)
    best = torch.full((len(x), 0), -torch.inf, device=on)
    index = torch.full((len(x), 0), -1, device=on)
    for start in range(0, len(y), step):
        score = torch.addmm(half[start : start + step], x, y[start : start + step].T)
        top = score.topk(min(keep, score.shape[1]), dim=1)
        merged = torch.cat([best, top.values], 1)
        best, order = merged.topk(min(keep, merged.shape[1]), dim=1)
        index = torch.cat([index, top.indices + start], 1).gather(1, order)
    index = index.sort(dim=1).values  # of equal distances the lower row comes first
    distance = torch.cat([_measured(x[part], y, index[part]) for part in _pieces(len(x), keep * x.shape[1])])
    directed = of_queries[:, None] + of_rows[index]
    distance = distance.sqrt() if metric == "euclidean" else 1 - directed / 2 + distance / 2  # as `geometry` measures
    distance, order = distance.sort(dim=1, stable=True)
    index = index.gather(1, order)
    return Neighbors(index[:, :k].cpu().numpy(), distance[:, :k].cpu().numpy())


def _moved(rows: NDArray[np.float32], metric: str, centre: Tensor) -> tuple[Tensor, Tensor]:
    """Rows, or their directions, less the centre, in float32; and which of them have a direction (1, else 0)."""
    wide = torch.from_numpy(np.ascontiguousarray(rows)).to(centre.device).double()
    unit = torch.ones(len(wide), device=centre.device)
    if metric == "cosine":
        largest = wide.abs().amax(1, keepdim=True)  # the square of a very small or large number may not fit
        unit = (largest[:, 0] > 0).float()
        wide /= torch.where(largest > 0, largest, 1)
        length = torch.linalg.vector_norm(wide, dim=1, keepdim=True)
        wide /= torch.where(length > 0, length, 1)
    return (wide - centre).float(), unit


def _measured(x: Tensor, y: Tensor, index: Tensor) -> Tensor:
    """Squared distances of rows to their candidates, (rows, candidates)."""
    return (y[index] - x[:, None]).square_().sum(2)


def _pieces(rows: int, numbers: int) -> list[slice]:
    step = max(1, _MEASURED // numbers)
    return [slice(start, start + step) for start in range(0, rows, step)]


def _columns(rows: int, on: torch.device) -> int:
    """Columns of a product of so many rows."""
    return max(_LEAST, min(1 << 20, _free(on) // _SHARE // (8 * rows)))


def _free(on: torch.device) -> int:
    """Free memory of a device, bytes; a CPU stands in for a GPU of 1 GiB."""
    return int(torch.cuda.mem_get_info(on)[0]) if on.type == "cuda" else 1 << 30


def device_tiles(device: str) -> TileMaker:
    """What makes `DeviceSpace` of rows: `tiles` of a `geometry.density.Reading`. `auto` takes a GPU for many rows.

    Raises:
        OptionError: the rows do not fit into the memory of the device that was named.
    """
    if device == "auto" and not cuda_count():
        return TileSpace.of

    def make(x: NDArray[np.float32], radii: NDArray[np.float64], engine: str, deadline: float | None) -> TileSpace:
        on = device_of(device)
        needed, free = 3 * x.nbytes, _free(on)  # as given, turned, and a tile
        if device == "auto" and (needed > free or len(x) < _WORTH):
            return TileSpace.of(x, radii, engine, deadline)
        if needed > free:
            got, expected = f"{needed / 2**30:.1f} GiB", f"at most {free / 2**30:.1f} GiB"
            hint = "use --device cpu"
            raise OptionError(f"the rows do not fit into the memory of {on}", got=got, expected=expected, hint=hint)
        space = DeviceSpace.of(x, radii, engine, deadline)
        space.on = on
        most = int((_free(on) / _SHARE / _PAIR_BYTES) ** 0.5)
        space.size = max(_LEAST, min(_LARGEST, 1 << (most.bit_length() - 1)))
        arrays = {"given": space.given, "order": space.order, "rows": space.rows, "squares": space.squares}
        space.there = {name: torch.from_numpy(array).to(on) for name, array in arrays.items()}
        return space

    return make


@dataclass(eq=False)
class DeviceSpace(TileSpace):
    """Rows whose tiles are compared on a device."""

    on: Any = None
    size: int = _LEAST
    turn: Any = field(default_factory=Lock)  # one tile at a time stands on the device
    there: dict[str, Tensor] = field(default_factory=dict)  # what stands on the device too

    @property
    def tile(self) -> int:
        """A power of two: as many pairs as a part of the free memory holds."""
        return self.size

    def near(
        self,
        left: Ids,
        right: Ids,
        level: int,
        tags: tuple[Ids, Ids],
        *,
        diagonal: bool = False,
        most: int | None = None,
    ) -> NearPairs:
        """As of `TileSpace`; pairs that `most` leaves out stay on the device."""
        self.check_time()
        with self.turn:
            return self._near(left, right, level, tags, diagonal, most)

    def _near(
        self,
        left: Ids,
        right: Ids,
        level: int,
        tags: tuple[Ids, Ids],
        diagonal: bool,
        most: int | None,
    ) -> NearPairs:
        a, b, mine, theirs = (torch.from_numpy(np.ascontiguousarray(one)).to(self.on) for one in (left, right, *tags))
        rows, squares, margin = self.there["rows"], self.there["squares"], self.margin(left, right)
        limit = float(self.radii[level]) ** 2 + margin
        gap = torch.addmm(squares[b], rows[a], rows[b].T, alpha=-2)  # less the squared length of the left row
        near = gap <= (limit - squares[a])[:, None]
        near &= mine[:, None] != theirs
        if diagonal:
            near.triu_(1)
        i, j = near.nonzero(as_tuple=True)
        levels = self._levels(a[i], b[j], gap[i, j] + squares[a[i]], margin, level)
        kept = levels <= level
        i, j, levels = i[kept], j[kept], levels[kept]
        if most is None:
            chosen = _one_of_each(mine[i], theirs[j])
        else:
            chosen = (_rank(i, levels) < most) | (_rank(j, levels) < most)
        return NearPairs(left[i[chosen].cpu().numpy()], right[j[chosen].cpu().numpy()], levels[chosen].cpu().numpy())

    def _levels(self, left: Tensor, right: Tensor, squared: Tensor, margin: float, level: int) -> Tensor:
        """The level of each pair; what is near a radius is measured again."""
        radii = torch.from_numpy(self.radii[: level + 1]).to(self.on)
        bounds, wide = radii**2, squared.double()
        levels = torch.searchsorted(bounds, wide)
        unsure = torch.zeros(len(wide), dtype=torch.bool, device=self.on)
        for bound in bounds:
            unsure |= (wide - bound).abs() <= margin + 1e-6 * bounds[-1]
        given, order, doubtful = self.there["given"], self.there["order"], unsure.nonzero()[:, 0]
        for piece in _pieces(len(doubtful), given.shape[1]):
            part = doubtful[piece]
            apart = given[order[left[part]]].double() - given[order[right[part]]]
            levels[part] = torch.searchsorted(radii, apart.square().sum(1).sqrt())
        return levels


def _rank(rows: Tensor, levels: Tensor) -> Tensor:
    """The place of each pair among those of its row, the lowest level first."""
    order = torch.argsort(rows * 256 + levels, stable=True)
    ordered = rows[order]
    places = torch.arange(len(rows), device=rows.device) - torch.searchsorted(ordered, ordered)
    return torch.empty_like(places).scatter_(0, order, places)


def _one_of_each(mine: Tensor, theirs: Tensor) -> Tensor:
    """Numbers of pairs, one for each two tags."""
    _, tag = torch.unique(torch.stack([mine, theirs]), dim=1, return_inverse=True)
    first = torch.full((int(tag.max()) + 1 if len(tag) else 0,), len(tag), device=tag.device)
    return first.scatter_reduce_(0, tag, torch.arange(len(tag), device=tag.device), "amin")
