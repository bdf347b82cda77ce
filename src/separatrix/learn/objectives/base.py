"""What an objective is: a loss over outputs, the tensors that it needs, and the scores that predict.

An objective owns its tensors (centroids, a head, a memory of rows): it starts them, says which of them the optimiser
trains, updates the others after a step or an epoch, and has them saved in every checkpoint. The training loop calls
the methods of `Objective` and knows none of these tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from separatrix.errors import DataError, ShapeError
from separatrix.learn.objectives.metric import alike

# What a loss function returns: a finished value, or its terms by name, which are added up.
Terms = dict[str, Tensor]


@dataclass(frozen=True)
class LossValue:
    """A scalar that carries the gradient, and its named terms as detached scalars (pair losses add counts of pairs)."""

    total: Tensor
    parts: dict[str, Tensor]

    @classmethod
    def of(cls, terms: LossValue | Terms) -> LossValue:
        """Add named terms up.

        >>> LossValue.of({"near": torch.tensor(1.0), "far": torch.tensor(0.5)}).total
        tensor(1.5000)
        """
        if isinstance(terms, LossValue):
            return terms
        first, *rest = terms.values()
        return cls(sum(rest, start=first), {name: term.detach() for name, term in terms.items()})


@dataclass(frozen=True, eq=False)
class LossBatch:
    """What is known of rows of outputs beside the outputs themselves."""

    labels: Tensor  # (rows,) class numbers, or standardised numbers
    rows: Tensor | None = None  # (rows,) places in the training part; None: rows that are not trained on
    step: int = 0
    size: int | None = None  # rows of the batch itself; those behind them are its `companions`
    weight: Tensor | None = None  # (rows,) above 0; None: all alike


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """The training part as an objective may see it when it starts."""

    outputs: Callable[[np.ndarray | None], Tensor]  # of these rows, or of all: (rows, width), without gradient
    labels: Tensor  # (rows,)
    start: np.ndarray  # rows whose outputs are enough to start from; every class is among them
    steps: int = 0  # of the whole training
    weight: Tensor | None = None  # (rows,) above 0; None: all alike


class Objective:
    """Base of all objectives: a loss that trains and scores that decide. The other methods do nothing unless needed.

    Attributes:
        centroids: `(classes, width)`, where classes have one: drawn in the animation of a training.
        live: whether scores follow every step (then the own-class probabilities of training rows are recorded).
        decides: names of the tensors that scores are computed from, which a saved model holds.
    """

    centroids: Tensor | None = None
    live: bool = True
    decides: ClassVar[tuple[str, ...]] = ()

    def start(self, rows: TrainingRows) -> None:
        """Give the tensors their first values."""

    def parameters(self) -> dict[str, dict[str, Tensor]]:
        """Tensors that the optimiser trains: by learning-rate group, then by name."""
        return {}

    def buffers(self) -> dict[str, Tensor]:
        """Further tensors by name, changed in place only; they are saved with every checkpoint."""
        return {}

    def deciding(self) -> dict[str, Tensor]:
        """The tensors that scores are computed from, by name, as far as there are any."""
        tensors = {name: getattr(self, name) for name in self.decides}
        return {name: tensor for name, tensor in tensors.items() if tensor is not None}

    def shapes(self, _width: int | str) -> dict[str, tuple[int | str, ...]]:
        """The shape of each of these tensors, for outputs of this width; "?" behind a name: it may be absent."""
        return {}

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Decide by tensors that `deciding` gave; others among them do not matter."""
        for name in self.decides:
            setattr(self, name, tensors.get(name, getattr(self, name)))

    @property
    def takes_weights(self) -> bool:
        """Whether the loss counts rows by their weight."""
        return False

    def companions(self, _rows: np.ndarray) -> np.ndarray:
        """Further training rows that are run together with these rows of a batch."""
        return np.empty(0, dtype=np.int64)

    def loss(self, outputs: Tensor, batch: LossBatch) -> LossValue:
        """The loss of outputs `(rows, width)`."""
        raise NotImplementedError(f"{type(self).__name__} has no loss")

    def scores(self, outputs: Tensor, rows: np.ndarray | None = None) -> Tensor:
        """Scores `(rows, classes)` whose argmax decides, or `(rows, 1)` standardised numbers.

        Args:
            outputs: `(rows, width)`.
            rows: which training rows they are, where stored training rows decide and none may vote for itself.
        """
        raise NotImplementedError(f"{type(self).__name__} has no scores")

    def after_step(self, outputs: Tensor, batch: LossBatch) -> None:
        """Update what follows every step; `outputs` are those that the step was made from, detached."""

    def after_epoch(self) -> None:
        """Update what follows every epoch."""

    def figures(self, _outputs: Tensor, _labels: Tensor, _scores: Tensor) -> dict[str, float]:
        """Further figures of the validation rows for the metrics of an epoch."""
        return {}

    def summary(self) -> dict[str, dict[str, float]]:
        """Further entries for the metrics of an epoch."""
        return {}


