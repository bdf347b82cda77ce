"""A map: points in two or three dimensions, the rows it is fitted to, how faithful it is, a place for later points."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from separatrix.codes import draw_rows
from separatrix.errors import DataError, OptionError, ShapeError
from separatrix.geometry.checks import check_distances, check_matrix, check_no_index, check_same_rows
from separatrix.geometry.prepare import PREPARES, Change
from separatrix.geometry.project.faithful import Faithfulness, MappedRows, VoteAccuracy, faithfulness, vote_accuracy
from separatrix.geometry.project.methods import METHODS, MapLayout
from separatrix.points import Block
from separatrix.recipe.project import ProjectRecipe

LEAST = 5  # rows of the smallest map, and held-out rows that can score a guided one
_SCORED = 5_000  # rows whose neighbors are compared and counted, drawn with the seed
_PLACED = 4_096  # rows placed at a time
_USUAL = ProjectRecipe()


@dataclass(frozen=True, eq=False)
class Map:
    """Places of all rows, in their order. Made by `make_map`.

    `guided` says that labels helped to draw it: then it was fitted without the held-out rows, and `faithfulness` and
    `votes` are measured on the held-out rows alone. Both are measured against the prepared points.
    """

    recipe: ProjectRecipe
    coordinates: NDArray[np.float32]  # (rows, dimensions)
    fitted: NDArray[np.bool_]  # (rows,): the map was fitted to this row; else the row was placed
    axes: tuple[str, ...]
    guided: bool
    faithfulness: Faithfulness
    votes: VoteAccuracy | None  # None: no labels, or too few
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
        plain = {
            "method": self.recipe.method,
            "dimensions": self.recipe.dimensions,
            "prepare": self.recipe.prepare,
            "guided": self.guided,
            "seed": self.recipe.seed,
            "rows": len(self.fitted),
            "rows_fitted": int(self.fitted.sum()),
            "axes": list(self.axes),
            "trustworthiness": self.trustworthiness,
            "knn_overlap": self.knn_overlap,
            "k": self.faithfulness.k,
            "rows_compared": self.faithfulness.rows,
            "knn_before": None,
            "knn_after": None,
            "majority": None,
            "seconds": round(self.seconds, 3),
            "notes": list(self.notes),
        }
        if self.votes is not None:
            votes = self.votes.to_dict()
            whole = {name: votes.pop(name) for name in ("majority", "own", "lost")}
            plain |= {f"knn_{name}": value for name, value in votes.items()}
            plain |= {name: value for name, value in whole.items() if value is not None}
        return plain


@dataclass(frozen=True, eq=False)
class FittedMap:
    """A map that was fitted to all rows elsewhere: how rows are prepared, and where they lie."""

    prepare: Change
    layout: MapLayout  # of all rows, which were checked


def make_map(
    points: Block,
    recipe: ProjectRecipe = _USUAL,
    *,
    labels: ArrayLike | None = None,
    train: ArrayLike | None = None,
    whole: FittedMap | None = None,
    decided: NDArray[np.int64] | None = None,
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
        whole: of a map that was fitted to all rows; it is measured here.
        decided: class numbers (rows,) that a model decided for, whose accuracy the map's vote is compared with.

    Raises:
        DataError: too few rows, rows that are all the same, a number that is not finite, one class only.
        OptionError: `guided` with a method that no label can guide.
        MissingExtra: the library of the method is not installed.

    >>> x = np.random.default_rng(0).normal(size=(60, 5)) * [5, 3, 1, 1, 1]
    >>> flat = make_map(x, ProjectRecipe(k=5))
    >>> flat.coordinates.shape, flat.trustworthiness > 0.9, flat.place(x[:1]) == flat.coordinates[:1]
    ((60, 2), True, array([[ True,  True]]))
    """
    begun = monotonic()
    guided = is_guided(recipe)
    count, width = _shape(points)
    known = _known_labels(labels, count)
    if whole is None:
        fit, notes = _choose_rows(known, train, recipe, guided)
        x = check_distances(_finite(np.asarray(points[fit]), fit), "points")
        # A sample of a row number is no even count any more; in rows that follow each other it is.
        notes += _look(x, x if len(x) == count else _finite(np.asarray(points[:_PLACED]), np.arange(_PLACED)))
        prepare = PREPARES[recipe.prepare](x)
        laid = METHODS[recipe.method].fit(prepare(x), known[fit] if guided else None, recipe)
    else:
        prepare, laid, fit, notes = whole.prepare, whole.layout, np.arange(count), ()
    coordinates = np.empty((count, recipe.dimensions), np.float32)
    coordinates[fit] = laid.coordinates
    fitted = np.zeros(count, bool)
    fitted[fit] = True
    rest = np.flatnonzero(~fitted)
    for start in range(0, len(rest), _PLACED):
        part = rest[start : start + _PLACED]
        coordinates[part] = laid.transform(prepare(_finite(np.asarray(points[part]), part)))
    seconds = monotonic() - begun
    measured, votes = _measure(_MapRows(points, prepare, coordinates, known, recipe, decided), fitted, guided)
    unknown = labels is not None and votes is None
    notes += (*laid.notes, *(("no k-NN accuracy: fewer than two classes are known",) if unknown else ()))
    return Map(
        recipe, coordinates, fitted, laid.axes, guided, measured, votes, seconds, notes, width, prepare, laid.transform
    )


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


