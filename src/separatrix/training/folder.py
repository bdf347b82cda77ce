"""The folder of a run: its options, and whether a training may go on in it.

recipe.json                        every option, and where the texts came from
metrics.jsonl                      one line an epoch
model.safetensors, model.json      what was trained, and the identity of the model it belongs to
checkpoint.safetensors, refit/     states of trainings that are not finished
race.jsonl                         finished trials of a race that is not
progress.json                      how far a training is that goes on
trajectory/                        outputs and centroids as training went by
predictions/{validation,test}.parquet
result.json                        scores, baselines, warnings, notes, seconds
pictures/, report.html             made from the files above
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from separatrix import recipe as recipes
from separatrix.errors import StoreError
from separatrix.store.artifacts import resume_artifact
from separatrix.store.files import read_json, write_json
from separatrix.store.folder import CHECKPOINT, PROGRESS, RACE, RECIPE, REFIT, can_resume

if TYPE_CHECKING:
    from separatrix.texts import Splits
    from separatrix.training.request import Recipe, TrainingRequest


def run_artifact(
    request: TrainingRequest, *, overwrite: bool = False, resume: bool = False
) -> AbstractContextManager[Path]:
    """The folder of a request to be written: new, in place of an earlier run, or gone on with."""
    assert request.folder is not None
    return resume_artifact(
        request.folder,
        "run",
        {"method": request.method, **recipes.record(request.recipe)},
        overwrite=overwrite,
        resume=resume,
        keep=can_resume,
        inputs=(request.recipe.backbone.model, *(texts.source for texts in request.splits.parts.values())),
    )


def describe_texts(splits: Splits) -> dict[str, Any]:
    """Where the texts of each part came from, how many they are, and a digest of texts and labels."""
    return {
        part: {
            "source": texts.name,
            "rows": len(texts),
            "digest": recipes.digest(
                list(texts.text),
                [] if texts.label is None else texts.label.tolist(),
                *([] if texts.weight is None else [texts.weight.tolist()]),
            ),
        }
        for part, texts in splits.parts.items()
    }


def describe_request(request: TrainingRequest, weights: str) -> dict[str, Any]:
    """Method, options, the hash of the model's weights, and texts, as plain data: what `recipe.json` holds."""
    return describe_training(request.method, request.recipe, weights, describe_texts(request.splits))


def describe_training(method: str, recipe: Recipe, weights: str, texts: Mapping[str, Any]) -> dict[str, Any]:
    """The same out of its parts; `texts` as `describe_texts` gives them."""
    return {"method": method, **recipes.record(recipe), "weights": weights, "data": texts}


def is_run_of(folder: Path, splits: Splits) -> bool:
    """Whether a folder holds a run, finished or not, on these very texts."""
    path = folder / RECIPE
    return path.is_file() and read_json(path, dict).get("data") == describe_texts(splits)


def write_recipe(folder: Path, recipe: Any, current: dict[str, Any]) -> None:
    """Write `recipe.json`: the options and where the texts came from.

    Args:
        recipe: that of the options in `current`, which says on which of them the result depends.
        current: what is written, as `describe_request` gives it.

    Raises:
        StoreError: the run in the folder was begun with other options or texts, so it cannot be gone on with.
    """
    path = folder / RECIPE
    if path.is_file():
        earlier = {"weights": current["weights"], **recipes.record(recipe, read_json(path, dict))}
        begun, wanted = (recipes.decisive(recipe, values) for values in (earlier, current))  # early ones had no hash
        if recipes.canonical(begun) != recipes.canonical(wanted):
            raise StoreError(
                f"{folder} was begun with other options or other texts",
                got=difference(begun, json.loads(recipes.canonical(wanted))),
                hint="type the earlier ones, --overwrite, or choose another --out",
            )
    else:  # a finished run that is asked for again is not touched
        write_json(path, current)


def difference(begun: Any, current: Any, name: str = "") -> str:
    """The first option that differs, as "name new instead of old"."""
    if not (isinstance(begun, dict) and isinstance(current, dict)):
        return f"{name} {current} instead of {begun}"
    one_sided = begun.keys() ^ current.keys()
    key = next(key for key in sorted({*begun, *current}) if key in one_sided or begun[key] != current[key])
    return difference(begun.get(key, "no such option"), current.get(key, "no such option"), key)


def drop_states(folder: Path) -> None:
    """Delete the states of finished trainings: nothing goes on from them, and each is thrice the size of its model."""
    for name in (CHECKPOINT, RACE, PROGRESS):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / REFIT, ignore_errors=True)
