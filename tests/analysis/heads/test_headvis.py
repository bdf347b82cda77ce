"""An atlas as HeadVis' data folder: the layout that its data_pipeline.py documents, and numbers against slow loops."""

import json
from itertools import pairwise

import numpy as np
import pytest

from head_atlases import CELLS, recipe_of
from separatrix.analysis.heads import head_atlas
from separatrix.analysis.heads.headvis import INTERVALS, export_atlas
from separatrix.analysis.heads.map_scores import METRICS, MapScores, largest_weights, sparse_maps
from separatrix.cli import main
from separatrix.errors import DataError, OptionError, StoreError
from separatrix.store.files import mismatch, read_json, read_tensors

pytestmark = pytest.mark.filterwarnings("ignore:.*joblib will operate in serial mode")
HISTOGRAM = {"bin_edges": [float], "bin_values": [int]}
TOKENS = [{"token": str, "weight": float}]
# The shapes of the docstrings of data_pipeline.py
CONFIG = {
    "model_name": str, "heads": [[int]], "n_layers": int, "n_heads": int, "n_intervals": int, "metrics": [str],
    "metric_descriptions": {"*": str}, "head_data_pattern": str, "has_umap": bool, "umap_heads": [[int]],
    "custom_plots": [{"key": str, "label": str}], "custom_tables": [{"key": str, "label": str}],
    "statistics_display": {"*": {"label": str, "format": str}},
}  # fmt: skip
HEAD = {
    "sequences": [{
        "sequence_id": int, "interval": int, "tokens": [str], "attention_indices": [int], "attention_values": [float],
        "seq_len": int, "max_activation": float,
    }],
    "qk_distance_histogram": HISTOGRAM, "top_query_tokens": TOKENS, "top_key_tokens": TOKENS, "histogram": HISTOGRAM,
    "statistics": {"*": float},
}  # fmt: skip


