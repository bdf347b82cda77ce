"""Of a token table the rows in use are trained: the same vectors, gradients and weights as with the whole table."""

import numpy as np
import pytest
import torch

import tiny_families
from align_steps import steps_of
from separatrix.learn.align import train_encoder
from separatrix.learn.trainables import encoder as module
from separatrix.learn.trainables.encoder import EncoderTrainable, start_encoder
from separatrix.learn.trainables.token_rows import used_rows
from separatrix.models.load import load_backbone
from separatrix.models.tokens import Tokens
from separatrix.recipe import ModelRecipe
from separatrix.recipe.align import EncoderRecipe

FAMILIES = [
    "bert",
    "roberta",
    "electra",
    "distilbert",
    "modernbert",
    "gpt2",
    "t5",
    "llama",
    "gemma",
    "albert",
    "big_bird",
]
OPTIONS = ({}, {"perturbation": 0.2}, {"dropout": 0.1}, {"precision": "bfloat16"}, {"clip": 0.01}, {"chunk_rows": 4})
IDS = ((7, 8, 9, 7), (12, 3), (20, 21, 22, 23, 24, 25))


@pytest.fixture
def whole_table(monkeypatch):
    """Call it, and trainings train the table whole, as they would without `TokenRows`."""
    return lambda: monkeypatch.setattr(module, "used_rows", lambda _backbone, _texts: None)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """`saved("t5")` is the folder of a tiny random model of the family."""

    def save(kind):
        folder = tmp_path_factory.mktemp(kind)
        tiny_families.build(kind).save_pretrained(folder)
        tiny_families.save_tokenizer(folder)
        return folder

    return save


@pytest.mark.parametrize("family", FAMILIES)
def test_vectors_and_gradients_are_those_of_the_whole_table(family, saved, whole_table):
    folder = saved(family)

    def step():
        backbone = load_backbone(ModelRecipe(model=str(folder), device="cpu"))
        trainable = EncoderTrainable(start_encoder(backbone, EncoderRecipe(pool="mean")), {"train": Tokens(IDS, 0)}, 0)
        z = trainable.outputs("train", np.arange(3), step=0)
        (z * torch.linspace(-1, 1, z.numel()).reshape(z.shape)).sum().backward()
        return z.detach(), trainable.encoder

    z, encoder = step()
    whole_table()
    wanted, plain = step()
    assert torch.equal(z, wanted)
    words, table = encoder.words, plain.backbone.embedding
    assert len(words.rows) < len(table) / 2
    scattered = torch.zeros_like(table).index_copy_(0, words.ids, words.rows.grad)
    torch.testing.assert_close(scattered, table.grad, rtol=1e-5, atol=1e-8)
    others = {name: tensor.grad for name, tensor in encoder.named().items() if tensor is not words.rows}
    for name, tensor in plain.named().items():
        if tensor is not table:
            torch.testing.assert_close(others[name], tensor.grad, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_training_ends_with_the_weights_of_one_with_the_whole_table(options, order, whole_table):
    model, used = train_encoder(order(**options)).model, steps_of(order()).trainable.encoder.words.ids
    whole_table()
    plain = train_encoder(order(**options)).model
    assert model.encoder.named().keys() == plain.encoder.named().keys()
    got, wanted = (dict(one.encoder.backbone.body.named_parameters()) for one in (model, plain))
    for name, tensor in wanted.items():
        torch.testing.assert_close(got[name], tensor, rtol=1e-3, atol=1e-5)
    rest = np.setdiff1d(np.arange(len(plain.encoder.backbone.embedding)), used.numpy())
    untouched = load_backbone(order().recipe.backbone).embedding
    assert len(rest)
    assert torch.equal(model.encoder.backbone.embedding[rest], untouched[rest])


def test_vectors_without_gradient_are_those_of_the_rows_as_they_stand(order):
    """Validation during a training and every figure drawn in it look tokens up in the table."""
    steps = steps_of(order())
    encoder, rows = steps.trainable.encoder, np.arange(5)
    with torch.no_grad():
        encoder.words.rows += torch.randn(encoder.words.rows.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        learning = steps.trainable.outputs("train", rows, step=0)
    assert torch.equal(steps.trainable.outputs("train", rows), learning)
    assert torch.equal(encoder.backbone.embedding[encoder.words.ids], encoder.words.rows)


def test_the_module_is_as_before_after_a_step_and_after_a_step_that_fails(order):
    steps = steps_of(order())
    words = steps.trainable.encoder.words
    (lookup,) = words.modules
    pad = lookup.padding_idx
    steps.backward(np.arange(4), 0)
    with pytest.raises(ValueError, match="stop"), words.standing_in():
        raise ValueError("stop")
    assert (lookup.weight is words.table, lookup.padding_idx, len(lookup._forward_pre_hooks)) == (True, pad, 0)
    assert words.table.grad is None
    assert words.rows.grad.abs().sum() > 0


def test_a_token_that_no_training_text_has_is_refused_in_a_step(order):
    steps = steps_of(order())
    encoder = steps.trainable.encoder
    (missing, *_) = np.setdiff1d(np.arange(len(encoder.backbone.embedding)), encoder.words.ids.numpy())
    encoder.forward([(int(missing),)])
    with pytest.raises(IndexError, match="out of range"):
        encoder.forward([(int(missing),)], seed=(0, 0, 0))


def test_a_table_that_is_frozen_or_looked_up_in_another_way_stays_whole(tiny):
    def rows(**options):
        backbone = load_backbone(ModelRecipe(model=str(tiny("bert")), device="cpu"))
        start_encoder(backbone, EncoderRecipe(**options))
        return backbone

    assert used_rows(rows(freeze_embeddings=True), IDS) is None
    for name, value in (("max_norm", 1.0), ("sparse", True), ("scale_grad_by_freq", True)):
        backbone = rows()
        setattr(backbone.model.get_input_embeddings(), name, value)
        assert used_rows(backbone, IDS) is None
    second = used_rows(rows(), ((7, 8, -1 - 40),))  # a token of a second text
    assert {7, 8, 40} <= set(second.ids.tolist())
