"""What both estimators share: fit, transform, files, pickles.

Constructor arguments stay as they were given; what is learnt ends in an underscore. A fitted estimator is written as
the trained model's two files (a few vectors and JSON; `separatrix predict` reads them as well) and `estimator.json`
beside them. Its pickle holds the same files: kilobytes, and the transformer is found, loaded and checked anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from separatrix import recipe as recipes
from separatrix.errors import DataError
from separatrix.estimators import files
from separatrix.estimators.inputs import READERS, TRAINING, VALIDATION, on_texts
from separatrix.estimators.mixins import ModelBytes, TextsIn
from separatrix.estimators.training import check_task, fit, hold_out, whole_recipe
from separatrix.learn.trained.prompt import Outputs, PromptModel, load_prompt
from separatrix.recipe import TrainRecipe
from separatrix.store.artifacts import new_folder
from separatrix.texts import Splits, check_labels


class PromptFace(TextsIn, ModelBytes, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """The shared half of `PromptClassifier` and `PromptRegressor`; not to be used by itself."""

    _task: ClassVar[str]  # "classify" or "regress"

    model: str
    seed: int
    recipe: TrainRecipe | None
    model_: PromptModel
    history_: list[dict[str, Any]]
    validation_scores_: dict[str, Any]
    warnings_: tuple[str, ...]
    notes_: tuple[str, ...]
    classes_: np.ndarray

    def fit(self, X: Any, y: Any, *, validation: tuple[Any, Any] | None = None) -> Self:
        """Train a prompt behind the frozen model.

        Args:
            X: (rows,) texts: a list, an array, a pandas Series, or a frame or array with one column.
            y: (rows,) labels (names, integers or booleans), or numbers for a regressor.
            validation: (X, y) to choose the best epoch and to calibrate by; without it, a seeded tenth of the rows is
                held out, stratified by class.

        Returns:
            The estimator itself. What the guards found is in `warnings_` and comes as `SeparatrixWarning`s.

        Raises:
            DataError: texts or labels that cannot be used, one class only, too few rows to hold a tenth out.
            OptionError: an option is unknown or out of range.
            ModelError: the model cannot be found, loaded or used.
        """
        recipe, said = whole_recipe(self._named(), self.recipe, TrainRecipe)
        check_task(recipe, self._task)
        rows = READERS[self._task](X, y, TRAINING)
        said = (*said, *rows.texts.warnings, *check_labels(rows.texts))
        if validation is None:
            part, held = hold_out(rows.texts, recipe.loop.seed)
        else:
            part, held = rows.texts, READERS[self._task](*_pair(validation), VALIDATION).texts
        if rows.classes is not None:
            self.classes_ = rows.classes
        fit(self, "prompt", recipe, Splits(part, held, None, ()), said)
        return self

    @on_texts
    def transform(self, X: Any) -> np.ndarray:
        """The outputs at the prompt, (rows, width) float32: features for another estimator."""
        return self._run(X).outputs

    def save(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Write the trained vectors, the constructor's arguments and the figures; the transformer is not copied.

        Args:
            folder: a new or empty folder.
            overwrite: replace a saved estimator.

        Raises:
            StoreError: the folder is not empty (with `overwrite`: and holds something else than a saved estimator).
        """
        check_is_fitted(self, "model_")
        learnt = {name: getattr(self, attribute) for name, attribute in files.LEARNT.items()}
        classes = getattr(self, "classes_", None)
        learnt["classes"] = None if classes is None else classes.tolist()
        with new_folder(folder, "model", self.model_.recipe, overwrite=overwrite) as place:
            self.model_.save(place)
            files.write(place, self.get_params(deep=False), learnt)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        model: str | Path | None = None,
        device: str = "auto",
        trust_remote_code: bool = False,
        verify: bool = True,
    ) -> Self:
        """Read what `save` wrote, or the folder of a run of `separatrix train --method prompt`.

        Args:
            folder: where it was saved.
            model: another place of the same transformer; it then becomes the argument `model` too.
            device: where to compute: "auto", "cpu" or "cuda".
            trust_remote_code: run code that the transformer brings; what the folder says of it counts for nothing.
            verify: compare the files with their hashes.

        Raises:
            StoreError: nothing that this class can read is there.
            ModelError: the transformer found has other weights than the one trained on.
        """
        place = Path(folder)
        files.check_task(place, cls._task)
        elsewhere = None if model is None else str(model)
        trained = load_prompt(place, model=elsewhere, device=device, trust_remote_code=trust_remote_code, verify=verify)
        params, learnt = files.read(place, trained)
        if elsewhere is not None:
            rest = params["recipe"]
            recipe = None if rest is None else recipes.replace(rest, model=elsewhere, revision=None)
            params |= {"model": elsewhere, "recipe": recipe}
        self = cls(**files.arguments(cls, params, place / files.FILE))
        self.model_ = trained
        for name, attribute in files.LEARNT.items():
            value = learnt[name]
            setattr(self, attribute, tuple(value) if name in ("warnings", "notes") else value)
        if learnt["classes"] is not None:
            self.classes_ = np.array(learnt["classes"])
        return self

    @staticmethod
    def _read_model(folder: Path, **options: Any) -> Any:
        return load_prompt(folder, **options)

    def _named(self) -> dict[str, Any]:
        """The constructor's own arguments as options of a recipe."""
        named = {name: value for name, value in self.get_params(deep=False).items() if name != "recipe"}
        # A regressor has one loss, so it is no argument; it is what the task says.
        return {"loss": "mse"} | named

    @property
    def _n_features_out(self) -> int:
        """Width of the outputs; scikit-learn names the columns of `transform` by it."""
        return self.model_.output_width

    def _run(self, X: Any) -> Outputs:
        return self.model_.run(X)


def _pair(validation: Any) -> tuple[Any, Any]:
    if not isinstance(validation, tuple | list) or len(validation) != 2:
        raise DataError("validation is not a pair", got=type(validation).__name__, expected="(X, y)")
    return validation[0], validation[1]
