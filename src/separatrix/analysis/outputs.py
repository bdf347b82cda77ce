"""Outputs of finished runs looked at without their labels: what pictures and clusters lose of a run's own decision.

Outputs of validation and test rows are laid out together; labels of validation rows alone choose and name, and every
figure is one of test rows. "Lost" is the run's own accuracy less that of a reader, on the same rows. A run's answer
compares the reader that does best in PCA's plane with the one that does best elsewhere, both chosen on validation rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from separatrix.analysis.compared import short_names
from separatrix.analysis.inputs import FinishedRun
from separatrix.codes import draw_rows
from separatrix.errors import DataError, MissingExtra, OptionError, StoreError
from separatrix.extraction.readers import PromptReader
from separatrix.geometry.project import make_map
from separatrix.geometry.resample import PairedDifference, bootstrap_mean, compare_answers, holm, mean_interval
from separatrix.geometry.views import READERS, DecidedRows, ReaderAnswers, choose_preparation, read_view
from separatrix.learn.trained.loading import load_model
from separatrix.learn.trained.prompt import PromptModel
from separatrix.progress import Progress, rows_done, silent
from separatrix.recipe import digest
from separatrix.recipe.project import ProjectRecipe, ReportRecipe
from separatrix.recipe.vectors import VectorsRecipe
from separatrix.reports.collect import Sheet, write_collection
from separatrix.reports.page import ReportFile
from separatrix.reports.result import PictureFile
from separatrix.store.contents import open_artifact
from separatrix.store.folder import SHOWN, has_result
from separatrix.store.kinds import kind_of
from separatrix.store.result import Lines, Listing, read_run_files
from separatrix.texts.pairs import texts_of
from separatrix.view import save
from separatrix.view.maps import Drawing, draw_grid

ALL, PCA = "all dimensions", "pca"
PARTS = ("validation", "test")  # those that choose, and those that are scored
LEARNT = 0.1  # a decision that beats the majority by less has nothing that a picture could miss
NOTICED = 0.02  # accuracy below which nobody would call a difference missing what is there
NOTHING_WIDE = 1e-9  # of an interval
ViewReadings = Mapping[str, Mapping[str, ReaderAnswers]]  # view -> reader -> what it makes of it
YES, NO, OPEN, NOTHING = "yes", "no", "cannot be told", "nothing to miss"
NO_MAP = "there is no map by PCA"


@dataclass(frozen=True, eq=False)
class RunOutputs:
    """What is looked at of a run."""

    name: str
    result: Mapping[str, Any]  # of `result.json`
    rows: DecidedRows
    ids: tuple[str, ...]  # of the scored rows


@dataclass(frozen=True, eq=False)
class ReadRun:
    """A run with its figures, and its maps."""

    figures: dict[str, Any]
    drawings: dict[str, Drawing]  # of the test rows, by method
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, repr=False)
class OutputStudy(ReportFile):
    """What pictures and clusters lose of the decisions of runs: a page, and its figures.

    Attributes:
        runs: of each run `run`, `method`, `loss`, its own `accuracy` on all test rows with `interval`, `majority`,
            `rows` that were looked at, `prepare` (chosen), `views` (a line for each view and reader: `accuracy`,
            `lost` with `lost_low` and `lost_high`, `p_value`, `p_holm`), `missed` (what PCA's plane loses more than
            the best other view) and an `answer` in one sentence.
        verdict: mean of `missed` over runs with its interval, `holds` and a `sentence`.
    """

    runs: Sequence[Mapping[str, Any]] = ()
    verdict: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def table(self) -> pd.DataFrame:
        """A row for each run, view and reader."""
        return pd.DataFrame([{"run": run["run"], **line} for run in self.runs for line in run["views"]])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        more = {"study": "outputs", "runs": list(self.runs), "verdict": dict(self.verdict), "notes": list(self.notes)}
        return super().to_dict() | more

    def parts(self) -> list[Listing | Lines]:
        """The table, an answer for each run, the verdict."""
        answers = [(str(run["run"]), run["answer"]) for run in self.runs]
        lines = [*answers, ("verdict", self.verdict["sentence"]), *(("note", note) for note in self.notes)]
        return [_listing(self.runs), lines, [("out", self.path), ("bytes", self.bytes)]]


def study_outputs(
    folders: Sequence[Path], out: Path, recipe: ReportRecipe, *, verify: bool = True, progress: Progress = silent
) -> OutputStudy:
    """Look at the outputs of runs, and write the page.

    Args:
        folders: of finished runs of classes with validation and test rows.
        out: the page.
        recipe: maps, rows and seed.
        verify: compare what is read with its hashes.
        progress: is called with (stage, done, total, note).

    Raises:
        OptionError: a run that predicts numbers, or has no validation or test rows.
        StoreError: a folder that holds no finished run.
    """
    read = []
    for number, (folder, name) in enumerate(zip(folders, short_names(folders), strict=True)):
        progress("outputs", number, len(folders), name)
        read.append(_read(_outputs(folder, name, recipe, verify, progress), recipe))
    progress("outputs", len(folders), len(folders), "")
    runs, verdict = [one.figures for one in read], over_runs([one.figures for one in read])
    notes = tuple(dict.fromkeys([*(note for one in read for note in one.notes), *HOW]))
    with TemporaryDirectory() as drawn:
        written = write_collection(out, out.stem, _sheets(read, verdict, notes, Path(drawn), recipe.method))
    return OutputStudy(written.path, written.bytes, runs, verdict, notes)


HOW = (
    "Lost is the run's own accuracy on the same test rows less that of the reader, with a 95 % interval over rows; "
    "below 0 the view shows more than the run decides by.",
    "Views see no label. Labels of validation rows vote, train the probe and name the clusters, and choose how many "
    "neighbors vote and whether columns are standardised; test rows are only scored.",
    "A p-value compares one reader with the run itself, corrected (Holm) over all readers and views of the run; "
    "whether PCA misses something compares two views with each other, so one can be sure where the other is not.",
)


def _outputs(folder: Path, name: str, recipe: ReportRecipe, verify: bool, progress: Progress) -> RunOutputs:
    """Outputs of the validation and test rows of a run, at most so many of each."""
    if kind_of(folder) != "run" or not has_result(folder):
        is_sweep = kind_of(folder) == "sweep"
        hint = f"give some of its runs: {folder / 'runs'}/*" if is_sweep else "give folders that train wrote"
        raise StoreError(f"{folder} holds no finished run", hint=hint)
    open_artifact(folder, "run", verify=verify, only=SHOWN)
    result = read_run_files(folder)[1]
    names = tuple(map(str, result.get("classes") or ()))
    if "per_label" in result["scores"].get("validation", {}):
        raise OptionError(f"{folder} has no outputs to study", got="several labels a row", expected="one class a row")
    if not names or {*PARTS} - {*result["scores"]}:
        got = f"scores of {', '.join(result['scores'])}" if names else "a run that predicts numbers"
        raise OptionError(f"{folder} has no outputs to study", got=got, expected="classes, validation and test rows")
    tables = [FinishedRun(folder).answers(part, ("id", "text", "label", "predicted")) for part in PARTS]
    drawn = [one.iloc[draw_rows(len(one), recipe.rows, recipe.seed)] for one in tables]
    both = pd.concat(drawn, ignore_index=True)
    numbers = {name: number for number, name in enumerate(names)}
    gold, own = (np.array([numbers.get(str(value), -1) for value in both[key]]) for key in ("label", "predicted"))
    x = _vectors(folder, texts_of(both), verify, progress)
    choosing = np.arange(len(both)) < len(drawn[0])
    known = gold >= 0
    rows = DecidedRows(x[known], gold[known], own[known], choosing[known], names)
    return RunOutputs(name, result, rows, tuple(map(str, drawn[1]["id"])))


def _vectors(folder: Path, texts: Sequence[str], verify: bool, progress: Progress) -> np.ndarray:
    """Of a prompt, the states that it is read at; of another model, the vectors that decide; (rows, width)."""
    model, done = load_model(folder, verify=verify), rows_done(progress, len(texts))
    if isinstance(model, PromptModel):
        reader = PromptReader(model, VectorsRecipe())
        return reader.read(reader.tokenize(texts), ("prompt",), done)["prompt"]
    return model.answer(texts, progress).vectors


def _read(run: RunOutputs, recipe: ReportRecipe) -> ReadRun:
    """Every view of a run's outputs, read in every way."""
    rows, notes = run.rows, []
    prepared, x = choose_preparation(rows)
    readings, drawings = {ALL: read_view(x, rows, recipe.seed)}, {}
    for method in recipe.method:
        try:
            flat = make_map(x, ProjectRecipe(method=method, seed=recipe.seed))
        except (MissingExtra, DataError) as error:  # outputs that are all the same have no map
            where = "" if isinstance(error, MissingExtra) else f" for {run.name}"
            notes.append(f"{method} is left out{where}: {error}")
            continue
        readings[method] = read_view(flat.coordinates, rows, recipe.seed)
        note = "; ".join(_panel_note(method, readings[method], rows))
        places, gold = flat.coordinates[~rows.choosing], rows.gold[~rows.choosing]
        drawings[method] = Drawing(places, gold, rows.names, flat.axes, run.name, note)
    figures = _figures(run, readings, prepared, recipe.seed)
    return ReadRun(figures, drawings, tuple(notes))