def cross_entropy(scores: Tensor, y: Tensor, weight: Tensor | None = None) -> LossValue:
    """Cross-entropy of scores `(rows, classes)` with labels `(rows,)`, a mean of the rows by their weight."""
    labels = check_labels(scores, y, scores.shape[1])
    if weight is None:
        return LossValue.of({"cross_entropy": functional.cross_entropy(scores, labels)})
    rows = functional.cross_entropy(scores, labels, reduction="none")
    return LossValue.of({"cross_entropy": weighted_mean(rows, weight)})


def weighted_mean(values: Tensor, weight: Tensor | None) -> Tensor:
    """The mean of values `(rows,)`, each counting as much as its weight says.

    >>> weighted_mean(torch.tensor([1.0, 4.0]), torch.tensor([2.0, 1.0]))
    tensor(2.)
    """
    return values.mean() if weight is None else (values * weight).sum() / weight.sum()


def of_weights(batch: LossBatch) -> dict[str, Tensor]:
    """The keyword that a loss function gets of a batch whose rows have weights; none of others."""
    return {} if batch.weight is None else {"weight": batch.weight}


def is_weighted(loss: Callable[..., object]) -> bool:
    """Whether a loss function has an argument `weight`; one of the user's own need not."""
    return "weight" in signature(loss).parameters


def check_rows(z: Tensor, y: Tensor) -> None:
    """Raise unless z and y are a batch: `(rows, width)` and `(rows,)`, one row at least."""
    if z.ndim != 2 or y.ndim != 1 or len(z) != len(y):
        raise ShapeError(
            "outputs and labels do not fit",
            got=f"{tuple(z.shape)} and {tuple(y.shape)}",
            expected="(rows, width) and (rows,)",
        )
    if not len(y):
        raise DataError("the batch has no rows")


def check_labels(z: Tensor, y: Tensor, classes: int) -> Tensor:
    """Return labels as class numbers; one outside 0 to classes - 1 (-1 for "missing", say) is refused, not indexed."""
    check_rows(z, y)
    low, high = int(y.min()), int(y.max())
    if low < 0 or high >= classes:
        wrong = low if low < 0 else high
        raise DataError("a label is not a class number", got=wrong, expected=f"0 to {classes - 1}")
    return y.long()


def check_centroids(z: Tensor, centroids: Tensor | None, classes: int | None = None) -> Tensor:
    """Return the centroids, of two classes or more, as wide as the outputs."""
    if centroids is None:
        raise ShapeError("the objective needs centroids", got="none", expected="(classes, width)")
    if centroids.ndim != 2 or z.ndim != 2 or centroids.shape[1] != z.shape[1]:
        raise ShapeError("the centroids do not fit", got=tuple(centroids.shape), expected=f"width of {tuple(z.shape)}")
    check_classes(len(centroids), classes, "centroids")
    return centroids


def check_classes(count: int, classes: int | None, what: str) -> None:
    """Raise unless there is one of `what` for each class, and two classes at least."""
    if count < 2 or (classes is not None and count != classes):
        expected = "2 or more" if classes is None else f"{classes}, one for each class"
        raise ShapeError(f"wrong number of {what}", got=count, expected=expected)


def linear_scores(z: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """Compute z @ weight.T + bias `(rows, columns)`."""
    if weight is None or bias is None:
        raise ShapeError(
            "the objective needs a head", got="none", expected="weight (columns, width) and bias (columns,)"
        )
    if z.ndim != 2 or weight.ndim != 2 or weight.shape[1] != z.shape[1] or bias.shape != weight.shape[:1]:
        got = f"outputs {tuple(z.shape)}, weight {tuple(weight.shape)}, bias {tuple(bias.shape)}"
        raise ShapeError("the head does not fit", got=got, expected="(rows, width), (columns, width), (columns,)")
    return functional.linear(*alike(z, weight, bias))


def random_head(columns: int, width: int, seed: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The first weight `(columns, width)` and bias `(columns,)` of a linear head; the same on every device."""
    weight = torch.randn(columns, width, generator=torch.Generator().manual_seed(seed)) / width**0.5
    return weight.to(device), torch.zeros(columns, device=device)


def mean_head(outputs: Tensor, labels: Tensor, like: Tensor, weight: Tensor | None = None) -> Tensor:
    """The weight of a head that starts at the class means, (classes, width): from the mean of all towards each of them.

    Args:
        outputs: of all training rows, (rows, width).
        labels: class numbers (rows,), or 0 and 1 for each label (rows, labels).
        like: a random weight, (classes, width), whose rows are as long.
        weight: of the rows, (rows,); a row of weight 2 counts twice.

    >>> outputs = torch.tensor([[2.0, 0.0], [0.0, 3.0], [0.0, 1.0]])
    >>> mean_head(outputs, torch.tensor([0, 1, 1]), torch.eye(2)).round(decimals=2)
    tensor([[ 0.7100, -0.7100],
            [-0.7100,  0.7100]])
    """
    marks = functional.one_hot(labels, len(like)) if labels.ndim == 1 else labels
    directions = functional.normalize(outputs.float(), dim=1)
    directions = directions if weight is None else directions * weight[:, None].to(directions)
    means = functional.normalize(marks.T.to(directions) @ directions, dim=1)
    return functional.normalize(means - means.mean(dim=0), dim=1) * like.norm(dim=1).mean()
