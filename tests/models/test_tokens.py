"""Texts into token ids: cut to what the model can hold, counted, special tokens kept, pads never taking part."""

import shutil

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix.errors import DataError, ModelError, OptionError
from separatrix.models.batches import pad_tokens
from separatrix.models.cache import attention_shape, build_cache
from separatrix.models.load import load_backbone
from separatrix.models.suffix import run_prompt
from separatrix.recipe import CacheRecipe, ModelRecipe
from suffix_oracle import some_prompt

BOS, EOS = 1, 2


def words(count):
    return " ".join(["cat", "dog", "red"][place % 3] for place in range(count))


def test_text_exactly_at_the_limit_is_not_cut(loaded):
    backbone = loaded("gpt2", max_length=10)
    tokens = backbone.tokenize([words(9), words(10), words(11), words(30)])
    assert [len(ids) for ids in tokens.ids] == [9, 10, 10, 10]
    assert tokens.cut == 2
    assert tokens.ids[3] == backbone.tokenize([words(10)]).ids[0]  # the head of the text is kept
    assert backbone.tokenize([words(10)]).cut == 0


def test_encoders_keep_their_special_tokens(loaded):
    backbone = loaded("bert", max_length=10)
    tokens = backbone.tokenize([words(8), words(9), words(50)])  # two places belong to the special tokens
    assert [len(ids) for ids in tokens.ids] == [10, 10, 10]
    assert tokens.cut == 2
    for ids in tokens.ids:
        assert (ids[0], ids[-1]) == (BOS, EOS)
        assert not {BOS, EOS} & set(ids[1:-1])


@settings(max_examples=30, deadline=None, derandomize=True)
@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=8), room=st.integers(3, 20))
def test_cut_counts_the_texts_longer_than_the_room(loaded, lengths, room):
    tokens = loaded("distilbert", max_length=room).tokenize([words(length) for length in lengths])
    assert tokens.cut == sum(length + 2 > room for length in lengths)
    assert [len(ids) for ids in tokens.ids] == [min(length + 2, room) for length in lengths]
    assert len(tokens) == len(lengths)


def test_the_prompt_takes_its_room_from_the_text(loaded, family):
    backbone = loaded(family, max_length=500)  # the tiny models hold 128 positions, RoBERTa 126
    tokens = backbone.tokenize([words(300)], reserve=100)
    assert backbone.longest == (126 if family == "roberta" else 128)
    assert len(tokens.ids[0]) == backbone.longest - 100
    assert tokens.cut == 1
    cache = build_cache(backbone, tokens, CacheRecipe(cache="memory", cache_dtype="float32"))
    prompt = some_prompt(backbone, cache.shape, tokens=100)
    with torch.no_grad():  # the last position there is can be used
        assert torch.isfinite(run_prompt(prompt, cache.batch(np.array([0])), backbone)).all()


@pytest.mark.parametrize(("name", "most"), [("gpt2", 127), ("bert", 125), ("roberta", 123)])
def test_a_prompt_that_leaves_no_room_is_refused(loaded, name, most):
    backbone = loaded(name)
    assert len(backbone.tokenize([words(9)], reserve=most).ids[0]) == (1 if name == "gpt2" else 3)
    with pytest.raises(ModelError, match=f"{most + 1} prompt tokens leave no room for text: expected at most {most}"):
        backbone.tokenize([words(9)], reserve=most + 1)


def test_a_max_length_below_the_special_tokens_is_refused(loaded):
    assert loaded("gpt2", max_length=1).tokenize(["cat dog"]).ids == (loaded("gpt2").tokenize(["cat"]).ids[0],)
    with pytest.raises(OptionError, match="--max-length leaves no room for text: got 2, expected 3 or more"):
        loaded("bert", max_length=2).tokenize(["cat"])


@pytest.mark.parametrize("text", ["", "   "])
def test_a_text_without_a_token_is_named(loaded, text):
    with pytest.raises(DataError, match="row 1: the tokenizer finds no token in"):
        loaded("gpt2").tokenize(["cat", text])


def test_no_texts_are_no_tokens(loaded):
    tokens = loaded("gpt2").tokenize([])
    assert len(tokens) == 0
    assert tokens.cut == 0


@pytest.fixture(scope="module")
def padless(tiny, tmp_path_factory):
    """A GPT-2 folder whose tokenizer and config know no pad token."""
    import json

    folder = tmp_path_factory.mktemp("padless") / "gpt2"
    shutil.copytree(tiny("gpt2"), folder)
    for name in ("tokenizer_config.json", "config.json", "special_tokens_map.json", "generation_config.json"):
        if (path := folder / name).is_file():
            kept = {
                key: value for key, value in json.loads(path.read_text()).items() if not key.startswith("pad_token")
            }
            path.write_text(json.dumps(kept))
    return folder


