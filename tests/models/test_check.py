"""No vector is believed unchecked: families that the fast path gets wrong run by themselves, or are refused."""

import shutil

import numpy as np
import pytest
import torch
import transformers as hf

import tiny_families
from separatrix.errors import ModelError
from separatrix.heads.windows import WindowRule, cut_windows
from separatrix.learn.trainables.encoder import start_encoder
from separatrix.models import attention
from separatrix.models.backbone import Backbone
from separatrix.models.check import checked, distance, some_ids
from separatrix.models.extract import extract
from separatrix.models.load import load_backbone
from separatrix.recipe import ModelRecipe
from separatrix.recipe.align import EncoderRecipe
from separatrix.texts.questions_answers import Example

SHORT, LONG = "w3 w9", "w4 w20 w7 w31 w8 w2 w60 w44 w13"


@pytest.fixture
def saved(tmp_path):
    """`saved("mpnet")` is the folder of a tiny random model of the family."""

    def save(kind):
        folder = tmp_path / kind
        tiny_families.build(kind).save_pretrained(folder)
        tiny_families.save_tokenizer(folder)
        return folder

    return save


def load(folder, **options):
    return load_backbone(ModelRecipe(model=str(folder), device="cpu", **options))


def own(folder, ids):
    """The last state of one text by transformers alone."""
    model = hf.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    model = model.get_encoder() if getattr(model.config, "is_encoder_decoder", False) else model
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).last_hidden_state[0]


NAMED = {  # families that users have, and whether the fast path serves them
    "mpnet": False,
    "roformer": False,
    "rembert": False,
    "big_bird": False,
    "megatron-bert": False,
    "squeezebert": False,
    "longformer": False,
    "data2vec-text": True,
    "roberta-prelayernorm": True,
    "deberta-v2": True,
    "t5": True,
    "bart": True,
}


@pytest.mark.parametrize("kind", NAMED)
def test_a_text_alone_and_beside_a_longer_one_has_the_vector_of_its_own_forward(saved, kind):
    folder = saved(kind)
    backbone = load(folder)
    assert backbone.plain != NAMED[kind]
    together = extract(backbone, [SHORT, LONG], pool="mean").values
    for text, vector in zip([SHORT, LONG], together, strict=True):
        wanted = own(folder, backbone.tokenize([text]).ids[0]).mean(dim=0).numpy()
        alone = extract(backbone, [text], pool="mean").values[0]
        for found in (vector, alone):
            assert np.linalg.norm(found - wanted) <= 1e-4 * np.linalg.norm(wanted)


def test_the_check_is_what_chooses_the_forward(saved, monkeypatch):
    """Without it MPNet runs by the fast path, far from its own vectors: the net holds something."""
    folder = saved("mpnet")
    monkeypatch.setattr("separatrix.models.load.checked", lambda backbone: backbone)
    backbone = load(folder)
    attention.use(backbone.model, attention.NAME)
    wrong = extract(backbone, [SHORT, LONG], pool="mean").values[0]
    wanted = own(folder, backbone.tokenize([SHORT]).ids[0]).mean(dim=0).numpy()
    assert np.linalg.norm(wrong - wanted) > 0.05 * np.linalg.norm(wanted)


def test_a_family_that_mixes_pads_into_its_texts_is_refused(saved):
    """FNet has no mask at all: a text beside a longer one is another text."""
    with pytest.raises(
        ModelError,
        match=r"gives a text other vectors beside a longer one than alone: got .*, expected at most 0\.0001 of their "
        r"length; choose another model$",
    ):
        load(saved("fnet"))


def test_positions_that_are_overridden_are_noticed(loaded):
    """RoBERTa with positions from 0: the check falls back to the model's own."""
    from dataclasses import replace

    backbone = load_backbone(loaded("roberta").recipe)
    assert backbone.first_position == 2
    assert not backbone.plain
    assert checked(replace(backbone, first_position=0)).plain


def test_the_check_runs_once_a_load_and_leaves_the_random_state_alone(tiny, monkeypatch):
    calls = []
    monkeypatch.setattr(
        Backbone, "run", lambda *args, run=Backbone.run, **named: calls.append(1) or run(*args, **named)
    )
    folder = tiny("bert")
    torch.manual_seed(3)
    state = torch.get_rng_state()
    backbone = load(folder)
    assert torch.equal(state, torch.get_rng_state())
    assert len(calls) == 6  # three texts by themselves; two alone and both together by the fast path
    extract(backbone, [f"cat {word}" for word in ("dog", "red", "blue")])
    assert len(calls) == 7


def test_states_far_apart_are_infinitely_far_where_they_are_no_numbers():
    one, other = [[torch.ones(3, 4)]], [[torch.ones(3, 4)]]
    assert distance(one, other, torch.float32) == 0
    assert distance([[torch.full((3, 4), float("nan"))]], other, torch.float32) == float("inf")
    moved = torch.ones(3, 4)
    moved[1] *= 1.01
    assert distance([[moved]], other, torch.float32) == pytest.approx(0.01, rel=1e-3)
    assert distance([[moved]], other, torch.bfloat16) == 0  # the median over the tokens, and coarser


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("kind", "causal"), [
    ("gpt2", True), ("bert", False), ("t5", False),
    ("xlnet", False),  # listed among the causal models, but each of its tokens sees all others
    ("clip_text_model", True), ("llava", True), ("qwen2_vl", True),  # not listed
])  # fmt: skip
def test_who_sees_whom_is_read_off_the_mask_not_off_the_name(saved, kind, causal, dtype):
    if (kind, dtype) == ("xlnet", "bfloat16"):
        pytest.skip("XLNet itself mixes number formats")
    assert load(saved(kind), dtype=dtype).causal == causal


