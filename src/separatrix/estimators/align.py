"""`AlignClassifier`: an encoder trained so that the vectors of a class stand together, and k-NN over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from separatrix import recipe as recipes
from separatrix.errors import DataError
from separatrix.estimators.files import arguments, learnt_of_run, plain_params, read_file
from separatrix.estimators.inputs import TRAINING, VALIDATION, column, labelled, on_texts
from separatrix.estimators.mixins import ModelBytes, TextsIn
from separatrix.estimators.training import fit, flat, hold_out, hold_out_whole, whole_recipe
from separatrix.learn.trained.encoder import AlignModel, load_align
from separatrix.recipe import LoopRecipe, ModelRecipe
from separatrix.recipe.align import AimRecipe, AlignRecipe, DecisionRecipe, PairRecipe
from separatrix.store.artifacts import new_folder
from separatrix.store.files import write_json
from separatrix.texts import Splits, Texts, check_labels
from separatrix.texts.columns import name_warnings

FILE = "align_estimator.json"
FORMAT = 1
DEFAULTS: LoopRecipe = AlignRecipe.loop
# Figures and messages: file key -> attribute.
LEARNT = {
    "history": "history_",
    "validation_scores": "validation_scores_",
    "groups": "groups_",
    "warnings": "warnings_",
    "notes": "notes_",
}


class AlignClassifier(
    TextsIn, ModelBytes, ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    """A classifier of texts: the transformer itself is trained; training and prediction measure by the same cosine.

    The defaults of all arguments stand in `separatrix.recipe.align`; every other option (pooling, frozen layers, head,
    decision, schedule, device, ...) comes in `recipe`. A named argument with another value than its default wins over
    `recipe` (a warning says where the two disagree); one at its default gives way to it (`notes_` says so).

    `loss="linear"` is plain fine-tuning: the linear head decides, as with `recipe=separatrix.recipe.align.FINETUNE`. A
    `recipe` whose own loss is `linear`, or that says who decides (`decision`, `k`, `weights`, `approximate`), is
    followed instead.

    Args:
        model: a local folder, a hub name, or the embedded default.
        loss: the objective; one of `separatrix.recipe.align.ALIGN_LOSSES`.
        pairs: whom a row is compared with: `batch`, `memory`, `mixed`, `datapoint` or `bank`.
        epochs: passes over the training rows.
        lr: learning rate of the encoder.
        batch_size: rows a step.
        seed: seed of every random choice.
        recipe: every other option: `FINETUNE`, or made with `separatrix.recipe.replace(AlignRecipe(), ...)`.

    Attributes:
        classes_: (classes,) the classes as they stood in y, sorted.
        model_: the trained `AlignModel`; its `encode` and `answer` take texts.
        history_: a dictionary of metrics for each epoch.
        validation_scores_: accuracy with interval, macro-F1, majority baseline and more, on the validation rows.
        groups_: what vectors and answers of the validation rows owe to the group, as `groups` in a run's result (see
            `separatrix.training.groups.group_report`); None where training or validation rows have no groups.
        warnings_: what the guards found, one sentence each; also issued as `SeparatrixWarning`.
        notes_: what else is worth knowing, such as how many neighbours vote.

    >>> from separatrix.texts import load_demo
    >>> train = load_demo().train.take(range(40))
    >>> recipe = recipes.replace(AlignRecipe(), frozen_layers=6, freeze_embeddings=True, pool="weighted")
    >>> clf = AlignClassifier(epochs=1, recipe=recipe).fit(train.text, train.label)
    >>> clf.kneighbors(["How far is Denver from Aspen?"], 3)[1].shape
    (1, 3)
    """

    model_: AlignModel
    classes_: np.ndarray
    history_: list[dict[str, Any]]
    validation_scores_: dict[str, Any]
    groups_: dict[str, Any] | None
    warnings_: tuple[str, ...]
    notes_: tuple[str, ...]

    def __init__(
        self,
        model: str = ModelRecipe.model,
        loss: str = AimRecipe.loss,
        pairs: str = PairRecipe.pairs,
        epochs: int = DEFAULTS.epochs,
        lr: float = DEFAULTS.lr,
        batch_size: int = DEFAULTS.batch_size,
        seed: int = DEFAULTS.seed,
        recipe: AlignRecipe | None = None,
    ) -> None:
        self.model = model
        self.loss = loss
        self.pairs = pairs
        self.epochs = epochs
        self.lr = lr
        self.batch_size = batch_size
        self.seed = seed
        self.recipe = recipe

    def fit(self, X: Any, y: Any, *, validation: tuple[Any, ...] | None = None, group: Any = None) -> Self:
        """Train the encoder.

        Args:
            X: (rows,) texts: a list, an array, a pandas Series, or a frame or array with one column.
            y: (rows,) labels: names, integers or booleans.
            validation: (X, y) or (X, y, group) to choose the best epoch, k and the temperature by; without it, a
                seeded tenth of the rows is held out: whole groups where there are five or more, else stratified by
                class (`notes_` says which).
            group: (rows,) groups, for the options of group invariance and for `groups_`.

        Raises:
            DataError: texts, labels or groups that cannot be used, too few rows to hold a tenth out.
            OptionError: an option is unknown or out of range.
            ModelError: the model cannot be found, loaded or used.
        """
        named = {name: value for name, value in self.get_params(deep=False).items() if name != "recipe"}
        recipe, said = _recipe(named, self.recipe)
        rows = labelled(X, y, TRAINING)
        texts = _grouped(rows.texts, group)
        said = (*said, *texts.warnings, *check_labels(texts))
        part, held, notes = _parted(texts, validation, recipe.loop.seed)
        assert rows.classes is not None
        self.classes_ = rows.classes
        fit(self, "align", recipe, Splits(part, held, None, notes), said)
        return self

    @on_texts
    def predict(self, X: Any) -> np.ndarray:
        """The class of each text, (rows,), in the type that y had."""
        return self.classes_[self.decision_scores(X).argmax(axis=1)]

    @on_texts
    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities, (rows, classes) in the order of `classes_`, calibrated on the validation rows."""
        found = self.model_.answer(X).probabilities
        assert found is not None
        return found

    @on_texts
    def decision_scores(self, X: Any) -> np.ndarray:
        """Scores before calibration, (rows, classes): log vote shares, cosines / temperature, or the head's logits."""
        return self.model_.scores(self.transform(X))

    @on_texts
    def transform(self, X: Any) -> np.ndarray:
        """The vectors of texts, (rows, width) float32; compare them by cosine."""
        return self.model_.encode(X)

    @on_texts
    def kneighbors(self, X: Any, n_neighbors: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The nearest stored rows of each text: distances (rows, k) as 1 - cosine, and ids (rows, k).

        An id is the row's place in the X of `fit` (or the id given to `add`). Without a number, as many as vote.

        Raises:
            DataError: more neighbours than stored rows.
        """
        vectors = self.transform(X)
        found = self.model_.neighbours(vectors, self.model_.vote.k if n_neighbors is None else n_neighbors)
        return found.distance, self.model_.index.ids[found.index]

    def add(self, X: Any, y: Any, ids: Any = None) -> Self:
        """Store more labelled rows; nothing is trained. Their ids go on from the largest one unless given.

        Raises:
            DataError: a label that is no class of the training rows, or a head that decides.
        """
        check_is_fitted(self, "model_")
        rows = labelled(X, y, "new rows").texts
        assert rows.label is not None
        self.model_ = self.model_.add(rows.text, list(rows.label), ids)
        return self

    def save(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Write the encoder (readable by transformers and sentence-transformers), the index, arguments and figures.

        Raises:
            StoreError: the folder is not empty (with `overwrite`: and holds something else than a saved estimator).
        """
        check_is_fitted(self, "model_")
        learnt = {name: getattr(self, attribute) for name, attribute in LEARNT.items()}
        learnt["classes"] = self.classes_.tolist()
        params = plain_params(self.get_params(deep=False))
        with new_folder(folder, "model", self.model_.recipe, overwrite=overwrite) as place:
            self.model_.save(place)
            write_json(place / FILE, {"format": FORMAT, "params": params, "learnt": learnt})

    @classmethod
    def load(
        cls, folder: str | Path, *, device: str = "auto", trust_remote_code: bool = False, verify: bool = True
    ) -> Self:
        """Read what `save` wrote, or the folder of a run of `separatrix train --method align|finetune`.

        Raises:
            StoreError: nothing that this class can read is there.
            ModelError: the encoder's weights are not those that were saved.
        """
        place = Path(folder)
        trained = load_align(place, device=device, trust_remote_code=trust_remote_code, verify=verify)
        if not (place / FILE).is_file():
            params: dict[str, Any] = flat(trained.recipe) | {"recipe": trained.recipe}
            learnt = learnt_of_run(place, trained.labels)
        else:
            params, learnt = read_file(place / FILE, AlignRecipe)
            learnt = {"groups": None} | learnt  # earlier versions wrote none
        self = cls(**arguments(cls, params, place / FILE))
        self.model_, self.classes_ = trained, np.array(learnt["classes"])
        for name, attribute in LEARNT.items():
            setattr(self, attribute, tuple(learnt[name]) if name in ("warnings", "notes") else learnt[name])
        return self

    @staticmethod
    def _read_model(folder: Path, **options: Any) -> Any:
        return load_align(folder, **options)

    @property
    def _n_features_out(self) -> int:
        return self.model_.backbone.width


def _recipe(named: Mapping[str, Any], rest: AlignRecipe | None) -> tuple[AlignRecipe, tuple[str, ...]]:
    """The whole recipe, and where arguments and `recipe` disagree; `loss="linear"` by itself lets the head decide."""
    recipe, said = whole_recipe(named, rest, AlignRecipe)
    base = AlignRecipe() if rest is None else rest
    # A head's weight says nothing of who decides; every other option of the decision does.
    unsaid = recipes.replace(base.answers, head_weight=DecisionRecipe.head_weight) == DecisionRecipe()
    if recipe.objective.loss == "linear" != base.objective.loss and unsaid:
        recipe = recipes.replace(recipe, decision="head")
    return recipe, said


def _grouped(texts: Texts, group: Any) -> Texts:
    if group is None:
        return texts
    groups = column(group, texts.source, "group")
    said = (*texts.warnings, *name_warnings(groups, texts.source, "group"))
    return replace(Texts.of(texts.text, texts.label, groups, source=texts.source), warnings=said)


def _parted(texts: Texts, validation: Any, seed: int) -> tuple[Texts, Texts, tuple[str, ...]]:
    """Training and validation rows, and a note where groups said how they were parted."""
    if validation is None:
        if texts.group is None:
            return *hold_out(texts, seed), ()
        part, held, note = hold_out_whole(texts, seed)
        return part, held, (note,)
    if not isinstance(validation, tuple | list) or len(validation) not in (2, 3):
        got = type(validation).__name__
        raise DataError("validation is neither a pair nor a triple", got=got, expected="(X, y) or (X, y, group)")
    held = labelled(validation[0], validation[1], VALIDATION).texts
    return texts, _grouped(held, validation[2] if len(validation) == 3 else None), ()
