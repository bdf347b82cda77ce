"""Which rows make a step, and how fast it goes: functions of (seed, epoch, step), so a resumed run repeats them.

`balanced` batches have as many rows of each class, so that each row meets its own class, however many classes there
are. With groups, each class takes its rows from its groups in turn: a publisher with half of a class's rows has no
more to say of it than one with a few, and the group of a row no longer tells its class.
"""

from __future__ import annotations

import numpy as np

from separatrix.errors import DataError, OptionError

# Batches whose rows are sorted by length together: little padding, and still a different mix in every epoch.
POOL = 16


def batches(lengths: np.ndarray, size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """All rows once, in shuffled batches of similar length.

    Args:
        lengths: tokens of each row, (rows,).
        size: rows of a batch; the last of each pool may be smaller, but a row alone joins the batch before it, because
            pair losses need two.
        epoch: counted from 0; every epoch has its own order.

    >>> [batch.tolist() for batch in batches(np.array([3, 1, 2, 9]), 2, seed=0, epoch=0)]
    [[0, 3], [1, 2]]
    """
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(len(lengths))
    parts: list[np.ndarray] = []
    for start in range(0, len(order), size * POOL):
        pool = order[start : start + size * POOL]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        parts += np.split(pool, range(size, len(pool), size))
        if len(parts[-1]) == 1 < size and len(parts) > 1:
            parts[-2:] = [np.concatenate(parts[-2:])]
    return [parts[number] for number in generator.permutation(len(parts))]


def rate(step: int, steps: int, warmup: float) -> float:
    """Factor of every learning rate: rises linearly over the warm-up, then falls linearly to zero.

    >>> [round(rate(step, 10, 0.2), 3) for step in (0, 1, 2, 9)]
    [0.5, 1.0, 1.0, 0.125]
    """
    rise = warmup * steps
    if step < rise:
        return min(1.0, (step + 1) / rise)
    return (steps - step) / max(1.0, steps - rise)


def frame_steps(steps: int, count: int) -> frozenset[int]:
    """The steps after which a picture of the outputs is kept: evenly spread, the last one always.

    >>> sorted(frame_steps(10, 3))
    [3, 7, 10]
    """
    return frozenset(np.linspace(0, steps, count + 1)[1:].round().astype(int).tolist()) if count else frozenset()


def balanced(
    y: np.ndarray, size: int, class_rows: int, seed: int, epoch: int, group: np.ndarray | None = None
) -> list[np.ndarray]:
    """As many batches as an epoch of all rows has, each of size // class_rows classes with class_rows rows or more.

    Classes take turns in a shuffled order, and so do the rows of each class: a rare class's rows come often, a frequent
    one's not in every epoch. A class with fewer rows gives all of them; where all classes fit, each gives its share.

    Args:
        size: rows of a batch.
        class_rows: rows of one class in a batch.
        epoch: counted from 0.
        group: group numbers (rows,), where the groups of a class take turns too, with `class_rows` rows each.

    Raises:
        OptionError: a batch has no room for two classes.

    >>> [np.bincount(np.array([0, 0, 0, 0, 1, 1])[batch]).tolist() for batch in balanced(
    ...     np.array([0, 0, 0, 0, 1, 1]), 4, 2, seed=0, epoch=0)]
    [[2, 2], [2, 2]]
    """
    classes = [np.flatnonzero(y == label) for label in np.unique(y)]
    wanted = min(size // class_rows, len(classes))
    share = max(class_rows, size // len(classes))
    if size // class_rows < 2:
        raise OptionError(
            "a balanced batch has no room for two classes",
            got=f"--batch-size {size} with --class-rows {class_rows}",
            expected=f"--batch-size {2 * class_rows} or more",
        )
    generator = np.random.default_rng([seed, epoch, 2])
    lines = [
        _ShuffledRows(rows, generator) if group is None else _Groups(rows, group[rows], class_rows, generator)
        for rows in classes
    ]
    turns = _ShuffledRows(np.arange(len(classes)), generator)
    taken = []
    for _ in range(-(-len(y) // size)):
        chosen = turns.take(wanted)
        taken.append(np.concatenate([lines[label].take(min(share, len(classes[label]))) for label in chosen]))
    return taken


class _ShuffledRows:
    """Items in shuffled order again and again; what is taken at once has no item twice."""

    def __init__(self, items: np.ndarray, generator: np.random.Generator) -> None:
        self.items, self.generator = items, generator
        self.left = generator.permutation(items)

    def take(self, count: int) -> np.ndarray:
        if count <= len(self.left):
            taken, self.left = self.left[:count], self.left[count:]
            return taken
        taken = self.left
        rest = self.generator.permutation(np.setdiff1d(self.items, taken))
        again = self.generator.permutation(self.items)
        more = rest[: count - len(taken)]
        self.left = again[~np.isin(again, more)]
        return np.concatenate([taken, more])


class _Groups:
    """Rows of a class: its groups in shuffled order again and again, as many rows of each; small ones give all."""

    def __init__(self, rows: np.ndarray, group: np.ndarray, size: int, generator: np.random.Generator) -> None:
        self.lines = [_ShuffledRows(rows[group == one], generator) for one in np.unique(group)]
        self.turns = _ShuffledRows(np.arange(len(self.lines)), generator)
        self.size = size

    def take(self, count: int) -> np.ndarray:
        wanted = min(-(-count // self.size), len(self.lines))
        chosen = [self.lines[turn] for turn in self.turns.take(wanted)]
        share = -(-count // wanted)
        return np.concatenate([line.take(min(share, len(line.items))) for line in chosen])[:count]


def check_classes(y: np.ndarray, names: tuple[str, ...], batch_size: int, *, alone: bool) -> list[str]:
    """What is worth saying of the classes before pairs are made of them.

    Args:
        y: class numbers of the training rows.
        names: of the classes.
        batch_size: rows of a batch.
        alone: partners come from the batch alone.

    Raises:
        DataError: no class has two rows, so no pair of one class exists.
    """
    sizes = np.bincount(y, minlength=len(names))
    single = [name for name, size in zip(names, sizes, strict=True) if size == 1]
    if len(single) == len(names):
        raise DataError("every class has one row: no two rows are of one class", hint="use --method probe")
    notes = [f"the class {name!r} has one row, so it has no pair of its own" for name in single[:3]]
    if len(single) > 3:
        notes.append(f"{len(single) - 3} more classes have one row")
    if alone and batch_size < len(names):
        notes.append(
            f"a batch of {batch_size} rows cannot hold all {len(names)} classes: "
            "some rows meet none of their own (--pairs bank, or --sampler balanced)"
        )
    return notes
