"""Seed 002 once more: what clusters of attention heads say, before and after fine-tuning, on three seeds.

    python studies/head_atlas/run.py --data FOLDER --qa FOLDER --causal FOLDER   every run that is missing
    python studies/head_atlas/run.py --table                                     RESULTS.md from runs.jsonl

`--data` holds questions and contexts (SQuAD 2.0), `--qa` those to be fine-tuned on (SQuAD 1.1: all have an answer).
Four conditions: `before` (the encoder as it is), `after` (the same after a short fine-tuning for question answering,
with the maps of the same windows), `causal` (a causal model given by its folder), `features` (every feature, on fewer
windows). A run is an atlas: windows drawn by the seed, features, clusters, claims. Stop and start it at will.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from studies.common import append_run, machine, read_runs, run_study
from studies.head_atlas.claims import atlas_claims
from studies.head_atlas.tables import CONDITIONS, table

from separatrix.analysis.heads import head_atlas
from separatrix.recipe import DEFAULT_MODEL, ModelRecipe, decisive, digest, replace
from separatrix.recipe.heads import AnswerRecipe, HeadsRecipe
from separatrix.store.files import read_json
from separatrix.training.methods.answers import answer_run

HERE = Path(__file__).resolve().parent
SEEDS = (0, 1, 2)
# A rate ten times that of the seed's script: a short training at 3e-5 ends in a model that never answers.
QA = AnswerRecipe(train_windows=2000, test_examples=500, epochs=1, batch_size=8, lr=2e-4, warmup=0.1)
BASE = replace(HeadsRecipe(), max_length=384, device="cpu")
CAUSAL_LENGTH = 256  # tokens, all that the small causal model has room for
FEATURES = ("descriptors", "grid", "singular", "twins", "resnet")
READING = 2  # of windows: in runs of 1 (lines without a number), short pairs had no segment for the question
FEATURE_WINDOWS = 12  # a ResNet-50 takes half a second a map, and a window has 72 maps
KEPT = (
    "windows", "maps", "examples", "contexts", "maps_per_second", "features", "association", "controls", "claims",
    "noise_by_layer", "importance", "notes",
)  # fmt: skip


@dataclass(frozen=True)
class AtlasPlan:
    """One atlas."""

    condition: str
    seed: int
    model: str  # as it is told: no folder of this machine
    recipe: HeadsRecipe
    qa: AnswerRecipe | None = None

    @property
    def key(self) -> str:
        """What makes two runs the same: what can be typed. Whoever changes what this file fixes counts `READING` up."""
        trained = 0 if self.qa is None else self.qa.train_windows
        return digest(READING, self.condition, self.seed, self.model, self.recipe.reading.windows, trained)


def plan_of(condition: str, seed: int, options: argparse.Namespace) -> AtlasPlan:
    """The plan of a condition on a seed."""
    recipe = replace(BASE, windows=options.windows, seed=seed)
    if condition == "causal":
        recipe = replace(recipe, max_length=min(CAUSAL_LENGTH, recipe.reading.max_length))
    if condition == "features":
        recipe = replace(recipe, windows=min(FEATURE_WINDOWS, options.windows), features=FEATURES, importance="none")
    model = options.causal.name if condition == "causal" else options.model
    qa = replace(QA, train_windows=options.train_windows, seed=seed) if condition == "after" else None
    return AtlasPlan(condition, seed, model, recipe, qa)


def do_run(plan: AtlasPlan, options: argparse.Namespace) -> dict[str, Any]:
    """Make the atlas, and the fine-tuned model before it where it is needed; the line of the run."""
    line: dict[str, Any] = {"key": plan.key, "condition": plan.condition, "seed": plan.seed, "model": plan.model}
    line["reading"] = READING
    place = str(options.causal) if plan.condition == "causal" else options.model
    if plan.qa is not None:
        folder = options.work / f"qa-{digest(decisive(plan.qa), options.model)}"
        if not (folder / "result.json").is_file():
            answer_run(options.qa, folder, ModelRecipe(model=place, device="cpu"), plan.qa, overwrite=folder.exists())
        told, place = read_json(folder / "result.json"), str(folder)
        line["qa"] = told["scores"] | {name: told[name] for name in ("share_empty", "baseline_exact", "windows")}
    out = options.work / f"{plan.condition}-{plan.seed}-{plan.key}"
    recipe = replace(plan.recipe, model=place)
    atlas = head_atlas(options.data, recipe=recipe, out=out, resume=True)
    figures = atlas.figures() | {"claims": atlas_claims(atlas, recipe)}
    line |= {name: figures[name] for name in KEPT if name in figures}
    line["clusters"] = {name: atlas.clusters.get(name) for name in ("method", "count", "noise")}
    return line | {"machine": machine(options.threads)}


def read_options(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="questions and contexts whose maps are clustered")
    parser.add_argument("--qa", help="questions and contexts to fine-tune on; without it `after` is left out")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="the encoder")
    parser.add_argument("--causal", type=Path, help="folder of a causal model; without it `causal` is left out")
    parser.add_argument("--windows", type=int, default=2000)
    parser.add_argument("--train-windows", type=int, default=QA.train_windows)
    parser.add_argument("--seeds", type=int, nargs="*", default=list(SEEDS))
    parser.add_argument("--conditions", nargs="*", choices=CONDITIONS, default=list(CONDITIONS))
    parser.add_argument("--work", type=Path, default=HERE / "work", help="where atlases and models go")
    parser.add_argument("--runs", type=Path, default=HERE / "runs.jsonl")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="write RESULTS.md from the runs")
    options = parser.parse_args(arguments)
    if not options.table and not options.data:
        parser.error("--data is needed for runs (or --table)")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Do what is missing, or write the table."""
    options = read_options(arguments)
    if options.table:
        options.runs.with_name("RESULTS.md").write_text(table(read_runs(options.runs)), encoding="utf-8")
        return 0
    import torch

    torch.set_num_threads(options.threads)
    missing = {"causal": options.causal is None, "after": options.qa is None}
    for seed in options.seeds:
        for condition in options.conditions:
            if missing.get(condition):
                continue
            plan = plan_of(condition, seed, options)
            if plan.key not in {run["key"] for run in read_runs(options.runs)}:
                print(f"{condition}, seed {seed}", file=sys.stderr, flush=True)
                append_run(options.runs, do_run(plan, options))
    return 0


if __name__ == "__main__":
    run_study(main)
