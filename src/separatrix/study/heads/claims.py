"""Is it real? The claims of seed 002 one by one, each with its figure, what chance gives, and a verdict.

Layer and head are shuffled inside each window, contexts between whole examples. A figure that only counts as much as
its null says nothing, and the verdict says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr

from separatrix.geometry.associate import information
from separatrix.geometry.nulls import Null, permutation_null
from separatrix.study.heads.association import cells_of, codes_of
from separatrix.study.heads.cluster import LEFT_OUT, NOISE

SURE = 0.05
SUPPORTED, WEAK, REVERSED = "supported", "weak", "reversed"
NOT, OPEN = "not supported", "cannot be judged"


@dataclass(frozen=True)
class Claim:
    """One line: what was said, what was found, what chance gives, and the verdict."""

    claim: str
    figure: float | None
    null: float | None  # what chance gives: the mean of the shuffles
    p_value: float | None
    verdict: str
    note: str = ""


def seed_claims(
    table: pd.DataFrame, values: NDArray[np.floating], *, permutations: int = 199, seed: int = 0
) -> list[dict[str, Any]]:
    """Every claim of seed 002, measured.

    Args:
        table: rows with `kmeans`, `dbscan` and `child`.
        values: (rows, components), what was clustered.
        permutations: shuffles of each null.
        seed: of the shuffles.
    """
    given = (table["dbscan"] > LEFT_OUT).to_numpy()
    part = table[given].reset_index(drop=True)
    asked = _Asked(part, np.asarray(values[given], np.float64), permutations, seed)
    return [asdict(claim(asked)) for claim in CLAIMS]


@dataclass(frozen=True)
class _Asked:
    """What the claims are judged on."""

    table: pd.DataFrame
    values: NDArray[np.float64]
    permutations: int
    seed: int

    @property
    def labels(self) -> NDArray[np.int64]:
        return self.table["dbscan"].to_numpy(dtype=np.int64)

    @property
    def dominant(self) -> int | None:
        """The largest cluster."""
        inside = self.labels[self.labels >= 0]
        return int(np.bincount(inside).argmax()) if len(inside) else None

    @property
    def satellites(self) -> NDArray[np.bool_]:
        """Rows in any other cluster, (rows,)."""
        return (self.labels >= 0) & (self.labels != (self.dominant if self.dominant is not None else NOISE))

    @property
    def late(self) -> NDArray[np.bool_]:
        """Rows of the upper half of the layers, (rows,)."""
        layers = self.table["layer"].to_numpy()
        return layers >= (layers.max() + 1) / 2

    def shuffled(self, statistic: Callable[[NDArray[Any]], float], column: NDArray[Any]) -> Null:
        """The null of a statistic of rows whose column is shuffled inside each window."""
        windows = codes_of(self.table["window"])
        order = np.argsort(windows, kind="stable")
        boxes = order.reshape(int(windows.max()) + 1, -1)  # every window has all heads
        observed, drawn = statistic(column), np.empty(self.permutations)
        generator = np.random.default_rng(self.seed)
        for place in range(self.permutations):
            mixed = column.copy()
            mixed[boxes] = generator.permuted(column[boxes], axis=1)
            drawn[place] = statistic(mixed)
        reached = int((drawn >= observed - 1e-12).sum())
        p_value = (1 + reached) / (1 + self.permutations)
        high = float(np.percentile(drawn, 95))
        return Null(observed, float(drawn.mean()), high, p_value, self.permutations, len(column))


def _judge(text: str, null: Null, note: str, *, floor: bool = True) -> Claim:
    """Supported if chance does not reach the figure and it is large enough for the words (`floor`); else weak."""
    if null.p_value <= SURE:
        verdict = SUPPORTED if floor else WEAK
    elif 1 - null.p_value < SURE and null.observed < null.mean:
        verdict = REVERSED
    else:
        verdict = NOT
    return Claim(text, null.observed, null.mean, null.p_value, verdict, note)


def _early_dominant(asked: _Asked) -> Claim:
    text = "early layers form one dominant cluster"
    if asked.dominant is None:
        return Claim(text, None, None, None, OPEN, "DBSCAN found no cluster")
    inside = asked.labels == asked.dominant
    null = asked.shuffled(lambda late: float((~late[inside]).mean()), asked.late)
    share, early = float(inside.mean()), float(inside[~asked.late].mean())
    note = f"share of early layers in the largest cluster, which holds {share:.2f} of all and {early:.2f} of the early"
    return _judge(text, null, note, floor=early > 0.5)


def _late_noise(asked: _Asked) -> Claim:
    noise = asked.labels == NOISE
    null = asked.shuffled(lambda late: float(noise[late].mean() - noise[~late].mean()), asked.late)
    late = float(noise[asked.late].mean())
    note = f"share of noise, upper half of the layers less lower half; {late:.2f} of the upper half is noise"
    return _judge("late layers are noise", null, note, floor=late > 0.5)


def _single_heads(asked: _Asked) -> Claim:
    text = "small clusters hold a single head"
    chosen = asked.satellites
    if not chosen.any():
        return Claim(text, None, None, None, OPEN, "DBSCAN found no small cluster")
    labels, count = asked.labels[chosen], int(asked.labels.max()) + 1

    def purity(cells: NDArray[Any]) -> float:
        counts = np.bincount(labels * (int(cells.max()) + 1) + cells[chosen])
        filled = np.zeros(count * (int(cells.max()) + 1), np.int64)
        filled[: len(counts)] = counts
        return float(filled.reshape(count, -1).max(axis=1).sum() / len(labels))

    null = asked.shuffled(purity, cells_of(asked.table))
    return _judge(text, null, "share of rows of small clusters that belong to the cluster's own head",
                  floor=null.observed > 0.5)  # fmt: skip


def _shared_context(asked: _Asked) -> Claim:
    """How often pairs of rows of one head in one small cluster share a context."""
    text = "rows of a small cluster are spaced by shared context"
    chosen = asked.satellites
    examples, where = np.unique(asked.table["example"].to_numpy(), return_inverse=True)
    contexts = codes_of(asked.table["context"])[np.unique(where, return_index=True)[1]]  # (examples,)
    group = codes_of(asked.labels[chosen] * (cells_of(asked.table).max() + 1) + cells_of(asked.table)[chosen])
    # One row for each example of a group: its windows overlap and would count as neighbours of themselves.
    rows = np.unique(group * len(examples) + where[chosen]) if chosen.any() else np.empty(0, np.int64)
    group, example = np.divmod(rows, max(len(examples), 1))
    if len(rows) == 0 or np.bincount(group).max() < 2 or len(np.unique(contexts)) < 2:
        return Claim(text, None, None, None, OPEN, "no small cluster holds a head twice")
    pairs = float((np.bincount(group) * (np.bincount(group) - 1) / 2).sum())

    def shared(of_example: NDArray[Any]) -> float:
        together = np.unique(group * len(examples) + of_example[example], return_counts=True)[1]
        return float((together * (together - 1) / 2).sum() / pairs)

    null = permutation_null(shared, contexts, permutations=asked.permutations, seed=asked.seed)
    note = "share of pairs (same head, same small cluster) from one context; contexts shuffled over examples"
    return _judge(text, null, note, floor=null.observed > 2 * null.mean)


def _bands(asked: _Asked) -> Claim:
    clusters, layers = asked.table["kmeans"].to_numpy(dtype=np.int64), asked.table["layer"].to_numpy(dtype=np.int64)
    shape = (int(clusters.max()) + 1, int(layers.max()) + 1)

    def told(assigned: NDArray[Any]) -> float:
        cells = np.bincount(clusters * shape[1] + assigned, minlength=shape[0] * shape[1])
        return float(information(cells.reshape(1, *shape))[0])

    null = asked.shuffled(told, layers)
    counts = np.bincount(clusters * shape[1] + layers, minlength=shape[0] * shape[1]).reshape(shape)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    count = int((shares.max(axis=1) > 0.5).sum())
    note = f"mutual information (nats) of k-means cluster and layer; {count} of {shape[0]} clusters lie mostly in one"
    return _judge("k-means clusters lie in bands of layers", null, note)


def _even_satellites(asked: _Asked) -> Claim:
    text = "clusters within the dominant cluster hold evenly mixed heads"
    child = asked.table["child"].to_numpy(dtype=np.int64)
    if len(np.unique(child[child >= 0])) < 2:
        return Claim(text, None, None, None, OPEN, "the second round found fewer than two clusters")
    cells, chosen = cells_of(asked.table), child >= 0
    shape = (int(child.max()) + 1, int(cells.max()) + 1)

    def told(assigned: NDArray[Any]) -> float:
        made = np.bincount(child[chosen] * shape[1] + assigned[chosen], minlength=shape[0] * shape[1])
        return float(information(made.reshape(1, *shape))[0])

    null = asked.shuffled(told, cells)
    verdict = NOT if null.p_value <= SURE else SUPPORTED
    note = "mutual information (nats) of child cluster and head, identities carried along; evenly mixed = as the null"
    return Claim(text, null.observed, null.mean, null.p_value, verdict, note)


def _spread_grows(asked: _Asked) -> Claim:
    """How much one head differs from window to window, layer by layer."""
    cells = cells_of(asked.table)
    count = int(cells.max()) + 1
    sizes = np.bincount(cells, minlength=count).astype(float)
    sums = np.stack([np.bincount(cells, column, count) for column in asked.values.T], axis=1)
    squares = np.bincount(cells, (asked.values**2).sum(axis=1), count)
    spread = squares / sizes - ((sums / sizes[:, None]) ** 2).sum(axis=1)  # (heads,)
    layers = np.arange(count) // (int(asked.table["head"].max()) + 1)
    null = permutation_null(
        lambda layers: float(spearmanr(layers, spread).statistic), layers, permutations=asked.permutations,
        seed=asked.seed,
    )  # fmt: skip
    return _judge("variance grows with depth", null, "rank correlation of layer and a head's variance over windows")


CLAIMS: tuple[Callable[[_Asked], Claim], ...] = (
    _early_dominant,
    _late_noise,
    _single_heads,
    _shared_context,
    _bands,
    _even_satellites,
    _spread_grows,
)
