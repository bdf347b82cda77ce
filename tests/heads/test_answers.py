"""The official scores on a fixture whose values were worked out by hand, and spans out of scores."""

import doctest

import numpy as np
import pytest

from separatrix.errors import DataError
from separatrix.heads import answers as answers_module
from separatrix.heads import qa
from separatrix.heads.answers import answer, best_span, exact_match, squad_scores, target_span, word_f1
from separatrix.heads.windows import WindowRule, cut_windows
from separatrix.recipe.heads import AnswerRecipe
from separatrix.texts.questions_answers import Answer, Example


def question(name, *golds):
    return Example(name, "q", "c", 0, golds=tuple(golds))


# (right answers, answer given, exact match, F1); the F1 values are worked out by hand.
FIXTURE = [
    (("October 1973", "1973"), "in October 1973", 0, 4 / 5),  # against "October 1973": P 2/3, R 1; against "1973": 1/2
    (("The Army",), "army!", 1, 1),  # article, case and punctuation do not count
    (("Denver Broncos",), "the Broncos of Denver", 0, 4 / 5),  # words: broncos of denver; 2 of 3, 2 of 2
    (("a a b",), "a b b", 0, 2 / 3),  # "a" is an article: ["b"] against ["b", "b"]: P 1/2, R 1
    (("x y",), "", 0, 0),  # an answer was asked for
    (("10,000",), "10000", 1, 1),  # punctuation goes before words are cut
    ((), "", 1, 1),  # no answer, none given
    ((), "something", 0, 0),
    ((), "the", 1, 1),  # nothing is left of "the"
    (("the", "cat"), "cat", 1, 1),  # an answer of articles alone is dropped
    (("the",), "", 1, 1),  # nothing else is left: counted as "has answer" all the same
]  # fmt: skip


def test_scores_equal_those_worked_out_by_hand():
    examples = [question(str(place), *golds) for place, (golds, *_) in enumerate(FIXTURE)]
    given = {str(place): line[1] for place, line in enumerate(FIXTURE)}
    found = squad_scores(examples, given)
    assert found.total == 11
    assert found.has_answer_total == 8
    assert found.no_answer_total == 3
    assert found.exact == pytest.approx(6 / 11)
    assert found.f1 == pytest.approx((4 / 5 + 1 + 4 / 5 + 2 / 3 + 0 + 1 + 1 + 0 + 1 + 1 + 1) / 11)
    assert found.has_answer_exact == pytest.approx(4 / 8)
    assert found.has_answer_f1 == pytest.approx((4 / 5 + 1 + 4 / 5 + 2 / 3 + 0 + 1 + 1 + 1) / 8)
    assert found.no_answer_exact == found.no_answer_f1 == pytest.approx(2 / 3)


@pytest.mark.parametrize(("golds", "given", "exact", "f1"), FIXTURE)
def test_each_line(golds, given, exact, f1):
    found = squad_scores([question("a", *golds)], {"a": given})
    assert (found.exact, found.f1) == (exact, pytest.approx(f1))
    assert (found.has_answer_exact is None) != (found.no_answer_exact is None)


def test_scores_of_pairs():
    assert word_f1("cat", "dog") == 0
    assert exact_match("An apple", "apple") == 1


def test_a_question_without_an_answer_is_an_error():
    with pytest.raises(DataError, match=r"not answered: got b"):
        squad_scores([question("a"), question("b")], {"a": ""})
    with pytest.raises(DataError, match="no question"):
        squad_scores([], {})


@pytest.fixture
def window(shown):
    example = Example("a", "where ?", "the old cat is on the red house", 0, golds=("old cat",),
                      answers=(Answer("old cat", 4),))  # fmt: skip
    [[window]] = cut_windows(shown("bert"), [example], WindowRule(40, 20, 4))
    return example, window


def test_targets_and_spans_go_both_ways(window):
    example, one = window
    first, last = target_span(one, example)
    assert "".join(one.words[first : last + 1]) == " old cat"
    start, end = (np.full(len(one), -5.0) for _ in range(2))
    start[first], end[last] = 4, 4
    found = best_span(one, start, end, AnswerRecipe())
    assert example.second[found.start : found.stop] == "old cat"
    assert answer(example, [found]) == "old cat"
    assert answer(example, [found], threshold=-30) == ""
    # The question cannot be the answer, nor an end before its start, nor too long an answer.
    start[0] = end[0] = 99
    assert example.second[best_span(one, start, end, AnswerRecipe()).start :][:7] == "old cat"
    assert best_span(one, start, end, AnswerRecipe(best=1)).score == -np.inf
    long = best_span(one, *(np.eye(len(one))[place] for place in (first, len(one) - 1)), AnswerRecipe(max_answer=2))
    assert long.score < 2


def test_targets_without_offsets_and_without_answers(window):
    example, one = window
    assert target_span(one, Example("a", "q", example.second, 0)) == (0, 0)
    assert target_span(one, Example("a", "q", example.second, 0, golds=("cat",))) is None
    elsewhere = Example("a", "q", example.second, 0, golds=("x",), answers=(Answer("x", 900),))
    assert target_span(one, elsewhere) == (0, 0)


def test_training_windows_without_offsets_are_counted(shown):
    bad = [Example("a", "where ?", "the cat", 0, golds=("cat",)), Example("b", "where ?", "the dog", 1)]
    windows, targets, left_out, _ = qa.training_windows(
        shown("bert"), bad, AnswerRecipe(max_length=20, max_query_length=4)
    )
    assert (len(windows), targets, left_out) == (1, [(0, 0)], 1)
    with pytest.raises(DataError, match=r"no window can be trained on.*1 without"):
        qa.training_windows(shown("bert"), bad[:1], AnswerRecipe(max_length=20, max_query_length=4))


@pytest.mark.parametrize("module", [answers_module])
def test_docstring_examples(module):
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
