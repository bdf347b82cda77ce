"""The claims about DBSCAN: a dominant cluster, noise, small clusters, and what their rows share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from studies.head_atlas.evidence import LEAST, Claim, Counts, DensityEvidence, Ruling, judge, plain, unjudged

from separatrix.analysis.heads.controls import SURE
from separatrix.codes import encode
from separatrix.geometry.associate import information
from separatrix.geometry.nulls import Null, permutation_null

FEWEST_PAIRS = 30  # pairs of examples of one context (or next to each other) below which nothing is said of them
NEARLY_ALL = 0.9  # share of the clustered rows that makes a cluster the only one that counts


def early_dominant(asked: DensityEvidence) -> Claim:
    """Early layers in the largest cluster."""
    text, late = "early layers form one dominant cluster", asked.late
    if asked.dominant is None:
        return unjudged(text, "DBSCAN found no cluster")
    row = asked.dominant + 1

    def early_share(counts: Counts) -> float:
        return float(counts[row, ~late].sum() / counts[row].sum())

    null, heads = asked.density.within(early_share), asked.density.over_heads(early_share)
    counts = asked.density.observed
    whole, early, other = (float(part[row].sum() / part.sum()) for part in (counts, counts[:, ~late], counts[:, late]))
    note = (
        f"share of early layers in the largest cluster, which holds {whole:.2f} of all, {early:.2f} of the early and "
        f"{other:.2f} of the late rows"
    )
    apart = heads.observed - heads.mean
    return judge(
        text, null, note, heads=heads, floor=early > 0.5 and apart >= LEAST, mirror=other > 0.5 and apart <= -LEAST
    )


def late_noise(asked: DensityEvidence) -> Claim:
    """Noise in late layers."""
    late = asked.late

    def contrast(counts: Counts) -> float:
        return float(counts[0, late].sum() / counts[:, late].sum() - counts[0, ~late].sum() / counts[:, ~late].sum())

    null, heads = asked.density.within(contrast), asked.density.over_heads(contrast)
    counts = asked.density.observed
    upper, lower = (float(part[0].sum() / part.sum()) for part in (counts[:, late], counts[:, ~late]))
    note = f"share of noise, upper half of the layers less lower half; {upper:.2f} of the upper half is noise"
    return judge("late layers are noise", null, note, heads=heads, floor=upper > 0.5, mirror=lower > 0.5)


def single_heads(asked: DensityEvidence) -> Claim:
    """Small clusters of one head."""
    text = "small clusters hold a single head"
    if asked.dominant is None or not asked.satellites.any():
        return unjudged(text, "DBSCAN found no small cluster")
    small = np.arange(len(asked.density.observed) - 1) != asked.dominant  # without the row of noise

    def purity(counts: Counts) -> float:
        return float(counts[1:][small].max(axis=1).sum() / counts[1:][small].sum())

    null = asked.density.within(purity)
    note = "share of rows of small clusters that belong to the cluster's own head; heads shuffled within windows"
    return judge(text, null, note, floor=null.observed > 0.5)


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Examples in the same small cluster with the same head; its windows overlap, so an example counts once."""

    group: NDArray[np.int64]  # (members,) of one head in one small cluster
    example: NDArray[np.int64]  # (members,) place in the two below
    contexts: NDArray[np.int64]  # (examples,)
    ranks: NDArray[np.int64]  # (examples,)

    @property
    def count(self) -> float:
        """Pairs of one group."""
        return _pairs_of(self.group)

    def shared(self, contexts: NDArray[np.int64]) -> float:
        """Share of the pairs that have the same context, where the examples have these."""
        return _pairs_of(self.group * (int(contexts.max()) + 1) + contexts[self.example]) / self.count

    def adjacent(self, ranks: NDArray[np.int64]) -> float:
        """Share of the pairs whose examples follow each other, where they stand at these places."""
        numbers = np.sort(self.group * (int(ranks.max()) + 2) + ranks[self.example])
        return float((np.diff(numbers) == 1).sum() / self.count)


def _pairs_of(groups: NDArray[np.int64]) -> float:
    sizes = np.unique(groups, return_counts=True)[1]
    return float((sizes * (sizes - 1) / 2).sum())


def _pairs(asked: DensityEvidence) -> _Pairs | None:
    """None if no small cluster holds a head twice."""
    chosen = asked.satellites
    if not chosen.any():
        return None
    ranks, first, example = np.unique(asked.ranks, return_index=True, return_inverse=True)
    group = encode(asked.labels[chosen] * (int(asked.cells.max()) + 1) + asked.cells[chosen])[0]
    group, example = np.divmod(np.unique(group * len(ranks) + example[chosen]), len(ranks))
    if np.bincount(group).max() < 2:
        return None
    return _Pairs(group, example, encode(asked.table["context"].to_numpy()[first])[0], ranks)


