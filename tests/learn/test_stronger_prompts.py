"""Prompts that are trained through something, enter late, or hang on the text: each learns, and is kept as vectors."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from prompt_kinds import SENTENCES, STRONGER
from separatrix.errors import ModelError, OptionError, StoreError
from separatrix.learn.prompt import start_prompt_model
from separatrix.models.cache import LAYER_MEAN, TextCache
from separatrix.models.suffix import run_prompt
from separatrix.recipe import CacheRecipe, PromptRecipe
from separatrix.training.methods import build_recipe


@pytest.mark.parametrize("kind", STRONGER)
def test_it_learns_and_all_that_is_trained_moves(make_job, loops, animals, kind):
    from separatrix.learn.prompt import train_prompt

    trained = train_prompt(make_job(animals, epochs=4, **STRONGER[kind]))
    first, last = trained.fitted.metrics[0], trained.fitted.metrics[-1]
    assert last["loss"] < 0.9 * first["loss"]
    assert last["validation"]["accuracy"] > last["validation"]["majority"] + 0.2
    (loop,) = loops
    optimizer, leaves = (
        loop.state.optimizer,
        {name: one for group in loop.groups.values() for name, one in group.items()},
    )
    moments = {name: float(optimizer.state[tensor]["exp_avg_sq"].max()) for name, tensor in leaves.items()}
    assert min(moments.values()) > 0, moments
    form = {"mixture": {"shares"}, "residual": {"tokens", "residual.down", "residual.up"}}.get(kind, {"tokens"})
    assert form <= {*moments}


@pytest.mark.parametrize("kind", STRONGER)
def test_cached_texts_give_what_texts_run_afresh_give(train, few, kind):
    model = train(few, "llama", epochs=1, **STRONGER[kind]).model
    tokens = model.backbone.tokenize(few[0].text[:6])
    exact = CacheRecipe(cache="memory", cache_dtype="float32")
    fresh, stored = (TextCache(model.backbone, tokens, model.shape, exact, place) for place in ("off", "memory"))
    from separatrix.store.ragged import RaggedRows

    stored.fill(RaggedRows.allocate(stored.lengths, model.shape.item, np.dtype("float32"), None, axis=3))
    with torch.no_grad():
        whole = run_prompt(model.prompt, stored.batch(np.arange(6)), model.backbone)
        alone = [run_prompt(model.prompt, fresh.batch(np.array([row])), model.backbone)[0] for row in range(6)]
    torch.testing.assert_close(whole, torch.stack(alone), rtol=0, atol=1e-4 * float(whole.abs().max()))


def test_it_reads_texts_that_another_training_left(train, few, tmp_path):
    model = train(few, epochs=1, layer=1, instance=2).model
    alone, texts = model.answer(few[1].text), list(few[1].text)
    counted: list[int] = []

    def count(_stage, done, _total, _note):
        counted.append(done)

    for _ in range(2):  # written, then read; each text is counted once
        shared = replace(model, shared_texts=tmp_path).answer(texts, count)
        np.testing.assert_allclose(shared.scores, alone.scores, rtol=1e-3, atol=1e-4)
        assert counted[-1] == len(texts)
        assert counted == sorted(counted)
        counted.clear()


def test_a_late_prompt_keeps_the_upper_layers_alone(train, few):
    shapes = {layer: train(few, epochs=1, layer=layer).model.shape for layer in (0, 2)}
    assert (shapes[0].layers, shapes[2].layers) == (3, 1)
    assert shapes[2].first == 2


def test_the_texts_own_vector_moves_its_prompt(train, few):
    model = train(few, epochs=2, instance=3).model
    cache = TextCache(model.backbone, model.backbone.tokenize(few[0].text[:2]), model.shape, CacheRecipe(), "off")
    batch = cache.batch(np.arange(2))
    one, other = model.prompt.of(batch)
    assert float((one - other).abs().max()) > 1e-4
    own = batch.vectors[LAYER_MEAN]
    by_hand = model.prompt.tokens + ((own[0] - model.prompt.center) @ model.prompt.down @ model.prompt.up).view(4, -1)
    torch.testing.assert_close(one, by_hand)


def test_without_a_step_they_start_where_the_vectors_do(make_job, few):
    starts = {}
    for kind in ("plain", "residual", "instance"):
        job = make_job(few, **STRONGER.get(kind, {}))
        starts[kind] = start_prompt_model(job.recipe, few[0]).prompt
    assert torch.equal(starts["plain"].tokens, starts["residual"].tokens)
    assert torch.equal(starts["plain"].tokens, starts["instance"].tokens)
    assert not starts["instance"].up.any()


def test_a_mixture_begins_with_most_of_one_word(make_job, few):
    model = start_prompt_model(make_job(few, init="mixture").recipe, few[0])
    table = model.backbone.embedding
    near = torch.nn.functional.cosine_similarity(model.prompt.tokens[:, None], table[None], dim=2).amax(dim=1)
    assert float(near.min()) > 0.8


def test_descriptions_are_spread_over_the_tokens(make_job, few):
    sentences = ("bird\u200b=cat is", "cat=red", "dog=blue")  # a name as it looks
    options = {"init": "descriptions", "descriptions": sentences}
    model = start_prompt_model(make_job(few, tokens=2, **options).recipe, few[0])
    ids = model.backbone.tokenizer.convert_tokens_to_ids(["cat", "is", "red", "blue"])
    table = model.backbone.embedding
    torch.testing.assert_close(model.prompt.tokens, torch.stack([table[ids[:2]].mean(0), table[ids[2:]].mean(0)]))


@pytest.mark.parametrize("sentences", [SENTENCES[:2], (*SENTENCES, "cow=a cow")], ids=["one too few", "one too many"])
def test_descriptions_of_other_classes_are_refused(make_job, few, sentences):
    job = make_job(few, init="descriptions", descriptions=sentences)
    with pytest.raises(OptionError, match=r"--descriptions give one sentence for each class: .* see '(dog|cow)'"):
        start_prompt_model(job.recipe, few[0])


def test_descriptions_come_from_a_file_or_a_mapping(tmp_path):
    wanted = dict(entry.split("=") for entry in SENTENCES)
    (tmp_path / "classes.json").write_text(json.dumps(wanted))
    for given in (wanted, [str(tmp_path / "classes.json")], list(SENTENCES)):
        recipe = build_recipe("prompt", {"init": "descriptions", "descriptions": given})
        assert recipe.prompt.descriptions == SENTENCES
    (tmp_path / "classes.json").write_text("[1]")
    with pytest.raises(StoreError, match=r"classes.json is damaged"):
        build_recipe("prompt", {"init": "descriptions", "descriptions": str(tmp_path / "classes.json")})


def test_options_that_need_each_other():
    with pytest.raises(OptionError, match="--init descriptions needs a sentence for each class"):
        PromptRecipe(init="descriptions")
    with pytest.raises(OptionError, match="vectors at a layer are no mixture of words"):
        PromptRecipe(init="mixture", layer=2)
    with pytest.raises(OptionError, match="--descriptions has no effect here: expected --init descriptions"):
        build_recipe("prompt", {"descriptions": SENTENCES})


def test_a_layer_that_the_model_does_not_have(train, few):
    with pytest.raises(OptionError, match="--layer names a layer that the model does not have: got 3, expected 0 to 2"):
        train(few, layer=3)


def test_a_model_that_cannot_be_entered_late_is_refused(loaded, monkeypatch):
    """What the check is for: layers that hand on more than their states."""
    from separatrix.models import cache, late

    monkeypatch.setattr(
        late.EntryForward, "__call__", lambda self, *inputs, **options: self.forward(*inputs, **options)
    )
    with pytest.raises(OptionError, match="a prompt cannot enter gpt2 models at a layer"):
        cache.attention_shape(loaded("gpt2"), 1)
    monkeypatch.setattr(cache, "same_states", lambda *_: False)
    with pytest.raises(ModelError, match="cannot be given a suffix"):
        cache.attention_shape(loaded("gpt2"))
