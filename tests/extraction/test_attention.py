"""Attention heads as points: identity of the rows, one writer, and every verb over points works on them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import separatrix as sx
from separatrix.errors import OptionError, StoreError
from separatrix.extraction import extract as extraction
from separatrix.extraction.attention import ExampleRows, attention_rows
from separatrix.extraction.extract import extract
from separatrix.heads.descriptors import NAMES, descriptors
from separatrix.heads.maps import collate, load_for_maps, run_maps
from separatrix.heads.windows import WindowRule, cut_windows
from separatrix.recipe import ModelRecipe, replace
from separatrix.recipe.vectors import ExtractRecipe
from separatrix.texts.questions_answers import Example

pytestmark = pytest.mark.filterwarnings("ignore:.*joblib will operate in serial mode")
LAYERS, HEADS = 3, 4
SMALL = {"what": "attention", "device": "cpu", "max_length": 20, "stride": 8, "max_query_length": 6, "cells": 4}


@pytest.fixture(scope="module")
def texts(planted):
    """Forty labelled texts, every tenth longer than a window."""
    made = [" ".join([text] * (6 if place % 10 == 0 else 1)) for place, text in enumerate(planted[0][:40])]
    return sx.Texts.of(made, label=[str(label) for label in planted[1][:40]])


@pytest.fixture(scope="module")
def points(texts, tiny, tmp_path_factory):
    """The points of these texts on disk; tests leave them as they are."""
    return extract(texts, model=str(tiny("bert")), out=tmp_path_factory.mktemp("points") / "heads", **SMALL)


def test_a_row_for_each_window_layer_and_head(points, texts, tiny):
    table = points.table
    assert {"id", "window", "example", "context", "position", "layer", "head", "length", "special", "label"} <= set(
        table
    )
    assert {name: block.shape[1] for name, block in points.blocks.items()} == {"descriptors": len(NAMES), "grid": 16}
    windows = int(table["window"].max()) + 1
    assert windows > len(texts)
    assert len(table) == windows * LAYERS * HEADS
    assert table["id"].is_unique
    assert table["window"].tolist() == np.repeat(np.arange(windows), LAYERS * HEADS).tolist()
    assert table["layer"].tolist() == np.tile(np.repeat(np.arange(LAYERS), HEADS), windows).tolist()
    firsts = table[(table["position"] == 0) & (table["layer"] == 0) & (table["head"] == 0)]
    assert firsts["label"].tolist() == list(texts.label)
    # The numbers of a row are those of its own window, layer and head, computed alone.
    backbone = load_for_maps(ModelRecipe(model=str(tiny("bert")), device="cpu", max_length=20))
    line = table.iloc[-5]
    example = Example("", texts.text[int(line["example"])], "", 0)
    [cut] = cut_windows(backbone, [example], WindowRule(20, 8, 6))
    window, kept = cut[line["position"]], []
    batch = collate([window], backbone)
    run_maps(backbone, batch, lambda _, maps: kept.append(descriptors(maps, batch)))
    assert line["length"] == len(window)
    expected = kept[line["layer"]][0, line["head"]].numpy()
    np.testing.assert_allclose(points.blocks["descriptors"][len(table) - 5], expected, atol=1e-4)


def test_verbs_over_points_work_on_heads(points, tmp_path):
    rows = sx.load(points.folders[0]).pick("descriptors")
    clusters = sx.cluster(rows, "kmeans", k=5, prepare="standardise", out=tmp_path / "clusters", permutations=19)
    assert sum(clusters.sizes) == len(rows) > 0
    chosen = sx.cluster(rows, "hdbscan", min_cluster_size=15, permutations=19)
    assert len(chosen.table) == len(rows)
    child = sx.cluster(rows, "kmeans", k=2, within=clusters, of=0, permutations=19)
    assert (child.table["layer"].to_numpy() == clusters.table[clusters.labels == 0]["layer"].to_numpy()).all()
    tested = sx.associate(tmp_path / "clusters", ["layer", "head", "label"], permutations=19)
    assert [tested.columns[name]["shuffled"] for name in ("layer", "head")] == ["whole layer+head"] * 2
    assert tested.columns["label"]["shuffled"] == "whole example, clusters crossed with layer+head"
    sx.project(rows, "pca", out=tmp_path / "map")
    sx.project(rows, "lda", label="layer", out=tmp_path / "lda")
    assert sx.score(rows, label="layer", permutations=19, resamples=19).figures()["rows"] == {"all": len(rows)}
    compared = sx.compare([tmp_path / "map", tmp_path / "lda", points.folders[0]])
    assert len(compared.table) == 3


def test_a_stopped_extraction_goes_on_and_ends_with_the_same_numbers(texts, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(extraction, "WINDOW_ROWS", 7)

    class Killed(BaseException):
        pass

    def kill(_stage, done, total, _note):
        if done > total / 2:
            raise Killed("here")

    whole = extract(texts, model=str(tiny("bert")), out=tmp_path / "whole", **SMALL)
    with pytest.raises(Killed, match="here"):
        extract(texts, model=str(tiny("bert")), out=tmp_path / "killed", progress=kill, **SMALL)
    again = extract(texts, model=str(tiny("bert")), out=tmp_path / "killed", **SMALL)
    pd.testing.assert_frame_equal(again.table, whole.table)
    for name in whole.blocks:
        assert (again.blocks[name][:] == whole.blocks[name][:]).all()
    # Another feature is added; other cells are another store.
    more = extract(texts, model=str(tiny("bert")), out=tmp_path / "killed", **SMALL | {"features": "singular"})
    assert more.blocks["singular"].shape == (len(whole), 17)
    assert set(sx.load(tmp_path / "killed").blocks) == {"descriptors", "grid", "singular"}
    with pytest.raises(StoreError, match="holds points of another request"):
        extract(texts, model=str(tiny("bert")), out=tmp_path / "killed", **SMALL | {"cells": 5})
    memory = extract(texts, model=str(tiny("bert")), **SMALL)
    assert memory.table["id"].tolist() == whole.table["id"].tolist()
    np.testing.assert_allclose(memory.blocks["descriptors"], whole.blocks["descriptors"][:], atol=1e-4)


def test_questions_come_with_their_contexts(tmp_path, tiny):
    paragraphs = [
        {"context": f"the cat is in the house {'red ' * 30}", "qas": [
            {"id": f"q{number}", "question": "where is the cat ?", "answers": []} for number in range(2)]},
        {"context": "the dog is old", "qas": [{"id": "q2", "question": "is it big ?", "answers": []}]},
    ]  # fmt: skip
    path = tmp_path / "dev.json"
    path.write_text(json.dumps({"data": [{"title": "animals", "paragraphs": paragraphs}]}))
    rows = attention_rows(str(path), label="label", group=None)
    assert isinstance(rows, ExampleRows)
    assert len(rows) == 3
    found = extract(str(path), model=str(tiny("bert")), **SMALL).table
    windows = found[(found["layer"] == 0) & (found["head"] == 0)]
    assert windows.groupby("example", observed=True).size().tolist() == [4, 4, 1]
    assert windows["context"].unique().tolist() == [0, 1]
    assert windows["label"].unique().tolist() == ["unanswerable"]
    assert not any(example.label for example in attention_rows(str(path), label="").examples)
    for option in ({"label": "kind"}, {"group": "context"}):
        with pytest.raises(OptionError, match=f"--{next(iter(option))} has no effect on questions with contexts"):
            attention_rows(str(path), **option)


def test_options_without_effect_are_refused():
    with pytest.raises(OptionError, match=r"--cells has no effect with --what hidden; add --what attention"):
        replace(ExtractRecipe(), cells=3)
    with pytest.raises(OptionError, match=r"--pool has no effect with --what attention"):
        replace(ExtractRecipe(), what="attention", pool=("mean",))
    with pytest.raises(OptionError, match="the feature `twins` is learnt from all grids"):
        replace(ExtractRecipe(), what="attention", features=("twins",))
