"""A prompt that enters at a layer above the first: the layers below it never see it.

The text runs through all layers, once. Of it only the keys and values from that layer on are kept, and a step runs
these layers alone: cache and step shrink with the layers that are passed over. Each layer's forward is wrapped once and
asks, as our attention does, which pass is running; so no family needs code of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from separatrix.errors import OptionError
from separatrix.models.attention import Suffix, running_pass
from separatrix.models.backbone import Backbone
from separatrix.models.config import check_entry, layer_count


class EntryForward:
    """The forward of a layer that a prompt may pass over or enter at."""

    def __init__(self, forward: Callable[..., Any], index: int) -> None:
        self.forward, self.index = forward, index
        self.gives_tuple = False  # some families' layers do

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """The layer's output; of the layers below the entry, their input."""
        state = running_pass()
        if isinstance(state, Suffix) and state.entry is not None:
            if self.index < state.first:
                hidden = inputs[0] if inputs else options["hidden_states"]
                return (hidden,) if self.gives_tuple else hidden
            if self.index == state.first and inputs:
                inputs = (state.entry, *inputs[1:])
            elif self.index == state.first:
                options = options | {"hidden_states": state.entry}
        output = self.forward(*inputs, **options)
        self.gives_tuple = isinstance(output, tuple)
        return output


def open_layers(backbone: Backbone, first: int) -> None:
    """Let a prompt enter a model's layers at one of them; again and again does no harm.

    Raises:
        OptionError: no such layer, or layers that are not found one by one.
    """
    check_entry(backbone.model.config, first)
    for index, layer in enumerate(_layers(backbone, first)):
        if not isinstance(layer.forward, EntryForward):
            layer.forward = EntryForward(layer.forward, index)


def _layers(backbone: Backbone, first: int) -> nn.ModuleList:
    count = layer_count(backbone.model.config)
    lists = (part for part in backbone.body.modules() if isinstance(part, nn.ModuleList) and len(part) == count)
    if (layers := next(lists, None)) is None:
        raise no_entry(backbone, first)
    return layers


def no_entry(backbone: Backbone, first: int) -> OptionError:
    """The refusal of a model whose layers cannot be entered one by one."""
    return OptionError(f"a prompt cannot enter {backbone.kind} models at a layer", got=first, hint="leave --layer away")


@torch.no_grad()
def states_at(backbone: Backbone, vectors: Tensor, first: int) -> Tensor:
    """The states that a model has of vectors of tokens, (tokens, width), where they come to a layer.

    They are run behind the first of them: a model's first token often has a state unlike all others.
    """
    states: list[Tensor] = []
    hook = _layers(backbone, first)[first].register_forward_pre_hook(
        lambda _layer, inputs, options: states.append(inputs[0] if inputs else options["hidden_states"]),
        with_kwargs=True,
    )
    embeds = torch.cat([vectors[:1], vectors])[None].to(backbone.device, backbone.dtype)
    positions = torch.arange(embeds.shape[1], device=backbone.device)[None]
    try:
        backbone.run(embeds=embeds, positions=positions, mask=torch.ones_like(positions))
    finally:
        hook.remove()
    return states[0][0, 1:].float().cpu()
