"""The whole atlas: identities, steps that restart, bad input, and the page's data."""

import doctest
import json
import re
import shutil
from html import unescape

import numpy as np
import pandas as pd
import pytest

from separatrix.analysis.heads import cluster as heads_cluster
from separatrix.analysis.heads import head_atlas, open_atlas
from separatrix.analysis.heads import importance as heads_importance
from separatrix.analysis.heads.atlas import pick_windows, shown_windows
from separatrix.analysis.heads.extract import IDENTITY, prepare_reading
from separatrix.cli import app
from separatrix.errors import DataError, ModelError, OptionError, StoreError
from separatrix.heads import extract as extraction
from separatrix.heads.descriptors import NAMES
from separatrix.heads.maps import maps_of
from separatrix.recipe import replace
from separatrix.recipe.heads import HeadsRecipe
from separatrix.store.blocks import create_block, open_block
from separatrix.store.files import read_tensors
from separatrix.texts.questions_answers import read_material

pytestmark = pytest.mark.filterwarnings("ignore:.*joblib will operate in serial mode")
CELLS = 12  # heads of the tiny models


def squad(paragraphs=8, questions=3):
    generator = np.random.default_rng(0)
    words = "the a cat dog bird fish tree house river red blue green old new big small is was".split()  # noqa: SIM905
    made = []
    for number in range(paragraphs):
        context = " ".join(generator.choice(words, size=int(generator.integers(8, 60))))
        asked = [{"id": f"q{number}.{place}", "question": f"where is the {words[place]} ?", "answers": []}
                 for place in range(questions)]  # fmt: skip
        made.append({"context": context, "qas": asked})
    return {"data": [{"title": "animals", "paragraphs": made}]}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "dev.json"
    path.write_text(json.dumps(squad()))
    return path


def recipe_of(model, **changes):
    small = {
        "model": str(model), "device": "cpu", "windows": 24, "max_length": 40, "stride": 16, "max_query_length": 6,
        "shards": 4, "cells": 6, "k": 4, "min_cluster_size": 8, "min_samples": 4, "permutations": 19, "sentences": 2,
        "page_tokens": 30, "importance_windows": 4, "components": 5,
    }  # fmt: skip
    return replace(HeadsRecipe(), **small | changes)


@pytest.fixture(scope="module")
def made(data, tiny, tmp_path_factory):
    """A finished atlas; tests read it and leave it as it is."""
    out = tmp_path_factory.mktemp("atlas") / "atlas"
    features = ("descriptors", "grid", "singular", "twins")
    return head_atlas(data, out, recipe_of(tiny("bert"), features=features, values=4, twins_epochs=1))


def test_result_has_the_contract(made):
    found = made.result
    assert {"maps", "features", "clusters", "association", "page", "maps_per_second"} <= set(found)
    assert found["maps"] == found["windows"] * CELLS
    assert [line["feature"] for line in found["features"]] == ["descriptors", "grid", "singular", "twins"]
    for line in found["features"]:
        assert abs(line["ami_shuffled"]) < 0.2
        assert line["seconds_per_map"] > 0
    stored = {name: value for name, value in found.items() if name != "out"} | {"page": "atlas.html"}
    assert json.loads((made.folder / "result.json").read_text()) == stored
    for name in ("dbscan", "hdbscan"):
        assert found["clusters"][name]["grid"][0]["clusters"] is not None
    assert found["examples"] < found["windows"]
    assert open_atlas(made.folder).result == stored


def test_identity_travels_with_every_row(made):
    """P21: example, window, context, layer and head of each row, through clustering and clustering again."""
    table = made.table
    assert set(IDENTITY) | {"cluster", "kmeans", "dbscan", "hdbscan", "child"} <= set(table.columns)
    assert table["id"].is_unique
    assert len(table) == made.result["maps"]
    counts = table.groupby(["layer", "head"]).size()
    assert len(counts) == CELLS
    assert counts.nunique() == 1
    expected = [
        f"w{w}.l{layer}.h{h}" for w, layer, h in zip(table["window"], table["layer"], table["head"], strict=True)
    ]
    assert table["id"].tolist() == expected
    # A child keeps the layer and head of its parent: it is the same line of the same table.
    parent = made.result["clusters"]["again"].get("parent")
    inside = table["child"] >= -1
    assert (table.loc[inside, "dbscan"] == parent).all()
    assert int(inside.sum()) == made.result["clusters"]["again"]["rows"]


