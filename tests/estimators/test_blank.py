"""Blank texts get no answer, and none at all get empty arrays."""

import warnings

import numpy as np
import pandas as pd
import pytest

from separatrix.errors import DataError, SeparatrixWarning
from separatrix.estimators import AlignClassifier, FrozenClassifier
from separatrix.recipe import replace
from separatrix.recipe.align import AlignRecipe

BLANK = ["a cat", "", None, "\u200b", "a dog"]
METHODS = ("predict", "predict_proba", "transform")


@pytest.fixture(scope="module")
def aligned(tiny, planted):
    recipe = replace(AlignRecipe(), batch_size=32)
    with warnings.catch_warnings(action="ignore"):
        return AlignClassifier(str(tiny("bert")), epochs=1, recipe=recipe).fit(planted[0][:90], planted[1][:90])


@pytest.fixture(scope="module", params=["knn", "probe", "centroid", "align", "prompt", "regress"])
def estimator(request, tiny, planted, aligned, fitted, measured):
    if request.param in ("align", "prompt", "regress"):
        return {"align": aligned, "prompt": fitted, "regress": measured}[request.param]
    return FrozenClassifier(str(tiny("bert")), head=request.param, k=3).fit(planted[0][:90], planted[1][:90])


def test_a_blank_text_gets_no_answer(estimator):
    for name in METHODS:
        if not hasattr(estimator, name):
            continue
        method = getattr(estimator, name)
        with pytest.warns(SeparatrixWarning, match=r"new texts: 3 of 5 texts get no answer \(no text\): rows 1, 2, 3"):
            found = method(BLANK)
        assert len(found) == 5
        gone = pd.isna(found).reshape(5, -1)
        assert gone.all(axis=1).tolist() == gone.any(axis=1).tolist() == [False, True, True, True, False]
        plain = method(["a cat", "a dog"])
        if name == "predict" and plain.dtype.kind == "U":
            assert found[[0, 4]].tolist() == plain.tolist()
        else:
            np.testing.assert_allclose(found[[0, 4]].astype(float), plain, rtol=1e-5, atol=1e-6)


def test_no_texts_give_empty_arrays(estimator):
    for name in METHODS:
        if hasattr(estimator, name):
            found, plain = getattr(estimator, name)([]), getattr(estimator, name)(["a cat"])
            assert (found.shape, found.dtype) == ((0, *plain.shape[1:]), plain.dtype), name


def test_neighbors_of_a_blank_text(aligned):
    with pytest.warns(SeparatrixWarning, match="no answer"):
        distance, ids = aligned.kneighbors(["", "a cat"], 2)
    assert ids[0].tolist() == [-1, -1]
    assert np.isnan(distance[0]).all()
    assert [part.shape for part in aligned.kneighbors([], 2)] == [(0, 2), (0, 2)]


def test_what_is_no_text_is_still_refused(fitted):
    with pytest.raises(DataError, match="a text is not a string: got int in row 1"):
        fitted.predict(["a", 3])
    with pytest.raises(DataError, match="one string where a list of texts belongs"):
        fitted.predict("a")
    with pytest.raises(DataError, match="1 of 3 rows have no text"):
        fitted.fit(["a", "", "b"], [0, 1, 0])
