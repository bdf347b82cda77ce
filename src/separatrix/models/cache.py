"""The text runs once: keys and values of every layer for each row's real tokens, kept and handed out in batches.

The prompt stands behind the text and the text never looks at it, so with a frozen model these numbers are constants.
They are kept ragged (no padding) in 16 bits, in memory or in a mapped file; above both budgets the text is run
without gradient at every step. The numbers do not depend on the place: `off` rounds to the same format. The keys of one
layer and head lie in one piece, token after token, as the attention multiplies them.

Bytes of a row: tokens x layers x 2 x key heads x head width x 2; for GPT-2 small 36.9 kB a token.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from separatrix.errors import ModelError, raise_interrupt
from separatrix.models.attention import Capture, Suffix, TextKeys, running
from separatrix.models.backbone import DTYPES, Backbone, Tokens, token_positions
from separatrix.models.batches import each_core, on_cores, pad_tokens, token_batches, token_budget
from separatrix.models.candidates import candidates
from separatrix.models.check import same_states, some_ids
from separatrix.models.config import layer_count
from separatrix.models.extract import RowBlocks
from separatrix.models.late import no_entry, open_layers
from separatrix.models.pool import Pooling, pooled
from separatrix.models.shared import shared_folder, shared_vectors
from separatrix.recipe import CacheRecipe
from separatrix.store.ragged import RaggedRows

# NumPy has no bfloat16; its bits travel as integers.
STORED = {"float16": np.float16, "bfloat16": np.uint16, "float32": np.float32}
TOKENS = 3  # their place among the axes of a row: (layers, 2, key heads, tokens, head width)
GIB = float(1 << 30)
ROWS = "text.cache"  # a file
LAYER_MEAN = "layer_mean"  # the pooling that moves an instance-wise prompt
PROBED = 4  # tokens that `attention_shape` runs: within any local window


@dataclass(frozen=True)
class AttentionShape:
    """Sizes of a model's attention, read off a forward of one token."""

    layers: int
    heads: int
    key_heads: int
    head_width: int
    first: int = 0  # layers below it are passed over by a prompt that enters there, and not among `layers`

    @property
    def query_width(self) -> int:
        """Width of all heads of a query side by side."""
        return self.heads * self.head_width

    @property
    def item(self) -> tuple[int, int, int, int]:
        """Shape of what one token leaves behind: (layers, keys and values, key heads, head width)."""
        return (self.layers, 2, self.key_heads, self.head_width)


