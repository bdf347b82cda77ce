"""Teach a transformer to separate your classes, and see - in numbers and pictures - whether it did.

    import separatrix as sx

    train, test = sx.load_texts("questions.csv", text="question", label="kind").split(0.2, seed=0)
    classifier = sx.PromptClassifier(tokens=8, seed=0).fit(train.text, train.label)
    classifier.score(test.text, test.label)

The public names stand in `__init__.pyi`, for editors and type checkers. Each is imported when it is first used (PEP
562), so that `import separatrix` loads neither torch nor scikit-learn nor pandas.
"""

from __future__ import annotations

import ast as _ast
from importlib import import_module as _import_module
from pathlib import Path as _Path
from typing import Any as _Any

# Public name -> the module it is imported from.
_HOMES = {
    name.name: str(line.module)
    for line in _ast.parse(_Path(__file__).with_suffix(".pyi").read_text("utf-8")).body
    if isinstance(line, _ast.ImportFrom)
    for name in line.names
}
__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> _Any:
    """Import a public name at its first use."""
    if name == "__version__":
        from importlib.metadata import version

        value: _Any = version(__name__)
    elif name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    elif _HOMES[name] == __name__:
        value = _import_module(f"{__name__}.{name}")
    else:
        value = getattr(_import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, imported or not."""
    return sorted(__all__)
