"""Frozen vectors of texts: each batch runs once, whatever is read of it.

Texts are run in batches of similar length, so that hardly a pad is computed, and come back in their own order. A
`Reader` takes blocks out of a batch: pooled states of any layers, logits at the last position, or every token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from separatrix.models.backbone import Backbone
from separatrix.models.batches import each_core, groups, pad_tokens, token_batches, token_budget
from separatrix.models.config import layer_count
from separatrix.models.pool import Pooling, plan_poolings, pooled
from separatrix.models.shared import shared_folder, shared_vectors
from separatrix.models.tokens import TokenPart, Tokens, UnreadCounts
from separatrix.recipe.vectors import VectorsRecipe

RowsDone = Callable[[int], None]
A = TypeVar("A")


@dataclass(frozen=True, eq=False)
class Vectors:
    """One vector a text."""

    values: np.ndarray  # (rows, width) float32
    cut: int  # texts that were longer than max_length
    unread: UnreadCounts = UnreadCounts()


@dataclass(frozen=True, eq=False)
class TokenStates:
    """What a model made of some texts in one forward."""

    states: tuple[Tensor, ...]  # each (rows, tokens, width), the embeddings first
    mask: Tensor  # (rows, tokens)


@dataclass(frozen=True)
class Engine:
    """What runs the texts: a model, the padded tokens of one forward, and another way to run it."""

    backbone: Backbone
    budget: int | None = None  # by device if absent
    run: Callable[..., tuple[Tensor, ...]] | None = None  # as `Backbone.run` with ids, positions and mask

    def batches(self, tokens: Tokens) -> Iterator[np.ndarray]:
        """Row numbers of each forward."""
        lengths = np.array([len(ids) for ids in tokens.ids])
        return token_batches(lengths, token_budget(self.backbone.device, self.budget))

    def forward(
        self, tokens: Tokens, read: Callable[[TokenStates], A], progress: RowsDone | None = None
    ) -> Iterator[tuple[np.ndarray, A]]:
        """Run texts in batches of similar length whose padded size stays within the budget.

        Args:
            read: what is wanted of a batch; called where the batch was run.

        Yields:
            Numbers of the rows, and what was read of them.

        Raises:
            ModelError: the model gives another number of layers than its config says.
        """
        device, batches, run = self.backbone.device, self.batches(tokens), self.run or self.backbone.run

        @torch.inference_mode()
        def work(rows: np.ndarray) -> tuple[np.ndarray, A]:
            ids, mask = pad_tokens([tokens.ids[row] for row in rows], self.backbone)
            return rows, read(TokenStates(run(ids=ids, mask=mask), mask))

        # Another engine has threads of its own.
        for rows, values in each_core(batches, work, device) if self.run is None else map(work, batches):
            yield rows, values
            if progress is not None:
                progress(len(rows))


@dataclass
class RowBlocks:
    """Named matrices that are filled batch by batch, every row at its index."""

    rows: int
    blocks: dict[str, np.ndarray]

    def put(self, rows: np.ndarray, values: dict[str, Tensor]) -> None:
        """Write these rows, (rows, width) each."""
        for name, tensor in values.items():
            if name not in self.blocks:
                self.blocks[name] = np.empty((self.rows, tensor.shape[1]), np.float32)
            self.blocks[name][rows] = tensor.float().cpu().numpy()


@dataclass(frozen=True)
class Reader:
    """Turns tokenized texts into named matrices; `names` are all that it can give."""

    engine: Engine
    names: tuple[str, ...]
    take: Callable[[TokenStates, Sequence[str]], dict[str, Tensor]]  # the blocks named, of one batch
    by_token: bool = False  # rows are the tokens of all texts, text after text

    def tokenize(self, texts: Sequence[str]) -> Tokens:
        """Token ids, cut to what the model can hold."""
        return self.engine.backbone.tokenize(texts)

    def read(self, tokens: Tokens, names: Sequence[str], progress: RowsDone | None = None) -> dict[str, np.ndarray]:
        """The blocks named, each (rows, width) float32, in the order of the texts."""
        starts = self._starts(tokens)
        table = RowBlocks(int(starts[-1]), {})
        for rows, values in self.engine.forward(tokens, lambda states: self.take(states, names), progress):
            table.put(_spans(starts, rows), values)
        return {name: table.blocks[name] for name in names}

    def parts(self, tokens: Tokens) -> Iterator[TokenPart]:
        """The tokens in parts that give the same numbers when each is read alone."""
        starts = self._starts(tokens)
        for rows in groups(self.engine.batches(tokens)):
            yield TokenPart(tokens.take(rows), _spans(starts, rows), len(rows))

    def _starts(self, tokens: Tokens) -> np.ndarray:
        """The row of the blocks at which each text begins, and their number, (texts + 1,)."""
        counts = [len(ids) for ids in tokens.ids] if self.by_token else [1] * len(tokens)
        return np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])


def _spans(starts: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return np.concatenate([np.arange(starts[row], starts[row + 1]) for row in rows])


def hidden_reader(engine: Engine, plans: Sequence[Pooling]) -> Reader:
    """Pooled hidden states: every block of one pass."""

    def take(batch: TokenStates, names: Sequence[str]) -> dict[str, Tensor]:
        return pooled([plan for plan in plans if plan.name in names], batch.states, batch.mask)

    return Reader(engine, tuple(plan.name for plan in plans), take)


def logits_reader(engine: Engine, top: int | None = None) -> Reader:
    """LM logits at the last position of each text: the head is applied to that one position only.

    With `top`, the block `logits_top` has the highest logits, largest first, and `logits_top_ids` their tokens.
    """
    last, backbone = Pooling("last", "last"), engine.backbone

    def take(batch: TokenStates, _: Sequence[str]) -> dict[str, Tensor]:
        logits = backbone.logits(pooled([last], batch.states, batch.mask)["last"].to(backbone.dtype))
        if top is None:
            return {"logits": logits}
        highest = logits.float().topk(min(top, logits.shape[1]), dim=1)
        return {"logits_top": highest.values, "logits_top_ids": highest.indices}

    return Reader(engine, LOGITS if top is None else TOP_LOGITS, take)


LOGITS, TOP_LOGITS = ("logits",), ("logits_top", "logits_top_ids")


def token_reader(engine: Engine, layers: tuple[int, ...] | None = None) -> Reader:
    """States of every real token; the block `token`, or `token@3` where layers are named."""
    names = token_names(layers)
    layer_of = dict(zip(names, (-1,) if layers is None else layers, strict=True))

    def take(batch: TokenStates, chosen: Sequence[str]) -> dict[str, Tensor]:
        return {name: batch.states[layer_of[name]][batch.mask.bool()] for name in chosen}

    return Reader(engine, names, take, by_token=True)


def token_names(layers: tuple[int, ...] | None) -> tuple[str, ...]:
    """Names of the blocks of `token_reader`."""
    return ("token",) if layers is None else tuple(f"token@{layer}" for layer in layers)


def extract(
    backbone: Backbone,
    texts: Sequence[str],
    *,
    pool: str = "layer_mean",
    layer: int | None = None,
    progress: RowsDone | None = None,
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
    backbone: Backbone,
    texts: Sequence[str],
    plans: tuple[Pooling, ...],
    progress: RowsDone | None = None,
    shared: Path | None = None,
) -> tuple[dict[str, np.ndarray], Tokens]:
    """Vectors of texts by several poolings, each (rows, width) float32, from one pass; and their tokens.

    Args:
        shared: folder of what several trainings read of their texts: vectors that are there are not made again, if
            the model is one whose weights stand as its source has them.
    """
    reader = hidden_reader(Engine(backbone), plans)
    tokens = reader.tokenize(texts)
    if not len(tokens):
        return {name: np.empty((0, backbone.width), np.float32) for name in reader.names}, tokens
    if shared is None:
        return reader.read(tokens, reader.names, progress), tokens
    formats = ["pooled", layer_count(backbone.model.config), sorted(map(repr, plans))]
    own = shared_folder(shared, backbone, tokens, formats)
    blocks = shared_vectors(own, lambda: reader.read(tokens, reader.names, progress))
    return {name: blocks[name] for name in reader.names}, tokens
