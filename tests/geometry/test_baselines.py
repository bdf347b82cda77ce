"""Baselines: pooling, penalty and k are chosen on validation, and a probe is no baseline of itself."""

import doctest

import numpy as np
import pytest
from scipy.special import log_softmax

from separatrix.geometry import baselines
from separatrix.geometry.baselines import LINEAR, LabelledBlocks, fit_baselines, fit_linear
from separatrix.geometry.neighbors import neighbors, vote
from separatrix.geometry.probe import PENALTIES, fit_probe


def blocks(rows=90, seed=0, classes=3):
    """Three classes: pooling `signal` tells them apart, `weak` half of the time, `noise` never."""
    rng = np.random.default_rng(seed)
    y = np.arange(rows) % classes
    signal = rng.normal(size=(rows, 6))
    signal[np.arange(rows), y] += 5
    weak = np.where(rng.random(rows)[:, None] < 0.5, signal, rng.normal(size=(rows, 6)))
    return LabelledBlocks({"noise": rng.normal(size=(rows, 6)), "weak": weak, "signal": signal}, y)


def test_the_pooling_that_validation_prefers_is_taken_for_each_baseline():
    train, held = blocks(seed=0), blocks(seed=1)
    fitted = fit_baselines(train, held, 3, seed=0)
    assert [one.pool for one in fitted.values()] == ["signal", "signal"]
    probe, nearest = fitted["linear probe"], fitted[list(fitted)[1]]
    assert probe.to_dict() == {
        "pool": "signal",
        "pool_candidates": 3,
        "penalty": probe.model.penalty,
        "penalty_candidates": len(PENALTIES),
    }
    assert nearest.to_dict() == {"pool": "signal", "pool_candidates": 3, "k": nearest.model.k, "k_candidates": 5}
    assert (
        f"pooling signal (best of 3 on validation), penalty {probe.model.penalty:g} (1/C of scikit-learn, best of 5)"
        == str(probe)
    )
    # The slow way: a probe for each pooling, by validation accuracy; its scores are those of the chosen one.
    accuracy = {}
    for name, vectors in train.vectors.items():
        plain = fit_probe(vectors, train.targets, 3)
        accuracy[name] = (plain.scores(held.vectors[name]).argmax(1) == held.targets).mean()
    assert max(accuracy, key=accuracy.get) == "signal"
    same = fit_probe(train.vectors["signal"], train.targets, 3, validation=(held.vectors["signal"], held.targets))
    np.testing.assert_allclose(probe.scores(held), same.scores(held.vectors["signal"]))


def test_where_validation_says_otherwise_another_pooling_is_taken():
    """The training rows separate best in `signal`; what counts are the validation rows, whose `signal` is noise."""
    train, held = blocks(seed=0), blocks(seed=1)
    turned = LabelledBlocks(
        {**held.vectors, "signal": held.vectors["noise"], "noise": held.vectors["signal"]}, held.targets
    )
    assert fit_linear(train, turned, 3, seed=0).pool == "weak"
    assert {one.pool for one in fit_baselines(train, turned, 3, seed=0).values()} == {"weak"}


def test_the_first_pooling_wins_a_tie():
    train, held = blocks(seed=0), blocks(seed=1)
    twice = [
        LabelledBlocks({"own": part.vectors["signal"], "mean": part.vectors["signal"]}, part.targets)
        for part in (train, held)
    ]
    assert {one.pool for one in fit_baselines(*twice, 3, seed=0).values()} == {"own"}


def test_a_probe_is_no_baseline_of_itself():
    train, held = blocks(seed=0), blocks(seed=1)
    best = fit_linear(train, held, 3, seed=0)
    given = {name: LabelledBlocks({name: train.vectors[name]}, train.targets) for name in ("signal", "noise")}
    kept = {name: LabelledBlocks({name: held.vectors[name]}, held.targets) for name in ("signal", "noise")}
    asked = {name: fit_linear(given[name], kept[name], 3, seed=0) for name in given}
    names = {name: set(fit_baselines(train, held, 3, 0, own=own)) for name, own in {"best": best, **asked}.items()}
    assert "linear probe" not in names["best"]  # it is that one
    assert "linear probe" not in names["signal"]  # asked for, and the same
    assert "linear probe" in names["noise"]  # asked for, and another one is better
    assert all(any(name.startswith("k-NN") for name in found) for found in names.values())


