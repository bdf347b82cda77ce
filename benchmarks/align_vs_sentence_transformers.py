"""An epoch of alignment against an epoch of sentence-transformers' trainer with its closest loss.

    python benchmarks/align_vs_sentence_transformers.py [--data FOLDER] [--json]

Same encoder, rows, batch, learning rate, longest text, mean pooling, AdamW, clipping, one thread count. Theirs is
`BatchAllTripletLoss` (all triplets of a batch, by label): the loss of that package which, as ours, takes labels and
compares all rows of a batch. Ours is `supcon` over the batch, and `nca` over a bank of all rows. Loading, and on our
side tokenizing and the index, are outside the clock of an epoch; a whole training with all of it is measured too.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import warnings
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from studies.common import machine, markdown

from separatrix import recipe as recipes
from separatrix.learn.align import train_encoder
from separatrix.learn.job import Job
from separatrix.models.source import resolve
from separatrix.recipe import ModelRecipe
from separatrix.recipe.align import AlignRecipe
from separatrix.texts import Classes, Texts, load_demo, load_splits
from separatrix.training.evaluate import Evaluator

TARGET = 1.0
BATCH, LR = 32, 2e-4


def rows_of(data: Path | None, wanted: int) -> tuple[Texts, Texts]:
    """Training rows (trec's fine kinds, or the shipped questions) and a few rows for validation."""
    read = load_demo() if data is None else load_splits(data / "trec", label="fine", validation=0.1)
    train = read.train if wanted >= len(read.train) else read.train.take(range(wanted))
    return train, train.take(range(min(32, len(train))))


def ours(train: Texts, held: Texts, model: str, changes: dict[str, Any], epochs: int) -> tuple[float, float]:
    """Seconds of one epoch (from first to last step of all epochs), and of the whole training."""
    recipe = recipes.replace(
        AlignRecipe(), model=model, batch_size=BATCH, lr=LR, epochs=epochs, device="cpu", **changes
    )
    marks: list[float] = []

    def report(stage: str, _done: int, _total: int, _note: str) -> None:
        if stage == "training":
            marks.append(perf_counter())

    names = Classes.of(train.label if train.label is not None else []).names
    begun = perf_counter()
    train_encoder(Job(train, held, recipe, Evaluator(names).quick, progress=report))
    whole = perf_counter() - begun
    # The first mark comes after the first step; its time is that of an average step.
    steps = marks[-1] - marks[0]
    return steps * len(marks) / (len(marks) - 1) / epochs, whole


def theirs(train: Texts, model: str, epochs: int) -> tuple[float, float]:
    """The same, by sentence-transformers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from datasets import Dataset
        from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer
        from sentence_transformers import SentenceTransformerTrainingArguments as Arguments
        from sentence_transformers.losses import BatchAllTripletLoss
        from transformers import PrinterCallback, TrainerCallback

    marks: list[float] = []

    class Marks(TrainerCallback):
        def on_step_end(self, *_args: Any, **_named: Any) -> None:
            marks.append(perf_counter())

    assert train.label is not None
    labels = Classes.of(train.label).encode(train.label).tolist()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        begun = perf_counter()
        encoder = SentenceTransformer(model, device="cpu")
        encoder.max_seq_length = ModelRecipe().max_length
        options = Arguments(
            output_dir=folder,
            num_train_epochs=epochs,
            per_device_train_batch_size=BATCH,
            learning_rate=LR,
            warmup_steps=0,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            use_cpu=True,
            disable_tqdm=True,
            optim="adamw_torch_fused",
        )
        rows = Dataset.from_dict({"sentence": list(train.text), "label": labels})
        trainer = SentenceTransformerTrainer(
            encoder, options, train_dataset=rows, loss=BatchAllTripletLoss(encoder), callbacks=[Marks()]
        )
        trainer.remove_callback(PrinterCallback)  # it would print its figures among ours
        trainer.train()
        whole = perf_counter() - begun
    return (marks[-1] - marks[0]) * len(marks) / (len(marks) - 1) / epochs, whole


SIDES = {"supcon, batch": {"loss": "supcon", "pairs": "batch"}, "nca, bank": {"loss": "nca", "pairs": "bank"}}


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--data", type=Path, help="folder with trec (without it: the shipped questions)")
    parser.add_argument("--rows", type=int, default=10**9, help="training rows at most")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--model", default=None, help="folder of another encoder")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    train, held = rows_of(options.data, options.rows)
    model = options.model or str(resolve(ModelRecipe()).folder)
    found: dict[str, list[tuple[float, float]]] = {"sentence-transformers": [], **{name: [] for name in SIDES}}
    for _ in range(options.repeats):
        found["sentence-transformers"].append(theirs(train, model, options.epochs))
        for name, changes in SIDES.items():
            found[name].append(ours(train, held, model, changes, options.epochs))
    seconds = {name: [median(column) for column in zip(*values, strict=True)] for name, values in found.items()}
    other = seconds["sentence-transformers"]
    ratios = {f"epoch, {name}": other[0] / seconds[name][0] for name in SIDES}
    ratios |= {f"whole training, {name}": other[1] / seconds[name][1] for name in SIDES}
    result = {
        "ratios": ratios,
        "targets": dict.fromkeys(ratios, TARGET),
        "seconds": {name: {"epoch": pair[0], "whole": pair[1]} for name, pair in seconds.items()},
        "rows": len(train),
        "machine": machine(options.threads),
    }
    if options.json:
        print(json.dumps(result))
        return 0
    print(f"{len(train)} rows; ratios are their seconds over ours")
    print(
        markdown(
            [{"case": name, "ratio": f"{value:.2f}", "target": f">= {TARGET:g}"} for name, value in ratios.items()]
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
