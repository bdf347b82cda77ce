"""Points in, a map out: on paper as a picture, on disk as a folder, and in hand to place new points.

The folder of a map holds

    map.parquet       every column of the row table, then x, y (and z) and `fitted`; if asked for, `neighbors`, a struct
                      of ids (row numbers from 0) and distances, as Embedding Atlas reads it
    result.json       the figures, as `Projection.to_dict` gives them
    map.png           the picture, with its figures printed below it
    variance.png, variance.csv    of PCA: the explained variance
    map.html          if asked for: the picture with the texts, one file that opens offline
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import numpy as np

from separatrix import recipe as recipes
from separatrix.analysis.blocks import ScaleOptions, pca_in_blocks
from separatrix.analysis.flat import class_order
from separatrix.analysis.identity import read_decision
from separatrix.analysis.inputs import opened
from separatrix.codes import encode
from separatrix.errors import DataError, OptionError
from separatrix.geometry.blend import fit_blend
from separatrix.geometry.project import Map, is_guided, make_map, variance_shares
from separatrix.points import NO_SPLIT, Points
from separatrix.progress import Progress, silent
from separatrix.recipe.arguments import checks_arguments
from separatrix.recipe.core import checked
from separatrix.recipe.options import BlendOptions, ProjectOptions
from separatrix.recipe.project import BlendRecipe, ProjectRecipe
from separatrix.reports.map_page import write_map_page
from separatrix.rowtable import ColumnTexts, ExtendedTable, RowTable
from separatrix.scale.blocks import BlockSource
from separatrix.scale.nearest import neighbors
from separatrix.store.files import Schema
from separatrix.store.points import write_points
from separatrix.store.result import NUMBER, Lines, Listing, Result, apart, is_interval, optional, out_line
from separatrix.store.rows import ParquetTable, write_rows
from separatrix.view import save
from separatrix.view.curves import draw_variance
from separatrix.view.data import write_data
from separatrix.view.maps import Drawing, draw_map

if TYPE_CHECKING:
    import pandas as pd

MAP, PICTURE, PAGE = "map.parquet", "map.png", "map.html"
AXES = ("x", "y", "z")
FITTED, NEIGHBORS = "fitted", "neighbors"
MOST_NEAREST = 100  # rows that are listed of each row
LABEL, SPLIT, TEXT = "label", "split", "text"
_MOST_CLASSES = 500  # more different values are no classes
_VARIANCE_ROWS = 4096  # rows that the curve of explained variance is computed on


def split_names(table: RowTable) -> list[str]:
    """The split of each row; NO_SPLIT where it has none, and an empty list where no row has."""
    return [split or NO_SPLIT for split in ColumnTexts(table, SPLIT)[:]] if SPLIT in table else []


@dataclass(frozen=True, eq=False, repr=False)
class Projection(Result):
    """A map with the identity of its rows."""

    kind: ClassVar[str] = "map"
    schema: ClassVar[Schema] = {
        "method": str, "dimensions": lambda count: count in (2, 3), "guided": bool, "prepare": str, "seed": int,
        "rows": int, "rows_fitted": int, "rows_compared": int, "k": int, "trustworthiness": float,
        "knn_overlap": float, "knn_before": NUMBER, "knn_after": NUMBER, "knn_after_interval?": (is_interval, None),
        "majority": NUMBER, "seconds": float, "axes": [str],
    }  # fmt: skip

    row_table: RowTable = apart()  # identity columns, then x, y (z) and fitted
    labels: np.ndarray = apart()  # (rows,) class numbers, -1 = none
    points: str = ""  # what was projected
    method: str = "pca"
    dimensions: int = 2
    prepare: str = "none"
    guided: bool = False  # labels helped to draw it
    seed: int = 0
    rows: int = 0
    rows_fitted: int = 0
    axes: Sequence[str] = ()
    trustworthiness: float = 0.0  # 0 to 1 (Venna and Kaski, 2001)
    knn_overlap: float = 0.0  # mean share of the k nearest neighbors that are the same in the map
    k: int = 0
    rows_compared: int = 0
    knn_before: float | None = None  # accuracy of the vote of neighbors, in the points
    knn_after: float | None = None  # and in the map
    majority: float | None = None
    seconds: float = 0.0
    notes: Sequence[str] = ()
    knn_before_interval: Sequence[float] | None = optional()
    knn_after_interval: Sequence[float] | None = optional()
    knn_k: int | None = optional()
    knn_rows: int | None = optional()
    knn_how: str | None = optional()
    own: float | None = optional()  # accuracy of what the model itself decided (column `predicted`) on the rows scored
    lost: Mapping[str, Any] | None = optional()  # what the vote in the map loses of it: paired, with interval
    classes: Sequence[str] = ()  # empty without labels
    label: str | None = optional()  # column that was named
    recipe: ProjectRecipe | Mapping[str, Any] = field(default_factory=ProjectRecipe)
    map: Map | None = apart()  # None where it was read from disk
    shares: np.ndarray | None = apart()  # explained variance, of PCA
    page: bool = apart(False)  # written with `map.html`

    @classmethod
    def stored(cls, folder: Path, plain: dict[str, Any]) -> dict[str, Any]:
        """The table, and the class of each row in it."""
        rows, names = ParquetTable.open(folder / MAP, ("id", FITTED)), list(plain.get("classes", ()))
        column, labels = plain.get("label") or LABEL, np.full(len(rows), -1, np.int64)
        if names and column in rows:
            codes, values = encode(rows.series(column))
            numbers = [names.index(text) if (text := str(value)) in names else -1 for value in values]
            labels = np.array([*numbers, -1], np.int64)[codes]
        return {"row_table": rows, "labels": labels, "page": (folder / PAGE).is_file()}

    @cached_property
    def table(self) -> pd.DataFrame:
        """The whole row table as a pandas frame; of a map on disk it is read into memory now, and kept."""
        return self.row_table.to_pandas()

    @property
    def coordinates(self) -> np.ndarray:
        """Places of the rows, (rows, dimensions)."""
        return np.column_stack([self.row_table.column(name) for name in AXES[: self.dimensions]]).astype(np.float32)

    def place(self, points: Points | np.ndarray) -> np.ndarray:
        """Places (rows, dimensions) of further points of the same width.

        Raises:
            DataError: the map was read from disk, where it cannot place points.
        """
        if self.map is None:
            raise DataError("a map read from disk places no new points", hint="project once more")
        return self.map.place(points.values if isinstance(points, Points) else points)

    def parts(self) -> list[Listing | Lines]:
        """How far the map can be trusted."""
        plain = self.figures()
        shown = ("trustworthiness", "knn_overlap", "knn_before", "knn_after", "majority")
        lines = [(name.replace("_", " "), f"{plain[name]:.3f}") for name in shown if plain[name] is not None]
        if self.own is not None and self.lost is not None:
            low, high = self.lost["interval"]
            lines += [("model itself", f"{self.own:.3f}")]
            lines += [("lost in the map", f"{self.lost['difference']:.3f} ({low:.3f} to {high:.3f})")]
        lines += [("rows fitted", f"{self.rows_fitted} of {self.rows}"), ("seconds", f"{self.seconds:.1f}")]
        return [[*lines, *(("note", note) for note in self.notes), *out_line(self.folder)]]

    @property
    def caption(self) -> str:
        """How it was made and how far it can be trusted, for below its picture."""
        how = f"{self.method}, {'guided by labels' if self.guided else 'no label seen'}, seed {self.seed}"
        how += f", prepared: {self.prepare}" * (self.prepare != "none")
        fitted = f"fitted to {self.rows_fitted} of {self.rows} rows{' (drawn pale)' * self.guided}"
        faithful = (
            f"trustworthiness {self.trustworthiness:.2f}, k-NN overlap {self.knn_overlap:.2f} "
            f"(k = {self.k}, {self.rows_compared} rows)"
        )
        if self.knn_before is None:
            return f"{how}; {fitted}; {faithful}"
        low, high = self.knn_after_interval or (self.knn_after, self.knn_after)
        votes = (
            f"k-NN accuracy {self.knn_before:.3f} before and {self.knn_after:.3f} [{low:.3f}, {high:.3f}] in the "
            f"map (k = {self.knn_k}, {self.knn_how}), majority {self.majority:.3f}"
        )
        if self.own is not None and self.lost is not None:
            low, high = self.lost["interval"]
            gap = f"{self.lost['difference']:.3f} [{low:.3f}, {high:.3f}]"
            votes += f"; the model itself {self.own:.3f}, of which the map loses {gap}"
        return f"{how}; {fitted}; {faithful}; {votes}"

    @property
    def short_caption(self) -> str:
        """The same in two short lines, for a panel among many."""
        note = f"{self.method}, trustworthiness {self.trustworthiness:.2f}, overlap {self.knn_overlap:.2f}"
        if self.knn_after is not None:
            note += f", k-NN {self.knn_before:.2f} before, {self.knn_after:.2f} after"
        if self.own is not None:
            note += f", the model itself {self.own:.2f}"
        return note + " (guided; pale: fitted)" * self.guided

    def drawing(self) -> Drawing:
        """What a picture of this map needs."""
        pale = self.row_table.column(FITTED).astype(bool) if self.guided else None
        names, axes = tuple(self.classes), tuple(self.axes)
        return Drawing(self.coordinates, self.labels, names, axes, self.points, self.caption, pale)

    def write_files(self, folder: Path) -> None:
        """Write tables and pictures; with `page`, `map.html` as well."""
        drawing = self.drawing()
        write_rows(folder / MAP, self.row_table)
        save(draw_map(drawing), folder / PICTURE)
        if self.shares is not None:
            write_variance(folder, {self.points: self.shares})
        if self.page:
            texts = self.row_table.column(TEXT if TEXT in self.row_table else "id")
            groups = class_order(drawing.names, drawing.labels, drawing.points)
            own = {"ids": self.row_table.column("id").tolist(), "splits": split_names(self.row_table)}
            write_map_page(folder / PAGE, drawing, [str(text) for text in texts], groups, **own)


@checks_arguments
def project(
    points: Points | str | Path,
    method: str | None = None,
    *,
    label: str | None = None,
    page: bool = False,
    nearest: int = 0,
    recipe: ProjectRecipe | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    executor: str = "here",
    memory: str | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    **options: Unpack[ProjectOptions],
) -> Projection:
    """Lay points out in two or three dimensions, and say how faithful the picture is.

    Args:
        points: one block of numbers (choose one with `pick`, or blend several with `blend`), or their folder.
        method: `pca`, `tsne`, `umap` or `lda`.
        label: column of the labels; without it, `label` where there is one.
        page: also write `map.html`.
        nearest: also list so many rows nearest to each row by their vectors (cosine) in the column `neighbors`, which
            Embedding Atlas reads: `embedding-atlas map.parquet --text text --x x --y y --neighbors neighbors`.
        recipe: all options at once.
        out: folder to write map, figures and picture to; nothing is written without it.
        overwrite: replace an earlier map there.
        executor, memory, device: as of `cluster`; read block by block, `pca` is fitted to all rows, however many. Other
            methods are fitted to a sample of `fit_rows` in any case, and place the other rows block by block.
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
    progress = progress or silent
    wanted = recipes.replace(recipe or ProjectRecipe(), **({"method": method} if method else {}), **options)
    points, scale = opened(points, Points), ScaleOptions.of(executor, memory, out, progress, device)
    checked("nearest", nearest, int, low=0, high=MOST_NEAREST)
    if nearest >= len(points):
        raise OptionError("--nearest is too large", got=nearest, expected=f"at most {len(points) - 1}, the other rows")
    with scale.until_written():
        return Projection.produce(
            lambda: replace(_project(points, wanted, label, scale, nearest), page=page), wanted, out,
            overwrite=overwrite, inputs=points.folders, progress=progress, stage=(wanted.method, len(points)),
        )  # fmt: skip


