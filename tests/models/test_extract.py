"""One pass for any blocks: equal to separate passes and to plain transformers, whatever stands beside a text."""

import numpy as np
import pytest
import torch
import transformers as hf

from separatrix.errors import ModelError, OptionError
from separatrix.models.backbone import Backbone
from separatrix.models.extract import Engine, hidden_reader, logits_reader, token_reader
from separatrix.models.pool import plan_poolings
from separatrix.recipe.vectors import VectorsRecipe

TEXTS = ["the cat is red", "who did it in the old house ?", "a", "how many fish are in the river", "a bird"]
EVERY = VectorsRecipe(
    pool=("cls", "mean", "max", "last", "layer_mean", "weighted"), layers=("all",), layer_weights=(0, 1, 0, 3)
)


def read(reader, names=None, texts=TEXTS):
    tokens = reader.tokenize(texts)
    if names is None:
        names = reader.names
    return reader.read(tokens, names)


@torch.no_grad()
def test_all_blocks_in_one_pass_equal_separate_ones_and_plain_transformers(tiny, loaded, family, monkeypatch):
    backbone = loaded(family)
    plans = plan_poolings(EVERY, 3)
    assert len(plans) == 4 * 4 + 2
    calls = []
    monkeypatch.setattr(
        Backbone, "run", lambda *places, run=Backbone.run, **named: calls.append(1) or run(*places, **named)
    )
    together = read(hidden_reader(Engine(backbone), plans))
    assert len(calls) == 1
    model = hf.AutoModel.from_pretrained(tiny(family), attn_implementation="eager").eval()
    for row, text in enumerate(TEXTS):
        ids = torch.tensor([backbone.tokenizer(text)["input_ids"]])
        given = model(ids, output_hidden_states=True)
        states = [state[0].numpy() for state in (*given.hidden_states[:-1], given.last_hidden_state)]
        for layer, state in enumerate(states):
            wanted = {"cls": state[0], "last": state[-1], "mean": state.mean(axis=0), "max": state.max(axis=0)}
            for pool, vector in wanted.items():
                np.testing.assert_allclose(together[f"{pool}@{layer}"][row], vector, rtol=0, atol=5e-5)
        mixed = 0.25 * states[1].mean(axis=0) + 0.75 * states[3].mean(axis=0)
        np.testing.assert_allclose(together[plans[-1].name][row], mixed, rtol=0, atol=5e-5)
    for plan in (plans[0], plans[7], plans[-2]):
        alone = read(hidden_reader(Engine(backbone), (plan,)))
        np.testing.assert_array_equal(alone[plan.name], together[plan.name])


@pytest.mark.parametrize("budget", [12, 10_000])
def test_batch_mates_and_order_change_nothing(loaded, family, budget):
    plans = plan_poolings(VectorsRecipe(pool=("cls", "max", "layer_mean"), layers=(1, 3)), 3)
    backbone = loaded(family)
    whole = read(hidden_reader(Engine(backbone, budget), plans))
    turned = read(hidden_reader(Engine(backbone), plans), texts=TEXTS[::-1])
    for name, values in whole.items():
        np.testing.assert_allclose(turned[name][::-1], values, rtol=0, atol=5e-5)
        alone = np.concatenate([read(hidden_reader(Engine(backbone), plans), texts=[text])[name] for text in TEXTS])
        np.testing.assert_allclose(alone, values, rtol=0, atol=5e-5)


@torch.no_grad()
def test_logits_come_from_the_last_position_only(tiny, loaded, family, monkeypatch):
    backbone, shapes = loaded(family, logits=True), []
    head = Backbone.logits
    monkeypatch.setattr(
        Backbone, "logits", lambda self, hidden: shapes.append(tuple(hidden.shape)) or head(self, hidden)
    )
    found = read(logits_reader(Engine(backbone, 12)))["logits"]
    assert sum(rows for rows, _ in shapes) == len(TEXTS)
    assert {len(shape) for shape in shapes} == {2}  # (rows, width): no token axis
    kind = hf.AutoModelForCausalLM if backbone.causal else hf.AutoModelForMaskedLM
    model = kind.from_pretrained(tiny(family), attn_implementation="eager").eval()
    for row, text in enumerate(TEXTS):
        wanted = model(torch.tensor([backbone.tokenizer(text)["input_ids"]])).logits[0, -1]
        np.testing.assert_allclose(found[row], wanted.numpy(), rtol=1e-4, atol=1e-4)
    top = read(logits_reader(Engine(backbone), top=3))
    order = np.argsort(-found, axis=1)[:, :3]
    np.testing.assert_array_equal(top["logits_top_ids"], order)
    np.testing.assert_allclose(top["logits_top"], np.take_along_axis(found, order, axis=1), rtol=1e-4, atol=1e-4)
    assert read(logits_reader(Engine(backbone), top=10_000))["logits_top"].shape == found.shape


