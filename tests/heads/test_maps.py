"""Maps: those of the model itself, rows that sum to 1, pads cut off, and models that show none."""

import pytest
import torch

from separatrix.errors import ModelError
from separatrix.heads.maps import (
    _check_rows,
    attend,
    collate,
    forward,
    listening,
    load_for_maps,
    maps_of,
    run_maps,
    shape_of,
)
from separatrix.heads.windows import WindowRule, cut_windows
from separatrix.recipe import ModelRecipe


def test_maps_are_those_of_the_model(shown, tiny, windows, family):
    """Every family: the same numbers as transformers' own `output_attentions` on the window alone."""
    import transformers as hf

    backbone, window = shown(family), max(windows(family), key=len)
    maps = maps_of(backbone, window)
    model = hf.AutoModel.from_pretrained(tiny(family), attn_implementation="eager").eval()
    ids = torch.tensor([window.ids.tolist()])
    with torch.no_grad():
        wanted = model(input_ids=ids, attention_mask=torch.ones_like(ids), output_attentions=True).attentions
    assert maps.shape == (*shape_of(backbone.model), len(window), len(window))
    torch.testing.assert_close(maps, torch.stack([layer[0] for layer in wanted]), atol=5e-5, rtol=0)
    torch.testing.assert_close(maps.sum(-1), torch.ones(maps.shape[:3]), atol=1e-4, rtol=0)
    if backbone.causal:
        assert float(maps.triu(1).abs().max()) == 0


def test_token_types_go_to_models_whose_tokenizer_gives_them(tiny, material):
    """BERT tells question and context apart by token types; without them its maps of a pair are others."""
    import transformers as hf

    backbone = load_for_maps(ModelRecipe(model=str(tiny("bert")), device="cpu"))
    window = next(w for group in cut_windows(backbone, material.examples, WindowRule(40, 16, 6)) for w in group)
    plain = maps_of(backbone, window)
    backbone.tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    model = hf.AutoModel.from_pretrained(tiny("bert"), attn_implementation="eager").eval()
    ids, types = torch.tensor([window.ids.tolist()]), torch.tensor([window.types.tolist()])
    assert set(window.types.tolist()) == {0, 1}
    with torch.no_grad():
        wanted = model(input_ids=ids, token_type_ids=types, output_attentions=True).attentions
    torch.testing.assert_close(maps_of(backbone, window), torch.stack([each[0] for each in wanted]), atol=5e-5, rtol=0)
    assert float((maps_of(backbone, window) - plain).abs().max()) > 1e-3