def _panel_note(method: str, readings: Mapping[str, ReaderAnswers], rows: DecidedRows) -> list[str]:
    """What stands above a map: the figures of its readers beside the run's own."""
    read = [f"{READERS[name]} {readings[name].right.mean():.2f}" for name in READERS]
    return [f"{method}: the run itself {rows.own.mean():.2f}", ", ".join(read)]


def _figures(run: RunOutputs, readings: ViewReadings, prepared: str, seed: int) -> dict[str, Any]:
    rows, scores = run.rows, run.result["scores"]["test"]
    lines: list[dict[str, Any]] = []
    for view, ways in readings.items():
        for reader, reading in ways.items():
            lost = compare_answers(rows.own, reading.right, seed=seed)
            accuracy = {"accuracy": float(reading.right.mean()), "validation": reading.chosen}
            low, high = lost.interval
            pair = {"lost": lost.difference, "lost_low": low, "lost_high": high, "p_value": lost.p_value}
            lines.append({"view": view, "reader": reader, **accuracy, **pair})
    for line, p in zip(lines, holm([line["p_value"] for line in lines]).tolist(), strict=True):
        line["p_holm"] = p
    figures = {
        "run": run.name, "method": run.result["method"], "loss": run.result["loss"],
        "model": run.result["model"]["name"], "accuracy": scores["accuracy"], "interval": list(scores["interval"]),
        "test_rows": scores.get("rows"), "rows": len(rows.own), "chosen_by": int(rows.choosing.sum()),
        "own": float(rows.own.mean()), "own_interval": list(bootstrap_mean(rows.own, seed=seed)),
        "majority": rows.majority, "prepare": prepared, "views": lines, "sample": digest(*run.ids),
    }  # fmt: skip
    return figures | _missed(figures, readings, seed)


