"""A transformer whose weights are trained, as the loop sees it: named tensors, and outputs of rows with gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from separatrix.errors import ModelError, OptionError
from separatrix.learn.objectives.base import LossBatch, LossValue
from separatrix.learn.trainables import Trainable, gradcache, step_randomness
from separatrix.learn.trainables.perturb import and_uphill
from separatrix.learn.trainables.token_rows import TokenRows, used_rows
from separatrix.models.backbone import Backbone, Tokens
from separatrix.models.batches import each_core, pad_tokens, token_batches, token_budget
from separatrix.models.config import layer_count
from separatrix.models.pool import mean_of, pool_states
from separatrix.recipe.align import CHUNK_TOKENS, LAYER_MIX, EncoderRecipe


@dataclass(frozen=True, eq=False)
class Encoder:
    """A transformer with a pooling. Made by `start_encoder`, which says what of it is trained."""

    backbone: Backbone
    recipe: EncoderRecipe
    mix: Tensor | None = None  # (layers,): logits of the layers' shares, for `layer_mix`
    words: TokenRows | None = None  # of the token table, what is trained of it in its stead

    def named(self) -> dict[str, Tensor]:
        """The transformer's tensors that are trained, by name; of the token table the rows in use."""
        named = {}
        for name, tensor in self.backbone.body.named_parameters():
            if self.words is not None and tensor is self.words.table:
                tensor = self.words.rows
            if tensor.requires_grad:
                named[f"encoder.{name}"] = tensor
        return named

    @property
    def token_table(self) -> Tensor:
        """What training steps look tokens up in: (vocabulary, width), or the rows of it that are in use."""
        return self.backbone.embedding if self.words is None else self.words.rows

    @torch.no_grad()
    def finished(self, tensors: Mapping[str, Tensor]) -> Encoder:
        """The encoder with trained tensors in place (those of `named`, and `pooling.mix`); its token table is whole."""
        for name, tensor in self.named().items():
            tensor.copy_(tensors[name])
        if self.mix is not None:
            self.mix.copy_(tensors["pooling.mix"])
        if self.words is None:
            return self
        self.words.write_back()
        self.words.table.requires_grad_()
        return replace(self, words=None)

    def forward(self, ids: Sequence[tuple[int, ...]], seed: Sequence[int] | None = None) -> Tensor:
        """Vectors (rows, width) float32 of token ids.

        A seed says that this is a training step, and what its dropout draws. Only training steps run in the recipe's
        number format: vectors that are kept or compared are float32 on every machine.
        """
        table, mask = pad_tokens(list(ids), self.backbone)
        learning = seed is not None
        dropping = _dropping(self.backbone.body, self.recipe.dropout, seed)
        with self._precision(training=learning), self._words(training=learning), dropping:
            states = self.backbone.run(ids=table, mask=mask)
        return self.pooled(states, mask).float()

    def pooled(self, states: Sequence[Tensor], mask: Tensor) -> Tensor:
        """One vector a row from the states of all layers, (rows, width)."""
        if self.mix is None:
            return pool_states(self.recipe.pool, states, mask)
        layers = torch.stack([mean_of(state, mask) for state in states[1:]])  # (layers, rows, width)
        return (self.mix.softmax(dim=0)[:, None, None] * layers).sum(dim=0)

    @torch.no_grad()
    def encode(self, tokens: Tokens, progress: Any = None) -> np.ndarray:
        """Vectors (rows, width) of tokenized texts, in batches of similar length, always in float32."""
        values = np.empty((len(tokens), self.backbone.width), np.float32)
        lengths = np.array([len(ids) for ids in tokens.ids], dtype=np.int64)
        device = self.backbone.device
        batches = token_batches(lengths, token_budget(device)) if len(lengths) else ()

        @torch.no_grad()
        def run(rows: np.ndarray) -> tuple[np.ndarray, Tensor]:
            return rows, self.forward([tokens.ids[row] for row in rows])

        for rows, vectors in each_core(batches, run, device):
            values[rows] = vectors.cpu().numpy()
            if progress is not None:
                progress(len(rows))
        return values

    def _words(self, *, training: bool) -> Any:
        """Training steps look tokens up in the rows that learn; all else in the table, which is brought up to date."""
        if self.words is not None and training:
            return self.words.standing_in()
        if self.words is not None:
            self.words.write_back()
        return nullcontext()

    def _precision(self, *, training: bool) -> Any:
        wanted, device = self.recipe.precision, self.backbone.device.type
        if not training or wanted == "float32" or (wanted == "auto" and device != "cuda"):
            return nullcontext()
        return torch.autocast(device, torch.bfloat16)


