"""Row tables of attention heads, as the extraction makes them."""

import numpy as np
import pandas as pd

LAYERS, HEADS = 4, 3


def table_of(windows=24, contexts=6, seed=0):
    """Rows as the extraction makes them: every window has every head; examples share contexts."""
    generator = np.random.default_rng(seed)
    cells = LAYERS * HEADS
    window = np.repeat(np.arange(windows), cells)
    lengths = generator.integers(20, 90, windows)
    return pd.DataFrame({
        "example": [f"e{number}" for number in window], "window": window, "position": 0,
        "context": window * contexts // windows, "layer": np.tile(np.arange(cells) // HEADS, windows),
        "head": np.tile(np.arange(cells) % HEADS, windows), "length": lengths[window],
    })  # fmt: skip
