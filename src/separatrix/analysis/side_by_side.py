"""What of several runs, points and maps can be set side by side: differences on shared rows, maps, what is mixed up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from separatrix.analysis.compared import ComparedFolder, set_cells
from separatrix.analysis.project import TEXT, Projection, project
from separatrix.geometry.resample import compare_answers, holm
from separatrix.recipe import LOSSES
from separatrix.recipe.project import CompareRecipe
from separatrix.view.maps import Drawing, Panels

# Figures of a map that stand in the result.
MAP_FIGURES = (
    "method", "guided", "rows", "trustworthiness", "knn_overlap", "knn_before", "knn_after", "majority", "own",
    "seconds",
)  # fmt: skip


def find_pairs(sources: Sequence[ComparedFolder], seed: int) -> tuple[list[dict[str, Any]], list[str]]:
    """Differences of each two runs on the rows that both answered, and what could not be compared."""
    pairs, left_out = [], []
    runs = [source for source in sources if source.answers is not None and source.figures["accuracy"] is not None]
    for one, other in combinations(runs, 2):
        right = _shared_answers(one, other)
        if isinstance(right, str):
            left_out.append(f"{one.path} and {other.path} are not compared: {right}")
            continue
        pairs.append({"a": one.name, "b": other.name, **compare_answers(*right, seed=seed).to_dict()})
    corrected = holm([pair["p_value"] for pair in pairs])
    return [{**pair, "p_holm": float(p)} for pair, p in zip(pairs, corrected, strict=True)], left_out


def draw_panels(sources: Sequence[ComparedFolder], recipe: CompareRecipe) -> tuple[Panels, list[dict[str, Any]]]:
    """Drawings, a line for each method and a column for each source (or None), and the figures of each drawing."""
    wanted = [*recipe.method] if any(source.points is not None for source in sources) else []
    own = dict.fromkeys(source.map.method for source in sources if source.map is not None)
    # Finished maps alone stand in one line, whatever their methods.
    lines = [*dict.fromkeys([*wanted, *own])] if wanted else [None] * bool(own)
    panels: list[list[Drawing | None]] = []
    figures: list[dict[str, Any]] = []
    for method in lines:
        maps = [_map(source, method, method in wanted, recipe) for source in sources]
        pairs = list(zip(sources, maps, strict=True))
        panels.append([
            None if flat is None else replace(flat.drawing(), title=source.title, note=flat.short_caption)
            for source, flat in pairs
        ])  # fmt: skip
        for source, flat in pairs:
            if flat is not None:
                head = {"source": source.name, "title": source.title}
                figures.append(head | {name: getattr(flat, name) for name in MAP_FIGURES} | paired_columns(flat.lost))
    return panels, figures


def find_mixed_up(sources: Sequence[ComparedFolder]) -> list[str]:
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


def paired_columns(pair: Mapping[str, Any] | None) -> dict[str, Any]:
    """A paired difference as columns of a table."""
    if pair is None:
        return dict.fromkeys(("lost", "lost_low", "lost_high", "p_value"))
    low, high = pair["interval"]
    return {"lost": pair["difference"], "lost_low": low, "lost_high": high, "p_value": pair["p_value"]}


def _map(source: ComparedFolder, method: str | None, wanted: bool, recipe: CompareRecipe) -> Projection | None:
    """The finished map of a source, or one drawn of its points."""
    if source.map is not None:
        return source.map if method in (None, source.map.method) else None
    if source.points is None or method is None or not wanted:
        return None
    return project(source.points, method, label=recipe.label, prepare=recipe.prepare, seed=recipe.seed)


def _shared_answers(one: ComparedFolder, other: ComparedFolder) -> tuple[np.ndarray, np.ndarray] | str:
    """Whether each is right, (rows,) bool, on the rows that both answered; or why that is not known."""
    if one.answers is None or other.answers is None:
        return "no predictions on both sides"
    columns = [name for name in ("id", TEXT, "label", "predicted") if name in one.answers and name in other.answers]
    if "label" not in columns:
        return "no labels on both sides"
    # Ids may be numbers in one file and texts in another.
    mine, its = (answers[columns].astype({"id": str}) for answers in (one.answers, other.answers))
    both = mine.merge(its, on="id", suffixes=("_a", "_b"))
    if not len(both):
        return "they share no row"
    for name in {TEXT, "label"} & set(columns):
        if (set_cells(both[f"{name}_a"]) != set_cells(both[f"{name}_b"])).any():
            return f"the same ids have another {name}: they were not scored on the same rows"
    gold = set_cells(both["label_a"])
    right = [(set_cells(both[f"predicted_{side}"]) == gold).to_numpy(bool) for side in "ab"]
    return right[0], right[1]