def test_a_padded_map_is_the_map_with_zeros(shown, windows, family):
    backbone, chosen = shown(family), sorted(windows(family), key=len)[:: max(1, len(windows(family)) // 4)]
    kept = []
    run_maps(backbone, collate(chosen, backbone), lambda _, maps: kept.append(maps))
    for place, window in enumerate(chosen):
        alone, size = maps_of(backbone, window), len(window)
        padded = torch.stack([layer[place] for layer in kept])
        torch.testing.assert_close(padded[..., :size, :size], alone, atol=5e-5, rtol=0)
        assert float(padded[..., size:, :].abs().sum() + padded[..., :, size:].abs().sum()) == 0


def test_hidden_states_stay_those_of_the_model(shown, windows):
    """Listening must not change what the model computes."""
    backbone, batch = shown("bert"), collate(windows("bert")[:4], shown("bert"))
    with torch.no_grad():
        alone = forward(backbone.body, backbone, batch).last_hidden_state
        with listening(lambda layer, maps: None):
            heard = forward(backbone.body, backbone, batch).last_hidden_state
    torch.testing.assert_close(alone, heard, atol=0, rtol=0)


def test_rows_that_do_not_sum_to_one_are_refused():
    maps, real = torch.full((1, 1, 2, 2), 0.5), torch.ones(1, 2, dtype=torch.bool)
    _check_rows(0, maps, real, 1e-4)
    with pytest.raises(ModelError, match=r"layer 3 does not sum to 1.*0\.2"):
        _check_rows(3, maps * 1.2, real, 1e-4)
    with pytest.raises(ModelError, match="does not sum to 1"):
        _check_rows(0, maps * float("nan"), real, 1e-4)
    # What a pad looks at does not matter.
    _check_rows(0, torch.tensor([[[[0.5, 0.5], [9.0, 9.0]]]]), torch.tensor([[True, False]]), 1e-4)


def test_attention_that_is_none_is_refused(monkeypatch):
    import sys
    import types

    module = types.ModuleType("made_up")
    module.eager_attention_forward = lambda *arguments, **options: (torch.zeros(1), None)
    monkeypatch.setitem(sys.modules, "made_up", module)
    layer = type("Attention", (), {"__module__": "made_up"})()
    with listening(lambda layer, maps: None), pytest.raises(ModelError, match="layer 0 gave no attention map"):
        attend(layer, None, None, None, None)
    monkeypatch.delattr(module, "eager_attention_forward")
    with pytest.raises(ModelError, match="has no eager attention"):
        attend(layer, None, None, None, None)


def test_a_model_that_shows_no_maps_is_refused(shown, windows, monkeypatch):
    """A model that computes its attention without asking: no layer calls, and that is an error."""
    from separatrix.heads import maps

    monkeypatch.setattr(maps, "forward", lambda *arguments: None)
    with pytest.raises(ModelError, match=r"showed 0 attention layers.*3"):
        run_maps(shown("bert"), collate(windows("bert")[:1], shown("bert")), lambda layer, maps: None)


def test_a_forward_that_stops_at_the_last_map_gives_the_same_maps(shown, windows, family):
    """Every family; and the model is left as it was: a whole run afterwards gives its states again."""
    backbone = shown(family)
    batch, kept = collate(windows(family)[:3], backbone), {True: [], False: []}
    with torch.no_grad():
        before = forward(backbone.body, backbone, batch).last_hidden_state
    for whole, found in kept.items():
        run_maps(backbone, batch, lambda _, maps, found=found: found.append(maps.clone()), whole=whole)
    with torch.no_grad():
        after = forward(backbone.body, backbone, batch).last_hidden_state
    torch.testing.assert_close(torch.stack(kept[False]), torch.stack(kept[True]), atol=0, rtol=0)
    torch.testing.assert_close(after, before, atol=0, rtol=0)


def test_the_last_layer_is_not_finished_unless_asked(shown, windows, monkeypatch):
    backbone, ended = shown("bert"), []
    batch = collate(windows("bert")[:1], backbone)
    last = backbone.body.encoder.layer[-1]
    monkeypatch.setattr(last.output, "forward", lambda *given: (ended.append(1), given[1])[1])
    run_maps(backbone, batch, lambda layer, maps: None, whole=False)
    assert not ended
    run_maps(backbone, batch, lambda layer, maps: None)
    assert ended


def test_gates_weigh_heads(shown, windows):
    backbone, batch = shown("bert"), collate(windows("bert")[:2], shown("bert"))
    layers, heads = shape_of(backbone.model)

    def states(gates):
        with torch.no_grad(), listening(None, gates):
            return forward(backbone.body, backbone, batch).last_hidden_state

    ones = torch.ones(layers, heads)
    torch.testing.assert_close(states(ones), states(None), atol=5e-5, rtol=0)
    gated = ones.clone()
    gated[1, 2] = 0
    assert float((states(gated) - states(ones)).abs().max()) > 1e-3
    by_row = torch.stack([gated, ones])
    torch.testing.assert_close(states(by_row)[0], states(gated)[0], atol=5e-5, rtol=0)
    torch.testing.assert_close(states(by_row)[1], states(ones)[1], atol=5e-5, rtol=0)


def test_unknown_model():
    with pytest.raises(ModelError, match="was found neither"):
        load_for_maps(ModelRecipe(model="./nothing-here"))
