"""Names of the files of a run, and whether an unfinished one can be gone on with."""

from __future__ import annotations

from pathlib import Path

RECIPE, METRICS, RESULT, REPORT = "recipe.json", "metrics.jsonl", "result.json", "report.html"
CHECKPOINT = "checkpoint.safetensors"
TRAJECTORY = "trajectory"
TRAIN_ROWS = f"{TRAJECTORY}/train.parquet"  # the training rows whose outputs the trajectory keeps
SHOWN = (RECIPE, METRICS, RESULT, f"{TRAJECTORY}/*", "predictions/*")  # what pictures and report are made from


def can_resume(folder: Path) -> bool:
    """Whether a state or the result of a training was saved."""
    return (folder / CHECKPOINT).exists() or (folder / RESULT).exists()
