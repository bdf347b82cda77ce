"""Objectives of aligned vectors: cosines of each row with others, and which of these pairs are of one class.

All are pure functions `(similar, pairs, temperature) -> LossValue`: `similar` (rows, others) holds cosines, `pairs` two
masks of that shape. Where the others come from (the batch, a memory, a bank) is the business of `learn.pairs`; every
objective takes every source. A pair that stands in neither mask (a row with itself) counts nowhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from separatrix.errors import ShapeError
from separatrix.learn.objectives.base import LossValue
from separatrix.learn.objectives.metric import NEAREST, wide
from separatrix.recipe.align import ALIGN_LOSSES
from separatrix.recipe.registry import Registry

LOWEST = -1e9  # a logit that takes no part; finite, so that a row without partners gives no NaN


@dataclass(frozen=True, eq=False)
class Pairs:
    """Which of the others are of a row's class, and which of another."""

    positive: Tensor  # (rows, others) bool
    negative: Tensor  # (rows, others) bool
    row_weight: Tensor | None = None  # (rows,) above 0; None: all alike
    other_weight: Tensor | None = None  # (others,)

    def counts(self) -> dict[str, Tensor]:
        """Pairs of each kind, and rows that have a positive one."""
        return {
            "positive_pairs": self.positive.sum(),
            "negative_pairs": self.negative.sum(),
            "rows_with_positive": self.positive.any(dim=1).sum(),
        }


def cosine_mse(similar: Tensor, pairs: Pairs, _temperature: float = 1.0) -> LossValue:
    """Mean over all pairs of (cos - t)^2; t is 1 within a class and 0 (a right angle) between two.

    The seed sums and lets its trainer divide by the number of pairs; ordered pairs count each on its own.

    >>> similar = torch.tensor([[0.0, 0.5, 1.0]])
    >>> pairs = Pairs(torch.tensor([[False, True, False]]), torch.tensor([[False, False, True]]))
    >>> cosine_mse(similar, pairs).total
    tensor(0.6250)
    """
    similar = _fitting(similar, pairs)
    square = torch.where(pairs.positive, (1 - similar).square(), similar.square())  # (rows, others)
    taken = pairs.positive | pairs.negative
    if pairs.row_weight is None and pairs.other_weight is None:
        total = (square * taken).sum() / taken.sum().clamp(min=1)
    else:
        each = taken * _ones_or(pairs.row_weight)[:, None] * _ones_or(pairs.other_weight)[None, :]
        total = (square * each).sum() / torch.where(taken.any(), each.sum(), 1)
    return LossValue(total, {"cosine_mse": total.detach()} | pairs.counts())


def supcon(similar: Tensor, pairs: Pairs, temperature: float) -> LossValue:
    """Supervised contrast, the form L_out of Khosla et al. (2020): the mean log-probability of a row's positives.

    -mean over rows of 1/|P| sum over positives p of log(exp(s_p / t) / sum over all partners a of exp(s_a / t))

    Rows without a positive pair do not count.

    >>> pairs = Pairs(torch.tensor([[True, False]]), torch.tensor([[False, True]]))
    >>> supcon(torch.tensor([[0.3, 0.3]]), pairs, 0.1).total.exp()
    tensor(2.)
    """
    logits, everyone = _logits(similar, pairs, temperature)
    positive = pairs.positive if pairs.other_weight is None else pairs.positive * pairs.other_weight
    counts = torch.where(pairs.positive.any(dim=1), positive.sum(dim=1), 1)
    own = ((logits - everyone) * positive).sum(dim=1) / counts  # (rows,)
    return _over_rows("supcon", -own, pairs)


def nca(similar: Tensor, pairs: Pairs, temperature: float) -> LossValue:
    """Soft k-NN (Goldberger et al., 2004): log-probability that a neighbor drawn by exp(s / t) has the row's class.

    With class means as the others it is the cross-entropy over cosines. Rows without a positive pair do not count.

    >>> pairs = Pairs(torch.tensor([[True, True, False]]), torch.tensor([[False, False, True]]))
    >>> (-nca(torch.zeros(1, 3), pairs, 0.1).total).exp()
    tensor(0.6667)
    """
    logits, everyone = _logits(similar, pairs, temperature)
    own = _counted(logits, pairs).masked_fill(~pairs.positive, LOWEST).logsumexp(dim=1)  # (rows,)
    return _over_rows("nca", everyone[:, 0] - own, pairs)


AlignLoss = Callable[[Tensor, Pairs, float], LossValue]
ALIGNED: Registry[AlignLoss] = Registry(ALIGN_LOSSES, {"cosine_mse": cosine_mse, "supcon": supcon, "nca": nca})


def unit(rows: Tensor) -> Tensor:
    """Rows of length 1; a zero row stays zero.

    >>> unit(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    return functional.normalize(wide(rows), dim=1, eps=NEAREST)


def _fitting(similar: Tensor, pairs: Pairs) -> Tensor:
    if similar.ndim != 2 or pairs.positive.shape != similar.shape or pairs.negative.shape != similar.shape:
        got = f"{tuple(similar.shape)}, {tuple(pairs.positive.shape)} and {tuple(pairs.negative.shape)}"
        raise ShapeError("cosines and pairs do not fit", got=got, expected="(rows, others) three times")
    return wide(similar)


def _logits(similar: Tensor, pairs: Pairs, temperature: float) -> tuple[Tensor, Tensor]:
    """Logits of all partners (rows, others), and the log of the sum over them (rows, 1)."""
    partners = pairs.positive | pairs.negative
    logits = (_fitting(similar, pairs) / temperature).masked_fill(~partners, LOWEST)
    return logits, _counted(logits, pairs).logsumexp(dim=1, keepdim=True)


def _counted(logits: Tensor, pairs: Pairs) -> Tensor:
    """Logits of others that count by their weight: one of weight 2 adds to a sum what two of weight 1 would."""
    return logits if pairs.other_weight is None else logits + pairs.other_weight.log()


def _ones_or(weight: Tensor | None) -> Tensor:
    return torch.ones(1) if weight is None else weight


def _over_rows(name: str, values: Tensor, pairs: Pairs) -> LossValue:
    """The mean of values (rows,) over the rows that have a positive pair."""
    counts = pairs.counts()
    counted = pairs.positive.any(dim=1)
    kept = torch.where(counted, values, torch.zeros_like(values))
    if pairs.row_weight is None:
        total = kept.sum() / counts["rows_with_positive"].clamp(min=1)
    else:
        each = pairs.row_weight * counted
        total = (kept * each).sum() / torch.where(counted.any(), each.sum(), 1)
    return LossValue(total, {name: total.detach()} | counts)
