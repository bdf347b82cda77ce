"""One attention function for all models: it records the text's keys and values, or puts them before the prompt's.

transformers looks the attention up by name at every layer. Ours, registered under `NAME`, asks which pass is running:

- no pass: plain scaled dot-product attention;
- `Capture`: plain attention on the text, and each layer's keys and values are handed over on the way;
- `Suffix`: queries, keys and values come from the prompt alone; the layer's stored text stands before them.

The order of the calls within a forward is the order of the layers, so no family needs code of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from separatrix.errors import ModelError
from separatrix.models.frozen_text import Text, attend_behind

NAME = "separatrix"
OWN = "eager"  # transformers' name of each family's own attention, written out

# What layers hand over beside queries, keys and values: honoured here, done by the mask, or of no effect on a forward.
# Anything else that is set (attention sinks, capped scores, chosen keys) would be left out in silence.
HONOURED = {"scaling", "dropout", "is_causal", "sliding_window"}
PASSED_ON = {
    *("attention_mask", "hidden_states", "position_ids", "position_embeddings", "cache_position", "past_key_values"),
    *("use_cache", "output_attentions", "output_hidden_states", "output_router_logits", "return_dict"),
    *("deterministic", "layer_idx", "token_type_ids"),
}
BIAS = "position_bias"  # known to plain attention, not behind a text


class TextLayers(Protocol):
    """Keys and values of a padded batch of texts, layer by layer."""

    mask: Tensor  # (rows, tokens) bool, True at real tokens

    def layer(self, index: int) -> Text:
        """Keys and values of one layer, as they are stored."""
        ...


@dataclass
class Capture:
    """Collects (keys, values) of each layer, each (rows, key heads, tokens, head width)."""

    layers: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    heads: int = 0  # of the queries


@dataclass
class Suffix:
    """The prompt pass: stored text before the prompt, and what is learnt at each layer."""

    text: TextLayers
    causal: bool
    steer: Tensor | None = None  # (layers, 2, tokens, heads * head width): added to queries and to outputs
    calls: int = 0
    mask: Tensor | None = None  # (rows, 1, prompt, text + prompt) bool, made at the first layer


_PASS: ContextVar[Capture | Suffix | None] = ContextVar("separatrix_pass", default=None)


@contextmanager
def running(state: Capture | Suffix) -> Iterator[None]:
    """Let the forwards inside the block run under `state`."""
    token = _PASS.set(state)
    try:
        yield
    finally:
        _PASS.reset(token)


def register() -> None:
    """Make the attention known to transformers under `NAME` (again and again does no harm)."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)


def use(model: Any, name: str) -> None:
    """Let every layer of a model look its attention up under a name."""
    for module in model.modules():
        config = getattr(module, "config", None)
        if getattr(config, "_attn_implementation", name) != name:
            config._attn_implementation = name  # type: ignore[union-attr]


def attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """The function that transformers calls at each layer; (rows, heads, tokens, head width) in, heads third out.

    Raises:
        ModelError: the layer asks for something that would be left out.
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    state = _PASS.get()
    _check_options(module, options, behind=state is not None)
    if isinstance(state, Suffix):
        return _attend_suffix(state, query, key, value, options.get("scaling")), None
    if state is not None:
        state.layers.append((key, value))
        state.heads = query.shape[1]
    return sdpa_attention_forward(module, query, key, value, attention_mask, **options)


def _check_options(module: Any, options: dict[str, Any], *, behind: bool) -> None:
    """Refuse a layer that asks for more than plain attention; `behind` a text a bias over positions is more, too."""
    known = HONOURED | PASSED_ON | (set() if behind else {BIAS})
    if more := sorted(name for name, value in options.items() if value is not None and name not in known):
        config = getattr(module, "config", None)
        kind = getattr(config, "model_type", type(module).__name__)
        # A bias alone is no hindrance to frozen vectors.
        what = "cannot be given a suffix" if more == [BIAS] else "is not supported"
        hint = "type --method probe, or choose another model" if more == [BIAS] else "choose another model"
        raise ModelError(f"the attention of {kind} models {what} ({', '.join(more)})", hint=hint)


def _attend_suffix(state: Suffix, query: Tensor, key: Tensor, value: Tensor, scaling: float | None) -> Tensor:
    layer, state.calls = state.calls, state.calls + 1
    if state.mask is None:
        state.mask = suffix_mask(state.text.mask, query.shape[2], state.causal)
    if state.steer is not None:
        query = query + _by_head(state.steer[layer, 0], query)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    out = attend_behind(query, key, value, state.text.layer(layer), state.mask, scale)
    if state.steer is not None:
        out = out + _by_head(state.steer[layer, 1], out)
    return out.transpose(1, 2).contiguous()  # (rows, prompt, heads, head width); some families take a view of it


def _by_head(vectors: Tensor, like: Tensor) -> Tensor:
    """(tokens, heads * head width) -> (1, heads, tokens, head width)."""
    return vectors.view(like.shape[2], like.shape[1], like.shape[3]).transpose(0, 1)[None].to(like.dtype)


def suffix_mask(text_mask: Tensor, tokens: int, causal: bool) -> Tensor:
    """Who a prompt token sees: every real text token, and the prompt (its own past only, in a causal model).

    >>> suffix_mask(torch.tensor([[True, False]]), 2, causal=True).int().tolist()
    [[[[1, 0, 1, 0], [1, 0, 1, 1]]]]
    """
    rows, length = text_mask.shape
    own = torch.ones(tokens, tokens, dtype=torch.bool, device=text_mask.device)
    own = own.tril() if causal else own
    text = text_mask[:, None, None, :].expand(rows, 1, tokens, length)
    return torch.cat([text, own.expand(rows, 1, tokens, tokens)], dim=-1)
