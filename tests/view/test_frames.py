import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from separatrix.errors import ShapeError
from separatrix.view.frames import Box, enclose

NUMBERS = st.floats(-1e6, 1e6, width=32)
BAD = [
    ({"points": np.zeros((4, 30))}, "points of the frames have the wrong shape: got .4, 30."),
    ({"points": np.zeros((4, 30, 3))}, "points of the frames have the wrong shape"),
    ({"points": np.full((4, 30, 2), np.nan)}, r"points of the frames must be finite: got nan at \(0, 0, 0\)"),
    ({"centroids": np.zeros((4, 2, 2))}, r"centroids .* got \(4, 2, 2\), expected \(4, 3, 2\)"),
    ({"centroids": np.full((4, 3, 2), np.inf)}, "centroids of the frames must be finite"),
    ({"labels": np.zeros(29, int)}, "labels of the frames do not fit"),
    ({"labels": np.zeros(30)}, r"labels .* got float64 \(30,\), expected integers \(30,\)"),
    ({"labels": np.full(30, 3)}, "labels name a class that has no name: got 3 to 3, expected 0 to 2"),
    ({"predicted": np.zeros((3, 30), int)}, "predicted of the frames do not fit"),
    ({"predicted": np.full((4, 30), -1)}, "predicted name a class that has no name: got -1 to -1"),
    ({"titles": ("a",)}, "titles of the frames do not fit: got 1, expected 4"),
    ({"texts": ("a",)}, "texts of the frames do not fit: got 1, expected 30"),
    ({"axes": ("a", "b", "c")}, "axes of the frames do not fit: got 3, expected 2"),
    ({"names": ()}, "there is nothing to show: got 4 frames, 30 rows, 0 classes"),
]


@pytest.mark.parametrize(("changes", "message"), BAD)
def test_what_does_not_fit_is_refused(make_frames, changes, message):
    with pytest.raises(ShapeError, match=message):
        make_frames(**changes)


@given(arrays(np.float32, (3, 4, 2), elements=NUMBERS), arrays(np.float32, (3, 2, 2), elements=NUMBERS))
def test_limits_enclose_every_point_and_centroid_of_every_frame(points, centroids):
    box = enclose(points, centroids)
    for x, y in np.concatenate([points.reshape(-1, 2), centroids.reshape(-1, 2)]).tolist():
        assert box.left < x < box.right
        assert box.bottom < y < box.top


@given(NUMBERS, st.integers(1, 5))
def test_constant_data_has_room(value, rows):
    box = enclose(np.full((1, rows, 2), value, dtype=np.float32), None)
    # As float: beside a float32 the limits would be rounded to float32 as well.
    assert box.left < float(np.float32(value)) < box.right


def test_seed_001_limits_times_1_1_cut_a_positive_minimum(make_frames):
    points = np.random.default_rng(0).uniform(10, 20, (4, 30, 2))
    frames = make_frames(points=points, centroids=None)
    lowest = frames.points[..., 0].min()
    assert lowest * 1.1 > lowest  # the seed's axis began right of its own first point
    assert frames.limits.left < lowest
    assert frames.limits.left > 0.9 * lowest - 1


def test_limits_hold_for_early_frames_and_far_centroids(make_frames):
    centroids = np.zeros((4, 3, 2))
    centroids[0, 1] = (500, -300)
    box = make_frames(centroids=centroids).limits
    assert box.right > 500
    assert box.bottom < -300


@given(st.floats(0.1, 100), st.floats(0.1, 100), st.floats(0.2, 5))
def test_widened_box_keeps_centre_and_content(width, height, ratio):
    box = Box(1.0, 1.0 + width, -2.0, -2.0 + height)
    wide = box.widened(ratio)
    assert (wide.right - wide.left) / (wide.top - wide.bottom) == pytest.approx(ratio)
    assert wide.left + wide.right == pytest.approx(box.left + box.right)
    assert wide.left <= box.left
    assert wide.top >= box.top


def test_numbers_of_a_frame_match_a_slow_count(make_frames):
    frames = make_frames()
    for index in range(4):
        right = sum(1 for row in range(30) if frames.predicted[index][row] == frames.labels[row])
        assert frames.right[index] == right
        assert frames.score(index) == f"{right} of 30 rows right, largest class 10"
    assert frames.right[0] < 23 < 28 < frames.right[-1]


def test_index_counts_from_the_end_and_stops_at_the_ends(make_frames):
    frames = make_frames()
    assert [frames.at(0), frames.at(-1), frames.at(-4)] == [0, 3, 0]
    with pytest.raises(ShapeError, match="there is no such frame: got 4, expected -4 to 3"):
        frames.at(4)
