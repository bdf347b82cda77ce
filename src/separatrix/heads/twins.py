"""A small Barlow Twins network (Zbontar et al. 2021) that learns from attention maps instead of photographs.

It sees the grids that every extraction keeps. Two views of a map go through one network, and the correlation of
their outputs, column by column, is pushed towards the identity: equal where the views agree, nothing said twice.

- `crops`: two random squares on the diagonal of one map. No identity is used: what tells heads apart is found.
- `sentences`: the same head of two windows. The network is told which maps belong together, so it must be judged on
  windows that it has not seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from separatrix.errors import DataError, ShapeError
from separatrix.models.randomness import OwnRandomness

WIDTH, PROJECTED = 64, 128
BATCH, RATE, OFF_DIAGONAL = 256, 2e-3, 5e-3  # the last is the paper's lambda


class Encoder(nn.Module):
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


@dataclass(frozen=True)
class Views:
    """How two views of a batch of maps are made."""

    grids: Tensor  # (rows, cells, cells), square roots
    heads: NDArray[np.int64]  # (rows,)
    partners: NDArray[np.int64]  # (heads, windows): the rows of each head
    generator: np.random.Generator

    def crops(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Two squares on the diagonal of each map, stretched to its size."""
        return self._crop(rows), self._crop(rows)

    def _crop(self, rows: NDArray[np.int64]) -> Tensor:
        cells = self.grids.shape[-1]
        side = int(self.generator.integers(max(cells * 5 // 8, 2), cells + 1))
        left = int(self.generator.integers(0, cells - side + 1))
        part = self.grids[rows, left : left + side, left : left + side][:, None]
        return nn.functional.interpolate(part, size=(cells, cells), mode="area")

    def sentences(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """The same head in two windows, one of them drawn anew."""
        draw = self.generator.integers(0, self.partners.shape[1], len(rows))
        others = self.partners[self.heads[rows], draw]
        return self.grids[rows][:, None], self.grids[others][:, None]


VIEWS: dict[str, Callable[[Views, NDArray[np.int64]], tuple[Tensor, Tensor]]] = {
    "crops": Views.crops,
    "sentences": Views.sentences,
}


def barlow_loss(one: Tensor, other: Tensor, *, off_diagonal: float = OFF_DIAGONAL) -> Tensor:
    """Squared distance of the two views' cross-correlation from the identity (Zbontar et al. 2021, equation 1).

    >>> z = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    >>> round(float(barlow_loss(z, z)), 4)
    0.0
    """
    if one.shape != other.shape or len(one) < 2:
        raise ShapeError("two views need equal shapes", got=f"{tuple(one.shape)} and {tuple(other.shape)}")
    a, b = ((view - view.mean(0)) / view.std(0, unbiased=False).clamp(min=1e-5) for view in (one, other))
    correlation = a.T @ b / len(a)
    diagonal = torch.diagonal(correlation)
    rest = correlation.square().sum() - diagonal.square().sum()
    return (1 - diagonal).square().sum() + off_diagonal * rest


@dataclass(frozen=True)
class Twins:
    """The learnt network and the course of its loss."""

    encoder: Any
    losses: tuple[float, ...]  # mean of each epoch


def train_twins(
    grids: NDArray[np.floating], heads: NDArray[np.int64], *, views: str = "crops", epochs: int = 4, seed: int = 0
) -> Twins:
    """Learn from grids.

    Args:
        grids: (rows, cells * cells).
        heads: (rows,) number of the head of each row; every head has as many rows.
        views: `crops` or `sentences`.
        epochs: passes over the rows.
        seed: of the weights, the order and the views.

    Raises:
        DataError: too few rows.
    """
    if len(grids) < 4:
        raise DataError("too few maps to learn from", got=len(grids), expected="4 or more")
    generator, cells = np.random.default_rng(seed), round(grids.shape[1] ** 0.5)
    partners = np.argsort(heads, kind="stable").reshape(int(heads.max()) + 1, -1)
    made = Views(as_pictures(grids, cells)[:, 0], heads, partners, generator)
    with OwnRandomness(seed):
        encoder = Encoder()
        project = nn.Sequential(nn.Linear(WIDTH, PROJECTED), nn.ReLU(), nn.Linear(PROJECTED, PROJECTED))
    steps = torch.optim.AdamW([*encoder.parameters(), *project.parameters()], lr=RATE)
    losses = []
    for _ in range(epochs):
        total, order = 0.0, generator.permutation(len(grids))
        batches = [rows for rows in np.array_split(order, max(1, len(order) // BATCH)) if len(rows) > 1]
        for rows in batches:
            one, other = VIEWS[views](made, rows)
            loss = barlow_loss(project(encoder(one)), project(encoder(other)))
            steps.zero_grad()
            loss.backward()
            steps.step()
            total += float(loss.detach())
        losses.append(total / len(batches))
    return Twins(encoder.eval().requires_grad_(False), tuple(losses))


def as_pictures(grids: NDArray[np.floating], cells: int) -> Tensor:
    """Grids as square roots, (rows, 1, cells, cells): the root tames the few very large cells."""
    return torch.from_numpy(np.sqrt(np.asarray(grids, dtype=np.float32))).reshape(-1, 1, cells, cells)


def twin_vectors(twins: Twins, grids: NDArray[np.floating]) -> NDArray[np.float32]:
    """Vectors of grids, (rows, 64)."""
    pictures = as_pictures(grids, round(grids.shape[1] ** 0.5))
    with torch.no_grad():
        return torch.cat([twins.encoder(part) for part in pictures.split(4096)]).numpy()
