import json

import pytest

from head_atlases import recipe_of, squad
from separatrix.analysis.heads import head_atlas


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "dev.json"
    path.write_text(json.dumps(squad()))
    return path


@pytest.fixture(scope="session")
def made(data, tiny, tmp_path_factory):
    """A finished atlas; tests read it and leave it as it is."""
    out = tmp_path_factory.mktemp("atlas") / "atlas"
    features = ("descriptors", "grid", "singular", "twins")
    return head_atlas(data, recipe=recipe_of(tiny("bert"), features=features, values=4, twins_epochs=1), out=out)
