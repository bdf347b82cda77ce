"""Frozen vectors of texts: each batch runs once, whatever is read of it.

Texts are run in batches of similar length, so that hardly a pad is computed, and come back in their own order. A
`Reader` says what is kept of a batch: pooled states of any layers, logits at the last position, or every token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from separatrix.models.backbone import Backbone
from separatrix.models.batches import each_core, pad_tokens, token_batches, token_budget
from separatrix.models.config import layer_count
from separatrix.models.pool import Pooling, plan_poolings, pooled
from separatrix.models.tokens import Tokens, Unread
from separatrix.recipe.vectors import VectorsRecipe

Progress = Callable[[int], None]
A = TypeVar("A")


@dataclass(frozen=True, eq=False)
class Vectors:
    """One vector a text."""

    values: np.ndarray  # (rows, width) float32
    cut: int  # texts that were longer than max_length
    unread: Unread = Unread()


class Run(Protocol):
    """A forward over token ids: `Backbone.run`, or another engine's."""

    def __call__(self, *, ids: Tensor, positions: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        """Hidden states of one batch, each (rows, tokens, width), the embeddings first."""
        ...


class Reader(Protocol):
    """Turns tokenized texts into named matrices."""

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Token ids, cut to what the model can hold."""
        ...

    def read(self, tokens: Tokens, names: Sequence[str], progress: Progress | None = None) -> dict[str, np.ndarray]:
        """The blocks named, each (rows, width) float32, in the order of the texts."""
        ...


def extract(
    backbone: Backbone,
    texts: Sequence[str],
    *,
    pool: str = "layer_mean",
    layer: int | None = None,
    progress: Progress | None = None,
) -> Vectors:
    """Run texts through the frozen model and pool their hidden states (of the last layer, or of the one named).

    Raises:
        OptionError: an unknown pooling, or a layer that the model does not have.
    """
    wanted = VectorsRecipe(pool=(pool,), layers=None if layer is None else (layer,))
    (plan,) = plan_poolings(wanted, layer_count(backbone.model.config))
    blocks, tokens = extract_blocks(backbone, texts, (plan,), progress)
    return Vectors(blocks[plan.name], tokens.cut, tokens.unread)


def extract_blocks(
    backbone: Backbone, texts: Sequence[str], plans: tuple[Pooling, ...], progress: Progress | None = None
) -> tuple[dict[str, np.ndarray], Tokens]:
    """Vectors of texts by several poolings, each (rows, width) float32, from one pass; and their tokens."""
    reader = HiddenReader(Engine(backbone), plans)
    tokens, names = reader.tokenize(texts), [plan.name for plan in plans]
    if not len(tokens):
        return {name: np.empty((0, backbone.width), np.float32) for name in names}, tokens
    return reader.read(tokens, names, progress), tokens


@dataclass(frozen=True, eq=False)
class Batch:
    """One forward: which rows, and what the model made of them."""

    rows: np.ndarray  # (rows,) places among the texts
    states: tuple[Tensor, ...]  # each (rows, tokens, width), the embeddings first
    mask: Tensor  # (rows, tokens)


@dataclass(frozen=True)
class Engine:
    """What runs the texts: a model, the padded tokens of one forward, and another way to run it."""

    backbone: Backbone
    budget: int | None = None  # by device if absent
    run: Run | None = None  # `Backbone.run` if absent

    def forward(
        self, tokens: Tokens, read: Callable[[Batch], A], progress: Progress | None = None
    ) -> Iterator[tuple[np.ndarray, A]]:
        """Run texts in batches of similar length whose padded size stays within the budget.

        Args:
            tokens: the texts.
            read: what is wanted of a batch; called where the batch was run.
            progress: told the number of rows done after each batch.

        Yields:
            Places of the rows, and what was read of them.

        Raises:
            ModelError: the model gives another number of layers than its config says.
        """
        device, lengths = self.backbone.device, np.array([len(ids) for ids in tokens.ids])
        batches = token_batches(lengths, token_budget(device, self.budget))

        @torch.inference_mode()
        def work(rows: np.ndarray) -> tuple[np.ndarray, A]:
            return rows, read(self._batch(tokens, rows))

        # Another engine has threads of its own.
        for rows, found in each_core(batches, work, device) if self.run is None else map(work, batches):
            yield rows, found
            if progress is not None:
                progress(len(rows))

    def _batch(self, tokens: Tokens, rows: np.ndarray) -> Batch:
        backbone, run = self.backbone, self.run or self.backbone.run
        ids, mask = pad_tokens([tokens.ids[row] for row in rows], backbone)
        positions = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
        states = run(ids=ids, positions=positions, mask=mask)
        return Batch(rows, states, mask)


@dataclass
class Gathered:
    """Blocks that grow batch by batch, with every row in its place."""

    rows: int
    blocks: dict[str, np.ndarray]

    def put(self, places: np.ndarray | slice, values: dict[str, Tensor]) -> None:
        """Keep what a batch gave for these rows."""
        for name, tensor in values.items():
            if name not in self.blocks:
                self.blocks[name] = np.empty((self.rows, tensor.shape[1]), np.float32)
            self.blocks[name][places] = tensor.float().cpu().numpy()


@dataclass(frozen=True)
class HiddenReader:
    """Pooled hidden states: every block of one pass."""

    engine: Engine
    plans: tuple[Pooling, ...]

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Token ids, cut to what the model can hold."""
        return self.engine.backbone.tokenize(texts)

    def read(self, tokens: Tokens, names: Sequence[str], progress: Progress | None = None) -> dict[str, np.ndarray]:
        """The blocks named, each (rows, width) float32."""
        wanted = [plan for plan in self.plans if plan.name in names]
        found = Gathered(len(tokens), {})
        for rows, values in self.engine.forward(tokens, lambda one: pooled(wanted, one.states, one.mask), progress):
            found.put(rows, values)
        return found.blocks


@dataclass(frozen=True)
class LogitsReader:
    """LM logits at the last position of each text: the head is applied to that one position only.

    With `top`, the block `logits_top` has the highest logits, largest first, and `logits_top_ids` their tokens.
    """

    engine: Engine
    top: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the blocks."""
        return ("logits",) if self.top is None else ("logits_top", "logits_top_ids")

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Token ids, cut to what the model can hold."""
        return self.engine.backbone.tokenize(texts)

    def read(self, tokens: Tokens, names: Sequence[str], progress: Progress | None = None) -> dict[str, np.ndarray]:
        """The blocks named, each (rows, vocabulary or top) float32."""
        found = Gathered(len(tokens), {})
        last = Pooling("last", "last")

        def read(batch: Batch) -> dict[str, Tensor]:
            hidden = pooled([last], batch.states, batch.mask)["last"].to(self.engine.backbone.dtype)
            return self._named(self.engine.backbone.logits(hidden))

        for rows, values in self.engine.forward(tokens, read, progress):
            found.put(rows, values)
        return {name: found.blocks[name] for name in names}

    def _named(self, logits: Tensor) -> dict[str, Tensor]:
        if self.top is None:
            return {"logits": logits}
        highest = logits.float().topk(min(self.top, logits.shape[1]), dim=1)
        return {"logits_top": highest.values, "logits_top_ids": highest.indices}


@dataclass(frozen=True)
class TokenReader:
    """States of every real token, text after text: rows are tokens."""

    engine: Engine
    layers: tuple[int, ...] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the blocks: `token`, or `token@3` where layers are named."""
        return ("token",) if self.layers is None else tuple(f"token@{layer}" for layer in self.layers)

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Token ids, cut to what the model can hold."""
        return self.engine.backbone.tokenize(texts)

    def read(self, tokens: Tokens, names: Sequence[str], progress: Progress | None = None) -> dict[str, np.ndarray]:
        """The blocks named, each (tokens of all texts, width) float32."""
        starts = np.concatenate([[0], np.cumsum([len(ids) for ids in tokens.ids])])
        layers = dict(zip(self.names, (-1,) if self.layers is None else self.layers, strict=True))
        found = Gathered(int(starts[-1]), {})
        wanted = {name: layers[name] for name in names}
        states = self.engine.forward(
            tokens, lambda batch: {name: batch.states[layer] for name, layer in wanted.items()}, progress
        )
        for rows, found_here in states:
            for place, row in enumerate(rows):
                real = slice(0, int(starts[row + 1] - starts[row]))
                values = {name: state[place, real] for name, state in found_here.items()}
                found.put(slice(int(starts[row]), int(starts[row + 1])), values)
        return found.blocks
