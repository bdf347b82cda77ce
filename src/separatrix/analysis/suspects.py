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
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import numpy as np
from numpy.typing import NDArray

from separatrix import recipe as recipes
from separatrix.analysis.inputs import FinishedRun
from separatrix.codes import encode
from separatrix.errors import DataError, OptionError, StoreError
from separatrix.geometry.classes import deal_folds
from separatrix.geometry.score import classification
from separatrix.geometry.suspects import (
    ConfidentJoint,
    Dynamics,
    confident_joint,
    dynamics,
    near_groups,
    out_of_fold,
    scored_dynamics,
)
from separatrix.points import Points
from separatrix.progress import Counter, Progress, silent
from separatrix.recipe import ModelRecipe
from separatrix.recipe.arguments import checks_arguments
from separatrix.recipe.cluster import SuspectsRecipe
from separatrix.recipe.core import flag
from separatrix.recipe.options import SuspectsOptions
from separatrix.rowtable import ExtendedTable, FrameTable, RowTable
from separatrix.store.contents import open_artifact
from separatrix.store.files import Schema, read_json, reading
from separatrix.store.folder import RESULT, SHOWN, TRAJECTORY
from separatrix.store.kinds import kind_of
from separatrix.store.points import open_points
from separatrix.store.result import Lines, Listing, Result, apart, out_line
from separatrix.store.rows import ParquetTable, write_rows
from separatrix.store.table import read_table, write_table
from separatrix.texts import Texts, load_texts
from separatrix.texts.audit import normalise

if TYPE_CHECKING:
    import pandas as pd

SUSPECTS, ALL_ROWS, PAGE = "suspects.parquet", "rows.parquet", "suspects.html"
MOST_LINES = 10  # of the table that are printed

_MOST_CLASSES = 1000
_CROWD = 0.1  # share of the rows in one heap of near duplicates from which `near` says nothing
_OF_TEXTS, _OF_POINTS = ("text", "model", "pool", "device"), ("label", "folds", "k", "near")
_EQUAL = 1 - 1e-6  # cosine of equal vectors
_UNLIKE = 0.5  # confidence below which the training dynamics doubt a label


@dataclass(frozen=True, eq=False)
class JudgedRows:
    """Rows with their labels, and what the models say of them."""

    rows: RowTable
    labels: NDArray[np.int64]  # (rows,)
    names: tuple[str, ...]
    chances: dict[str, NDArray[np.float64]]  # model -> (rows, classes)
    seed: int
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False, repr=False)
class Suspects(Result):
    """Rows whose label is likely wrong, and the figures of all rows."""

    kind: ClassVar[str] = "suspects"
    schema: ClassVar[Schema] = {"estimated_noise": float, "warnings": [str], "suspects?": int, "judged?": str}

    table: pd.DataFrame = apart()  # the suspects, most suspect first
    row_table: RowTable = apart()  # every row with its figures, in the order given
    judged: str = ""  # which rows
    estimated_noise: float = 0.0  # share of wrong labels
    estimated_noise_by_model: Mapping[str, float] = field(default_factory=dict)
    flagged: Mapping[str, int] = field(default_factory=dict)  # by model
    flagged_by_all: int = 0
    models: Mapping[str, Any] = field(default_factory=dict)  # how good each judge is
    classes: Sequence[str] = ()
    joint: Sequence[Sequence[float]] = ()  # (label, true class) estimated shares
    recipe: SuspectsRecipe | Mapping[str, Any] = field(default_factory=SuspectsRecipe)
    warnings: Sequence[str] = ()  # reasons to doubt the suspects

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
        keys = ("suspects", "rows", "estimated_noise", "judged")
        lines = [*((key, plain[key]) for key in keys), *out_line(self.folder)]
        return [*([Listing(["id", "label", "suggested", "score", "text"], cells)] * bool(cells)), lines]

    def write_files(self, folder: Path) -> None:
        """Write tables and the page."""
        from separatrix.reports.suspects import write_suspects

        write_table(folder / SUSPECTS, self.table)
        write_table(folder / "suspects.csv", self.table)
        write_rows(folder / ALL_ROWS, self.row_table)
        write_suspects(folder / PAGE, [dict(row) for _, row in self.table.iterrows()], self.figures())


