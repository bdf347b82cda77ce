"""The index of training rows: the same votes as the exact library function, other ways to search, more rows."""

import numpy as np
import pytest

from separatrix.errors import DataError, MissingExtra, ShapeError
from separatrix.geometry.neighbors import WEIGHTS as WEIGHING
from separatrix.geometry.neighbors import knn_predict
from separatrix.learn.trained.index import Index, Vote, choose_vote, shares, smooth
from separatrix.recipe.align import WEIGHTS
from separatrix.texts import Classes


def index(rows=60, seed=0, **options):
    generator = np.random.default_rng(seed)
    return Index.of(generator.normal(size=(rows, 6)), generator.integers(0, 3, rows), np.arange(rows) + 100, **options)


@pytest.mark.parametrize("weights", ["uniform", "distance"])
@pytest.mark.parametrize("k", [1, 5, 20])
def test_votes_equal_those_of_geometry(k, weights):
    stored, queries = index(), np.random.default_rng(1).normal(size=(40, 6))
    got = shares(stored.nearest(queries, 30), stored.labels, 3, Vote(k, weights))
    expected = knn_predict(queries, stored.vectors, stored.labels, k, classes=3, weights=weights)
    assert np.allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize("temperature", [1e-6, 0.07, 10.0])
def test_softmax_votes_are_those_of_nca(temperature):
    """All stored rows vote as the objective has them vote; a temperature near 0 leaves the nearest row alone."""
    stored, queries = index(), np.random.default_rng(1).normal(size=(40, 6))
    got = shares(stored.nearest(queries, 60), stored.labels, 3, Vote(60, "softmax", temperature))
    cosine = queries / np.linalg.norm(queries, axis=1, keepdims=True) @ stored.vectors.T
    weight = np.exp((cosine - cosine.max(axis=1, keepdims=True)) / temperature)
    expected = np.stack([weight[:, stored.labels == label].sum(axis=1) for label in range(3)], axis=1)
    assert np.allclose(got, expected / expected.sum(axis=1, keepdims=True), atol=1e-5)


def test_the_recipe_offers_every_vote():
    assert tuple(WEIGHING) == WEIGHTS


def test_cosine_is_the_metric_so_length_changes_nothing():
    stored, queries = index(), np.random.default_rng(1).normal(size=(5, 6))
    one, two = stored.nearest(queries, 4), stored.nearest(queries * 1000, 4)
    assert np.array_equal(one.index, two.index)


def test_approximate_search_states_its_recall():
    pytest.importorskip("faiss")
    stored, queries = index(500, approximate=True), np.random.default_rng(1).normal(size=(50, 6))
    assert stored.recall(queries, 5) > 0.9
    found = stored.nearest(queries, 5)
    exact = stored.nearest(queries, 5, exact=True)
    same = found.index == exact.index
    assert np.allclose(found.distance[same], exact.distance[same], atol=1e-5)


def test_approximate_search_without_faiss(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(MissingExtra, match=r"needs faiss.*separatrix\[index\]"):
        index(approximate=True).nearest(np.ones((1, 6)), 1)


def test_more_rows():
    stored = index()
    more = stored.add(np.full((1, 6), 5.0), np.array([2]), np.array([7]))
    found = more.nearest(np.full((1, 6), 0.1), 1)
    assert (len(stored), len(more)) == (60, 61)
    assert more.ids[found.index[0, 0]] == 7
    with pytest.raises(ShapeError, match="do not fit the index"):
        stored.add(np.ones((1, 5)), np.array([0]), np.array([0]))


def test_k_larger_than_the_index():
    with pytest.raises(DataError, match="--k is larger than the index: got 61, expected at most 60"):
        index().nearest(np.ones((1, 6)), 61)


def test_rows_that_do_not_fit_together():
    with pytest.raises(ShapeError, match="2 vectors, 1 labels, 2 ids"):
        Index.of(np.ones((2, 3)), np.array([0]), np.array([0, 1]))


def test_points_have_names_and_ids():
    stored, classes = index(4), Classes(("a", "b", "c"))
    points = stored.points(classes)
    assert points.column("id").tolist() == [100, 101, 102, 103]
    assert points.column("label").tolist() == classes.decode(stored.labels).tolist()
    back = Index.read(points, classes)
    assert np.array_equal(back.vectors, stored.vectors)
    assert np.array_equal(back.labels, stored.labels)
    assert np.array_equal(back.ids, stored.ids)


@pytest.mark.parametrize("ids", [[100], [7, 7]])
def test_an_id_stands_for_one_row(ids):
    with pytest.raises(DataError, match="a row is in the index already: got id"):
        index().add(np.ones((len(ids), 6)), np.zeros(len(ids), dtype=int), np.array(ids))


def test_vote_is_chosen_by_right_answers_then_by_likelihood():
    """One nearest row is mislabelled: with k = 1 its neighbors are lost, with 3 they are not."""
    angles = np.radians([0, 1, 2, 3, 90, 91, 92, 93])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    labels = np.array([0, 1, 0, 0, 1, 1, 1, 1])
    stored = Index.of(vectors, labels, np.arange(8))
    gold = np.array([0, 1])
    asked = np.stack([np.cos(np.radians([1.1, 92])), np.sin(np.radians([1.1, 92]))], axis=1)
    found = stored.nearest(asked, 3)
    options = [Vote(1, "uniform"), Vote(3, "uniform")]
    assert choose_vote(found, labels, gold, 2, options, accuracy).k == 3


def accuracy(scores, gold):
    return {"accuracy": float((scores.argmax(axis=1) == gold).mean())}


def test_vote_is_chosen_by_the_score_that_was_given():
    """One row of a rare class among many: plain accuracy gives it up, a mean over the classes does not."""
    angles = np.radians([0, 2, 4, 6, 8, 3.1])
    labels = np.array([0, 0, 0, 0, 0, 1])
    stored = Index.of(np.stack([np.cos(angles), np.sin(angles)], axis=1), labels, np.arange(6))
    asked = np.radians([0.1, 2.6, 2.7, 3.2])  # with k = 1, two of class 0 fall to the rare row, and its own is found
    gold = np.array([0, 0, 0, 1])
    found = stored.nearest(np.stack([np.cos(asked), np.sin(asked)], axis=1), 3)

    def fair(scores, gold):
        right = scores.argmax(axis=1) == gold
        return {"accuracy": float(np.mean([right[gold == label].mean() for label in (0, 1)]))}

    options = [Vote(1, "uniform"), Vote(3, "uniform")]
    assert choose_vote(found, labels, gold, 2, options, accuracy).k == 3
    assert choose_vote(found, labels, gold, 2, options, fair).k == 1


def test_of_equal_votes_the_likelier_is_taken_whatever_the_score():
    stored, queries = index(), np.random.default_rng(1).normal(size=(40, 6))
    found, gold = stored.nearest(queries, 20), np.random.default_rng(2).integers(0, 3, 40)
    options = [Vote(k, weights) for k in (1, 5, 20) for weights in WEIGHING]
    fits = [smooth(shares(found, stored.labels, 3, vote), vote.k)[np.arange(40), gold].mean() for vote in options]
    got = choose_vote(found, stored.labels, gold, 3, options, lambda *_: {"accuracy": 0.5})
    assert got == options[int(np.argmax(fits))]


def test_smoothing_keeps_the_order():
    votes = np.random.default_rng(0).dirichlet(np.ones(4), size=20)
    logs = smooth(votes, 5)
    assert np.array_equal(np.argsort(votes, 1), np.argsort(logs, 1))
    assert np.allclose(np.exp(logs).sum(1), 1)