def test_without_a_pad_token_eos_pads_and_never_takes_part(padless, loaded):
    backbone = load_backbone(ModelRecipe(model=str(padless), device="cpu"))
    assert backbone.tokenizer.pad_token == "<eos>"
    texts = ["cat", "who did it in the old house ?"]
    tokens = backbone.tokenize(texts)
    ids, mask = pad_tokens(list(tokens.ids), backbone)
    assert ids[0, 1:].tolist() == [EOS] * (ids.shape[1] - 1)
    assert mask.sum(dim=1).tolist() == [1, len(tokens.ids[1])]
    exact = CacheRecipe(cache="memory", cache_dtype="float32")
    prompt = some_prompt(backbone, attention_shape(backbone))
    with torch.no_grad():
        both = run_prompt(prompt, build_cache(backbone, tokens, exact).batch(np.array([0, 1])), backbone)
        alone = run_prompt(
            prompt, build_cache(backbone, backbone.tokenize(["cat"]), exact).batch(np.array([0])), backbone
        )
        padded = loaded("gpt2")
        other = run_prompt(prompt, build_cache(padded, tokens, exact).batch(np.array([0, 1])), padded)
    torch.testing.assert_close(both[0], alone[0], rtol=0, atol=5e-5)
    torch.testing.assert_close(both, other, rtol=0, atol=5e-5)  # which token pads does not matter


def test_an_eos_written_in_the_text_is_a_token_like_any_other(padless):
    """Pads are told by length, not by id: an end-of-text token inside a text is seen."""
    backbone = load_backbone(ModelRecipe(model=str(padless), device="cpu"))
    tokens = backbone.tokenize(["cat <eos> dog", "cat"])
    assert len(tokens.ids[0]) == 3
    _, mask = pad_tokens(list(tokens.ids), backbone)
    assert mask.sum(dim=1).tolist() == [3, 1]


# What a tokenizer cannot read.


def test_unknown_words_and_texts_that_become_one_are_counted(loaded):
    strange = [f"{chr(0x4E00 + row)} cat" for row in range(80)]
    unread = loaded("bert").tokenize([*strange, "cat", "CAT  ", "cat"]).unread
    assert (unread.texts, unread.unknown, unread.unknown_texts, unread.equal) == (83, 81, 81, 79)
    assert unread.warnings == (
        "81 of 83 texts hold words that the tokenizer does not know (81 of 329 tokens)",
        "79 of 83 texts have the same tokens as an earlier, different text: the model cannot tell them apart",
    )
    assert loaded("bert").tokenize(["cat", "dog", "cat"]).unread.warnings == ()


def test_rare_unknown_words_are_counted_but_not_said(loaded):
    unread = loaded("bert").tokenize(["cat"] * 200 + ["dog ሰ"]).unread
    assert (unread.unknown, unread.warnings) == (1, ())
    both = unread + loaded("bert").tokenize(["ሰ"]).unread
    assert (both.texts, both.unknown, both.tokens) == (202, 2, 607)


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_control_tokens_in_texts_are_counted_and_escaped(tiny, loaded, family):
    texts = ["cat <eos> dog", "cat", "<pad>", "< eos >", "<bos> cat <eos>"]
    tokens = loaded(family).tokenize(texts)
    assert tokens.unread.control == 3
    assert "3 of 5 texts hold control tokens of the tokenizer, which act as such: --special-tokens" in str(
        tokens.unread.warnings
    )
    escaped = load_backbone(ModelRecipe(model=str(tiny(family)), special_tokens="escape")).tokenize(texts)
    assert escaped.unread.control == 0
    own = 2 if family == "bert" else 0  # tokens that the tokenizer adds itself
    assert all(sum(number in (0, BOS, EOS) for number in ids) == own for ids in escaped.ids)
    assert escaped.ids[1] == tokens.ids[1]


def test_escaping_is_another_extraction(tiny):
    from separatrix.extraction.readers import frozen_model
    from separatrix.recipe import ExtractRecipe, replace

    keep, escape = (
        frozen_model(str(tiny("bert")), replace(ExtractRecipe(), special_tokens=way)).identity
        for way in ("keep", "escape")
    )
    assert keep | {"special_tokens": "escape"} == escape
    assert "special_tokens" not in keep  # stores of earlier versions stay right
