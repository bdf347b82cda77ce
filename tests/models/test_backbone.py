"""The loaded model is the model: alone, beside others, in either number format, outside any pass."""

import pytest
import torch
import transformers as hf

from separatrix.errors import ModelError, OptionError
from separatrix.models.attention import Capture, running
from separatrix.models.batches import pad_tokens
from separatrix.models.cache import attention_shape
from separatrix.models.device import pick_device
from separatrix.models.load import load_backbone
from separatrix.recipe import ModelRecipe
from suffix_oracle import ROWS, outputs, some_prompt


def padded(backbone):
    ids, mask = pad_tokens(list(ROWS.ids), backbone)
    return {"ids": ids, "mask": mask, "positions": torch.arange(ids.shape[1]).expand_as(ids)}


@torch.no_grad()
def test_a_plain_forward_equals_vanilla(tiny, loaded, family):
    """Outside any pass the registered attention is plain scaled dot-product attention, pads masked."""
    backbone = loaded(family, logits=True)
    batch = padded(backbone)
    assert backbone.model.config._attn_implementation == "separatrix"
    model = hf.AutoModel.from_pretrained(tiny(family), attn_implementation="sdpa").eval()
    place = {"position_ids": batch["positions"] + backbone.first_position}
    wanted = model(input_ids=batch["ids"], attention_mask=batch["mask"], **place, output_hidden_states=True)
    found = backbone.run(**batch)
    real = batch["mask"].bool()
    assert len(found) == len(wanted.hidden_states) == 4
    for one, two in zip(found[:-1], wanted.hidden_states[:-1], strict=True):
        torch.testing.assert_close(one[real], two[real], rtol=0, atol=5e-5)
    torch.testing.assert_close(found[-1][real], wanted.last_hidden_state[real], rtol=0, atol=5e-5)


@torch.no_grad()
def test_positions_are_those_that_the_model_would_take_itself(tiny, loaded, family):
    """RoBERTa counts from the pad id + 1; nobody else does."""
    backbone = loaded(family, logits=True)
    model = hf.AutoModel.from_pretrained(tiny(family), attn_implementation="eager").eval()
    ids = torch.tensor([ROWS.ids[1]])
    found = backbone.run(ids=ids, positions=torch.arange(ids.shape[1])[None], mask=torch.ones_like(ids))[-1]
    torch.testing.assert_close(found, model(input_ids=ids).last_hidden_state, rtol=0, atol=5e-5)


@torch.no_grad()
def test_two_models_at_once_do_not_disturb_each_other(tiny):
    names = ("bert", "gpt2")
    alone = {}
    for name in names:
        backbone = load_backbone(ModelRecipe(model=str(tiny(name)), device="cpu"))
        alone[name] = outputs(backbone, some_prompt(backbone, attention_shape(backbone)))
    both = {name: load_backbone(ModelRecipe(model=str(tiny(name)), device="cpu")) for name in names}
    vanilla = hf.AutoModel.from_pretrained(tiny("bert"), attn_implementation="eager")
    assert vanilla.config._attn_implementation == "eager"
    for name in (*names, *names):
        got = outputs(both[name], some_prompt(both[name], attention_shape(both[name])))
        assert torch.equal(got, alone[name])
    # A pass of one model open, another model runs within it and after it.
    ids = torch.tensor([[5, 6]])
    inner = {"ids": ids, "positions": torch.arange(2)[None], "mask": torch.ones_like(ids)}
    before = both["gpt2"].run(**inner)[-1]
    with running(first := Capture()):
        both["bert"].run(**inner)
        with running(second := Capture()):
            both["gpt2"].run(**inner)
    assert (len(first.layers), len(second.layers)) == (3, 3)
    assert torch.equal(before, both["gpt2"].run(**inner)[-1])
    assert len(second.layers) == 3


