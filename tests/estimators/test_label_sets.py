"""Estimators with several labels a row: an indicator matrix or lists in, the matrix out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn.metrics import f1_score

from separatrix import recipe as recipes
from separatrix.errors import DataError
from separatrix.estimators import AlignClassifier, AutoClassifier, FrozenClassifier, PromptClassifier
from separatrix.estimators.label_sets import read_sets
from separatrix.recipe import TrainRecipe
from separatrix.recipe.align import AlignRecipe
from separatrix.recipe.auto import AutoRecipe

# Of so few rows some stand on both sides, and a tiny model learns little: what is said of it is not asked here.
pytestmark = pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")
WORDS = ("red", "blue", "cat")


def _rows(count: int, seed: int = 0) -> tuple[list[str], np.ndarray]:
    generator = np.random.default_rng(seed)
    marks = (generator.random((count, 3)) < 0.3).astype(int)
    texts = ["the " + " ".join(word for word, one in zip(WORDS, row, strict=True) if one) for row in marks]
    return [f"{text} {row % 9 + 1} {row // 9 + 1}" for row, text in enumerate(texts)], marks


@pytest.fixture(scope="module")
def prompt(tiny: Any) -> PromptClassifier:
    texts, marks = _rows(80)
    recipe = recipes.replace(TrainRecipe(), device="cpu", cache="memory")
    return PromptClassifier(str(tiny("bert")), tokens=2, epochs=10, seed=0, recipe=recipe).fit(texts, marks)


def test_a_prompt_predicts_the_indicator_matrix(prompt: PromptClassifier, tmp_path: Path) -> None:
    texts, marks = _rows(40, 1)
    answers = prompt.predict(texts)
    assert answers.shape == marks.shape
    assert f1_score(marks, answers, average="macro") > 0.5  # one set for all rows reaches 0.46
    assert prompt.score(texts, marks) == (answers == marks).all(axis=1).mean()
    chance = prompt.predict_proba(texts)
    assert (answers == (chance >= prompt.model_.calibration.thresholds)).all()
    assert prompt.decision_function(texts).shape == marks.shape
    assert prompt.classes_.tolist() == [0, 1, 2]
    assert "macro_f1" in prompt.validation_scores_
    prompt.save(tmp_path / "model")
    again = PromptClassifier.load(tmp_path / "model", device="cpu")
    assert (again.predict(texts) == answers).all()
    assert prompt.__sklearn_tags__().classifier_tags.multi_label


def test_lists_of_labels_are_taken_too(prompt: PromptClassifier) -> None:
    texts, marks = _rows(80)
    lists = [[word for word, one in zip(WORDS, row, strict=True) if one] for row in marks]
    fitted = PromptClassifier(prompt.model, tokens=2, epochs=1, recipe=prompt.recipe).fit(texts, lists)
    assert fitted.classes_.tolist() == sorted(WORDS)
    assert fitted.predict(texts[:5]).shape == (5, 3)


def test_an_encoder_answers_with_sets_and_takes_new_rows(tiny: Any, tmp_path: Path) -> None:
    texts, marks = _rows(60)
    recipe = recipes.replace(AlignRecipe(), device="cpu", epochs=2, k=3)
    fitted = AlignClassifier(str(tiny("bert")), recipe=recipe).fit(texts, marks)
    answers = fitted.predict(texts)
    assert answers.shape == marks.shape
    fitted.save(tmp_path / "model")
    again = AlignClassifier.load(tmp_path / "model", device="cpu")
    assert (again.predict(texts) == answers).all()
    assert len(fitted.add(["the red cat"], [["0", "2"]]).model_.index) == len(again.model_.index) + 1


def test_a_race_of_several_labels(tiny: Any) -> None:
    texts, marks = _rows(60)
    recipe = recipes.replace(AutoRecipe(), candidates=("probe", "align_few"), device="cpu")
    fitted = AutoClassifier(str(tiny("bert")), recipe=recipe).fit(texts, marks)
    assert fitted.race_["winner"] == "probe"
    assert [line["name"] for line in fitted.race_["candidates"]] == ["probe"]
    assert fitted.predict(texts).shape == marks.shape


def test_y_in_its_many_forms() -> None:
    marks = np.array([[1, 0], [1, 1], [0, 1]])
    for y in (marks, marks.astype(bool), marks.astype(float), csr_matrix(marks), marks.tolist()):
        sets = read_sets(y, "y")
        assert sets is not None
        assert sets.cells == [["0"], ["0", "1"], ["1"]]
    frame = read_sets(pd.DataFrame(marks, columns=["joy", "anger"]), "y")
    assert frame is not None
    assert frame.classes.tolist() == ["joy", "anger"]  # the order of the columns
    wide = read_sets(np.eye(12, dtype=int)[np.repeat(np.arange(12), 2)], "y")
    assert wide is not None
    assert wide.cells[-1] == ["11"]
    assert wide.cells[0] == ["00"]  # names sort as columns do
    for y in (["a", "b"], [0, 1], np.array([[0], [1]]), pd.Series(["a"]), "a"):
        assert read_sets(y, "y") is None


def test_what_cannot_be_learnt_is_refused(tiny: Any) -> None:
    with pytest.raises(DataError, match=r"column 1 of y \(counted from 0\) has 0 rows with the label"):
        read_sets(np.array([[1, 0], [1, 0]]), "y")
    with pytest.raises(DataError, match="y is no indicator matrix"):
        read_sets(np.array([[1, 2], [3, 0]]), "y")
    texts, marks = _rows(30)
    with pytest.raises(DataError, match="FrozenClassifier takes one label a row"):
        FrozenClassifier(str(tiny("bert"))).fit(texts, marks)