def _nearest(points: Points, k: int, scale: ScaleOptions) -> np.ndarray:
    """The k rows nearest to each row by their vectors, (rows,) of mappings."""
    source = BlockSource.of_points(points)
    with scale.job(source) as job:
        near = neighbors(source, source, k, job, exclude_self=True)
    listed = np.empty(len(points), dtype=object)
    for row, (index, distance) in enumerate(zip(near.index.tolist(), near.distance.tolist(), strict=True)):
        listed[row] = {"ids": index, "distances": distance}
    return listed


def _project(
    points: Points, recipe: ProjectRecipe, label: str | None, scale: ScaleOptions, nearest: int
) -> Projection:  # fmt: skip
    names, labels = find_classes(points, label)
    block = points.blocks[points.name]
    train = find_train(points) if is_guided(recipe) else None
    whole = pca_in_blocks(points, recipe, scale) if scale.on_gpu or scale.in_blocks(len(points), points.width) else None
    decided = read_decision(points.rows, label or LABEL, names) if names else None
    flat = make_map(block, recipe, labels=labels if names else None, train=train, whole=whole, decided=decided)
    columns = dict(zip(AXES, flat.coordinates.T, strict=False)) | {FITTED: flat.fitted}
    columns |= {NEIGHBORS: _nearest(points, nearest, scale)} if nearest else {}
    taken = [name for name in columns if name in points.columns]
    if taken:
        raise DataError(f"the row table has a column {taken[0]!r}, which the map needs", hint="give it another name")
    shares = None
    if recipe.method == "pca":
        rows = np.linspace(0, len(points) - 1, min(_VARIANCE_ROWS, len(points))).astype(int)
        shares = variance_shares(flat.prepare(np.asarray(block[rows])), seed=recipe.seed)
    return Projection(
        ExtendedTable(points.rows, columns), labels, describe(points), **flat.to_dict(), classes=names,
        label=label or None, recipe=recipe, map=flat, shares=shares,
    )  # fmt: skip


