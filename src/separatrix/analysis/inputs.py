"""What verbs are given: an object, or the path of the folder that it was written to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from separatrix.errors import StoreError
from separatrix.points import Points
from separatrix.store.files import Schema
from separatrix.store.folder import TRAJECTORY
from separatrix.store.points import open_points
from separatrix.store.remote import url_of
from separatrix.store.result import RUN_RESULT, Result, read_result
from separatrix.store.table import read_table

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")


def opened(given: T | str | Path, kind: type[T], *, verify: bool = True) -> T:
    """The object itself, or what its folder holds.

    Args:
        given: `Points` or a result, or the path of its folder; of points, an address too.
        kind: the class that it must be of.

    Raises:
        StoreError: no folder is there, or it holds something else.

    >>> opened(Points.of([[1.0]]), Points)
    Points: 1 rows, vectors (1)
        id
    """
    if not isinstance(given, str | Path):
        return given
    if not Path(given).is_dir() and not (kind is Points and url_of(given)):
        what = "points that extract wrote" if kind is Points else f"what gave {kind.__name__}"
        raise StoreError(f"{given} is no folder", expected=what)
    read: Any = open_points if kind is Points else kind.open  # type: ignore[attr-defined]
    result: T = read(given, verify=verify)
    return result


@dataclass(frozen=True)
class FinishedRun:
    """A run: its folder, or the result of a training that was not written, of which no trajectory is known."""

    folder: Path | None
    result: Any = None  # a `TrainingResult`, where there is no folder

    @classmethod
    def of(cls, given: Result | str | Path) -> FinishedRun:
        """What a verb was given."""
        return cls(Path(given)) if isinstance(given, str | Path) else cls(given.folder, given)

    @property
    def name(self) -> str:
        """How messages name it."""
        return "the run" if self.folder is None else str(self.folder)

    def figures(self, schema: Schema = RUN_RESULT) -> dict[str, Any]:
        """What `result.json` holds."""
        return self.result.figures() if self.folder is None else read_result(self.folder, schema)

    def answers(self, part: str, columns: tuple[str, ...] = ()) -> pd.DataFrame:
        """A row for each text of a part; these columns must be there.

        Raises:
            StoreError: no file of a folder holds them.
        """
        if self.folder is None:
            return self.result.predictions[part]
        return read_table(self.folder / "predictions" / f"{part}.parquet", columns)

    @property
    def trajectory(self) -> Path | None:
        """The folder of its trajectory, where there is one."""
        path = None if self.folder is None else self.folder / TRAJECTORY
        return path if path is not None and path.is_dir() else None
