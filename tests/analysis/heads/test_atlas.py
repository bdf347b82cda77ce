"""The whole atlas: identities, steps that restart, bad input, and the page's data."""

import doctest
import json
import re
import shutil
from html import unescape

import numpy as np
import pandas as pd
import pytest

from head_atlases import CELLS, reading_of, recipe_of
from separatrix.analysis.heads import HeadAtlas, head_atlas
from separatrix.analysis.heads import importance as heads_importance
from separatrix.analysis.heads.page import window_lines
from separatrix.cli import app
from separatrix.errors import DataError, ModelError, OptionError, StoreError
from separatrix.extraction import extract as extraction
from separatrix.folders import load
from separatrix.heads import features as batches_of_maps
from separatrix.heads.descriptors import NAMES
from separatrix.store.files import read_tensors
from separatrix.store.result import Result

pytestmark = pytest.mark.filterwarnings("ignore:.*joblib will operate in serial mode")
IDENTITY = ("id", "example", "window", "position", "context", "layer", "head", "length", "special")


def test_result_has_the_contract(made):
    found = made.figures()
    assert {"maps", "features", "clusters", "association", "page", "maps_per_second"} <= set(found)
    assert found["maps"] == found["windows"] * CELLS
    assert [line["feature"] for line in found["features"]] == ["descriptors", "grid", "singular", "twins"]
    for line in found["features"]:
        assert abs(line["ami_shuffled"]) < 0.2
        assert line["seconds_per_map"] > 0
    stored = json.loads((made.folder / "result.json").read_text())
    assert stored == json.loads(json.dumps(found)) | {"kind": "atlas"}
    assert str(made.folder) not in json.dumps(stored)  # no path: results are given away
    assert found["clusters"]["dbscan"]["grid"][0]["clusters"] is not None
    assert found["clusters"]["hdbscan"]["criterion"] == "given"
    assert found["examples"] < found["windows"]
    again = HeadAtlas.open(made.folder)
    assert again.figures() | {"kind": "atlas"} == stored
    assert again.to_dict()["page"] == str(made.page)


def test_an_atlas_is_a_result_like_others(made, tmp_path):
    assert isinstance(made, Result)
    assert "cluster with" in str(made)
    assert "<table>" in made._repr_html_()
    assert made.head_table["layer"].nunique() == 3
    made.save(tmp_path / "copy")
    again = load(tmp_path / "copy")
    assert again.figures() == HeadAtlas.open(made.folder).figures()
    assert again.page.read_bytes() == made.page.read_bytes()
    with pytest.raises(StoreError, match="holds no maps: expected points"):
        made.part("maps")


def test_every_step_is_an_ordinary_artefact(made):
    kinds = {"points": "Points", "features": "Points", "kmeans": "Clusters", "dbscan": "Clusters",
             "hdbscan": "Clusters", "again": "Clusters", "associations": "Associations"}  # fmt: skip
    opened = {name: load(made.part(name)) for name in kinds}
    assert {name: type(each).__name__ for name, each in opened.items()} == kinds
    assert opened["points"].blocks["descriptors"].shape == (made.maps, len(NAMES))
    assert opened["kmeans"].labels.tolist() == made.table["kmeans"].tolist()
    assert opened["associations"].columns["layer"]["null"] == "units"
    assert opened["features"].blocks["twins"].shape[1] == 5


def test_identity_travels_with_every_row(made):
    """P21: example, window, context, layer and head of each row, through clustering and clustering again."""
    table = made.table
    assert set(IDENTITY) | {"label", "cluster", "kmeans", "dbscan", "hdbscan", "child"} <= set(table.columns)
    assert table["id"].is_unique
    assert len(table) == made.maps
    counts = table.groupby(["layer", "head"]).size()
    assert len(counts) == CELLS
    assert counts.nunique() == 1
    expected = [
        f"w{w}.l{layer}.h{h}" for w, layer, h in zip(table["window"], table["layer"], table["head"], strict=True)
    ]
    assert table["id"].tolist() == expected
    # A child keeps the layer and head of its parent: it is the same line of the same table.
    parent = int(made.clusters["again"]["parent"])
    inside = table["child"] >= -1
    assert (table.loc[inside, "dbscan"] == parent).all()
    assert int(inside.sum()) == made.clusters["again"]["rows_used"] == made.clusters["dbscan"]["sizes"][parent]


