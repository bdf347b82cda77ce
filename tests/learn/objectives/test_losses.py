"""Every objective against an obvious loop, its gradient against finite differences, and what must not change it."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from objective_tensors import Tensors, build
from separatrix.errors import DataError, ShapeError
from separatrix.learn.objectives import OBJECTIVES, LossBatch, LossValue
from separatrix.learn.objectives.metric import cosines, distances, reciprocal
from separatrix.recipe import LOSSES, LossRecipe

SEVERAL = "binary_ce"  # of rows with several labels, which has tests of its own
ONE = [name for name in LOSSES if name != SEVERAL]
CLASSIFY = [name for name in ONE if OBJECTIVES[name].task == "classify"]
ANCHORED = ["centroid", "attract_repel", "centroid_ce"]
PAIRED = ["cosine", "distance"]
FACTORS = [(1.0, 1.0), (100.0, 0.0), (0.3, 7.0)]


def make(seed=0, rows=12, classes=4, width=6, dtype=torch.float64, scale=2.0):
    """Outputs, labels (every class present) and anchors for every objective."""
    rng = torch.Generator().manual_seed(seed)
    z = scale * torch.randn(rows, width, generator=rng, dtype=dtype)
    y = torch.arange(rows) % classes
    anchors = Tensors(
        centroids=scale * torch.randn(classes, width, generator=rng, dtype=dtype),
        weight=torch.randn(classes, width, generator=rng, dtype=dtype),
        bias=torch.randn(classes, generator=rng, dtype=dtype),
        words=torch.randperm(width, generator=rng)[:classes],
        classes=classes,
    )
    return z, y, anchors


def for_(name, anchors):
    """The anchors that an objective uses; `token` without the head's bias, `mse` with one column."""
    if name == "token":
        return replace(anchors, bias=None)
    return replace(anchors, weight=anchors.weight[:1], bias=anchors.bias[:1]) if name == "mse" else anchors


def value(name, z, y, anchors, attraction=1.0, repulsion=1.0, temperature=1.0) -> LossValue:
    recipe = LossRecipe(loss=name, attraction=attraction, repulsion=repulsion, temperature=temperature)
    return build(name, for_(name, anchors), recipe).loss(z, LossBatch(y))


# The oracles: plain floats, one row, one pair at a time.


def norm(a, b):
    return math.sqrt(sum((p - q) ** 2 for p, q in zip(a, b, strict=True)))


def cos(a, b):
    zero = [0.0] * len(a)
    return sum(p * q for p, q in zip(a, b, strict=True)) / (norm(a, zero) * norm(b, zero))


def mean(numbers):
    return sum(numbers) / len(numbers)


def slow_ce(logits, label):
    return math.log(sum(math.exp(v - logits[label]) for v in logits))


def slow_pairs(z, y, near, far, attraction, repulsion):
    same, different = [], []
    for i in range(len(z)):
        for j in range(i + 1, len(z)):
            if y[i] == y[j]:
                same.append(near(z[i], z[j]))
            else:
                different.append(far(z[i], z[j]))
    return attraction * (mean(same) if same else 0) + repulsion * (mean(different) if different else 0)


