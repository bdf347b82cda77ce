"""Families beyond the ten: served as they are, or refused with one true sentence."""

import json
import shutil

import pytest
import torch
import transformers as hf

from separatrix.errors import ModelError
from separatrix.models.attention import Capture, attend, running
from separatrix.models.cache import attention_shape
from separatrix.models.extract import extract
from separatrix.models.load import load_backbone
from separatrix.recipe import ModelRecipe
from suffix_oracle import ROWS, outputs, some_prompt, vanilla, vanilla_row

SIZES = {"vocab_size": 63, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "pad_token_id": 0}
WIDE = SIZES | {"intermediate_size": 64, "max_position_embeddings": 64}
GROUPED = WIDE | {"num_key_value_heads": 2, "head_dim": 8, "bos_token_id": 1, "eos_token_id": 2}
EXPERTS = {"num_local_experts": 2, "num_experts_per_tok": 1}


@pytest.fixture
def made(tiny, tmp_path):
    """`made(config, logits=..., **options)` is a random model of that config with a tokenizer, loaded."""

    def make(config, *, logits=False, **options):
        folder = shutil.copytree(tiny("gpt2"), tmp_path / "model", dirs_exist_ok=True)
        (folder / "config.json").unlink()
        torch.manual_seed(0)
        kind = hf.AutoModelForCausalLM if logits else hf.AutoModel
        kind.from_config(config).save_pretrained(folder)
        return load_backbone(ModelRecipe(model=str(folder), device="cpu", **options), logits=logits)

    return make


# What decides the attention of a family, and whether the fast path gives its vectors.
NO_SUFFIX = {
    "gpt_oss": (lambda: hf.GptOssConfig(**GROUPED, **EXPERTS), False),  # attention sinks
    "gemma2": (lambda: hf.Gemma2Config(**GROUPED), False),  # capped scores
    "mpnet": (lambda: hf.MPNetConfig(**WIDE), False),
    "deberta": (lambda: hf.DebertaConfig(**WIDE), True),
    "mamba": (lambda: hf.MambaConfig(**SIZES, state_size=4), True),
    "xlnet": (lambda: hf.XLNetConfig(vocab_size=63, d_model=32, n_layer=2, n_head=4, d_inner=64), True),
    # Its other layer is a convolution, which would not see the text.
    "lfm2": (lambda: hf.Lfm2Config(**GROUPED, layer_types=["conv", "full_attention"]), True),
}


@pytest.mark.parametrize("name", NO_SUFFIX)
def test_attention_of_another_kind_is_refused_for_prompts_alone(made, name):
    """The hint is true: the vectors of the same model are those of its own forward."""
    config, fast = NO_SUFFIX[name]
    backbone = made(config())
    assert backbone.plain != fast
    assert len(backbone.tokenize(["cat dog red"], reserve=2).ids[0]) == 3  # a limit of -1 is no limit
    sentence = (
        f"^the attention of {name} models cannot be given a suffix; type --method probe, or choose another model$"
    )
    with pytest.raises(ModelError, match=sentence):
        attention_shape(backbone)
    model = hf.AutoModel.from_pretrained(backbone.source.folder, attn_implementation="eager").eval()
    texts = ["cat dog", "the cat is red and the dog is blue"]
    found = extract(backbone, texts, pool="mean").values
    for row, text in enumerate(texts):
        ids = torch.tensor(backbone.tokenize([text]).ids)
        with torch.no_grad():
            wanted = model(input_ids=ids).last_hidden_state[0].mean(dim=0)
        torch.testing.assert_close(torch.from_numpy(found[row]), wanted, rtol=0, atol=5e-5)


def test_a_state_beside_keys_and_values_is_noticed(tiny):
    """As many layers with attention as there are, but one of them carries its text on by a sum as well."""
    backbone = load_backbone(ModelRecipe(model=str(tiny("gpt2")), device="cpu"))
    assert attention_shape(backbone).layers == 3
    block = backbone.model.h[1]
    block.mlp.register_forward_hook(lambda module, args, out: out.cumsum(dim=1))
    with pytest.raises(ModelError, match="the attention of gpt2 models cannot be given a suffix"):
        attention_shape(backbone)


def test_a_bias_over_positions_is_for_frozen_vectors_alone():
    heads = torch.randn(1, 4, 3, 8)
    module = torch.nn.Identity()
    bias = {"position_bias": torch.zeros(1, 4, 3, 3)}
    plain, _ = attend(module, heads, heads, heads, None, is_causal=False)
    torch.testing.assert_close(attend(module, heads, heads, heads, None, is_causal=False, **bias)[0], plain)
    with running(Capture()), pytest.raises(ModelError, match=r"cannot be given a suffix \(position_bias\)"):
        attend(module, heads, heads, heads, None, is_causal=False, **bias)
    with pytest.raises(ModelError, match=r"the attention of Identity models is not supported \(s_aux\)"):
        attend(module, heads, heads, heads, None, s_aux=torch.zeros(4))


def test_a_family_that_takes_a_view_of_what_attention_gives(made):
    backbone = made(hf.AfmoeConfig(**GROUPED, num_experts=2, num_experts_per_tok=1, moe_intermediate_size=16))
    got = outputs(backbone, some_prompt(backbone, attention_shape(backbone)))
    assert torch.isfinite(got).all()


def test_a_last_state_of_another_width_is_refused(made):
    """OPT-350m: its states have the width of the layers but for the last, which has that of the embeddings."""
    config = hf.OPTConfig(
        vocab_size=63, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, ffn_dim=64, word_embed_proj_dim=16
    )
    sentence = "the last state of model .* is projected to another width than its layers have: got 16, expected 32; ch"
    for logits in (False, True):
        with pytest.raises(ModelError, match=sentence):
            made(config, logits=logits)


def test_two_hundred_prompt_tokens_behind_rotary_positions(tiny, tmp_path):
    """The longest prompt that there may be, at positions beyond 200, equals plain transformers."""
    folder = shutil.copytree(tiny("llama"), tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 256}))
    backbone = load_backbone(ModelRecipe(model=str(folder), device="cpu"))
    assert len(backbone.tokenize(["cat " * 90], reserve=200).ids[0]) == 56
    prompt = some_prompt(backbone, attention_shape(backbone), tokens=200, layers="input")
    got, model = outputs(backbone, prompt), vanilla(folder, "llama")
    for row, ids in enumerate(ROWS.ids):
        torch.testing.assert_close(got[row], vanilla_row(model, "llama", ids, prompt)[0], rtol=0, atol=5e-5)
