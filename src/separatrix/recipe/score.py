"""Recipes of scoring vectors and of ranking encoders."""

from __future__ import annotations

from separatrix.errors import OptionError
from separatrix.recipe.core import MOST_SHUFFLES, flag, option, recipe_class
from separatrix.recipe.train import DEFAULT_MODEL, LoopRecipe, ModelRecipe, as_in_model
from separatrix.recipe.vectors import POOLS, VectorsRecipe

METRICS = ("cosine", "euclidean")
CRITERIA = ("knn_loo", "knn_validation", "probe_validation")
POOL_GRID = ("cls", "mean", "layer_mean")
K_GRID = (1, 3, 5, 10, 20, 50)
HEADS = ("probe", "knn", "centroid")


@recipe_class
class ScoreRecipe:
    """Scores."""

    label: str = option("label", "column of the labels; floats are numbers to predict")
    block: str | None = option(None, "which block of the points, where there are several")
    k: int = option(5, "nearest neighbors that vote", low=1)
    metric: str = option("cosine", "distance of the neighbors", choices=METRICS)
    grid: tuple[int, ...] = option(K_GRID, "numbers of neighbors in the table of both metrics", low=1)
    folds: int = option(5, "folds of the cross-validated figures (points without a test part)", low=2, high=100)
    permutations: int = option(999, "shuffles of the labels for the null", low=19, high=MOST_SHUFFLES)
    resamples: int = option(1000, "bootstrap samples of the intervals", low=1, high=MOST_SHUFFLES)
    sample_rows: int = option(2000, "most rows of the silhouette, drawn with the seed", low=3)
    seed: int = option(0, "seed of every random choice", low=0)

    def __post_init__(self) -> None:
        if not self.grid:
            raise OptionError("--grid names no number", expected="one or more")


@recipe_class
class RankRecipe:
    """Models, poolings and layers."""

    model: tuple[str, ...] = option(
        (DEFAULT_MODEL,), "models: local folders, hub names, or the embedded default", names_path=True
    )
    pool: tuple[str, ...] = option(POOL_GRID, f"poolings: {', '.join(POOLS)}")
    layers: tuple[int | str, ...] | None = option(
        None, "layers to pool, 0 = embeddings, -1 = the last, or all (default: the last; layer_mean reads all)"
    )
    criterion: str = option("knn_loo", "what decides; the test part never does", choices=CRITERIA)
    curve: bool = option(
        False, "also fit a probe on half, a quarter, ... of the rows, for the best pooling of each model"
    )
    most_rows: int = option(
        20_000,
        "rows of a part that are read at most: two of each class, then its share, drawn by --seed (0: all)",
        low=0,
    )
    k: int = option(ScoreRecipe.k, "nearest neighbors that vote", low=1)
    metric: str = option(ScoreRecipe.metric, "distance of the neighbors", choices=METRICS)
    resamples: int = option(
        ScoreRecipe.resamples, "bootstrap samples of intervals and ranks", low=1, high=MOST_SHUFFLES
    )
    seed: int = option(0, "seed of every random choice", low=0)
    max_length: int = as_in_model("max_length")
    dtype: str = as_in_model("dtype")
    device: str = as_in_model("device")
    trust_remote_code: bool = as_in_model("trust_remote_code")
    special_tokens: str = as_in_model("special_tokens")

    def __post_init__(self) -> None:
        VectorsRecipe(pool=self.pool, layers=self.layers)  # checks both
        for name in ("model", "pool", "layers"):
            given: tuple[str | int, ...] | None = getattr(self, name)
            if given is not None and not given:
                raise OptionError(f"{flag(name)} names nothing", expected="one or more")
            twice = [value for value in given or () if list(given or ()).count(value) > 1]
            if twice:
                raise OptionError(f"{flag(name)} names one twice", got=repr(twice[0]))

    def backbone(self, model: str) -> ModelRecipe:
        """One of the models, read as all are."""
        shared = ("max_length", "dtype", "device", "trust_remote_code", "special_tokens")
        return ModelRecipe(model, **{name: getattr(self, name) for name in shared})


@recipe_class
class FrozenRecipe:
    """A classifier on the vectors of a frozen model."""

    pool: str = option("layer_mean", "pooling of the hidden states", choices=POOLS)
    layer: int | None = option(None, "layer that is pooled, 0 = embeddings, -1 = the last (default: the last)")
    head: str = option("probe", "what answers", choices=HEADS)
    k: int = option(ScoreRecipe.k, "nearest neighbors that vote (knn)", low=1)
    metric: str = option(ScoreRecipe.metric, "distance of knn and centroid", choices=METRICS)
    seed: int = option(0, "seed of every random choice", low=0)
    class_weight: tuple[str, ...] | None = as_in_model("class_weight", LoopRecipe)
