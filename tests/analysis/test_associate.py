"""Clusters of attention heads against columns: a planted association is found, a habit of a head is no association."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_mutual_info_score

from separatrix.analysis.associate import Associations, associate
from separatrix.errors import DataError, OptionError

LAYERS, HEADS, WINDOWS = 6, 12, 40
CELL = np.arange(LAYERS * HEADS)


def head_rows(clusters, windows=WINDOWS, contexts=None, seed=0):
    """Rows of every head in every window, as extract writes them; `clusters` are those of the heads, or of all rows."""
    window = np.repeat(np.arange(windows), len(CELL))
    cell = np.tile(CELL, windows)
    context = window // 4 if contexts is None else window * contexts // windows
    lengths = np.random.default_rng(seed).integers(20, 90, windows)
    table = pd.DataFrame({
        "id": [f"w{w}.{c}" for w, c in zip(window, cell, strict=True)], "example": [f"e{number}" for number in window],
        "window": window, "context": context, "layer": cell // HEADS, "head": cell % HEADS, "length": lengths[window],
    })  # fmt: skip
    clusters = np.asarray(clusters(table) if callable(clusters) else clusters)
    return table.assign(cluster=clusters[cell] if len(clusters) == len(CELL) else clusters)


def figures_of(table, *columns, **options):
    return associate(table, columns or ["layer", "head"], permutations=99, **options).columns


def test_habits_of_heads_are_no_association_with_layer_or_head():
    """Random clusters that a head keeps in all windows: within windows p is the smallest, 72 heads being 2,880 rows."""
    decided = []
    for seed in range(10):
        table = head_rows(np.random.default_rng(seed).integers(0, 5, LAYERS * HEADS))
        result = figures_of(table, "layer", "head", "layer+head")
        for name in ("layer", "head"):
            assert (result[name]["null"], result[name]["shuffled"]) == ("units", "whole layer+head")
            nulls = result[name]["nulls"]
            assert nulls["within"]["p_value"] == 0.01  # inside the window it is no chance
            assert nulls["units"]["mean"] > 10 * nulls["within"]["mean"]
            assert result[name]["p_value"] == nulls["units"]["p_value"]
            decided.append(result[name]["p_value"])
        both = result["layer+head"]  # whole heads that change places change nothing here
        assert (both["null"], both["shuffled"], both["p_value"]) == ("within", "rows within window", 0.01)
    assert np.mean(np.array(decided) > 0.05) >= 0.85
    assert 0.3 < np.mean(decided) < 0.7


def test_clusters_of_layers_are_found_over_heads():
    result = figures_of(head_rows(CELL // HEADS // 2))
    assert result["layer"]["p_value"] == 0.01
    assert result["layer"]["adjusted_mutual_information"] > 0.6
    assert result["head"]["p_value"] > 0.05


def test_shuffled_clusters_have_to_do_with_nothing():
    rng = np.random.default_rng(1)
    result = figures_of(head_rows(lambda table: rng.integers(0, 2, len(table)), contexts=6),
                    "layer", "head", "layer+head", "length", "context")  # fmt: skip
    for name, line in result.items():
        assert line["p_value"] > 0.02, name
        assert line["adjusted_mutual_information"] < 0.05


def test_a_cluster_of_whole_windows_has_nothing_to_do_with_the_head():
    """The draws are examples: a cluster that follows the text is found with the context, never with the layer."""
    result = figures_of(head_rows(lambda table: table["context"] % 2, contexts=6), "layer", "context")
    assert result["layer"]["p_value"] == 1
    assert result["context"]["p_value"] == 0.01
    assert result["context"]["shuffled"] == "whole example, clusters crossed with layer+head"
    assert result["context"]["adjusted_mutual_information"] > 0.3


def test_length_is_told_from_chance():
    table = head_rows(lambda table: table["length"] > 55, contexts=40)
    table["cluster"] = table["cluster"].astype(int)
    assert figures_of(table, "length")["length"]["p_value"] == 0.01
    assert figures_of(table, "length")["length"]["shuffled"].startswith("whole context")
    assert figures_of(table.assign(cluster=table["window"] % 2), "length")["length"]["p_value"] > 0.02
    with pytest.raises(DataError, match="the column 'length' has one value only"):
        figures_of(table.assign(length=30), "length")
    shared = associate(head_rows(lambda table: table["window"] % 2, contexts=4), "length", permutations=19, levels=2)
    assert any("of the rows take the value of the first row of their context" in line for line in shared.warnings)


def test_adjusted_information_has_one_normaliser():
    """A cluster for each context in every head: 1, as scikit-learn's figure of the same two columns."""
    table = head_rows(lambda table: table["context"] % 3, windows=240, contexts=6)
    found = figures_of(table, "context")["context"]["adjusted_mutual_information"]
    assert found == pytest.approx(adjusted_mutual_info_score(table["cluster"], table["context"]), abs=0.02)
    table["cluster"] = table["context"]
    assert figures_of(table, "context")["context"]["adjusted_mutual_information"] == pytest.approx(1)


