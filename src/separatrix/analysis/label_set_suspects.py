"""Suspects among rows with several labels: each label is judged by itself, has it or has it not.

Of a row and a label the judges say how likely the mark is wrong: a label that the row has and should not, or one that
it lacks. A row stands by the probability that any of its marks is wrong. A label that no judge can tell, or that too
few rows have, doubts no row, and is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from separatrix.analysis.judged_rows import (
    LIKELY,
    TINY,
    JudgedRows,
    expected_shares,
    judging_sets,
    near_columns,
    size_doubts,
    text_columns,
    undoubted,
    which_rows,
)
from separatrix.analysis.neighbor_graph import Surroundings, surroundings
from separatrix.codes import encode
from separatrix.errors import OptionError
from separatrix.geometry.classes import deal_folds
from separatrix.geometry.label_sets import label_scores
from separatrix.geometry.noise import fit_noise
from separatrix.geometry.suspects import ConfidentJoint, among_copies, confident_joint, out_of_fold
from separatrix.points import Points
from separatrix.recipe.cluster import SuspectsRecipe
from separatrix.rowtable import ExtendedTable, FrameTable, RowTable
from separatrix.store.result import Listing
from separatrix.texts.label_sets import free_separator, indicator, joined, set_column, set_names, sets_of

if TYPE_CHECKING:
    import pandas as pd

_UNTOLD = "too few rows, or judges that know no more than how often it is given"
_SURE = 2.0  # standard errors above nothing from which a judge can tell a label
# Share of rows with a wrong label that is assumed at least; of ten well-known sets with one label a row it is 3.4 %
# (Northcutt, Athalye and Mueller, 2021). Judges of rare labels are seldom sure enough to tell that from none, and with
# none no row would be doubted; with this much, fewer are expected to be wrong than are (`studies/suspects`).
_LEAST_NOISE = 0.05


@dataclass(frozen=True, eq=False)
class Judgement:
    """What judges who never saw the rows say of the labels that they can tell, and how sure they are together."""

    judged: NDArray[np.bool_]  # (labels,) those that they can tell
    error: NDArray[np.float64]  # (rows, labels) probability that a mark is wrong; 0 where a label is not judged
    noise: NDArray[np.float64]  # (labels,) mean of it
    answers: dict[str, NDArray[np.int64]]  # judge -> (rows, labels judged)
    joints: dict[str, list[ConfidentJoint]]  # judge -> one of each label judged


LabelChances = dict[int, dict[str, NDArray[np.float64]]]  # label -> judge -> (rows, 2): has it not, has it


@dataclass(frozen=True, eq=False)
class LabelMarks:
    """Which labels rows have."""

    names: tuple[str, ...]
    marks: NDArray[np.int64]  # (rows, labels) of 0 and 1
    separator: str  # of the labels in a cell

    def cells(self, marks: NDArray[Any]) -> NDArray[np.object_]:
        """Marks (rows, labels) as one cell for each row."""
        cells = np.empty(len(marks), dtype=object)
        cells[:] = joined(sets_of(marks, self.names).tolist(), self.separator)
        return cells


def judge_label_sets(
    points: Points, separator: str, recipe: SuspectsRecipe, warnings: list[str], *, verify: bool
) -> dict[str, Any]:
    """Fields of the suspects among rows whose labels stand in one cell.

    Args:
        points: labelled rows.
        separator: of the labels in a cell; an empty cell is a row without labels.
        recipe: of the search.
        warnings: so far.
        verify: compare the files of a map of neighbors with their hashes.

    Raises:
        DataError: fewer than two labels, or cells that cannot be parted.
        OptionError: `--run`: the dynamics of a training are those of one label a row.
    """
    if recipe.run is not None:
        raise OptionError("--run is of one label a row", got="several", hint="leave --run away")
    given = points.column(recipe.label)
    sets = set_column([[] if cell == "" else str(cell) for cell in given], "the points", separator)
    names = set_names(sets, "the points")
    marks = indicator(sets, names)
    sample = judging_sets(marks, recipe)
    near = surroundings(points, sample, recipe, verify=verify)
    case = _case_of(points.rows, given, recipe.seed)
    columns = near_columns(case, near.index, near.cosine, recipe.near) | text_columns(case)
    chances = _out_of_fold_chances(points.values, marks, near, sample, recipe)
    judgement = _judge(chances, marks, case.copies)
    added = {} if recipe.label == "label" else {"label": given}
    fields = _fields(points.rows, LabelMarks(names, marks, separator), judgement, added, columns)
    fields["warnings"] = [*warnings, *near.warnings, *fields["warnings"]]
    return fields | {"judged": which_rows("points", len(sample), len(marks))}


def judge_run_label_sets(
    table: pd.DataFrame, names: Sequence[str], chances: NDArray[np.float64], seed: int
) -> dict[str, Any]:
    """Fields of the suspects among rows that a run with several labels a row answered and never trained on.

    Args:
        table: the rows, with a set of labels in the column `label`.
        names: the labels of the run.
        chances: its calibrated probabilities of them, (rows, labels).
        seed: of the intervals.
    """
    sets = set_column(table["label"].tolist(), "the run")
    marks, separator = indicator(sets, names), free_separator([*sets.tolist(), tuple(names)])
    cells = joined(sets.tolist(), separator)
    rows = FrameTable(table.assign(label=cells))
    case = _case_of(rows, np.array(cells, dtype=object), seed)
    both = {
        label: {"run": np.column_stack([1 - own, own])}
        for label, own in enumerate(chances.T)
        if 0 < marks[:, label].sum() < len(marks)
    }
    judgement = _judge(both, marks, case.copies)
    return _fields(rows, LabelMarks(tuple(names), marks, separator), judgement, {}, text_columns(case))


def _case_of(rows: RowTable, cells: NDArray[Any], seed: int) -> JudgedRows:
    """Rows that are copies of each other where their text is, and labelled alike where their cells are."""
    codes, kinds = encode(cells, by_row=True)
    return JudgedRows(rows, codes, tuple(map(str, kinds)), {}, seed)


def _fields(
    rows: RowTable, labels: LabelMarks, judgement: Judgement, added: dict[str, Any], columns: dict[str, Any]
) -> dict[str, Any]:
    """Fields of `Suspects`, out of what is judged of each mark."""
    names, marks = labels.names, labels.marks
    wrong = judgement.error > LIKELY
    doubt = 1 - np.exp(np.log1p(-np.minimum(judgement.error, 1 - TINY)).sum(axis=1))  # any of them
    most = judgement.error.argmax(axis=1)
    wrong[np.arange(len(marks)), most] |= doubt > LIKELY
    added |= {
        "suggested": labels.cells(np.where(wrong, 1 - marks, marks)),
        "score": 1 - doubt,
        "is_label_issue": doubt > LIKELY,
        "missing": labels.cells(wrong & (marks == 0)),
        "mistaken": labels.cells(wrong & (marks == 1)),
    }
    why = np.array(_reasons(wrong, marks, judgement.error, names, columns), dtype=object)
    judged = ExtendedTable(rows, added | columns | {"reason": why})
    order = np.argsort(-doubt, kind="stable")
    suspect = order[doubt[order] > LIKELY]
    flagged = {name: np.array([one.flagged for one in joints]) for name, joints in judgement.joints.items()}
    return {
        "table": judged.take(suspect).to_pandas(),
        "row_table": judged,
        "estimated_noise": float(doubt.mean()),
        "estimated_errors": round(float(doubt.sum())),
        "expected_precision": expected_shares(doubt[order]),
        "estimated_noise_by_model": {
            name: float(np.mean([one.noise for one in joints])) for name, joints in judgement.joints.items()
        },
        "flagged": {name: int(one.any(axis=0).sum()) for name, one in flagged.items()},
        "flagged_by_all": int(np.all([*flagged.values()], axis=0).any(axis=0).sum()) if flagged else 0,
        "models": _quality(judgement, marks, names),
        "classes": names,
        "by_label": _by_label(judgement, marks, wrong, names),
        "warnings": [
            *undoubted([name for name, yes in zip(names, judgement.judged, strict=True) if not yes], _UNTOLD),
            *size_doubts(len(suspect), len(marks)),
        ],
    }


def _out_of_fold_chances(
    vectors: NDArray[Any],
    marks: NDArray[np.int64],
    near: Surroundings,
    sample: NDArray[np.int64],
    recipe: SuspectsRecipe,
) -> LabelChances:
    """Each label by judges of its own that never saw the row; labels with too few rows are left out."""
    chances = LabelChances()
    for label, column in enumerate(marks.T):
        fold = deal_folds(column, recipe.folds, groups=near.equal, seed=recipe.seed)
        learnt = [np.bincount(column[sample][fold[sample] != one], minlength=2) for one in range(recipe.folds)]
        if np.bincount(column, minlength=2).min() < recipe.folds or np.min(learnt) == 0:
            continue
        chances[label] = out_of_fold(vectors, column, fold, classes=2, k=recipe.k, around=near.around, sample=sample)
    return chances


def _judge(chances: LabelChances, marks: NDArray[np.int64], copies: NDArray[np.int64] | None) -> Judgement:
    """How much the judges weigh and how many marks are wrong, for all labels at once.

    Fitted label by label the noise of a label rests on a handful of rows, and is nothing as often as it is too much.
    """
    known = {label: own for label, own in chances.items() if any(_tells(one, marks[:, label]) for one in own.values())}
    judged = np.isin(np.arange(marks.shape[1]), [*known])
    error = np.zeros(marks.shape)
    if not known:
        return Judgement(judged, error, error.mean(axis=0), {}, {})
    models = [*next(iter(known.values()))]
    stacked = {name: np.log(np.maximum(np.concatenate([own[name] for own in known.values()]), TINY)) for name in models}
    noise = fit_noise(stacked, marks.T[judged].ravel(), least=_LEAST_NOISE / marks.shape[1])
    error[:, judged] = noise.error.reshape(-1, len(marks)).T
    if copies is not None:
        for label in known:
            error[:, label] = among_copies(error[:, label], copies, marks[:, label])
    answers = {name: np.stack([own[name].argmax(axis=1) for own in known.values()], axis=1) for name in models}
    joints = {name: [confident_joint(own[name], marks[:, label]) for label, own in known.items()] for name in models}
    return Judgement(judged, error, error.mean(axis=0), answers, joints)


def _tells(chances: NDArray[np.float64], marks: NDArray[np.int64]) -> bool:
    """Whether probabilities (rows, 2) know more of the marks than how often they are 1, and not by chance."""
    share = np.bincount(marks, minlength=2) / len(marks)
    gain = np.log(np.maximum(chances[np.arange(len(marks)), marks], TINY) / share[marks])
    return bool(gain.mean() > _SURE * gain.std() / np.sqrt(len(gain)))


def _reasons(
    wrong: NDArray[np.bool_], marks: NDArray[np.int64], error: NDArray[Any], names: Sequence[str],
    columns: dict[str, Any],
) -> list[str]:  # fmt: skip
    """Why a row is suspect, in words; the most doubted label first, and empty for those that are not."""
    words = [""] * len(wrong)
    for row in np.flatnonzero(wrong.any(axis=1)).tolist():
        doubted = sorted(np.flatnonzero(wrong[row]).tolist(), key=lambda label: -error[row, label])
        parts = [f"{'not' if marks[row, at] else 'lacks'} {names[at]} ({error[row, at]:.2f})" for at in doubted]
        if (other := columns.get("near_id", {row: None})[row]) is not None:
            cosine = columns["near_cosine"][row]
            parts.append(f"near duplicate of {other} (cosine {cosine:.3f}), labelled otherwise")
        if (same := columns.get("same_text_labels", {row: None})[row]) is not None:
            parts.append(f"same text labelled {same}")
        words[row] = "; ".join(parts)
    return words


def _quality(judgement: Judgement, marks: NDArray[np.int64], names: Sequence[str]) -> dict[str, Any]:
    """How good each judge is against the labels given: F1, interval, baseline. An unjudged label is given by none."""
    quality = {}
    for judge, own in judgement.answers.items():
        answers = np.zeros_like(marks)
        answers[:, judgement.judged] = own
        scores = label_scores(marks, answers, names)
        quality[judge] = {
            "micro_f1": scores.micro_f1, "interval": list(scores.interval), "macro_f1": scores.macro_f1,
            "majority": scores.majority,
        }  # fmt: skip
    return quality


def _by_label(
    judgement: Judgement, marks: NDArray[np.int64], wrong: NDArray[np.bool_], names: Sequence[str]
) -> list[dict[str, Any]]:
    """What is doubted of each label."""
    return [
        {
            "label": name,
            "rows": int(marks[:, label].sum()),
            "missing": int((wrong[:, label] & (marks[:, label] == 0)).sum()),
            "mistaken": int((wrong[:, label] & (marks[:, label] == 1)).sum()),
            "estimated_noise": float(judgement.noise[label]) if judgement.judged[label] else None,
        }
        for label, name in enumerate(names)
    ]


def label_listing(lines: Sequence[Mapping[str, Any]]) -> Listing:
    """The table of labels as it is printed."""
    noise = ["-" if line["estimated_noise"] is None else f"{line['estimated_noise']:.3f}" for line in lines]
    cells = [
        [line["label"], str(line["rows"]), str(line["missing"]), str(line["mistaken"]), share]
        for line, share in zip(lines, noise, strict=True)
    ]
    return Listing(["label", "rows", "missing in", "mistaken in", "estimated noise"], cells)
