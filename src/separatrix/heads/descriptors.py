"""Numbers that say what a head does, one row a map: where its attention goes, how far, how sharply.

Each is a mean over the map's queries (real tokens only) and a share between 0 and 1 (`block` may be below 0), so that
windows of different lengths compare: entropies are divided by the logarithm of the number of keys that a query may
see, distances by the longest one. The sources:

entropy, first, special, previous, next, self    Clark et al. 2019, "What does BERT look at?"
vertical, diagonal, block                         Kovaleva et al. 2019, "Revealing the dark secrets of BERT"
confidence                                        Voita et al. 2019, "Analyzing multi-head self-attention"
distance                                          Vig and Belinkov 2019, "Analyzing the structure of attention"
information                                       mutual information of query and key, the complement of `vertical`
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from separatrix.heads.maps import WindowBatch

NAMES = (
    "entropy",  # of a query's attention; 1 = spread evenly over all that it may see
    "confidence",  # largest weight of a query
    "self",  # mass on the token itself
    "previous",  # mass on the token before
    "next",  # mass on the token behind
    "first",  # mass on the first token
    "special",  # mass on all special tokens
    "punctuation",  # mass on punctuation
    "distance",  # how far the attention goes, as a share of the window
    "forward",  # mass on tokens behind (0 in causal models)
    "diagonal",  # mass within a twentieth of the window (one token at least)
    "vertical",  # how unevenly the keys share all attention; 1 = one key gets all
    "peak",  # mass that the most attended key gets
    "block",  # mass within the own segment, less what even attention would put there
    "information",  # how much a query's attention depends on the query; 0 = all rows are alike
)
BAND = 0.05
TINY = 1e-30  # under the logarithm


def descriptors(maps: Tensor, batch: WindowBatch) -> Tensor:
    """Fifteen numbers a map (rows, heads, tokens, tokens; zero at pads), in the order of `NAMES`.

    Returns:
        (rows, heads, 15).
    """
    rows, heads, tokens, _ = maps.shape
    length = batch.lengths.float()[:, None]  # (rows, 1)
    before = (length - 1).clamp(min=1)
    log_length = length.clamp(min=2).log()
    keys = maps.sum(dim=2) / length[..., None]  # (rows, heads, tokens): share of all attention that each key gets
    masses = keys @ batch.once("columns", _columns)  # (rows, heads, 3)
    fields = maps.reshape(rows, heads, tokens * tokens) @ batch.once("fields", _fields).mT / length[..., None]
    entropies = -maps.clamp(min=TINY).log_().mul_(maps).sum(dim=-1)  # (rows, heads, queries); one buffer, in place
    spread = -(keys * keys.clamp(min=TINY).log()).sum(dim=-1)
    reference = batch.once("even", lambda batch: even(batch).sum(dim=1) / batch.lengths[:, None])  # (rows, tokens)
    against = (keys * (keys.clamp(min=TINY) / reference.clamp(min=TINY)[:, None]).log()).sum(dim=-1)
    columns = (
        (entropies * batch.once("scale", _scale)[:, None]).sum(dim=-1) / length,
        maps.amax(dim=-1).sum(dim=-1) / length,
        _offset(maps, 0) / length,
        _offset(maps, -1) / before,
        _offset(maps, 1) / before,
        masses[..., 0],
        masses[..., 1],
        masses[..., 2],
        fields[..., 0],
        fields[..., 1],
        fields[..., 2],
        against / log_length,
        keys.amax(dim=-1),
        fields[..., 3] - batch.once("own", _even_own)[:, None],
        (spread - entropies.sum(dim=-1) / length) / log_length,
    )
    return torch.stack(columns, dim=-1)


def _offset(maps: Tensor, offset: int) -> Tensor:
    """Sum of a diagonal of each map, (rows, heads)."""
    return torch.diagonal(maps, offset, dim1=2, dim2=3).sum(dim=-1)


def visible(batch: WindowBatch) -> Tensor:
    """Which keys each query may see, (rows, queries, keys) bool; nothing at pads."""
    seen = batch.mask[:, :, None] & batch.mask[:, None, :]
    return seen.tril() if batch.causal else seen


def even(batch: WindowBatch) -> Tensor:
    """Attention that is even over all that a query may see, (rows, queries, keys)."""
    seen = visible(batch).float()
    return seen / seen.sum(dim=-1, keepdim=True).clamp(min=1)


def _scale(batch: WindowBatch) -> Tensor:
    """One over the largest entropy that each query can have, (rows, queries); 0 where it sees one key or is a pad."""
    count = visible(batch).sum(dim=-1)
    return torch.where(count > 1, 1 / count.clamp(min=2).float().log(), torch.zeros(()).to(batch.mask.device))


def _columns(batch: WindowBatch) -> Tensor:
    """Weights of the keys: first, special, punctuation; (rows, tokens, 3)."""
    first = torch.zeros_like(batch.mask)
    first[:, 0] = True
    return torch.stack([first, batch.special, batch.punctuation], dim=-1).float()


def _fields(batch: WindowBatch) -> Tensor:
    """Weights of the cells: distance, forward, near the diagonal, own segment; (rows, 4, tokens * tokens).

    Each field lies in one piece, as each map does: the product of the two is four times as fast as across.
    """
    position = torch.arange(batch.mask.shape[1], device=batch.mask.device)
    ahead = position[None, :] - position[:, None]  # (queries, keys)
    length = batch.lengths[:, None, None].float()
    near = ahead.abs()[None] <= (BAND * length).clamp(min=1)
    apart = ahead.abs()[None] / (length - 1).clamp(min=1)
    forward = (ahead > 0)[None].expand_as(near)
    fields = torch.stack([apart, forward.float(), near.float(), _own(batch).float()], dim=1)
    return fields.flatten(2)


def _own(batch: WindowBatch) -> Tensor:
    """Which keys are in the segment of the query, (rows, queries, keys) bool; never for special tokens."""
    return (batch.segments[:, :, None] == batch.segments[:, None, :]) & (batch.segments >= 0)[:, :, None]


def _even_own(batch: WindowBatch) -> Tensor:
    """Mass that even attention puts into the own segment, (rows,)."""
    return (even(batch) * _own(batch)).sum(dim=(1, 2)) / batch.lengths


def head_distances(maps: Tensor, queries: int = 32) -> Tensor:
    """Jensen-Shannon distance between the heads' attention, the mean over queries (Clark et al. 2019, section 6).

    The distance of two rows p, q is the root of H((p + q) / 2) - (H(p) + H(q)) / 2 in bits, so it lies in 0 .. 1.

    Args:
        maps: (heads, tokens, tokens), without pads; heads of all layers.
        queries: evenly spaced queries that are compared; all if there are no more.

    Returns:
        (heads, heads), symmetric, zero on the diagonal.

    >>> same, other = torch.eye(2), torch.eye(2).flip(0)
    >>> head_distances(torch.stack([same, same, other])).tolist()
    [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 1.0, 0.0]]
    """
    places = torch.linspace(0, maps.shape[1] - 1, min(queries, maps.shape[1]), device=maps.device).round().long()
    rows = maps[:, places]  # (heads, queries, tokens)
    own = _entropy(rows)  # (heads, queries)
    distances = torch.zeros(len(rows), len(rows), device=maps.device)
    for head in range(len(rows) - 1):
        others = rows[head + 1 :]
        divergence = _entropy((rows[head] + others) / 2) - (own[head] + own[head + 1 :]) / 2
        # Rounding leaves equal rows a hair apart, and the root would make it large.
        divergence = torch.where(divergence > 1e-6, divergence, 0.0)
        distances[head, head + 1 :] = distances[head + 1 :, head] = divergence.clamp(max=1).sqrt().mean(dim=-1)
    return distances


def _entropy(rows: Tensor) -> Tensor:
    return -(rows * rows.clamp(min=TINY).log()).sum(dim=-1) / math.log(2)
