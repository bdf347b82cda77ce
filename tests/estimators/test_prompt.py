"""The scikit-learn faces: what they answer, their manners, repeatability, what the guards say."""

import doctest
from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags

from separatrix.errors import OptionError, SeparatrixWarning
from separatrix.estimators import PromptClassifier, PromptRegressor, inputs, training
from separatrix.estimators import prompt as prompt_module
from separatrix.recipe import TrainRecipe, replace
from separatrix.texts.holdout import hold_out

# Short trainings of a random model deserve their warnings; those that are meant are tested by name.
QUIET = pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")
METHODS = ("predict", "predict_proba", "decision_function", "transform", "distances")


# What it answers


def test_held_out_accuracy_beats_the_majority_by_far(fitted, parts):
    _, _, texts, labels = parts
    assert max(labels.count(name) for name in set(labels)) / len(labels) < 0.36
    assert fitted.score(texts, labels) > 0.8
    assert fitted.validation_scores_["accuracy"] > fitted.validation_scores_["majority"] + 0.3
    assert len(fitted.history_) == 12
    assert fitted.history_[-1]["loss"] < 0.5 * fitted.history_[0]["loss"]


def test_answers_agree_with_each_other(fitted, parts):
    _, _, texts, _ = parts
    chance, scores, far = fitted.predict_proba(texts), fitted.decision_function(texts), fitted.distances(texts)
    assert chance.shape == scores.shape == far.shape == (45, 3)
    np.testing.assert_allclose(chance.sum(axis=1), 1, atol=1e-12)
    for best in (chance.argmax(1), scores.argmax(1), far.argmin(1)):
        assert (fitted.classes_[best] == fitted.predict(texts)).all()
    direct = fitted.model_.answer(texts)
    assert (direct.labels == fitted.predict(texts)).all()
    assert (direct.probabilities == chance).all()


def test_a_text_is_answered_alike_alone_and_among_others(fitted, parts):
    _, _, texts, _ = parts
    alone = np.concatenate([fitted.predict_proba([text]) for text in texts[:10]])
    np.testing.assert_allclose(alone, fitted.predict_proba(texts)[:10], atol=1e-3)


def test_a_regressor_beats_the_mean(measured, parts):
    _, _, texts, _ = parts
    lengths = np.array([10 * len(text.split()) for text in texts])
    found = measured.predict(texts)
    assert found.shape == (45,)
    assert found.dtype == np.float64
    assert measured.score(texts, lengths) > 0.5  # R2; always answering the mean gives 0 or less
    assert measured.validation_scores_["rmse"] < measured.validation_scores_["baseline_rmse"]
    assert not hasattr(measured, "classes_")
    assert not hasattr(measured, "predict_proba")


@QUIET
def test_two_classes_have_one_column_of_scores(quick, planted):
    texts, _ = planted
    labels = np.array(["cat" in text.split() for text in texts])
    clf = quick.set_params(epochs=2).fit(texts, labels, validation=(texts, labels))
    scores = clf.decision_function(texts)
    assert scores.shape == (180,)
    assert ((scores > 0) == clf.predict(texts)).all()
    assert ((clf.predict_proba(texts)[:, 1] > 0.5) == (scores > 0)).all()


# scikit-learn's manners


def test_defaults_come_from_the_recipe():
    params = PromptClassifier().get_params()
    flat = training.flat(TrainRecipe()) | {"recipe": None}
    assert params == {name: flat[name] for name in params}
    assert list(params) == sorted(["model", "tokens", "loss", "epochs", "lr", "batch_size", "seed", "recipe"])
    assert set(params) - set(PromptRegressor().get_params()) == {"loss"}


