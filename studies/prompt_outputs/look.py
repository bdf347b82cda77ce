"""Ways to look at outputs without their labels, and how much of the labels each of them still shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from studies.common import rounded

from separatrix.geometry.neighbors import knn_predict
from separatrix.geometry.plane import principal
from separatrix.geometry.project import PREPARES, make_map
from separatrix.recipe.project import ProjectRecipe

SPACES = {"minilm": ("hidden",), "lm": ("hidden", "logits"), "smollm2": ("hidden", "logits")}
MAPS = ("pca", "tsne", "umap")
CLUSTERS = (2, 8)
GLANCES = ("all dimensions", *MAPS, *(f"k-means {k}" for k in CLUSTERS))
K = 10


def read_spaces(model: Any, texts: Sequence[str], spaces: Sequence[str]) -> dict[str, np.ndarray]:
    """Outputs at the last prompt position, (rows, width) each: hidden state, or logits over the vocabulary."""
    from separatrix.models.load import load_backbone

    found = {}
    for space in spaces:
        wanted = dataclasses.replace(model.recipe.prompt, readout=space, positions="last")
        backbone = load_backbone(model.recipe.backbone, logits=True) if space == "logits" else model.backbone
        reader = dataclasses.replace(model, backbone=backbone)
        tokens = backbone.tokenize(texts, reserve=wanted.tokens)
        found[space] = reader.read(tokens, {space: wanted}, None)[space]
    return found


def look_at(
    outputs: np.ndarray, gold: np.ndarray, *, scaled: bool, seed: int
) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """Accuracy that is left after each way of looking; and the maps, (rows, 2) each.

    No way of looking sees a label. Maps are scored by the vote of ten neighbours, each row left out in turn; clusters
    by the majority label of each cluster, counted on one half of the rows and scored on the other, both ways round.

    Args:
        outputs: (rows, width).
        gold: class numbers (rows,).
        scaled: bring every column to deviation 1 first.
        seed: of maps, clusters and halves.
    """
    x = PREPARES["standardise" if scaled else "none"](outputs)(outputs)
    cells = [{"glance": "all dimensions", "accuracy": vote(x, gold)}]
    maps = {}
    for method in MAPS:
        made = make_map(x, ProjectRecipe(method=method, seed=seed, k=K))
        maps[method] = made.coordinates
        faithful = {"trustworthiness": made.trustworthiness, "overlap": made.knn_overlap}
        cells.append(rounded({"glance": method, "accuracy": vote(made.coordinates, gold), **faithful}))
    cells += [{"glance": f"k-means {k}", "accuracy": by_cluster(x, gold, k, seed)} for k in CLUSTERS]
    return [rounded(cell) for cell in cells], maps


def vote(x: np.ndarray, gold: np.ndarray) -> float:
    """Accuracy of ten neighbours, each row left out in turn."""
    shares = knn_predict(x, x, gold, min(K, len(gold) - 1), metric="euclidean", exclude_self=True)
    return float((shares.argmax(axis=1) == gold).mean())


def by_cluster(x: np.ndarray, gold: np.ndarray, k: int, seed: int) -> float:
    """Accuracy of answering each cluster's majority label, which the other half of the rows tells."""
    from sklearn.cluster import KMeans

    cluster = KMeans(k, n_init=5, random_state=seed).fit_predict(x)
    half = np.random.default_rng(seed).permutation(len(gold)) % 2
    right = 0
    for side in (0, 1):
        known, asked = half == side, half != side
        counts = np.zeros((k, int(gold.max()) + 1))
        np.add.at(counts, (cluster[known], gold[known]), 1)
        counts += 1e-9 * np.bincount(gold[known], minlength=counts.shape[1])  # an empty cluster answers the majority
        right += int((counts.argmax(axis=1)[cluster[asked]] == gold[asked]).sum())
    return right / len(gold)


def shape_of(outputs: np.ndarray, gold: np.ndarray) -> dict[str, float]:
    """Where the classes lie among the directions of largest variance.

    `between` is the share of the variance that class means explain; `first_two` that of the first two principal
    directions; `direction` the number (from 1) of the principal direction, among the first 50, that tells the classes
    apart best, and `told` how much of that direction's own variance class means explain.
    """
    centred = outputs.astype(np.float64) - outputs.mean(axis=0)
    directions, powers = principal(centred, 50, 0)
    flat = centred @ directions.T  # (rows, directions)
    told = explained(flat, gold) / np.maximum((flat**2).sum(axis=0), 1e-300)
    total = float((centred**2).sum())
    return rounded(
        {
            "between": float(explained(centred, gold).sum()) / total,
            "first_two": float(powers[:2].sum()) / total,
            "direction": int(told.argmax()) + 1,
            "told": float(told.max()),
            "told_first": float(told[0]),
        }
    )


def explained(centred: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """Sum of squares of each column that class means explain, (columns,)."""
    parts = [centred[gold == label] for label in np.unique(gold)]
    return np.sum([len(part) * part.mean(axis=0) ** 2 for part in parts], axis=0)
