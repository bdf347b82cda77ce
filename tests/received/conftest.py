"""The artefacts, made once; see `received`."""

from collections.abc import Callable
from pathlib import Path

import pytest

from received import HOME, make


@pytest.fixture(scope="session")
def artefacts(
    tmp_path_factory: pytest.TempPathFactory, tiny: Callable[[str], Path], planted: tuple[list[str], list[str]]
) -> Path:
    """One artefact of each kind, in folders named after the kind: do not change them."""
    root = tmp_path_factory.mktemp("received") / HOME
    make(root, tiny("bert"), planted)
    return root