def _missed(figures: Mapping[str, Any], readings: ViewReadings, seed: int) -> dict[str, Any]:
    """What PCA's plane loses more than the view that shows most, each read in the way that validation chose."""
    if PCA not in readings:
        return {"missed": None, "answer": f"{OPEN}: {NO_MAP}", "holds": OPEN}
    best = {view: max((one for one in ways.values() if one.chosen is not None), key=lambda one: one.chosen or 0.0)
            for view, ways in readings.items()}  # fmt: skip
    other = max((view for view in best if view != PCA), key=lambda view: best[view].chosen or 0.0)
    gap = compare_answers(best[other].right, best[PCA].right, seed=seed)
    reader = {view: next(name for name, one in readings[view].items() if one is best[view]) for view in (PCA, other)}
    lost = {view: _line(figures["views"], view, reader[view]) for view in (PCA, other)}
    missed = {"beside": other, "readers": [reader[PCA], reader[other]], **gap.to_dict()}
    holds = _holds(figures, gap)
    sentence = (
        f"{holds}: of the run's {figures['own']:.3f} PCA's plane loses {_spell(lost[PCA])} (read by "
        f"{READERS[reader[PCA]]}), {other} {_spell(lost[other])} ({READERS[reader[other]]}); the plane loses "
        f"{_gap(gap)} more"
    )
    if holds == NOTHING:
        sentence = f"{NOTHING}: the run's {figures['own']:.3f} is hardly above the majority, {figures['majority']:.3f}"
    return {"missed": missed, "answer": sentence, "holds": holds}


def _holds(figures: Mapping[str, Any], gap: PairedDifference) -> str:
    """Whether PCA misses what is there."""
    if figures["own"] - figures["majority"] < LEARNT:
        return NOTHING
    low, high = gap.interval
    return judged(gap.difference, low, high)


def judged(mean: float, low: float | None, high: float | None) -> str:
    """What a difference with its interval says of a loss that would be noticed.

    An interval of no width comes of figures that happen to be equal, as those of two runs on few rows: it says nothing.

    >>> judged(0.1, 0.05, 0.15), judged(0.0, -0.01, 0.01), judged(0.05, -0.02, 0.12), judged(0.05, None, None)
    ('yes', 'no', 'cannot be told', 'cannot be told')
    """
    if low is None or high is None or (mean and high - low < NOTHING_WIDE):
        return OPEN
    if low > 0 and mean >= NOTICED:
        return YES
    return NO if high <= NOTICED else OPEN


