"""A transformer with a head for answer spans, as the loop sees it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from separatrix.errors import ModelError
from separatrix.learn.trainables import Trainable, step_randomness
from separatrix.models.backbone import Backbone
from separatrix.models.quiet import quietly
from separatrix.models.randomness import OwnRandomness


def load_span_model(backbone: Backbone, seed: int) -> Any:
    """The backbone's checkpoint with a span head; a head that the checkpoint lacks is drawn by the seed.

    Raises:
        ModelError: the family has no span head.
    """
    from transformers import AutoModelForQuestionAnswering

    try:
        with quietly(), OwnRandomness(seed):
            model = AutoModelForQuestionAnswering.from_pretrained(
                backbone.source.folder,
                attn_implementation="eager",
                use_safetensors=True,
                trust_remote_code=backbone.recipe.trust_remote_code,
            )
    except ValueError as error:
        kind = backbone.model.config.model_type
        raise ModelError(f"{kind} models have no head for question answering", hint="give an encoder") from error
    return model.to(backbone.device)


@dataclass(frozen=True, eq=False)
class SpanTrainable(Trainable):
    """A model with a span head over training windows; its own dropout is on in training steps."""

    model: Any
    scores: Callable[[np.ndarray], Tensor]  # rows -> scores of each token as start and as end, (rows, tokens, 2)
    sizes: np.ndarray  # (rows,) tokens of each window
    seed: int

    def groups(self) -> dict[str, dict[str, Tensor]]:
        """The whole model."""
        return {"encoder": dict(self.model.named_parameters())}

    def outputs(self, _part: str, rows: np.ndarray, step: int | None = None) -> Tensor:
        """Scores of each token as start and as end, (rows, tokens, 2)."""
        self.model.train(step is not None)
        with step_randomness(self.seed, step or 0):
            return self.scores(rows)

    def lengths(self, _part: str) -> np.ndarray:
        """Tokens of each window."""
        return self.sizes
