"""Every usual form of X and y is read alike; what cannot be used, options too, is refused before any work."""

import pickle
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator

from separatrix.errors import DataError, SeparatrixWarning
from separatrix.estimators import (
    AlignClassifier,
    AutoClassifier,
    FrozenClassifier,
    PromptClassifier,
    PromptRegressor,
    inputs,
    training,
)
from separatrix.recipe import PromptRecipe, TrainRecipe, replace
from separatrix.recipe.auto import AutoRecipe
from separatrix.texts import Classes
from separatrix.texts.arrays import NEW, new_texts

QUIET = pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")
METHODS = ("predict", "predict_proba", "decision_function", "transform", "distances")

FORMS = {
    "list": list,
    "tuple": tuple,
    "array": np.array,
    "objects": lambda texts: np.array(texts, dtype=object),
    "one column": lambda texts: np.array(texts, dtype=object)[:, None],
    "series": lambda texts: pd.Series(texts, index=range(100, 100 + len(texts))),
    "frame": lambda texts: pd.DataFrame({"text": texts}),
}


class Given(BaseEstimator):
    """A fitted estimator whose method gives back the texts that it gets."""

    model_ = SimpleNamespace(pairs=False)

    def fit(self, X, y=None):
        return self

    def __sklearn_is_fitted__(self):
        return True

    @inputs.on_texts
    def seen(self, X):
        return X


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_x_is_read_alike(form, planted):
    texts, labels = planted
    table = inputs.labelled(FORMS[form](texts), FORMS[form](labels), "here").texts
    assert table.text == tuple(texts)
    assert table.label.tolist() == labels
    assert Given().seen(FORMS[form](texts)) == texts


LABELS = {
    "names": (["b", "a", "c"], "U"),
    "integers": ([10, 9, 11], "i"),
    "booleans": ([True, False, True], "b"),
    "whole floats": ([1.0, 0.0, 2.0], "f"),
    "categories": (pd.Categorical(["b", "a", "c"]), "U"),
    "numbers in a series": (pd.Series([3, 1, 2], dtype="Int64"), "i"),
    "objects": (np.array([3, 1, 2], dtype=object), "i"),
}


@pytest.mark.parametrize("name", LABELS)
def test_classes_keep_the_type_of_the_labels(name):
    given, kind = LABELS[name]
    rows = inputs.labelled(["x", "y", "z"], given, "here")
    assert rows.classes.dtype.kind == kind
    assert rows.classes.tolist() == sorted(set(np.asarray(given).tolist()))
    assert len(Classes.of(rows.texts.label)) == len(rows.classes)


@QUIET
@pytest.mark.parametrize("decode", [{"cat": 10, "dog": 9, "bird": 11}, {"cat": True, "dog": False, "bird": True}])
def test_predictions_have_the_type_of_the_labels(quick, planted, decode):
    texts, labels = planted
    y = np.array([decode[label] for label in labels])
    clf = quick.fit(texts, pd.Series(y))
    assert clf.classes_.dtype == y.dtype == clf.predict(texts).dtype
    assert clf.classes_.tolist() == sorted(set(decode.values()))
    scores = clf.model_.scores(clf.transform(texts))
    assert (clf.model_.classes.names == np.array([str(name) for name in clf.classes_])).all()
    assert (clf.predict(texts) == clf.classes_[scores.argmax(1)]).all()


KINDS = (
    st.text("abc xyz", min_size=1).filter(str.strip),
    st.integers(0, 99),
    st.booleans(),
    st.integers(0, 9).map(float),
)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), kind=st.sampled_from(KINDS))
def test_labels_come_back_through_the_classes(data, kind):
    labels = data.draw(st.lists(kind, min_size=2, max_size=12).filter(lambda given: len(set(given)) > 1))
    rows = inputs.labelled([f"text {row}" for row in range(len(labels))], labels, "here")
    ids = Classes.of(rows.texts.label).encode(rows.texts.label)
    assert rows.classes[ids].tolist() == labels


CAFE, HIDDEN = "cafe\u0301", "tea\u200b"  # é as two characters, a zero-width space


def estimators(model):
    """One of each kind, quickly fitted."""
    quick = {"epochs": 1, "batch_size": 64}
    return {
        "frozen": FrozenClassifier(model, pool="mean", layer=0),
        "prompt": PromptClassifier(model, tokens=2, **quick),
        "align": AlignClassifier(model, **quick),
        "auto": AutoClassifier(model, recipe=replace(AutoRecipe(), model=model, candidates=("probe",))),
    }


