"""Suspects among labelled texts: what they are read from, how the columns are called, what is written."""

import re

import numpy as np
import pandas as pd
import pytest

from separatrix.analysis import suspects as module
from separatrix.analysis.suspects import suspects
from separatrix.errors import DataError, OptionError, StoreError
from separatrix.texts import load_splits, load_texts

WORDS = ("cat", "dog", "bird")


@pytest.fixture
def own(tiny):
    """Options of a tiny model."""
    return {"model": str(tiny("bert")), "pool": "mean", "device": "cpu"}


def few(label="label", text="text"):
    """Sixty texts of three kinds, one of them labelled wrong."""
    others = np.random.default_rng(0).choice(["the", "red", "house", "old"], (60, 3))
    texts = [" ".join([*[WORDS[row % 3]] * 6, *others[row]]) for row in range(60)]
    labels = [WORDS[row % 3] for row in range(60)]
    labels[4] = "cat"
    return pd.DataFrame({text: texts, label: labels, "note": [f"{row:02d}" for row in range(60)]})


@pytest.mark.parametrize("name", ["score", "reason", "suggested", "id", "text", "near_id", "is_label_issue", "kind"])
def test_the_column_of_labels_may_have_any_name(name, own, tmp_path):
    """Regression: the page took qualities or reasons for the classes, and a column `id` did not fit the vectors."""
    path = tmp_path / "few.csv"
    few(name, "body").to_csv(path, index=False)
    made = suspects(path, text="body", label=name, out=tmp_path / "s", **own)
    assert made.table["label"].tolist() == ["cat"]
    assert (made.table["id"].tolist(), made.table["suggested"].tolist()) == ([4], ["dog"])
    assert made.recipe.label == name
    page = (tmp_path / "s" / "suspects.html").read_text()
    assert re.findall(r'"names": ?(\[[^\]]*\])', page)[0].replace(" ", "") == '["cat","dog","bird"]'
    issues = pd.read_csv(tmp_path / "s" / "label_issues.csv", dtype=str)
    assert issues["given_label"].tolist() == few()["label"].tolist()


def test_a_frame_and_splits_are_judged_as_a_file_is(own, tmp_path):
    """Regression: both were refused, though `train` reads them."""
    frame, path = few("kind", "body"), tmp_path / "few.csv"
    frame.to_csv(path, index=False)
    columns = {"text": "body", "label": "kind"}
    of_file = suspects(path, **columns, **own)
    of_frame = suspects(frame.set_index(frame.index + 100), **columns, **own)
    pd.testing.assert_frame_equal(of_frame.rows, of_file.rows)
    assert of_frame.issues["note"].tolist() == frame["note"].tolist()
    splits = load_splits(frame, **columns)
    of_splits = suspects(splits, **own)
    assert of_splits.table["id"].tolist() == [4]
    assert sorted(of_splits.rows["id"]) == list(range(60))
    with pytest.raises(OptionError, match="columns are named where texts are read"):
        suspects(splits, **columns, **own)
    for source, kind in ((frame, "DataFrame"), (splits, "Splits"), (load_texts(frame, **columns), "Texts")):
        with pytest.raises(OptionError, match=f"--drop needs one file of texts: got {kind}"):
            suspects(source, drop=tmp_path / "clean.csv", **own)
    with pytest.raises(DataError, match="texts cannot be read from this: got int"):
        suspects(5)


def test_a_file_with_a_long_cell_is_cleaned(own, tmp_path):
    """Regression: the limit of the csv module ended the command in its last step."""
    path, clean = tmp_path / "few.csv", tmp_path / "clean.csv"
    few().assign(note=["long " * 30_000, *["short"] * 59]).to_csv(path, index=False)
    made = suspects(path, drop=clean, out=tmp_path / "s", **own)
    assert made.dropped == {"file": "clean.csv", "dropped": 1, "left": 59}
    assert len(pd.read_csv(clean)) == 59


def test_what_cannot_be_written_is_refused_before_the_model_runs(own, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "read_texts", lambda *_: pytest.fail("the model has run"))
    few().to_csv(tmp_path / "few.csv", index=False)
    (tmp_path / "taken").write_text("a file, no folder")
    with pytest.raises(StoreError, match="taken"):
        suspects(tmp_path / "few.csv", drop=tmp_path / "taken" / "clean.csv", **own)
    (tmp_path / "broken.csv").write_text('text,label\n"a" b,x\n')
    with pytest.raises(DataError, match=r"broken\.csv line 2 cannot be read"):
        suspects(tmp_path / "broken.csv", drop=tmp_path / "clean.csv", **own)
    assert not (tmp_path / "clean.csv").exists()
