"""Starts, movers and pushes against their definitions; merging and oscillation, before and after (seed 001)."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix.errors import DataError, OptionError, ShapeError
from separatrix.learn.objectives.base import LossBatch
from separatrix.learn.objectives.centroids import CentroidObjective, centroid_ce
from separatrix.learn.objectives.movement import (
    MOVERS,
    PUSHES,
    STARTS,
    CentroidState,
    away,
    class_means,
    move,
    origin,
    spread,
    start,
)
from separatrix.recipe import CentroidRecipe

OUTPUTS = torch.tensor([[1.0, 0.0], [0.0, 4.0], [3.0, 2.0], [8.0, 8.0], [2.0, 2.0], [0.0, 0.0]])
LABELS = torch.tensor([2, 0, 2, 1, 0, 1])


def blobs(seed=0, rows=30, classes=3, width=5, gap=10.0):
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(rows) % classes
    centres = gap * torch.randn(classes, width, generator=rng)
    return centres[labels] + torch.randn(rows, width, generator=rng), labels


def options(name):
    """The choices that the recipe names for a field."""
    return set(CentroidRecipe.__dataclass_fields__[name].metadata["choices"])


def test_every_choice_of_the_recipe_has_its_function():
    assert (set(STARTS), set(MOVERS), set(PUSHES)) == (options("start"), options("mover"), options("push_rule"))


# Starts.


def test_first_is_the_output_of_the_first_row_of_each_class():
    assert start("first", OUTPUTS, LABELS, 3, seed=0).tolist() == [[0, 4], [8, 8], [1, 0]]


def test_mean_is_the_mean_output_of_each_class():
    assert start("mean", OUTPUTS, LABELS, 3, seed=0).tolist() == [[1, 3], [4, 4], [2, 1]]


def test_random_is_plain_normal_vectors_by_seed_wherever_the_data_is():
    wide = OUTPUTS.repeat(1, 500)
    drawn = start("random", wide, LABELS, 3, seed=1)
    assert torch.equal(drawn, torch.randn(3, 1000, generator=torch.Generator().manual_seed(1)))
    assert torch.equal(drawn, start("random", wide + 1000, LABELS, 3, seed=1))
    assert not torch.equal(drawn, start("random", wide, LABELS, 3, seed=2))


def test_random_start_leaves_the_global_generator_alone():
    torch.manual_seed(7)
    expected = torch.randn(1)
    torch.manual_seed(7)
    start("random", OUTPUTS, LABELS, 3, seed=0)
    assert torch.equal(torch.randn(1), expected)


def test_random_start_is_far_from_the_data_and_the_others_are_not():
    """Seed 001, experiments 1 and 2: where a centroid starts decides."""
    outputs, labels = blobs(gap=10.0)

    def miss(name):
        return (start(name, outputs, labels, 3, seed=0) - class_means(outputs, labels, 3)[0]).norm(dim=1).mean().item()

    assert miss("random") > 10
    assert 0 < miss("first") < 4
    assert miss("mean") == 0


@pytest.mark.parametrize("name", ["first", "mean"])
def test_a_class_without_rows_is_refused(name):
    with pytest.raises(DataError, match="a class has no row to start its centroid from: got no rows of class 3"):
        start(name, OUTPUTS, LABELS, 4, seed=0)


def test_unknown_start_names_the_nearest():
    with pytest.raises(OptionError, match=r"unknown start: got 'means'.*did you mean 'mean'"):
        start("means", OUTPUTS, LABELS, 3, seed=0)


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_outside_the_classes_is_refused(label):
    labels = LABELS.clone()
    labels[0] = label
    with pytest.raises(DataError, match="a label is not a class number"):
        start("mean", OUTPUTS, labels, 3, seed=0)


def test_class_means_equal_a_loop_and_bfloat16_is_summed_in_float32():
    outputs, labels = blobs(rows=200, classes=7)
    for rows in (outputs, outputs.bfloat16()):
        means, counts = class_means(rows, labels, 7)
        loop = torch.stack([rows[labels == k].double().mean(0) for k in range(7)])
        assert means.dtype == torch.float32
        torch.testing.assert_close(means.double(), loop, rtol=1e-5, atol=1e-5)
        assert counts.tolist() == [int((labels == k).sum()) for k in range(7)]


# Movers, against one class at a time.


def run(recipe, batches, first):
    state = CentroidState.at(first)
    track = [state.centroids]
    for outputs, labels in batches:
        state = move(state, outputs, labels, recipe)
        track.append(state.centroids)
    return torch.stack(track), state


def slow_run(recipe, batches, first):
    c, v = [row.double() for row in first], [torch.zeros(first.shape[1]).double() for _ in first]
    track = [torch.stack(c)]
    for step, (outputs, labels) in enumerate(batches, start=1):
        for k in range(len(c)):
            if recipe.mover in {"fixed", "gradient"} or step % recipe.every != 0:
                continue
            mine = outputs[labels == k].double()
            if recipe.mover == "ema" and len(mine):
                c[k] = (1 - recipe.rate) * c[k] + recipe.rate * mine.mean(0)
            if recipe.mover == "mean" and len(mine):
                c[k] = mine.mean(0)
            if recipe.mover == "momentum":
                v[k] = recipe.friction * v[k] + (recipe.rate * (mine.mean(0) - c[k]) if len(mine) else 0)
                c[k] = c[k] + v[k]
        track.append(torch.stack(c))
    return torch.stack(track)


def batches_without_class_1_at_times(count=12):
    made = [blobs(seed) for seed in range(count)]
    return [(x[y != 1], y[y != 1]) if i % 3 == 0 else (x, y) for i, (x, y) in enumerate(made)]


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("mover", MOVERS)
def test_mover_equals_the_slow_loop(mover, every):
    recipe = CentroidRecipe(mover=mover, every=every, rate=0.3, friction=0.8)
    first = start("random", *blobs(), 3, seed=0)
    track, state = run(recipe, batches_without_class_1_at_times(), first)
    torch.testing.assert_close(
        track.double(), slow_run(recipe, batches_without_class_1_at_times(), first), rtol=1e-4, atol=1e-4
    )
    assert state.step == 12


def test_a_move_leaves_the_old_state_alone_and_carries_no_gradient():
    outputs, labels = blobs()
    state = CentroidState.at(start("random", outputs, labels, 3, seed=0))
    before = state.centroids.clone()
    moved = move(state, outputs.requires_grad_(), labels, CentroidRecipe(mover="momentum", push=1.0))
    assert torch.equal(state.centroids, before)
    assert (state.velocity == 0).all()
    assert not moved.centroids.requires_grad
    assert not torch.equal(moved.centroids, before)


def test_momentum_overshoots_where_ema_creeps():
    """Seed 001 calls its average a momentum; a real one passes the target."""
    outputs, labels = torch.tensor([[0.0], [10.0]]).repeat(2, 1), torch.tensor([0, 1, 0, 1])
    first = torch.tensor([[5.0], [5.0]])
    creep, _ = run(CentroidRecipe(mover="ema", rate=0.1), [(outputs, labels)] * 40, first)
    swing, _ = run(CentroidRecipe(mover="momentum", rate=0.1, friction=0.9), [(outputs, labels)] * 40, first)
    assert creep[:, 1].max() < 10
    assert swing[:, 1].max() > 11


@pytest.mark.parametrize(("mover", "pushed"), [("fixed", False), ("gradient", True), ("ema", True), ("mean", True)])
def test_all_movers_but_fixed_are_pushed(mover, pushed):
    outputs, labels = blobs()
    still = move(CentroidState.at(class_means(outputs, labels, 3)[0]), outputs, labels, CentroidRecipe(mover=mover))
    state = move(still, outputs, labels, CentroidRecipe(mover=mover, push=0.5))
    assert torch.equal(state.centroids, still.centroids) != pushed


def test_push_waits_for_its_step():
    outputs, labels = blobs()
    recipe = CentroidRecipe(mover="gradient", push=0.5, every=3)
    track, _ = run(recipe, [(outputs, labels)] * 6, class_means(outputs, labels, 3)[0])
    moved = (track.diff(dim=0).abs().sum((1, 2)) > 0).tolist()
    assert moved == [False, False, True, False, False, True]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), mover=st.sampled_from(sorted(MOVERS)), push=st.sampled_from([0.0, 0.7]))
def test_names_of_classes_and_place_of_the_origin_do_not_matter(seed, mover, push):
    outputs, labels = blobs(seed)
    outputs = outputs.double()
    first = start("first", outputs, labels, 3, seed=0)
    recipe = CentroidRecipe(mover=mover, push=push)
    old = torch.randperm(3, generator=torch.Generator().manual_seed(seed))
    plain = move(CentroidState.at(first), outputs, labels, recipe).centroids
    renamed = move(CentroidState.at(first[old]), outputs, torch.argsort(old)[labels], recipe).centroids
    shifted = move(CentroidState.at(first + 50), outputs + 50, labels, recipe).centroids
    torch.testing.assert_close(renamed, plain[old])
    torch.testing.assert_close(shifted, plain + 50)


# Pushes (seed 001's repulsion pointed from the origin).


def test_away_equals_a_loop():
    centroids = start("random", *blobs(), 6, seed=3)
    for k in range(6):
        units = [(centroids[k] - c) / (centroids[k] - c).norm() for j, c in enumerate(centroids) if j != k]
        torch.testing.assert_close(away(centroids)[k], sum(units) / 5)


def test_origin_equals_the_formula_of_seed_001():
    centroids = start("random", *blobs(), 4, seed=3)
    for k in range(4):
        others = torch.stack([c for j, c in enumerate(centroids) if j != k]).mean(0)
        torch.testing.assert_close(origin(centroids)[k], others / others.norm())


def test_two_close_centroids_move_apart_with_away_and_not_with_origin():
    close = torch.tensor([[10.0, 10.0], [10.0, 10.1]])
    before = spread(close)["min"]
    assert spread(close + 0.1 * away(close))["min"] == pytest.approx(before + 0.2, rel=1e-4)
    assert spread(close + 0.1 * origin(close))["min"] < 1.01 * before


def test_without_push_centroids_merge_and_with_it_they_do_not():
    """Seed 001, experiments 8 and 9: batches whose classes overlap draw the centroids to one point; 200 steps."""
    rng = torch.Generator().manual_seed(0)
    batches = [(torch.randn(64, 8, generator=rng) + 5, torch.arange(64) % 4) for _ in range(200)]
    first = 5 + 3 * torch.randn(4, 8, generator=rng)

    def closest(push, rule):
        track, _ = run(CentroidRecipe(mover="ema", rate=0.1, push=push, push_rule=rule), batches, first)
        return min(spread(c)["min"] for c in track[50:])

    assert spread(first)["min"] > 5
    assert closest(0.0, "away") < 0.3
    assert closest(0.1, "origin") < 0.3
    assert closest(0.1, "away") > 0.9


@settings(max_examples=50, deadline=None)
@given(classes=st.integers(2, 7), width=st.integers(1, 6), at=st.floats(-5, 5))
def test_coincident_centroids_all_part_always_in_the_same_way(classes, width, at):
    together = torch.full((classes, width), at, dtype=torch.float64)
    once = together + 0.1 * away(together)
    assert spread(once)["min"] > 1e-3
    assert torch.equal(once, together + 0.1 * away(together))
    torch.testing.assert_close(once.mean(0), together[0])


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 6))
def test_away_moves_no_centre_of_mass_and_is_no_longer_than_one(seed, classes):
    centroids = torch.randn(classes, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    push = away(centroids)
    torch.testing.assert_close(push.sum(0), torch.zeros(4, dtype=torch.float64))
    assert (push.norm(dim=1) <= 1 + 1e-9).all()
    assert spread(centroids + 0.01 * push)["mean"] > spread(centroids)["mean"]


@pytest.mark.parametrize("push", PUSHES.values())
def test_one_centroid_cannot_be_pushed(push):
    with pytest.raises(ShapeError, match="two centroids are needed"):
        push(torch.ones(1, 3))


# Numbers about them.


def test_spread_equals_a_loop():
    centroids = start("random", *blobs(), 5, seed=0)
    between = [(centroids[i] - centroids[j]).norm().item() for i in range(5) for j in range(i)]
    assert spread(centroids) == {"min": pytest.approx(min(between)), "mean": pytest.approx(sum(between) / 10)}


def line_of(track):
    """What the loop writes of centroids that went this way, (steps, classes, width)."""
    objective = CentroidObjective(track.shape[1], centroid_ce, rule=CentroidRecipe(mover="gradient"))
    objective.begin(track[0].clone())
    for place in track[1:]:
        objective.centroids.copy_(place)  # as an optimizer moves them
        objective.after_step(track[0], LossBatch(torch.arange(track.shape[1])))
    return objective.summary()["centroids"]


def test_the_line_of_known_ways():
    straight = torch.tensor([[0.0, 0.0], [1.0, 0.0], [3.0, 0.0]])
    corner = torch.tensor([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]])
    still = torch.zeros(3, 2)
    found = line_of(torch.stack([straight, corner, still], dim=1))
    assert (found["path"], found["moved"]) == (pytest.approx((3 + 7) / 3), pytest.approx((3 + 5) / 3))
    assert found["oscillation"] == pytest.approx((0 + 1 - 5 / 7 + 0) / 3)
    assert line_of(torch.zeros(3, 2, 2))["oscillation"] == 0.0


@pytest.mark.parametrize("mover", ["ema", "momentum", "mean"])
def test_moving_at_every_fifth_step_shortens_the_path_and_the_oscillation(mover):
    """Seed 001, experiment 10 and its last question: a noisy stream that drifts, 200 steps."""
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(32) % 2
    goal = torch.tensor([-4.0, 4.0])[:, None].expand(2, 8)
    batches = [(goal[labels] * step / 200 + 3 * torch.randn(32, 8, generator=rng), labels) for step in range(200)]

    def statistics(every):
        track, _ = run(CentroidRecipe(mover=mover, every=every, rate=0.2), batches, torch.zeros(2, 8))
        found = line_of(track)
        return found["path"], found["oscillation"]

    (long, restless), (short, calm) = statistics(1), statistics(5)
    assert short < 0.5 * long
    assert calm < restless - 0.03
