"""Texts that get no answer leave the others as they are."""

import numpy as np
import pytest

from separatrix.learn.trained.saved import Predictions
from separatrix.learn.unanswered import NO_TEXT, NO_TOKEN, run_answerable, unanswered
from separatrix.models.tokens import NoTokens, UnreadCounts


def answer(texts):
    """An answer whose numbers are the lengths; a text of stars has no token."""
    if rows := [row for row, text in enumerate(texts) if not text.strip("*")]:
        raise NoTokens(rows, texts)
    sizes = np.array([[len(text)] * 2 for text in texts], dtype=np.float32)
    labels = np.array([f"n{len(text)}" for text in texts])
    return Predictions(labels, sizes, sizes, None, sizes, 0, sizes.astype(np.int64), UnreadCounts(texts=len(texts)))


def test_rows_without_an_answer_are_empty_and_the_others_in_place():
    found, reasons = run_answerable(answer, ["abc", "", "**", "ab", "\u200b "])
    assert reasons == {1: NO_TEXT, 4: NO_TEXT, 2: NO_TOKEN}
    assert found.labels.tolist() == ["n3", None, None, "n2", None]
    assert np.isnan(found.probabilities).all(axis=1).tolist() == [False, True, True, False, True]
    assert found.neighbors.tolist() == [[3, 3], [-1, -1], [-1, -1], [2, 2], [-1, -1]]
    assert found.distances is None
    assert unanswered(reasons, 5) == (
        "2 of 5 texts get no answer (no text): rows 1, 4 (counted from 0)",
        "1 of 5 texts get no answer (no token that the model knows): row 2 (counted from 0)",
    )


def test_where_all_are_answered_nothing_is_changed():
    texts = ["abc", "ab"]
    found, reasons = run_answerable(answer, texts)
    assert reasons == {}
    assert found.labels.dtype.kind == "U"
    assert found.scores.tolist() == answer(texts).scores.tolist()


@pytest.mark.parametrize("texts", [[], [""], ["", "**"]])
def test_nothing_to_answer_has_the_shape_of_an_answer(texts):
    found, _ = run_answerable(answer, texts)
    assert found.labels.shape == (len(texts),)
    assert found.scores.shape == (len(texts), 2)
    assert found.labels.dtype.kind == ("O" if texts else "U")


def test_a_model_that_reads_nothing_at_all_is_no_endless_loop():
    def never(texts):
        raise NoTokens(range(len(texts)), texts)

    with pytest.raises(NoTokens, match="the tokenizer finds no token in 'text'"):
        run_answerable(never, ["a"])
