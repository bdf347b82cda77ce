"""Few rows of each class: alignment in several forms beside SetFit, the same rows, seconds beside scores.

    python studies/few_rows/run.py --data FOLDER --splits 30                               ours
    python studies/few_rows/run.py --data FOLDER --splits 30 --rows setfit setfit_short    where SetFit is installed
    python studies/few_rows/run.py --table                                                 RESULTS.md from the lines

A run is a line of runs.jsonl; what is there is not done again. All rows of a split learn from the same labelled rows.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from studies.common import (
    SETFIT_PACKAGES,
    do_missing,
    machine,
    read_runs,
    recipe_key,
    run_study,
    study_options,
    versions,
)
from studies.few_rows.tables import write_tables
from studies.many_classes.ideas import HEAD, Idea, TrainedParts, fit

from separatrix import recipe as recipes
from separatrix.geometry.neighbors import unit_rows
from separatrix.recipe.align import AlignRecipe
from separatrix.texts import Classes, Texts, load_splits
from separatrix.texts.table import few

HERE = Path(__file__).resolve().parent
SETS = {"trec6": ("trec", "coarse"), "sst2": ("sst2", "label"), "sst5": ("sst5", "label")}
FEW = (8, 16)
MOST_TEST = 500  # test rows that are answered; drawn once, the same for all
# Ours learn from all rows at once; the rate falls to zero and the last epoch stands, so no row is held back.
SHARED: dict[str, Any] = {"device": "cpu", "precision": "bfloat16", "epochs": 10, "temperature": 0.2}
ROWS: dict[str, dict[str, Any]] = {
    "finetune": {**HEAD, "epochs": 20, "temperature": 0.07},
    "nca": {},
    "align_few": {"epochs": 6, "precision": "float32"},  # what a race trains once validation has chosen
    "pairs": {"loss": "cosine_mse", "pairs": "batch", "sampler": "balanced"},
}
SETFIT, SETFIT_SHORT = "setfit", "setfit_short"
PAIR_TEXTS = 32  # of a step of SetFit: 16 pairs; `setfit_short` stops when as many texts have passed as in ours


@dataclass(frozen=True)
class FewPlan:
    """One run."""

    row: str
    set: str
    per_class: int
    split: int

    @property
    def key(self) -> str:
        """Hash of what makes two runs the same."""
        return recipe_key(asdict(self), SHARED | ROWS.get(self.row, {}))


def load(data: Path, plan: FewPlan) -> dict[str, Texts]:
    """The few rows of a split, and the test rows."""
    folder, label = SETS[plan.set]
    read = load_splits(data / folder, label=label, seed=0, validation=0.1)
    test = read.test
    assert test is not None
    test = test.split(MOST_TEST / len(test), 0)[1] if len(test) > MOST_TEST else test
    return {"train": few(read.train.join(read.validation), plan.per_class, plan.split), "test": test}


def run_ours(plan: FewPlan, parts: Mapping[str, Texts], labels: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Train the encoder, and decide by several heads: way -> predicted class numbers."""
    recipe = recipes.replace(AlignRecipe(), **(SHARED | ROWS[plan.row]), seed=plan.split)
    names = [str(number) for number in range(int(labels["train"].max()) + 1)]  # no idea of these rows reads them
    trained = fit(Idea(plan.row), recipe, parts, labels["train"], names)
    return heads(trained, labels["train"])


def heads(trained: TrainedParts, y: np.ndarray) -> dict[str, np.ndarray]:
    """Nearest class mean, logistic regression, discriminant with a shrunk covariance, the trained head."""
    vectors = {part: unit_rows(values) for part, values in trained.vectors.items()}
    means = unit_rows(np.stack([vectors["train"][y == label].sum(axis=0) for label in range(int(y.max()) + 1)]))
    even = np.full(len(means), 1 / len(means))
    models = {
        "logistic": LogisticRegression(C=1.0, max_iter=1000),
        "shrunk LDA": LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto", priors=even),
    }
    ways = {"mean": (vectors["test"] @ means.T).argmax(axis=1)}
    ways |= {way: model.fit(vectors["train"], y).predict(vectors["test"]) for way, model in models.items()}
    if trained.head is None:
        return ways
    return {"head": (trained.vectors["test"] @ trained.head[0].T + trained.head[1]).argmax(axis=1)} | ways


