"""`--dtype auto`: bfloat16 only where the processor has it and a sample of texts keeps its vectors and neighbors."""

import contextlib
import json

import numpy as np
import pytest
import torch

from separatrix.analysis.rank import rank
from separatrix.errors import ModelError, OptionError
from separatrix.estimators.frozen import FrozenClassifier
from separatrix.learn.trained.loading import load_model
from separatrix.models import precision
from separatrix.models.cache import attention_shape, build_cache
from separatrix.models.load import load_backbone
from separatrix.models.precision import number_format, sample_texts, settled
from separatrix.models.suffix import run_prompt
from separatrix.recipe import CacheRecipe, ModelRecipe
from separatrix.texts import Splits, Texts
from separatrix.training.verb import train
from suffix_oracle import ROWS, some_prompt

TEXTS = [f"text {'word ' * number}{number}" for number in range(80)]


@pytest.fixture
def bfloat16(monkeypatch):
    """A processor with the instructions."""
    monkeypatch.setattr(precision, "computes_bfloat16", lambda _: True)


def reader(change):
    """Vectors by text; in bfloat16 those that `change` makes of them."""
    exact = np.random.default_rng(0).normal(size=(len(TEXTS), 32)).astype(np.float32)

    def read(dtype, sample):
        rows = exact[[TEXTS.index(text) for text in sample]]
        return {"even": rows, "mean": rows if dtype == "float32" else change(rows.copy())}

    return read


def test_a_processor_without_the_instructions_reads_nothing_and_says_so(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    chosen = number_format("cpu", TEXTS, lambda *_: pytest.fail("nothing is to be read"))
    assert str(chosen) == "float32: the processor has no instructions for bfloat16"


@pytest.mark.parametrize("query", ["_is_amx_tile_supported", "_is_avx512_bf16_supported"])
def test_either_set_of_instructions_will_do(monkeypatch, query):
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda name=name: name == query)
    assert precision.computes_bfloat16(torch.device("cpu"))


def test_vectors_and_neighbors_that_stay_allow_bfloat16(bfloat16):
    chosen = number_format("cpu", TEXTS, reader(lambda rows: rows + np.float32(1e-4)))
    assert chosen.dtype == "bfloat16"
    assert chosen.reason.startswith("of 64 texts read in both formats the lowest cosine is 1.00000 (at least 0.9995)")
    assert "100.0% of 5 neighbors stay" in chosen.reason


def one_row_turned(rows):
    rows[-1] = rows[-1][::-1]
    return rows


def no_number(rows):
    rows[0, 0] = np.nan
    return rows


@pytest.mark.parametrize("change", [one_row_turned, no_number])
def test_a_single_vector_that_turns_keeps_float32(bfloat16, change):
    assert number_format("cpu", TEXTS, reader(change)).dtype == "float32"


def test_neighbors_that_change_keep_float32_though_every_vector_points_where_it_did(bfloat16):
    shared = 100 * np.ones(32, np.float32)  # the same in all vectors: cosines say little
    noise = np.random.default_rng(1).normal(size=(len(TEXTS), 32)).astype(np.float32)

    def read(dtype, sample):
        own = noise[[TEXTS.index(text) for text in sample]]
        return {"mean": shared + (own if dtype == "float32" else np.roll(own, 1, axis=0))}

    chosen = number_format("cpu", TEXTS, read)
    assert chosen.dtype == "float32"
    assert "the lowest cosine is 0.999" in chosen.reason
    assert precision._cosine(read("float32", TEXTS)["mean"], read("bfloat16", TEXTS)["mean"]) >= precision.LEAST_COSINE


def test_a_family_that_is_refused_in_bfloat16_is_read_in_float32_with_the_reason(bfloat16, tiny, monkeypatch):
    whole = precision.load_backbone

    def load(recipe):
        if recipe.dtype == "bfloat16":
            raise ModelError("model 'x' gives a text other vectors beside a longer one than alone")
        return whole(recipe)

    monkeypatch.setattr(precision, "load_backbone", load)
    recipe, notes = settled(ModelRecipe(str(tiny("bert")), dtype="auto", device="cpu"), TEXTS)
    assert recipe.dtype == "float32"
    assert "the model cannot be read in bfloat16 (model 'x' gives a text other vectors" in notes[0]


def test_a_named_format_stays_and_needs_no_note(bfloat16):
    for dtype in ("float32", "bfloat16"):
        assert settled(ModelRecipe(dtype=dtype), TEXTS) == (ModelRecipe(dtype=dtype), [])


