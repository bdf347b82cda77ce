"""Columns of texts that stay where they are: the page asks for ranges of rows, and the server searches in blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from separatrix.reports.columns import ColumnPacker
from separatrix.serve.server import BYTES, Query, Reply, Route

STEP = 128  # texts that a page asks for together
MOST = 1 << 16  # rows of an answer


class ServedColumns(ColumnPacker):
    """Numbers stand in the page as ever; of texts, only which column they are and how many rows it has."""

    source = "'self'"

    def __init__(self) -> None:
        super().__init__()
        self.columns: list[Sequence[str]] = []

    def _pack_texts(self, column: Sequence[str]) -> dict[str, Any]:
        self.columns.append(column)
        return {"type": "text", "rows": len(column), "step": STEP, "served": len(self.columns) - 1}

    @property
    def routes(self) -> Mapping[str, Route]:
        """What a page may ask for."""
        return {"texts": self.read, "search": self.search}

    def read(self, query: Query) -> Reply:
        """A range of rows as a list of texts."""
        return Reply.json([str(value) for value in self._range(query)])

    def search(self, query: Query) -> Reply:
        """A byte for each row of a range: whether its text holds all words, whatever their case."""
        words = query.text("words").lower().split()
        lower = (str(value).lower() for value in self._range(query))
        return Reply(bytes(all(word in text for word in words) for text in lower), BYTES)

    def _range(self, query: Query) -> Sequence[str]:
        column = self.columns[query.number("column", 0, len(self.columns) - 1)]
        start = query.number("start", 0, max(len(column) - 1, 0))
        return column[start : start + query.number("rows", 1, MOST)]
