"""Rows whose label is likely wrong, with the reason, the most suspect first.

Of points: a k-NN and a linear probe judge every row without having seen it; near duplicates and equal texts with
another label are pointed out; with a run on the same rows its training dynamics stand beside. Of a run alone: its
validation rows, which it never trained on. An outcome folder holds suspects.parquet and suspects.csv, rows.parquet (all
rows with all figures), result.json and suspects.html.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import numpy as np
from numpy.typing import NDArray

from separatrix import recipe as recipes
from separatrix.analysis.flat import flat_map
from separatrix.analysis.inputs import FinishedRun
from separatrix.analysis.judged_rows import (
    LIKELY,
    TINY,
    JudgedRows,
    class_numbers,
    doubts,
    expected_shares,
    few_rows,
    judged_joint,
    judging_rows,
    near_columns,
    quality,
    reasons,
    text_columns,
    which_rows,
)
from separatrix.analysis.label_set_suspects import judge_label_sets, judge_run_label_sets, label_listing
from separatrix.analysis.labelled_files import cleaned_file, label_issues, read_texts
from separatrix.analysis.neighbor_graph import surroundings
from separatrix.analysis.project import LABEL
from separatrix.errors import DataError, OptionError, StoreError
from separatrix.geometry.classes import deal_folds, first_row_order
from separatrix.geometry.noise import fit_noise
from separatrix.geometry.suspects import (
    ConfidentJoint,
    Dynamics,
    among_copies,
    confident_joint,
    dynamics,
    learnt_elsewhere,
    out_of_fold,
    scored_dynamics,
)
from separatrix.learn.plane import OutputPlane
from separatrix.points import Points
from separatrix.progress import Progress, silent
from separatrix.recipe.arguments import checks_arguments
from separatrix.recipe.cluster import SuspectsRecipe
from separatrix.recipe.core import flag
from separatrix.recipe.load import LoadRecipe
from separatrix.recipe.options import SuspectsOptions
from separatrix.reports.map_page import MOST
from separatrix.reports.rows import PageRows, RowMap
from separatrix.rowtable import ExtendedTable, FrameTable, RowTable
from separatrix.store.contents import open_artifact
from separatrix.store.files import Schema, read_json, reading
from separatrix.store.folder import RESULT, SHOWN, TRAJECTORY
from separatrix.store.kinds import kind_of
from separatrix.store.points import open_points
from separatrix.store.result import Lines, Listing, Result, apart, optional, out_line
from separatrix.store.rows import ParquetTable, write_rows
from separatrix.store.table import read_table, write_table

if TYPE_CHECKING:
    import pandas as pd

SUSPECTS, ALL_ROWS, ISSUES, PAGE = "suspects.parquet", "rows.parquet", "label_issues.csv", "suspects.html"
_OF_RUN = "validation rows of the run"
MOST_LINES = 10  # of the table that are printed

_OF_TEXTS = ("text", "model", "pool", "dtype", "device", *recipes.option_names(LoadRecipe()))
_OF_POINTS = ("label", "label_separator", "folds", "k", "near", "most_rows", "neighbors")


@dataclass(frozen=True, eq=False, repr=False)
class Suspects(Result):
    """Rows whose label is likely wrong, and the figures of all rows."""

    kind: ClassVar[str] = "suspects"
    schema: ClassVar[Schema] = {"estimated_noise": float, "warnings": [str], "suspects?": int, "judged?": str}

    table: pd.DataFrame = apart()  # the suspects, most suspect first
    row_table: RowTable = apart()  # every row with its figures, in the order given
    judged: str = ""  # which rows
    estimated_noise: float = 0.0  # share of wrong labels
    estimated_errors: int = 0  # rows of it
    expected_precision: Mapping[str, float] = field(default_factory=dict)  # first so many rows -> share of true errors
    accuracy: float | None = None  # of the judges together, against the labels given
    estimated_noise_by_model: Mapping[str, float] = field(default_factory=dict)
    flagged: Mapping[str, int] = field(default_factory=dict)  # by model
    flagged_by_all: int = 0
    models: Mapping[str, Any] = field(default_factory=dict)  # how good each judge is
    classes: Sequence[str] = ()
    joint: Sequence[Sequence[float]] = ()  # (label, true class) estimated shares; empty for several labels a row
    by_label: Sequence[Mapping[str, Any]] | None = optional()  # of several labels a row: what is doubted of each
    recipe: SuspectsRecipe | Mapping[str, Any] = field(default_factory=SuspectsRecipe)
    dropped: Mapping[str, Any] | None = optional()  # file without the suspects, and how many rows are left
    issues: pd.DataFrame | None = apart(None)  # of texts: rows with all columns of their file, and four more
    warnings: Sequence[str] = ()  # reasons to doubt the suspects
    flat: RowMap | None = apart()  # where all rows lie on the page

    @classmethod
    def stored(cls, folder: Path, _plain: dict[str, Any]) -> dict[str, Any]:
        """The tables."""
        rows = ParquetTable.open(folder / ALL_ROWS, ("id",))
        return {"table": read_table(folder / SUSPECTS, ("id",)), "row_table": rows}

    @cached_property
    def rows(self) -> pd.DataFrame:
        """Every row as a pandas frame; of suspects on disk it is read into memory now, and kept."""
        return self.row_table.to_pandas()

    def figures(self) -> dict[str, Any]:
        """What `result.json` holds."""
        counts = {"suspects": len(self.table), "rows": len(self.row_table)}
        return counts | super().figures() | {"judges": dict(self.models)}

    def parts(self) -> list[Listing | Lines]:
        """The first suspects, and the figures."""
        cells = [
            [str(row["id"]), str(row["label"]), row["suggested"], f"{row['score']:.3f}", str(row.get("text", "-"))[:60]]
            for row in self.table.head(MOST_LINES).to_dict("records")
        ]
        plain = self.figures()
        keys = ("suspects", "rows", "estimated_noise", "estimated_errors", "judged", "accuracy")
        lines: list[tuple[str, object]] = [
            *((key, plain[key]) for key in keys if plain[key] is not None),
            *self._expected(),
            *out_line(self.folder),
        ]
        if self.dropped is not None:
            left, gone = self.dropped["left"], self.dropped["dropped"]
            share = f"{gone} of {left + gone} dropped, {gone / (left + gone):.1%}"
            lines += [("left", f"{left} rows in {self.dropped['file']} ({share})")]
        lines += [("warning", line) for line in self.warnings]
        listings = [Listing(["id", "label", "suggested", "score", "text"], cells)] if cells else []
        listings += [] if self.by_label is None else [label_listing(self.by_label)]
        return [*listings, lines]

    def _expected(self) -> Lines:
        shares = ", ".join(f"{share:.0%} of the first {rows}" for rows, share in self.expected_precision.items())
        return [("expected to be wrong", shares)] if shares else []

    def write_files(self, folder: Path) -> None:
        """Write tables and the page."""
        from separatrix.reports.suspects import write_suspects

        write_table(folder / SUSPECTS, self.table)
        write_table(folder / "suspects.csv", self.table)
        if self.issues is not None:
            write_table(folder / ISSUES, self.issues)
        write_rows(folder / ALL_ROWS, self.row_table)
        shown = None if self.flat is None or len(self.row_table) > MOST else self._page_rows()
        suspects = [dict(row) for _, row in self.table.iterrows()]
        write_suspects(folder / PAGE, suspects, self.figures(), shown, self.flat)

    def _page_rows(self) -> PageRows:
        """All rows as a page shows them: the judges' answers against the labels."""
        columns = [LABEL, "suggested", "id", "score", "is_label_issue"]  # the label's own may be called `score`
        frame = self.row_table.frame([*columns, *(["text"] if "text" in self.row_table else [])])
        given = [frame[name].astype(str).tolist() for name in columns[:2]]
        names = list(dict.fromkeys([*self.classes, *given[0], *given[1]]))
        numbers = {name: number for number, name in enumerate(names)}
        codes = [np.array([numbers[one] for one in column]) for column in given]
        texts = frame["text"].astype(str).tolist() if "text" in frame else [""] * len(frame)
        doubt = np.where(frame["is_label_issue"], 1 - frame["score"], np.nan)
        return PageRows(texts, names, codes[0], codes[1], frame["id"].tolist(), suspect=doubt)


