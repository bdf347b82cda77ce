"""What stands at the door of `Points.of`: real finite numbers, columns that fit, names that name one row each."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from separatrix.errors import DataError, ShapeError
from separatrix.points import LARGEST, Points

EYE = np.eye(3)
REFUSED: dict[str, tuple[Any, Any, type[Exception], str]] = {
    "objects": (EYE.astype(object), None, DataError, "holds no real numbers: got object"),
    "texts": ([["a", "b"]], None, DataError, "holds no real numbers"),
    "complex numbers": (EYE + 1j, None, DataError, "got complex128"),
    "dates": (np.zeros((3, 1), "M8[D]"), None, DataError, "holds no real numbers"),
    "rows of several lengths": ([[1.0], [1.0, 2.0]], None, DataError, "holds no real numbers: got list"),
    "one number": (5.0, None, ShapeError, "is no matrix: got shape ()"),
    "no column": (np.zeros((3, 0)), None, ShapeError, "is no matrix: got shape (3, 0)"),
    "a vector": ([1.0, 2.0], None, ShapeError, "is no matrix: got shape (2,)"),
    "nothing": (None, None, DataError, "holds no real numbers: got object"),
    "NaN": (EYE * np.nan, None, DataError, "vectors: row 0 is not finite: got nan"),
    "masked": (np.ma.masked_array(EYE, EYE > 0), None, DataError, "vectors: row 0 is not finite: got nan"),
    "infinity": (np.where(EYE > 0, np.inf, 0)[::-1], None, DataError, "row 0 is not finite"),
    "a scale of 1e38": (EYE * 1e38, None, DataError, "scale the vectors"),
    "an id twice": (EYE, {"id": ["a", "b", "a"]}, DataError, "row 2 has the name of an earlier row: got id a"),
    "a head twice": (EYE, {"id": [0, 0, 0], "layer": [0, 1, 0], "head": [0, 0, 0]}, DataError, "layer 0, head 0"),
    "an id that is missing": (EYE, {"id": ["a", None, "c"]}, DataError, "row 1 has no id"),
    "ids that are lists": (EYE, {"id": [[1], [2], [3]]}, DataError, "neither numbers nor texts: got list"),
    "a short column": (EYE, {"label": ["a"]}, ShapeError, "'label' does not fit the vectors: got 1 rows"),
    "a column of matrices": (EYE, {"label": EYE}, ShapeError, "'label' does not fit the vectors: got ndarray"),
    "a column that is a number": (EYE, {"label": 5}, ShapeError, "'label' does not fit the vectors: got int"),
    "a column that is a text": (EYE, {"label": "abc"}, ShapeError, "'label' does not fit the vectors: got str"),
    "a table that is a list": (EYE, ["a", "b", "c"], DataError, "need a table of columns: got list"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_refused_in_one_sentence(case: str) -> None:
    values, table, error, words = REFUSED[case]
    with pytest.raises(error, match=re.escape(words)):
        Points.of(values, table)


def test_whole_numbers_booleans_and_the_largest_scale_pass() -> None:
    for values in (EYE.astype(int), EYE > 0, EYE.astype(np.float16), EYE * LARGEST, EYE.tolist()):
        assert len(Points.of(values)) == 3
    heads = {"id": [0, 0, 0], "layer": [0, 1, 1], "head": [0, 0, 1]}
    assert Points.of(EYE, heads).column("id").tolist() == [0, 0, 0]
    assert len(Points.of(EYE, {"id": [0, 0, 0], "token": ["the", "the", "cat"]})) == 3


def test_columns_go_by_their_rows_not_by_their_index() -> None:
    """pandas puts columns side by side by their index, which would give a row the label of another one."""
    label = pd.Series(["a", "b", "c"], index=[2, 1, 0])
    points = Points.of(EYE, {"label": label, "group": ["x", "y", "z"]})
    assert points.column("label").tolist() == ["a", "b", "c"]
    assert len(points) == 3


def test_an_origin_is_plain_data():
    assert Points.of(np.eye(3), origin={"rate": np.float32(0.5), "widths": (3, 4)}).origin == {
        "rate": 0.5,
        "widths": [3, 4],
    }
    with pytest.raises(DataError, match="origin is no plain data"):
        Points.of(np.eye(3), origin={"seen": {1, 2}})
