"""Several labels a row: macro-F1 of our methods beside scikit-learn's one-vs-rest on the same vectors.

    python studies/multilabel/run.py               every run that is missing
    python studies/multilabel/run.py --table       RESULTS.md from the lines

The rows are the shipped questions; each has two labels, its kind and its topic. A run is one method with one seed,
which parts the rows: a line of `runs.jsonl`. `ovr` is `OneVsRestClassifier(LogisticRegression())` as it comes, on the
sentence vectors of the model, fitted to training and validation rows together; `ovr_tuned` has its pooling and penalty
chosen on validation rows, and is then fitted to both.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from studies.common import do_missing, markdown, read_runs, recipe_key, run_study, study_options

from separatrix import recipe as recipes
from separatrix.geometry.label_sets import label_scores
from separatrix.geometry.resample import paired_difference
from separatrix.learn.targets import Targets, encode
from separatrix.models.candidates import candidates
from separatrix.models.extract import extract_blocks
from separatrix.models.load import load_backbone
from separatrix.recipe import ModelRecipe
from separatrix.texts import Splits, Texts, load_demo
from separatrix.training.methods import METHODS
from separatrix.training.request import TrainingRequest
from separatrix.training.run import run_training

HERE = Path(__file__).resolve().parent
STRENGTHS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)  # C of the tuned regression
# name -> (method, options that are not its defaults)
OURS: dict[str, tuple[str, dict[str, Any]]] = {
    "probe": ("probe", {}),
    "probe_refit": ("probe", {"refit": True}),
    "prompt": ("prompt", {}),
    "align": ("align", {}),
    "align_head": ("align", {"head_weight": 1.0, "decision": "head"}),
    "finetune": ("finetune", {}),
}
SKLEARN = ("ovr", "ovr_tuned")
FIGURES = ("macro_f1", "micro_f1", "subset_accuracy")


def questions(seed: int) -> Splits:
    """The shipped questions, their kind and their topic as two labels: 20 % test, a tenth of the rest validation."""
    parts = list(load_demo().parts.values())
    text = [line for part in parts for line in part.text]
    labels = [
        list(pair)
        for part in parts
        if part.label is not None and part.group is not None
        for pair in zip(part.label.tolist(), part.group.tolist(), strict=True)
    ]
    rest, test = Texts.of(text, labels, source="questions").split(0.2, seed)
    train, validation = rest.split(0.1, seed)
    return Splits(train, validation, test, ())


@dataclass(frozen=True)
class MultilabelRun:
    """One method with one seed."""

    name: str
    seed: int

    @property
    def key(self) -> str:
        """Hash of what makes two runs the same."""
        return recipe_key({"name": self.name, "options": OURS.get(self.name, ("", {}))[1], "seed": self.seed})

    def do(self) -> dict[str, Any]:
        """Train and measure on the test rows."""
        splits, begun = questions(self.seed), monotonic()
        if self.name in SKLEARN:
            figures, chosen = _sklearn(splits, self.seed, tuned=self.name == "ovr_tuned")
        else:
            method, options = OURS[self.name]
            recipe = recipes.replace(METHODS[method].recipe, seed=self.seed, **options)
            result = run_training(TrainingRequest(splits, recipe, method, None, compare=False))
            figures, chosen = result.scores["test"], {}
        line = {"key": self.key, "name": self.name, "seed": self.seed, "seconds": round(monotonic() - begun, 1)}
        kept = {name: round(figures[name], 6) for name in (*FIGURES, "majority", "majority_macro_f1")}
        return line | kept | {"rows": {part: len(texts) for part, texts in splits.parts.items()}} | chosen


def _sklearn(splits: Splits, seed: int, *, tuned: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Figures of scikit-learn's one-vs-rest on the test rows, and what was chosen on validation rows."""
    backbone, targets = load_backbone(ModelRecipe()), encode(splits.parts, "classify")
    blocks = {
        part: extract_blocks(backbone, texts.text, candidates(backbone))[0] for part, texts in splits.parts.items()
    }
    pool, strength = next(name for name in blocks["train"] if name.endswith("normalised")), 1.0
    if tuned:
        merits = {
            (name, each): _macro(
                _fit(blocks, targets, name, each, seed, ("train",)), blocks, targets, name, "validation"
            )
            for name in blocks["train"]
            for each in STRENGTHS
        }
        pool, strength = max(merits, key=lambda pair: merits[pair])
    model = _fit(blocks, targets, pool, strength, seed, ("train", "validation"))
    scores = label_scores(targets.values["test"], model.predict(blocks["test"][pool]), targets.names, seed=seed)
    return scores.to_dict(), {"pool": pool, "C": strength}


