"""Layers and poolings of frozen encoders: which cheap figure says best which of them a classifier will like.

    python studies/frozen_encoders/run.py --data FOLDER [--model PATH ...]    every pass that is missing
    python studies/frozen_encoders/run.py --table      RESULTS.md and results.csv from the lines

A pass is one model over one set, and one line of `runs.jsonl`: the texts run once, and every layer and pooling is an
option in it. The cheap figures see the training rows only; what they are compared with is the probe's accuracy on the
test part, its penalty chosen on validation.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from studies.common import append_run, read_runs, rounded, run_study, study_options, versions, write_csv
from studies.frozen_encoders.tables import write_tables

from separatrix import recipe as recipes
from separatrix.geometry.baselines import Part
from separatrix.geometry.measures import ClassTask
from separatrix.geometry.neighbors import neighbors
from separatrix.geometry.probe import fit_probe
from separatrix.geometry.ranking import Evidence, HScore
from separatrix.geometry.scatter import anisotropy, effective_rank
from separatrix.geometry.separation import silhouette
from separatrix.models.backbone import Backbone
from separatrix.models.frozen_blocks import frozen_blocks
from separatrix.models.load import load_backbone
from separatrix.recipe import DEFAULT_MODEL, ModelRecipe
from separatrix.texts import Classes, Splits, load_splits

HERE = Path(__file__).resolve().parent
# name -> (folder, column of labels, most training rows, most test rows)
SETS: dict[str, tuple[str, str, int | None, int | None]] = {
    "trec6": ("trec", "coarse", None, None),
    "trec50": ("trec", "fine", None, None),
    "sst2": ("sst2", "label", None, None),
    "sst5": ("sst5", "label", None, None),
    "imdb": ("imdb", "label", 2000, 2000),
}
K, SEED = 5, 0
# The first token of a causal model sees nothing else, and an encoder's last one is its separator.
POOLS = {"encoder": ("cls", "mean", "max", "layer_mean"), "causal": ("last", "mean", "max", "layer_mean")}


def load_set(data: Path, name: str, rows: int | None) -> Splits:
    """Train, validation and test of a set; samples keep the class shares and are drawn with the seed."""
    folder, label, train, test = SETS[name]
    splits = load_splits(data / folder, label=label, seed=SEED, validation=0.1)
    if splits.test is None:
        raise SystemExit(f"{data / folder} has no test part")
    parts = [splits.train, splits.validation, splits.test]
    for place, most in enumerate((rows or train, rows and max(rows // 4, 20), rows or test)):
        if most is not None and most < len(parts[place]):
            _, parts[place] = parts[place].split(most / len(parts[place]), seed=SEED)
    return Splits(parts[0], parts[1], parts[2], splits.notes)


def measure(parts: dict[str, Part], classes: int) -> dict[str, Any]:
    """All figures of one layer and pooling, and the seconds of each on this machine."""
    train, held, test = (parts[name] for name in ("train", "validation", "test"))
    task = ClassTask(classes, SEED)
    line: dict[str, Any] = {"width": train.vectors.shape[1]}
    seconds: dict[str, float] = {}

    def timed(name: str, begun: float) -> None:
        seconds[name] = round(process_time() - begun, 3)

    begun = process_time()
    around = neighbors(train.vectors, train.vectors, K, exclude_self=True)
    line["knn_loo"] = task.figure(train.targets, task.knn(around, train.targets, K)).value
    timed("knn_loo", begun)
    found = neighbors(test.vectors, train.vectors, K)
    line["knn_test"] = task.figure(test.targets, task.knn(found, train.targets, K)).value
    begun = process_time()
    line["logme"] = Evidence.of(train.vectors).of_classes(train.targets, classes)
    timed("logme", begun)
    begun = process_time()
    line["h_score"] = HScore.of(train.vectors).of_classes(train.targets, classes)
    timed("h_score", begun)
    begun = process_time()
    line["silhouette"] = silhouette(train.vectors, train.targets, classes, metric="cosine", seed=SEED).value
    timed("silhouette", begun)
    begun = process_time()
    probe = fit_probe(train.vectors, train.targets, classes, seed=SEED, validation=(held.vectors, held.targets))
    timed("probe", begun)
    figure = task.figure(test.targets, task.read(probe, test.vectors))
    low, high = figure.interval or (None, None)
    line |= {"probe_test": figure.value, "probe_low": low, "probe_high": high, "majority": figure.baseline}
    line |= {"penalty": probe.penalty, "converged": probe.converged}
    line |= {"effective_rank": effective_rank(train.vectors), "anisotropy": anisotropy(train.vectors)}
    return rounded(line) | {"seconds": seconds}


def do_pass(backbone: Backbone, model: str, name: str, splits: Splits) -> dict[str, Any]:
    """The line of one model on one set."""
    labels = {part: np.empty(0) if texts.label is None else texts.label for part, texts in splits.parts.items()}
    classes = Classes.of(labels["train"], source=name)
    targets = {part: classes.encode(values, source=f"{name} {part}") for part, values in labels.items()}
    texts = [text for part in splits.parts.values() for text in part.text]
    pools = POOLS["causal" if backbone.causal else "encoder"]
    begun = process_time()
    passed = frozen_blocks(backbone, texts, pools, ("all",))
    extraction = process_time() - begun
    ends = np.cumsum([len(values) for values in targets.values()])[:-1]
    head = {"set": name, "model": model, "weights": backbone.source.weights[:16], "cut": passed.cut}
    head |= {"rows": {part: len(values) for part, values in targets.items()}, "classes": len(classes)}
    head |= {"extraction_seconds": round(extraction, 2), "versions": versions()}
    options: list[dict[str, Any]] = []
    for plan in passed.plans:
        if plan.pool == "cls" and plan.layer == 0:
            continue  # the class token before any attention is the same for every text
        vectors = np.split(passed.points.pick(plan.name).values, ends)
        parts = {part: Part(values, targets[part]) for part, values in zip(targets, vectors, strict=True)}
        options.append({"pool": plan.pool, "layer": plan.layer} | measure(parts, len(classes)))
        shown = {key: options[-1][key] for key in ("knn_loo", "probe_test", "logme", "h_score", "silhouette")}
        print(name, model, plan.name, shown, flush=True)
    return head | {"options": options}


def key_of(line: dict[str, Any]) -> tuple[Any, ...]:
    """What makes two passes the same."""
    return (line["set"], line["model"], line["asked_rows"])


def read_options(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n\n")[0], epilog="See README.md beside this file."
    )
    parser.add_argument("--data", type=Path, help="folder with trec, sst2, sst5 and imdb as Parquet")
    parser.add_argument("--model", action="append", default=[], help="a further model (may be repeated)")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--rows", type=int, help="rows of train and of test (for a trial, and for its table)")
    return study_options(parser, HERE, arguments)


def main(arguments: list[str] | None = None) -> int:
    """Do the passes that are missing, or write the tables."""
    options = read_options(arguments)
    path = options.out / "runs.jsonl"
    if options.table:
        passes = [line for line in read_runs(path) if line["asked_rows"] == options.rows]
        lines = [one | option for one in passes for option in one.pop("options")]
        rows = write_tables(options.out, lines, read_runs(options.out / "finetuned.jsonl"))
        write_csv(options.out / "results.csv", rows)
        print(f"wrote {options.out / 'RESULTS.md'} and results.csv")
        return 0
    import torch

    torch.set_num_threads(options.threads)
    for place in (DEFAULT_MODEL, *options.model):
        model = Path(place).name
        wanted = [name for name in options.sets if (name, model, options.rows) not in map(key_of, read_runs(path))]
        if not wanted:
            continue
        backbone = load_backbone(recipes.replace(ModelRecipe(), model=place, device="cpu"))
        for name in wanted:
            line = do_pass(backbone, model, name, load_set(options.data, name, options.rows))
            append_run(path, line | {"asked_rows": options.rows})
    return 0


if __name__ == "__main__":
    run_study(main)
