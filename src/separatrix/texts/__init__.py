"""Labelled text in: load, check, split, count duplicates; and the shipped questions.

pandas, pyarrow and datasets are imported only when a source needs them.
"""

from separatrix.texts.audit import Duplicates, duplicates, overlap
from separatrix.texts.columns import Columns
from separatrix.texts.labels import Classes, check_labels
from separatrix.texts.load import Splits, load_demo, load_splits, load_texts
from separatrix.texts.table import Texts

__all__ = [
    "Classes",
    "Columns",
    "Duplicates",
    "Splits",
    "Texts",
    "check_labels",
    "duplicates",
    "load_demo",
    "load_splits",
    "load_texts",
    "overlap",
]
