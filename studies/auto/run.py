"""`--method auto` beside its single methods, a tuned logistic regression and SetFit, all within the same budget.

    python studies/auto/run.py --data FOLDER --sets questions trec6 sst2 --per-class 8 64 --seeds 1 --budget 2min
    python studies/auto/run.py --data FOLDER --sets trec6 --rows auto align --seeds 5 --budget 10min
    python studies/auto/run.py --data FOLDER --sets trec6 sst2 --per-class 8 --screen    by rows that were not drawn
    python studies/auto/run.py --table                                  RESULTS.md out of runs.jsonl

A run is a line of runs.jsonl; what is there is not done again. Without `--per-class` all rows are learnt from.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
from studies.common import (
    PACKAGES,
    SETFIT_PACKAGES,
    do_missing,
    interval,
    read_runs,
    recipe_key,
    run_study,
    spell,
    study_options,
    versions,
)
from studies.common import SETS as COMMON

from separatrix import recipe as recipes
from separatrix.codes import draw_some
from separatrix.geometry.resample import paired_difference
from separatrix.recipe.auto import AutoRecipe
from separatrix.texts import Splits, Texts, load_demo, load_splits
from separatrix.texts.table import few

HERE = Path(__file__).resolve().parent
# name -> (folder, column of labels, training rows, or None for all)
SETS: dict[str, tuple[str, str, int | None]] = {
    "questions": ("", "", None),  # those that are shipped
    **COMMON,
    "sst5": ("sst5", "label", None),
    "banking77": ("banking77", "label", None),
}
SINGLE = ("probe", "align", "align_few", "align_many", "finetune", "prompt")
MANY_CLASSES = ("trec50", "banking77")
LOGISTIC, SETFIT = "logistic regression", "setfit"
ROWS = ("auto", *SINGLE, LOGISTIC, SETFIT)
FEW = (8, 16, 32, 64)
FEW_HELD = 0.25  # share of the few rows that chooses the epoch and the vote before all are learnt from
INVERSE_PENALTIES = 10.0 ** np.arange(-2, 4)  # C of the logistic regression, chosen by cross-validation
MOST_TEST = 2000  # test rows that are answered
MOST_UNDRAWN = 500  # of a screen
EXPECTED_AT = 8  # rows of each class in the screens that say what is expected of a method


@dataclass(frozen=True)
class AutoPlan:
    """One run."""

    row: str
    set: str
    per_class: int | None
    seed: int
    budget: str
    judged: str = "test"  # or rows of the training part that were "undrawn": a screen, by which choices are made

    @property
    def key(self) -> str:
        """Hash of what makes two runs the same."""
        plain = asdict(self)
        return recipe_key(plain if self.judged != "test" else {name: plain[name] for name in plain if name != "judged"})


def load(data: Path | None, plan: AutoPlan) -> Splits:
    """The parts of a set; with few rows of each class all of these are learnt from in the end, a quarter held first."""
    folder, label, most = SETS[plan.set]
    read = (
        load_demo() if not folder else load_splits(_given(data) / folder, label=label, seed=plan.seed, validation=0.1)
    )
    train, validation, test = (_plain(part) for part in (read.train, read.validation, read.test))
    if len(test) > MOST_TEST:
        test = test.split(MOST_TEST / len(test), 0)[1]
    if plan.per_class is not None:
        whole = train.join(validation)
        drawn = few(whole, plan.per_class, plan.seed)
        if plan.judged == "undrawn":
            others = np.flatnonzero(~np.isin(whole.id, drawn.id))
            test = whole.take(others[draw_some(len(others), MOST_UNDRAWN, [plan.seed, 6])])
        train, validation = drawn.split(FEW_HELD, plan.seed)
    elif most is not None and most < len(train):
        train = train.split(most / len(train), plan.seed)[1]
    return Splits(train, validation, test, ())


def _given(data: Path | None) -> Path:
    assert data is not None
    return data


def _plain(part: Texts | None) -> Texts:
    """Texts without their groups: methods are compared as they are for labels alone."""
    assert part is not None
    return Texts(part.text, part.label, None, part.id, part.source)


def run_ours(plan: AutoPlan, splits: Splits) -> tuple[np.ndarray, dict[str, Any]]:
    """Whether each test row is answered right, and what was chosen; a single method is a race of one."""
    from separatrix.training.race.run import choose_method
    from separatrix.training.request import TrainingRequest
    from separatrix.training.run import run_training

    candidates = AutoRecipe().race.candidates if plan.row == "auto" else (plan.row,)
    recipe = recipes.replace(
        AutoRecipe(), seed=plan.seed, budget=plan.budget, candidates=candidates, device="cpu", max_length=256
    )
    # CPU seconds, so that what else runs on the machine takes nothing of the budget.
    request, race = choose_method(TrainingRequest(splits, recipe, "auto", compare=False), process_time)
    table = run_training(request).predictions["test"]
    chosen = {name: race[name] for name in ("winner", "seconds", "refit")}
    chosen |= {"states": {line["name"]: line["state"] for line in race["candidates"]}}
    return np.asarray(table["predicted"] == table["label"], dtype=bool), chosen


def run_logistic(plan: AutoPlan, splits: Splits) -> tuple[np.ndarray, dict[str, Any]]:
    """scikit-learn's logistic regression on the encoder's own sentence vectors, its penalty by cross-validation."""
    from sklearn.linear_model import LogisticRegressionCV

    from separatrix.models.candidates import chosen_candidates
    from separatrix.models.extract import extract_blocks
    from separatrix.models.load import load_backbone

    backbone, learnt = load_backbone(recipes.ModelRecipe(device="cpu")), splits.train.join(splits.validation)
    (plan_,) = chosen_candidates(backbone, "own")
    vectors = {
        name: extract_blocks(backbone, part.text, (plan_,))[0][plan_.name]
        for name, part in (("train", learnt), ("test", _plain(splits.test)))
    }
    assert learnt.label is not None
    folds = min(5, int(np.unique(learnt.label, return_counts=True)[1].min()))
    model = LogisticRegressionCV(
        scoring="accuracy",
        Cs=INVERSE_PENALTIES,
        cv=folds,
        max_iter=2000,
        random_state=plan.seed,
        l1_ratios=(0,),
        use_legacy_attributes=False,
    ).fit(vectors["train"], learnt.label)
    right = model.predict(vectors["test"]) == _plain(splits.test).label
    return np.asarray(right, dtype=bool), {"C": float(np.ravel(model.C_)[0])}


def run_setfit(plan: AutoPlan, splits: Splits) -> tuple[np.ndarray, dict[str, Any]]:
    """SetFit by its own package, 20 rounds of pairs as in its paper, on training and validation rows together."""
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    from separatrix.models.source import resolve

    learnt = splits.train.join(splits.validation)
    assert learnt.label is not None
    names, labels = np.unique(learnt.label.astype(str), return_inverse=True)
    model = SetFitModel.from_pretrained(str(resolve(recipes.ModelRecipe()).folder))
    with TemporaryDirectory() as folder:
        options = TrainingArguments(
            output_dir=folder, save_strategy="no", num_epochs=1, seed=plan.seed, report_to="none", batch_size=16,
            num_iterations=20,
        )  # fmt: skip
        table = Dataset.from_dict({"text": list(learnt.text), "label": labels.tolist()})
        Trainer(model=model, args=options, train_dataset=table).train()
    test = _plain(splits.test)
    assert test.label is not None
    predicted = names[np.asarray(model.predict(list(test.text)), dtype=int)]
    return np.asarray(predicted == test.label.astype(str), dtype=bool), {}


RUNNERS: dict[str, Callable[[AutoPlan, Splits], tuple[np.ndarray, dict[str, Any]]]] = {
    LOGISTIC: run_logistic, SETFIT: run_setfit,
}  # fmt: skip


def do_run(plan: AutoPlan, data: Path | None) -> dict[str, Any]:
    """Train, answer the test rows, and give the line of the run."""
    splits, begun, cpu = load(data, plan), monotonic(), process_time()
    right, chosen = RUNNERS.get(plan.row, run_ours)(plan, splits)
    return {
        "key": plan.key, **asdict(plan), "accuracy": round(float(right.mean()), 6), "test_rows": len(right),
        "training_rows": len(splits.train) + len(splits.validation), "chosen": chosen,
        "seconds": round(monotonic() - begun, 1), "cpu_seconds": round(process_time() - cpu, 1),
        "versions": versions(SETFIT_PACKAGES if plan.row == SETFIT else PACKAGES),
    }  # fmt: skip


def plans(options: argparse.Namespace) -> Iterator[AutoPlan]:
    """All runs that are wanted, seed by seed."""
    here = [row for row in options.rows if row != SETFIT or importlib.util.find_spec("setfit") is not None]
    for seed in range(options.seeds):
        for name in options.sets:
            for count in options.per_class or [None]:
                for row in here:
                    if row == "align_many" and name not in MANY_CLASSES:
                        continue
                    yield AutoPlan(row, name, count, seed, options.budget, "undrawn" if options.screen else "test")


def table(runs: Sequence[dict[str, Any]]) -> str:
    """The page of results."""
    lines = [
        "# `--method auto` beside its single methods: results\n",
        "Written by `python studies/auto/run.py --table` from `runs.jsonl`; not by hand. What was compared and how to",
        "read this: [README.md](README.md). Accuracy on the test part; in brackets the 95 % t interval of the mean",
        "over seeds. A row with one run has no interval: it says little.\n",
    ]
    for place in sorted({_place(run) for run in runs}, key=_in_order):
        here = [run for run in runs if _place(run) == place]
        # A single method is trained as it is whatever the budget, so its runs stand beside each that `auto` had.
        singles = [run for run in here if run["row"] != "auto"]
        for budget in sorted({run["budget"] for run in here if run["row"] == "auto"}) or [here[0]["budget"]]:
            autos = [run for run in here if run["row"] == "auto" and run["budget"] == budget]
            lines += _section(place, budget, [*autos, *singles])
    return "\n".join(lines + _expected_lines(runs) + _stand_in_lines(runs))


def expected(runs: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float, float, int]]:
    """Row -> accuracy above the probe in screens of few classes: mean of the sets, their standard deviation, sets."""
    right = {place: accuracy for place, accuracy in _screened(runs).items() if place[2] == EXPECTED_AT}
    above: dict[str, dict[str, list[float]]] = {}
    for (row, *place), accuracy in right.items():
        if row != "probe" and ("probe", *place) in right:
            above.setdefault(row, {}).setdefault(str(place[0]), []).append(accuracy - right["probe", *place])
    means = {row: [float(np.mean(each)) for each in sets.values()] for row, sets in above.items()}
    return {row: (float(np.mean(one)), float(np.std(one, ddof=1)) if len(one) > 1 else 0.0, len(one))
            for row, one in means.items()}  # fmt: skip


def _screened(runs: Sequence[Mapping[str, Any]]) -> dict[tuple[Any, ...], float]:
    """Row, set, rows of each class and seed -> accuracy in a screen of few classes."""
    screens = [run for run in runs if run.get("judged", "test") != "test" and run["set"] not in MANY_CLASSES]
    return {(run["row"], run["set"], run["per_class"], run["seed"]): run["accuracy"] for run in screens}


def _stand_in_lines(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """How far `align_few` is above `align`, in whose place it is raced over few rows of few classes."""
    right, gaps = _screened(runs), dict[tuple[str, int], list[float]]()
    for row, name, count, seed in right:
        if row == "align_few" and ("align", name, count, seed) in right:
            gap = right[row, name, count, seed] - right["align", name, count, seed]
            gaps.setdefault((name, count), []).append(gap)
    lines = [
        "## `align_few` in the place of `align`\n",
        "Accuracy of `align_few` less that of `align` in the screens of few classes, the same rows.\n",
        "| set | rows of each class | draws | difference |",
        "|---|---|---|---|",
        *(f"| {name} | {count} | {len(each)} | {np.mean(each):+.4f} |" for (name, count), each in gaps.items()),
    ]
    for count in sorted({count for _, count in gaps}):
        own = [float(np.mean(each)) for (_, rows), each in gaps.items() if rows == count]
        lines.append(f"| mean of {len(own)} sets | {count} | - | {np.mean(own):+.4f} |")
    return [*lines, ""]


def _expected_lines(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the screens let one expect of each method beforehand."""
    lines = [
        "## What is expected of a method with few rows of few classes\n",
        f"Means over the sets of fewer than 20 classes that were screened with {EXPECTED_AT} rows of each class:",
        "accuracy above the probe on the same rows.\n",
        "| row | sets | above the probe | standard deviation between sets |",
        "|---|---|---|---|",
    ]
    each = expected(runs).items()
    return [*lines, *(f"| {row} | {sets} | {mean:+.3f} | {spread:.3f} |" for row, (mean, spread, sets) in each), ""]


