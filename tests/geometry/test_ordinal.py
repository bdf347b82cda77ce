"""Figures of ordered classes beside slow loops, scikit-learn, and rows drawn one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from separatrix.errors import DataError, OptionError, ShapeError
from separatrix.geometry.ordinal import ordinal

CLASSES = 5
pairs = st.lists(st.tuples(*[st.integers(0, CLASSES - 1)] * 2), min_size=1, max_size=40)


def _loops(rows: list[tuple[int, int]]) -> tuple[float, float | None]:
    """Error and kappa from their definitions: the table of counts, and the table that chance would give."""
    count = len(rows)
    error = sum(abs(gold - answer) for gold, answer in rows) / count
    seen = chance = 0.0
    for i in range(CLASSES):
        for j in range(CLASSES):
            weight = (i - j) ** 2 / (CLASSES - 1) ** 2
            seen += weight * sum(row == (i, j) for row in rows) / count
            chance += weight * sum(gold == i for gold, _ in rows) * sum(answer == j for _, answer in rows) / count**2
    return error, 1 - seen / chance if chance else None


def _ranks(values: list[int]) -> np.ndarray:
    """Ranks from 1, ties shared."""
    return np.array([1 + sum(one < value for one in values) + (values.count(value) - 1) / 2 for value in values])


@settings(max_examples=80, deadline=None)
@given(pairs)
def test_figures_are_those_of_loops_and_of_sklearn(rows: list[tuple[int, int]]) -> None:
    gold, answers = ([row[side] for row in rows] for side in (0, 1))
    scores = ordinal(gold, answers, CLASSES, resamples=20)
    error, kappa = _loops(rows)
    assert scores.mean_absolute_error == pytest.approx(error)
    assert scores.interval[0] <= scores.mean_absolute_error <= scores.interval[1]
    assert (scores.quadratic_kappa is None) == (kappa is None) == (scores.kappa_interval is None)
    if kappa is not None and scores.kappa_interval is not None:
        assert scores.quadratic_kappa == pytest.approx(kappa, abs=1e-9)
        theirs = cohen_kappa_score(gold, answers, labels=list(range(CLASSES)), weights="quadratic")
        assert scores.quadratic_kappa == pytest.approx(theirs, abs=1e-9)
        assert scores.kappa_interval[0] <= scores.quadratic_kappa <= scores.kappa_interval[1]
    if len(set(gold)) > 1 and len(set(answers)) > 1:
        assert scores.spearman == pytest.approx(np.corrcoef(_ranks(gold), _ranks(answers))[0, 1], abs=1e-9)
    else:
        assert scores.spearman is None


@settings(max_examples=80, deadline=None)
@given(pairs)
def test_no_constant_answer_is_better_than_the_median(rows: list[tuple[int, int]]) -> None:
    gold = np.array([row[0] for row in rows])
    scores = ordinal(gold, gold, CLASSES, resamples=2)
    errors = [float(np.abs(gold - constant).mean()) for constant in range(CLASSES)]
    assert scores.median_error == pytest.approx(min(errors))
    assert scores.median_error == pytest.approx(np.abs(gold - np.sort(gold)[len(gold) // 2]).mean())
    most = np.bincount(gold, minlength=CLASSES)
    assert scores.majority_error == pytest.approx(min(errors[one] for one in np.flatnonzero(most == most.max())))


@settings(max_examples=40, deadline=None)
@given(pairs)
def test_a_scale_upside_down_gives_the_same_figures(rows: list[tuple[int, int]]) -> None:
    gold, answers = (np.array([row[side] for row in rows]) for side in (0, 1))
    one = ordinal(gold, answers, CLASSES, resamples=2).to_dict()
    other = ordinal(CLASSES - 1 - gold, CLASSES - 1 - answers, CLASSES, resamples=2).to_dict()
    for name in ("mean_absolute_error", "quadratic_kappa", "spearman", "majority_error", "median_error"):
        assert one[name] == pytest.approx(other[name], abs=1e-9)


def test_intervals_are_those_of_drawn_rows() -> None:
    generator = np.random.default_rng(0)
    gold = generator.integers(0, CLASSES, 300)
    answers = np.clip(gold + generator.integers(-1, 3, 300), 0, CLASSES - 1)
    scores = ordinal(gold, answers, CLASSES, seed=3, resamples=2000)
    drawn = [generator.integers(300, size=300) for _ in range(2000)]
    errors = [float(np.abs(gold[rows] - answers[rows]).mean()) for rows in drawn]
    assert scores.interval == pytest.approx(np.percentile(errors, [2.5, 97.5]), abs=0.015)
    kappas = [_loops(list(zip(gold[rows].tolist(), answers[rows].tolist(), strict=True)))[1] for rows in drawn[:200]]
    assert scores.kappa_interval == pytest.approx(np.percentile(kappas, [2.5, 97.5]), abs=0.03)


def test_the_order_of_rows_does_not_count() -> None:
    generator = np.random.default_rng(1)
    gold, answers = generator.integers(0, CLASSES, (2, 50))
    order = generator.permutation(50)
    assert ordinal(gold, answers, CLASSES).to_dict() == ordinal(gold[order], answers[order], CLASSES).to_dict()


def test_one_answer_for_all_rows_has_kappa_0_and_one_class_has_none() -> None:
    constant = ordinal([0, 1, 2], [1, 1, 1], 3)
    assert (constant.quadratic_kappa, constant.spearman) == (0.0, None)
    assert ordinal([2, 2], [2, 2], 3).quadratic_kappa is None
    assert ordinal([2, 2], [0, 0], 3).quadratic_kappa == 0.0


@pytest.mark.parametrize(
    ("gold", "answers", "error", "match"),
    [
        ([], [], DataError, "labels have no rows"),
        ([0, 3], [0, 1], DataError, "outside"),
        ([0, 1], [0], ShapeError, "labels"),
    ],
)
def test_bad_ranks_are_refused(gold: list[int], answers: list[int], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        ordinal(gold, answers, 3)
    with pytest.raises(OptionError, match="resamples"):
        ordinal([0, 1], [0, 1], 3, resamples=0)