def test_a_pass_that_fails_is_closed(loaded):
    backbone = loaded("gpt2")
    ids = torch.tensor([[5, 6]])
    with pytest.raises(IndexError, match="out of range"), running(seen := Capture()):
        backbone.run(ids=ids + 999, positions=ids, mask=torch.ones_like(ids))
    backbone.run(ids=ids, positions=ids, mask=torch.ones_like(ids))
    assert not seen.layers


def test_loading_leaves_the_random_state_and_the_screen_alone(tiny, capfd):
    torch.manual_seed(7)
    state = torch.get_rng_state()
    load_backbone(ModelRecipe(model=str(tiny("bert")), device="cpu"))  # its pooler is drawn at random
    assert torch.equal(state, torch.get_rng_state())
    assert capfd.readouterr() == ("", "")


def test_bfloat16_runs_and_is_close(loaded, family):
    full, half = loaded(family, logits=True), loaded(family, logits=True, dtype="bfloat16")
    assert half.dtype == torch.bfloat16
    prompt = some_prompt(full, attention_shape(full), scale=0.1)
    exact, near = outputs(full, prompt), outputs(half, prompt)
    assert near.dtype == torch.bfloat16
    apart = (exact - near.float()).norm() / exact.norm()
    assert 0 < apart < 0.1


def test_logits_need_a_head(loaded):
    with pytest.raises(ModelError, match="has no language-model head; use --readout hidden"):
        loaded("bert").logits(torch.zeros(1, 32))


def test_causal_or_encoder(loaded, family):
    assert loaded(family).causal == (family in ("gpt2", "gpt_neox", "llama", "qwen2", "opt"))
    assert loaded(family).width == 32
    assert loaded(family).embedding.shape[1] == (16 if family == "electra" else 32)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_cuda_where_there_is_none_is_refused(tiny):
    assert pick_device("auto") == torch.device("cpu")
    with pytest.raises(ModelError, match="no CUDA device on this machine; use --device cpu"):
        load_backbone(ModelRecipe(model=str(tiny("bert")), device="cuda"))


@pytest.mark.parametrize("kind", ["XLMRoberta", "Camembert"])
def test_relatives_of_roberta_count_and_predict_as_it_does(tiny, tmp_path, kind):
    """Their head has layers before the vocabulary and their positions an offset: both found without a list of names."""
    import shutil

    folder = shutil.copytree(tiny("bert"), tmp_path / "model")
    sizes = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 64}
    config = getattr(hf, f"{kind}Config")(vocab_size=63, pad_token_id=0, max_position_embeddings=64, **sizes)
    torch.manual_seed(0)
    model = getattr(hf, f"{kind}ForMaskedLM")(config).eval()
    model.save_pretrained(folder)
    backbone = load_backbone(ModelRecipe(model=str(folder), device="cpu"), logits=True)
    assert (backbone.first_position, backbone.longest) == (1, 63)
    ids = torch.tensor([ROWS.ids[1]])
    with torch.no_grad():
        hidden = backbone.run(ids=ids, positions=torch.arange(ids.shape[1])[None], mask=torch.ones_like(ids))[-1]
        torch.testing.assert_close(backbone.logits(hidden), model(ids).logits, rtol=0, atol=5e-5)


@torch.no_grad()
def test_the_first_layers_alone_are_those_of_the_whole_model(tiny, loaded, family):
    whole, part = (
        loaded(family, logits=True),
        load_backbone(ModelRecipe(model=str(tiny(family)), device="cpu", depth=2)),
    )
    batch = padded(whole)
    real, wanted, found = batch["mask"].bool(), whole.run(**batch), part.run(**batch)
    assert (len(wanted), len(found)) == (4, 3)
    torch.testing.assert_close(found[1][real], wanted[1][real], rtol=0, atol=5e-5)
    assert attention_shape(part).layers == 2
    assert part.identity == whole.identity | {"depth": 2}


def test_more_layers_than_there_are_is_refused(tiny):
    with pytest.raises(OptionError, match=r"--depth is out of range: got 4, expected 1 to 3, the layers of '.*bert'"):
        load_backbone(ModelRecipe(model=str(tiny("bert")), depth=4))
