"""Ways to decide from the same vectors and head; k, temperature and weights in them are chosen on validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product

import numpy as np
from scipy.special import log_softmax
from studies.many_classes.ideas import TrainedParts

from separatrix.geometry.evidence import soft_votes
from separatrix.geometry.neighbors import neighbors, unit_rows

KS, TEMPERATURES = (10, 50), (0.02, 0.05, 0.1)
WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
Scores = Mapping[str, np.ndarray]  # part -> (rows, classes)


def decisions(
    trained: TrainedParts, labels: Mapping[str, np.ndarray], classes: int
) -> dict[str, dict[str, np.ndarray]]:
    """Way -> part -> predicted class numbers (rows,), for all parts but the training rows.

    Args:
        trained: vectors and head.
        labels: class numbers of each part.
        classes: how many.
    """
    parts = [part for part in trained.vectors if part != "train"]
    y, vectors = labels["train"], {part: unit_rows(values) for part, values in trained.vectors.items()}
    shares = np.bincount(y, minlength=classes) / len(y)
    gold = labels["validation"]
    near = {part: neighbors(vectors[part], vectors["train"], min(max(KS), len(y))) for part in parts}
    votes: list[Scores] = [
        {part: soft_votes(near[part], y, classes, k, temperature) for part in parts}
        for k, temperature in product(KS, TEMPERATURES)
    ]
    sums = np.zeros((classes, vectors["train"].shape[1]))
    np.add.at(sums, y, vectors["train"])
    means = {part: vectors[part] @ unit_rows(sums).T for part in parts}
    ways: dict[str, Scores] = {"knn": best(votes, gold), "mean": means}
    ways["knn balanced"] = best([_shifted(one, -np.log(shares)) for one in votes], gold)
    if trained.head is not None:
        weight, bias = trained.head
        head = {part: log_softmax(trained.vectors[part] @ weight.T + bias, axis=1) for part in parts}
        ways = {"head": head, **ways, "head balanced": _shifted(head, -np.log(shares))}
        both = [_sum(head, one, share) for one in votes for share in WEIGHTS]
        ways["head and votes"] = best(both, gold)
        ways["head and means"] = best([_sum(head, means, 10 * share) for share in WEIGHTS], gold)
    return {way: {part: scores[part].argmax(axis=1) for part in parts} for way, scores in ways.items()}


def best(tried: list[Scores], gold: np.ndarray) -> Scores:
    """The scores with most validation rows right; of equal ones the first."""
    right: Callable[[Scores], float] = lambda scores: float(np.mean(scores["validation"].argmax(axis=1) == gold))  # noqa: E731
    return max(tried, key=right)


def _shifted(scores: Scores, by: np.ndarray) -> Scores:
    return {part: values + by for part, values in scores.items()}


def _sum(one: Scores, other: Scores, weight: float) -> Scores:
    return {part: values + weight * other[part] for part, values in one.items()}
