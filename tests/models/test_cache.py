"""Where the text cache goes, what it holds, what is left when it fails."""

import errno
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from separatrix.errors import ModelError, StoreError
from separatrix.models.cache import GIB, attention_shape, build_cache, cache_bytes, cache_note
from separatrix.models.load import load_backbone
from separatrix.recipe import CacheRecipe, ModelRecipe
from suffix_oracle import EXACT, ROWS, outputs, some_prompt

TOKENS = sum(map(len, ROWS.ids))


def test_sizes_are_read_off_the_model(loaded, family):
    shape = attention_shape(loaded(family))
    key_heads = 2 if family in ("llama", "qwen2") else 4
    assert (shape.layers, shape.heads, shape.key_heads, shape.head_width) == (3, 4, key_heads, 8)
    assert shape.query_width == 32
    assert shape.item == (3, 2, key_heads, 8)


def test_bytes_by_hand(loaded):
    shape = attention_shape(loaded("llama"))
    lengths = np.array([len(ids) for ids in ROWS.ids])
    for cache_dtype, width in (("float32", 4), ("float16", 2), ("bfloat16", 2)):
        assert cache_bytes(lengths, shape, CacheRecipe(cache_dtype=cache_dtype)) == TOKENS * 3 * 2 * 16 * width


@pytest.mark.parametrize(
    ("memory", "disk", "place"), [(1, 1, "memory"), (0, 1, "disk"), (0, 0, "off"), (1, 0, "memory")]
)
def test_auto_goes_by_the_budgets(loaded, tmp_path, memory, disk, place):
    backbone = loaded("bert")
    need = cache_bytes(np.array([len(ids) for ids in ROWS.ids]), attention_shape(backbone), CacheRecipe()) / GIB
    # A budget of exactly what is needed is enough; one byte less is not.
    recipe = CacheRecipe(memory_gib=need - (1 - memory) / GIB, disk_gib=need - (1 - disk) / GIB)
    cache = build_cache(backbone, ROWS, recipe, folder=tmp_path)
    assert cache.location == place
    assert cache.nbytes / GIB == need
    assert [path.name for path in tmp_path.iterdir()] == (["text.cache"] if place == "disk" else [])
    if place == "disk":
        assert (tmp_path / "text.cache").stat().st_size == cache.nbytes
    assert {vectors.shape for vectors in cache.vectors.values()} == {(4, 32)}
    cache.close()
    cache.close()  # again does no harm
    assert not list(tmp_path.iterdir())


def test_caches_beside_each_other_share_both_budgets(loaded, tmp_path):
    backbone = loaded("bert")
    need = cache_bytes(np.array([len(ids) for ids in ROWS.ids]), attention_shape(backbone), CacheRecipe()) / GIB
    recipe, made = CacheRecipe(memory_gib=1.9 * need, disk_gib=2 * need), {}
    for name in ("train", "validation", "third", "fourth"):
        made[name] = build_cache(backbone, ROWS, recipe, folder=tmp_path / name, beside=made)
    assert [cache.location for cache in made.values()] == ["memory", "disk", "disk", "off"]
    for cache in made.values():
        cache.close()


def test_the_note_counts_every_part(loaded):
    one, other = (build_cache(loaded("bert"), ROWS, CacheRecipe(cache=place)) for place in ("memory", "off"))
    shape = replace(one.shape, layers=one.shape.layers * 1000)  # a model for which MiB are the right unit
    one, other = replace(one, shape=shape), replace(other, shape=shape)
    mib = one.nbytes / 2**20
    both = {"train": one, "validation": one}
    assert cache_note(both) == f"text cache: memory, {2 * mib:.0f} MiB for the training and validation texts"
    apart = {"train": one, "validation": other}
    wanted = f"text cache: memory, {mib:.0f} MiB for the training texts; off, {mib:.0f} MiB for the validation texts"
    assert cache_note(apart) == wanted


def test_auto_without_a_folder_never_goes_to_disk(loaded):
    assert build_cache(loaded("bert"), ROWS, CacheRecipe(memory_gib=0)).location == "off"


def test_disk_needs_a_folder(loaded):
    with pytest.raises(ModelError, match="a cache on disk needs a folder; give --out, or type --cache memory"):
        build_cache(loaded("bert"), ROWS, CacheRecipe(cache="disk"))


