"""Seed 003 again: model size x prompt length by a sweep, the metric that lied, and the regression that it was.

python studies/prompt_lengths/run.py --numbers data/sst2 data/sst2-numbers   the same rows with 0 and 1 as labels
python studies/prompt_lengths/run.py --study lengths --regression regression RESULTS.md of these two sweeps
python studies/prompt_lengths/run.py --table                                 the same from the committed tables
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from studies.common import markdown, run_study, spell, write_csv
from studies.sweep_tables import Figures, Row, bring, read_csv, runs_of, verdict

from separatrix.geometry.resample import MeanInterval, mean_interval
from separatrix.view.canvas import save
from separatrix.view.sweep_plots import MeanPoint, axis_curves

HERE = Path(__file__).resolve().parent
LENGTHS, REGRESSION, READ = "lengths", "regression", "read.csv"
CURVE = "accuracy_by_tokens.png"
TOKENS = ("1", "2", "5", "10", "20", "50")
STORIES, LARGEST = "stories, 3M", "SmolLM2, 30 layers"
SEED = {  # batch, best accuracy, tokens
    "GPT-2 small": ("32", "0.8704", "20"),
    "GPT-2 medium": ("32", "0.8933", "5"),
    "GPT-2 large": ("16", "0.4908", "all"),
}
POSITIVE, NEGATIVE = "positive", "negative"
HALF, LIE = 0.5, 0.4908  # the seed's threshold; what its metric printed
ROWS = 500  # training rows of each class
HEAD = """# Model size x prompt length: results