def test_numbers_belong_to_their_rows(made, data, tiny):
    """The stored descriptors of a row are those of its own window, layer and head, computed alone."""
    from separatrix.heads.descriptors import descriptors
    from separatrix.heads.maps import collate, run_maps

    recipe = recipe_of(tiny("bert"))
    reading = prepare_reading(read_material(data), recipe)
    stored = open_block(made.folder / made.result["folders"]["extract"] / "descriptors.npy")
    table = made.table
    for place in (0, 5, len(reading.windows) - 1):
        batch, kept = collate([reading.windows[place]], reading.backbone), []
        run_maps(reading.backbone, batch, lambda _, maps, batch=batch, kept=kept: kept.append(descriptors(maps, batch)))
        for layer, head in ((0, 1), (2, 3)):
            row = table.index[(table["window"] == place) & (table["layer"] == layer) & (table["head"] == head)][0]
            np.testing.assert_allclose(stored[row], kept[layer][0, head].numpy(), atol=1e-4)
            assert table.loc[row, "length"] == len(reading.windows[place])
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
    found = made.result["importance"]
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
    for line in made.result["noise_by_layer"]["dbscan"]:
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

    monkeypatch.setattr("separatrix.analysis.heads.extract.extract_features", never)
    features = ("descriptors", "grid", "singular", "twins")
    again = recipe_of(tiny("bert"), features=features, values=4, twins_epochs=1, k=3)
    found = head_atlas(data, out, again, steps=("cluster",), resume=True)
    assert found.result["clusters"]["count"] == 3
    assert len(list(out.glob("cluster-*"))) == 2
    # What tells of the old clusters is gone: page, pictures, heads; the table is that of the new ones.
    assert not any((out / name).exists() for name in ("atlas.html", "heads.parquet", "pictures"))
    assert found.table["cluster"].max() == 2
    assert found.result["steps"] == ["extract", "features", "cluster"]
    assert not {"page", "association"} & set(found.result)
    with pytest.raises(StoreError, match="exists; type --overwrite"):
        head_atlas(data, out, again)


@pytest.mark.parametrize("step", ["extract", "features", "cluster", "atlas"])
def test_altered_results_of_steps_are_refused_when_it_is_gone_on_with(made, data, tiny, tmp_path, step):
    out = tmp_path / "atlas"
    shutil.copytree(made.folder, out)
    features = ("descriptors", "grid", "singular", "twins")
    same = recipe_of(tiny("bert"), features=features, values=4, twins_epochs=1)
    (out / made.result["folders"][step] / "result.json").write_text("{}")
    with pytest.raises(StoreError, match=r"result\.json is truncated"):
        head_atlas(data, out, same, resume=True)
    manifest = json.loads((out / "manifest.json").read_text()) | {"files": None}  # as of a killed command
    (out / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match=r"atlas is damaged \(KeyError"):
        head_atlas(data, out, same, resume=True)


def test_a_shorter_order_on_a_finished_atlas_leaves_the_page(made, data, tiny, tmp_path):
    out = tmp_path / "atlas"
    shutil.copytree(made.folder, out)
    features = ("descriptors", "grid", "singular", "twins")
    same = recipe_of(tiny("bert"), features=features, values=4, twins_epochs=1)
    found = head_atlas(data, out, same, steps=("cluster",), resume=True)
    assert found.page.read_bytes() == made.page.read_bytes()
    assert found.result["association"] == made.result["association"]
    assert found.result["folders"] == made.result["folders"]


def test_no_map_on_the_page_is_larger_than_asked_for():
    lengths, page = [60, 80, *[1024] * 8], replace(HeadsRecipe(), page_tokens=96)
    windows = [range(length) for length in lengths]
    assert pick_windows(windows, range(10), page) == [1, 0, 5]  # of median length: shown in part
    assert pick_windows(windows, range(10), replace(page, sentences=1)) == [1]
    assert pick_windows(windows, [0] * 10, replace(page, sentences=2)) == [1, 5]
    assert pick_windows(windows[2:], range(8), page) == [0, 4]


def test_long_windows_are_shown_in_part(made, data, tiny):
    reading = prepare_reading(read_material(data), recipe_of(tiny("bert")))
    shown = shown_windows(reading, recipe_of(tiny("bert"), page_tokens=12))
    assert all(len(window.words) <= 12 for window in shown)
    assert "first 12 of" in shown[0].title
    whole = shown_windows(reading, recipe_of(tiny("bert"), page_tokens=40))
    assert max(len(window.words) for window in whole) > 12
    # The weights are those of the whole window, not of one that was cut before it was read.
    place = next(at for at, window in enumerate(reading.windows) if window.words[:12] == shown[0].words)
    maps = maps_of(reading.backbone, reading.windows[place]).flatten(0, 1).numpy()
    np.testing.assert_allclose((shown[0].levels / 255) ** 2, maps[:, :12, :12], atol=5e-3)


def test_fewer_windows_than_asked_for_are_said(data, tiny, tmp_path):
    found = head_atlas(data, tmp_path / "out", recipe_of(tiny("bert"), windows=500), steps=("extract",))
    (note,) = found.result["notes"]
    assert note == f"500 windows were asked for, the data give {found.result['windows']}"


