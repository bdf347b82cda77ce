"""Every example in a docstring of this room gives exactly what it prints."""

import doctest
import importlib
import pkgutil

import pytest

import separatrix.geometry as room

MODULES = [module.name for module in pkgutil.iter_modules(room.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_hold(name):
    module = importlib.import_module(f"{room.__name__}.{name}")
    result = doctest.testmod(module)
    assert result.failed == 0
    assert result.attempted > 0
