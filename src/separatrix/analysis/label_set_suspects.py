"""Suspects among rows with several labels: each label is judged by itself, has it or has it not.

Of a row and a label the judges say how likely the mark is wrong: a label that the row has and should not, or one that
it lacks. A row stands by the probability that any of its marks is wrong. A label that no judge can tell, or that too
few rows have, doubts no row, and is named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from separatrix.analysis.judged_rows import (
    LIKELY,
    TINY,
    JudgedRows,
    expected_shares,
    judging_sets,
    near_columns,
    text_columns,
    which_rows,
)
from separatrix.analysis.neighbor_graph import Surroundings, surroundings
from separatrix.codes import encode
from separatrix.errors import OptionError
from separatrix.geometry.classes import deal_folds
from separatrix.geometry.label_sets import label_scores
from separatrix.geometry.noise import fit_noise
from separatrix.geometry.suspects import MODELS, ConfidentJoint, among_copies, confident_joint, out_of_fold
from separatrix.points import Points
from separatrix.recipe.cluster import SuspectsRecipe
from separatrix.rowtable import ExtendedTable
from separatrix.store.result import Listing
from separatrix.texts.label_sets import indicator, joined, set_column, set_names, sets_of

_NAMED = 8  # labels in a warning
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
    codes, cells = encode(given, by_row=True)
    case = JudgedRows(points.rows, codes, tuple(map(str, cells)), {}, recipe.seed, warnings)
    judgement = _judge(points.values, marks, near, sample, case.copies, recipe)
    wrong = judgement.error > LIKELY
    doubt = 1 - np.exp(np.log1p(-np.minimum(judgement.error, 1 - TINY)).sum(axis=1))  # any of them
    most = judgement.error.argmax(axis=1)
    wrong[np.arange(len(marks)), most] |= doubt > LIKELY
    columns = near_columns(case, near.index, near.cosine, recipe.near) | text_columns(case)
    added: dict[str, Any] = {} if recipe.label == "label" else {"label": given}
    added |= {
        "suggested": _cells(np.where(wrong, 1 - marks, marks), names, separator),
        "score": 1 - doubt,
        "is_label_issue": doubt > LIKELY,
        "missing": _cells(wrong & (marks == 0), names, separator),
        "mistaken": _cells(wrong & (marks == 1), names, separator),
    }
    why = np.array(_reasons(wrong, marks, judgement.error, names, columns), dtype=object)
    rows = ExtendedTable(points.rows, added | columns | {"reason": why})
    order = np.argsort(-doubt, kind="stable")
    suspect = order[doubt[order] > LIKELY]
    flagged = {name: np.array([one.flagged for one in joints]) for name, joints in judgement.joints.items()}
    return {
        "table": rows.take(suspect).to_pandas(),
        "row_table": rows,
        "judged": which_rows("points", len(sample), len(marks)),
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
        "warnings": [*warnings, *near.warnings, *_unjudged(names, judgement.judged)],
    }


def _judge(
    vectors: NDArray[Any],
    marks: NDArray[np.int64],
    near: Surroundings,
    sample: NDArray[np.int64],
    copies: NDArray[np.int64] | None,
    recipe: SuspectsRecipe,
) -> Judgement:
    """Each label by judges of its own; how much these weigh and how many marks are wrong, for all labels at once.

    Fitted label by label the noise of a label rests on a handful of rows, and is nothing as often as it is too much.
    """
    chances = {}  # label -> judge -> (rows, 2)
    for label, column in enumerate(marks.T):
        fold = deal_folds(column, recipe.folds, groups=near.equal, seed=recipe.seed)
        learnt = [np.bincount(column[sample][fold[sample] != one], minlength=2) for one in range(recipe.folds)]
        if np.bincount(column, minlength=2).min() < recipe.folds or np.min(learnt) == 0:
            continue
        own = out_of_fold(vectors, column, fold, classes=2, k=recipe.k, around=near.around, sample=sample)
        if any(_tells(one, column) for one in own.values()):
            chances[label] = own
    judged = np.isin(np.arange(marks.shape[1]), [*chances])
    error = np.zeros(marks.shape)
    if not chances:
        return Judgement(judged, error, error.mean(axis=0), {}, {})
    stacked = {
        name: np.log(np.maximum(np.concatenate([own[name] for own in chances.values()]), TINY)) for name in MODELS
    }
    noise = fit_noise(stacked, marks.T[judged].ravel(), least=_LEAST_NOISE / marks.shape[1])
    error[:, judged] = noise.error.reshape(-1, len(marks)).T
    if copies is not None:
        for label in chances:
            error[:, label] = among_copies(error[:, label], copies, marks[:, label])
    answers = {name: np.stack([own[name].argmax(axis=1) for own in chances.values()], axis=1) for name in MODELS}
    joints = {name: [confident_joint(own[name], marks[:, label]) for label, own in chances.items()] for name in MODELS}
    return Judgement(judged, error, error.mean(axis=0), answers, joints)


def _tells(chances: NDArray[np.float64], marks: NDArray[np.int64]) -> bool:
    """Whether probabilities (rows, 2) know more of the marks than how often they are 1, and not by chance."""
    share = np.bincount(marks, minlength=2) / len(marks)
    gain = np.log(np.maximum(chances[np.arange(len(marks)), marks], TINY) / share[marks])
    return bool(gain.mean() > _SURE * gain.std() / np.sqrt(len(gain)))


def _cells(marks: NDArray[Any], names: Sequence[str], separator: str) -> NDArray[np.object_]:
    """The labels of each row in one cell."""
    cells = np.empty(len(marks), dtype=object)
    cells[:] = joined(sets_of(marks, names).tolist(), separator)
    return cells


def _reasons(
    wrong: NDArray[np.bool_], marks: NDArray[np.int64], error: NDArray[Any], names: Sequence[str],
    columns: dict[str, Any],
) -> list[str]:  # fmt: skip
    """Why a row is suspect, in words; the most doubted label first, and empty for those that are not."""
    words = [""] * len(wrong)
    for row in np.flatnonzero(wrong.any(axis=1)).tolist():
        doubted = sorted(np.flatnonzero(wrong[row]).tolist(), key=lambda label: -error[row, label])
        parts = [f"{'not' if marks[row, at] else 'lacks'} {names[at]} ({error[row, at]:.2f})" for at in doubted]
        if (other := columns["near_id"][row]) is not None:
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


def _unjudged(names: Sequence[str], judged: NDArray[np.bool_]) -> list[str]:
    left = [name for name, yes in zip(names, judged, strict=True) if not yes]
    if not left:
        return []
    more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
    return [
        f"no row is doubted for {', '.join(left[:_NAMED])}{more}: too few rows, or judges that know no more than how "
        "often it is given"
    ]
