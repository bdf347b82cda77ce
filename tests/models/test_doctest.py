"""The examples in the docstrings are run."""

import doctest
import importlib

import pytest

MODULES = ["attention", "batches", "device", "pool"]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    result = doctest.testmod(importlib.import_module(f"separatrix.models.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
