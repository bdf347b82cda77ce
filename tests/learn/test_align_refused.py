"""What an encoder's training refuses, and that it does so before it has cost anything."""

import sys

import pytest
import torch

from align_steps import steps_of
from separatrix.errors import DataError, MissingExtra, OptionError
from separatrix.learn import align
from separatrix.learn.align import train_encoder
from separatrix.texts import Texts
from separatrix.training.methods import build_recipe

ALL_FROZEN = {"frozen_layers": 3, "freeze_embeddings": True}
KEYS = (  # noqa: SIM905
    "cat dog bird fish tree house river red blue green old new big small who what where when why how many is was are "
    "did does it that this of"
).split()


@pytest.fixture
def no_model(monkeypatch):
    """The model may not even be loaded."""

    def loaded(_recipe):
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(align, "load_backbone", loaded)


@pytest.fixture
def no_forward(monkeypatch):
    def forward(*_):
        raise AssertionError("a text was run")

    monkeypatch.setattr("separatrix.learn.trainables.encoder.Encoder.forward", forward)


@pytest.fixture(scope="session")
def many():
    """120 training and 30 validation rows of 30 classes."""
    return Texts.of([f"{key} the" for key in KEYS] * 5, KEYS * 5).split(test=0.2, seed=0)


def rows_of(steps, *, alike):
    """Four rows of one class, or of four classes."""
    y = steps.training.targets["train"].numpy()
    return (y == 0).nonzero()[0][:4] if alike else [int((y == label).nonzero()[0][0]) for label in range(4)]


def test_k_larger_than_the_index_is_refused_at_once(order, no_model):
    """Regression: it was noticed only after the whole training."""
    with pytest.raises(DataError, match="--k is larger than the index: got 500, expected at most 90, its rows"):
        train_encoder(order(k=500))


def test_a_missing_faiss_is_noticed_at_once(order, no_model, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingExtra, match=r"needs faiss.*separatrix\[index\]"):
        train_encoder(order(approximate=True))


def test_k_of_all_rows_and_an_approximate_index_are_taken(order):
    pytest.importorskip("faiss")
    got = train_encoder(order(k=90, approximate=True, epochs=1))
    assert got.model.vote.k == 90
    assert any("the approximate search finds" in note for note in got.notes)


@pytest.mark.parametrize("loss", ["nca", "supcon"])
def test_a_first_step_whose_rows_are_all_of_other_classes(loss, order, many):
    """Regression: "the gradient is zero for encoder" says neither why nor what to do."""
    said = (
        r"no row of step 0 met another of its own class: got 4 rows and 4 others; raise --batch-size, or type --pairs"
    )
    with pytest.raises(DataError, match=said):
        train_encoder(order(parts=many, loss=loss, pairs="batch", batch_size=4, epochs=1))


@pytest.mark.parametrize("options", [{"pairs": "bank"}, {"sampler": "balanced", "class_rows": 2, "pairs": "batch"}])
def test_what_the_hint_says_helps(options, order, many):
    got = train_encoder(order(parts=many, batch_size=4, epochs=1, **options))
    assert got.fitted.metrics[0]["parts"]["steps_without_positives"] == 0


def test_right_angles_alone_are_an_objective(order, many):
    got = train_encoder(order(parts=many, loss="cosine_mse", pairs="batch", batch_size=4, epochs=1))
    assert "steps_without_positives" not in got.fitted.metrics[0]["parts"]


@pytest.mark.parametrize(("step", "options"), [(1, {}), (0, {"head_weight": 1.0})])
def test_a_later_step_without_positives_or_one_of_which_a_head_learns_is_counted(step, options, order, many):
    head = {"weight": torch.zeros(30, 32, requires_grad=True), "bias": torch.zeros(30)} if options else {}
    steps = steps_of(order(parts=many, pairs="batch", **options), **head)
    found = []
    for alike in (False, True):
        _, value = steps.backward(torch.tensor(rows_of(steps, alike=alike)).numpy(), step)
        found.append(float(value.parts["steps_without_positives"]))
    assert found == [1.0, 0.0]


def test_steps_without_positives_are_told_at_the_end(order, few_animals):
    """Two rows of three classes: now and then they are of one class."""
    got = train_encoder(order(pairs="batch", batch_size=2, epochs=1, head_weight=0.1))
    share = got.fitted.metrics[0]["parts"]["steps_without_positives"]
    assert 0.4 < share < 0.9
    said = f"in {share:.1%} of the steps no row met another of its own class"
    assert any(said in note for note in got.notes)


@pytest.mark.parametrize("pool", ["mean", "cls", "layer_mean"])
def test_nothing_to_train_is_refused_before_a_text_is_run(pool, order, no_forward):
    """Regression: a traceback of torch."""
    said = "nothing is left to train: got --frozen-layers 3 and --freeze-embeddings, expected .*; lower --frozen-layers"
    with pytest.raises(OptionError, match=said):
        train_encoder(order(pool=pool, **ALL_FROZEN))


def test_more_frozen_layers_than_there_are(order):
    with pytest.raises(OptionError, match=r"--frozen-layers is out of range: got 9, expected 0 to 3"):
        train_encoder(order(frozen_layers=9))


@pytest.mark.parametrize("loss", ["centroid_ce", "linear"])
def test_pairs_across_groups_need_an_objective_with_pairs(loss):
    """Regression: `--invariance pairs` was ignored in silence."""
    asked = {"loss": loss, "invariance": "pairs"}
    said = r"--invariance has no effect here: expected --loss nca\|supcon\|cosine_mse.*leave --invariance away"
    with pytest.raises(OptionError, match=said):
        build_recipe("align", asked)
    with pytest.raises(OptionError, match="--invariance has no effect here"):
        build_recipe("finetune", {"invariance": "pairs"})


@pytest.mark.parametrize(
    "asked",
    [
        *({"loss": loss, "invariance": "pairs"} for loss in ("nca", "supcon", "cosine_mse")),
        *({"loss": loss, "invariance": "reversal"} for loss in ("centroid_ce", "linear")),
        {"loss": "centroid_ce"},
    ],
)
def test_invariance_with_an_effect_passes(asked):
    build_recipe("align", asked)
