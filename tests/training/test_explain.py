"""A trained prompt explained: nearest words beside a null, what each vector is worth, figures on other texts."""

import json

import numpy as np
import pytest
import torch

from separatrix.errors import DataError, ModelError, OptionError, SeparatrixWarning
from separatrix.learn.explain import nearest_words, scores_without
from separatrix.models.suffix import SoftPrompt
from separatrix.texts import Texts
from separatrix.training.explain import explain_prompt, with_classes
from separatrix.training.run import run_training

OPTIONS = {"epochs": 2, "lr": 0.1, "tokens": 4}


@pytest.fixture(scope="module")
def trained(make_order):
    """`trained(**options)` is a finished run without a folder."""
    runs = {}

    def run(**options):
        key = tuple(sorted(options.items()))
        if key not in runs:
            runs[key] = run_training(make_order(family="gpt2", **OPTIONS | options))
        return runs[key]

    return run


def moved(model, tokens):
    from dataclasses import replace

    return replace(model, prompt=SoftPrompt(tokens, model.prompt.steer))


def test_words_are_found_by_their_own_vectors_and_random_vectors_are_not(trained):
    model = trained().model
    table = model.backbone.embedding
    cat, dog = model.backbone.tokenizer.convert_tokens_to_ids(["cat", "dog"])
    generator = torch.Generator().manual_seed(3)
    noise = table.mean(0) + torch.randn(2, table.shape[1], generator=generator) * table.std(0)
    rows, null = nearest_words(moved(model, torch.cat([3 * table[[cat, dog]], noise])), count=2)
    assert [row.words[0] for row in rows[:2]] == ["cat", "dog"]
    assert [row.cosines[0] for row in rows[:2]] == pytest.approx([1, 1])
    assert rows[0].p_value == 1 / 200
    assert min(row.p_value for row in rows[2:]) > 0.02
    assert 0 < null.mean < null.highest < 1


def test_an_untrained_vector_is_its_start(trained):
    from separatrix.models.suffix import start_prompt

    model = trained().model
    begun = start_prompt(model.recipe.prompt, model.backbone, model.shape, seed=0)
    assert [row.start for row in nearest_words(moved(model, begun.tokens))[0]] == pytest.approx([1] * 4)
    assert max(row.start for row in nearest_words(model)[0]) < 1


@pytest.mark.parametrize("positions", ["all", "last", "mean"])
def test_scores_without_a_vector_by_hand(trained, splits, positions):
    """The vector behind all others of a causal model is seen by none: without it only the readout changes."""
    model = trained(positions=positions).model
    texts = list(splits.validation.text)
    whole, without = scores_without(model, texts)
    assert without.shape == (4, len(texts), 3)
    np.testing.assert_allclose(whole, model.scores(model.run(texts).outputs), rtol=1e-4, atol=1e-4)
    shown = {"all": lambda: model.run(texts).outputs.reshape(len(texts), 4, -1)}
    if positions == "all":
        hidden = shown["all"]()
        hidden[:, 3] = hidden[:, 3].mean(axis=0)
        by_hand = model.scores(hidden.reshape(len(texts), -1))
        np.testing.assert_allclose(without[3], by_hand, rtol=1e-3, atol=1e-3)
    if positions == "last":
        assert np.ptp(without[3], axis=0).max() == 0  # nothing of the text is read
        assert np.ptp(without[0], axis=0).max() > 0
    assert np.abs(without[0] - whole).max() > 1e-3


