"""A run from texts to report: the story that `separatrix train` tells, and that the estimators tell without files.

The directory of a run holds

    recipe.json                        every option, and where the texts came from
    metrics.jsonl                      one line an epoch
    model.safetensors, model.json      what was trained, and the identity of the model it belongs to
    checkpoint.safetensors, refit/     states of trainings that are not finished
    trajectory/                        outputs and centroids as training went by
    predictions/{validation,test}.parquet
    result.json                        scores, baselines, warnings, notes, seconds
    pictures/, report.html             made from the files above
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pandas as pd

from separatrix import recipe as recipes
from separatrix.errors import StoreError, choose
from separatrix.geometry.baselines import Baseline, Blocks, fit_baselines, fit_linear
from separatrix.geometry.calibrate import fit_temperature
from separatrix.geometry.probe import Probe
from separatrix.learn.align import TrainedEncoder
from separatrix.learn.job import REFIT, Job
from separatrix.learn.objectives import OBJECTIVES
from separatrix.learn.prompt import TrainedPrompt, train_prompt
from separatrix.learn.targets import Targets, encode
from separatrix.learn.trained.loading import load_model
from separatrix.learn.trained.probe import ProbeModel
from separatrix.learn.trained.saved import Answer, Predictor, describe
from separatrix.learn.trajectory import read_epoch_scores
from separatrix.models.backbone import load_backbone
from separatrix.models.candidates import candidates, chosen_candidates
from separatrix.models.extract import extract_blocks
from separatrix.progress import Counter, Progress, silent
from separatrix.recipe import ProbingRecipe, TrainRecipe
from separatrix.recipe.align import AlignRecipe
from separatrix.recipe.train import BEST
from separatrix.store.files import read_json, write_json, write_lines
from separatrix.store.folder import CHECKPOINT, METRICS, RECIPE, RESULT, TRAJECTORY
from separatrix.store.table import write_table
from separatrix.texts import Classes, Splits, Texts, check_labels
from separatrix.training.encoders import group_notes, group_report, train_order
from separatrix.training.judge import Yardstick, score_baselines
from separatrix.training.remarks import (
    Listener,
    below_baselines,
    cut_texts,
    few_steps,
    findings,
    in_unit,
    missing_classes,
    overlaps,
    repeated,
)

METHODS = ("prompt", "align", "finetune", "probe")
ENCODERS = ("align", "finetune")  # methods that train the encoder itself, by an AlignRecipe
PROBE_LOSSES = {True: "logistic regression", False: "ridge regression"}  # of classes, of numbers


@dataclass(frozen=True)
class Order:
    """What `train` was asked to do."""

    splits: Splits
    recipe: TrainRecipe | AlignRecipe | ProbingRecipe
    method: str = "prompt"
    folder: Path | None = None
    progress: Progress = silent

    def __post_init__(self) -> None:
        choose(self.method, METHODS, "--method")


@dataclass(frozen=True, eq=False)
class Finished:
    """A trained model with its figures; `result` is what result.json holds."""

    model: Predictor
    result: dict[str, Any]


def train_run(order: Order) -> Finished:
    """Train, evaluate, and (with a folder) write everything but pictures and report.

    A finished run of the same order is loaded: nothing is trained.

    Raises:
        SeparatrixError: anything that the user can mend.
    """
    begun = monotonic()
    warnings = [*order.splits.warnings, *(check_labels(order.splits.train) if _task(order) == "classify" else ())]
    targets = encode(order.splits.parts, _task(order))
    yardstick = Yardstick.of(targets.values["train"], targets.names, order.recipe.loop.seed)
    if order.folder is not None:
        _write_recipe(order, order.folder)
        if (order.folder / RESULT).is_file():
            return _finished(order)
    listener = Listener(**vars(yardstick))
    trained, model, frozen, probe = TRAINERS[order.method](order, targets, listener)
    answers = _answers(order, model if trained is None else trained.judge, model)
    parts = {
        part: Blocks(frozen[part] if part in frozen else answers[part].blocks, values)
        for part, values in targets.values.items()
    }
    baselines = fit_baselines(parts["train"], parts["validation"], len(yardstick.names), yardstick.seed, own=probe)
    chosen = baselines if probe is None else {order.method: probe, **baselines}
    scores = {part: _figures(model, answer, targets.values[part], yardstick) for part, answer in answers.items()}
    warnings += missing_classes(targets)
    warnings += findings(model, answers, targets.values, yardstick, _history(order, trained, listener))
    scored = score_baselines(baselines, parts, yardstick)
    if trained is not None:
        warnings += [*below_baselines(order.method, scores, scored), *few_steps(trained.fitted.metrics)]
    cut, notes = cut_texts([] if trained is None else trained.notes, answers)
    notes += [f"{name}: {one}" for name, one in chosen.items()]
    result: dict[str, Any] = {
        "method": order.method,
        "model": describe(model.backbone),
        "loss": order.recipe.objective.loss if order.method != "probe" else PROBE_LOSSES[bool(targets.names)],
        "classes": list(yardstick.names),
        "rows": {part: len(texts) for part, texts in order.splits.parts.items()},
        "scores": scores,
        "baselines": scored,
        "chosen": {name: one.to_dict() for name, one in chosen.items()},
        "warnings": [*warnings, *cut, *overlaps(order.splits)],
        "notes": [*order.splits.notes, repeated(order.splits), *notes],
        **_words(trained),
        "best_epoch": None if trained is None else trained.fitted.best_epoch,
        "seconds": round(monotonic() - begun, 2),
    }
    if order.splits.train.group is not None:
        _add_groups(result, order.splits, answers, targets)
    if order.folder is not None:
        _write(order, trained, model, answers, result)
    return Finished(model, result)


def _finished(order: Order) -> Finished:
    """The result that stands in the folder."""
    assert order.folder is not None
    result = read_json(order.folder / RESULT)
    note = "this run was finished before: nothing was trained"
    _drop_states(order.folder)
    model = load_model(order.folder, device=order.recipe.backbone.device)
    return Finished(model, result | {"notes": [*result["notes"], note]})


def _drop_states(folder: Path) -> None:
    """Delete the states of finished trainings: nothing goes on from them, and each is thrice the size of its model."""
    (folder / CHECKPOINT).unlink(missing_ok=True)
    shutil.rmtree(folder / REFIT, ignore_errors=True)


def _add_groups(result: dict[str, Any], splits: Splits, answers: dict[str, Answer], targets: Targets) -> None:
    result["groups"] = group_report(splits.train, splits.parts, answers, targets.values, targets.names)
    result["notes"] += group_notes(result["groups"])


def describe_texts(splits: Splits) -> dict[str, Any]:
    """Where the texts of each part came from, how many they are, and a digest of texts and labels."""
    return {
        part: {
            "source": texts.name,
            "rows": len(texts),
            "digest": recipes.digest(list(texts.text), [] if texts.label is None else texts.label.tolist()),
        }
        for part, texts in splits.parts.items()
    }


def is_run_of(folder: Path, splits: Splits) -> bool:
    """Whether a folder holds a run, finished or not, on these very texts."""
    path = folder / RECIPE
    return path.is_file() and read_json(path, dict).get("data") == describe_texts(splits)


def _write_recipe(order: Order, folder: Path) -> None:
    """Write what was asked for; what was begun with other options or texts is not gone on with."""
    asked = {"method": order.method, **recipes.to_dict(order.recipe), "data": describe_texts(order.splits)}
    path = folder / RECIPE
    if path.is_file():
        begun, wanted = (recipes.decisive(order.recipe, values) for values in (read_json(path, dict), asked))
        if recipes.canonical(begun) != recipes.canonical(wanted):
            raise StoreError(
                f"{folder} was begun with other options or other texts",
                got=_difference(begun, json.loads(recipes.canonical(wanted))),
                hint="type the earlier ones, --overwrite, or choose another --out",
            )
    write_json(path, asked)


def _difference(begun: Any, asked: Any, name: str = "") -> str:
    """The first option that differs, as "name new instead of old"."""
    if not (isinstance(begun, dict) and isinstance(asked, dict)):
        return f"{name} {asked} instead of {begun}"
    key = next(key for key in sorted({*begun, *asked}) if begun.get(key) != asked.get(key))
    return _difference(begun.get(key), asked.get(key), key)


def _task(order: Order) -> str:
    return "classify" if order.method in ENCODERS else OBJECTIVES[order.recipe.objective.loss].task


# What was trained (if epoch by epoch), the model in use, frozen vectors of the parts that came by on the way (part ->
# pooling -> rows), and the probe with what was chosen for it, if a probe is what was trained.
Made = tuple[TrainedPrompt | TrainedEncoder | None, Predictor, dict[str, dict[str, np.ndarray]], Baseline | None]


def _prompt(order: Order, _targets: Targets, yardstick: Yardstick) -> Made:
    splits, recipe = order.splits, order.recipe
    assert isinstance(recipe, TrainRecipe)
    job = Job(splits.train, splits.validation, recipe, yardstick.quick, order.folder, order.progress)
    trained = train_prompt(job)
    return trained, trained.model, {"train": trained.vectors["train"]}, None


def _encoder(order: Order, _targets: Targets, yardstick: Yardstick) -> Made:
    trained, frozen = train_order(order, yardstick)
    return trained, trained.model, frozen, None


def _probe(order: Order, targets: Targets, yardstick: Yardstick) -> Made:
    recipe, backbone = order.recipe, load_backbone(order.recipe.backbone)
    asked = chosen_candidates(backbone, recipe.probe.pool if isinstance(recipe, ProbingRecipe) else BEST)
    plans = {plan.name: plan for plan in (*asked, *candidates(backbone))}
    frozen, parts = {}, {}
    for part in ("train", "validation"):
        texts = order.splits.parts[part]
        done = Counter(order.progress, f"texts ({part})", len(texts))
        frozen[part], _ = extract_blocks(backbone, texts.text, tuple(plans.values()), done)
        parts[part] = Blocks({plan.name: frozen[part][plan.name] for plan in asked}, targets.values[part])
    found = fit_linear(parts["train"], parts["validation"], len(targets.names), yardstick.seed)
    assert isinstance(found.model, Probe)
    warmth = 1.0
    if targets.classes is not None:
        warmth = fit_temperature(found.scores(parts["validation"]), targets.values["validation"])
    model = ProbeModel(backbone, found.model, targets.classes, warmth, found.pool)
    return None, model, {"train": frozen["train"]}, found


TRAINERS = {"prompt": _prompt, "align": _encoder, "finetune": _encoder, "probe": _probe}


def _answers(order: Order, judge: Predictor, model: Predictor) -> dict[str, Answer]:
    """Of each part but train; for the validation rows, of a model that has not learnt from them."""
    parts = [part for part in order.splits.parts if part != "train"]
    return {part: _answer(order, judge if part == "validation" else model, part) for part in parts}


def _answer(order: Order, model: Predictor, part: str) -> Answer:
    texts = order.splits.parts[part]
    return model.answer(texts.text, Counter(order.progress, f"evaluation ({part})", len(texts)))


def _figures(model: Predictor, answer: Answer, targets: np.ndarray, yardstick: Yardstick) -> dict[str, Any]:
    return yardstick.full(in_unit(model, answer), targets, answer.probabilities)


def _history(order: Order, trained: TrainedPrompt | TrainedEncoder | None, listener: Listener) -> list[np.ndarray]:
    """Validation scores of every epoch of the first training, also of those before it was resumed."""
    if trained is None:
        return []
    if order.folder is not None:
        return read_epoch_scores(order.folder / TRAJECTORY)
    return listener.heard[: len(trained.fitted.metrics)]  # what --refit trains then is another course


def _words(trained: TrainedPrompt | TrainedEncoder | None) -> dict[str, Any]:
    """The label words in the order of the classes, and, where they were chosen, the best ones for each class."""
    if not isinstance(trained, TrainedPrompt) or trained.model.words is None:
        return {"words": None, "word_ranking": None}
    model, tokenizer = trained.model, trained.model.backbone.tokenizer
    words = [tokenizer.decode([int(word)]).strip() for word in trained.model.words]
    names = () if model.classes is None else model.classes.names
    return {"words": words, "word_ranking": None if trained.words is None else trained.words.named(names, tokenizer)}


def _write(
    order: Order,
    trained: TrainedPrompt | TrainedEncoder | None,
    model: Predictor,
    answers: dict[str, Answer],
    result: dict[str, Any],
) -> None:
    assert order.folder is not None
    model.save(order.folder)
    write_lines(order.folder / METRICS, [_only_line(result)] if trained is None else trained.fitted.metrics)
    for part, answer in answers.items():
        frame = predictions(order.splits.parts[part], model.classes, answer)
        write_table(order.folder / "predictions" / f"{part}.parquet", frame)
    write_json(order.folder / RESULT, result)
    _drop_states(order.folder)


def _only_line(result: dict[str, Any]) -> dict[str, Any]:
    """The line of a model that is fitted in one go."""
    figures = result["scores"].get("validation", {})
    return {"epoch": 1, "validation": {name: value for name, value in figures.items() if isinstance(value, float)}}


def predictions(texts: Texts, classes: Classes | None, answer: Answer) -> pd.DataFrame:
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
            columns |= {f"{prefix}_{name}": table[:, place] for place, name in enumerate(classes.names)}
    if answer.neighbours is not None:
        named = [" ".join(map(str, row)) for row in answer.neighbours.tolist()]
        columns["neighbours"] = [None if row in answer.reasons else ids for row, ids in enumerate(named)]
    return pd.DataFrame(columns)
