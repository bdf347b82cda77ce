"""Validation rows where none were given: a seeded tenth, or whole groups."""

from __future__ import annotations

from contextlib import suppress

from separatrix.errors import DataError
from separatrix.texts.table import Texts

HELD_OUT = 0.1
FEWEST_ROWS = 20  # a tenth of fewer is a single row, which can choose nothing
FEWEST_GROUPS = 5  # one whole group of fewer is too much of the data, and the choice would be that group's


def hold_out(table: Texts, seed: int) -> tuple[Texts, Texts]:
    """Training and validation rows: a seeded tenth is held out, stratified by class.

    Raises:
        DataError: too few rows.
    """
    if len(table) < FEWEST_ROWS:
        raise DataError(
            f"{table.source}: too few rows to hold a tenth out for validation",
            got=len(table),
            expected=f"{FEWEST_ROWS} or more",
            hint="give them yourself with validation=(X, y)",
        )
    return table.split(HELD_OUT, seed)


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
