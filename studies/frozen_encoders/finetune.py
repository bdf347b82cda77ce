"""What the cheap figures are worth where the model is trained: some layers and poolings, fine-tuned with a linear head.

    python studies/frozen_encoders/finetune.py --data FOLDER [--model PATH ...]    every run that is missing

A model cut off behind layer n and pooled is fine-tuned on at most 1,000 training rows; the option of the same layer and
pooling in `runs.jsonl` tells what the cheap figures said of it. `run.py --table` puts both side by side.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from studies.common import append_run, read_runs, rounded, run_study, study_options, versions
from studies.frozen_encoders.run import HERE, SEED, SETS, load_set

from separatrix import recipe as recipes
from separatrix.geometry.score import classification, decide
from separatrix.learn.align import train_encoder
from separatrix.learn.job import Job
from separatrix.models.backbone import Backbone
from separatrix.models.config import layer_count
from separatrix.models.load import load_backbone
from separatrix.recipe import DEFAULT_MODEL, ModelRecipe
from separatrix.recipe.align import FINETUNE
from separatrix.texts import Classes, Splits
from separatrix.training.evaluate import Evaluator

ROWS = 1000
# Nothing here was chosen by looking at a score: the seed's epochs, the library's rate for encoders.
CHANGES = {"epochs": 3, "max_length": 128, "device": "cpu", "seed": SEED}


@dataclass(frozen=True)
class FinetunePlan:
    """One training."""

    set: str
    model: str  # a folder or a name
    pool: str
    layer: int | None  # layers that the model keeps; None: all, and the pooling goes over them

    @property
    def line(self) -> dict[str, Any]:
        """Who this is, as in `runs.jsonl`."""
        return {"set": self.set, "model": Path(self.model).name, "pool": self.pool, "layer": self.layer}


def options_of(backbone: Backbone) -> Iterator[tuple[str, int | None]]:
    """Poolings and layers that are tried: mean at a third, two thirds and the end, cls at the end, layer_mean."""
    count = layer_count(backbone.model.config)
    for layer in sorted({max(1, count // 3), max(1, 2 * count // 3), count}):
        yield "mean", layer
    if not backbone.causal:
        yield "cls", count
    yield "layer_mean", None


def cut_model(backbone: Backbone, layers: int | None, folder: Path) -> str:
    """The model with its first layers only, saved; the place where it is whole if all are kept."""
    if layers is None or layers == layer_count(backbone.model.config):
        return str(backbone.source.folder)
    from transformers import AutoModel

    AutoModel.from_pretrained(backbone.source.folder, num_hidden_layers=layers).save_pretrained(folder)
    backbone.tokenizer.save_pretrained(folder)
    return str(folder)


def finetune(plan: FinetunePlan, backbone: Backbone, splits: Splits) -> dict[str, Any]:
    """The line of one training."""
    labels = {part: texts.label for part, texts in splits.parts.items() if texts.label is not None}
    classes = Classes.of(labels["train"])
    gold = {part: classes.encode(values) for part, values in labels.items()}
    begun = process_time()
    with TemporaryDirectory() as place:
        model = cut_model(backbone, plan.layer, Path(place) / "cut")
        recipe = recipes.replace(FINETUNE, model=model, pool=plan.pool, **CHANGES)
        score = Evaluator.of(gold["train"], classes.names, SEED).quick
        trained = train_encoder(Job(splits.train, splits.validation, recipe, score)).model
        assert splits.test is not None
        scores = trained.scores(trained.encode(splits.test.text))
    found = classification(gold["test"], decide(scores, len(classes)), classes.names)
    seconds = round(process_time() - begun, 2)
    figures = rounded({"accuracy": found.accuracy, "majority": found.majority})
    return {**plan.line, **figures, "rows": len(splits.train), "cpu_seconds": seconds, "versions": versions()}


def main(arguments: list[str] | None = None) -> int:
    """Do the trainings that are missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", type=Path, help="as for run.py")
    parser.add_argument("--model", action="append", default=[], help="a further model (may be repeated)")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=["trec6", "trec50", "sst2", "sst5"])
    parser.add_argument("--rows", type=int, default=ROWS, help="training rows at most")
    options = study_options(parser, HERE, arguments)
    import torch

    torch.set_num_threads(options.threads)
    lines = options.out / "finetuned.jsonl"
    for name in options.sets:
        splits = load_set(options.data, name, None)
        if options.rows < len(splits.train):
            _, some = splits.train.split(options.rows / len(splits.train), seed=SEED)
            splits = Splits(some, splits.validation, splits.test, splits.notes)
        for model in (DEFAULT_MODEL, *options.model):
            backbone = load_backbone(ModelRecipe(model=model, device="cpu"))
            for pool, layer in options_of(backbone):
                plan = FinetunePlan(name, model, pool, layer)
                known = [{key: run[key] for key in plan.line} for run in read_runs(lines)]
                if plan.line not in known:
                    append_run(lines, line := finetune(plan, backbone, splits))
                    print(name, Path(model).name, pool, layer, line["accuracy"], flush=True)
    return 0


if __name__ == "__main__":
    run_study(main)
