"""The soft prompt behind the text: the only vectors that are trained.

Prompt token j of a row stands at position `len(row) + j`, sees the row's text and the prompt, and is seen by no text.
Its start is a token embedding; with `prompt_layers="all"` each layer learns two more vectors per prompt token: one
added to its query (where it looks) and one added to what it reads. Both leave the stored text valid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from separatrix.models.attention import Suffix, running, suffix_mask
from separatrix.models.backbone import Backbone
from separatrix.models.cache import LAYER_MEAN, AttentionShape, TextBatch
from separatrix.models.late import open_layers, states_at
from separatrix.models.starts import INITS, PromptForm, StartInputs, plain, residual
from separatrix.recipe import PromptRecipe
from separatrix.recipe.registry import Registry
from separatrix.recipe.train import POSITIONS


@dataclass(frozen=True)
class SoftPrompt:
    """The trained vectors, in float32 whatever the model computes in."""

    tokens: Tensor  # (tokens, embedding width); of a late prompt its states at the layer, (tokens, width)
    steer: Tensor | None  # (layers from `layer` on, 2, tokens, query width)
    up: Tensor | None = None  # (rank, tokens * width): what a text's own features add to the tokens
    down: Tensor | None = None  # (text width, rank): principal directions of the training texts' vectors; not trained
    center: Tensor | None = None  # (text width,): mean of these vectors; not trained
    layer: int = 0  # that it enters at

    def named(self) -> dict[str, Tensor]:
        """The vectors by name, for files."""
        every = {name: getattr(self, name) for name in ("tokens", "steer", "up", "down", "center")}
        return {name: tensor for name, tensor in every.items() if tensor is not None}

    def having(self, tensors: Mapping[str, Tensor]) -> SoftPrompt:
        """The same with other tensors, by the names of `named`."""
        changes: dict[str, Any] = dict(tensors)
        return replace(self, **changes)

    def of(self, text: TextBatch) -> Tensor:
        """The tokens behind each text, (rows, tokens, width)."""
        rows = len(text.lengths)
        if self.up is None:
            return self.tokens.repeat(rows, 1, 1)  # a copy: CTRL scales it in place
        assert self.down is not None
        assert self.center is not None
        assert text.vectors is not None
        own = text.vectors[LAYER_MEAN].to(self.tokens)  # (rows, text width)
        return self.tokens + ((own - self.center) @ self.down @ self.up).view(rows, *self.tokens.shape)


# Of a prompt, what is trained; the vectors at the layers have a learning rate of their own.
TRAINED = {"prompt": ("tokens", "up"), "layers": ("steer",)}


def start_prompt(
    recipe: PromptRecipe, backbone: Backbone, shape: AttentionShape, *, names: Sequence[str] = (), seed: int = 0
) -> SoftPrompt:
    """Fresh vectors, as the form of the recipe's start gives them.

    Raises:
        OptionError: a text or class names without a token, sentences that are not those of the classes.
    """
    form = start_form(recipe, backbone, names=names, seed=seed)
    return prompt_of(recipe, backbone, shape, form)


def start_form(recipe: PromptRecipe, backbone: Backbone, *, names: Sequence[str] = (), seed: int = 0) -> PromptForm:
    """What is trained of the prompt's vectors, on the model's device; errors are those of `start_prompt`."""
    generator = torch.Generator().manual_seed(seed)
    table = backbone.embedding.detach().float().cpu()  # (vocabulary, embedding width)

    def tokenize(text: str) -> list[int]:
        return list(backbone.tokenizer(text, add_special_tokens=False)["input_ids"])

    form = INITS[recipe.init](StartInputs(recipe, table, names, tokenize, generator))
    if recipe.layer:
        form = plain(states_at(backbone, form.vectors(form.tensors), recipe.layer))
    if recipe.residual:
        form = residual(form, recipe.residual, generator)
    tensors = {name: tensor.clone().to(backbone.device) for name, tensor in form.tensors.items()}
    return PromptForm(tensors, form.vectors)


def prompt_of(recipe: PromptRecipe, backbone: Backbone, shape: AttentionShape, form: PromptForm) -> SoftPrompt:
    """The prompt of a form at its start, with vectors at the layers that change nothing."""
    steer = torch.zeros(shape.layers, 2, recipe.tokens, shape.query_width) if recipe.prompt_layers == "all" else None
    steer = None if steer is None else steer.to(backbone.device)
    return SoftPrompt(form.vectors(form.tensors).detach(), steer, layer=recipe.layer)


def with_instance(prompt: SoftPrompt, texts: Tensor, rank: int) -> SoftPrompt:
    """A prompt that a text's own vector moves, by nothing at first.

    Args:
        prompt: of any start.
        texts: vectors of the training texts, (rows, text width) float32.
        rank: principal components of these that are looked at; at most as many as they have.
    """
    center = texts.double().mean(dim=0)
    _, size, directions = torch.linalg.svd(texts.double() - center, full_matrices=False)
    size, directions = size[:rank], directions[:rank]  # largest first
    # Each feature has the same share of the tokens' spread, so that one learning rate suits both.
    scale = float(prompt.tokens.std()) * (len(texts) / len(size)) ** 0.5
    down = directions.T * (scale / size.clamp_min(1e-9 * float(size[0])))
    up = torch.zeros(len(size), prompt.tokens.numel())
    device = prompt.tokens.device
    return replace(prompt, up=up.to(device), down=down.float().to(device), center=center.float().to(device))


def run_prompt(prompt: SoftPrompt, text: TextBatch, backbone: Backbone, without: int | None = None) -> Tensor:
    """Last hidden states at the prompt positions, (rows, tokens, width); no vector sees the one that is left out."""
    rows, count = len(text.lengths), len(prompt.tokens)
    embeds = prompt.of(text).to(backbone.dtype)
    positions = text.lengths[:, None] + torch.arange(count, device=text.lengths.device)[None, :]  # (rows, tokens)
    # Taken apart once: a slice at each layer would have a gradient as large as the whole.
    state = Suffix(text, backbone.causal, None if prompt.steer is None else prompt.steer.unbind())
    if prompt.layer:
        open_layers(backbone, prompt.layer)
        state.first, state.entry = prompt.layer, embeds
        embeds = embeds.new_zeros(rows, count, backbone.embedding.shape[1])
    if without is not None:
        state.mask = suffix_mask(text.mask, count, backbone.causal)
        state.mask[..., text.mask.shape[1] + without] = False
    with running(state):
        return backbone.run(embeds=embeds, positions=positions)[-1]


def read(hidden: Tensor, recipe: PromptRecipe, backbone: Backbone, columns: Tensor | None = None) -> Tensor:
    """What is read of the prompt: (rows, tokens, width) -> (rows, output width), float32; of it the columns named.

    The vocabulary is only ever multiplied with one position.
    """
    if recipe.readout == "logits":
        return backbone.logits(hidden[:, -1], columns).float()
    z = READS[recipe.positions](hidden).float()
    return z if columns is None else z[:, columns]


# hidden states at the prompt (rows, tokens, width) -> outputs (rows, output width)
READS: Registry[Callable[[Tensor], Tensor]] = Registry(
    POSITIONS,
    {
        "last": lambda hidden: hidden[:, -1],
        "mean": lambda hidden: hidden.mean(dim=1),
        "all": lambda hidden: hidden.flatten(1),
    },
)
