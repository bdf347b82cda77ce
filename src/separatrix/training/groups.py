"""Groups of a training: how well its vectors tell them, and its figures on groups that it was not trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from separatrix.codes import encode, majority_share
from separatrix.geometry.probe import fit_tuned_probe
from separatrix.geometry.score import classification, decide, mean_f1

if TYPE_CHECKING:
    from separatrix.learn.trained.saved import Predictions
    from separatrix.texts import Texts

GAP_DRAWS = 500
GAP_ROWS = 20  # of each side; fewer, drawn again, show hardly any of the spread that new rows would have
PROBE_SHARE = 0.3  # of the rows of each group that the group probe is tested on


@dataclass(frozen=True, eq=False)
class ScoredRows:
    """Answers on some rows: scores (rows, classes) and class numbers (rows,)."""

    scores: np.ndarray
    gold: np.ndarray


def group_report(
    train: Texts, parts: dict[str, Texts], answers: dict[str, Predictions], targets: dict[str, np.ndarray], names: tuple
) -> dict[str, Any]:
    """What vectors and answers owe to the group (the training rows have one).

    For each part: `probe`, how well a linear probe reads the group out of the vectors, on rows that the probe did not
    see, beside two kinds of chance (`probe_groups`); and the figures of the answers on `seen` groups (those of the
    training rows) and on `unseen` ones, with the gap in macro-F1 where each side has `GAP_ROWS` rows or more. A part
    without a seen group is compared with the part "seen", where there is one.
    """
    assert train.group is not None
    known = set(train.group.tolist())
    report: dict[str, Any] = {}
    sides: dict[str, dict[str, ScoredRows]] = {}
    for part, texts in parts.items():
        if texts.group is None or part not in answers:
            continue
        scores, gold = answers[part].scores, targets[part]
        rows = np.array([group in known for group in texts.group.tolist()])
        masks = {"seen": rows, "unseen": ~rows}
        sides[part] = {name: ScoredRows(scores[mask], gold[mask]) for name, mask in masks.items() if mask.any()}
        report[part] = {"probe": probe_groups(answers[part].vectors, texts.group, label=gold)}
    for part, figures in report.items():
        own = sides[part]
        if part != "seen":
            own = {name: rows for name, rows in sides.get("seen", {}).items() if name == "seen"} | own
        figures |= {name: _figures(own[name], names) if name in own else None for name in ("seen", "unseen")}
        figures["gap"] = figures["gap_interval"] = None
        if len(own) == 2 and _tell_gap(figures):
            figures["gap"] = figures["seen"]["macro_f1"] - figures["unseen"]["macro_f1"]
            figures["gap_interval"] = gap_interval(own["seen"], own["unseen"], len(names))
    return report


def gap_interval(seen: ScoredRows, unseen: ScoredRows, classes: int) -> list[float]:
    """95 % bootstrap interval of macro-F1 on the seen rows less that on the others; each side is drawn on its own.

    Args:
        seen: scores and class numbers of rows of seen groups.
        unseen: of the others.
    """
    generator = np.random.default_rng([0, 5])
    drawn = []
    for side in (seen, unseen):
        counts = np.bincount(side.gold * classes + decide(side.scores, classes), minlength=classes**2)
        # Drawing rows with replacement is drawing cells of the confusion matrix.
        cells = generator.multinomial(counts.sum(), counts / counts.sum(), size=GAP_DRAWS)
        table = cells.reshape(GAP_DRAWS, classes, classes)  # (draws, gold, predicted)
        drawn.append(mean_f1(np.diagonal(table, axis1=1, axis2=2), table.sum(axis=2), table.sum(axis=1)))
    return [float(value) for value in np.percentile(drawn[0] - drawn[1], (2.5, 97.5))]


def group_notes(report: dict[str, Any]) -> list[str]:
    """What a group report says, a sentence for each part.

    >>> figures = {"accuracy": 0.5, "interval": [0.4, 0.6], "chance": 0.25, "chance_by_class": 0.3}
    >>> group_notes({"test": {"probe": figures, "gap": None}})[0]
    'test: a linear probe reads the group out of the vectors with accuracy 0.500 [0.400, 0.600]; chance 0.250, 0.300 knowing the class'
    """  # noqa: E501
    notes = []
    for part, entry in report.items():
        if (probe := entry["probe"]) is not None:
            low, high = probe["interval"]
            figures = f"{probe['accuracy']:.3f} [{low:.3f}, {high:.3f}]; chance {probe['chance']:.3f}"
            figures += f", {probe['chance_by_class']:.3f} knowing the class" if "chance_by_class" in probe else ""
            notes.append(f"{part}: a linear probe reads the group out of the vectors with accuracy {figures}")
        if entry["gap"] is not None:
            low, high = entry["gap_interval"]
            gap = f"{entry['gap']:+.3f} [{low:+.3f}, {high:+.3f}]"
            notes.append(f"{part}: macro-F1 on groups of the training rows less that on others: {gap}")
        elif entry.get("seen") and entry.get("unseen"):
            seen, unseen = entry["seen"]["rows"], entry["unseen"]["rows"]
            rows = f"{seen} row{'s' if seen > 1 else ''} of groups of the training rows and {unseen} of others"
            notes.append(f"{part}: {rows} cannot tell a gap in macro-F1; {GAP_ROWS} of each or more can")
    return notes


def _tell_gap(figures: dict[str, Any]) -> bool:
    return min(figures[side]["rows"] for side in ("seen", "unseen")) >= GAP_ROWS


def probe_groups(vectors: np.ndarray, group: np.ndarray, *, label: np.ndarray | None = None) -> dict[str, Any] | None:
    """Accuracy of a linear probe for the group, with interval, on held-out rows; None where no two groups have rows.

    Args:
        group: (rows,) names.
        label: class numbers (rows,), for `chance_by_class`.
    """
    sizes = dict(zip(*np.unique(group.astype(str), return_counts=True), strict=True))
    # Groups with fewer rows leave nothing to learn from, or nothing to test on.
    rows = np.array([sizes[name] >= 4 for name in group.astype(str)])
    generator = np.random.default_rng([0, 3])
    tested = np.zeros(len(group), dtype=bool)
    for name in sorted(name for name, size in sizes.items() if size >= 4):
        own = generator.permutation(np.flatnonzero(group.astype(str) == name))
        tested[own[: max(1, int(PROBE_SHARE * len(own)))]] = True
    known, test_rows = rows & ~tested, rows & tested
    return probe_between(
        (vectors[known], group[known]),
        (vectors[test_rows], group[test_rows]),
        label=None if label is None else label[test_rows],
    )


def probe_between(
    known: tuple[np.ndarray, np.ndarray],
    tested: tuple[np.ndarray, np.ndarray],
    seed: int = 0,
    *,
    label: np.ndarray | None = None,
) -> dict[str, Any] | None:
    """A linear probe for the group, learnt from some rows and tested on others of the same groups.

    Args:
        known: vectors (rows, width) and group names (rows,) to learn from.
        tested: the same of other rows; those of groups that are not known are left out.
        label: class numbers of the rows of `tested`. Where groups have classes of their own, whoever knows the class
            knows something of the group: `chance_by_class` is how often the largest group of each class is right.
    """
    y, names = encode(known[1].astype(str))
    groups = tested[1].astype(str)
    rows = np.isin(groups, names)
    if len(names) < 2 or not rows.any():
        return None
    gold = np.searchsorted(names, groups[rows])
    probe = fit_tuned_probe(known[0], y, len(names), seed=seed)
    predicted = decide(probe.scores(tested[0][rows]), len(names))
    scores = classification(gold, predicted, tuple(names.tolist()))
    figures = {
        "accuracy": scores.accuracy,
        "interval": list(scores.interval),
        "chance": majority_share(gold),
        "groups": len(names),
        "rows": len(gold),
    }
    if label is not None:
        best = [np.bincount(gold[label[rows] == one]).max() for one in np.unique(label[rows])]
        figures["chance_by_class"] = float(np.sum(best) / len(gold))
    return figures


def _figures(side: ScoredRows, names: tuple) -> dict[str, Any]:
    scores = classification(side.gold, decide(side.scores, len(names)), names)
    return {
        "accuracy": scores.accuracy,
        "interval": list(scores.interval),
        "macro_f1": scores.macro_f1,
        "macro_f1_interval": list(scores.macro_f1_interval),
        "majority": scores.majority,
        "rows": len(side.gold),
    }