def slow(name, z, y, anchors, attraction, repulsion, temperature):
    z, y = z.tolist(), y.tolist()
    c, w, b = anchors.centroids.tolist(), anchors.weight.tolist(), anchors.bias.tolist()
    n, classes = range(len(z)), range(len(c))
    dot = [[sum(p * q for p, q in zip(row, col, strict=True)) for col in w] for row in z]
    if name == "centroid":
        apart = [1 / norm(c[j], c[k]) for j in classes for k in classes if j < k]
        return attraction * mean([norm(z[i], c[y[i]]) for i in n]) + repulsion * mean(apart)
    if name == "attract_repel":
        far = [repulsion / norm(z[i], c[k]) for i in n for k in classes if k != y[i]]
        return attraction * mean([norm(z[i], c[y[i]]) for i in n]) + mean(far)
    if name == "centroid_ce":
        return mean([slow_ce([-norm(z[i], ck) / temperature for ck in c], y[i]) for i in n])
    if name == "distance":
        return slow_pairs(z, y, norm, lambda p, q: 1 / norm(p, q), attraction, repulsion)
    if name == "cosine":
        return slow_pairs(z, y, lambda p, q: 1 - cos(p, q), lambda p, q: max(0.0, cos(p, q)), attraction, repulsion)
    if name == "token":
        return mean([slow_ce([z[i][word] for word in anchors.words.tolist()], y[i]) for i in n])
    if name == "linear":
        return mean([slow_ce([dot[i][k] + b[k] for k in classes], y[i]) for i in n])
    return mean([(dot[i][0] + b[0] - y[i]) ** 2 for i in n])


def test_the_dictionary_holds_every_loss_a_recipe_may_name():
    assert list(OBJECTIVES) == list(LOSSES) == list(LOSSES.built_in)


@pytest.mark.parametrize("factors", FACTORS)
@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("name", ONE)
def test_equals_the_slow_loop(name, classes, factors):
    z, y, anchors = make(seed=classes, classes=classes)
    got = value(name, z, y, anchors, *factors, temperature=0.5)
    assert got.total.item() == pytest.approx(slow(name, z, y, anchors, *factors, 0.5), rel=1e-9)
    z, y, anchors = make(seed=classes, classes=classes, dtype=torch.float32)
    single = value(name, z, y, anchors, *factors, temperature=0.5).total
    assert single.dtype == torch.float32
    double = slow(name, z, y, anchors, *factors, 0.5)
    assert single.item() == pytest.approx(double, rel=1e-6)


@pytest.mark.parametrize("name", ONE)
def test_bfloat16_is_computed_in_float32(name):
    z, y, anchors = make(dtype=torch.float32)
    half = z.bfloat16()
    low = value(name, half, y, anchors).total
    assert low.dtype == torch.float32
    assert low.item() == value(name, half.float(), y, anchors).total.item()
    assert build(name, for_(name, anchors), LossRecipe()).scores(half).dtype == torch.float32


@pytest.mark.parametrize("name", ONE)
def test_terms_are_detached_and_add_up(name):
    z, y, anchors = make()
    got = value(name, z.requires_grad_(), y, anchors, 3.0, 5.0)
    terms = [part for key, part in got.parts.items() if not key.endswith("_pairs")]
    assert got.total.requires_grad
    assert not any(part.requires_grad for part in got.parts.values())
    assert sum(term.item() for term in terms) == pytest.approx(got.total.item(), rel=1e-12)


@pytest.mark.parametrize("name", ONE)
def test_gradient_equals_finite_differences(name):
    z, y, anchors = make(rows=6, classes=3)
    assert torch.autograd.gradcheck(lambda rows: value(name, rows, y, anchors).total, z.requires_grad_())
    if name in ANCHORED:
        centres = anchors.centroids.clone().requires_grad_()
        assert torch.autograd.gradcheck(
            lambda c: value(name, z.detach(), y, replace(anchors, centroids=c)).total, centres
        )


def test_centroid_equals_hand_values_with_factors_1_1_and_100_0():
    # Seed 001, two classes: distances to the own centroid 5 and 0, centroids 10 apart.
    anchors = Tensors(centroids=torch.tensor([[0.0, 0.0], [6.0, 8.0]]))
    z, y = torch.tensor([[3.0, 4.0], [6.0, 8.0]]), torch.tensor([0, 1])
    recipe = LossRecipe(loss="centroid")
    assert build("centroid", anchors, recipe).loss(z, LossBatch(y)).total.item() == pytest.approx(2.5 + 0.1)
    only = LossRecipe(loss="centroid", attraction=100, repulsion=0)
    assert build("centroid", anchors, only).loss(z, LossBatch(y)).total.item() == pytest.approx(250.0)


