"""A prompt that enters at a layer equals plain transformers whose states are replaced there, in all ten families."""

import pytest
import torch
from torch import nn

from separatrix.models.cache import attention_shape, build_cache
from separatrix.models.suffix import run_prompt, start_prompt
from separatrix.recipe import PromptRecipe
from suffix_oracle import EXACT, ROWS, vanilla, vanilla_row

NEAR = {"rtol": 0, "atol": 5e-5}


def replaced_at(model, first, count, states):
    """Let the states of the last tokens be others where they come to a layer."""
    layers = next(part for part in model.modules() if isinstance(part, nn.ModuleList) and len(part) == 3)

    def enter(_layer, inputs, options):
        hidden = (inputs[0] if inputs else options["hidden_states"]).clone()
        hidden[:, -count:] = states
        return ((hidden, *inputs[1:]), options) if inputs else (inputs, options | {"hidden_states": hidden})

    return layers[first].register_forward_pre_hook(enter, with_kwargs=True)


@pytest.mark.parametrize("first", [1, 2])
def test_a_late_prompt_equals_plain_transformers(tiny, loaded, family, first):
    backbone = loaded(family, logits=True)
    shape = attention_shape(backbone, first)
    assert shape.layers == 3 - first
    prompt = start_prompt(PromptRecipe(tokens=3, layer=first, prompt_layers="input"), backbone, shape, seed=1)
    assert prompt.tokens.shape == (3, backbone.width)
    cache = build_cache(backbone, ROWS, EXACT, first=first)
    with torch.no_grad():
        got = run_prompt(prompt, cache.batch(torch.arange(len(ROWS)).numpy()), backbone)
    model = vanilla(tiny(family), family)
    bottom = start_prompt(PromptRecipe(tokens=3, prompt_layers="input"), backbone, shape, seed=1)
    replaced_at(model, first, 3, prompt.tokens)
    for row, ids in enumerate(ROWS.ids):
        torch.testing.assert_close(got[row], vanilla_row(model, family, ids, bottom)[0], **NEAR)


def test_the_start_is_the_state_of_the_words_there(tiny, loaded):
    backbone = loaded("llama")
    recipe = PromptRecipe(tokens=2, layer=2, init="text", init_text="cat is")
    prompt = start_prompt(recipe, backbone, attention_shape(backbone, 2))
    ids = backbone.tokenizer.convert_tokens_to_ids(["cat", "cat", "is"])
    states = vanilla(tiny("llama"), "llama")(torch.tensor([ids]), output_hidden_states=True).hidden_states
    torch.testing.assert_close(prompt.tokens, states[2][0, 1:].detach(), **NEAR)