@checks_arguments
def suspects(
    source: Any,
    *,
    recipe: SuspectsRecipe | None = None,
    out: str | Path | None = None,
    drop: str | Path | None = None,
    overwrite: bool = False,
    verify: bool = True,
    progress: Progress | None = None,
    **options: Unpack[SuspectsOptions],
) -> Suspects:
    """Find labels that are likely wrong.

    Args:
        source: points with a label column, or their folder; labelled texts, as `Splits` or what `load_texts` reads (a
            file, a frame), whose vectors a frozen model gives (`model`, `pool`); or a run (its result or its folder),
            whose validation rows are then judged.
        recipe: all options at once.
        out: folder to write; nothing is written without it.
        drop: file to write: the rows of a file of texts but for the suspects, in its own format.
        overwrite: replace earlier suspects there, and the file of `drop`.
        verify: compare the files of a run with their hashes.
        progress: is called with (stage, done, total, note).
        options: single options of `SuspectsRecipe` or `LoadRecipe`, by name.

    Raises:
        DataError: no labels, one class, a number that is not finite, a run on other rows.
        StoreError: the place is taken, or the folder holds no run.

    >>> rng = np.random.default_rng(0)
    >>> heaps = np.repeat([[4.0, 0.0], [0.0, 4.0]], 40, axis=0) + rng.normal(size=(80, 2)) / 4
    >>> labels = ["a"] * 40 + ["b"] * 39 + ["a"]
    >>> suspects(Points.of(heaps, {"label": labels}), near=1.0).table[["id", "label", "suggested"]].to_dict("records")
    [{'id': 79, 'label': 'a', 'suggested': 'b'}]
    """
    progress = progress or silent
    reading = {name: options.pop(name) for name in recipes.option_names(LoadRecipe()) if name in options}  # type: ignore[misc]
    loading, wanted = LoadRecipe(**reading), recipes.replace(recipe or SuspectsRecipe(), **options)
    given = (source.folder or source) if isinstance(source, Result) else source
    inputs = given.folders if isinstance(given, Points) else [getattr(given, "source", given)]
    with cleaned_file(given, None if drop is None else Path(drop), loading, overwrite=overwrite) as write_cleaned:

        def judge() -> Suspects:
            result = _of_source(given, wanted, loading, {*options, *reading}, verify, progress)
            return replace(result, dropped=write_cleaned(result.table["id"].tolist()))

        return Suspects.produce(
            judge,
            wanted, out, overwrite=overwrite, progress=progress, stage=("suspect labels", 1),
            inputs=[one for one in (*inputs, wanted.run, wanted.neighbors) if isinstance(one, str | Path)],
        )  # fmt: skip


