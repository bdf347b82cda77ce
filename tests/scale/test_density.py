"""HDBSCAN of a sample, with a likely cluster for the other rows and the disagreement measured."""

from __future__ import annotations

import re

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from separatrix.geometry.cluster import hdbscan
from separatrix.scale import density
from separatrix.scale.blocks import BlockSource
from separatrix.scale.density import sampled_hdbscan
from separatrix.scale.job import BlockJob
from separatrix.scale.kernels import Preparation


def heaps(rows: int, apart: float, noise: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = apart * rng.normal(size=(4, 6))
    x = centres[rng.integers(0, 4, rows)] + rng.normal(size=(rows, 6))
    far = rng.random(rows) < noise
    x[far] = 6 * apart * rng.normal(size=(far.sum(), 6))
    return x.astype(np.float32)


def test_clear_heaps_get_the_clusters_of_all_rows(monkeypatch):
    monkeypatch.setattr(density, "SAMPLE_ROWS", 1000)
    x = heaps(9000, 8, 0.02)
    made, notes = sampled_hdbscan(BlockSource.of(x), Preparation(), BlockJob())
    expected = hdbscan(x)
    assert made.clusters == expected.clusters == 4
    assert adjusted_rand_score(expected.labels, made.labels) > 0.97
    assert "hdbscan saw 1000 of 9000 rows (seed 0)" in notes[0]
    assert "clusters of fewer than about 180 rows cannot be seen in the sample" in notes
    assert all(made.labels[star] == number for number, star in enumerate(made.exemplars))


def test_the_disagreement_that_is_said_is_near_that_of_all_rows(monkeypatch):
    """Clear heaps are told rightly, overlapping ones are not: the figure must show it."""
    monkeypatch.setattr(density, "SAMPLE_ROWS", 1500)
    said = []
    for apart in (8.0, 1.6):
        _, notes = sampled_hdbscan(BlockSource.of(heaps(6000, apart, 0.1)), Preparation(), BlockJob())
        said.append(float(re.search(r"([\d.]+)% of held-out", notes[0])[1]))
    assert said[0] < 3 < said[1]


def test_a_sample_without_clusters_is_noise(monkeypatch):
    monkeypatch.setattr(density, "SAMPLE_ROWS", 100)
    x = np.random.default_rng(0).normal(size=(500, 30)).astype(np.float32)
    made, _ = sampled_hdbscan(BlockSource.of(x), Preparation(), BlockJob(), min_cluster_size=60)
    assert made.noise == 500


def test_all_rows_in_the_sample_keep_their_clusters():
    x = heaps(800, 8, 0.05)
    made, notes = sampled_hdbscan(BlockSource.of(x), Preparation(), BlockJob())
    assert (made.labels == hdbscan(x).labels).all()
    assert pytest.approx(0, abs=5) == float(re.search(r"([\d.]+)% of held-out", notes[0])[1])