@checks_arguments
def suspects(
    source: Points | Texts | Result | str | Path,
    *,
    recipe: SuspectsRecipe | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    verify: bool = True,
    progress: Progress | None = None,
    **options: Unpack[SuspectsOptions],
) -> Suspects:
    """Find labels that are likely wrong.

    Args:
        source: points with a label column, or their folder; labelled `Texts`, or what `load_texts` reads, whose vectors
            a frozen model gives (`model`, `pool`); or a run (its result or its folder), whose validation rows are then
            judged.
        recipe: all options at once.
        out: folder to write; nothing is written without it.
        overwrite: replace earlier suspects there.
        verify: compare the files of a run with their hashes.
        progress: is called with (stage, done, total, note).
        options: single options of `SuspectsRecipe`, by name.

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
    wanted = recipes.replace(recipe or SuspectsRecipe(), **options)
    given = (source.folder or source) if isinstance(source, Result) else source
    inputs = given.folders if isinstance(given, Points) else [getattr(given, "source", given)]
    return Suspects.produce(
        lambda: _of_source(given, wanted, set(options), verify, progress),
        wanted, out, overwrite=overwrite, progress=progress, stage=("suspect labels", 1),
        inputs=[one for one in (*inputs, wanted.run) if isinstance(one, str | Path)],
    )  # fmt: skip


def _of_source(
    source: Points | Texts | Result | str | Path,
    recipe: SuspectsRecipe,
    given: set[str],
    verify: bool,
    progress: Progress,
) -> Suspects:
    """Points, a folder of points, a run, or labelled texts whose vectors are read first."""
    kind = kind_of(Path(source)) if isinstance(source, str | Path) and Path(source).is_dir() else None
    kind = source.kind if isinstance(source, Result) else kind
    if not isinstance(source, Points | Result) and kind is None:
        of_texts = _of_points(*_read_texts(source, recipe, progress), recipe, verify)
        return replace(of_texts, judged="out-of-fold rows of the texts")
    for names, owner in (_OF_TEXTS, "texts"), (_OF_POINTS if kind == "run" else (), "points"):
        for name in names:
            if name in given or getattr(recipe, name) != getattr(SuspectsRecipe, name):
                raise OptionError(f"{flag(name)} has no effect: it belongs to {owner}", hint=f"leave {flag(name)} away")
    if isinstance(source, Points):
        return _of_points(source, [], recipe, verify)
    assert not isinstance(source, Texts)
    if kind == "run":
        return _of_run(FinishedRun.of(source), recipe, verify)
    if kind != "points" or isinstance(source, Result):
        what = f"a result of {kind}" if isinstance(source, Result) else str(source)
        raise StoreError(f"{what} holds nothing to judge", got=kind, expected="points, a run or labelled texts")
    return _of_points(open_points(source, verify=verify), [], recipe, verify)


def _of_points(points: Points, warnings: list[str], recipe: SuspectsRecipe, verify: bool) -> Suspects:
    chosen = points.pick(recipe.block) if recipe.block else points
    codes, names = _classes(chosen.rows, recipe.label)
    known = codes >= 0
    labelled, labels = (chosen, codes) if known.all() else (chosen.where(known), codes[known])
    vectors = labelled.values
    warnings = [*warnings, *([] if known.all() else [f"{(~known).sum()} rows have no label and are left out"])]
    index, cosine, heaps = near_groups(vectors, near=recipe.near, k=recipe.k)
    crowd = np.bincount(heaps).max() / len(heaps)
    if crowd > _CROWD:
        warnings.append(
            f"{crowd:.0%} of the rows hang together by a cosine of {recipe.near} or more: these vectors lie close "
            "together, and near duplicates say little; raise --near"
        )
        heaps = near_groups(vectors, near=_EQUAL, k=recipe.k)[2]
    thin = [name for name, rows in zip(names, np.bincount(labels), strict=True) if rows < recipe.folds]
    if thin:
        warnings.append(f"classes with fewer rows than folds cannot be judged well: {', '.join(thin[:8])}")
    fold = deal_folds(labels, recipe.folds, groups=heaps, seed=recipe.seed)
    chances = out_of_fold(vectors, labels, fold, classes=len(names), k=recipe.k)
    case = JudgedRows(labelled.rows, labels, names, chances, recipe.seed, warnings)
    columns = _near_columns(case, index, cosine, recipe.near) | _text_columns(case)
    if recipe.run is not None:
        columns |= _dynamics_columns(case, Path(recipe.run), recipe.label, verify)
    return _judge(case, columns, recipe, "out-of-fold rows of the points")


def _classes(table: RowTable, name: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Class number of each row (-1: no label) and the names."""
    if name not in table:
        got = ", ".join(map(str, table.columns))
        raise DataError(f"the rows have no column {name!r}", got=got, hint="name the labels with --label")
    codes, classes = encode(
        table.series(name), by_row=True
    )  # numbered by their first rows: no figure depends on a name
    if not 2 <= len(classes) <= _MOST_CLASSES:
        got = f"{len(classes)} different values"
        raise DataError(f"the column {name!r} holds no classes", got=got, expected=f"2 to {_MOST_CLASSES}")
    return codes, tuple(map(str, classes))


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
    labels = np.array([names.index(str(label)) for label in table["label"]])
    chances = table[[f"probability_{name}" for name in names]].to_numpy(dtype=np.float64)
    shown = table[[name for name in ("id", "text", "label", "group") if name in table.columns]]
    case = JudgedRows(FrameTable(shown), labels, names, {"run": chances}, recipe.seed)
    columns = _text_columns(case) | _epoch_columns(case, run.trajectory)
    return _judge(case, columns, recipe, "validation rows of the run")


