import io
import math
import re
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from separatrix.errors import OptionError, ShapeError, StoreError
from separatrix.figures import figures
from separatrix.view import Numbers, against, confusion, curves, panels, row_shares, save, scatter
from separatrix.view.palette import look

ROW = {
    "epoch": 1, "step": 171, "loss": 0.93, "parts": {"centroid_ce": 0.9}, "lr": 0.01, "grad_norm": 0.4,
    "validation": {"accuracy": 0.91, "macro_f1": 0.9, "loss": 0.31, "majority": 0.23},
    "centroids": {"min": 1.2, "mean": 3.4, "moved": 0.2},
}  # fmt: skip
HOSTILE = ("$\\frac{1}{$", "_hidden", "line\nbreak", "price $5 to $6", "\u6f22\u5b57 \U0001f600", "x" * 200)


def size(figure):
    figure.canvas.draw()
    return figure.canvas.get_width_height()


def test_no_window_system_and_no_global_figure():
    code = "import sys, separatrix.view; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_saved_picture_has_the_same_bytes_and_no_date(make_frames, tmp_path):
    first, second = save(scatter(make_frames()), tmp_path / "a.png"), save(scatter(make_frames()), tmp_path / "b.png")
    assert first.read_bytes() == second.read_bytes()
    with Image.open(io.BytesIO(first.read_bytes())) as image:
        assert set(image.info) == {"dpi"}
        assert image.size == (1200, 810)


def test_save_refuses_what_it_cannot_write(make_frames, tmp_path):
    with pytest.raises(OptionError, match=r"unknown kind of picture: got '.jpg'"):
        save(scatter(make_frames()), tmp_path / "a.jpg")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(StoreError, match=r"folder.png cannot be written"):
        save(scatter(make_frames()), tmp_path / "folder.png")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.png"]


def test_scatter_shows_every_row_and_rings_the_wrong_ones(make_frames):
    frames = make_frames()
    wrong = []
    for index in (0, -1):
        axes = scatter(frames, index).axes[0]
        rows, rings = axes.collections[0], axes.collections[1]
        np.testing.assert_array_equal(rows.get_offsets(), frames.points[index])
        wrong.append(len(rings.get_offsets()))
        assert wrong[-1] == 30 - frames.right[index]
    assert wrong[0] > 7 > 2 > wrong[1]


def test_unit_is_as_long_on_both_axes_and_all_is_inside(make_frames):
    points = make_frames().points * [1, 40]
    figure = scatter(make_frames(points=points, centroids=None))
    size(figure)
    axes, box = figure.axes[0], figure.axes[0].get_window_extent()
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert box.width / (right - left) == pytest.approx(box.height / (top - bottom), rel=1e-3)
    assert bottom < points[-1, :, 1].min()
    assert points[-1, :, 1].max() < top


def test_fifty_classes_have_a_short_legend_and_different_looks(make_frames):
    texts = [text.get_text() for text in scatter(make_frames(50, 100)).legends[0].get_texts()]
    assert len(texts) <= 24
    assert "and 29 more classes" in texts
    assert len({(look(k).colour, look(k).marker) for k in range(180)}) == 180
    assert all(look(k).marker == "o" for k in range(10))


@pytest.mark.filterwarnings("ignore::separatrix.errors.PictureWarning")  # of characters that no font here has
def test_foreign_names_are_shown_as_they_are(make_frames, tmp_path):
    frames = make_frames(6, titles=("$a", "$b$", "c", "d_{$"), names=HOSTILE, note="$" * 3, axes=("$x$", "_y"))
    figure = scatter(frames, 1)
    save(figure, tmp_path / "a.png")
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts[1] == "_hidden (5)"
    assert texts[2] == "line break (5)"
    assert texts[3] == r"price \$5 to \$6 (5)"
    assert len(texts[5]) < 30
    save(confusion(np.eye(6, dtype=int), HOSTILE), tmp_path / "b.png")


def test_scatter_stops_at_the_last_frame(make_frames):
    with pytest.raises(ShapeError, match="there is no such frame: got 9"):
        scatter(make_frames(), 9)


def test_curves_show_the_score_beside_its_dashed_baseline():
    figure = curves([ROW, {**ROW, "epoch": 2}])
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Loss", "Validation score", "Centroids"]
    lines = {line.get_label(): line for line in figure.axes[1].lines}
    assert set(lines) == {"accuracy", "macro F1", "majority"}
    assert lines["majority"].get_linestyle() == "--"
    assert lines["accuracy"].get_linestyle() == "-"


@pytest.mark.parametrize("gone", ["epoch", "loss", "validation", "centroids", "parts"])
def test_curves_cope_with_a_missing_key(gone):
    rows = [{key: value for key, value in ROW.items() if key != gone}, {**ROW, "epoch": 2}]
    size(curves(rows))


def test_gaps_and_strange_values_are_gaps():
    rows = [ROW, {"epoch": 2, "loss": None, "validation": "none"}, {"epoch": 3, "loss": float("inf"), "validation": {}}]
    train = panels(rows)[0].lines[0]
    assert train.y[0] == 0.93
    assert all(math.isnan(value) for value in train.y[1:])
    size(curves(rows))


