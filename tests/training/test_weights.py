"""Trainings with weights: what they change, what they do not, and what refuses them."""

from dataclasses import replace

import numpy as np
import pytest

from separatrix import recipe as recipes
from separatrix.errors import OptionError
from separatrix.learn.objectives import OBJECTIVES, head_objective
from separatrix.learn.objectives.base import cross_entropy
from separatrix.learn.trained.loading import load_model
from separatrix.recipe import ProbingRecipe
from separatrix.recipe.align import FINETUNE, AlignRecipe
from separatrix.texts import Splits
from separatrix.training.request import TrainingRequest
from separatrix.training.run import run_training
from separatrix.training.verb import train

QUICK = {"epochs": 1, "batch_size": 32, "snapshots": 0, "device": "cpu"}


def request(tiny, splits, method, **options):
    recipe = {"probe": ProbingRecipe(), "align": AlignRecipe(), "finetune": FINETUNE}[method]
    used = {"device": "cpu"} if method == "probe" else QUICK
    return TrainingRequest(
        splits, recipes.replace(recipe, model=str(tiny("bert")), **{**used, **options}), method, compare=False
    )


def weighted(splits: Splits, weight) -> Splits:
    return replace(splits, train=replace(splits.train, weight=np.asarray(weight, dtype=float)))


@pytest.mark.parametrize("method", ["probe", "align", "finetune"])
def test_equal_weights_change_nothing_and_others_do(tiny, splits, method):
    rows = len(splits.train)
    plain, ones, other = (
        run_training(request(tiny, data, method)).predictions["validation"].filter(like="probability").to_numpy()
        for data in (splits, weighted(splits, np.ones(rows)), weighted(splits, 1 + 9 * (np.arange(rows) % 2)))
    )
    assert np.allclose(plain, ones, atol=1e-4)
    assert not np.allclose(plain, other, atol=1e-4)


@pytest.mark.parametrize("method", ["probe", "align", "finetune"])
def test_the_scale_of_the_weights_changes_nothing(tiny, splits, method):
    weight, options = 1 + 9 * (np.arange(len(splits.train)) % 2), {} if method == "probe" else {"refit": True}
    one, other = (
        run_training(request(tiny, weighted(splits, scale * weight), method, **options)).model.answer(splits.train.text)
        for scale in (1, 1e-60)
    )
    assert np.allclose(one.probabilities, other.probabilities, atol=1e-4)


@pytest.mark.parametrize("loss", ["token", "linear", "centroid_ce", "cosine"])
def test_prompts_learn_with_weights(make_order, splits, loss):
    rows = len(splits.train)
    family = "gpt2" if loss == "token" else "bert"
    weight = 1 + 9 * (np.arange(rows) % 2)
    plain, other, scaled = (
        run_training(replace(make_order(data=data, family=family, loss=loss, epochs=1), compare=False)).metrics[0]
        for data in (splits, weighted(splits, weight), weighted(splits, 1e-60 * weight))
    )
    assert plain["loss"] != other["loss"]
    assert scaled["loss"] == pytest.approx(other["loss"], rel=1e-4)


def test_class_weights_are_said_and_kept_in_the_recipe(tiny, splits, tmp_path):
    one = request(tiny, splits, "probe", class_weight=("balanced",))
    result = run_training(replace(one, folder=tmp_path / "run"))
    assert any(note.startswith("weights of the classes in training") for note in result.notes)
    assert result.recipe["loop"]["class_weight"] == ["balanced"]


def test_the_means_of_an_aligned_encoder_are_weighted_and_saved(tiny, splits, tmp_path):
    rows = len(splits.train)
    data = weighted(splits, 1 + 9 * (np.arange(rows) % 2))
    result = run_training(request(tiny, data, "align", decision="mean", refit=True))
    index = result.model.index
    assert len(index.weight) == len(splits.train) + len(splits.validation)
    result.model.save(tmp_path / "model")
    again = load_model(tmp_path / "model")
    assert np.allclose(again.class_means(), result.model.class_means(), atol=1e-6)
    flat = replace(result.model, index=replace(index, weight=None))
    assert not np.allclose(flat.class_means(), result.model.class_means(), atol=1e-4)


def test_terms_against_groups_refuse_weights(tiny, splits):
    data = replace(splits, train=replace(splits.train, group=np.array(list("ab") * (len(splits.train) // 2), object)))
    data = weighted(data, np.ones(len(splits.train)))
    with pytest.raises(OptionError, match="this objective has no weights of rows"):
        run_training(request(tiny, data, "align", invariance="ridge"))


def test_a_loss_of_ones_own_without_the_argument_refuses_weights(make_order, splits):
    OBJECTIVES["own"] = head_objective(lambda scores, y, options: cross_entropy(scores, y))
    try:
        with pytest.raises(OptionError, match="expected a loss with an argument `weight`"):
            run_training(make_order(data=weighted(splits, np.ones(len(splits.train))), loss="own"))
    finally:
        del OBJECTIVES["own"]


def test_numbers_have_no_class_weights(splits):
    with pytest.raises(OptionError, match="--class-weight has no effect here: expected classes, not numbers"):
        train(splits, method="prompt", loss="mse", class_weight="balanced")


def test_class_weights_come_as_a_mapping_or_a_file(tiny, splits, tmp_path):
    name = sorted(set(splits.train.label))[0]
    path = tmp_path / "weights.json"
    path.write_text(f'{{"{name}": 4}}')
    model = {"model": str(tiny("bert")), "device": "cpu", "method": "probe"}
    one, other = train(splits, class_weight={name: 4.0}, **model), train(splits, class_weight=str(path), **model)
    assert one.scores == other.scores
    assert any(f"{name} 4" in note for note in one.notes)
