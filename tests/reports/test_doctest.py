import doctest
import importlib
import pkgutil

import pytest

import separatrix.reports

MODULES = [module.name for module in pkgutil.iter_modules(separatrix.reports.__path__, "separatrix.reports.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_exact(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0
