"""Attention maps, layer by layer, while the model runs. A map that has been looked at is forgotten.

The families of transformers compute attention by a function that is looked up by name. Ours, registered under `NAME`,
calls the family's own eager function - so the maps are exactly the model's - and hands each layer's weights to whoever
listens. Memory holds the maps of one layer of one batch, whatever the number of windows; those of a corpus
together may need more than 10 TB. Families that compute their attention without asking (DeBERTa, MPNet) return the maps
of all layers of a batch instead. A model that shows none, or maps of another shape, is noticed as it is loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from separatrix.errors import ModelError, raise_interrupt
from separatrix.heads.windows import Window
from separatrix.models import attention
from separatrix.models.backbone import Backbone, takes
from separatrix.models.batches import pad_tokens, token_batches
from separatrix.models.check import LONG, SHORT, same_states, some_ids
from separatrix.models.config import text_config
from separatrix.models.load import load_backbone
from separatrix.recipe import ModelRecipe

NAME = "separatrix_maps"
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 2e-2, torch.float16: 2e-3}  # how far a row's sum may be from 1


@dataclass(frozen=True)
class WindowBatch:
    """A padded batch of windows: what the features need to know beside the maps."""

    ids: Tensor  # (rows, tokens)
    mask: Tensor  # (rows, tokens) bool, True at real tokens
    types: Tensor  # (rows, tokens) token type ids
    special: Tensor  # (rows, tokens) bool
    punctuation: Tensor  # (rows, tokens) bool
    segments: Tensor  # (rows, tokens); -1 at special tokens and pads
    causal: bool
    memo: dict[str, Tensor] = field(default_factory=dict, compare=False)  # what features compute once a batch

    def once(self, name: str, make: Callable[[WindowBatch], Tensor]) -> Tensor:
        """What `make` gives for this batch, made at the first layer and kept for the others."""
        if name not in self.memo:
            self.memo[name] = make(self)
        return self.memo[name]

    @property
    def lengths(self) -> Tensor:
        """Real tokens of each window, (rows,)."""
        return self.mask.sum(dim=1)


class _MapsRead(Exception):
    """The last layer's maps have been looked at: what the model would compute behind them is not needed."""


# (layer, maps (rows, heads, tokens, tokens)) is called once a layer
Listener = Callable[[int, Tensor], None]


@dataclass
class _Pass:
    """The forward that is under way."""

    listen: Listener | None
    gates: Tensor | None = None  # (layers, heads) or (rows, layers, heads): factors of the heads' outputs
    calls: int = 0


_PASS: ContextVar[_Pass | None] = ContextVar("separatrix_maps_pass", default=None)


def register() -> None:
    """Make the attention known to transformers under `NAME` (again and again does no harm)."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import eager_mask

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, eager_mask)


def attend(module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **options: Any) -> Any:
    """The function that transformers calls at each layer; it returns what the family's eager attention returns."""
    eager = getattr(sys.modules[type(module).__module__], "eager_attention_forward", None)
    if eager is None:
        raise ModelError(f"{type(module).__name__} has no eager attention, so it shows no maps")
    output, weights = eager(module, query, key, value, mask, **options)
    state = _PASS.get()
    if state is None:
        return output, weights
    layer, state.calls = state.calls, state.calls + 1
    if weights is None:
        raise ModelError(f"layer {layer} gave no attention map", expected="eager attention")
    if state.listen is not None:
        state.listen(layer, weights)
    if state.gates is not None:
        gate = state.gates[..., layer, :].reshape(-1, 1, state.gates.shape[-1], 1)
        output = output * gate.to(output.dtype)  # (rows, tokens, heads, width)
    return output, weights


@contextmanager
def listening(listen: Listener | None, gates: Tensor | None = None) -> Iterator[_Pass]:
    """Let the forwards inside the block hand over their maps, layer by layer, and weigh their heads.

    Gates, (layers, heads) or (rows, layers, heads), are factors of the heads' outputs.
    """
    state = _Pass(listen, gates)
    token = _PASS.set(state)
    try:
        yield state
    finally:
        _PASS.reset(token)


def load_for_maps(recipe: ModelRecipe) -> Backbone:
    """A frozen backbone with the attention of this module.

    Raises:
        ModelError: unknown model, damaged files, or a model whose attention cannot be looked into.
    """
    backbone = load_backbone(recipe)
    show_maps(backbone)
    return backbone


@torch.no_grad()
def show_maps(backbone: Backbone) -> None:
    """Switch a loaded model to the attention of this module, or to its own if it does not ask for it by name.

    Raises:
        ModelError: no way gives a map of every head of every layer, whose rows sum to 1, beside the model's own states.
    """
    register()
    texts = [some_ids(backbone, LONG), some_ids(backbone, SHORT)]
    batch = bare_batch(texts, backbone)
    rows = [(row, int(length)) for row, length in enumerate(batch.lengths)]
    plain = backbone.run(ids=batch.ids, mask=batch.mask.long())[-1]
    wanted = [[plain[row, :length]] for row, length in rows]
    refusal = None
    for name in (NAME, attention.OWN):
        attention.use(backbone.model, name)
        try:
            for one in (batch, bare_batch(texts[1:], backbone)):  # another length: maps of a window keep theirs
                run_maps(backbone, one, lambda _layer, _maps: None)
            states = forward(backbone.body, backbone, batch).last_hidden_state
        except Exception as error:  # forwards of unknown families fail in any way
            raise_interrupt(error)
            refusal = error if isinstance(error, ModelError) else refusal
            continue
        if same_states([[states[row, :length]] for row, length in rows], wanted, backbone.dtype):
            return
    what = f"model {backbone.source.name!r} does not show its attention"
    raise refusal or ModelError(what, expected="a transformer with eager attention", hint="choose another model")


