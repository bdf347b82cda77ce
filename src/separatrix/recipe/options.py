"""The options of each verb as keywords, so that editors complete them; a test compares them with the recipes.

Where a recipe holds a tuple, a single value or any sequence may be given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from separatrix.recipe.load import LoadOptions


class SharedModelOptions(TypedDict, total=False):
    """Of `ModelRecipe`, what several models can have in common."""

    max_length: int
    dtype: str
    device: str
    trust_remote_code: bool
    special_tokens: str


class ModelOptions(SharedModelOptions, total=False):
    """Of `ModelRecipe`, but for the model."""

    revision: str | None
    depth: int | None


class AttentionOptions(TypedDict, total=False):
    """Of `AttentionRecipe`."""

    features: str | Sequence[str]
    stride: int
    max_query_length: int
    cells: int
    values: int
    resnet_weights: str
    pixels: int
    frame: str
    scaling: str


class SplitOptions(LoadOptions, total=False):
    """Of `load_splits`."""

    text: str | Sequence[str]
    label: str | None
    label_separator: str | None
    group: str | None
    validation: float
    test: float
    by: str | None


class TrainOptions(ModelOptions, SplitOptions, total=False):
    """Of the recipes of all methods, and of `load_splits`."""

    per_class: int | None
    rare: str
    weight: str | None
    model: str
    cache: str
    cache_dtype: str
    memory_gib: float
    disk_gib: float
    tokens: int
    init: str
    init_text: str | None
    descriptions: str | Sequence[str] | None
    residual: int
    instance: int
    layer: int
    prompt_layers: str
    readout: str
    text_dropout: float
    positions: str
    loss: str
    temperature: float
    attraction: float
    repulsion: float
    words: str | Sequence[str] | None
    start: str
    mover: str
    every: int
    rate: float
    friction: float
    push: float
    push_rule: str
    epochs: int
    batch_size: int
    lr: float
    layer_lr: float | None
    centroid_lr: float | None
    head_lr: float | None
    weight_decay: float
    class_weight: str | Sequence[str] | None
    order: str | Sequence[str] | None
    warmup: float
    clip: float
    patience: int
    refit: bool
    seed: int
    snapshots: int
    frame_rows: int
    checkpoint_seconds: float
    pool: str
    frozen_layers: int
    freeze_embeddings: bool
    dropout: float
    perturbation: float
    chunk_rows: int
    precision: str
    pairs: str
    pairs_per_row: str
    sampler: str
    class_rows: int
    decision: str
    head_weight: float
    head_start: str
    k: int | None
    vote: str | None
    approximate: bool
    invariance: str
    group_weight: float
    train_windows: int | None
    test_examples: int | None
    stride: int
    max_query_length: int
    best: int
    max_answer: int
    null_threshold: float
    budget: str
    candidates: str | Sequence[str]


class SweepOptions(TypedDict, total=False):
    """Of `SweepRecipe`."""

    reference: str | None
    only: str | Sequence[str] | None
    retry: bool
    extend: bool
    budget: str | None
    max_runs: int | None
    keep_cache: bool


class ExtractOptions(ModelOptions, AttentionOptions, total=False):
    """Of `ExtractRecipe`."""

    what: str
    pool: str | Sequence[str]
    layers: int | str | Sequence[int | str] | None
    layer_weights: float | Sequence[float] | None
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


class RankOptions(SharedModelOptions, SplitOptions, total=False):
    """Of `RankRecipe`, and of `load_splits`."""

    model: str | Sequence[str]
    pool: str | Sequence[str]
    layers: int | str | Sequence[int | str] | None
    criterion: str
    curve: bool
    most_rows: int
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
    prepare: str
    label: str | None
    rows: int
    seed: int


class StudyOptions(TypedDict, total=False):
    """Of `ReportRecipe`, where it is a study."""

    method: str | Sequence[str]
    rows: int
    seed: int


class ReportOptions(StudyOptions, total=False):
    """Of `ReportRecipe`."""

    study: str | None


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
    shuffle_within: str | None
    shuffle_units: str | Sequence[str]
    given: str | Sequence[str]
    bins: int
    levels: int
    noise: str
    seed: int


class SuspectsOptions(LoadOptions, total=False):
    """Of `SuspectsRecipe`, and of `load_texts`."""

    label: str
    block: str | None
    folds: int
    k: int
    near: float
    most_rows: int
    run: str | None
    neighbors: str | None
    seed: int
    label_separator: str | None
    text: str | Sequence[str]
    model: str
    pool: str
    dtype: str
    device: str


class ImportOptions(TypedDict, total=False):
    """Of `ImportRecipe`."""

    labels: str | None
    drop_column: str | Sequence[str]
    keep_column: str | Sequence[str]
    tensor: str | None
    store_dtype: str


class ExportOptions(TypedDict, total=False):
    """Of `ExportRecipe`."""

    to: str | None
    block: str | None
    dtype: str


class ClassifierOptions(TypedDict, total=False):
    """Of `ClassifierRecipe`."""

    int8: bool


class CompressOptions(TypedDict, total=False):
    """Of `CompressRecipe`."""

    store_dtype: str
    components: int | None
    k: int
    queries: int
    label: str | None
    block: str | None
    resamples: int
    seed: int


class HeadsOptions(AttentionOptions, LoadOptions, total=False):
    """Of `HeadsRecipe`."""

    model: str
    revision: str | None
    dtype: str
    device: str
    trust_remote_code: bool
    special_tokens: str
    text: str | None
    pair: str | None
    windows: int
    max_length: int
    shards: int
    sampling: str
    seed: int
    twins_epochs: int
    twins_views: str
    raw: bool
    cluster_feature: str
    method: str
    k: int | None
    eps: float | None
    min_samples: int
    min_cluster_size: int | None
    components: int
    k_grid: int | Sequence[int]
    density_rows: int
    permutations: int
    sentences: int
    sentence: str | Sequence[str]
    page_tokens: int
    importance: str
    importance_windows: int
    repeats: int
