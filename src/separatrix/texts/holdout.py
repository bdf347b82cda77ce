"""Rows held out of those to learn from, and how, in words; where no validation rows were given, a tenth of them."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import replace

import numpy as np

from separatrix.codes import encode
from separatrix.errors import DataError
from separatrix.texts.audit import duplicates, overlap
from separatrix.texts.split import KEPT, text_numbers
from separatrix.texts.table import Texts

HELD_OUT = 0.1
FEWEST_ROWS = 20  # a tenth of fewer is a single row, which can choose nothing
FEWEST_GROUPS = 5  # one whole group of fewer is too much of the data, and the choice would be that group's


OWN = "give them yourself with validation=(X, y)"
FILES = "add rows of each class, or give train, validation and test as files of one folder"


def hold_out_part(
    part: str, table: Texts, share: float, seed: int, by: str = "label", *, hint: str = FILES
) -> tuple[Texts, Texts, str]:
    """The rows that stay, those that are held out, and how, in words.

    Args:
        part: that the held-out rows are for.
        table: rows to learn from.
        share: to hold out.
        seed: of the draw.
        by: as for `Texts.split`.
        hint: what to do where nothing can be held out.

    Raises:
        DataError: too few rows; a class would be left with one row to learn from.

    >>> hold_out_part("test", Texts.of(["u", "v", "w", "x", "x"], ["a", "a", "a", "b", "b"]), 0.3, seed=0)[2]
    '(stratified by label, seed 0; the copies of a text stay on one side: 1 repeated row)'
    """
    rest, held = table.split(share, seed, by)
    if by == "group":
        return rest, held, f"(whole groups, seed {seed})"
    way = "drawn plainly"
    if by == "label" and table.kind == "sets":
        way = "with the share of each label"
    elif by == "label" and table.kind in ("names", "integers"):
        way = "stratified by label"
        _refuse_single(part, table, rest, hint)
    copies = duplicates(table).normalised
    if not copies or overlap(rest, held).normalised:
        return rest, held, f"({way}, seed {seed})"
    rows = f"{copies} repeated row{'s' if copies > 1 else ''}"
    return rest, held, f"({way}, seed {seed}; the copies of a text stay on one side: {rows})"


def _refuse_single(part: str, table: Texts, rest: Texts, hint: str) -> None:
    """Refuse a hold-out that leaves a class one of its rows: none had more to give."""
    assert table.label is not None
    assert rest.label is not None
    before, left = Counter(table.label.tolist()), Counter(rest.label.tolist())
    if any(rows >= KEPT > left[label] for label, rows in before.items()):
        raise DataError(
            f"{table.source}: no class has a row to spare for {part}",
            got=f"{len(before)} classes in {len(table)} rows",
            expected="3 different texts of a class: two to learn from, one to hold out",
            hint=hint,
        )


def draw_spare(table: Texts, share: float, seed: int) -> np.ndarray | None:
    """Rows of groups that keep others, (rows,) bool; None where no group has a row to spare.

    The share is one of the rows whose group has more than one. Without groups all rows are of one.

    >>> draw_spare(Texts.of(["t", "u", "v", "w"], None, ["a", "a", "b", "c"]), 0.5, seed=0).sum()
    np.int64(1)
    """
    group = np.zeros(len(table), np.int64) if table.group is None else encode(table.group)[0]
    numbered = replace(table, id=np.arange(len(table)))
    try:
        _, held, _ = hold_out_part("seen", numbered.where(np.bincount(group)[group] > 1), share, seed)
    except DataError:  # too few rows, in all or of each class
        return None
    drawn = np.isin(numbered.id, held.id)
    drawn &= np.isin(group, group[~drawn])  # a group that was drawn whole stays
    text = text_numbers(table.text)
    apart = drawn & ~np.isin(text, text[~drawn])  # and so do copies of a text that stays, if others are left
    drawn = apart if apart.any() else drawn
    return drawn if drawn.any() else None


def refuse_last_group(table: Texts, rest: Texts) -> None:
    """Refuse to hold out whole groups for test where that leaves one, which cannot be parted for validation."""
    groups, left = (set() if texts.group is None else {*texts.group.tolist()} for texts in (table, rest))
    if len(left) > 1:
        return
    got, expected, hint = f"{len(groups)} groups", "3 groups or more", "type --test 0 to hold out for validation alone"
    if len(groups) > 2:
        got = f"{len(groups) - 1} of {len(groups)} groups held out for test"
        expected, hint = "two groups that are left", f"{hint}, or a smaller --test"
    head = f"{table.source}: whole groups cannot be held out for both test and validation"
    raise DataError(head, got=got, expected=expected, hint=hint)


def hold_out(table: Texts, seed: int) -> tuple[Texts, Texts]:
    """Training and validation rows: a seeded tenth is held out, stratified by class.

    Raises:
        DataError: too few rows, in all or of each class.
    """
    if len(table) < FEWEST_ROWS:
        raise DataError(
            f"{table.source}: too few rows to hold a tenth out for validation",
            got=len(table),
            expected=f"{FEWEST_ROWS} or more",
            hint=OWN,
        )
    return hold_out_part("validation", table, HELD_OUT, seed, hint=f"add rows of each class, or {OWN}")[:2]


def hold_out_whole(table: Texts, seed: int) -> tuple[Texts, Texts, str]:
    """Training and validation rows of texts with groups, and how they were parted, in words.

    Validation has whole groups where there are five or more: what shall hold for new groups is chosen on new groups.
    Where that would leave it a single class, or less than half of a tenth, it is a tenth stratified by class.

    Raises:
        DataError: too few rows.

    >>> table = Texts.of([f"row {n}" for n in range(40)], ["a", "b"] * 20, [f"p{n // 4}" for n in range(40)])
    >>> train, validation, note = hold_out_whole(table, seed=0)
    >>> set(train.group) & set(validation.group), note
    (set(), 'validation: whole groups were held out (1 of 10)')
    """
    assert table.group is not None
    train, validation = hold_out(table, seed)
    groups, why = len(set(table.group.tolist())), f"fewer than {FEWEST_GROUPS} groups"
    if groups >= FEWEST_GROUPS:
        why = "whole groups would have given too few rows, or one class"
        with suppress(DataError):  # each group holds all rows of some class
            left, whole = table.split(HELD_OUT, seed, by="group")
            assert whole.label is not None
            assert whole.group is not None
            if 2 * len(whole) >= HELD_OUT * len(table) and len(set(whole.label.tolist())) > 1:
                new = len(set(whole.group.tolist()))
                return left, whole, f"validation: whole groups were held out ({new} of {groups})"
    return train, validation, f"validation: a tenth of the rows was held out, stratified by class ({why})"
