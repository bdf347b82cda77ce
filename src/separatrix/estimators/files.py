"""`estimator.json`: the constructor's arguments and the figures, beside the trained model's own two files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from separatrix import recipe as recipes
from separatrix.errors import StoreError
from separatrix.estimators.training import flat, plain
from separatrix.learn.trained.prompt import PromptModel
from separatrix.learn.trained.saved import read_notes
from separatrix.recipe import TrainRecipe
from separatrix.store.files import check_format, damaged, mismatch, read_json, read_lines, read_recipe, write_json
from separatrix.store.folder import METRICS, RESULT
from separatrix.texts import Classes

FILE = "estimator.json"
FORMAT = 1
SCHEMA = {
    "format": int,
    "params": {"recipe": (dict, None)},
    "learnt": {
        "classes": (list, None),
        "history": [dict],
        "validation_scores": dict,
        "warnings": [str],
        "notes": [str],
        "groups?": (dict, None),
    },
}
LEARNT_OF_RUN = {"scores?": {"*": dict}, "groups?": dict, "warnings?": [str], "notes?": [str]}
NAMES = {"classify": "PromptClassifier", "regress": "PromptRegressor"}
# Figures and messages: file key -> attribute.
LEARNT = {
    "history": "history_",
    "validation_scores": "validation_scores_",
    "warnings": "warnings_",
    "notes": "notes_",
}


def check_task(folder: Path, task: str) -> None:
    """Raise a `StoreError` unless the folder holds a prompt of this task; the transformer is not touched."""
    notes = read_notes(folder, verify=False)
    if notes["kind"] != "prompt":
        raise StoreError(f"{folder} holds no prompt", got=notes["kind"], hint="use separatrix predict")
    found = "regress" if notes["classes"] is None else "classify"
    if found != task:
        expected = f"a {NAMES[task]}"
        raise StoreError(f"{folder} holds another estimator", got=f"a {NAMES[found]}", expected=expected)


def write(folder: Path, params: dict[str, Any], learnt: dict[str, Any]) -> None:
    """Write the file; the recipe among the arguments becomes plain data."""
    write_json(folder / FILE, {"format": FORMAT, "params": plain_params(params), "learnt": learnt})


def plain_params(params: dict[str, Any]) -> dict[str, Any]:
    """The constructor's arguments as JSON can hold them."""
    rest = params["recipe"]
    made = {name: plain(value) for name, value in params.items() if name != "recipe"}
    return made | {"recipe": None if rest is None else recipes.to_dict(rest)}


def read(folder: Path, trained: PromptModel) -> tuple[dict[str, Any], dict[str, Any]]:
    """The constructor's arguments and what was learnt, of a saved estimator or of a run's folder.

    Raises:
        StoreError: the file is damaged, or a newer version wrote it.
    """
    if not (folder / FILE).is_file():
        return flat(trained.recipe) | {"recipe": trained.recipe}, learnt_of_run(folder, trained.classes)
    return read_file(folder / FILE, TrainRecipe)


def read_file(path: Path, cls: type) -> tuple[dict[str, Any], dict[str, Any]]:
    """The constructor's arguments, with a recipe of this class, and what was learnt, of `estimator.json`.

    Raises:
        StoreError: the file is damaged, or a newer version wrote it.
    """
    content = read_json(path, SCHEMA)
    check_format(content["format"], FORMAT, path)
    params = content["params"]
    if params["recipe"] is not None:
        params["recipe"] = read_recipe(cls, params["recipe"], path)
    return params, content["learnt"]


def arguments(cls: Any, params: dict[str, Any], path: Path) -> dict[str, Any]:
    """What the file says of the constructor's arguments of a class.

    Raises:
        StoreError: an argument is missing.
    """
    names = list(cls().get_params(deep=False))
    if (wrong := mismatch(params, dict.fromkeys(names, object))) is not None:
        raise damaged(path, wrong)
    return {name: params[name] for name in names}


def learnt_of_run(folder: Path, classes: Classes | None) -> dict[str, Any]:
    """What a run's own files say of a training; nothing where only the model's files are there."""
    result = read_json(folder / RESULT, LEARNT_OF_RUN) if (folder / RESULT).is_file() else {}
    return {
        "classes": None if classes is None else list(classes.values),
        "history": read_lines(folder / METRICS) if (folder / METRICS).is_file() else [],
        "validation_scores": result.get("scores", {}).get("validation", {}),
        "groups": result.get("groups", {}).get("validation"),
        "warnings": result.get("warnings", []),
        "notes": result.get("notes", []),
    }
