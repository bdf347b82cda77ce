"""A soft prompt behind frozen texts whose keys and values are cached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from separatrix.learn.trainables import Trainable
from separatrix.models.backbone import Backbone
from separatrix.models.cache import TextCache
from separatrix.models.starts import PromptForm
from separatrix.models.suffix import TRAINED, SoftPrompt, read, run_prompt
from separatrix.recipe import TrainRecipe


@dataclass
class PromptTrainable(Trainable):
    """A prompt behind cached texts of each part, as the loop sees it."""

    backbone: Backbone
    recipe: TrainRecipe
    prompt: SoftPrompt
    caches: dict[str, TextCache]
    columns: Tensor | None = None  # (classes,) ids of label words: outputs are their logits alone
    form: PromptForm | None = None  # where the tokens follow from other tensors, which are trained in their place

    def groups(self) -> dict[str, dict[str, Tensor]]:
        """What is trained of the prompt, and the vectors of the layers, each a learning-rate group."""
        named = self.prompt.named()
        groups = {group: {name: named[name] for name in names if name in named} for group, names in TRAINED.items()}
        if self.form is not None:
            del groups["prompt"]["tokens"]
            groups["prompt"] = self.form.tensors | groups["prompt"]
        return {group: tensors for group, tensors in groups.items() if tensors}

    def current(self, trained: Mapping[str, Tensor] | None = None) -> SoftPrompt:
        """The prompt as it follows from what is trained, or from other tensors of these names."""
        if self.form is None:
            return self.prompt if trained is None else self.prompt.having(self._own(trained))
        tensors = self.form.tensors if trained is None else trained
        return self.prompt.having(self._own(tensors) | {"tokens": self.form.vectors(tensors)})

    def _own(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: tensor for name, tensor in tensors.items() if name in self.prompt.named()}

    def outputs(self, part: str, rows: np.ndarray, step: int | None = None) -> Tensor:
        """Outputs of these rows, (rows, width) float32; in a training step some of the text may be hidden."""
        text, share = self.caches[part].batch(rows), self.recipe.prompt.text_dropout
        if step is not None and share:
            text.hide(share, np.random.default_rng([self.recipe.loop.seed, step]))
        hidden = run_prompt(self.current(), text, self.backbone)
        return read(hidden, self.recipe.prompt, self.backbone, self.columns)

    def lengths(self, part: str) -> np.ndarray:
        """Tokens of each text of a part."""
        return self.caches[part].lengths
