"""Whether preparing and weighting the parts mends what seed 004 saw of several models' vectors side by side.

    python studies/frozen_encoders/concat.py --data FOLDER --model PATH [--seeds 3]    every run that is missing
    python studies/frozen_encoders/concat.py --table                                   CONCAT.md from the lines

Parts: `layer_mean` and `mean` of all-MiniLM-L6-v2, `mean` of each further model. Each row of the table is the test
accuracy of ten nearest neighbours on the best part (as validation has it), on the parts side by side as they are, with
equal weights, and with weights learnt on validation. A seed draws the training, validation and test rows.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from studies.common import append_run, interval, markdown, read_runs, rounded, run_study, spell, study_options, versions
from studies.frozen_encoders.run import HERE, SETS

from separatrix.extraction.extract import extract
from separatrix.geometry.blend import Blend, fit_blend
from separatrix.geometry.neighbors import knn_predict
from separatrix.geometry.resample import paired_difference
from separatrix.models.backbone import Backbone
from separatrix.models.load import load_backbone
from separatrix.recipe import DEFAULT_MODEL, BlendRecipe, ModelRecipe
from separatrix.texts import Classes, Splits, Texts, load_splits

K, MOST = 10, {"train": 2000, "validation": 500, "test": 1000}
PREPARES = ("none", "standardise", "whiten")
HEAD = """# Vectors of several models side by side: results

Written by `python studies/frozen_encoders/concat.py --table` from `concat.jsonl`; not by hand. Test accuracy of {k}
nearest neighbours (Euclidean, on prepared parts), mean over seeds with its 95 % t interval. `none`: each part as it is,
but brought to the same mean squared distance before it is weighted; `side by side` never is.
"""
Blocks = dict[str, np.ndarray]


def load(data: Path, name: str, seed: int) -> Splits:
    """Train, validation and test, each a stratified draw by the seed where it is larger than `MOST`."""
    folder, label, *_ = SETS[name]
    read = load_splits(data / folder, label=label, seed=seed, validation=0.1)
    parts = []
    for part, most in MOST.items():
        texts = read.parts[part]
        parts.append(texts.split(most / len(texts), seed=seed)[1] if most < len(texts) else texts)
    return Splits(parts[0], parts[1], parts[2], read.notes)


def blocks_of(texts: Texts, models: list[Backbone]) -> Blocks:
    """The parts of all models, (rows, width) each."""
    found: Blocks = {}
    for place, model in enumerate(models):
        points = extract(list(texts.text), model=model, pool=("layer_mean", "mean") if place == 0 else ("mean",))
        found |= {f"{Path(model.source.name).name} {pool}": np.asarray(block) for pool, block in points.blocks.items()}
    return found


def accuracy(known: np.ndarray, asked: np.ndarray, gold: dict[str, np.ndarray]) -> float:
    """Share of test rows that their nearest training rows name rightly."""
    votes = knn_predict(asked, known, gold["train"], K, metric="euclidean", classes=int(gold["train"].max()) + 1)
    return float((votes.argmax(axis=1) == gold["test"]).mean())


def weighted(found: Blend, weights: tuple[float, ...], parts: dict[str, Blocks], gold: dict[str, np.ndarray]) -> float:
    """Test accuracy of the prepared parts with these weights."""
    blend = replace(found, weights=weights)
    return accuracy(blend.apply(parts["train"]), blend.apply(parts["test"]), gold)


def measure(name: str, seed: int, splits: Splits, models: list[Backbone]) -> list[dict[str, Any]]:
    """A line for each preparation."""
    begun = process_time()
    labels = {part: texts.label for part, texts in splits.parts.items() if texts.label is not None}
    classes = Classes.of(labels["train"])
    gold = {part: classes.encode(values) for part, values in labels.items()}
    parts = {part: blocks_of(texts, models) for part, texts in splits.parts.items()}
    known, asked = (np.hstack(list(parts[part].values())) for part in ("train", "test"))
    plain = accuracy(known, asked, gold)
    lines = []
    for prepare in PREPARES:
        recipe = BlendRecipe(prepare=prepare, k=K, rows=MOST["train"], seed=seed)
        found = fit_blend(parts["train"], gold["train"], recipe, validation=(parts["validation"], gold["validation"]))
        best = max(found.alone, key=lambda part: found.alone[part])
        one = tuple(float(part == best) for part in found.names)
        equal = (1 / len(found.names),) * len(found.names)
        line = {"set": name, "seed": seed, "prepare": prepare, "best_part": best, "plain": plain}
        line |= {"alone": weighted(found, one, parts, gold), "equal": weighted(found, equal, parts, gold)}
        line |= {"learnt": weighted(found, found.weights, parts, gold), "versions": versions()}
        line |= {"weights": dict(zip(found.names, found.weights, strict=True)), "rows": len(splits.train)}
        lines.append(rounded(line) | {"cpu_seconds": round(process_time() - begun, 2)})
    return lines


def write_table(out: Path, runs: list[dict[str, Any]]) -> None:
    """CONCAT.md from the lines."""
    rows = []
    for name, prepare in dict.fromkeys((run["set"], run["prepare"]) for run in runs):
        own = [run for run in runs if (run["set"], run["prepare"]) == (name, prepare)]
        row = {
            "set": name,
            "prepare": prepare,
            "seeds": str(len(own)),
            "best part alone": spell(interval(own, "alone")),
        }
        row |= {"side by side": spell(interval(own, "plain")), "equal weights": spell(interval(own, "equal"))}
        row |= {"learnt weights": spell(interval(own, "learnt"))}
        for title, key in (("side by side less best part", "plain"), ("learnt less best part", "learnt")):
            gain = paired_difference([run[key] for run in own], [run["alone"] for run in own])
            row[title] = spell(gain)
        shares = {part: np.mean([run["weights"][part] for run in own]) for part in own[0]["weights"]}
        rows.append(row | {"mean weights": ", ".join(f"{part} {share:.2f}" for part, share in shares.items())})
    (out / "CONCAT.md").write_text(HEAD.format(k=K) + "\n" + markdown(rows) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Do the runs that are missing, or write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", type=Path, help="as for run.py")
    parser.add_argument("--model", action="append", default=[], help="a further model (may be repeated)")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=["trec6", "trec50", "sst2", "sst5"])
    parser.add_argument("--seeds", type=int, default=3)
    options = study_options(parser, HERE, arguments)
    lines = options.out / "concat.jsonl"
    if options.table:
        write_table(options.out, read_runs(lines))
        return 0
    import torch

    torch.set_num_threads(options.threads)
    models = [load_backbone(ModelRecipe(model=model, device="cpu")) for model in (DEFAULT_MODEL, *options.model)]
    for seed in range(options.seeds):
        for name in options.sets:
            if (name, seed) in {(run["set"], run["seed"]) for run in read_runs(lines)}:
                continue
            for line in measure(name, seed, load(options.data, name, seed), models):
                append_run(lines, line)
                print(
                    name, seed, {key: line[key] for key in ("prepare", "alone", "plain", "equal", "learnt")}, flush=True
                )
    return 0


if __name__ == "__main__":
    run_study(main)
