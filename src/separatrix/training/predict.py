"""Labels for new texts from a finished run, and the table of answers."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, Unpack

import numpy as np
import pandas as pd

from separatrix.errors import OptionError
from separatrix.geometry.guards import listed
from separatrix.geometry.label_sets import label_scores
from separatrix.geometry.reliability import threshold_of
from separatrix.geometry.resample import bootstrap_mean
from separatrix.geometry.score import regression
from separatrix.learn.trained.loading import load_model
from separatrix.learn.trained.saved import Predictions, Predictor, Trained, check_input_kind, gives_sets
from separatrix.learn.unanswered import run_answerable
from separatrix.models.backbone import Backbone
from separatrix.models.tokens import UnreadCounts, count_unknown
from separatrix.progress import Progress
from separatrix.recipe import checked
from separatrix.recipe.arguments import checks_arguments
from separatrix.recipe.core import flag
from separatrix.recipe.load import TEXT, LoadOptions, LoadRecipe
from separatrix.store.files import read_json
from separatrix.store.folder import RESULT, has_result
from separatrix.store.table import answers_file, of_one_type
from separatrix.texts import Classes, Texts, load_texts
from separatrix.texts.arrays import new_texts
from separatrix.texts.columns import refuse_broken
from separatrix.texts.label_sets import joined
from separatrix.texts.pairs import columns_of, texts_of
from separatrix.texts.rewrite import read_column


@checks_arguments
def predict(
    model: Predictor | Trained | str | Path,
    data: Any,
    *,
    text: str | Sequence[str] = TEXT,
    label: str | None = None,
    label_separator: str | None = None,
    min_probability: float | None = None,
    coverage: float | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **reading: Unpack[LoadOptions],
) -> pd.DataFrame:
    """Label texts with what was trained: the table of `predict_texts`, and a file of it.

    Args:
        model: what `train`, `load` or `load_model` gives, or the folder of a run.
        data: a list, series or array of texts, `Texts`, or anything that `load_texts` reads; texts with nothing in them
            are kept. A column `id` of one file or of a frame is kept too, and the number of a row is then called `row`.
        text: column of the texts, or the two of pairs.
        label: column of labels to be copied beside the answers.
        label_separator: what joins several labels in a cell of that column, and in a .csv of answers (where it is that
            of the training unless it is named, else a comma).
        min_probability: leave rows unanswered whose answer has a lower probability, see `withhold`.
        coverage: answer this share of the rows, those with the highest probability.
        out: file of the answers, .parquet, .csv or .jsonl; nothing is written without it.
        overwrite: replace a file there.
        progress: is called with (stage, done, total, note).
        reading: options of `LoadRecipe`, by name.

    Raises:
        StoreError: no run is in the folder, or the file is there.
        DataError: texts that cannot be read.
        OptionError: both limits, one outside 0 to 1, or one for a model of numbers.
    """
    check_limits(min_probability, coverage)
    source = data.source if isinstance(data, Texts) else data
    inputs = [path for path in (model, source) if isinstance(path, str | Path)]
    with answers_file(out, overwrite=overwrite, inputs=inputs) as write:
        columns: dict[str, Any] = {"text": text, "label": label}
        columns |= {} if label is None else {"label_separator": label_separator}
        if isinstance(data, Texts):
            texts = data
        elif isinstance(data, list | tuple) or (isinstance(data, np.ndarray | pd.Series | pd.Index) and data.ndim == 1):
            texts = listed_texts(list(data), {"text": text if text != TEXT else None, "label": label, **reading})
        else:
            texts = load_texts(data, **columns, keep_blank=True, **reading)
        ids, separator = own_ids(data, LoadRecipe(**reading)), label_separator or own_separator(model)
        trained = load_model(model) if isinstance(model, str | Path) else model
        check_written(trained, texts, out, separator)
        frame = predict_texts(trained, texts, min_probability=min_probability, coverage=coverage, progress=progress)
        frame = with_own_ids(frame, ids)
        write(written_answers(frame, out, separator))
    return frame


def listed_texts(texts: Sequence[str], columns: Mapping[str, Any] = MappingProxyType({})) -> Texts:
    """Texts of a plain list, in which no columns are named.

    Raises:
        DataError: one that is no text.
        OptionError: columns of a table.

    >>> listed_texts(["How far is Denver?", ""]).text
    ('How far is Denver?', '')
    """
    for name, given in columns.items():
        if given is not None:
            raise OptionError(f"{flag(name)} has no effect: the texts are a list", got=given, hint="give a frame")
    return new_texts(texts, "the list")


def check_written(model: Predictor | Trained, texts: Texts, out: str | Path | None, separator: str | None) -> None:
    """Refuse labels that a .csv of answers could not hold, before any text is answered; see `written_answers`."""
    trained = _predictor(model)
    if Path(str(out)).suffix == ".csv":
        known = trained.classes.names if trained.classes is not None and gives_sets(trained) else ()
        given = texts.label if texts.label is not None and texts.kind == "sets" else ()
        joined([known, *given], separator or ",")


def written_answers(frame: pd.DataFrame, out: str | Path | None, separator: str | None = None) -> pd.DataFrame:
    """A table of answers as it is written: of a .csv several labels a row are joined, of .parquet ids have one type.

    Raises:
        DataError: a label holds the separator.

    >>> written_answers(pd.DataFrame({"predicted": [("a", "b"), ()]}), "a.csv")["predicted"].tolist()
    ['a,b', '']
    >>> written_answers(pd.DataFrame({"id": ["a", 1]}), "a.parquet")["id"].tolist()
    ['a', '1']
    """
    kind = Path(str(out)).suffix
    if kind == ".parquet":
        return frame.assign(id=of_one_type(frame["id"]))
    if kind != ".csv":
        return frame
    several = [name for name in ("label", "predicted") if name in frame and any(map(is_several, frame[name]))]
    return frame.assign(**{name: joined(frame[name].tolist(), separator or ",") for name in several})


def own_separator(run: Any) -> str | None:
    """What joined the labels that a run was trained on, by the command that it keeps; None where that does not say.

    Args:
        run: the result of a training, or its folder.
    """
    command = getattr(run, "command", None)
    if isinstance(run, str | Path) and has_result(Path(run)):
        command = read_json(Path(run) / RESULT, {"command?": (str, None)}).get("command")
    return dict(pairwise(shlex.split(command or ""))).get(flag("label_separator"))


def is_several(answer: Any) -> bool:
    """Whether one answer holds any number of labels."""
    return isinstance(answer, tuple)


@checks_arguments
def predict_texts(
    model: Predictor | Trained,
    texts: Texts,
    *,
    min_probability: float | None = None,
    coverage: float | None = None,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """A row for each text: id, text, label (if known), predicted, probabilities, distances to the centroids.

    A text with nothing in it gets no answer and a `reason`.

    Args:
        model: what `load_model`, `train` or `load` gives.
        texts: (rows,) to be labelled.
        min_probability: leave rows unanswered whose answer has a lower probability, see `withhold`.
        coverage: answer this share of the rows, those with the highest probability.
        progress: is called with (stage, done, total, note).
    """
    trained = _predictor(model)
    check_limits(min_probability, coverage, trained)
    answer = answer_texts(trained, texts.text, progress)
    answer.unread.warn()
    answer = withhold(answer, min_probability, coverage)
    return answer_table(texts, trained.classes, answer)


def _predictor(model: Any) -> Predictor:
    """The model of the result of a training, or what is one."""
    trained: Predictor = getattr(model, "model", model)
    return trained


def answer_texts(model: Predictor, texts: Sequence[str], progress: Progress | None = None) -> Predictions:
    """The answer of a model, with empty rows for texts that get none (`reasons` says why); texts may be none."""
    check_input_kind(model, texts)
    answer, reasons = run_answerable(lambda some: model.answer(some, progress), texts)
    if len(reasons) == len(texts):  # what was run for the shapes alone is not spoken of
        answer = replace(answer, cut=0, unread=UnreadCounts())
    return replace(answer, reasons=reasons)


def check_limits(min_probability: float | None, coverage: float | None, model: Predictor | None = None) -> None:
    """Refuse two limits of what is answered, one outside 0 to 1, and any for a model that gives no one class a row."""
    for name, value in (("min_probability", min_probability), ("coverage", coverage)):
        checked(name, value, float | None, low=0, high=1)
    if min_probability is not None and coverage is not None:
        raise OptionError("--min-probability and --coverage say the same in two ways", hint="leave one of them away")
    if model is not None and (min_probability is not None or coverage is not None):
        _check_withheld(numbers=model.classes is None, several=gives_sets(model))


def _check_withheld(*, numbers: bool, several: bool) -> None:
    """Refuse limits for answers that are numbers, or several labels a row."""
    if numbers:
        what = "numbers have no probability, so none can be left unanswered for it"
        raise OptionError(what, hint="leave --min-probability and --coverage away")
    if several:
        what = "several labels a row are decided one by one, by thresholds that the training chose"
        raise OptionError(what, hint="leave --min-probability and --coverage away")


def withhold(answer: Predictions, min_probability: float | None, coverage: float | None = None) -> Predictions:
    """The same answers without those whose probability is too low: their label is None, and `withheld` names the rows.

    Args:
        answer: of texts; its probabilities stay.
        min_probability: lowest probability of an answer.
        coverage: share of the rows that is answered, instead; rows of equal probability are answered together.

    Raises:
        OptionError: the model predicts numbers, which have no probability.
    """
    if min_probability is None and coverage is None:
        return answer
    _check_withheld(numbers=answer.probabilities is None, several=any(map(is_several, answer.labels)))
    assert answer.probabilities is not None
    confidence = answer.probabilities.max(axis=1)  # NaN: no answer anyway
    known = ~np.isnan(confidence)
    if coverage is not None and known.any():
        min_probability = threshold_of(confidence[known], coverage) if coverage > 0 else np.inf
    unsure = np.flatnonzero(known & ~(confidence >= (min_probability or 0)))
    labels = np.asarray(answer.labels).astype(object)
    labels[unsure] = None
    return replace(answer, labels=labels, withheld=frozenset(unsure.tolist()))


def answer_table(texts: Texts, classes: Classes | None, answer: Predictions) -> pd.DataFrame:
    """A table of answers: id, text, label (if known), predicted, a probability and a distance for each class.

    Of pairs, `text_pair` holds the second texts.

    Where training rows decide by their nearness, `neighbours` holds the ids of the nearest ones, nearest first. Where
    texts get no answer, `reason` says why; where unsure answers are withheld, `answered` says which rows have one.
    """
    columns: dict[str, Any] = {"id": texts.id, **columns_of(texts.text)}
    if texts.label is not None:
        columns["label"] = texts.label
    columns["predicted"] = answer.labels
    if answer.withheld is not None:
        columns["answered"] = [row not in answer.withheld and row not in answer.reasons for row in range(len(texts))]
    if answer.reasons:
        columns["reason"] = [answer.reasons.get(row) for row in range(len(texts))]
    for prefix, table in (("probability", answer.probabilities), ("distance", answer.distances)):
        if table is not None and classes is not None:
            columns |= {f"{prefix}_{name}": table[:, number] for number, name in enumerate(classes.names)}
    if answer.neighbors is not None:
        named = [" ".join(map(str, row)) for row in answer.neighbors.tolist()]
        columns["neighbours"] = [None if row in answer.reasons else ids for row, ids in enumerate(named)]
    return pd.DataFrame(columns)


def own_ids(source: Any, reading: LoadRecipe) -> list[Any] | None:
    """The column `id` of a file or a frame of texts, a value for each of its rows; None where it has none.

    Raises:
        DataError: two columns have this name, or an id holds a NUL or half a surrogate pair.
    """
    ids = read_column(source, "id", reading)
    refuse_broken([one if isinstance(one, str) else "" for one in ids or ()], "the column 'id'", "id")
    return ids


def with_own_ids(frame: pd.DataFrame, ids: Sequence[Any] | None) -> pd.DataFrame:
    """A table of answers whose `id` is that of the file or the frame itself, where it has one; `row` counts its rows.

    Args:
        frame: of the texts of the source, `id` their numbers in it.
        ids: of all rows of the source, see `own_ids`.

    >>> with_own_ids(pd.DataFrame({"id": [0]}), ["q7"]).to_dict("records")
    [{'id': 'q7', 'row': 0}]
    """
    if ids is None:
        return frame
    numbered = frame.rename(columns={"id": "row"})
    own = [ids[row] for row in frame["id"].tolist()]
    gaps = any(one is None for one in own)  # as numbers they would turn whole ones into floats
    numbered.insert(0, "id", pd.Series(own, dtype=object if gaps else None))
    return numbered


def with_unknown(frame: pd.DataFrame, backbone: Backbone) -> pd.DataFrame:
    """A table of answers with `unknown_tokens`, how many of a text the tokenizer does not know, where there are any."""
    tokens = backbone.tokenize(texts_of(frame))
    counts = count_unknown(backbone.tokenizer, tokens.ids)
    return frame.assign(unknown_tokens=counts) if any(counts) else frame


def answered_figures(frame: pd.DataFrame, classes: Classes | None) -> dict[str, Any]:
    """How many rows of a table of answers are answered, and how right these are, where labels are known.

    Args:
        frame: of answers; `answered` and `withheld` are counted where a limit left any row out.
        classes: of the model; None: it predicts numbers.

    Returns:
        With labels `labelled` (answered rows whose label the model knows) and `unknown_labels` (the others); of the
        first `accuracy` (`accuracy_answered` beside a limit), `micro_f1` or `rmse` with its 95 % `interval`.
    """
    figures: dict[str, Any] = {}
    if "answered" in frame:
        unread = int(frame["reason"].notna().sum()) if "reason" in frame else 0
        answered = frame[frame["answered"]]
        figures = {"answered": len(answered), "withheld": len(frame) - len(answered) - unread}
    else:
        answered = frame[frame["reason"].isna()] if "reason" in frame else frame
    if "label" not in frame:
        return figures
    known = _known_labels(answered["label"].tolist(), classes)
    figures |= {"labelled": int(known.sum()), "unknown_labels": int((~known).sum())}
    if not known.any():
        return figures
    return figures | _scored(answered[known], classes, "accuracy_answered" if "answered" in frame else "accuracy")


def unknown_label_warnings(frame: pd.DataFrame, classes: Classes | None) -> list[str]:
    """A warning that counts and names labels beside answers that the model does not know, as no answer can be right.

    >>> frame = pd.DataFrame({"label": ["cat", "emu"], "predicted": ["cat", "cat"]})
    >>> unknown_label_warnings(frame, Classes(("cat", "dog")))
    ['1 of 2 rows have a label that the model does not know, and are left out of the figures: emu']
    """
    if "label" not in frame:
        return []
    labels = frame["label"].tolist()
    strange = [label for label, is_known in zip(labels, _known_labels(labels, classes), strict=True) if not is_known]
    names = listed([",".join(label) if is_several(label) else str(label) for label in dict.fromkeys(strange)])
    what = f"{len(strange)} of {len(labels)} rows have a label that the model does not know"
    joint = (
        "" if not any(map(is_several, frame["predicted"])) else "; --label-separator names what joins several labels"
    )
    return [f"{what}, and are left out of the figures: {names}{joint}"] if strange else []


def _known_labels(labels: Sequence[Any], classes: Classes | None) -> np.ndarray:
    """Whether the model can give each label, (rows,) bool: a number, a class, or classes alone of several."""
    if classes is None:
        return pd.to_numeric(pd.Series(labels, dtype=object), errors="coerce").notna().to_numpy()
    names = set(classes.names)
    return np.array([_label_set(label) <= names for label in labels], dtype=bool)


def _label_set(label: Any) -> set[str]:
    """The labels of a row by name, also where it has one."""
    return {*map(str, label if is_several(label) else (label,))}


def _scored(frame: pd.DataFrame, classes: Classes | None, accuracy: str) -> dict[str, Any]:
    """The figure of answers whose labels are known, and its interval."""
    gold, answers = frame["label"].tolist(), frame["predicted"].tolist()
    if classes is None:
        numbers = regression(np.asarray(gold, np.float64), np.asarray(answers, np.float64))
        return {"rmse": numbers.rmse, "interval": list(numbers.interval)}
    if any(map(is_several, answers)):
        sets = [[_label_set(label) for label in column] for column in (gold, answers)]
        given = [np.array([[name in one for name in classes.names] for one in column], np.int64) for column in sets]
        scores = label_scores(given[0], given[1], classes.names)
        return {"micro_f1": scores.micro_f1, "interval": list(scores.interval)}
    right = np.array([str(one) == str(other) for one, other in zip(gold, answers, strict=True)])
    return {accuracy: float(right.mean()), "interval": list(bootstrap_mean(right))}
