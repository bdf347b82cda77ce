"""`AutoClassifier`: the method that wins a race on held-out rows, trained on all rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from separatrix.errors import StoreError
from separatrix.estimators import training
from separatrix.estimators.base import LEARNT, TextClassifier, TrainedEstimator
from separatrix.estimators.inputs import on_texts
from separatrix.learn.trained.loading import load_model
from separatrix.learn.trained.prompt import PromptModel
from separatrix.learn.trained.saved import Predictions, Predictor
from separatrix.recipe import LoopRecipe, ModelRecipe
from separatrix.recipe.auto import AutoRecipe, RaceRecipe
from separatrix.store.files import read_json, read_recipe
from separatrix.store.folder import RECIPE, RESULT, has_result


class AutoClassifier(TextClassifier, TrainedEstimator):
    """A classifier of texts: probe, aligned encoder, fine-tuning and prompt are raced, and the winner is trained.

    Few rows are judged by cross-validation, more by the validation rows. The winner learns from all rows in the end,
    those of validation too, if the budget allows it.

    Args:
        model: a local folder, a hub name, or the embedded default.
        budget: time for race and training together: "10min", "1h", "90s".
        seed: seed of every random choice. What the budget cuts off depends on the machine's speed as well.
        recipe: every other option, made with `separatrix.recipe.replace(AutoRecipe(), candidates=("probe", "align"))`.

    Attributes:
        classes_: (classes,) the classes as they stood in y, sorted; of spellings that look alike the first.
        model_: what was trained: a `ProbeModel`, `AlignModel` or `PromptModel`.
        race_: what was tried and how sure the choice is, as `race` in a run's `result.json`; `race_["why"]` says it in
            two sentences.
        history_: a dictionary of metrics for each epoch of the winner.
        validation_scores_: accuracy with interval, macro-F1, majority baseline and more, on the validation rows.
        warnings_: what the guards found, one sentence each; also issued as `SeparatrixWarning`.
        notes_: what else is worth knowing.

    >>> from separatrix import recipe as recipes
    >>> from separatrix.texts import load_demo
    >>> train = load_demo().train.take(range(60))
    >>> clf = AutoClassifier(recipe=recipes.replace(AutoRecipe(), candidates=("probe",))).fit(train.text, train.label)
    >>> clf.race_["winner"], clf.predict(["How far is Denver from Aspen?"]).shape
    ('probe', (1,))
    """

    _method, _kind, _file = "auto", AutoRecipe, "auto_estimator.json"
    _read_model = staticmethod(load_model)
    _learnt: ClassVar[tuple[str, ...]] = (*LEARNT, "race")

    model_: Predictor
    race_: dict[str, Any]

    def __init__(
        self,
        model: str = ModelRecipe.model,
        budget: str = RaceRecipe.budget,
        seed: int = LoopRecipe.seed,
        recipe: AutoRecipe | None = None,
    ) -> None:
        self._keep(locals())

    def fit(self, X: Any, y: Any, *, sample_weight: Any = None, validation: tuple[Any, Any] | None = None) -> Self:
        """Race the methods, and train the one that wins.

        Args:
            X, y: texts and labels, as for `PromptClassifier.fit`.
            sample_weight: (rows,) as for `PromptClassifier.fit`; every method that is raced learns with them.
            validation: (X, y); without it, a seeded tenth of the rows is held out, stratified by class.

        Raises:
            DataError: texts or labels that cannot be used, too few rows to hold a tenth out.
            OptionError: an option is unknown or out of range.
            ModelError: the model cannot be found, loaded or used.
        """
        recipe, warnings = training.whole_recipe(self._named(), self.recipe, AutoRecipe)
        return training.fit(self, recipe, X, y, training.FitInputs(validation, warnings=warnings, weight=sample_weight))

    @property
    def _written_recipe(self) -> Any:
        return self.race_["recipe"]

    def _answer(self, X: Any) -> Predictions:
        answer = self.model_.answer(X)
        self._warn(answer.unread, X)
        return answer

    def _vectors(self, X: Any) -> np.ndarray:
        return self.model_.run(X).outputs if isinstance(self.model_, PromptModel) else self._answer(X).vectors

    def _scores(self, X: Any) -> np.ndarray:
        return self._answer(X).scores

    @on_texts
    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities, (rows, classes) in the order of `classes_`: those of the winner, calibrated on validation."""
        return np.asarray(self._answer(X).probabilities)

    @property
    def _n_features_out(self) -> int:
        model = self.model_
        return model.output_width if isinstance(model, PromptModel) else model.backbone.width

    @classmethod
    def _check(cls, folder: Path) -> None:
        raced = has_result(folder) and "race" in read_json(folder / RESULT, dict)
        if not raced and not (folder / cls._file).is_file():
            raise StoreError(f"{folder} holds no race", expected="what AutoClassifier or --method auto wrote")

    @classmethod
    def _params_of_run(cls, _model: Any, folder: Path) -> dict[str, Any]:
        stored = read_json(folder / RECIPE, {"backbone": dict, "race": dict, "loop": dict})
        names = ("backbone", "race", "loop")
        recipe = read_recipe(AutoRecipe, {name: stored[name] for name in names}, folder / RECIPE)
        return training.flat(recipe) | {"recipe": recipe}