@pytest.mark.parametrize("kind", ["frozen", "prompt", "align", "auto"])
def test_answers_are_spelled_as_the_labels_are(kind, tiny, planted, tmp_path):
    texts, labels = planted[0][:120], np.array(planted[1][:120])
    y = np.array([{"cat": CAFE, "dog": HIDDEN, "bird": "cz"}[label] for label in labels])
    with pytest.warns(SeparatrixWarning) as caught:
        clf = estimators(str(tiny("bert")))[kind].fit(texts, y)
    said = " ".join(str(one.message) for one in caught)
    assert "(NFC), and is composed" in said
    assert "hold invisible characters (U+200B)" in said
    assert clf.classes_.tolist() == [CAFE, "cz", HIDDEN]
    answers = clf.predict(texts)
    assert set(answers) <= set(y)
    assert clf.score(texts, y) == (clf.predict_proba(texts).argmax(axis=1) == clf.model_.classes.encode(y)).mean()
    clf.save(tmp_path / "saved")
    for again in (type(clf).load(tmp_path / "saved"), pickle.loads(pickle.dumps(clf))):
        assert again.predict(texts).tolist() == answers.tolist()


def test_of_spellings_that_look_alike_the_first_is_the_class():
    given = ["b", CAFE, "caf\u00e9", "b\u200b"]
    assert inputs.labelled(list("wxyz"), given, "here").classes.tolist() == ["b", CAFE]
    assert inputs.labelled(list("wxyz"), [[one] for one in given], "here").classes.tolist() == ["b", CAFE]


def nth(values, place, value):
    return [value if row == place else given for row, given in enumerate(values)]


BAD = {
    "number": (lambda X, y: (nth(X, 3, 7), y), "a text is not a string: got int in row 3"),
    "bytes": (lambda X, y: (nth(X, 3, b"who"), y), "a text is not a string: got bytes in row 3"),
    "empty": (lambda X, y: (nth(X, 3, "  "), y), "1 of 180 rows have no text: got row 3"),
    "missing": (lambda X, y: (pd.Series(nth(X, 3, None)), y), "1 of 180 rows have no text: got row 3"),
    "one string": (lambda X, y: ("who is it", y), "one string where a list of texts belongs"),
    "three columns": (
        lambda X, y: (pd.DataFrame({"a": X, "b": X, "c": X}), y),
        r"one column of texts is needed: got shape",
    ),
    "ragged": (lambda X, y: ([["a"], ["b", "c"]], [0, 1]), "a text is not a string: got list in row 0"),
    "no rows": (lambda X, y: ([], []), "holds no rows"),
    "lengths": (lambda X, y: (X, y[:-1]), "as many labels as texts are needed: got 179, expected 180"),
    "no labels": (lambda X, y: (X, None), "requires y to be passed, but the target y is None"),
    "missing label": (
        lambda X, y: (X, nth(y, 5, None)),
        "1 of 180 rows have no label: got row 5 .*; leave them out of X and y$",
    ),
    "NaN": (
        lambda X, y: (X, nth([0.0, 1.0] * 90, 5, np.nan)),
        "1 of 180 rows have no label: got row 5 .*; leave them out of X and y$",
    ),
    "NA": (
        lambda X, y: (X, pd.Series(nth([0, 1] * 90, 5, None), dtype="Int64")),
        "no label: .*; leave them out of X and y$",
    ),
    "one class": (lambda X, y: (X, ["cat"] * 180), "two classes or more: got only 'cat' in 180 rows"),
    "numbers": (lambda X, y: (X, [0.5, 1.0] * 90), "numbers to predict, not classes: got floats; use PromptRegressor"),
    "mixed": (lambda X, y: (X, nth(y, 5, 7)), "the labels are not of one kind"),
    "unlabelled": (
        lambda X, y: (X, [-1, 0] * 90),
        r"90 of 180 rows are unlabelled \(-1\): .*; leave them out of X and y; if -1 is a class, write other numbers",
    ),
    "few rows": (
        lambda X, y: (X[:19], y[:19]),
        r"a tenth out for validation: got 19, expected 20 or more; .*validation=",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_a_value_error_of_one_sentence(planted, name):
    spoil, message = BAD[name]
    with pytest.raises(DataError, match=message) as caught:
        PromptClassifier("no/such/model").fit(*spoil(*planted))
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)


REGRESSION = {
    "names": (["cat", "dog"] * 90, "the targets are not numbers: got 'cat' in row 0"),
    "booleans": ([True, False] * 90, "the targets are not numbers: got True in row 0"),
    "NaN": ([np.nan, 1.0] * 90, "90 of 180 rows have no label: .*; leave them out of X and y$"),
    "infinite": ([np.inf, 1.0] * 90, "90 labels are infinite"),
    "constant": ([2.0] * 180, "all labels are the same number"),
}


@pytest.mark.parametrize("name", REGRESSION)
def test_targets_that_are_no_numbers(planted, name):
    targets, message = REGRESSION[name]
    with pytest.raises(DataError, match=message):
        PromptRegressor("no/such/model").fit(planted[0], targets)


def test_minus_one_is_a_number_to_predict():
    assert inputs.measured(["a", "b"], [-1, 1], "here").texts.label.tolist() == [-1.0, 1.0]


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        (["a", "b", "c"], r"validation is not a pair: got list, expected \(X, y\)"),
        ((["a"], ["horse"]), "validation data: unknown label in row 0 .*'horse'"),
        ((["a"], []), "validation data: as many labels as texts"),
    ],
)
def test_bad_validation(quick, planted, validation, message):
    with pytest.raises(DataError, match=message):
        quick.fit(*planted, validation=validation)