def _shape(points: Block) -> tuple[int, int]:
    if len(points.shape) != 2:
        raise ShapeError("points must be a matrix", got=f"shape {tuple(points.shape)}", expected="(rows, width)")
    if points.shape[0] < LEAST or not points.shape[1]:
        got = f"{points.shape[0]} rows of {points.shape[1]} numbers"
        raise DataError("too few rows or columns for a map", got=got, expected=f"{LEAST} rows or more")
    return points.shape[0], points.shape[1]


def _finite(x: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
    """Rows of these numbers, checked; a wrong one is named by its number."""
    wrong = np.flatnonzero(~np.isfinite(x).all(axis=1))
    if len(wrong):
        raise DataError(f"points: row {rows[wrong[0]]} is not finite", expected="finite numbers")
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
class _MapRows:
    """The points of a finished map beside their places, of which some are drawn to be measured."""

    points: Block
    prepare: Change
    coordinates: NDArray[np.float32]
    known: NDArray[np.int64]
    recipe: ProjectRecipe
    decided: NDArray[np.int64] | None = None

    def draw(self, mask: NDArray[np.bool_]) -> MappedRows:
        """Rows of a mask, at most `_SCORED` of them."""
        rows = np.flatnonzero(mask)
        rows = rows[draw_rows(len(rows), _SCORED, self.recipe.seed)]
        x = check_matrix(np.asarray(self.points[rows]), "points")
        decided = None if self.decided is None else self.decided[rows]
        return MappedRows(self.prepare(x), self.coordinates[rows], self.known[rows], decided)


def _measure(rows: _MapRows, fitted: NDArray[np.bool_], guided: bool) -> tuple[Faithfulness, VoteAccuracy | None]:
    """Of all rows, or of those that guided nothing; no votes where fewer than two classes are known."""
    k, seed = rows.recipe.k, rows.recipe.seed
    drawn = rows.draw(~fitted if guided else np.ones(len(fitted), bool))
    measured = faithfulness(drawn.points, drawn.flat, k=k, seed=seed)
    labelled, voters = drawn.labelled(), rows.draw(fitted) if guided else None
    if len(np.unique((voters or labelled).labels)) < 2 or not len(labelled.labels):
        return measured, None
    return measured, vote_accuracy(labelled, voters, k=k, seed=seed)


def draw_held_out(labels: NDArray[np.int64], share: float, seed: int) -> NDArray[np.bool_]:
    """Which rows (rows,) to hold out: the share of each class, but never a whole class; rows of class -1 are held out.

    >>> draw_held_out(np.array([0, 0, 0, 0, 1, -1]), 0.5, 0).tolist().count(True)
    3
    """
    out = labels < 0
    order = np.random.default_rng(seed).permutation(len(labels))
    for label in np.unique(labels[~out]):
        own = order[labels[order] == label]
        out[own[: min(round(share * len(own)), len(own) - 1)]] = True
    return out


def _known_labels(labels: ArrayLike | None, count: int) -> NDArray[np.int64]:
    """Class numbers (rows,), -1 where there is none."""
    if labels is None:
        return np.full(count, -1)
    known = np.asarray(labels)
    if known.ndim != 1 or known.dtype.kind not in "iu":
        got = f"{known.dtype} {known.shape}"
        raise ShapeError("labels must be class numbers", got=got, expected="integers (rows,)")
    check_same_rows(len(known), count, "labels", "points")
    return known.astype(np.int64)


def _choose_rows(
    known: NDArray[np.int64], train: ArrayLike | None, recipe: ProjectRecipe, guided: bool
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Rows to fit, in their order, and what to say of the choice."""
    notes: tuple[str, ...] = ()
    may = np.ones(len(known), bool)
    if guided:
        may, notes = _guides(known, train, recipe)
    rows = np.flatnonzero(may)
    if len(rows) < LEAST:
        raise DataError("too few rows to fit a map to", got=f"{len(rows)} rows", expected=f"{LEAST} or more")
    if len(rows) > recipe.fit_rows:
        notes += (f"fitted to {recipe.fit_rows} of {len(rows)} rows, drawn with seed {recipe.seed}",)
    return rows[draw_rows(len(rows), recipe.fit_rows, recipe.seed)], notes


def _guides(
    known: NDArray[np.int64], train: ArrayLike | None, recipe: ProjectRecipe
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Rows whose labels may guide a map, (rows,) bool; the others score it."""
    if train is None:
        may = ~draw_held_out(known, recipe.held_out, recipe.seed)
        note = f"guided: {recipe.held_out:.0%} of each class was held out with seed {recipe.seed} and scores the map"
    else:
        chosen = np.asarray(train, bool)
        check_same_rows(len(chosen), len(known), "train", "points")
        may = chosen & (known >= 0)
        note = "guided: fitted to the rows of split train; the others score the map"
    classes, held_out = len(np.unique(known[may])), int((~may & (known >= 0)).sum())
    if classes < 2:
        got = f"{classes} class{'es' * (classes != 1)} among {int(may.sum())} rows"
        raise DataError("a guided map needs labels of two classes or more", got=got, hint="name their column: --label")
    if held_out < LEAST:
        raise DataError("too few held-out rows to score a guided map", got=held_out, expected=f"{LEAST} or more")
    return may, (note,)