def test_attract_repel_equals_hand_values():
    # Distances to own / other: 5 / 5 and 0 / 10.
    anchors = Tensors(centroids=torch.tensor([[0.0, 0.0], [6.0, 8.0]]))
    z, y = torch.tensor([[3.0, 4.0], [6.0, 8.0]]), torch.tensor([0, 1])
    got = build("attract_repel", anchors, LossRecipe(loss="attract_repel")).loss(z, LossBatch(y))
    assert got.parts["attraction"].item() == pytest.approx(2.5)
    assert got.parts["repulsion"].item() == pytest.approx((1 / 5 + 1 / 10) / 2)


def test_temperature_sharpens_the_decision_without_changing_it():
    z, _, anchors = make(classes=5, rows=20)
    scores = {t: build("centroid_ce", anchors, LossRecipe(temperature=t)).scores(z) for t in (0.1, 1.0, 10.0)}
    assert all(torch.equal(s.argmax(1), scores[1.0].argmax(1)) for s in scores.values())
    confidence = [scores[t].softmax(1).amax(1).mean().item() for t in (0.1, 1.0, 10.0)]
    assert confidence == sorted(confidence, reverse=True)


# Where two points meet.


@pytest.mark.parametrize("name", [*ANCHORED, *PAIRED])
def test_gradient_is_finite_where_rows_and_centroids_coincide(name):
    z = torch.ones(4, 3, requires_grad=True)
    centres = torch.ones(2, 3, requires_grad=True)
    value = build(name, Tensors(centroids=centres), LossRecipe(loss=name)).loss(
        z, LossBatch(torch.tensor([0, 1, 0, 1]))
    )
    value.total.backward()
    assert value.total.isfinite()
    assert z.grad.isfinite().all()
    assert name in PAIRED or (centres.grad is not None and centres.grad.isfinite().all())


def test_gradient_of_the_norm_at_zero_is_zero_where_the_plain_formula_gives_nan():
    plain, safe = torch.zeros(1, 3, requires_grad=True), torch.zeros(1, 3, requires_grad=True)
    plain.square().sum().sqrt().backward()
    distances(safe, torch.zeros(1, 3)).sum().backward()
    assert plain.grad.isnan().all()
    assert (safe.grad == 0).all()


def test_zero_rows_have_cosine_zero_and_finite_gradients():
    z = torch.zeros(2, 3, requires_grad=True)
    cosines(z, torch.ones(2, 3)).sum().backward()
    assert z.grad.isfinite().all()


def test_near_points_are_told_apart_where_the_matrix_product_says_zero():
    rng = torch.Generator().manual_seed(0)
    left = 10 * torch.randn(30, 384, generator=rng)
    right = left + 1e-3 * torch.randn(30, 384, generator=rng)
    exact = (left.double() - right.double()).norm(dim=1)
    product = torch.cdist(left, right, compute_mode="use_mm_for_euclid_dist").diagonal()
    assert ((product - exact).abs() / exact).max() > 0.5
    assert ((distances(left, right).diagonal() - exact).abs() / exact).max() < 1e-3


def test_reciprocal_is_exact_down_to_its_floor():
    d = torch.tensor([10.0, 1e-5, 1e-7, 0.0], requires_grad=True)
    inverse = reciprocal(d)
    inverse.sum().backward()
    np.testing.assert_allclose(inverse.detach(), [0.1, 1e5, 1e6, 1e6], rtol=1e-6)
    np.testing.assert_allclose(d.grad, [-0.01, -1e10, 0, 0], rtol=1e-6)


