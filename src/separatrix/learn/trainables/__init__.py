"""What a training trains: a soft prompt behind frozen texts, an encoder, a head for answer spans."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from separatrix.learn.objectives.base import LossBatch, LossValue
from separatrix.models.batches import token_batches
from separatrix.models.randomness import OwnRandomness

# Limits of one forward without gradient: rows, and tokens of their texts (which decide its memory).
EVALUATION_ROWS, EVALUATION_TOKENS = 128, 8192


class Trainable(ABC):
    """Named tensors in learning-rate groups, and outputs of the rows of a part."""

    @abstractmethod
    def groups(self) -> dict[str, dict[str, Tensor]]:
        """Leaf tensors by learning-rate group ("prompt", "layers", "encoder", ...) and name."""

    @abstractmethod
    def outputs(self, part: str, rows: np.ndarray, step: int | None = None) -> Tensor:
        """Outputs of these rows of "train" or "validation", (rows, width), with gradient.

        A training step gives its number, so that whatever is drawn at random in it can be drawn again.
        """

    @abstractmethod
    def lengths(self, part: str) -> np.ndarray:
        """Tokens of each row of a part."""

    def backward(self, batch: LossBatch, loss: Callable[[Tensor], LossValue]) -> tuple[Tensor, LossValue]:
        """Run the rows of a batch and leave gradients; outputs (rows, width), detached, and the loss of them."""
        assert batch.rows is not None
        z = self.outputs("train", batch.rows.cpu().numpy(), batch.step)
        value = loss(z)
        value.total.backward()
        return z.detach(), value


def step_randomness(*seed: int) -> OwnRandomness:
    """What a training step draws from: the same for the same numbers, so that a resumed training repeats it."""
    return OwnRandomness(int(np.random.SeedSequence(seed).generate_state(1)[0]))


@torch.no_grad()
def evaluate(trainable: Trainable, part: str, rows: np.ndarray | None = None) -> Tensor:
    """Outputs of the rows of a part in their own order, (rows, width), without gradient."""
    rows = np.arange(len(trainable.lengths(part))) if rows is None else rows
    batches = list(token_batches(trainable.lengths(part)[rows], EVALUATION_TOKENS, EVALUATION_ROWS))
    together = torch.cat([trainable.outputs(part, rows[batch]) for batch in batches])
    back = torch.empty_like(together)
    back[torch.from_numpy(np.concatenate(batches)).to(together.device)] = together
    return back
