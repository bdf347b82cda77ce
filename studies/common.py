"""What the studies and benchmarks share: one line of JSON per run, a clock that can stand still, tables.

A study is a file of runs and a function that reads it. Each run appends one line when it is done, so that a study that
was stopped goes on where it stood, and a table can be made again without computing anything.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import Any, Protocol, TypeVar

import numpy as np

from separatrix import recipe as recipes
from separatrix.errors import OptionError, SeparatrixError
from separatrix.geometry.resample import MeanInterval, mean_interval, paired_difference
from separatrix.recipe.core import earlier_names
from separatrix.texts import Splits, load_splits


class Plan(Protocol):
    """A run to be done."""

    @property
    def key(self) -> str:
        """Hash of what makes two runs the same."""
        ...


P = TypeVar("P", bound=Plan)
PACKAGES = ("separatrix", "torch", "transformers", "peft", "numpy", "scikit-learn")
SETFIT_PACKAGES = ("setfit", "sentence-transformers", "torch", "transformers")  # in an environment of its own

# name -> (folder, column of labels, training rows, or None for all)
SETS: dict[str, tuple[str, str, int | None]] = {
    "trec6": ("trec", "coarse", None),
    "trec50": ("trec", "fine", None),
    "sst2": ("sst2", "label", None),
    "imdb": ("imdb", "label", 2000),
}


def study_options(parser: argparse.ArgumentParser, out: Path, arguments: list[str] | None) -> argparse.Namespace:
    """Add what every study's command line has - threads, table, folder - and read it.

    Args:
        parser: with the study's own options; where `--data` is one of them, runs need it.
        out: folder of the study.
        arguments: the words; those of this process if absent.
    """
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default 1: the same figures again)")
    parser.add_argument("--table", action="store_true", help="write the tables from the lines, no runs")
    parser.add_argument("--out", type=Path, default=out, help="folder of runs.jsonl and the tables")
    options = parser.parse_args(arguments)
    if vars(options).get("data", out) is None and not options.table:
        parser.error("--data is needed for runs (or --table, to write the tables only)")
    return options


def run_study(main: Callable[[], int]) -> None:
    """Run a study's `main` as a command: a mistake of the user is one sentence and exit code 2."""
    try:
        sys.exit(main())
    except SeparatrixError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


@dataclass
class Clock:
    """Seconds that ran, by the wall or another clock; between `pause` and `go` it stands still."""

    now: Callable[[], float] = monotonic
    ran: float = 0.0
    since: float | None = field(default=None, repr=False)

    def go(self) -> None:
        """Run from now on."""
        self.since = self.now() if self.since is None else self.since

    def pause(self) -> None:
        """Stand still."""
        self.ran, self.since = self.seconds, None

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return self.ran + (0.0 if self.since is None else self.now() - self.since)


def load_set(data: Path, name: str, seed: int, rows: int | None = None) -> Splits:
    """A data set by its name in `SETS`: train, validation and test.

    Where a set has no validation part, a stratified tenth of train, drawn by the seed, is held out first; then a
    stratified sample of the training rows is drawn by the same seed where the set (or `rows`) asks for fewer.
    """
    folder, label, usual = SETS[name]
    splits = load_splits(data / folder, label=label, seed=seed, validation=0.1)
    wanted, train = rows or usual, splits.train
    if wanted is None or wanted >= len(train):
        return splits
    _, drawn = train.split(wanted / len(train), seed=seed)
    return Splits(drawn, splits.validation, splits.test, splits.notes)


# Recipes that runs of studies are made of.
RECIPES = (recipes.TrainRecipe, recipes.AlignRecipe, recipes.HeadsRecipe)
# Options that have another name since -> the one that they had then; the same of choices, by their option.
EARLIER = {name: earlier for recipe in RECIPES for earlier, name in earlier_names(recipe).items()}
RENAMED = {("pool", "layer_mix"): "weighted"}


def recipe_key(*values: Any) -> str:
    """A hash of what makes two runs the same; options that came later, at their default, and new names do not count.

    >>> recipe_key({"max_length": 64}) == recipe_key({"max_length": 64, "special_tokens": "keep"})
    True
    """
    return recipes.digest(*(_as_at_first(recipes.without_later(value, *RECIPES)) for value in values))


def _as_at_first(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            EARLIER.get(name, name): RENAMED[name, part] if (name, part) in [*RENAMED] else _as_at_first(part)
            for name, part in value.items()
        }
    return [_as_at_first(part) for part in value] if isinstance(value, (list, tuple)) else value


