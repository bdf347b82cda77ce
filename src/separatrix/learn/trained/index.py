"""The training rows that decide by their nearness: unit vectors, class numbers, ids; exact, or approximate with faiss.

The metric is the cosine, the one that the encoder was trained with. The index holds no texts: an id says which row of
the user's own data a neighbor is.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from textwrap import shorten
from typing import Any

import numpy as np

from separatrix.errors import DataError, MissingExtra, ShapeError
from separatrix.geometry.label_sets import label_losses, share_scores
from separatrix.geometry.neighbors import Neighbors, neighbors, unit_rows, vote, vote_for_labels
from separatrix.points import Points
from separatrix.texts import Classes
from separatrix.texts.label_sets import indicator, set_column, sets_of

KS = (1, 3, 5, 10, 20, 50)
LINKS = 32  # of a row in faiss's graph


@dataclass(frozen=True)
class Vote:
    """How many neighbors vote, and whether near ones count more."""

    k: int
    weights: str  # "uniform", "distance" or "softmax"
    temperature: float = 0.07  # of softmax votes


@dataclass(frozen=True, eq=False)
class Index:
    """Stored rows. `add` gives a larger one; nothing is trained for it."""

    vectors: np.ndarray  # (rows, width) float32, of length 1
    labels: np.ndarray  # (rows,) class numbers; (rows, labels) of 0 and 1 where rows have several
    ids: np.ndarray  # (rows,) which row of the user's data
    approximate: bool = False
    weight: np.ndarray | None = None  # (rows,) in the class means; votes count rows. None: all alike

    @classmethod
    def of(
        cls,
        vectors: np.ndarray,
        labels: np.ndarray,
        ids: np.ndarray,
        *,
        approximate: bool = False,
        weight: np.ndarray | None = None,
    ) -> Index:
        """An index of vectors of any length.

        >>> Index.of(np.array([[3.0, 4.0]]), np.array([0]), np.array([7])).vectors.tolist()
        [[0.6000000238418579, 0.800000011920929]]
        """
        if not len(vectors) == len(labels) == len(ids):
            got = f"{len(vectors)} vectors, {len(labels)} labels, {len(ids)} ids"
            raise ShapeError("the rows of an index do not fit together", got=got, expected="as many of each")
        return cls(
            unit_rows(vectors).astype(np.float32), np.asarray(labels, np.int64), np.asarray(ids), approximate, weight
        )

    def __len__(self) -> int:
        return len(self.labels)

    def add(self, vectors: np.ndarray, labels: np.ndarray, ids: np.ndarray) -> Index:
        """These rows and more.

        Raises:
            ShapeError: vectors of another width.
            DataError: ids that are no whole numbers, that are there already, or twice.
        """
        if vectors.shape[1:] != self.vectors.shape[1:]:
            got, expected = vectors.shape, f"(rows, {self.vectors.shape[1]})"
            raise ShapeError("vectors do not fit the index", got=got, expected=expected)
        new = Index.of(vectors, labels, ids)
        known = set(self.ids.tolist())
        for one in new.ids.tolist():
            if not isinstance(one, int) or isinstance(one, bool) or abs(one) > np.iinfo(np.int64).max:
                # A single name would turn the ids of all rows to names, and nothing could be counted on from them.
                hint = "give the number of the row in a table of your own"
                raise DataError("an id is not a whole number", got=repr(one), expected="integers", hint=hint)
            if one in known:
                raise DataError("a row is in the index already", got=f"id {one}", hint="give new rows ids of their own")
            known.add(one)
        return replace(
            self,
            vectors=np.concatenate([self.vectors, new.vectors]),
            labels=np.concatenate([self.labels, new.labels]),
            ids=np.concatenate([self.ids, new.ids.astype(np.int64)]),
            weight=None if self.weight is None else np.concatenate([self.weight, np.ones(len(new))]),
        )

    def points(self, classes: Classes) -> Points:
        """The stored rows as points: vectors, ids and labels."""
        labels = classes.decode(self.labels) if self.labels.ndim == 1 else _written(self.labels, classes)
        rows = {"id": self.ids, "label": labels}
        return Points.of(self.vectors, rows if self.weight is None else rows | {"weight": self.weight})

    @classmethod
    def read(cls, points: Points, classes: Classes, *, approximate: bool = False, sets: bool = False) -> Index:
        """What `points` gave; `sets`: of rows with several labels."""
        column = points.column("label")
        labels = _marks(column, classes) if sets else classes.encode(column, source="the index")
        weight = np.asarray(points.column("weight")) if "weight" in points.columns else None
        return cls(points.values, labels, np.asarray(points.column("id")), approximate, weight)

    def nearest(self, queries: np.ndarray, k: int, *, exact: bool = False) -> Neighbors:
        """The k nearest stored rows of each query (queries, width); distances are 1 - cosine.

        Raises:
            DataError: k is larger than the index.
        """
        if k > len(self):
            raise DataError("--k is larger than the index", got=k, expected=f"at most {len(self)}, its rows")
        if exact or not self.approximate:
            return neighbors(queries, self.vectors, k, metric="cosine")
        near, index = self._graph.search(unit_rows(queries).astype(np.float32), k)
        if (index < 0).any():  # the graph led nowhere for some
            return neighbors(queries, self.vectors, k, metric="cosine")
        return Neighbors(index.astype(np.int64), (1 - near).astype(np.float32))

    def recall(self, queries: np.ndarray, k: int) -> float:
        """Share of the true k nearest rows that the approximate search finds."""
        nearest, true = self.nearest(queries, k).index, self.nearest(queries, k, exact=True).index
        hits = (nearest[:, :, None] == true[:, None, :]).any(axis=2)  # (queries, k)
        return float(hits.mean())

    @cached_property
    def _graph(self) -> Any:
        try:
            import faiss
        except ImportError as error:
            what = "an approximate index needs faiss, which is not installed"
            raise MissingExtra(what, hint='type: pip install "separatrix[index]"') from error
        graph = faiss.IndexHNSWFlat(self.vectors.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction, graph.hnsw.efSearch = 200, 128
        graph.add(np.ascontiguousarray(self.vectors))
        return graph


def _written(marks: np.ndarray, classes: Classes) -> np.ndarray:
    """Sets of labels as a column of JSON lists."""
    return np.array([json.dumps(labels, ensure_ascii=False) for labels in sets_of(marks, classes.names)], dtype=object)


def _marks(column: Any, classes: Classes) -> np.ndarray:
    """What `_written` gave, as (rows, labels) of 0 and 1."""
    try:
        lists = [json.loads(str(cell)) for cell in column]
    except ValueError as error:
        raise DataError("the index: a cell of labels is no list", got=shorten(str(error), 60)) from error
    return indicator(set_column(lists, "the index"), classes.names, source="the index")


def shares(nearest: Neighbors, labels: np.ndarray, classes: int, decision: Vote) -> np.ndarray:
    """Vote shares of the first `decision.k` neighbors, (queries, classes), as `geometry.neighbors.vote`.

    Of several labels a row they are shares of the votes that have each label.

    >>> nearest = Neighbors(np.array([[0, 1]]), np.array([[0.1, 0.3]], dtype=np.float32))
    >>> shares(nearest, np.array([1, 0]), 2, Vote(2, "distance")).round(2).tolist()
    [[0.25, 0.75]]
    """
    if labels.ndim == 2:
        ways = {"weights": decision.weights, "temperature": decision.temperature}
        return vote_for_labels(nearest, labels, decision.k, **ways)  # type: ignore[arg-type]
    return vote(nearest, labels, classes, decision.k, weights=decision.weights, temperature=decision.temperature)


def smooth(votes: np.ndarray, k: int) -> np.ndarray:
    """Logarithms of vote shares to which one vote, spread over all classes, was added; the order stays.

    >>> np.exp(smooth(np.array([[1.0, 0.0]]), 1)).tolist()
    [[0.75, 0.25]]
    """
    return np.log((k * votes + 1 / votes.shape[1]) / (k + 1))


def choose_vote(
    nearest: Neighbors,
    labels: np.ndarray,
    gold: np.ndarray,
    classes: int,
    options: list[Vote],
    score: Callable[[np.ndarray, np.ndarray], dict[str, float]],
) -> Vote:
    """The vote with the best score on validation rows; of equals, the one whose shares fit the labels better.

    Args:
        nearest: neighbors of the validation rows, as many as the largest k.
        labels: class numbers of the stored rows.
        gold: class numbers of the validation rows.
        options: what to choose from.
        score: figures of log shares (rows, classes) and gold; its `accuracy` chooses, as it chooses the epoch.
    """

    def worth(option: Vote) -> tuple[float, float]:
        if labels.ndim == 2:
            odds = share_scores(shares(nearest, labels, classes, option), option.k)
            return score(odds, gold)["macro_f1"], -float(label_losses(odds, gold).mean())
        logs = smooth(shares(nearest, labels, classes, option), option.k)  # (rows, classes)
        return score(logs, gold)["accuracy"], float(logs[np.arange(len(gold)), gold].mean())

    return max(options, key=worth)
