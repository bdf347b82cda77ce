"""A small network that learns from attention maps instead of photographs, by two views of each map.

- `crops`: two random squares on the diagonal of one map. No identity is used: what tells heads apart is learnt.
- `sentences`: the same head of two windows. The network knows which maps belong together, so it must be judged on
  windows that it has not seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from separatrix.learn.trainables import Trainable

WIDTH, PROJECTED = 64, 128
Ids = NDArray[np.int64]


class GridEncoder(nn.Module):
    """Grids (rows, 1, cells, cells) -> (rows, 64)."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
            nn.Conv2d(32, width, 3, stride=2, padding=1), nn.BatchNorm2d(width), nn.ReLU(),
            nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * width, width),
        )  # fmt: skip

    def forward(self, grids: Tensor) -> Tensor:
        """Vectors of grids."""
        return self.layers(grids)


def crops(grids: Tensor, rows: Ids, _partners: Ids, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Two squares on the diagonal of each map, stretched to its size."""
    return _crop(grids, rows, generator), _crop(grids, rows, generator)


def _crop(grids: Tensor, rows: Ids, generator: np.random.Generator) -> Tensor:
    cells = grids.shape[-1]
    side = int(generator.integers(max(cells * 5 // 8, 2), cells + 1))
    left = int(generator.integers(0, cells - side + 1))
    part = grids[rows, :, left : left + side, left : left + side]
    return nn.functional.interpolate(part, size=(cells, cells), mode="area")


def sentences(grids: Tensor, rows: Ids, partners: Ids, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
    """The same head in two windows, one of them drawn anew."""
    draw = generator.integers(0, partners.shape[1], len(rows))
    return grids[rows], grids[partners[rows, draw]]


# (grids (rows, 1, cells, cells), rows of the batch, partners, generator) -> both views of the batch
VIEWS: dict[str, Callable[[Tensor, Ids, Ids, np.random.Generator], tuple[Tensor, Tensor]]] = {
    "crops": crops,
    "sentences": sentences,
}


@dataclass(frozen=True, eq=False)
class TwinsTrainable(Trainable):
    """The network with a projection behind it, which training alone uses."""

    network: nn.Sequential  # encoder, projection
    grids: Tensor  # (rows, 1, cells, cells)
    partners: Ids  # (rows, windows): the rows of each row's head
    views: str  # a key of `VIEWS`
    seed: int

    def groups(self) -> dict[str, dict[str, Tensor]]:
        """Network and projection."""
        return {"encoder": dict(self.network.named_parameters())}

    def outputs(self, _part: str, rows: Ids, step: int | None = None) -> Tensor:
        """Both views of these rows, (rows, 2, 128)."""
        views = VIEWS[self.views](self.grids, rows, self.partners, np.random.default_rng([self.seed, step or 0]))
        return torch.stack([self.network(view) for view in views], dim=1)

    def lengths(self, _part: str) -> NDArray[np.int64]:
        """All grids are of one size."""
        return np.ones(len(self.grids), dtype=np.int64)
