"""Ways to lay points out in two or three dimensions. A method is one function and one entry in `METHODS`.

A function takes prepared points (rows, width), their class numbers (None unless the map is guided) and the recipe; it
gives their places and the function that places further points into the same map.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from separatrix.codes import encode
from separatrix.errors import DataError, MissingExtra
from separatrix.geometry.plane import Plane, fit_plane
from separatrix.geometry.prepare import Change, Matrix, whiten
from separatrix.geometry.scatter import class_means
from separatrix.recipe.project import METHODS as NAMES
from separatrix.recipe.project import ProjectRecipe
from separatrix.recipe.registry import Registry
from separatrix.threads import threads_kept

_FAST = 10_000  # rows from which t-SNE interpolates its forces (in two dimensions, where that is possible)


@dataclass(frozen=True, eq=False)
class MapLayout:
    """Places of the fitted rows, a way to place more, names of the axes, and what a reader should know."""

    coordinates: Matrix  # (rows, dimensions)
    transform: Change
    axes: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ProjectionMethod:
    """How to fit, and whether labels guide it; an entry of your own in `METHODS` is a choice of `--method`."""

    fit: Callable[[Matrix, NDArray[np.int64] | None, ProjectRecipe], MapLayout]
    guided: Literal["never", "optional", "always"]


def pca(x: Matrix, _labels: NDArray[np.int64] | None, recipe: ProjectRecipe) -> MapLayout:
    """Directions of largest variance."""
    plane = fit_plane(x, dimensions=recipe.dimensions, seed=recipe.seed)
    return pca_layout(plane, plane.place(x))


def pca_layout(plane: Plane, coordinates: Matrix) -> MapLayout:
    """The map of a plane that is fitted, and the coordinates of its rows (rows, dimensions)."""
    axes = tuple(f"PC {n} ({share:.1%} of variance)" for n, share in enumerate(plane.explained, 1))
    return MapLayout(coordinates, lambda points: plane.place(points).astype(np.float32), axes)


def tsne(x: Matrix, _labels: NDArray[np.int64] | None, recipe: ProjectRecipe) -> MapLayout:
    """t-SNE (van der Maaten and Hinton, 2008) by openTSNE (Policar et al., 2019), which also places new points."""
    try:
        with _library():
            import openTSNE
    except ModuleNotFoundError as error:
        raise _missing("t-SNE", error) from error
    # Forces by interpolation exist in two dimensions only; the tree of Barnes and Hut serves three as well.
    fast = recipe.dimensions == 2 and len(x) >= _FAST
    perplexity = min(recipe.perplexity, (len(x) - 1) / 3)
    lowered = f"perplexity lowered from {recipe.perplexity:g} to {perplexity:.3g} for {len(x)} rows"
    model = openTSNE.TSNE(
        n_components=recipe.dimensions,
        perplexity=perplexity,
        negative_gradient_method="fft" if fast else "bh",
        random_state=recipe.seed,
        n_jobs=recipe.threads,
    )
    with _library() as warned:
        embedding = model.fit(x.astype(np.float64))
    notes = (*((lowered,) if perplexity < recipe.perplexity else ()), *dict.fromkeys(warned))
    limit = max(1.0, (len(x) - 1) / 3)

    def place(points: Matrix) -> NDArray[np.float32]:
        with _library():
            return np.asarray(embedding.transform(points.astype(np.float64), perplexity=min(5.0, limit)), np.float32)

    return MapLayout(np.asarray(embedding), place, _numbered("t-SNE", recipe), notes)


def umap(x: Matrix, labels: NDArray[np.int64] | None, recipe: ProjectRecipe) -> MapLayout:
    """UMAP (McInnes, Healy and Melville, 2018), guided by class numbers if they are given."""
    try:
        with _library():  # it tells everybody that Tensorflow is not there
            import umap as library
    except ModuleNotFoundError as error:
        raise _missing("UMAP", error) from error
    near = min(recipe.neighbours, len(x) - 1)
    alone = recipe.threads == 1
    notes = [
        "one thread, so that the seed gives the same map again" if alone else "several threads: the seed is not used"
    ]
    if near < recipe.neighbours:
        notes.append(f"neighbours lowered from {recipe.neighbours} to {near} for {len(x)} rows")
    model = library.UMAP(
        n_components=recipe.dimensions,
        n_neighbors=near,
        min_dist=recipe.min_dist,
        random_state=recipe.seed if alone else None,
        transform_seed=recipe.seed,
        n_jobs=recipe.threads,
    )
    with _library() as warned:
        model.fit(x, y=labels)
    if not np.isfinite(model.embedding_).all():
        lost = int((~np.isfinite(model.embedding_)).any(axis=1).sum())
        raise DataError("umap found no place for some rows", got=f"{lost} rows", hint="raise --neighbours")

    def place(points: Matrix) -> NDArray[np.float32]:
        with _library():
            return np.asarray(model.transform(points), np.float32)

    return MapLayout(model.embedding_, place, _numbered("UMAP", recipe), (*notes, *dict.fromkeys(warned)))


def lda(x: Matrix, labels: NDArray[np.int64] | None, recipe: ProjectRecipe) -> MapLayout:
    """Directions in which class means differ most for the spread within classes (Fisher, 1936; Rao, 1948).

    The spread within classes is whitened (with shrinkage, so fewer rows than columns do no harm); the principal
    directions of the class means, weighted by rows, are the axes. K classes have K - 1 of them: what is missing is
    filled by the largest variance at right angles.
    """
    y = np.zeros(len(x), np.int64) if labels is None else encode(labels)[0]
    means, counts = class_means(x, y, int(y.max()) + 1)
    change = whiten(x - means[y])
    z = change(x.astype(np.float64)).astype(np.float64)  # (rows, width), spread within classes about 1 everywhere
    centre = z.mean(axis=0)
    means = class_means(z, y, len(counts))[0] - centre
    count = min(recipe.dimensions, len(counts) - 1, *z.shape)
    axes = fit_plane(np.repeat(means, counts, axis=0), dimensions=max(count, 1), seed=recipe.seed).axes[:count]
    rest = recipe.dimensions - len(axes)
    if rest:
        flat = z - centre
        axes = np.vstack([axes, fit_plane(flat - flat @ axes.T @ axes, dimensions=rest, seed=recipe.seed).axes])
    names = tuple(f"LD {n + 1}" if n < count else f"PC {n - count + 1} of the rest" for n in range(recipe.dimensions))

    def place(points: Matrix) -> NDArray[np.float32]:
        return ((change(points) - centre) @ axes.T).astype(np.float32)

    few = f"{len(counts)} classes have {count} discriminant axes, no more; the rest shows the largest variance left"
    return MapLayout(place(x), place, names, (few,) if rest else ())


METHODS: Registry[ProjectionMethod] = Registry(
    NAMES,
    {
        "pca": ProjectionMethod(pca, "never"),
        "tsne": ProjectionMethod(tsne, "never"),
        "umap": ProjectionMethod(umap, "optional"),
        "lda": ProjectionMethod(lda, "always"),
    },
)


def _numbered(name: str, recipe: ProjectRecipe) -> tuple[str, ...]:
    return tuple(f"{name} {n}" for n in range(1, recipe.dimensions + 1))


def _missing(what: str, error: ModuleNotFoundError) -> MissingExtra:
    return MissingExtra(f"{what} needs {error.name}", hint='type: pip install "separatrix[maps]"')


@contextmanager
def _library() -> Iterator[list[str]]:
    """Collect what a library warns of; its words to programmers and the number of threads that it sets are dropped."""
    lines: list[str] = []
    with threads_kept(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield lines
    shown = [warning.message for warning in caught if warning.category in (UserWarning, RuntimeWarning)]
    lines += [" ".join(str(message).split()) for message in shown]
