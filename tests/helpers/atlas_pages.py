"""A small atlas page: six heads, two texts, clusters with sentences, deciles."""

import numpy as np
import pandas as pd

from separatrix.reports.atlas import AtlasPage, WindowDeciles, WindowMaps

LAYERS, HEADS, TOKENS = 2, 3, 5
EVIL = "</script><script>document.body.dataset.evil=1</script>"


def page_of(**changes):
    generator = np.random.default_rng(0)
    cells = LAYERS * HEADS
    weights = generator.dirichlet(np.ones(TOKENS), size=(cells, TOKENS))
    levels = np.rint(np.sqrt(weights) * 255).astype(np.uint8)
    distances = np.abs(np.subtract.outer(np.arange(cells), np.arange(cells))) / 10
    heads = pd.DataFrame({
        "layer": np.arange(cells) // HEADS, "head": np.arange(cells) % HEADS, "cluster": [0, 0, 1, 1, -1, 11],
        "entropy": np.linspace(0, 1, cells), "previous": np.linspace(1, 0, cells),
        "sentence": [f"sentence {head} {EVIL}" for head in range(cells)],
    })  # fmt: skip
    places = (
        np.arange(cells)[:, None, None] + np.arange(2)[:, None] + np.arange(3)
    ) % 4  # (heads, descriptors, places)
    deciles = WindowDeciles(("lowest", "decile 1", "highest"), ("entropy", "previous"), places, places / 8 + 0.25, 4)
    values = {
        "title": f"Heads of {EVIL}",
        "summary": (("maps", 60),),
        "heads": heads,
        "distances": distances,
        "clusters": [{"cluster": number, "sentence": f"{words}; 2 heads", "heads": 2}
                     for number, words in ((0, EVIL), (1, "looks away"), (11, "looks on"), (-1, "no clear pattern"))],
        "deciles": deciles,
        "beginnings": {number: f"begins {number} {EVIL}" for number in range(4)},
        "windows": [WindowMaps(EVIL, (" [CLS]", " one", " two", "s", f" {EVIL}"), levels, 2),
                    WindowMaps("second", (" a", " b", " c", " d", " e"), levels[::-1])],
        "cluster_maps": {0: np.ones((2, 3, 3)), 1: np.eye(3)[None]},
        "association": [{"with": "layer", "p_value": 0.01, "verdict": "more than chance"}],
        "notes": (EVIL,),
    }  # fmt: skip
    return AtlasPage(**values | changes)
