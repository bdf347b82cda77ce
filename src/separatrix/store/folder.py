"""Names of the files of a run, whether it is finished, and whether an unfinished one can be gone on with."""

from __future__ import annotations

from pathlib import Path

RECIPE, METRICS, RESULT, REPORT = "recipe.json", "metrics.jsonl", "result.json", "report.html"
CHECKPOINT = "checkpoint.safetensors"
RACE = "race.jsonl"  # finished trials of `--method auto`
PROGRESS = "progress.json"  # how far the training is
REFIT = "refit"  # the second training, of `--refit`
TRAJECTORY = "trajectory"
FINISHED = "this run was finished before: nothing was trained"  # a note where such a run is asked for again
TRAIN_ROWS = f"{TRAJECTORY}/train.parquet"  # the training rows whose outputs the trajectory keeps
SHOWN = (RECIPE, METRICS, RESULT, f"{TRAJECTORY}/*", "predictions/*")  # what pictures and report are made from


def has_result(folder: Path) -> bool:
    """Whether the figures of a result are in a folder; they are the last file that a verb writes but the manifest."""
    return (folder / RESULT).is_file()


def can_resume(folder: Path) -> bool:
    """Whether a state, a finished trial or the result of a training was saved."""
    return any((folder / name).exists() for name in (CHECKPOINT, RACE)) or has_result(folder)