def shared_context(asked: DensityEvidence) -> Claim:
    """How often pairs of rows of one head in one small cluster share a context."""
    text, pairs = "rows of a small cluster are spaced by shared context", _pairs(asked)
    if pairs is None or len(np.unique(pairs.contexts)) < 2:
        return unjudged(text, "no small cluster holds a head twice, or there is one context only")
    known = int(_pairs_of(pairs.contexts))
    if known < FEWEST_PAIRS:
        return unjudged(text, f"only {known} pairs of examples share a context; at least {FEWEST_PAIRS} are needed")
    null = permutation_null(pairs.shared, pairs.contexts, permutations=asked.permutations, seed=asked.seed)
    note = (
        "share of pairs (same head, same small cluster) from one context; contexts shuffled over examples, of which "
        f"{known} pairs share one"
    )
    return judge(text, null, note, floor=null.observed > 2 * null.mean)


def adjacency(asked: DensityEvidence) -> Claim:
    """The seed's row numbers 144 apart: examples that follow each other in the data."""
    text, pairs = "rows of a small cluster come from examples that follow each other", _pairs(asked)
    if pairs is None:
        return unjudged(text, "no small cluster holds a head twice")
    known = int((np.diff(pairs.ranks) == 1).sum())
    if known < FEWEST_PAIRS:
        return unjudged(text, f"only {known} pairs of examples follow each other; at least {FEWEST_PAIRS} are needed")
    null = permutation_null(pairs.adjacent, pairs.ranks, permutations=asked.permutations, seed=asked.seed)
    inside = _inside_contexts(pairs, asked.permutations, asked.seed)
    note = (
        "share of pairs (same head, same small cluster) whose examples follow each other; examples change places. If "
        f"they do so inside their contexts only, chance gives {inside.mean:.3g} (p {inside.p_value:.3f})"
    )
    return judge(text, null, note, floor=null.observed > 2 * null.mean)


def _inside_contexts(pairs: _Pairs, permutations: int, seed: int) -> Null:
    """The null of adjacency that keeps what shared contexts alone make of it."""
    order = np.argsort(pairs.contexts, kind="stable")

    def moved(mixed: NDArray[np.int64]) -> float:
        ranks = np.empty_like(pairs.ranks)
        ranks[order] = pairs.ranks[mixed[np.argsort(pairs.contexts[mixed], kind="stable")]]
        return pairs.adjacent(ranks)

    return permutation_null(moved, np.arange(len(order)), permutations=permutations, seed=seed)


def even_satellites(asked: DensityEvidence) -> Claim:
    """Heads in the clusters of the second round."""
    text = "clusters within the dominant cluster hold evenly mixed heads"
    child = asked.table["child"].to_numpy(dtype=np.int64)
    if len(np.unique(child[child >= 0])) < 2:
        return unjudged(text, "the second round found fewer than two clusters")
    # Rows 0 (left out) and 1 (noise) of the counts do not belong to the question.
    null = asked.count(child + 1).within(lambda counts: float(information(counts[None, 2:])[0]))
    note = (
        "mutual information (nats) of child cluster and head, identities carried along. The test is the other way "
        "round: evenly mixed is what the shuffles give, so a small p speaks against the claim"
    )
    verdict = Ruling.NOT if null.p_value <= SURE else Ruling.SUPPORTED
    return Claim(text, null.observed, null.mean, null.p_value, verdict, note)


def dominant_everywhere(asked: DensityEvidence) -> Claim:
    """One cluster and noise, whatever the radius."""
    text = "at most radii there is one dominant cluster and noise"
    done = [line for line in asked.stored.grid if line["clusters"]]
    if not done:
        return unjudged(text, "no grid of DBSCAN is stored, or none of its cells has a cluster")
    rows = len(asked.labels)
    alone = [line["largest"] >= NEARLY_ALL * (rows - line["noise"]) for line in done]
    note = (
        f"share of the {len(done)} cells of the grid whose largest cluster holds {NEARLY_ALL:.0%} of the rows that are "
        "in any cluster; a count over radii, so there is nothing to shuffle"
    )
    return plain(text, float(np.mean(alone)), float(np.mean(alone)) > 0.5, note)


ON_EVERY_CELL: tuple[Callable[[DensityEvidence], Claim], ...] = (
    early_dominant, late_noise, single_heads, shared_context, adjacency,
)  # fmt: skip


def over_the_grid(claim: Callable[[DensityEvidence], Claim], asked: DensityEvidence) -> Claim:
    """A claim on the labels that were chosen, with its verdicts on all cells of the grid in the note."""
    made = claim(asked)
    if not asked.stored.labels:
        return made
    told = Counter(claim(replace(asked, labels=labels)).verdict for labels in asked.stored.labels.values())
    counts = ", ".join(f"{name} {told[name]}" for name in Ruling if told[name])
    return replace(made, note=f"{made.note}. Of the {told.total()} cells of the grid: {counts}")
