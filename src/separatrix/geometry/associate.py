"""Does a grouping have to do with a column? Counts, two effect sizes, and nulls made by shuffling.

A null keeps what must be kept. `rows`: a shuffled table is drawn directly from all tables with these margins. `within`:
values are shuffled only inside the groups of another column, so that an association that those groups carry (all heads
of one text, say) does not count as one of its own. `units`: rows that are no draws of their own (one head in a thousand
windows, the windows of one text) keep their common value, and whole units change places; this null decides where it is
given, since rows of one unit that behave alike beat any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import false_discovery_control

from separatrix.codes import cross_counts, encode
from separatrix.errors import DataError
from separatrix.geometry.checks import check_count, check_labels, check_same_rows, check_values
from separatrix.geometry.nulls import CELLS, Null, cross_tables, permutation_null, within_groups
from separatrix.geometry.resample import holm


@dataclass(frozen=True, eq=False)
class Association:
    """How two groupings of the same rows hang together."""

    table: NDArray[np.int64]  # (first, second) rows
    mutual_information: float  # nats
    adjusted_mutual_information: float  # 0 what chance gives, 1 the same grouping
    cramers_v: float
    cramers_v_corrected: float  # Bergsma (2013): near 0 where the plain one is only sampling noise
    nulls: Mapping[str, Null]  # of the mutual information: `rows`, `within` or `units`; the last one decides

    @property
    def null(self) -> str:
        """The null that decides."""
        return list(self.nulls)[-1]

    @property
    def p_value(self) -> float:
        """Of the null that decides."""
        return self.nulls[self.null].p_value

    @property
    def null_mean(self) -> float:
        """Mean mutual information of the shuffles that decide."""
        return self.nulls[self.null].mean

    @property
    def null_high(self) -> float:
        """Its 95th percentile."""
        return self.nulls[self.null].high

    @property
    def permutations(self) -> int:
        """Shuffles of each null."""
        return self.nulls[self.null].permutations

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
        """Plain values without the cells, ready for JSON; of several nulls each has its figures in `nulls`."""
        plain = {name: value for name, value in vars(self).items() if name not in ("table", "nulls")}
        plain |= {name: getattr(self, name) for name in ("p_value", "null_mean", "null_high", "permutations", "null")}
        nulls = {name: {"mean": each.mean, "high": each.high, "p_value": each.p_value}
                 for name, each in self.nulls.items()}  # fmt: skip
        return plain | {"nulls": nulls, "rows": int(self.table.sum()), "shape": list(self.table.shape)}


def associate(
    first: ArrayLike,
    second: ArrayLike,
    *,
    within: ArrayLike | None = None,
    units: ArrayLike | None = None,
    given: ArrayLike | None = None,
    permutations: int = 999,
    seed: int = 0,
) -> Association:
    """Mutual information, Cramer's V and a permutation p-value of two groupings.

    Args:
        first: group numbers (rows,), the clusters, say.
        second: group numbers (rows,), a column.
        within: group numbers (rows,); the second grouping is shuffled inside each of them only.
        units: numbers (rows,) of what is drawn; the second grouping is the same for all rows of a unit (where it is
            not, that of its first row counts), and whole units change places.
        given: group numbers (rows,) that the first grouping is crossed with: each has its own habits (each head its
            own clusters). The information is then that of both together with the second grouping.
        permutations: shuffles of each null.

    Raises:
        DataError: one of them is the same for all rows or all units; `within` leaves nothing to shuffle.

    >>> found = associate([0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1, 1, 1])
    >>> round(found.mutual_information, 4), found.cramers_v, found.p_value < 0.1
    (0.6931, 1.0, True)
    >>> associate([0, 0, 1, 1] * 9, [0, 1, 2, 2] * 9, units=[0, 1, 2, 3] * 9).p_value > 0.1  # four draws, not 36
    True
    """
    check_count(permutations, "permutations")
    (a, rows), (b, columns) = _compact(first, "the first grouping"), _compact(second, "the second grouping")
    check_same_rows(len(a), len(b), "groupings", "values")
    table = cross_counts(a, b, (len(rows), len(columns)))
    unit = None if units is None else _compact(units, "what is drawn")[0]
    if unit is not None:
        check_same_rows(len(unit), len(b), "units", "rows")
        b = b[np.unique(unit, return_index=True)[1]][unit]  # that of the first row of the unit
    crossed = a if given is None else encode(a * (2 + np.max(given)) + given)[0]
    shape = (int(crossed.max()) + 1, len(columns))

    def statistic(values: NDArray[np.int64]) -> float:
        return float(information(cross_counts(crossed, values, shape)[None])[0])

    options = {"permutations": permutations, "seed": seed}
    nulls: dict[str, Null] = {}
    if within is not None:
        nulls["within"] = permutation_null(statistic, b, draw=within_groups(within), **options)
    if unit is not None:
        nulls["units"] = _unit_null(crossed, b, unit, shape, **options)
    if not nulls:
        crossing = cross_counts(crossed, b, shape)
        block = max(2, CELLS // crossing.size)
        nulls["rows"] = permutation_null(information, crossing, draw=cross_tables, block=block, **options)
    null = nulls[list(nulls)[-1]]
    adjusted = _adjusted(a, b) if given is None else _adjusted_given(crossed, given, b, null)
    return Association(table[np.ix_(rows, columns)], null.observed, adjusted, *cramers_v(table), nulls)


def _unit_null(
    crossed: NDArray[np.int64], b: NDArray[np.int64], unit: NDArray[np.int64], shape: tuple[int, int], *,
    permutations: int, seed: int,
) -> Null:  # fmt: skip
    """The null of whole units that change places, from the rows of each unit in each group: no row is looked at twice.

    Args:
        crossed, b: groupings (rows,); the second is the same for all rows of a unit.
        unit: numbers (rows,) of what is drawn.
        shape: numbers of groups.
    """
    values = b[np.unique(unit, return_index=True)[1]]  # (units,)
    if (values == values[0]).all():
        got = f"{len(values)} units"
        raise DataError("all units have the same value", got=got, expected="two or more values")
    pairs, rows = np.unique(unit * shape[0] + crossed, return_counts=True)
    units, groups = np.divmod(pairs, shape[0])

    def statistic(of_units: NDArray[np.int64]) -> float:
        cells = np.bincount(groups * shape[1] + of_units[units], rows, shape[0] * shape[1])
        return float(information(cells.astype(np.int64).reshape(shape)[None])[0])

    return replace(permutation_null(statistic, values, permutations=permutations, seed=seed), rows=len(b))


def _adjusted(a: NDArray[np.int64], b: NDArray[np.int64]) -> float:
    from sklearn.metrics import adjusted_mutual_info_score

    return float(adjusted_mutual_info_score(a, b))


def _adjusted_given(crossed: NDArray[np.int64], given: ArrayLike, b: NDArray[np.int64], null: Null) -> float:
    """As the adjusted mutual information, by the mean of two entropies: that of the clusters within a given group."""
    inside = _entropy(np.bincount(crossed)) - _entropy(np.bincount(np.asarray(given)))
    most = (inside + _entropy(np.bincount(b))) / 2
    return (null.observed - null.mean) / max(most - null.mean, 1e-12)


def _entropy(counts: NDArray[np.int64]) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


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

    information = entropy(tables.sum(axis=2)) + entropy(tables.sum(axis=1)) - entropy(tables)
    return np.maximum(information, 0.0)


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
    return {"holm": holm(p), "bh": np.asarray(false_discovery_control(p))}


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
        DataError: all numbers are the same, or one is not finite.
        OptionError: no bins.

    >>> quantile_bins([1.0, 2.0, 3.0, 4.0], 2)
    (array([0, 0, 1, 1]), ('1 to 2.5', '2.5 to 4'))
    """
    from pandas import qcut

    numbers = check_values(values, "the numbers to cut into bins")
    check_count(bins, "bins")
    if (numbers == numbers[0]).all():
        what = "numbers that are all the same cannot be cut into bins"
        raise DataError(what, got=f"{numbers[0]:g} in {len(numbers)} rows", expected="two different numbers or more")
    places, edges = qcut(numbers, bins, labels=False, retbins=True, duplicates="drop")
    return places.astype(np.int64), tuple(f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges))


def _compact(values: ArrayLike, what: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Groups numbered by their first rows (rows,), so that no name moves the null; the places of the sorted groups."""
    numbers = check_labels(values, 2**62, what)
    codes, groups = encode(numbers, by_row=True)
    if len(groups) < 2:
        raise DataError(f"{what} is the same for all rows", got=f"{len(numbers)} rows", expected="two or more groups")
    return codes, np.argsort(groups)
