"""One label word per class, chosen by the data: nobody has to guess that "good" and "bad" are the words to look for.

Every entry of the vocabulary is scored by how well its logit tells a class from the rest on training rows; then each
class gets its own word such that the total score is as high as it can be. The logits are seen once, block by block;
only sums per class and word are kept. A constant added to all logits of a row decides nothing, so each row is centred
first: otherwise a class with longer texts, whose logits all lie lower, would make every word look like a label word.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional

from separatrix.errors import DataError, ShapeError

Block = Tensor | np.ndarray

# Differences below this share of a logit's size are rounding of float32, not separation.
RESOLUTION = 1e-6


@dataclass(frozen=True)
class WordRanking:
    """How well each word separates each class, and the words chosen.

    Args:
        words: `(classes,)` ids, one word per class, all different.
        scores: `(classes, vocabulary)`: mean of the centred logit in the class less its mean in the rest, over the
            standard deviation within both. Forbidden words have minus infinity.
        levels: `(classes,)` the chosen words' usual centred logits (each class counts the same). Words differ in this
            by far more than classes do; `-levels` as `Anchors.bias` takes it out of the decision.
    """

    words: Tensor
    scores: Tensor
    levels: Tensor

    def top(self, k: int, n: int = 10) -> list[tuple[int, float]]:
        """Return the n best words for class k, as (id, score), the best first."""
        best = self.scores[k].topk(min(n, self.scores.shape[1]))
        return list(zip(best.indices.tolist(), best.values.tolist(), strict=True))


@dataclass(frozen=True)
class _Sums:
    """Per class: rows `(classes,)`, and sums and sums of squares of centred logits `(classes, vocabulary)`, float64."""

    rows: Tensor
    first: Tensor
    second: Tensor


def rank_words(
    logits: Block | Iterable[Block], labels: Block, classes: int, allowed: Tensor | None = None
) -> WordRanking:
    """Score every word of the vocabulary for every class and choose one word per class.

    Args:
        logits: `(rows, vocabulary)`, torch or NumPy, or blocks of it in the order of `labels`; one is held at a time.
        labels: `(rows,)` class numbers.
        classes: number of classes.
        allowed: `(vocabulary,)` mask of the words that may be chosen (say, those that start with a space).

    Raises:
        DataError: if a class has no row, or there are fewer words than classes.
        ShapeError: if blocks and labels do not fit.

    >>> logits = torch.tensor([[5.0, 1.0, 0.0], [5.5, 0.0, 0.0], [1.0, 5.0, 0.0], [0.0, 5.5, 0.0]])
    >>> rank_words(logits, torch.tensor([0, 0, 1, 1]), classes=2).words
    tensor([0, 1])
    """
    blocks = [logits] if isinstance(logits, (Tensor, np.ndarray)) else logits
    sums = _collect(blocks, torch.as_tensor(labels), classes)
    scores = _separation(sums)
    if allowed is not None:
        if allowed.shape != scores.shape[1:]:
            raise ShapeError("the mask does not fit", got=tuple(allowed.shape), expected=tuple(scores.shape[1:]))
        scores = scores.masked_fill(~allowed.cpu().bool(), -torch.inf)
    words = _assign(scores)
    levels = (sums.first / sums.rows[:, None]).mean(0)[words]
    return WordRanking(words, scores.float(), levels.float())


def _collect(blocks: Iterable[Block], labels: Tensor, classes: int) -> _Sums:
    """Add the blocks up; float64, since a variance is a small difference of large sums."""
    sums, at = None, 0
    for block in map(torch.as_tensor, blocks):
        own = labels[at : at + len(block)]
        if block.ndim != 2 or len(own) < len(block):
            raise ShapeError(
                "blocks and labels do not fit", got=tuple(block.shape), expected=f"{len(labels)} rows in all"
            )
        more = _sums(block, own, classes)
        sums = (
            more if sums is None else _Sums(*(getattr(sums, n) + getattr(more, n) for n in ("rows", "first", "second")))
        )
        at += len(block)
    if sums is None or at != len(labels):
        raise ShapeError("blocks and labels do not fit", got=f"{at} rows", expected=f"{len(labels)} rows")
    if not sums.second.isfinite().all():
        raise DataError("the logits are not finite", hint="run the model in float32")
    missing = (sums.rows == 0).nonzero().flatten().tolist()
    if missing or classes < 2:
        raise DataError("each of two or more classes needs rows", got=f"no rows of class {(missing or [1])[0]}")
    return sums


def _sums(block: Tensor, labels: Tensor, classes: int) -> _Sums:
    if len(labels) and (int(labels.min()) < 0 or int(labels.max()) >= classes):
        span = f"{int(labels.min())} to {int(labels.max())}"
        raise DataError("a label is not a class number", got=span, expected=f"0 to {classes - 1}")
    rows = block.detach().double()  # (rows, vocabulary)
    rows = rows - rows.mean(1, keepdim=True)
    member = functional.one_hot(labels.long().to(block.device), classes).T.double()  # (classes, rows)
    return _Sums(member.sum(1).cpu(), (member @ rows).cpu(), (member @ rows.square()).cpu())


def _separation(sums: _Sums) -> Tensor:
    """One class against the rest: difference of means over the pooled standard deviation, `(classes, vocabulary)`."""
    rows, rest = sums.rows[:, None], sums.rows.sum() - sums.rows[:, None]  # (classes, 1)
    inside, outside = sums.first / rows, (sums.first.sum(0) - sums.first) / rest  # (classes, vocabulary)
    within = sums.second.sum(0) - rows * inside.square() - rest * outside.square()
    deviation = (within.clamp(min=0) / (rows + rest - 2).clamp(min=1)).sqrt()
    return (inside - outside) / (deviation + RESOLUTION * (1 + inside.abs() + outside.abs()))


def _assign(scores: Tensor) -> Tensor:
    """Choose one word per class, all different, with the highest total score.

    The best `classes` words of each class are candidates enough: the other classes take at most classes - 1 of them.
    """
    classes = len(scores)
    best = scores.topk(min(classes, scores.shape[1]), dim=1).indices.flatten().unique()
    best = best[scores[:, best].isfinite().all(0)]
    if len(best) < classes:
        raise DataError("fewer words than classes", got=len(best), expected=f"{classes} or more")
    _, chosen = linear_sum_assignment(scores[:, best].numpy(), maximize=True)
    return best[torch.from_numpy(chosen)]
