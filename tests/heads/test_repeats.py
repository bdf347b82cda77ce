"""Induction and duplicate-token scores: maps made by hand, the draws, and models that see both ways or one."""

import numpy as np
import pytest
import torch

from separatrix.heads import repeats
from separatrix.heads.maps import bare_batch, run_maps
from separatrix.heads.repeats import NAMES, measure_repeats, ordinary_ids, repeat_scores

LENGTH, START = 6, 1
TOKENS = START + 2 * LENGTH + 1  # one special token before and one behind


def pattern(offset):
    """Every token of the second repeat looks `offset` tokens away, every other one at itself."""
    one = torch.eye(TOKENS)
    for query in range(START + LENGTH, START + 2 * LENGTH):
        one[query] = 0
        one[query, query + offset] = 1
    return one


@pytest.mark.parametrize(("offset", "score"), [(1 - LENGTH, 0), (-LENGTH, 1), (-1, 2), (0, None), (1, None)])
def test_a_known_pattern_scores_one_and_no_other(offset, score):
    found = repeat_scores(pattern(offset), START, LENGTH).tolist()
    assert found == [float(number == score) for number in range(len(NAMES))]


def test_even_attention_scores_one_over_the_tokens():
    both = torch.full((2, TOKENS, TOKENS), 1 / TOKENS)
    torch.testing.assert_close(repeat_scores(both, START, LENGTH), torch.full((2, 3), 1 / TOKENS))
    past = torch.ones(TOKENS, TOKENS).tril()
    past /= past.sum(dim=-1, keepdim=True)
    queries = np.arange(START + LENGTH, START + 2 * LENGTH)
    wanted = float((1 / (queries + 1)).mean())
    torch.testing.assert_close(repeat_scores(past, START, LENGTH), torch.full((3,), wanted))


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_scores_are_means_over_draws_that_repeat_ordinary_tokens(shown, family, monkeypatch):
    backbone, seen = shown(family), []

    def spy(model, batch, listen, **options):
        seen.append(batch.ids[0].tolist())
        return run_maps(model, batch, listen, **options)

    monkeypatch.setattr(repeats, "run_maps", spy)
    found = measure_repeats(backbone, draws=3, most=20, seed=1)
    special = backbone.tokenizer.num_special_tokens_to_add()
    length, usual = (20 - special) // 2, set(ordinary_ids(backbone).tolist())
    start = 1 if special else 0
    wanted = []
    for ids in seen:
        one, other = ids[start : start + length], ids[start + length : start + 2 * length]
        assert one == other
        assert len(set(one)) == length
        assert set(one) <= usual
        assert len(ids) == 2 * length + special
        layers = []
        run_maps(backbone, bare_batch([tuple(ids)], backbone), lambda _, maps, layers=layers: layers.append(maps[0]))
        wanted.append(repeat_scores(torch.cat(layers), start, length).numpy())
    assert len({tuple(ids) for ids in seen}) == 3
    for number, name in enumerate(NAMES):
        np.testing.assert_allclose(found[name], np.mean(wanted, axis=0)[:, number], atol=1e-6)
    again, other = (measure_repeats(backbone, draws=3, most=20, seed=seed) for seed in (1, 2))
    np.testing.assert_array_equal(again["induction"], found["induction"])
    assert (other["induction"] != found["induction"]).any()


def test_marks_and_special_tokens_are_not_drawn(shown):
    backbone = shown("bert")
    tokens = backbone.tokenizer.convert_ids_to_tokens(ordinary_ids(backbone).tolist())
    assert len(tokens) > 5
    assert not [token for token in tokens if token.startswith("[") or not any(sign.isalpha() for sign in token)]


def test_nothing_is_measured_where_nothing_is_asked_for_or_fits(shown):
    assert measure_repeats(shown("bert"), draws=0, most=40, seed=0) == {}
    assert measure_repeats(shown("bert"), draws=2, most=5, seed=0) == {}