def test_numbers_belong_to_their_rows(made, data, tiny):
    """The stored descriptors of a row are those of its own window, layer and head, computed alone."""
    from separatrix.heads.descriptors import descriptors
    from separatrix.heads.maps import collate, run_maps

    reading = reading_of(data, recipe_of(tiny("bert")))
    stored = load(made.part("points")).blocks["descriptors"][:]
    table, windows = made.table, window_lines(load(made.part("points")))
    for place in (0, 5, len(windows) - 1):
        window = reading.window(windows["number"][place], windows["position"][place])
        batch, kept = collate([window], reading.backbone), []
        run_maps(reading.backbone, batch, lambda _, maps, batch=batch, kept=kept: kept.append(descriptors(maps, batch)))
        for layer, head in ((0, 1), (2, 3)):
            row = table.index[(table["window"] == place) & (table["layer"] == layer) & (table["head"] == head)][0]
            np.testing.assert_allclose(stored[row], kept[layer][0, head].numpy(), atol=1e-4)
            assert table.loc[row, "length"] == len(window)
    heads_table = pd.read_parquet(made.folder / "heads.parquet")
    means = pd.DataFrame(np.asarray(stored), columns=list(NAMES)).groupby([table["layer"], table["head"]]).mean()
    np.testing.assert_allclose(heads_table[list(NAMES)], means, atol=1e-5)


def test_pictures_and_numbers_lie_side_by_side(made):
    pictures = {path.stem for path in (made.folder / "pictures").glob("*.png")}
    assert len(pictures) == 13
    assert pictures == {path.stem for path in (made.folder / "pictures").glob("*.csv")}
    density = pd.read_csv(made.folder / "pictures" / "density.csv")
    counts = made.table.groupby(["cluster", "layer", "head"]).size()
    for _, line in density.iterrows():
        assert counts.get((line["cluster"], line["layer"], line["head"]), 0) == line["rows"]


def headings(page, section):
    """The column headings of each table of a section."""
    text = unescape(page.read_text()).partition(f'<section id="{section}"')[2].partition("</section>")[0]
    return [
        re.findall(r"<th scope=\"col\"[^>]*>([^<]*)", table) for table in re.findall(r"<table>.*?</table>", text, re.S)
    ]


def test_columns_of_the_page_stand_in_the_order_of_reading(made):
    """A finished atlas comes back from JSON with sorted keys; the columns keep their order all the same."""
    (association,) = headings(made.page, "association")
    assert association[:7] == ["clusters with", "verdict", "AMI", "Cramer's V", "MI (nats)", "null", "p"]
    assert association[-1] == "shuffled"
    assert headings(made.page, "controls")[0] == ["rows", "number", "clusters", "AMI with head"]


def test_the_page_says_whether_a_cluster_predicts_what_may_be_removed(made):
    scores, by_cluster = headings(made.page, "importance")
    assert scores[:3] == ["importance by", "share between clusters", "clusters shuffled"]
    assert by_cluster[:2] == ["cluster", "heads"]
    found = made.importance
    text = made.page.read_text()
    assert f"Loss `{found['loss']}`" in text
    assert "may be removed?" in text
    heads = pd.read_parquet(made.folder / "heads.parquet")
    *lines, whole = found["by_cluster"]
    assert sum(line["heads"] for line in lines) == whole["heads"] == CELLS
    for line in lines:
        part = heads[heads["cluster"] == int(line["cluster"])]
        assert line["ablation"] == pytest.approx(part["importance_ablation"].mean())
        assert line["harmless"] == (part["importance_ablation"] <= 0).sum()


def test_noise_curve_equals_the_table(made):
    table = made.table[made.table["dbscan"] > -2]
    for line in made.noise_by_layer["dbscan"]:
        part = table[table["layer"] == line["layer"]]
        by_context = (part["dbscan"] == -1).groupby(part["context"]).mean()
        assert line["noise"] == pytest.approx(by_context.mean())
        assert line["low"] <= line["noise"] <= line["high"]


def test_a_second_order_loads_and_another_k_extracts_nothing(made, data, tiny, tmp_path, monkeypatch):
    out = tmp_path / "atlas"
    shutil.copytree(made.folder, out)

    def never(*places, **options):
        raise AssertionError("the maps were extracted once more")
        yield

    monkeypatch.setattr("separatrix.extraction.attention.extract_features", never)
    features = ("descriptors", "grid", "singular", "twins")
    again = recipe_of(tiny("bert"), features=features, values=4, twins_epochs=1, k=3)
    found = head_atlas(data, recipe=again, out=out, steps=("cluster",), resume=True)
    assert found.clusters["count"] == 3
    assert [len(list(out.glob(name))) for name in ("kmeans-*", "dbscan-*")] == [2, 1]
    # What tells of the old clusters is gone: page, pictures, heads; the table is that of the new ones.
    assert not any((out / name).exists() for name in ("atlas.html", "heads.parquet", "pictures"))
    assert found.table["cluster"].max() == 2
    assert found.steps == ["extract", "features", "cluster"]
    assert not {"page", "association"} & set(found.figures())
    with pytest.raises(StoreError, match="exists; type --overwrite"):
        head_atlas(data, recipe=again, out=out)


