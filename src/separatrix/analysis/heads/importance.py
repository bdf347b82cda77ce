"""What heads are worth, beside their clusters: whether a cluster predicts what may be removed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from separatrix.analysis.heads.controls import SURE
from separatrix.codes import encode
from separatrix.geometry.nulls import permutation_null
from separatrix.heads.importance import SCORES, Importance, head_importance, usual_loss
from separatrix.models.backbone import Backbone
from separatrix.recipe.heads import PageRecipe
from separatrix.texts.questions_answers import Example


def weigh_heads(backbone: Backbone, examples: Sequence[Example], recipe: PageRecipe) -> Importance | None:
    """The importance of every head, or None where no loss suits."""
    loss = usual_loss(backbone, examples) if recipe.importance == "auto" else recipe.importance
    if loss == "none" or len({example.context for example in examples}) < 2:
        return None
    return head_importance(backbone, examples, loss, rows=recipe.importance_windows)


def importance_figures(weighed: Importance, heads: pd.DataFrame, permutations: int, seed: int) -> dict[str, Any]:
    """Share of the variance of importance between clusters beside heads' clusters shuffled, by cluster, and in words.

    Args:
        weighed: the scores.
        heads: one line a head: `layer`, `cluster`, and the columns of the scores.
    """
    figures: dict[str, Any] = {"loss": weighed.loss, "base": weighed.base, "rows": weighed.rows}
    clusters, layers = (encode(heads[name])[0] for name in ("cluster", "layer"))
    for name, column in SCORES.items():
        scores = heads[column].to_numpy()
        between = partial(_share_between, scores)
        null = permutation_null(between, clusters, permutations=permutations, seed=seed)
        figures[name] = null.to_dict() | {"by_layer": between(layers)}
    groups = [("noise" if name == -1 else str(name), part) for name, part in heads.groupby("cluster")]
    lines = sorted((_line(name, part) for name, part in groups), key=lambda line: -line["ablation"])
    return figures | {"by_cluster": [*lines, _line("all", heads)], "answer": answer(figures)}


def _share_between(scores: NDArray[Any], labels: NDArray[Any]) -> float:
    """Share of the variance of scores (rows,) that lies between groups."""
    means = np.bincount(labels, scores) / np.maximum(np.bincount(labels), 1)
    return float(((means[labels] - scores.mean()) ** 2).sum() / max(((scores - scores.mean()) ** 2).sum(), 1e-30))


def _line(name: str, part: pd.DataFrame) -> dict[str, Any]:
    """What the heads of a cluster are worth."""
    means = {score: float(part[column].mean()) for score, column in SCORES.items()}
    return {"cluster": name, "heads": len(part), **means, "harmless": int((part[SCORES["ablation"]] <= 0).sum())}


def answer(figures: dict[str, Any]) -> str:
    """The question of the section answered in words; removal is judged by ablation, the gradient stands beside it.

    >>> line = {"observed": 0.4, "mean": 0.1, "p_value": 0.3}
    >>> text = answer({"loss": "match", "base": 0.5, "rows": 9, "gradient": line, "ablation": line})
    >>> text[:25]
    'No: between clusters lie '
    """
    ablation, gradient = figures["ablation"], figures["gradient"]
    yes = "Yes, in part" if ablation["p_value"] <= SURE else "No"
    return (
        f"{yes}: between clusters lie {ablation['observed']:.0%} of the variance of the loss without a head "
        f"(clusters shuffled over heads: {ablation['mean']:.0%}, p {ablation['p_value']:.2g}), "
        f"and {gradient['observed']:.0%} of that of the gradient score (shuffled: {gradient['mean']:.0%}, "
        f"p {gradient['p_value']:.2g}). Loss `{figures['loss']}`, {figures['base']:.3g} with all heads, "
        f"over {figures['rows']} rows."
    ).replace("%", " %")
