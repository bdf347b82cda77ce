"""Reading material for attention maps: questions with their contexts (SQuAD 1.1 and 2.0), plain texts, or text pairs.

SQuAD comes as its own JSON (articles > paragraphs > questions) or as a table with the columns `question` and `context`
(Parquet, JSON lines, a hub data set). Every question keeps its id and the number of its context: questions about one
paragraph are no independent rows, and whoever counts clusters must know which rows share one.

An answer whose offset is missing, or does not point at its text, cannot be trained on. It is counted and left out; its
text still counts as a right answer. Answers in no known writing are an error that names the file and the row.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pandas as pd

from separatrix.errors import DataError
from separatrix.texts.folder import find_parts
from separatrix.texts.hub import dataset_parts, is_hub_name, load_hub
from separatrix.texts.load import load_texts

QUESTION, CONTEXT, ANSWERS = "question", "context", "answers"
TABLES = (".parquet", ".jsonl")
SHOWN = 80  # signs of a bad cell in an error


@dataclass(frozen=True)
class Answer:
    """A right answer and the sign of the context where it begins."""

    text: str
    start: int


@dataclass(frozen=True)
class Example:
    """One row of reading material: a question and its context, a text, or a pair of texts."""

    id: str
    first: str  # the question, or the text
    second: str  # the context, or nothing
    context: int  # number of the context: equal for rows that share one
    title: str = ""
    label: str = ""  # "answerable" or "unanswerable", or the text's own label
    golds: tuple[str, ...] = ()  # every right answer; none if there is no answer
    answers: tuple[Answer, ...] = ()  # those whose offset is right


@dataclass(frozen=True)
class Material:
    """Examples, and what had to be left out."""

    examples: tuple[Example, ...]
    skipped: Mapping[str, int]  # why -> how many

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def contexts(self) -> int:
        """How many different contexts there are."""
        return len({example.context for example in self.examples})

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, one sentence each."""
        return tuple(f"{count} {why}" for why, count in sorted(self.skipped.items()))


def read_material(data: str | Path, *, text: str | None = None, pair: str | None = None) -> Material:
    """Read questions with contexts, or texts.

    Args:
        data: a SQuAD JSON file, a table or a folder of tables or a hub name; with the columns `question` and
            `context`, unless `text` names another column.
        text: column of plain texts.
        pair: column of the second text of each row.

    Raises:
        DataError: nothing readable is there, answers are in no known writing, or no row is left.
    """
    if text is None and pair is None:
        found = _read_questions(data)
        if found is not None:
            return _checked(found, str(data))
    firsts = load_texts(data, text=text or "text", label=None)
    seconds = load_texts(data, text=pair, label=None).text if pair is not None else ("",) * len(firsts)
    rows = [
        {"id": str(row), QUESTION: first, CONTEXT: second}
        for row, (first, second) in enumerate(zip(firsts.text, seconds, strict=True))
    ]
    return _checked(_collect(rows, empty_context=pair is None), str(data))


def _checked(material: Material, source: str) -> Material:
    if not len(material):
        raise DataError(f"{source} leaves no row to read", got="; ".join(material.notes) or "no rows")
    return material


def _read_questions(data: str | Path) -> Material | None:
    """Questions and contexts, or None if the source is no question-answering set."""
    path = Path(data)
    if path.is_dir():
        parts = [file for file in find_parts(path).values() if file.suffix in TABLES]
        parts += sorted(path.glob("*.json"))
        rows = [list(_file_rows(part)) for part in parts]
        return _collect(row for part in rows for row in part) if rows and all(rows) else None
    if path.suffix == ".json" or path.suffix in TABLES:
        found = list(_file_rows(path))
        return _collect(found) if found else None
    if not path.exists() and is_hub_name(str(data)):
        frames = [part.to_pandas() for part in dataset_parts(load_hub(str(data), None))[0].values()]
        if all({QUESTION, CONTEXT} <= set(frame.columns) for frame in frames):
            return _collect(row for frame in frames for row in _table_rows(frame, str(data)))
    return None


