"""Features of attention maps that are learnt without labels: a small Barlow Twins network (Zbontar et al. 2021).

It sees the grids that every extraction keeps. Two views of a map go through one network, and the correlation of
their outputs, column by column, is pushed towards the identity: equal where the views agree, no two columns alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from separatrix.errors import DataError
from separatrix.learn import schedule
from separatrix.learn.loop import Loop, Training
from separatrix.learn.objectives.unlabelled import BarlowObjective
from separatrix.learn.trainables.twins import PROJECTED, WIDTH, GridEncoder, TwinsTrainable
from separatrix.models.randomness import OwnRandomness
from separatrix.recipe import LoopRecipe

BATCH, RATE = 256, 2e-3


@dataclass(frozen=True)
class Twins:
    """The learnt network and the course of its loss."""

    encoder: nn.Module
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

    Raises:
        DataError: too few rows.
    """
    if len(grids) < 4:
        raise DataError("too few maps to learn from", got=len(grids), expected="4 or more")
    partners = np.argsort(heads, kind="stable").reshape(int(heads.max()) + 1, -1)  # (heads, windows)
    with OwnRandomness(seed):
        encoder = GridEncoder()
        project = nn.Sequential(nn.Linear(WIDTH, PROJECTED), nn.ReLU(), nn.Linear(PROJECTED, PROJECTED))
    trainable = TwinsTrainable(nn.Sequential(encoder, project), as_pictures(grids), partners[heads], views, seed)
    size = -(-len(grids) // max(1, len(grids) // BATCH))  # batches of one size: a small one has no correlation to show
    recipe = LoopRecipe(epochs, size, RATE, weight_decay=0.01, clip=0.0, seed=seed, snapshots=0)
    order = partial(schedule.batches, trainable.lengths("train"), size, seed)
    fitted = Loop(Training(trainable, BarlowObjective(), {"train": torch.from_numpy(heads)}, recipe, order)).run()
    return Twins(encoder.eval().requires_grad_(False), tuple(line["loss"] for line in fitted.metrics))


def as_pictures(grids: NDArray[np.floating]) -> Tensor:
    """Grids as square roots, (rows, 1, cells, cells): the root tames the few very large cells."""
    cells = round(grids.shape[1] ** 0.5)
    return torch.from_numpy(np.sqrt(np.asarray(grids, dtype=np.float32))).reshape(-1, 1, cells, cells)


def twin_vectors(twins: Twins, grids: NDArray[np.floating]) -> NDArray[np.float32]:
    """Vectors of grids, (rows, 64)."""
    with torch.no_grad():
        return torch.cat([twins.encoder(part) for part in as_pictures(grids).split(4096)]).numpy()