@pytest.fixture(scope="module")
def raw(data, tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("raw") / "atlas"
    return head_atlas(data, recipe=recipe_of(tiny("bert"), raw=True, windows=24), out=out)


@pytest.fixture(scope="module")
def exported(raw, tmp_path_factory):
    return export_atlas(raw.folder, out=tmp_path_factory.mktemp("headvis") / "data").path


def maps_of(atlas, number):
    arrays, note = read_tensors(next(atlas.folder.glob(f"raw-*/w{number}.safetensors")))
    maps = arrays["maps"].astype(float)
    return maps.reshape(-1, *maps.shape[2:]), note["words"]


def test_the_folder_has_the_documented_layout(exported, raw):
    config = read_json(exported / "config.json")
    assert mismatch(config, CONFIG) is None
    assert config["n_intervals"] == INTERVALS
    assert len(config["heads"]) == CELLS == config["n_layers"] * config["n_heads"]
    scatter = read_json(exported / "scatter_data.json")
    assert [[line["layer"], line["head"]] for line in scatter] == config["heads"]
    for line in scatter:
        assert {*line} == {"layer", "head", *config["metrics"]}
    assert {*METRICS} < {*config["metrics"]} == {*config["metric_descriptions"]}
    assert not config["has_umap"]
    for layer, head in config["heads"]:
        name = config["head_data_pattern"].format(layer=layer, head=head)
        payload = read_json(exported / "heads" / name)
        assert mismatch(payload, HEAD) is None
        for plot in config["custom_plots"]:
            assert len(payload[plot["key"]]["bin_values"]) == len(payload[plot["key"]]["bin_edges"]) - 1
        assert {table["key"] for table in config["custom_tables"]} <= {*payload}
        assert {*payload["statistics"]} == {*config["statistics_display"]}
        assert sum(payload["histogram"]["bin_values"]) == raw.windows
    assert read_json(exported / "server_config.json") == {}


def test_sequences_are_the_maps_of_the_atlas(exported, raw):
    """Row = query, column = key; first token and diagonal out of the largest weight; tenths from the lowest."""
    texts = [maps_of(raw, number) for number in range(raw.windows)]
    for head, (layer, place) in enumerate(np.ndindex(raw.layers, raw.heads)):
        sequences = read_json(exported / "heads" / f"L{layer}H{place}.json")["sequences"]
        assert {one["sequence_id"] for one in sequences} == {*range(raw.windows)}
        largest = []
        for one in sequences:
            maps, words = texts[one["sequence_id"]]
            assert one["tokens"] == words
            dense = np.zeros(one["seq_len"] ** 2)
            dense[one["attention_indices"]] = one["attention_values"]
            np.testing.assert_allclose(dense[dense > 0], maps[head].ravel()[dense > 0], atol=6e-5)
            loop = max(maps[head][q, k] for q in range(1, len(words)) for k in range(1, len(words)) if q != k)
            assert one["max_activation"] == pytest.approx(loop, abs=6e-5)
            largest.append((one["interval"], loop))
        tenths = [[value for own, value in largest if own == interval] for interval in range(1, INTERVALS + 1)]
        assert all(max(low) <= min(high) for low, high in pairwise(tenths))


def test_scores_are_those_of_slow_loops():
    generator, words = np.random.default_rng(0), ["a", "b", "a", "c", "b", "a"]
    maps = np.tril(generator.random((2, 6, 6))) ** 3
    maps /= maps.sum(axis=-1, keepdims=True)
    scores = MapScores(2)
    scores.add(maps, words)
    for head, own in enumerate(maps):
        pairs = [(q, k) for q in range(6) for k in range(6)]
        mean = sum(own[q, k] * abs(q - k) for q, k in pairs) / 6
        oracle = {
            "self_attention_score": sum(own[q, q] for q in range(6)) / 6,
            "previous_token_score": sum(own[q, q - 1] for q in range(1, 6)) / 5,
            "pattern_entropy": sum(-own[q, k] * np.log(own[q, k]) for q, k in pairs if own[q, k] > 0) / 6,
            "qk_distance": mean,
            "qk_distance_variance": sum(own[q, k] * (abs(q - k) - mean) ** 2 for q, k in pairs) / 6,
            "induction_score": sum(own[q, j + 1] for q in range(6) for j in range(q) if words[j] == words[q]) / 6,
        }
        for name, value in oracle.items():
            assert scores.metrics(head)[name] == pytest.approx(value), name
    assert largest_weights(maps)[0] == pytest.approx(max(maps[0][q, k] for q in range(1, 6) for k in range(1, q)))
    assert sparse_maps(maps)[0].indices.tolist() == [q * 6 + k for q, k in pairs if maps[0][q, k] >= 0.005]


def test_an_atlas_without_maps_is_refused(made, raw, tmp_path):
    with pytest.raises(DataError, match=r"keeps no attention maps.*--raw"):
        export_atlas(made, out=tmp_path / "x")
    with pytest.raises(OptionError, match="no out"):
        export_atlas(raw)
    with pytest.raises(StoreError, match="exists; type --overwrite"):
        export_atlas(raw, out=raw.folder)


def test_the_command_line_exports_atlases_alone_to_headvis(raw, tmp_path, capsys):
    def run(*words):
        code = main([str(word) for word in ("export", *words, "--quiet")])
        return code, capsys.readouterr()

    for folder, words, said in (
        (raw.folder, ("--to", "npy"), "holds a head atlas"),
        (raw.folder, ("--block", "grid"), "--block has no effect"),
        (raw.part("points"), ("--to", "headvis"), "holds no head atlas"),
    ):
        code, printed = run(folder, *words, "--out", tmp_path / "x")
        assert code == 2
        assert said in printed.err
    assert not (tmp_path / "x").exists()
    code, printed = run(raw.folder, "--to", "headvis", "--out", tmp_path / "data", "--json")
    assert json.loads(printed.out)["heads"] == CELLS
    assert run(raw.folder, "--out", tmp_path / "data", "--overwrite")[0] == 0
