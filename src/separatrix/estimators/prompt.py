"""The two estimators of a trained prompt: classes or numbers, from vectors trained behind a frozen transformer."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin

from separatrix.errors import OptionError, StoreError
from separatrix.estimators import training
from separatrix.estimators.base import TextClassifier, TrainedEstimator
from separatrix.estimators.inputs import on_texts
from separatrix.learn.trained.loading import load_model
from separatrix.learn.trained.prompt import PromptModel
from separatrix.learn.trained.saved import read_notes
from separatrix.recipe import LoopRecipe, LossRecipe, ModelRecipe, PromptRecipe, TrainRecipe

NAMES = {"classify": "PromptClassifier", "regress": "PromptRegressor"}


class PromptEstimator(TrainedEstimator):
    """The shared half of `PromptClassifier` and `PromptRegressor`; not to be used by itself."""

    _method, _kind, _file = "prompt", TrainRecipe, "estimator.json"
    _read_model = staticmethod(partial(load_model, kind="prompt"))

    model_: PromptModel

    def fit(self, X: Any, y: Any, *, sample_weight: Any = None, validation: tuple[Any, Any] | None = None) -> Self:
        """Train a prompt behind the frozen model.

        Args:
            X: (rows,) texts: a list, an array, a pandas Series, or a frame or array with one column;
                pairs of texts as tuples or as two columns.
            y: (rows,) labels (names, integers or booleans), or numbers for a regressor.
            sample_weight: (rows,) what each row counts in the loss, finite and 0 or more; only ratios matter: a row of
                weight 2 counts twice what one of weight 1 does. Figures and the choice of the epoch count validation
                rows alike.
            validation: (X, y) to choose the best epoch and to calibrate by; without it, a seeded tenth of the rows is
                held out, stratified by class.

        Returns:
            The estimator itself. What the guards found is in `warnings_` and comes as `SeparatrixWarning`s.

        Raises:
            DataError: texts or labels that cannot be used, one class only, too few rows to hold a tenth out.
            OptionError: an option is unknown or out of range.
            ModelError: the model cannot be found, loaded or used.
        """
        # A regressor has one loss, so it is no argument; it is what the task says.
        recipe, warnings = training.whole_recipe({"loss": "mse"} | self._named(), self.recipe, TrainRecipe)
        training.check_task(recipe, self._task)
        return training.fit(self, recipe, X, y, training.FitInputs(validation, warnings=warnings, weight=sample_weight))

    def _vectors(self, X: Any) -> np.ndarray:
        """The outputs at the prompt."""
        run = self.model_.run(X)
        self._warn(run.unread, X)
        return run.outputs

    @property
    def _n_features_out(self) -> int:
        """Width of the outputs; scikit-learn names the columns of `transform` by it."""
        return self.model_.output_width

    @classmethod
    def _check(cls, folder: Path) -> None:
        notes = read_notes(folder, verify=False)
        if notes["kind"] != "prompt":
            raise StoreError(f"{folder} holds no prompt", got=notes["kind"], hint="use separatrix predict")
        task = "regress" if notes["classes"] is None else "classify"
        if task != cls._task:
            expected = f"a {NAMES[cls._task]}"
            raise StoreError(f"{folder} holds another estimator", got=f"a {NAMES[task]}", expected=expected)


class PromptClassifier(TextClassifier, PromptEstimator):
    """A classifier of texts: a few vectors trained behind a frozen transformer, with no label words to choose.

    The defaults of all arguments stand in `separatrix.recipe`; every other option (cache, readout, centroids,
    schedule, device, ...) comes in `recipe`. A named argument with another value than its default wins over `recipe`
    (a warning says where the two disagree); one at its default gives way to it (`notes_` says so).

    Args:
        model: a local folder, a hub name, or the embedded default.
        tokens: number of prompt tokens, 1 to 200.
        loss: the objective; one of `separatrix.recipe.LOSSES` but `mse`.
        epochs: passes over the training rows.
        lr: learning rate of the prompt.
        batch_size: rows a step.
        seed: seed of every random choice; the same seed gives the same predictions, bit by bit, on one machine with the
            same number of threads.
        recipe: every other option, made with `separatrix.recipe.replace(TrainRecipe(), ...)`.

    Attributes:
        classes_: (classes,) the classes as they stood in y, sorted; of spellings that look alike the first.
        model_: the trained `PromptModel`; its `answer` gives everything below at once.
        history_: a dictionary of metrics for each epoch.
        validation_scores_: accuracy with interval, macro-F1, majority baseline and more, on the validation rows.
        warnings_: what the guards found, one sentence each; also issued as `SeparatrixWarning`.
        notes_: what else is worth knowing, such as texts that were cut.

    There is no `n_features_in_`: the input is one column of strings.

    >>> from separatrix.texts import load_demo
    >>> train = load_demo().train.take(range(60))
    >>> clf = PromptClassifier(tokens=2, epochs=1, seed=0).fit(train.text, train.label)
    >>> print(*clf.classes_)
    abbreviation description entity human location number
    >>> question = ["How far is Denver from Aspen?"]
    >>> clf.predict(question).shape, clf.predict_proba(question).shape, clf.distances(question).shape
    ((1,), (1, 6), (1, 6))
    """

    def __init__(
        self,
        model: str = ModelRecipe.model,
        tokens: int = PromptRecipe.tokens,
        loss: str = LossRecipe.loss,
        epochs: int = LoopRecipe.epochs,
        lr: float = LoopRecipe.lr,
        batch_size: int = LoopRecipe.batch_size,
        seed: int = LoopRecipe.seed,
        recipe: TrainRecipe | None = None,
    ) -> None:
        self._keep(locals())

    @on_texts
    def distances(self, X: Any) -> np.ndarray:
        """Euclidean distance to each class's centroid, (rows, classes).

        Raises:
            OptionError: the loss keeps no centroids.
        """
        distances = self.model_.distances(self._vectors(X))
        if distances is None:
            loss = self.model_.recipe.objective.loss
            raise OptionError(f"the loss {loss} keeps no centroids", hint="train with another loss, centroid_ce say")
        return distances


class PromptRegressor(RegressorMixin, PromptEstimator):
    """A regressor of texts: a few vectors and a linear head trained behind a frozen transformer (loss `mse`).

    Arguments and attributes are those of `PromptClassifier`, without classes and a choice of loss.

    Attributes:
        history_: a dictionary of metrics for each epoch (loss on the standardised y, RMSE in the unit of y).
        validation_scores_: RMSE with interval, R2 and the error of always answering the mean, in the unit of y.

    >>> from separatrix.texts import load_demo
    >>> train = load_demo().train.take(range(60))
    >>> reg = PromptRegressor(tokens=2, epochs=1, seed=0).fit(train.text, [len(text) for text in train.text])
    >>> reg.predict(["Who?", "How far is Denver from Aspen?"]).shape
    (2,)
    """

    _task = "regress"

    def __init__(
        self,
        model: str = ModelRecipe.model,
        tokens: int = PromptRecipe.tokens,
        epochs: int = LoopRecipe.epochs,
        lr: float = LoopRecipe.lr,
        batch_size: int = LoopRecipe.batch_size,
        seed: int = LoopRecipe.seed,
        recipe: TrainRecipe | None = None,
    ) -> None:
        self._keep(locals())

    @on_texts
    def predict(self, X: Any) -> np.ndarray:
        """A number for each text, (rows,) float64, in the unit of y."""
        return np.asarray(self.model_.labels(self.model_.scores(self._vectors(X))), dtype=np.float64)
