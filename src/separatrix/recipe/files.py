"""Recipes of points that come from other programs, go to them, or are made smaller."""

from __future__ import annotations

from separatrix.errors import OptionError
from separatrix.recipe.core import MOST_SHUFFLES, option, recipe_class
from separatrix.recipe.vectors import STORE_DTYPES

EXPORTS = ("npy", "safetensors", "parquet")
ONNX = "onnx"  # what runs are exported as
HEADVIS = "headvis"  # what head atlases are exported as


@recipe_class
class ImportRecipe:
    """Vectors of other programs."""

    labels: str | None = option(
        None, "table of the rows, .csv or .parquet: id, label, ..., in the order of the vectors", names_path=True
    )
    drop_column: tuple[str, ...] = option((), "columns of a CSV or Parquet file that are left out")
    keep_column: tuple[str, ...] = option((), "columns of a CSV file that belong to the row table: id, label, ...")
    tensor: str | None = option(None, "which tensor, where a safetensors file holds several")
    store_dtype: str = option("float32", "number format on disk", choices=STORE_DTYPES)


@recipe_class
class ExportRecipe:
    """Points for other programs."""

    to: str | None = option(
        None,
        "format (default: by the ending of --out; of a run: onnx; of an atlas: headvis)",
        choices=(*EXPORTS, ONNX, HEADVIS),
    )
    block: str | None = option(None, "which block of the points, where there are several (parquet: default all)")
    dtype: str = option("float32", "number format", choices=("float32", "float16"))


@recipe_class
class ClassifierRecipe:
    """A run as ONNX."""

    int8: bool = option(False, "of a run: also a graph with weights in 8 bits, compared with the other one")


@recipe_class
class CompressRecipe:
    """Compression."""

    store_dtype: str = option("float16", "number format on disk", choices=("float16", "int8"))
    components: int | None = option(
        None, "principal components that are kept (default: all columns, not turned)", low=1
    )
    k: int = option(10, "neighbors that are compared", low=1)
    queries: int = option(1000, "rows whose neighbors are compared, drawn with the seed", low=2)
    label: str | None = option(None, "column of the classes that neighbors vote for (default: `label`, if any)")
    block: str | None = option(None, "which block of the points, where there are several")
    resamples: int = option(1000, "bootstrap samples of the intervals", low=100, high=MOST_SHUFFLES)
    seed: int = option(0, "seed of the queries and intervals", low=0)

    def __post_init__(self) -> None:
        if self.queries <= self.k:
            raise OptionError("--queries must be above --k", got=f"{self.queries} and {self.k}")
