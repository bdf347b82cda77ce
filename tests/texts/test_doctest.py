"""The examples in the docstrings are run."""

import doctest
import importlib

import pytest

MODULES = ["arrays", "audit", "columns", "hub", "labels", "load", "pairs", "read", "split", "table"]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    result = doctest.testmod(importlib.import_module(f"separatrix.texts.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
