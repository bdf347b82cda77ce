"""Poolings that baselines choose among: the encoder's own is read, and what cannot be read is no candidate."""

import doctest
import json

import numpy as np
import pytest
import torch

from separatrix.errors import OptionError
from separatrix.models import candidates
from separatrix.models.extract import extract_blocks
from separatrix.models.load import load_backbone
from separatrix.recipe import DEFAULT_MODEL, ModelRecipe

TEXTS = ["a red cat", "the dog", "one two three four five"]
PLAIN = ["Transformer", "Pooling"]


def describe(folder, kinds, pooling, path="1_Pooling"):
    """Write what sentence-transformers writes beside a model."""
    modules = [
        {
            "idx": idx,
            "name": str(idx),
            "path": path if kind == "Pooling" else "",
            "type": f"sentence_transformers.models.{kind}",
        }
        for idx, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))


def switch(name):
    """The older spelling: a switch for each pooling."""
    return {f"pooling_mode_{mode}": mode == name for mode in ("cls_token", "mean_tokens", "max_tokens", "lasttoken")}


CASES = [
    (PLAIN, switch("mean_tokens"), "mean"),
    (PLAIN, switch("cls_token"), "cls"),
    ([*PLAIN, "Normalize"], switch("max_tokens"), "max normalised"),
    ([*PLAIN, "Normalize"], {"pooling_mode": "lasttoken"}, "last normalised"),
    (PLAIN, {"pooling_mode": "mean"}, "mean"),
    (PLAIN, {"pooling_mode": ["mean", "max"]}, None),
    (PLAIN, switch("cls_token") | {"pooling_mode_mean_tokens": True}, None),  # both, side by side
    (PLAIN, {"pooling_mode_mean_sqrt_len_tokens": True}, None),
    ([*PLAIN, "Dense"], switch("mean_tokens"), None),
    ([*PLAIN, "Dense", "Normalize"], switch("mean_tokens"), None),
    (["Transformer", "WeightedLayerPooling", "Pooling"], switch("mean_tokens"), None),
]


@pytest.mark.parametrize(("kinds", "pooling", "expected"), CASES)
def test_the_own_pooling_is_what_the_folder_says(tmp_path, kinds, pooling, expected):
    describe(tmp_path, kinds, pooling)
    assert candidates.own_pooling(tmp_path) == expected


@pytest.mark.parametrize("path", ["../1_Pooling", "/etc", "", "..", "a/b", None, 3])
def test_nothing_outside_the_folder_is_read(tmp_path, path):
    inner = tmp_path / "model"
    inner.mkdir()
    describe(tmp_path, PLAIN, switch("mean_tokens"))  # what ../1_Pooling would find
    describe(inner, PLAIN, switch("mean_tokens"), path=path)
    assert candidates.own_pooling(inner) is None


@pytest.mark.parametrize("text", ["", "[", "null", "3", '"x"', "{}", "[1, 2]", '[{"type": 1}, {}]', "[[], []]"])
def test_a_damaged_description_is_no_candidate(tmp_path, text):
    assert candidates.own_pooling(tmp_path) is None
    describe(tmp_path, PLAIN, switch("mean_tokens"))
    (tmp_path / "modules.json").write_text(text)
    assert candidates.own_pooling(tmp_path) is None


def test_the_embedded_model_has_a_pooling_of_its_own():
    backbone = load_backbone(ModelRecipe(model=DEFAULT_MODEL, device="cpu"))
    names = [plan.name for plan in candidates.candidates(backbone)]
    assert names == ["mean normalised", "mean", "layer_mean", "cls", "max", "mean@3"]


@pytest.fixture
def encoder(tiny, tmp_path):
    """A tiny encoder with a description beside it."""
    import shutil

    folder = tmp_path / "encoder"
    shutil.copytree(tiny("bert"), folder)
    describe(folder, [*PLAIN, "Normalize"], switch("mean_tokens"))
    return load_backbone(ModelRecipe(model=str(folder), device="cpu"))


def test_all_candidates_come_from_one_pass_and_are_what_they_say(encoder):
    plans = candidates.candidates(encoder)
    blocks, tokens = extract_blocks(encoder, TEXTS, plans)
    assert tokens.cut == 0
    assert list(blocks) == [plan.name for plan in plans]
    np.testing.assert_allclose(np.linalg.norm(blocks["mean normalised"], axis=1), 1, rtol=1e-5)
    length = np.linalg.norm(blocks["mean"], axis=1, keepdims=True)
    np.testing.assert_allclose(blocks["mean normalised"], blocks["mean"] / length, rtol=1e-5, atol=1e-6)
    middle = next(plan for plan in plans if "@" in plan.name)
    for row, text in enumerate(TEXTS):  # each text by itself, by the model's own forward
        ids = torch.tensor([encoder.tokenize([text]).ids[0]])
        with torch.no_grad():
            states = encoder.model(ids, output_hidden_states=True).hidden_states
        np.testing.assert_allclose(blocks["mean"][row], states[-1][0].mean(0), rtol=0, atol=5e-5)
        np.testing.assert_allclose(blocks[middle.name][row], states[middle.layer][0].mean(0), rtol=0, atol=5e-5)
        np.testing.assert_allclose(blocks["cls"][row], states[-1][0, 0], rtol=0, atol=5e-5)
    nothing, _ = extract_blocks(encoder, [], plans)
    assert {block.shape for block in nothing.values()} == {(0, encoder.width)}


def test_a_causal_model_has_its_last_token_among_them(tiny):
    backbone = load_backbone(ModelRecipe(model=str(tiny("gpt2")), device="cpu"))
    names = {plan.pool for plan in candidates.candidates(backbone)}
    assert "last" in names
    assert "cls" not in names


def test_a_pooling_that_is_asked_for(encoder, tiny):
    assert [plan.name for plan in candidates.chosen_candidates(encoder, "own")] == ["mean normalised"]
    assert [plan.name for plan in candidates.chosen_candidates(encoder, "max")] == ["max"]
    assert candidates.chosen_candidates(encoder, "best") == candidates.candidates(encoder)
    plain = load_backbone(ModelRecipe(model=str(tiny("bert")), device="cpu"))
    with pytest.raises(OptionError, match="does not say how its vectors are pooled"):
        candidates.chosen_candidates(plain, "own")
    for name in ("mean@x", "median", "mean@99"):
        with pytest.raises(OptionError, match=r"pool|layer"):
            candidates.named_pooling(name, layers=2)


def test_examples_in_docstrings():
    found = doctest.testmod(candidates)
    assert found.attempted > 0
    assert found.failed == 0