def _place(run: Mapping[str, Any]) -> tuple[str, int | None, str]:
    return run["set"], run["per_class"], run.get("judged", "test")


def _in_order(place: tuple[str, int | None, str]) -> tuple[bool, int, int]:
    name, count, judged = place
    return judged != "test", [*SETS].index(name), count or 10**9


def _section(place: tuple[str, int | None, str], budget: str, runs: Sequence[dict[str, Any]]) -> list[str]:
    """The lines of a set, so many rows and a budget."""
    name, count, judged = place
    rows = "all rows" if count is None else f"{count} rows of each class"
    title, kind = (
        ("", "test rows") if judged == "test" else ("Screen: ", "rows of the training part that were not drawn")
    )
    by_row = {row: {run["seed"]: run for run in runs if run["row"] == row} for row in ROWS}
    return [
        f"## {title}{name}, {rows}, {budget}\n",
        f"{runs[0]['training_rows']} labelled rows, judged on {runs[0]['test_rows']} {kind}.\n",
        "| row | runs | accuracy | auto less this, same seeds | seconds | CPU seconds | chosen |",
        "|---|---|---|---|---|---|---|",
        *(_line(row, own, by_row["auto"]) for row, own in by_row.items() if own),
        "",
    ]


def _line(row: str, own: dict[int, dict[str, Any]], auto: dict[int, dict[str, Any]]) -> str:
    seeds = sorted(set(own) & set(auto)) if row != "auto" else []
    less = (
        _interval(paired_difference([auto[s]["accuracy"] for s in seeds], [own[s]["accuracy"] for s in seeds]), "+")
        if seeds
        else "-"
    )
    winners = [own[seed]["chosen"].get("winner") for seed in sorted(own)] if row == "auto" else []
    chosen = ", ".join(f"{name} {winners.count(name)}x" for name in dict.fromkeys(winners)) or "-"
    seconds = [f"{np.mean([run[key] for run in own.values()]):.0f}" for key in ("seconds", "cpu_seconds")]
    accuracy = spell(interval([*own.values()], "accuracy"))
    return f"| {row} | {len(own)} | {accuracy} | {less} | {' | '.join(seconds)} | {chosen} |"


