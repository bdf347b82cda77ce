"""Frozen vectors of texts: one pass, batches of similar length, order restored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from separatrix.errors import choose
from separatrix.models.backbone import Backbone
from separatrix.models.cache import CAPTURE_TOKENS, pad_tokens, token_batches
from separatrix.models.pool import POOLS


@dataclass(frozen=True, eq=False)
class Vectors:
    """One vector a text."""

    values: np.ndarray  # (rows, width) float32
    cut: int  # texts that were longer than max_length


@torch.no_grad()
def extract(
    backbone: Backbone,
    texts: Sequence[str],
    *,
    pool: str = "layer_mean",
    progress: Callable[[int], None] | None = None,
) -> Vectors:
    """Run texts through the frozen model and pool their hidden states.

    Raises:
        OptionError: an unknown pooling.
    """
    pooling = POOLS[choose(pool, POOLS, "--pool")]
    tokens = backbone.tokenize(texts)
    lengths = np.array([len(ids) for ids in tokens.ids])
    values = np.empty((len(tokens), backbone.width), np.float32)
    for rows in token_batches(lengths, CAPTURE_TOKENS):
        ids, mask = pad_tokens([tokens.ids[row] for row in rows], backbone)
        positions = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
        values[rows] = pooling(backbone.run(ids=ids, positions=positions, mask=mask), mask).float().cpu().numpy()
        if progress is not None:
            progress(len(rows))
    return Vectors(values, tokens.cut)
