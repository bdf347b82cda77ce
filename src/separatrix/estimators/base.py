"""What all estimators share: texts in, transform, files, pickles.

Constructor arguments stay as they were given; what is learnt ends in an underscore. A fitted estimator is written as
the trained model's own files (`separatrix predict` reads them as well), those of a training with a JSON file of
arguments and figures beside them. Its pickle holds the model's files; a frozen transformer is not among them: it is
found again when they are read, and refused if it has other weights.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from separatrix import recipe as recipes
from separatrix.estimators.inputs import on_texts
from separatrix.estimators.training import flat, plain
from separatrix.learn.unanswered import NOTHING
from separatrix.models.tokens import UnreadCounts
from separatrix.recipe.arguments import checks_arguments
from separatrix.store.artifacts import new_folder
from separatrix.store.files import check_format, damaged, mismatch, read_json, read_lines, read_recipe, write_json
from separatrix.store.folder import METRICS, RESULT, has_result
from separatrix.texts.arrays import NEW

FORMAT = 1
SCHEMA = {
    "format": int,
    "params": {"recipe": (dict, None)},
    "learnt": {
        "classes": (list, None),
        "history": [dict],
        "validation_scores": dict,
        "groups?": (dict, None),
        "race?": (dict, None),
        "warnings": [str],
        "notes": [str],
    },
}
LEARNT_OF_RUN = {"race?": dict, "scores?": {"*": dict}, "groups?": dict, "warnings?": [str], "notes?": [str]}
LEARNT = ("history", "validation_scores", "groups", "warnings", "notes")  # attributes, without their underscores


class TextEstimator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """The shared half of the estimators; not to be used by itself."""

    _read_model: ClassVar[Callable[..., Any]]  # reads what `model_.save` wrote into a folder

    model: str
    seed: int
    recipe: Any
    model_: Any  # what was trained; its `save` writes a few files
    classes_: np.ndarray

    def _keep(self, arguments: dict[str, Any]) -> None:
        """Keep the constructor's arguments as they were given, which is all that scikit-learn lets it do."""
        for name in self._get_param_names():
            setattr(self, name, arguments[name])

    @abstractmethod
    def _vectors(self, X: Any) -> np.ndarray:
        """What `transform` gives of texts."""

    @staticmethod
    def _warn(unread: UnreadCounts, X: Any) -> None:
        """Say what the tokenizer could not read in new texts."""
        if X is not NOTHING:
            unread.warn(NEW)

    @on_texts
    def transform(self, X: Any) -> np.ndarray:
        """The vectors of texts, (rows, width) float32: features for another estimator."""
        return self._vectors(X)

    @checks_arguments
    def save(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Write the trained model and, of a training, arguments and figures. A frozen transformer is not copied.

        Args:
            folder: a new or empty folder.
            overwrite: replace a saved estimator.

        Raises:
            StoreError: the folder is not empty (with `overwrite`: and holds something else than a saved estimator).
        """
        check_is_fitted(self, "model_")
        with new_folder(folder, "model", self._written_recipe, overwrite=overwrite) as path:
            self.model_.write_files(path)
            self._write(path)

    @property
    def _written_recipe(self) -> Any:
        """The options that the manifest names."""
        return self.model_.recipe

    def _write(self, folder: Path) -> None:
        """Write what the model's files do not hold."""

    @classmethod
    @checks_arguments
    def load(
        cls,
        folder: str | Path,
        *,
        model: str | Path | None = None,
        device: str = "auto",
        trust_remote_code: bool = False,
        verify: bool = True,
    ) -> Self:
        """Read what `save` wrote, or the folder of a run of `separatrix train` with the method of this class.

        Args:
            folder: where it was saved.
            model: another place of the same transformer; it then becomes the argument `model` too.
            device: where to compute: "auto", "cpu", "cuda", or "cuda:1" for the second GPU.
            trust_remote_code: run code that the transformer brings; what the folder says of it is ignored.
            verify: compare the files with their hashes.

        Raises:
            StoreError: nothing that this class can read is there.
            ModelError: the transformer has other weights than the one trained on.
        """
        path, elsewhere = Path(folder), None if model is None else str(model)
        cls._check(path)
        options = {"model": elsewhere, "device": device, "trust_remote_code": trust_remote_code, "verify": verify}
        return cls._with(cls._read_model(path, **options), path, elsewhere)

    @classmethod
    def _check(cls, folder: Path) -> None:
        """Refuse the model of another class before the transformer is loaded."""

    @classmethod
    @abstractmethod
    def _with(cls, model: Any, folder: Path, elsewhere: str | None) -> Self:
        """A fitted estimator with a model that was read from a folder, its transformer perhaps from elsewhere."""

    def __sklearn_tags__(self) -> Any:
        """X is one column of texts."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = tags.input_tags.one_d_array = tags.no_validation = True
        tags.input_tags.two_d_array = False
        tags.transformer_tags.preserves_dtype = []
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(super().__getstate__())
        if (model := state.pop("model_", None)) is not None:
            backbone = model.backbone.recipe
            options = {"device": backbone.device, "trust_remote_code": backbone.trust_remote_code}
            state |= {"_files": files_of(model), "_options": options}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        # A pickle is code already: its permission counts, unlike that of a folder.
        files, options = state.pop("_files", None), state.pop("_options", {})
        super().__setstate__(state)
        if files is None:
            return
        with TemporaryDirectory() as temporary:
            for name, data in files.items():
                path = Path(temporary) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            self.model_ = self._read_model(Path(temporary), **options, verify=False)  # a pickle holds no hashes


class TextClassifier(ClassifierMixin, TextEstimator):
    """A classifier of texts, with scores as scikit-learn has them."""

    def __sklearn_tags__(self) -> Any:
        """Texts may have several labels, where they are learnt by `separatrix.training`."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = isinstance(self, TrainedEstimator)
        return tags

    @on_texts
    def predict(self, X: Any) -> np.ndarray:
        """The class of each text, (rows,), in the type that y had; of several labels a row, the indicator matrix.

        Its columns follow `classes_`; a text that cannot be answered has -1 in all of them.
        """
        if self._gives_sets:
            return np.asarray(self.model_.calibration.decide(self._scores(X)))
        return self.classes_[self._scores(X).argmax(axis=1)]

    def _scores(self, X: Any) -> np.ndarray:
        """Scores of texts, (rows, classes); the largest decides."""
        scores: np.ndarray = self.model_.scores(self._vectors(X))
        return scores

    @on_texts
    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities, (rows, classes) in the order of `classes_`: calibrated."""
        probabilities: np.ndarray = self.model_.probabilities(self._scores(X))
        return probabilities

    @on_texts
    def decision_function(self, X: Any) -> np.ndarray:
        """Scores before calibration: (rows, classes); for two classes (rows,), positive for the second."""
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 and not self._gives_sets else scores

    @property
    def _gives_sets(self) -> bool:
        """Whether texts get several labels."""
        return bool(self.model_.calibration.sets)


class NeighborsClassifier(TextClassifier):
    """A classifier that keeps the vectors of its training rows."""

    @abstractmethod
    def _neighbors(self, vectors: np.ndarray, count: int | None) -> tuple[np.ndarray, np.ndarray]:
        """Distances and ids of the nearest stored rows, each (rows, count)."""

    @on_texts
    @checks_arguments
    def kneighbors(
        self, X: Any, n_neighbors: int | None = None, return_distance: bool = True
    ) -> tuple[np.ndarray, np.ndarray] | np.ndarray:
        """The nearest stored rows of each text, nearest first, as scikit-learn's `kneighbors` gives them.

        Args:
            X: texts.
            n_neighbors: how many; as many as vote if absent.
            return_distance: give the distances too (of cosine: 1 - cosine).

        Returns:
            Distances (rows, k) and ids (rows, k), the numbers of the rows in the X of `fit` (or the ids given to
            `add`); or these alone.

        Raises:
            OptionError: the head keeps no vectors, or the number is out of range.
            DataError: more neighbors than stored rows.
        """
        distances, ids = self._neighbors(self._vectors(X), n_neighbors)
        return (distances, ids) if return_distance else ids


class TrainedEstimator(TextEstimator):
    """The shared half of the estimators that `separatrix.training` trains.

    Attributes:
        history_: a dictionary of metrics for each epoch.
        validation_scores_: figures of the validation rows with interval and baseline.
        groups_: what vectors and answers of the validation rows owe to the group; None without groups.
        warnings_: what the guards found, one sentence each; also issued as `SeparatrixWarning`.
        notes_: what else is worth knowing.
    """

    _method: ClassVar[str]  # a key of `training.methods.METHODS`
    _task: ClassVar[str] = "classify"
    _kind: ClassVar[type]  # of recipe
    _file: ClassVar[str]  # of arguments and figures
    _learnt: ClassVar[tuple[str, ...]] = LEARNT

    history_: list[dict[str, Any]]
    validation_scores_: dict[str, Any]
    groups_: dict[str, Any] | None
    warnings_: tuple[str, ...]
    notes_: tuple[str, ...]

    def _named(self) -> dict[str, Any]:
        """The constructor's own arguments as options of a recipe."""
        return {name: value for name, value in self.get_params(deep=False).items() if name != "recipe"}

    def _write(self, folder: Path) -> None:
        params = {name: plain(value) for name, value in self._named().items()}
        params |= {"recipe": None if self.recipe is None else recipes.to_dict(self.recipe)}
        classes = getattr(self, "classes_", None)
        learnt = {name: getattr(self, f"{name}_") for name in self._learnt}
        learnt |= {"classes": None if classes is None else classes.tolist()}
        write_json(folder / self._file, {"format": FORMAT, "params": params, "learnt": learnt})

    @classmethod
    def _with(cls, model: Any, folder: Path, elsewhere: str | None) -> Self:
        path = folder / cls._file
        if path.is_file():
            content = read_json(path, SCHEMA)
            check_format(content["format"], FORMAT, path)
            params, learnt = content["params"], {"groups": None} | content["learnt"]
            if params["recipe"] is not None:
                params["recipe"] = read_recipe(cls._kind, params["recipe"], path)
        else:
            params, learnt = cls._params_of_run(model, folder), learnt_of_run(folder, model.classes)
        if elsewhere is not None:
            rest = params["recipe"]
            params |= {
                "model": elsewhere,
                "recipe": None if rest is None else recipes.replace(rest, model=elsewhere, revision=None),
            }
        names = cls._get_param_names()
        if (wrong := mismatch(params, dict.fromkeys(names, object))) is not None:
            raise damaged(path, wrong)
        self = cls(**{name: params[name] for name in names})
        self.model_ = model
        for name in cls._learnt:
            setattr(self, f"{name}_", tuple(learnt[name]) if name in ("warnings", "notes") else learnt[name])
        if learnt["classes"] is not None:
            self.classes_ = np.array(learnt["classes"])
        return self

    @classmethod
    def _params_of_run(cls, model: Any, _folder: Path) -> dict[str, Any]:
        """The arguments of an estimator that is read from a run, and their recipe."""
        return flat(model.recipe) | {"recipe": model.recipe}


def learnt_of_run(folder: Path, classes: Any) -> dict[str, Any]:
    """What a run's own files say of a training; nothing where only the model's files are there."""
    result = read_json(folder / RESULT, LEARNT_OF_RUN) if has_result(folder) else {}
    return {
        "classes": None if classes is None else list(classes.values),
        "history": read_lines(folder / METRICS) if (folder / METRICS).is_file() else [],
        "validation_scores": result.get("scores", {}).get("validation", {}),
        "groups": result.get("groups", {}).get("validation"),
        "race": result.get("race"),
        "warnings": result.get("warnings", []),
        "notes": result.get("notes", []),
    }


def files_of(model: Any) -> dict[str, bytes]:
    """The files that a model writes, by their path."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model.write_files(folder)
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
