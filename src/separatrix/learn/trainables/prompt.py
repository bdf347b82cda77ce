"""A soft prompt behind frozen texts whose keys and values are cached."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from separatrix.learn.trainables import Trainable
from separatrix.models.backbone import Backbone
from separatrix.models.cache import TextCache
from separatrix.models.suffix import SoftPrompt, read, run_prompt
from separatrix.recipe import TrainRecipe


@dataclass
class PromptTrainable(Trainable):
    """A prompt behind cached texts of each part, as the loop sees it."""

    backbone: Backbone
    recipe: TrainRecipe
    prompt: SoftPrompt
    caches: dict[str, TextCache]
    columns: Tensor | None = None  # (classes,) ids of label words: outputs are their logits alone

    def groups(self) -> dict[str, dict[str, Tensor]]:
        """The prompt's tokens, and the vectors of the layers, each a learning-rate group."""
        named = self.prompt.named()
        layers = {"layers": {"steer": named["steer"]}} if "steer" in named else {}
        return {"prompt": {"tokens": named["tokens"]}} | layers

    def outputs(self, part: str, rows: np.ndarray, step: int | None = None) -> Tensor:
        """Outputs of these rows, (rows, width) float32; in a training step some of the text may be hidden."""
        text, share = self.caches[part].batch(rows), self.recipe.prompt.text_dropout
        if step is not None and share:
            text.hide(share, np.random.default_rng([self.recipe.loop.seed, step]))
        hidden = run_prompt(self.prompt, text, self.backbone)
        z = read(hidden, self.recipe.prompt, self.backbone)
        return z if self.columns is None else z[:, self.columns]

    def lengths(self, part: str) -> np.ndarray:
        """Tokens of each text of a part."""
        return self.caches[part].lengths
