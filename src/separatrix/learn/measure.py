"""What is measured of a training: outputs of a part, and the validation loss."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from separatrix.learn.objectives.base import LossBatch, Objective
from separatrix.learn.trainables import Trainable
from separatrix.models.batches import token_batches

# Limits of one forward without gradient: rows, and tokens of their texts (which decide its memory).
EVALUATION_ROWS, EVALUATION_TOKENS = 128, 8192
# Rows of one validation loss: pair losses look at all pairs of these.
LOSS_ROWS = 512


@torch.no_grad()
def evaluate(trainable: Trainable, part: str, rows: np.ndarray | None = None) -> Tensor:
    """Outputs of the rows of a part in their own order, (rows, width), without gradient."""
    rows = np.arange(len(trainable.lengths(part))) if rows is None else rows
    batches = list(token_batches(trainable.lengths(part)[rows], EVALUATION_TOKENS, EVALUATION_ROWS))
    together = torch.cat([trainable.outputs(part, rows[batch]) for batch in batches])
    back = torch.empty_like(together)
    back[torch.from_numpy(np.concatenate(batches)).to(together.device)] = together
    return back


@torch.no_grad()
def validation_loss(objective: Objective, z: Tensor, y: Tensor) -> float:
    """The loss of outputs (rows, width) in blocks; a row left alone has no pair and joins the block before it."""
    starts = list(range(0, max(1, len(y) - 1), LOSS_ROWS))
    total = 0.0
    for begin, end in zip(starts, [*starts[1:], len(y)], strict=True):
        total += objective.loss(z[begin:end], LossBatch(y[begin:end])).total.item() * (end - begin)
    return total / len(y)
