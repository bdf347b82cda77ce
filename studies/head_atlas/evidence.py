"""What the claims of seed 002 are judged on, and how a verdict comes about."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from separatrix.analysis.heads import HeadAtlas
from separatrix.analysis.heads.clusters import NOISE
from separatrix.analysis.heads.controls import SURE, head_numbers
from separatrix.codes import encode
from separatrix.geometry.cluster import dbscan_clusters
from separatrix.geometry.nulls import Null, permutation_null, within_groups

LEAST = 0.05  # of a share: how far from chance it must be for words like "dominant", either way


class Ruling(StrEnum):
    """What is said of a claim."""

    SUPPORTED = "supported"
    WEAK = "weak"
    NOT = "not supported"
    REVERSED = "reversed"
    OPEN = "cannot be judged"


@dataclass(frozen=True)
class Claim:
    """One line: what was said, what was found, what chance gives, and the verdict.

    `null` and `p_value` come from shuffles inside each window, or between examples; `null_heads` and `p_heads` from
    whole heads that change places, and decide where they are there.
    """

    claim: str
    figure: float | None
    null: float | None  # what chance gives: the mean of the shuffles
    p_value: float | None
    verdict: Ruling
    note: str = ""
    null_heads: float | None = None
    p_heads: float | None = None


@dataclass(frozen=True, eq=False)
class StoredTables:
    """What the earlier stages wrote down; what is empty was not there."""

    choice: Sequence[Mapping[str, Any]] = ()  # a line for each k that was tried
    variance: Sequence[float] = ()  # share of each principal component
    grid: Sequence[Mapping[str, Any]] = ()  # a line for each cell of DBSCAN
    labels: Mapping[int, NDArray[np.int64]] = field(default_factory=dict)  # cell that was finished -> (rows given,)

    @classmethod
    def of(cls, atlas: HeadAtlas, feature: str, values: NDArray[np.floating]) -> StoredTables:
        """Of an atlas; `values` are the rows that DBSCAN was given, which runs again on each cell that it finished."""
        grid = atlas.clusters["dbscan"]["grid"]
        labels = {
            number: dbscan_clusters(values, line["eps"], min_samples=line["min_samples"]).labels
            for number, line in enumerate(grid) if line["clusters"] is not None
        }  # fmt: skip
        return cls(atlas.clusters["kmeans"]["grid"], atlas.variance[feature], grid, labels)


Counts = NDArray[np.int64]  # (labels, heads)
Statistic = Callable[[Counts], float]


@dataclass(frozen=True, eq=False)
class HeadCounts:
    """How often each label falls on each head, and figures of that beside two nulls."""

    labels: NDArray[np.int64]  # (rows,), -1 for noise
    heads: NDArray[np.int64]  # (rows,) over all layers
    windows: NDArray[np.int64]  # (rows,)
    permutations: int
    seed: int

    def count(self, heads: NDArray[np.int64]) -> Counts:
        """Rows of each label on each head; row 0 is noise, row 1 the first cluster."""
        shape = (int(self.labels.max()) + 2, int(self.heads.max()) + 1)
        return np.bincount((self.labels + 1) * shape[1] + heads, minlength=shape[0] * shape[1]).reshape(shape)

    @cached_property
    def observed(self) -> Counts:
        """As they are."""
        return self.count(self.heads)

    def within(self, statistic: Statistic) -> Null:
        """A figure beside its values when heads change places inside each window."""
        return permutation_null(
            lambda heads: statistic(self.count(heads)), self.heads, draw=within_groups(self.windows),
            permutations=self.permutations, seed=self.seed,
        )  # fmt: skip

    def over_heads(self, statistic: Statistic) -> Null:
        """A figure beside its values when whole heads change places, in every window alike.

        A figure that does not know where a head stands, but only that it is another one, is the same in every shuffle.
        """
        heads = np.arange(self.observed.shape[1])
        return permutation_null(
            lambda order: statistic(self.observed[:, order]), heads, permutations=self.permutations, seed=self.seed
        )


def gather(counts: Counts, groups: NDArray[np.int64]) -> Counts:
    """Columns of the same group added up: (labels, heads) -> (labels, groups)."""
    return counts @ np.eye(int(groups.max()) + 1, dtype=np.int64)[groups]


@dataclass(frozen=True, eq=False)
class DensityEvidence:
    """The rows that DBSCAN was given, its labels (or those of a cell of its grid), and the two nulls."""

    table: pd.DataFrame
    values: NDArray[np.float64]
    ranks: NDArray[np.int64]  # (rows,) place of the row's example among all that were drawn
    labels: NDArray[np.int64]
    stored: StoredTables
    permutations: int
    seed: int

    @cached_property
    def cells(self) -> NDArray[np.int64]:
        """The head of each row over all layers."""
        return head_numbers(self.table)

    @cached_property
    def layers(self) -> NDArray[np.int64]:
        """The layer of each head, (heads,)."""
        return np.arange(int(self.cells.max()) + 1) // (int(self.table["head"].max()) + 1)

    @property
    def late(self) -> NDArray[np.bool_]:
        """Heads of the upper half of the layers, (heads,)."""
        return self.layers >= (self.layers.max() + 1) / 2

    @cached_property
    def dominant(self) -> int | None:
        """The largest cluster."""
        inside = self.labels[self.labels >= 0]
        return int(np.bincount(inside).argmax()) if len(inside) else None

    @cached_property
    def satellites(self) -> NDArray[np.bool_]:
        """Rows in any other cluster, (rows,)."""
        return (self.labels >= 0) & (self.labels != (self.dominant if self.dominant is not None else NOISE))

    @cached_property
    def density(self) -> HeadCounts:
        """How often noise (row 0) and each cluster of DBSCAN falls on each head."""
        return self.count(self.labels)

    @cached_property
    def means(self) -> HeadCounts:
        """The same for k-means; row 0 is empty."""
        return self.count(self.table["kmeans"].to_numpy(dtype=np.int64))

    def count(self, labels: NDArray[np.int64]) -> HeadCounts:
        """Labels of all rows by head, beside shuffles inside the windows."""
        return HeadCounts(labels, self.cells, encode(self.table["window"])[0], self.permutations, self.seed)


def judge(
    text: str, null: Null, note: str, *, heads: Null | None = None, floor: bool = True, mirror: bool = False
) -> Claim:
    """A verdict from a figure and its nulls.

    Supported if chance does not reach the figure and it is large enough for the words (`floor`), weak if only the
    former. Reversed if chance is nearly always above it and the opposite is as large (`mirror`).
    """
    decides = null if heads is None else heads
    if decides.p_value <= SURE:
        verdict = Ruling.SUPPORTED if floor else Ruling.WEAK
    elif mirror and 1 - decides.p_value < SURE and decides.observed < decides.mean:
        verdict = Ruling.REVERSED
    else:
        verdict = Ruling.NOT
    over = (None, None) if heads is None else (heads.mean, heads.p_value)
    return Claim(text, null.observed, null.mean, null.p_value, verdict, note, *over)


def unjudged(text: str, why: str) -> Claim:
    """A claim that these rows say nothing about."""
    return Claim(text, None, None, None, Ruling.OPEN, why)


def plain(text: str, figure: float, held: bool, note: str, null: float | None = None) -> Claim:
    """A claim about a curve or a table, where there are no labels to shuffle; the note says what the figure is."""
    return Claim(text, figure, null, None, Ruling.SUPPORTED if held else Ruling.NOT, note)