def test_the_shape_of_an_encoder_has_a_panel():
    rows = [{"epoch": epoch, "validation": {"nc1": 1 / epoch, "alignment": 0.5}} for epoch in (1, 2)]
    (found,) = panels(rows)
    assert found.title == "Shape of the validation vectors"
    assert [line.name for line in found.lines] == ["alignment", "NC1: within over between"]


def test_panels_of_a_regression_and_of_nothing():
    found = panels([{"step": 5, "validation": {"rmse": 0.5, "baseline_rmse": 1.0}}])
    assert [(panel.title, panel.x_label) for panel in found] == [("Validation error", "step")]
    assert [line.baseline for line in found[0].lines] == [False, True]
    assert panels([]) == panels([{"epoch": 1}]) == ()
    assert curves([]).texts[0].get_text() == "no metrics were recorded"


def test_one_epoch_shows_points_at_that_epoch():
    axes = curves([ROW]).axes[0]
    assert axes.get_xticks().tolist() == [1.0]


def test_row_shares_match_a_slow_loop():
    counts = np.random.default_rng(0).integers(0, 9, (5, 5))
    counts[2] = 0
    shares = row_shares(counts)
    for i in range(5):
        for j in range(5):
            assert shares[i, j] == (counts[i, j] / sum(counts[i]) if sum(counts[i]) else 0)


@pytest.mark.parametrize(("classes", "widest"), [(2, 5), (6, 7), (12, 11), (25, 11), (50, 15)])
def test_confusion_writes_every_count_and_stays_on_a_sheet(classes, widest):
    counts = np.random.default_rng(0).integers(0, 4, (classes, classes)) + 9 * np.eye(classes, dtype=int)
    figure = confusion(counts, [f"class {k}" for k in range(classes)])
    written = [int(text.get_text().split("\n")[0]) for text in figure.axes[0].texts]
    assert written == counts[counts > 0].tolist()
    assert figure.get_size_inches().max() < widest
    assert figure.axes[0].get_yticklabels()[0].get_text() == f"class 0 ({counts[0].sum()})"


@pytest.mark.parametrize(
    ("matrix", "names", "message"),
    [
        (np.zeros((2, 3)), ["a", "b"], r"a confusion matrix is square: got \(2, 3\)"),
        (np.zeros((0, 0)), [], "a confusion matrix is square"),
        (-np.eye(2), ["a", "b"], "a confusion matrix holds counts: got -1"),
        (np.eye(2), ["a"], "every class needs a name: got 1 names, expected 2"),
    ],
)
def test_confusion_refuses_what_is_none(matrix, names, message):
    with pytest.raises(ShapeError, match=message):
        confusion(matrix, names)


def test_numbers_are_drawn_where_they_are_beside_the_line_of_equality():
    truth, predicted = np.array([1.0, 2.0, 4.0]), np.array([1.5, 2.0, 9.0])
    axes = against(Numbers(truth, predicted, "3 rows")).axes[0]
    np.testing.assert_array_equal(axes.collections[0].get_offsets(), np.stack([truth, predicted], axis=1))
    (line,) = axes.lines
    np.testing.assert_array_equal(line.get_xdata(), line.get_ydata())
    assert axes.get_xlim() == axes.get_ylim() == tuple(line.get_xdata())
    assert axes.get_xlim()[0] < 1
    assert axes.get_xlim()[1] > 9
    assert axes.get_xlabel() == "true (unit of the labels)"
    assert axes.get_ylabel() == "predicted (unit of the labels)"
    flat = against(Numbers(np.full(2, 5.0), np.full(2, 5.0))).axes[0]
    assert flat.get_xlim() == (4, 6)


def test_numbers_without_partners_are_refused():
    for truth, predicted in ((np.zeros(2), np.zeros(3)), (np.zeros(0), np.zeros(0))):
        with pytest.raises(ShapeError, match=r"every true number needs an answer: got .*, expected two equal lengths"):
            Numbers(truth, predicted)


def test_a_figure_is_written_as_svg_where_it_is_asked_for(tmp_path):
    with figures("svg"):
        save(curves([ROW, {**ROW, "epoch": 2}]), tmp_path / "a.png")
        save(curves([ROW, {**ROW, "epoch": 2}]), tmp_path / "b.png")
    save(curves([ROW]), tmp_path / "c.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "a.svg", "b.png", "b.svg", "c.png"]
    text = (tmp_path / "a.svg").read_text()
    assert text == (tmp_path / "b.svg").read_text()
    assert ElementTree.fromstring(text).tag.endswith("svg")
    assert not re.search("<dc:|matplotlib.org|" + re.escape(str(tmp_path)), text)


def test_many_marks_are_pixels_in_an_svg(tmp_path):
    from separatrix.view.canvas import MOST_SHAPES, new_figure

    sizes = []
    for rows in (MOST_SHAPES, MOST_SHAPES + 1):
        figure = new_figure(4, 3)
        figure.add_subplot().scatter(*np.random.default_rng(0).normal(size=(2, rows)), s=1)
        with figures("svg"):
            save(figure, tmp_path / "x.png")
        sizes.append((tmp_path / "x.svg").stat().st_size)
    assert sizes[1] < 200_000 < sizes[0]