def test_half_precision_is_checked_too(saved):
    assert load(saved("mpnet"), dtype="bfloat16").plain
    assert not load(saved("bert"), dtype="bfloat16").plain


def test_the_texts_of_the_check_hold_the_special_tokens_of_every_text_and_no_others(loaded, family):
    backbone = loaded(family)
    ids, added = some_ids(backbone, 9), backbone.tokenizer("")["input_ids"]
    assert list(ids[: len(added)]) == added
    assert not {*ids[len(added) :]} & {*backbone.tokenizer.all_special_ids}
    assert ids[:4] == some_ids(backbone, 4)


@pytest.mark.parametrize("pad", [1, 7])
def test_a_pad_inside_a_text_has_no_position_where_the_family_counts_none(saved, pad):
    """The pad of config.json is another token than the tokenizer's: one that every text begins with, or a usual one."""
    kind = "data2vec-text"
    folder = saved(kind)
    config = tiny_families.tiny_config(kind)
    config.pad_token_id = pad
    torch.manual_seed(1)
    hf.AutoModel.from_config(config).save_pretrained(folder)
    backbone = load(folder)
    text = " ".join(["<bos>", LONG, "<bos>", SHORT])
    ids = backbone.tokenize([text]).ids[0]
    assert pad in ids
    wanted = own(folder, ids).mean(dim=0).numpy()
    found = extract(backbone, [text, SHORT], pool="mean").values[0]
    assert np.linalg.norm(found - wanted) <= 1e-4 * np.linalg.norm(wanted)


# Tokens without an embedding


def test_a_pad_beyond_the_table_is_replaced_by_any_row(tiny, tmp_path):
    folder = shutil.copytree(tiny("gpt2"), tmp_path / "model")
    expected = extract(load(folder), ["cat", "the dog is red and big"]).values
    tokenizer = hf.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(folder)
    backbone = load(folder)
    assert backbone.tokenizer.pad_token_id == len(backbone.embedding)
    assert backbone.pad < len(backbone.embedding)
    np.testing.assert_allclose(extract(backbone, ["cat", "the dog is red and big"]).values, expected, rtol=0, atol=5e-5)


def test_such_a_pad_inside_a_text_is_nothing_and_to_heads_it_is_text(tiny, tmp_path):
    folder = shutil.copytree(tiny("gpt2"), tmp_path / "model")
    tokenizer = hf.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(folder)
    backbone = load(folder)
    with_pad, without = extract(backbone, ["the cat [PAD] is red", "the cat is red"]).values
    np.testing.assert_allclose(with_pad, without, rtol=0, atol=5e-5)
    assert backbone.tokenize(["cat [PAD]"]).unread.control == 0
    example = Example("a", "the cat [PAD] is red", "", 0)
    ((window,),) = cut_windows(backbone, [example], WindowRule(20, 20, 1))
    assert window.ids.max() < len(backbone.embedding)


@pytest.mark.parametrize("added", ["zebra", "<mask2>"])
def test_a_token_beyond_the_table_is_named_at_load(tiny, tmp_path, added):
    folder = shutil.copytree(tiny("bert"), tmp_path / "model")
    tokenizer = hf.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([added])
    tokenizer.save_pretrained(folder)
    rows = len(load(tiny("bert")).embedding)
    with pytest.raises(
        ModelError,
        match=rf"^token '{added}' of model .* has no embedding: got id {rows}, expected at most {rows - 1}; re",
    ):
        load(folder)


# Encoder-decoders


def test_of_an_encoder_decoder_the_encoder_is_read(saved):
    t5, bart = load(saved("t5")), load(saved("bart"))
    assert (t5.part, bart.part) == (False, True)  # T5's encoder can be saved and opened alone
    assert not any("decoder" in name for backbone in (t5, bart) for name, _ in backbone.model.named_parameters())
    with pytest.raises(
        ModelError, match="is an encoder-decoder, whose encoder has no language-model head; use --readout"
    ):
        load_backbone(bart.recipe, logits=True)


def test_an_encoder_that_cannot_be_opened_again_is_not_trained(saved):
    assert start_encoder(load(saved("t5")), EncoderRecipe()).named()
    with pytest.raises(
        ModelError, match="the encoder of bart models cannot be saved without its decoder; type --method p"
    ):
        start_encoder(load(saved("bart")), EncoderRecipe())


def test_an_encoder_without_its_weights_is_refused_and_a_decoder_is_not_missed(saved):
    from safetensors.torch import load_file, save_file

    folder = saved("bart")
    weights = load_file(folder / "model.safetensors")
    before = extract(load(folder), [LONG]).values

    def keep(part):
        save_file({name: tensor for name, tensor in weights.items() if part not in name}, folder / "model.safetensors")

    keep("decoder.layers")
    np.testing.assert_array_equal(extract(load(folder), [LONG]).values, before)
    keep("encoder.layers.1.fc1")
    with pytest.raises(ModelError, match=r"has no trained weights \(encoder.layers.1.fc1.bias is missing\)"):
        load(folder)