def _judge(case: JudgedRows, columns: dict[str, Any], recipe: SuspectsRecipe, which: str) -> Suspects:
    joints = {name: confident_joint(chances, case.labels) for name, chances in case.chances.items()}
    mean = confident_joint(np.mean(list(case.chances.values()), axis=0), case.labels)
    names, given = np.array(case.names, dtype=object), case.rows
    added: dict[str, NDArray[Any]] = {}
    if recipe.label in given and recipe.label != "label":
        added["label"] = given.column(recipe.label)  # whatever the column is called: what was judged
    added |= {"suggested": names[mean.suggested], "score": mean.margin, "self_confidence": mean.self_confidence}
    for name, joint in joints.items():
        added[f"{name}_suggested"] = names[joint.suggested]
        added[f"{name}_self_confidence"], added[f"{name}_flagged"] = joint.self_confidence, joint.flagged
    reasons = np.array(_reasons(case, joints, columns), dtype=object)
    rows = ExtendedTable(given, added | columns | {"reason": reasons})
    suspect = np.flatnonzero(reasons != "")
    suspect = suspect[np.argsort(mean.margin[suspect], kind="stable")]
    quality = {name: _quality(case, chances) for name, chances in case.chances.items()}
    warnings = case.warnings + [
        f"the {name} is not above the majority baseline, so what it doubts means nothing"
        for name, figures in quality.items()
        if figures["interval"][0] <= figures["majority"]
    ]
    return Suspects(
        table=rows.take(suspect).to_pandas(),
        row_table=rows,
        judged=which,
        estimated_noise=mean.noise,
        estimated_noise_by_model={name: joint.noise for name, joint in joints.items()},
        flagged={name: int(joint.flagged.sum()) for name, joint in joints.items()},
        flagged_by_all=int(np.logical_and.reduce([joint.flagged for joint in joints.values()]).sum()),
        models=quality,
        classes=case.names,
        joint=mean.joint.tolist(),
        recipe=recipe,
        warnings=warnings,
    )