def beside_the_best(
    runs: Sequence[Mapping[str, Any]], budget: str
) -> Iterator[tuple[tuple[str, int | None, str], int, dict[str, float]]]:
    """Places where `auto` had so much time: place, number of seeds, mean accuracy of the rows that have them all."""
    tested = [run for run in runs if _place(run)[2] == "test" and (run["row"] != "auto" or run["budget"] == budget)]
    for place in sorted(
        {_place(run) for run in tested if run["row"] == "auto"}, key=lambda one: (one[1] or 10**9, one)
    ):
        by_row: dict[str, dict[int, float]] = {}
        for run in tested:
            if _place(run) == place:
                by_row.setdefault(run["row"], {})[run["seed"]] = run["accuracy"]
        seeds = {*by_row["auto"]}
        whole = {row: own for row, own in by_row.items() if seeds <= {*own}}
        if LOGISTIC in whole and len(whole) > 2:
            yield place, len(seeds), {row: float(np.mean([own[s] for s in seeds])) for row, own in whole.items()}


def _interval(mean: Any, sign: str = "") -> str:
    text = f"{mean.mean:{sign}.4f}"
    return text if mean.low is None else f"{text} [{mean.low:.4f}, {mean.high:.4f}]"


def main(arguments: list[str] | None = None) -> int:
    """Do the runs that are missing, or write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--data", type=Path, help="folder with trec, sst2, ..., each with train and test files")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=["questions", "trec6", "sst2"])
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--per-class", type=int, nargs="+", choices=FEW, help="labelled rows of each class in all")
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds (default 5)")
    parser.add_argument("--budget", default="10min", help="of each run (default 10min)")
    parser.add_argument(
        "--screen", action="store_true", help="judge by training rows that were not drawn (needs --per-class)"
    )
    options = study_options(parser, HERE, arguments)
    lines = options.out / "runs.jsonl"
    if options.table:
        (options.out / "RESULTS.md").write_text(table(read_runs(lines)), encoding="utf-8")
        print(f"wrote {options.out / 'RESULTS.md'}")
        return 0
    if options.screen and not options.per_class:
        parser.error("--screen needs --per-class: else no row is left that was not drawn")
    do_missing(plans(options), lines, options.threads, lambda plan: do_run(plan, options.data), _note)
    return 0


def _note(plan: AutoPlan, run: Mapping[str, Any]) -> str:
    return f"{plan.row} {plan.set} {plan.per_class} seed {plan.seed}: {run['accuracy']:.4f} {run['seconds']} s"


if __name__ == "__main__":
    run_study(main)
