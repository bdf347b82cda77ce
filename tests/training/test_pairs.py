"""Pairs of texts through training, answers, vectors, ranking, suspects and estimators."""

import pickle

import numpy as np
import pandas as pd
import pytest

import separatrix as sx
from separatrix import recipe as recipes
from separatrix.errors import DataError, OptionError
from separatrix.estimators.frozen import FrozenClassifier
from separatrix.learn.trained.loading import load_model
from separatrix.recipe import ModelRecipe
from separatrix.texts import Splits, Texts

PREMISES = ["the cat is red", "a dog is big", "who is in the house", "this bird is blue", "the fish is old"]
QUICK = {"epochs": 1, "batch_size": 16, "device": "cpu"}


@pytest.fixture(scope="module")
def rows():
    """Whether the second text says the same as the first one."""
    first, second, label = [], [], []
    for row in range(60):
        one = PREMISES[row % 5] + f" {row % 9 + 1}"
        same = row % 2 == 0
        first.append(one)
        second.append(one if same else f"not {PREMISES[(row + 1) % 5]} {row % 7 + 1}")
        label.append("same" if same else "other")
    return pd.DataFrame({"a": first, "b": second, "kind": label})


@pytest.fixture(scope="module")
def data(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("pairs") / "pairs.csv"
    rows.to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    ("method", "family"), [("probe", "bert"), ("prompt", "bert"), ("prompt", "gpt2"), ("align", "bert")]
)
def test_a_run_of_pairs_answers_as_it_did(tiny, data, tmp_path, method, family):
    more = {"device": "cpu"} if method == "probe" else QUICK
    out = tmp_path / "run"
    result = sx.train(data, method=method, model=str(tiny(family)), text=["a", "b"], label="kind", out=out, **more)
    assert any(note.startswith("pairs of texts: ") for note in result.notes)
    written = pd.read_parquet(out / "predictions" / "test.parquet")
    assert {"text", "text_pair"} <= {*written}
    assert "\0" not in "".join(written["text"])
    frame = sx.predict(load_model(out), data, text=("a", "b"), label="kind")
    both = frame.merge(written, on="id", suffixes=("", "_then"))
    with pytest.raises(OptionError, match="trained on pairs of texts: got single texts; name both columns"):
        sx.predict(out, data, text="a")
    chances = [name for name in written if name.startswith("probability_")]
    assert np.allclose(both[chances], both[[f"{name}_then" for name in chances]], atol=1e-4)
    assert " ‖ " in (out / "report.html").read_text(encoding="utf-8")
    if method == "probe":
        with pytest.raises(OptionError, match="a run of text pairs cannot be exported"):
            sx.export_classifier(out, out=tmp_path / "onnx")


def test_vectors_ranks_and_suspects_of_pairs(tiny, data, rows, tmp_path):
    model = str(tiny("bert"))
    pairs, firsts = (sx.load_texts(data, text=text, label="kind") for text in (("a", "b"), "a"))
    points, alone = (sx.extract(texts, model=model, pool="mean", device="cpu") for texts in (pairs, firsts))
    assert not np.allclose(points.values, alone.values, atol=1e-4)
    table = sx.rank(data, model=model, text=("a", "b"), label="kind", pool="mean", resamples=5, device="cpu").table
    assert len(table) == 1
    result = sx.suspects(data, model=model, text=("a", "b"), label="kind", pool="mean", device="cpu")
    assert result.table["text"].str.contains(" ‖ ").all() or not len(result.table)


def test_estimators_take_tuples_and_frames_of_two_columns(tiny, rows):
    tuples = list(zip(rows["a"], rows["b"], strict=True))
    made = [
        FrozenClassifier(str(tiny("bert")), recipe=recipes.replace(ModelRecipe(), device="cpu")).fit(X, rows["kind"])
        for X in (tuples, rows[["a", "b"]])
    ]
    answers = [one.predict_proba(X) for one, X in zip(made, (rows[["a", "b"]].to_numpy(), tuples), strict=True)]
    assert np.array_equal(*answers)
    with pytest.raises(OptionError, match="trained on pairs of texts: got single texts"):
        made[0].predict(rows["a"])
    again = pickle.loads(pickle.dumps(made[0]))
    with pytest.raises(OptionError, match="trained on pairs of texts: got single texts"):
        again.transform(rows["a"])


def test_a_model_of_single_texts_takes_no_pairs_and_validation_rows_are_as_training_rows(tiny, rows):
    model = str(tiny("bert"))
    fitted = FrozenClassifier(model).fit(rows["a"], rows["kind"])
    for pairs in (rows[["a", "b"]], [("the cat", "is red")]):
        with pytest.raises(OptionError, match="trained on single texts: got pairs of texts; name one column"):
            fitted.predict(pairs)
    with pytest.raises(OptionError, match="trained on pairs of texts: got single texts"):
        FrozenClassifier(model).fit(rows[["a", "b"]], rows["kind"], validation=(rows["a"], rows["kind"]))
    both, single = Texts.of(rows["a"], rows["kind"], pair=rows["b"]), Texts.of(rows["a"], rows["kind"])
    with pytest.raises(DataError, match="pairs of texts in train, single texts in validation: expected the same"):
        sx.train(Splits(both, single, None, ()), method="probe", model=model, pool="mean")


def test_a_pair_with_a_blank_side_gets_no_answer_and_comes_back_as_it_was(tiny, rows, tmp_path):
    """Regression: both sides came back blank, and without `text_pair` where every pair had a blank side."""
    model = FrozenClassifier(str(tiny("bert"))).fit(rows[["a", "b"]], rows["kind"]).model_
    frame = pd.DataFrame({"a": ["the cat", "a dog", None, " "], "b": ["is red", "", "is big", None]})
    frame.to_csv(tmp_path / "new.csv", index=False)
    listed = Texts.of(frame["a"].tolist(), pair=frame["b"].tolist(), keep_blank=True)
    for data, first in ((frame, 0), (tmp_path / "new.csv", 0), (listed, 0), (frame[1:], 1)):
        answers = sx.predict(model, data, text=("a", "b"))
        assert answers["reason"].isna().tolist() == [True, False, False, False][first:]
        assert answers["text"].tolist() == ["the cat", "a dog", "", ""][first:]
        assert answers["text_pair"].tolist() == ["is red", "", "is big", ""][first:]


def test_peft_refuses_pairs(tiny, data):
    pytest.importorskip("peft")
    with pytest.raises(OptionError, match="--method peft reads one text a row: got pairs of texts"):
        sx.train(data, method="peft", model=str(tiny("bert")), text=["a", "b"], label="kind", **QUICK)
