"""Options that would be ignored are refused: nobody would notice that they have no effect."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from separatrix.recipe.train import LOSSES

CENTROID_LOSSES = ("centroid_ce", "centroid", "attract_repel")
WEIGHED_LOSSES = ("centroid", "attract_repel", "cosine", "distance")
HEAD_LOSSES = ("linear", "mse", "binary_ce")


@dataclass(frozen=True)
class Rule:
    """Some options, when they have an effect, and the same in words."""

    options: tuple[str, ...]
    holds: Callable[[Any], bool]  # of a recipe
    words: str


def _with(*losses: str) -> Callable[[Any], bool]:
    """Holds of a recipe with one of these losses, or with one of the user's own, of which nothing is known."""
    return lambda recipe: recipe.objective.loss in losses or recipe.objective.loss not in LOSSES.built_in


FILM = Rule(("frame_rows",), lambda r: r.loop.snapshots > 0, "--snapshots above 0")
RULES = (
    FILM,
    Rule(("temperature",), _with("centroid_ce"), "--loss centroid_ce"),
    Rule(("attraction", "repulsion"), _with(*WEIGHED_LOSSES), f"--loss {'|'.join(WEIGHED_LOSSES)}"),
    Rule(("words",), lambda r: r.objective.loss == "token", "--loss token"),
    Rule(("class_weight", "order"), lambda r: r.objective.loss != "mse", "classes, not numbers"),
    Rule(
        ("readout",), lambda r: r.objective.loss != "token" or r.prompt.readout == "logits", "another loss than token"
    ),
    Rule(("head_lr",), _with(*HEAD_LOSSES), f"--loss {'|'.join(HEAD_LOSSES)}"),
    Rule(
        ("start", "mover", "every", "rate", "friction", "push", "push_rule", "centroid_lr"),
        _with(*CENTROID_LOSSES),
        f"--loss {'|'.join(CENTROID_LOSSES)}",
    ),
    Rule(("centroid_lr",), lambda r: r.centroids.mover == "gradient", "--mover gradient"),
    Rule(("rate",), lambda r: r.centroids.mover in ("ema", "momentum"), "--mover ema|momentum"),
    Rule(("friction",), lambda r: r.centroids.mover == "momentum", "--mover momentum"),
    Rule(("push",), lambda r: r.centroids.mover != "fixed", "centroids that move"),
    Rule(("push_rule",), lambda r: r.centroids.push > 0, "--push above 0"),
    Rule(
        ("every",),
        lambda r: r.centroids.mover not in ("fixed", "gradient") or r.centroids.push > 0,
        "--mover ema|momentum|mean, or --push",
    ),
    Rule(("init_text",), lambda r: r.prompt.init == "text", "--init text"),
    Rule(("descriptions",), lambda r: r.prompt.init == "descriptions", "--init descriptions"),
    Rule(("layer_lr",), lambda r: r.prompt.prompt_layers == "all", "--prompt-layers all"),
    Rule(
        ("positions",),
        lambda r: r.prompt.readout == "hidden" and r.objective.loss != "token",
        "--readout hidden and another loss than token",
    ),
    Rule(("memory_gib", "disk_gib"), lambda r: r.text_cache.cache == "auto", "--cache auto"),
    Rule(("cache_dtype",), lambda r: r.text_cache.cache != "off", "a text cache"),
)


def idle(recipe: Any, given: Iterable[str], rules: Iterable[Rule]) -> list[tuple[str, str]]:
    """The options that were set and change nothing beside the others, each with what it would need, in words.

    >>> from separatrix.recipe import TrainRecipe
    >>> idle(TrainRecipe(), ["rate", "lr"], RULES)
    [('rate', '--mover ema|momentum')]
    """
    names = set(given)
    return [(name, rule.words) for rule in rules for name in rule.options if name in names and not rule.holds(recipe)]
