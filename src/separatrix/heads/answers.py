"""The official SQuAD 2.0 scores, and answers out of start and end scores. Plain Python: nothing here needs a model.

Exact match and F1 follow the official evaluation script (Rajpurkar et al. 2018): lower case, no punctuation, no
articles, single spaces; the best of all right answers counts; a question without an answer is right only if nothing
is answered.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from separatrix.errors import DataError
from separatrix.heads.windows import Window
from separatrix.recipe.heads import AnswerRecipe
from separatrix.texts.questions_answers import Example

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = frozenset(string.punctuation)


def normalise_answer(text: str) -> str:
    """A text as it is compared.

    >>> normalise_answer("The  U.S. Army!")
    'us army'
    """
    plain = "".join(sign for sign in text.lower() if sign not in _PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", plain).split())


def exact_match(gold: str, given: str) -> float:
    """1 if two answers are the same once normalised."""
    return float(normalise_answer(gold) == normalise_answer(given))


def word_f1(gold: str, given: str) -> float:
    """Harmonic mean of precision and recall over words; where one of them is empty, 1 if both are.

    >>> word_f1("in October 1973", "October 1973")
    0.8
    >>> word_f1("", ""), word_f1("", "the"), word_f1("", "cat")
    (1.0, 1.0, 0.0)
    """
    wanted, answered = normalise_answer(gold).split(), normalise_answer(given).split()
    if not wanted or not answered:
        return float(wanted == answered)
    same = sum((Counter(wanted) & Counter(answered)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(answered), same / len(wanted)
    return 2 * precision * recall / (precision + recall)


@dataclass(frozen=True)
class SquadScores:
    """Means over questions, as fractions; None where there is no such question."""

    exact: float
    f1: float
    total: int
    has_answer_exact: float | None
    has_answer_f1: float | None
    has_answer_total: int
    no_answer_exact: float | None
    no_answer_f1: float | None
    no_answer_total: int


def squad_scores(examples: Sequence[Example], answers: Mapping[str, str]) -> SquadScores:
    """Score answers by question id; an empty one says "there is none".

    Raises:
        DataError: a question without an answer in `answers`, or no question.
    """
    if missing := [example.id for example in examples if example.id not in answers]:
        raise DataError("a question was not answered", got=missing[0], expected="an answer, or '' for none")
    if not examples:
        raise DataError("there is no question to score")
    lines = np.array([_score(example, answers[example.id]) for example in examples])  # (questions, 2)
    has = np.array([bool(example.golds) for example in examples])
    whole, with_one, without = (_means(lines[part]) for part in (slice(None), has, ~has))
    assert whole[0] is not None
    assert whole[1] is not None
    return SquadScores(whole[0], whole[1], len(lines), *with_one, int(has.sum()), *without, int((~has).sum()))


def _score(example: Example, given: str) -> tuple[float, float]:
    golds = [gold for gold in example.golds if normalise_answer(gold)] or [""]
    return max(exact_match(gold, given) for gold in golds), max(word_f1(gold, given) for gold in golds)


def _means(lines: NDArray[np.float64]) -> tuple[float | None, float | None]:
    return (float(lines[:, 0].mean()), float(lines[:, 1].mean())) if len(lines) else (None, None)


@dataclass(frozen=True)
class Span:
    """The best answer of one window."""

    score: float
    start: int  # signs of the context
    stop: int
    null: float  # score of "no answer"


def best_span(window: Window, start: NDArray[np.floating], end: NDArray[np.floating], recipe: AnswerRecipe) -> Span:
    """The pair of start and end with the largest sum, as the BERT script for SQuAD searches it.

    Args:
        window: which tokens stand where in the context.
        start, end: (tokens,) scores of real tokens.
        recipe: `best` places of each are tried, answers have at most `max_answer` tokens.
    """
    null = float(start[0] + end[0])
    inside = window.offsets[:, 1] > window.offsets[:, 0]  # (tokens,)
    best = Span(-np.inf, 0, 0, null)
    firsts, lasts = (np.argsort(-scores, kind="stable")[: recipe.best] for scores in (start, end))
    for first in firsts:
        for last in lasts:
            if not (inside[first] and inside[last] and first <= last < first + recipe.max_answer):
                continue
            score = float(start[first] + end[last])
            if score > best.score:
                best = Span(score, int(window.offsets[first, 0]), int(window.offsets[last, 1]), null)
    return best


def answer(example: Example, spans: Sequence[Span], threshold: float = 0.0) -> str:
    """The answer to a question out of the best spans of its windows; '' if no answer scores better.

    The score of "no answer" is the smallest over the windows: one window that holds the answer is enough.

    >>> example = Example("a", "When?", "in 1973", 0)
    >>> answer(example, [Span(4.0, 3, 7, 1.0), Span(0.5, 0, 2, 6.0)]), answer(example, [Span(4.0, 3, 7, 5.0)])
    ('1973', '')
    """
    best, null = max(spans, key=lambda span: span.score), min(span.null for span in spans)
    nothing = best.score == -np.inf or null - best.score > threshold
    return "" if nothing else example.second[best.start : best.stop]


def target_span(window: Window, example: Example) -> tuple[int, int] | None:
    """First and last token of the first right answer in a window; (0, 0) if it is not there or there is none.

    None for a question that has an answer, but none with a usable offset: it cannot be trained on.
    """
    if not example.golds:
        return 0, 0
    if not example.answers:
        return None
    gold = example.answers[0]
    begin, finish = gold.start, gold.start + len(gold.text)
    starts, stops = window.offsets.T  # (tokens,) each
    touched = np.flatnonzero((stops > starts) & (starts < finish) & (stops > begin))
    if not len(touched):
        return 0, 0
    first, last = int(touched[0]), int(touched[-1])
    whole = starts[first] <= begin and stops[last] >= finish
    return (first, last) if whole else (0, 0)
