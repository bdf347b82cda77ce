"""A map: points in two or three dimensions, how faithful that is, and a place for points that come later."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from separatrix.errors import DataError, OptionError, ShapeError
from separatrix.geometry.checks import check_distances, check_matrix, check_no_index
from separatrix.geometry.prepare import PREPARES, Change
from separatrix.geometry.project.faithful import Faithfulness, Rows, Separation, faithfulness, separation
from separatrix.geometry.project.methods import METHODS
from separatrix.geometry.project.rows import LEAST, choose_rows, known_labels
from separatrix.recipe.project import ProjectRecipe

_SCORED = 5_000  # rows whose neighbours are compared and counted, drawn with the seed
_PLACED = 4_096  # rows placed at a time
_USUAL = ProjectRecipe()


class Numbers(Protocol):
    """Rows of numbers in memory or on disk."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, width)."""

    def __getitem__(self, places: Any) -> NDArray[Any]:
        """Rows by a slice or by an integer array."""


@dataclass(frozen=True, eq=False)
class Map:
    """Places of all rows, in their order. Made by `make_map`.

    `guided` says that labels helped to draw it: then it was fitted without the held-out rows, and `faithfulness` and
    `separation` are measured on the held-out rows alone. Both are measured against the prepared points.
    """

    recipe: ProjectRecipe
    coordinates: NDArray[np.float32]  # (rows, dimensions)
    fitted: NDArray[np.bool_]  # (rows,): the map was fitted to this row; else the row was placed
    axes: tuple[str, ...]
    guided: bool
    faithfulness: Faithfulness
    separation: Separation | None  # None: no labels, or too few
    seconds: float
    notes: tuple[str, ...]
    width: int
    prepare: Change = field(repr=False)
    lay: Change = field(repr=False)

    @property
    def trustworthiness(self) -> float:
        """Of the map, 0 to 1 (see `Faithfulness`)."""
        return self.faithfulness.trustworthiness

    @property
    def knn_overlap(self) -> float:
        """Of the map, 0 to 1 (see `Faithfulness`)."""
        return self.faithfulness.knn_overlap

    def place(self, points: ArrayLike) -> NDArray[np.float32]:
        """Places (rows, dimensions) of further points (rows, width) in this map.

        The same points get the same places again. With `umap` a place may move a little with the points that are
        placed in the same call.

        Raises:
            DataError: a number that is not finite; the message names the row.
            ShapeError: points of another width than those of the map.
        """
        x = check_matrix(points, "points", width=self.width)
        return np.asarray(self.lay(self.prepare(x)), np.float32)

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values, ready for JSON."""
        found = self.faithfulness
        plain = {
            "method": self.recipe.method,
            "dimensions": self.recipe.dimensions,
            "prepare": self.recipe.prepare,
            "guided": self.guided,
            "seed": self.recipe.seed,
            "rows": len(self.fitted),
            "rows_fitted": int(self.fitted.sum()),
            "axes": list(self.axes),
            "trustworthiness": found.trustworthiness,
            "knn_overlap": found.knn_overlap,
            "k": found.k,
            "rows_compared": found.rows,
            "knn_before": None,
            "knn_after": None,
            "majority": None,
            "seconds": round(self.seconds, 3),
            "notes": list(self.notes),
        }
        if self.separation is not None:
            votes = self.separation
            plain |= {"knn_before": votes.before, "knn_before_interval": list(votes.before_interval)}
            plain |= {"knn_after": votes.after, "knn_after_interval": list(votes.after_interval)}
            plain |= {"majority": votes.majority, "knn_k": votes.k, "knn_rows": votes.rows, "knn_how": votes.how}
        return plain


def make_map(
    points: Numbers,
    recipe: ProjectRecipe = _USUAL,
    *,
    labels: ArrayLike | None = None,
    train: ArrayLike | None = None,
) -> Map:
    """Lay points out in two or three dimensions and say what got lost.

    At most `recipe.fit_rows` rows, drawn with the seed, are fitted; the others are placed. A guided map is fitted to
    rows of `train` with a label (without `train`: to a share `1 - recipe.held_out` of each class), all others are
    placed, and the placed rows with a label score it.

    Args:
        points: (rows, width), in memory or on disk.
        recipe: method, dimensions, preparation, seed and the rest.
        labels: class numbers (rows,); -1 = not known.
        train: (rows,) bool, rows that a guided map may be fitted to.

    Raises:
        DataError: too few rows, rows that are all the same, a number that is not finite, one class only.
        OptionError: `guided` with a method that no label can guide.
        MissingExtra: the library of the method is not installed.

    >>> x = np.random.default_rng(0).normal(size=(60, 5)) * [5, 3, 1, 1, 1]
    >>> found = make_map(x, ProjectRecipe(k=5))
    >>> found.coordinates.shape, found.trustworthiness > 0.9, found.place(x[:1]) == found.coordinates[:1]
    ((60, 2), True, array([[ True,  True]]))
    """
    begun = monotonic()
    guided = is_guided(recipe)
    count, width = _shape(points)
    known = known_labels(labels, count)
    fit, notes = choose_rows(known, train, recipe, guided)
    x = check_distances(_finite(np.asarray(points[fit]), fit), "points")
    # A sample of a row number is no even count any more; in rows that follow each other it is.
    notes += _look(x, x if len(x) == count else _finite(np.asarray(points[:_PLACED]), np.arange(_PLACED)))
    prepare = PREPARES[recipe.prepare](x)
    laid = METHODS[recipe.method].fit(prepare(x), known[fit] if guided else None, recipe)
    coordinates = np.empty((count, recipe.dimensions), np.float32)
    coordinates[fit] = laid.places
    fitted = np.zeros(count, bool)
    fitted[fit] = True
    rest = np.flatnonzero(~fitted)
    for start in range(0, len(rest), _PLACED):
        part = rest[start : start + _PLACED]
        coordinates[part] = laid.place(prepare(_finite(np.asarray(points[part]), part)))
    seconds = monotonic() - begun
    how, votes, said = _Scored(points, prepare, coordinates, known, fitted, recipe).measure(guided)
    notes += laid.notes + (said if labels is not None else ())
    return Map(recipe, coordinates, fitted, laid.axes, guided, how, votes, seconds, notes, width, prepare, laid.place)


def is_guided(recipe: ProjectRecipe) -> bool:
    """Whether labels draw the map of this recipe.

    Raises:
        OptionError: guidance was asked for, but the method takes none.
    """
    guided = METHODS[recipe.method].guided
    if recipe.guided and guided == "never":
        can = ", ".join(name for name, method in METHODS.items() if method.guided != "never")
        raise OptionError(f"--guided has no effect with --method {recipe.method}", expected=f"--method {can}")
    return guided == "always" or recipe.guided


def _shape(points: Numbers) -> tuple[int, int]:
    if len(points.shape) != 2:
        raise ShapeError("points must be a matrix", got=f"shape {tuple(points.shape)}", expected="(rows, width)")
    if points.shape[0] < LEAST or not points.shape[1]:
        got = f"{points.shape[0]} rows of {points.shape[1]} numbers"
        raise DataError("too few rows or columns for a map", got=got, expected=f"{LEAST} rows or more")
    return points.shape[0], points.shape[1]


def _finite(x: NDArray[Any], places: NDArray[np.int64]) -> NDArray[Any]:
    """The rows of these places, checked; a wrong one is named by its place among all rows."""
    wrong = np.flatnonzero(~np.isfinite(x).all(axis=1))
    if len(wrong):
        raise DataError(f"points: row {places[wrong[0]]} is not finite", expected="finite numbers")
    return x


def _look(x: NDArray[Any], head: NDArray[Any]) -> tuple[str, ...]:
    """Refuse rows without differences and a column that numbers the rows; say how many columns are constant."""
    constant = int((x.min(axis=0) == x.max(axis=0)).sum())
    if constant == x.shape[1]:
        raise DataError("every row is the same point, so there is no map", got=f"{len(x)} equal rows")
    if x.shape[1] > 1:
        check_no_index(head)
    return (f"{constant} of {x.shape[1]} columns are constant",) if constant else ()


@dataclass(frozen=True, eq=False)
class _Scored:
    """A finished map beside its points, ready to be measured."""

    points: Numbers
    prepare: Change
    coordinates: NDArray[np.float32]
    known: NDArray[np.int64]
    fitted: NDArray[np.bool_]
    recipe: ProjectRecipe

    def measure(self, guided: bool) -> tuple[Faithfulness, Separation | None, tuple[str, ...]]:
        """Faithfulness, votes before and after, and what to say: of all rows, or of those that guided nothing."""
        k, seed = self.recipe.k, self.recipe.seed
        asked = self._rows(~self.fitted if guided else np.ones(len(self.known), bool))
        found = faithfulness(asked.points, asked.flat, k=k, seed=seed)
        voters = self._rows(self.fitted) if guided else None
        told = _with_label(asked)
        if len(np.unique((voters or told).labels)) < 2 or not len(told.labels):
            return found, None, ("no k-NN accuracy: fewer than two classes are known",)
        return found, separation(told, voters, k=k, seed=seed), ()

    def _rows(self, mask: NDArray[np.bool_]) -> Rows:
        places = np.flatnonzero(mask)
        if len(places) > _SCORED:
            drawn = np.random.default_rng(self.recipe.seed).choice(len(places), _SCORED, replace=False)
            places = places[np.sort(drawn)]
        x = check_matrix(np.asarray(self.points[places]), "points")
        return Rows(self.prepare(x), self.coordinates[places], self.known[places])


def _with_label(rows: Rows) -> Rows:
    told = rows.labels >= 0
    return Rows(rows.points[told], rows.flat[told], rows.labels[told])
