"""Seed 001's toy: attraction d and repulsion 1/d come into balance, and the animation shows all of it."""

import importlib.util
import itertools
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from separatrix.errors import ShapeError
from separatrix.learn.objectives.means import boids

PATH = Path(__file__).parents[2] / "examples" / "boids.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("boids_example", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def gradient(positions):
    positions = positions.clone().requires_grad_()
    boids(positions).backward()
    return positions.grad.norm().item()


def test_loss_equals_a_loop_over_ordered_pairs():
    positions = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    between = [(positions[i] - positions[j]).norm().item() for i, j in itertools.permutations(range(7), 2)]
    slow = sum(between) / 42 + sum(1 / d for d in between) / 42
    assert boids(positions).item() == pytest.approx(slow, rel=1e-12)


def test_gradient_equals_finite_differences():
    positions = torch.randn(5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.autograd.gradcheck(boids, positions.requires_grad_())


def test_one_point_has_nobody_to_keep_away_from():
    with pytest.raises(ShapeError, match="boids need two points at least"):
        boids(torch.zeros(1, 2))


@pytest.mark.parametrize("seed", range(3))
def test_two_points_settle_at_distance_one(example, seed):
    """The least of d + 1/d is at d = 1."""
    track = example.simulate(points=2, steps=300, seed=seed)
    assert torch.pdist(track[-1]).item() == pytest.approx(1, abs=1e-4)
    assert boids(track[-1]).item() == pytest.approx(2, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_ten_points_keep_a_minimum_distance_and_settle(example, seed):
    track = example.simulate(points=10, steps=150, seed=seed)
    assert torch.pdist(track[-1]).min() > 0.5
    assert torch.pdist(track[-1]).max() < 2 < torch.pdist(track[0]).max()
    assert gradient(track[-1]) < 0.01 * gradient(track[0])
    assert (track[-1] - track[-11]).norm(dim=1).max() < 0.02


def test_without_repulsion_they_would_pile_up():
    positions = torch.rand(10, 2, generator=torch.Generator().manual_seed(0)) * 10
    positions.requires_grad_()
    optimizer = torch.optim.Adam([positions], lr=0.1)
    for _ in range(150):
        optimizer.zero_grad()
        torch.pdist(positions).mean().backward()
        optimizer.step()
    assert torch.pdist(positions).min() < 0.1


def test_the_same_seed_repeats_and_another_does_not(example):
    first, again, other = (example.simulate(steps=5, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_axes_enclose_everything_also_with_positive_minima(example):
    track = torch.tensor([[[5.0, 7.0], [6.0, 9.0]], [[5.5, 8.0], [9.0, 7.5]]])
    (left, right), (bottom, top) = example.limits(track)
    assert left < 5 < 9 < right
    assert bottom < 7 < 9 < top


def test_the_animation_has_a_frame_per_position_and_renders_twice_alike(example, tmp_path):
    track = example.simulate(steps=6)
    for name in ("one.gif", "two.gif"):
        example.draw(track, tmp_path / name)
    assert (tmp_path / "one.gif").read_bytes() == (tmp_path / "two.gif").read_bytes()
    with Image.open(tmp_path / "one.gif") as image:
        assert image.n_frames == len(track) == 7


def test_a_settled_flock_still_has_all_its_frames(example, tmp_path):
    """GIF writers drop a frame that equals the one before."""
    track = torch.tensor([[0.0, 0.0], [0.0, 1.0]]).repeat(4, 1, 1)
    example.draw(track, tmp_path / "still.gif")
    with Image.open(tmp_path / "still.gif") as image:
        assert image.n_frames == 4


def test_the_command_writes_the_file_it_names(example, tmp_path, monkeypatch, capsys):
    out = tmp_path / "flock.gif"
    monkeypatch.setattr(sys, "argv", ["boids.py", "--out", str(out), "--steps", "2"])
    example.main()
    assert capsys.readouterr().out.strip() == str(out)
    assert out.read_bytes().startswith(b"GIF89a")
