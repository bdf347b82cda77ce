"""What a training is asked to do, and the names of its methods; torch is loaded only when it begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from separatrix.errors import choose
from separatrix.progress import Progress, silent
from separatrix.recipe import ProbingRecipe, TrainRecipe
from separatrix.recipe.align import AlignRecipe
from separatrix.recipe.auto import AutoRecipe
from separatrix.recipe.peft import PeftRecipe
from separatrix.recipe.registry import Choices
from separatrix.recipe.train import AUTO

if TYPE_CHECKING:
    from separatrix.learn.callbacks import BatchFunction, Callback
    from separatrix.learn.job import Job
    from separatrix.learn.loop import Score
    from separatrix.texts import Splits

MethodRecipe = TrainRecipe | AlignRecipe | ProbingRecipe | PeftRecipe
Recipe = MethodRecipe | AutoRecipe
METHOD_NAMES = Choices("auto", "prompt", "align", "finetune", "probe", "peft", "answers")


def predicts_numbers(recipe: Recipe) -> bool:
    """Whether numbers are predicted, not classes."""
    return isinstance(recipe, TrainRecipe | ProbingRecipe) and recipe.objective.loss == "mse"


@dataclass(frozen=True)
class TrainingRequest:
    """What `run_training` is asked to do.

    Attributes:
        splits: the labelled texts.
        recipe: every option.
        method: a key of `separatrix.training.methods.METHODS`.
        folder: where everything is written; None writes nothing.
        progress: gets (stage, done, total, note) as the training goes on.
        compare: also fit baselines on the frozen model, and say how the training compares with them.
        on_batch: gets the outputs of every training batch and the centroids, as arrays.
        shared_texts: folder of text caches that several trainings share; None: each builds its own.
        callbacks: that look on while a method trains in epochs.
        command: that makes the run again, where one does.
    """

    splits: Splits
    recipe: Recipe
    method: str = "prompt"
    folder: Path | None = None
    progress: Progress = silent
    compare: bool = True
    on_batch: BatchFunction | None = None
    shared_texts: Path | None = None
    callbacks: Sequence[Callback] = ()
    command: str | None = None

    def __post_init__(self) -> None:
        choose(self.method, METHOD_NAMES, "--method")

    def with_number_format(self) -> TrainingRequest:
        """The request with a number format in the place of `auto`, chosen by the training texts, and notes on it.

        Raises:
            ModelError: the model cannot be used.
        """
        if self.recipe.backbone.dtype not in (AUTO, "bfloat16"):
            return self
        from separatrix.models.precision import settled

        backbone, why = settled(self.recipe.backbone, self.splits.train.text)
        splits = replace(self.splits, notes=(*self.splits.notes, *why))
        return replace(self, recipe=replace(self.recipe, backbone=backbone), splits=splits)

    def job(self, score: Score) -> Job[Any]:
        """The training that an epoch-wise method does, its epochs measured by `score`."""
        from separatrix.learn.job import Job

        train, validation = self.splits.train, self.splits.validation
        return Job(
            train, validation, self.recipe, score, self.folder, self.progress,
            on_batch=self.on_batch, shared_texts=self.shared_texts, callbacks=self.callbacks,
        )  # fmt: skip
