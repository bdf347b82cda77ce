"""The objective over label words: each class has a word of the vocabulary, and its logit is the score.

The words are given, or chosen by the data before training begins (`word_ranking`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from separatrix.errors import DataError, ShapeError
from separatrix.learn.objectives.base import LossBatch, LossValue, Objective, check_classes, cross_entropy
from separatrix.learn.objectives.metric import wide
from separatrix.learn.objectives.word_ranking import WordRanking, rank_words


@dataclass(eq=False)
class WordObjective(Objective):
    """Cross-entropy over the language model's logits of one label word per class.

    Outputs are the logits of all words `(rows, vocabulary)`, or of the label words alone `(rows, classes)`.
    """

    classes: int
    words: Tensor | None = None  # (classes,) token ids
    bias: Tensor | None = None  # (classes,) added to the logits of chosen words
    ranking: WordRanking | None = None  # of chosen words
    decides: ClassVar[tuple[str, ...]] = ("words", "bias")

    def choose(self, logits: Iterator[Tensor], labels: Tensor, allowed: Tensor, device: torch.device) -> None:
        """Choose the words that tell the classes of these rows apart.

        Args:
            logits: blocks of `(rows, vocabulary)`.
            labels: `(rows,)` class numbers, in the order of the blocks.
            allowed: `(vocabulary,)` mask of the words that may be chosen.
            device: of the outputs.
        """
        self.ranking = rank_words(logits, labels, self.classes, allowed)
        self.words = self.ranking.words.to(device)
        # Words differ far more in their usual logit than classes do: chosen ones are compared with their level.
        self.bias = -self.ranking.levels.to(device)

    def buffers(self) -> dict[str, Tensor]:
        """The level of chosen words, which is not trained."""
        return {} if self.bias is None else {"bias": self.bias}

    def shapes(self, _width: int | str) -> dict[str, tuple[int | str, ...]]:
        """Their shapes."""
        return {"words": (self.classes,), "bias?": (self.classes,)}

    def loss(self, outputs: Tensor, batch: LossBatch) -> LossValue:
        """Cross-entropy of the label words' logits.

        >>> objective = WordObjective(2, words=torch.tensor([2, 0]))
        >>> objective.loss(torch.tensor([[1.0, 9.0, 1.0]]), LossBatch(torch.tensor([0]))).total.exp()
        tensor(2.)
        """
        return cross_entropy(self.scores(outputs), batch.labels, batch.weight)

    @property
    def takes_weights(self) -> bool:
        """The cross-entropy counts rows by weight; the choice of words does not."""
        return True

    def scores(self, outputs: Tensor, _rows: object = None) -> Tensor:
        """Logits of the label words `(rows, classes)`, plus their bias where they were chosen."""
        words = self.words
        if words is None or words.ndim != 1:
            raise ShapeError("the objective needs label words", got="none", expected="token ids (classes,)")
        check_classes(len(words), self.classes, "label words")
        logits = outputs if outputs.ndim == 2 and outputs.shape[1] == len(words) else _columns(outputs, words)
        if self.bias is None:
            return wide(logits)
        if self.bias.shape != words.shape:
            raise ShapeError("one bias per label word", got=tuple(self.bias.shape), expected=tuple(words.shape))
        return wide(logits) + wide(self.bias)


def _columns(outputs: Tensor, words: Tensor) -> Tensor:
    ids = words.tolist()
    if len(set(ids)) < len(ids):
        raise DataError("two classes have the same label word", got=ids, hint="give each class its own with --words")
    if outputs.ndim != 2 or min(ids) < 0 or max(ids) >= outputs.shape[1]:
        got = f"columns of {tuple(outputs.shape)}"
        raise ShapeError("a label word is not in the vocabulary", got=ids, expected=got)
    return outputs[:, words]
