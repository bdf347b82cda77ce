"""What the claims of seed 002 are judged on, and how a verdict comes about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from separatrix.analysis.heads.association import SURE, cells_of, codes_of
from separatrix.analysis.heads.cluster import GRID, NOISE
from separatrix.analysis.heads.extract import RESULT
from separatrix.analysis.heads.shuffles import HeadCounts, head_counts
from separatrix.geometry.nulls import Null
from separatrix.store.files import read_json, read_tensors

LEAST = 0.05  # of a share: how far from chance it must be for words like "dominant", either way


class Verdict(StrEnum):
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
    verdict: Verdict
    note: str = ""
    null_heads: float | None = None
    p_heads: float | None = None


@dataclass(frozen=True, eq=False)
class Stored:
    """What the earlier stages wrote down; what is empty was not there."""

    choice: Sequence[Mapping[str, Any]] = ()  # a line for each k that was tried
    variance: Sequence[float] = ()  # share of each principal component
    grid: Sequence[Mapping[str, Any]] = ()  # a line for each cell of DBSCAN
    labels: Mapping[int, NDArray[np.int64]] = field(default_factory=dict)  # cell that was finished -> (rows given,)

    @classmethod
    def read(cls, features: Path, cluster: Path) -> Stored:
        """From the folders of the two stages.

        Raises:
            StoreError: a stage is not finished.
        """
        found = read_json(cluster / RESULT, dict)
        grid = found["dbscan"].get("grid", [])
        made = read_tensors(cluster / GRID)[0]["dbscan"].astype(np.int64) if (cluster / GRID).is_file() else ()
        labels = {place: made[place] for place, line in enumerate(grid) if len(made) and line["clusters"] is not None}
        variance = read_json(features / RESULT, dict)["variance"][found["feature"]]
        return cls(found["kmeans"]["choice"]["table"], variance, grid, labels)


@dataclass(frozen=True, eq=False)
class Asked:
    """The rows that DBSCAN was given, its labels (or those of a cell of its grid), and the two nulls."""

    table: pd.DataFrame
    values: NDArray[np.float64]
    ranks: NDArray[np.int64]  # (rows,) place of the row's example among all that were drawn
    labels: NDArray[np.int64]
    stored: Stored
    permutations: int
    seed: int

    @cached_property
    def cells(self) -> NDArray[np.int64]:
        """The head of each row over all layers."""
        return cells_of(self.table)

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
        windows = codes_of(self.table["window"])
        return head_counts(labels, self.cells, windows, permutations=self.permutations, seed=self.seed)


def judge(
    text: str, null: Null, note: str, *, heads: Null | None = None, floor: bool = True, mirror: bool = False
) -> Claim:
    """A verdict from a figure and its nulls.

    Supported if chance does not reach the figure and it is large enough for the words (`floor`), weak if only the
    former. Reversed if chance is nearly always above it and the opposite is as large (`mirror`).
    """
    decides = null if heads is None else heads
    if decides.p_value <= SURE:
        verdict = Verdict.SUPPORTED if floor else Verdict.WEAK
    elif mirror and 1 - decides.p_value < SURE and decides.observed < decides.mean:
        verdict = Verdict.REVERSED
    else:
        verdict = Verdict.NOT
    over = (None, None) if heads is None else (heads.mean, heads.p_value)
    return Claim(text, null.observed, null.mean, null.p_value, verdict, note, *over)


def unjudged(text: str, why: str) -> Claim:
    """A claim that these rows say nothing about."""
    return Claim(text, None, None, None, Verdict.OPEN, why)


def plain(text: str, figure: float, held: bool, note: str, null: float | None = None) -> Claim:
    """A claim about a curve or a table, where there are no labels to shuffle; the note says what the figure is."""
    return Claim(text, figure, null, None, Verdict.SUPPORTED if held else Verdict.NOT, note)
