"""The same laws on a CUDA device."""

import numpy as np
import pytest
import torch

from separatrix.models.cache import attention_shape, build_cache
from separatrix.models.suffix import SoftPrompt, read, run_prompt
from separatrix.recipe import CacheRecipe, PromptRecipe
from suffix_oracle import EXACT, ROWS, outputs, some_prompt

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device on this machine"),
]


@pytest.fixture(autouse=True)
def exact_products():
    """Full float32 matrix products while the tests compare."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


def test_cached_equals_uncached_and_the_cpu(loaded, tmp_path, family):
    backbone, cpu = loaded(family, device="cuda"), loaded(family)
    prompt = some_prompt(backbone, attention_shape(backbone))
    memory = outputs(backbone, prompt)
    assert memory.is_cuda
    for place in ("disk", "off"):
        recipe = CacheRecipe(cache=place, cache_dtype="float32")
        torch.testing.assert_close(outputs(backbone, prompt, ROWS, recipe, folder=tmp_path), memory, rtol=0, atol=1e-4)
    there = SoftPrompt(prompt.tokens.cpu(), prompt.steer.cpu())
    torch.testing.assert_close(memory.cpu(), outputs(cpu, there), rtol=0, atol=1e-4)


@pytest.mark.parametrize("cache_dtype", ["float16", "bfloat16"])
def test_bfloat16_is_close_to_float32(loaded, family, cache_dtype):
    full, half = loaded(family, device="cuda"), loaded(family, device="cuda", dtype="bfloat16")
    prompt = some_prompt(full, attention_shape(full), scale=0.1)
    exact, near = outputs(full, prompt), outputs(half, prompt, recipe=CacheRecipe(cache_dtype=cache_dtype))
    assert near.dtype == torch.bfloat16
    assert (exact - near.float()).norm() / exact.norm() < 0.1


def test_batch_mates_do_not_matter(loaded, family):
    backbone = loaded(family, device="cuda")
    prompt = some_prompt(backbone, attention_shape(backbone))
    together = outputs(backbone, prompt)
    for row, ids in enumerate(ROWS.ids):
        alone = outputs(backbone, prompt, type(ROWS)((ids,), 0))[0]
        torch.testing.assert_close(together[row], alone, rtol=0, atol=1e-4)


def test_a_step_trains_the_prompt_and_leaves_the_weights(loaded):
    backbone = loaded("gpt2", device="cuda", logits=True)
    cache = build_cache(backbone, ROWS, EXACT)
    weights, prompt = backbone.fingerprint(), some_prompt(backbone, cache.shape)
    tokens = prompt.tokens.requires_grad_(True)
    hidden = run_prompt(SoftPrompt(tokens, prompt.steer), cache.batch(np.arange(len(ROWS))), backbone)
    read(hidden, PromptRecipe(readout="logits"), backbone)[:, 0].sum().backward()
    assert tokens.grad.abs().sum() > 0
    assert backbone.fingerprint() == weights
