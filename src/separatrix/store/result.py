"""What a verb gives back: figures in hand, a table, readable text, HTML for notebooks, a folder that is read again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, fields, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from separatrix.progress import Progress, silent
from separatrix.recipe.core import plain
from separatrix.store import notebook
from separatrix.store.artifacts import write_artifact
from separatrix.store.contents import EVERYTHING, open_artifact
from separatrix.store.files import Schema, damaged, is_count, read_json, reading, write_json
from separatrix.store.folder import RECIPE, RESULT

if TYPE_CHECKING:
    import pandas as pd


APART = {"apart": True}
IN_UNIT = ("rmse", "mae", "baseline_rmse")  # figures in the unit of the labels
# The picture that a notebook shows, the first that a folder has.
PICTURES = (
    "pictures/confusion.png", "pictures/numbers.png", "pictures/clusters.png", "map.png", "sizes.png", "maps.png",
    "heatmap.png", "association_1.png", "cost.png",
)  # fmt: skip


def apart(default: Any = None) -> Any:
    """A field that `result.json` does not hold: a table, or what is in memory only."""
    return field(default=default, metadata=APART)


def optional() -> Any:
    """A field that `result.json` leaves out where it is None."""
    return field(default=None, metadata={"optional": True})


@dataclass(frozen=True)
class Listing:
    r"""A table of texts, each in one line; numbers stand to the right, strong rows are bold.

    >>> Listing(["class"], [["two\nlines"]]).rows
    [['two lines']]
    """

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    strong: Sequence[bool] = ()
    numeric: Sequence[bool] = ()  # of each column, whether it holds numbers; read from the cells if absent

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", [[" ".join(cell.splitlines()) for cell in row] for row in self.rows])
        if not self.numeric:
            columns = ([row[column] for row in self.rows] for column in range(len(self.headings)))
            first = ([cell.removeprefix("< ")[:1] for cell in cells] for cells in columns)
            numeric = [all(sign.isdigit() or sign in "-" for sign in signs) for signs in first]
            object.__setattr__(self, "numeric", numeric)


Lines = Sequence[tuple[str, object]]  # names and values


class Printed(ABC):
    """Shown as tables and lines: printed, and in notebooks. A result, a trained model, a file that was written."""

    @abstractmethod
    def parts(self) -> Sequence[Listing | Lines]:
        """What is printed."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return as_text(self.parts())

    def _repr_html_(self) -> str:
        """The verdict if there is one, tables of a few lines, and a picture of the folder: below 20 kB."""
        verdict, drawn, lines = getattr(self, "verdict", None), self._picture(), notebook.LINES
        stated = isinstance(verdict, str)
        parts = [part for part in (_unstated(part) if stated else part for part in self.parts()) if part]
        while len(html := "\n".join(_as_html(part, lines) for part in parts)) > notebook.BYTES and lines > 1:
            lines //= 2
        html = html if len(html) <= notebook.BYTES else f"<p>{escape(type(self).__name__)}</p>"
        sentence = (
            f"<p><strong>{escape(notebook.short(str(verdict), notebook.SENTENCE))}</strong></p>\n" if stated else ""
        )
        return sentence + html + (notebook.picture(drawn) if drawn is not None else "")

    def _picture(self) -> Path | None:
        """A picture file that shows it, where one was written."""
        folder = getattr(self, "folder", None)
        if not isinstance(folder, Path):
            return None
        paths = (folder / name for name in PICTURES)
        return next((path for path in paths if path.is_file()), None)


