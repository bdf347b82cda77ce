"""Saved and loaded, pickled and copied: the same answers to the byte, and nothing but the matching transformer."""

import copy
import json
import pickle
import shutil
import warnings

import numpy as np
import pytest
from sklearn.base import clone

from separatrix.errors import ModelError, StoreError
from separatrix.estimators import PromptClassifier, PromptRegressor
from separatrix.recipe import TrainRecipe, replace
from separatrix.store.files import write_json, write_lines

QUIET = pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")
METHODS = ("predict", "predict_proba", "decision_function", "transform", "distances")


def test_save_and_load(fitted, parts, tmp_path):
    texts = parts[2]
    fitted.save(tmp_path / "saved")
    again = PromptClassifier.load(tmp_path / "saved", device="cpu")
    assert sorted(path.name for path in (tmp_path / "saved").iterdir()) == [
        "estimator.json",
        "manifest.json",
        "model.json",
        "model.safetensors",
    ]
    assert again.get_params() == fitted.get_params()
    assert again.classes_.tolist() == fitted.classes_.tolist()
    for name in ("history_", "warnings_", "notes_", "validation_scores_"):
        assert getattr(again, name) == getattr(fitted, name)
    for method in METHODS:
        assert getattr(again, method)(texts).tobytes() == getattr(fitted, method)(texts).tobytes()


def test_save_and_load_a_regressor(measured, parts, tmp_path):
    measured.save(tmp_path)
    again = PromptRegressor.load(str(tmp_path))
    assert again.predict(parts[2]).tobytes() == measured.predict(parts[2]).tobytes()
    with pytest.raises(StoreError, match="got a PromptRegressor, expected a PromptClassifier"):
        PromptClassifier.load(tmp_path)


@QUIET
def test_a_recipe_and_boolean_classes_come_back(quick, planted, tmp_path):
    texts, _ = planted
    labels = ["cat" in text.split() for text in texts]
    recipe = replace(TrainRecipe(), words=("good", "bad"))
    clf = quick.set_params(recipe=recipe, loss="token", tokens=np.int64(2)).fit(texts, labels)
    clf.save(tmp_path)
    again = PromptClassifier.load(tmp_path)
    assert again.recipe == recipe
    assert again.predict(texts[:5]).tolist() == clf.predict(texts[:5]).tolist()
    assert again.classes_.dtype == bool
    assert clone(again).fit(texts, labels).history_ == clf.history_


def test_nothing_is_overwritten_unasked(fitted, tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(StoreError, match="exists; type --overwrite to replace it"):
        fitted.save(tmp_path)
    with pytest.raises(StoreError, match=r"mine.txt is a file: expected a folder"):
        fitted.save(tmp_path / "mine.txt")
    with pytest.raises(StoreError, match="not replaced: got nothing that separatrix wrote, expected model"):
        fitted.save(tmp_path, overwrite=True)
    assert (tmp_path / "mine.txt").read_text() == "keep"
    fitted.save(tmp_path / "own")
    fitted.save(tmp_path / "own", overwrite=True)


def test_loading_against_other_weights_is_refused(fitted, tiny, tmp_path):
    fitted.save(tmp_path)
    with pytest.raises(ModelError, match="belongs to other weights"):
        PromptClassifier.load(tmp_path, model=str(tiny("roberta")))


def test_the_model_may_stand_elsewhere(fitted, tiny, tmp_path):
    fitted.save(tmp_path / "saved")
    shutil.copytree(tiny("bert"), tmp_path / "moved")
    again = PromptClassifier.load(tmp_path / "saved", model=str(tmp_path / "moved"))
    assert again.model == str(tmp_path / "moved")
    assert again.predict(["the cat"]) == fitted.predict(["the cat"])


def test_what_is_no_estimator_is_refused(tmp_path, fitted):
    with pytest.raises(StoreError, match="holds no trained model"):
        PromptClassifier.load(tmp_path)
    fitted.save(tmp_path)
    (tmp_path / "manifest.json").unlink()  # as earlier versions wrote
    notes = json.loads((tmp_path / "estimator.json").read_text())
    (tmp_path / "estimator.json").write_text(json.dumps(notes | {"format": 99}))
    with pytest.raises(StoreError, match="was written by a newer version: got format 99, expected format 1 or older"):
        PromptClassifier.load(tmp_path)


def test_the_folder_of_a_run_can_be_loaded(fitted, parts, tmp_path):
    """A run of the command line has the model's two files, metrics and a result, but no estimator.json."""
    fitted.model_.save(tmp_path)
    write_lines(tmp_path / "metrics.jsonl", fitted.history_)
    write_json(tmp_path / "result.json", {"scores": {"validation": {"accuracy": 0.5}}, "warnings": ["so so"]})
    again = PromptClassifier.load(tmp_path)
    assert again.predict(parts[2]).tolist() == fitted.predict(parts[2]).tolist()
    assert (again.tokens, again.lr, again.epochs) == (8, 0.1, 12)
    assert (again.history_, again.validation_scores_, again.warnings_) == (
        fitted.history_,
        {"accuracy": 0.5},
        ("so so",),
    )


def test_a_pickle_is_small_and_answers_alike(fitted, parts, tiny):
    weights = sum(path.stat().st_size for path in tiny("bert").glob("*.safetensors"))
    data = pickle.dumps(fitted)
    assert len(data) < weights / 3  # the transformer is not in it
    with warnings.catch_warnings(action="error"):  # Regression: of files without hashes, which a pickle has none of
        again, copied = pickle.loads(data), copy.deepcopy(fitted)
    assert again.predict_proba(parts[2]).tobytes() == fitted.predict_proba(parts[2]).tobytes()
    assert copied.history_ == fitted.history_
    assert pickle.loads(pickle.dumps(PromptClassifier(tokens=3))).tokens == 3


@QUIET
def test_a_pickle_whose_transformer_is_gone_says_so(quick, planted, tiny, tmp_path):
    shutil.copytree(tiny("gpt2"), tmp_path / "gone")
    data = pickle.dumps(quick.set_params(model=tmp_path / "gone").fit(*planted))
    shutil.rmtree(tmp_path / "gone")
    with pytest.raises(ModelError, match=r"was not found: got .*gone.; say where it is now with --model"):
        pickle.loads(data)
