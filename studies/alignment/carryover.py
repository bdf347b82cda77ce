"""How much of what a frozen encoder knows of political bias carries over to publishers it has not seen.

    python studies/alignment/carryover.py --data FOLDER [--seeds 3] [--lengths 128 256]
    python studies/alignment/carryover.py --table          CARRYOVER.md from the lines

Only the training rows of `groups.py` are used, in five folds: of rows at random, and of publishers, so that no
held-out row is of a publisher that was learnt from. The null gives every publisher the class of another one, drawn at
random, and does the same again: what is left then is what a probe gets that knows publishers and nothing of bias.
"""

from __future__ import annotations

import argparse
import sys
from functools import cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from studies.alignment import groups
from studies.common import append_run, interval, markdown, read_runs, rounded, run_study, spell, study_options, versions

from separatrix import recipe as recipes
from separatrix.codes import encode
from separatrix.geometry.probe import fit_probe
from separatrix.learn.schedule import balanced
from separatrix.recipe.align import AlignRecipe
from separatrix.texts import Classes

HERE = Path(__file__).resolve().parent
FOLDS = 5
NULLS = 20
LARGEST = 10
FIGURES = {
    "rows": "rows at random",
    "by_publisher": "rows at random, by way of the publisher",
    "publishers": "publishers held out",
    "publishers_cells": "publishers held out, classes and publishers alike",
    "null": "publishers held out, their classes exchanged",
    "majority": "always the largest class",
}
HEAD = f"""# Does bias carry over to unseen publishers?

Written by `python studies/alignment/carryover.py --table` from `carryover.jsonl`; not by hand. The untrained encoder's
vectors of the training rows of `groups.py` ({FOLDS} folds, a linear probe; no row of validation or test), macro-F1 of
left, center and right with the 95 % t interval of the mean over seeds. Probes for the class learn from rows in which
the classes come alike. `by way of the publisher`: a probe finds the publisher, and the answer is the class that this
publisher mostly has. `exchanged`: {NULLS} draws a seed in which every publisher gets the class of another; `p` is the
share of these draws, of all seeds, that are at least as good as the truth, itself counted among them.
"""


@cache
def vectors_of(data: Path, max_length: int) -> np.ndarray:
    """The untrained encoder's unit vectors (rows, width) of the training rows, cut to as many tokens."""
    from separatrix.models.extract import extract
    from separatrix.models.load import load_backbone

    recipe = recipes.replace(AlignRecipe(), **(groups.COMMON | {"max_length": max_length}))
    found = extract(load_backbone(recipe.backbone), groups.read_set(data)["train"].text).values
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def main_class(y: np.ndarray, group: np.ndarray) -> np.ndarray:
    """The class that each group mostly has (groups,)."""
    table = np.zeros((group.max() + 1, y.max() + 1), dtype=int)
    np.add.at(table, (group, y), 1)
    return table.argmax(axis=1)


def held_out_f1(x: np.ndarray, y: np.ndarray, group: np.ndarray, seed: int, *, cells: bool = False) -> float:
    """Macro-F1 of a probe on publishers that are held out, fold by fold."""
    predicted = np.zeros_like(y)
    for learnt, held in StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed).split(x, y, group):
        rows = learnt[alike(y[learnt], group[learnt] if cells else None, seed)]
        probe = fit_probe(x[rows], y[rows], y.max() + 1, seed=seed)
        predicted[held] = probe.scores(x[held]).argmax(axis=1)
    return float(f1_score(y, predicted, average="macro"))


def alike(y: np.ndarray, group: np.ndarray | None, seed: int) -> np.ndarray:
    """Places of rows in which classes, and with groups these too, come alike: an epoch of balanced batches."""
    numbers = None if group is None else encode(group)[0]
    return np.concatenate(balanced(y, 32, 4, seed, 0, numbers))