def _file_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a question-answering file; none if it is another kind of table."""
    if not path.is_file():
        raise DataError(f"{path} does not exist")
    content: Any = None
    try:
        if path.suffix == ".json":
            content = json.loads(path.read_text(encoding="utf-8"))
        else:
            frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_json(path, lines=True)
    except (ValueError, OSError) as error:
        raise DataError(f"{path} cannot be read ({error})") from error
    if path.suffix == ".json":
        for place, row in enumerate(_squad_rows(content, str(path))):
            yield _with_answers(row, str(path), place)
    elif {QUESTION, CONTEXT} <= set(frame.columns):
        yield from _table_rows(frame, str(path))


def _table_rows(frame: pd.DataFrame, source: str) -> Iterator[dict[str, Any]]:
    for place, row in enumerate(frame.to_dict("records")):
        yield _with_answers({str(name): value for name, value in row.items()}, source, place)


def _with_answers(row: dict[str, Any], source: str, place: int) -> dict[str, Any]:
    """The row with its answers as texts and offsets.

    Raises:
        DataError: the answers are in no known writing.
    """
    if ANSWERS not in row:
        return row
    try:
        return row | {ANSWERS: list(_answers(row[ANSWERS]))}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        why = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        name = f"row {place}" + (f" (id {row['id']})" if "id" in row else "")
        raise DataError(
            f"{source}, {name}: the answers cannot be read ({why})",
            got=repr(row[ANSWERS])[:SHOWN],
            expected='{"text": [...], "answer_start": [...]}',
        ) from error


def _squad_rows(content: Any, source: str) -> Iterator[dict[str, Any]]:
    """The official layout: data > paragraphs > qas."""
    try:
        for article in content["data"]:
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    yield {**question, CONTEXT: paragraph["context"], "title": article.get("title", "")}
    except (KeyError, TypeError) as error:
        raise DataError(f"{source} is no SQuAD file", got=repr(error), expected="data > paragraphs > qas") from error


def _collect(rows: Iterable[Mapping[str, Any]], *, empty_context: bool = False) -> Material:
    skipped: Counter[str] = Counter()
    contexts: dict[str, int] = {}
    examples, seen = [], set()
    for place, row in enumerate(rows):
        first, second = str(row.get(QUESTION) or ""), str(row.get(CONTEXT) or "")
        name = str(row.get("id", place))
        why = _unusable(first, second, name in seen, empty_context)
        if why:
            skipped[why] += 1
            continue
        seen.add(name)
        number = contexts.setdefault(second or first, len(contexts))
        examples.append(_example(row, name, (first, second, number), skipped))
    return Material(tuple(examples), dict(skipped))


def _unusable(first: str, second: str, repeated: bool, empty_context: bool) -> str:
    if repeated:
        return "rows left out: their id had come before"
    if not first.strip():
        return "rows left out: no question"
    if not second.strip() and not empty_context:
        return "rows left out: empty context"
    return ""


def _example(row: Mapping[str, Any], name: str, texts: tuple[str, str, int], skipped: Counter[str]) -> Example:
    first, second, number = texts
    golds, answers = [], []
    for text, start in row.get(ANSWERS, ()):
        golds.append(text)
        if start is None:
            skipped["answers without an offset"] += 1
        elif second[start : start + len(text)] != text:
            skipped["answers whose offset is wrong"] += 1
        else:
            answers.append(Answer(text, start))
    label = str(row.get("label") or "")
    if ANSWERS in row:
        label = label or ("answerable" if golds else "unanswerable")
    return Example(name, first, second, number, str(row.get("title") or ""), label, tuple(golds), tuple(answers))


def _answers(cell: Any) -> Iterator[tuple[str, int | None]]:
    """Texts and offsets out of any of the four ways in which answers are written; a missing offset is None.

    >>> list(_answers('{"text": ["a", "b"], "answer_start": [3, null]}'))
    [('a', 3), ('b', None)]
    >>> list(_answers([{"text": "a", "answer_start": 3}])), list(_answers(None))
    ([('a', 3)], [])
    """
    if isinstance(cell, str):
        cell = json.loads(cell) if cell.strip() else None
    if cell is None or (isinstance(cell, float) and cell != cell):  # an empty cell of a table is NaN
        return
    for text, start in _pairs(cell):
        if not isinstance(text, str):
            raise TypeError(f"a text is {text!r}")
        yield text, _offset(start)


def _pairs(cell: Any) -> Iterable[tuple[Any, Any]]:
    if not isinstance(cell, Mapping):
        return ((answer["text"], answer.get("answer_start")) for answer in cell)
    if not cell:
        return []
    texts, starts = cell["text"], cell.get("answer_start")
    if isinstance(texts, str):
        return [(texts, starts)]
    texts, starts = list(texts), [] if starts is None else list(starts)
    if len(starts) > len(texts):
        raise ValueError(f"{len(texts)} texts and {len(starts)} offsets")
    return zip_longest(texts, starts)


def _offset(start: Any) -> int | None:
    known = isinstance(start, int | float) or hasattr(start, "item")
    return int(start) if known and math.isfinite(start) and start >= 0 else None
