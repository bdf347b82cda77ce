"""Folders in: parts of a data set (train, validation, test), or one folder of text files per class.

Parts are files or class folders:

    data/train.csv  data/test.csv.gz                 a folder of splits
    data/pos/1.txt  data/neg/7.txt                   class folders: the folder's name is the label
    data/train/pos/1.txt  data/test/pos/9.txt        class folders in parts, as IMDB comes

The validation part may also be called valid, val or dev. A class folder named `unsup` (IMDB's reviews without a
label) is left out.
"""

from __future__ import annotations

from pathlib import Path

from separatrix.errors import DataError, readable
from separatrix.texts.characters import is_missing
from separatrix.texts.columns import Columns, listing
from separatrix.texts.opened import split_name
from separatrix.texts.read import READERS, check_reading, opening
from separatrix.texts.table import Texts

PARTS = ("train", "validation", "test")
PART_NAMES = {"train": "train", "validation": "validation", "valid": "validation", "val": "validation"}
PART_NAMES |= {"dev": "validation", "test": "test"}
UNSUPERVISED = "unsup"


def find_parts(folder: Path) -> dict[str, Path]:
    """The parts in a folder, in the order train, validation, test; empty if it is no folder of splits.

    Raises:
        DataError: two files for the same part.
    """
    parts: dict[str, Path] = {}
    for entry in _visible(folder):
        ending = split_name(entry)
        part = PART_NAMES.get((ending.stem if entry.is_file() else entry.name).lower())
        usable = ending.kind in READERS if entry.is_file() else bool(class_folders(entry))
        if part is None or not usable:
            continue
        if part in parts:
            got = f"{parts[part].name} and {entry.name}"
            raise DataError(f"{folder} has two {part} parts", got=got, hint="keep one of them in the folder")
        parts[part] = entry
    return {part: parts[part] for part in PARTS if part in parts}


def class_folders(folder: Path) -> list[Path]:
    """The sub-folders that hold text files, sorted by name; `unsup` is left out."""
    inner = [entry for entry in _visible(folder) if entry.is_dir() and entry.name != UNSUPERVISED]
    return [entry for entry in inner if any(file.suffix.lower() == ".txt" for file in entry.iterdir())]


def read_class_folders(folder: Path, columns: Columns) -> Texts:
    """One text per .txt file, the folder's name as its label; a table with the columns text and label.

    Rows come folder by folder and file by file, both sorted by name.

    Raises:
        DataError: other column names are asked for, a file is not UTF-8, or a text is empty (the file is named).
    """
    name = readable(str(folder))
    check_reading(columns, name, separated=False)
    columns.check(["text", "label"], name)
    text: list[str] = []
    label: list[str] = []
    for inner in class_folders(folder):
        for path in _visible(inner):
            if path.suffix.lower() == ".txt" and path.is_file():
                text.append(_read_text(path, columns.keep_blank))
                label.append(readable(inner.name))
    column = {"text": text, "label": label}
    return Texts.from_cells(column, columns, name)


def _read_text(path: Path, keep_blank: bool) -> str:
    with opening(path):
        text = path.read_bytes().decode("utf-8-sig")  # bytes: line ends stay as they are
    if is_missing(text) and not keep_blank:
        raise DataError(f"{readable(str(path))} holds no text", hint="fill it in or remove it")
    return text


def nothing_usable(folder: Path) -> DataError:
    """The error for a folder that is neither a folder of splits nor class folders."""
    names = [entry.name for entry in _visible(folder)]
    listed = listing(names, most=5)
    kinds = "|".join(ending[1:] for ending in READERS)
    expected = f"train.{kinds} (and validation, test), or one sub-folder of .txt files per class"
    return DataError(f"{folder} holds nothing usable", got=listed or "an empty folder", expected=expected)


def _visible(folder: Path) -> list[Path]:
    with opening(folder):
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
