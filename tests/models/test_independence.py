"""A row's result depends on its text and the prompt alone: not on batch mates, padding, order or the cache's place."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from separatrix.models.backbone import Tokens
from separatrix.models.cache import attention_shape, build_cache
from separatrix.models.suffix import run_prompt
from separatrix.recipe import CacheRecipe
from suffix_oracle import EXACT, ROWS, outputs, some_prompt

TEXTS = st.lists(st.lists(st.integers(3, 60), min_size=1, max_size=24).map(tuple), min_size=2, max_size=7).map(
    lambda ids: Tokens(tuple(ids), 0)
)
# Few examples a family: ten families run each property.
FEW = settings(max_examples=5, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
# A text run in another batch differs by float32 noise, which may tip a rounding to 16 bits the other way: one unit in
# the last place (2^-11 and 2^-8 of a number) here and there, carried through three layers of large random weights.
NOISE = {"float32": 1e-5, "float16": 1e-2, "bfloat16": 8e-2}


@FEW
@given(tokens=TEXTS, random=st.randoms(use_true_random=False))
def test_batch_mates_padding_and_order_do_not_matter(loaded, family, tokens, random):
    backbone = loaded(family)
    prompt = some_prompt(backbone, attention_shape(backbone), tokens=3)
    together = outputs(backbone, prompt, tokens)
    for row, ids in enumerate(tokens.ids):  # alone: no padding, and no mates when the text is run either
        alone = outputs(backbone, prompt, Tokens((ids,), 0))[0]
        torch.testing.assert_close(together[row], alone, rtol=0, atol=5e-5)
    order = list(range(len(tokens)))
    random.shuffle(order)
    torch.testing.assert_close(outputs(backbone, prompt, tokens, rows=order), together[order], rtol=0, atol=5e-5)
    turned = Tokens(tuple(tokens.ids[row] for row in order), 0)  # another order when the texts are run
    torch.testing.assert_close(outputs(backbone, prompt, turned), together[order], rtol=0, atol=5e-5)


@FEW
@given(tokens=TEXTS)
def test_cached_equals_uncached(loaded, family, tokens):
    backbone = loaded(family)
    prompt = some_prompt(backbone, attention_shape(backbone), tokens=3)
    memory = outputs(backbone, prompt, tokens, EXACT)
    off = outputs(backbone, prompt, tokens, CacheRecipe(cache="off", cache_dtype="float32"))
    torch.testing.assert_close(memory, off, rtol=0, atol=5e-5)


@pytest.mark.parametrize("cache_dtype", sorted(NOISE))
@pytest.mark.parametrize("name", ["gpt2", "llama", "modernbert"])
def test_the_place_of_the_cache_does_not_matter(loaded, tmp_path, name, cache_dtype):
    backbone = loaded(name)
    prompt = some_prompt(backbone, attention_shape(backbone), tokens=3)
    kept = {
        place: outputs(backbone, prompt, ROWS, CacheRecipe(cache=place, cache_dtype=cache_dtype), folder=tmp_path)
        for place in ("memory", "disk", "off")
    }
    assert torch.equal(kept["memory"], kept["disk"])
    torch.testing.assert_close(kept["memory"], kept["off"], rtol=0, atol=NOISE[cache_dtype])
    exact = outputs(backbone, prompt, ROWS)
    apart = (kept["memory"] - exact).abs().max()
    # 16 bits are near the exact numbers, and bfloat16 really rounds to 8 of them.
    assert (apart == 0) if cache_dtype == "float32" else 0 < apart < 10 * NOISE[cache_dtype]


@pytest.mark.parametrize("cache_dtype", ["float16", "bfloat16"])
def test_off_rounds_as_the_cache_does(loaded, cache_dtype):
    """One row in the same batch and one thread on both sides: then not even the noise is left."""
    torch.set_num_threads(1)
    backbone = loaded("gpt2")
    prompt = some_prompt(backbone, attention_shape(backbone), tokens=3)
    one = Tokens(ROWS.ids[1:2], 0)
    memory, off = (
        outputs(backbone, prompt, one, CacheRecipe(cache=place, cache_dtype=cache_dtype)) for place in ("memory", "off")
    )
    assert torch.equal(memory, off)


@FEW
@given(tokens=TEXTS, cache_dtype=st.sampled_from(sorted(NOISE)))
def test_memory_and_disk_hold_the_same_bytes(loaded, tokens, cache_dtype):
    backbone = loaded("qwen2")
    with tempfile.TemporaryDirectory() as folder:
        caches = [
            build_cache(backbone, tokens, CacheRecipe(cache=place, cache_dtype=cache_dtype), folder=Path(folder))
            for place in ("memory", "disk")
        ]
        blocks = [cache.batch(np.arange(len(tokens))).block for cache in caches]
        assert torch.equal(*(block.view(torch.uint8) for block in blocks))
        memory, disk = (cache.vectors for cache in caches)
        assert memory.keys() == disk.keys()
        assert all(np.array_equal(memory[name], disk[name]) for name in memory)
        for cache in caches:
            cache.close()


def test_what_stands_in_the_padding_reaches_nobody(loaded, family):
    """The padded places of a batch are masked, whatever they hold (seed 003's rows depended on their batch mates)."""
    backbone = loaded(family)
    prompt = some_prompt(backbone, attention_shape(backbone), tokens=3)
    cache = build_cache(backbone, ROWS, EXACT)
    with torch.no_grad():
        clean = run_prompt(prompt, cache.batch(np.arange(len(ROWS))), backbone)
        dirty = cache.batch(np.arange(len(ROWS)))  # takes over the memory of the batch before
        dirty.block.movedim(-2, 1)[~dirty.mask] = 1e4
        assert dirty.block.max() == 1e4
        assert torch.equal(clean, run_prompt(prompt, dirty, backbone))
