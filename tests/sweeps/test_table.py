"""What looks as if nothing was learnt, over all rows of a sweep."""

from types import SimpleNamespace

import numpy as np
import pytest

from separatrix.sweeps.table import suspicious

LEARNT = [[[40, 9], [8, 43]], [[41, 8], [9, 42]], [[38, 11], [7, 44]]]
ONE_CLASS = [[49, 0], [51, 0]]  # 0.49 is the share of label 0


def rows_of(**confusions):
    """Rows of a sweep by name, each with the confusions of its runs; that called `baseline` is one."""
    return [
        SimpleNamespace(
            line=SimpleNamespace(setting=SimpleNamespace(baseline="probe" if name == "baseline" else None, label=name)),
            confusions=[np.array(one) for one in each],
        )
        for name, each in confusions.items()
    ]


def test_rows_that_learnt_are_not_named():
    assert [*suspicious(rows_of(small=LEARNT, large=LEARNT[::-1]))] == []


@pytest.mark.parametrize("runs", [1, 3])
def test_a_row_whose_every_score_is_the_share_of_a_class_is_named_with_the_share(runs):
    (warning,) = suspicious(rows_of(small=LEARNT, large=[ONE_CLASS] * runs))
    assert "1 of 2 rows is exactly the share of a class: large (0.4900)" in warning


def test_one_run_that_learnt_clears_its_row():
    assert [*suspicious(rows_of(large=[ONE_CLASS, ONE_CLASS, LEARNT[0]]))] == []


def test_a_score_that_is_a_share_by_chance_is_not_named():
    assert [*suspicious(rows_of(small=[[[30, 19], [32, 19]]]))] == []  # 49 right, but both classes are answered


def test_rows_with_the_same_answers_in_every_run_are_named():
    (warning,) = suspicious(rows_of(small=[LEARNT[0]] * 2, large=[LEARNT[0]] * 2, other=LEARNT))
    assert warning.startswith("every run of small, large has the same answers")


def test_baselines_and_perfect_rows_are_not_named():
    perfect = [[[49, 0], [0, 51]]] * 3
    assert [*suspicious(rows_of(baseline=[ONE_CLASS] * 3, small=perfect, large=perfect))] == []
