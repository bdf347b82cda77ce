"""Views of outputs beside the decision made from them: a plane of largest variance that hides the classes."""

import numpy as np
import pytest

from separatrix.errors import DataError
from separatrix.geometry.project import make_map
from separatrix.geometry.resample import compare_answers
from separatrix.geometry.views import DecidedRows, choose_preparation, read_view

ROWS = 240


def planted(classes, loud, seed=0):
    """Classes that lie apart along quiet columns, behind two loud ones that say nothing; a decision right in 92 %."""
    rng = np.random.default_rng(seed)
    gold = np.arange(ROWS) % classes
    x = np.concatenate([loud * rng.normal(size=(ROWS, 2)), 6 * np.eye(classes)[gold], rng.normal(size=(ROWS, 3))], 1)
    x[:, 2:] += 0.5 * rng.normal(size=(ROWS, classes + 3))
    decided = np.where(rng.random(ROWS) < 0.92, gold, (gold + 1) % classes)
    names = tuple(f"class {number}" for number in range(classes))
    return DecidedRows(x, gold, decided, np.arange(ROWS) < ROWS // 2, names)


@pytest.mark.parametrize("classes", [2, 5])
def test_a_plane_of_loud_columns_hides_what_a_probe_finds(classes):
    rows = planted(classes, loud=60.0)
    everything = read_view(rows.x, rows)
    flat = read_view(make_map(rows.x).coordinates, rows)
    assert everything["probe"].right.mean() > 0.95 > rows.own.mean() > 0.85
    assert flat["vote"].right.mean() < 1 / classes + 0.2
    assert flat["probe"].right.mean() < 1 / classes + 0.2
    assert compare_answers(rows.own, flat["probe"].right).interval[0] > 0.1
    prepared, x = choose_preparation(rows)
    assert prepared == "standardise"
    assert read_view(x, rows)["vote"].right.mean() > everything["vote"].right.mean()


@pytest.mark.parametrize("classes", [2, 3])
def test_a_plane_that_shows_the_classes_loses_nothing(classes):
    rows = planted(classes, loud=0.5)
    flat = read_view(make_map(rows.x).coordinates, rows)
    assert min(reading.right.mean() for reading in flat.values()) > 0.97
    assert compare_answers(rows.own, flat["clusters"].right).difference < 0
    assert flat["clusters"].chosen is None


def test_labels_of_the_scored_rows_are_never_seen():
    rows = planted(3, loud=0.5)
    gold = np.where(rows.choosing, rows.gold, (rows.gold + 1) % 3)
    other = DecidedRows(rows.x, gold, rows.decided, rows.choosing, rows.names)
    before, after = read_view(rows.x, rows), read_view(rows.x, other)
    assert all(after[name].right.mean() < 0.03 < 0.97 < before[name].right.mean() for name in before)
    assert [after[name].chosen for name in before] == [before[name].chosen for name in before]


def test_one_class_among_the_rows_that_choose_is_refused():
    x, gold = np.zeros((6, 2)), np.array([0, 0, 0, 1, 0, 1])
    with pytest.raises(DataError, match="two classes among the rows that choose: got 3 rows that choose, 3 that are"):
        DecidedRows(x, gold, gold, np.arange(6) < 3, ("a", "b"))
