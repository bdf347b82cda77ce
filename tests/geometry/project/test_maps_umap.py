"""UMAP, plain and guided; compiling it takes ten seconds, so everything is looked at in few maps."""

import contextlib
import inspect
import warnings

import numpy as np
import pytest

from separatrix.geometry.project import make_map
from separatrix.recipe.project import ProjectRecipe


@pytest.fixture(scope="module", autouse=True)
def _compiled_once():
    """Let numba keep what UMAP compiles anew in every process: beside the library, for the next run of the tests."""
    with warnings.catch_warnings(action="ignore", category=ImportWarning):  # it says that Tensorflow is not there
        import umap
    from numba.core.dispatcher import Dispatcher

    for module in (umap.umap_, umap.utils, umap.layouts):
        for _, function in inspect.getmembers(module, lambda value: isinstance(value, Dispatcher)):
            with contextlib.suppress(RuntimeError):  # nowhere to keep it
                function.enable_caching()


@pytest.fixture(scope="module")
def noise():
    rng = np.random.default_rng(0)
    return rng.normal(size=(140, 20)).astype(np.float32), rng.integers(0, 2, 140)


def test_a_plain_map_repeats_and_places_new_rows_beside_their_class():
    rng = np.random.default_rng(0)
    labels = np.arange(140) % 2
    x = (rng.normal(size=(140, 10)) + 8 * labels[:, None]).astype(np.float32)
    first, again = (make_map(x[:120], ProjectRecipe(method="umap", k=5), labels=labels[:120]) for _ in range(2))
    np.testing.assert_array_equal(first.coordinates, again.coordinates)
    assert first.votes.after == 1
    assert "one thread, so that the seed gives the same map again" in first.notes
    places = first.place(x[120:])
    nearest = np.linalg.norm(places[:, None] - first.coordinates[None], axis=2).argmin(axis=1)
    assert (labels[:120][nearest] == labels[120:]).all()


def test_a_guided_map_of_noise_separates_its_own_rows_and_no_others(noise):
    x, labels = noise
    found = make_map(x, ProjectRecipe(method="umap", guided=True), labels=labels)
    flat, known = found.coordinates[found.fitted], labels[found.fitted]
    gap = np.linalg.norm(flat[:, None] - flat[None], axis=2) + np.where(np.eye(len(flat)) > 0, np.inf, 0)
    assert (known[gap.argmin(axis=1)] == known).mean() > 0.9  # what the picture seems to say
    assert found.votes.after < 0.7  # what rows say whose labels it did not see
    assert found.to_dict()["guided"]
    assert found.faithfulness.rows == (~found.fitted).sum()


def test_fewer_rows_than_neighbors_are_said(noise):
    found = make_map(noise[0][:9], ProjectRecipe(method="umap", dimensions=3))
    assert found.coordinates.shape == (9, 3)
    assert "neighbours lowered from 15 to 8 for 9 rows" in found.notes
