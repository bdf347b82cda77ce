"""Windows by decile of a descriptor: for each head, on which texts it does most and least of what the number counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from separatrix.analysis.heads.reading import AtlasSource
from separatrix.heads.descriptors import NAMES
from separatrix.points import Points
from separatrix.reports.atlas import WindowDeciles

MOST_WINDOWS = 1000  # evenly spaced windows that are ranked
WORDS = 24  # tokens of a beginning


def window_deciles(points: Points, heads: int) -> WindowDeciles | None:
    """The lowest window of each head and descriptor, the middle one of each decile, and the highest.

    Args:
        points: rows of heads in the order of windows, layers, heads.
        heads: of all layers.

    Returns:
        None where no descriptors were computed.
    """
    if "descriptors" not in points.blocks:
        return None
    block, total = points.blocks["descriptors"], len(points) // heads
    windows = np.unique(np.linspace(0, total - 1, min(MOST_WINDOWS, total)).round().astype(np.int64))
    rows = (windows[:, None] * heads + np.arange(heads)).ravel()
    values = np.asarray(block[rows], np.float32).reshape(len(windows), heads, len(NAMES))
    middles = ((np.arange(10) + 0.5) / 10 * len(windows)).astype(np.int64)
    ranks = np.array([0, *middles, len(windows) - 1])
    order = values.argsort(axis=0, kind="stable")[ranks]  # (places, heads, descriptors)
    return WindowDeciles(
        ("lowest", *(f"decile {number}" for number in range(1, 11)), "highest"), NAMES,
        np.moveaxis(windows[order], 0, -1), np.moveaxis(np.take_along_axis(values, order, axis=0), 0, -1),
        len(windows),
    )  # fmt: skip


def beginnings(reading: AtlasSource, lines: pd.DataFrame, windows: Sequence[int]) -> dict[int, str]:
    """The beginning of each window, without the model's own tokens.

    Args:
        reading: the model and its examples.
        lines: a line for each window: `number` of its example, `position`.
        windows: numbers of windows.
    """
    texts = dict[int, str]()
    for window in windows:
        cut = reading.window(int(lines["number"][window]), int(lines["position"][window]))
        words = [word for word, special in zip(cut.words, cut.special, strict=True) if not special][:WORDS]
        texts[window] = "".join(words).strip()
    return texts
