"""The study of calibration: figures of votes that fall together."""

import numpy as np
import pytest
from studies.calibration import run as study


@pytest.mark.parametrize("rows", [1, 40])
def test_votes_that_are_all_alike_leave_all_rows_answered(rows):
    """Regression: the study stopped where equal probabilities leave no share of 80 % of the rows."""
    figures = study._figures(np.tile([0.75, 0.25], (rows, 1)), np.zeros(rows, int))
    assert (figures["coverage"], figures["answered"], figures["accuracy"]) == (1.0, 1.0, 1.0)
    assert figures["distinct"] == pytest.approx(1 / rows)
