import io

import numpy as np
import pytest
from PIL import Image

from separatrix.errors import ShapeError
from separatrix.geometry.choose import choose_k
from separatrix.geometry.cluster import hdbscan
from separatrix.view.canvas import save
from separatrix.view.cells import association_map, density_grid
from separatrix.view.cluster_plots import cluster_sizes, condensed_tree, k_curves, k_distances


def heaps():
    rng = np.random.default_rng(0)
    return (rng.normal(size=(90, 3)) + 9 * np.eye(3)[np.arange(90) % 3]).astype(np.float32)


def cell(eps, count, status="done"):
    done = status == "done"
    return {
        "eps": eps, "min_samples": count, "status": status, "clusters": 3 if done else None,
        "noise_share": 0.7 if done else None,
    }  # fmt: skip


FIGURES = {
    "sizes": lambda: cluster_sizes([40, 3, 9], 7),
    "many sizes": lambda: cluster_sizes(list(range(1, 100))),
    "one size": lambda: cluster_sizes([5]),
    "no cluster": lambda: cluster_sizes([], 5),
    "k": lambda: (lambda found: k_curves(found.table, found.value, found.criterion))(choose_k(heaps(), (2, 3, 4))),
    "eps": lambda: k_distances([{"share": s / 9, "distance": s**2} for s in range(1, 10)], 49.0, "knee"),
    "grid": lambda: density_grid([cell(0.5, 5), cell(0.5, 10, "time limit"), cell(0.9, 5), cell(0.9, 10, "not begun")]),
    "tree": lambda: condensed_tree(hdbscan(heaps(), 10, min_samples=3).tree.lines()),
    "association": lambda: association_map(np.eye(3) * 9, np.eye(3), ("abc", "xyz"), ("cluster", "la$bel"), "V 1"),
    "wide": lambda: association_map(
        np.ones((2, 40)), np.zeros((2, 40)), ("ab", ["c"] * 40), ("cluster", "head"), "V 0"
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_pictures_are_drawn(tmp_path, name):
    drawn = save(FIGURES[name](), tmp_path / "a.png").read_bytes()
    assert Image.open(io.BytesIO(drawn)).convert("RGB").getcolors(20) is None  # more than twenty


def test_the_same_numbers_give_the_same_bytes(tmp_path):
    first, second = (save(FIGURES["sizes"](), tmp_path / f"{place}.png").read_bytes() for place in range(2))
    assert first == second


def test_cells_that_did_not_end_say_so():
    figure = FIGURES["grid"]()
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["3\n70.0% noise", "time limit", "3\n70.0% noise", "not begun"]


def test_the_tree_numbers_its_clusters():
    figure = FIGURES["tree"]()
    assert sorted(text.get_text() for text in figure.axes[0].texts) == ["0: 30", "1: 30", "2: 30"]


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="the parts of an association do not fit"):
        association_map(np.ones((2, 2)), np.ones((2, 3)), ("ab", "cd"), ("cluster", "label"), "")
