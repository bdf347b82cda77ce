"""The two estimators: classes or numbers, from a prompt that is trained behind a frozen transformer."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin

from separatrix.errors import OptionError
from separatrix.estimators.face import PromptFace
from separatrix.estimators.inputs import on_texts
from separatrix.recipe import LoopRecipe, LossRecipe, ModelRecipe, PromptRecipe, TrainRecipe


class PromptClassifier(ClassifierMixin, PromptFace):
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
        classes_: (classes,) the classes as they stood in y, sorted.
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

    _task = "classify"

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
        self.model = model
        self.tokens = tokens
        self.loss = loss
        self.epochs = epochs
        self.lr = lr
        self.batch_size = batch_size
        self.seed = seed
        self.recipe = recipe

    @on_texts
    def predict(self, X: Any) -> np.ndarray:
        """The class of each text, (rows,), in the type that y had."""
        scores = self._scores(X)
        return self.classes_[scores.argmax(axis=1)]

    @on_texts
    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities, (rows, classes) in the order of `classes_`, calibrated on the validation rows."""
        scores = self._scores(X)
        return self.model_.probabilities(scores)

    @on_texts
    def decision_function(self, X: Any) -> np.ndarray:
        """Scores before calibration: (rows, classes); for two classes (rows,), positive for the second."""
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    @on_texts
    def distances(self, X: Any) -> np.ndarray:
        """Euclidean distance to each class's centroid, (rows, classes).

        Raises:
            OptionError: the loss keeps no centroids.
        """
        outputs = self._run(X).outputs
        found = self.model_.distances(outputs)
        if found is None:
            loss = self.model_.recipe.objective.loss
            raise OptionError(f"the loss {loss} keeps no centroids", hint="train with another loss, centroid_ce say")
        return found

    def _scores(self, X: Any) -> np.ndarray:
        outputs = self._run(X).outputs
        return self.model_.scores(outputs)


class PromptRegressor(RegressorMixin, PromptFace):
    """A regressor of texts: a few vectors and a linear head trained behind a frozen transformer (loss `mse`).

    Args:
        model: a local folder, a hub name, or the embedded default.
        tokens: number of prompt tokens, 1 to 200.
        epochs: passes over the training rows.
        lr: learning rate of the prompt.
        batch_size: rows a step.
        seed: seed of every random choice.
        recipe: every other option, as for `PromptClassifier`.

    Attributes:
        model_: the trained `PromptModel`.
        history_: a dictionary of metrics for each epoch (loss on the standardised y, RMSE in the unit of y).
        validation_scores_: RMSE with interval, R2 and the error of always answering the mean, in the unit of y.
        warnings_, notes_: as for `PromptClassifier`.

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
        self.model = model
        self.tokens = tokens
        self.epochs = epochs
        self.lr = lr
        self.batch_size = batch_size
        self.seed = seed
        self.recipe = recipe

    @on_texts
    def predict(self, X: Any) -> np.ndarray:
        """A number for each text, (rows,) float64, in the unit of y."""
        outputs = self._run(X).outputs
        return np.asarray(self.model_.labels(self.model_.scores(outputs)), dtype=np.float64)