@checks_arguments
def blend(
    points: Points | str | Path,
    *,
    label: str | None = None,
    recipe: BlendRecipe | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Unpack[BlendOptions],
) -> Points:
    """Join the blocks of points into one, each with the weight that nearest neighbors give it.

    The weights are chosen on the rows of split `validation` against those of `train`; without such a part, on the
    training rows by leaving one out; without splits, on all rows. Rows of other splits have no say. What was chosen,
    and what each block alone and the blocks side by side would have given, stands in `origin["blend"]`.

    Args:
        points: two blocks or more over the same rows (see `Points.join`), or their folder.
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
    points, progress = opened(points, Points), progress or silent
    wanted = recipes.replace(recipe or BlendRecipe(), **options)
    progress("blend", 0, len(points), "")
    names, labels = find_classes(points, label)
    if not names:
        raise DataError("a blend needs labels", got=f"no usable column {label or LABEL!r}", hint="name it with label=")
    matrices = {name: np.asarray(block[:], np.float32) for name, block in points.blocks.items()}
    splits = points.column(SPLIT) if SPLIT in points.columns else np.full(len(points), "train")
    known = labels >= 0
    train, validation = known & (splits == "train"), known & (splits == "validation")
    if not train.any():
        train, validation = known, np.zeros(len(points), bool)

    def part(mask: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
        return {name: matrix[mask] for name, matrix in matrices.items()}, labels[mask]

    weighted = fit_blend(*part(train), wanted, validation=part(validation) if validation.any() else None)
    origin = {**points.origin, "blend": weighted.to_dict()}
    blended = Points({"blend": weighted.apply(matrices)}, points.rows, origin)
    if out is not None:
        write_points(out, blended, overwrite=overwrite, recipe=recipes.record(wanted))
    progress("blend", len(points), len(points), "")
    return blended


def write_variance(folder: Path, shares: Mapping[str, np.ndarray]) -> None:
    """The picture of explained variance, name -> (directions,), and its numbers: a row for each direction."""
    save(draw_variance(shares), folder / "variance.png")
    rows = [
        {"points": name, "direction": number, "share": float(share), "sum": float(total)}
        for name, one in shares.items()
        for number, (share, total) in enumerate(zip(one, np.cumsum(one), strict=True), 1)
    ]
    write_data(rows, folder / "variance.csv")


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
    if label is None and LABEL not in points.columns:
        return (), np.full(len(points), -1)
    values = points.series(label or LABEL)
    fractions = values.dtype.kind == "f" and bool((values.dropna() % 1 != 0).any())
    ids, names = encode(values)
    if fractions or len(names) > _MOST_CLASSES or not len(names):
        return (), np.full(len(points), -1)
    return tuple(str(name) for name in names), ids


def find_train(points: Points) -> np.ndarray | None:
    """Rows (rows,) bool of split `train`; None where the table does not tell rows apart by split."""
    if SPLIT not in points.columns:
        return None
    train = np.asarray(points.series(SPLIT) == "train")
    return train if train.any() and not train.all() else None
