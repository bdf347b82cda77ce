"""Labels for new texts from a finished run, and the table of answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import pandas as pd

from separatrix.learn.trained.loading import load_model
from separatrix.learn.trained.saved import Predictions, Predictor, Trained
from separatrix.learn.unanswered import run_answerable
from separatrix.models.tokens import UnreadCounts
from separatrix.progress import Progress
from separatrix.recipe.arguments import checks_arguments
from separatrix.recipe.load import TEXT, LoadOptions
from separatrix.store.table import answers_file
from separatrix.texts import Classes, Texts, load_texts


@checks_arguments
def predict(
    model: Predictor | Trained | str | Path,
    data: Any,
    *,
    text: str = TEXT,
    label: str | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **reading: Unpack[LoadOptions],
) -> pd.DataFrame:
    """Label texts with what was trained: the table of `predict_texts`, and a file of it.

    Args:
        model: what `train`, `load` or `load_model` gives, or the folder of a run.
        data: `Texts`, or anything that `load_texts` reads; texts with nothing in them are kept.
        text: column of the texts.
        label: column of labels to be copied beside the answers.
        out: file of the answers, .parquet, .csv or .jsonl; nothing is written without it.
        overwrite: replace a file there.
        progress: is called with (stage, done, total, note).
        reading: options of `LoadRecipe`, by name.

    Raises:
        StoreError: no run is in the folder, or the file is there.
        DataError: texts that cannot be read.
    """
    source = data.source if isinstance(data, Texts) else data
    inputs = [path for path in (model, source) if isinstance(path, str | Path)]
    with answers_file(out, overwrite=overwrite, inputs=inputs) as write:
        texts = (
            data if isinstance(data, Texts) else load_texts(data, text=text, label=label, keep_blank=True, **reading)
        )
        frame = predict_texts(load_model(model) if isinstance(model, str | Path) else model, texts, progress=progress)
        write(frame)
    return frame


@checks_arguments
def predict_texts(model: Predictor | Trained, texts: Texts, *, progress: Progress | None = None) -> pd.DataFrame:
    """A row for each text: id, text, label (if known), predicted, probabilities, distances to the centroids.

    A text with nothing in it gets no answer and a `reason`.

    Args:
        model: what `load_model`, `train` or `load` gives.
        texts: (rows,) to be labelled.
        progress: is called with (stage, done, total, note).
    """
    given: Any = model
    trained: Predictor = getattr(given, "model", given)  # of the result of a training
    answer = answer_texts(trained, texts.text, progress)
    answer.unread.warn()
    return answer_table(texts, trained.classes, answer)


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
    if answer.neighbors is not None:
        named = [" ".join(map(str, row)) for row in answer.neighbors.tolist()]
        columns["neighbours"] = [None if row in answer.reasons else ids for row, ids in enumerate(named)]
    return pd.DataFrame(columns)