def _of_source(
    source: Any,
    recipe: SuspectsRecipe,
    loading: LoadRecipe,
    given: set[str],
    verify: bool,
    progress: Progress,
) -> Suspects:
    """Points, a folder of points, a run, or labelled texts whose vectors are read first."""
    kind = kind_of(Path(source)) if isinstance(source, str | Path) and Path(source).is_dir() else None
    kind = source.kind if isinstance(source, Result) else kind
    if not isinstance(source, Points | Result) and kind is None:
        read = read_texts(source, recipe, loading, progress)
        of_column = recipes.replace(recipe, label=read.label)
        of_texts = _of_points(read.points, read.warnings, of_column, verify, read.separator)
        judged = of_texts.judged.replace("the points", "the texts", 1)
        return replace(of_texts, judged=judged, recipe=recipe, issues=label_issues(of_texts.rows, source, loading))
    for names, owner in (_OF_TEXTS, "texts"), (_OF_POINTS if kind == "run" else (), "points"):
        for name in names:
            if name in given or getattr(recipe, name, None) != getattr(SuspectsRecipe, name, None):
                raise OptionError(f"{flag(name)} has no effect: it belongs to {owner}", hint=f"leave {flag(name)} away")
    if isinstance(source, Points):
        return _of_points(source, [], recipe, verify)
    if kind == "run":
        return _of_run(FinishedRun.of(source), recipe, verify)
    if kind != "points" or isinstance(source, Result):
        what = f"a result of {kind}" if isinstance(source, Result) else str(source)
        raise StoreError(f"{what} holds nothing to judge", got=kind, expected="points, a run or labelled texts")
    return _of_points(open_points(source, verify=verify), [], recipe, verify)