@pytest.mark.parametrize("step", ["points", "features", "kmeans", "associations"])
def test_altered_results_of_steps_are_refused_when_it_is_gone_on_with(made, data, tiny, tmp_path, step):
    out = tmp_path / "atlas"
    shutil.copytree(made.folder, out)
    features = ("descriptors", "grid", "singular", "twins")
    same = recipe_of(tiny("bert"), features=features, values=4, twins_epochs=1)
    name = "result.json" if step in ("kmeans", "associations") else "table.parquet"
    (out / made.folders[step] / name).write_text("{}")
    with pytest.raises(StoreError, match=r"is truncated"):
        head_atlas(data, recipe=same, out=out, resume=True)
    manifest = json.loads((out / "manifest.json").read_text()) | {"files": None}  # as of a killed command
    (out / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match=r"is truncated"):
        head_atlas(data, recipe=same, out=out, resume=True)


def test_without_its_manifest_nothing_at_the_top_is_believed(made, data, tiny, tmp_path):
    """Regression: an altered table was read by `resume` where the manifest, which has its hash, was deleted."""
    out = tmp_path / "atlas"
    shutil.copytree(made.folder, out)
    features = ("descriptors", "grid", "singular", "twins")
    same = recipe_of(tiny("bert"), features=features, values=4, twins_epochs=1)
    table = made.table.assign(cluster=0)
    table.to_parquet(out / "table.parquet")
    (out / "manifest.json").unlink()
    found = head_atlas(data, recipe=same, out=out, resume=True)
    assert found.table["cluster"].tolist() == made.table["cluster"].tolist()
    assert any("had no manifest" in note for note in found.notes)
    assert found.association == made.association
    assert HeadAtlas.open(out).figures() == found.figures()


def test_two_runs_leave_the_same_bytes(data, tiny, tmp_path):
    """How long it took stands in `result.json` alone."""
    options = {"features": ("descriptors", "grid", "twins"), "twins_epochs": 1}
    one, other = (
        head_atlas(data, recipe=recipe_of(tiny("bert"), **options), steps=("features",), out=tmp_path / name)
        for name in ("one", "other")
    )
    assert one.seconds_per_map["grid"] > 0
    for part in ("points", "features"):
        files = [path for path in one.part(part).rglob("*") if path.is_file()]
        assert len(files) > 3
        for path in files:
            assert (other.part(part) / path.relative_to(one.part(part))).read_bytes() == path.read_bytes(), path.name


def test_a_shorter_order_on_a_finished_atlas_leaves_the_page(made, data, tiny, tmp_path):
    out = tmp_path / "atlas"
    shutil.copytree(made.folder, out)
    features = ("descriptors", "grid", "singular", "twins")
    same = recipe_of(tiny("bert"), features=features, values=4, twins_epochs=1)
    found = head_atlas(data, recipe=same, out=out, steps=("cluster",), resume=True)
    assert found.page.read_bytes() == made.page.read_bytes()
    assert found.association == HeadAtlas.open(made.folder).association
    assert found.folders == made.folders
    assert found.steps == made.steps


def test_fewer_windows_than_asked_for_are_said(data, tiny, tmp_path):
    found = head_atlas(data, recipe=recipe_of(tiny("bert"), windows=500), out=tmp_path / "out", steps=("extract",))
    (note,) = found.notes
    assert note == f"500 windows were asked for, the data give {found.windows}"


