"""Labels for new texts from a finished run, and the table of answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from separatrix.learn.trained.saved import Predictions, Predictor
from separatrix.learn.unanswered import run_answerable
from separatrix.models.tokens import UnreadCounts
from separatrix.progress import Progress
from separatrix.recipe.arguments import checks_arguments
from separatrix.texts import Classes, Texts


@checks_arguments
def predict_texts(model: Predictor, texts: Texts, progress: Progress | None = None) -> pd.DataFrame:
    """A row for each text: id, text, label (if known), predicted, probabilities, distances to the centroids.

    A text with nothing in it gets no answer and a `reason`.
    """
    answer = answer_texts(model, texts.text, progress)
    answer.unread.warn()
    return answer_table(texts, model.classes, answer)


def answer_texts(model: Predictor, texts: Sequence[str], progress: Progress | None = None) -> Predictions:
    """The answer of a model, with empty rows for texts that get none (`reasons` says why); texts may be none."""
    answer, reasons = run_answerable(lambda some: model.answer(some, progress), texts)
    if len(reasons) == len(texts):  # what was run for the shapes alone is not spoken of
        answer = replace(answer, cut=0, unread=UnreadCounts())
    return replace(answer, reasons=reasons)


def answer_table(texts: Texts, classes: Classes | None, answer: Predictions) -> pd.DataFrame:
    """A table of answers: id, text, label (if known), predicted, a probability and a distance for each class.

    Where training rows decide by their nearness, `neighbours` holds the ids of the nearest ones, nearest first. Where
    texts get no answer, `reason` says why.
    """
    columns: dict[str, Any] = {"id": texts.id, "text": list(texts.text)}
    if texts.label is not None:
        columns["label"] = texts.label
    columns["predicted"] = answer.labels
    if answer.reasons:
        columns["reason"] = [answer.reasons.get(row) for row in range(len(texts))]
    for prefix, table in (("probability", answer.probabilities), ("distance", answer.distances)):
        if table is not None and classes is not None:
            columns |= {f"{prefix}_{name}": table[:, number] for number, name in enumerate(classes.names)}
    if answer.neighbours is not None:
        named = [" ".join(map(str, row)) for row in answer.neighbours.tolist()]
        columns["neighbours"] = [None if row in answer.reasons else ids for row, ids in enumerate(named)]
    return pd.DataFrame(columns)
