"""What is measured of a training: outputs of a part, the validation loss, how far the centroids went."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from separatrix.learn.centroids import spread
from separatrix.learn.losses import Anchors
from separatrix.learn.task import Learner, Task
from separatrix.models.batches import token_batches

# Limits of one forward without gradient: rows, and tokens of their texts (which decide its memory).
EVALUATION_ROWS, EVALUATION_TOKENS = 128, 8192
# Rows of one validation loss: pair losses look at all pairs of these.
LOSS_ROWS = 512


@torch.no_grad()
def evaluate(learner: Learner, part: str, rows: np.ndarray | None = None) -> Tensor:
    """Outputs of the rows of a part in their own order, (rows, width), without gradient."""
    rows = np.arange(len(learner.lengths(part))) if rows is None else rows
    batches = list(token_batches(learner.lengths(part)[rows], EVALUATION_TOKENS, EVALUATION_ROWS))
    together = torch.cat([learner.outputs(part, rows[batch]) for batch in batches])
    back = torch.empty_like(together)
    back[torch.from_numpy(np.concatenate(batches)).to(together.device)] = together
    return back


@torch.no_grad()
def validation_loss(task: Task, z: Tensor, y: Tensor, anchors: Anchors) -> float:
    """The loss of outputs (rows, width) in blocks; a row left alone has no pair and joins the block before it."""
    starts = list(range(0, max(1, len(y) - 1), LOSS_ROWS))
    total = 0.0
    for begin, end in zip(starts, [*starts[1:], len(y)], strict=True):
        part = task.problem.objective.loss(z[begin:end], y[begin:end], anchors, task.recipe.objective)
        total += part.total.item() * (end - begin)
    return total / len(y)


def centroid_line(centroids: Tensor, origin: Tensor | None, path: Tensor | None) -> dict[str, float]:
    """Distances between the centroids and, where they were moved, how far and how straight they went, as class means.

    `moved` is the distance from the start, `path` the length of the way, `oscillation` 1 - moved / path.
    """
    line = dict(spread(centroids))
    if origin is None or path is None:
        return line
    net = (centroids - origin).norm(dim=1)  # (classes,)
    line["moved"] = float(net.mean())
    line["path"] = float(path.mean())
    # A centroid that never moved went straight.
    astray = torch.where(path > 0, 1 - net / path.clamp_min(1e-12), torch.zeros_like(path))
    line["oscillation"] = float(astray.clamp(0, 1).mean())
    return line
