"""Objectives that read columns: the logits of label words, a linear head, a regression head."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from separatrix.errors import DataError, ShapeError
from separatrix.learn.losses.anchors import (
    Anchors,
    LossValue,
    check_classes,
    check_rows,
    cross_entropy,
    head,
    total,
)
from separatrix.learn.losses.metric import wide
from separatrix.recipe import LossRecipe


def token(z: Tensor, y: Tensor, anchors: Anchors, recipe: LossRecipe) -> LossValue:
    """Cross-entropy over the LM logits of one label word per class (seed 000), plus `anchors.bias` where given.

    >>> import torch
    >>> anchors = Anchors(words=torch.tensor([2, 0]))
    >>> token(torch.tensor([[1.0, 9.0, 1.0]]), torch.tensor([0]), anchors, LossRecipe(loss="token")).total.exp()
    tensor(2.)
    """
    return cross_entropy(word_logits(z, anchors, recipe), y)


def linear(z: Tensor, y: Tensor, anchors: Anchors, recipe: LossRecipe) -> LossValue:
    """Cross-entropy of a linear head, z @ weight.T + bias, with one output column per class.

    Raises:
        ShapeError: if the head has not one column per class (seed 003: one column, whose argmax is always class 0).
    """
    return cross_entropy(head_logits(z, anchors, recipe), y)


def mse(z: Tensor, y: Tensor, anchors: Anchors, recipe: LossRecipe) -> LossValue:
    """Mean squared error of the one column of the head against y (standardised by the caller).

    >>> import torch
    >>> anchors = Anchors(weight=torch.tensor([[1.0, 0.0]]), bias=torch.tensor([1.0]))
    >>> mse(torch.tensor([[1.0, 9.0], [0.0, 9.0]]), torch.tensor([2.0, 4.0]), anchors, LossRecipe(loss="mse")).total
    tensor(4.5000)
    """
    check_rows(z, y)
    value = head_value(z, anchors, recipe)[:, 0]  # (rows,)
    return total({"squared_error": functional.mse_loss(value, y.to(value.dtype))})


def word_logits(z: Tensor, anchors: Anchors, _recipe: LossRecipe) -> Tensor:
    """Return the logits of the label words `(rows, classes)`, plus `anchors.bias` where given."""
    words = anchors.words
    if words is None or words.ndim != 1:
        raise ShapeError("the objective needs label words", got="none", expected="token ids (classes,)")
    check_classes(len(words), anchors, "label words")
    ids = words.tolist()
    if len(set(ids)) < len(ids):
        raise DataError("two classes have the same label word", got=ids, hint="give each class its own with --words")
    if z.ndim != 2 or min(ids) < 0 or max(ids) >= z.shape[1]:
        raise ShapeError("a label word is not in the vocabulary", got=ids, expected=f"columns of {tuple(z.shape)}")
    if anchors.bias is None:
        return wide(z[:, words])
    if anchors.bias.shape != words.shape:
        raise ShapeError("one bias per label word", got=tuple(anchors.bias.shape), expected=tuple(words.shape))
    return wide(z[:, words]) + wide(anchors.bias)


def head_logits(z: Tensor, anchors: Anchors, _recipe: LossRecipe) -> Tensor:
    """Compute the output of the linear head `(rows, classes)`; a head of one column is refused."""
    scores = head(z, anchors)
    check_classes(scores.shape[1], anchors, "columns of the head")
    return scores


def head_value(z: Tensor, anchors: Anchors, _recipe: LossRecipe) -> Tensor:
    """Compute the output of the regression head `(rows, 1)`."""
    value = head(z, anchors)
    if value.shape[1] != 1:
        raise ShapeError("a regression head has one column", got=value.shape[1], hint="for classes use --loss linear")
    return value
