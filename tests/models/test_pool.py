"""Poolings equal slow loops and do not see pads; extraction equals vanilla hidden states pooled by hand."""

import numpy as np
import pytest
import torch
import transformers as hf
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix.errors import OptionError
from separatrix.models import extract
from separatrix.models.batches import token_budget
from separatrix.models.cache import build_cache
from separatrix.models.candidates import candidates
from separatrix.models.pool import plan_poolings, pool_states
from separatrix.recipe import vectors
from separatrix.recipe.vectors import VectorsRecipe
from suffix_oracle import EXACT

TEXTS = ["the cat is red", "who did it in the old house ?", "a", "how many fish are in the river", "a bird"]

# One row without pads, states of each layer as lists of token vectors.
SLOW = {
    "cls": lambda layers: layers[-1][0],
    "last": lambda layers: layers[-1][-1],
    "mean": lambda layers: [sum(values) / len(values) for values in zip(*layers[-1], strict=True)],
    "max": lambda layers: [max(values) for values in zip(*layers[-1], strict=True)],
    "layer_mean": lambda layers: [
        sum(sum(values) / len(values) for values in one) / len(one)
        for one in zip(*([list(zip(*layer, strict=True)) for layer in layers[1:]]), strict=True)
    ],
    "weighted": lambda layers: [
        sum(sum(values) / len(values) for values in one) / len(one)
        for one in zip(*([list(zip(*layer, strict=True)) for layer in layers]), strict=True)
    ],
}


def test_every_pooling_has_an_oracle():
    assert set(SLOW) == set(vectors.POOLS)


@pytest.mark.parametrize("pool", SLOW)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=5), more=st.integers(0, 4), seed=st.integers(0, 99))
def test_pooling_equals_a_slow_loop_whatever_stands_in_the_pads(pool, lengths, more, seed):
    torch.manual_seed(seed)
    width = max(lengths) + more
    mask = (torch.arange(width)[None] < torch.tensor(lengths)[:, None]).long()
    states = [torch.randn(len(lengths), width, 3, dtype=torch.float64) for _ in range(4)]
    found = pool_states(pool, states, mask)
    for row, length in enumerate(lengths):
        wanted = SLOW[pool]([state[row, :length].tolist() for state in states])
        assert found[row].tolist() == pytest.approx(wanted, abs=1e-12)
    dirty = [state.masked_fill(mask[..., None] == 0, 1e6) for state in states]
    assert torch.equal(pool_states(pool, dirty, mask), found)


@pytest.mark.parametrize("pool", SLOW)
def test_extract_equals_vanilla_pooled_by_hand(tiny, loaded, family, pool):
    backbone = loaded(family)
    found = extract.extract(backbone, TEXTS, pool=pool)
    assert found.values.dtype == np.float32
    assert found.values.shape == (5, 32)
    assert found.cut == 0
    model = loaded_vanilla(tiny(family))
    for row, text in enumerate(TEXTS):
        with torch.no_grad():
            states = model(torch.tensor([backbone.tokenizer(text)["input_ids"]]), output_hidden_states=True)
        layers = [state[0].tolist() for state in (*states.hidden_states[:-1], states.last_hidden_state)]
        np.testing.assert_allclose(found.values[row], SLOW[pool](layers), rtol=0, atol=5e-5)


def loaded_vanilla(folder, made={}):  # noqa: B006
    if folder not in made:
        made[folder] = hf.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    return made[folder]


def test_the_text_cache_keeps_the_same_vectors_on_the_way(loaded, family):
    backbone = loaded(family)
    kept = build_cache(backbone, backbone.tokenize(TEXTS), EXACT)
    blocks, _ = extract.extract_blocks(backbone, TEXTS, candidates(backbone))
    assert kept.vectors.keys() == blocks.keys() >= {"mean", "layer_mean", "max"}
    for name, block in kept.vectors.items():
        np.testing.assert_allclose(block, blocks[name], rtol=0, atol=5e-5)
    np.testing.assert_allclose(blocks["layer_mean"], extract.extract(backbone, TEXTS).values, rtol=0, atol=5e-5)


def test_block_wise_equals_at_once_and_the_order_is_restored(loaded):
    backbone = loaded("bert")
    whole, seen = extract.extract(backbone, TEXTS).values, []
    small = extract.hidden_reader(extract.Engine(backbone, 12), plan_poolings(VectorsRecipe(), 3))
    blocks = small.read(small.tokenize(TEXTS), ["layer_mean"], seen.append)["layer_mean"]
    assert len(seen) > 1
    assert sum(seen) == 5
    np.testing.assert_allclose(blocks, whole, rtol=0, atol=5e-5)
    assert token_budget(backbone.device) > 12
    turned = extract.extract(backbone, TEXTS[::-1]).values
    np.testing.assert_allclose(turned[::-1], whole, rtol=0, atol=5e-5)


def test_cut_texts_are_counted(loaded):
    assert extract.extract(loaded("bert", max_length=6), TEXTS).cut == 2


def test_no_texts_no_vectors(loaded):
    assert extract.extract(loaded("bert"), []).values.shape == (0, 32)


def test_an_unknown_pooling_is_refused(loaded):
    with pytest.raises(OptionError, match=r"unknown --pool: got 'men', expected one of .*; did you mean 'mean'"):
        extract.extract(loaded("bert"), TEXTS, pool="men")