def test_a_column_that_heads_do_not_share_is_shuffled_within_windows():
    table = head_rows(CELL % 4)
    table["mark"] = np.random.default_rng(0).integers(0, 3, len(table))
    assert figures_of(table, "mark")["mark"]["null"] == "within"


def test_options_name_the_null(tmp_path):
    """Any table has these nulls: authors of several texts each, say."""
    rng = np.random.default_rng(0)
    author = np.repeat(np.arange(20), 30)
    taste = rng.integers(0, 3, 20)[author]
    table = pd.DataFrame(
        {"id": np.arange(600), "cluster": taste, "author": author, "label": rng.integers(0, 2, 20)[author]}
    )
    free = associate(table, "label", permutations=199)
    assert free.columns["label"]["null"] == "rows"
    assert free.columns["label"]["p_value"] < 0.02
    whole = associate(table, "label", shuffle_units="author", permutations=199, out=tmp_path / "a")
    assert whole.columns["label"]["p_value"] > 0.05
    again = Associations.open(tmp_path / "a")
    assert again.columns["label"]["nulls"]["units"]["p_value"] == whole.columns["label"]["p_value"]
    assert "whole author" in str(again)
    with pytest.raises(DataError, match="no column 'autor'"):
        associate(table, "label", shuffle_units="autor")
    # A column of more values than can be drawn has its figures all the same.
    wide = associate(table.assign(text=table["id"] // 2), "text", levels=1000, permutations=19, out=tmp_path / "b")
    assert not list((tmp_path / "b").glob("*.png"))
    assert len(wide.cells) == 3 * 300


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ("layer", {"given": ("layer", "head")}, "'layer' cannot be compared .*: got --given layer"),
        ("layer+head", {"given": ("head",)}, "'layer.head' cannot be compared .*: got --given head"),
        ("cluster", {}, "clusters cannot be compared with themselves: got cluster"),
        ("layer", {"shuffle_units": ("cluster",)}, "clusters cannot be compared with themselves"),
        ("layer", {"shuffle_within": "cluster"}, "clusters cannot be compared with themselves"),
        ([["layer", "head"]], {}, "a column is named by a text"),
    ],
)
def test_a_column_is_never_compared_with_itself(columns, options, message):
    """Regression: `--given layer` beside `--with layer` gave a meaningless p-value, `--with cluster` a traceback."""
    with pytest.raises(OptionError, match=message):
        associate(head_rows(CELL // 24), columns, permutations=19, **options)


def test_clusters_may_be_named_by_texts():
    table = pd.DataFrame({"cluster": ["x"] * 20 + ["y"] * 20, "label": ["a"] * 20 + ["b"] * 20})
    numbered = associate(table.assign(cluster=[0] * 20 + [1] * 20), "label", permutations=19)
    for noise in ("keep", "drop"):
        made = associate(table, "label", permutations=19, noise=noise)
        assert made.cells["cluster"].unique().tolist() == ["x", "y"]
        assert made.columns == numbered.columns


@pytest.mark.parametrize(
    ("name", "value", "options"),
    [
        ("odd", [1], {}),
        ("odd", {"a": 1}, {}),
        ("odd", np.arange(2), {"shuffle_within": "odd"}),
        ("cluster", [0], {}),
    ],
)
def test_lists_are_no_values_of_a_column(name, value, options):
    """Regression: a raw TypeError (unhashable type)."""
    table = pd.DataFrame({"cluster": [0, 1] * 10, "label": ["a", "b"] * 10, name: [value] * 20})
    column = "label" if options or name == "cluster" else name
    with pytest.raises(DataError, match=f"row 0 of the column '{name}' holds no single value: got "):
        associate(table, column, permutations=19, **options)
