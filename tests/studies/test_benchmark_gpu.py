"""The benchmark of a GPU runs from end to end on the CPU at a toy size, and saves part by part."""

from __future__ import annotations

import json

import pytest
from benchmarks import gpu


@pytest.fixture
def words(tmp_path):
    return ["--device", "cpu", "--rows", "1200", "--tiny", "--json", "--out", str(tmp_path / "gpu.json")]


def test_it_measures_checks_and_saves(capsys, words, tmp_path):
    assert gpu.main(words) == 0
    result = json.loads(capsys.readouterr().out)
    assert result == json.loads((tmp_path / "gpu.json").read_text())
    lines = {(line["part"], line["case"]): line for line in result["lines"]}
    assert {part for part, _ in lines} == {"product", "copy", "extraction", "k-NN", "PCA", "k-means", "DBSCAN"}
    assert lines["extraction", "tiny, float32"]["lowest_cosine_to_cpu"] > 0.9999
    assert lines["k-NN", "1200 x 1200, k = 10"]["same_neighbors"] > 0.99
    assert lines["PCA", "to 16"]["largest_difference_of_shares"] < 1e-5
    assert lines["k-means", "k = 35, 10 passes"]["inertia_over_cpu"] == pytest.approx(1, abs=1e-3)
    assert lines["DBSCAN", "labels of the CPU"]["same_labels"] is True
    assert len(lines["DBSCAN", "1200 rows, six radii"]["noise"]) == 6
    assert all(share > 0 for share in result["ratios"].values())
    assert (result["targets"], result["machine"]["device"]) == ({}, "cpu")
    assert "of a plain product" in gpu.show(result)


def test_what_was_measured_before_a_fault_is_saved(words, tmp_path, monkeypatch):
    def broken(*_given):
        raise MemoryError("no room")
        yield {}

    monkeypatch.setattr(gpu, "principal_axes", broken)
    monkeypatch.setattr(gpu, "extraction", lambda _setting: iter(()))
    with pytest.raises(MemoryError, match="no room"):
        gpu.main(words)
    assert json.loads((tmp_path / "gpu.json").read_text())["lines"][-1]["part"] == "k-NN"


def test_sizes_that_would_not_end_are_left_out(capsys, words, monkeypatch):
    for part in ("extraction", "nearest_rows", "principal_axes", "centroids"):
        monkeypatch.setattr(gpu, part, lambda *_: iter(()))
    assert gpu.main([*words, "--minutes", "0"]) == 0
    left = [line for line in json.loads(capsys.readouterr().out)["lines"] if "left_out" in line]
    assert len(left) == 3
