import numpy as np
import pytest

from separatrix.errors import DataError, OptionError, ShapeError
from separatrix.geometry import checks
from separatrix.geometry.choose import choose_k
from separatrix.geometry.cluster import kmeans
from separatrix.geometry.neighbors import neighbors
from separatrix.geometry.nulls import between_null
from separatrix.geometry.prepare import prepare
from separatrix.geometry.project.maps import make_map
from separatrix.geometry.scatter import check_features


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        ([0, 1, -1], DataError, "row 2 has no class: got -1, expected 0 to 1"),
        ([0, 2, -1], DataError, "row 1 is outside the classes: got 2"),
        ([-3], DataError, "row 0 is outside the classes: got -3"),
        ([], DataError, "labels have no rows"),
        ([0.0, 1.0], DataError, "not whole numbers: got float64"),
        (["a"], DataError, "not whole numbers"),
        ([True, False], DataError, "not whole numbers: got bool"),
        ([[0, 1]], ShapeError, r"one class number per row: got shape \(1, 2\)"),
    ],
)
def test_bad_labels_are_refused_with_their_row(ids, error, message):
    with pytest.raises(error, match=message):
        checks.check_labels(ids, 2)


def test_good_labels_pass_in_any_integer_type():
    for dtype in (np.int8, np.uint16, np.int64):
        assert checks.check_labels(np.array([1, 0], dtype), 2).tolist() == [1, 0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 70_000])  # the second lies in the second block of rows
def test_the_first_row_that_is_not_finite_is_named(bad, row):
    x = np.zeros((70_002, 2), np.float32)
    x[row, 1] = bad
    x[70_001, 0] = np.nan
    with pytest.raises(DataError, match=f"vectors: row {row} is not finite: got {bad}, expected"):
        checks.check_finite(x, "vectors")


def test_finite_arrays_pass_untouched():
    for x in (np.zeros((2, 3), np.float16), np.arange(4), np.zeros(3)):
        assert checks.check_finite(x, "vectors") is x


def test_objects_and_complex_numbers_are_no_vectors():
    for x in ([1j], ["a"], [None]):
        with pytest.raises(DataError, match="not real numbers"):
            checks.check_finite(np.asarray(x), "vectors")


@pytest.mark.parametrize(
    ("x", "width", "error", "message"),
    [
        ([1.0], None, ShapeError, r"must be a matrix: got shape \(1,\)"),
        (np.empty((0, 3)), None, DataError, "are empty"),
        (np.empty((3, 0)), None, DataError, "are empty"),
        ([[1.0, 2.0]], 3, ShapeError, "wrong width: got 2, expected 3"),
        ([[1.0, np.nan]], 2, DataError, "row 0 is not finite"),
    ],
)
def test_bad_matrices_are_refused(x, width, error, message):
    with pytest.raises(error, match=message):
        checks.check_matrix(x, "vectors", width=width)


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (np.zeros((2, 2)), ShapeError, "one number per row"),
        ([], DataError, "no rows"),
        ([0.0, np.inf], DataError, "row 1 is not finite"),
    ],
)
def test_bad_values_are_refused(y, error, message):
    with pytest.raises(error, match=message):
        checks.check_values(y, "targets")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "one class only: got no names"),
        (["a"], "one class only: got 'a'"),
        (["a", "b", "a"], "stands twice: got 'a'"),
        ("ab", "must be a list of names"),
    ],
)
def test_bad_class_names_are_refused(names, message):
    with pytest.raises(DataError, match=message):
        checks.check_names(names)


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "3"])
def test_bad_counts_are_refused(value):
    with pytest.raises(OptionError, match=r"k is out of range: got .*, expected a whole number, 1 or more"):
        checks.check_count(value, "k")


def test_output_width_one_is_called_a_regression():
    with pytest.raises(ShapeError, match=r"1 column for 2 classes; a one-column output is a regression.*num_labels=2"):
        checks.check_output_width(1, 2)
    with pytest.raises(ShapeError, match=r"3 columns for 2 classes; build the head with 2 outputs"):
        checks.check_output_width(3, 2)


@pytest.mark.parametrize("classes", [2, 3, 50])
def test_the_right_output_width_is_silent(classes):
    checks.check_output_width(classes, classes)


@pytest.mark.parametrize("scale", [1e38, 1e-20])
@pytest.mark.parametrize(
    "work",
    [
        lambda x: choose_k(prepare(x).values, (2, 3)),
        lambda x: kmeans(prepare(x).values, 2),
        lambda x: between_null(x, [0, 1] * 15, 2, permutations=5),
        lambda x: neighbors(x, x, 3, metric="euclidean"),
        lambda x: check_features(x),
        lambda x: make_map(x),
    ],
)
def test_numbers_whose_squares_do_not_fit_are_refused(work, scale):
    """Regression: LinAlgError, inertia NaN, NaN in a null."""
    x = (np.random.default_rng(0).normal(size=(30, 4)) * scale).astype(np.float32)
    with pytest.raises(DataError, match=r"too (large|small) to be squared.*1e-15 to 1e\+15"):
        work(x)


@pytest.mark.parametrize("scale", [1e14, 1e-13])
def test_numbers_that_can_be_squared_are_worked_with(scale):
    x = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    y = [0, 1] * 15
    one, other = (between_null(z, y, 2, permutations=9) for z in (x, x * np.float32(scale)))
    assert one.observed == pytest.approx(other.observed, rel=1e-4)
    assert one.p_value == other.p_value
    near = [neighbors(z, z, 3, metric="euclidean", exclude_self=True).index for z in (x, x * np.float32(scale))]
    assert np.array_equal(*near)
    assert make_map(x * np.float32(scale)).trustworthiness > 0.5
    assert np.isfinite(kmeans(prepare(x * np.float32(scale)).values, 2).inertia)
