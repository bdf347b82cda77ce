"""The prompt behind the text equals plain transformers in all ten families; what is read of it; how it starts."""

import pytest
import torch

from separatrix.errors import OptionError
from separatrix.models.cache import attention_shape
from separatrix.models.suffix import read, start_prompt
from separatrix.recipe import PromptRecipe
from suffix_oracle import ROWS, outputs, some_prompt, vanilla, vanilla_row, vanilla_row_steered

NEAR = {"rtol": 0, "atol": 5e-5}


@pytest.mark.parametrize("tokens", [1, 4])
def test_the_prompt_equals_plain_transformers(tiny, loaded, family, tokens):
    backbone = loaded(family, logits=True)
    prompt = some_prompt(backbone, attention_shape(backbone), tokens=tokens, layers="input")
    got = outputs(backbone, prompt)
    logits = read(got, PromptRecipe(readout="logits"), backbone)
    model = vanilla(tiny(family), family)
    for row, ids in enumerate(ROWS.ids):
        hidden, wanted = vanilla_row(model, family, ids, prompt)
        torch.testing.assert_close(got[row], hidden, **NEAR)
        torch.testing.assert_close(logits[row], wanted, rtol=1e-5, atol=1e-4)


def test_vectors_at_every_layer_equal_an_attention_written_out(tiny, loaded, family):
    backbone = loaded(family, logits=True)
    prompt = some_prompt(backbone, attention_shape(backbone))
    plain = some_prompt(backbone, attention_shape(backbone), layers="input")
    got = outputs(backbone, prompt)
    assert (got - outputs(backbone, plain)).abs().max() > 0.1  # the vectors do something
    model = vanilla(tiny(family), family, steer=True)
    for row, ids in enumerate(ROWS.ids):
        torch.testing.assert_close(got[row], vanilla_row_steered(model, family, ids, prompt)[0], **NEAR)


def test_zero_vectors_at_the_layers_change_nothing(loaded, family):
    backbone = loaded(family, logits=True)
    shape = attention_shape(backbone)
    fresh = start_prompt(PromptRecipe(tokens=4, prompt_layers="all"), backbone, shape)
    bare = start_prompt(PromptRecipe(tokens=4, prompt_layers="input"), backbone, shape)
    assert torch.equal(outputs(backbone, fresh), outputs(backbone, bare))


def test_the_prompt_sees_its_text_and_order(loaded, family):
    backbone = loaded(family, logits=True)
    prompt = some_prompt(backbone, attention_shape(backbone))
    ids = ROWS.ids[1]
    texts = type(ROWS)((ids, (*ids[:-1], 44), ids[::-1]), 0)
    first, changed, turned = outputs(backbone, prompt, texts)
    assert (first[-1] - changed[-1]).abs().max() > 1e-3
    assert (first[-1] - turned[-1]).abs().max() > 1e-3


def test_the_vocabulary_is_multiplied_with_one_position_only(loaded, family):
    backbone = loaded(family, logits=True)
    shapes = []
    probe = backbone.model.get_output_embeddings().register_forward_pre_hook(
        lambda _, args: shapes.append(args[0].shape)
    )
    hidden = torch.randn(3, 6, backbone.width)
    try:
        logits = read(hidden, PromptRecipe(readout="logits"), backbone)
    finally:
        probe.remove()
    assert logits.shape == (3, len(backbone.embedding))
    assert [shape[:-1] for shape in shapes] == [(3,)]


def test_a_few_columns_are_those_of_the_whole_vocabulary(loaded, family):
    backbone, recipe = loaded(family, logits=True), PromptRecipe(readout="logits")
    hidden, columns = torch.randn(3, 2, backbone.width), torch.tensor([4, 1])
    wanted = read(hidden, recipe, backbone)[:, columns]
    torch.testing.assert_close(read(hidden, recipe, backbone, columns), wanted, rtol=1e-5, atol=1e-5)


def test_hidden_readouts_by_hand(loaded):
    hidden = torch.tensor([[[1.0, 2.0], [3.0, 6.0]]])
    backbone = loaded("bert")
    wanted = {"last": [[3.0, 6.0]], "mean": [[2.0, 4.0]], "all": [[1.0, 2.0, 3.0, 6.0]]}
    for positions, values in wanted.items():
        assert read(hidden, PromptRecipe(positions=positions), backbone).tolist() == values


