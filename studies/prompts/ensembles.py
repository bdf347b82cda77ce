"""Several answers for one: means over epochs, and a prompt's scores blended with those of a probe on the same pass.

    python studies/prompts/ensembles.py --data FOLDER      every run that is missing, into ensembles.jsonl
    python studies/prompts/ensembles.py --table            ENSEMBLES.md

Rows are those of `run.py`: few train, 200 others choose the epoch and the weight of the blend, 500 others judge. A run
trains the plain prompt once and judges every way with it, so that ways are paired; no test row is read.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import log_softmax

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from studies.common import (
    append_run,
    interval,
    machine,
    markdown,
    missing,
    read_runs,
    rounded,
    run_study,
    spell,
    study_options,
)
from studies.prompts.run import PromptPlan, load_rows
from studies.prompts.tables import machines

from separatrix.geometry.probe import fit_probe
from separatrix.geometry.resample import paired_difference

HERE = Path(__file__).resolve().parent
LAST = (2, 3)  # epochs whose probabilities are averaged
WEIGHTS = np.linspace(0, 1, 21)  # of the probe in a blend
POOL = "layer_mean"
PLAIN, PROBE, BLEND = "best epoch", "probe", "best epoch and probe"
WAYS = (PLAIN, "last epoch", *(f"mean of the last {count}" for count in LAST), PROBE, BLEND)  # as the table lists them
HEAD = """# Several answers for one, screened: results

Written by `python studies/prompts/ensembles.py --table` from `ensembles.jsonl`; not by hand. Rows and reading are those
of `README.md`: accuracy on rows of the training part that neither trained nor chose; in brackets the 95 % t interval of
the mean over seeds, differences paired by seed. `w` is the weight of the probe that the 200 choosing rows took.
"""


def read_scores(plan: PromptPlan, data: Path) -> dict[str, Any]:
    """Log-probabilities of the choosing and the judging rows: after every epoch, and of the probe.

    Returns:
        `epochs` (epochs, rows, classes), `probe` (rows, classes), `gold` (rows,), `chosen` (how many rows choose).
    """
    from separatrix.learn.job import Job
    from separatrix.learn.prompt import train_prompt
    from separatrix.texts import Classes
    from separatrix.training.evaluate import Evaluator

    splits, judged = load_rows(plan, data)
    both = splits.validation.join(judged)
    classes = Classes.of(splits.train.label, source="train")
    y, gold = (classes.encode(texts.label, source="rows") for texts in (splits.train, both))
    evaluator = Evaluator.of(y, classes.names, plan.seed)
    trained = train_prompt(Job(splits.train, both, plan.recipe, evaluator.quick))
    scores = [log_softmax(one.astype(np.float64), axis=1) for one in evaluator.history]
    vectors = {part: trained.vectors[part][POOL] for part in ("train", "validation")}
    first = len(splits.validation)
    validation = (vectors["validation"][:first], gold[:first])
    probe = fit_probe(vectors["train"], y, len(classes), seed=plan.seed, validation=validation)
    held = log_softmax(probe.scores(vectors["validation"]), axis=1)
    return {"epochs": np.array(scores), "probe": held, "gold": gold, "chosen": first}


def ways_of(epochs: np.ndarray, probe: np.ndarray, gold: np.ndarray, chosen: int) -> tuple[dict[str, float], float]:
    """Accuracy of each way on the judging rows, and the weight of the blend; arguments as `read_scores` gives them."""
    choosing = np.arange(len(gold)) < chosen

    def right(scores: np.ndarray, rows: np.ndarray) -> float:
        return float((scores[rows].argmax(axis=1) == gold[rows]).mean())

    best = epochs[int(np.argmax([right(one, choosing) for one in epochs]))]
    ways = {PLAIN: best, "last epoch": epochs[-1]}
    ways |= {
        f"mean of the last {count}": np.exp(epochs[-count:]).mean(axis=0) for count in LAST if count <= len(epochs)
    }
    ways[PROBE] = probe
    blends = [(1 - weight) * best + weight * probe for weight in WEIGHTS]
    taken = int(np.argmax([right(one, choosing) for one in blends]))
    ways[BLEND] = blends[taken]
    return {name: right(scores, ~choosing) for name, scores in ways.items()}, float(WEIGHTS[taken])


def do_run(plan: PromptPlan, data: Path) -> dict[str, Any]:
    """Train once, and judge every way."""
    ways, weight = ways_of(**read_scores(plan, data))
    return rounded({
        "key": plan.key, "set": plan.set, "seed": plan.seed, "rows": plan.rows, "epochs": plan.epochs, "weight": weight,
        "ways": {name: round(value, 6) for name, value in ways.items()}, "machine": machine(1),
    })  # fmt: skip


def rows_of(runs: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """A line for each way, beside its difference to the best epoch."""
    rows = []
    for name in (way for way in WAYS if way in runs[0]["ways"]):
        own = [run["ways"][name] for run in runs]
        row = {
            "way": name,
            "seeds": str(len(runs)),
            "accuracy": spell(interval([{"accuracy": one} for one in own], "accuracy")),
        }
        gap = "-" if name == PLAIN else spell(paired_difference(own, [run["ways"][PLAIN] for run in runs]))
        weights = ", ".join(f"{run['weight']:.2f}" for run in runs)
        rows.append(row | {f"less {PLAIN}": gap, "w": weights if name == BLEND else "-"})
    return rows


def write_table(out: Path, runs: Sequence[dict[str, Any]]) -> None:
    """Write ENSEMBLES.md; of two lines with one key the later counts."""
    kept = list({run["key"]: run for run in runs}.values())
    parts = [HEAD]
    for name in sorted({run["set"] for run in kept}):
        own = [run for run in kept if run["set"] == name]
        parts += [f"## {name}, {own[0]['rows']} training rows, {own[0]['epochs']} epochs", markdown(rows_of(own))]
    parts += ["## Machine", machines(kept)]
    (out / "ENSEMBLES.md").write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")


def plans(options: argparse.Namespace) -> list[PromptPlan]:
    """The plain prompt on every set, seed by seed, so that a stopped study has whole seeds."""
    return [
        PromptPlan(name, "minilm", None, "plain", seed, options.rows, options.judged, options.epochs)
        for seed in range(options.seeds)
        for name in options.sets
    ]


def main(arguments: list[str] | None = None) -> int:
    """Do the runs that are missing, or write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0], epilog="See README.md beside this.")
    parser.add_argument("--data", type=Path, help="folder with sst2 and trec, each with train.parquet")
    parser.add_argument("--seeds", type=int, default=2, help="how many seeds (default 2)")
    parser.add_argument("--sets", nargs="+", choices=("sst2", "trec6"), default=["sst2", "trec6"])
    parser.add_argument("--rows", type=int, default=500, help="training rows (default 500)")
    parser.add_argument("--judged", type=int, default=500, help="rows that judge (default 500)")
    parser.add_argument("--epochs", type=int, default=5, help="default 5")
    options = study_options(parser, HERE, arguments)
    lines = options.out / "ensembles.jsonl"
    if options.table:
        write_table(options.out, read_runs(lines))
        print(f"wrote ENSEMBLES.md in {options.out}")
        return 0
    import torch

    torch.set_num_threads(options.threads)
    for plan in missing(plans(options), lines):
        append_run(lines, run := do_run(plan, options.data))
        print(plan.set, f"seed {plan.seed}", run["weight"], run["ways"], flush=True)
    return 0


if __name__ == "__main__":
    run_study(main)