def _quality(case: JudgedRows, chances: NDArray[np.float64]) -> dict[str, Any]:
    """How good a judge is: its accuracy against the labels given, with baseline and interval."""
    scores = classification(case.labels, chances.argmax(axis=1), case.names, seed=case.seed)
    return {"accuracy": scores.accuracy, "interval": list(scores.interval), "majority": scores.majority}


def _near_columns(case: JudgedRows, index: NDArray[np.int64], cosine: NDArray[Any], near: float) -> dict[str, Any]:
    """The nearest near duplicate with another label: its id (or None) and its cosine."""
    clash = (cosine >= near) & (case.labels[index] != case.labels[:, None])
    any_clash, column = clash.any(axis=1), clash.argmax(axis=1)
    row, ids = np.arange(len(index)), np.full(len(index), None, dtype=object)
    ids[any_clash] = [str(one) for one in case.rows.take(index[row, column][any_clash]).column("id")]
    return {"near_id": ids, "near_cosine": np.where(any_clash, cosine[row, column], np.nan)}


def _text_columns(case: JudgedRows) -> dict[str, Any]:
    """Labels that the very same text carries elsewhere (up to case and white space)."""
    if "text" not in case.rows:
        return {}
    batches = case.rows.batches(columns=("text",))  # a text can be long: a hash of it is kept
    forms = [
        blake2b(normalise(str(text)).encode("utf-8", "surrogatepass"), digest_size=16).digest()
        for one in batches
        for text in one["text"]
    ]
    given: dict[bytes, set[int]] = {}
    for form, label in zip(forms, case.labels.tolist(), strict=True):
        given.setdefault(form, set()).add(label)
    others = [sorted(given[form] - {label}) for form, label in zip(forms, case.labels.tolist(), strict=True)]
    words = [", ".join(case.names[k] for k in labels) or None for labels in others]
    return {"same_text_labels": np.array(words, dtype=object)}


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


def _reasons(case: JudgedRows, joints: dict[str, ConfidentJoint], columns: dict[str, Any]) -> list[str]:
    """Why a row is suspect, in words; empty for those that are not."""
    words: list[list[str]] = [[] for _ in case.labels]
    flagged = np.array([joint.flagged for joint in joints.values()])  # (models, rows)
    for row in np.flatnonzero(flagged.any(axis=0)).tolist():
        votes: dict[str, list[str]] = {}
        for name, joint in joints.items():
            if joint.flagged[row]:
                votes.setdefault(case.names[joint.suggested[row]], []).append(name)
        words[row] += [f"{' and '.join(models)}: {name}" for name, models in votes.items()]
    for row, other in enumerate(columns.get("near_id", ())):
        if other is not None:
            words[row].append(
                f"near duplicate of {other} (cosine {columns['near_cosine'][row]:.3f}), labelled otherwise"
            )
    for row, names in enumerate(columns.get("same_text_labels", ())):
        if names is not None:
            words[row].append(f"same text labelled {names}")
    for row, chance in enumerate(columns.get("confidence", ())):
        if words[row] and chance < _UNLIKE:
            words[row].append(f"training confidence {chance:.2f}")
    return ["; ".join(parts) for parts in words]


def _read_texts(source: Texts | str | Path, recipe: SuspectsRecipe, progress: Progress) -> tuple[Points, list[str]]:
    """Points of the labelled rows of a source that `load_texts` reads, and warnings about the texts.

    Raises:
        DataError: the source cannot be read.
        ModelError: no such model.
    """
    texts = load_texts(source, text=recipe.text, label=recipe.label)
    from separatrix.models.extract import extract  # after the texts: torch is slow to load
    from separatrix.models.load import load_backbone

    backbone = load_backbone(ModelRecipe(model=recipe.model, device=recipe.device))
    vectors = extract(backbone, texts.text, pool=recipe.pool, progress=Counter(progress, "vectors", len(texts)))
    table = texts.to_frame().rename(columns={"label": recipe.label})
    warnings = [*texts.warnings, *backbone.source.warnings, *vectors.unread.warn()]
    warnings += [f"{vectors.cut} of {len(texts)} texts were cut"] if vectors.cut else []
    return Points.of({recipe.pool: vectors.values}, table), warnings
