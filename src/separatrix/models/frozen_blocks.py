"""One pass of a frozen model over texts: every layer and pooling of the recipe, and warnings about them.

Options that had no effect are found here: two poolings with the same vectors, two names of one model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

import numpy as np

from separatrix.models.backbone import Backbone
from separatrix.models.config import layer_count
from separatrix.models.extract import extract_blocks
from separatrix.models.pool import Pooling, plan_poolings
from separatrix.models.tokens import UnreadCounts
from separatrix.points import Points
from separatrix.progress import Counter, Progress, silent
from separatrix.recipe.vectors import VectorsRecipe

COMPARED = 64  # rows by which two poolings are told apart


@dataclass(frozen=True, eq=False)
class FrozenPass:
    """What a pass gave and what it cost."""

    points: Points  # a block for each pooling of each layer; rows in the order of the texts
    plans: tuple[Pooling, ...]
    rows_per_second: float
    parameters: int
    megabytes: float  # of the weights in memory
    cut: int  # texts that were longer than max_length
    unread: UnreadCounts = UnreadCounts()


def frozen_blocks(
    backbone: Backbone,
    texts: Sequence[str],
    pool: tuple[str, ...],
    layers: tuple[int | str, ...] | None = None,
    *,
    progress: Progress = silent,
) -> FrozenPass:
    """Run texts through a frozen model once; each pooling of each layer is a block.

    Raises:
        OptionError: an unknown pooling, a layer that the model does not have.
    """
    plans = plan_options(backbone, pool, layers)
    begun, done = monotonic(), Counter(progress, f"extraction: {backbone.source.name}", len(texts))
    blocks, tokens = extract_blocks(backbone, texts, plans, done)
    seconds = max(monotonic() - begun, 1e-9)
    weights = list(backbone.model.parameters())
    return FrozenPass(
        Points.of(blocks, {"text": list(texts)}),
        plans,
        len(texts) / seconds,
        sum(weight.numel() for weight in weights),
        sum(weight.numel() * weight.element_size() for weight in weights) / 1e6,
        tokens.cut,
        tokens.unread,
    )


def plan_options(
    backbone: Backbone, pool: tuple[str, ...], layers: tuple[int | str, ...] | None
) -> tuple[Pooling, ...]:
    """Each pooling of each layer. Raises `OptionError`: an unknown pooling, a layer that the model does not have."""
    return plan_poolings(VectorsRecipe(pool=pool, layers=layers), layer_count(backbone.model.config))


def told_apart(points: Points) -> list[str]:
    """A warning for every two blocks with the same vectors: one of the options had no effect.

    >>> told_apart(Points.of({"cls@1": np.eye(3), "mean@1": np.eye(3), "max@1": 2 * np.eye(3)}))
    ['cls@1 and mean@1 give the same vectors: one of them had no effect on these texts']
    """
    rows = np.unique(np.linspace(0, len(points) - 1, COMPARED).astype(int))
    few = {name: np.asarray(block[rows]) for name, block in points.blocks.items()}
    names = list(few)
    return [
        f"{one} and {other} give the same vectors: one of them had no effect on these texts"
        for index, one in enumerate(names)
        for other in names[index + 1 :]
        if few[one].shape == few[other].shape and np.allclose(few[one], few[other], rtol=1e-6, atol=1e-7)
    ]


def about_cls(backbone: Backbone, pool: Sequence[str]) -> list[str]:
    """What `cls` means for a model without a class token."""
    if "cls" not in pool or (backbone.tokenizer.cls_token_id is not None and not backbone.causal):
        return []
    why = "which sees no other one" if backbone.causal else "it has no class token"
    return [f"cls is the first token of the text ({why})"]


def same_weights(seen: dict[str, str], name: str, backbone: Backbone) -> list[str]:
    """Whether another name stood for the same model; `seen` (weights -> name) learns this one."""
    earlier = seen.setdefault(backbone.source.weights, name)
    return [] if earlier == name else [f"{name} has the same weights as {earlier}: they are one model"]