@pytest.mark.parametrize("kind", [PromptClassifier, PromptRegressor])
def test_clone_and_set_params(kind):
    recipe = replace(TrainRecipe(), warmup=0.3)
    first = kind("somewhere", tokens=3, recipe=recipe)
    copied = clone(first)
    assert copied is not first
    assert copied.get_params() == first.get_params()
    assert first.recipe is recipe
    assert copied.set_params(tokens=5).tokens == 5
    assert first.tokens == 3
    with pytest.raises(ValueError, match="Invalid parameter 'token'"):
        first.set_params(token=1)


def test_the_printed_form_shows_what_is_not_default():
    assert repr(PromptClassifier("gpt2", tokens=20)) == "PromptClassifier(model='gpt2', tokens=20)"


def test_tags_say_text():
    for kind, check in ((PromptClassifier, is_classifier), (PromptRegressor, is_regressor)):
        tags = get_tags(kind())
        assert check(kind())
        assert tags.input_tags.string
        assert tags.input_tags.one_d_array
        assert not tags.input_tags.two_d_array
        assert not tags.input_tags.sparse
        assert tags.no_validation
        assert tags.requires_fit
        assert tags.target_tags.required


@pytest.mark.parametrize("method", [*METHODS, "score", "save", "get_feature_names_out"])
def test_not_fitted(method, tmp_path):
    words = "This PromptClassifier instance is not fitted yet. Call 'fit' with appropriate arguments"
    more = {"score": (["a"], ["b"]), "save": (tmp_path,), "get_feature_names_out": ()}.get(method, (["a"],))
    with pytest.raises(NotFittedError, match=words):
        getattr(PromptClassifier(), method)(*more)


@QUIET
def test_grid_search_over_tokens_and_loss(quick, planted):
    texts, labels = planted
    grid = {"tokens": [1, 4], "loss": ["centroid_ce", "linear"]}
    search = GridSearchCV(quick, grid, cv=2, error_score="raise").fit(texts, labels)
    assert len(search.cv_results_["params"]) == 4
    assert search.best_estimator_.tokens == search.best_params_["tokens"]
    assert search.best_estimator_.model_.prompt.tokens.shape[0] == search.best_params_["tokens"]
    assert len(set(search.cv_results_["mean_test_score"])) > 1  # the options reached the training
    assert set(search.predict(texts)) <= {"cat", "dog", "bird"}


@QUIET
def test_cross_validation(quick, planted):
    texts, labels = planted
    assert cross_val_score(quick, texts, labels, cv=2, error_score="raise").shape == (2,)
    folds = cross_validate(quick, np.array(texts), labels, cv=2, return_estimator=True, error_score="raise")
    assert all(est.predict(texts[:2]).shape == (2,) for est in folds["estimator"])


@QUIET
def test_in_a_pipeline_as_features_and_as_the_last_step(quick, planted):
    texts, labels = planted
    first = Pipeline([("prompt", quick), ("probe", LogisticRegression(max_iter=2000))]).fit(texts, labels)
    assert first.score(texts, labels) > 0.6  # 1/3 by chance
    width = first["prompt"].transform(texts).shape[1]
    assert width == first["probe"].coef_.shape[1]
    last = Pipeline([("prompt", clone(quick))]).fit(texts, labels, prompt__validation=(texts[:30], labels[:30]))
    assert last["prompt"].validation_scores_["rows"] == 30
    framed = first["prompt"].set_output(transform="pandas").transform(pd.Series(texts[:2], index=[7, 9]))
    assert list(framed.index) == [7, 9]
    assert list(framed.columns) == [f"promptclassifier{place}" for place in range(width)]


@QUIET
@pytest.mark.parametrize(("loss", "readout"), [("token", "logits"), ("linear", "hidden"), ("cosine", "hidden")])
def test_other_losses(quick, planted, loss, readout):
    texts, labels = planted
    clf = quick.set_params(loss=loss).fit(texts, labels)
    assert clf.model_.recipe.prompt.readout == readout
    features = clf.transform(texts[:3])
    assert len(clf.get_feature_names_out()) == features.shape[1]
    assert clf.predict_proba(texts[:3]).shape == (3, 3)
    if clf.model_.objective.centroids is None:
        with pytest.raises(OptionError, match=f"the loss {loss} keeps no centroids"):
            clf.distances(texts[:3])