def noisy_blocks(rows, seed):
    rng = np.random.default_rng(seed)
    y = np.arange(rows) % 3
    x = rng.normal(size=(rows, 6))
    x[np.arange(rows), y] += 1.5
    return LabelledBlocks({"own": x}, y)


def test_probabilities_of_baselines_are_calibrated_and_fine_and_change_no_answer():
    """Shares of 20 votes knew 21 values, and said 0 of right classes."""
    train, held, new = noisy_blocks(300, 0), noisy_blocks(100, 1), noisy_blocks(600, 2)
    here = np.arange(600), new.targets
    for name, fitted in fit_baselines(train, held, 3, seed=0).items():
        scores = fitted.scores(new)
        chance = fitted.calibration.probabilities(scores)
        if name.startswith("k-NN"):
            near = neighbors(new.vectors["own"], train.vectors["own"], fitted.model.k)
            plain = vote(near, train.targets, 3, fitted.model.k)
            before = -np.log(np.maximum(plain[here], 1e-9)).mean()
            np.testing.assert_array_equal(scores.argmax(1), plain.argmax(1))
        else:
            before = -log_softmax(scores, axis=1)[here].mean()
        np.testing.assert_array_equal(chance.argmax(1), scores.argmax(1))
        np.testing.assert_allclose(chance.sum(axis=1), 1)
        assert -np.log(chance[here]).mean() < before - (0.05 if name.startswith("k-NN") else -0.01), name
        assert len(np.unique(chance.max(axis=1))) > 0.9 * len(chance), name


def test_numbers_and_sets_of_labels_have_no_such_probabilities():
    train, held = noisy_blocks(60, 0), noisy_blocks(30, 1)
    numbers = [LabelledBlocks(part.vectors, part.targets.astype(float)) for part in (train, held)]
    sets = [LabelledBlocks(part.vectors, np.eye(3, dtype=np.int64)[part.targets]) for part in (train, held)]
    for parts, classes in (numbers, 0), (sets, 3):
        assert all(one.calibration is None for one in fit_baselines(*parts, classes, seed=0).values())


def test_numbers_choose_by_their_error():
    rng = np.random.default_rng(0)
    x, other = rng.normal(size=(80, 4)), rng.normal(size=(80, 4))
    y = x @ [1.0, -2.0, 0.5, 0.0]
    parts = [LabelledBlocks({"other": other[rows], "x": x[rows]}, y[rows]) for rows in (slice(0, 50), slice(50, 80))]
    fitted = fit_baselines(*parts, 0, seed=0)
    assert set(fitted) == {LINEAR[False], next(name for name in fitted if name.startswith("k-NN"))}
    assert {one.pool for one in fitted.values()} == {"x"}


def test_poolings_are_compared_on_a_bounded_number_of_rows_with_every_class(monkeypatch):
    monkeypatch.setattr(baselines, "COMPARED_ROWS", 20)
    y = np.repeat([0, 1, 2], [500, 497, 3])
    rows = baselines._compared(y, seed=0)
    assert 20 <= len(rows) <= 23
    assert set(y[rows]) == {0, 1, 2}
    np.testing.assert_array_equal(rows, np.unique(rows))
    np.testing.assert_array_equal(rows, baselines._compared(y, seed=0))
    train, held = blocks(rows=300, seed=0), blocks(seed=1)
    assert fit_linear(train, held, 3, seed=0).pool == "signal"


@pytest.mark.parametrize("k", [1, 3, 10])
def test_one_search_for_all_k_gives_what_a_search_for_each_gives(k):
    train, held = blocks(seed=0), blocks(seed=1)
    model = baselines.Nearest(train.vectors["weak"], train.targets, k, 3)
    slow = vote(neighbors(held.vectors["weak"], train.vectors["weak"], k), train.targets, 3, k)
    both = model._scores(held.vectors["weak"], (k, 20))
    np.testing.assert_allclose(both[0], slow)
    np.testing.assert_allclose(model.scores(held.vectors["weak"]), slow)


def test_examples_in_docstrings():
    found = doctest.testmod(baselines)
    assert found.attempted > 0
    assert found.failed == 0
