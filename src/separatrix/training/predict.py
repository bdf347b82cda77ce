"""Labels for new texts from a finished run."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from separatrix.learn.saved import Predictor
from separatrix.texts import Texts
from separatrix.training.run import predictions


def predict_texts(model: Predictor, texts: Texts, progress: Callable[[int], None] | None = None) -> pd.DataFrame:
    """A row for each text: id, text, label (if known), predicted, probabilities, distances to the centroids."""
    return predictions(texts, model.classes, model.answer(texts.text, progress))
