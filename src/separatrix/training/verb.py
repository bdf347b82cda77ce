"""The verb `train`: labelled texts, a method and options in, a `TrainingResult` out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from separatrix.errors import OptionError, choose, warn
from separatrix.models.tokens import is_unread
from separatrix.progress import Progress, silent
from separatrix.recipe import LossRecipe, TrainRecipe, flag, option_names
from separatrix.recipe.arguments import checks_arguments
from separatrix.recipe.core import shown
from separatrix.recipe.options import TrainOptions
from separatrix.store.folder import PROGRESS
from separatrix.store.following import FollowedProgress
from separatrix.texts import Splits
from separatrix.texts.training_parts import READING, training_splits
from separatrix.training.command import typed_command
from separatrix.training.folder import run_artifact
from separatrix.training.label_sets import for_labels
from separatrix.training.methods import METHODS, build_recipe, chosen_by, method_of
from separatrix.training.pictures import show_run
from separatrix.training.request import METHOD_NAMES, Recipe, TrainingRequest, predicts_numbers
from separatrix.training.result import TrainingResult
from separatrix.training.run import run_training

WITHOUT_EPOCHS = ("probe", "answers", "auto")  # or without the callbacks of others


@checks_arguments
def train(
    data: Any,
    *,
    method: str | None = None,
    recipe: Recipe | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
    callbacks: Sequence[Any] = (),
    **options: Unpack[TrainOptions],
) -> TrainingResult:
    """Train a model of texts, and evaluate it beside baselines on the frozen model.

    Args:
        data: `Splits`, or anything that `load_splits` reads; questions with contexts for `answers`.
        method: `auto` (what wins a race of the methods on held-out rows within a `budget`), `prompt`, `align`,
            `finetune`, `probe`, `peft` or `answers` (which gives an `AnswerResult`). Without one it is `auto`, unless
            options are given that a race has not: then `prompt` if it has them, else the first method that has.
        recipe: the options to start from; those of the method if absent.
        out: folder of the run; nothing is written without it.
        overwrite: replace an earlier run there.
        resume: go on with the run there, or start where there is none.
        progress: gets (stage, done, total, note) as the training goes on.
        callbacks: `separatrix.learn.callbacks.Callback`s that look on; of a resumed run they see the rest.
        options: single options of the recipe or of `load_splits`, by name; `rare` says what becomes of classes with one
            training row (`drop`, `merge`, `refuse`); `per_class` keeps so many training rows of each class; `weight`
            names a column of weights of training rows, and `class_weight` weighs classes; `by="group"` also holds out
            rows of the groups that are trained on, to compare; `test` of `answers` is the share of contexts that is
            held out, or a file of other questions.

    Raises:
        OptionError: an unknown option, or one without effect.
        SeparatrixError: texts, a model or a folder that cannot be used.

    >>> from separatrix.texts import Splits, load_demo
    >>> demo = load_demo()
    >>> few = Splits(demo.train.take(range(60)), demo.validation.take(range(30)), None, ())
    >>> result = train(few, method="probe", pool="mean")
    >>> result.table[["method", "split"]].iloc[0].tolist()
    ['probe', 'validation']
    """
    named = method
    if method is None:
        method = "prompt" if callbacks else method_of(options, recipe)
    choose(method, METHOD_NAMES, "method")
    reading = {name: options.pop(name) for name in sorted(READING & set(options))}  # type: ignore[misc]
    whole = build_recipe(method if callbacks else named, options, recipe)
    for name in options:
        choose(name, (*option_names(whole), *option_names(TrainRecipe()), *sorted(READING)), "option")
    _check_callbacks(method, callbacks)
    if (run := METHODS[method].run) is not None:
        held_out = {"test": reading.pop("test")} if "test" in reading else {}
        for name in reading:
            raise OptionError(f"{name} has no effect with method {method}", hint="leave it away")
        if out is None:
            raise OptionError(f"method {method} writes a whole model", got="no out", hint='give out="runs/qa"')
        return run(data, out, whole, overwrite=overwrite, resume=resume, progress=progress or silent, **held_out)
    splits = read_splits(data, whole, reading)
    if named is None and method != "auto":
        flags = " ".join(map(flag, chosen_by(options, method)))
        note = f"method {method}, which has the options that were given{f' ({flags})' * bool(flags)}; --method names "
        note += "another, and without them the methods are raced (auto)"
        splits = replace(splits, notes=(*splits.notes, note))
    request = TrainingRequest(splits, whole, method, None if out is None else Path(out), progress or silent)
    command = None if callbacks else typed_command(data, method, whole, reading, out)
    request = replace(request, callbacks=callbacks, command=command)
    if splits.train.kind == "sets" and options.get("loss") == LossRecipe.loss and isinstance(whole, TrainRecipe):
        what = f"--loss {LossRecipe.loss} takes one label a row, and these rows have several"
        raise OptionError(what, hint="leave --loss away")
    return carry_out(request, overwrite=overwrite, resume=resume)


def carry_out(
    request: TrainingRequest, *, overwrite: bool = False, resume: bool = False, pictures: bool = True
) -> TrainingResult:
    """What `train` does once the texts are read: hold the folder, train, draw.

    Args:
        request: what is trained.
        resume: go on with the run there, or start where there is none.
        pictures: draw the pictures and the report of the run.
    """
    request = for_labels(request).with_number_format()
    if request.folder is None:
        return _warned(run_training(request))
    with run_artifact(request, overwrite=overwrite, resume=resume) as folder:
        request.progress(f"model: {request.recipe.backbone.model}", 0, 0, "")
        result = run_training(replace(request, progress=FollowedProgress(folder / PROGRESS, request.progress)))
        if pictures:
            request.progress("pictures and report", 0, 0, "")
            show_run(folder)
    return _warned(result)


def _check_callbacks(method: str, callbacks: Sequence[Any]) -> None:
    if not callbacks:
        return
    from separatrix.learn.callbacks import Callback

    for each in callbacks:
        if not isinstance(each, Callback):
            raise OptionError("train: this is no callback", got=shown(each), expected="a learn.callbacks.Callback")
    if method in WITHOUT_EPOCHS:
        raise OptionError(f"callbacks have no effect with --method {method}", hint="leave them away")


def _warned(result: TrainingResult) -> TrainingResult:
    warn(filter(is_unread, result.warnings))
    return result


def read_splits(data: Any, recipe: Recipe, reading: Mapping[str, Any]) -> Splits:
    """The parts to train on and to evaluate, as `training_splits` reads them for a recipe."""
    numbers = predicts_numbers(recipe)
    return training_splits(data, reading, option_names(recipe), seed=recipe.loop.seed, numbers=numbers)
