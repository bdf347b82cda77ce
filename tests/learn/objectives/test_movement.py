"""Centroids inside the loop: each mover follows its rule; fewer moves make a shorter and straighter way (seed 001)."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from separatrix.learn import schedule
from separatrix.learn.callbacks import Callback
from separatrix.learn.job import training_rows
from separatrix.learn.loop import Loop, Training
from separatrix.learn.objectives import OBJECTIVES
from separatrix.learn.trainables import Trainable
from separatrix.recipe import TrainRecipe, replace

ROWS, WIDTH, CLASSES = 40, 6, 3


@dataclass
class Shift(Trainable):
    """The smallest trainable: fixed points and one trained shift; it notes the batches that were asked of it."""

    points: torch.Tensor
    shift: torch.Tensor = field(default_factory=lambda: torch.zeros(WIDTH))
    asked: list = field(default_factory=list)

    def groups(self):
        return {"prompt": {"tokens": self.shift}}

    def outputs(self, part, rows, step=None):
        if step is not None:
            self.asked.append((rows, self.shift.detach().clone()))
        return self.points[torch.from_numpy(rows)] + self.shift

    def lengths(self, part):
        return np.ones(ROWS, dtype=int)


class Track(Callback):
    """Keeps where the centroids were at each frame."""

    def __init__(self, objective):
        self.objective, self.steps = objective, []

    def on_frame(self, step, title):
        self.steps.append((step, self.objective.centroids.detach().clone()))


def setup(seed=0, **options):
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(ROWS) % CLASSES
    points = 4 * torch.eye(CLASSES, WIDTH)[y] + torch.randn(ROWS, WIDTH, generator=generator)
    base = {"epochs": 4, "batch_size": 8, "lr": 0.05, "snapshots": 5, "loss": "centroid_ce"}
    recipe = replace(TrainRecipe(), **{**base, **options})
    learner, objective = Shift(points), OBJECTIVES[recipe.objective.loss].build(recipe, CLASSES)
    objective.start(training_rows(learner, y, np.arange(ROWS), 0))
    objective.centroids.copy_(torch.randn(CLASSES, WIDTH, generator=generator))
    if recipe.objective.loss == "centroid_ce":
        objective.begin(objective.centroids, objective._rows)  # they have not gone anywhere yet

    def batches(epoch):
        return schedule.batches(np.ones(ROWS, dtype=int), recipe.loop.batch_size, recipe.loop.seed, epoch)

    def score(_scores, _labels):
        return {"accuracy": 0.5}

    targets, track = {"train": y, "validation": y}, Track(objective)
    return Loop(Training(learner, objective, targets, recipe.loop, batches, CLASSES, score), [track]), learner, track


def slow(learner, begun, recipe):
    """Centroids after every step by the written rule, batch by batch, in float64."""
    y = (torch.arange(ROWS) % CLASSES).numpy()
    centroids, velocity = begun.double().numpy().copy(), np.zeros((CLASSES, WIDTH))
    track = [centroids.copy()]
    shifts = [shift for _, shift in learner.asked[1:]] + [learner.shift.detach()]
    for step, (rows, shift) in enumerate(learner.asked):
        if (step + 1) % recipe.every:
            track.append(centroids.copy())
            continue
        everything = recipe.mover == "mean"
        picked = np.arange(ROWS) if everything else rows
        # `mean` looks at all rows as they stand after the step, the others at the outputs that the step was made from.
        z = (learner.points + (shifts[step] if everything else shift)).double().numpy()[picked]
        for label in range(CLASSES):
            own = z[y[picked] == label]
            gap = own.mean(0) - centroids[label] if len(own) else np.zeros(WIDTH)
            if recipe.mover == "mean":
                centroids[label] += gap
            elif recipe.mover == "ema":
                centroids[label] += recipe.rate * gap
            elif recipe.mover == "momentum":
                velocity[label] = recipe.friction * velocity[label] + recipe.rate * gap
                centroids[label] += velocity[label]
        track.append(centroids.copy())
    return np.stack(track)


@pytest.mark.parametrize("mover", ["ema", "momentum", "mean", "fixed"])
@pytest.mark.parametrize("every", [1, 3])
def test_centroids_move_by_their_rule(mover, every):
    loop, learner, track = setup(mover=mover, every=every, rate=0.3, friction=0.7)
    begun = loop.state.tensors["centroids"].clone()
    loop.run()
    expected = slow(learner, begun, loop.objective.rule)
    assert len(expected) == 21
    assert [step for step, _ in track.steps] == list(range(21))
    for step, centroids in track.steps:
        np.testing.assert_allclose(centroids.double(), expected[step], atol=1e-4)
    far = np.abs(expected[-1] - expected[0]).max()
    assert far == 0 if mover == "fixed" else far > 0.5


@pytest.mark.parametrize("mover", ["ema", "momentum", "mean"])
def test_path_and_oscillation_are_those_of_the_track(mover):
    loop, learner, _ = setup(mover=mover, rate=0.3)
    begun = loop.state.tensors["centroids"].clone()
    metrics = loop.run().metrics
    track = slow(learner, begun, loop.objective.rule)
    path = np.linalg.norm(np.diff(track, axis=0), axis=2).sum(0)
    net = np.linalg.norm(track[-1] - track[0], axis=1)
    last = metrics[-1]["centroids"]
    assert last["path"] == pytest.approx(path.mean(), rel=1e-4)
    assert last["moved"] == pytest.approx(net.mean(), rel=1e-4)
    assert last["oscillation"] == pytest.approx((1 - net / path).mean(), abs=1e-4)


def test_gradient_moves_them_and_fixed_does_not():
    moved = {}
    for mover in ("gradient", "fixed"):
        loop, _, _ = setup(mover=mover)
        begun = loop.state.tensors["centroids"].detach().clone()
        line = loop.run().metrics[-1]["centroids"]
        moved[mover] = (loop.state.tensors["centroids"].detach() - begun).norm().item()
        assert (line["path"] > 0) == (mover == "gradient")
        assert ("centroids" in loop.groups) == (mover == "gradient")
    assert moved["fixed"] == 0.0
    assert moved["gradient"] > 0.1


@pytest.mark.parametrize("mover", ["ema", "momentum"])
def test_moving_every_fifth_step_shortens_and_straightens_the_way(mover):
    """Row 22 of the seeds: without damping the centroids run after every batch, to and fro."""
    found = {}
    for every in (1, 5):
        # The shift learns, so there is somewhere to go; batches of 8 rows are noisy.
        loop, _, _ = setup(mover=mover, every=every, rate=0.8, epochs=8, lr=0.02)
        last = loop.run().metrics[-1]["centroids"]
        found[every] = (last["path"], last["oscillation"])
    assert found[5][0] < 0.8 * found[1][0]
    assert found[5][1] < found[1][1]


def test_push_keeps_fixed_rule_centroids_apart():
    """Two classes of the same points merge under `ema`; pushed away from each other they do not."""
    ends = {}
    for push in (0.0, 0.2):
        loop, learner, _ = setup(mover="ema", rate=0.5, push=push, epochs=6)
        learner.points.copy_(torch.randn(1, WIDTH).expand(ROWS, WIDTH))
        ends[push] = loop.run().metrics[-1]["centroids"]["min"]
    assert ends[0.0] < 0.01
    assert ends[0.2] > 0.2


def test_class_means_follow_the_outputs_where_the_loss_has_no_anchor():
    loop, learner, _ = setup(loss="cosine")
    loop.run()
    y = torch.arange(ROWS) % CLASSES
    z = learner.points + learner.shift.detach()
    slowly = torch.stack([z[y == label].mean(0) for label in range(CLASSES)])
    torch.testing.assert_close(loop.state.tensors["centroids"], slowly)
    assert "path" not in loop.state.progress.metrics[-1]["centroids"]
