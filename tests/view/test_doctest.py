import doctest
import importlib
import pkgutil

import pytest

import separatrix.view

MODULES = [module.name for module in pkgutil.iter_modules(separatrix.view.__path__, "separatrix.view.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_exact(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0