def over_runs(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Whether PCA misses what is there, over all runs that learnt something; runs on the same rows are one sample.

    Where all are such, the interval is one over runs: it says how prompts differ, not how other rows would.
    """
    mapped = [run for run in runs if run["missed"] is not None]
    kept = [run for run in mapped if run["holds"] != NOTHING]
    if not kept:
        why = f"no run beats the majority by {LEARNT}: there is nothing to miss" if mapped else NO_MAP
        return {"holds": OPEN, "runs": 0, "sentence": f"PCA misses what is there: {OPEN}; {why}"}
    samples: dict[str, list[float]] = {}
    for run in kept:
        samples.setdefault(run["sample"], []).append(run["missed"]["difference"])
    one = len(samples) == 1
    values = [run["missed"]["difference"] for run in kept] if one else [float(np.mean(own)) for own in samples.values()]
    gap = mean_interval(values)
    holds = kept[0]["holds"] if len(kept) == 1 else judged(gap.mean, gap.low, gap.high)
    low, high = kept[0]["missed"]["interval"] if len(kept) == 1 else (gap.low, gap.high)
    unit = (
        "rows of the one run" if len(kept) == 1 else "runs on the same rows" if one else f"{gap.runs} samples of rows"
    )
    sentence = (
        f"PCA misses what is there: {holds}; over {len(kept)} run{'s' * (len(kept) > 1)} its plane loses "
        f"{gap.mean:.3f} more than the best other view, judged by the 95 % interval of this difference over {unit}: "
        f"{low:.3f} to {high:.3f}"
    )
    return {"holds": holds, "runs": len(kept), "samples": len(samples), "missed": gap.mean, "low": low, "high": high,
            "sentence": sentence}  # fmt: skip


def _line(lines: Sequence[Mapping[str, Any]], view: str, reader: str) -> Mapping[str, Any]:
    return next(line for line in lines if (line["view"], line["reader"]) == (view, reader))


def _spell(line: Mapping[str, Any]) -> str:
    return f"{line['lost']:.3f} ({line['lost_low']:.3f} to {line['lost_high']:.3f})"


def _gap(gap: PairedDifference) -> str:
    return f"{gap.difference:.3f} ({gap.interval[0]:.3f} to {gap.interval[1]:.3f})"


def _listing(runs: Sequence[Mapping[str, Any]]) -> Listing:
    """A line for each run and view: the run's own accuracy, and what each reader loses of it."""
    headings = ["run", "own accuracy (95 %)", "majority", "view", *(f"lost by {name}" for name in READERS.values())]
    rows = []
    for run in runs:
        low, high = run["interval"]
        head = [str(run["run"]), f"{run['accuracy']:.3f} ({low:.3f} to {high:.3f})", f"{run['majority']:.3f}"]
        for view in dict.fromkeys(line["view"] for line in run["views"]):
            rows.append([*head, view, *(_spell(_line(run["views"], view, reader)) for reader in READERS)])
            head = ["", "", ""]
    return Listing(headings, rows, [bool(row[0]) for row in rows], [False, True, True, False, *[True] * len(READERS)])


def _sheets(
    read: Sequence[ReadRun], verdict: Mapping[str, Any], notes: Sequence[str], folder: Path, methods: Sequence[str]
) -> list[Sheet]:
    """The table of all runs with their maps side by side, then each run."""
    runs = [one.figures for one in read]
    drawn = [method for method in methods if any(method in one.drawings for one in read)]
    pictures: tuple[PictureFile, ...] = ()
    if drawn:
        panels = [[one.drawings.get(method) for one in read] for method in drawn]
        across = "methods down, runs across"
        if len(read) == 1:
            panels, across = [[line[0] for line in panels]], "one beside the other"
        save(draw_grid(panels), folder / "maps.png")
        pictures = (PictureFile(f"maps of the test rows, {across}", folder / "maps.png"),)
    answers = [f"{run['run']}: {run['answer']}" for run in runs]
    figures, lines = (("verdict", verdict["sentence"]),), (*answers, *notes)
    first = Sheet("outputs", "study", figures, _listing(runs), notes=lines, pictures=pictures)
    return [first, *(_run_sheet(run) for run in runs)]


SHOWN_FIGURES = ("method", "loss", "model", "own", "majority", "rows", "chosen_by", "prepare")
COLUMNS = ("view", "reader", "accuracy", "lost", "lost_low", "lost_high", "p_value", "p_holm")


def _run_sheet(run: Mapping[str, Any]) -> Sheet:
    own = [(key.replace("_", " "), run[key]) for key in SHOWN_FIGURES]
    figures = (("PCA misses what is there", run["holds"]), *own)
    lines = [{key: line[key] for key in COLUMNS} | {"reader": READERS[line["reader"]]} for line in run["views"]]
    return Sheet(str(run["run"]), "run", figures, lines, notes=(run["answer"],))