# Invariants.


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(4, 12), classes=st.integers(2, 4))
@pytest.mark.parametrize("name", ONE)
def test_order_of_the_rows_does_not_matter(name, seed, rows, classes):
    z, y, anchors = make(seed, rows, classes)
    order = torch.randperm(rows, generator=torch.Generator().manual_seed(seed))
    assert value(name, z[order], y[order], anchors).total.item() == pytest.approx(
        value(name, z, y, anchors).total.item(), rel=1e-9
    )


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(4, 12), classes=st.integers(2, 4))
@pytest.mark.parametrize("name", CLASSIFY)
def test_names_of_the_classes_do_not_matter(name, seed, rows, classes):
    z, y, anchors = make(seed, rows, classes)
    old = torch.randperm(classes, generator=torch.Generator().manual_seed(seed))  # old[new name]
    moved = replace(
        anchors,
        centroids=anchors.centroids[old],
        weight=anchors.weight[old],
        bias=anchors.bias[old],
        words=anchors.words[old],
    )
    renamed = torch.argsort(old)[y]
    before, after = value(name, z, y, anchors), value(name, z, renamed, moved)
    assert after.total.item() == pytest.approx(before.total.item(), rel=1e-9)
    recipe = LossRecipe(loss=name)
    scores = [build(name, for_(name, a), recipe).scores(z) for a in (anchors, moved)]
    torch.testing.assert_close(scores[1], scores[0][:, old])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), shift=st.floats(-100, 100))
@pytest.mark.parametrize("name", [*ANCHORED, "distance"])
def test_moving_everything_together_does_not_matter(name, seed, shift):
    z, y, anchors = make(seed)
    moved = replace(anchors, centroids=anchors.centroids + shift)
    assert value(name, z + shift, y, moved).total.item() == pytest.approx(
        value(name, z, y, anchors).total.item(), rel=1e-9
    )


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.01, 100))
def test_length_of_the_outputs_does_not_matter_to_cosine(seed, scale):
    z, y, anchors = make(seed)
    assert value("cosine", scale * z, y, anchors).total.item() == pytest.approx(
        value("cosine", z, y, anchors).total.item()
    )


# Decisions.


def test_each_metric_decides_by_its_own_distance():
    # A short vector in the direction of class 1, but near the mean of class 0.
    means = torch.tensor([[0.0, 1.0], [10.0, 0.0]])
    z = torch.tensor([[1.0, 0.1]])
    anchors = Tensors(centroids=means)
    by_distance = build("distance", anchors, LossRecipe()).scores(z).argmax(1)
    by_cosine = build("cosine", anchors, LossRecipe()).scores(z).argmax(1)
    assert by_distance.item() == 0
    assert by_cosine.item() == 1


@pytest.mark.parametrize("name", CLASSIFY)
def test_scores_have_one_column_per_class(name):
    z, _, anchors = make(rows=7, classes=3)
    assert build(name, for_(name, anchors), LossRecipe()).scores(z).shape == (7, 3)


@pytest.mark.parametrize("name", ["centroid_ce", "attract_repel", "centroid", "linear", "token"])
def test_descent_on_the_outputs_makes_the_decision_right(name):
    z, y, anchors = make(rows=20, classes=4, dtype=torch.float32)
    y = y.flip(0)
    z = z.clone().requires_grad_()
    optimizer = torch.optim.Adam([z], lr=0.1)

    def accuracy():
        scores = build(name, for_(name, anchors), LossRecipe()).scores(z)
        return (scores.argmax(1) == y).float().mean().item()

    before = accuracy()
    for _ in range(100):
        optimizer.zero_grad()
        value(name, z, y, anchors).total.backward()
        optimizer.step()
    assert before < 0.7
    assert accuracy() == 1.0


def test_a_bias_takes_the_level_of_a_word_out_of_the_decision():
    z = torch.tensor([[5.0, 0.0], [4.0, 1.0]])
    anchors = Tensors(words=torch.tensor([0, 1]))
    recipe = LossRecipe(loss="token")
    assert build("token", anchors, recipe).scores(z).argmax(1).tolist() == [0, 0]
    level = replace(anchors, bias=torch.tensor([-4.5, -0.5]))
    assert build("token", level, recipe).scores(z).argmax(1).tolist() == [0, 1]


