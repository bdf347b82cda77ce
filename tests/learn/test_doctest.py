"""Every example in a docstring of this room gives exactly what it prints."""

import doctest
import importlib
import pkgutil

import pytest

import separatrix.learn as room

MODULES = [module.name for module in pkgutil.walk_packages(room.__path__, "separatrix.learn.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_hold(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_examples_are_found():
    held = [doctest.DocTestFinder().find(importlib.import_module(name)) for name in MODULES]
    assert sum(bool(example.examples) for module in held for example in module) > 20