@torch.no_grad()
def attention_shape(backbone: Backbone, first: int = 0) -> AttentionShape:
    """Run a few tokens and look; works for every family without knowing its names.

    Args:
        backbone: the frozen model.
        first: layer that the prompt enters at.

    Raises:
        OptionError: the model has no such layer, or cannot be entered there.
        ModelError: a model whose tokens take from a text before them more, or other things, than what its layers'
            keys and values hold.
    """
    if backbone.plain:
        raise backbone.no_suffix()
    if first:
        open_layers(backbone, first)
    ids = torch.tensor([some_ids(backbone, PROBED)], device=backbone.device)
    with running(seen := Capture()):
        states = backbone.run(ids=ids, mask=torch.ones_like(ids))
    if len(seen.layers) != layer_count(backbone.model.config):
        raise backbone.no_suffix()
    shapes = {tuple(tensor.shape) for pair in seen.layers for tensor in pair}
    if len(shapes) != 1:
        what = f"model {backbone.source.name!r} has layers of different key sizes"
        raise ModelError(what, hint="type --method probe, or choose another model")
    try:
        behind = _behind(backbone, ids, seen, states[first] if first else None, first)
    except ModelError:
        raise
    except Exception as error:  # a forward that takes no vectors of tokens fails in any way
        raise_interrupt(error)
        raise (no_entry(backbone, first) if first else backbone.no_suffix()) from error
    if not same_states([[behind]], [[states[-1][0, PROBED // 2 :]]], backbone.dtype):
        raise no_entry(backbone, first) if first else backbone.no_suffix()
    _, key_heads, _, head_width = shapes.pop()
    return AttentionShape(len(seen.layers) - first, seen.heads, key_heads, head_width, first)


def _behind(backbone: Backbone, ids: Tensor, seen: Capture, entry: Tensor | None, first: int) -> Tensor:
    """The last states of a text's second half as a prompt behind its first half, (tokens, width).

    With the states of the whole text at a layer, `entry`, it enters there.

    Keys and values are those that the first half has in the whole text. So whatever sees what, the states are those of
    the whole text, unless something besides attention carries the text on.
    """
    half = ids.shape[1] // 2
    layers = seen.layers[first:]
    block = torch.stack([torch.stack([part[:, :, :half] for part in pair], dim=1) for pair in layers], dim=1)
    mask = torch.ones_like(ids[:, :half], dtype=torch.bool)
    text = TextBatch(torch.tensor([half], device=ids.device), mask, block)
    embeds = backbone.model.get_input_embeddings()(ids[:, half:])
    state = Suffix(text, backbone.causal, first=first, entry=None if entry is None else entry[:, half:])
    with running(state):
        return backbone.run(embeds=embeds, positions=token_positions(ids)[:, half:])[-1][0]


@torch.no_grad()
def run_text(
    backbone: Backbone, ids: Tensor, mask: Tensor, dtype: str, first: int = 0
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Keys and values of right-padded texts, as `TextBatch` holds them, in the cache's format; their hidden states.

    Args:
        ids: (rows, tokens).
        mask: (rows, tokens), 1 at real tokens.
        dtype: a name in `STORED`.
        first: layer below which nothing is kept.
    """
    with running(seen := Capture()):
        states = backbone.run(ids=ids, mask=mask)
    pairs = [torch.stack(pair, dim=1) for pair in seen.layers[first:]]  # each (rows, 2, key heads, tokens, head width)
    return torch.stack(pairs, dim=1).to(DTYPES[dtype]), states


@dataclass
class TextBatch:
    """Keys and values of a padded batch, one layer at a time. It is valid until the next batch of the same cache."""

    lengths: Tensor  # (rows,)
    mask: Tensor  # (rows, tokens) bool
    block: Tensor  # (rows, layers, 2, key heads, tokens, head width)
    vectors: dict[str, Tensor] | None = None  # (rows, width) by pooling; of a stored text `LAYER_MEAN` alone

    def layer(self, index: int) -> TextKeys:
        """Keys and values of one layer, as they are stored."""
        return TextKeys(*self.block[:, index].to(self.mask.device).unbind(1))

    def hide(self, share: float, generator: np.random.Generator) -> None:
        """Hide a random share of each text's tokens, never the first: the stored numbers stay as they are."""
        visible = torch.from_numpy(generator.random(tuple(self.mask.shape)) >= share)
        visible[:, 0] = True
        self.mask = self.mask & visible.to(self.mask.device)


@dataclass
class TextCache:
    """The frozen text of a set of rows. Make one with `build_cache`."""

    backbone: Backbone
    tokens: Tokens
    shape: AttentionShape
    recipe: CacheRecipe
    location: str  # "memory", "disk" or "off"
    rows: RaggedRows | None = None
    lengths: np.ndarray = field(init=False)  # (rows,)
    plans: tuple[Pooling, ...] = field(init=False)  # of `vectors`
    vectors: dict[str, np.ndarray] | None = None  # (rows, width) float32 by pooling: the text's own, kept on the way
    room: Tensor | None = None  # memory of the batch handed out last

    def __post_init__(self) -> None:
        self.lengths = np.array([len(ids) for ids in self.tokens.ids], dtype=np.int64)
        self.plans = candidates(self.backbone)

    @property
    def nbytes(self) -> int:
        """Bytes that the cache takes, or would take."""
        return cache_bytes(self.lengths, self.shape, self.recipe)

    def batch(self, rows: np.ndarray) -> TextBatch:
        """The stored text of the rows named, padded to the longest of them."""
        device = self.backbone.device
        lengths = torch.from_numpy(self.lengths[rows])
        mask = torch.arange(int(lengths.max()))[None, :] < lengths[:, None]
        vectors: dict[str, Tensor] | None = None
        if self.rows is None:
            block, vectors = self._run(rows)
        else:
            block = self._gather(rows, int(lengths.max()))
            if self.vectors is not None:
                vectors = {LAYER_MEAN: torch.from_numpy(self.vectors[LAYER_MEAN][rows])}
        return TextBatch(lengths.to(device), mask.to(device), block, vectors)

    def _gather(self, rows: np.ndarray, longest: int) -> Tensor:
        """The stored rows side by side, in memory that each batch takes over from the one before.

        A large batch in fresh memory costs as much in page faults as in copying.
        """
        assert self.rows is not None
        size = len(rows) * longest * int(np.prod(self.shape.item))
        if self.room is None or len(self.room) < size:
            self.room = torch.empty(size, dtype=DTYPES[self.recipe.cache_dtype])
        # Told to autograd, so that going backward through an earlier batch is an error instead of a wrong gradient.
        self.room[:0].zero_()
        block = self.room[:size].view(len(rows), *self.rows.sized(longest))
        bits = block.view(torch.int16) if self.recipe.cache_dtype == "bfloat16" else block
        on_cores(self.rows.pad_into, bits.numpy().view(self.rows.dtype), rows)
        return block

    def _run(self, rows: np.ndarray) -> tuple[Tensor, dict[str, Tensor]]:
        """Keys and values of a batch by a forward, (rows, tokens, *item), in the cache's format; its pooled vectors."""
        ids, mask = pad_tokens([self.tokens.ids[row] for row in rows], self.backbone)
        block, states = run_text(self.backbone, ids, mask, self.recipe.cache_dtype, self.shape.first)
        return block, pooled(self.plans, states, mask)

    def _finite(self, rows: np.ndarray) -> tuple[Tensor, dict[str, Tensor]]:
        block, vectors = self._run(rows)
        if not bool(torch.isfinite(block).all()):
            raise ModelError("keys or values overflow the text cache", hint="type --cache-dtype bfloat16")
        return block, vectors

    def fill(self, rows: RaggedRows | None, progress: Callable[[int], None] | None = None) -> None:
        """Run every text once and keep what it leaves behind; without rows, the pooled vectors alone."""
        pooled_texts = RowBlocks(len(self.lengths), {})
        batches, device = token_batches(self.lengths, token_budget(self.backbone.device)), self.backbone.device
        for batch, (block, vectors) in each_core(batches, lambda batch: (batch, self._finite(batch)), device):
            pooled_texts.put(batch, vectors)
            if rows is not None:
                self._keep(rows, batch, block.cpu())
            if progress is not None:
                progress(len(batch))
        if rows is not None:
            rows.seal()
        self.rows, self.vectors = rows, pooled_texts.blocks

    def build(self, path: Path | None, progress: Callable[[int], None] | None = None) -> None:
        """Run every text once and keep it, in a file or in memory; of a failed run nothing stays."""
        rows = RaggedRows.allocate(
            self.lengths, self.shape.item, np.dtype(STORED[self.recipe.cache_dtype]), path, axis=TOKENS
        )
        try:
            self.fill(rows, progress)
        except BaseException:
            rows.remove()
            raise

    def _keep(self, rows: RaggedRows, batch: np.ndarray, block: Tensor) -> None:
        block = block.view(torch.int16) if self.recipe.cache_dtype == "bfloat16" else block
        values = block.numpy().view(STORED[self.recipe.cache_dtype])
        for index, row in enumerate(batch):
            rows.write(int(row), values[index, ..., : self.lengths[row], :])

    def close(self) -> None:
        """Free the memory or delete the file."""
        self.room = None
        if self.rows is not None:
            self.rows.remove()
            self.rows = None


def cache_bytes(lengths: np.ndarray, shape: AttentionShape, recipe: CacheRecipe) -> int:
    """Bytes of a cache over rows of these lengths."""
    return int(lengths.sum()) * int(np.prod(shape.item)) * np.dtype(STORED[recipe.cache_dtype]).itemsize


def cache_note(caches: Mapping[str, TextCache]) -> str:
    """Where the caches of a training are and what they take (or would take), in one line."""
    by_location: dict[str, list[str]] = {}
    for part, cache in caches.items():
        by_location.setdefault(cache.location, []).append(part)
    lines = []
    for location, parts in by_location.items():
        mib = sum(caches[part].nbytes for part in parts) / 2**20
        names = " and ".join("training" if part == "train" else part for part in parts)
        lines.append(f"{location}, {mib:.0f} MiB for the {names} texts")
    return "text cache: " + "; ".join(lines)


def build_cache(
    backbone: Backbone,
    tokens: Tokens,
    recipe: CacheRecipe,
    *,
    first: int = 0,
    folder: Path | None = None,
    progress: Callable[[int], None] | None = None,
    beside: Mapping[str, TextCache] | None = None,
    shared: Path | None = None,
) -> TextCache:
    """Run every text once and keep its keys and values where the recipe and the budgets say.

    Args:
        first: layer that the prompt enters at; nothing is kept of those below.
        recipe: place, number format, budgets. `auto`: memory if it fits, else disk if it fits, else `off`.
        beside: the caches that stand already: they share the budgets.
        shared: folder of caches that several trainings share; what is there is not built again.

    Raises:
        ModelError: numbers that the format cannot hold, or a model that cannot be given a suffix.
        StoreError: no room on the disk.
    """
    cache = TextCache(backbone, tokens, attention_shape(backbone, first), recipe, "off")
    cache.location = _location(cache.nbytes, recipe, folder, list((beside or {}).values()))
    if cache.location == "off":
        cache.fill(None, progress)
        return cache
    if shared is not None:
        share_cache(cache, shared, progress)
        return cache
    cache.build(folder / ROWS if cache.location == "disk" and folder is not None else None, progress)
    return cache


def share_cache(cache: TextCache, folder: Path, progress: Callable[[int], None] | None = None) -> None:
    """Give a cache the rows that another training left in a folder, or run the texts and leave them there."""
    recipe, shape = cache.recipe, cache.shape
    formats = [recipe.cache_dtype, *shape.item]  # layers among them
    own = shared_folder(folder, cache.backbone, cache.tokens, [*formats, *([shape.first] if shape.first else [])])

    def make() -> dict[str, np.ndarray]:
        cache.build(own / ROWS, progress)
        return cache.vectors or {}

    cache.vectors = shared_vectors(own, make, [ROWS], cache.nbytes)
    stored = np.dtype(STORED[recipe.cache_dtype])
    cache.rows = RaggedRows.mapped(cache.lengths, shape.item, stored, own / ROWS, axis=TOKENS)


def _location(nbytes: int, recipe: CacheRecipe, folder: Path | None, beside: list[TextCache]) -> str:
    if recipe.cache == "disk" and folder is None:
        raise ModelError("a cache on disk needs a folder", hint="give --out, or type --cache memory")
    if recipe.cache != "auto":
        return recipe.cache
    budgets = {"memory": recipe.memory_gib, "disk": recipe.disk_gib if folder is not None else -1.0}
    for location, gib in budgets.items():
        if nbytes + sum(cache.nbytes for cache in beside if cache.location == location) <= gib * GIB:
            return location
    return "off"
