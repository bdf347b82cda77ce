"""Pairs of texts are read as the model's own tokenizer and forward read two texts."""

import shutil

import pytest
import torch
from tokenizers import processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from separatrix.errors import OptionError
from separatrix.models.batches import pad_tokens
from separatrix.models.load import load_backbone
from separatrix.models.token_pairs import JOINT, pair_rule, puts_nothing_between
from separatrix.models.tokens import plain_ids
from separatrix.recipe import ModelRecipe
from separatrix.texts.pairs import join_pairs


@pytest.fixture(scope="module")
def typed(tiny, tmp_path_factory):
    """`typed(max_length=10)` is a tiny BERT whose tokenizer has a form for two texts, with types."""
    folder = tmp_path_factory.mktemp("typed") / "bert"
    shutil.copytree(tiny("bert"), folder)
    own = AutoTokenizer.from_pretrained(folder)
    own.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", pair="<bos> $A <eos> $B:1 <eos>:1", special_tokens=[("<bos>", 1), ("<eos>", 2)]
    )
    names = ["input_ids", "token_type_ids", "attention_mask"]
    PreTrainedTokenizerFast(
        tokenizer_object=own.backend_tokenizer, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>",
        unk_token="<unk>", mask_token="<mask>", cls_token="<bos>", sep_token="<eos>", model_input_names=names,
    ).save_pretrained(folder)  # fmt: skip
    return lambda **options: load_backbone(ModelRecipe(model=str(folder), device="cpu", **options))


FIRST = ["the cat is red", "who are the big dogs of this old house", "a bird"]
SECOND = ["it is not blue", "how many", "the fish of the river and the tree from that house is new"]


@torch.no_grad()
@pytest.mark.parametrize("kind", ["gpt2", "llama", "bert", "roberta", "modernbert", "typed"])
def test_states_of_pairs_are_those_of_the_models_own_forward(loaded, typed, kind):
    backbone = typed() if kind == "typed" else loaded(kind)
    ids, mask = pad_tokens(list(backbone.tokenize(join_pairs(FIRST, SECOND)).ids), backbone)
    states = backbone.run(ids=ids, mask=mask)[-1]
    for row, (first, second) in enumerate(zip(FIRST, SECOND, strict=True)):
        second = JOINT + second if puts_nothing_between(backbone) else second
        own = backbone.tokenizer(first, second, return_tensors="pt", return_token_type_ids=backbone.has_types)
        own = {name: value for name, value in own.items() if name in ("input_ids", "attention_mask", "token_type_ids")}
        assert plain_ids(ids[row, : own["input_ids"].shape[1]].tolist()) == own["input_ids"][0].tolist()
        length = own["input_ids"].shape[1]
        assert torch.allclose(states[row, :length], backbone.body(**own).last_hidden_state[0], atol=5e-5)
    assert ("token types" in pair_rule(backbone)) == backbone.has_types == (kind == "typed")


def test_types_matter_where_the_model_has_them(typed):
    backbone = typed()
    assert backbone.has_types
    (ids,) = backbone.tokenize(join_pairs(FIRST[:1], SECOND[:1])).ids
    assert min(ids) < 0 <= max(ids)
    plain = torch.tensor([plain_ids(ids)])
    mask = torch.ones_like(plain)
    with torch.no_grad():
        typed, flat = (backbone.run(ids=each, mask=mask)[-1] for each in (torch.tensor([ids]), plain))
    assert not torch.allclose(typed, flat, atol=1e-4)


def test_the_longer_text_is_cut_first_and_counted(typed):
    backbone = typed(max_length=10)
    tokens = backbone.tokenize(join_pairs(FIRST, SECOND))
    assert tokens.cut == 3
    words = [backbone.tokenizer.convert_ids_to_tokens(plain_ids(ids)) for ids in tokens.ids]
    assert [len(line) for line in words] == [10, 10, 10]
    assert words[1][-3:-1] == ["how", "many"]  # the short one is whole
    assert words[2][1:3] == ["a", "bird"]


def test_texts_and_pairs_may_stand_in_one_list(typed):
    backbone = typed()
    pairs = join_pairs(FIRST, SECOND)
    mixed = backbone.tokenize([pairs[0], "a cat", pairs[1]])
    assert mixed.ids == (
        backbone.tokenize(pairs[:1]).ids[0], backbone.tokenize(["a cat"]).ids[0], backbone.tokenize(pairs[1:2]).ids[0]
    )  # fmt: skip


def test_control_tokens_of_the_form_itself_are_not_those_of_a_text(typed):
    assert typed().tokenize(join_pairs(FIRST, SECOND)).unread.control == 0


def test_no_room_for_a_pair_is_refused(typed):
    with pytest.raises(OptionError, match="--max-length leaves no room for pairs of texts: got 4, expected 5 or more"):
        typed(max_length=4).tokenize(join_pairs(FIRST, SECOND))
