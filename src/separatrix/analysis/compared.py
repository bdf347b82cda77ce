"""What is compared: a run, points or a map, each read under the name of its folder and of nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from separatrix.analysis.inputs import FinishedRun, opened
from separatrix.analysis.project import Projection, find_classes
from separatrix.codes import draw_rows
from separatrix.errors import StoreError
from separatrix.geometry.resample import bootstrap_mean
from separatrix.learn.plane import OutputPlane
from separatrix.points import Points
from separatrix.recipe.project import CompareRecipe
from separatrix.store.contents import open_artifact
from separatrix.store.folder import SHOWN, has_result
from separatrix.store.kinds import kind_of
from separatrix.store.result import read_run_files

MOST_WORDS = 6  # label words that a line names
PARTS = ("test", "validation")  # the first one that a run has is compared


@dataclass(frozen=True, eq=False)
class ComparedFolder:
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
    run: FinishedRun | None = None
    recipe: Mapping[str, Any] | None = None  # of a run
    parts: tuple[str, ...] = ()  # of a run that has predictions
    classes: tuple[str, ...] = ()
    plane: OutputPlane | None = None  # where a run kept its rows

    @property
    def title(self) -> str:
        """Name of the folder read, and what it says of itself."""
        other = self.figures["loss"] or self.figures["method"]
        return self.name if other is None or other in self.name else f"{self.name} ({other})"


def find_kind(path: Path) -> str:
    """`run`, `map` or `points`; a `StoreError` for anything else."""
    if not path.is_dir():
        raise StoreError(f"{path} is not a folder", expected="a run, a map or points")
    kind = kind_of(path)
    if kind not in READERS or (kind == "run" and not has_result(path)):
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


def _read_run_source(path: Path, name: str, given: Any, wanted: CompareRecipe, verify: bool) -> ComparedFolder:
    """A run: its scores, the outputs of its last frame, its answers."""
    from separatrix.learn.trajectory import read_frames, subsample

    run = FinishedRun.of(given)
    if run.folder is None:
        recipe, result = given.recipe, run.figures()
    else:
        open_artifact(path, "run", verify=verify, only=SHOWN)
        recipe, result = read_run_files(path)
    part = next(part for part in PARTS if part in result["scores"])
    scores = result["scores"][part]
    answers = run.answers(part, ("id", "label", "predicted"))
    sets = "per_label" in scores
    if sets:
        scores = {**scores, **_whole_sets(answers, recipe["loop"]["seed"])}
    figures = _figures(name, "run", result["method"]) | {
        "model": result["model"]["name"], "loss": result["loss"], "split": part, "seconds": result.get("seconds"),
        "words": _label_words(result),
    }  # fmt: skip
    figures |= {key: scores.get(key) for key in ("rows", "accuracy", "micro_f1", "macro_f1", "majority", "rmse")}
    if part != "validation":
        figures["validation"] = result["scores"].get("validation", {}).get("subset_accuracy" if sets else "accuracy")
    if "accuracy" in scores:
        figures["low"], figures["high"] = scores["interval"]
    frames = [] if run.trajectory is None else read_frames(run.trajectory)
    points, numbers = None, answers.select_dtypes("number").to_numpy()
    if frames and not sets:  # a row with several labels has no one colour
        table = run.answers("validation")
        rows = subsample(len(table), len(frames[-1].outputs), recipe["loop"]["seed"])
        if "rmse" in scores and wanted.label is None:  # numbers to predict are no classes, whole ones neither
            table = table.drop(columns=["label", "predicted"])
        points = Points.of(frames[-1].outputs.astype(np.float32), table.iloc[rows])
        numbers = points.values
    plane = OutputPlane.read(run.folder / "predictions") if run.folder is not None else given.plane
    return ComparedFolder(
        path, name, figures, _digest(numbers), points, answers=answers, run=run, recipe=recipe,
        parts=tuple({*result["scores"], "validation"}), classes=tuple(result.get("classes", ())), plane=plane,
    )  # fmt: skip


def _whole_sets(answers: pd.DataFrame, seed: int) -> dict[str, Any]:
    """The share of rows whose set of labels is right as a whole, with interval, and that of the most frequent set."""
    gold = set_cells(answers["label"])
    right = (set_cells(answers["predicted"]) == gold).to_numpy(bool)
    return {
        "accuracy": float(right.mean()),
        "interval": bootstrap_mean(right, seed=seed),
        "majority": float(gold.value_counts(normalize=True).max()),
    }


def set_cells(labels: pd.Series) -> pd.Series:
    """Labels as texts that can be compared: sets of labels, tuples in memory and lists on disk, in one form.

    >>> set_cells(pd.Series([("b", "a"), ["a", "b"], "a"])).nunique()
    2
    """
    return labels.map(
        lambda one: str(sorted(map(str, one))) if isinstance(one, tuple | list | np.ndarray) else str(one)
    )


def _label_words(result: Mapping[str, Any]) -> str | None:
    """The label words of a run, and whether the data chose them; None of a run without label words."""
    if not result.get("words"):
        return None
    how = "by hand" if result.get("word_ranking") is None else "chosen"
    shown = " / ".join(result["words"][:MOST_WORDS]) + " ..." * (len(result["words"]) > MOST_WORDS)
    return f"{shown} ({how})"


def _read_points_source(path: Path, name: str, given: Any, recipe: CompareRecipe, verify: bool) -> ComparedFolder:
    """Points: a sample of their rows; of several blocks, the first."""
    everything = opened(given, Points, verify=verify)
    block = next(iter(everything.blocks))
    points = everything.pick(block).take(draw_rows(len(everything), recipe.rows, recipe.seed))
    model = points.origin.get("model")
    figures = _figures(name, "points", None) | {"rows": len(everything), "block": block}
    figures["model"] = model.get("name") if isinstance(model, dict) else model
    return ComparedFolder(path, name, figures, _digest(points.values), points)


def _read_map_source(path: Path, name: str, given: Any, recipe: CompareRecipe, verify: bool) -> ComparedFolder:
    """A finished map, which is drawn again from its table; with a label of the recipe, in the colours of that."""
    flat = opened(given, Projection, verify=verify)
    names, labels = find_classes(Points({"map": flat.coordinates}, flat.row_table), recipe.label)
    wanted = ("rows", "trustworthiness", "knn_overlap", "knn_before", "knn_after", "majority", "seconds")
    figures = _figures(name, "map", flat.method) | {key: getattr(flat, key) for key in wanted}
    return ComparedFolder(
        path, name, figures, _digest(flat.coordinates), map=replace(flat, classes=names, labels=labels)
    )


READERS: dict[str, Callable[[Path, str, Any, CompareRecipe, bool], ComparedFolder]] = {
    "run": _read_run_source,
    "points": _read_points_source,
    "map": _read_map_source,
}


def _figures(name: str, kind: str, method: str | None) -> dict[str, Any]:
    keys = (
        "model", "loss", "words", "block", "split", "rows", "accuracy", "low", "high", "validation", "majority",
        "micro_f1", "macro_f1", "rmse", "trustworthiness", "knn_overlap", "knn_before", "knn_after", "seconds",
    )  # fmt: skip
    return {"source": name, "kind": kind, "method": method} | dict.fromkeys(keys)


def _digest(numbers: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(numbers).tobytes()).hexdigest()
