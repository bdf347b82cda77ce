"""Classes that have an order, which is typed and not guessed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from difflib import get_close_matches

from separatrix.errors import DataError, OptionError
from separatrix.texts.characters import plain_name
from separatrix.texts.columns import listing


def class_ranks(names: Sequence[str], order: Sequence[str], source: str = "the labels") -> tuple[int, ...]:
    """The place of each class, in the order of `names`, among those of `order`, 0 for the lowest.

    Args:
        names: the classes of the training rows.
        order: the same names from low to high, in any spelling that looks alike.
        source: the name used in errors.

    Raises:
        OptionError: a name stands twice.
        DataError: a name that is no class, or a class without a place.

    >>> class_ranks(["bad", "good", "so-so"], ["bad", "so-so", "good"])
    (0, 2, 1)
    """
    order = [plain_name(name) for name in order]
    if twice := [name for name, count in Counter(order).items() if count > 1]:
        hint = "name each class once, from low to high"
        raise OptionError("--order names a class twice", got=repr(twice[0]), hint=hint)
    for name in order:
        if name not in names:
            left = [one for one in names if one not in order]
            near = get_close_matches(name, left or names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "leave it away; a class without training rows has no place"
            what = f"{source}: --order names a class that is not there"
            raise DataError(what, got=repr(name), expected=f"all of {listing(list(names))}", hint=hint)
    if missing := [name for name in names if name not in order]:
        what = f"{source}: --order leaves out {len(missing)} of {len(names)} classes"
        hint = "name every class, from low to high"
        raise DataError(what, got=f"nothing of {listing(missing)}", hint=hint)
    return tuple(order.index(name) for name in names)
