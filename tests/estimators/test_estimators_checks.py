"""scikit-learn's own checks, in numbers: a stand-in spells each row of a matrix as a text of tiny-vocabulary words.

Without the stand-in scikit-learn skips every check of an estimator that reads text. With it nearly all of them run;
each that cannot apply to text is listed with its reason, and must fail (strict), so the list cannot go stale. None of
them may fail by rounding, which differs from processor to processor: those checks get a tolerance for float32 instead.
"""

import numpy as np
import pytest
from sklearn.utils import estimator_checks as checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from separatrix.estimators import PromptClassifier, PromptRegressor

NAMES = ("cat", "dog", "bird", "fish", "tree", "house", "river", "red", "blue", "green", "old", "new", "big", "small")
VALUES = np.linspace(-4, 4, len(NAMES) - 1)

ONE_COLUMN = "a column of texts has no number of features that a later X could miss"
SPARSE = "texts are never sparse; the stand-in meets the matrix first"
EXPECTED = {
    "check_estimator_sparse_tag": SPARSE,
    "check_estimator_sparse_array": SPARSE,
    "check_estimator_sparse_matrix": SPARSE,
    "check_transformer_general": ONE_COLUMN,
    "check_classifiers_train": ONE_COLUMN,
    "check_classifiers_classes": "integers from -1 on: -1 marks a row without label, as in public test parts",
    "check_fit2d_1sample": "asks for the words '1 sample'; the error names the one class that was found",
}
# A row in another batch, or at another place in it: float32 sums then differ in the last bits, on some processors.
IN_OTHER_BATCHES = {"check_methods_subset_invariance", "check_methods_sample_order_invariance"}
ROUNDING = {"rtol": 1e-4, "atol": 1e-5}  # scikit-learn asks for 1e-7


class Spelled:
    """Reads a matrix as texts."""

    def fit(self, X, y):
        texts = spell(X)
        return super().fit(texts, y, validation=(texts, y))  # many checks have fewer rows than can be held out

    def _run(self, X):
        return super()._run(spell(X))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.one_d_array = True, False
        return tags


class SpelledClassifier(Spelled, PromptClassifier):
    pass


class SpelledRegressor(Spelled, PromptRegressor):
    pass


def spell(X):
    """One text a row; column and size of a number choose its word."""
    bins = np.digitize(np.asarray(X, dtype=float), VALUES)  # (rows, columns)
    return [" ".join(NAMES[(bin_ + 5 * column) % len(NAMES)] for column, bin_ in enumerate(row)) for row in bins]


def to_rounding(check, monkeypatch):
    """Let a check that runs rows in other batches compare them to the rounding of float32."""

    def near(got, expected, atol, err_msg):
        np.testing.assert_allclose(got, expected, **ROUNDING, err_msg=err_msg)

    if check.func.__name__ in IN_OTHER_BATCHES:
        monkeypatch.setattr(checks, "assert_allclose", near)
        monkeypatch.setattr(checks, "assert_allclose_dense_sparse", near)


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(
    [SpelledClassifier(tokens=1, epochs=1, batch_size=64)],
    expected_failed_checks=lambda _estimator: EXPECTED,
    xfail_strict=True,
)
def test_classifier(estimator, check, tiny, monkeypatch):
    to_rounding(check, monkeypatch)
    check(estimator.set_params(model=str(tiny("gpt2"))))


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([SpelledRegressor(tokens=1, epochs=1, batch_size=64)], legacy=False)
def test_regressor(estimator, check, tiny, monkeypatch):
    to_rounding(check, monkeypatch)
    check(estimator.set_params(model=str(tiny("gpt2"))))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "check",
    [
        checks.check_regressors_int,
        checks.check_regressors_no_decision_function,
        checks.check_supervised_y_no_nan,
        checks.check_fit_idempotent,
    ],
)
def test_what_only_a_regressor_has(check, tiny):
    """The rest is shared with the classifier and checked there."""
    check("SpelledRegressor", SpelledRegressor(str(tiny("gpt2")), tokens=1, epochs=1, batch_size=64))
