"""The verb `sweep`: a grid in, runs on disk, one table out."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Unpack

from separatrix import recipe as recipes
from separatrix.errors import OptionError, StoreError, choose, public_name
from separatrix.geometry.resample import MeanInterval
from separatrix.progress import Progress, silent
from separatrix.recipe.arguments import checks_arguments
from separatrix.recipe.budget import read_budget
from separatrix.recipe.options import SweepOptions
from separatrix.recipe.sweep import SweepRecipe
from separatrix.reports.sweep import setting_columns
from separatrix.scale.executors import load_ahead
from separatrix.store.files import read_json, read_lines
from separatrix.store.folder import RESULT
from separatrix.store.result import digits
from separatrix.sweeps.grid import Grid, Mistakes, read_grid
from separatrix.sweeps.guided import GuidedRounds
from separatrix.sweeps.plan import Planner, SweepLine, SweepPlan
from separatrix.sweeps.result import SweepResult
from separatrix.sweeps.search import SEEDS
from separatrix.sweeps.settings import Setting, spell_out
from separatrix.sweeps.study import CACHE, STATES, Study
from separatrix.sweeps.table import (
    TEST,
    LineFigures,
    Reference,
    best,
    groups,
    metric_of,
    ranked,
    run_rows,
    suspicious,
    table_rows,
)
from separatrix.sweeps.table import read_lines as read_figures
from separatrix.sweeps.work import Limits, wait_for_others, work

ONLY = "--only"


@checks_arguments
def sweep(
    grid: str | Path | Mapping[str, Any],
    *,
    recipe: SweepRecipe | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    executor: str = "here",
    progress: Progress | None = None,
    **options: Unpack[SweepOptions],
) -> SweepResult:
    """Train every row of a grid with every seed, and compare them in one table.

    Everything is checked before anything runs. Called again, it skips what is done and goes on with what was stopped;
    several processes may work on one study.

    Args:
        grid: a TOML file, or the same as a dictionary; docs/sweep.md has the format.
        recipe: all options at once.
        out: folder of the study.
        overwrite: replace an earlier study there.
        executor: who trains: here (one run after another), processes:N, dask:local:N or dask:tcp://host:port.
        progress: is called with (stage, done, total, note).
        options: single options of `SweepRecipe`, by name.

    Raises:
        OptionError: all mistakes of the grid in one sentence; no `out`.
        StoreError: the folder holds something else, or the study of another grid.
    """
    for name in options:
        choose(name, recipes.option_names(SweepRecipe()), "option")
    own: SweepRecipe = recipes.replace(recipe or SweepRecipe(), **options)
    if out is None:
        raise OptionError("a sweep is a folder, whose runs restart", got="no out", hint='give out="studies/lengths"')
    load_ahead(executor)
    limits = Limits(None if own.budget is None else time.time() + read_budget(own.budget), own.max_runs)
    (progress or silent)("checking the grid", 0, 0, "")
    how = (executor, limits, progress or silent)
    job = SweepJob.of(grid, Study(Path(out)), own, *how, replaced=overwrite)
    return job.run(overwrite=overwrite)


@dataclass
class SweepJob:
    """A sweep in hand."""

    grid: Grid
    planner: Planner
    settings: Sequence[Setting]
    plan: SweepPlan  # of the first round, where combinations are dropped round by round; else all
    study: Study
    recipe: SweepRecipe
    executor: str
    limits: Limits
    progress: Progress
    guided: GuidedRounds | None = field(
        init=False, default=None
    )  # where combinations are chosen by what others reached
    refused: list[str] = field(init=False, default_factory=list)  # why runs were not cleared away

    @classmethod
    def of(cls, given: Any, study: Study, recipe: SweepRecipe, *how: Any, replaced: bool = False) -> SweepJob:
        """Read and check the grid.

        Args:
            given: the grid.
            study: its folder.
            recipe: options of the sweep.
            how: executor, limits, progress.
            replaced: what stands in the folder does not count.

        Raises:
            OptionError: with all that is wrong with the grid.
        """
        grid, mistakes = read_grid(given)
        settings = spell_out(grid, mistakes)
        planner = Planner(grid, mistakes, {} if replaced else study.begun())
        _check_halving(grid, settings, mistakes)
        first = _at_round(grid, settings, 0) if not mistakes.sentences else settings
        plan = planner.plan(first, _round_seeds(grid, 0))
        job = cls(grid, planner, settings, plan, study, recipe, *how)
        _check_lines(plan.lines, job.reference, recipe.only or (), mistakes)
        job.guided = GuidedRounds.of(grid, plan.lines) if grid.search.is_guided else None
        return job

    @property
    def reference(self) -> str | None:
        """The row that others are compared with."""
        return self.grid.reference if self.recipe.reference is None else self.recipe.reference

    def run(self, *, overwrite: bool) -> SweepResult:
        """Do the runs and write the table."""
        begun = time.monotonic()
        self.study.begin(self.plan, _search_of(self.grid), overwrite=overwrite, extend=self.recipe.extend)
        rounds = self._rounds()
        lines = _latest(rounds)
        runs = {run: one for each in rounds for run, one in each.runs.items()}
        with self.study.written() as folder:  # in which they are read too: another process may have done more by now
            states = {run: self.study.state(run) for run in runs}
            result = self._result(lines, SweepPlan(lines, runs, {}), states)
            if not {*states.values()} & {"waiting", "interrupted", "running"} and not self.recipe.keep_cache:
                shutil.rmtree(self.study.folder / CACHE, ignore_errors=True)
            result = replace(result, seconds=round(time.monotonic() - begun, 2))
            result.write(folder)
        return replace(result, folder=self.study.folder)

    def _rounds(self) -> list[SweepPlan]:
        """The plans of all rounds that were reached, each with its runs done."""
        plans = [self.plan]
        while True:
            wanted, number = self._wanted(plans[-1]), len(plans)
            self._work(wanted)
            if self.guided is None and number == len(_round_values(self.grid)):
                return plans
            wait_for_others(wanted, self.study)
            if not (settings := self._settings_of(plans[-1], number)):
                return plans
            plans.append(self.planner.plan(settings, _round_seeds(self.grid, number)))

    def _wanted(self, plan: SweepPlan) -> SweepPlan:
        """The lines that are trained now."""
        if not self.recipe.only:
            return plan
        figures = _unread(plan.lines)
        chosen = [Reference.of(text, _unread(self.plan.lines), ONLY) for text in self.recipe.only]
        lines = [one.line for one in figures if any(each.is_one(one) for each in chosen)]
        runs = {run for line in lines for run in line.runs.values()}
        return SweepPlan(lines, {run: one for run, one in plan.runs.items() if run in runs}, plan.identities)

    def _work(self, plan: SweepPlan) -> None:
        if self.recipe.retry:
            for run in plan.runs.values():
                try:
                    self.study.renew(run)
                except StoreError as error:  # the others are trained
                    self.refused.append(str(error))
        begun = work(plan, self.study, self.executor, self.limits, self.progress, self.planner.reader)
        if self.limits.runs is not None:
            self.limits = replace(self.limits, runs=self.limits.runs - begun)

    def _settings_of(self, plan: SweepPlan, number: int) -> list[Setting]:
        """The settings of the next round: those that a search asks for, or the best of each group that is done."""
        open_runs = {run for run, state in self.study.states(plan).items() if state not in ("done", "failed")}
        figures = read_figures(plan.lines, plan.runs, self.study)
        figures = [one for one in figures if one.line.setting.baseline is None]
        open_runs |= {run for one in figures for run in one.damage}  # without them, others would be gone on with
        if self.guided is not None:
            return self.guided.next(figures, open_runs)
        return self._survivors(figures, open_runs, number)

    def _survivors(self, figures: Sequence[LineFigures], open_runs: Collection[str], number: int) -> list[Setting]:
        names = set[str]()
        for group in groups(figures, self._free(figures)):
            if any({*one.line.runs.values()} & {*open_runs} or not one.line.runs for one in group):
                continue
            stay = self.grid.search.stay(len(group))
            names |= {one.line.setting.name for one in ranked(group)[:stay]}
        settings = [one for one in self.settings if one.name in names and one.baseline is None]
        return _at_round(self.grid, settings, number)

    def _free(self, figures: Sequence[LineFigures]) -> Sequence[str]:
        """Coordinates in which the settings of one group differ."""
        return self.grid.tune or list(dict.fromkeys(name for one in figures for name in one.coordinates))

    def _result(self, lines: Sequence[SweepLine], plan: SweepPlan, states: Mapping[str, str]) -> SweepResult:
        figures = read_figures(lines, plan.runs, self.study)
        damage = {run: why for one in figures for run, why in one.damage.items()}
        states = {**states, **dict.fromkeys(damage, "failed")}
        counts = Counter(states.values())
        failed = [run for run in plan.runs.values() if states[run.id] == "failed"]
        failures = [
            f"{run.label}, seed {run.seed}: {damage.get(run.id) or self.study.failure(run.id)}" for run in failed
        ]
        reference = self.reference if any(one.results for one in figures) else None
        table = table_rows(figures, self.grid.tune, reference)
        return SweepResult(
            lines=table, columns=setting_columns(table),
            costs=[{"label": one.line.setting.label, **one.costs()} for one in figures],
            by_seed=run_rows(figures), metric=metric_of(lines[0]),
            runs=len(plan.runs), done=counts["done"], failed=counts["failed"],
            states={state: counts[state] for state in STATES if counts[state]},
            best=_best_lines(figures), reference=reference, tune=list(self.grid.tune),
            cache=cache_saving(self.study.folder / CACHE) or _earlier_saving(self.study.folder),
            failures=failures,
            warnings=[*self.refused, *suspicious(figures)],
            notes=[*_notes(figures, lines), *(self.guided.notes() if self.guided else [])],
            recipe=recipes.to_dict(self.recipe),
        )  # fmt: skip


def _unread(lines: Sequence[SweepLine]) -> list[LineFigures]:
    """Lines without their figures, to choose from by name."""
    return [LineFigures(line, {}, metric_of(line)) for line in lines]


def _check_lines(lines: Sequence[SweepLine], reference: str | None, only: Sequence[str], mistakes: Mistakes) -> None:
    """What lines must have in common, and that the reference and what is trained now are of them."""
    if not lines:
        mistakes.add("", "", "it has no rows")
    if len(metrics := sorted({metric_of(line) for line in lines})) > 1:
        mistakes.add("", "", f"some rows are judged by {' and some by '.join(metrics)}; give each its own sweep")
    named = [("reference", "the reference", reference)] if reference is not None else []
    for key, what, text in [*named, *(("only", ONLY, text) for text in only)]:
        try:
            Reference.of(text, _unread(lines), what)
        except OptionError as error:
            mistakes.add("", key, error)
    settings = {line.setting.label: line.setting for line in lines}
    for label, count in Counter(line.setting.label for line in lines).items():
        if count > 1:
            hint = "write [[rows]], each with a name of its own"
            if settings[label].baseline is not None:
                hint = "give one of the models another name, by a link to its folder"
            mistakes.add("", "", f"{count} rows are called {label!r}; {hint}")
    mistakes.check()


def _check_halving(grid: Grid, settings: Sequence[Setting], mistakes: Mistakes) -> None:
    option = grid.search.halving
    if option is None:
        return
    for one in settings:
        try:
            _ = one.at(option, 1).recipe if one.baseline is None and option != SEEDS else None
        except OptionError as error:
            mistakes.add("search", "halving", error)
    if (most := _round_values(grid)[-1]) < grid.search.least:
        what = OptionError(
            "--least is out of range", got=grid.search.least, expected=f"1 to {most}, the {option} of all"
        )
        mistakes.add("search", "least", what)
    if option in grid.axes or any(option in row.options for row in grid.rows):
        mistakes.add("search", "halving", f"{option} grows from round to round, so it stands under [train] alone")
    if option == "per_class" and option not in grid.train:
        mistakes.add("search", "halving", "per_class needs its largest value under [train]")


def _round_values(grid: Grid) -> list[int]:
    """Values of the halved option, round by round; one round without."""
    option = grid.search.halving
    if option is None:
        return [0]
    most = len(grid.seeds) if option == SEEDS else grid.train.get(option, recipes.LoopRecipe().epochs)
    return grid.search.rounds(most)


def _search_of(grid: Grid) -> dict[str, Any]:
    """What the runs of all rounds follow from, beside those of the first; plain values."""
    seeds = list(grid.seeds) if grid.search.halving == SEEDS else sorted(grid.seeds)
    tuned = {} if grid.search.halving is None else {"tune": sorted(grid.tune)}
    return {**asdict(grid.search), **tuned, "seeds": seeds, "rounds": _round_values(grid)}


def _round_seeds(grid: Grid, number: int) -> Sequence[int]:
    """The seeds of a round: all of them, but where rounds grow by seeds."""
    return grid.seeds[: _round_values(grid)[number]] if grid.search.halving == SEEDS else grid.seeds


def _at_round(grid: Grid, settings: Sequence[Setting], number: int) -> list[Setting]:
    """Settings with the value that the halved option has in a round; baselines are trained whole."""
    option = grid.search.halving
    if option is None or option == SEEDS:
        return list(settings)
    value = _round_values(grid)[number]
    return [
        one if one.baseline is not None
        else one.at(option, value)
        for one in settings
    ]  # fmt: skip


def _latest(rounds: Sequence[SweepPlan]) -> list[SweepLine]:
    """Each setting as it was trained in the last round that it reached, in the order in which they came."""
    return [*{line.setting.name: line for plan in rounds for line in plan.lines}.values()]


def cache_saving(folder: Path) -> dict[str, Any]:
    """What the shared text caches cost and saved: each use beyond the first would have run the texts again."""
    built, used, spent, alone = 0, 0, 0.0, 0.0
    for path in sorted(folder.glob("*/uses.jsonl")):
        try:
            uses = read_lines(path, {"built": bool, "seconds": float})
        except StoreError:  # a process was killed as it wrote, or another one has removed the cache
            continue
        first = [use["seconds"] for use in uses if use["built"]]
        built, used = built + len(first), used + len(uses)
        spent += sum(use["seconds"] for use in uses)
        alone += len(uses) * max(first, default=0.0)
    if not used:
        return {}
    figures = {
        "seconds": round(spent, 2),
        "saved": round(alone - spent, 2),
        "ratio": round(alone / max(spent, 1e-9), 2),
    }
    return {"built": built, "used": used, **figures}


def _earlier_saving(folder: Path) -> dict[str, Any]:
    """What an earlier command counted, before it deleted the caches."""
    try:
        return dict(read_json(folder / RESULT, {"cache": dict})["cache"])
    except StoreError:
        return {}


def _best_lines(figures: Sequence[LineFigures]) -> list[str]:
    """For each data set: which row is best on validation, of how many, and what it has on test."""
    sentences = []
    for data in dict.fromkeys(one.line.setting.data.name for one in figures):
        own = [one for one in figures if one.line.setting.data.name == data]
        winner, tries = best(own), sum(one.is_whole and one.line.setting.baseline is None for one in own)
        if winner is None:
            continue
        validation, test = winner.mean("validation"), winner.mean(TEST)
        assert validation is not None
        shown = digits(winner.metric, ".4f")
        of_test = "" if test is None else f", {_figure(test, shown)} on test"
        seeds = "one seed" if validation.runs == 1 else f"{validation.runs} seeds"
        level = (
            sum(
                mean is not None and mean.mean == validation.mean
                for mean in (one.mean("validation") for one in ranked(own))
            )
            - 1
        )
        others = f" (level with {level} other{'s' * (level > 1)}; the first of them is taken)" if level else ""
        chosen = (
            f"{winner.line.setting.label}: the best of {tries} rows on validation{others}, {_figure(validation, shown)}"
        )
        sentences.append(f"{chosen}{of_test}; {seeds}")
    return sentences


def _figure(mean: MeanInterval, shown: str) -> str:
    """A mean as the sentences have it, with its interval where there are several runs."""
    return f"{mean.mean:{shown}}" + ("" if mean.low is None else f" ({mean.low:{shown}} to {mean.high:{shown}})")


def _notes(figures: Sequence[LineFigures], lines: Sequence[SweepLine]) -> list[str]:
    notes = []
    absent = dict.fromkeys(public_name(line.setting.recipe.backbone.model) for line in lines if not line.runs)
    if absent:
        notes.append(f"not run here, since the model is not on this machine: {', '.join(absent)}")
    missing = [one.line.setting.label for one in figures if not one.is_whole and one.line.runs]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        notes.append(f"not all seeds are done of {'; '.join(missing[:5])}{more}: they are not chosen from")
    same = dict[tuple[str, ...], list[str]]()
    for line in lines:
        if line.setting.baseline is None and line.runs:
            same.setdefault(tuple(line.runs.values()), []).append(line.setting.label)
    notes += [f"{' and '.join(labels)} are the same trainings" for labels in same.values() if len(labels) > 1]
    if max(len(line.runs) for line in lines) == 1:
        notes.append("a single seed has no interval and no test; give seeds = [0, 1, 2, 3, 4]")
    return notes
