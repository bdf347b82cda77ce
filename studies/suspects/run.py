"""Wrong labels that were planted: how far they are the first suspects, beside cleanlab on the same vectors.

    python studies/suspects/run.py --data FOLDER [--sets ...] [--seeds 3]    every run that is missing
    python studies/suspects/run.py --table      RESULTS.md from the lines

A run is one planting: 5 % of the labels of a seeded sample become another class. Vectors are those of the encoder's own
pooling, kept in `--work`. Judges, weights and thresholds were chosen on plantings with seeds from 100 on.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import cross_val_predict
from studies.common import append_run, markdown, missing, read_runs, recipe_key, rounded, run_study, study_options

from separatrix.analysis.suspects import suspects
from separatrix.codes import draw_rows
from separatrix.models.candidates import chosen_candidates
from separatrix.models.extract import extract_blocks
from separatrix.models.load import load_backbone
from separatrix.points import Points
from separatrix.recipe import ModelRecipe
from separatrix.texts import Texts, load_demo, load_texts

HERE = Path(__file__).resolve().parent
# name -> column of labels; "demo" is the shipped questions
SETS = {"trec": "coarse", "sst2": "label", "banking77": "label", "demo": "kind"}
ROWS, SHARE, FIRST = 2500, 0.05, (20, 50, 100)


@dataclass(frozen=True)
class PlantedRun:
    """One planting into one set."""

    data: str
    seed: int

    @property
    def key(self) -> str:
        """Hash of what makes two runs the same."""
        return recipe_key({"data": self.data, "seed": self.seed, "rows": ROWS, "share": SHARE})

    def do(self, data: Path | None, work: Path) -> dict[str, Any]:
        """Plant, judge, and measure both."""
        x, true, names = vectors(self.data, data, work)
        rng = np.random.default_rng(self.seed)
        wrong = np.zeros(len(true), dtype=bool)
        wrong[rng.choice(len(true), round(SHARE * len(true)), replace=False)] = True
        given = np.where(wrong, (true + rng.integers(1, len(names), len(true))) % len(names), true)
        begun = process_time()
        result = suspects(Points.of(x, {"label": names[given]}), seed=self.seed)
        seconds = process_time() - begun
        quality, issues = (result.rows[name].to_numpy() for name in ("score", "is_label_issue"))
        line = {"key": self.key, "data": self.data, "seed": self.seed, "rows": len(true), "planted": int(wrong.sum())}
        line |= {"accuracy": result.accuracy, "noise": result.estimated_noise, "seconds": round(seconds, 1)}
        line |= {"expected": dict(result.expected_precision), "first": first_shares(quality, wrong)}
        return rounded(line | {"ours": figures_of(quality, issues, wrong), "cleanlab": _cleanlab(x, given, wrong)})


def vectors(name: str, data: Path | None, work: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors (rows, width), class numbers (rows,) and names of a sample of the training rows of a set."""
    path = work / f"{name}.npz"
    if not path.is_file():
        texts = _texts(name, data)
        texts = texts.take(draw_rows(len(texts), ROWS, 0))
        work.mkdir(parents=True, exist_ok=True)
        np.savez(path, x=own_vectors(texts), y=np.array([str(label) for label in np.asarray(texts.label)]))
    stored = np.load(path)
    names, true = np.unique(stored["y"], return_inverse=True)
    return stored["x"], true, names


def own_vectors(texts: Texts) -> np.ndarray:
    """Vectors of the encoder's own pooling, (rows, width)."""
    backbone = load_backbone(ModelRecipe(device="cpu", max_length=64))
    blocks, _ = extract_blocks(backbone, texts.text, chosen_candidates(backbone, "own"))
    return next(iter(blocks.values()))


def _texts(name: str, data: Path | None) -> Texts:
    if name == "demo":
        return load_demo().train
    assert data is not None
    return load_texts(data / name / "train.parquet", label=SETS[name])