def _fit(
    blocks: Mapping[str, Any], targets: Targets, pool: str, strength: float, seed: int, parts: Sequence[str]
) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    x = np.concatenate([blocks[part][pool] for part in parts])
    y = np.concatenate([targets.values[part] for part in parts])
    return OneVsRestClassifier(LogisticRegression(C=strength, max_iter=2000, random_state=seed)).fit(x, y)


def _macro(model: Any, blocks: Mapping[str, Any], targets: Targets, pool: str, part: str) -> float:
    answers = model.predict(blocks[part][pool])
    return label_scores(targets.values[part], answers, targets.names, resamples=1).macro_f1


def write_table(out: Path) -> None:
    """RESULTS.md from the lines."""
    lines = read_runs(out / "runs.jsonl")
    by_name = {name: {line["seed"]: line for line in lines if line["name"] == name} for name in (*SKLEARN, *OURS)}
    rows = [_row(name, runs, by_name) for name, runs in by_name.items() if runs]
    (out / "RESULTS.md").write_text(f"{HEAD}\n{markdown(rows)}\n", encoding="utf-8")


def _row(name: str, runs: Mapping[int, Any], by_name: Mapping[str, Mapping[int, Any]]) -> dict[str, Any]:
    row: dict[str, Any] = {"method": name, "seeds": len(runs)}
    for figure in FIGURES:
        values = [run[figure] for run in runs.values()]
        row[figure.replace("_", " ")] = f"{np.mean(values):.4f}"
    for other in SKLEARN:
        seeds = sorted(set(runs) & set(by_name[other]))
        if name == other or len(seeds) < 2:
            row[f"above {other}"] = "-"
            continue
        pair = paired_difference(*([by_name[one][seed]["macro_f1"] for seed in seeds] for one in (name, other)))
        row[f"above {other}"] = f"{pair.mean:+.4f} [{pair.low:+.4f}, {pair.high:+.4f}]"
    return row | {"seconds": f"{np.mean([run['seconds'] for run in runs.values()]):.0f}"}


HEAD = """# Several labels a row: results

Written by `python studies/multilabel/run.py --table` from `runs.jsonl`; not by hand. What was asked and how to read
this: `README.md`. Means over seeds on the test rows; the last columns but one are paired differences of macro-F1 with
their 95 % interval over seeds. Seconds are those of a busy machine.
"""


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--methods", nargs="+", choices=(*SKLEARN, *OURS), default=[*SKLEARN, *OURS])
    parser.add_argument("--seeds", type=int, default=5)
    options = study_options(parser, HERE, arguments)
    if not options.table:
        plans = [MultilabelRun(name, seed) for seed, name in itertools.product(range(options.seeds), options.methods)]
        do_missing(plans, options.out / "runs.jsonl", options.threads, MultilabelRun.do, _line)
    write_table(options.out)
    return 0


def _line(plan: MultilabelRun, run: Mapping[str, Any]) -> str:
    return f"{plan.name} {plan.seed} {run['macro_f1']} {run['micro_f1']}"


if __name__ == "__main__":
    run_study(main)
