"""What a run says of groups: a probe beside its chance, seen and unseen groups, the gap with its interval."""

import doctest

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score

from separatrix.geometry.score import mean_f1
from separatrix.learn.trained.saved import Predictions
from separatrix.texts import Texts
from separatrix.training import groups
from separatrix.training.groups import (
    GAP_ROWS,
    ScoredRows,
    gap_interval,
    group_notes,
    group_report,
    probe_between,
    probe_groups,
)

NAMES = ("a", "b")


def answer(vectors, right, gold):
    """Scores that are right where `right` says so."""
    scores = np.eye(2)[np.where(right, gold, 1 - gold)]
    return Predictions(np.array(NAMES)[scores.argmax(1)], scores, scores, None, vectors, 0)


@pytest.fixture
def world():
    """Training rows of groups x and y; test rows of x and z, answered well on x and by chance on z."""
    generator = np.random.default_rng(0)
    gold = generator.integers(0, 2, 200)
    group = np.array(["x", "z"], dtype=object)[np.arange(200) % 2]
    right = (group == "x") | (generator.random(200) < 0.5)
    train = Texts.of(["t"] * 4, ["a", "b", "a", "b"], ["x", "x", "y", "y"])
    test = Texts.of(["t"] * 200, np.array(NAMES)[gold].tolist(), group.tolist())
    vectors = generator.normal(size=(200, 4))
    return train, test, gold, right, vectors


def test_seen_and_unseen_groups_are_told_apart(world):
    train, test, gold, right, vectors = world
    report = group_report(train, {"test": test}, {"test": answer(vectors, right, gold)}, {"test": gold}, NAMES)
    found = report["test"]
    assert found["seen"]["macro_f1"] == 1.0
    assert found["seen"]["rows"] == found["unseen"]["rows"] == 100
    assert 0.35 < found["unseen"]["macro_f1"] < 0.65
    low, high = found["gap_interval"]
    assert 0.2 < low < found["gap"] < high < 0.8
    assert "macro-F1 on groups of the training rows less that on others: +0." in group_notes(report)[1]


def test_probe_finds_a_planted_group_and_no_other(world):
    _, test, _, _, vectors = world
    none = probe_groups(vectors, test.group)
    assert none["interval"][0] < none["chance"] < none["interval"][1]
    planted = vectors + 4 * (test.group == "z")[:, None]
    found = probe_groups(planted, test.group)
    assert found["accuracy"] > 0.95
    assert found["interval"][0] > found["chance"]
    assert found["rows"] == 60


def test_probe_needs_two_groups_with_rows():
    assert probe_groups(np.ones((6, 2)), np.array(["x"] * 5 + ["y"], dtype=object)) is None


def test_a_part_of_unseen_groups_is_compared_with_the_seen_part(world):
    train, test, gold, right, vectors = world
    parts, answers, targets = {}, {}, {}
    for name, rows in (("seen", test.group == "x"), ("test", test.group == "z")):
        parts[name], targets[name] = test.where(rows), gold[rows]
        answers[name] = answer(vectors[rows], right[rows], gold[rows])
    apart = group_report(train, parts, answers, targets, NAMES)
    together = group_report(train, {"test": test}, {"test": answer(vectors, right, gold)}, {"test": gold}, NAMES)
    for name in ("seen", "unseen", "gap", "gap_interval"):
        assert apart["test"][name] == together["test"][name]
    assert apart["seen"]["gap"] is None
    alone = group_report(train, {"test": parts["test"]}, answers, targets, NAMES)
    assert (alone["test"]["seen"], alone["test"]["gap"]) == (None, None)


def test_a_seen_part_without_a_trained_group_compares_with_nothing(world):
    """Regression: a `KeyError` after the whole training."""
    train, test, gold, right, vectors = world
    rows = test.group == "z"
    parts = dict.fromkeys(("seen", "test"), test.where(rows))
    answers = dict.fromkeys(parts, answer(vectors[rows], right[rows], gold[rows]))
    report = group_report(train, parts, answers, dict.fromkeys(parts, gold[rows]), NAMES)
    assert (report["test"]["seen"], report["test"]["gap"]) == (None, None)


@pytest.mark.parametrize(("seen", "known"), [(1, False), (GAP_ROWS - 1, False), (GAP_ROWS, True)])
def test_a_side_of_few_rows_tells_no_gap(world, seen, known):
    """Regression: a single row gave a gap with a tight interval, since drawing it again shows no spread."""
    train, test, gold, right, vectors = world
    rows = (test.group == "z") | (np.arange(200) < 2 * seen)
    given = {"test": answer(vectors[rows], right[rows], gold[rows])}
    report = group_report(train, {"test": test.where(rows)}, given, {"test": gold[rows]}, NAMES)
    assert report["test"]["seen"]["rows"] == seen
    assert (report["test"]["gap"] is not None) == (report["test"]["gap_interval"] is not None) == known
    assert ("cannot tell a gap in macro-F1; 20 of each or more can" in group_notes(report)[-1]) != known


def test_who_knows_the_class_knows_something_of_the_group():
    """Three groups a class: vectors that hold the class alone beat the plain chance, not the chance by class."""
    generator = np.random.default_rng(0)
    label = generator.integers(0, 2, 3000)
    group = np.array([f"{one}{other}" for one, other in zip(label, generator.integers(0, 3, 3000), strict=True)])
    found = probe_groups(np.eye(2)[label], group.astype(object), label=label)
    assert found["interval"][0] > found["chance"]
    assert found["interval"][0] < found["chance_by_class"] < found["interval"][1] + 0.02
    assert "knowing the class" in group_notes({"test": {"probe": found, "gap": None}})[0]


def test_a_probe_between_parts_leaves_unknown_groups_out():
    generator = np.random.default_rng(1)
    group = np.array(["x", "y", "z"], dtype=object)[np.arange(90) % 3]
    vectors = np.eye(3)[np.arange(90) % 3] + 0.1 * generator.normal(size=(90, 3))
    known = group[:60] != "z"
    found = probe_between((vectors[:60][known], group[:60][known]), (vectors[60:], group[60:]))
    assert (found["groups"], found["rows"], found["accuracy"]) == (2, 20, 1.0)
    assert probe_between((vectors[:60][group[:60] == "x"], group[:60][group[:60] == "x"]), (vectors, group)) is None


def test_gap_of_equal_sides_holds_zero():
    generator = np.random.default_rng(1)
    gold = generator.integers(0, 2, 300)
    scores = np.eye(2)[np.where(generator.random(300) < 0.8, gold, 1 - gold)]
    low, high = gap_interval(ScoredRows(scores[::2], gold[::2]), ScoredRows(scores[1::2], gold[1::2]), 2)
    assert low < 0 < high


def test_macro_f1_equals_the_library():
    generator = np.random.default_rng(2)
    for _ in range(20):
        gold, predicted = generator.integers(0, 4, (2, 12))
        expected = f1_score(gold, predicted, average="macro", zero_division=0.0)
        confusion = confusion_matrix(gold, predicted, labels=range(4))
        assert mean_f1(confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)) == pytest.approx(expected)


def test_examples_hold():
    assert doctest.testmod(groups).failed == 0
