"""Pictures of the head atlas: what can be read on them, and what their numbers say."""

import doctest
import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from separatrix.view import head_plots, head_sheet, palette
from separatrix.view.canvas import save
from separatrix.view.head_sheet import CLUSTER_COLOURS, Findings, cluster_colour
from separatrix.view.palette import contrast, ink_on, mix

LAYERS, HEADS, WINDOWS, CELLS = 2, 3, 5, 4


def choice(*grid):
    names = ("silhouette", "silhouette_null", "distortion", "distortion_null", "inertia", "inertia_null", "stability")
    return [{"k": k, **dict.fromkeys(names, 1 / k), "stability_error": 0.1} for k in grid]


def findings_of(**changes):
    """Two clusters: head (0, 0) alone is cluster 1, all others are cluster 0; one row is noise."""
    generator = np.random.default_rng(0)
    cell = np.tile(np.arange(LAYERS * HEADS), WINDOWS)
    table = pd.DataFrame({
        "window": np.repeat(np.arange(WINDOWS), LAYERS * HEADS), "layer": cell // HEADS, "head": cell % HEADS,
        "cluster": np.where(cell == 0, 1, 0),
    })  # fmt: skip
    table.loc[len(table) - 1, "cluster"] = -1
    each = np.arange(LAYERS * HEADS)
    heads = pd.DataFrame({
        "layer": each // HEADS, "head": each % HEADS, "cluster": np.where(each == 0, 1, 0), "cluster_share": 1.0,
        "entropy": each / 6, "special": 0.0, "importance_ablation": each - 2.0,
    })  # fmt: skip
    curve = [{"share": place / 99, "distance": 0.4 + place / 500} for place in range(99)]
    clusters = {
        "dbscan": {"eps": 0.5, "min_samples": 4, "curve": [*curve, {"share": 1.0, "distance": 90.0}]},
        "kmeans": {"k": 3, "criterion": "largest", "grid": choice(2, 3, 4)},
    }
    noise = {"dbscan": [{"layer": 0, "noise": 0.1}, {"layer": 1, "noise": 0.2}]}
    line = {"feature": "descriptors", "ami_interval": [0.4, 0.6], "ami_head": 0.5, "seconds_per_map": 1e-4}
    features = [line, {**line, "feature": "grid", "seconds_per_map": 4e-4}]
    maps = {0: 3 * generator.random((3, CELLS, CELLS)), 1: 0.2 * generator.random((2, CELLS, CELLS))}
    distances = np.abs(np.subtract.outer(each, each)) / 6
    values = {
        "features": features, "variance": {"grid": [0.5, 0.2, 0.1]}, "noise": noise, "clusters": clusters,
        "table": table, "heads": heads, "distances": distances, "maps": maps,
        "exemplars": {0: [(3, 1, 2), (4, 0, 1)], 1: [(2, 0, 0)]},
    }  # fmt: skip
    return Findings(**values | changes)


def texts_of(figure):
    return [text.get_text() for part in (figure, *figure.axes) for text in part.texts]


def test_every_picture_is_drawn_with_its_numbers(tmp_path):
    findings = findings_of()
    made = list(head_plots.pictures(findings))
    assert len({picture.name for picture in made}) == len(made) == 12
    for picture in made:
        drawn = save(picture.figure, tmp_path / f"{picture.name}.png").read_bytes()
        assert Image.open(io.BytesIO(drawn)).convert("RGB").getcolors(5) is None  # more than five
        assert len(picture.data)


def test_numbers_can_be_read_on_every_cluster_at_every_strength():
    for cluster in range(-1, 30):
        for strength in (0.25, 0.5, 0.75, 1.0):
            ground = mix("#ffffff", cluster_colour(cluster), strength)
            assert contrast(ground, ink_on(ground)) > 3.9, (cluster, strength)
    findings = findings_of()
    axes = head_plots.cluster_grid(findings).figure.axes[0]
    for cell, text in zip(axes.patches, axes.texts, strict=True):
        assert contrast(to_hex(cell.get_facecolor()), text.get_color()) > 3.9


def test_no_cluster_looks_like_noise():
    for colour in CLUSTER_COLOURS:
        parts = palette.rgb(colour)
        assert max(parts) - min(parts) > 40
    assert "#94a4a2" not in CLUSTER_COLOURS


