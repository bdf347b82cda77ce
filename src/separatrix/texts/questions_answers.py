"""Reading material for attention maps: questions with their contexts (SQuAD 1.1 and 2.0), plain texts, or text pairs.

SQuAD comes as its own JSON (articles > paragraphs > questions) or as a table with the columns `question` and `context`
(csv, tsv, Parquet, JSON lines, a JSON array, a hub data set), packed or not. Every question keeps
its id and the number of its context: questions about one paragraph are no independent rows, and whoever counts clusters
must know which rows share one.

An answer whose offset is missing, or does not point at its text, cannot be trained on. It is counted and left out; its
text still counts as a right answer. Answers in no known writing are an error that names the file and the row.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from separatrix.errors import DataError, OptionError, readable
from separatrix.recipe.core import to_dict
from separatrix.recipe.load import LoadRecipe
from separatrix.texts.folder import find_parts
from separatrix.texts.hub import dataset_parts, is_hub_name, load_hub
from separatrix.texts.load import load_texts
from separatrix.texts.opened import open_bytes, split_name
from separatrix.texts.read import (
    SEPARATORS,
    check_named,
    json_records,
    opening,
    parquet_batches,
    parse_json,
    separated_cells,
)

QUESTION, CONTEXT, ANSWERS = "question", "context", "answers"
TABLES = (".parquet", ".jsonl", *SEPARATORS)
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
class QuestionSet:
    """Examples, what had to be left out, and warnings about the source."""

    examples: tuple[Example, ...]
    skipped: Mapping[str, int]  # why -> how many
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.examples)

    @property
    def contexts(self) -> int:
        """How many different contexts there are."""
        return len({example.context for example in self.examples})

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings about the source and what was left out, one sentence each."""
        return (*self.warnings, *(f"{count} {why}" for why, count in sorted(self.skipped.items())))


def read_material(
    data: str | Path, *, text: str | None = None, pair: str | None = None, reading: LoadRecipe | None = None
) -> QuestionSet:
    """Read questions with contexts, or texts.

    Args:
        data: a SQuAD JSON file, a table or a folder of tables or a hub name; with the columns `question` and
            `context`, unless `text` names another column.
        text: column of plain texts.
        pair: column of the second text of each row.
        reading: how csv and tsv files, and plain texts, are read.

    Raises:
        OptionError: options of reading that have no effect on this source.
        DataError: nothing readable is there, answers are in no known writing, or no row is left.
    """
    check_named(data)
    recipe = reading or LoadRecipe()
    if text is None and pair is None:
        material = read_questions(data, recipe)
        if material is not None:
            return _checked(material, str(data))
    options = to_dict(recipe)
    firsts = load_texts(data, text=text or "text", label=None, **options)
    pairs = None if pair is None else load_texts(data, text=pair, label=None, **options)
    seconds = ("",) * len(firsts) if pairs is None else pairs.text
    rows = [
        {"id": str(row), QUESTION: first, CONTEXT: second}
        for row, (first, second) in enumerate(zip(firsts.text, seconds, strict=True))
    ]
    warnings = firsts.warnings if pairs is None else tuple(dict.fromkeys(firsts.warnings + pairs.warnings))
    return _checked(replace(_collect(rows, empty_context=pair is None), warnings=warnings), str(data))


def _checked(material: QuestionSet, source: str) -> QuestionSet:
    if not len(material):
        raise DataError(f"{source} leaves no row to read", got="; ".join(material.notes) or "no rows")
    return material


def read_questions(data: str | Path, reading: LoadRecipe) -> QuestionSet | None:
    """Questions and contexts, or None if the source is no question-answering set."""
    path = Path(data)
    if not path.exists() and is_hub_name(str(data)):
        tables = dataset_parts(load_hub(str(data), None))[0].values()
        if not all({QUESTION, CONTEXT} <= set(table.column_names) for table in tables):
            return None
        _check_effect(reading, [])
        return _collect(_table_rows((row for table in tables for row in table.with_format(None)), str(data)))
    files = [path] if split_name(path).kind in (".json", *TABLES) else []
    if path.is_dir():
        files = [file for file in find_parts(path).values() if split_name(file).kind in TABLES]
        files += sorted(file for file in path.glob("*.json*") if split_name(file).kind == ".json")
    warnings: list[str] = []
    rows = [list(_file_rows(file, reading, warnings)) for file in files]
    if not rows or not all(rows):
        return None
    _check_effect(reading, files)
    return replace(_collect(row for part in rows for row in part), warnings=tuple(warnings))