Written by `python studies/prompt_lengths/run.py --table` from the tables beside it; not by hand. What was asked and
how to read this: `README.md`. In brackets the 95 % t interval of the mean over seeds; a single run has none. The rate
of a row is the one that is best on validation with the first seed.
"""


def write_numbers(source: Path, target: Path, rows: int = ROWS) -> None:
    """Write a data set of the labels positive and negative as 1 and 0: so many training rows of each, all others."""
    from separatrix.texts import load_splits
    from separatrix.texts.table import few

    target.mkdir(parents=True, exist_ok=True)
    for part, texts in load_splits(source, label="label", seed=0).parts.items():
        kept = few(texts, rows, 0) if part == "train" else texts
        labels = [] if kept.label is None else kept.label.tolist()
        lines = [
            {"text": text, "label": {NEGATIVE: 0, POSITIVE: 1}[name]}
            for text, name in zip(kept.text, labels, strict=True)
        ]
        write_csv(target / f"{part}.csv", lines)


def seeds_metric(outputs: np.ndarray, labels: np.ndarray) -> float:
    """The seed's `compute_sst2_metrics`, word for word: outputs (rows, columns), labels (rows,).

    >>> seeds_metric(np.array([[1.27], [0.04], [0.88]]), np.array([1, 0, 1]))  # of one column the argmax is always 0
    0.3333333333333333
    """
    predictions = outputs.argmax(axis=1)
    return float((predictions == labels).mean())


def read_runs(study: Path) -> list[dict[str, object]]:
    """Both metrics of the validation rows of every regression that is done."""
    import pandas as pd

    lines = []
    for run in read_csv(study / "runs.csv"):
        path = study / "runs" / run["run"] / "predictions" / "validation.parquet"
        if path.is_file():
            table = pd.read_parquet(path)
            outputs, labels = table["predicted"].to_numpy(float), table["label"].to_numpy(float).astype(int)
            lied, right = seeds_metric(outputs[:, None], labels), float(((outputs > HALF) == (labels == 1)).mean())
            lines.append({"label": run["label"], "seed": run["seed"], "seeds_metric": lied, "threshold": right})
    return lines


def claims(lengths: Figures, read: Sequence[Row]) -> list[dict[str, str]]:
    """What the seed says, the figure that would show it, and the verdict."""
    own = {tokens: lengths.chosen(row=STORIES, tokens=tokens) for tokens in TOKENS}
    large = {tokens: lengths.chosen(row=LARGEST, tokens=tokens) for tokens in TOKENS}
    deep = lengths.difference(large["5"], lengths.chosen(row="SmolLM2, 10 layers", tokens="5"))
    lines = [
        _claim("a small model gains by a long prompt (GPT-2 small: 20 tokens)",
               f"{STORIES}: 20 tokens less 1, test", lengths.difference(own["20"], own["1"])),
        _claim("beyond 20 tokens nothing is gained", f"{STORIES}: 20 tokens less 50, test",
               lengths.difference(own["20"], own["50"])),
        _claim("the same of a larger model", f"{LARGEST}: 20 tokens less 50, test",
               lengths.difference(large["20"], large["50"])),
        _claim("a larger model does with a short one (GPT-2 medium: 5 tokens)",
               f"{LARGEST}: 5 tokens less 20, test", lengths.difference(large["5"], large["20"])),
        _claim("a larger model is better", "SmolLM2: 30 layers less 10, 5 tokens, test", deep),
    ]  # fmt: skip
    values = {round(float(row["seeds_metric"]), 4) for row in read}
    shown = ", ".join(f"{value:.4f}" for value in sorted(values)) or "-"
    told = "holds" if values == {LIE} else "cannot be told" if not values else "does not hold"
    what = {"seed 003 says": "the metric is the share of label 0, whatever is learnt"}
    lines.append(what | {"figure": "its metric of every regression", "difference": shown, "verdict": told})
    for model, settings in _by_model(read).items():
        gained = [float(row["threshold"]) - float(row["seeds_metric"]) for row in _first(settings)]
        figure = f"{model}: numbers cut at 0.5 less the seed's metric, validation"
        lines.append(_claim("prompts can be trained for regression", figure, mean_interval(gained)))
    return lines


def _by_model(read: Sequence[Row]) -> dict[str, list[Row]]:
    """Regressions by the model that their label begins with."""
    by_model: dict[str, list[Row]] = {}
    for row in read:
        by_model.setdefault(row["label"].partition(", tokens=")[0], []).append(row)
    return by_model


def _claim(what: str, figure: str, difference: MeanInterval | None) -> dict[str, str]:
    row = {"seed 003 says": what, "figure": figure, "difference": spell(difference)}
    return row | {"verdict": verdict(difference)}


def _first(read: Sequence[Row]) -> list[Row]:
    """Of the setting with the most seeds, its runs."""
    labels = [row["label"] for row in read]
    most = max(labels, key=labels.count, default="")
    return [row for row in read if row["label"] == most]


def size_table(lengths: Figures) -> list[dict[str, str]]:
    """A line for each model: test accuracy by length at the chosen rate."""
    lines = []
    for name in dict.fromkeys(row["row"] for row in lengths.table if not row.get("baseline")):
        rows = {tokens: lengths.chosen(row=name, tokens=tokens) for tokens in TOKENS}
        line = {"model": name, "runs": runs_of(*(row for row in lengths.table if row["row"] == name))}
        lines.append(line | {f"{tokens} tokens": spell(lengths.mean(row)) for tokens, row in rows.items()})
    return lines


def seed_table(lengths: Figures) -> list[dict[str, str]]:
    """The seed's own table, and ours in its form: the length that is best on validation."""
    lines = [
        {"model": name, "batch": batch, "best accuracy": best, "tokens": tokens, "where": "seed 003"}
        for name, (batch, best, tokens) in SEED.items()
    ]
    for name in dict.fromkeys(row["row"] for row in lengths.table if not row.get("baseline")):
        whole = [
            row for tokens in TOKENS if (row := lengths.chosen(row=name, tokens=tokens)) and row.get("chosen") == "True"
        ]
        if whole:
            best = max(whole, key=lambda row: float(row["validation"]))
            line = {"model": name, "batch": "32", "best accuracy": spell(lengths.mean(best)), "tokens": best["tokens"]}
            lines.append(line | {"where": f"here, test, best of {len(whole)} lengths on validation"})
    return lines


