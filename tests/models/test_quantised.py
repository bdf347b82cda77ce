"""Eight bits by ONNX Runtime: near the model, the model untouched, and refused where it does not apply."""

import sys

import numpy as np
import pytest

from separatrix.errors import MissingExtra, ModelError, OptionError
from separatrix.models import quantised
from separatrix.models.extract import Engine, hidden_reader
from separatrix.models.pool import plan_poolings
from separatrix.models.quantised import quantise
from separatrix.recipe.vectors import VectorsRecipe

TEXTS = ["the cat is red", "who did it in the old house ?", "a", "how many fish are in the river", "a bird"]


def vectors(backbone, run=None):
    reader = hidden_reader(Engine(backbone, run=run), plan_poolings(VectorsRecipe(pool=("mean",)), 3))
    return reader.read(reader.tokenize(TEXTS), ["mean"])["mean"]


def cosines(one, two):
    return (one * two).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)


def test_vectors_are_near_and_the_model_stays_as_it_is(loaded):
    pytest.importorskip("onnxruntime", reason='needs pip install "separatrix[onnx]"')
    backbone = loaded("bert")
    frozen, exact = backbone.fingerprint(), vectors(backbone)
    small = quantise(backbone)
    near = vectors(backbone, small.run)
    # Near, and really in eight bits: float32 elsewhere comes within 1e-6. How near depends on the machine, because
    # without eight-bit instructions sums of products saturate (0.97 to 0.9996 were seen).
    assert 0.95 < cosines(exact, near).min() < 1 - 1e-5
    units = [values / np.linalg.norm(values, axis=1, keepdims=True) for values in (near, exact)]
    assert (units[0] @ units[1].T).argmax(axis=1).tolist() == list(range(len(TEXTS)))  # each text is nearest to itself
    assert backbone.fingerprint() == frozen
    assert backbone.model.config._attn_implementation == "separatrix"
    np.testing.assert_array_equal(vectors(backbone), exact)


def test_an_export_that_gives_other_states_is_refused(loaded, monkeypatch):
    pytest.importorskip("onnxruntime", reason='needs pip install "separatrix[onnx]"')
    run = quantised.run_session
    # A length or a mask that tracing cast into the export shows as states that are elsewhere.
    monkeypatch.setattr(
        quantised, "run_session", lambda *places: tuple(state.roll(1, dims=0) for state in run(*places))
    )
    with pytest.raises(ModelError, match=r"gives other states than the model: got .* apart; leave --engine away"):
        quantise(loaded("bert"))


def test_where_it_does_not_apply_is_refused(loaded, monkeypatch):
    with pytest.raises(OptionError, match="runs encoders on a CPU: got a causal model"):
        quantise(loaded("gpt2"))
    with pytest.raises(OptionError, match="--engine has no effect with --what logits"):
        VectorsRecipe(what="logits", engine="onnx-int8")
    with pytest.raises(OptionError, match=r"unknown --engine: got 'onnx'.*did you mean 'onnx-int8'"):
        VectorsRecipe(engine="onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime.quantization", None)
    with pytest.raises(MissingExtra, match=r"separatrix\[onnx\]"):
        quantise(loaded("bert"))