def _check_effect(reading: LoadRecipe, files: Sequence[Path]) -> None:
    """Raise an `OptionError` where options of reading have no effect on questions with contexts."""
    if reading.drop_unlabelled:
        raise OptionError("--drop-unlabelled has no effect on questions with contexts", hint="leave it away")
    if reading != LoadRecipe() and not all(split_name(file).kind in SEPARATORS for file in files or [Path()]):
        raise OptionError("--sep and --quoting have an effect on csv and tsv files alone", hint="leave them away")


def _file_rows(path: Path, reading: LoadRecipe, warnings: list[str]) -> Iterator[dict[str, Any]]:
    """Rows of a question-answering file; none if it is another kind of table."""
    name, kind = readable(str(path)), split_name(path).kind
    if not path.is_file():
        raise DataError(f"{name} does not exist")
    with opening(path):
        if kind in SEPARATORS:
            cells = separated_cells(path, reading, _questions)
            rows = zip(*cells.columns.values(), strict=True)
            yield from _table_rows((dict(zip(cells.columns, row, strict=True)) for row in rows), name)
            warnings.extend(cells.warnings if cells.columns else ())
            return
        if kind == ".parquet":
            yield from _table_rows(_parquet_rows(path), name)
            return
        content = _squad_json(path, name) if kind == ".json" else None
        if content is not None:
            for index, row in enumerate(_squad_rows(content, name)):
                yield _with_answers(row, name, index)
        else:
            yield from _table_rows((record for record, _ in json_records(path, (QUESTION, CONTEXT, ANSWERS))), name)


def _squad_json(path: Path, name: str) -> dict[str, Any] | None:
    """The one object in a file; None if it holds an array, or an object a line."""
    with open_bytes(path) as file:
        raw = file.read().decode("utf-8-sig").strip()
    first, _, rest = raw.partition("\n")
    if raw.startswith("[") or (rest and first.startswith("{") and first.rstrip().endswith("}")):
        return None
    return parse_json(raw, name)


def _questions(present: list[str]) -> list[str]:
    """All columns of a table of questions with contexts, none of another one."""
    return present if {QUESTION, CONTEXT} <= set(present) else []


def _parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    for batch in parquet_batches(path, _questions):
        yield from (dict(zip(batch, cells, strict=True)) for cells in zip(*batch.values(), strict=True))


def _table_rows(rows: Iterable[dict[str, Any]], source: str) -> Iterator[dict[str, Any]]:
    """Rows with their answers; none if the first has no question and context."""
    for index, row in enumerate(rows):
        if index == 0 and not {QUESTION, CONTEXT} <= set(row):
            return
        yield _with_answers(row, source, index)


def _with_answers(row: dict[str, Any], source: str, index: int) -> dict[str, Any]:
    """The row with its answers as texts and offsets. Raises `DataError`: the answers are in no known writing."""
    if ANSWERS not in row:
        return row
    try:
        return row | {ANSWERS: list(_answers(row[ANSWERS]))}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        why = f"there is no {error}" if isinstance(error, KeyError) else str(error)
        name = f"row {index}" + (f" (id {row['id']})" if "id" in row else "")
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


def _collect(rows: Iterable[Mapping[str, Any]], *, empty_context: bool = False) -> QuestionSet:
    skipped: Counter[str] = Counter()
    contexts: dict[str, int] = {}
    examples, seen = [], set()
    for index, row in enumerate(rows):
        first, second = str(row.get(QUESTION) or ""), str(row.get(CONTEXT) or "")
        name = str(row.get("id", index))
        why = _unusable(first, second, name in seen, empty_context)
        if why:
            skipped[why] += 1
            continue
        seen.add(name)
        number = contexts.setdefault(second or first, len(contexts))
        examples.append(_example(row, name, (first, second, number), skipped))
    return QuestionSet(tuple(examples), dict(skipped))


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
        cell = parse_json(cell, "the cell") if cell.strip() else None
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
