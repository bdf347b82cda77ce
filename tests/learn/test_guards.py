"""What a training must not do in silence: each guard, through a real training wherever it can be reached."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from separatrix.errors import DataError, ModelError, OptionError, SeparatrixError
from separatrix.learn import prompt
from separatrix.learn.guards import check_cache, check_gradients, check_loss
from separatrix.learn.objectives import OBJECTIVES, head_objective
from separatrix.learn.prompt import start_rows, train_prompt
from separatrix.learn.targets import encode
from separatrix.models.cache import GIB, attention_shape, build_cache
from separatrix.models.load import load_backbone
from separatrix.models.suffix import start_prompt
from separatrix.recipe import CacheRecipe, ModelRecipe, PromptRecipe
from separatrix.texts import Texts


@pytest.fixture
def breaking():
    """`breaking(function)`: an objective whose loss is that function of the head's scores; afterwards it is gone."""

    def enter(function):
        OBJECTIVES["breaking"] = head_objective(lambda scores, _y, _options: {"broken": function(scores)})

    yield enter
    del OBJECTIVES["breaking"]


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_with_one_sentence(train, few, breaking, broken):
    breaking(lambda scores: scores.square().mean() * broken)
    with pytest.raises(SeparatrixError, match=r"^the loss is (nan|inf) at step 0; lower --lr \(now 1e\+16\)$"):
        train(few, loss="breaking", lr=1e16, prompt_layers="input", clip=0.0, warmup=0.0, epochs=3)


def test_a_last_step_that_breaks_everything_is_noticed(train, few, breaking):
    """One step in all: the training loss was still fine, the validation loss is not."""
    breaking(lambda scores: scores.square().mean() * (1.0 if torch.is_grad_enabled() else float("nan")))
    with pytest.raises(SeparatrixError, match=r"^the loss is (nan|inf) at step 1; lower --lr"):
        train(few, loss="breaking", batch_size=64, epochs=1, warmup=0.0)


def test_a_gradient_of_zero_stops_at_the_first_step(train, few):
    with pytest.raises(SeparatrixError, match="the gradient is zero for prompt, layers, centroids at the first step"):
        train(few, loss="centroid", attraction=0.0, repulsion=0.0)


