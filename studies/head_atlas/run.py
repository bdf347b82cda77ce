"""Seed 002 once more: what clusters of attention heads say, before and after fine-tuning, on three seeds.

    python studies/head_atlas/run.py --data FOLDER --causal FOLDER   # every run that is missing; stop and start at will
    python studies/head_atlas/run.py --table                         # RESULTS.md from runs.jsonl

The data folder holds questions and contexts (SQuAD 2.0). Three conditions: `before` (the encoder as it is), `after`
(the same after a short fine-tuning for question answering, with the maps of the same windows), `causal` (a causal model
given by its folder). A run is an atlas: windows drawn by the seed, features, clusters, claims.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from studies.common import append_run, machine, markdown, read_runs

from separatrix.recipe import DEFAULT_MODEL, ModelRecipe, digest, replace
from separatrix.recipe.heads import AnswerRecipe, HeadsRecipe
from separatrix.study.heads import head_atlas
from separatrix.study.heads.qa import answer_run

HERE = Path(__file__).resolve().parent
SEEDS = (0, 1, 2)
CONDITIONS = ("before", "after", "causal")


@dataclass(frozen=True)
class Plan:
    """One atlas."""

    condition: str
    seed: int
    windows: int
    train_windows: int
    feature: str

    @property
    def key(self) -> str:
        """What makes two runs the same."""
        return digest(self.condition, self.seed, self.windows, self.train_windows, self.feature)


def do_run(plan: Plan, options: argparse.Namespace) -> dict[str, Any]:
    """Make the atlas, and the fine-tuned model before it where it is needed; the line of the run."""
    line: dict[str, Any] = {"key": plan.key, "condition": plan.condition, "seed": plan.seed, "windows": plan.windows}
    model = {"before": options.model, "causal": str(options.causal)}.get(plan.condition)
    if model is None:
        folder = options.work / f"qa-{plan.seed}-{plan.train_windows}"
        model = str(folder)
        if not (folder / "result.json").is_file():
            recipe = AnswerRecipe(
                train_windows=plan.train_windows, test_examples=1000, epochs=1, batch_size=8, lr=1e-4, seed=plan.seed
            )
            base = ModelRecipe(model=options.model)
            line["qa"] = answer_run(options.data, folder, base, recipe, overwrite=folder.exists())["scores"]
    longest = 256 if plan.condition == "causal" else 384
    recipe = replace(
        HeadsRecipe(), model=model, windows=plan.windows, seed=plan.seed, max_length=longest, feature=plan.feature
    )
    found = head_atlas(
        options.data, options.work / f"{plan.condition}-{plan.seed}-{plan.key}", recipe, resume=True
    ).result
    names = ("maps", "examples", "contexts", "maps_per_second", "features", "association", "controls", "claims")
    line |= {name: found[name] for name in (*names, "noise_by_layer", "importance") if name in found}
    line["clusters"] = found["clusters"]["count"]
    return line | {"machine": machine(options.threads)}


def claim_rows(runs: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """A line for each claim and condition: figure and null over the seeds, and how often each verdict fell."""
    rows = []
    for claim in dict.fromkeys(each["claim"] for run in runs for each in run["claims"]):
        for condition in CONDITIONS:
            found = [each for run in runs if run["condition"] == condition for each in run["claims"]
                     if each["claim"] == claim]  # fmt: skip
            if found:
                verdicts = [each["verdict"] for each in found]
                counts = {name: verdicts.count(name) for name in dict.fromkeys(verdicts)}
                rows.append({
                    "claim": claim, "condition": condition, "figure": _mean(found, "figure"),
                    "chance": _mean(found, "null"), "largest p": _mean(found, "p_value", np.max),
                    "verdict": ", ".join(f"{name} {count}/{len(found)}" for name, count in counts.items()),
                })  # fmt: skip
    return rows


def association_rows(runs: Sequence[dict[str, Any]], name: str, label: str, value: str) -> list[dict[str, str]]:
    """Means over the seeds of one figure of a table, by condition."""
    rows = []
    for what in dict.fromkeys(each[label] for run in runs for each in run[name]):
        row = {label: str(what)}
        for condition in CONDITIONS:
            found = [each for run in runs if run["condition"] == condition for each in run[name] if each[label] == what]
            row[condition] = _mean(found, value) if found else "-"
        rows.append(row)
    return rows


def _mean(found: Sequence[dict[str, Any]], name: str, how: Any = np.mean) -> str:
    values = [each[name] for each in found if each[name] is not None]
    return f"{how(values):.3f}" if values else "-"


def table(runs: Sequence[dict[str, Any]]) -> str:
    """RESULTS.md."""
    parts = [
        "# Attention heads, clustered: results",
        f"{len(runs)} atlases. Claims of seed 002, each beside what chance gives (means over seeds).",
        markdown(claim_rows(runs)),
        "Adjusted mutual information of clusters with:",
        markdown(association_rows(runs, "association", "with", "adjusted_mutual_information")),
        "How well each feature tells heads apart (adjusted mutual information, k = number of heads):",
        markdown(association_rows(runs, "features", "feature", "ami_head")),
        "Seconds a map:",
        markdown(association_rows(runs, "features", "feature", "seconds_per_map")),
    ]
    return "\n\n".join(parts) + "\n"


def main(argv: list[str] | None = None) -> int:
    """Do what is missing, or write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="questions and contexts")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="the encoder")
    parser.add_argument("--causal", help="folder of a causal model; without it that condition is left out")
    parser.add_argument("--windows", type=int, default=2000)
    parser.add_argument("--train-windows", type=int, default=1000)
    parser.add_argument("--feature", default="descriptors")
    parser.add_argument("--seeds", type=int, nargs="*", default=list(SEEDS))
    parser.add_argument("--work", type=Path, default=HERE / "work", help="where atlases and models go")
    parser.add_argument("--runs", type=Path, default=HERE / "runs.jsonl")
    parser.add_argument("--threads", type=int, default=machine(0)["cores"])
    parser.add_argument("--table", action="store_true", help="write RESULTS.md from the runs")
    options = parser.parse_args(argv)
    if options.table:
        options.runs.with_name("RESULTS.md").write_text(table(read_runs(options.runs)), encoding="utf-8")
        return 0
    if not options.data:
        parser.error("--data is needed")
    done = {run["key"] for run in read_runs(options.runs)}
    for seed in options.seeds:
        for condition in CONDITIONS if options.causal else CONDITIONS[:2]:
            plan = Plan(condition, seed, options.windows, options.train_windows, options.feature)
            if plan.key not in done:
                print(f"{condition}, seed {seed}", file=sys.stderr, flush=True)
                append_run(options.runs, do_run(plan, options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