def _of_points(
    points: Points, warnings: list[str], recipe: SuspectsRecipe, verify: bool, separator: str | None = None
) -> Suspects:
    chosen = points.pick(recipe.block) if recipe.block else points
    separator = separator or recipe.label_separator
    if recipe.label not in chosen.rows:
        got = ", ".join(map(str, chosen.rows.columns))
        raise DataError(f"the rows have no column {recipe.label!r}", got=got, hint="name the labels with --label")
    codes, names = class_numbers(chosen.rows.series(recipe.label), recipe.label, sets=separator is not None)
    known = codes >= 0
    labelled, labels = (chosen, codes) if known.all() else (chosen.where(known), codes[known])
    warnings = [*warnings, *([] if known.all() else [f"{(~known).sum()} rows have no label and are left out"])]
    if separator is not None:
        return Suspects(**judge_label_sets(labelled, separator, recipe, warnings, verify=verify), recipe=recipe)
    sample = judging_rows(labels, recipe)
    near = surroundings(labelled, sample, recipe, verify=verify)
    warnings += near.warnings
    vectors = labelled.values
    fold = deal_folds(labels, recipe.folds, groups=near.equal, seed=recipe.seed)
    learnt = learnt_elsewhere(labels, fold, sample)
    if (several := len(np.unique(labels[learnt]))) < 2:
        raise DataError("too few classes have two different rows", got=f"{several} of {len(names)}", expected="2")
    chances = out_of_fold(vectors, labels, fold, classes=len(names), k=recipe.k, around=near.around, sample=sample)
    case = JudgedRows(labelled.rows, labels, names, chances, recipe.seed, warnings, learnt)
    warnings += few_rows(case, recipe.folds)
    columns = near_columns(case, near.index, near.cosine, recipe.near) | text_columns(case)
    if recipe.run is not None:
        columns |= _dynamics_columns(case, Path(recipe.run), recipe.label, verify)
    judged = _judge(case, columns, recipe, which_rows("points", len(sample), len(labels)))
    return replace(judged, flat=flat_map(vectors, recipe.seed))


def _of_run(run: FinishedRun, recipe: SuspectsRecipe, verify: bool) -> Suspects:
    """The validation rows of a run: its calibrated probabilities, and its scores after every epoch."""
    if recipe.run is not None or recipe.block is not None:
        raise OptionError("--run and --block need points to judge", got=run.name, hint="give the points first")
    if run.folder is None:
        return _judge_run(run, recipe)
    _run_file(run.folder, RESULT, verify)
    with reading(run.folder):
        return _judge_run(run, recipe)


def _judge_run(run: FinishedRun, recipe: SuspectsRecipe) -> Suspects:
    names = tuple(run.figures({"classes": [str]})["classes"])
    table = run.answers("validation", ("id", "label"))
    if not names:
        raise DataError(f"{run.name} predicts numbers", expected="a run with classes")
    chances = table[[f"probability_{name}" for name in names]].to_numpy(dtype=np.float64)
    shown = table[[name for name in ("id", "text", "label", "group") if name in table.columns]]
    if "per_label" in run.figures({"scores": dict})["scores"].get("validation", {}):
        fields = judge_run_label_sets(shown, names, chances, recipe.seed)
        return Suspects(**fields, judged=_OF_RUN, recipe=recipe)
    labels = np.array([names.index(str(label)) for label in table["label"]])
    case = JudgedRows(FrameTable(shown), labels, names, {"run": chances}, recipe.seed)
    columns = text_columns(case) | _epoch_columns(case, run.trajectory)
    judged = _judge(case, columns, recipe, _OF_RUN)
    plane = getattr(run.result, "plane", None) if run.folder is None else OutputPlane.read(run.folder / "predictions")
    if plane is None or "validation" not in plane.coordinates:
        return judged
    return replace(judged, flat=RowMap("outputs", plane.coordinates["validation"][None], plane.axes, plane.note))


