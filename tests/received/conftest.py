"""The artefacts, made once; see `received`."""

from collections.abc import Callable
from pathlib import Path

import pytest

from received import HOME, make
from undrawn import draw_nothing


@pytest.fixture(scope="session")
def artefacts(
    tmp_path_factory: pytest.TempPathFactory, tiny: Callable[[str], Path], planted: tuple[list[str], list[str]]
) -> Path:
    """One artefact of each kind, in folders named after the kind, with pictures undrawn: do not change them."""
    root = tmp_path_factory.mktemp("received") / HOME
    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch)
        make(root, tiny("bert"), planted)
    return root


@pytest.fixture(autouse=True)
def _undrawn(undrawn: None) -> None:
    """Nor are they drawn where artefacts are read."""
