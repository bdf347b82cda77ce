"""Who learns how fast, when it stops, what is kept; and that nothing else changes."""

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from separatrix.learn import guards, prompt, schedule
from separatrix.learn.prompt import train_prompt

TINY = {"epochs": 2, "batch_size": 16}


def rates(loop):
    """Name of each learning-rate group, its top rate and its decay."""
    groups = zip(loop.groups, loop.state.optimizer.param_groups, strict=True)
    return {name: (group["top"], group["weight_decay"]) for name, group in groups}


def test_groups_have_the_rates_given(train, few, loops):
    options = {"lr": 0.01, "layer_lr": 0.02, "centroid_lr": 0.03, "head_lr": 0.04, "weight_decay": 0.1, **TINY}
    train(few, loss="centroid_ce", **options)
    train(few, loss="linear", **options)
    train(few, loss="centroid_ce", mover="ema", prompt_layers="input", **options)
    assert rates(loops[0]) == {"prompt": (0.01, 0.1), "layers": (0.02, 0.1), "centroids": (0.03, 0.0)}
    assert rates(loops[1]) == {"prompt": (0.01, 0.1), "layers": (0.02, 0.1), "head": (0.04, 0.1)}
    assert rates(loops[2]) == {"prompt": (0.01, 0.1)}
    held = [tensor for group in loops[0].state.optimizer.param_groups for tensor in group["params"]]
    assert {id(tensor) for tensor in held} == {
        id(loops[0].state.tensors[name]) for name in ("tokens", "steer", "centroids")
    }


def test_a_rate_of_zero_keeps_its_group_still(train, few, loops):
    train(few, loss="centroid_ce", centroid_lr=0.0, layer_lr=0.0, **TINY)
    state = loops[0].state
    assert torch.equal(state.tensors["centroids"], state.tensors["origin"])
    assert not state.tensors["steer"].any()
    assert state.tensors["tokens"].grad.norm() > 0


def test_rates_rise_and_fall_as_written(make_job, few, loops):
    """7 steps an epoch, 2 epochs: warm-up over the first 2.8 steps, then down to 0 after the last."""
    seen = []

    def report(stage, _done, _total, _note):
        if stage == "training":
            seen.append([group["lr"] for group in loops[0].state.optimizer.param_groups])

    job = make_job(few, progress=report, epochs=2, batch_size=8, warmup=0.2, lr=0.1, centroid_lr=0.01)
    train_prompt(job)
    rise = 0.2 * 14
    slow = [min(1, (s + 1) / rise) if s < rise else (14 - s) / (14 - rise) for s in range(14)]
    np.testing.assert_allclose([line[0] for line in seen], [0.1 * f for f in slow])
    np.testing.assert_allclose([line[-1] for line in seen], [0.01 * f for f in slow])


@given(st.integers(1, 500), st.floats(0, 1))
def test_rate_stays_between_zero_and_one(steps, warmup):
    factors = [schedule.rate(step, steps, warmup) for step in range(steps)]
    assert all(0 < factor <= 1 for factor in factors)
    top = int(np.argmax(factors))
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)


@given(st.integers(1, 400), st.integers(1, 40), st.integers(0, 3), st.integers(0, 3))
def test_every_row_once_and_none_alone(rows, size, seed, epoch):
    lengths = np.random.default_rng(rows).integers(1, 9, size=rows)
    made = schedule.batches(lengths, size, seed, epoch)
    assert sorted(np.concatenate(made).tolist()) == list(range(rows))
    assert max(map(len, made)) <= size + 1
    if size > 1 and rows > 1:
        assert min(map(len, made)) >= 2
    assert len(made) == len(schedule.batches(lengths, size, seed, epoch + 1))


def test_a_row_left_over_by_a_whole_pool_is_not_alone():
    """Regression: 16 batches of 4 and one row more gave a batch of one, in which a pair loss finds no pair."""
    made = schedule.batches(np.ones(65, dtype=int), 4, seed=0, epoch=0)
    assert sorted(map(len, made)) == [4] * 15 + [5]


def test_epochs_differ_and_seeds_differ():
    lengths = np.arange(40) % 7
    first = [batch.tolist() for batch in schedule.batches(lengths, 4, 0, 0)]
    assert first == [batch.tolist() for batch in schedule.batches(lengths, 4, 0, 0)]
    assert first != [batch.tolist() for batch in schedule.batches(lengths, 4, 0, 1)]
    assert first != [batch.tolist() for batch in schedule.batches(lengths, 4, 1, 0)]


def scripted(figures):
    """A validation score that says what the script says, epoch after epoch."""
    left = iter(figures)
    return lambda _scores, _targets: {"accuracy": next(left)}


def test_training_stops_when_patience_is_over(make_job, few):
    job = make_job(few, epochs=9, patience=2, batch_size=64)
    trained = train_prompt(replace(job, score=scripted([0.3, 0.6, 0.5, 0.5, 0.9])))
    assert [line["epoch"] for line in trained.fitted.metrics] == [1, 2, 3, 4]
    assert trained.fitted.best_epoch == 2
    assert trained.fitted.stopped_early


def test_without_patience_training_never_stops(make_job, few):
    job = make_job(few, epochs=4, batch_size=64)
    trained = train_prompt(replace(job, score=scripted([0.6, 0.5, 0.4, 0.3])))
    assert len(trained.fitted.metrics) == 4
    assert trained.fitted.best_epoch == 1
    assert not trained.fitted.stopped_early


def test_the_best_epochs_tensors_are_kept(make_job, few, loops):
    """A run that is best after epoch 2 of 4 gives the tensors that stood there, not the last ones."""
    stood = []

    def score(_scores, _targets):
        stood.append({name: tensor.detach().clone() for name, tensor in loops[0].state.tensors.items()})
        return {"accuracy": [0.1, 0.8, 0.7, 0.7][len(stood) - 1]}

    trained = train_prompt(replace(make_job(few, epochs=4), score=score))
    for name in ("tokens", "steer", "centroids"):
        tensor = stood[1][name]
        assert torch.equal(trained.fitted.tensors[name], tensor)
        assert not torch.equal(loops[0].state.tensors[name], tensor)
    assert torch.equal(trained.model.prompt.tokens, stood[1]["tokens"])
    assert torch.equal(trained.model.objective.centroids, stood[1]["centroids"])


def test_on_equal_accuracy_the_lower_loss_wins(make_job, few):
    trained = train_prompt(replace(make_job(few, epochs=5), score=scripted([0.5] * 5)))
    losses = [line["validation"]["loss"] for line in trained.fitted.metrics]
    assert trained.fitted.best_epoch == 1 + int(np.argmin(losses))


def test_only_the_prompt_and_the_anchors_change(make_job, few, monkeypatch):
    """Weights are bit for bit the same, none of them had a gradient, and the prompt is another one."""
    marks = []
    monkeypatch.setattr(prompt, "check_frozen", lambda backbone, before: marks.append((backbone, before)))
    trained = train_prompt(make_job(few, loss="linear", **TINY))
    still = train_prompt(make_job(few, loss="linear", **TINY | {"lr": 0.0}))
    backbone, before = marks[0]
    assert backbone.fingerprint() == before
    assert all(weight.grad is None and not weight.requires_grad for weight in backbone.model.parameters())
    guards.check_frozen(backbone, before)
    for name in ("tokens", "steer", "weight", "bias"):
        assert not torch.equal(trained.fitted.tensors[name], still.fitted.tensors[name])
    assert trained.fitted.tensors.keys() == {"tokens", "steer", "weight", "bias"}