@dataclass(frozen=True, eq=False, repr=False)
class Result(Printed):
    """A result of a verb: a frozen dataclass whose fields are the figures of `result.json`, but for those `apart`."""

    kind: ClassVar[str]  # of the artefact, a key of `store.kinds.KINDS`
    schema: ClassVar[Schema] = {}  # what `result.json` must hold to be read
    verified: ClassVar[Collection[str]] = EVERYTHING  # patterns of the files whose hashes are compared when it is read

    folder: Path | None = field(default=None, kw_only=True, metadata=APART)  # where it was written or read

    if TYPE_CHECKING:  # a field or a property of the subclass; dataclasses would take one made here as a default

        @property
        def table(self) -> pd.DataFrame:
            """The rows as a pandas frame."""

    @abstractmethod
    def write_files(self, folder: Path) -> None:
        """Write tables and pictures into an empty folder."""

    @classmethod
    def stored(cls, _folder: Path, _plain: dict[str, Any]) -> dict[str, Any]:
        """Fields that are not read from `result.json` as they stand there."""
        return {}

    def figures(self) -> dict[str, Any]:
        """What `result.json` holds, but for the kind."""
        values = ((spec, getattr(self, spec.name)) for spec in fields(self) if "apart" not in spec.metadata)
        return {
            spec.name: plain(value) for spec, value in values if value is not None or "optional" not in spec.metadata
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return self.figures() | ({} if self.folder is None else {"out": str(self.folder)})

    def write(self, folder: Path) -> None:
        """Write tables, pictures and figures into an empty folder."""
        self.write_files(folder)
        write_json(folder / RESULT, {"kind": self.kind} | self.figures())

    @classmethod
    def produce(
        cls, make: Callable[[], Self], recipe: Any, out: str | Path | None, *, overwrite: bool = False,
        inputs: Collection[Any] = (), progress: Progress = silent, stage: tuple[str, int] = ("", 0),
    ) -> Self:  # fmt: skip
        """What every verb does: hold the folder, work, write.

        Args:
            make: the work.
            recipe: the options that it is done with.
            out: folder to write; nothing is written without it.
            overwrite: replace an earlier result of this kind there.
            inputs: paths that are never replaced.
            progress: is called with (stage, done, total, note) before and after the work.
            stage: name of the work, and how many rows it takes; without a name `make` itself reports.

        Raises:
            StoreError: the folder is taken.
        """
        name, rows = stage
        with write_artifact(out, cls.kind, recipe, overwrite=overwrite, inputs=inputs) as folder:
            if name:
                progress(name, 0, rows, "")
            result = make()
            if folder is not None:
                result.write(folder)
            if name:
                progress(name, rows, rows, "")
        return result if out is None else replace(result, folder=Path(out))

    def save(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Write it as the verb does with `out`; `separatrix.load` reads it again.

        Args:
            folder: to write.
            overwrite: replace an earlier result of the same kind.

        Raises:
            StoreError: the folder is taken.
        """
        recipe = plain(getattr(self, "recipe", getattr(self, "grid", None)))
        type(self).produce(lambda: self, recipe, folder, overwrite=overwrite)

    @classmethod
    def open(cls, folder: str | Path, *, verify: bool = True) -> Self:
        """Read what the verb or `save` wrote.

        Args:
            folder: of the result.
            verify: compare the files with their hashes.

        Raises:
            StoreError: the folder holds no such result, or was altered.
        """
        path = Path(folder)
        open_artifact(path, cls.kind, verify=verify, only=cls.verified)
        with reading(path):
            figures = read_result(path, cls.schema)
            names = {spec.name for spec in fields(cls)}
            known = {name: value for name, value in figures.items() if name in names}
            return cls(**known | cls.stored(path, figures) | {"folder": path})


def out_line(folder: Path | None) -> Lines:
    """The last line of what is printed: where it was written."""
    return [] if folder is None else [("out", folder)]


def as_text(parts: Sequence[Listing | Lines]) -> str:
    """Tables and lines as they are printed, without colours."""
    return "\n".join(_as_text(part) for part in parts if part)


def cell(value: Any) -> str:
    """A figure of a table."""
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def digits(figure: str, share: str = ".3f") -> str:
    """The format of a figure: an error in the unit of the labels, of any size, has four significant digits.

    >>> f"{1735.24:{digits('rmse')}}, {2e-30:{digits('mae')}}, {0.5:{digits('accuracy')}}"
    '1735, 2e-30, 0.500'
    """
    return ".4g" if figure in IN_UNIT else share


def p_cell(value: float | None) -> str:
    """A p-value in a table: three digits, and never 0.

    >>> p_cell(0.0312), p_cell(4e-9), p_cell(None)
    ('0.031', '< 0.001', '-')
    """
    return "< 0.001" if value is not None and value < 0.001 else cell(value)


def p_words(value: float) -> str:
    """A p-value in a sentence.

    >>> p_words(0.0312), p_words(4e-9)
    ('p = 0.031', 'p < 0.001')
    """
    return f"p {'' if value < 0.001 else '= '}{p_cell(value)}"


def line_text(value: Any) -> str:
    """A value behind its name; figures with six digits.

    >>> line_text(3600.013950473404), line_text(150), line_text("none")
    ('3600.01', '150', 'none')
    """
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _as_text(part: Listing | Lines) -> str:
    if not isinstance(part, Listing):
        width = max(len(name) for name, _ in part)
        return "\n".join(f"{name:<{width}}  {line_text(value)}" for name, value in part)
    lines = [part.headings, *part.rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(part.headings))]
    sides = [">" if numeric else "<" for numeric in part.numeric]
    return "\n".join(
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(line, sides, widths, strict=True)).rstrip()
        for line in lines
    )


def _unstated(part: Listing | Lines) -> Listing | Lines:
    """A part without the line of the verdict, which stands above."""
    return part if isinstance(part, Listing) else [line for line in part if line[0] != "verdict"]


def _as_html(part: Listing | Lines, lines: int) -> str:
    if isinstance(part, Listing):
        return notebook.table(part.headings, part.rows, lines)
    return notebook.table(("", ""), [(name, line_text(value)) for name, value in part], lines, notebook.SENTENCE)


def is_interval(value: Any) -> bool:
    """Whether a plain value is a pair of numbers."""
    return isinstance(value, list) and len(value) == 2 and all(type(one) in (int, float) for one in value)


NUMBER: Schema = (float, None)
ANY_RESULT: Schema = {"kind?": str, "warnings?": [str], "notes?": [str]}
FIGURES: Schema = {
    "accuracy?": float, "interval?": (is_interval, None), "macro_f1?": float, "majority?": float, "rmse?": float,
    "mae?": float, "r2?": NUMBER, "baseline_rmse?": float, "rows?": int, "confusion?": [[int]],
    "per_class?": [{"name": str, "rows": int, "precision": NUMBER, "recall": NUMBER, "f1": NUMBER, "predicted": int}],
}  # fmt: skip
RACE: Schema = {
    "winner": str,
    "why": [str],
    "recipe": dict,
    "candidates": [
        {
            "name": str, "state": str, "why": str, "expected?": float, "seconds": float, "rows": (int, None),
            "accuracy": NUMBER,
            "interval": (is_interval, None), "difference": ({"difference": float, "interval": is_interval}, None),
        }
    ],
    "curve": [{"name": str, "points": [{"rows": is_count, "accuracy": float, "interval": is_interval}]}],
}  # fmt: skip
RUN_RESULT: Schema = {
    "method": str,
    "loss": str,
    "model": {"name": str, "origin?": str, "weights?": str},
    "classes?": [str],
    "rows?": {"*": int},
    "scores": {"*": FIGURES},
    "baselines?": {"*": {"*": FIGURES}},
    "chosen?": {"*": {"pool": str}},
    "warnings?": [str],
    "notes?": [str],
    "seconds?": float,
    "words?": ([str], None),
    "race?": RACE,
    "command?": str,
    "software?": {"*": str},
}
RUN_RECIPE: Schema = {
    "method?": str,
    "backbone?": {"model": str},
    "weights?": str,
    "loop": {"seed": lambda seed: isinstance(seed, int) and seed >= 0},
    "data?": {"train": {"rows": int, "digest": str}, "*": {"rows": int, "digest": str}},
}


def read_result(folder: Path, schema: Schema = ANY_RESULT) -> dict[str, Any]:
    """`result.json` of a folder. Raises `StoreError`: it is not there, or holds something else."""
    return read_json(folder / RESULT, schema)


def read_run_files(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """`recipe.json` and `result.json` of a finished run.

    Raises:
        StoreError: one is not there, or holds something else.
    """
    recipe, result = read_json(folder / RECIPE, RUN_RECIPE), read_result(folder, RUN_RESULT)
    if not {"test", "validation"} & set(result["scores"]):
        raise damaged(folder / RESULT, "it has no scores", "test or validation")
    for part, figures in result["scores"].items():
        matrix = figures.get("confusion", [])
        if matrix and {len(matrix), *map(len, matrix)} != {len(result.get("classes", matrix))}:
            raise damaged(folder / RESULT, f"scores.{part}.confusion does not fit the classes")
    return recipe, result
