"""Guards on tensors: what a training must not do in silence.

Each raises one sentence; the guards that look at predictions are in `geometry.guards`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from separatrix.errors import ModelError, SeparatrixError
from separatrix.models.backbone import Backbone
from separatrix.models.cache import TextCache
from separatrix.models.suffix import SoftPrompt, run_prompt

COMPARED = 4  # rows of a cache
# Cached against freshly run text, as a share of the outputs, by the model's format and the cache's. Both texts are
# rounded to the cache's format, so only the order of sums differs; 16-bit rounding of two sums that differ in the last
# bit may flip, and the flip travels through the layers. Measured on the ten families and on models of 12 and 16 layers:
# sound caches differ by at most 2e-6, 2e-4 and 0.04; other rows, a factor of 2 or -3, and zeros by 0.46 or more.
CACHE_TOLERANCE = {
    ("float32", "float32"): 1e-3,
    ("float32", "float16"): 0.02,
    ("float32", "bfloat16"): 0.02,
    ("bfloat16", "float32"): 0.15,
    ("bfloat16", "float16"): 0.15,
    ("bfloat16", "bfloat16"): 0.15,
}


def check_loss(loss: float, step: int, lr: float) -> None:
    """Stop at a loss that is no number."""
    if not np.isfinite(loss):
        raise SeparatrixError(f"the loss is {loss} at step {step}", hint=f"lower --lr (now {lr:g})")


def check_gradients(groups: Mapping[str, Mapping[str, Tensor]], step: int) -> tuple[dict[str, float], Tensor]:
    """The gradient norm of each group and of all; stops if nothing is learnt at the first step, or at NaN."""
    parts = {
        group: [tensor.grad.norm() for tensor in tensors.values() if tensor.grad is not None]
        for group, tensors in groups.items()
    }
    norms = {group: float(torch.stack(own).norm()) if own else 0.0 for group, own in parts.items()}
    if step == 0 and not any(norms.values()):
        raise SeparatrixError(
            "the gradient is zero for " + ", ".join(norms) + " at the first step: nothing would be learnt",
            hint="see whether the objective reaches the trained vectors",
        )
    bad = [group for group, norm in norms.items() if not np.isfinite(norm)]
    if bad:
        raise SeparatrixError(f"the gradient of {bad[0]} is not a number at step {step}", hint="lower --lr")
    flat = [norm for own in parts.values() for norm in own]
    return norms, torch.stack(flat).norm() if flat else torch.zeros(())


def check_cache(cache: TextCache, prompt: SoftPrompt, backbone: Backbone) -> float:
    """Outputs from the cache must equal outputs from text run afresh, alone; returns the largest difference.

    Raises:
        ModelError: they differ, so padding, batch mates or a stale cache leak into the outputs.
    """
    picked = np.linspace(0, len(cache.lengths) - 1, min(COMPARED, len(cache.lengths))).astype(int)
    fresh = TextCache(backbone, cache.tokens, cache.shape, cache.recipe, "off")
    with torch.no_grad():
        together = run_prompt(prompt, cache.batch(picked), backbone)  # (rows, tokens, width)
        alone = torch.cat([run_prompt(prompt, fresh.batch(picked[i : i + 1]), backbone) for i in range(len(picked))])
    gap = float((together - alone).abs().max() / alone.abs().max().clamp_min(1e-6))
    if not gap <= CACHE_TOLERANCE[backbone.recipe.dtype, cache.recipe.cache_dtype]:  # NaN is a difference too
        raise ModelError(
            f"the text cache changes the outputs by {gap:.2g} of their size",
            expected="no change",
            hint="type --cache off",
        )
    return gap


def check_frozen(backbone: Backbone, before: str) -> None:
    """The weights must be the same bytes as before training."""
    if backbone.fingerprint() != before:
        raise ModelError(f"the weights of {backbone.source.name!r} changed in training although the model is frozen")
