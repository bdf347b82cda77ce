"""What is left of a decision when the outputs that it was made from are looked at: in all dimensions, or in a map.

Some rows choose and name - how many neighbors vote, which class a cluster is - and the others are scored. No view sees
a label while it is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from separatrix.codes import majority_share
from separatrix.errors import DataError
from separatrix.geometry.assign import assign, cluster_answers
from separatrix.geometry.classes import deal_folds
from separatrix.geometry.cluster import kmeans
from separatrix.geometry.neighbors import neighbors, vote
from separatrix.geometry.prepare import PREPARES
from separatrix.geometry.probe import fit_probe, fit_tuned_probe

KS = (1, 5, 10, 20, 50)  # neighbors that may vote; the choosing rows choose
TRIED = ("none", "standardise")  # what may be done to the columns first; the choosing rows choose
READERS = {"vote": "neighbors", "probe": "linear probe", "clusters": "k-means"}  # with their headings
FOLDS = 5


@dataclass(frozen=True, eq=False)
class DecidedRows:
    """Outputs of rows, their classes, and what a model decided for each.

    Raises:
        DataError: the rows that choose have one class only, or are fewer than two.
    """

    x: NDArray[np.floating]  # (rows, width)
    gold: NDArray[np.int64]  # (rows,) class numbers
    decided: NDArray[np.int64]  # (rows,) class numbers, -1 for none of the classes
    choosing: NDArray[np.bool_]  # (rows,): labels of these may be seen; the others are scored
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(np.unique(self.gold[self.choosing])) < 2 or self.choosing.all():
            got = f"{int(self.choosing.sum())} rows that choose, {int((~self.choosing).sum())} that are scored"
            raise DataError("outputs cannot be looked at without two classes among the rows that choose", got=got)

    @property
    def own(self) -> NDArray[np.bool_]:
        """Whether the model is right on each scored row."""
        return (self.decided == self.gold)[~self.choosing]

    @property
    def majority(self) -> float:
        """Share of the most frequent class among the scored rows."""
        return majority_share(self.gold[~self.choosing])


@dataclass(frozen=True, eq=False)
class ReaderAnswers:
    """What one reader makes of one view of the outputs."""

    right: NDArray[np.bool_]  # of each scored row
    chosen: float | None  # accuracy on the rows that choose, held out in turn; None: the reader is not chosen by it


def read_vote(x: NDArray[np.floating], rows: DecidedRows, _seed: int = 0) -> ReaderAnswers:
    """The vote of the nearest rows that choose; their number is the best of `KS` when each is left out in turn."""
    known, gold, classes = x[rows.choosing], rows.gold[rows.choosing], len(rows.names)
    ks = [k for k in KS if k < len(known)]
    near = neighbors(known, known, ks[-1], metric="euclidean", exclude_self=True)
    held_out = [float((vote(near, gold, classes, k).argmax(axis=1) == gold).mean()) for k in ks]
    best = int(np.argmax(held_out))
    nearest = neighbors(x[~rows.choosing], known, ks[best], metric="euclidean")
    answers = vote(nearest, gold, classes, ks[best]).argmax(axis=1)
    return ReaderAnswers(answers == rows.gold[~rows.choosing], held_out[best])


def read_probe(x: NDArray[np.floating], rows: DecidedRows, seed: int = 0) -> ReaderAnswers:
    """A linear probe that is trained on the rows that choose; these are judged in five folds."""
    known, gold, classes = x[rows.choosing], rows.gold[rows.choosing], len(rows.names)
    right = np.zeros(len(gold), bool)
    fold = deal_folds(gold, min(FOLDS, len(gold)), seed=seed)
    for out in (fold == number for number in range(fold.max() + 1)):
        if len(np.unique(gold[~out])) > 1:
            probe = fit_probe(known[~out], gold[~out], classes, seed=seed)
            right[out] = probe.scores(known[out]).argmax(axis=1) == gold[out]
    answers = fit_tuned_probe(known, gold, classes, seed=seed).scores(x[~rows.choosing]).argmax(axis=1)
    return ReaderAnswers(answers == rows.gold[~rows.choosing], float(right.mean()))


def read_clusters(x: NDArray[np.floating], rows: DecidedRows, seed: int = 0) -> ReaderAnswers:
    """k-means of all rows with a cluster for each class; the rows that choose match clusters with classes."""
    clusters = np.zeros(len(x), np.int64)  # of rows that are all the same
    if np.ptp(x, axis=0).any():
        clusters = kmeans(x, min(len(rows.names), len(x)), seed=seed).labels
    named = assign(clusters[rows.choosing], rows.gold[rows.choosing], rows.names, permutations=1, seed=seed)
    answers = cluster_answers(named.matched.classes, clusters[~rows.choosing])
    return ReaderAnswers(answers == rows.gold[~rows.choosing], None)


def read_view(x: NDArray[np.floating], rows: DecidedRows, seed: int = 0) -> dict[str, ReaderAnswers]:
    """What each reader of `READERS` makes of a view, (rows, dimensions)."""
    readers = (read_vote, read_probe, read_clusters)
    return {name: read(x, rows, seed) for name, read in zip(READERS, readers, strict=True)}


def choose_preparation(rows: DecidedRows) -> tuple[str, NDArray[np.floating]]:
    """What is done to the columns, and the outputs after it: the one that the vote of neighbors does better with.

    >>> rng, gold = np.random.default_rng(0), np.arange(40) % 2
    >>> x = np.stack([gold + 0.1 * rng.normal(size=40), 99 * rng.normal(size=40)], axis=1)
    >>> choose_preparation(DecidedRows(x, gold, gold, np.arange(40) < 20, ("no", "yes")))[0]
    'standardise'
    """
    done = {name: np.asarray(PREPARES[name](rows.x)(rows.x)) for name in TRIED}
    best = max(done, key=lambda name: read_vote(done[name], rows).chosen or 0.0)  # of equals the first
    return best, done[best]
