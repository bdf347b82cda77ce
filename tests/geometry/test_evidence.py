"""VoteEvidence says how sure a vote is: fine enough to rank rows, and never another answer."""

import numpy as np
import pytest

from separatrix.geometry.calibrate import fit_calibration, fit_temperature, probabilities
from separatrix.geometry.evidence import VoteEvidence, beside, fit_beside, fit_evidence
from separatrix.geometry.neighbors import Neighbors, neighbors, unit_rows, vote


def heaps(rows, seed, spread=0.55):
    """Directions of three classes that overlap."""
    rng = np.random.default_rng(seed)
    y = rng.integers(3, size=rows)
    return unit_rows(np.eye(6)[y] + spread * rng.standard_normal((rows, 6))), y


@pytest.fixture(scope="module")
def case():
    (x, y), (held, gold), (new, truth) = heaps(400, 0), heaps(300, 1), heaps(800, 2)
    means = unit_rows(np.stack([x[y == each].mean(axis=0) for each in range(3)]))
    evidence = fit_evidence(neighbors(held, x, 50), y, held @ means.T, gold)
    return x, y, means, evidence, (held, gold), (new, truth)


@pytest.mark.parametrize(("k", "weights"), [(1, "uniform"), (10, "uniform"), (20, "softmax")])
def test_answers_are_those_of_the_vote_and_nearly_every_row_has_its_own_probability(case, k, weights):
    x, y, means, evidence, (held, gold), (new, truth) = case

    def scores(rows):
        near = neighbors(rows, x, 50)
        votes = vote(near, y, 3, k, weights=weights)
        return votes, evidence.scores(near, y, rows @ means.T, votes.argmax(axis=1))

    chances = fit_calibration(scores(held)[1], gold).probabilities(scores(new)[1])
    votes, _ = scores(new)
    assert (chances.argmax(axis=1) == votes.argmax(axis=1)).all()
    assert len(np.unique(chances.max(axis=1))) > 0.9 * len(new)
    here = np.arange(len(new))
    counted = np.log((k * votes + 1 / 3) / (k + 1))
    tempered = np.log((k * scores(held)[0] + 1 / 3) / (k + 1))
    plain = probabilities(counted, fit_temperature(tempered, gold))
    assert -np.log(chances[here, truth]).mean() < -np.log(plain[here, truth]).mean()


def test_rows_deep_in_a_class_sound_surer_than_those_at_its_border_though_all_neighbors_agree():
    x = unit_rows(np.array([[1.0, 0.0]] * 5 + [[0.0, 1.0]] * 5) + np.linspace(0, 0.05, 20).reshape(10, 2))
    y = np.repeat([0, 1], 5)
    rows = unit_rows(np.array([[1.0, 0.1], [1.0, 0.8]]))
    near, means = neighbors(rows, x, 5), unit_rows(np.stack([x[:5].mean(axis=0), x[5:].mean(axis=0)]))
    assert (y[near.index] == 0).all()
    scores = VoteEvidence(5, 0.1, 0.0, 10.0).scores(near, y, rows @ means.T, np.array([0, 0]))
    gap = scores[:, 0] - scores[:, 1]
    assert gap[0] > gap[1] > 0


def test_rows_that_are_all_right_leave_the_weights_finite():
    x, y = heaps(60, 0, spread=0.01)
    means = np.eye(3, 6)
    got = fit_evidence(neighbors(x, x, 10, exclude_self=True), y, x @ means.T, y)
    assert np.isfinite([got.votes, got.means]).all()
    assert got.votes + got.means > 0


def test_votes_beside_a_head_get_the_smallest_weight_that_is_right_most_often():
    near = Neighbors(np.tile(np.arange(2), (4, 1)), np.tile(np.float32([0.1, 0.3]), (4, 1)))
    labels, gold = np.array([0, 1]), np.array([0, 0, 1, 1])
    sure = np.log([[0.9, 0.1], [0.45, 0.55], [0.2, 0.8], [0.1, 0.9]])
    got = fit_beside(sure, near, labels, gold)
    assert (got.votes, got.means, got.k) == (0.25, 0.0, 2)
    assert beside(sure, near, labels, got).argmax(1).tolist() == gold.tolist()
    assert fit_beside(sure, near, labels, np.array([0, 1, 1, 1])).votes == 0  # the head alone is right everywhere
