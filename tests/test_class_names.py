"""Renaming classes moves no figure of any verb: not by ties, not by shuffles, not by folds, not by rounding."""

import json

import numpy as np
import pytest

from separatrix.analysis.associate import associate
from separatrix.analysis.cluster import cluster
from separatrix.analysis.rank import rank
from separatrix.analysis.score import score
from separatrix.analysis.suspects import suspects
from separatrix.geometry.baselines import LabelledBlocks, fit_baselines
from separatrix.points import Points
from separatrix.recipe.score import RankRecipe, ScoreRecipe
from separatrix.texts import Splits, Texts
from separatrix.training.evaluate import Evaluator, score_baselines

NAMES = ("ash", "birch", "cedar", "dogwood")
ORDERS = [(3, 2, 1, 0), (1, 3, 0, 2)]
RECIPE = ScoreRecipe(k=2, grid=(1, 2, 4), permutations=49, resamples=50)
LEFT_OUT = {"seconds", "classes", "joint", "rows_per_second", "out", "thresholds"}


def grid_points(order, *, parts=True, rows=96):
    """Points on a coarse grid, so that distances, votes and class sizes are often equal; names in this order."""
    rng = np.random.default_rng(5)
    y = rng.permutation(np.repeat(np.arange(4), rows // 4))
    x = (rng.integers(0, 3, size=(rows, 5)) + (y[:, None] % 3 == np.arange(5) % 3)).astype(np.float32)
    table = {"id": np.arange(rows), "label": np.array(NAMES)[list(order)][y].astype(object)}
    if parts:
        table["split"] = np.array(["train"] * (rows // 2) + ["validation"] * (rows // 4) + ["test"] * (rows // 4))
    return Points.of(x, table)


def figures(result):
    """Numbers of nested plain data by their place; what names or orders classes, and times, left out."""
    found = {}

    def walk(value, place):
        if isinstance(value, dict):
            for name, inner in value.items():
                if name not in LEFT_OUT:
                    walk(inner, (*place, name))
        elif isinstance(value, list):
            for number, inner in enumerate(value):
                walk(inner, (*place, number))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[place] = value

    walk(json.loads(json.dumps(result, default=float)), ())
    return found


def same(one, other):
    assert one.keys() == other.keys()
    moved = {place: (one[place], other[place]) for place in one if one[place] != pytest.approx(other[place], rel=1e-9)}
    assert not moved


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("parts", [True, False])
def test_score(order, parts):
    clusters = np.arange(96) % 5 - 1

    def scored(names):
        plain = score(grid_points(names, parts=parts), clusters=clusters, recipe=RECIPE).to_dict()
        for figures_of in (plain["clusters"], *plain["clusters"]["by_split"].values()):
            for way in ("majority", "matched"):  # class numbers, in the order of the names beside them
                figures_of[way]["classes"] = None
        return figures(plain)

    assert len(scored(range(4))) > 80
    same(scored(range(4)), scored(order))


@pytest.mark.parametrize("order", ORDERS)
def test_cluster_and_associate(order):
    made = [cluster(grid_points(names), "kmeans", k=3, permutations=49) for names in (range(4), order)]
    for one in made:
        for part in (one.assignment, *one.assignment["by_split"].values()):
            for way in ("majority", "matched"):  # class numbers, in the order of the names beside them
                part[way]["classes"] = None
    same(*(figures(one.assignment) for one in made))
    same(*(figures(associate(one, "label", permutations=49).figures()) for one in made))


@pytest.mark.parametrize("order", ORDERS)
def test_suspects(order):
    def judged(names):
        made = suspects(grid_points(names), folds=3, k=4)
        return figures(made.figures()), made.rows[["score", "self_confidence"]].to_numpy(), made.rows["suggested"]

    one, other = judged(range(4)), judged(order)
    same(one[0], other[0])
    np.testing.assert_allclose(one[1], other[1], atol=1e-9)
    renamed = dict(zip(NAMES, np.array(NAMES)[list(order)], strict=True))
    assert [renamed[name] for name in one[2]] == list(other[2])


@pytest.mark.parametrize("order", ORDERS)
def test_evaluation_of_a_training(order):
    """Figures of scores and of the baselines beside them."""
    points, rng = grid_points(range(4)), np.random.default_rng(0)
    numbers = np.array([NAMES.index(name) for name in points.column("label")])
    scores = rng.integers(0, 3, size=(96, 4)) + rng.normal(size=(96, 4)) / 10

    def evaluated(names):
        place = np.argsort(names)  # where class number c stands under its new name
        y, own = np.asarray(names)[numbers], scores[:, place]
        split = points.column("split")
        parts = {
            name: LabelledBlocks({"mean": points.values[split == name]}, y[split == name])
            for name in ("train", "validation", "test")
        }
        evaluator = Evaluator.of(parts["train"].targets, NAMES, 0)
        baselines = fit_baselines(parts["train"], parts["validation"], 4, 0)
        found = {"own": evaluator.full(own, y), "baselines": score_baselines(baselines, parts, evaluator)}
        found["own"]["epoch"] = evaluator.quick(own, y)
        for each in (found["own"], *(one for table in found["baselines"].values() for one in table.values())):
            each["per_class"] = sorted((line["f1"], line["rows"]) for line in each["per_class"])
            del each["confusion"]
        return figures(found)

    same(evaluated((0, 1, 2, 3)), evaluated(order))


@pytest.mark.parametrize("order", ORDERS)
def test_rank(order, tiny):
    rng = np.random.default_rng(1)
    words = "cat dog bird fish red blue".split()  # noqa: SIM905
    texts = [" ".join(rng.choice(words, 4)) for _ in range(48)]
    y = rng.permutation(np.repeat(np.arange(4), 12))

    def ranked(names):
        labels = np.array(NAMES)[list(names)][y].astype(object)
        held = np.arange(48) % 3 == 0
        parts = [
            Texts.of([texts[row] for row in np.flatnonzero(mask)], labels[mask].tolist(), source="q.csv")
            for mask in (~held, held)
        ]
        grid = RankRecipe(model=(str(tiny("bert")),), pool=("mean", "last"), k=2, resamples=50, device="cpu")
        return figures(rank(Splits(*parts, None, ()), recipe=grid).to_dict())

    same(ranked(range(4)), ranked(order))
