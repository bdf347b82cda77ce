"""Can the probabilities of every method be used? Calibration on held-out rows, measured on the test part.

    python studies/calibration/run.py --data FOLDER [--sets ...] [--methods ...]    every run that is missing
    python studies/calibration/run.py --table      RESULTS.md from the lines

A run is one method on one set with one seed: a line of `runs.jsonl`. Trainings are kept in `--work` and go on when they
were stopped. Beside the calibration that a training chooses stand those that it could have chosen, and for a vote of
neighbors the counts of earlier versions; all are fitted on validation rows.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from studies.common import append_run, markdown, missing, read_runs, recipe_key, rounded, run_study, study_options

from separatrix import recipe as recipes
from separatrix.geometry.calibrate import CALIBRATIONS, fit_temperature, probabilities
from separatrix.geometry.reliability import reliability
from separatrix.learn.trained.encoder import AlignModel
from separatrix.texts import Splits, load_splits
from separatrix.texts.table import few
from separatrix.training.methods import METHODS
from separatrix.training.request import TrainingRequest
from separatrix.training.result import TrainingResult
from separatrix.training.verb import carry_out

HERE = Path(__file__).resolve().parent
# name -> (folder, column of labels, most training rows of each class, tokens of a text)
SETS: dict[str, tuple[str, str, int | None, int]] = {
    "trec6": ("trec", "coarse", None, 48),
    "sst2": ("sst2", "label", 1000, 64),
    "banking77": ("banking77", "label", 30, 48),
    "imdb": ("imdb", "label", 500, 128),
}
# method -> options that are not its defaults; fewer epochs, so that a run takes minutes
EPOCHS: dict[str, dict[str, Any]] = {
    "probe": {},
    "align": {"epochs": 3, "precision": "float32"},
    "finetune": {"epochs": 3, "precision": "float32"},
    "prompt": {"epochs": 5},
}
FIGURES = ("log_loss", "brier", "expected_calibration_error", "error_if_perfect", "distinct")


@dataclass(frozen=True)
class CalibrationRun:
    """One method on one set."""

    data: str
    method: str
    seed: int

    @property
    def recipe(self) -> Any:
        """Every option of the training."""
        changes = {"max_length": SETS[self.data][3], "seed": self.seed, "checkpoint_seconds": 30.0} | EPOCHS[
            self.method
        ]
        return recipes.replace(METHODS[self.method].recipe, **changes)

    @property
    def key(self) -> str:
        """Hash of what makes two runs the same."""
        return recipe_key({"data": self.data, "rows": SETS[self.data][2], "method": self.method, "seed": self.seed})

    def splits(self, data: Path) -> Splits:
        """Train, validation (a tenth of the training rows where the set has none) and test."""
        folder, label, most, _ = SETS[self.data]
        splits = load_splits(data / folder, label=label, seed=self.seed, validation=0.1)
        return splits if most is None else replace(splits, train=few(splits.train, most, self.seed))

    def do(self, data: Path, work: Path) -> dict[str, Any]:
        """Train, or go on with it, and measure."""
        splits, folder = self.splits(data), work / f"{self.data}-{self.method}-{self.seed}"
        request = TrainingRequest(splits, self.recipe, self.method, folder, compare=False)
        result = carry_out(request, resume=True, pictures=False)
        line = {"key": self.key, "data": self.data, "method": self.method, "seed": self.seed}
        line |= {"rows": {part: len(texts) for part, texts in splits.parts.items()}}
        model: Any = result.model
        line |= {"chosen": model.calibration.method}
        return line | {"ways": {name: rounded(one) for name, one in _ways(result, splits).items()}}


def _ways(result: TrainingResult, splits: Splits) -> dict[str, dict[str, Any]]:
    """Figures of the test part by calibration: the training's own, each that there is, and counts of votes."""
    model: Any = result.model
    assert model.classes is not None
    answers, gold = {}, {}
    for part in ("validation", "test"):
        texts = splits.parts[part]
        answers[part] = model.answer(texts.text)
        gold[part] = model.classes.encode(np.asarray(texts.label, dtype=object), source=part)
    scores = {part: answer.scores for part, answer in answers.items()}
    ways = {"own": _figures(answers["test"].probabilities, gold["test"])}
    for name, fit in CALIBRATIONS.items():
        fitted = fit(scores["validation"].astype(np.float64), gold["validation"])
        ways[name] = _figures(fitted.probabilities(scores["test"]), gold["test"])
    if isinstance(model, AlignModel) and model.evidence is not None:
        counts = {part: replace(model, evidence=None).scores(answer.vectors) for part, answer in answers.items()}
        temperature = fit_temperature(counts["validation"], gold["validation"])
        ways["counts"] = _figures(probabilities(counts["test"], temperature), gold["test"])
    return ways


def _figures(chances: np.ndarray, gold: np.ndarray) -> dict[str, Any]:
    figures = reliability(chances, gold).to_dict()
    # Where equal probabilities leave no such share, the smallest that there is.
    surest = next((one for one in figures["coverage"] if one["coverage"] <= 0.8), figures["coverage"][-1])
    kept = {name: figures[name] for name in ("accuracy", *FIGURES)}
    return kept | {"interval": figures["interval"], "coverage": surest["coverage"], "answered": surest["accuracy"]}


def write_table(out: Path) -> None:
    """RESULTS.md from the lines."""
    lines = read_runs(out / "runs.jsonl")
    rows = [_row(line, way) for line in lines for way in line["ways"] if way in ("own", "counts")]
    ways = [_row(line, way) for line in lines for way in CALIBRATIONS]
    text = f"{HEAD}\n## What trainings give\n\n{markdown(rows)}\n\n## Each calibration\n\n{markdown(ways)}\n"
    (out / "RESULTS.md").write_text(text, encoding="utf-8")


def _row(line: Mapping[str, Any], way: str) -> dict[str, Any]:
    figures, low_high = line["ways"][way], line["ways"][way]["interval"]
    return {
        "set": line["data"],
        "method": line["method"],
        "probabilities": {"own": line["chosen"], "counts": "counts of votes"}.get(way, way),
        "test rows": line["rows"]["test"],
        "accuracy": f"{figures['accuracy']:.4f}",
        "log-loss": f"{figures['log_loss']:.4f}",
        "calibration error": f"{figures['expected_calibration_error']:.4f} [{low_high[0]:.4f}, {low_high[1]:.4f}]",
        "perfect": f"{figures['error_if_perfect']:.4f}",
        "distinct": f"{figures['distinct']:.3f}",
        "surest 80 %": f"{figures['answered']:.4f} ({figures['coverage']:.0%})",
    }


HEAD = """# Probabilities: results

Written by `python studies/calibration/run.py --table` from `runs.jsonl`; not by hand. What was asked and how to read
this: `README.md`. Test rows alone; in brackets the 95 % bootstrap interval over rows.
"""


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", type=Path, help="folder of the sets, each with its parts as Parquet")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--methods", nargs="+", choices=EPOCHS, default=list(EPOCHS))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("runs/calibration"), help="folder of the trainings")
    options = study_options(parser, HERE, arguments)
    if not options.table:
        torch.set_num_threads(options.threads)
        wanted = itertools.product(range(options.seeds), options.sets, options.methods)
        plans = [CalibrationRun(data, method, seed) for seed, data, method in wanted]
        for plan in missing(plans, options.out / "runs.jsonl"):
            line = plan.do(options.data, options.work)
            append_run(options.out / "runs.jsonl", line)
            print(plan, line["chosen"], line["ways"]["own"], flush=True)
    write_table(options.out)
    return 0


if __name__ == "__main__":
    run_study(main)
