"""scikit-learn's own checks, in numbers: a stand-in spells each row of a matrix as a text of tiny-vocabulary words.

Without the stand-in scikit-learn skips every check of an estimator that reads text. With it nearly all of them run;
each that cannot apply to text is listed with its reason, and must fail (strict), so the list cannot go stale. None of
them may fail by rounding, which differs from processor to processor: those checks get a tolerance for float32 instead.
"""

import pytest
from sklearn.utils import estimator_checks as checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from separatrix.estimators import PromptClassifier, PromptRegressor
from spelled import EXPECTED, spell, spelling, to_rounding


class Spelled:
    """Reads a matrix as texts."""

    def fit(self, X, y):
        texts = spell(X)
        return super().fit(texts, y, validation=(texts, y))  # many checks have fewer rows than can be held out

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.one_d_array = True, False
        return tags


@spelling
class SpelledClassifier(Spelled, PromptClassifier):
    pass


@spelling
class SpelledRegressor(Spelled, PromptRegressor):
    pass


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
