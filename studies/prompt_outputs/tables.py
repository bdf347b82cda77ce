"""RESULTS.md, results.csv and the pictures of the study, from its lines and maps alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from studies.common import interval, markdown, spell, write_csv
from studies.prompt_outputs.look import GLANCES, MAPS

from separatrix.codes import encode
from separatrix.geometry.resample import mean_interval, paired_difference
from separatrix.view import save
from separatrix.view.maps import Drawing, draw_grid

Run = dict[str, Any]
LEARNT = 0.1  # a prompt that beats the majority by less has nothing to show
NEAR = 0.8  # the seed's prompts had 0.87 to 0.92
SEVERAL = ("minilm", "lm")  # models whose maps share a picture
NOTICED = 0.01  # accuracy below which nobody would call a difference missing what is there
HEAD = """# What PCA, t-SNE, UMAP and k-means leave of a trained prompt's decision: results

Written by `python studies/prompt_outputs/run.py --table` from `runs.jsonl`; not by hand. What was asked and how to read
this: `README.md`. Accuracies are fractions; in brackets the 95 % t interval of the mean over seeds, cut where a figure
ends (seconds at 0). The answer's intervals go by samples of rows: prompts of one set and seed were looked at on the
same rows.
"""


def write_tables(out: Path, runs: Sequence[Run]) -> None:
    """Write tables and pictures.

    Args:
        out: their folder; the maps of the first seed stand in its folder `maps`.
        runs: the lines; of two with one key the later counts.
    """
    kept = sorted({run["key"]: run for run in runs}.values(), key=lambda run: (run["set"], run["model"], run["loss"]))
    parts = [HEAD, "## Answer", answer(kept)]
    if near := [run for run in kept if run["own"] >= NEAR]:
        parts += [f"### Of prompts that are right in {NEAR} of the rows or more", answer(near)]
    parts += ["## Accuracy lost against the prompt's own decision"]
    parts += [markdown(lost_rows(kept)), "## Where the classes lie in the outputs", markdown(shape_rows(kept))]
    parts += ["## Rows and time", markdown(size_rows(kept)), "## Versions", _versions(kept)]
    (out / "RESULTS.md").write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")
    write_csv(out / "results.csv", plain_rows(kept))
    for name in dict.fromkeys(run["set"] for run in kept):
        files = sorted((out / "maps").glob(f"{name}-*.parquet"))
        together = [path for path in files if path.stem.split("-")[1] in SEVERAL]
        alone = [path for path in files if path not in together]
        for some, ending in ((together, ""), (alone, "-smollm2")):
            if some:
                save(draw_grid(panels(some)), out / f"maps-{name}{ending}.png")


def answer(runs: Sequence[Run]) -> str:
    """Whether "PCA misses what is there" holds, and why: sentences made of the figures.

    Prompts of one set and seed are looked at on the same rows, so they are one sample: figures are means of the
    samples' means, and intervals go by samples.
    """
    samples = by_sample([run for run in runs if run["own"] - run["majority"] >= LEARNT])
    prompts = sum(map(len, samples))
    if prompts < 2:
        return "(fewer than two prompts beat the majority by 0.1: there is nothing that a picture could miss)"
    lost = {glance: np.array([_lost(own, glance) for own in samples]) for glance in GLANCES}
    gap = paired_difference(lost["pca"], lost["tsne"])
    holds = gap.low is not None and gap.low > 0 and gap.mean > NOTICED
    verdict = "holds here" if holds else "does not hold here"
    verdict = "cannot be told from one sample" if gap.low is None else verdict
    mean = {glance: f"{values.mean():.3f}" for glance, values in lost.items()}
    one = "" if len(samples) == 1 else "s"
    first = (
        f"Over {prompts} prompts whose own decision beats the majority by {LEARNT} or more, on {len(samples)} "
        f"sample{one} of rows, two principal directions of the hidden outputs lose {mean['pca']} of its accuracy, "
        f"t-SNE {mean['tsne']}, UMAP {mean['umap']} and all dimensions {mean['all dimensions']}; "
        f'PCA loses {spell(gap, 3)} more than t-SNE, so "PCA misses what is there" {verdict}.'
    )
    return f"{first} {reason(samples)}"


def by_sample(runs: Sequence[Run]) -> list[list[Run]]:
    """Runs that were looked at on the same rows: those of one set and seed."""
    samples: dict[tuple[str, int], list[Run]] = {}
    for run in runs:
        samples.setdefault((run["set"], run["seed"]), []).append(run)
    return list(samples.values())


def reason(samples: Sequence[Sequence[Run]]) -> str:
    """Why: what PCA loses where the classes lie along its first two directions, and where they do not.

    The two kinds are compared within the samples of rows that have both.
    """
    shapes = [run["shape"]["hidden"] for own in samples for run in own]
    parted = [[[run for run in own if _early(run) == side] for side in (True, False)] for own in samples]
    early, late = (sum(len(sides[place]) for sides in parted) for place in (0, 1))
    between, held = (f"{np.mean([shape[name] for shape in shapes]):.0%}" for name in ("between", "first_two"))
    both = [(_lost(later, "pca"), _lost(first, "pca")) for first, later in parted if first and later]
    found = (
        f"Class means explain {between} of the variance and the first two directions hold {held} of it, and the "
        f"direction that tells the classes apart best is one of these two in {early} prompts, a later one in {late}: "
    )
    if not both:
        return found + "there is nothing to compare that with."
    gap = paired_difference(*zip(*both, strict=True))
    found += f"in the {len(both)} samples that have both kinds PCA loses {spell(gap, 3)} more of the later ones, so "
    if gap.low is not None and gap.low > 0 and gap.mean > NOTICED:
        return found + "PCA shows classes where training made them the largest difference, and misses them elsewhere."
    return found + "it is not shown that where the classes lie explains what PCA loses."


def _early(run: Run) -> bool:
    """Whether one of the first two directions tells the classes apart best."""
    return bool(run["shape"]["hidden"]["direction"] <= 2)


def _lost(runs: Sequence[Run], glance: str) -> float:
    """Mean accuracy that a way of looking at the hidden outputs loses."""
    return float(np.mean([run["own"] - _cell(run, glance) for run in runs]))


def lost_rows(runs: Sequence[Run]) -> list[dict[str, str]]:
    """A line for each kind of prompt, space and scaling: its own accuracy, and what each way of looking loses of it."""
    rows = []
    for (name, model, loss), group in _groups(runs):
        for space in group[0]["shape"]:
            for scaled in (False, True):
                row = {"set": name, "model": model, "loss": loss, "space": space, "scaled": "yes" if scaled else "no"}
                row |= {"runs": str(len(group)), "own": spell(interval(group, "own"), 3)}
                row["majority"] = f"{np.mean([run['majority'] for run in group]):.3f}"
                for glance in GLANCES:
                    lost = [run["own"] - _cell(run, glance, space, scaled) for run in group]
                    row[f"{glance}: lost"] = spell(mean_interval(lost), 3)
                rows.append(row)
    return rows


def plain_rows(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """The same with a line for each way of looking, as numbers."""
    rows = []
    for (name, model, loss), group in _groups(runs):
        for space in group[0]["shape"]:
            for scaled in (False, True):
                for glance in GLANCES:
                    found = mean_interval([_cell(run, glance, space, scaled) for run in group])
                    lost = mean_interval([run["own"] - _cell(run, glance, space, scaled) for run in group])
                    row = {
                        "set": name,
                        "model": model,
                        "loss": loss,
                        "space": space,
                        "scaled": scaled,
                        "glance": glance,
                    }
                    row |= {"runs": found.runs, "accuracy": found.mean, "low": found.low, "high": found.high}
                    rows.append(row | {"lost": lost.mean, "lost_low": lost.low, "lost_high": lost.high})
    return rows


def shape_rows(runs: Sequence[Run]) -> list[dict[str, str]]:
    """A line for each kind of prompt and space: where the classes lie among the principal directions."""
    rows = []
    for (name, model, loss), group in _groups(runs):
        for space in group[0]["shape"]:
            shapes = [run["shape"][space] for run in group]
            row = {"set": name, "model": model, "loss": loss, "space": space, "runs": str(len(group))}
            row["variance between classes"] = spell(interval(shapes, "between"), 3)
            row["variance in two directions"] = spell(interval(shapes, "first_two"), 3)
            row["best direction (each seed)"] = ", ".join(str(shape["direction"]) for shape in shapes)
            row["told by it"] = spell(interval(shapes, "told"), 3)
            rows.append(row | {"told by the first": spell(interval(shapes, "told_first"), 3)})
    return rows


def size_rows(runs: Sequence[Run]) -> list[dict[str, str]]:
    """Rows, accuracy on the whole test sample and CPU seconds of each kind of prompt."""
    rows = []
    for (name, model, loss), group in _groups(runs):
        row = {"set": name, "model": model, "loss": loss, "runs": str(len(group))}
        row |= {f"{part} rows": str(count) for part, count in group[0]["rows"].items()}
        row["own accuracy, whole test sample"] = spell(interval(group, "own_test"), 3)
        row["CPU seconds (training)"] = spell(interval(group, "train_cpu_seconds"), 0)
        rows.append(row | {"CPU seconds (all)": spell(interval(group, "cpu_seconds"), 0)})
    return rows


def panels(files: Sequence[Path]) -> list[list[Drawing | None]]:
    """Maps of the hidden outputs, unscaled: methods down, prompts across, each under the name of the file read."""
    tables = [(path.stem, pd.read_parquet(path)) for path in files]
    return [[_drawing(stem, table, method) for stem, table in tables] for method in MAPS]


def _drawing(stem: str, table: pd.DataFrame, method: str) -> Drawing:
    ids, names = encode(table["label"])
    points = table[[f"hidden/{method}/x", f"hidden/{method}/y"]].to_numpy()
    return Drawing(
        points, ids, tuple(map(str, names)), (f"{method} 1", f"{method} 2"), stem, f"{method}, hidden, unscaled"
    )


def _cell(run: Run, glance: str, space: str = "hidden", scaled: bool = False) -> float:
    wanted = (space, scaled, glance)
    return next(cell["accuracy"] for cell in run["cells"] if (cell["space"], cell["scaled"], cell["glance"]) == wanted)


def _groups(runs: Sequence[Run]) -> list[tuple[tuple[str, str, str], list[Run]]]:
    found: dict[tuple[str, str, str], list[Run]] = {}
    for run in runs:
        found.setdefault((run["set"], run["model"], run["loss"]), []).append(run)
    return list(found.items())


def _versions(runs: Sequence[Run]) -> str:
    seen = {", ".join(f"{name} {number}" for name, number in run["versions"].items()) for run in runs}
    return "\n".join(f"- {line}" for line in sorted(seen)) or "(no runs yet)"
