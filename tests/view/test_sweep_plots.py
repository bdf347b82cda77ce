"""Pictures of sweeps show each line, and chosen values where an axis is tuned."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from separatrix.sweeps.pictures import draw
from separatrix.view.sweep_plots import MeanPoint, axis_curves, pushed_apart, quality_by_cost

LINES = [
    {
        "label": "a", "tokens": "1", "lr": "0.1", "validation": 0.6, "test": 0.5, "test_low": 0.4, "test_high": 0.6,
        "chosen": True,
    },
    {"label": "b", "tokens": "1", "lr": "0.2", "validation": 0.5, "test": 0.9, "chosen": False},
    {"label": "c", "tokens": "40", "lr": "0.1", "validation": 0.8, "test": 0.7, "chosen": True},
    {"label": "d", "tokens": "40", "lr": "0.2", "validation": 0.7, "test": 0.8, "chosen": False},
    {"label": "probe", "row": "probe", "validation": 0.7, "test": 0.65, "chosen": False},
]  # fmt: skip


def test_curves_have_a_line_for_each_series_and_a_level_for_each_baseline():
    points = [MeanPoint(1, 0.5, 0.4, 0.6), MeanPoint(40, 0.7)]
    figure = axis_curves({"gpt2": points, "bert": points[1:]}, {"probe": 0.6}, ("tokens", "accuracy"))
    axes = figure.axes[0]
    assert [list(line.get_ydata()) for line in axes.lines[:4]] == [[0.4, 0.6], [0.5, 0.7], [0.7], [0.6, 0.6]]
    assert axes.get_xscale() == "log"
    assert {text.get_text() for text in axes.texts} == {"gpt2", "bert", "probe"}


def test_names_of_lines_that_end_together_stand_apart():
    """Regression: names of levels lay over each other and over the legend, and were cut to the same words."""
    names = [f"probe, model=HuggingFaceTB/SmolLM2-135M-Instruct, depth={depth}" for depth in (10, 20, 30)]
    series = {"SmolLM2": [MeanPoint(1, 0.84), MeanPoint(50, 0.835)], "stories": [MeanPoint(1, 0.6), MeanPoint(50, 0.5)]}
    figure = axis_curves(series, dict(zip(names, (0.78, 0.836, 0.835), strict=True)), ("tokens", "accuracy"))
    figure.draw_without_rendering()
    texts = figure.axes[0].texts
    boxes = sorted((text.get_window_extent() for text in texts), key=lambda box: box.y0)
    assert all(one.y1 <= other.y0 + 1 for one, other in pairwise(boxes))
    assert max(box.x1 for box in boxes) <= figure.bbox.x1
    assert len({text.get_text() for text in texts}) == 5


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8).map(sorted))
def test_heights_are_pushed_apart_and_no_further(heights):
    apart = pushed_apart(heights, 0.1)
    gaps = np.diff(apart)
    assert (gaps >= 0.1 - 1e-9).all()
    assert np.mean(apart) == pytest.approx(np.mean(heights))
    if (np.diff(heights) >= 0.1).all():
        assert apart == pytest.approx(heights)


def test_costs_are_named_where_there_are_few():
    figure = quality_by_cost({"a": (1.0, 0.5), "b": (2.0, 0.6)}, "test accuracy")
    assert {text.get_text() for text in figure.axes[0].get_legend().get_texts()} == {"a", "b"}
    assert quality_by_cost({str(n): (1.0 + n, 0.5) for n in range(20)}, "x").axes[0].get_legend() is None


@pytest.mark.parametrize("kind", ["curves", "costs"])
def test_no_name_is_cut_off(kind):
    name = "model=sentence-transformers/all-MiniLM-L6-v2, tokens=20, lr=0.03"
    if kind == "curves":
        figure = axis_curves({name: [MeanPoint(1, 0.5), MeanPoint(2, 0.6)]}, {}, ("tokens", "accuracy"))
    else:
        figure = quality_by_cost({name: (1.0, 0.5), f"w{name}": (2.0, 0.6)}, "test accuracy")
    figure.draw_without_rendering()
    axes = figure.axes[0]
    shown = axes.texts if kind == "curves" else [axes.get_legend()]
    assert all(one.get_window_extent().x1 <= figure.bbox.x1 for one in shown)


def test_the_axes_decide_which_pictures_there_are(tmp_path):
    costs = [{"label": line["label"], "seconds": 1.0} for line in LINES]
    runs = [line | {"seed": 0} for line in LINES]
    draw(LINES, costs, runs, ["row", "tokens", "lr"], ["lr"], "accuracy", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "accuracy_by_tokens.png", "cost.png", "tokens_by_lr.png"
    ]  # fmt: skip
    (tmp_path / "one").mkdir()
    draw(LINES[:1], costs[:1], runs[:1], ["tokens", "lr"], [], "accuracy", tmp_path / "one")
    assert [*(tmp_path / "one").iterdir()] == []
