"""The heat map: what is asked is drawn, and what does not fit is refused."""

import numpy as np
import pytest

from separatrix.errors import ShapeError
from separatrix.view.canvas import save
from separatrix.view.cells import heatmap


def test_every_figure_is_written_and_the_best_is_framed(tmp_path):
    values = np.array([[0.1, np.nan], [0.52, 0.9]])
    figure = heatmap(values, (["one", "two"], ["cls", "mean"]), title="accuracy", note="note", best=(1, 1))
    axes = figure.axes[0]
    assert sorted(text.get_text() for text in axes.texts) == ["0.100", "0.520", "0.900"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["one", "two"]
    assert axes.patches[0].get_xy() == (0.5, 0.5)
    save(figure, tmp_path / "heat.png")
    assert (tmp_path / "heat.png").stat().st_size > 1000


@pytest.mark.parametrize("values", [np.zeros((2, 3)), np.full((2, 2), np.nan), np.zeros(2)])
def test_what_does_not_fit_is_refused(values):
    with pytest.raises(ShapeError, match="needs figures with names"):
        heatmap(values, (["a", "b"], ["c", "d"]), title="", note="")


def test_one_value_everywhere_is_drawn():
    figure = heatmap(np.full((1, 2), 0.5), (["a"], ["b", "c"]), title="t", note="")
    assert len(figure.axes[0].texts) == 2
