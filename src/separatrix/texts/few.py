"""A few examples of each class, drawn by a seed: what a training of the few-example kind may see."""

from __future__ import annotations

import numpy as np

from separatrix.errors import DataError, OptionError
from separatrix.texts.table import Texts


def few(texts: Texts, per_class: int, seed: int = 0) -> Texts:
    """At most `per_class` rows of each class, in the order of the source; a smaller class gives all its rows.

    Raises:
        DataError: no labels, or numbers to predict.
        OptionError: fewer than one row a class.

    >>> few(Texts.of(["a", "b", "c", "d"], ["x", "x", "x", "y"]), 2).label.tolist()
    ['x', 'x', 'y']
    """
    if per_class < 1:
        raise OptionError("--per-class is out of range", got=per_class, expected="1 or more")
    if texts.label is None or texts.kind == "floats":
        raise DataError(f"{texts.source}: a few rows of each class need classes", hint="name their column with --label")
    order = np.random.default_rng([seed, 4]).permutation(len(texts))
    codes = np.unique(texts.label, return_inverse=True)[1][order]
    by_class = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes)
    rank = np.arange(len(codes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return texts.take(np.sort(order[by_class[rank < per_class]]))
