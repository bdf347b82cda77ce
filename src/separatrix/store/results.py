"""`result.json` and `recipe.json` of what the verbs wrote, checked before anything in them is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from separatrix.store.files import Schema, damaged, read_json
from separatrix.store.folder import RECIPE, RESULT


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
}
RUN_RECIPE: Schema = {
    "method?": str,
    "backbone?": {"model": str},
    "loop": {"seed": lambda seed: isinstance(seed, int) and seed >= 0},
    "data?": {"train": {"rows": int, "digest": str}, "*": {"rows": int, "digest": str}},
}
MAP_RESULT: Schema = {
    "method": str, "dimensions": lambda count: count in (2, 3), "guided": bool, "prepare": str, "seed": int,
    "rows": int, "rows_fitted": int, "rows_compared": int, "k": int, "trustworthiness": float, "knn_overlap": float,
    "knn_before": NUMBER, "knn_after": NUMBER, "knn_after_interval?": (is_interval, None), "majority": NUMBER,
    "seconds": float, "axes": [str],
}  # fmt: skip
CLUSTERS_RESULT: Schema = {"method": str, "clusters": int, "sizes": [int], "digest": str, "warnings": [str]}


def read_result(folder: Path, schema: Schema = ANY_RESULT) -> dict[str, Any]:
    """`result.json` of a folder.

    Raises:
        StoreError: it is not there, or holds something else.
    """
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
