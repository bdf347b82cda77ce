"""Recipes of clustering, of association tests, and of the search for suspect labels."""

from __future__ import annotations

from separatrix.errors import OptionError
from separatrix.recipe.core import MOST_SHUFFLES, flag, option, recipe_class
from separatrix.recipe.project import PREPARES
from separatrix.recipe.registry import Choices
from separatrix.recipe.train import BEST, DEFAULT_MODEL, DEVICES, ProbeRecipe, as_in_model

METHODS = Choices("kmeans", "dbscan", "hdbscan")
CRITERIA = ("silhouette", "distortion", "inertia", "stability")
ENGINES = ("auto", "scikit-learn", "fast_hdbscan", "cuml")
K_GRID = (2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20)
# Options that only some methods have; any other that is built in refuses them.
_ONLY = {
    "k": ("kmeans",),
    "minibatch": ("kmeans",),
    "k_grid": ("kmeans",),
    "criterion": ("kmeans",),
    "starts": ("kmeans",),
    "eps": ("dbscan",),
    "cell_seconds": ("dbscan",),
    "min_samples": ("dbscan", "hdbscan"),
    "min_cluster_size": ("hdbscan",),
    "engine": ("kmeans", "hdbscan"),
}


@recipe_class
class ClusterRecipe:
    """Clustering."""

    method: str = option(
        "kmeans",
        "kmeans: round clusters, as many as --k; dbscan: dense ones, by --eps; hdbscan: dense ones of any scale",
        choices=METHODS,
    )
    k: int | None = option(None, "number of clusters (kmeans)", low=1)
    eps: float | None = option(None, "radius within which rows are neighbors (dbscan)", low=1e-12)
    min_samples: int = option(10, "rows within eps, itself counted, that make a row a core (dbscan, hdbscan)", low=1)
    min_cluster_size: int = option(20, "smallest cluster (hdbscan)", low=2)
    choose: bool = option(
        False, "choose --k, --eps or --min-cluster-size by a stated criterion, and write what was tried"
    )
    criterion: str = option("silhouette", "what chooses k (kmeans)", choices=CRITERIA)
    k_grid: tuple[int, ...] = option(K_GRID, "numbers of clusters that are tried with --choose (kmeans)", low=2)
    prepare: str = option("none", "what is done to the columns (unit: to each row) first", choices=PREPARES)
    starts: int = option(10, "starts of kmeans; the best is kept", low=1, high=1000)
    minibatch: bool = option(False, "learn kmeans from small batches (faster, coarser; every row is still used)")
    engine: str = option("auto", "library that computes kmeans or hdbscan (fast_hdbscan: the latter)", choices=ENGINES)
    sample_rows: int = option(3000, "most rows behind the choice of k or min_cluster_size, drawn with the seed", low=10)
    cell_seconds: float = option(60.0, "time limit of each cell of the grid (dbscan)", low=0)
    label: str | None = option(
        None, "column of the classes that the clusters are compared with (default: `label`, if any)"
    )
    block: str | None = option(None, "which block of the points, where there are several")
    permutations: int = option(
        999, "shuffles of the labels for the null of the class assignment", low=19, high=MOST_SHUFFLES
    )
    seed: int = option(0, "seed of every random choice", low=0)

    def __post_init__(self) -> None:
        for name, methods in _ONLY.items():
            others = self.method in METHODS.built_in and self.method not in methods
            if others and getattr(self, name) != getattr(type(self), name):
                hint = f"leave it away, or use --method {methods[0]}"
                raise OptionError(f"{flag(name)} has no effect with --method {self.method}", hint=hint)
        wanted = self.k is not None or self.eps is not None
        if self.choose and wanted:
            raise OptionError("--choose and a fixed --k or --eps contradict each other", hint="leave one of them away")
        if not self.k_grid:
            raise OptionError("--k-grid names no number", expected="one or more")


@recipe_class
class AssociateRecipe:
    """Association tests."""

    permutations: int = option(999, "shuffles of the null", low=19, high=MOST_SHUFFLES)
    shuffle_within: str | None = option(
        None, "column whose groups keep their rows: shuffled only inside each of them", earlier_name="within"
    )
    shuffle_units: tuple[str, ...] = option(
        (), "columns that name what is drawn: rows of a unit keep their value, units swap it", earlier_name="units"
    )
    given: tuple[str, ...] = option((), "columns that the clusters are crossed with, since each has its own habits")
    bins: int = option(4, "quantile bins of a numeric column with many values", low=2, high=100)
    levels: int = option(50, "most values up to which a numeric column is taken as categories", low=2)
    noise: str = option("keep", "rows in no cluster: a group of their own, or left out", choices=("keep", "drop"))
    seed: int = option(0, "seed of the shuffles", low=0)


@recipe_class
class SuspectsRecipe:
    """Search for wrong labels."""

    label: str = option("label", "column of the labels")
    block: str | None = option(None, "which block of the points, where there are several")
    folds: int = option(5, "parts of the cross-validation", low=3, high=50)
    k: int = option(50, "neighbors that vote, nearer ones with more weight", low=1)
    near: float = option(0.95, "cosine from which two rows are near duplicates", low=0, high=1)
    most_rows: int = option(
        20_000, "rows that judge all others at most: 50 of each class, and its share, drawn by --seed (0: all)", low=0
    )
    run: str | None = option(None, "folder of a run on these rows: its training dynamics stand beside")
    neighbors: str | None = option(
        None, "folder of a map of these rows by project --nearest 100: its neighbors are taken, not sought anew"
    )
    seed: int = option(0, "seed of the folds", low=0)
    label_separator: str | None = option(
        None, "what joins several labels in one cell, such as , (texts: a column of lists needs none)", later=True
    )
    text: tuple[str, ...] = option(("text",), "texts: their column, or the two columns of pairs")
    model: str = option(DEFAULT_MODEL, "texts: the frozen model that reads them")
    pool: str = option(
        BEST,
        "texts: pooling of the model's hidden states; best: by a probe on held-out rows; own: as modules.json says",
        choices=ProbeRecipe.__dataclass_fields__["pool"].metadata["choices"],
    )
    dtype: str = as_in_model("dtype", later=True)
    device: str = option("auto", "texts: where to compute", choices=DEVICES)
