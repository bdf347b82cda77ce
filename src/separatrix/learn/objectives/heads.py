"""Objectives with a linear head on the outputs: one column per class, or one column for numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from separatrix.errors import ShapeError
from separatrix.learn.objectives.base import (
    LossBatch,
    LossValue,
    Objective,
    Terms,
    TrainingRows,
    check_classes,
    check_rows,
    cross_entropy,
    is_weighted,
    linear_scores,
    of_weights,
    random_head,
    weighted_mean,
)
from separatrix.recipe import LossRecipe

# (scores (rows, columns), targets (rows,), options) -> terms; `weight` (rows,) comes by name, where rows have weights
ScoreLoss = Callable[..., LossValue | Terms]


def linear(scores: Tensor, y: Tensor, _options: LossRecipe, weight: Tensor | None = None) -> LossValue:
    """Cross-entropy of the head's columns, one for each class."""
    return cross_entropy(scores, y, weight)


def mse(scores: Tensor, y: Tensor, _options: LossRecipe, weight: Tensor | None = None) -> Terms:
    """Mean squared error of the head's one column against y (standardised by the caller).

    >>> from torch import tensor
    >>> mse(tensor([[2.0], [1.0]]), tensor([2.0, 4.0]), LossRecipe(loss="mse"))
    {'squared_error': tensor(4.5000)}
    """
    check_rows(scores, y)
    numbers = y.to(scores.dtype)
    if weight is not None:
        return {"squared_error": weighted_mean((scores[:, 0] - numbers).square(), weight)}
    return {"squared_error": functional.mse_loss(scores[:, 0], numbers)}


@dataclass(eq=False)
class HeadObjective(Objective):
    """A loss over the columns of a linear head, and the head."""

    classes: int  # 0: numbers are predicted
    loss_function: ScoreLoss
    options: LossRecipe = LossRecipe()
    seed: int = 0
    weight: Tensor | None = None  # (columns, width)
    bias: Tensor | None = None  # (columns,)
    decides: ClassVar[tuple[str, ...]] = ("weight", "bias")

    def start(self, rows: TrainingRows) -> None:
        """A random head, as wide as the outputs."""
        z = rows.outputs(rows.start[:1])
        self.weight, self.bias = random_head(max(1, self.classes), z.shape[1], self.seed, z.device)

    def parameters(self) -> dict[str, dict[str, Tensor]]:
        """Weight and bias."""
        assert self.weight is not None
        assert self.bias is not None
        return {"head": {"weight": self.weight, "bias": self.bias}}

    def shapes(self, width: int | str) -> dict[str, tuple[int | str, ...]]:
        """Their shapes."""
        return {"weight": (max(1, self.classes), width), "bias": (max(1, self.classes),)}

    def loss(self, outputs: Tensor, batch: LossBatch) -> LossValue:
        """The loss function of the head's columns."""
        return LossValue.of(self.loss_function(self.scores(outputs), batch.labels, self.options, **of_weights(batch)))

    @property
    def takes_weights(self) -> bool:
        """Whether the loss function has an argument for them."""
        return is_weighted(self.loss_function)

    def scores(self, outputs: Tensor, _rows: object = None) -> Tensor:
        """The head's columns, (rows, classes) or (rows, 1).

        Raises:
            ShapeError: if the head has not one column per class: the argmax of one column is always class 0.
        """
        scores = linear_scores(outputs, self.weight, self.bias)
        if self.classes:
            check_classes(scores.shape[1], self.classes, "columns of the head")
        elif scores.shape[1] != 1:
            hint = "for classes use --loss linear"
            raise ShapeError("a regression head has one column", got=scores.shape[1], hint=hint)
        return scores
