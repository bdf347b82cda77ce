"""`--method align | finetune` in a run: the training, its frozen baselines, and what the vectors tell of groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from separatrix.geometry.probe import fit_tuned_probe
from separatrix.geometry.score import classification, decide
from separatrix.learn.align import TrainedEncoder, train_encoder
from separatrix.learn.job import Job
from separatrix.learn.trajectory import FRAME_ROWS, subsample
from separatrix.learn.watch import Counter
from separatrix.models.backbone import load_backbone
from separatrix.models.extract import extract
from separatrix.recipe.align import AlignRecipe
from separatrix.store.table import write_table
from separatrix.study.folder import TRAIN_ROWS

if TYPE_CHECKING:
    import pandas as pd

    from separatrix.learn.saved import Answer
    from separatrix.study.judge import Yardstick
    from separatrix.study.run import Order
    from separatrix.texts import Texts

GAP_DRAWS = 500
PROBE_SHARE = 0.3  # of the rows of each group that the group probe is tested on


def train_order(order: Order, yardstick: Yardstick) -> tuple[TrainedEncoder, dict[str, np.ndarray]]:
    """Train an encoder as ordered; the vectors of all parts before training come along, for the baselines."""
    recipe, splits = order.recipe, order.splits
    assert isinstance(recipe, AlignRecipe)
    backbone = load_backbone(recipe.backbone)
    frozen = {}
    for part, texts in splits.parts.items():
        done = Counter(order.report, f"texts ({part})", len(texts))
        frozen[part] = extract(backbone, texts.text, progress=done).values
    job = Job(splits.train, splits.validation, recipe, yardstick.quick, order.folder, order.report)
    trained = train_encoder(job)
    if order.folder is not None:
        write_table(order.folder / TRAIN_ROWS, mapped_rows(splits.train, recipe.loop.seed))
    return trained, frozen


def mapped_rows(train: Texts, seed: int) -> pd.DataFrame:
    """The training rows of which the trajectory keeps outputs: id, text, label."""
    import pandas as pd

    some = train.take(subsample(len(train), FRAME_ROWS, seed))
    return pd.DataFrame({"id": some.id, "text": list(some.text), "label": some.label})


def group_report(
    train: Texts, parts: dict[str, Texts], answers: dict[str, Answer], targets: dict[str, np.ndarray], names: tuple
) -> dict[str, Any]:
    """What vectors and answers owe to the group (the training rows have one).

    For each part: `probe`, how well a linear probe reads the group out of the vectors, beside `chance` (the share of
    the largest group), both on rows that the probe did not see; and the figures of the answers on `seen` groups (those
    of the training rows) and on `unseen` ones, with the gap in macro-F1.
    """
    assert train.group is not None
    known = set(train.group.tolist())
    report: dict[str, Any] = {}
    for part, texts in parts.items():
        if texts.group is None or part not in answers:
            continue
        seen = np.array([group in known for group in texts.group.tolist()])
        found: dict[str, Any] = {"probe": probe_groups(answers[part].vectors, texts.group)}
        for name, rows in (("seen", seen), ("unseen", ~seen)):
            found[name] = _figures(answers[part].scores[rows], targets[part][rows], names) if rows.any() else None
        found["gap"] = found["gap_interval"] = None
        if seen.any() and not seen.all():
            found["gap"] = found["seen"]["macro_f1"] - found["unseen"]["macro_f1"]
            found["gap_interval"] = gap_interval(answers[part].scores, targets[part], seen, len(names))
        report[part] = found
    return report


def gap_interval(scores: np.ndarray, gold: np.ndarray, seen: np.ndarray, classes: int, seed: int = 0) -> list[float]:
    """95 % bootstrap interval of macro-F1 on the seen rows less that on the others; each side is drawn on its own.

    Args:
        scores: (rows, classes).
        gold: class numbers (rows,).
        seen: (rows,) bool.
        classes: number of classes.
        seed: of the draws.
    """
    predicted, generator = decide(scores, classes), np.random.default_rng([seed, 5])
    sides = []
    for rows in (seen, ~seen):
        counts = np.bincount(gold[rows] * classes + predicted[rows], minlength=classes**2)
        # Drawing rows with replacement is drawing cells of the confusion matrix.
        drawn = generator.multinomial(counts.sum(), counts / counts.sum(), size=GAP_DRAWS)
        sides.append(macro_f1(drawn.reshape(GAP_DRAWS, classes, classes)))
    return [float(value) for value in np.percentile(sides[0] - sides[1], (2.5, 97.5))]


def macro_f1(confusion: np.ndarray) -> np.ndarray:
    """Macro-F1 of confusion matrices (..., gold, predicted), over the classes that have gold rows or predictions.

    >>> macro_f1(np.array([[2, 0, 0], [1, 1, 0], [0, 0, 0]])).round(4)
    np.float64(0.7333)
    """
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    both = confusion.sum(axis=-1) + confusion.sum(axis=-2)  # (..., classes)
    return (2 * right / np.maximum(both, 1)).sum(axis=-1) / (both > 0).sum(axis=-1)


def group_notes(report: dict[str, Any]) -> list[str]:
    """What a group report says, a sentence for each part.

    >>> found = {"accuracy": 0.5, "interval": [0.4, 0.6], "chance": 0.25, "groups": 4, "rows": 90}
    >>> group_notes({"test": {"probe": found, "gap": None}})[0]
    'test: a linear probe reads the group out of the vectors with accuracy 0.500 [0.400, 0.600], chance 0.250'
    """
    notes = []
    for part, found in report.items():
        if (probe := found["probe"]) is not None:
            low, high = probe["interval"]
            figures = f"{probe['accuracy']:.3f} [{low:.3f}, {high:.3f}], chance {probe['chance']:.3f}"
            notes.append(f"{part}: a linear probe reads the group out of the vectors with accuracy {figures}")
        if found["gap"] is not None:
            low, high = found["gap_interval"]
            gap = f"{found['gap']:+.3f} [{low:+.3f}, {high:+.3f}]"
            notes.append(f"{part}: macro-F1 on groups of the training rows less that on others: {gap}")
    return notes


def probe_groups(vectors: np.ndarray, group: np.ndarray, seed: int = 0) -> dict[str, Any] | None:
    """Accuracy of a linear probe for the group, with interval, on held-out rows; None where no two groups have rows.

    Args:
        vectors: (rows, width).
        group: (rows,) names.
        seed: of the held-out rows.
    """
    names, codes, sizes = np.unique(group.astype(str), return_inverse=True, return_counts=True)
    usable = np.flatnonzero(sizes >= 4)  # fewer rows leave nothing to learn from, or nothing to test on
    if len(usable) < 2:
        return None
    rows = np.isin(codes, usable)
    y = np.searchsorted(usable, codes[rows])
    generator = np.random.default_rng([seed, 3])
    held = np.zeros(len(y), dtype=bool)
    for label in range(len(usable)):
        own = generator.permutation(np.flatnonzero(y == label))
        held[own[: max(1, int(PROBE_SHARE * len(own)))]] = True
    x = vectors[rows]
    probe = fit_tuned_probe(x[~held], y[~held], len(usable), seed=seed)
    found = classification(y[held], decide(probe.scores(x[held]), len(usable)), tuple(names[usable].tolist()))
    return {
        "accuracy": found.accuracy,
        "interval": list(found.interval),
        "chance": float(np.bincount(y[held]).max() / held.sum()),
        "groups": len(usable),
        "rows": int(held.sum()),
    }


def _figures(scores: np.ndarray, gold: np.ndarray, names: tuple) -> dict[str, Any]:
    found = classification(gold, decide(scores, len(names)), names)
    return {
        "accuracy": found.accuracy,
        "interval": list(found.interval),
        "macro_f1": found.macro_f1,
        "macro_f1_interval": list(found.macro_f1_interval),
        "majority": found.majority,
        "rows": len(gold),
    }
