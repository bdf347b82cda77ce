"""The examples in the docstrings are run."""

import doctest
import importlib

import pytest

MODULES = ["files", "manifest", "points", "ragged", "table"]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    result = doctest.testmod(importlib.import_module(f"separatrix.store.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
