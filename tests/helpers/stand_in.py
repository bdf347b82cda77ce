"""Names of models lead to tiny models on disk, so that pages and notebooks that name a real one take seconds."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest


def stand_in(patch: pytest.MonkeyPatch, folders: Mapping[str, Path]) -> None:
    """Models of these names are read from these folders."""
    from separatrix.extraction import attention, readers
    from separatrix.models import load

    resolve = load.resolve
    for module in (load, readers, attention):
        patch.setattr(
            module,
            "resolve",
            lambda recipe, **more: resolve(replace(recipe, model=str(folders.get(recipe.model, recipe.model))), **more),
        )
