"""`AlignClassifier`: fit, answer, neighbors, more rows, files, pickles."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from separatrix import recipe as recipes
from separatrix.errors import DataError, OptionError, SeparatrixWarning, StoreError
from separatrix.estimators import training
from separatrix.estimators.align import AlignClassifier
from separatrix.recipe.align import FINETUNE, AlignRecipe
from separatrix.store.files import write_json, write_lines
from separatrix.texts import Texts
from separatrix.texts.holdout import hold_out_whole


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
    scores = aligned.decision_function(texts)
    assert scores.shape == chance.shape
    assert np.isfinite(scores).all()
    assert np.array_equal(scores.argmax(1), chance.argmax(1))
    assert aligned.validation_scores_["accuracy"] > aligned.validation_scores_["majority"]
    assert "neighbors vote" in " ".join(aligned.notes_)


def test_neighbors_are_rows_of_the_training_data(aligned, parts):
    texts, labels, new, _ = parts
    distance, ids = aligned.kneighbors(new, 5)
    assert distance.shape == ids.shape == (45, 5)
    assert np.array_equal(aligned.kneighbors(new, 5, return_distance=False), ids)
    assert (np.diff(distance, axis=1) >= 0).all()
    near = np.array(labels)[ids]
    agree = (near == aligned.predict(new)[:, None]).mean()
    assert agree > 0.8
    own, place = aligned.kneighbors([texts[place] for place in ids[0]], 1)
    assert np.abs(own).max() < 1e-5
    assert {texts[i] for i in place[:, 0]} == {texts[i] for i in ids[0]}


def test_more_neighbors_than_rows(aligned):
    with pytest.raises(DataError, match="--k is larger than the index"):
        aligned.kneighbors(["a"], 1000)


def test_saved_and_loaded(aligned, parts, tmp_path):
    aligned.save(tmp_path / "model")
    again = AlignClassifier.load(tmp_path / "model", device="cpu")
    assert np.array_equal(again.predict_proba(parts[2]), aligned.predict_proba(parts[2]))
    assert again.get_params() == aligned.get_params()
    assert again.history_ == aligned.history_
    with pytest.raises(StoreError, match="exists; type --overwrite"):
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


@pytest.mark.parametrize("ids", [["new-1"], [1.5], [True], [2**70]])
def test_ids_of_more_rows_are_whole_numbers(aligned, ids):
    """A name among the ids once made names of all, and the next rows had no number to go on from."""
    more = pickle.loads(pickle.dumps(aligned))
    with pytest.raises(DataError, match=r"an id is not a whole number: got .*, expected integers; give the"):
        more.add(["the river who"], ["bird"], ids=ids)
    largest = more.model_.index.ids.max()
    more.add(["the river who"], ["bird"], ids=pd.Series([9000], dtype="Int64")).add(["the old river"], ["bird"])
    assert largest < 9000
    assert more.model_.index.ids.dtype == np.int64
    assert more.kneighbors(["the old river"], 1)[1].tolist() == [[9001]]


def test_clone_keeps_arguments_and_forgets_the_rest(aligned):
    fresh = clone(aligned)
    assert fresh.get_params() == aligned.get_params()
    assert not hasattr(fresh, "model_")


def test_named_arguments_win_and_it_is_said(tiny, parts):
    recipe = recipes.replace(AlignRecipe(), epochs=9, frozen_layers=3, freeze_embeddings=True, pool="layer_mix")
    asked = AlignClassifier(str(tiny("bert")), epochs=1, recipe=recipe)
    with pytest.warns(SeparatrixWarning, match="recipe says epochs=9, but the argument epochs=1 wins"):
        asked.fit(parts[0], parts[1])
    assert len(asked.history_) == 1


@pytest.mark.parametrize("how", [{"loss": "linear"}, {"recipe": FINETUNE}])
def test_fine_tuning_lets_the_head_decide(how, tiny, parts):
    """The argument and the recipe of that name are the same training."""
    asked = AlignClassifier(str(tiny("bert")), epochs=2, lr=3e-3, **how).fit(*parts[:2])
    assert asked.warnings_ == ()
    assert "the linear head decides" in asked.notes_
    recipe = asked.model_.recipe
    assert (recipe.objective, recipe.answers) == (FINETUNE.objective, FINETUNE.answers)
    weight, bias = asked.model_.head
    logits = asked.transform(parts[2]) @ weight.T + bias
    assert np.array_equal(asked.predict(parts[2]), asked.classes_[logits.argmax(1)])
    said = "recipe says loss='linear', which holds: the argument loss is at its default"
    assert (said in asked.notes_) == ("recipe" in how)


@pytest.mark.parametrize(
    ("params", "loss", "decision"),
    [
        ({}, "nca", "knn"),
        ({"loss": "linear"}, "linear", "head"),
        ({"recipe": FINETUNE}, "linear", "head"),
        ({"loss": "linear", "recipe": recipes.replace(AlignRecipe(), pool="cls")}, "linear", "head"),
        ({"loss": "linear", "recipe": recipes.replace(AlignRecipe(), decision="mean")}, "linear", "mean"),
        ({"loss": "linear", "recipe": recipes.replace(AlignRecipe(), k=3)}, "linear", "knn"),
        ({"loss": "linear", "recipe": recipes.replace(AlignRecipe(), loss="linear")}, "linear", "knn"),
        ({"recipe": recipes.replace(AlignRecipe(), loss="supcon")}, "supcon", "knn"),
        ({"loss": "supcon", "recipe": recipes.replace(AlignRecipe(), loss="cosine_mse")}, "supcon", "knn"),
    ],
)
def test_who_decides_and_what_is_asked(params, loss, decision, parts, monkeypatch):
    class Reached(Exception):
        pass

    def stop(request):
        raise Reached(f"{request.recipe.objective.loss} {request.recipe.answers.decision}")

    monkeypatch.setattr(training, "run_training", stop)
    with pytest.raises(Reached, match=f"^{loss} {decision}$"):
        AlignClassifier(**params).fit(*parts[:2])


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"loss": "linear", "pairs": "batch"}, "pairs='batch' has no effect here: it needs loss nca|supcon|cosine_mse"),
        ({"recipe": recipes.replace(AlignRecipe(), group_weight=2.0)}, "group_weight=2.0 has no effect here: it needs"),
    ],
)
def test_options_without_effect_are_said(params, said, tiny, parts):
    """Regression: they were ignored in silence; the command line refuses them."""
    texts, labels, *_ = parts
    with pytest.warns(SeparatrixWarning, match="has no effect here"):
        fitted = AlignClassifier(str(tiny("bert")), epochs=3, lr=3e-3, batch_size=16, **params).fit(texts, labels)
    assert said in " ".join(fitted.warnings_)


def test_a_loss_that_no_head_goes_with_is_refused(parts):
    with pytest.raises(OptionError, match="--decision head needs a head"):
        AlignClassifier(loss="supcon", recipe=FINETUNE).fit(*parts[:2])


@pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")
def test_a_recipe_goes_through_a_grid_search(tiny, parts):
    asked = AlignClassifier(str(tiny("bert")), epochs=1, recipe=FINETUNE)
    assert clone(asked).get_params() == asked.get_params()
    found = GridSearchCV(asked, {"lr": [1e-5, 3e-3]}, cv=2, error_score="raise").fit(*parts[:2])
    assert found.best_estimator_.model_.recipe.loop.lr == found.best_params_["lr"]
    assert found.best_estimator_.model_.decision == "head"


def test_groups_reach_the_training(tiny, parts):
    texts, labels, _, _ = parts
    recipe = recipes.replace(AlignRecipe(), invariance="reversal")
    asked = AlignClassifier(str(tiny("bert")), epochs=1, recipe=recipe)
    with pytest.raises(DataError, match=r"group invariance .*needs groups"):
        asked.fit(texts, labels)
    asked.fit(texts, labels, group=[f"p{place % 4}" for place in range(len(texts))])
    assert "group" in asked.history_[0]["parts"]


def test_whole_groups_are_held_out_and_reported(tiny, parts, tmp_path):
    texts, labels, _, _ = parts
    group = np.array([f"p{place // 9}" for place in range(len(texts))])  # 15 groups, each with all classes
    asked = AlignClassifier(str(tiny("bert")), epochs=2, lr=3e-3, batch_size=16)
    assert asked.fit(texts, labels, group=group).groups_["seen"] is None
    assert asked.groups_["unseen"]["rows"] == asked.validation_scores_["rows"] == 18
    assert not set(group[asked.model_.index.ids]) & set(np.delete(group, asked.model_.index.ids))
    assert "validation: whole groups were held out (2 of 15)" in asked.notes_
    assert asked.groups_["probe"]["groups"] == 2
    assert any("a linear probe reads the group out" in line for line in asked.notes_)
    asked.save(tmp_path)
    again = AlignClassifier.load(tmp_path, device="cpu")
    assert (again.groups_, again.notes_) == (asked.groups_, asked.notes_)


@pytest.mark.parametrize(
    ("group", "why"),
    [
        (lambda place: place % 4, "fewer than 5 groups"),
        (lambda place: f"{place % 3}{place % 2}", "too few rows, or one class"),  # each group has one class
        (lambda place: place % 4 if place >= 3 else "small", "too few rows, or one class"),  # only `small` is not large
    ],
)
def test_groups_that_cannot_be_held_out_whole(group, why, parts):
    texts, labels, _, _ = parts
    table = Texts.of(texts, labels, [group(place) for place in range(len(texts))])
    rows, held, said = hold_out_whole(table, seed=0)
    assert why in said
    assert set(held.label) == {"cat", "dog", "bird"}
    assert len(held) >= 13
    assert not set(rows.id) & set(held.id)


def test_groups_of_given_validation_rows(tiny, parts):
    texts, labels, new, gold = parts
    asked = AlignClassifier(str(tiny("bert")), epochs=1)
    group = [f"p{place % 3}" for place in range(len(texts))]
    asked.fit(texts, labels, group=group, validation=(new, gold))
    assert asked.groups_ is None
    asked.fit(texts, labels, group=group, validation=(new, gold, ["p0"] * 20 + ["new"] * 25))
    assert (asked.groups_["seen"]["rows"], asked.groups_["unseen"]["rows"]) == (20, 25)
    assert len(asked.groups_["gap_interval"]) == 2
    for wrong in ((new,), (new, gold, group, group), "texts"):
        with pytest.raises(DataError, match=r"neither a pair nor a triple: .* expected \(X, y\) or \(X, y, group\)"):
            asked.fit(texts, labels, validation=wrong)
    with pytest.raises(DataError, match="validation data: as many groups as texts are needed"):
        asked.fit(texts, labels, group=group, validation=(new, gold, ["p0"]))


def test_the_folder_of_a_run_can_be_loaded(aligned, parts, tmp_path):
    """A run of the command line has the model's files, metrics and a result, but no align_estimator.json."""
    aligned.model_.save(tmp_path)
    assert AlignClassifier.load(tmp_path, device="cpu").history_ == []
    write_lines(tmp_path / "metrics.jsonl", aligned.history_)
    scores = {"validation": {"accuracy": 0.5}, "test": {"accuracy": 0.25}}
    groups = {"validation": {"seen": None}}
    result = {"scores": scores, "warnings": ["so so"], "notes": ["5 neighbors vote"], "groups": groups}
    write_json(tmp_path / "result.json", result)
    again = AlignClassifier.load(tmp_path, device="cpu")
    assert again.predict(parts[2]).tolist() == aligned.predict(parts[2]).tolist()
    assert (again.epochs, again.lr, again.batch_size) == (3, 3e-3, 16)
    assert again.history_ == aligned.history_
    assert (again.validation_scores_, again.warnings_) == ({"accuracy": 0.5}, ("so so",))
    assert (again.notes_, again.groups_) == (("5 neighbors vote",), {"seen": None})


def test_wrong_recipe_and_wrong_option(tiny, parts):
    with pytest.raises(OptionError, match="expected a AlignRecipe or None"):
        AlignClassifier(recipe=recipes.TrainRecipe()).fit(*parts[:2])
    with pytest.raises(OptionError, match="nca"):
        AlignClassifier(loss="nce").fit(*parts[:2])
