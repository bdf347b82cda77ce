"""The verb `train`: labelled texts, a method and options in, a `TrainingResult` out."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from separatrix.errors import choose
from separatrix.progress import Progress, silent
from separatrix.recipe import LoadRecipe, option_names
from separatrix.texts import Splits, load_splits
from separatrix.training.folder import run_artifact
from separatrix.training.methods import build_recipe
from separatrix.training.pictures import show_run
from separatrix.training.request import METHOD_NAMES, Recipe, TrainingRequest
from separatrix.training.result import TrainingResult
from separatrix.training.run import run_training

READING = (set(inspect.signature(load_splits).parameters) | set(option_names(LoadRecipe()))) - {
    "source", "reading", "seed",
}  # fmt: skip


def train(
    data: Any,
    *,
    method: str = "prompt",
    recipe: Recipe | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> TrainingResult:
    """Train a model of texts, and evaluate it beside baselines on the frozen model.

    Args:
        data: `Splits`, or anything that `load_splits` reads.
        method: `prompt`, `align`, `finetune` or `probe`.
        recipe: the options to start from; those of the method if absent.
        out: folder of the run; nothing is written without it.
        overwrite: replace an earlier run there.
        resume: go on with the run there, or start where there is none.
        progress: gets (stage, done, total, note) as the training goes on.
        options: single options of the recipe or of `load_splits`, by name.

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
    choose(method, METHOD_NAMES, "method")
    reading = {name: options.pop(name) for name in sorted(READING & set(options))}
    whole = build_recipe(method, options, recipe)
    for name in options:
        choose(name, (*option_names(whole), *sorted(READING)), "option")
    if isinstance(data, Splits):
        for name in reading:
            choose(name, option_names(whole), "option of splits that are read already")
    else:
        by = "rows" if whole.objective.loss == "mse" else "label"  # numbers are no classes with shares to keep
        data = load_splits(data, **{"by": by, "seed": whole.loop.seed, **reading})
    request = TrainingRequest(data, whole, method, None if out is None else Path(out), progress or silent)
    if request.folder is None:
        return run_training(request)
    with run_artifact(request, overwrite=overwrite, resume=resume) as folder:
        result = run_training(request)
        show_run(folder)
    return result