def append_run(path: Path, run: Mapping[str, Any]) -> None:
    """Add one line; a line that a kill cut short is closed first, so that it spoils only itself."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as stream:
        stream.seek(0, os.SEEK_END)
        if stream.tell():
            stream.seek(-1, os.SEEK_END)
            start = b"" if stream.read(1) == b"\n" else b"\n"
        else:
            start = b""
        stream.write(start + json.dumps(run, sort_keys=True, allow_nan=False).encode() + b"\n")


def read_runs(path: Path) -> list[dict[str, Any]]:
    """All whole lines of a file of runs; none if there is no file."""
    runs = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            runs.append(json.loads(line))
        except json.JSONDecodeError:
            continue  # cut short by a kill; the run is done again
    return runs


def missing(plans: Iterable[P], path: Path) -> Iterator[P]:
    """The plans without a line of their key in a file of runs, which is read again before each."""
    for plan in plans:
        if plan.key not in {run["key"] for run in read_runs(path)}:
            yield plan


def do_missing(
    plans: Iterable[P], lines: Path, threads: int, do: Callable[[P], Mapping[str, Any]], say: Callable[[P, Any], str]
) -> None:
    """Do the runs without a line.

    Args:
        plans: all runs that are wanted.
        lines: file of the runs.
        threads: of torch.
        do: gives the line of a run.
        say: what is printed of a run and its line.
    """
    import torch

    torch.set_num_threads(threads)
    for plan in missing(plans, lines):
        run = do(plan)
        append_run(lines, run)
        print(say(plan, run), flush=True)


def read_changes(items: Iterable[str]) -> dict[str, Any]:
    """Changes to a recipe from the command line: `lr=0.01 positions=mean` (values as in JSON, else plain text).

    >>> read_changes(["lr=0.01", "positions=mean", "layer_lr=null"])
    {'lr': 0.01, 'positions': 'mean', 'layer_lr': None}
    """
    changes = {}
    for item in items:
        name, equals, text = item.partition("=")
        if not equals:
            raise OptionError("--set needs name=value", got=repr(item), hint="for example --set lr=0.01")
        try:
            changes[name] = json.loads(text)
        except json.JSONDecodeError:
            changes[name] = text
    return changes


# Options of a loop that change no figure, or stand beside the recipe.
NO_FIGURE = ("seed", "snapshots", "checkpoint_seconds")


def plain_recipe(recipe: Any, leave: Sequence[str] = ()) -> dict[str, Any]:
    """Every option as plain data, less those of the loop that are to be left away.

    `refit` and `perturbation` stand there only where they are on, and options have the names that they had at first:
    lines of runs that were made before keep their keys.
    """
    parts = recipes.to_dict(recipe).items()
    plain = {part: {EARLIER.get(name, name): value for name, value in options.items()} for part, options in parts}
    for option in (*leave, *(() if plain["loop"]["refit"] else ("refit",))):
        del plain["loop"][option]
    if not plain.get("encoder", {}).get("perturbation", True):
        del plain["encoder"]["perturbation"]
    return plain


def changed(recipe: Mapping[str, Any], standard: Mapping[str, Any]) -> str:
    """What a recipe has that differs from another, as `name=value ...`.

    >>> changed({"loop": {"lr": 0.1, "epochs": 3}}, {"loop": {"lr": 0.01, "epochs": 3}})
    'lr=0.1'
    """
    words = []
    for name, value in recipe.items():
        other = standard.get(name)
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            words.append(changed(value, other))
        elif value != other:
            words.append(f"{name}={value}")
    return " ".join(word for word in words if word)


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Versions of what the figures depend on."""
    return {name: version(name) for name in packages} | {"python": platform.python_version()}


def machine(threads: int) -> dict[str, Any]:
    """The machine and what runs on it, without names or paths."""
    return {"cpu": _cpu(), "cores": len(os.sched_getaffinity(0)), "threads": threads, "versions": versions()}


def _cpu() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def rounded(values: Mapping[str, Any], digits: int = 6) -> dict[str, Any]:
    """The mapping with its floats rounded, for readable lines."""
    return {name: round(value, digits) if isinstance(value, float) else value for name, value in values.items()}


# How figures end that cannot be below 0, and those that cannot be above 1 either.
SIZES = ("seconds", "_min", "_moved", "_path")
SHARES = (
    *("accuracy", "macro_f1", "test_knn", "test_mean", "test_head", "fair", "unseen", "probe", "own", "own_test"),
    *("between", "first_two", "told", "told_first", "_oscillation"),
)


def interval(runs: Sequence[Mapping[str, Any]], name: str) -> MeanInterval | None:
    """Mean and 95 % t interval of one figure of runs, cut where the figure cannot be; None where no run has it.

    >>> interval([{"seconds": 5.0}, {"seconds": 60.0}], "seconds").low
    0.0
    """
    values = [run[name] for run in runs if run.get(name) is not None]
    if not values:
        return None
    whole = mean_interval(np.array(values, dtype=float))
    if whole.low is None or whole.high is None or not name.endswith((*SIZES, *SHARES)):
        return whole
    most = 1.0 if name.endswith(SHARES) else np.inf
    return replace(whole, low=max(whole.low, 0.0), high=min(whole.high, most))


def gain(own: Iterable[Mapping[str, Any]], base: Iterable[Mapping[str, Any]], name: str) -> MeanInterval | None:
    """Paired difference of one figure, own less base, over the seeds that both have; None if there is none.

    >>> gain([{"seed": 0, "x": 0.75}, {"seed": 3, "x": 1.0}], [{"seed": 0, "x": 0.5}], "x").mean
    0.25
    """
    other = {run["seed"]: run[name] for run in base}
    pairs = [(run[name], other[run["seed"]]) for run in own if run["seed"] in other]
    return paired_difference(*zip(*pairs, strict=True)) if pairs else None


def spell(found: MeanInterval | None, digits: int = 4) -> str:
    """A mean with its interval as text; a single run has none.

    >>> spell(mean_interval([0.95, 0.96, 0.97])), spell(mean_interval([0.95])), spell(None)
    ('0.9600 [0.9352, 0.9848]', '0.9500', '-')
    """
    if found is None:
        return "-"
    if found.low is None or found.high is None:
        return f"{found.mean:.{digits}f}"
    return f"{found.mean:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]"


def markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows with the same keys as a Markdown table, columns padded so that it reads well as plain text too.

    >>> print(markdown([{"a": 1, "b": "x"}]))
    | a | b |
    |---|---|
    | 1 | x |
    """
    if not rows:
        return "(no runs yet)"
    names = list(rows[0])
    table = [names, *([str(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[place]) for line in table) for place in range(len(names))]
    lines = [
        "| " + " | ".join(cell.ljust(size) for cell, size in zip(line, widths, strict=True)) + " |" for line in table
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows as a CSV file; what a row lacks stays empty."""
    names = list(dict.fromkeys(name for row in rows for name in row)) or ["no runs yet"]
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
