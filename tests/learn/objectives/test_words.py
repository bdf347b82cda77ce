"""Label words found by the data: planted ones among noise, blocks as the whole, and what a common shift must not do."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix.errors import DataError, ShapeError
from separatrix.learn.objectives.word_ranking import rank_words
from separatrix.learn.objectives.words import WordObjective


def planted(noise, seed=0, rows=300, vocabulary=5000, classes=3, signal=2.0, apart=0.0):
    """Logits as a language model has them: each word its own level, and one word per class that rises by `signal`.

    The levels of the planted words are `apart` from each other.
    """
    rng = torch.Generator().manual_seed(seed)
    words = torch.randperm(vocabulary, generator=torch.Generator().manual_seed(99))[:classes]
    levels = 3 * torch.randn(vocabulary, generator=torch.Generator().manual_seed(98))
    levels[words] = 1 + apart * torch.arange(classes)
    labels = torch.randint(classes, (rows,), generator=rng)
    logits = levels + noise * torch.randn(rows, vocabulary, generator=rng)
    logits[torch.arange(rows), words[labels]] += signal
    return logits, labels, words


def accuracy(logits, labels, words, bias=None):
    scores = WordObjective(len(words), words, bias).scores(logits)
    return (scores.argmax(1) == labels).float().mean().item()


@pytest.mark.parametrize("noise", [0.1, 0.5, 1.0, 2.0])
def test_planted_words_are_found_among_5000(noise):
    logits, labels, words = planted(noise)
    ranking = rank_words(logits, labels, classes=3)
    assert ranking.words.tolist() == words.tolist()
    assert [ranking.top(k, 1)[0][0] for k in range(3)] == words.tolist()


def test_held_out_accuracy_with_the_chosen_words_where_guessed_ones_fail():
    logits, labels, _ = planted(0.5)
    held, truth, _ = planted(0.5, seed=1)
    ranking = rank_words(logits, labels, classes=3)
    assert accuracy(held, truth, torch.tensor([10, 20, 30])) < 0.45
    assert accuracy(held, truth, ranking.words) > 0.97


def test_levels_put_right_the_decision_between_a_rare_and_a_common_word():
    logits, labels, _ = planted(0.5, apart=4.0)
    held, truth, _ = planted(0.5, seed=1, apart=4.0)
    ranking = rank_words(logits, labels, classes=3)
    assert accuracy(held, truth, ranking.words) < 0.45  # the words are right, but the last is always the likeliest
    assert accuracy(held, truth, ranking.words, bias=-ranking.levels) > 0.97


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), size=st.integers(1, 70))
def test_blocks_equal_the_whole(seed, size):
    logits, labels, _ = planted(1.0, seed=seed, rows=60, vocabulary=80)
    if len(labels.unique()) < 3:
        return
    whole = rank_words(logits, labels, 3)
    blocks = rank_words((logits[i : i + size] for i in range(0, 60, size)), labels, 3)
    assert blocks.words.tolist() == whole.words.tolist()
    torch.testing.assert_close(blocks.scores, whole.scores)
    torch.testing.assert_close(blocks.levels, whole.levels)


def test_scores_equal_the_slow_loop():
    logits, labels, _ = planted(1.0, rows=40, vocabulary=12)
    ranking = rank_words(logits, labels, 3)
    centred = (logits.double() - logits.double().mean(1, keepdim=True)).tolist()
    for k in range(3):
        for v in range(12):
            inside = [row[v] for row, label in zip(centred, labels.tolist(), strict=True) if label == k]
            outside = [row[v] for row, label in zip(centred, labels.tolist(), strict=True) if label != k]
            means = [sum(group) / len(group) for group in (inside, outside)]
            squares = sum((x - m) ** 2 for g, m in zip((inside, outside), means, strict=True) for x in g)
            score = (means[0] - means[1]) / math.sqrt(squares / 38)
            assert ranking.scores[k, v].item() == pytest.approx(score, rel=1e-4)


def test_a_shift_of_the_whole_row_by_class_does_not_make_every_word_a_label_word():
    """All logits of class 0 lie 50 higher (shorter texts, say): no decision changes, so no score may."""
    logits, labels, words = planted(1.0)
    shifted = logits + 50.0 * (labels == 0)[:, None]
    plain = (shifted[labels == 0].mean(0) - shifted[labels != 0].mean(0)).median()
    assert plain > 49  # uncentred, the usual word "separates" class 0 by that much
    ranking = rank_words(shifted, labels, 3)
    assert ranking.words.tolist() == words.tolist()
    torch.testing.assert_close(ranking.scores, rank_words(logits, labels, 3).scores, rtol=1e-3, atol=1e-3)


def test_two_classes_that_want_one_word_get_two_with_the_best_total():
    # Word 0 tells classes 0 and 1 from class 2; word 1 is nearly as good for class 1 and no use to class 0.
    rng = torch.Generator().manual_seed(0)
    labels = torch.arange(300) % 3
    logits = torch.randn(300, 40, generator=rng)
    logits[labels != 2, 0] += 6
    logits[labels == 1, 1] += 3
    logits[labels == 2, 2] += 3
    ranking = rank_words(logits, labels, 3)
    assert ranking.top(0, 1)[0][0] == ranking.top(1, 2)[1][0] == 0
    assert ranking.words.tolist() == [0, 1, 2]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 4))
def test_the_choice_is_the_best_of_all_choices(seed, classes):
    rng = torch.Generator().manual_seed(seed)
    logits, labels = torch.randn(20, 7, generator=rng), torch.arange(20) % classes
    ranking = rank_words(logits, labels, classes)
    totals = [
        sum(ranking.scores[k, w].item() for k, w in enumerate(c)) for c in itertools.permutations(range(7), classes)
    ]
    chosen = ranking.scores[torch.arange(classes), ranking.words].sum().item()
    assert chosen == pytest.approx(max(totals), rel=1e-5)


def test_more_classes_than_a_words_top_list_still_get_different_words():
    logits, labels, words = planted(0.5, rows=1000, vocabulary=500, classes=40)
    ranking = rank_words(logits, labels, 40)
    assert ranking.words.tolist() == words.tolist()
    assert len(set(ranking.words.tolist())) == 40


def test_only_allowed_words_are_chosen():
    logits, labels, words = planted(0.5, vocabulary=200)
    allowed = torch.ones(200, dtype=torch.bool)
    allowed[words[1]] = False
    ranking = rank_words(logits, labels, 3, allowed)
    assert ranking.words[0] == words[0]
    assert ranking.words[1] != words[1]
    assert ranking.scores[1, words[1]] == -math.inf


def test_words_that_never_change_score_nothing():
    logits, labels, words = planted(0.5, vocabulary=200)
    logits = logits - logits.mean(1, keepdim=True)
    constant = torch.zeros(300, 2) + torch.tensor([0.1, -7.3])
    ranking = rank_words(torch.cat([logits, constant], dim=1), labels, 3)
    assert ranking.words.tolist() == words.tolist()
    assert ranking.scores[:, 200:].abs().max() < 0.1


def test_half_precision_blocks_are_summed_in_double():
    logits, labels, words = planted(0.5, vocabulary=500)
    assert rank_words(logits.bfloat16(), labels, 3).words.tolist() == words.tolist()


def test_numpy_arrays_do_as_well():
    logits, labels, _ = planted(0.5, vocabulary=50)
    whole = rank_words(logits, labels, 3)
    for form in (logits.numpy(), [logits[:100].numpy(), logits[100:].numpy()]):
        torch.testing.assert_close(rank_words(form, labels.numpy(), 3).scores, whole.scores)


def test_a_class_without_rows_is_refused():
    logits, labels, _ = planted(0.5, vocabulary=50)
    with pytest.raises(DataError, match="each of two or more classes needs rows: got no rows of class 3"):
        rank_words(logits, labels, 4)


def test_a_label_outside_the_classes_is_refused():
    logits, labels, _ = planted(0.5, vocabulary=50)
    with pytest.raises(DataError, match="a label is not a class number"):
        rank_words(logits, labels, 2)


@pytest.mark.parametrize("rows", [299, 301])
def test_blocks_and_labels_must_fit(rows):
    logits, labels, _ = planted(0.5, rows=300, vocabulary=50)
    with pytest.raises(ShapeError, match="blocks and labels do not fit"):
        rank_words(iter([logits]), torch.cat([labels, labels])[:rows], 3)


def test_too_few_words_are_refused():
    logits, labels, _ = planted(0.5, vocabulary=50)
    allowed = torch.zeros(50, dtype=torch.bool)
    allowed[:2] = True
    with pytest.raises(DataError, match="fewer words than classes: got 2, expected 3 or more"):
        rank_words(logits, labels, 3, allowed)


def test_a_mask_of_another_size_is_refused():
    logits, labels, _ = planted(0.5, vocabulary=50)
    with pytest.raises(ShapeError, match="the mask does not fit"):
        rank_words(logits, labels, 3, torch.ones(49, dtype=torch.bool))


def test_logits_that_are_not_finite_are_refused():
    logits, labels, _ = planted(0.5, vocabulary=50)
    logits[3, 3] = math.inf
    with pytest.raises(DataError, match="the logits are not finite"):
        rank_words(logits, labels, 3)
