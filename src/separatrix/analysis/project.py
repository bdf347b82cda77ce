"""Points in, a map out: on paper as a picture, on disk as a folder, and in hand to place new points.

The folder of a map holds

    map.parquet       every column of the row table, then x, y (and z) and `fitted`
    result.json       the figures, as `Projection.to_dict` gives them
    map.png           the picture, with its figures printed below it
    variance.png, variance.csv    of PCA: the explained variance
    map.html          if asked for: the picture with the texts, one file that opens offline
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Unpack

import numpy as np
import pandas as pd

from separatrix import recipe as recipes
from separatrix.errors import DataError
from separatrix.geometry.blend import Blend, fit_blend
from separatrix.geometry.project import Map, is_guided, make_map, variance_shares
from separatrix.points import Points
from separatrix.progress import Progress, silent
from separatrix.recipe.options import BlendOptions, ProjectOptions
from separatrix.recipe.project import BlendRecipe, ProjectRecipe
from separatrix.reports.map_page import write_map_page
from separatrix.store.artifacts import write_artifact
from separatrix.store.files import reading, write_json
from separatrix.store.folder import RESULT
from separatrix.store.points import write_points
from separatrix.store.result import Lines, Listing, Result, out_line
from separatrix.store.results import MAP_RESULT, read_result
from separatrix.store.table import read_table, write_table
from separatrix.view import save
from separatrix.view.data import write_data
from separatrix.view.map_plot import Drawing, draw_map
from separatrix.view.variance_plot import draw_variance

MAP, PICTURE, PAGE = "map.parquet", "map.png", "map.html"
AXES = ("x", "y", "z")
FITTED = "fitted"
LABEL, SPLIT, TEXT = "label", "split", "text"
_MOST_CLASSES = 500  # more different values are no classes
_VARIANCE_ROWS = 4096  # rows that the curve of explained variance is computed on


@dataclass(frozen=True, eq=False)
class Projection(Result):
    """A map with the identity of its rows."""

    kind: ClassVar[str] = "map"

    table: pd.DataFrame  # the row table, then x, y (z) and fitted
    result: dict[str, Any] = field(repr=False)  # what result.json holds
    names: tuple[str, ...]  # classes; empty without labels
    labels: np.ndarray = field(repr=False)  # (rows,) class numbers, -1 = none
    map: Map | None = field(default=None, repr=False)  # None where it was read from disk
    shares: np.ndarray | None = field(default=None, repr=False)  # explained variance, of PCA
    page: bool = False  # written with `map.html`
    folder: Path | None = None

    @property
    def name(self) -> str:
        """What was projected."""
        return str(self.result["points"])

    @property
    def coordinates(self) -> np.ndarray:
        """Places of the rows, (rows, dimensions)."""
        if self.map is not None:
            return self.map.coordinates
        return self.table[list(AXES[: self.result["dimensions"]])].to_numpy(np.float32)

    @property
    def trustworthiness(self) -> float:
        """Of the map, 0 to 1 (Venna and Kaski, 2001)."""
        return float(self.result["trustworthiness"])

    @property
    def knn_overlap(self) -> float:
        """Mean share of the k nearest neighbours that are the same in the map, 0 to 1."""
        return float(self.result["knn_overlap"])

    def place(self, points: Points | np.ndarray) -> np.ndarray:
        """Places (rows, dimensions) of further points of the same width.

        Raises:
            DataError: the map was read from disk, where it cannot place points.
        """
        if self.map is None:
            raise DataError("a map read from disk places no new points", hint="project once more")
        return self.map.place(points.values if isinstance(points, Points) else points)

    def figures(self) -> dict[str, Any]:
        """What `result.json` holds."""
        return dict(self.result)

    def parts(self) -> list[Listing | Lines]:
        """How far the map can be trusted."""
        result = self.result
        shown = ("trustworthiness", "knn_overlap", "knn_before", "knn_after", "majority")
        lines = [(name.replace("_", " "), f"{result[name]:.3f}") for name in shown if result[name] is not None]
        rows = f"{result['rows_fitted']} of {result['rows']}"
        lines += [("rows fitted", rows), ("seconds", f"{result['seconds']:.1f}")]
        return [[*lines, *(("note", note) for note in result["notes"]), *out_line(self.folder)]]

    def drawing(self) -> Drawing:
        """What a picture of this map needs."""
        result = self.result
        pale = self.table[FITTED].to_numpy(bool) if result["guided"] else None
        axes = tuple(result["axes"])
        return Drawing(self.coordinates, self.labels, self.names, axes, self.name, caption(result), pale)

    def write(self, folder: Path) -> None:
        """Write tables, figures and pictures into an empty folder; with `page`, `map.html` as well."""
        drawing = self.drawing()
        write_table(folder / MAP, self.table)
        save(draw_map(drawing), folder / PICTURE)
        if self.shares is not None:
            save(draw_variance({self.name: self.shares}), folder / "variance.png")
            write_data(variance_rows({self.name: self.shares}), folder / "variance.csv")
        if self.page:
            texts = self.table[TEXT] if TEXT in self.table.columns else self.table["id"]
            write_map_page(folder / PAGE, drawing, [str(text) for text in texts])
        write_json(folder / RESULT, {"kind": self.kind, **self.result})


def open_projection(folder: str | Path) -> Projection:
    """Read what `project` wrote.

    Raises:
        StoreError: the folder holds no map.
    """
    path = Path(folder)
    with reading(path):
        result, table = read_result(path, MAP_RESULT), read_table(path / MAP, ("id", FITTED))
        names = tuple(result.get("classes", ()))
        column = result.get("label") or LABEL
        numbers = {name: number for number, name in enumerate(names)}
        given = table[column].tolist() if names and column in table.columns else [None] * len(table)
        labels = np.array([numbers.get(str(value), -1) for value in given])
        page = (path / PAGE).is_file()
        return Projection(table, {"notes": [], **result}, names, labels, page=page, folder=path)


def project(
    points: Points,
    method: str | None = None,
    *,
    label: str | None = None,
    page: bool = False,
    recipe: ProjectRecipe | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
    **options: Unpack[ProjectOptions],
) -> Projection:
    """Lay points out in two or three dimensions, and say how faithful the picture is.

    Args:
        points: one block of numbers (choose one with `pick`, or blend several with `blend`).
        method: `pca`, `tsne`, `umap` or `lda`.
        label: column of the labels; without it, `label` where there is one.
        page: also write `map.html`.
        recipe: all options at once.
        out: folder to write map, figures and picture to; nothing is written without it.
        overwrite: replace an earlier map there.
        progress: is called with (stage, done, total, note).
        options: single options of `ProjectRecipe`, by name.

    Raises:
        DataError, OptionError: numbers or options that give no map (see `separatrix.geometry.project.make_map`).
        StoreError: `out` is taken.

    >>> points = Points.of(np.random.default_rng(0).normal(size=(30, 4)), {"label": ["a", "b", "c"] * 10})
    >>> flat = project(points, "pca", k=5)
    >>> list(flat.table.columns), len(flat.table), flat.to_dict()["majority"] < 0.5
    (['id', 'label', 'x', 'y', 'fitted'], 30, True)
    """
    wanted = recipes.replace(recipe or ProjectRecipe(), **({"method": method} if method else {}), **options)
    with write_artifact(out, Projection.kind, wanted, overwrite=overwrite, inputs=points.folders) as folder:
        progress(wanted.method, 0, len(points), "")
        result = replace(_project(points, wanted, label), page=page)
        if folder is not None:
            result.write(folder)
        progress(wanted.method, len(points), len(points), "")
    return result if out is None else replace(result, folder=Path(out))


def _project(points: Points, recipe: ProjectRecipe, label: str | None) -> Projection:
    names, labels = find_classes(points, label)
    block = points.blocks[points.name]
    train = find_train(points) if is_guided(recipe) else None
    found = make_map(block, recipe, labels=labels if names else None, train=train)
    columns = dict(zip(AXES, found.coordinates.T, strict=False)) | {FITTED: found.fitted}
    taken = [name for name in columns if name in points.table.columns]
    if taken:
        raise DataError(f"the row table has a column {taken[0]!r}, which the map needs", hint="give it another name")
    shares = None
    if recipe.method == "pca":
        rows = np.linspace(0, len(points) - 1, min(_VARIANCE_ROWS, len(points))).astype(int)
        shares = variance_shares(found.prepare(np.asarray(block[rows])), seed=recipe.seed)
    result = {"recipe": recipes.to_dict(recipe), "points": describe(points), "classes": list(names)}
    result |= {"label": label} if label else {}
    return Projection(points.table.assign(**columns), result | found.to_dict(), names, labels, found, shares)


def blend(
    points: Points,
    *,
    label: str | None = None,
    recipe: BlendRecipe | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
    **options: Unpack[BlendOptions],
) -> Points:
    """Join the blocks of points into one, each with the weight that nearest neighbours give it.

    The weights are chosen on the rows of split `validation` against those of `train`; without such a part, on the
    training rows by leaving one out; without splits, on all rows. Rows of other splits have no say. What was chosen,
    and what each block alone and the blocks side by side would have given, stands in `origin["blend"]`.

    Args:
        points: two blocks or more over the same rows (see `Points.join`).
        label: column of the labels; without it, `label`.
        recipe: all options at once.
        out: folder of the new points; they stay in memory without it.
        overwrite: replace earlier points there.
        progress: is called with (stage, done, total, note).
        options: single options of `BlendRecipe`, by name.

    Raises:
        DataError: one block, no labels, or one class.
        StoreError: `out` is taken.

    >>> clear, noise = np.repeat([[0.0], [1.0]], 10, axis=0), 9 * np.random.default_rng(0).normal(size=(20, 8))
    >>> both = Points.of({"clear": clear, "noise": noise}, {"label": ["a"] * 10 + ["b"] * 10})
    >>> blend(both, k=3, prepare="none").origin["blend"]["weights"]
    {'clear': 1.0, 'noise': 0.0}
    """
    wanted = recipes.replace(recipe or BlendRecipe(), **options)
    progress("blend", 0, len(points), "")
    names, labels = find_classes(points, label)
    if not names:
        raise DataError("a blend needs labels", got=f"no usable column {label or LABEL!r}", hint="name it with label=")
    matrices = {name: np.asarray(block[:], np.float32) for name, block in points.blocks.items()}
    splits = np.asarray(points.table[SPLIT]) if SPLIT in points.table.columns else np.full(len(points), "train")
    known = labels >= 0
    train, held = known & (splits == "train"), known & (splits == "validation")
    if not train.any():
        train, held = known, np.zeros(len(points), bool)
    validation = ({name: matrix[held] for name, matrix in matrices.items()}, labels[held]) if held.any() else None
    found: Blend = fit_blend(
        {name: matrix[train] for name, matrix in matrices.items()}, labels[train], wanted, validation=validation
    )
    origin = {**points.origin, "blend": found.to_dict()}
    blended = Points({"blend": found.apply(matrices)}, points.table, origin)
    if out is not None:
        write_points(out, blended, overwrite=overwrite)
    progress("blend", len(points), len(points), "")
    return blended


def variance_rows(shares: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """The numbers of a picture of explained variance, a row for each direction."""
    return [
        {"points": name, "direction": place, "share": float(share), "sum": float(total)}
        for name, found in shares.items()
        for place, (share, total) in enumerate(zip(found, np.cumsum(found), strict=True), 1)
    ]


def caption(result: dict[str, Any]) -> str:
    """What stands below the picture of a map: how it was made and how far it can be trusted."""
    how = f"{result['method']}, {'guided by labels' if result['guided'] else 'no label seen'}, seed {result['seed']}"
    how += f", prepared: {result['prepare']}" * (result["prepare"] != "none")
    fitted = f"fitted to {result['rows_fitted']} of {result['rows']} rows{' (drawn pale)' * result['guided']}"
    faithful = (
        f"trustworthiness {result['trustworthiness']:.2f}, k-NN overlap {result['knn_overlap']:.2f} "
        f"(k = {result['k']}, {result['rows_compared']} rows)"
    )
    if result["knn_before"] is None:
        return f"{how}; {fitted}; {faithful}"
    low, high = result["knn_after_interval"]
    votes = (
        f"k-NN accuracy {result['knn_before']:.3f} before and {result['knn_after']:.3f} [{low:.3f}, {high:.3f}] in the "
        f"map (k = {result['knn_k']}, {result['knn_how']}), majority {result['majority']:.3f}"
    )
    return f"{how}; {fitted}; {faithful}; {votes}"


def short_caption(result: dict[str, Any]) -> str:
    """The same in two short lines, for a panel among many."""
    note = f"{result['method']}, trustworthiness {result['trustworthiness']:.2f}, overlap {result['knn_overlap']:.2f}"
    if result["knn_after"] is not None:
        note += f", k-NN {result['knn_before']:.2f} before, {result['knn_after']:.2f} after"
    return note + " (guided; pale: fitted)" * result["guided"]


def describe(points: Points) -> str:
    """A short name of points: the folder they were read from, else the model; and the block.

    >>> describe(Points.of(np.eye(2), origin={"model": "folder/bert"}))
    'bert vectors'
    """
    model = points.origin.get("model")
    name = points.origin.get("folder") or (model.get("name") if isinstance(model, dict) else model)
    short = str(name).rstrip("/").rsplit("/", 1)[-1] if name else ""
    return f"{short} {points.name}".strip()


def find_classes(points: Points, label: str | None) -> tuple[tuple[str, ...], np.ndarray]:
    """Class names and numbers (rows,) of a column, -1 where there is no label; no names where there are no classes.

    Numbers with fractions, and more than 500 different values, are no classes.

    Raises:
        DataError: the column was asked for and is not there.

    >>> find_classes(Points.of(np.eye(3), {"label": ["b", None, "a"]}), None)
    (('a', 'b'), array([ 1, -1,  0]))
    """
    if label is None and LABEL not in points.table.columns:
        return (), np.full(len(points), -1)
    values = pd.Series(points.column(label or LABEL))
    fractions = values.dtype.kind == "f" and bool((values.dropna() % 1 != 0).any())
    ids, names = pd.factorize(values, sort=True)
    if fractions or len(names) > _MOST_CLASSES or not len(names):
        return (), np.full(len(points), -1)
    return tuple(str(name) for name in names), ids.astype(np.int64)


def find_train(points: Points) -> np.ndarray | None:
    """Rows (rows,) bool of split `train`; None where the table does not tell rows apart by split."""
    if SPLIT not in points.table.columns:
        return None
    train = np.asarray(points.table[SPLIT] == "train")
    return train if train.any() and not train.all() else None
