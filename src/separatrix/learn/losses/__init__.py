"""What is asked of the outputs: one pure function per objective, all behind the dictionary `OBJECTIVES`.

An objective is a loss that trains and a score that decides. The loss gets outputs z, labels y and the anchors (what the
classes are in the output space) and returns a total that carries the gradient, with its named terms. The scores are
one column per class: their argmax is the prediction, and as logits they can be calibrated. A new objective is one
function and one entry here; `metric` and `anchors` hold what it may build on.

Everything is computed in float32 (float64 stays float64), whatever the number format of the model.
"""

from __future__ import annotations

from separatrix.learn.losses.anchored import attract_repel, centroid, centroid_ce, near_centroid, near_centroid_scaled
from separatrix.learn.losses.anchors import Anchors, LossValue, Objective
from separatrix.learn.losses.heads import head_logits, head_value, linear, mse, token, word_logits
from separatrix.learn.losses.metric import cosines, distances, reciprocal
from separatrix.learn.losses.paired import boids, cosine, distance, near_cosine, same_class

__all__ = [
    "OBJECTIVES",
    "Anchors",
    "LossValue",
    "Objective",
    "boids",
    "cosines",
    "distances",
    "reciprocal",
    "same_class",
]

OBJECTIVES: dict[str, Objective] = {
    "centroid_ce": Objective("centroid_ce", "centroids", "classify", centroid_ce, near_centroid_scaled),
    "centroid": Objective("centroid", "centroids", "classify", centroid, near_centroid),
    "attract_repel": Objective("attract_repel", "centroids", "classify", attract_repel, near_centroid),
    "cosine": Objective("cosine", "means", "classify", cosine, near_cosine),
    "distance": Objective("distance", "means", "classify", distance, near_centroid),
    "token": Objective("token", "words", "classify", token, word_logits),
    "linear": Objective("linear", "head", "classify", linear, head_logits),
    "mse": Objective("mse", "head", "regress", mse, head_value),
}
