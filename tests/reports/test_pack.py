import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix.errors import OptionError, StoreError
from separatrix.reports.pack import cut, data_json, data_uri, printable
from separatrix.reports.sweep import sweep_listing
from separatrix.reports.tables import ruler, tabulate
from separatrix.reports.verdict import judge
from separatrix.training.diagnostics import below_baselines


@settings(max_examples=40)
@given(st.dictionaries(st.text(max_size=9), st.one_of(st.text(max_size=30), st.integers()), max_size=4))
def test_json_ends_no_script_and_comes_back(value):
    text = data_json(value)
    assert not re.search("[<>&\u2028\u2029]", text)
    assert json.loads(text) == value


def test_json_keeps_four_digits_and_no_nan():
    value = {"a": [np.float32(0.123456), float("inf"), 123456.0], 1: None, "b": True, "n": np.int64(123456)}
    assert json.loads(data_json(value)) == {"a": [0.1235, None, 123500.0], "1": None, "b": True, "n": 123456}


def test_cut_keeps_lines_and_drops_control_signs():
    assert cut("a\nb\tc\x00\x1b[31m\ud800", 99) == "a\nb c[31m"
    assert cut("x" * 400, 300) == "x" * 297 + "..."


def test_words_do_not_grow_together_and_joined_signs_stay_joined():
    """White space of every kind stands between words; Persian and emoji need their joiners."""
    assert printable("a\u3000b\u00a0c\u2028d\re\r\nf\u202eg") == "a b c d e\nfg"
    joined = "\u0645\u06cc\u200c\u062e \U0001f469\u200d\U0001f52c"
    assert printable(joined) == joined


def test_pictures_are_put_inside(tmp_path):
    (tmp_path / "a.png").write_bytes(b"abc")
    assert data_uri(tmp_path / "a.png") == "data:image/png;base64,YWJj"
    with pytest.raises(OptionError, match=r"unknown kind of picture: got '.svg', expected one of .png, .gif, .jpg"):
        data_uri(tmp_path / "a.svg")
    with pytest.raises(StoreError, match=r"cannot read the picture .*b.png: got No such file"):
        data_uri(tmp_path / "b.png")


def test_table_sets_numbers_to_the_right_and_shows_gaps():
    table = tabulate([{"method": "a", "rows": 3, "interval": (0.1, 0.2)}, {"method": "b", "rmse": 0.5}])
    assert table.headings == ["method", "rows", "interval", "RMSE"]
    assert table.numeric == [False, True, True, True]
    assert table.rows == [["a", "3", "0.100 to 0.200", "-"], ["b", "-", "-", "0.5"]]


def test_an_error_has_four_digits_whatever_the_unit_of_the_labels():
    row = {"method": "probe", "rmse": 2e-30, "interval": (1e-30, 3.14159e-30), "baseline_rmse": 1735.24, "r2": 0.5}
    assert tabulate([row]).rows == [["probe", "2e-30", "1e-30 to 3.142e-30", "1735", "0.500"]]
    own, ridge = row | {"method": "prompt"}, {"method": "ridge", "rmse": 2.5e-30}
    figures = dict(judge([own, ridge], "prompt", "interval").figures)
    assert (figures["root mean square error"], figures["interval"]) == ("2e-30", "1e-30 to 3.142e-30")
    assert figures["best baseline: ridge"] == "2.5e-30"
    line = {"label": "a", "runs": 2, "validation": 2e-30, "validation_low": 1e-30, "validation_high": 3e-30}
    assert "2e-30 (1e-30 to 3e-30)" in sweep_listing([line], (), None, ["label"], metric="rmse").rows[0]
    said = below_baselines("prompt", {"test": {"rmse": 3e-30}}, {"ridge": {"test": {"rmse": 2e-30}}})
    assert said == ["test: the error of prompt, 3e-30, is above that of the ridge on the frozen model, 2e-30"]


def test_ruler_needs_an_accuracy_between_0_and_1():
    assert ruler({"rmse": 0.4}) is None
    assert ruler({"accuracy": 1.4}) is None
    assert ruler({"accuracy": 0.5}).low is None
