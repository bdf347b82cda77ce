"""Which rows are held out: seeded masks, stratified by class or whole groups at a time.

By class, each class gives its share to the nearest row (largest remainders first, of equal ones those that the seed
draws: of many classes of few rows the same ones would else go without whatever the seed) and keeps two rows for
training, so a class with one or two rows stays in training. Names of classes decide nothing. By group, groups are drawn
in random order while they bring the held-out rows nearer to the share asked for; a group that holds all but one of a
class's training rows is passed over.
Where nothing could be held out in this way, one row of a class is enough.

Rows with one text are drawn as one, by the label of the first of them, and are passed over where they are more than is
still wanted. Without copies the draw is that of rows, and so it is for a class of which no text fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from separatrix.codes import cross_counts, encode, ranks_in_class
from separatrix.errors import DataError, OptionError
from separatrix.texts.characters import normalise

KEPT = 2  # training rows of each class: one that is alone cannot be both learnt and checked


def _check(rows: int, share: float, source: str) -> int:
    if not 0 < share < 1:  # also refuses NaN
        raise OptionError(
            "the share to hold out is out of range", got=share, expected="a number between 0 and 1, both excluded"
        )
    if rows < 2:
        raise DataError(f"{source} is too small to hold rows out", got=f"{rows} row", expected="2 rows or more")
    return min(max(int(rows * share + 0.5), 1), rows - 1)


def text_numbers(texts: Sequence[str]) -> np.ndarray:
    """The number of each row's text, (rows,), by first rows; one up to case and white space is the same.

    >>> text_numbers(["Who?", "Why?", "who?"])
    array([0, 1, 0])
    """
    forms = (normalise(text).encode("utf-8", "surrogatepass") for text in texts)
    short = (int.from_bytes(blake2b(form, digest_size=8).digest(), signed=True) for form in forms)  # texts can be long
    return encode(np.fromiter(short, np.int64, len(texts)), by_row=True)[0]


def hold_out_rows(
    rows: int, share: float, seed: int, *, text: np.ndarray | None = None, source: str = "the data"
) -> np.ndarray:
    """A plain random mask: (rows,) bool, True = held out; `share` of the rows, at least one on each side.

    With `text` as for `hold_out_stratified`.

    >>> hold_out_rows(10, 0.3, seed=0).sum().item()
    3
    """
    wanted = np.array([_check(rows, share, source)])
    return _drawn(np.zeros(rows, np.int64), np.arange(rows) if text is None else text, wanted, seed)


def hold_out_stratified(
    labels: np.ndarray, share: float, seed: int, *, text: np.ndarray | None = None, source: str = "the data"
) -> np.ndarray:
    """A random mask that keeps the class shares: (rows,) bool, True = held out.

    Each class differs from its exact share by less than one row (of copies, may give fewer), and keeps two rows for
    training: one with fewer than three gives none (one row, where no class has three).

    Args:
        labels: the class of each row.
        share: of the rows to hold out, between 0 and 1.
        seed: the same seed gives the same rows.
        text: number of each row's text, as `text_numbers` gives it: its rows stand on one side, if that can be.
        source: the name used in errors.

    Raises:
        DataError: no class has two rows, so that nothing can be held out.

    >>> labels = np.array(["a"] * 8 + ["b"] * 4 + ["c"], dtype=object)
    >>> held = hold_out_stratified(labels, 0.25, seed=0)
    >>> labels[held].tolist()
    ['a', 'a', 'b']
    """
    wanted = _check(len(labels), share, source)
    _, first, codes, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    lot = np.random.default_rng([seed, 17]).permutation(len(sizes))[first.argsort().argsort()]  # whatever the names
    counts = _largest_remainders(sizes, lot, share, wanted)
    if not counts.any():
        hint = "give more rows"
        if labels.dtype.kind in "iu":
            hint += ", or write the labels with a decimal point if they are numbers to predict"
        raise DataError(
            f"{source}: no class has two rows, so none can be held out", got=f"{len(sizes)} classes", hint=hint
        )
    return _drawn(codes, np.arange(len(labels)) if text is None else text, counts, seed)


def _drawn(codes: np.ndarray, text: np.ndarray, counts: np.ndarray, seed: int) -> np.ndarray:
    """A mask of rows, (rows,) bool: those of whole texts in random order, as many of each class as counted, or fewer.

    A text with more rows of a class than are still wanted is passed over. A class of which none fits gives single rows.

    Args:
        codes: class number of each row.
        text: number of each row's text, by first rows.
        counts: rows to hold out of each class, (classes,).
        seed: of the order.
    """
    copies = np.bincount(text)
    by_text, ends = np.argsort(text, kind="stable"), copies.cumsum()
    order = np.random.default_rng(seed).permutation(len(copies))  # texts
    order = order[np.argsort(codes[by_text[ends - copies]][order], kind="stable")]  # by the class of their first row
    mask, left = np.zeros(len(codes), dtype=bool), counts.copy()
    if copies.max() == 1:
        sizes = np.bincount(codes, minlength=len(counts))
        mask[order[ranks_in_class(sizes) < np.repeat(counts, sizes)]] = True
        return mask
    for number in order.tolist():
        rows = by_text[ends[number] - copies[number] : ends[number]]
        if left[codes[rows[0]]] == 0:
            continue
        given = np.bincount(codes[rows], minlength=len(counts))
        if (given <= left).all():
            mask[rows] = True
            left -= given
    unmet = (left == counts) & (counts > 0)
    if unmet.any():
        mask |= _drawn(codes, np.arange(len(codes)), counts, seed) & unmet[codes]
    return mask


def _largest_remainders(sizes: np.ndarray, lot: np.ndarray, share: float, wanted: int) -> np.ndarray:
    """How many rows each class gives: (classes,) int; the shares rounded so that they add up to `wanted`.

    `sizes` are the rows of each class, (classes,), and `lot` its place in a random order: it decides equal remainders.
    What a small class must keep is not asked of the others, whose rows are thus the same with and without it.
    """
    exact = sizes * share
    counts = np.floor(exact).astype(np.int64)  # at most size - 1, as the share is below 1
    remainder = np.where(counts < sizes - 1, exact - counts, 0.0)
    raised = np.lexsort((lot, -remainder))[: max(wanted - int(counts.sum()), 0)]
    counts[raised[remainder[raised] > 0]] += 1
    spared = np.minimum(counts, np.maximum(sizes - KEPT, 0))
    return spared if spared.any() else counts


def hold_out_groups(
    groups: np.ndarray, classes: np.ndarray | None, share: float, seed: int, *, source: str = "the data"
) -> np.ndarray:
    """A random mask of whole groups: (rows,) bool, True = held out; no group stands on both sides.

    Args:
        groups: the group of each row.
        classes: the class of each row; every class keeps training rows. `None` = no classes to mind.
        share: share of the rows to come near to (groups are not cut, so it is met only roughly).
        source: the name used in errors.

    Raises:
        DataError: fewer than two groups, or each group holds all rows of some class.

    >>> hold_out_groups(np.array(["x", "x", "y", "y"], dtype=object), None, 0.5, seed=0).sum().item()
    2
    """
    wanted = _check(len(groups), share, source)
    codes, names = encode(groups)
    if len(names) < 2:
        raise DataError(f"{source}: whole groups cannot be held out", got="1 group", expected="2 groups or more")
    table = _group_table(codes, classes)  # (groups, classes)
    order = np.random.default_rng(seed).permutation(len(names))
    chosen = _draw_groups(table, order, wanted, KEPT) or _draw_groups(table, order, wanted, 1)
    if not chosen:
        hint = "split by label, or name another column with --group"
        raise DataError(f"{source}: each of the {len(names)} groups holds all rows of some class", hint=hint)
    return np.isin(codes, chosen)


def _draw_groups(table: np.ndarray, order: np.ndarray, wanted: int, least: int) -> list[int]:
    """Groups to hold out, of a table (groups, classes) of rows, so that each class keeps so many for training."""
    left, sizes, taken = table.sum(axis=0), table.sum(axis=1), 0
    chosen: list[int] = []
    for group in order:
        if taken + sizes[group] / 2 <= wanted and _spares_classes(left, table[group], least):
            chosen.append(int(group))
            left, taken = left - table[group], taken + sizes[group]
    if not chosen:  # every group is large: take the smallest that leaves each class some training rows
        chosen = [g for g in np.argsort(sizes, kind="stable").tolist() if _spares_classes(left, table[g], least)][:1]
    return chosen


def _group_table(codes: np.ndarray, classes: np.ndarray | None) -> np.ndarray:
    kinds = np.zeros(len(codes), dtype=np.int64) if classes is None else encode(classes)[0]
    return cross_counts(codes, kinds, (int(codes.max()) + 1, int(kinds.max()) + 1))


def _spares_classes(left: np.ndarray, group: np.ndarray, least: int) -> bool:
    return bool(np.all((left - group)[group > 0] >= least))
