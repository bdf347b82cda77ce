"""Boids: points that are drawn together by d and kept apart by 1/d.

Ten points start anywhere in a square and settle into a flock with a distance between neighbors that nobody set: the
two halves of the loss do not need the same shape to come into balance. Run it, and watch it:

    python examples/boids.py --out boids.gif
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from matplotlib.animation import PillowWriter
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from separatrix.learn.objectives.means import boids

TRAIL = 12  # steps of each point's past that a frame shows


def simulate(points: int = 10, steps: int = 120, lr: float = 0.1, seed: int = 0) -> Tensor:
    """Let Adam move random points of the square 0..10 down the loss; positions `(steps + 1, points, 2)`."""
    start = torch.rand(points, 2, generator=torch.Generator().manual_seed(seed)) * 10
    positions = torch.nn.Parameter(start)
    optimizer = torch.optim.Adam([positions], lr=lr)
    track = [positions.detach().clone()]
    for _ in range(steps):
        optimizer.zero_grad()
        boids(positions).backward()
        optimizer.step()
        track.append(positions.detach().clone())
    return torch.stack(track)


def limits(track: Tensor, margin: float = 0.05) -> tuple[tuple[float, float], tuple[float, float]]:
    """Axis limits (x, y) that enclose every position of the whole track, with a margin of its extent."""
    flat = track.reshape(-1, 2)
    low, high = flat.amin(0), flat.amax(0)
    space = margin * (high - low).clamp(min=1.0)
    (left, bottom), (right, top) = (low - space).tolist(), (high + space).tolist()
    return (left, right), (bottom, top)


def draw(track: Tensor, out: Path, interval: int = 50) -> None:
    """Write one frame per step, `interval` milliseconds each; a frame depends on its number alone, so it replays."""
    figure = Figure(figsize=(5, 5))
    FigureCanvasAgg(figure)
    x, y = limits(track)
    axes = figure.add_subplot(xlim=x, ylim=y, aspect="equal")
    trails = LineCollection([], colors=[(0.2, 0.2, 0.8, 0.25)], linewidths=1)
    axes.add_collection(trails)
    dots = axes.scatter([], [], s=20, color=(0.2, 0.2, 0.8))
    writer = PillowWriter(fps=round(1000 / interval))
    with writer.saving(figure, str(out), dpi=80):
        for step in range(len(track)):
            past = track[max(0, step - TRAIL) : step + 1]  # (steps, points, 2)
            trails.set_segments(list(past.transpose(0, 1).numpy()))
            dots.set_offsets(track[step].numpy())
            # The number also keeps two frames from being equal: GIF writers drop repeated frames.
            axes.set_title(f"step {step}, loss {boids(track[step]):.3f}")
            writer.grab_frame()


def main() -> None:
    """Read the options, simulate, draw."""
    parser = argparse.ArgumentParser(description="Ten points find their distance; an animation of it.")
    parser.add_argument("--out", type=Path, default=Path("boids.gif"), help="GIF file to write (default: boids.gif)")
    parser.add_argument("--points", type=int, default=10, help="number of points (default: 10)")
    parser.add_argument("--steps", type=int, default=120, help="steps of Adam (default: 120)")
    parser.add_argument("--lr", type=float, default=0.1, help="learning rate (default: 0.1)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the start (default: 0)")
    options = parser.parse_args()
    draw(simulate(options.points, options.steps, options.lr, options.seed), options.out)
    print(options.out)


if __name__ == "__main__":
    main()