def test_a_killed_extraction_goes_on_and_ends_with_the_same_bytes(data, tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(extraction.CELLS, "cpu", 4000)  # several batches
    monkeypatch.setattr("separatrix.analysis.heads.extract.FLUSH_SECONDS", -1.0)
    recipe = recipe_of(tiny("gpt2"))
    whole = head_atlas(data, tmp_path / "whole", recipe, steps=("extract",))

    class Killed(BaseException):
        pass

    def kill(stage, done, total, note):
        if done > total / 2:
            raise Killed("here")

    with pytest.raises(Killed, match="here"):
        head_atlas(data, tmp_path / "killed", recipe, steps=("extract",), progress=kill)
    batches = []
    real = extraction.run_maps
    monkeypatch.setattr(extraction, "run_maps", lambda *given, **more: (batches.append(1), real(*given, **more))[1])
    found = head_atlas(data, tmp_path / "killed", recipe, steps=("extract",), resume=True)
    total = json.loads((whole.folder / whole.result["folders"]["extract"] / "progress.json").read_text())["batches"]
    assert 0 < len(batches) < total
    for name in ("descriptors.npy", "grid.npy", "table.parquet"):
        one, other = (each.folder / each.result["folders"]["extract"] / name for each in (whole, found))
        assert one.read_bytes() == other.read_bytes(), name


def test_raw_maps_are_kept_only_if_asked_for(made, data, tiny, tmp_path):
    assert not list(made.folder.rglob("raw"))
    found = head_atlas(data, tmp_path / "raw", recipe_of(tiny("bert"), raw=True, windows=4), steps=("extract",))
    files = list((found.folder / found.result["folders"]["extract"] / "raw").glob("*.safetensors"))
    assert len(files) == found.result["windows"]
    tensors, note = read_tensors(files[0])
    assert tensors["maps"].shape == (3, 4, len(note["words"]), len(note["words"]))
    np.testing.assert_allclose(tensors["maps"].sum(-1), 1, atol=1e-2)


def test_features_are_independent_of_the_batches(data, tiny, tmp_path, monkeypatch):
    recipe = recipe_of(tiny("bert"))
    whole = head_atlas(data, tmp_path / "whole", recipe, steps=("extract",))
    monkeypatch.setitem(extraction.CELLS, "cpu", 1)
    single = head_atlas(data, tmp_path / "single", recipe, steps=("extract",))
    one, other = (
        open_block(each.folder / each.result["folders"]["extract"] / "descriptors.npy") for each in (whole, single)
    )
    np.testing.assert_allclose(one, other, atol=1e-4)


def test_an_index_column_is_no_feature(made, monkeypatch):
    """P22: seed 002 clustered a row number; the clustering refuses it."""
    from separatrix.analysis.heads.extract import open_rows

    rows = open_rows(made.folder / made.result["folders"]["extract"], ("descriptors",))
    values = np.column_stack([np.asarray(rows.values), np.arange(len(rows))])
    with pytest.raises(DataError, match=r"numbers the rows|row number"):
        heads_cluster.group_rows(rows, values, recipe_of("x").clusters, 0, lambda *told: None)


def test_bad_input(data, tiny, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(OptionError, match=r"longer than the model.*128"):
        head_atlas(data, out, recipe_of(tiny("bert"), max_length=200))
    with pytest.raises(ModelError, match="was found neither"):
        head_atlas(data, out, recipe_of("./nothing-here"))
    with pytest.raises(OptionError, match=r"unknown --steps.*did you mean 'cluster'"):
        head_atlas(data, out, recipe_of(tiny("bert")), steps=("clusters",))
    with pytest.raises(OptionError, match=r"--feature is not computed.*--features descriptors grid twins"):
        recipe_of("x", feature="twins")
    (tmp_path / "w.safetensors").write_bytes(b"junk")
    changes = {"features": ("descriptors", "resnet"), "weights": str(tmp_path / "w.safetensors")}
    with pytest.raises(ModelError, match="is no safetensors file"):
        head_atlas(data, out, recipe_of(tiny("bert"), **changes))
    assert not out.exists()
    with pytest.raises(StoreError, match="holds no atlas"):
        open_atlas(out)


def test_plain_texts_and_a_causal_model(tiny, tmp_path, planted):
    pd.DataFrame({"body": planted[0][:30]}).to_csv(tmp_path / "x.csv", index=False)
    recipe = recipe_of(tiny("gpt2"), text="body", method="hdbscan", importance="language")
    found = head_atlas(tmp_path / "x.csv", tmp_path / "out", recipe)
    assert found.result["causal"]
    assert found.result["importance"]["loss"] == "language"
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


def test_blocks_on_disk(tmp_path):
    block = create_block(tmp_path / "a.npy", 3, 2)
    block[1] = [1, 2]
    block.flush()
    assert open_block(tmp_path / "a.npy")[:].tolist() == [[0, 0], [1, 2], [0, 0]]
    with pytest.raises(StoreError, match="does not exist"):
        open_block(tmp_path / "b.npy")
    (tmp_path / "b.npy").write_bytes(b"junk")
    with pytest.raises(StoreError, match="is damaged"):
        open_block(tmp_path / "b.npy")
    np.save(tmp_path / "c.npy", np.zeros(3))
    with pytest.raises(StoreError, match="holds no rows"):
        open_block(tmp_path / "c.npy")


def test_examples_in_docstrings():
    result = doctest.testmod(heads_importance)
    assert result.attempted > 0
    assert result.failed == 0