def seen_f1(x: np.ndarray, y: np.ndarray, group: np.ndarray, seed: int) -> tuple[float, float]:
    """Macro-F1 on rows held out at random: of a probe for the class, and of one for the publisher read as a class."""
    direct, by_group = np.zeros_like(y), np.zeros_like(y)
    for learnt, held in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(x, y):
        rows = learnt[alike(y[learnt], None, seed)]
        probe = fit_probe(x[rows], y[rows], y.max() + 1, seed=seed)
        direct[held] = probe.scores(x[held]).argmax(axis=1)
        numbers, names = encode(group[learnt])
        publisher = fit_probe(x[learnt], numbers, len(names), seed=seed)
        classes = main_class(y[learnt], numbers)
        by_group[held] = classes[publisher.scores(x[held]).argmax(axis=1)]
    return float(f1_score(y, direct, average="macro")), float(f1_score(y, by_group, average="macro"))


def do_run(data: Path, max_length: int, seed: int) -> dict[str, Any]:
    """All figures of one length and seed."""
    texts = groups.read_set(data)["train"]
    assert texts.label is not None
    assert texts.group is not None
    y, x = groups.gold_of(texts, Classes.of(texts.label)), vectors_of(data, max_length)
    group = encode(texts.group.astype(str))[0]
    generator = np.random.default_rng([seed, 7])
    classes = main_class(y, group)
    nulls = [held_out_f1(x, generator.permutation(classes)[group], group, seed + draw) for draw in range(NULLS)]
    rows, by_publisher = seen_f1(x, y, group, seed)
    majority = np.full_like(y, np.bincount(y).argmax())
    figures = {
        "rows": rows,
        "by_publisher": by_publisher,
        "publishers": held_out_f1(x, y, group, seed),
        "publishers_cells": held_out_f1(x, y, group, seed, cells=True),
        "null": float(np.mean(nulls)),
        "majority": float(f1_score(y, majority, average="macro")),
    }
    sizes = np.sort(np.bincount(group))[::-1]
    about = {
        "rows_in_all": len(y),
        "publishers_in_all": len(sizes),
        "largest": float(sizes[:LARGEST].sum() / len(y)),
        "of_main_class": float((classes[group] == y).mean()),
    }
    run = rounded({"max_length": max_length, "seed": seed, **figures, **about})
    return run | {"nulls": [round(value, 6) for value in nulls], "versions": versions()}


def table(runs: list[dict[str, Any]]) -> str:
    """What CARRYOVER.md says."""
    lines = []
    for length in sorted({run["max_length"] for run in runs}):
        own = [run for run in runs if run["max_length"] == length]
        for name, spelt in FIGURES.items():
            line = {"tokens": length, "held out": spelt, "seeds": len(own), "macro-F1": spell(interval(own, name))}
            lines.append(line | {"p": f"{p_value(own):.3f}" if name == "publishers" else "-"})
    about = (
        "{rows_in_all} rows of {publishers_in_all} publishers; the {LARGEST} largest have {largest:.0%} of the rows.\n"
        "{of_main_class:.1%} of all rows are of the class that their publisher mostly has."
    )
    spelt = "".join(about.format(LARGEST=LARGEST, **run) for run in runs[:1])
    return f"{HEAD}\n{spelt}\n\n{markdown(lines)}\n"


def p_value(runs: list[dict[str, Any]]) -> float:
    """Share of the draws of the null that are at least as good as the mean over seeds of the truth."""
    nulls = np.concatenate([run["nulls"] for run in runs])
    truth = np.mean([run["publishers"] for run in runs])
    return float((1 + (nulls >= truth).sum()) / (1 + len(nulls)))


def main(arguments: list[str] | None = None) -> int:
    """Do the runs that are missing, or write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", type=Path, help="folder with allsides_media")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 256])
    options = study_options(parser, HERE, arguments)
    lines = options.out / "carryover.jsonl"
    if options.table:
        (options.out / "CARRYOVER.md").write_text(table(read_runs(lines)), encoding="utf-8")
        return 0
    import torch

    torch.set_num_threads(options.threads)
    for length in options.lengths:
        for seed in range(options.seeds):
            if (length, seed) not in {(run["max_length"], run["seed"]) for run in read_runs(lines)}:
                run = do_run(options.data, length, seed)
                append_run(lines, run)
                print(length, seed, {name: run[name] for name in FIGURES}, flush=True)
    return 0


if __name__ == "__main__":
    run_study(main)
