"""Every example in a docstring of this room gives exactly what it prints."""

import doctest
import importlib
import pkgutil

import pytest

import separatrix.scale as room

MODULES = [module.name for module in pkgutil.iter_modules(room.__path__)]
# What they give takes more than a line.
WITHOUT = {"calibrate", "classes", "dask_client", "density", "job", "kernels", "machine", "prepare", "processes"}


@pytest.mark.parametrize("name", MODULES)
def test_examples_hold(name):
    result = doctest.testmod(importlib.import_module(f"{room.__name__}.{name}"))
    assert result.failed == 0
    assert (result.attempted > 0) == (name not in WITHOUT)