def test_tokens_are_the_rows_that_pooling_would_take(loaded, family):
    backbone = loaded(family)
    tokens = backbone.tokenize(TEXTS)
    states = read(token_reader(Engine(backbone, 12), (0, 3)))
    means = read(hidden_reader(Engine(backbone), plan_poolings(VectorsRecipe(pool=("mean",), layers=(0, 3)), 3)))
    stops = np.cumsum([len(ids) for ids in tokens.ids])
    for layer in (0, 3):
        values = states[f"token@{layer}"]
        assert values.shape == (stops[-1], 32)
        parts = np.split(values, stops[:-1])
        np.testing.assert_allclose([part.mean(axis=0) for part in parts], means[f"mean@{layer}"], rtol=0, atol=5e-5)
    np.testing.assert_array_equal(read(token_reader(Engine(backbone, 12)))["token"], states["token@3"])


def test_names_say_pooling_and_layer():
    def names(**options):
        return [plan.name for plan in plan_poolings(VectorsRecipe(**options), 6)]

    assert names(pool="mean") == ["mean"]
    assert names(pool=("mean", "layer_mean"), layers=(3, -1, 3)) == ["mean@3", "mean@6", "layer_mean"]
    assert names(pool=("mean", "mean"), layers=-7) == ["mean@0"]
    assert names(pool="weighted") == ["weighted"]
    # Other weights, another name; the same shares, the same name.
    one, two, three = (names(pool="weighted", layer_weights=(w, 1, 1, 1, 1, 1, 1)) for w in (1, 2, 1))
    assert one == three != two
    assert names(pool="weighted", layer_weights=(4, 2, 2, 2, 2, 2, 2)) == two


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": (7,)}, r"does not have: got 7, expected 0 \(embeddings\) to 6, or -1 \(the last\) to -7"),
        ({"layers": (-8,)}, "got -8"),
        ({"layers": ("al",)}, "unknown --layers: got 'al', expected one of all; did you mean 'all'"),
        ({"pool": "men"}, "unknown --pool: got 'men'.*did you mean 'mean'"),
        ({"pool": ()}, "--pool needs a pooling"),
        ({"pool": "weighted", "layer_weights": (1, 2)}, "got 2 weights, expected 7: the embeddings and 6 layers"),
        ({"pool": "weighted", "layer_weights": (0,) * 7}, "out of range"),
        ({"pool": "weighted", "layer_weights": (float("nan"),) * 7}, "out of range"),
        ({"layer_weights": (1,) * 7}, "--layer-weights has no effect without --pool weighted"),
        ({"top": 5}, "--top has no effect with --what hidden"),
        ({"what": "logits", "layers": (1,)}, "--layers has no effect with --what logits"),
        ({"what": "tokens", "pool": "cls"}, "--pool has no effect with --what tokens"),
        ({"what": "maps"}, "unknown --what"),
        ({"store_dtype": "float8"}, "unknown --store-dtype"),
    ],
)
def test_what_a_model_cannot_give_is_refused(options, message):
    with pytest.raises(OptionError, match=message):
        plan_poolings(VectorsRecipe(**options), 6)


def test_a_model_with_other_layers_than_its_config_says_is_refused(loaded, monkeypatch):
    backbone = loaded("bert")
    reader = hidden_reader(Engine(backbone), plan_poolings(VectorsRecipe(), 3))
    monkeypatch.setattr("separatrix.models.backbone.layer_count", lambda config: 2)
    with pytest.raises(ModelError, match="another number of layers than its config says: got 3, expected 2"):
        read(reader)
