"""A frozen transformer and its tokenizer, every option explicit.

The backbone runs texts and prompts through the model; it is never trained. Causal models and encoders look the same
from outside: `tokenize`, `embed`, `run`, `logits`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

import torch
from torch import Tensor

from separatrix.errors import ModelError, OptionError
from separatrix.models import attention
from separatrix.models.quiet import quietly
from separatrix.models.randomness import OwnRandomness
from separatrix.models.source import Source, resolve
from separatrix.models.tokens import ESCAPE, NoTokens, Tokens, count_unread
from separatrix.models.vocabulary import vocabulary_logits
from separatrix.recipe import ModelRecipe

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
TANH_GELU = ("gelu_new", "gelu_fast")  # transformers' spellings of the same formula
# Embedding tables that count positions from the pad id + 1 (RoBERTa and its kin).
OFFSET_FAMILIES = ("roberta", "xlm-roberta", "camembert", "xlm-roberta-xl", "longformer", "mpnet")


@dataclass(frozen=True)
class Backbone:
    """A frozen model with its tokenizer. Make one with `load_backbone`."""

    model: Any
    tokenizer: Any
    recipe: ModelRecipe
    source: Source
    causal: bool
    device: torch.device

    @property
    def body(self) -> Any:
        """The transformer without its language-model head."""
        return self.model.base_model

    @property
    def dtype(self) -> torch.dtype:
        """The number format that the model computes in."""
        return next(self.model.parameters()).dtype

    @property
    def width(self) -> int:
        """Width of the hidden states."""
        return int(self.model.config.hidden_size)

    @property
    def embedding(self) -> Tensor:
        """The table of token embeddings, (vocabulary, embedding width)."""
        return self.model.get_input_embeddings().weight

    @property
    def first_position(self) -> int:
        """The position id of a row's first token."""
        config = self.model.config
        return config.pad_token_id + 1 if config.model_type in OFFSET_FAMILIES else 0

    @property
    def longest(self) -> int | None:
        """Tokens that one row may have in all, or None where positions are not limited."""
        limit = getattr(self.model.config, "max_position_embeddings", None)
        # XLNet and its kin write -1 for no limit.
        return None if limit is None or int(limit) <= 0 else int(limit) - self.first_position

    def tokenize(self, texts: Sequence[str], *, reserve: int = 0) -> Tokens:
        """Token ids of each text, cut to `max_length` and to what the model can hold beside `reserve` prompt tokens.

        Raises:
            ModelError: the prompt leaves no room for text.
            OptionError: `max_length` leaves no room for text.
            NoTokens: texts without a single token.
        """
        if not len(texts):
            return Tokens((), 0)
        room = self._room(reserve)
        encoded = self._encode(texts, truncation=True, max_length=room)
        cut = self._count_cut(texts, encoded, room)
        if empty := [row for row, ids in enumerate(encoded) if not ids]:
            raise NoTokens(empty, texts)
        unread = count_unread(self.tokenizer, texts, encoded)
        return Tokens(tuple(tuple(ids) for ids in encoded), cut, unread)

    def _encode(self, texts: Sequence[str], **options: Any) -> list[list[int]]:
        escape = self.recipe.special_tokens == ESCAPE
        return self.tokenizer(list(texts), split_special_tokens=escape, verbose=False, **options)["input_ids"]

    def _room(self, reserve: int) -> int:
        """Tokens that a text may have beside `reserve` prompt tokens."""
        least = self.tokenizer.num_special_tokens_to_add() + 1
        if self.longest is not None and self.longest - reserve < least:
            most = max(0, self.longest - least)
            raise ModelError(f"{reserve} prompt tokens leave no room for text", expected=f"at most {most}")
        if self.recipe.max_length < least:
            raise OptionError(
                "--max-length leaves no room for text", got=self.recipe.max_length, expected=f"{least} or more"
            )
        return self.recipe.max_length if self.longest is None else min(self.recipe.max_length, self.longest - reserve)

    def _count_cut(self, texts: Sequence[str], encoded: list[list[int]], room: int) -> int:
        full = [row for row, ids in enumerate(encoded) if len(ids) >= room]
        if not full:
            return 0
        whole = self._encode([texts[row] for row in full], truncation=False)
        return sum(len(ids) > room for ids in whole)

    def run(
        self, *, positions: Tensor, ids: Tensor | None = None, embeds: Tensor | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Hidden states of one batch, each (rows, tokens, width): the embeddings (for `ids` only), then every layer.

        Positions, (rows, tokens), count from each row's first token. Prompts come as `embeds` and return the last
        layer alone.

        Raises:
            ModelError: attention of a kind that is not supported, or a last state of another width than the layers'.
        """
        options: dict[str, Any] = {"use_cache": False} if self.causal else {}
        found = self.body(
            input_ids=ids,
            inputs_embeds=embeds,
            attention_mask=mask,
            position_ids=positions + self.first_position,
            output_hidden_states=ids is not None,
            **options,
        )
        self._check_width(found.last_hidden_state.shape[-1])
        return (found.last_hidden_state,) if ids is None else (*found.hidden_states[:-1], found.last_hidden_state)

    def _check_width(self, got: int) -> None:
        """OPT-350m brings its last state back to the width of its embeddings: that is no state of a layer."""
        if got != self.width:
            what = f"the last state of model {self.source.name!r} is projected to another width than its layers have"
            raise ModelError(what, got=got, expected=self.width, hint="choose another model")

    def logits(self, hidden: Tensor) -> Tensor:
        """Vocabulary logits of hidden states, (..., width) -> (..., vocabulary).

        Raises:
            ModelError: the model has no trained language-model head.
        """
        if self.model is self.body:
            raise ModelError(f"model {self.source.name!r} has no language-model head", hint="use --readout hidden")
        return vocabulary_logits(self.model, hidden)

    def fingerprint(self) -> str:
        """SHA-256 over every weight as it stands in memory: equal before and after, or the model was not frozen.

        A pooler is left out: it is never used, and random where the checkpoint lacks it.
        """
        total = hashlib.sha256()
        for name, tensor in sorted(self.model.state_dict().items()):
            if "pooler" in name:
                continue
            total.update(name.encode())
            total.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
        return total.hexdigest()


def pick_device(name: str) -> torch.device:
    """`auto` takes CUDA where there is one.

    >>> pick_device("cpu")
    device(type='cpu')
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise ModelError("no CUDA device on this machine", hint="use --device cpu")
    return torch.device(name)


def load_backbone(recipe: ModelRecipe, *, logits: bool = False) -> Backbone:
    """Load model and tokenizer, frozen and in evaluation mode.

    Args:
        recipe: which model, from where, in what format.
        logits: load the language-model head as well.

    Raises:
        ModelError: unknown model, damaged or missing files, no usable head although `logits`, or no such device.
    """
    device, source = pick_device(recipe.device), resolve(recipe)
    try:
        model, tokenizer, report = _read(source, recipe, logits)
    except ModelError:
        raise
    except Exception as error:  # damaged files surface as almost any type
        raise ModelError(f"model {source.name!r} cannot be loaded ({shorten(str(error), 200)})") from error
    _check_weights(source, report, logits)
    _check_tokenizer(source, tokenizer)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    model = model.to(device).eval().requires_grad_(False)
    backbone = Backbone(model, tokenizer, recipe, source, is_causal(model.config), device)
    if logits:
        _check_head(backbone)
    return backbone


def _read(source: Source, recipe: ModelRecipe, logits: bool) -> tuple[Any, Any, Mapping[str, Any]]:
    """Model, tokenizer, and which weights were missing or of another shape."""
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

    config = _fused(AutoConfig.from_pretrained(source.folder, trust_remote_code=recipe.trust_remote_code))
    with_head = AutoModelForCausalLM if is_causal(config) else AutoModelForMaskedLM
    kind: Any = with_head if logits else AutoModel
    attention.register()
    # What a checkpoint lacks is drawn at random: not from the caller's random state.
    with quietly(), OwnRandomness(0):
        model, report = kind.from_pretrained(
            source.folder,
            config=config,
            attn_implementation=attention.NAME,
            dtype=DTYPES[recipe.dtype],
            use_safetensors=True,
            ignore_mismatched_sizes=True,
            trust_remote_code=recipe.trust_remote_code,
            output_loading_info=True,
        )
    tokenizer = AutoTokenizer.from_pretrained(source.folder, trust_remote_code=recipe.trust_remote_code)
    return model, tokenizer, report


def _fused(config: Any) -> Any:
    """GELU by its tanh formula in one kernel instead of eight: a fifth of a GPT-2's time, the same to rounding."""
    for name in ("activation_function", "hidden_act"):
        if getattr(config, name, None) in TANH_GELU:
            setattr(config, name, "gelu_pytorch_tanh")
    return config


def _check_weights(source: Source, report: Mapping[str, Any], logits: bool) -> None:
    absent = sorted(name for name in report["missing_keys"] if "pooler" not in name)  # a pooler is never used here
    if absent:
        what = "language-model head" if logits else "weights"
        raise ModelError(
            f"model {source.name!r} has no trained {what} ({absent[0]} is missing)",
            hint="use --readout hidden" if logits else "give a complete checkpoint",
        )
    if other := sorted(report["mismatched_keys"]):
        name, got, expected = other[0]
        what = f"the weights of model {source.name!r} do not fit its config.json ({name})"
        raise ModelError(what, got=tuple(got), expected=tuple(expected))


def _check_tokenizer(source: Source, tokenizer: Any) -> None:
    # Without its files transformers makes up an empty one, to which every word is unknown.
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise ModelError(f"model {source.name!r} has no tokenizer", expected="tokenizer.json or a vocabulary beside it")


@torch.no_grad()
def _check_head(backbone: Backbone) -> None:
    """Run one token and compare: heads that scale or cap their logits, or have other layers, are refused."""
    ids = torch.zeros(1, 1, dtype=torch.long, device=backbone.device)
    mask = torch.ones_like(ids)
    hidden = backbone.run(ids=ids, positions=ids, mask=mask)[-1]
    wanted = backbone.model(input_ids=ids, position_ids=ids + backbone.first_position, attention_mask=mask).logits
    try:
        near = torch.allclose(backbone.logits(hidden), wanted, rtol=1e-2, atol=1e-2 * float(wanted.abs().max()))
    except RuntimeError:  # widths that do not fit
        near = False
    if not near:
        kind = backbone.model.config.model_type
        raise ModelError(f"the language-model head of {kind} models is not supported", hint="use --readout hidden")


def is_causal(config: Any) -> bool:
    """True for a left-to-right language model, False for an encoder."""
    from transformers.models.auto.modeling_auto import (
        MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MODEL_FOR_MASKED_LM_MAPPING_NAMES,
    )

    if getattr(config, "is_encoder_decoder", False):
        raise ModelError(f"{config.model_type} is an encoder-decoder", expected="a causal model or an encoder")
    if config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        return bool(getattr(config, "is_decoder", False))
    return config.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
