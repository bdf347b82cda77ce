"""What an objective gets and gives: anchors, loss value, objective; and the checks that come before any arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch.nn import functional

from separatrix.errors import DataError, ShapeError
from separatrix.learn.losses.metric import alike
from separatrix.recipe import LossRecipe


@dataclass(frozen=True)
class Anchors:
    """What the classes are in the output space; entries that an objective does not use are None.

    Args:
        centroids: `(classes, width)`.
        weight: `(classes, width)` head of `linear`, or `(1, width)` head of `mse`.
        bias: `(classes,)` or `(1,)`; for `token` an optional offset of each label word's logit.
        words: `(classes,)` token ids, for `token`, whose outputs are LM logits `(rows, vocabulary)`.
        classes: the number of classes; where given, the entries that an objective uses are checked against it.
    """

    centroids: Tensor | None = None
    weight: Tensor | None = None
    bias: Tensor | None = None
    words: Tensor | None = None
    classes: int | None = None


@dataclass(frozen=True)
class LossValue:
    """A scalar that carries the gradient, and its named terms as detached scalars (pair losses add counts of pairs)."""

    total: Tensor
    parts: dict[str, Tensor]


@dataclass(frozen=True)
class Objective:
    """A loss, the decision that belongs to it, and what the loop must provide.

    `needs` says which anchors: `centroids`; `head` (weight and bias); `words`; or `means`: the loss uses no anchor and
    the decision is by the nearest class mean, which the loop computes over the training rows and puts in `centroids`;
    or `bank`: loss and decision hold on to stored vectors of the training rows themselves (`learn.align`).
    """

    name: str
    needs: Literal["centroids", "head", "words", "means", "bank"]
    task: Literal["classify", "regress"]
    loss: Callable[[Tensor, Tensor, Anchors, LossRecipe], LossValue]
    scores: Callable[[Tensor, Anchors, LossRecipe], Tensor]


def total(terms: dict[str, Tensor]) -> LossValue:
    """Add the named terms up."""
    first, *rest = terms.values()
    return LossValue(sum(rest, start=first), {name: term.detach() for name, term in terms.items()})


def cross_entropy(scores: Tensor, y: Tensor) -> LossValue:
    """Cross-entropy of scores `(rows, classes)` with labels `(rows,)`."""
    labels = check_labels(scores, y, scores.shape[1])
    return total({"cross_entropy": functional.cross_entropy(scores, labels)})


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


def check_centroids(z: Tensor, anchors: Anchors) -> Tensor:
    """Return the centroids, of two classes or more, as wide as the outputs."""
    if anchors.centroids is None:
        raise ShapeError("the objective needs centroids", got="none", expected="(classes, width)")
    if anchors.centroids.ndim != 2 or z.ndim != 2 or anchors.centroids.shape[1] != z.shape[1]:
        raise ShapeError(
            "the centroids do not fit", got=tuple(anchors.centroids.shape), expected=f"width of {tuple(z.shape)}"
        )
    check_classes(len(anchors.centroids), anchors, "centroids")
    return anchors.centroids


def check_classes(found: int, anchors: Anchors, what: str) -> None:
    """Raise unless there is one of `what` for each class, and two classes at least."""
    if found < 2 or (anchors.classes is not None and found != anchors.classes):
        expected = "2 or more" if anchors.classes is None else f"{anchors.classes}, one for each class"
        raise ShapeError(f"wrong number of {what}", got=found, expected=expected)


def head(z: Tensor, anchors: Anchors) -> Tensor:
    """Compute z @ weight.T + bias `(rows, columns)`."""
    weight, bias = anchors.weight, anchors.bias
    if weight is None or bias is None:
        raise ShapeError(
            "the objective needs a head", got="none", expected="weight (columns, width) and bias (columns,)"
        )
    if z.ndim != 2 or weight.ndim != 2 or weight.shape[1] != z.shape[1] or bias.shape != weight.shape[:1]:
        got = f"outputs {tuple(z.shape)}, weight {tuple(weight.shape)}, bias {tuple(bias.shape)}"
        raise ShapeError("the head does not fit", got=got, expected="(rows, width), (columns, width), (columns,)")
    return functional.linear(*alike(z, weight, bias))
