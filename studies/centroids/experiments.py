"""The experiments: seed 001's own, by its numbers, and what issue and problems of that seed ask for beside them.

Seed 001 does not print its first loss call, its factor for faster centroids or the loss of experiments 8 to 10. Taken
here: both factors 1; 100 times the prompt's rate; distance cross-entropy, the loss that it had just found best. Its
repulsion of 0.1 inside an average that takes a tenth of the new place is a push of 0.01 a move.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Experiment:
    """A recipe by its changes to the block's; `boost` multiplies the prompt's rate into the centroids'."""

    name: str
    number: str  # seed 001's, or "-"
    changes: dict[str, Any]
    boost: float | None = None


JOINT = {"loss": "centroid", "mover": "gradient"}
CE = {"loss": "centroid_ce", "start": "first"}
EMA = CE | {"mover": "ema", "rate": 0.1}

EXPERIMENTS = (
    Experiment("centroid, random start", "1", JOINT | {"start": "random"}),
    Experiment("centroid, first start", "2", JOINT | {"start": "first"}),
    Experiment("centroid, mean start", "-", JOINT | {"start": "mean"}),
    Experiment(
        "prompt only",
        "3",
        {"loss": "centroid", "start": "first", "mover": "fixed", "attraction": 100.0, "repulsion": 0.0},
    ),
    Experiment("attract_repel", "5", {"loss": "attract_repel", "start": "first", "mover": "gradient"}),
    Experiment(
        "attract_repel, fast centroids",
        "6",
        {"loss": "attract_repel", "start": "first", "mover": "gradient"},
        boost=100.0,
    ),
    Experiment("centroid_ce", "7", CE | {"mover": "gradient"}),
    Experiment("centroid_ce, mean start", "-", CE | {"mover": "gradient", "start": "mean"}),
    Experiment("centroid_ce, fixed", "-", CE | {"mover": "fixed"}),
    Experiment("calculated", "8", EMA),
    Experiment("calculated, push of seed 001", "9", EMA | {"push": 0.01, "push_rule": "origin"}),
    Experiment("calculated, push away", "-", EMA | {"push": 0.01, "push_rule": "away"}),
    Experiment("calculated, every 10 steps", "-", EMA | {"every": 10}),
    Experiment("momentum", "10", CE | {"mover": "momentum", "rate": 0.1, "friction": 0.9}),
    Experiment("class means, every 10 steps", "-", CE | {"mover": "mean", "every": 10}),
    Experiment("token", "-", {"loss": "token"}),
    Experiment("linear", "-", {"loss": "linear"}),
    Experiment("cosine", "-", {"loss": "cosine"}),
    Experiment("distance", "-", {"loss": "distance"}),
)

# As far as seed 001 prints it: five prompt tokens at the input, three epochs, Adam at 1e-3, no clipping.
SEED_RECIPE: dict[str, Any] = {
    "tokens": 5,
    "prompt_layers": "input",
    "positions": "last",
    "text_dropout": 0.0,
    "init": "vocabulary",
    "epochs": 3,
    "batch_size": 32,
    "lr": 1e-3,
    "warmup": 0.0,
    "clip": 0.0,
    "attraction": 1.0,
    "repulsion": 1.0,
    "temperature": 1.0,
}