def figures_of(quality: np.ndarray, issues: np.ndarray, wrong: np.ndarray) -> dict[str, Any]:
    return {
        "average_precision": float(average_precision_score(wrong, -quality)),
        "flagged": int(issues.sum()),
        "precision": float(wrong[issues].mean()) if issues.any() else 0.0,
        "recall": float(issues[wrong].mean()),
    }


def first_shares(quality: np.ndarray, wrong: np.ndarray) -> dict[str, float]:
    order = np.argsort(quality, kind="stable")
    return {str(count): float(wrong[order[:count]].mean()) for count in FIRST}


def _cleanlab(x: np.ndarray, given: np.ndarray, wrong: np.ndarray) -> dict[str, Any]:
    """Its defaults: logistic regression out of fold, self-confidence, pruned by class."""
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    chances = cross_val_predict(LogisticRegression(max_iter=400), x, given, cv=5, method="predict_proba")
    quality = get_label_quality_scores(given, chances)
    return figures_of(quality, find_label_issues(given, chances), wrong)


def write_table(out: Path) -> None:
    """RESULTS.md from the lines."""
    lines = read_runs(out / "runs.jsonl")
    by_set = {name: [line for line in lines if line["data"] == name] for name in SETS}
    rows = [
        planting_row(name, own, {"judges right": f"{mean_of(own, 'accuracy'):.3f}"})
        for name, own in by_set.items()
        if own
    ]
    (out / "RESULTS.md").write_text(f"{HEAD}\n{markdown(rows)}\n", encoding="utf-8")


def mean_of(lines: list[dict[str, Any]], *path: str) -> float:
    """The mean of a figure over plantings, by the keys that lead to it."""
    values: list[Any] = lines
    for step in path:
        values = [value[step] for value in values]
    return float(np.mean(values))


def planting_row(name: str, lines: list[dict[str, Any]], judges: dict[str, Any]) -> dict[str, Any]:
    """A line of the table: what was planted into a set, what was found, and cleanlab beside it.

    Args:
        name: of the set.
        lines: of its runs.
        judges: columns that say how good the judges are.
    """
    mean = partial(mean_of, lines)
    return {
        "set": name,
        "seeds": len(lines),
        "rows": lines[0]["rows"],
        **judges,
        "planted": lines[0]["planted"],
        "estimated": f"{mean('noise') * lines[0]['rows']:.0f}",
        "average precision": f"{mean('ours', 'average_precision'):.3f}",
        "cleanlab": f"{mean('cleanlab', 'average_precision'):.3f}",
        "flagged": f"{mean('ours', 'flagged'):.0f} ({mean('ours', 'precision'):.2f} of them planted)",
        "cleanlab flags": f"{mean('cleanlab', 'flagged'):.0f} ({mean('cleanlab', 'precision'):.2f})",
        "first 20, 50, 100": ", ".join(f"{mean('first', str(count)):.2f}" for count in FIRST),
        "as expected": ", ".join(f"{mean('expected', str(count)):.2f}" for count in FIRST),
    }


HEAD = """# Planted wrong labels: results

Written by `python studies/suspects/run.py --table` from `runs.jsonl`; not by hand. What was asked and how to read this:
`README.md`. Means over plantings.
"""


def do_plantings(plans: Iterable[Any], options: argparse.Namespace, lines: Path) -> None:
    """Do the plantings that are missing, a line each."""
    for plan in missing(plans, lines):
        line = plan.do(options.data, options.work)
        append_run(lines, line)
        print(plan, line["ours"], line["cleanlab"], flush=True)


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", type=Path, help="folder of the sets, each with its parts as Parquet")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path("runs/suspects"), help="folder of the vectors")
    options = study_options(parser, HERE, arguments)
    if not options.table:
        plans = [PlantedRun(name, seed) for name, seed in itertools.product(options.sets, range(options.seeds))]
        do_plantings(plans, options, options.out / "runs.jsonl")
    write_table(options.out)
    return 0


if __name__ == "__main__":
    run_study(main)
