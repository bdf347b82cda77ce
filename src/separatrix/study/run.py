"""A run from texts to report: the story that `separatrix train` tells, and that the estimators tell without files.

The directory of a run holds

    recipe.json                        every option, and where the texts came from
    metrics.jsonl                      one line an epoch
    model.safetensors, model.json      what was trained, and the identity of the model it belongs to
    trajectory/                        outputs and centroids as training went by
    predictions/{validation,test}.parquet
    result.json                        scores, baselines, warnings, notes, seconds
    pictures/, report.html             made from the files above
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pandas as pd

from separatrix import recipe as recipes
from separatrix.errors import DataError
from separatrix.geometry.calibrate import fit_temperature
from separatrix.geometry.probe import Probe
from separatrix.learn.losses import OBJECTIVES
from separatrix.learn.probed import ProbeModel
from separatrix.learn.prompt import Job, Report, TrainedPrompt, silent, train_prompt
from separatrix.learn.saved import Answer, Predictor, describe
from separatrix.learn.trajectory import read_epoch_scores
from separatrix.models.backbone import load_backbone
from separatrix.models.extract import extract
from separatrix.recipe import TrainRecipe
from separatrix.store.files import write_json, write_lines
from separatrix.store.table import write_table
from separatrix.study.baselines import Part, fit_baselines
from separatrix.study.folder import METRICS, RECIPE, RESULT
from separatrix.study.judge import Yardstick, score_baselines
from separatrix.texts import Classes, Splits, Texts, check_labels, duplicates, overlap

METHODS = ("prompt", "probe")


@dataclass(frozen=True)
class Order:
    """What `train` was asked to do."""

    splits: Splits
    recipe: TrainRecipe
    method: str = "prompt"
    folder: Path | None = None
    report: Report = silent


@dataclass(frozen=True, eq=False)
class Finished:
    """A trained model with its figures; `result` is what result.json holds."""

    model: Predictor
    result: dict[str, Any]


def train_run(order: Order) -> Finished:
    """Train, evaluate, and (with a folder) write everything but pictures and report.

    Raises:
        SeparatrixError: anything that the user can mend.
    """
    begun = monotonic()
    warnings = list(check_labels(order.splits.train)) if _classifies(order) else []
    targets, yardstick = _targets(order)
    if order.folder is not None:
        write_json(order.folder / RECIPE, {"method": order.method, **recipes.to_dict(order.recipe)})
    trained, model, vectors = TRAINERS[order.method](order, yardstick)
    answers = {part: _answer(order, model, part) for part in order.splits.parts if part != "train"}
    parts = {part: Part(answers[part].vectors if part in answers else vectors, targets[part]) for part in targets}
    baselines = fit_baselines(parts["train"], parts["validation"], len(yardstick.names), yardstick.seed)
    history = [] if order.folder is None or trained is None else read_epoch_scores(order.folder / "trajectory")
    scores = {part: _figures(model, answer, targets[part], yardstick) for part, answer in answers.items()}
    for part, answer in answers.items():
        past = history[:-1] if part == "validation" else []
        warnings += [f"{part}: {line}" for line in yardstick.findings(_plain(model, answer), targets[part], past)]
    result = {
        "method": order.method,
        "model": describe(model.backbone),
        "loss": order.recipe.objective.loss if order.method == "prompt" else "logistic regression",
        "classes": list(yardstick.names),
        "rows": {part: len(texts) for part, texts in order.splits.parts.items()},
        "scores": scores,
        "baselines": score_baselines(baselines, parts, yardstick),
        "warnings": warnings + _overlaps(order.splits),
        "notes": [*order.splits.notes, *_notes(order.splits, trained, answers)],
        "words": None if trained is None else _words(trained),
        "best_epoch": None if trained is None else trained.fitted.best_epoch,
        "seconds": round(monotonic() - begun, 2),
    }
    if order.folder is not None:
        _write(order, trained, model, answers, result)
    return Finished(model, result)


def _classifies(order: Order) -> bool:
    return OBJECTIVES[order.recipe.objective.loss].task == "classify"


def _targets(order: Order) -> tuple[dict[str, np.ndarray], Yardstick]:
    parts, seed = order.splits.parts, order.recipe.loop.seed
    train = order.splits.train
    if train.label is None:
        raise DataError(f"{train.source}: training needs labels", hint="name their column with --label")
    if not _classifies(order):
        if any(texts.kind == "names" for texts in parts.values()):
            raise DataError(
                f"{train.source}: the loss mse needs numbers as labels", got="names", hint="use another --loss"
            )
        numbers = {part: np.asarray(texts.label, dtype=np.float64) for part, texts in parts.items()}
        return numbers, Yardstick.of(numbers["train"], (), seed)
    classes = Classes.of(train.label, source=train.source)
    ids = {part: classes.encode(_labels(texts), source=texts.source) for part, texts in parts.items()}
    return ids, Yardstick.of(ids["train"], classes.names, seed)


def _labels(texts: Texts) -> np.ndarray:
    if texts.label is None:
        raise DataError(f"{texts.source}: evaluation needs labels", hint="name their column with --label")
    return texts.label


def _prompt(order: Order, yardstick: Yardstick) -> tuple[TrainedPrompt, Predictor, np.ndarray]:
    splits = order.splits
    job = Job(splits.train, splits.validation, order.recipe, yardstick.quick, order.folder, order.report)
    trained = train_prompt(job)
    return trained, trained.model, trained.vectors["train"]


def _probe(order: Order, yardstick: Yardstick) -> tuple[None, Predictor, np.ndarray]:
    backbone = load_backbone(order.recipe.backbone)
    targets, _ = _targets(order)
    parts = {}
    for part, texts in (("train", order.splits.train), ("validation", order.splits.validation)):
        order.report(f"texts ({part})", 0, len(texts), "")
        parts[part] = Part(extract(backbone, texts.text).values, targets[part])
    fitted = fit_baselines(parts["train"], parts["validation"], len(yardstick.names), yardstick.seed)
    probe = next(model for model in fitted.values() if isinstance(model, Probe))
    classes = Classes.of(_labels(order.splits.train)) if yardstick.names else None
    held = parts["validation"]
    warmth = fit_temperature(probe.scores(held.vectors), held.targets) if classes else 1.0
    return None, ProbeModel(backbone, probe, classes, warmth), parts["train"].vectors


TRAINERS = {"prompt": _prompt, "probe": _probe}


def _answer(order: Order, model: Predictor, part: str) -> Answer:
    texts = order.splits.parts[part]
    done = 0

    def progress(more: int) -> None:
        nonlocal done
        done += more
        order.report(f"evaluation ({part})", done, len(texts), "")

    return model.answer(texts.text, progress)


def _plain(model: Predictor, answer: Answer) -> np.ndarray:
    """Scores in the unit of the targets."""
    return answer.scores if model.classes is not None else np.asarray(answer.labels, dtype=np.float64)[:, None]


def _figures(model: Predictor, answer: Answer, targets: np.ndarray, yardstick: Yardstick) -> dict[str, Any]:
    return yardstick.full(_plain(model, answer), targets, answer.probabilities)


def _overlaps(splits: Splits) -> list[str]:
    warnings = []
    for part, texts in splits.parts.items():
        found = overlap(splits.train, texts) if part != "train" else None
        if found is not None and found.normalised:
            warnings.append(
                f"{part}: {found.normalised} of {found.total} rows stand in the training rows as well "
                f"({found.exact} letter by letter, {found.conflicting} with another label)"
            )
    return warnings


def _notes(splits: Splits, trained: TrainedPrompt | None, answers: dict[str, Answer]) -> list[str]:
    found = duplicates(splits.train)
    notes = [f"train: {found.normalised} repeated rows ({found.conflicting} texts with more than one label)"]
    notes += [] if trained is None else list(trained.notes)
    notes += [
        f"{part}: {answer.cut} of {len(answer.scores)} texts were cut" for part, answer in answers.items() if answer.cut
    ]
    return list(dict.fromkeys(notes))


def _words(trained: TrainedPrompt) -> list[str] | None:
    words = trained.model.anchors.words
    if words is None:
        return None
    return [trained.model.backbone.tokenizer.decode([int(word)]).strip() for word in words]


def _write(
    order: Order, trained: TrainedPrompt | None, model: Predictor, answers: dict[str, Answer], result: dict[str, Any]
) -> None:
    assert order.folder is not None
    model.save(order.folder)
    if trained is not None:
        write_lines(order.folder / METRICS, trained.fitted.metrics)
    for part, answer in answers.items():
        frame = predictions(order.splits.parts[part], model.classes, answer)
        write_table(order.folder / "predictions" / f"{part}.parquet", frame)
    write_json(order.folder / RESULT, result)


def predictions(texts: Texts, classes: Classes | None, answer: Answer) -> pd.DataFrame:
    """A table of answers: id, text, label (if known), predicted, a probability and a distance for each class."""
    columns: dict[str, Any] = {"id": texts.id, "text": list(texts.text)}
    if texts.label is not None:
        columns["label"] = texts.label
    columns["predicted"] = answer.labels
    for prefix, table in (("probability", answer.probabilities), ("distance", answer.distances)):
        if table is not None and classes is not None:
            columns |= {f"{prefix}_{name}": table[:, place] for place, name in enumerate(classes.names)}
    return pd.DataFrame(columns)
