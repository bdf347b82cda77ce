"""A training from labelled texts to its result, for `separatrix train` and the estimators."""

from __future__ import annotations

from dataclasses import replace
from time import monotonic, process_time
from typing import Any

from separatrix.errors import OptionError
from separatrix.geometry.baselines import LabelledBlocks, fit_baselines
from separatrix.learn.job import TrainedModel
from separatrix.learn.objectives import OBJECTIVES
from separatrix.learn.targets import Targets, encode
from separatrix.learn.trained.saved import Predictions, of_pairs
from separatrix.learn.trajectory import read_epoch_scores
from separatrix.models.source import resolve
from separatrix.models.token_pairs import pair_rule
from separatrix.progress import under
from separatrix.recipe.auto import AutoRecipe
from separatrix.recipe.budget import read_budget
from separatrix.store.folder import FINISHED, TRAJECTORY, has_result
from separatrix.texts import check_labels
from separatrix.texts.ordered import class_ranks
from separatrix.texts.pairs import check_sides, is_pair
from separatrix.texts.weights import weigh
from separatrix.training.command import versions
from separatrix.training.diagnostics import (
    below_baselines,
    cut_texts,
    few_steps,
    findings,
    in_unit,
    misjudged,
    missing_classes,
    overlaps,
    repeated,
)
from separatrix.training.evaluate import Evaluator, score_baselines
from separatrix.training.folder import describe_request, drop_states, write_recipe
from separatrix.training.groups import group_notes, group_report
from separatrix.training.label_sets import LabelSetEvaluator, for_labels
from separatrix.training.methods import METHODS
from separatrix.training.plane import place_outputs
from separatrix.training.predict import answer_table, with_unknown
from separatrix.training.race.run import choose_method
from separatrix.training.race.story import typed_entry
from separatrix.training.request import Recipe, TrainingRequest
from separatrix.training.result import TrainingResult

_OVER = 1.1  # times the budget from which it is said that more was taken


def run_training(request: TrainingRequest) -> TrainingResult:
    """Train, evaluate, and (with a folder) write everything but pictures and report.

    A finished run of the same request is loaded: nothing is trained.

    Raises:
        SeparatrixError: anything that the user can mend.
    """
    wall, processor = monotonic(), process_time()
    original = for_labels(request)
    folder, recipe = original.folder, original.recipe
    request, targets, warnings = _checked(original)
    ranks = _ranks(recipe, targets, request.splits.train.source)
    if folder is not None:
        write_recipe(folder, recipe, describe_request(original, resolve(recipe.backbone).weights))
        if has_result(folder):
            drop_states(folder)
            return TrainingResult.open(folder, device=recipe.backbone.device).with_note(FINISHED)
    race = None
    if isinstance(recipe, AutoRecipe):
        request, race = choose_method(request)
    trained, evaluator = _train(request, targets, ranks)
    answers = _answers(request, trained)
    figures = _figures(
        request, trained, answers, targets, evaluator, "" if race is None else typed_entry(race["winner"])
    )
    taken = monotonic() - wall
    if isinstance(recipe, AutoRecipe) and taken > _OVER * (budget := read_budget(recipe.race.budget)):
        warnings.append(f"took {taken:.0f} s for a budget of {budget:.0f} s: steps were slower than reckoned")
    source = trained.model.backbone.source
    figures["warnings"] = [*request.splits.warnings, *source.warnings, *warnings, *figures["warnings"]]
    result = TrainingResult(
        **_of_model(request, trained, answers, targets), **figures, race=race, folder=folder,
        recipe=describe_request(original, source.weights),
        metrics=trained.fitted.metrics or [_only_line(figures["scores"])],
        seconds=round(taken, 2), cpu_seconds=round(process_time() - processor, 2),
    )  # fmt: skip
    if folder is not None:
        result.write(folder)
        drop_states(folder)
    return result


def _checked(request: TrainingRequest) -> tuple[TrainingRequest, Targets, list[str]]:
    """The request with weighted rows, what its labels are to the objective, and warnings of them."""
    task, splits = task_of(request), weigh(request.splits, request.recipe.loop.class_weight)
    check_sides({part: texts.text for part, texts in splits.parts.items()})
    warnings = list(check_labels(splits.train)) if task == "classify" else []
    return replace(request, splits=splits), encode(splits.parts, task), warnings


def _train(
    request: TrainingRequest, targets: Targets, ranks: tuple[int, ...] | None
) -> tuple[TrainedModel[Any], Evaluator | LabelSetEvaluator]:
    """The trained model, and what judges its answers."""
    evaluator = Evaluator.of(targets.values["train"], targets.names, request.recipe.loop.seed)
    trained = METHODS[request.method].train(request, targets, evaluator.quick)
    if isinstance(evaluator, LabelSetEvaluator):
        evaluator = evaluator.deciding(trained.model.calibration)
    elif ranks is not None:
        evaluator = evaluator.ordered(ranks)
    if is_pair(request.splits.train.text[0]):
        notes = (*trained.notes, pair_rule(trained.model.backbone))
        trained = replace(trained, notes=notes, model=of_pairs(trained.model, pairs=True))
    return trained, evaluator


