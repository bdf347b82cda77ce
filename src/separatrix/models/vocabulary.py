"""From hidden states to vocabulary logits, without running the model again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor


def vocabulary_logits(model: Any, hidden: Tensor) -> Tensor:
    """The language-model head alone, (..., width) -> (..., vocabulary).

    Most models call it `lm_head` or have nothing but the output embedding; where that is wrong (logits that are scaled
    or capped, layers in between), `load_backbone` notices and refuses.
    """
    if head := LM_HEADS.get(model.config.model_type):
        return head(model, hidden)
    return getattr(model, "lm_head", model.get_output_embeddings())(hidden)


# Masked language models put layers between the hidden state and the output embedding, under names of their own.
LM_HEADS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "bert": lambda model, hidden: model.cls(hidden),
    "electra": lambda model, hidden: model.generator_lm_head(model.generator_predictions(hidden)),
    "distilbert": lambda model, hidden: model.vocab_projector(
        model.vocab_layer_norm(model.activation(model.vocab_transform(hidden)))
    ),
    "modernbert": lambda model, hidden: model.decoder(model.head(hidden)),
}