def test_vocabulary_start_is_rows_of_the_table(loaded, family):
    backbone = loaded(family)
    shape = attention_shape(backbone)
    prompt = start_prompt(PromptRecipe(tokens=6, init="vocabulary"), backbone, shape, seed=3)
    same = (prompt.tokens[:, None, :] == backbone.embedding[None]).all(dim=2)  # (tokens, vocabulary)
    assert same.any(dim=1).all()
    assert same.any(dim=0).sum() > 1  # not one row six times
    assert prompt.tokens.shape == (6, backbone.embedding.shape[1])
    assert prompt.steer.shape == (shape.layers, 2, 6, shape.query_width)
    assert not prompt.steer.any()


def test_text_start_repeats_and_cuts(loaded):
    backbone = loaded("bert")  # an encoder: its special tokens must stay out of the prompt
    shape = attention_shape(backbone)
    table = backbone.embedding
    ids = backbone.tokenizer.convert_tokens_to_ids(["cat", "is", "red"])
    longer = start_prompt(PromptRecipe(tokens=5, init="text", init_text="cat is red"), backbone, shape)
    shorter = start_prompt(PromptRecipe(tokens=2, init="text", init_text="cat is red"), backbone, shape)
    assert torch.equal(longer.tokens, table[[ids[0], ids[1], ids[2], ids[0], ids[1]]])
    assert torch.equal(shorter.tokens, table[ids[:2]])


def test_classes_start_takes_the_names(loaded):
    backbone = loaded("gpt2")
    prompt = start_prompt(
        PromptRecipe(tokens=2, init="classes"), backbone, attention_shape(backbone), names=["good", "bad"]
    )
    assert torch.equal(prompt.tokens, backbone.embedding[backbone.tokenizer.convert_tokens_to_ids(["good", "bad"])])


@pytest.mark.parametrize("recipe", [PromptRecipe(init="text", init_text="  "), PromptRecipe(init="classes")])
def test_a_start_without_a_token_is_refused(loaded, recipe):
    backbone = loaded("gpt2")
    with pytest.raises(OptionError, match="the text that starts the prompt has no token"):
        start_prompt(recipe, backbone, attention_shape(backbone))


def test_normal_start_has_the_scale_of_the_table(loaded):
    backbone = loaded("gpt2")
    prompt = start_prompt(PromptRecipe(tokens=200, init="normal"), backbone, attention_shape(backbone))
    assert float(prompt.tokens.std() / backbone.embedding.std()) == pytest.approx(1, abs=0.03)
    assert float(prompt.tokens.mean()) == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("init", ["vocabulary", "normal"])
def test_a_start_belongs_to_its_seed(loaded, init):
    backbone = loaded("gpt2")
    shape = attention_shape(backbone)
    torch.manual_seed(1)
    first = start_prompt(PromptRecipe(init=init), backbone, shape, seed=5).tokens
    torch.manual_seed(2)  # global state plays no part, and is left alone
    state = torch.get_rng_state()
    assert torch.equal(first, start_prompt(PromptRecipe(init=init), backbone, shape, seed=5).tokens)
    assert not torch.equal(first, start_prompt(PromptRecipe(init=init), backbone, shape, seed=6).tokens)
    assert torch.equal(state, torch.get_rng_state())


def test_training_a_start_leaves_the_table_alone(loaded):
    backbone = loaded("gpt2")
    before = backbone.embedding.clone()
    start_prompt(PromptRecipe(), backbone, attention_shape(backbone)).tokens.add_(1.0)
    assert torch.equal(before, backbone.embedding)


@pytest.mark.parametrize("tokens", [1, 100])
def test_shortest_and_long_prompts(loaded, family, tokens):
    backbone = loaded(family)
    prompt = some_prompt(backbone, attention_shape(backbone), tokens=tokens)
    got = outputs(backbone, prompt)
    assert got.shape == (len(ROWS), tokens, backbone.width)
    assert torch.isfinite(got).all()


def test_vectors_by_name(loaded):
    backbone = loaded("gpt2")
    shape = attention_shape(backbone)
    assert list(start_prompt(PromptRecipe(prompt_layers="all"), backbone, shape).named()) == ["tokens", "steer"]
    assert list(start_prompt(PromptRecipe(prompt_layers="input"), backbone, shape).named()) == ["tokens"]
