"""The small Barlow Twins network, and the importance of heads."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from separatrix.errors import DataError, OptionError, ShapeError
from separatrix.heads import importance
from separatrix.heads.importance import head_importance, usual_loss
from separatrix.heads.maps import shape_of
from separatrix.learn.objectives.unlabelled import barlow_loss
from separatrix.learn.trainables.twins import VIEWS
from separatrix.learn.twins import train_twins, twin_vectors
from separatrix.texts.questions_answers import Example


def planted_grids(windows=30, heads=3, cells=6, seed=0):
    """Three heads that look at themselves, at the first token, or evenly; with noise."""
    generator = np.random.default_rng(seed)
    first = np.zeros((cells, cells))
    first[:, 0] = cells
    kinds = np.stack([cells * np.eye(cells), first, np.ones((cells, cells))])[:heads]
    grids = np.concatenate([kinds + 0.2 * generator.random((heads, cells, cells)) for _ in range(windows)])
    return grids.reshape(windows * heads, -1), np.tile(np.arange(heads), windows)


@pytest.mark.parametrize("views", VIEWS)
def test_twins_learn_and_tell_planted_heads_apart(views):
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score

    grids, heads = planted_grids(windows=200)
    found = train_twins(grids, heads, views=views, epochs=8, seed=0)
    assert found.losses[-1] < found.losses[0]
    again = train_twins(grids, heads, views=views, epochs=8, seed=0)
    assert found.losses == again.losses
    unseen, kinds = planted_grids(seed=1)
    vectors = twin_vectors(found, unseen)
    assert vectors.shape == (len(unseen), 64)
    assert np.linalg.norm(twin_vectors(found, unseen[:1])[0] - vectors[0]) <= 1e-4 * np.linalg.norm(vectors[0])
    assert adjusted_rand_score(kinds, KMeans(3, n_init=3, random_state=0).fit_predict(vectors)) > 0.9


def test_barlow_loss():
    one = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    alone = float(barlow_loss(one, one))
    mixed = float(barlow_loss(one, one.flip(0)))
    assert mixed > alone + 1
    slow, correlation = 0.0, np.corrcoef(one.T.numpy())
    for row in range(4):
        for column in range(4):
            slow += (1 - correlation[row, row]) ** 2 if row == column else 5e-3 * correlation[row, column] ** 2
    assert alone == pytest.approx(slow, abs=1e-4)
    with pytest.raises(ShapeError, match="equal shapes"):
        barlow_loss(one, one[:3])
    with pytest.raises(DataError, match="too few maps"):
        train_twins(np.ones((2, 4)), np.zeros(2, int))


@pytest.mark.parametrize(("family", "loss"), [("gpt2", "language"), ("llama", "language"), ("bert", "match")])
def test_gradients_equal_finite_differences(shown, material, family, loss):
    """The gradient score of a row is the slope of its loss as one gate moves; ablation is the loss at 0 less at 1."""
    backbone = shown(family)
    layers, heads = shape_of(backbone.model)
    losses = importance.LOSSES[loss](backbone, importance.one_of_each(material.examples)[:3])
    one = losses[0]
    gradient = importance.gate_gradients(one, layers, heads)
    rows = len(one(torch.ones(layers, heads)))
    slope = 0.0
    for row in range(rows):
        ends = []
        for step in (1e-2, -1e-2):
            gates = torch.ones(rows, layers, heads)
            gates[row, 1, 2] += step
            with torch.no_grad():
                ends.append(one(gates).double().sum())
        slope += abs(float(ends[0] - ends[1]) / 2e-2)
    assert float(gradient[1, 2]) == pytest.approx(slope, rel=0.05, abs=1e-3)
    found = head_importance(backbone, material.examples, loss, rows=3)
    gates = torch.ones(layers, heads)
    gates[1, 2] = 0
    with torch.no_grad():
        ablated = float(torch.cat([each(gates) for each in losses]).mean())
    assert found.ablation[1, 2] == pytest.approx(ablated - found.base, abs=5e-5)
    assert found.gradient.shape == found.ablation.shape == (layers, heads)


def test_rows_that_a_loss_leaves_out_are_not_counted(shown):
    """Nine pairs: the ninth would be alone in its batch. A text of one token has no next token."""
    words = "the old cat sees a red bird in tree".split()  # noqa: SIM905
    pairs = [Example(str(row), f"where is the {word} ?", f"the {word} is here", row) for row, word in enumerate(words)]
    backbone = shown("bert")
    found = head_importance(backbone, pairs, "match")
    assert found.rows == 8
    eight = head_importance(backbone, pairs[:8], "match")
    assert np.linalg.norm(found.gradient - eight.gradient) <= 1e-4 * np.linalg.norm(eight.gradient)
    assert head_importance(backbone, [*pairs[:4], Example("x", "alone", "", 20)], "match").rows == 4
    texts = [Example(str(row), text, "", row) for row, text in enumerate(["the cat", "a bird", "cat"])]
    causal = shown("gpt2")
    assert head_importance(causal, texts, "language").rows == 2
    with pytest.raises(DataError, match="two tokens or more"):
        head_importance(causal, [replace(text, first="cat") for text in texts], "language")


def test_heads_of_a_model_that_holds_few_tokens_are_weighed_on_as_many(shown):
    backbone = shown("bert")
    config = backbone.model.config
    usual, config.max_position_embeddings = config.max_position_embeddings, 12
    try:
        pairs = [Example(str(row), "where is it ?", "the old cat sees a red bird " * 9, row) for row in range(2)]
        assert head_importance(backbone, pairs, "match").rows == 2
    finally:
        config.max_position_embeddings = usual


def test_usual_loss_and_mistakes(shown, material):
    assert usual_loss(shown("gpt2"), material.examples) == "language"
    assert usual_loss(shown("bert"), material.examples) == "match"
    single = [example for example in material.examples if example.context == 0]
    with pytest.raises(DataError, match="too few contexts"):
        head_importance(shown("bert"), single, "match")
    with pytest.raises(OptionError, match=r"unknown --importance.*did you mean 'match'"):
        head_importance(shown("bert"), material.examples, "matches")


def test_a_causal_model_that_was_saved_without_its_head_is_weighed_otherwise(shown, material, monkeypatch):
    """Regression: it ended with a hint at an option that the verb does not have."""
    backbone = shown("gpt2")
    monkeypatch.setattr(backbone.model.config, "architectures", ["GPT2Model"])
    assert usual_loss(backbone, material.examples) == "match"
    assert usual_loss(backbone, material.examples[:1]) == "none"
