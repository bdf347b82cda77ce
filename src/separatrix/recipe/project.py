"""Recipes of a map, and of several models' vectors blended into one matrix."""

from __future__ import annotations

from separatrix.errors import OptionError, choose
from separatrix.recipe.core import option, recipe_class
from separatrix.recipe.registry import Choices

METHODS = Choices("pca", "tsne", "umap", "lda")
UNGUIDED = ("pca", "tsne", "umap")  # maps that see no label
PREPARES = ("none", "standardise", "whiten", "unit")


@recipe_class
class ProjectRecipe:
    """Map."""

    method: str = option("pca", "how the map is made (lda is guided by labels)", choices=METHODS)
    dimensions: int = option(2, "axes of the map", low=2, high=3)
    prepare: str = option("none", "what is done to the columns (unit: to each row) beforehand", choices=PREPARES)
    guided: bool = option(False, "umap: let the labels of the fitted rows guide the map; held-out rows score it")
    neighbours: int = option(15, "umap: neighbors whose distances are kept", low=2)
    min_dist: float = option(0.1, "umap: least distance of two points in the map", low=0, high=1)
    perplexity: float = option(30.0, "tsne: about how many neighbors a point has", low=1)
    held_out: float = option(0.3, "guided: share of rows held out where no column split says which", low=0.05, high=0.9)
    fit_rows: int = option(20_000, "rows that the map is fitted to; the others are placed into it", low=5)
    k: int = option(10, "neighbors of trustworthiness, overlap and k-NN accuracy", low=1)
    seed: int = option(0, "seed of every random choice", low=0)
    threads: int = option(
        1, "threads of umap and tsne; with more than one a map of umap is not the same again", low=1, high=1024
    )


@recipe_class
class BlendRecipe:
    """How several blocks of vectors become one matrix."""

    prepare: str = option("standardise", "what is done to each block beforehand", choices=PREPARES)
    k: int = option(10, "neighbors whose vote chooses the weights", low=1)
    resolution: int = option(10, "steps of a weight between 0 and 1; fewer where the grid would grow too large", low=1)
    rows: int = option(2_000, "rows drawn to choose the weights", low=4)
    seed: int = option(0, "seed of the draw", low=0)


@recipe_class
class CompareRecipe:
    """Comparison."""

    method: tuple[str, ...] = option(("pca",), "maps drawn of each run and of each points: pca, tsne, umap, lda")
    prepare: str = option("none", "what is done to the columns (unit: to each row) before a map", choices=PREPARES)
    label: str | None = option(None, "column of the labels of points (default: label, where there is one)")
    rows: int = option(2_000, "rows of each source that are drawn", low=10)
    seed: int = option(0, "seed of maps, samples and intervals", low=0)

    def __post_init__(self) -> None:
        for name in self.method:
            choose(name, METHODS, "--method")


@recipe_class
class ReportRecipe:
    """A study of several runs."""

    study: str | None = option(
        None, "outputs: what maps and clusters of the outputs lose of each run's own decision", choices=("outputs",)
    )
    method: tuple[str, ...] = option(UNGUIDED, "--study: maps of the outputs: pca, tsne, umap")
    rows: int = option(1_000, "--study: at most so many validation rows, and test rows, of each run", low=20)
    seed: int = option(0, "--study: seed of maps, clusters, samples and intervals", low=0)

    def __post_init__(self) -> None:
        for name in self.method:
            choose(name, UNGUIDED, "--method")
        if self.study is None and (self.method, self.rows, self.seed) != (UNGUIDED, 1_000, 0):
            raise OptionError("--method, --rows and --seed have no effect here", hint="add --study outputs")
