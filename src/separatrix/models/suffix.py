"""The soft prompt behind the text: the only vectors that are trained.

Prompt token j of a row stands at position `len(row) + j`, sees the row's text and the prompt, and is seen by no text.
Its start is a token embedding; with `prompt_layers="all"` each layer learns two more vectors per prompt token: one
added to its query (where it looks) and one added to what it reads. Both leave the stored text valid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from separatrix.errors import OptionError
from separatrix.models.attention import Suffix, running, suffix_mask
from separatrix.models.backbone import Backbone
from separatrix.models.cache import AttentionShape, TextBatch
from separatrix.recipe import PromptRecipe
from separatrix.recipe.registry import Registry
from separatrix.recipe.train import POSITIONS


@dataclass(frozen=True)
class SoftPrompt:
    """The trained vectors, in float32 whatever the model computes in."""

    tokens: Tensor  # (tokens, embedding width)
    steer: Tensor | None  # (layers, 2, tokens, query width)

    def named(self) -> dict[str, Tensor]:
        """The vectors by name, for the optimiser and for files."""
        return {"tokens": self.tokens} | ({} if self.steer is None else {"steer": self.steer})


def start_prompt(
    recipe: PromptRecipe, backbone: Backbone, shape: AttentionShape, *, names: Sequence[str] = (), seed: int = 0
) -> SoftPrompt:
    """Fresh vectors: `vocabulary` (rows of random tokens), `text`, `classes` (the class names' tokens) or `normal`.

    A text of fewer tokens than the prompt is repeated; a longer one is cut.

    Raises:
        OptionError: a text or class names without a token.
    """
    generator = torch.Generator().manual_seed(seed)
    table = backbone.embedding.detach().float().cpu()  # (vocabulary, embedding width)
    if recipe.init == "normal":
        scale = table.std()
        tokens = torch.randn(recipe.tokens, table.shape[1], generator=generator) * scale
    elif recipe.init == "vocabulary":
        tokens = table[torch.randint(len(table), (recipe.tokens,), generator=generator)]
    else:
        text = recipe.init_text if recipe.init == "text" else " ".join(names)
        ids = backbone.tokenizer(text or "", add_special_tokens=False)["input_ids"]
        if not ids:
            raise OptionError("the text that starts the prompt has no token", got=repr(text))
        tokens = table[torch.tensor([ids[index % len(ids)] for index in range(recipe.tokens)])]
    steer = torch.zeros(shape.layers, 2, recipe.tokens, shape.query_width) if recipe.prompt_layers == "all" else None
    device = backbone.device
    return SoftPrompt(tokens.clone().to(device), None if steer is None else steer.to(device))


def run_prompt(prompt: SoftPrompt, text: TextBatch, backbone: Backbone, without: int | None = None) -> Tensor:
    """Last hidden states at the prompt positions, (rows, tokens, width); no vector sees the one that is left out."""
    rows, count = len(text.lengths), len(prompt.tokens)
    embeds = prompt.tokens.to(backbone.dtype).repeat(rows, 1, 1)  # a copy: CTRL scales it in place
    positions = text.lengths[:, None] + torch.arange(count, device=text.lengths.device)[None, :]  # (rows, tokens)
    state = Suffix(text, backbone.causal, prompt.steer)
    if without is not None:
        state.mask = suffix_mask(text.mask, count, backbone.causal)
        state.mask[..., text.mask.shape[1] + without] = False
    with running(state):
        return backbone.run(embeds=embeds, positions=positions)[-1]


def read(hidden: Tensor, recipe: PromptRecipe, backbone: Backbone) -> Tensor:
    """What is read of the prompt: (rows, tokens, width) -> (rows, output width), float32.

    The vocabulary is only ever multiplied with one position.
    """
    if recipe.readout == "logits":
        return backbone.logits(hidden[:, -1]).float()
    return READS[recipe.positions](hidden).float()


# hidden states at the prompt (rows, tokens, width) -> outputs (rows, output width)
READS: Registry[Callable[[Tensor], Tensor]] = Registry(
    POSITIONS,
    {
        "last": lambda hidden: hidden[:, -1],
        "mean": lambda hidden: hidden.mean(dim=1),
        "all": lambda hidden: hidden.flatten(1),
    },
)