@pytest.mark.parametrize("family", ["gpt2", "bert"])
def test_a_step_in_bfloat16_has_nearly_the_gradients_of_float32(tiny, family):
    """Text, cache and products are in 16 bits; the prompt, its gradients and so the optimiser are in float32."""
    gradients = []
    for dtype in ("float32", "bfloat16"):
        backbone = load_backbone(ModelRecipe(str(tiny(family)), dtype=dtype, device="cpu"))
        prompt = some_prompt(backbone, attention_shape(backbone), tokens=2, scale=0.1)
        leaves = [tensor.requires_grad_() for tensor in prompt.named().values()]
        with contextlib.closing(build_cache(backbone, ROWS, CacheRecipe(cache="memory", cache_dtype=dtype))) as cache:
            hidden = run_prompt(prompt, cache.batch(np.arange(len(ROWS))), backbone)
        weights = torch.randn(hidden.shape, generator=torch.Generator().manual_seed(4))
        (hidden.float() * weights).sum().backward()
        gradients.append([leaf.grad for leaf in leaves])
    for exact, fast in zip(*gradients, strict=True):
        assert fast.dtype == torch.float32
        assert torch.cosine_similarity(exact.flatten(), fast.flatten(), dim=0) > 0.98


def test_bfloat16_that_is_named_where_float32_is_faster_is_noted(monkeypatch, tiny, planted):
    monkeypatch.setattr(precision, "computes_bfloat16", lambda _: False)
    train_rows, rest = Texts.of(*planted).split(test=0.5, seed=0)
    splits = Splits(train_rows, *rest.split(test=0.5, seed=0), ())
    quick = {"epochs": 1, "tokens": 2, "snapshots": 0, "device": "cpu"}
    result = train(splits, model=str(tiny("bert")), dtype="bfloat16", cache_dtype="bfloat16", **quick)
    assert sum("no instructions for it, so that float32 is faster" in note for note in result.notes) == 1
    assert settled(ModelRecipe(device="cpu"), TEXTS)[1] == []
    tensors = result.model.tensors()
    assert {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()} == {torch.float32}


def test_the_sample_is_of_all_lengths_and_always_the_same():
    texts = ["x" * length for length in range(1, 1001)]
    sample = sample_texts(texts)
    assert sample == sample_texts(texts[::-1]) == sorted(set(sample), key=len)
    assert len(sample) == 64
    assert len(sample[0]) <= 16
    assert len(sample[-1]) == 1000
    assert max(np.diff([len(text) for text in sample])) <= 32
    assert sample_texts(["b", "a", "b"]) == ["a", "b"]


def test_a_model_is_not_loaded_in_a_format_that_is_left_open():
    with pytest.raises(OptionError, match="--dtype auto needs texts to choose by"):
        load_backbone(ModelRecipe(dtype="auto"))


@pytest.fixture
def allowed(bfloat16, monkeypatch):
    """A processor with the instructions, and texts that keep their vectors."""
    monkeypatch.setattr(precision, "LEAST_COSINE", 0.9)
    monkeypatch.setattr(precision, "LEAST_KEPT", 0.0)


def test_a_head_keeps_the_format_that_its_vectors_were_read_in(allowed, tiny, planted, tmp_path):
    recipe = ModelRecipe(str(tiny("bert")), dtype="auto", device="cpu")
    fitted = FrozenClassifier(head="centroid", recipe=recipe).fit(*planted)
    assert fitted.recipe.dtype == "auto"
    fitted.save(tmp_path / "head")
    assert FrozenClassifier.load(tmp_path / "head").model_.backbone.dtype == torch.bfloat16


def splits(planted):
    texts = Texts.of(*planted)
    return Splits(texts.take(range(0, len(texts), 2)), texts.take(range(1, len(texts), 2)), None, ())


@pytest.mark.parametrize("options", [{"method": "probe"}, {"method": "prompt", "epochs": 1}])
def test_a_training_says_what_it_computed_in_and_is_used_in_that(allowed, tiny, planted, tmp_path, options):
    result = train(splits(planted), model=str(tiny("bert")), dtype="auto", out=tmp_path / "run", **options)
    assert json.loads((tmp_path / "run/recipe.json").read_text())["backbone"]["dtype"] == "bfloat16"
    assert [note for note in result.notes if note.startswith("number format bfloat16: of 64 texts")]
    assert load_model(tmp_path / "run").backbone.dtype == torch.bfloat16


def test_a_ranking_chooses_for_each_model(allowed, tiny, planted):
    ranking = rank(splits(planted), model=(str(tiny("bert")), str(tiny("gpt2"))), pool="mean", dtype="auto")
    chosen = [note for note in ranking.notes if "number format" in note]
    assert [note.partition(":")[0] for note in chosen] == ["bert", "gpt2"]