def test_constant_descriptors_are_named_and_signed_ones_have_white_at_zero():
    figure = head_plots.descriptor_grids(findings_of()).figure
    titles = [axes.get_title(loc="left").split("  ")[0] for axes in figure.axes]
    assert titles == ["entropy", "importance ablation"]
    said = " ".join(texts_of(figure))
    assert "the same for every head: cluster share = 1, special = 0" in said
    assert "layers down" in said
    limits = [axes.images[0].get_clim() for axes in figure.axes]
    assert limits[1] == (-3.0, 3.0)
    assert limits[0][0] == 0
    assert figure.axes[1].images[0].get_cmap()(0.5)[:3] == pytest.approx((1, 1, 1), abs=0.01)


def test_exemplars_say_which_row_they_are_and_share_one_scale():
    picture = head_plots.mean_maps(findings_of())
    titles = [axes.get_title(loc="left") for axes in picture.figure.axes[:6]]
    assert titles == ["cluster 0, mean", "window 3, layer 1, head 2", "window 4, layer 0, head 1",
                      "cluster 1, mean", "window 2, layer 0, head 0", ""]  # fmt: skip
    limits = {axes.images[0].get_clim() for axes in picture.figure.axes[:5]}
    assert len(limits) == 1
    assert "root of" in " ".join(texts_of(picture.figure))
    exemplar = picture.data[(picture.data["cluster"] == 0) & (picture.data["map"] == 1)]
    assert len(exemplar) == CELLS**2
    assert exemplar[["window", "layer", "head"]].drop_duplicates().to_numpy().tolist() == [[3, 1, 2]]
    assert picture.data[picture.data["map"] == 0]["window"].isna().all()


def test_a_pure_cluster_does_not_set_the_scale():
    for make in (head_plots.cluster_by_layer, head_plots.cluster_by_head, head_plots.cluster_density):
        figure = make(findings_of()).figure
        assert figure.axes[0].images[0].get_clim() == (0, 1)
        assert "%" in " ".join(texts_of(figure))
    shares = head_plots.cluster_by_layer(findings_of()).figure.axes[0]
    assert [text.get_text() for text in shares.texts] == ["42", "58", "100"]


def test_a_long_tail_of_distances_is_cut_and_said():
    figure = head_plots.distance_curve(findings_of()).figure
    assert figure.axes[0].get_ylim()[1] < 1
    assert "cut off: the last rows reach 90" in texts_of(figure)
    clusters = findings_of().clusters
    dbscan = {**clusters["dbscan"], "curve": clusters["dbscan"]["curve"][:-1]}
    short = head_plots.distance_curve(findings_of(clusters={**clusters, "dbscan": dbscan})).figure
    assert not any("cut off" in text for text in texts_of(short))


def test_elbow_shows_distortion_or_says_that_k_was_given():
    titles = [axes.get_title(loc="left") for axes in head_plots.elbow_curve(findings_of()).figure.axes]
    assert titles[:2] == ["Silhouette", "Distortion"]
    clusters = {**findings_of().clusters, "kmeans": {"k": 7, "criterion": "given", "grid": []}}
    given = head_plots.elbow_curve(findings_of(clusters=clusters))
    assert given.figure.axes[0].get_title(loc="left") == "k = 7 was given"
    assert given.data["k"].tolist() == [7]


def test_ticks_are_whole_components_and_several_costs():
    variance = head_plots.variance_curve(findings_of()).figure.axes[0]
    assert all(float(tick).is_integer() for tick in variance.get_xticks())
    axes = head_plots.feature_chart(findings_of()).figure.axes[0]
    low, high = axes.get_xlim()
    assert sum(low <= tick <= high for tick in axes.get_xticks()) >= 3


def test_the_grid_of_dbscan_is_drawn_where_it_is_kept():
    lines = [
        {"eps": eps, "min_samples": count, "clusters": found, "noise_share": found and 0.2,
         "chosen": eps == 0.5 and count == 4, "status": "done" if found else "time limit"}
        for eps, found in ((0.5, 3), (0.7, None)) for count in (4, 8)
    ]  # fmt: skip
    clusters = findings_of().clusters
    findings = findings_of(clusters={**clusters, "dbscan": {**clusters["dbscan"], "grid": lines}})
    *_, last = head_plots.pictures(findings)
    assert last.name == "dbscan_grid"
    assert sorted(text.get_text() for text in last.figure.axes[0].texts) == ["3\n20.0% noise"] * 2 + ["time limit"] * 2
    assert len(last.figure.axes[0].patches) == 1


@pytest.mark.parametrize("module", [palette, head_sheet])
def test_examples_in_docstrings(module):
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0
