"""A batch in chunks: bounded in rows and in tokens, with the gradient of one forward over all rows."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from align_steps import gradients, steps_of
from separatrix.learn.align import train_encoder
from separatrix.learn.trainables import encoder, gradcache
from separatrix.recipe.align import CHUNK_TOKENS
from separatrix.texts import Texts

ALL_FROZEN = {"frozen_layers": 3, "freeze_embeddings": True}


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60), st.integers(2, 20), st.integers(1, 200))
def test_chunks_hold_every_row_once_and_stay_within_both_limits(lengths, rows, tokens):
    lengths = np.array(lengths)
    chunks = gradcache.chunked(lengths, rows, tokens)
    assert sorted(np.concatenate(chunks).tolist()) == list(range(len(lengths)))
    for chunk in chunks:
        assert len(chunk) <= rows
        assert len(chunk) == 1 or len(chunk) * lengths[chunk].max() <= tokens


def spied(steps):
    """Rows and padded tokens of every forward of the steps."""
    sizes, outputs = [], steps.trainable.outputs

    def counted(part, rows, *rest):
        sizes.append((len(rows), len(rows) * int(steps.trainable.lengths(part)[rows].max())))
        return outputs(part, rows, *rest)

    steps.trainable.outputs = counted
    return sizes


def test_long_texts_go_in_chunks_although_they_are_few_rows(order):
    """Regression: 256 rows of 256 tokens were one chunk, which takes more than 5 GiB with MiniLM."""
    long = [f"{key} " + "old new " * 40 for key in ("cat", "dog", "bird")] * 40
    steps = steps_of(order(parts=(Texts.of(long, ["cat", "dog", "bird"] * 40),) * 2, pairs="batch"))
    sizes = spied(steps)
    steps.backward(np.arange(120), 0)
    assert CHUNK_TOKENS < 120 * 83
    assert len(sizes) == 4  # two chunks, twice
    assert max(tokens for _, tokens in sizes) <= CHUNK_TOKENS


@pytest.mark.parametrize(
    "options", [{"pairs": "batch"}, {"pairs": "datapoint"}, {"head_weight": 0.5, "loss": "supcon"}]
)
def test_cached_gradient_is_the_naive_one(options, order, monkeypatch):
    """Whatever the chunks, the gradient of a batch of 24 is that of one forward over all rows."""
    found, forwards = [], []
    for rows, tokens in ((8, CHUNK_TOKENS), (64, 50), (8, 50), (64, 1), (64, CHUNK_TOKENS)):
        monkeypatch.setattr(encoder, "CHUNK_TOKENS", tokens)
        weight = torch.randn(3, 32, generator=torch.Generator().manual_seed(0))
        steps = steps_of(order(chunk_rows=rows, **options), weight=weight, bias=torch.zeros(3))
        sizes = spied(steps)
        for step in range(2):
            for tensor in steps.trainable.encoder.named().values():
                tensor.grad = None
            _, value = steps.backward(np.arange(24) + step, step)
        found.append((gradients(steps), value.total.item()))
        forwards.append(len(sizes))
    assert forwards[-1] == 2 < min(forwards[:-1])  # the naive side is one forward a step
    *chunked, (naive, other) = found
    for cached, loss in chunked:
        assert loss == pytest.approx(other, rel=1e-5)
        assert float((cached - naive).norm() / naive.norm()) < 1e-5


@pytest.mark.parametrize("limits", [(8, CHUNK_TOKENS), (64, 50)])
@pytest.mark.parametrize("option", ["dropout", "text_dropout"])
def test_cached_gradient_with_dropout_is_that_of_one_graph(option, limits, order, monkeypatch):
    """The second pass drops what the first one dropped."""
    monkeypatch.setattr(encoder, "CHUNK_TOKENS", limits[1])
    steps = steps_of(order(**{option: 0.3}, chunk_rows=limits[0], pairs="batch"))
    learner, rows = steps.trainable, np.arange(24)
    steps.backward(rows, 5)
    cached = gradients(steps)
    for tensor in learner.encoder.named().values():
        tensor.grad = None
    chunks = gradcache.chunked(learner.lengths("train")[rows], *limits)
    assert len(chunks) > 1
    parts = [learner.outputs("train", rows[chunk], 5, number) for number, chunk in enumerate(chunks)]
    z = torch.cat(parts)[np.argsort(np.concatenate(chunks), kind="stable")]
    steps.objective.loss(z, steps.batch(rows, 5)).total.backward()
    assert float((cached - gradients(steps)).norm() / cached.norm()) < 1e-5


def test_dropout_is_the_same_in_every_run(order):
    found = []
    for _ in range(2):
        steps = steps_of(order(dropout=0.3, chunk_rows=8, pairs="batch"))
        steps.backward(np.arange(24), 5)
        found.append(gradients(steps))
    assert torch.equal(*found)


@pytest.mark.parametrize("chunk_rows", [4, 64])
@pytest.mark.parametrize(
    "options",
    [
        {"loss": "linear", "decision": "head", **ALL_FROZEN},
        {"head_weight": 1.0, "pairs": "batch", **ALL_FROZEN},
        {"pool": "layer_mix", "pairs": "batch", **ALL_FROZEN},
    ],
    ids=["finetune", "head beside", "layer_mix"],
)
def test_what_stands_on_a_frozen_encoder_trains_in_chunks_too(options, chunk_rows, order):
    """Regression: the second pass asked vectors without a gradient to go backward."""
    got = train_encoder(order(chunk_rows=chunk_rows, head_lr=0.05, **options))
    if "pool" in options:
        assert float(got.model.encoder.mix.detach().abs().max()) > 1e-3
    else:
        assert got.fitted.metrics[-1]["parts"]["head"] < got.fitted.metrics[0]["parts"]["head"]