def short_name(label: str) -> str:
    """A baseline's name in the picture: its model as the rows call it.

    >>> short_name("probe, model=HuggingFaceTB/SmolLM2-135M-Instruct, depth=10, dtype=bfloat16")
    'probe, SmolLM2, 10 layers'
    """
    label = re.sub(r"model=\S*SmolLM2\S*, depth=(\d+).*", r"SmolLM2, \1 layers", label)
    return re.sub(r"model=tinystories\S*", STORIES, label)


def draw_curve(lengths: Figures, path: Path) -> None:
    """The seed's picture: test accuracy against the number of tokens, a line for each model, levels of baselines."""
    means = {row["label"]: mean for row in lengths.table if (mean := lengths.mean(row)) is not None}
    levels = {
        short_name(row["label"]): means[row["label"]].mean
        for row in lengths.table
        if row.get("baseline") and row["label"] in means
    }
    series = dict[str, list[MeanPoint]]()
    for name in dict.fromkeys(row["row"] for row in lengths.table if not row.get("baseline")):
        for tokens in TOKENS:
            row = lengths.chosen(row=name, tokens=tokens)
            if row is not None and (mean := means.get(row["label"])) is not None:
                series.setdefault(name, []).append(MeanPoint(float(tokens), mean.mean, mean.low, mean.high))
    if series:
        save(axis_curves(series, levels, ("tokens", "test accuracy")), path)


def write_tables(out: Path) -> None:
    """RESULTS.md from the tables in a folder."""
    lengths, regression, read = Figures.read(out, LENGTHS), Figures.read(out, REGRESSION), read_csv(out / READ)
    levels = [
        {"baseline": row["label"], "runs": runs_of(row), "test": spell(lengths.mean(row))}
        for row in lengths.table
        if row.get("baseline") and row["planned"] != "0"
    ]
    both = [
        {"run": f"{row['label']}, seed {row['seed']}", "the seed's metric": f"{float(row['seeds_metric']):.4f}",
         "numbers cut at 0.5": f"{float(row['threshold']):.4f}"}
        for row in read
    ]  # fmt: skip
    errors = [
        {"regression": row["label"], "runs": runs_of(row), "validation RMSE": spell(regression.mean(row, "validation"))}
        for row in regression.table
        if row["planned"] != "0"
    ]
    parts = [HEAD, "## What the seed says", markdown(claims(lengths, read))]
    parts += ["## The seed's table", markdown(seed_table(lengths)), "## Accuracy on test by length"]
    parts += [markdown(size_table(lengths)), markdown(levels)]
    parts += [f"![Accuracy by prompt length]({CURVE})"] if (out / CURVE).is_file() else []
    parts += ["## The metric that lied", markdown(both), markdown(errors)]
    (out / "RESULTS.md").write_text("\n\n".join(part.strip() for part in parts) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """Write numbers, or bring the sweeps' tables and write RESULTS.md."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--numbers", nargs=2, type=Path, metavar=("DATA", "OUT"), help="write labels as 0 and 1")
    parser.add_argument("--study", type=Path, help="folder of the sweep of GRID.toml")
    parser.add_argument("--regression", type=Path, help="folder of the sweep of REGRESSION.toml")
    parser.add_argument("--table", action="store_true", help="from the tables that are there")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of RESULTS.md and the tables")
    options = parser.parse_args(arguments)
    if options.numbers:
        write_numbers(*options.numbers)
        return 0
    if options.study:
        bring(options.study, options.out, LENGTHS)
        draw_curve(Figures.read(options.out, LENGTHS), options.out / CURVE)
    if options.regression:
        bring(options.regression, options.out, REGRESSION)
        now = read_runs(options.regression)
        earlier = [row for row in read_csv(options.out / READ) if row["label"] not in {line["label"] for line in now}]
        write_csv(options.out / READ, [*earlier, *now])
    write_tables(options.out)
    print(f"wrote {options.out / 'RESULTS.md'}")
    return 0


if __name__ == "__main__":
    run_study(main)