def start_encoder(backbone: Backbone, recipe: EncoderRecipe) -> Encoder:
    """An encoder ready to be trained: everything but the pooler and what the recipe freezes.

    Raises:
        OptionError: more frozen layers than there are, or `mean`-like pooling of an unknown kind.
        ModelError: layers to freeze were asked for, but the model's layers are not a list; or the encoder of a family
            that transformers cannot open without its decoder.
    """
    if backbone.part:
        what = f"the encoder of {backbone.kind} models cannot be saved without its decoder"
        raise ModelError(what, hint="type --method probe, or choose another model")
    layers = _layers(backbone.body)
    count = len(layers[1]) if layers else layer_count(backbone.model.config)
    if recipe.frozen_layers > count:
        raise OptionError("--frozen-layers is out of range", got=recipe.frozen_layers, expected=f"0 to {count}")
    if recipe.frozen_layers and layers is None:
        raise ModelError(f"the layers of {backbone.source.name!r} were not found", hint="leave --frozen-layers away")
    frozen = [f"{layers[0]}.{number}." for number in range(recipe.frozen_layers)] if layers else []
    for name, tensor in backbone.body.named_parameters():
        fixed = name.startswith(tuple(frozen)) or "pooler" in name
        fixed |= recipe.freeze_embeddings and _is_embedding(name, layers)
        tensor.requires_grad_(not fixed)
    mix = torch.zeros(count, device=backbone.device) if recipe.pool == LAYER_MIX else None
    return Encoder(backbone, recipe, mix)


def check_trained(encoder: Encoder, *, head: bool) -> None:
    """Refuse a training in which nothing moves: neither the encoder, as `start_encoder` left it, nor a head beside it.

    Raises:
        OptionError: everything is frozen.
    """
    if encoder.named() or encoder.mix is not None or head:
        return
    raise OptionError(
        "nothing is left to train",
        got=f"--frozen-layers {encoder.recipe.frozen_layers} and --freeze-embeddings",
        expected=f"a layer that is not frozen, --pool {LAYER_MIX}, or a head",
        hint="lower --frozen-layers, or add --head-weight 1",
    )


def _layers(body: nn.Module) -> tuple[str, nn.ModuleList] | None:
    """Name and list of the transformer's layers: the longest list of modules in it."""
    lists = [(name, module) for name, module in body.named_modules() if isinstance(module, nn.ModuleList)]
    return max(lists, key=lambda pair: len(pair[1]), default=None)


def _is_embedding(name: str, layers: tuple[str, nn.ModuleList] | None) -> bool:
    """Tables of tokens and positions, and the norm on top of them, in all families."""
    inside = layers is not None and name.startswith(layers[0] + ".")
    return not inside and any(part in name for part in ("embed", "wte", "wpe"))


@contextmanager
def _dropping(body: nn.Module, share: float, seed: Sequence[int] | None) -> Iterator[None]:
    """Dropout of this share inside the block, drawn by the seed; nothing without a seed."""
    if seed is None or not share:
        yield
        return
    for module in body.modules():
        if isinstance(module, nn.Dropout):
            module.p = share
    with step_randomness(*seed):
        body.train()
        try:
            yield
        finally:
            body.eval()


def thinned(
    ids: tuple[int, ...], share: float, special: frozenset[int], generator: np.random.Generator
) -> tuple[int, ...]:
    """A text without some of its tokens; those in `kept` stay, and a text never becomes empty.

    >>> thinned((1, 7, 8, 9, 2), 0.9, frozenset({1, 2}), np.random.default_rng(0))
    (1, 2)
    """
    stays = generator.random(len(ids)) >= share
    left = tuple(one for one, stay in zip(ids, stays, strict=True) if stay or one in special)
    return left or ids[:1]


@dataclass
class EncoderTrainable(Trainable):
    """An encoder over tokenized parts, as the loop sees it."""

    encoder: Encoder
    tokens: Mapping[str, Tokens]
    seed: int

    def __post_init__(self) -> None:
        words = used_rows(self.encoder.backbone, self.tokens["train"].ids)
        self.encoder = replace(self.encoder, words=words)
        self._lengths = {part: np.array([len(ids) for ids in tokens.ids]) for part, tokens in self.tokens.items()}

    def groups(self) -> dict[str, dict[str, Tensor]]:
        """The encoder, and the shares of its layers where they are learnt."""
        mix = {} if self.encoder.mix is None else {"pooling": {"pooling.mix": self.encoder.mix}}
        return {"encoder": self.encoder.named()} | mix

    def outputs(self, part: str, rows: np.ndarray, step: int | None = None, chunk: int = 0) -> Tensor:
        """Vectors of these rows, (rows, width) float32."""
        ids = self.tokens[part].ids
        chosen, share = [ids[row] for row in rows], self.encoder.recipe.text_dropout
        seed = None if step is None else (self.seed, step, chunk)
        if seed is not None and share:
            generator, special = np.random.default_rng(seed), frozenset(self.encoder.backbone.tokenizer.all_special_ids)
            chosen = [thinned(one, share, special, generator) for one in chosen]
        return self.encoder.forward(chosen, seed)

    def backward(self, batch: LossBatch, loss: Callable[[Tensor], LossValue]) -> tuple[Tensor, LossValue]:
        """Run a batch in chunks if it is large, and once more with its tokens' vectors moved, where that is asked."""
        assert batch.rows is not None
        rows = batch.rows.cpu().numpy()
        chunks = gradcache.chunked(self.lengths("train")[rows], self.encoder.recipe.chunk_rows, CHUNK_TOKENS)

        def forward(index: np.ndarray, chunk: int) -> Tensor:
            return self.outputs("train", rows[index], batch.step, chunk)

        run = partial(gradcache.backward, forward, chunks, loss)
        return and_uphill(run, self.encoder.token_table, self.encoder.recipe.perturbation)

    def lengths(self, part: str) -> np.ndarray:
        """Tokens of each text of a part."""
        return self._lengths[part]