def run_setfit(plan: FewPlan, parts: Mapping[str, Texts], labels: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """SetFit by its own package with its defaults; `setfit_short` stops after a few steps."""
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    from separatrix.models.source import resolve

    model = SetFitModel.from_pretrained(str(resolve(recipes.ModelRecipe()).folder), device="cpu")
    most = max(1, SHARED["epochs"] * len(labels["train"]) // PAIR_TEXTS)
    steps = {"max_steps": most} if plan.row == SETFIT_SHORT else {}
    with TemporaryDirectory() as folder:
        options = TrainingArguments(output_dir=folder, save_strategy="no", seed=plan.split, report_to="none", **steps)
        table = Dataset.from_dict({"text": list(parts["train"].text), "label": labels["train"].tolist()})
        Trainer(model=model, args=options, train_dataset=table).train()
    return {"logistic": np.asarray(model.predict(list(parts["test"].text)), dtype=int)}


def do_run(plan: FewPlan, data: Path) -> dict[str, Any]:
    """Train, answer the test rows, and give the line of the run."""
    parts = load(data, plan)
    classes = Classes.of(np.asarray(parts["train"].label), source=parts["train"].source)
    labels = {part: classes.encode(np.asarray(texts.label)) for part, texts in parts.items()}
    if plan.row in (SETFIT, SETFIT_SHORT):
        import setfit  # noqa: F401  imported here, so that no run's seconds hold it
    begun, cpu = monotonic(), process_time()
    predicted = (run_ours if plan.row in ROWS else run_setfit)(plan, parts, labels)
    seconds = {"seconds": round(monotonic() - begun, 1), "cpu_seconds": round(process_time() - cpu, 1)}
    accuracy = {way: round(float(np.mean(values == labels["test"])), 6) for way, values in predicted.items()}
    counts = {part: len(texts) for part, texts in parts.items()}
    return {"key": plan.key, **asdict(plan), "accuracy": accuracy, "rows": counts, **seconds, **_environment(plan)}


def _environment(plan: FewPlan) -> dict[str, Any]:
    """The machine; of SetFit the versions in its own environment, where the library need not be installed."""
    return {"machine": machine(1)} if plan.row in ROWS else {"versions": versions(SETFIT_PACKAGES)}


def plans(options: argparse.Namespace) -> list[FewPlan]:
    """All runs asked for, split by split."""
    return [
        FewPlan(row, name, count, split)
        for split in range(options.first_split, options.splits)
        for count in options.per_class
        for name in options.sets
        for row in options.rows
    ]


def main(arguments: list[str] | None = None) -> int:
    """Do the runs that are missing, or write the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", type=Path, help="folder with trec, sst2 and sst5")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--rows", nargs="+", choices=[*ROWS, SETFIT, SETFIT_SHORT], default=list(ROWS))
    parser.add_argument("--per-class", type=int, nargs="+", choices=FEW, default=list(FEW))
    parser.add_argument("--splits", type=int, default=30, help="how many draws of the few rows (default 30)")
    parser.add_argument("--first-split", type=int, default=0, help="the first of them (default 0)")
    options = study_options(parser, HERE, arguments)
    lines = options.out / "runs.jsonl"
    if options.table:
        write_tables(options.out, read_runs(lines))
        print(f"wrote {options.out / 'RESULTS.md'}")
        return 0
    do_missing(plans(options), lines, options.threads, lambda plan: do_run(plan, options.data), _line)
    return 0


def _line(plan: FewPlan, run: Mapping[str, Any]) -> str:
    return f"{plan.row} {plan.set} {plan.per_class} split {plan.split} {run['accuracy']} {run['seconds']}"


if __name__ == "__main__":
    run_study(main)
