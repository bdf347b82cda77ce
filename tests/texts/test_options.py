"""Keywords of the two doors and of `Texts.split`: of another kind, or out of range, they are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from separatrix.errors import DataError, OptionError
from separatrix.texts import Texts, load_splits, load_texts

FRAME = pd.DataFrame({"text": [f"text {row}" for row in range(20)], "label": ["a", "b"] * 10})
WRONG: list[tuple[str, Any]] = [
    *(("seed", value) for value in (-1, 10**20, 1.5, "x", None, True, np.nan)),
    *((name, value) for name in ("validation", "test") for value in ("x", np.nan, np.inf, None, 2, -1, [0.1])),
    *(("text", value) for value in (["a", "a"], [], [3], 5, None, b"text", "a\0")),
    *((name, value) for name in ("label", "group") for value in (5, ["label"], 0.5)),
    *(("by", value) for value in (5, None, "rwos", ["rows"])),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_wrong_keywords_of_load_splits_are_refused(name: str, value: Any) -> None:
    with pytest.raises((OptionError, DataError), match=r"out of range|cannot be this|unknown way to split"):
        load_splits(FRAME, **{name: value})


@pytest.mark.parametrize(("name", "value"), [case for case in WRONG if case[0] in ("text", "label", "group")])
def test_wrong_columns_of_load_texts_are_refused(name: str, value: Any) -> None:
    with pytest.raises(OptionError, match="cannot be this"):
        load_texts(FRAME, **{name: value})


@pytest.mark.parametrize(("name", "value"), [case for case in WRONG if case[0] in ("seed", "test", "by")])
def test_wrong_keywords_of_split_are_refused(name: str, value: Any) -> None:
    with pytest.raises(OptionError, match=r"out of range|unknown way to split"):
        Texts.of(list(FRAME["text"]), list(FRAME["label"])).split(**{name: value})


def test_numbers_of_numpy_are_taken() -> None:
    splits = load_splits(FRAME, validation=np.float32(0.25), test=np.float64(0.2), seed=np.int64(3))
    assert splits.train.text == load_splits(FRAME, validation=0.25, test=0.2, seed=3).train.text
