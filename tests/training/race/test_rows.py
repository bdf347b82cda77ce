"""Which rows a race learns from and is judged by."""

from itertools import pairwise

import numpy as np
import pytest

from separatrix.texts import Splits, Texts
from separatrix.training.race import rows as module
from separatrix.training.race.rows import FIRST_FOLDS, FOLDS, RaceRows


def labelled(rows: int, classes: int = 3, start: int = 0) -> Texts:
    return Texts.of([f"row {start + row}" for row in range(rows)], [f"c{row % classes}" for row in range(rows)])


def parts(train: int, validation: int, classes: int = 3) -> Splits:
    return Splits(labelled(train, classes), labelled(validation, classes, train), labelled(30, classes, 10_000), ())


def test_few_rows_are_judged_by_cross_validation_over_training_and_validation_rows():
    rows = RaceRows.of(parts(90, 10), seed=0)
    assert (rows.folds, rows.judged, rows.crossed) == (FOLDS, 100, True)
    first, rest = rows.rungs(1000)
    assert first.folds + rest.folds == tuple(range(FOLDS))
    assert len(first.folds) == FIRST_FOLDS
    seen = []
    for fold in range(FOLDS):
        trial = rows.trial(first.rows, fold)
        assert not set(trial.judged) & set(trial.train) | set(trial.judged) & set(trial.inner)
        assert not set(trial.inner) & set(trial.train)
        assert len(trial.train) + len(trial.inner) == pytest.approx(80, abs=1)
        seen += trial.judged.tolist()
    assert sorted(seen) == list(range(100))


def test_folds_begin_with_fewer_rows_where_time_is_short():
    rows = RaceRows.of(parts(700, 100), seed=0)
    assert [(rung.rows, rung.folds) for rung in rows.rungs(1000)] == [(640, (0, 1)), (640, (2, 3, 4))]
    assert [(rung.rows, rung.folds) for rung in rows.rungs(200)] == [
        (160, (0, 1)), (320, (0, 1)), (640, (0, 1)), (640, (2, 3, 4))
    ]  # fmt: skip


def test_a_class_of_two_rows_is_learnt_wherever_it_is_judged():
    """Regression: of classes smaller than the folds all rows could judge one fold, and none was learnt from."""
    rows = RaceRows.of(parts(40, 40, classes=40), seed=0)
    for fold in range(rows.folds):
        trial = rows.trial(rows.most, fold)
        learnt = {*rows.texts.label[[*trial.train, *trial.inner]]}
        assert {*rows.texts.label[trial.judged]} <= learnt


def test_a_text_that_is_repeated_stands_on_one_side():
    texts = Texts.of(["same", "other", "third", "more"] * 20, ["a", "b", "a", "b"] * 20)
    rows = RaceRows.of(Splits(texts, labelled(20, 2), None, ()), seed=0)
    for fold in range(rows.folds):
        trial = rows.trial(rows.most, fold)
        judged = {rows.texts.text[row] for row in trial.judged}
        assert not judged & {rows.texts.text[row] for row in [*trial.train, *trial.inner]}


def test_groups_stay_whole_where_there_are_some():
    texts = Texts.of([f"t{n}" for n in range(60)], ["a", "b"] * 30, [f"g{n // 6}" for n in range(60)])
    train, validation = texts.split(0.2, 0, by="group")
    rows = RaceRows.of(Splits(train, validation, None, ()), seed=0)
    for fold in range(rows.folds):
        trial = rows.trial(rows.most, fold)
        assert not set(rows.texts.group[trial.judged]) & set(rows.texts.group[trial.train])


def test_of_many_rows_the_validation_part_judges_and_a_larger_rung_holds_the_smaller_ones():
    rows = RaceRows.of(parts(3000, 300), seed=0)
    rungs = rows.rungs(500)
    assert [rung.rows for rung in rungs] == [375, 750, 1500, 3000]
    trials = [rows.trial(rung.rows, 0) for rung in rungs]
    for small, large in pairwise(trials):
        assert {*small.train, *small.inner} < {*large.train, *large.inner}
        np.testing.assert_array_equal(small.judged, large.judged)
    assert trials[0].judged.tolist() == list(range(3000, 3300))
    assert [len(trial.train) + len(trial.inner) for trial in trials] == [375, 750, 1500, 3000]


def test_of_a_very_large_validation_part_a_sample_judges_and_no_test_row_is_in_a_race():
    splits = parts(5000, 4000)
    rows = RaceRows.of(splits, seed=0)
    assert rows.judged == module.MOST_JUDGED
    assert not set(rows.texts.text) & set(splits.test.text)