def test_a_killed_extraction_goes_on_and_ends_with_the_same_bytes(data, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(extraction, "WINDOW_ROWS", 4)  # examples a shard
    recipe = recipe_of(tiny("gpt2"))
    whole = head_atlas(data, recipe=recipe, out=tmp_path / "whole", steps=("extract",))

    class KilledAtlas(BaseException):
        pass

    def kill(stage, done, total, note):
        if done > total / 2:
            raise KilledAtlas("here")

    with pytest.raises(KilledAtlas, match="here"):
        head_atlas(data, recipe=recipe, out=tmp_path / "killed", steps=("extract",), progress=kill)
    batches = []
    real = batches_of_maps.collate
    monkeypatch.setattr(
        batches_of_maps, "collate", lambda windows, model: (batches.extend(windows), real(windows, model))[1]
    )
    found = head_atlas(data, recipe=recipe, out=tmp_path / "killed", steps=("extract",), resume=True)
    assert 0 < len(batches) < whole.windows
    names = [path.relative_to(whole.part("points")) for path in whole.part("points").rglob("*") if path.is_file()]
    assert sum(name.suffix in (".f16", ".f32") for name in names) > 4
    for name in names:
        assert (whole.part("points") / name).read_bytes() == (found.part("points") / name).read_bytes(), name


def test_raw_maps_are_kept_only_if_asked_for(made, data, tiny, tmp_path):
    assert not list(made.folder.glob("raw*"))
    found = head_atlas(
        data, recipe=recipe_of(tiny("bert"), raw=True, windows=4), out=tmp_path / "raw", steps=("extract",)
    )
    files = list(found.folder.glob("raw-*/*.safetensors"))
    assert len(files) == found.windows
    tensors, note = read_tensors(files[0])
    assert tensors["maps"].shape == (3, 4, len(note["words"]), len(note["words"]))
    np.testing.assert_allclose(tensors["maps"].sum(-1), 1, atol=1e-2)


def test_features_are_independent_of_the_batches(data, tiny, tmp_path, monkeypatch):
    recipe = recipe_of(tiny("bert"))
    whole = head_atlas(data, recipe=recipe, out=tmp_path / "whole", steps=("extract",))
    monkeypatch.setitem(batches_of_maps.CELLS, "cpu", 1)
    single = head_atlas(data, recipe=recipe, out=tmp_path / "single", steps=("extract",))
    one, other = (load(each.part("points")).blocks["descriptors"][:] for each in (whole, single))
    np.testing.assert_allclose(one, other, atol=1e-4)


def test_an_index_column_is_no_feature(made, monkeypatch):
    """P22: seed 002 clustered a row number; the clustering refuses it."""
    from separatrix.analysis.cluster import cluster
    from separatrix.points import Points

    rows = load(made.part("points")).pick("descriptors")
    values = np.column_stack([rows.values, np.arange(len(rows))])
    with pytest.raises(DataError, match=r"numbers the rows|row number"):
        cluster(Points.of(values, rows.table), "kmeans", k=3)


def test_bad_input(data, tiny, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(OptionError, match=r"longer than the model.*128"):
        head_atlas(data, recipe=recipe_of(tiny("bert"), max_length=200), out=out)
    with pytest.raises(ModelError, match="was found neither"):
        head_atlas(data, recipe=recipe_of("./nothing-here"), out=out)
    with pytest.raises(OptionError, match=r"unknown --steps.*did you mean 'cluster'"):
        head_atlas(data, recipe=recipe_of(tiny("bert")), out=out, steps=("clusters",))
    with pytest.raises(OptionError, match=r"--cluster-feature is not computed.*--features descriptors grid twins"):
        recipe_of("x", cluster_feature="twins")
    (tmp_path / "w.safetensors").write_bytes(b"junk")
    changes = {"features": ("descriptors", "resnet"), "resnet_weights": str(tmp_path / "w.safetensors")}
    with pytest.raises(ModelError, match="is no safetensors file"):
        head_atlas(data, recipe=recipe_of(tiny("bert"), **changes), out=out)
    assert not out.exists()
    with pytest.raises(StoreError, match="holds no finished atlas"):
        HeadAtlas.open(out)


def test_plain_texts_and_a_causal_model(tiny, tmp_path, planted):
    pd.DataFrame({"body": planted[0][:30]}).to_csv(tmp_path / "x.csv", index=False)
    recipe = recipe_of(tiny("gpt2"), text="body", method="hdbscan", importance="language")
    found = head_atlas(tmp_path / "x.csv", recipe=recipe, out=tmp_path / "out")
    assert found.causal
    assert found.importance["loss"] == "language"
    table = pd.read_parquet(tmp_path / "out" / "heads.parquet")
    assert float(table["next"].abs().max()) == 0
    assert np.isfinite(table["importance_ablation"]).all()


def test_command(data, tiny, tmp_path, capsys):
    words = [
        "heads", str(data), "--model", str(tiny("bert")), "--out", str(tmp_path / "out"), "--windows", "8",
        "--max-length", "40", "--max-query-length", "6", "--steps", "extract", "--json", "--quiet", "--device", "cpu",
    ]  # fmt: skip
    assert app.main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["maps"] == found["windows"] * CELLS
    assert app.main(words) == 2
    assert "type --overwrite" in capsys.readouterr().err
    assert app.main(["heads", str(data), "--out", str(tmp_path / "o"), "--method", "kmean"]) == 2
    assert "did you mean 'kmeans'" in capsys.readouterr().err


def test_examples_in_docstrings():
    result = doctest.testmod(heads_importance)
    assert result.attempted > 0
    assert result.failed == 0