def _judge(case: JudgedRows, columns: dict[str, Any], recipe: SuspectsRecipe, which: str) -> Suspects:
    judged = case.judged
    labels, copies = case.labels[judged], None if case.copies is None else case.copies[judged]
    scores = {name: np.log(np.maximum(one[judged][:, case.possible], TINY)) for name, one in case.chances.items()}
    noise = fit_noise(scores, np.searchsorted(case.possible, labels))
    chances = np.zeros((len(labels), len(case.names)))
    chances[:, case.possible] = noise.chances
    error = noise.error if copies is None else among_copies(noise.error, copies, labels)
    joints = {name: judged_joint(case, one) for name, one in case.chances.items()}
    mean = confident_joint(chances, labels)
    names, given = np.array(case.names, dtype=object), case.rows
    first = first_row_order(case.labels, len(names))  # of equal probabilities the class that comes first
    guess = case.labels.copy()
    guess[judged] = first[chances[:, first].argmax(axis=1)]
    issue = np.zeros(len(guess), bool)
    issue[judged] = (error > LIKELY) & (guess[judged] != labels)
    if copies is not None:
        issue[judged] |= error > np.maximum(noise.error, LIKELY)  # of two copies the one that is likelier to be wrong
    added = _label_columns(case, recipe.label, joints)
    added |= {"suggested": names[guess], "score": case.spread(1 - error), "is_label_issue": issue}
    added["self_confidence"] = case.spread(mean.self_confidence)
    why = np.array(reasons(case, joints, columns), dtype=object)
    why[issue & (why == "")] = "the judges together"
    why[~issue] = ""
    rows = ExtendedTable(given, added | columns | {"reason": why})
    order = np.argsort(case.spread(-error), kind="stable")  # rows that are not judged last
    suspect = order[issue[order]]
    judges = {name: quality(case, one) for name, one in case.chances.items()}
    expected = expected_shares(-np.sort(-error))
    return Suspects(
        table=rows.take(suspect).to_pandas(),
        row_table=rows,
        judged=which,
        estimated_noise=float(error.mean()),
        estimated_errors=round(float(error.sum())),
        expected_precision=expected,
        accuracy=float((guess[judged] == labels).mean()),
        estimated_noise_by_model={name: joint.noise for name, joint in joints.items()},
        flagged={name: int(joint.flagged.sum()) for name, joint in joints.items()},
        flagged_by_all=int(np.logical_and.reduce([joint.flagged for joint in joints.values()]).sum()),
        models=judges,
        classes=case.names,
        joint=mean.joint.tolist(),
        recipe=recipe,
        warnings=case.warnings + doubts(judges, expected, len(suspect), len(labels)),
    )


def _label_columns(case: JudgedRows, name: str, joints: Mapping[str, ConfidentJoint]) -> dict[str, NDArray[Any]]:
    """The labels that were judged, whatever their column is called, and what each judge says."""
    names = np.array(case.names, dtype=object)
    added: dict[str, NDArray[Any]] = {}
    if name in case.rows and name != "label":
        added["label"] = case.rows.column(name)
    for judge, joint in joints.items():
        added[f"{judge}_suggested"] = names[joint.suggested]
        added[f"{judge}_self_confidence"], added[f"{judge}_flagged"] = joint.self_confidence, joint.flagged
    return added


def _dynamics_columns(case: JudgedRows, run: Path, column: str, verify: bool) -> dict[str, Any]:
    """Training dynamics of the rows that the run was trained on, checked text by text."""
    from separatrix.learn.trajectory import read_dynamics

    recipe = _run_file(run, "recipe.json", verify)
    table = case.rows
    train = np.flatnonzero(table.column("split") == "train") if "split" in table else np.arange(len(table))
    own = read_dynamics(run / TRAJECTORY).astype(np.float64)  # (epochs, train rows)
    wanted = recipe["data"]["train"]
    texts = table.column("text")[train].tolist() if "text" in table else []
    given = table.column(column)[train].tolist()
    forms = (given, [str(one) for one in given])
    if not any(recipes.digest(texts, labels) == wanted["digest"] for labels in forms):
        got = f"{len(train)} rows"
        raise DataError(
            f"{run} was trained on other rows", got=got, expected=f"the {wanted['rows']} rows of its training"
        )
    if not own.size or np.isnan(own).all(axis=0).any():
        case.warnings.append(f"{run} keeps no training dynamics (its loss has no classes within an epoch)")
        return {}
    return _spread(dynamics(own[~np.isnan(own).any(axis=1)]), train, len(table))


def _spread(course: Dynamics, index: NDArray[np.int64], rows: int) -> dict[str, Any]:
    columns = {}
    for name in ("confidence", "variability", "correctness"):
        columns[name] = np.full(rows, np.nan)
        columns[name][index] = getattr(course, name)
    return columns


def _epoch_columns(case: JudgedRows, trajectory: Path | None) -> dict[str, Any]:
    """Training dynamics of the validation rows of a run, from its scores after every epoch."""
    from separatrix.learn.trajectory import read_epoch_scores

    scores = [] if trajectory is None else read_epoch_scores(trajectory)
    if not scores:
        return {}
    return _spread(scored_dynamics(np.stack(scores), case.labels), np.arange(len(case.labels)), len(case.labels))


def _run_file(run: Path, name: str, verify: bool) -> dict[str, Any]:
    """A JSON file of a finished run."""
    if not (run / name).is_file():
        raise StoreError(f"{run} holds no finished run", expected=name, hint="give the folder that train wrote")
    if kind_of(run) == "run":
        open_artifact(run, only=SHOWN, verify=verify)
    return read_json(run / name)
