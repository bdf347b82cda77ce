"""Points or a map as they are shown: places stand in the page; texts and neighbors are read when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock

import numpy as np

from separatrix.analysis.flat import class_order
from separatrix.analysis.project import TEXT, Projection, project, split_names
from separatrix.errors import DataError, OptionError
from separatrix.points import ID, Points
from separatrix.progress import Progress
from separatrix.reports import RunReport
from separatrix.reports.map_page import map_sections
from separatrix.reports.page import render
from separatrix.rowtable import ColumnTexts, RowTable
from separatrix.scale.blocks import BlockSource
from separatrix.scale.nearest import nearest_rows
from separatrix.serve.columns import ServedColumns
from separatrix.serve.server import HTML, Query, Reply, Route

METRIC = "cosine"
MOST_NEIGHBORS = 50
MOST_ROWS = 10_000_000  # of a page: four bytes of each for its place, two for its class


@dataclass
class VectorView:
    """A map with lazily read texts, and with the vectors' own neighbors where there are vectors."""

    flat: Projection
    points: Points | None = None  # of one block
    columns: ServedColumns = field(default_factory=ServedColumns)
    lock: Lock = field(default_factory=Lock)  # one search for neighbors at a time

    def __post_init__(self) -> None:
        self.page = self._page().encode(errors="replace")

    @classmethod
    def of_points(cls, points: Points, flat: Projection | None, method: str | None, progress: Progress) -> VectorView:
        """Points on a map: one that was made before, or one that is made now.

        Raises:
            DataError: the map is one of other rows.
        """
        if flat is None:
            return cls(project(points, method or "pca", progress=progress), points)
        if len(flat.row_table) != len(points) or not _same(flat.row_table, points.rows):
            raise DataError(
                "the map is one of other rows", got=f"{flat.rows}", expected=f"the {len(points)} of the points"
            )
        return cls(flat, points)

    @property
    def routes(self) -> Mapping[str, Route]:
        """What a page may ask for."""
        return {"": lambda _query: Reply(self.page, HTML), **self.columns.routes} | (
            {} if self.points is None else {"neighbors": self.neighbors}
        )

    def neighbors(self, query: Query) -> Reply:
        """The rows of nearest vectors, the row itself left out, with their distances."""
        assert self.points is not None
        row, k = query.number("row", 0, len(self.points) - 1), query.number("k", 1, MOST_NEIGHBORS)
        self.points.rows.take(np.array([row])).column(
            ID
        )  # refused where the folder was replaced, and its vectors with it
        rows = BlockSource.of_points(self.points)
        with self.lock:
            near = nearest_rows(rows.part(row, row + 1), rows, min(k, len(self.points) - 1), METRIC, row)
        index, distance = near["index"][0].tolist(), near["distance"][0].astype(float).round(6).tolist()
        return Reply.json({"rows": index, "distances": distance, "metric": METRIC})

    def _page(self) -> str:
        table, drawing = self.flat.row_table, self.flat.drawing()
        if len(table) > MOST_ROWS:
            raise OptionError("too many rows for a map", got=len(table), expected=f"{MOST_ROWS} at most")
        texts = ColumnTexts(table, TEXT if TEXT in table else ID)
        groups = class_order(drawing.names, drawing.labels, drawing.points)
        sections = map_sections(
            drawing, texts, ColumnTexts(table, ID), whole=True, groups=groups, splits=split_names(table)
        )
        if self.points is not None:
            listed = next(number for number, section in enumerate(sections) if section.id == "rows")
            sections[listed] = replace(sections[listed], data={**sections[listed].data, "vectors": True})
        return render(RunReport(drawing.title), sections, self.columns)


def _same(one: RowTable, other: RowTable) -> bool:
    return bool(np.array_equal(one.column(ID), other.column(ID)))


def read_map(folder: str | Path, *, verify: bool = True) -> Projection:
    """A map that `project` wrote."""
    return Projection.open(folder, verify=verify)
