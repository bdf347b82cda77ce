"""The heat map of a sweep compares cells over the same seeds; of many costs it shows those that validation chose."""

import numpy as np
import pytest

from separatrix.sweeps import pictures


@pytest.fixture
def drawn(monkeypatch):
    """What was drawn, by file."""
    given = {}
    monkeypatch.setattr(pictures, "save", lambda picture, path: given.update({path.name: picture}))
    monkeypatch.setattr(pictures, "heatmap", lambda cells, labels, **options: (cells, labels, options))
    monkeypatch.setattr(pictures, "quality_by_cost", lambda costs, quality: costs)
    monkeypatch.setattr(pictures, "axis_curves", lambda *given: given)
    return given


def a_run(tokens, lr, seed, validation):
    return {"label": f"{tokens}, {lr}", "tokens": tokens, "lr": lr, "seed": seed, "validation": validation}


RUNS = [
    a_run("1", "0.1", 0, 0.7), a_run("1", "0.3", 0, 0.8), a_run("2", "0.1", 0, 0.6), a_run("2", "0.3", 0, 0.5),
    a_run("1", "0.3", 1, 0.2), a_run("2", "0.1", 1, 0.9),
]  # fmt: skip


def test_cells_are_means_over_the_seeds_that_all_of_them_have(drawn, tmp_path):
    lines = [dict(run) for run in RUNS[:4]]
    pictures.draw(lines, [{}] * 4, RUNS, ["tokens", "lr"], ["lr"], "accuracy", tmp_path)
    cells, _, options = drawn["tokens_by_lr.png"]
    np.testing.assert_allclose(cells, [[0.7, 0.8], [0.6, 0.5]])
    assert options["best"] == (0, 1)  # over all its seeds the chosen cell would stand at 0.5, below its neighbor
    assert "(1)" in options["note"]


def test_cells_without_a_seed_in_common_are_not_drawn(drawn, tmp_path):
    runs = [a_run("1", "0.1", 0, 0.7), a_run("2", "0.3", 1, 0.8)]
    pictures.draw([dict(run) for run in runs], [{}] * 2, runs, ["tokens", "lr"], [], "accuracy", tmp_path)
    assert "tokens_by_lr.png" not in drawn


def test_costs_of_many_settings_are_those_of_the_chosen_ones(drawn, tmp_path, monkeypatch):
    lines = [dict(run, chosen=run["lr"] == "0.3") for run in RUNS[:4]]
    costs = [{"seconds": 1.0 + number} for number in range(4)]
    pictures.draw(lines, costs, RUNS, ["tokens", "lr"], ["lr"], "accuracy", tmp_path)
    assert len(drawn["cost.png"]) == 4
    monkeypatch.setattr(pictures, "NAMED", 3)
    pictures.draw(lines, costs, RUNS, ["tokens", "lr"], ["lr"], "accuracy", tmp_path)
    assert drawn["cost.png"] == {"1, 0.3": (2.0, 0.8), "2, 0.3": (4.0, 0.5)}
