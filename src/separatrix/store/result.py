"""What a verb gives back: figures in hand, a table, readable text, HTML for notebooks, a folder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from separatrix.store.artifacts import write_artifact

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Listing:
    """A table of texts; numbers stand to the right, strong rows are bold."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    strong: Sequence[bool] = ()

    @property
    def numeric(self) -> list[bool]:
        """Of each column, whether it holds numbers."""
        columns = ([row[column] for row in self.rows] for column in range(len(self.headings)))
        return [all(cell[:1].isdigit() or cell[:1] in "-" for cell in cells) for cells in columns]


Lines = Sequence[tuple[str, object]]  # names and values


class Result(ABC):
    """A result of a verb. A subclass is a frozen dataclass with its fields and properties derived from them."""

    kind: ClassVar[str]  # of the artefact, a key of `store.kinds.KINDS`
    folder: Path | None  # where it was written or read

    if TYPE_CHECKING:  # a field or a property of the subclass; dataclasses would take one made here as a default

        @property
        def table(self) -> pd.DataFrame:
            """The rows as a pandas frame."""

    @abstractmethod
    def figures(self) -> dict[str, Any]:
        """What `result.json` holds, but for the kind."""

    @abstractmethod
    def parts(self) -> list[Listing | Lines]:
        """What is printed."""

    @abstractmethod
    def write(self, folder: Path) -> None:
        """Write tables, figures and pictures into an empty folder."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return self.figures() | ({} if self.folder is None else {"out": str(self.folder)})

    def save(self, folder: str | Path, *, overwrite: bool = False, inputs: Collection[Any] = ()) -> None:
        """Write it as the verb does with `out`; `separatrix.load` reads it again.

        Args:
            folder: to write.
            overwrite: replace an earlier result of the same kind.
            inputs: paths that are never replaced.

        Raises:
            StoreError: the folder is taken.
        """
        plain = self.figures()
        recipe = plain.get("recipe", plain.get("grid"))
        with write_artifact(folder, self.kind, recipe, overwrite=overwrite, inputs=inputs) as place:
            assert place is not None
            self.write(place)

    def __str__(self) -> str:
        return "\n".join(_as_text(part) for part in self.parts() if part)

    def _repr_html_(self) -> str:
        return "\n".join(_as_html(part) for part in self.parts() if part)


def out_line(folder: Path | None) -> Lines:
    """The last line of what is printed: where it was written."""
    return [] if folder is None else [("out", folder)]


def _as_text(part: Listing | Lines) -> str:
    if not isinstance(part, Listing):
        width = max(len(name) for name, _ in part)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in part)
    lines = [part.headings, *part.rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(part.headings))]
    sides = [">" if numeric else "<" for numeric in part.numeric]
    return "\n".join(
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(line, sides, widths, strict=True)).rstrip()
        for line in lines
    )


def _as_html(part: Listing | Lines) -> str:
    if not isinstance(part, Listing):
        part = Listing(("", ""), [(name, str(value)) for name, value in part])
    head = "".join(f"<th>{escape(heading)}</th>" for heading in part.headings)
    rows = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in part.rows]
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
