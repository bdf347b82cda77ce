"""A frozen transformer and its tokenizer, every option explicit.

The backbone runs texts and prompts through the model; it is never trained. Causal models and encoders look the same
from outside: `tokenize`, `embed`, `run`, `logits`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from separatrix.errors import ModelError, OptionError, public_name
from separatrix.models.config import layer_count, text_config
from separatrix.models.source import Source
from separatrix.models.token_pairs import tokenize_pairs
from separatrix.models.tokens import ESCAPE, NoTokens, Tokens, count_unread, tokenizing
from separatrix.recipe import ModelRecipe
from separatrix.texts.pairs import is_pair

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

# Masked language models put layers between the hidden state and the output embedding, under names of their own.
LM_HEADS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "bert": lambda model, hidden: model.cls(hidden),
    "electra": lambda model, hidden: model.generator_lm_head(model.generator_predictions(hidden)),
    "distilbert": lambda model, hidden: model.vocab_projector(
        model.vocab_layer_norm(model.activation(model.vocab_transform(hidden)))
    ),
    "modernbert": lambda model, hidden: model.decoder(model.head(hidden)),
}


def token_positions(ids: Tensor) -> Tensor:
    """0, 1, 2 ... of the tokens of each row, in the shape of the ids (rows, tokens)."""
    return torch.arange(ids.shape[1], device=ids.device).expand_as(ids)


@dataclass(frozen=True)
class Backbone:
    """A frozen model with its tokenizer. Make one with `load_backbone`."""

    model: Any
    tokenizer: Any
    recipe: ModelRecipe
    source: Source
    causal: bool
    device: torch.device
    plain: bool = False  # run as the family runs by itself: its own attention, mask and positions
    part: bool = False  # the encoder alone of a checkpoint that holds a decoder as well
    first_position: int = 0  # position id of a row's first token

    @property
    def body(self) -> Any:
        """The transformer without its language-model head."""
        return self.model.base_model

    @property
    def identity(self) -> dict[str, Any]:
        """The model that a result belongs to, as results and trained models write it."""
        source = self.source
        named = {"name": public_name(source.name), "revision": source.revision, "origin": source.origin}
        more = {"depth": self.recipe.depth, "remarks": list(source.remarks)}
        return named | {"weights": source.weights} | {name: value for name, value in more.items() if value}

    @property
    def kind(self) -> str:
        """The family, as config.json spells it."""
        return str(self.model.config.model_type)

    @property
    def dtype(self) -> torch.dtype:
        """The number format that the model computes in."""
        return next(self.model.parameters()).dtype

    @property
    def width(self) -> int:
        """Width of the hidden states."""
        return int(text_config(self.model.config).hidden_size)

    @property
    def embedding(self) -> Tensor:
        """The table of token embeddings, (vocabulary, embedding width)."""
        return self.model.get_input_embeddings().weight

    @property
    def pad(self) -> int:
        """The id that fills rows up: pads are masked, so where the tokenizer's own has no row, another one does."""
        pad = self.tokenizer.pad_token_id
        return 0 if pad is None or self.pad_is_beyond else pad

    @property
    def pad_is_beyond(self) -> bool:
        """Whether the tokenizer's pad was added to it, and the table of embeddings has no row for it."""
        pad, rows = self.tokenizer.pad_token_id, table_rows(self.model)
        return pad is not None and rows is not None and pad >= rows

    @property
    def longest(self) -> int | None:
        """Tokens that one row may have in all, or None where positions are not limited."""
        config = text_config(self.model.config)
        limit = getattr(config, "max_position_embeddings", None) or getattr(config, "max_seq_len", None)
        # XLNet and its kin write -1 for no limit.
        return None if limit is None or int(limit) <= 0 else int(limit) - self.first_position

    @property
    def has_types(self) -> bool:
        """Whether tokens of a first and a second text have a type of their own, which tokenizer and model know."""
        named = "token_type_ids" in getattr(self.tokenizer, "model_input_names", ())
        types = getattr(text_config(self.model.config), "type_vocab_size", 0) or 0
        return named and types > 1 and takes(self.body, "token_type_ids")

    def tokenize(self, texts: Sequence[str], *, reserve: int = 0) -> Tokens:
        """Token ids of each text, cut to `max_length` and to what the model can hold beside `reserve` prompt tokens.

        Raises:
            ModelError: the prompt leaves no room for text.
            OptionError: `max_length` leaves no room for text.
            NoTokens: texts without a single token.
        """
        if not len(texts):
            return Tokens((), 0)
        room = self.room(reserve)
        if pairs := [row for row, text in enumerate(texts) if is_pair(text)]:
            return self._tokenize_pairs(texts, pairs, room)
        encoded, cut = self._encode(texts, room)
        if empty := [row for row, ids in enumerate(encoded) if not ids]:
            raise NoTokens(empty, texts)
        unread = count_unread(self.tokenizer, texts, encoded)
        return Tokens(tuple(tuple(ids) for ids in encoded), cut, unread)

    def _tokenize_pairs(self, texts: Sequence[str], rows: list[int], room: int) -> Tokens:
        """Token ids of texts of which some are pairs, in the order of the texts."""
        others = [row for row in range(len(texts)) if not is_pair(texts[row])]
        rest = self.tokenize([texts[row] for row in others]) if others else Tokens((), 0)
        some = tokenize_pairs(self, [texts[row] for row in rows], room)
        ids = dict(zip([*others, *rows], [*rest.ids, *some.ids], strict=True))
        return Tokens(tuple(ids[row] for row in range(len(texts))), rest.cut + some.cut, rest.unread + some.unread)

    def _encode(self, texts: Sequence[str], room: int) -> tuple[list[list[int]], int]:
        """Token ids of each text, at most `room`, and how many texts had more."""
        batch = self._call_tokenizer(texts, truncation=True, max_length=room)
        encoded = batch["input_ids"]
        if batch.encodings is not None:
            cut = sum(bool(one.overflowing) for one in batch.encodings)
        else:  # written in Python: it keeps nothing of what it cuts
            full = [texts[row] for row, ids in enumerate(encoded) if len(ids) >= room]
            cut = sum(len(ids) > room for ids in self._call_tokenizer(full)["input_ids"]) if full else 0
        if not self.pad_is_beyond:
            return encoded, cut
        rows = len(self.embedding)
        return [[number for number in ids if number < rows] for ids in encoded], cut  # in a text it fills up nothing

    def _call_tokenizer(self, texts: Sequence[str], **options: Any) -> Any:
        options |= {"split_special_tokens": self.recipe.special_tokens == ESCAPE, "verbose": False}
        with tokenizing(self.source.name):
            return self.tokenizer(list(texts), return_attention_mask=False, return_token_type_ids=False, **options)

    def room(self, reserve: int) -> int:
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

    def run(
        self, *, ids: Tensor | None = None, embeds: Tensor | None = None, positions: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        """Hidden states of one batch, each (rows, tokens, width): the embeddings (for `ids` only), then every layer.

        Positions, (rows, tokens), count from each row's first token, which is number 0 without them. Prompts come as
        `embeds` and return the last layer alone.

        Raises:
            ModelError: attention of a kind that is not supported, states of another number or width than config.json
                says, or a prompt where the family runs by itself.
        """
        options: dict[str, Any] = {"use_cache": False} if takes(self.body, "use_cache") else {}
        if self.plain:
            if ids is None:
                raise self.no_suffix()
            options |= {"attention_mask": mask} if takes(self.body, "attention_mask") else {}
        else:
            options |= {"attention_mask": mask}
            # A family that counts from its pad reads positions off the ids: a pad inside a text has none there.
            if ids is None or not self.first_position:
                positions = token_positions(ids) if positions is None and ids is not None else positions
                assert positions is not None  # a prompt's are given
                options |= {"position_ids": positions + self.first_position}
        if ids is not None and self.has_types and bool((second := ids < 0).any()):
            options |= {"token_type_ids": second.long()}
            ids = torch.where(second, -1 - ids, ids)
        options |= {"inputs_embeds": embeds} if ids is None else {"input_ids": ids}
        output = self.body(output_hidden_states=ids is not None, **options)
        states = (output.last_hidden_state,)
        if ids is not None:
            states = (*(output.hidden_states or ())[:-1], *states)
            self._check_states(states, tuple(ids.shape))
        return states

    def _check_states(self, states: Sequence[Tensor], shape: tuple[int, ...]) -> None:
        layers = layer_count(self.model.config)
        if len(states) != layers + 1:
            what = f"model {self.source.name!r} gives states of another number of layers than its config says"
            raise ModelError(what, got=len(states) - 1, expected=layers, hint="choose another model")
        # OPT-350m brings its last state back to the width of its embeddings: that is no state of a layer.
        if (got := states[-1].shape[-1]) != self.width:
            what = f"the last state of model {self.source.name!r} is projected to another width than its layers have"
            raise ModelError(what, got=got, expected=self.width, hint="choose another model")
        if odd := [tuple(state.shape) for state in states if tuple(state.shape) != (*shape, self.width)]:
            what = f"model {self.source.name!r} gives states of another shape than one vector a token"
            raise ModelError(what, got=odd[0], expected=(*shape, self.width), hint="choose another model")

    def no_suffix(self) -> ModelError:
        """The refusal of a prompt; the vectors of every loaded model are checked, so a frozen one is a way."""
        what = f"the attention of {self.kind} models cannot be given a suffix"
        return ModelError(what, hint="type --method probe, or choose another model")

    def logits(self, hidden: Tensor, columns: Tensor | None = None) -> Tensor:
        """Vocabulary logits of hidden states, (..., width) -> (..., vocabulary), or of the tokens in `columns` alone.

        Raises:
            ModelError: the model has no trained language-model head.
        """
        if self.model is self.body:
            raise ModelError(f"model {self.source.name!r} has no language-model head", hint="use --readout hidden")
        if head := LM_HEADS.get(self.kind):
            logits = head(self.model, hidden)
            return logits if columns is None else logits[..., columns]
        # Where this is wrong (logits scaled or capped, layers in between), `load_backbone` notices and refuses.
        last = getattr(self.model, "lm_head", self.model.get_output_embeddings())
        if columns is None:
            return last(hidden)
        if type(last) is not nn.Linear:
            return last(hidden)[..., columns]
        return nn.functional.linear(hidden, last.weight[columns], None if last.bias is None else last.bias[columns])

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


def takes(model: Any, name: str) -> bool:
    """Whether a model's forward has an argument of this name."""
    return name in _arguments(type(model).forward)


@cache
def _arguments(forward: Callable[..., Any]) -> frozenset[str]:
    return frozenset(signature(forward).parameters)


def table_rows(model: Any) -> int | None:
    """Rows of the embedding table, or None where a model has no such table."""
    try:
        return len(model.get_input_embeddings().weight)
    except (AttributeError, NotImplementedError, TypeError):
        return None