def test_texts_beside_a_text_do_not_matter(trained, splits):
    model, texts = trained().model, list(splits.validation.text)
    whole, without = scores_without(model, texts)
    turned, turned_without = scores_without(model, texts[::-1])
    np.testing.assert_allclose(turned[::-1], whole, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(turned_without[:, ::-1], without, rtol=1e-3, atol=1e-3)


def test_the_explanation_of_a_run(trained, splits):
    result = trained()
    seen = []
    told = result.explain(nearest=3, progress=lambda *one: seen.append(one))
    assert told.scores["accuracy"] == result.scores["validation"]["accuracy"]
    assert seen[-1][:3] == ("explanation", 2 * len(splits.validation), 2 * len(splits.validation))
    plain = json.loads(json.dumps(told.to_dict()))
    assert len(plain["vectors"]) == len(told.table) == 4
    for row in plain["vectors"]:
        low, high = row["interval"]
        assert low <= row["cost"] <= high
        assert row["p_drop"] <= row["p_holm"] <= 1
        assert len(row["words"]) == 3
    assert "nearest words" in str(told)
    assert "random vectors" in str(told)


def test_a_prompt_on_other_texts(trained):
    other = Texts.of(["a cat", "dog dog", "the bird", "red bird"], ["cat", "dog", "bird", "bird"])
    told = trained().explain(other)
    assert told.rows == 4
    assert told.scores["majority"] == 0.5
    with pytest.raises(DataError, match="'fish'"):
        trained().explain(Texts.of(["a fish", "a cat"], ["fish", "cat"]))


def test_numbers_and_words(trained, figures, make_order):
    numbers = run_training(make_order(data=figures, family="gpt2", loss="mse", **OPTIONS))
    told = numbers.explain()
    assert told.scores["rmse"] == pytest.approx(numbers.scores["validation"]["rmse"], rel=1e-4)
    assert "squared error gained" in str(told)
    words = trained(loss="token").explain()
    assert words.scores["accuracy"] == trained(loss="token").scores["validation"]["accuracy"]
    assert ([*words.label_words.values()], words.chosen) == (trained(loss="token").facts["words"], True)
    by_hand = trained(loss="token", words=("bad", "good", "fine")).explain()
    assert by_hand.label_words == {"bird": "bad", "cat": "good", "dog": "fine"}
    assert "bad for bird, good for cat, fine for dog (by hand)" in str(by_hand)
    assert "label words" not in str(numbers.explain())


def test_what_cannot_be_explained(trained, make_order):
    with pytest.raises(ModelError, match="only a prompt can be explained: got ProbeModel"):
        run_training(make_order(method="probe")).explain()
    with pytest.raises(DataError, match="has no labels"):
        explain_prompt(trained().model, Texts.of(["a cat"]))
    one = Texts.of(["a cat"], ["cat"])
    with pytest.raises(DataError, match="no text has an answer that could be explained"):
        trained().explain(one.take([]))
    with pytest.raises(OptionError, match="--nearest is out of range: got 0"):
        trained().explain(one, nearest=0)
    words = trained().explain(one, nearest=10**6).words[0].words
    assert len(words) == len(trained().model.backbone.embedding)


def test_a_prompt_on_another_data_set_whose_labels_have_other_names(trained):
    there = Texts.of(["a cat", "dog dog", "the bird", "a fish"], ["kitten", "dog", "bird", "fish"])
    with pytest.warns(SeparatrixWarning, match="1 of 4 rows are left out: their label is no class of the model"):
        told = trained().explain(there, classes=["kitten=cat"])
    assert told.rows == 3
    with pytest.warns(SeparatrixWarning, match="left out"):
        same = trained().explain(Texts.of(list(there.text), ["cat", "dog", "bird", "fish"]), classes=["cat=cat"])
    assert told.scores == same.scores
    for classes, message in (
        (["kitten"], "--classes maps labels"),
        (["kiten=cat"], "unknown label of these texts: .* did you mean 'kitten'"),
        (["kitten=cats"], "unknown class of the model: .* did you mean 'cat'"),
    ):
        with pytest.raises(OptionError, match=message):
            trained().explain(there, classes=classes)
    with pytest.raises(DataError, match="no label is a class of the model"):
        with_classes(Texts.of(["x"], ["q"]), [], ["cat"])


def test_a_late_prompt_has_costs_and_no_words(trained):
    told = trained(layer=1).explain()
    assert told.words == []
    assert len(told.table) == 4
    assert "nearest words" not in str(told)
    assert "majority" in str(told)
    json.dumps(told.to_dict())
