"""Wrong labels planted where rows have several: are they the first suspects? Beside cleanlab on the same vectors.

    python studies/suspects/label_sets.py --data FOLDER [--sets ...] [--seeds 3]    every run that is missing
    python studies/suspects/label_sets.py --table      LABEL_SETS.md from the lines

A run is one planting: of 5 % of the rows one label is taken away, another one is added, or both. Vectors are those of
the encoder's own pooling, kept in `--work`. How noise is fitted to all labels at once, and the least that is assumed,
were chosen on plantings with seeds 0 to 3 into the questions; the table has seeds from 100 on.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.multiclass import OneVsRestClassifier
from studies.common import markdown, read_runs, recipe_key, rounded, run_study, study_options
from studies.multilabel.run import questions
from studies.suspects.run import (
    ROWS,
    SHARE,
    do_plantings,
    figures_of,
    first_shares,
    mean_of,
    own_vectors,
    planting_row,
)

from separatrix.analysis.suspects import suspects
from separatrix.codes import draw_rows
from separatrix.points import Points
from separatrix.texts import Texts, load_texts
from separatrix.texts.label_sets import indicator, joined, set_names, sets_of

HERE = Path(__file__).resolve().parent
SETS = ("questions", "trec")  # kind and topic of the shipped questions; coarse and fine kind of a question of trec
FIRST_SEED = 100
SIGN = "|"


@dataclass(frozen=True)
class PlantedSets:
    """One planting into one set."""

    data: str
    seed: int

    @property
    def key(self) -> str:
        """Hash of what makes two runs the same."""
        return recipe_key({"data": self.data, "seed": self.seed, "rows": ROWS, "share": SHARE, "labels": "several"})

    def do(self, data: Path | None, work: Path) -> dict[str, Any]:
        """Plant, judge, and measure both."""
        x, true, names = vectors(self.data, data, work)
        given = planted(true, self.seed)
        wrong: np.ndarray = (given != true).any(axis=1)
        begun = process_time()
        cells = joined(sets_of(given, names).tolist(), SIGN)
        result = suspects(Points.of(x, {"label": cells}), label_separator=SIGN, seed=self.seed)
        seconds = process_time() - begun
        quality, issues = (result.rows[name].to_numpy() for name in ("score", "is_label_issue"))
        right = joined(sets_of(true, names).tolist(), SIGN)
        found = issues & wrong
        mended = float(np.mean(result.rows["suggested"].to_numpy()[found] == np.array(right, dtype=object)[found]))
        line = {"key": self.key, "data": self.data, "seed": self.seed, "rows": len(true), "labels": len(names)}
        line |= {"planted": int(wrong.sum()), "noise": result.estimated_noise, "seconds": round(seconds, 1)}
        line |= {"mended": mended, "macro_f1": max(one["macro_f1"] for one in result.models.values())}
        line |= {"expected": dict(result.expected_precision), "first": first_shares(quality, wrong)}
        return rounded(line | {"ours": figures_of(quality, issues, wrong), "cleanlab": _cleanlab(x, given, wrong)})


def planted(true: np.ndarray, seed: int) -> np.ndarray:
    """Marks (rows, labels) of which some are wrong: of each third such row a label is gone, added, or both."""
    rng, given = np.random.default_rng(seed), true.copy()
    for number, row in enumerate(rng.choice(len(true), round(SHARE * len(true)), replace=False)):
        has, lacks = np.flatnonzero(true[row]), np.flatnonzero(true[row] == 0)
        if number % 3 != 1:
            given[row, rng.choice(has)] = 0
        if number % 3 != 0:
            given[row, rng.choice(lacks)] = 1
    return given


def vectors(name: str, data: Path | None, work: Path) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Vectors (rows, width), marks (rows, labels) and names of a sample of the rows of a set."""
    texts = _texts(name, data)
    texts = texts.take(draw_rows(len(texts), ROWS, 0))
    assert texts.label is not None
    names = set_names(texts.label)
    path = work / f"{name}-sets.npy"
    if not path.is_file():
        work.mkdir(parents=True, exist_ok=True)
        np.save(path, own_vectors(texts))
    return np.load(path), indicator(texts.label, names), names


def _texts(name: str, data: Path | None) -> Texts:
    if name == "questions":
        splits = questions(0)
        assert splits.validation is not None
        assert splits.test is not None
        return splits.train.join(splits.validation).join(splits.test)
    assert data is not None
    coarse, fine = (load_texts(data / "trec" / "train.parquet", label=label) for label in ("coarse", "fine"))
    assert coarse.label is not None
    assert fine.label is not None
    pairs = [[f"kind {one}", f"of {two}"] for one, two in zip(coarse.label, fine.label, strict=True)]
    return Texts.of(list(coarse.text), pairs, source="trec")


def _cleanlab(x: np.ndarray, given: np.ndarray, wrong: np.ndarray) -> dict[str, Any]:
    """Its defaults: one-vs-rest logistic regression out of fold, self-confidence, label by label."""
    from cleanlab.multilabel_classification import get_label_quality_scores
    from cleanlab.multilabel_classification.filter import find_label_issues

    model = OneVsRestClassifier(LogisticRegression(max_iter=400))
    folds = KFold(5, shuffle=True, random_state=0)
    chances = cross_val_predict(model, x, given, cv=folds, method="predict_proba")
    labels = [np.flatnonzero(row).tolist() for row in given]
    return figures_of(get_label_quality_scores(labels, chances), find_label_issues(labels, chances), wrong)


def write_table(out: Path) -> None:
    """LABEL_SETS.md from the lines."""
    lines = read_runs(out / "label_sets.jsonl")
    by_set = {name: [line for line in lines if line["data"] == name] for name in SETS}
    rows = [
        planting_row(name, own, {"labels": own[0]["labels"], "macro-F1": f"{mean_of(own, 'macro_f1'):.3f}"})
        | {"mended": f"{mean_of(own, 'mended'):.2f}"}
        for name, own in by_set.items()
        if own
    ]
    (out / "LABEL_SETS.md").write_text(f"{HEAD}\n{markdown(rows)}\n", encoding="utf-8")


HEAD = """# Planted wrong labels of several a row: results

Written by `python studies/suspects/label_sets.py --table` from `label_sets.jsonl`; not by hand. What was asked and how
to read this: `README.md`. Means over plantings; *mended*: share of the planted rows that were found whose suggested
labels are the true ones.
"""


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", type=Path, help="folder with trec/train.parquet: text, coarse, fine")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path("runs/suspects"), help="folder of the vectors")
    options = study_options(parser, HERE, arguments)
    if not options.table:
        seeds = range(FIRST_SEED, FIRST_SEED + options.seeds)
        plans = [PlantedSets(name, seed) for name, seed in itertools.product(options.sets, seeds)]
        do_plantings(plans, options, options.out / "label_sets.jsonl")
    write_table(options.out)
    return 0


if __name__ == "__main__":
    run_study(main)
