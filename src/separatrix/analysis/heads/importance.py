"""What heads are worth, beside their clusters: whether a cluster predicts what may be removed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from separatrix.analysis.heads.association import codes_of
from separatrix.analysis.heads.extract import Reading
from separatrix.geometry.nulls import permutation_null
from separatrix.heads.importance import Importance, head_importance, usual_loss
from separatrix.recipe.heads import HeadsRecipe

SCORES = ("gradient", "ablation")
COLUMN = "importance_{}"  # of the table of heads
SURE = 0.05


def weigh_heads(reading: Reading, recipe: HeadsRecipe) -> Importance | None:
    """The importance of every head, or None where no loss suits."""
    examples, loss = reading.sample.examples, recipe.page.importance
    if loss == "auto":
        loss = usual_loss(reading.backbone, examples)
    if loss == "none" or len({example.context for example in examples}) < 2:
        return None
    return head_importance(reading.backbone, examples, loss, rows=recipe.page.importance_windows)


def importance_by_cluster(weighed: Importance, heads: pd.DataFrame, permutations: int, seed: int) -> dict[str, Any]:
    """Share of the variance of importance that lies between clusters, with heads' clusters shuffled as its null."""
    clusters = codes_of(heads["cluster"])
    layers = heads["layer"].to_numpy()
    found: dict[str, Any] = {"loss": weighed.loss, "base": weighed.base, "rows": weighed.rows}
    for name, scores in zip(SCORES, (weighed.gradient, weighed.ablation), strict=True):
        flat = scores.ravel()

        def between(labels: NDArray[Any], flat: NDArray[Any] = flat) -> float:
            means = np.bincount(labels, flat) / np.maximum(np.bincount(labels), 1)
            return float(((means[labels] - flat.mean()) ** 2).sum() / max(((flat - flat.mean()) ** 2).sum(), 1e-30))

        null = permutation_null(between, clusters, permutations=permutations, seed=seed)
        found[name] = null.to_dict() | {"by_layer": between(layers)}
    return found


def answered(found: dict[str, Any], heads: pd.DataFrame) -> dict[str, Any]:
    """The figures with a line for each cluster and the answer in words."""
    return found | {"by_cluster": cluster_lines(heads), "answer": answer(found)}


def cluster_lines(heads: pd.DataFrame) -> list[dict[str, Any]]:
    """What the heads of each cluster are worth, the dearest cluster first; the last line is that of all heads.

    Args:
        heads: one line a head: `cluster`, `importance_gradient`, `importance_ablation`.
    """
    groups = [("noise" if name == -1 else str(name), part) for name, part in heads.groupby("cluster")]
    lines = [_line(name, part) for name, part in groups]
    return [*sorted(lines, key=lambda line: -line["ablation"]), _line("all", heads)]


def _line(name: str, part: pd.DataFrame) -> dict[str, Any]:
    gradient, ablation = (part[COLUMN.format(score)] for score in SCORES)
    return {
        "cluster": name,
        "heads": len(part),
        "gradient": float(gradient.mean()),
        "ablation": float(ablation.mean()),
        "harmless": int((ablation <= 0).sum()),
    }


def answer(found: dict[str, Any]) -> str:
    """The question of the section answered in words; removal is judged by ablation, the gradient stands beside it.

    >>> line = {"observed": 0.4, "mean": 0.1, "p_value": 0.3}
    >>> text = answer({"loss": "match", "base": 0.5, "rows": 9, "gradient": line, "ablation": line})
    >>> text[:25]
    'No: between clusters lie '
    """
    ablation, gradient = found["ablation"], found["gradient"]
    yes = "Yes, in part" if ablation["p_value"] <= SURE else "No"
    return (
        f"{yes}: between clusters lie {ablation['observed']:.0%} of the variance of the loss without a head "
        f"(clusters shuffled over heads: {ablation['mean']:.0%}, p {ablation['p_value']:.2g}), "
        f"and {gradient['observed']:.0%} of that of the gradient score (shuffled: {gradient['mean']:.0%}, "
        f"p {gradient['p_value']:.2g}). Loss `{found['loss']}`, {found['base']:.3g} with all heads, "
        f"over {found['rows']} rows."
    ).replace("%", " %")
