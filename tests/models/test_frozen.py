"""Only the prompt trains: weights and stored text stay as they were, bit for bit."""

import hashlib

import numpy as np
import pytest
import torch

from separatrix.models.cache import attention_shape, build_cache
from separatrix.models.load import load_backbone
from separatrix.models.suffix import SoftPrompt, read, run_prompt
from separatrix.recipe import CacheRecipe, ModelRecipe, PromptRecipe
from suffix_oracle import EXACT, ROWS, some_prompt


def stored(cache):
    return hashlib.sha256(np.ascontiguousarray(cache.rows.block).tobytes()).hexdigest()


def train(backbone, cache, prompt, *, steps=4, readout="hidden"):
    """Pull what is read towards its first coordinate; returns the losses."""
    recipe = PromptRecipe(readout=readout, positions="last")
    vectors = [vector.requires_grad_(True) for vector in prompt.named().values()]
    optimizer, losses = torch.optim.Adam(vectors, lr=0.05), []
    for _ in range(steps):
        outputs = read(run_prompt(prompt, cache.batch(np.arange(len(ROWS))), backbone), recipe, backbone)
        loss = -outputs[:, 0].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("place", ["memory", "disk", "off"])
def test_stored_text_and_weights_are_unchanged_by_training(loaded, tmp_path, family, place):
    backbone = loaded(family, logits=True)
    cache = build_cache(backbone, ROWS, CacheRecipe(cache=place), folder=tmp_path)
    prompt = some_prompt(backbone, cache.shape)
    start = {name: vector.clone() for name, vector in prompt.named().items()}
    weights, text = backbone.fingerprint(), cache.rows and stored(cache)
    losses = train(backbone, cache, prompt, readout="logits" if place == "memory" else "hidden")
    assert losses[-1] < losses[0]
    assert backbone.fingerprint() == weights
    assert (cache.rows and stored(cache)) == text
    moved = {name: (vector != start[name]).any(dim=-1) for name, vector in prompt.named().items()}
    assert moved["tokens"].all()
    # In the last layer only the position that is read has something to learn.
    assert moved["steer"][:-1].all()
    assert moved["steer"][-1].tolist() == [[False, False, False, True]] * 2
    cache.close()


def test_a_changed_weight_changes_the_fingerprint(tiny):
    backbone = load_backbone(ModelRecipe(model=str(tiny("bert")), device="cpu"))
    before = backbone.fingerprint()
    assert load_backbone(ModelRecipe(model=str(tiny("bert")), device="cpu")).fingerprint() == before
    weight = backbone.model.encoder.layer[2].output.dense.bias
    with torch.no_grad():
        weight[7] = torch.nextafter(weight[7], torch.tensor(9.0))  # the smallest change there is
    assert backbone.fingerprint() != before


def test_gradient_reaches_the_prompt_and_nothing_else(loaded, family):
    backbone = loaded(family)
    cache = build_cache(backbone, ROWS, EXACT)
    shape = attention_shape(backbone)
    prompt = SoftPrompt(*(vector.requires_grad_(True) for vector in some_prompt(backbone, shape).named().values()))
    batch = cache.batch(np.arange(len(ROWS)))
    run_prompt(prompt, batch, backbone)[:, -1].square().sum().backward()
    assert prompt.tokens.grad.abs().sum() > 0
    assert (prompt.steer.grad.abs().sum(dim=(2, 3)) > 0).all()  # the queries and the outputs of every layer
    assert not any(weight.requires_grad or weight.grad is not None for weight in backbone.model.parameters())
    assert not batch.block.requires_grad
    assert batch.block.grad is None


def test_text_run_at_every_step_leaves_no_graph(loaded):
    """`off` runs the text without gradient: what it hands over is a constant."""
    backbone = loaded("gpt2")
    batch = build_cache(backbone, ROWS, CacheRecipe(cache="off")).batch(np.array([1, 0]))
    assert batch.block.grad_fn is None
    assert batch.vectors
    assert not any(vectors.requires_grad for vectors in batch.vectors.values())


def test_the_model_is_in_evaluation_mode_without_dropout(loaded, family):
    backbone = loaded(family)
    assert not any(module.training for module in backbone.model.modules())
    cache = build_cache(backbone, ROWS, EXACT)
    prompt = some_prompt(backbone, cache.shape)
    with torch.no_grad():
        one, two = (run_prompt(prompt, cache.batch(np.arange(4)), backbone) for _ in range(2))
    assert torch.equal(one, two)