def test_the_block_holds_the_keys_and_values_of_a_plain_forward(loaded, tiny):
    """GPT-2 by hand: its own cache of keys and values, one row, no padding."""
    from transformers import GPT2Model

    cache = build_cache(loaded("gpt2"), ROWS, EXACT)
    model = GPT2Model.from_pretrained(tiny("gpt2"), attn_implementation="eager").eval()
    for row, ids in enumerate(ROWS.ids):
        with torch.no_grad():
            past = model(torch.tensor([ids]), use_cache=True).past_key_values
        batch = cache.batch(np.array([row]))
        for layer in range(3):
            key, value = batch.layer(layer)
            torch.testing.assert_close(key, past.layers[layer].keys, rtol=0, atol=5e-5)
            torch.testing.assert_close(value, past.layers[layer].values, rtol=0, atol=5e-5)


def test_batches_are_padded_and_masked(loaded):
    cache = build_cache(loaded("gpt2"), ROWS, EXACT)
    batch = cache.batch(np.array([2, 0, 2]))
    assert batch.lengths.tolist() == [1, 3, 1]
    assert batch.mask.tolist() == [[True, False, False], [True, True, True], [True, False, False]]
    assert not batch.block.movedim(-2, 1)[~batch.mask].any()
    assert torch.equal(batch.block[0], batch.block[2])


def test_progress_counts_every_row(loaded, monkeypatch):
    monkeypatch.setattr("separatrix.models.batches.CPU_TOKENS", 8)
    seen = []
    cache = build_cache(loaded("bert"), ROWS, EXACT, progress=seen.append)
    assert sum(seen) == len(ROWS)
    assert len(seen) > 1
    monkeypatch.undo()
    whole = build_cache(loaded("bert"), ROWS, EXACT)  # block-wise equals at once
    np.testing.assert_allclose(cache.rows.block, whole.rows.block, rtol=0, atol=5e-5)
    for name, vectors in whole.vectors.items():
        np.testing.assert_allclose(cache.vectors[name], vectors, rtol=0, atol=5e-5)


# When it fails


def test_no_room_on_the_disk_is_one_sentence(loaded, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 90, 10))
    with pytest.raises(
        StoreError, match=r"no room for the text cache in .*: got 0.00 GiB free, expected .*--cache off$"
    ):
        build_cache(loaded("bert"), ROWS, CacheRecipe(cache="disk"), folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_up_on_the_way_leaves_nothing(loaded, tmp_path, monkeypatch):
    real, calls = os.pwrite, []

    def full(file, data, place):
        calls.append(place)
        if len(calls) > 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(file, data, place)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StoreError, match=r"the text cache cannot be written to .*No space left on device"):
        build_cache(loaded("bert"), ROWS, CacheRecipe(cache="disk"), folder=tmp_path)
    assert len(calls) == 3
    assert not list(tmp_path.iterdir())


def test_an_interrupt_leaves_nothing(loaded, tmp_path):
    def stop(_):
        raise KeyboardInterrupt("stop")

    with pytest.raises(KeyboardInterrupt, match="stop"):
        build_cache(loaded("bert"), ROWS, CacheRecipe(cache="disk"), folder=tmp_path, progress=stop)
    assert not list(tmp_path.iterdir())


def test_what_a_kill_left_is_replaced(loaded, tmp_path):
    (tmp_path / "text.cache.part").write_bytes(b"half" * 100_000)
    (tmp_path / "text.cache").write_bytes(b"old")
    backbone = loaded("bert")
    cache = build_cache(backbone, ROWS, CacheRecipe(cache="disk", cache_dtype="float32"), folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["text.cache"]
    assert np.array_equal(cache.rows.block, build_cache(backbone, ROWS, EXACT).rows.block)
    cache.close()


@pytest.fixture
def loud(tiny):
    """GPT-2 whose second layer's keys are beyond what float16 can hold."""
    backbone = load_backbone(ModelRecipe(model=str(tiny("gpt2")), device="cpu"))
    with torch.no_grad():
        backbone.model.h[1].attn.c_attn.weight[:, 32:64] *= 1e6
    return backbone


@pytest.mark.parametrize("place", ["memory", "disk", "off"])
def test_an_overflow_of_float16_is_refused(loud, tmp_path, place):
    with pytest.raises(ModelError, match="keys or values overflow the text cache; type --cache-dtype bfloat16"):
        build_cache(loud, ROWS, CacheRecipe(cache=place, cache_dtype="float16"), folder=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("cache_dtype", ["bfloat16", "float32"])
def test_wider_formats_hold_large_keys(loud, cache_dtype):
    prompt = some_prompt(loud, attention_shape(loud))
    assert torch.isfinite(outputs(loud, prompt, ROWS, CacheRecipe(cache_dtype=cache_dtype))).all()
