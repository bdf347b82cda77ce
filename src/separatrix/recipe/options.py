"""The options of each verb as keywords, so that editors complete them; a test compares them with the recipes.

Where a recipe holds a tuple, a single value or any sequence may be given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict


class ExtractOptions(TypedDict, total=False):
    """Of `ExtractRecipe`."""

    revision: str | None
    max_length: int
    dtype: str
    device: str
    trust_remote_code: bool
    special_tokens: str
    what: str
    pool: str | Sequence[str]
    layers: int | str | Sequence[int | str] | None
    weights: float | Sequence[float] | None
    top: int | None
    store_dtype: str
    batch_tokens: int | None
    engine: str


class ScoreOptions(TypedDict, total=False):
    """Of `ScoreRecipe`."""

    label: str
    block: str | None
    k: int
    metric: str
    grid: int | Sequence[int]
    folds: int
    permutations: int
    resamples: int
    sample_rows: int
    seed: int


class RankOptions(TypedDict, total=False):
    """Of `RankGrid`."""

    model: str | Sequence[str]
    pool: str | Sequence[str]
    layers: int | str | Sequence[int | str] | None
    criterion: str
    k: int
    metric: str
    resamples: int
    seed: int


class ProjectOptions(TypedDict, total=False):
    """Of `ProjectRecipe`."""

    dimensions: int
    prepare: str
    guided: bool
    neighbours: int
    min_dist: float
    perplexity: float
    held_out: float
    fit_rows: int
    k: int
    seed: int
    threads: int


class BlendOptions(TypedDict, total=False):
    """Of `BlendRecipe`."""

    prepare: str
    k: int
    resolution: int
    rows: int
    seed: int


class CompareOptions(TypedDict, total=False):
    """Of `CompareRecipe`."""

    method: str | Sequence[str]
    label: str | None
    rows: int
    seed: int


class ClusterOptions(TypedDict, total=False):
    """Of `ClusterRecipe`."""

    k: int | None
    eps: float | None
    min_samples: int
    min_cluster_size: int
    choose: bool
    criterion: str
    k_grid: int | Sequence[int]
    prepare: str
    starts: int
    minibatch: bool
    engine: str
    sample_rows: int
    cell_seconds: float
    label: str | None
    block: str | None
    permutations: int
    seed: int


class AssociateOptions(TypedDict, total=False):
    """Of `AssociateRecipe`."""

    permutations: int
    within: str | None
    bins: int
    levels: int
    noise: str
    seed: int


class SuspectsOptions(TypedDict, total=False):
    """Of `SuspectsRecipe`."""

    label: str
    block: str | None
    folds: int
    k: int
    near: float
    run: str | None
    seed: int
