"""Which rows a trial learns from and by which it is judged; no test row takes part.

Few labelled rows are judged by cross-validation over training and validation rows together; of more, the validation
part judges. Rows of a trial are the first ones of an order in which every prefix has two rows of each class and then
the shares of the classes, so that a larger rung holds the smaller ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from separatrix.codes import encode
from separatrix.geometry.classes import KEPT, deal_folds, spread_order
from separatrix.texts import Splits, Texts
from separatrix.texts.split import text_numbers

FEW_ROWS = 1000  # training and validation rows; fewer are judged by cross-validation
FOLDS = 5
FIRST_FOLDS = 2  # that all candidates are trained for
MOST_JUDGED = 2000  # rows of the validation part that judge, drawn by the seed
INNER = 0.1  # share of a trial's rows by which it chooses its epoch; they judge nothing


@dataclass(frozen=True)
class Rung:
    """Trials with as many rows, and the folds that it adds to those of the rung before."""

    rows: int
    folds: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class TrialRows:
    """The rows of one trial, as numbers into `RaceRows.texts`."""

    train: np.ndarray
    inner: np.ndarray  # choose the epoch
    judged: np.ndarray


@dataclass(frozen=True, eq=False)
class RaceRows:
    """All rows of a race.

    Attributes:
        texts: those that may be learnt from, then those that judge alone.
        fold: (rows,) the fold that a row judges; -1: it is only learnt from.
        folds: how many there are; 1: the validation part judges.
        seed: of every draw.
    """

    texts: Texts
    fold: np.ndarray
    folds: int
    seed: int

    @classmethod
    def of(cls, splits: Splits, seed: int) -> RaceRows:
        """The rows of a training: in folds where they are few, else a sample of the validation rows judges.

        Where only so many rows are to be learnt from, validation rows judge, however few they are.
        """
        train, validation = splits.train, splits.validation
        texts = train.join(validation)
        # A text stands on one side.
        groups = text_numbers(texts.text) if texts.group is None else encode(texts.group)[0]
        if not splits.limited and len(texts) < FEW_ROWS and (folds := min(FOLDS, int(groups.max()) + 1)) > 1:
            return cls(texts, deal_folds(encode(texts.label)[0], folds, groups=groups, seed=seed), folds, seed)
        judged = validation
        if len(validation) > MOST_JUDGED:
            judged = validation.split(MOST_JUDGED / len(validation), seed)[1]
        fold = np.concatenate([np.full(len(train), -1), np.zeros(len(judged), np.int64)])
        return cls(train.join(judged), fold, 1, seed)

    @property
    def crossed(self) -> bool:
        """Whether every row judges once."""
        return self.folds > 1

    @property
    def classes(self) -> int:
        """How many there are."""
        return len(set(self._labels.tolist()))

    @property
    def judged(self) -> int:
        """Rows that judge."""
        return int((self.fold >= 0).sum())

    @property
    def most(self) -> int:
        """Rows that a trial can learn from."""
        return round(len(self.texts) * (1 - 1 / self.folds)) if self.crossed else int((self.fold < 0).sum())

    @property
    def _labels(self) -> np.ndarray:
        assert self.texts.label is not None
        return self.texts.label

    def rungs(self, first: int) -> list[Rung]:
        """The rungs: from at most `first` rows on, if there are enough, each with twice the rows of the one before.

        In cross-validation the first folds come first, and at the end the rest of them.
        """
        first_folds = tuple(range(min(FIRST_FOLDS, self.folds)))
        rest = tuple(range(len(first_folds), self.folds))
        sizes = [self.most]
        while sizes[0] > first and sizes[0] // 2 >= self.fewest:
            sizes.insert(0, sizes[0] // 2)
        return [*(Rung(size, first_folds) for size in sizes), *([Rung(self.most, rest)] if rest else [])]

    @property
    def fewest(self) -> int:
        """Rows of the smallest rung: some of each class."""
        return max(64, 2 * KEPT * self.classes)

    def trial(self, rows: int, fold: int) -> TrialRows:
        """The rows of a trial: so many of those that do not judge this fold, a tenth of them apart for the epoch."""
        judged = np.flatnonzero(self.fold == fold)
        weight = self.texts.weight  # a row without any is not learnt from
        rest = np.flatnonzero((self.fold != fold) & (weight is None or weight > 0))
        chosen = rest[spread_order(encode(self._labels[rest])[0], [self.seed, 11])[:rows]]
        some = self.texts.take(chosen)
        marked = Texts(some.text, some.label, None, np.arange(len(some)), some.source)
        train, inner = marked.split(INNER, self.seed)
        return TrialRows(chosen[train.id], chosen[inner.id], judged)
