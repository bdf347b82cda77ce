"""Which rows a map is fitted to, and which are kept to score it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from separatrix.errors import DataError, ShapeError
from separatrix.geometry.checks import check_same_rows
from separatrix.recipe.project import ProjectRecipe

LEAST = 5  # rows of the smallest map, and held-out rows that can score a guided one


def draw_held_out(labels: NDArray[np.int64], share: float, seed: int) -> NDArray[np.bool_]:
    """Which rows (rows,) to hold out: the share of each class, but never a whole class; rows of class -1 are held out.

    >>> draw_held_out(np.array([0, 0, 0, 0, 1, -1]), 0.5, 0).tolist().count(True)
    3
    """
    held = labels < 0
    order = np.random.default_rng(seed).permutation(len(labels))
    for label in np.unique(labels[~held]):
        own = order[labels[order] == label]
        held[own[: min(round(share * len(own)), len(own) - 1)]] = True
    return held


def known_labels(labels: ArrayLike | None, count: int) -> NDArray[np.int64]:
    """Class numbers (rows,), -1 where there is none."""
    if labels is None:
        return np.full(count, -1)
    known = np.asarray(labels)
    if known.ndim != 1 or known.dtype.kind not in "iu":
        got = f"{known.dtype} {known.shape}"
        raise ShapeError("labels must be class numbers", got=got, expected="integers (rows,)")
    check_same_rows(len(known), count, "labels", "points")
    return known.astype(np.int64)


def choose_rows(
    known: NDArray[np.int64], train: ArrayLike | None, recipe: ProjectRecipe, guided: bool
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Rows to fit, in their order, and what to say of the choice."""
    notes: tuple[str, ...] = ()
    may = np.ones(len(known), bool)
    if guided:
        may, notes = _guides(known, train, recipe)
    places = np.flatnonzero(may)
    if len(places) < LEAST:
        raise DataError("too few rows to fit a map to", got=f"{len(places)} rows", expected=f"{LEAST} or more")
    if len(places) > recipe.fit_rows:
        drawn = np.random.default_rng(recipe.seed).choice(len(places), recipe.fit_rows, replace=False)
        notes += (f"fitted to {recipe.fit_rows} of {len(places)} rows, drawn with seed {recipe.seed}",)
        places = places[np.sort(drawn)]
    return places, notes


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
    classes, held = len(np.unique(known[may])), int((~may & (known >= 0)).sum())
    if classes < 2:
        got = f"{classes} class{'es' * (classes != 1)} among {int(may.sum())} rows"
        raise DataError("a guided map needs labels of two classes or more", got=got, hint="name their column: --label")
    if held < LEAST:
        raise DataError("too few held-out rows to score a guided map", got=held, expected=f"{LEAST} or more")
    return may, (note,)