@QUIET
@pytest.mark.parametrize("positions", ["mean", "all"])
def test_the_width_of_the_features_is_the_width_of_the_outputs(quick, planted, positions):
    texts, labels = planted
    clf = quick.set_params(recipe=replace(TrainRecipe(), positions=positions)).fit(texts, labels)
    assert len(clf.get_feature_names_out()) == clf.transform(texts[:1]).shape[1]


# Seeds


@QUIET
def test_a_seed_repeats_to_the_byte_and_another_differs(quick, planted):
    texts, labels = planted
    first, again, other = (clone(quick).set_params(seed=seed).fit(texts, labels) for seed in (3, 3, 4))
    assert first.predict_proba(texts).tobytes() == again.predict_proba(texts).tobytes()
    assert first.history_ == again.history_
    assert first.predict_proba(texts).tobytes() != other.predict_proba(texts).tobytes()


def test_the_seed_chooses_the_held_out_rows(quick, planted, monkeypatch):
    class TrainingReached(Exception):
        pass

    held = []

    def stop(request):
        held.append(request.splits.validation.id.tolist())
        raise TrainingReached

    monkeypatch.setattr(training, "run_training", stop)
    for seed in (0, 1, 1):
        with pytest.raises(TrainingReached, match=r"^$"):
            quick.set_params(seed=seed).fit(*planted)
    assert held[0] != held[1] == held[2]


@QUIET
def test_fitting_leaves_the_global_random_state_alone(quick, planted):
    import torch

    before = np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes()  # noqa: NPY002
    quick.fit(*planted)
    assert before == (np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes())  # noqa: NPY002


# Guards


def test_a_training_that_learns_nothing_warns(quick, planted):
    texts, labels = planted
    with pytest.warns(SeparatrixWarning) as seen:
        quick.set_params(lr=0.0, epochs=4).fit(texts, labels)
    said = [str(one.message) for one in seen]
    assert said == list(quick.warnings_)
    # The first needs the predictions of all epochs, the second those of the kept one.
    assert any("for 4 epochs" in line or "since the first of 4 epochs" in line for line in said)
    assert any("the majority baseline" in line for line in said)


def test_rows_on_both_sides_warn(quick, planted):
    texts, labels = planted
    with pytest.warns(SeparatrixWarning) as seen:
        quick.fit(texts, labels, validation=(texts[:30], labels[:30]))
    said = [str(one.message) for one in seen]
    known = "validation: 30 of 30 rows stand in the training rows as well (30 letter by letter, 0 with another label)"
    assert known in said


def test_a_good_training_is_silent(fitted, measured):
    assert fitted.warnings_ == measured.warnings_ == ()  # and the fixtures would have failed: warnings are errors
    assert any("text cache" in line for line in fitted.notes_)


@QUIET
def test_the_tenth_is_stratified_and_seeded(planted):
    table = inputs.labelled(*planted, "here").texts
    rows, held = hold_out(table, seed=1)
    assert sorted(held.label.tolist()) == ["bird"] * 6 + ["cat"] * 6 + ["dog"] * 6
    assert not set(rows.id) & set(held.id)
    assert held.id.tolist() == hold_out(table, seed=1)[1].id.tolist()
    assert held.id.tolist() != hold_out(table, seed=2)[1].id.tolist()


# Examples


@QUIET
def test_examples(tiny):
    """The examples stand as a user types them; here the default model is the tiny one."""
    for kind in (PromptClassifier, PromptRegressor):
        glob = {kind.__name__: partial(kind, str(tiny("bert")))}
        for case in doctest.DocTestFinder().find(kind, kind.__name__, module=prompt_module, globs=glob):
            assert doctest.DocTestRunner().run(case).failed == 0
    found = doctest.testmod(training)
    assert found.attempted > 0
    assert found.failed == 0
