"""Two nulls: heads shuffled inside a window, and whole heads that change places. Habits beat only the first."""

import doctest

import numpy as np
import pandas as pd
import pytest

from separatrix.analysis.heads import shuffles
from separatrix.analysis.heads.association import association
from separatrix.analysis.heads.shuffles import gather, head_counts
from separatrix.errors import DataError

LAYERS, HEADS, WINDOWS = 6, 12, 40


def table_of(cluster_of_head):
    """Rows of every head in every window; a head is in the same cluster in all of them."""
    cells = LAYERS * HEADS
    window = np.repeat(np.arange(WINDOWS), cells)
    cell = np.tile(np.arange(cells), WINDOWS)
    return pd.DataFrame({
        "example": [f"e{number}" for number in window], "window": window, "place": 0, "context": window // 4,
        "layer": cell // HEADS, "head": cell % HEADS, "length": 30,
    }).assign(cluster=cluster_of_head[cell], kmeans=cluster_of_head[cell])  # fmt: skip


def test_habits_of_heads_are_no_association_with_layer_or_head():
    """Random clusters that a head keeps in all windows: before, p was the smallest there is, 72 heads being 2,880."""
    decided = []
    for seed in range(10):
        clusters = np.random.default_rng(seed).integers(0, 5, LAYERS * HEADS)
        found = {line["with"]: line for line in association(table_of(clusters), permutations=99)}
        for name in ("layer", "head"):
            assert found[name]["p_value"] == 0.01  # inside the window it is no chance
            assert found[name]["null_heads"] > 10 * found[name]["null_mean"]
            assert found[name]["verdict"] == ("more than chance" if found[name]["p_heads"] <= 0.05 else "as chance")
            decided.append(found[name]["p_heads"])
        both = found["layer and head"]
        assert both["p_heads"] is None
        assert (both["p_value"], both["verdict"]) == (0.01, "more than chance")
    assert np.mean(np.array(decided) > 0.05) >= 0.85
    assert 0.3 < np.mean(decided) < 0.7


def test_clusters_of_layers_are_found_over_heads():
    layers = np.arange(LAYERS * HEADS) // HEADS
    found = {line["with"]: line for line in association(table_of(layers // 2), permutations=99)}
    assert found["layer"]["p_heads"] == 0.01
    assert found["layer"]["verdict"] == "more than chance"
    assert found["head"]["p_heads"] > 0.05
    assert found["head"]["verdict"] == "as chance"


def test_counts_are_those_of_a_loop():
    generator = np.random.default_rng(3)
    windows, cells = np.repeat(np.arange(7), 5), np.tile(np.arange(5), 7)
    labels = generator.integers(-1, 3, 35)
    order = generator.permutation(35)  # rows in any order
    made = head_counts(labels[order], cells[order], windows[order], permutations=20, seed=0)
    expected = np.zeros((4, 5), int)
    for label, cell in zip(labels, cells, strict=True):
        expected[label + 1, cell] += 1
    assert (made.observed == expected).all()
    # A shuffle leaves every label as frequent as it was, and every head with one row a window.
    assert (made.shuffled.sum(axis=2) == expected.sum(axis=1)).all()
    assert (made.shuffled.sum(axis=1) == 7).all()
    assert len(np.unique(made.shuffled, axis=0)) > 1


def test_a_label_of_whole_windows_is_never_moved():
    windows, cells = np.repeat(np.arange(6), 4), np.tile(np.arange(4), 6)
    made = head_counts(windows % 2, cells, windows, permutations=9, seed=0)
    assert (made.shuffled == made.observed).all()
    assert made.within(lambda counts: float(counts[1, 0])).p_value == 1


def test_what_does_not_know_its_place_is_the_same_over_heads():
    windows, cells = np.repeat(np.arange(6), 4), np.tile(np.arange(4), 6)
    made = head_counts(cells, cells, windows, permutations=9, seed=0)
    assert made.within(lambda counts: float(counts.max())).p_value == 0.1
    assert made.over_heads(lambda counts: float(counts.max())).p_value == 1


def test_windows_without_some_heads_are_refused():
    with pytest.raises(DataError, match="windows have different numbers of heads"):
        head_counts([0, 0, 0], np.array([0, 1, 0]), np.array([0, 0, 1]), permutations=9, seed=0)


def test_gathered_columns_add_up():
    counts = np.arange(12).reshape(2, 6)
    assert gather(counts, np.array([0, 0, 1, 1, 2, 2])).tolist() == [[1, 5, 9], [13, 17, 21]]


def test_examples_in_docstrings():
    result = doctest.testmod(shuffles)
    assert result.attempted > 0
    assert result.failed == 0
