"""Options that would be ignored in silence are refused, and no option that works is."""

from __future__ import annotations

import pytest

from separatrix.errors import OptionError
from separatrix.learn.objectives import OBJECTIVES
from separatrix.learn.objectives.centroids import CentroidObjective
from separatrix.learn.objectives.heads import HeadObjective
from separatrix.learn.objectives.movement import MOVERS
from separatrix.recipe import LOSSES, TrainRecipe, option_names, replace
from separatrix.recipe.effect import CENTROID_LOSSES, HEAD_LOSSES, RULES
from separatrix.training.methods import build_recipe


def test_the_rules_name_options_that_exist():
    assert {name for rule in RULES for name in rule.options} <= set(option_names(TrainRecipe()))


def test_losses_with_centroids_and_heads_are_those_of_the_objectives():
    """The lists are written twice, because the command line answers before torch is loaded."""
    for name in LOSSES:
        objective = OBJECTIVES[name].build(TrainRecipe(), 2)
        assert isinstance(objective, CentroidObjective) == (name in CENTROID_LOSSES)
        assert isinstance(objective, HeadObjective) == (name in HEAD_LOSSES)
    assert {"ema", "momentum", "mean"} <= set(MOVERS)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"loss": "token", "mover": "ema"}, "--mover has no effect here: expected --loss centroid_ce"),
        ({"loss": "cosine", "temperature": 0.5}, "--temperature has no effect here"),
        ({"every": 10}, "--every has no effect here: expected --mover ema"),
        ({"words": ("yes", "no")}, "--words has no effect here: expected --loss token"),
        ({"loss": "token", "readout": "hidden"}, "--readout has no effect here"),
        ({"readout": "logits", "positions": "mean"}, "--positions has no effect here"),
        ({"cache": "memory", "memory_gib": 1.0}, "--memory-gib has no effect here: expected --cache auto"),
        ({"snapshots": 0, "frame_rows": 500}, "--frame-rows has no effect here: expected --snapshots above 0"),
        ({"mover": "fixed", "push": 0.1}, "--push has no effect here: expected centroids that move"),
    ],
)
def test_what_would_be_ignored_is_refused(changes: dict, words: str):
    with pytest.raises(OptionError, match=words):
        build_recipe("prompt", changes)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"mover": "mean", "every": 10},
        {"push": 0.1, "every": 3, "push_rule": "origin"},
        {"loss": "token", "words": ("yes", "no"), "readout": "logits"},
        {"loss": "linear", "head_lr": 0.1},
        {"loss": "distance", "attraction": 2.0},
        {"cache": "auto", "memory_gib": 1.0, "disk_gib": 2.0},
    ],
)
def test_what_has_an_effect_passes(changes: dict):
    assert build_recipe("prompt", changes) == replace(TrainRecipe(), **changes)
    build_recipe("prompt", {"loss": "token", "tokens": 8, "lr": 0.03})