def _of_model(
    request: TrainingRequest, trained: TrainedModel[Any], answers: dict[str, Predictions], targets: Targets
) -> dict[str, Any]:
    """Fields of the result that say what was trained and what it answers."""
    parts, recipe, backbone = request.splits.parts, request.recipe, trained.model.backbone
    assert not isinstance(recipe, AutoRecipe)
    tables = {
        part: with_unknown(answer_table(parts[part], targets.classes, answer), backbone)
        for part, answer in answers.items()
    }
    drawn = targets.names and not targets.sets
    return {
        "model": trained.model,
        "method": request.method,
        "transformer": backbone.identity,
        "loss": METHODS[request.method].losses.get(task_of(request), recipe.objective.loss),
        "classes": list(targets.names),
        "rows": {part: len(texts) for part, texts in parts.items()},
        "facts": {"words": None, "word_ranking": None, **trained.facts},
        "best_epoch": trained.fitted.best_epoch or None,
        "predictions": tables,
        "plane": place_outputs(trained, answers, recipe.loop.seed) if drawn else None,
    }


def task_of(request: TrainingRequest) -> str:
    """Whether classes ("classify") or numbers ("regress") are predicted."""
    if isinstance(request.recipe, AutoRecipe) or "regress" not in METHODS[request.method].tasks:
        return "classify"
    return OBJECTIVES[request.recipe.objective.loss].task


def _ranks(recipe: Recipe, targets: Targets, source: str) -> tuple[int, ...] | None:
    """Of each class, where they have an order."""
    order = recipe.evaluation.order
    if order is None:
        return None
    if targets.classes is None:
        raise OptionError("--order has no effect here", expected="classes, not numbers", hint="leave --order away")
    return class_ranks(targets.names, order, source)


def _answers(request: TrainingRequest, trained: TrainedModel[Any]) -> dict[str, Predictions]:
    """Of each part but train; for the validation rows, of a model that has not learnt from them."""
    answers = {}
    for part, texts in request.splits.parts.items():
        if part != "train":
            model = trained.judge if part == "validation" else trained.model
            answers[part] = model.answer(texts.text, under(request.progress, f"evaluation ({part})"))
    return answers


def _figures(
    request: TrainingRequest,
    trained: TrainedModel[Any],
    answers: dict[str, Predictions],
    targets: Targets,
    evaluator: Evaluator | LabelSetEvaluator,
    raced: str,
) -> dict[str, Any]:
    """Scores, baselines, what was chosen, warnings, notes, and what there is to say of groups.

    `raced` are method and options as they are typed where a race chose them.
    """
    model, splits, values = trained.model, request.splits, targets.values
    scores = {
        part: evaluator.judged(in_unit(model, answer), values[part], answer.probabilities)
        for part, answer in answers.items()
    }
    history = evaluator.history[: len(trained.fitted.metrics)]  # what --refit trains then is another course
    if request.folder is not None:  # also of the epochs before it was resumed
        history = read_epoch_scores(request.folder / TRAJECTORY)
    warnings = [*missing_classes(targets), *findings(model, answers, values, evaluator, history), *misjudged(scores)]
    chosen = {} if trained.baseline is None else {request.method: trained.baseline}
    baselines: dict[str, Any] = {}
    if request.compare:
        fitted, baselines = _baselines(trained, answers, targets, evaluator)
        chosen |= fitted
        if metrics := trained.fitted.metrics:
            warnings += [*below_baselines(request.method, scores, baselines), *few_steps(metrics, raced)]
    cut, notes = cut_texts(trained.notes, answers)
    notes = [*splits.notes, *repeated(splits), *notes, *(f"{name}: {one}" for name, one in chosen.items())]
    groups = None
    if splits.train.group is not None and targets.names:  # the figures are of classes, not of numbers
        groups = group_report(splits.train, splits.parts, answers, values, targets.names)
        notes += group_notes(groups)
    return {
        "scores": scores,
        "baselines": baselines,
        "chosen": {name: one.to_dict() for name, one in chosen.items()},
        "warnings": [*warnings, *cut, *overlaps(splits)],
        "notes": notes,
        "groups": groups,
        "command": request.command,
        "software": versions(),
    }


def _baselines(
    trained: TrainedModel[Any],
    answers: dict[str, Predictions],
    targets: Targets,
    evaluator: Evaluator | LabelSetEvaluator,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Baselines on frozen vectors, and their figures."""
    parts = {
        part: LabelledBlocks(trained.vectors[part] if part in trained.vectors else answers[part].blocks, values)
        for part, values in targets.values.items()
    }
    classes = len(targets.names)
    fitted = fit_baselines(parts["train"], parts["validation"], classes, evaluator.seed, own=trained.baseline)
    return fitted, score_baselines(fitted, parts, evaluator)


def _only_line(scores: dict[str, Any]) -> dict[str, Any]:
    """The line of metrics of a model that is fitted in one go."""
    figures = scores.get("validation", {})
    return {"epoch": 1, "validation": {name: value for name, value in figures.items() if isinstance(value, float)}}