def bare_batch(texts: Sequence[tuple[int, ...]], backbone: Backbone) -> WindowBatch:
    """Token ids in a padded batch, nothing known of them but where they end."""
    ids, mask = pad_tokens(list(texts), backbone)
    zeros = torch.zeros_like(ids)
    return WindowBatch(ids, mask.bool(), zeros, zeros.bool(), zeros.bool(), zeros, backbone.causal)


def by_layer(model: Any) -> bool:
    """Whether a model calls the attention of this module at each layer, where heads can be weighed as well."""
    return model.config._attn_implementation == NAME


def shape_of(model: Any) -> tuple[int, int]:
    """Layers and heads of a model."""
    config = text_config(model.config)
    return int(config.num_hidden_layers), int(config.num_attention_heads)


def collate(windows: Sequence[Window], backbone: Backbone) -> WindowBatch:
    """Windows padded on the right to the longest of them."""
    longest = max(map(len, windows))

    def table(rows: Sequence[NDArray[Any]], fill: int) -> Tensor:
        padded = np.full((len(rows), longest), fill, dtype=np.int64)
        for number, row in enumerate(rows):
            padded[number, : len(row)] = row
        return torch.from_numpy(padded).to(backbone.device)

    lengths = torch.tensor([len(window) for window in windows], device=backbone.device)
    return WindowBatch(
        table([window.ids for window in windows], backbone.pad),
        torch.arange(longest, device=backbone.device)[None, :] < lengths[:, None],
        table([window.types for window in windows], 0),
        table([window.special for window in windows], 0).bool(),
        table([window.punctuation for window in windows], 0).bool(),
        table([window.segments for window in windows], -1),
        backbone.causal,
    )


def forward(model: Any, backbone: Backbone, batch: WindowBatch, **options: Any) -> Any:
    """One forward of a batch through `model`, which may be the backbone's body or one with a head on it."""
    options |= {"use_cache": False} if takes(model, "use_cache") else {}
    options |= {"attention_mask": batch.mask.long()} if takes(model, "attention_mask") else {}
    types = getattr(model.config, "type_vocab_size", 0)
    if types and not backbone.causal and "token_type_ids" in backbone.tokenizer.model_input_names:
        options["token_type_ids"] = batch.types.clamp(max=types - 1)
    return model(input_ids=batch.ids, **options)


@torch.no_grad()
def run_maps(backbone: Backbone, batch: WindowBatch, listen: Listener, *, whole: bool = True) -> None:
    """Run a batch; `listen` gets each layer's maps (rows, heads, tokens, tokens), float32, zero at pads.

    Args:
        listen: called at every layer.
        whole: run the model to its end, so that a layer too many is noticed. Without it the forward ends at the last
            layer's maps, which saves most of that layer.

    Raises:
        ModelError: a layer gave no map, one of another shape, or a real token's attention does not sum to 1 over real
            tokens.
    """
    real = batch.mask
    queries = None if bool(real.all()) else real[:, None, :, None]
    layers, heads = shape_of(backbone.model)
    shape = (len(real), heads, real.shape[1], real.shape[1])

    def checked(layer: int, maps: Tensor) -> None:
        if tuple(maps.shape) != shape:
            what = (
                f"the maps of layer {layer} of model {backbone.source.name!r} have another shape than heads and tokens"
            )
            raise ModelError(what, got=tuple(maps.shape), expected=shape, hint="choose another model")
        weights = maps.float()
        _check_rows(layer, weights, real, TOLERANCE[backbone.dtype])
        # Real queries give the pads nothing, to the last bit; what the pads themselves look at is wiped out. The model
        # has used these weights already, so this may happen in place.
        listen(layer, weights if queries is None else weights.mul_(queries))
        if not whole and layer + 1 == layers:
            raise _MapsRead

    shown = 0
    if by_layer(backbone.model):
        with listening(checked) as state, suppress(_MapsRead):
            forward(backbone.body, backbone, batch)
        shown = state.calls
    else:
        maps = forward(backbone.body, backbone, batch, output_attentions=True).attentions or ()
        for shown, layer in enumerate(maps, 1):
            if layer is not None and shown <= layers:
                checked(shown - 1, layer)
    if shown != layers:
        raise ModelError(
            f"model {backbone.source.name!r} showed {shown} attention layers", expected=f"{layers}",
            hint="give a transformer whose attention can be looked into",
        )  # fmt: skip


def _check_rows(layer: int, maps: Tensor, real: Tensor, tolerance: float) -> None:
    sums = maps.sum(dim=-1)  # (rows, heads, tokens)
    worst = ((sums - 1).abs() * real[:, None, :]).max()
    if not worst <= tolerance:  # also NaN
        raise ModelError(f"attention of layer {layer} does not sum to 1", got=f"off by {float(worst):.2g}")


def window_batches(windows: Sequence[Window], budget: int) -> Iterator[np.ndarray]:
    """Places of windows in batches of similar length whose maps of one layer hold at most `budget` tokens squared."""
    lengths = np.array([len(window) for window in windows])
    yield from token_batches(lengths**2, budget)


def maps_of(backbone: Backbone, window: Window) -> Tensor:
    """All maps of one window, (layers, heads, tokens, tokens) float32."""
    layers: list[Tensor] = []
    run_maps(backbone, collate([window], backbone), lambda _, maps: layers.append(maps[0]))
    return torch.stack(layers)
