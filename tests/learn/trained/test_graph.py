"""The parts of an exported classifier give what their counterparts in NumPy give, also as ONNX."""

import numpy as np
import pytest
import torch

from separatrix.geometry.calibrate import ScoreCalibration
from separatrix.geometry.evidence import VoteEvidence
from separatrix.geometry.neighbors import neighbors, unit_rows
from separatrix.learn.trained.graph import Calibrated, LinearHead, NeighborHead, hold
from separatrix.learn.trained.index import Vote, shares
from separatrix.models.graph import export_graph, open_session, run_session

GENERATOR = np.random.default_rng(0)
SCORES = 3 * GENERATOR.normal(size=(40, 3)).astype(np.float32)
CALIBRATIONS = {
    "temperature": ScoreCalibration(temperature=0.7),
    "vector": ScoreCalibration("vector", 1.3, weight=(1.0, 0.2, 2.5), bias=(0.3, -2.0, 1.0)),
    "isotonic": ScoreCalibration("isotonic", 1.3, knots=((-0.5, -2.0), (1.0, 0.1), (4.0, 2.0))),
}


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_probabilities_are_those_of_the_calibration(name, tmp_path):
    pytest.importorskip("onnxruntime", reason='needs pip install "separatrix[onnx]"')
    calibration = CALIBRATIONS[name]
    graph = Calibrated(torch.nn.Identity(), calibration)
    wanted = calibration.probabilities(SCORES)
    np.testing.assert_allclose(graph(torch.from_numpy(SCORES)).softmax(dim=1).numpy(), wanted, atol=1e-6)
    export_graph(graph, {"scores": torch.zeros(2, 3)}, ("logits",), tmp_path / "graph.onnx")
    logits = run_session(open_session(tmp_path / "graph.onnx"), {"scores": torch.from_numpy(SCORES)})[0]
    np.testing.assert_allclose(logits.softmax(dim=1).numpy(), wanted, atol=1e-6)
    assert (logits.numpy().argmax(axis=1) == SCORES.argmax(axis=1)).all()


def test_equal_scores_keep_their_answer():
    scores = torch.tensor([[1.0, 1.0, 0.0], [0.0, 2.0, 1.0]], dtype=torch.float64)
    answers = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    assert hold(scores, answers).argmax(dim=1).tolist() == [1, 0]
    held = Calibrated(torch.nn.Identity(), ScoreCalibration(temperature=1e3))(hold(scores, answers))
    assert held.argmax(dim=1).tolist() == [1, 0]  # in float32 too


@pytest.mark.parametrize("weights", ["uniform", "distance", "softmax"])
@pytest.mark.parametrize("evidence", [None, VoteEvidence(9, 0.1, votes=2.0, means=3.0)])
def test_votes_are_those_of_the_index(weights, evidence):
    rows = unit_rows(GENERATOR.normal(size=(30, 4)).round(1)).astype(np.float32)
    labels = GENERATOR.integers(3, size=30)
    queries = np.concatenate([GENERATOR.normal(size=(40, 4)), rows[:3]]).astype(np.float32)  # some lie on rows
    means = unit_rows(np.stack([rows[labels == one].sum(axis=0) for one in range(3)]))
    vote = Vote(4, weights, 0.1)
    scores = NeighborHead(rows, labels, means, vote, evidence)(torch.from_numpy(queries)).numpy()
    near = neighbors(queries, rows, 9)
    votes = shares(near, labels, 3, vote)
    assert (scores.argmax(axis=1) == votes.argmax(axis=1)).mean() > 0.95  # rows at one distance may change places
    if evidence is None:
        np.testing.assert_allclose(scores[:40], np.log((4 * votes + 1 / 3) / 5)[:40], atol=1e-3)
    else:
        wanted = evidence.scores(near, labels, unit_rows(queries) @ means.T, votes.argmax(axis=1))
        assert np.median(np.abs(scores - wanted)) < 1e-4


def test_a_probe_is_standardised():
    weight, bias = GENERATOR.normal(size=(2, 3)), GENERATOR.normal(size=2)
    mean, scale = GENERATOR.normal(size=3), np.array([0.5, 1.0, 3.0])
    x = GENERATOR.normal(size=(5, 3)).astype(np.float32)
    scores = LinearHead(weight, bias, mean, scale)(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(scores, (x - mean) / scale @ weight.T + bias, atol=1e-5)
