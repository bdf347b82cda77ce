"""The verb `score`: figures beside their values by chance, parts, clusters, and what is refused."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from separatrix.analysis import rows
from separatrix.analysis.score import cluster_numbers, score
from separatrix.errors import DataError, OptionError
from separatrix.geometry.neighbors import knn_predict
from separatrix.points import Points
from separatrix.recipe.score import ScoreRecipe

QUICK = ScoreRecipe(permutations=99, resamples=200)


def clouds(rows=90, gap=2.0, seed=0, width=6):
    rng = np.random.default_rng(seed)
    y = np.arange(rows) % 3
    return rng.normal(size=(rows, width)) + gap * np.eye(3, width)[y], y


def points_of(x, y, **columns):
    return Points.of(x, {"label": [f"class {name}" for name in y], **columns})


def test_separable_classes_are_found_and_shuffled_ones_are_not():
    x, y = clouds()
    good = score(points_of(x, y), recipe=QUICK)
    bad = score(points_of(x, np.random.default_rng(1).permutation(y)), recipe=QUICK)
    for name in ("knn_loo", "centroid_cv", "lda_cv", "probe_cv"):
        assert good[name].interval[0] > good[name].baseline + 0.2
        assert bad[name].value < 0.5
    for name in ("silhouette", "logme", "h_score", "between_share"):
        assert good[name].value > 2 * abs(good[name].baseline) or name == "logme"
        assert good[name].value > bad[name].value
    assert good["nc1"].value < bad["nc1"].value
    assert good.nulls["knn_loo"].p_value == pytest.approx(0.01)
    assert good.nulls["between_share"].p_value == pytest.approx(0.01)
    assert bad.nulls["knn_loo"].p_value > 0.05
    assert not good.warnings
    assert any("nothing separates" in line for line in bad.warnings)


def test_parts_are_scored_from_train_to_the_others():
    x, y = clouds(rows=120)
    split = np.repeat(["train", "validation", "test"], [60, 30, 30])
    found = score(points_of(x, y, split=split), recipe=QUICK)
    votes = knn_predict(x[90:].astype(np.float32), x[:60].astype(np.float32), y[:60], 5)
    assert found["knn_test"].value == pytest.approx((votes.argmax(axis=1) == y[90:]).mean())
    assert {"knn_validation", "probe_test", "lda_test", "centroid_test"} <= set(found.metrics)
    assert found.rows == {"train": 60, "validation": 30, "test": 30}
    assert {"loo", "validation", "test", "loo_interval"} <= set(found.grid[0])
    line = next(line for line in found.grid if line["metric"] == "cosine" and line["k"] == 5)
    assert line["loo"] == found["knn_loo"].value
    assert line["test"] == found["knn_test"].value


def test_repeats_and_shared_rows_are_counted():
    x, y = clouds(rows=60)
    x[31], x[50] = x[30], x[0]
    found = score(points_of(x, y, split=["train"] * 40 + ["test"] * 20), recipe=QUICK)
    assert any("1 of 40 rows of train repeat" in line for line in found.warnings)
    assert any("1 of 20 rows of test stand in train" in line for line in found.warnings)


def test_numbers_to_predict_have_r2():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 3))
    y = 2 * x[:, 0] + 0.1 * rng.normal(size=120)
    good = score(Points.of(x, {"label": y}), recipe=QUICK)
    bad = score(Points.of(x, {"label": rng.permutation(y)}), recipe=QUICK)
    assert good.unit == "R2"
    assert good["probe_cv"].value > 0.95 > 0.1 > bad["probe_cv"].value
    assert good["knn_loo"].interval[0] > 0.4 > bad["knn_loo"].value
    assert good.nulls["knn_loo"].p_value == pytest.approx(0.01)
    assert bad.nulls["knn_loo"].p_value > 0.05
    parts = score(Points.of(x, {"label": y, "split": ["train"] * 80 + ["test"] * 40}), recipe=QUICK)
    assert parts["probe_test"].value > 0.95


def test_clusters_are_compared_with_the_classes_by_id():
    x, y = clouds()
    points = points_of(x, y, id=[f"row {place}" for place in range(90)])
    table = pd.DataFrame({"id": points.column("id"), "cluster": y + 10})
    shuffled = table.sample(frac=1, random_state=0)
    found = score(points, clusters=shuffled, recipe=QUICK).clusters
    assert found["majority"]["accuracy"] == found["matched"]["accuracy"] == 1.0
    assert found["majority"]["p_value"] == pytest.approx(0.01)
    assert found["adjusted_rand"] == found["adjusted_mutual_information"] == pytest.approx(1.0)
    assert found["silhouette"]["value"] > 0.1
    split = score(points, clusters=np.where(y == 0, 0, np.where(np.arange(90) < 45, 1, -1)), recipe=QUICK).clusters
    assert split["noise"] == 30
    assert split["majority"]["accuracy"] < 0.7
    with pytest.raises(DataError, match="no cluster for id 'row 0'"):
        score(points, clusters=table[1:], recipe=QUICK)
    with pytest.raises(DataError, match="stands twice"):
        score(points, clusters=pd.concat([table, table[:1]]), recipe=QUICK)
    with pytest.raises(DataError, match="no column 'cluster'"):
        score(points, clusters=table[["id"]], recipe=QUICK)
    with pytest.raises(DataError, match="every row is noise"):
        score(points, clusters=np.full(90, -1), recipe=QUICK)
    with pytest.raises(DataError, match="do not fit"):
        cluster_numbers([0, 1], points)


def test_clusters_of_heads_are_compared_by_window_layer_and_head():
    x, y = clouds()
    place = np.arange(90)
    points = points_of(x, y, id=place // 6, layer=place % 6 // 3, head=place % 3)
    table = points.rows.frame(["id", "layer", "head"]).assign(cluster=y)
    for clusters in (table, table[::-1]):
        assert score(points, clusters=clusters, recipe=QUICK).clusters["matched"]["accuracy"] == 1.0
    with pytest.raises(DataError, match="clusters have no column 'layer'"):
        score(points, clusters=table.drop(columns="layer"), recipe=QUICK)
    with pytest.raises(DataError, match="89 of 90 points have none: got no cluster for id 0, layer 0, head 1"):
        score(points, clusters=table[:1], recipe=QUICK)
    with pytest.raises(DataError, match="a row stands twice among the clusters: got id 0, layer 0, head 0"):
        score(points, clusters=pd.concat([table, table[:1]]), recipe=QUICK)


def test_rows_may_come_in_any_order():
    """Identity: shuffling the rows with their labels changes no figure that does not draw rows by their place."""
    x, y = clouds()
    order = np.random.default_rng(5).permutation(90)
    one, other = (score(points_of(*data), recipe=QUICK) for data in ((x, y), (x[order], y[order])))
    for name in ("knn_loo", "silhouette", "logme", "h_score", "between_share", "nc1", "effective_rank", "anisotropy"):
        assert other[name].value == pytest.approx(one[name].value, rel=1e-6), name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (np.where(np.arange(90)[:, None] == 7, np.nan, x), y), "row 7 is not finite"),
        (lambda x, y: (np.column_stack([x, np.arange(90.0)]), y), "numbers the rows"),
        (lambda x, y: (x, 0 * y), "two classes"),
        (lambda x, y: (x[:5], y[:5]), "fewer rows than neighbors"),
        (lambda x, y: (np.ones((90, 3)), y), "equal|same"),
    ],
)
def test_bad_points_are_refused_in_one_sentence(change, message):
    with pytest.raises(DataError, match=message):
        score(points_of(*change(*clouds())), recipe=QUICK)


def test_options_are_refused_with_the_nearest_name():
    x, y = clouds()
    with pytest.raises(DataError, match="no column 'kind'"):
        score(points_of(x, y), recipe=ScoreRecipe(label="kind"))
    both = Points.of({"cls": x, "mean": x}, {"label": y})
    with pytest.raises(OptionError, match="several blocks"):
        score(both, recipe=QUICK)
    with pytest.raises(OptionError, match="did you mean 'mean'"):
        score(both, recipe=ScoreRecipe(block="meen"))
    with pytest.raises(OptionError, match="--grid"):
        ScoreRecipe(grid=(0, 5))
    with pytest.raises(OptionError, match="did you mean 'cosine'"):
        ScoreRecipe(metric="cosinus")


def test_constant_columns_are_said():
    x, y = clouds()
    found = score(points_of(np.column_stack([x, np.ones(90)]), y), recipe=QUICK)
    assert any("1 of 7 columns" in line for line in found.warnings)


def test_everything_is_plain_data_and_a_table(tmp_path):
    x, y = clouds()
    found = score(points_of(x, y), clusters=y, recipe=QUICK)
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["metrics"]["knn_loo"]["baseline_is"] == "majority"
    assert plain["recipe"]["permutations"] == 99
    assert re.search(r"knn_loo .*p = 0\.\d+ \(\d+ shuffles\)", str(found))
    assert "clusters, majority" in str(found)
    (tmp_path / "out").mkdir()
    found.save(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "result.json").read_text())["metrics"] == plain["metrics"]
    assert set(pd.read_parquet(tmp_path / "out" / "table.parquet")["figure"]) == set(found.metrics)
    with pytest.raises(OptionError, match="did you mean 'knn_loo'"):
        found["knn_lo"]


@pytest.mark.parametrize("parts", [False, True])
def test_every_figure_that_has_a_null_has_its_p_value(parts):
    """Regression: only two had one."""
    found = score(split_cloud() if parts else points_of(*clouds()), recipe=QUICK)
    # The probe that nc3 and nc4 compare with is fitted to these labels: no shuffle would be fair.
    bare = {"nc3", "nc4", "effective_rank", "anisotropy"}
    assert {name for name, figure in found.metrics.items() if figure.p_value is None} == bare
    assert set(found.nulls) == set(found.metrics) - bare
    good = {name: figure.p_value for name, figure in found.metrics.items() if name not in bare}
    assert max(value for name, value in good.items() if not name.startswith("nc2")) <= 0.05
    for name in ("nc1", "nc3"):  # low is good
        assert found[name].value < found[name].baseline


def split_cloud():
    x, y = clouds()
    parts = np.array(["train"] * 50 + ["validation"] * 20 + ["test"] * 20)
    return Points.of(x, {"label": np.array(list("abc"))[y], "split": parts})


def test_p_values_of_noise_are_even_for_the_figures_measured_again():
    low, recipe = [], ScoreRecipe(permutations=49, resamples=20)
    for seed in range(12):
        rng = np.random.default_rng(seed)
        noise = points_of(rng.normal(size=(36, 4)), rng.integers(0, 2, 36))
        low.append({name: null.p_value < 0.2 for name, null in score(noise, recipe=recipe).nulls.items()})
    for name in ("silhouette", "logme", "h_score", "nc1", "nc2_angle", "probe_cv"):
        assert sum(one[name] for one in low) <= 7, name


def test_a_silhouette_of_clusters_says_what_noise_it_leaves_out():
    x, y = clouds()
    numbers = np.where(np.arange(90) % 9 == 0, -1, y)
    found = score(points_of(x, y), clusters=numbers, recipe=QUICK)
    assert found.clusters["silhouette"]["rows"] == 80
    assert "80 rows, 10 of noise left out" in str(found)


def test_clusters_are_named_by_training_rows_and_scored_on_the_others():
    """Regression: training and test rows were pooled, so the accuracy of clusters came from rows that named them."""
    points = split_cloud()
    train = points.column("split") == "train"
    _, y = np.unique(points.column("label"), return_inverse=True)
    numbers = np.where(train, y, (y + 1) % 3)  # what holds in training is wrong everywhere else
    found = score(points, clusters=numbers, recipe=QUICK).clusters
    assert (found["named_by"], found["rows"], found["majority"]["accuracy"]) == ("train", 50, 1.0)
    assert {name: part["majority"]["accuracy"] for name, part in found["by_split"].items()} == {
        "validation": 0,
        "test": 0,
    }
    assert found["by_split"]["test"]["rows"] == 20
    pooled = score(points_of(*clouds()), clusters=numbers, recipe=QUICK).clusters
    assert (pooled["named_by"], pooled["by_split"], pooled["rows"]) == ("all", {}, 90)


@pytest.mark.parametrize("parts", [False, True])
def test_wide_vectors_have_the_figures_of_their_own_directions(monkeypatch, parts):
    """More columns than rows are turned into as many directions as there are rows: no figure moves."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 3
    x = rng.normal(size=(60, 200)) + 100 + np.eye(3, 200)[y] * 3
    table = {"label": [f"c{label}" for label in y]} | ({"split": ["train", "test"] * 30} if parts else {})
    turned = score(Points.of(x, table), k=3, permutations=99)
    monkeypatch.setattr(rows.Split, "narrow", property(lambda split: split))
    plain = score(Points.of(x, table), k=3, permutations=99)
    for name, figure in plain.metrics.items():
        assert turned[name].value == pytest.approx(figure.value, rel=1e-6, abs=1e-9), name
        assert turned[name].baseline == pytest.approx(figure.baseline, rel=1e-6, abs=1e-9), name
        assert turned[name].p_value == figure.p_value, name
