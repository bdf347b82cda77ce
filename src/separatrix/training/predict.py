"""Labels for new texts from a finished run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pandas as pd

from separatrix.learn.trained.saved import Answer, Predictor
from separatrix.learn.unanswered import run_answerable
from separatrix.texts import Texts
from separatrix.training.run import predictions


def predict_texts(model: Predictor, texts: Texts, progress: Callable[[int], None] | None = None) -> pd.DataFrame:
    """A row for each text: id, text, label (if known), predicted, probabilities, distances to the centroids.

    A text with nothing in it gets no answer and a `reason`.
    """
    return predictions(texts, model.classes, answer_texts(model, texts.text, progress))


def answer_texts(model: Predictor, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> Answer:
    """The answer of a model, with empty rows for texts that get none (`reasons` says why); texts may be none."""
    answer, reasons = run_answerable(lambda some: model.answer(some, progress), texts)
    return replace(answer, reasons=reasons)
