"""Does a grouping have to do with a column? Counts, two effect sizes, and a null made by shuffling.

The null keeps what must be kept: with `within`, values are shuffled only inside the groups of another column, so that
an association that those groups carry (all heads of one text, say) does not count as one of its own. Without it a
shuffled table is drawn directly from all tables with these margins, which is the same and much faster.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import false_discovery_control, random_table

from separatrix.errors import DataError
from separatrix.geometry.checks import check_count, check_labels, check_same_rows
from separatrix.geometry.classes import first_row_ranks

_BLOCK = 8_000_000  # shuffled values held at a time


@dataclass(frozen=True, eq=False)
class Association:
    """How two groupings of the same rows hang together."""

    table: NDArray[np.int64]  # (first, second) rows
    mutual_information: float  # nats
    adjusted_mutual_information: float  # 0 what chance gives, 1 the same grouping
    cramers_v: float
    cramers_v_corrected: float  # Bergsma (2013): near 0 where the plain one is only sampling noise
    p_value: float
    null_mean: float  # mean mutual information of the shuffles
    null_high: float  # its 95th percentile
    permutations: int

    @property
    def expected(self) -> NDArray[np.float64]:
        """Rows of each cell if the two had nothing to do with each other, (first, second)."""
        return np.outer(self.table.sum(axis=1), self.table.sum(axis=0)) / self.table.sum()

    @property
    def residuals(self) -> NDArray[np.float64]:
        """Adjusted standardised residuals (Haberman, 1973), about normal where there is no association."""
        total = self.table.sum()
        first, second = self.table.sum(axis=1) / total, self.table.sum(axis=0) / total
        spread = np.sqrt(self.expected * np.outer(1 - first, 1 - second))
        return np.divide(self.table - self.expected, spread, out=np.zeros(self.table.shape), where=spread > 0)

    def to_dict(self) -> dict[str, Any]:
        """Plain values without the cells, ready for JSON."""
        return {name: value for name, value in vars(self).items() if name != "table"} | {
            "rows": int(self.table.sum()),
            "shape": list(self.table.shape),
        }


def associate(
    first: ArrayLike,
    second: ArrayLike,
    *,
    within: ArrayLike | None = None,
    permutations: int = 999,
    seed: int = 0,
) -> Association:
    """Mutual information, Cramer's V and a permutation p-value of two groupings.

    Args:
        first, second: (rows,) group numbers 0, 1, 2 ...
        within: (rows,) group numbers; values of `second` are shuffled only inside these.
        permutations: shuffles; the p-value is (1 + shuffles as high) / (1 + shuffles), never 0.
        seed: of the shuffles.

    Raises:
        DataError: one of them is the same for all rows; `within` leaves nothing to shuffle.
        ShapeError: lengths differ.

    >>> found = associate([0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1, 1, 1])
    >>> round(found.mutual_information, 4), found.cramers_v, found.p_value < 0.1
    (0.6931, 1.0, True)
    """
    from sklearn.metrics import adjusted_mutual_info_score

    check_count(permutations, "permutations")
    (a, rows), (b, columns) = _compact(first, "the first grouping"), _compact(second, "the second grouping")
    check_same_rows(len(a), len(b), "groupings", "values")
    shape = (len(rows), len(columns))
    table = np.bincount(a * shape[1] + b, minlength=shape[0] * shape[1]).reshape(shape)
    rng = np.random.default_rng(seed)
    if within is None:
        null = _free_null(table, permutations, rng)
    else:
        null = _bound_null(a, b, shape, _groups(within, len(a)), permutations, rng)
    found = float(information(table[None])[0])
    plain, corrected = cramers_v(table)
    return Association(
        table[np.ix_(rows, columns)],
        found,
        float(adjusted_mutual_info_score(a, b)),
        plain,
        corrected,
        # Shuffles that give the very same table differ by rounding only.
        float((1 + (null >= found - 1e-12).sum()) / (1 + permutations)),
        float(null.mean()),
        float(np.percentile(null, 95)),
        permutations,
    )


def information(tables: NDArray[np.integer]) -> NDArray[np.float64]:
    """Mutual information in nats of each of several tables (tables, first, second).

    >>> information(np.array([[[2, 0], [0, 2]], [[1, 1], [1, 1]]])).round(4)
    array([0.6931, 0.    ])
    """
    total = tables.sum(axis=(1, 2)).astype(np.float64)

    def entropy(counts: NDArray[np.integer]) -> NDArray[np.float64]:
        wide = counts.reshape(len(counts), -1).astype(np.float64)
        logs = np.log(wide, out=np.zeros(wide.shape), where=wide > 0)
        return np.log(total) - (wide * logs).sum(axis=1) / total

    found = entropy(tables.sum(axis=2)) + entropy(tables.sum(axis=1)) - entropy(tables)
    return np.maximum(found, 0.0)


def cramers_v(table: NDArray[np.integer]) -> tuple[float, float]:
    """Cramer's V, plain and with the bias correction of Bergsma (2013).

    >>> cramers_v(np.array([[5, 0], [0, 5]]))[0]
    1.0
    """
    rows, (first, second) = table.sum(), table.shape
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / rows
    square = float(((table - expected) ** 2 / expected).sum() / rows)
    plain = np.sqrt(min(square / (min(first, second) - 1), 1.0))
    less = max(0.0, square - (first - 1) * (second - 1) / (rows - 1))
    sides = [side - (side - 1) ** 2 / (rows - 1) for side in (first, second)]
    room = min(sides) - 1
    return float(plain), float(np.sqrt(min(less / room, 1.0))) if room > 0 else 0.0


def correct(p_values: ArrayLike) -> dict[str, NDArray[np.float64]]:
    """p-values of several tests, corrected: `holm` (1979; no false find at all) and `bh` (1995; their share).

    >>> {name: values.round(3).tolist() for name, values in correct([0.01, 0.04, 0.03]).items()}
    {'holm': [0.03, 0.06, 0.06], 'bh': [0.03, 0.04, 0.04]}
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    holm = np.empty(len(p))
    holm[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return {"holm": holm, "bh": np.asarray(false_discovery_control(p))}


def wilson(hits: ArrayLike, rows: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """95 % interval of shares (Wilson, 1927); 0 to 1 where there are no rows.

    >>> [bound.round(3).tolist() for bound in wilson([0, 5], [10, 10])]
    [[0.0, 0.237], [0.278, 0.763]]
    """
    z, k, n = 1.959964, np.asarray(hits, dtype=np.float64), np.maximum(np.asarray(rows, dtype=np.float64), 1e-9)
    middle, reach = (k + z**2 / 2) / (n + z**2), z / (n + z**2) * np.sqrt(k * (n - k) / n + z**2 / 4)
    return np.clip(middle - reach, 0, 1), np.clip(middle + reach, 0, 1)


def quantile_bins(values: ArrayLike, bins: int) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Numbers into bins of about as many rows, and the name of each bin; equal values share one.

    Raises:
        DataError: all values are the same.

    >>> quantile_bins([1.0, 2.0, 3.0, 4.0], 2)
    (array([0, 0, 1, 1]), ('1 to 2.5', '2.5 to 4'))
    """
    numbers = np.asarray(values, dtype=np.float64)
    edges = np.unique(np.quantile(numbers, np.linspace(0, 1, bins + 1)))
    if len(edges) < 2:
        raise DataError("all values are the same", got=f"{edges[0]:g}", expected="values that differ")
    places = np.searchsorted(edges[1:-1], numbers, side="left").astype(np.int64)
    return places, tuple(f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges))


def _compact(values: ArrayLike, what: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Groups numbered by their first rows (rows,), so that no name moves the null; the places of the sorted groups."""
    numbers = check_labels(values, 2**62, what)
    found, compact = np.unique(numbers, return_inverse=True)
    if len(found) < 2:
        raise DataError(f"{what} is the same for all rows", got=f"{len(numbers)} rows", expected="two or more groups")
    ranks = first_row_ranks(compact, len(found))
    return ranks[compact], ranks


def _free_null(table: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    draw = random_table(table.sum(axis=1), table.sum(axis=0))
    step = max(1, _BLOCK // table.size)
    return np.concatenate(
        [information(draw.rvs(min(step, count - start), random_state=rng)) for start in range(0, count, step)]
    )


def _groups(within: ArrayLike, rows: int) -> list[NDArray[np.int64]]:
    """Places of the rows of each group, one matrix (groups, size) for each size; groups of one row stay as they are."""
    numbers = check_labels(within, 2**62, "the groups to shuffle within")
    check_same_rows(len(numbers), rows, "groups", "rows")
    order = np.argsort(numbers, kind="stable")
    _, begin, size = np.unique(numbers[order], return_index=True, return_counts=True)
    if size.max() < 2:
        raise DataError("every group has one row, so nothing can be shuffled within them", hint="choose another column")
    return [order[begin[size == s][:, None] + np.arange(s)] for s in np.unique(size) if s > 1]


def _bound_null(
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    shape: tuple[int, int],
    groups: list[NDArray[np.int64]],
    count: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Mutual information of shuffles of b inside each group."""
    cells = shape[0] * shape[1]
    moving = np.zeros(len(a), dtype=bool)
    for places in groups:
        moving[places] = True
    fixed = np.bincount(a[~moving] * shape[1] + b[~moving], minlength=cells)
    step = max(1, _BLOCK // max(len(a), cells))
    null = []
    for start in range(0, count, step):
        draws = min(step, count - start)
        tables = np.tile(fixed, draws)  # (draws * cells,)
        for places in groups:
            values = np.broadcast_to(b[places], (draws, *places.shape))
            mixed = rng.permuted(values, axis=2)  # (draws, groups, size)
            cell = a[places] * shape[1] + mixed + np.arange(draws)[:, None, None] * cells
            tables += np.bincount(cell.ravel(), minlength=draws * cells)
        null.append(information(tables.reshape(draws, *shape)))
    return np.concatenate(null)
