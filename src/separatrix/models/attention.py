"""One attention function for all models: it records the text's keys and values, or puts them before the prompt's.

transformers looks the attention up by name at every layer. Ours, registered under `NAME`, asks which pass is running:

- no pass: plain scaled dot-product attention;
- `Capture`: plain attention on the text, and each layer's keys and values are handed over on the way;
- `Suffix`: queries, keys and values come from the prompt alone; the layer's stored text stands before them.

The order of the calls within a forward is the order of the layers, so no family needs code of its own.

The text's keys and values come in 16 bits and are widened one layer at a time, forward and again backward; only the
attention weights are kept between the two. No gradient towards the text is ever formed. Heads that share a key head
(grouped queries) are folded into its queries instead of repeating the keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from separatrix.errors import ModelError

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


class TextKeys(NamedTuple):
    """Stored keys and values of one layer, each (rows, key heads, text, head width), in any float format."""

    keys: Tensor
    values: Tensor


class TextLayers(Protocol):
    """Keys and values of a padded batch of texts, layer by layer."""

    mask: Tensor  # (rows, tokens) bool, True at real tokens

    def layer(self, index: int) -> TextKeys:
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
    steer: Sequence[Tensor] | None = None  # of each layer (2, tokens, heads * head width): for queries and outputs
    first: int = 0  # layer that the prompt enters at; `text` and `steer` begin there
    entry: Tensor | None = None  # (rows, tokens, width): its states there, where that is not the first one
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


def running_pass() -> Capture | Suffix | None:
    """The state that a forward runs under."""
    return _PASS.get()


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
    if not _slow_backward(query):
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    with torch.autocast("cpu", enabled=False):
        wide = (query.float(), key.float(), value.float())
        out, _ = sdpa_attention_forward(module, *wide, attention_mask, **options)
    return out.to(query.dtype), None


def _slow_backward(query: Tensor) -> bool:
    """Whether attention is learnt through in bfloat16 on a processor: torch's kernel for that takes most of a step.

    In float32 it is a few per cent of it; the matrix products around it stay in 16 bits.
    """
    return query.dtype == torch.bfloat16 and query.device.type == "cpu" and query.requires_grad


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
    steer = None if state.steer is None else state.steer[layer].unbind()
    if steer is not None:
        query = query + _by_head(steer[0], query)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    out = attend_behind(query, key, value, state.text.layer(layer), state.mask, scale)
    if steer is not None:
        out = out + _by_head(steer[1], out)
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


def attend_behind(query: Tensor, key: Tensor, value: Tensor, text: TextKeys, mask: Tensor, scale: float) -> Tensor:
    """Scaled dot-product attention over a frozen text and then the tokens' own keys.

    Args:
        query: (rows, heads, tokens, head width).
        key: (rows, key heads, tokens, head width); `heads` is a multiple of `key heads`.
        value: as `key`.
        text: what stands before the tokens.
        mask: (rows, 1, tokens, text + tokens) bool, True where a token may look.
        scale: factor of the products.

    Returns:
        (rows, heads, tokens, head width), with gradients towards query, key and value.
    """
    return _PromptAttention.apply(query, key, value, text.keys, text.values, mask, scale)


class _PromptAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, keys: Tensor, values: Tensor, mask: Tensor, scale: float
    ) -> Tensor:
        folded = _fold(query, key.shape[1]) * scale  # (rows, key heads, groups * tokens, head width)
        scores = folded @ _behind(keys, key).mT
        groups = query.shape[1] // key.shape[1]
        scores += _bias(mask, scores.dtype).repeat(1, 1, groups, 1)
        # Sums of the softmax are in float32 in every format.
        weights = scores.softmax(-1)  # (rows, key heads, groups * tokens, text + tokens)
        out = weights @ _behind(values, value)
        ctx.save_for_backward(folded, key, value, keys, values, weights)
        ctx.scale = scale
        return out.view(query.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        folded, key, value, keys, values, weights = ctx.saved_tensors
        shape, grad, length = grad.shape, _fold(grad, key.shape[1]), keys.shape[2]
        through = grad @ _behind(values, value).mT
        slope = torch._softmax_backward_data(through, weights, -1, weights.dtype)
        to_query = (slope @ _behind(keys, key)).mul_(ctx.scale)
        to_key = slope[..., length:].mT @ folded
        to_value = weights[..., length:].mT @ grad
        return to_query.view(shape), to_key, to_value, None, None, None, None


def _fold(heads: Tensor, key_heads: int) -> Tensor:
    """Query heads of one key head side by side: (rows, key heads, groups * tokens, head width)."""
    rows, _, _, width = heads.shape
    return heads.reshape(rows, key_heads, -1, width)


def _behind(stored: Tensor, own: Tensor) -> Tensor:
    """A text's stored numbers and those of the tokens behind it in one piece, as the model computes."""
    rows, heads, length, width = stored.shape
    joined = own.new_empty(rows, heads, length + own.shape[2], width)
    joined[:, :, :length].copy_(stored)
    joined[:, :, length:].copy_(own)
    return joined


def _bias(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where a token may look, minus infinity elsewhere."""
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, -torch.inf)