@pytest.mark.parametrize("method", METHODS)
def test_bad_texts_to_answer(fitted, method):
    with pytest.warns(SeparatrixWarning, match=r"new texts: 1 of 2 texts get no answer \(no text\): row 1"):
        assert len(getattr(fitted, method)(["who", ""])) == 2
    assert len(getattr(fitted, method)([])) == 0


def test_named_arguments_win_and_say_so(quick, planted):
    texts, labels = planted
    quick.set_params(recipe=replace(TrainRecipe(), tokens=20, positions="mean", snapshots=0))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        quick.fit(texts, labels)
    assert quick.model_.recipe.prompt == PromptRecipe(tokens=2, positions="mean")
    assert "recipe says tokens=20, but the argument tokens=2 wins" in quick.warnings_
    assert [str(one.message) for one in seen] == list(quick.warnings_)
    assert {one.category for one in seen} == {SeparatrixWarning}
    assert {one.filename for one in seen} == {__file__}


@QUIET
def test_arguments_at_their_default_give_way_to_the_recipe(tiny, planted):
    asked = replace(TrainRecipe(), model=str(tiny("gpt2")), tokens=3, epochs=1, batch_size=64)
    for kind in (PromptClassifier, PromptRegressor):
        targets = planted[1] if kind is PromptClassifier else range(len(planted[1]))
        fitted = kind(recipe=asked).fit(planted[0], list(targets))
        assert (fitted.model_.recipe.prompt.tokens, len(fitted.history_)) == (3, 1)
        assert "recipe says tokens=3, which holds: the argument tokens is at its default" in fitted.notes_
        assert not any(line.startswith("recipe says") for line in fitted.warnings_)
    assert kind(recipe=asked).get_params()["tokens"] == PromptRecipe.tokens  # clone and grids see what was given


def test_numbers_of_numpy_are_numbers():
    recipe, said = training.whole_recipe({"tokens": np.int64(4), "lr": np.float64(0.5)}, None, TrainRecipe)
    assert (recipe.prompt.tokens, recipe.loop.lr, said) == (4, 0.5, ())
    assert type(recipe.prompt.tokens) is int


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"tokens": 0}, "--tokens is out of range: got 0"),
        ({"loss": "centroid_cee"}, "did you mean 'centroid_ce'"),
        ({"loss": "mse"}, "the loss mse does not fit: it predicts numbers; use PromptRegressor"),
        ({"recipe": {"tokens": 2}}, "recipe is not a recipe: got dict, expected a TrainRecipe or None"),
    ],
)
def test_wrong_options_are_refused_before_any_work(planted, params, message):
    with pytest.raises(ValueError, match=message):
        PromptClassifier("no/such/model").set_params(**params).fit(*planted)


def test_what_can_be_gone_through_once_is_read_once():
    assert new_texts((word for word in ["a", "b"]), NEW).text == ("a", "b")
    assert new_texts({1: "a", 2: "b"}.values(), NEW).text == ("a", "b")
