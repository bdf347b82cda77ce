"""One moment of a training: the rows in the plane, wrong ones ringed, the centroids as large markers."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from separatrix.view.canvas import DPI, headline, new_figure, plain, quiet
from separatrix.view.frames import Box, Frames, enclose
from separatrix.view.palette import INK, MUTED, look

LEGEND = 22  # entries that fit beside the picture
TRAIL = 5  # earlier frames whose centroids are still hinted at


def scatter(frames: Frames, index: int = -1) -> Figure:
    """Draw one frame, with axes that fit this frame.

    Args:
        frames: the training, seen in one fixed plane.
        index: number of the frame; -1 is the last.

    Raises:
        ShapeError: there is no such frame.
    """
    frame = frames.at(index)
    centroids = None if frames.centroids is None else frames.centroids[frame]
    return draw(frames, frame, enclose(frames.points[frame], centroids), dpi=DPI)


def draw(frames: Frames, frame: int, box: Box, *, dpi: int, trail: int = 0) -> Figure:
    """A picture that depends on (frames, frame) and on nothing drawn before it.

    Args:
        frames: the training.
        frame: number of the frame, from 0.
        box: limits of the axes; the narrower side is widened, so that a unit is as long on both axes.
        dpi: pixels per inch; the sheet is 8 x 5.4 inches.
        trail: how many earlier positions of each centroid are drawn as a line.
    """
    figure = new_figure(8.0, 5.4, dpi)
    axes = figure.add_axes((0.085, 0.155, 0.66, 0.755))
    quiet(axes)
    axes.set_xlim(box.left, box.right)
    axes.set_ylim(box.bottom, box.top)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_xlabel(plain(frames.axes[0], 60))
    axes.set_ylabel(plain(frames.axes[1], 60))
    _draw_rows(axes, frames, frame)
    _draw_centroids(axes, frames, frame, trail)
    headline(axes, frames.titles[frame])
    axes.set_title(frames.score(frame), loc="right", fontsize=8.5, color=MUTED)
    note = "\n".join(textwrap.wrap(plain(frames.note, 240), 120)[:2])
    figure.text(0.085, 0.022, note, fontsize=7.5, color=MUTED, va="bottom")
    _legend(figure, frames)
    return figure


def _draw_rows(axes: Axes, frames: Frames, frame: int) -> None:
    points = frames.points[frame]  # (rows, 2)
    size = float(np.clip(9000 / len(points), 8, 34))
    for class_id in np.unique(frames.labels):
        own, style = points[frames.labels == class_id], look(int(class_id))
        axes.scatter(*own.T, s=size, color=style.colour, marker=style.marker, alpha=0.75, linewidths=0, zorder=2)
    wrong = points[frames.predicted[frame] != frames.labels]
    axes.scatter(*wrong.T, s=size * 1.9, facecolors="none", edgecolors=INK, linewidths=0.8, zorder=3)


def _draw_centroids(axes: Axes, frames: Frames, frame: int, trail: int) -> None:
    if frames.centroids is None:
        return
    many = len(frames.names) > 20
    past = frames.centroids[max(0, frame - trail) : frame + 1]  # (moments, classes, 2)
    for class_id, place in enumerate(frames.centroids[frame]):
        style = look(class_id)
        for age in range(len(past) - 1):
            leg, share = past[age : age + 2, class_id], (age + 1) / len(past)
            axes.plot(*leg.T, color=style.colour, alpha=0.7 * share, linewidth=2.2, zorder=4, solid_capstyle="round")
        axes.scatter(
            *place, s=60 if many else 150, color=style.colour, marker=style.marker, edgecolors="white",
            linewidths=1.4, zorder=5,
        )  # fmt: skip
        axes.scatter(
            *place, s=82 if many else 190, facecolors="none", marker=style.marker, edgecolors=INK, linewidths=0.9, zorder=5
        )


def _legend(figure: Figure, frames: Frames) -> None:
    """Classes first, then what the marks mean; a long list is cut and says so."""
    shown = frames.names if len(frames.names) <= LEGEND else frames.names[: LEGEND - 1]
    counts = np.bincount(frames.labels, minlength=len(frames.names))
    handles, labels = [], []
    for class_id, name in enumerate(shown):
        style = look(class_id)
        handles.append(Line2D([], [], color=style.colour, marker=style.marker, linestyle="", markersize=5.5))
        labels.append(f"{plain(name, 20)} ({counts[class_id]})")
    if len(shown) < len(frames.names):
        handles.append(Line2D([], [], linestyle=""))
        labels.append(f"and {len(frames.names) - len(shown)} more classes")
    if frames.centroids is not None:
        handles.append(
            Line2D([], [], color=MUTED, marker="o", linestyle="", markersize=9, markeredgecolor=INK, markeredgewidth=0.9)
        )
        labels.append("centroid")
    handles.append(Line2D([], [], color="none", marker="o", linestyle="", markersize=7, markeredgecolor=INK))
    labels.append("wrong prediction")
    figure.legend(
        handles, labels, loc="upper left", bbox_to_anchor=(0.755, 0.925), frameon=False, fontsize=8, labelcolor=INK,
        labelspacing=0.55 if len(shown) <= 12 else 0.4, handletextpad=0.3, borderaxespad=0,
    )  # fmt: skip
