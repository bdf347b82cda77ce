"""Figures, thresholds and classifiers of several labels a row, beside scikit-learn and slow loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, log_loss, precision_recall_fscore_support
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler

from separatrix.errors import DataError, ShapeError
from separatrix.geometry.baselines import LabelledBlocks, Part, fit_baselines, fit_nearest
from separatrix.geometry.calibrate import ScoreCalibration, fit_calibration
from separatrix.geometry.label_sets import choose_thresholds, label_losses, label_scores, most_frequent_set, set_merit
from separatrix.geometry.probe import fit_probe

NAMES = ("a", "b", "c")
pairs = st.lists(st.tuples(*[st.integers(0, 1)] * 6), min_size=1, max_size=40)


def _data(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(rows, 6))
    gold = (x[:, :3] + 0.5 * generator.normal(size=(rows, 3)) > [0.0, 0.7, 1.0]).astype(int)
    return x, gold


@settings(max_examples=80, deadline=None)
@given(pairs)
def test_figures_are_those_of_sklearn(rows: list[tuple[int, ...]]) -> None:
    both = np.array(rows)
    gold, answers = both[:, :3], both[:, 3:]
    scores = label_scores(gold, answers, NAMES, resamples=20)
    assert scores.micro_f1 == pytest.approx(f1_score(gold, answers, average="micro", zero_division=0.0))
    assert scores.macro_f1 == pytest.approx(f1_score(gold, answers, average="macro", zero_division=0.0))
    assert scores.subset_accuracy == pytest.approx(accuracy_score(gold, answers))
    table = np.array([[line.precision, line.recall, line.f1, line.rows] for line in scores.per_label])
    assert pytest.approx(np.array(precision_recall_fscore_support(gold, answers, zero_division=0.0))) == table.T
    assert scores.interval[0] <= scores.micro_f1 <= scores.interval[1]


def test_the_interval_is_that_of_drawn_rows_and_knows_no_order() -> None:
    _, gold = _data(200)
    answers = np.where(np.random.default_rng(1).random(gold.shape) < 0.2, 1 - gold, gold)
    scores = label_scores(gold, answers, NAMES, seed=3)
    generator = np.random.default_rng(5)
    drawn = []
    for _ in range(600):
        rows = generator.integers(200, size=200)
        drawn.append(f1_score(gold[rows], answers[rows], average="macro"))
    assert scores.macro_f1_interval == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=0.01)
    order = generator.permutation(200)
    assert label_scores(gold[order], answers[order], NAMES, seed=3).interval == scores.interval


def test_the_baseline_is_the_most_frequent_set_that_is_not_empty() -> None:
    gold = np.array([[0, 0, 0]] * 5 + [[1, 1, 0]] * 3 + [[0, 0, 1]] * 2)
    assert most_frequent_set(gold).tolist() == [1, 1, 0]
    scores = label_scores(gold, gold, NAMES)
    assert scores.majority_set == ("a", "b")
    constant = np.tile([1, 1, 0], (10, 1))
    assert scores.majority == pytest.approx(f1_score(gold, constant, average="micro"))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 1)), min_size=6, max_size=40))
def test_thresholds_are_the_best_of_all(rows: list[tuple[int, int]]) -> None:
    chance, gold = np.array(rows, dtype=float).T
    chance = chance[:, None] / 10 + 0.05
    cut = choose_thresholds(chance, gold[:, None].astype(int))[0]

    def f1(at: float) -> float:  # as scikit-learn has it, which would take most of the time
        named = chance[:, 0] >= at
        return float(2 * (gold[named]).sum() / max(named.sum() + gold.sum(), 1))

    if gold.any():
        assert f1(cut) == pytest.approx(max(f1(at) for at in np.linspace(0, 1, 41)))


def test_a_rare_label_takes_the_threshold_of_all() -> None:
    x, gold = _data(300)
    gold[:, 2] = 0
    gold[:3, 2] = 1
    chance = 1 / (1 + np.exp(-x[:, :3]))
    cuts = choose_thresholds(chance, gold)
    assert cuts[2] == choose_thresholds(chance.reshape(-1, 1), gold.reshape(-1, 1))[0]


def test_a_probe_of_labels_is_one_vs_rest() -> None:
    x, gold = _data(200)
    probe = fit_probe(x, gold, 3, penalty=0.1)
    prepared = StandardScaler().fit(x)
    rest = OneVsRestClassifier(LogisticRegression(C=10.0, max_iter=2000, tol=1e-6)).fit(prepared.transform(x), gold)
    assert probe.scores(x) == pytest.approx(rest.decision_function(prepared.transform(x)), abs=0.02)
    losses = [log_loss(gold[:, at], 1 / (1 + np.exp(-probe.scores(x)[:, at]))) for at in range(3)]
    assert label_losses(probe.scores(x), gold) == pytest.approx(losses)


def test_a_label_of_all_rows_or_none_is_always_or_never_given() -> None:
    x, gold = _data(60)
    gold[:, 1], gold[:, 2] = 1, 0
    scores = fit_probe(x, gold, 3, validation=(x, gold)).scores(x)
    assert (scores[:, 1] > 100).all()
    assert (scores[:, 2] < -100).all()


def test_calibrated_thresholds_beat_a_half_on_rare_labels() -> None:
    x, gold = _data(800)
    gold[:, 2] &= (np.random.default_rng(7).random(800) < 0.5).astype(int)  # noisy and rare
    probe = fit_probe(x[:300], gold[:300], 3)
    calibration = fit_calibration(probe.scores(x[300:500]), gold[300:500])
    scores = probe.scores(x[500:])
    half = label_scores(gold[500:], (scores > 0).astype(int), NAMES).macro_f1
    assert label_scores(gold[500:], calibration.decide(scores), NAMES).macro_f1 > half + 0.03
    again = ScoreCalibration.of(calibration.temperature, calibration.to_dict())
    assert again == calibration
    assert ScoreCalibration.is_plain(calibration.to_dict())
    assert not ScoreCalibration.is_plain({"method": "labels", "thresholds": [[0.5]]})


def test_neighbors_vote_for_each_label() -> None:
    train = Part(np.array([[0.0, 1.0], [0.1, 1.0], [1.0, 0.0]]), np.array([[1, 1], [1, 0], [0, 1]]))
    fitted = fit_nearest(train, Part(np.array([[0.0, 2.0]]), np.array([[1, 0]])), 2)
    shares = 1 / (1 + np.exp(-fitted.scores(np.array([[0.0, 1.0]]))))
    votes = train.targets[[0, 1, 2]][: fitted.k].mean(axis=0)
    assert shares[0] == pytest.approx((votes * fitted.k + 0.5) / (fitted.k + 1))


def test_baselines_of_labels() -> None:
    x, gold = _data(240)
    parts = [
        LabelledBlocks({"mean": x[rows], "noise": x[rows, ::-1] * 0 + 1}, gold[rows])
        for rows in (slice(160), slice(160, 240))
    ]
    fitted = fit_baselines(*parts, 3, 0)
    assert next(iter(fitted)) == "linear probe"
    assert {one.pool for one in fitted.values()} == {"mean"}
    assert set_merit(fitted["linear probe"].scores(parts[1]), gold[160:]) > 0.7


def test_what_is_no_indicator_is_refused() -> None:
    with pytest.raises(DataError, match="labels are not marked by 0 and 1: got 2"):
        label_scores([[2, 0, 0]], [[1, 0, 0]], NAMES)
    with pytest.raises(ShapeError, match="labels have the wrong width"):
        label_scores([[1, 0]], [[1, 0]], NAMES)


def test_counts_are_whole_numbers_where_every_answer_is_wrong():
    scores = label_scores([[1, 0], [0, 1]], [[0, 1], [1, 0]], ["a", "b"])
    assert [type(line.rows) for line in scores.per_label] == [int, int]
    assert scores.macro_f1 == 0.0


def test_rows_that_are_all_right_leave_macro_f1_an_interval_too_where_a_label_has_no_rows():
    gold = np.column_stack([np.arange(60) % 2, 1 - np.arange(60) % 2, np.zeros(60, np.int64)])
    scores = label_scores(gold, gold, ["a", "b", "c"])
    assert scores.interval == pytest.approx((0.9404, 1.0), abs=1e-4)
    assert scores.macro_f1_interval == pytest.approx((0.9404 * 2 / 3, 2 / 3), abs=1e-4)
