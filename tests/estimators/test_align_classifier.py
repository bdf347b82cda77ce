"""`AlignClassifier`: fit, answer, neighbours, more rows, files, pickles."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone

from separatrix import recipe as recipes
from separatrix.errors import DataError, OptionError, SeparatrixWarning, StoreError
from separatrix.estimators.align import AlignClassifier
from separatrix.recipe.align import AlignRecipe


@pytest.fixture(scope="session")
def aligned(tiny, parts):
    texts, labels, _, _ = parts
    return AlignClassifier(str(tiny("bert")), epochs=3, lr=3e-3, batch_size=16).fit(texts, labels)


def test_it_learns_and_says_how_sure_it_is(aligned, parts):
    _, _, texts, labels = parts
    assert aligned.score(texts, labels) >= 0.9
    chance = aligned.predict_proba(texts)
    assert np.allclose(chance.sum(1), 1)
    assert np.array_equal(aligned.classes_[chance.argmax(1)], aligned.predict(texts))
    assert aligned.validation_scores_["accuracy"] > aligned.validation_scores_["majority"]
    assert "neighbours vote" in " ".join(aligned.notes_)


def test_neighbours_are_rows_of_the_training_data(aligned, parts):
    texts, labels, new, _ = parts
    distance, ids = aligned.kneighbors(new, 5)
    assert distance.shape == ids.shape == (45, 5)
    assert (np.diff(distance, axis=1) >= 0).all()
    near = np.array(labels)[ids]
    agree = (near == aligned.predict(new)[:, None]).mean()
    assert agree > 0.8
    own, place = aligned.kneighbors([texts[place] for place in ids[0]], 1)
    assert np.abs(own).max() < 1e-5
    assert {texts[i] for i in place[:, 0]} == {texts[i] for i in ids[0]}


def test_more_neighbours_than_rows(aligned):
    with pytest.raises(DataError, match="--k is larger than the index"):
        aligned.kneighbors(["a"], 1000)


def test_saved_and_loaded(aligned, parts, tmp_path):
    aligned.save(tmp_path / "model")
    again = AlignClassifier.load(tmp_path / "model", device="cpu")
    assert np.array_equal(again.predict_proba(parts[2]), aligned.predict_proba(parts[2]))
    assert again.get_params() == aligned.get_params()
    assert again.history_ == aligned.history_
    with pytest.raises(StoreError, match="is not empty"):
        aligned.save(tmp_path / "model")


def test_pickle_holds_the_trained_encoder(aligned, parts):
    again = pickle.loads(pickle.dumps(aligned))
    assert np.array_equal(again.predict_proba(parts[2]), aligned.predict_proba(parts[2]))


def test_rows_are_added_without_training(aligned, parts):
    more = pickle.loads(pickle.dumps(aligned))
    weights = more.model_.encode(parts[2])
    more.add(["the river who"], ["bird"], ids=[9000])
    assert more.kneighbors(["the river who"], 1)[1].tolist() == [[9000]]
    assert np.array_equal(more.model_.encode(parts[2]), weights)
    assert len(more.model_.index) == len(aligned.model_.index) + 1


def test_clone_keeps_arguments_and_forgets_the_rest(aligned):
    fresh = clone(aligned)
    assert fresh.get_params() == aligned.get_params()
    assert not hasattr(fresh, "model_")


def test_named_arguments_win_and_it_is_said(tiny, parts):
    recipe = recipes.replace(AlignRecipe(), epochs=9, frozen_layers=3, freeze_embeddings=True, pool="weighted")
    asked = AlignClassifier(str(tiny("bert")), epochs=1, recipe=recipe)
    with pytest.warns(SeparatrixWarning, match="recipe says epochs=9, but the argument epochs=1 wins"):
        asked.fit(parts[0], parts[1])
    assert len(asked.history_) == 1


def test_groups_reach_the_training(tiny, parts):
    texts, labels, _, _ = parts
    recipe = recipes.replace(AlignRecipe(), invariance="reversal")
    asked = AlignClassifier(str(tiny("bert")), epochs=1, recipe=recipe)
    with pytest.raises(DataError, match="group invariance needs groups"):
        asked.fit(texts, labels)
    asked.fit(texts, labels, group=[f"p{place % 4}" for place in range(len(texts))])
    assert "group" in asked.history_[0]["parts"]


def test_wrong_recipe_and_wrong_option(tiny, parts):
    with pytest.raises(OptionError, match="expected a AlignRecipe or None"):
        AlignClassifier(recipe=recipes.TrainRecipe()).fit(*parts[:2])
    with pytest.raises(OptionError, match="nca"):
        AlignClassifier(loss="nce").fit(*parts[:2])
