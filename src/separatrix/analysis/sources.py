"""What `compare` sets side by side: runs, points and maps, each read once and named by the folder it was read from.

No file is drawn under the heading of another one. A name is never typed twice: panel, line of the
table and pair are named by the path that was opened, and what the folder says of itself (loss, method, model) stands
beside it. Two folders with the same numbers, and a folder named after another loss than its own, are reported.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from separatrix.analysis.project import TEXT, Projection, find_classes
from separatrix.errors import StoreError
from separatrix.points import Points
from separatrix.recipe import LOSSES
from separatrix.recipe.project import CompareRecipe
from separatrix.store.artifacts import open_artifact
from separatrix.store.files import reading
from separatrix.store.folder import RESULT, SHOWN, TRAJECTORY
from separatrix.store.kinds import kind_of
from separatrix.store.result import read_run_files
from separatrix.store.table import read_table

PARTS = ("test", "validation")  # the first one that a run has is compared


@dataclass(frozen=True, eq=False)
class Source:
    """One folder as it was read.

    `figures` is its line of the table. `points` are its numbers (of a run: the last outputs of validation rows),
    `map` the finished map, `answers` its predictions (id, text, label, predicted); each None where there is none.
    """

    path: Path
    name: str
    figures: dict[str, Any]
    digest: str
    points: Points | None = None
    map: Projection | None = None
    answers: pd.DataFrame | None = None

    @property
    def title(self) -> str:
        """Name of the folder read, and what it says of itself."""
        other = self.figures["loss"] or self.figures["method"]
        return self.name if other is None or other in self.name else f"{self.name} ({other})"


def read_sources(paths: Sequence[Path], recipe: CompareRecipe, verify: bool) -> list[Source]:
    """Read folders; names are as short as they can be and still differ.

    Raises:
        StoreError: a folder is missing, damaged, or none of the three kinds.
    """
    sources = []
    for path, name in zip(paths, short_names(paths), strict=True):
        with reading(path):
            sources.append(READERS[find_kind(path)](path, name, recipe, verify))
    return sources


def find_kind(path: Path) -> str:
    """`run`, `map` or `points`.

    Raises:
        StoreError: none of these.
    """
    if not path.is_dir():
        raise StoreError(f"{path} is not a folder", expected="a run, a map or points")
    kind = kind_of(path)
    if kind not in READERS or (kind == "run" and not (path / RESULT).is_file()):
        raise StoreError(f"{path} holds no finished run, no map and no points")
    return str(kind)


def short_names(paths: Sequence[Path]) -> list[str]:
    """Last parts of paths, as many as it takes to tell them apart.

    >>> short_names([Path("a/run"), Path("b/run"), Path("c/other")])
    ['a/run', 'b/run', 'c/other']
    >>> short_names([Path("runs/cosine"), Path("runs/distance")])
    ['cosine', 'distance']
    """
    parts = [path.resolve().parts if path.name in ("", "..") else path.parts for path in paths]
    longest = max(map(len, parts), default=1)
    for count in range(1, longest + 1):
        names = ["/".join(part[-count:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def read_run_source(path: Path, name: str, _recipe: CompareRecipe, verify: bool) -> Source:
    """A run: its scores, the outputs of its last frame, its answers."""
    from separatrix.learn.trajectory import read_frames, subsample

    open_artifact(path, "run", verify=verify, only=SHOWN)
    recipe, result = read_run_files(path)
    part = next(part for part in PARTS if part in result["scores"])
    scores = result["scores"][part]
    figures = _figures(name, "run", result["method"]) | {
        "model": result["model"]["name"], "loss": result["loss"], "split": part, "seconds": result.get("seconds"),
    }  # fmt: skip
    figures |= {key: scores.get(key) for key in ("rows", "accuracy", "majority", "rmse")}
    if "accuracy" in scores:
        figures["low"], figures["high"] = scores["interval"]
    answers = read_table(path / "predictions" / f"{part}.parquet", ("id", "label", "predicted"))
    frames = read_frames(path / TRAJECTORY) if (path / TRAJECTORY).is_dir() else []
    points, numbers = None, answers.select_dtypes("number").to_numpy()
    if frames:
        table = read_table(path / "predictions" / "validation.parquet")
        rows = subsample(len(table), len(frames[-1].outputs), recipe["loop"]["seed"])
        points = Points.of(frames[-1].outputs.astype(np.float32), table.iloc[rows])
        numbers = points.values
    return Source(path, name, figures, _digest(numbers), points, answers=answers)


def read_points_source(path: Path, name: str, recipe: CompareRecipe, verify: bool) -> Source:
    """Points: a sample of their rows; of several blocks, the first."""
    from separatrix.store.points import open_points

    everything = open_points(path, verify=verify)
    block = next(iter(everything.blocks))
    rows = np.arange(len(everything))
    if len(rows) > recipe.rows:
        rows = np.sort(np.random.default_rng(recipe.seed).choice(len(rows), recipe.rows, replace=False))
    points = everything.pick(block).take(rows)
    model = points.origin.get("model")
    figures = _figures(name, "points", None) | {"rows": len(everything), "block": block}
    figures["model"] = model.get("name") if isinstance(model, dict) else model
    return Source(path, name, figures, _digest(points.values), points)


def read_map_source(path: Path, name: str, recipe: CompareRecipe, verify: bool) -> Source:
    """A finished map, which is drawn again from its table; with a label of the recipe, in the colours of that."""
    flat = Projection.open(path, verify=verify)
    names, labels = find_classes(Points.of(flat.coordinates, flat.table), recipe.label)
    wanted = ("rows", "trustworthiness", "knn_overlap", "knn_before", "knn_after", "majority", "seconds")
    figures = _figures(name, "map", flat.method) | {key: getattr(flat, key) for key in wanted}
    return Source(path, name, figures, _digest(flat.coordinates), map=replace(flat, classes=names, labels=labels))


READERS: dict[str, Callable[[Path, str, CompareRecipe, bool], Source]] = {
    "run": read_run_source,
    "points": read_points_source,
    "map": read_map_source,
}


def find_mixed_up(sources: Sequence[Source]) -> list[str]:
    """What looks as if files were mixed up: the same folder or numbers twice, a name that is another loss."""
    warnings = []
    for one, other in combinations(sources, 2):
        if one.path.resolve() == other.path.resolve():
            warnings.append(f"{one.path} and {other.path} are the same folder")
        elif one.digest == other.digest:
            warnings.append(
                f"{one.path} and {other.path} hold the same numbers: is one of them a copy under another name?"
            )
    for source in sources:
        words = source.path.name.lower().replace("-", " ").replace(".", " ").split()
        loss = source.figures["loss"]
        named = [other for other in LOSSES if other in words and other != loss]
        if loss is not None and named:
            warnings.append(f"{source.path} is named {named[0]!r} but was trained with the loss {loss!r}")
    return warnings


def shared_answers(one: Source, other: Source) -> tuple[np.ndarray, np.ndarray] | str:
    """Whether each is right, (rows,) bool, on the rows that both answered; or why that cannot be said."""
    if one.answers is None or other.answers is None:
        return "no predictions on both sides"
    columns = [name for name in ("id", TEXT, "label", "predicted") if name in one.answers and name in other.answers]
    if "label" not in columns:
        return "no labels on both sides"
    both = one.answers[columns].merge(other.answers[columns], on="id", suffixes=("_a", "_b"))
    if not len(both):
        return "they share no row"
    for name in {TEXT, "label"} & set(columns):
        if (both[f"{name}_a"].astype(str) != both[f"{name}_b"].astype(str)).any():
            return f"the same ids have another {name}: they were not scored on the same rows"
    gold = both["label_a"].astype(str)
    right = [(both[f"predicted_{side}"].astype(str) == gold).to_numpy(bool) for side in "ab"]
    return right[0], right[1]


def _figures(name: str, kind: str, method: str | None) -> dict[str, Any]:
    keys = (
        "model", "loss", "block", "split", "rows", "accuracy", "low", "high", "majority", "rmse",
        "trustworthiness", "knn_overlap", "knn_before", "knn_after", "seconds",
    )  # fmt: skip
    return {"source": name, "kind": kind, "method": method} | dict.fromkeys(keys)


def _digest(numbers: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(numbers).tobytes()).hexdigest()
