import doctest
import importlib
import pkgutil

import pytest

import separatrix.report

MODULES = [module.name for module in pkgutil.iter_modules(separatrix.report.__path__, "separatrix.report.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_exact(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0
