"""One moment of a training: the rows in the plane, wrong ones ringed, the centroids as large markers."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from separatrix.view.canvas import DPI, new_figure, plain, quiet
from separatrix.view.frames import Box, Frames, enclose
from separatrix.view.maps import legend_entries, mark, put_legend
from separatrix.view.palette import INK, MUTED, look

WIDTH, HEIGHT = 8.0, 5.4  # inches
PLACE = (0.085, 0.155, 0.66, 0.755)  # of the axes: left, bottom, width, height, as shares of the sheet
TRAIL = 5  # earlier frames whose centroids are still hinted at


def scatter(frames: Frames, index: int = -1) -> Figure:
    """Draw one frame of a training (-1 is the last), with axes that fit this frame.

    Raises:
        ShapeError: there is no such frame.
    """
    frame = frames.at(index)
    centroids = None if frames.centroids is None else frames.centroids[frame]
    figure = sheet(frames, enclose(frames.points[frame], centroids), dpi=DPI)
    moment(figure, frames, frame)
    return figure


def sheet(frames: Frames, box: Box, *, dpi: int) -> Figure:
    """Draw what is the same in all pictures of a training: axes, legend, note.

    Args:
        box: limits of the axes; the narrower side is widened, so that a unit is as long on both axes.
        dpi: pixels per inch; the sheet is 8 x 5.4 inches.
    """
    figure = new_figure(WIDTH, HEIGHT, dpi)
    axes = figure.add_axes(PLACE)
    quiet(axes)
    wide = box.widened(WIDTH * PLACE[2] / (HEIGHT * PLACE[3]))
    axes.set_xlim(wide.left, wide.right)
    axes.set_ylim(wide.bottom, wide.top)
    axes.set_xlabel(plain(frames.axes[0], 60))
    axes.set_ylabel(plain(frames.axes[1], 60))
    note = "\n".join(textwrap.wrap(plain(frames.note, 270), 135))
    figure.text(PLACE[0], 0.022, note, fontsize=7.5, color=MUTED, va="bottom")
    _legend(figure, frames)
    return figure


def moment(figure: Figure, frames: Frames, frame: int, trail: int = 0) -> list[Artist]:
    """Put one frame on a sheet; what is put there depends on (frames, frame) and on nothing drawn before.

    A trail of so many earlier positions of each centroid is drawn as a line.

    Returns:
        What was added, so that it can be taken off again.
    """
    axes, top = figure.axes[0], PLACE[1] + PLACE[3] + 0.017
    title = figure.text(PLACE[0], top, plain(frames.titles[frame], 40), fontsize=10.5, fontweight="bold", color=INK)
    score = figure.text(PLACE[0] + PLACE[2], top, frames.score(frame), fontsize=8.5, color=MUTED, ha="right")
    return [title, score, *_draw_rows(axes, frames, frame), *_draw_centroids(axes, frames, frame, trail)]


def _draw_rows(axes: Axes, frames: Frames, frame: int) -> Iterator[Artist]:
    points = frames.points[frame]  # (rows, 2)
    size = float(np.clip(9000 / len(points), 8, 34))
    for marker, chosen in _by_marker(frames.labels):
        colours = [look(class_id).colour for class_id in frames.labels[chosen]]
        x, y = points[chosen].T
        yield axes.scatter(x, y, s=size, c=colours, marker=marker, alpha=0.75, linewidths=0, zorder=2)
    wrong = points[frames.predicted[frame] != frames.labels]
    yield axes.scatter(
        wrong[:, 0], wrong[:, 1], s=size * 1.9, facecolors="none", edgecolors=INK, linewidths=0.8, zorder=3
    )


def _draw_centroids(axes: Axes, frames: Frames, frame: int, trail: int) -> Iterator[Artist]:
    if frames.centroids is None:
        return
    classes = np.arange(len(frames.names))
    past = frames.centroids[max(0, frame - trail) : frame + 1]  # (moments, classes, 2)
    for age in range(len(past) - 1):
        shades = [(look(class_id).colour, 0.7 * (age + 1) / len(past)) for class_id in range(len(classes))]
        legs = past[age : age + 2].transpose(1, 0, 2)  # (classes, 2 moments, 2)
        lines = LineCollection(list(legs), colors=shades, linewidths=2.2, zorder=4)
        yield axes.add_collection(lines, autolim=False)
    area = 45 if len(classes) > 20 else 150
    for marker, chosen in _by_marker(classes):
        x, y = frames.centroids[frame, chosen].T
        own = [look(class_id).colour for class_id in chosen]
        # An ink ring, a white ring, the colour: seen on any ground.
        for share, colours in ((1.45, INK), (1.2, "white"), (0.75, own)):
            yield axes.scatter(x, y, s=area * share, c=colours, marker=marker, linewidths=0, zorder=5)


def _by_marker(class_ids: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Each marker in use with the places of its classes: one call draws one shape, and calls are what costs."""
    markers = np.array([look(class_id).marker for class_id in class_ids])
    for marker in dict.fromkeys(markers.tolist()):
        yield marker, np.flatnonzero(markers == marker)


def _legend(figure: Figure, frames: Frames) -> None:
    """Classes first, then what the marks mean."""
    handles, texts = legend_entries(frames.names, frames.labels)
    if frames.centroids is not None:
        handles.append(mark(color=MUTED, marker="o", markersize=8, markeredgecolor=INK))
        texts.append("centroid")
    handles.append(mark(color="none", marker="o", markersize=7, markeredgecolor=INK))
    texts.append("wrong prediction")
    put_legend(figure, handles, texts, (PLACE[0] + PLACE[2] + 0.01, 0.925))
