"""What HeadVis plots of every head: means over its attention maps, text after text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

PER_QUERY, LEAST = 8, 0.005  # weights of a query that are kept, and how large they are
TOP_PAIRS = 8  # the largest weights of a text: what a head attends to most
METRICS = {
    "self_attention_score": "mean weight of a token on itself",
    "previous_token_score": "mean weight of a token on the one before",
    "pattern_entropy": "mean entropy of a query's attention, in nats",
    "qk_distance": "mean distance between query and key, in tokens, weighted by attention",
    "qk_distance_variance": "variance of that distance",
    "induction_score": "mean weight on what followed earlier tokens that are the same as the query",
    "query_token_entropy": f"entropy, in nats, of the query tokens of the {TOP_PAIRS} largest weights of each text",
    "key_token_entropy": f"the same of the key tokens of the {TOP_PAIRS} largest weights",
}


@dataclass(eq=False)
class MapScores:
    """Sums behind the metrics of every head, text after text."""

    heads: int
    sums: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    queries: list[Counter[str]] = field(default_factory=list)
    keys: list[Counter[str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.queries = [Counter() for _ in range(self.heads)]
        self.keys = [Counter() for _ in range(self.heads)]

    def add(self, maps: NDArray[np.float64], words: Sequence[str]) -> None:
        """A text: maps (heads, tokens, tokens)."""
        tokens, names = maps.shape[-1], np.asarray(words, dtype=object)
        away = np.abs(np.subtract.outer(np.arange(tokens), np.arange(tokens)))
        diagonal, before = np.arange(tokens), np.arange(1, tokens)
        followed = np.zeros((tokens, tokens))  # 1 where the key follows an earlier token that is the query's
        followed[:, 1:] = (names[:, None] == names[None, :-1]) & np.tri(tokens, tokens - 1, -1, dtype=bool)
        entropy = -(maps * np.log(np.maximum(maps, 1e-30))).sum(axis=-1)
        self._count("self_attention_score", maps[:, diagonal, diagonal].sum(axis=-1), tokens)
        self._count("previous_token_score", maps[:, before, before - 1].sum(axis=-1), tokens - 1)
        self._count("pattern_entropy", entropy.sum(axis=-1), tokens)
        self._count("qk_distance", (maps * away).sum(axis=(-2, -1)), tokens)
        self._count("square", (maps * away**2).sum(axis=(-2, -1)), tokens)
        self._count("induction_score", (maps * followed).sum(axis=(-2, -1)), tokens)
        for head, (query, key) in enumerate(zip(*top_pairs(maps), strict=True)):
            self.queries[head].update(names[query].tolist())
            self.keys[head].update(names[key].tolist())

    def metrics(self, head: int) -> dict[str, float]:
        """Those of a head, in the order of `METRICS`."""
        means = {name: total[head] / max(self.counts[name], 1) for name, total in self.sums.items()}
        means["qk_distance_variance"] = max(means["square"] - means["qk_distance"] ** 2, 0.0)
        means["query_token_entropy"], means["key_token_entropy"] = map(_entropy, (self.queries[head], self.keys[head]))
        return {name: means[name] for name in METRICS}

    def _count(self, name: str, values: NDArray[np.float64], count: int) -> None:
        self.sums[name] = self.sums.get(name, np.zeros(self.heads)) + values
        self.counts[name] += count


@dataclass(frozen=True, eq=False)
class SparseMap:
    """The largest weights of each query of a text, and how far its largest pairs are apart."""

    indices: NDArray[np.int64]  # query x tokens + key, rising
    values: NDArray[np.float64]  # four decimals
    distances: NDArray[np.intp]  # (pairs,)


def sparse_maps(maps: NDArray[np.float64]) -> list[SparseMap]:
    """Maps (heads, tokens, tokens) as `PER_QUERY` weights of each query, those of `LEAST` or more."""
    tokens, (queries, keys) = maps.shape[-1], top_pairs(maps)
    most = np.argsort(-maps, axis=-1, kind="stable")[..., :PER_QUERY]  # (heads, queries, keys)
    values = np.take_along_axis(maps, most, axis=-1)
    flat, sparse = most + np.arange(tokens)[:, None] * tokens, list[SparseMap]()
    for head in range(len(maps)):
        kept = values[head] >= LEAST
        order = np.argsort(flat[head][kept])
        away = np.abs(queries[head] - keys[head])
        sparse.append(SparseMap(flat[head][kept][order], values[head][kept][order].round(4), away))
    return sparse


def _apart(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Maps without what never counts: the first token, as query and as key, and the diagonal."""
    inner, places = maps.copy(), np.arange(maps.shape[-1])
    inner[:, 0], inner[:, :, 0], inner[:, places, places] = 0, 0, 0
    return inner


def largest_weights(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest weight of each map (heads, tokens, tokens): (heads,)."""
    return _apart(maps).max(axis=(-2, -1))


def top_pairs(maps: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Queries and keys of the largest weights of each head, (heads, pairs) each, the largest first."""
    flat = _apart(maps).reshape(len(maps), -1)
    return np.divmod(np.argsort(-flat, axis=1, kind="stable")[:, :TOP_PAIRS], maps.shape[-1])


def _entropy(counts: Counter[str]) -> float:
    shares = np.array(list(counts.values()), np.float64) / max(sum(counts.values()), 1)
    return float(-(shares * np.log(shares)).sum())