def test_a_zero_gradient_later_is_no_error_but_nan_is():
    tensor = torch.zeros(2)
    tensor.grad = torch.zeros(2)
    assert check_gradients({"prompt": {"tokens": tensor}}, 1) == ({"prompt": 0.0}, 0.0)
    with pytest.raises(SeparatrixError, match="the gradient is zero for prompt at the first step"):
        check_gradients({"prompt": {"tokens": tensor}}, 0)
    tensor.grad = torch.tensor([1.0, float("nan")])
    with pytest.raises(SeparatrixError, match="the gradient of prompt is not a number at step 5; lower --lr"):
        check_gradients({"prompt": {"tokens": tensor}}, 5)
    tensor.grad = torch.tensor([3.0, 4.0])
    head, frozen = torch.zeros(1), torch.zeros(1)
    head.grad = torch.tensor([12.0])
    groups = {"prompt": {"tokens": tensor}, "head": {"weight": head, "bias": frozen}}
    assert check_gradients(groups, 0) == ({"prompt": 5.0, "head": 12.0}, 13.0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_no_number(value):
    check_loss(1.0, 0, 0.1)
    with pytest.raises(SeparatrixError, match=r"the loss is .* at step 7; lower --lr"):
        check_loss(value, 7, 0.1)


def test_weights_that_change_are_noticed(make_job, few, monkeypatch):
    """One weight of the frozen model is nudged by the smallest step there is, in the middle of the training."""
    loaded = []

    def load(*args, **options):
        loaded.append(load_backbone(*args, **options))
        return loaded[-1]

    def report(stage, done, _total, _note):
        if stage == "training" and done == 3:
            weight = next(loaded[0].model.parameters())
            weight.data[0, 0] = torch.nextafter(weight.data[0, 0], torch.tensor(9.0))

    monkeypatch.setattr(prompt, "load_backbone", load)
    job = make_job(few, epochs=2)
    train_prompt(job)
    loaded.clear()
    with pytest.raises(ModelError, match=r"the weights of .* changed in training although the model is frozen"):
        train_prompt(replace(job, progress=report))


FORMATS = [(model, cache) for model in ("float32", "bfloat16") for cache in ("float32", "float16", "bfloat16")]


@pytest.fixture
def cached(tiny, few):
    """`cached(dtype, cache_dtype)` is a text cache, a prompt and their model."""

    def make(dtype="float32", cache_dtype="float16"):
        backbone = load_backbone(ModelRecipe(model=str(tiny("gpt2")), device="cpu", dtype=dtype))
        cache = build_cache(backbone, backbone.tokenize(few[0].text), CacheRecipe(cache_dtype=cache_dtype))
        vectors = start_prompt(PromptRecipe(tokens=3), backbone, attention_shape(backbone))
        return cache, vectors, backbone

    return make


@pytest.mark.parametrize(("dtype", "cache_dtype"), FORMATS)
def test_a_sound_cache_passes(cached, dtype, cache_dtype):
    assert check_cache(*cached(dtype, cache_dtype)) < (0.02 if dtype == "bfloat16" else 1e-3)


def numbers(cache):
    """The stored numbers as a tensor, where they lie."""
    block = torch.from_numpy(cache.rows.block.view(np.int16 if cache.rows.dtype == np.uint16 else cache.rows.dtype))
    return block.view(torch.bfloat16) if cache.rows.dtype == np.uint16 else block


def flip(cache, bit):
    """One bit, counted from the top, of each number of half of the rows."""
    bits = cache.rows.block.view(f"u{cache.rows.dtype.itemsize}")
    bits[: len(bits) // 2] ^= bits.dtype.type(1 << (8 * bits.itemsize - 1 - bit))


DAMAGED = {
    "sign": lambda cache: flip(cache, 0),
    "infinite": lambda cache: flip(cache, 1),  # a regression: the outputs are NaN
    "other rows": lambda cache: np.copyto(cache.rows.block, np.roll(cache.rows.block, int(np.prod(cache.shape.item)))),
    "times -3": lambda cache: numbers(cache).mul_(-3.0),
    "zero": lambda cache: numbers(cache).zero_(),
}


@pytest.mark.parametrize(("dtype", "cache_dtype"), FORMATS)
def test_a_changed_cache_is_noticed(cached, dtype, cache_dtype):
    """In every pair of formats: a guard that lets one of them pass cannot fire there."""
    cache, vectors, backbone = cached(dtype, cache_dtype)
    sound = cache.rows.block.copy()
    for damage in DAMAGED.values():
        damage(cache)
        with pytest.raises(ModelError, match=r"the text cache changes the outputs by .*; type --cache off"):
            check_cache(cache, vectors, backbone)
        np.copyto(cache.rows.block, sound)
    check_cache(cache, vectors, backbone)


def test_a_changed_cache_is_noticed_in_small_outputs(cached):
    """The difference is measured against the outputs, however small they are."""
    cache, vectors, backbone = cached()
    with torch.no_grad():
        backbone.model.ln_f.weight.mul_(1e-3)
        backbone.model.ln_f.bias.zero_()
    check_cache(cache, vectors, backbone)
    numbers(cache).zero_()
    with pytest.raises(ModelError, match="the text cache changes the outputs"):
        check_cache(cache, vectors, backbone)


def test_both_parts_share_the_budget(train, few, monkeypatch):
    """Each part alone fits; a byte less than both need and the second goes elsewhere."""
    made = []

    def kept(*args, **options):
        made.append(build_cache(*args, **options))
        return made[-1]

    monkeypatch.setattr(prompt, "build_cache", kept)
    train(few, epochs=1)
    need = sum(cache.nbytes for cache in made)
    train(few, epochs=1, memory_gib=need / GIB)
    train(few, epochs=1, memory_gib=(need - 1) / GIB)
    trained = train(few, epochs=1, memory_gib=(need - 1) / GIB, disk_gib=0)
    places = [cache.location for cache in made]
    assert places == ["memory", "memory", "memory", "memory", "memory", "disk", "memory", "off"]
    assert any("MiB for the training texts; off, " in note for note in trained.notes)


def test_a_changed_cache_stops_a_training(train, few, monkeypatch):
    def damaged(*args, **options):
        cache = build_cache(*args, **options)
        cache.rows.block *= 3
        return cache

    monkeypatch.setattr(prompt, "build_cache", damaged)
    with pytest.raises(ModelError, match="the text cache changes the outputs"):
        train(few, epochs=1)


WRONG = {  # labels of eight training rows, of two validation rows, loss, message
    "one class": (["a"] * 8, ["a", "a"], "linear", "needs two classes or more: got only 'a' in 8 rows"),
    "unseen label": (["a", "b"] * 4, ["a", "c"], "linear", "unknown label in row 1 .*never seen in training"),
    "names as numbers": (["a", "b"] * 4, ["a", "b"], "mse", "the loss mse needs numbers as labels: got names"),
    "numbers as names": ([0.5, 1.5] * 4, [0.5, 1.5], "linear", "labels are numbers to predict, not classes"),
    "one number": ([2.5] * 8, [2.5, 3.5], "mse", r"all labels are the same number: got 2\.5"),
    "too large": (
        [1e306, 1e300] * 4,
        [1.0, 2.0],
        "mse",
        r"too large to be squared: got 1e\+306 in row 0 .*divide them",
    ),
    "too near": (
        [1e-310, 2e-310] * 4,
        [0.0, 1.0],
        "mse",
        "too near to each other to be squared: got a range of 1e-310",
    ),
    "too far": ([1.0, 2.0] * 4, [1.0, 1e40], "mse", "the label in row 1 .* is too far from those of the training rows"),
    "one number, rounded": ([0.1] * 90, [0.1, 0.2], "mse", r"all labels are the same number: got 0\.1"),
    "no labels": (None, ["a", "b"], "linear", "has no labels; name their column with --label"),
    "no validation labels": (["a", "b"] * 4, None, "linear", "has no labels; name their column with --label"),
}


@pytest.mark.parametrize("case", WRONG)
def test_labels_that_cannot_be_learnt(train, tmp_path, case):
    labels, held, loss, message = WRONG[case]
    parts = (
        Texts.of([f"the cat {n}" for n in range(8 if labels is None else len(labels))], labels),
        Texts.of(["a dog", "a bird"], held),
    )
    with pytest.raises(DataError, match=message):
        train(parts, folder=tmp_path / "run", loss=loss)
    assert not (tmp_path / "run").exists()


def test_a_class_with_one_row_can_be_trained_on(train):
    rows = Texts.of([f"the cat {n}" for n in range(8)] + ["a bird"], ["a", "b"] * 4 + ["c"])
    held = Texts.of(["the cat 9", "bird"], ["a", "c"])
    for loss in ("centroid_ce", "cosine", "token"):
        trained = train((rows, held), loss=loss, epochs=1, batch_size=4)
        assert trained.model.classes.names == ("a", "b", "c")
        assert np.isfinite(trained.fitted.metrics[0]["validation"]["loss"])


def test_label_words_that_cannot_be_used(train, few):
    with pytest.raises(OptionError, match="one label word per class is needed: got 2, expected 3: bird, cat, dog"):
        train(few, loss="token", words=("good", "bad"))
    with pytest.raises(OptionError, match="two label words begin with the same token: got good, bad, good"):
        train(few, loss="token", words=("good", "bad", "good"))


def test_start_rows_hold_every_class_and_are_bounded(monkeypatch):
    labels = np.array([0] * 500 + [1] * 500 + [2])
    assert start_rows(labels, 3, 0).tolist() == list(range(1001))
    monkeypatch.setattr(prompt, "START_ROWS", 50)
    rows = start_rows(labels, 3, 0)
    assert len(rows) <= 53
    assert set(labels[rows]) == {0, 1, 2}
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert rows.tolist() == start_rows(labels, 3, 0).tolist()


@pytest.mark.parametrize(("scale", "shift"), [(1e30, 0.0), (1e-30, 0.0), (1.0, 1.7e9)])
def test_numbers_of_any_size_are_learnt_as_well_as_small_ones(train, numbers, scale, shift):
    """Regression: float32 overflowed at 1e19, and beside 1.7e9 it holds every 128th number alone."""
    some = numbers[0].take(range(40)), numbers[1]
    moved = tuple(replace(part, label=part.label * scale + shift) for part in some)
    plain, other = (train(parts, loss="mse", epochs=1) for parts in (some, moved))
    for ours, theirs in zip(plain.fitted.metrics, other.fitted.metrics, strict=True):
        assert theirs["validation"]["rmse"] / scale == pytest.approx(ours["validation"]["rmse"], rel=1e-4)
    answers = other.model.answer(some[1].text).labels
    assert answers.dtype == np.float64
    np.testing.assert_allclose((answers - shift) / scale, plain.model.answer(some[1].text).labels, rtol=1e-4)


def test_targets_are_standardised_on_the_training_rows_alone():
    parts = {"train": Texts.of(["x", "y"], [10.0, 30.0]), "test": Texts.of(["z"], [50.0])}
    targets = encode(parts, "regress")
    assert (targets.scaling.mean, targets.scaling.scale) == (20.0, 10.0)
    assert targets.trained["train"].tolist() == [-1.0, 1.0]
    assert targets.trained["test"].tolist() == [3.0]
    assert targets.names == ()
