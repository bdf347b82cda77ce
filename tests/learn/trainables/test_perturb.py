"""Adversarial training: the batch is learnt a second time with its tokens' vectors moved up the loss."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from align_steps import gradients, steps_of
from separatrix.errors import OptionError
from separatrix.learn.align import train_encoder
from separatrix.learn.trainables.perturb import uphill
from separatrix.training.methods import build_recipe

ROWS = np.arange(24)


@given(st.integers(0, 1000), st.floats(0.001, 1), st.floats(1e-6, 1e6), st.sets(st.integers(0, 9), max_size=10))
def test_a_step_has_its_share_of_the_vectors_and_leaves_no_trace(seed, share, size, used):
    generator = torch.Generator().manual_seed(seed)
    table = torch.randn(10, 4, generator=generator).requires_grad_()
    table.grad = torch.zeros(10, 4)
    for row in used:
        table.grad[row] = size * torch.randn(4, generator=generator)
    before, slope = table.detach().clone(), table.grad.clone()
    with uphill(table, share):
        step = (table - before).detach()
    assert torch.equal(table, before)
    assert torch.equal(table.grad, slope)
    rows = sorted(used)
    assert {int(row) for row in step.abs().sum(1).nonzero()[:, 0]} == used
    if rows:
        assert float(step.norm()) == pytest.approx(share * float(before[rows].norm()), rel=1e-3)
        assert float((step * slope).sum()) == pytest.approx(float(step.norm() * slope.norm()), rel=1e-3)


def test_the_table_is_put_back_when_a_step_fails():
    table = torch.ones(2, 2, requires_grad=True)
    table.grad = torch.ones(2, 2)
    with pytest.raises(ValueError, match="stop"), uphill(table, 0.5):
        raise ValueError("stop")
    assert torch.equal(table.detach(), torch.ones(2, 2))


@pytest.mark.parametrize("options", [{"loss": "nca"}, {"loss": "linear", "decision": "head"}, {"pairs": "batch"}])
def test_gradient_is_that_of_both_places(options, order):
    """Slow oracle: the plain step's gradient, and that of a plain step in the moved place, each by itself."""
    weight = torch.randn(3, 32, generator=torch.Generator().manual_seed(0))
    head = {"weight": weight, "bias": torch.zeros(3)}
    plain = steps_of(order(**options), **head)
    table = plain.trainable.encoder.token_table
    plain.backward(ROWS, 0)
    slope = table.grad.clone()
    wanted = gradients(plain)
    for tensor in plain.trainable.encoder.named().values():
        tensor.grad = None
    moved = slope.abs().sum(dim=1) > 0
    with torch.no_grad():
        length = (table[moved] ** 2).sum(dim=1).mean().sqrt() / (slope[moved] ** 2).sum(dim=1).mean().sqrt()
        table += 0.1 * length * slope
    _, harder = plain.backward(ROWS, 0)
    wanted += gradients(plain)

    steps = steps_of(order(**options, perturbation=0.1), **head)
    _, value = steps.backward(ROWS, 0)
    found = gradients(steps)
    assert float((found - wanted).norm() / wanted.norm()) < 1e-4
    assert float(value.parts["perturbed"]) == pytest.approx(harder.total.item(), rel=1e-4)
    assert float(value.parts["perturbed"]) > value.total.item()


def test_the_bank_remembers_the_vectors_of_the_true_texts(order):
    found = []
    for share in (0.0, 0.3):
        steps = steps_of(order(perturbation=share))
        z, _ = steps.backward(ROWS, 0)
        found.append((z, steps.objective.bank.stored_rows(steps.objective._y).vectors[ROWS]))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


def test_chunks_move_alike(order):
    found = []
    for rows in (64, 8):
        steps = steps_of(order(chunk_rows=rows, perturbation=0.1, pairs="batch"))
        steps.backward(ROWS, 0)
        found.append(gradients(steps))
    assert float((found[0] - found[1]).norm() / found[0].norm()) < 1e-4


def test_stopped_and_resumed_ends_with_the_same_bytes(order, tmp_path):
    options = {"perturbation": 0.1, "dropout": 0.1, "pairs_per_row": "one"}
    whole = train_encoder(order(tmp_path / "whole", **options))

    def stop(stage, done, _total, _note):
        if stage == "training" and done == 8:
            raise KeyboardInterrupt("here")

    job = order(tmp_path / "parts", **options)
    with pytest.raises(KeyboardInterrupt, match="here"):
        train_encoder(replace(job, progress=stop))
    again = train_encoder(job)
    assert again.fitted.metrics == whole.fitted.metrics
    assert all(torch.equal(tensor, again.fitted.tensors[name]) for name, tensor in whole.fitted.tensors.items())
    assert all(line["parts"]["perturbed"] > 0 for line in whole.fitted.metrics)


def test_embeddings_that_are_frozen_cannot_be_moved():
    with pytest.raises(OptionError, match=r"--perturbation .* embeddings that are trained"):
        build_recipe("align", {"perturbation": 0.1, "freeze_embeddings": True})


def test_frozen_embeddings_cost_no_second_run(order):
    steps = steps_of(order(perturbation=0.1, freeze_embeddings=True))
    _, value = steps.backward(ROWS, 0)
    assert "perturbed" not in value.parts


@pytest.mark.parametrize("family", ["roberta", "electra", "distilbert", "modernbert", "gpt2"])
def test_every_family_has_vectors_of_tokens_to_move(family, order):
    steps = steps_of(order(family=family, perturbation=0.1))
    _, value = steps.backward(ROWS, 0)
    assert float(value.parts["perturbed"]) != value.total.item()