# Seeds 000 and 001: the pair losses are out of balance.


def test_pair_loss_attracts_far_stronger_than_it_repels_at_a_transformers_distances():
    """Slope 1 against slope 1/d^2: equal at distance 1, 400 to 1 at distance 20."""

    def pull(name, y, gap):
        z = torch.tensor([[0.0], [gap]], requires_grad=True)
        build(name, Tensors(), LossRecipe(loss=name)).loss(z, LossBatch(torch.tensor(y))).total.backward()
        return z.grad[1].abs().item()

    assert pull("distance", [0, 0], 1.0) / pull("distance", [0, 1], 1.0) == pytest.approx(1)
    assert pull("distance", [0, 0], 20.0) / pull("distance", [0, 1], 20.0) == pytest.approx(400, rel=1e-5)


def test_the_two_terms_of_a_batch_are_in_balance_near_distance_1_and_not_at_a_transformers_scale():
    def ratio(scale):
        z = scale * torch.randn(32, 768, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        y = torch.arange(32) % 2
        pulls = []
        for attraction, repulsion in ((1, 0), (0, 1)):
            rows = z.clone().requires_grad_()
            recipe = LossRecipe(loss="distance", attraction=attraction, repulsion=repulsion)
            build("distance", Tensors(), recipe).loss(rows, LossBatch(y)).total.backward()
            pulls.append(rows.grad.norm().item())
        return pulls[0] / pulls[1]

    unit = 1 / math.sqrt(2 * 768)  # two standard normal rows are sqrt(2 * 768) = 39 apart
    assert 0.5 < ratio(unit) < 2
    assert ratio(1.0) > 1000


@pytest.mark.parametrize("height", [0.1, 1.0, 20.0, 500.0])
def test_centroid_ce_pulls_and_pushes_alike_at_any_distance_and_attract_repel_does_not(height):
    """Over the middle of two centroids, equal pull and push leave nothing along the height."""

    def along(name):
        z = torch.tensor([[0.0, height]], dtype=torch.float64, requires_grad=True)
        anchors = Tensors(centroids=torch.tensor([[-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64))
        build(name, anchors, LossRecipe(loss=name)).loss(z, LossBatch(torch.tensor([0]))).total.backward()
        return abs(z.grad[0, 1].item())

    assert along("centroid_ce") < 1e-12
    assert along("attract_repel") > 1e-4
    assert height < 20 or along("attract_repel") > 0.99


@pytest.mark.parametrize("name", PAIRED)
def test_pairs_are_counted(name):
    z, _, anchors = make(rows=6)
    parts = value(name, z, torch.tensor([0, 0, 0, 1, 1, 2]), anchors).parts
    assert (parts["same_pairs"].item(), parts["different_pairs"].item()) == (3 + 1, 15 - 4)


@pytest.mark.parametrize("name", PAIRED)
def test_a_batch_of_one_kind_of_pair_is_fine_and_says_so(name):
    z, _, anchors = make(rows=3)
    alone = value(name, z, torch.tensor([1, 1, 1]), anchors)
    apart = value(name, z, torch.tensor([0, 1, 2]), anchors)
    assert (alone.parts["different"].item(), alone.parts["different_pairs"].item()) == (0, 0)
    assert (apart.parts["same"].item(), apart.parts["same_pairs"].item()) == (0, 0)
    assert alone.total > 0


# What is refused.


@pytest.mark.parametrize("name", PAIRED)
def test_a_batch_without_pairs_is_refused(name):
    z, y, anchors = make(rows=1, classes=2)
    with pytest.raises(DataError, match="no pairs: got a batch of 1"):
        value(name, z, y, anchors)


@pytest.mark.parametrize("name", ONE)
def test_an_empty_batch_is_refused(name):
    z, y, anchors = make()
    with pytest.raises(DataError, match="the batch has no rows"):
        value(name, z[:0], y[:0], anchors)


@pytest.mark.parametrize("name", ONE)
def test_outputs_and_labels_must_fit(name):
    z, y, anchors = make()
    with pytest.raises(ShapeError, match="outputs and labels do not fit"):
        value(name, z, y[:-1], anchors)


@pytest.mark.parametrize("name", [*ANCHORED, "linear", "token"])
@pytest.mark.parametrize("label", [-1, 4])
def test_a_label_outside_the_classes_is_refused_not_indexed(name, label):
    z, y, anchors = make(classes=4)
    y[3] = label
    with pytest.raises(DataError, match=f"a label is not a class number: got {label}, expected 0 to 3"):
        value(name, z, y, anchors)


def test_seed_003_one_output_column_for_two_labels_is_refused():
    """444 and 428 labels, one column: argmax is always 0 and the accuracy is the share of label 0."""
    y = torch.tensor([0] * 428 + [1] * 444)
    z = torch.randn(872, 5, generator=torch.Generator().manual_seed(0))
    column = z @ torch.ones(5, 1)
    assert (column.argmax(1) == y).float().mean().item() == pytest.approx(0.4908, abs=5e-5)
    head = Tensors(weight=torch.ones(1, 5), bias=torch.zeros(1))
    with pytest.raises(ShapeError, match="wrong number of columns of the head: got 1, expected 3, one for each"):
        build("linear", replace(head, classes=3), LossRecipe(loss="linear")).loss(z, LossBatch(y))
    with pytest.raises(ShapeError, match="wrong number of columns of the head: got 1, expected 2, one for each"):
        build("linear", replace(head, classes=2), LossRecipe(loss="linear")).scores(z)


@pytest.mark.parametrize(
    ("name", "what"), [("centroid_ce", "centroids"), ("linear", "columns of the head"), ("token", "label words")]
)
def test_every_class_needs_its_own_anchor(name, what):
    z, y, anchors = make(classes=4)
    with pytest.raises(ShapeError, match=f"wrong number of {what}: got 4, expected 5, one for each class"):
        value(name, z, y, replace(anchors, classes=5))


def test_a_regression_head_has_one_column():
    z, y, anchors = make(classes=3)
    with pytest.raises(ShapeError, match="a regression head has one column: got 3"):
        build("mse", anchors, LossRecipe(loss="mse")).loss(z, LossBatch(y))


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("centroid_ce", "the objective needs centroids"),
        ("cosine", "the objective needs centroids"),
        ("linear", "the objective needs a head"),
        ("mse", "the objective needs a head"),
        ("token", "the objective needs label words"),
    ],
)
def test_a_missing_anchor_is_named(name, match):
    with pytest.raises(ShapeError, match=match):
        build(name, Tensors(), LossRecipe()).scores(torch.ones(2, 3))


@pytest.mark.parametrize(
    ("name", "anchors", "match"),
    [
        ("centroid", Tensors(centroids=torch.ones(2, 4)), "the centroids do not fit"),
        ("linear", Tensors(weight=torch.ones(2, 4), bias=torch.ones(2)), "the head does not fit"),
        ("linear", Tensors(weight=torch.ones(2, 3), bias=torch.ones(3)), "the head does not fit"),
        ("token", Tensors(words=torch.tensor([0, 3])), "a label word is not in the vocabulary"),
        ("token", Tensors(words=torch.tensor([0, 1]), bias=torch.ones(3)), "one bias per label word"),
    ],
)
def test_anchors_that_do_not_fit_the_outputs_are_refused(name, anchors, match):
    with pytest.raises(ShapeError, match=match):
        build(name, anchors, LossRecipe()).scores(torch.ones(2, 3))


def test_one_word_for_two_classes_is_refused():
    with pytest.raises(DataError, match="two classes have the same label word"):
        build("token", Tensors(words=torch.tensor([1, 1])), LossRecipe()).scores(torch.ones(2, 3))
