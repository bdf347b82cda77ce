"""Rows of several results as the rows of one page: a row that several hold stands once, and is known by id and text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from separatrix.reports.rows import PageRows, RowClusters, RowMap, RunAnswers

NO_LABEL = "no label"


@dataclass(frozen=True, eq=False)
class SourceRows:
    """One result: its rows, where its maps put them, and what is said of them."""

    title: str
    ids: Sequence[str]
    texts: Sequence[str]  # "" where it has none
    labels: Sequence[str | None]
    splits: Sequence[str] = ()
    predicted: Sequence[str | None] | None = None  # of a run
    probabilities: np.ndarray | None = None  # (rows, its classes)
    classes: Sequence[str] = ()  # of the probabilities
    maps: Sequence[RowMap] = ()  # whose rows are numbers of its own rows
    clusters: np.ndarray | None = None  # (rows,) numbers, -1 in none
    suspect: np.ndarray | None = None  # (rows,) probability that the label is wrong
    unknown: np.ndarray | None = None  # (rows,) tokens that the tokenizer does not know

    def __len__(self) -> int:
        return len(self.ids)


def join_rows(sources: Sequence[SourceRows], leader: str | None = None) -> tuple[PageRows, list[RowMap]]:
    """All rows in the order of their first source, and every map with the numbers that its rows have there.

    Rows with equal id and text are one, unless their labels differ. The answers of the run `leader`, by its title, are
    shown first; those of the first run without one.
    """
    numbers, firsts = _match(sources)
    rows = len(firsts)
    labels = [next((one for one in given if one is not None), None) for given in _by_row(sources, numbers, rows)]
    predicted = [name for one in sources for name in one.predicted or ()]
    known = dict.fromkeys([*labels, *predicted, *(name for one in sources for name in one.classes)])
    names = [name for name in known if name is not None] + [NO_LABEL] * (None in known)
    code = {name: number for number, name in enumerate(names)} | {None: len(names) - 1}
    splits = [sources[which].splits[row] if sources[which].splits else "-" for which, row in firsts]
    answers = [_answers(one, at, code, splits) for one, at in zip(sources, numbers, strict=True) if one.predicted]
    clusterings = [
        _clusters(one, at, rows) for one, at in zip(sources, numbers, strict=True) if one.clusters is not None
    ]
    page = PageRows(
        [sources[which].texts[row] for which, row in firsts], names, np.array([code[one] for one in labels], int),
        ids=[sources[which].ids[row] for which, row in firsts],
        splits=splits,
        suspect=_spread(sources, numbers, "suspect", np.nan, rows),
        unknown=_spread(sources, numbers, "unknown", 0, rows), answers=answers, clusterings=clusterings,
    )  # fmt: skip
    if answers:
        first = next((number for number, one in enumerate(answers) if one.title == leader), 0)
        shown = answers[first]
        page = replace(page, predicted=shown.predicted, probabilities=shown.probabilities, first=first)
    return page, _maps(sources, numbers)


def _match(sources: Sequence[SourceRows]) -> tuple[list[np.ndarray], list[tuple[int, int]]]:
    """Number on the page of each row of each source, and (source, row) where each number was met first."""
    numbers, firsts = list[np.ndarray](), list[tuple[int, int]]()
    known = dict[tuple[str, str], list[tuple[str | None, int]]]()
    for which, source in enumerate(sources):
        own, used = np.empty(len(source), np.int64), set[int]()
        for row, key in enumerate(zip(source.ids, source.texts, strict=True)):
            label, same = source.labels[row], known.setdefault(key, [])
            fits = (at for other, at in same if at not in used and (None in (label, other) or other == label))
            number = next(fits, len(firsts))
            if number == len(firsts):
                firsts.append((which, row))
                same.append((label, number))
            used.add(number)
            own[row] = number
        numbers.append(own)
    return numbers, firsts


def _by_row(sources: Sequence[SourceRows], numbers: Sequence[np.ndarray], rows: int) -> list[list[str | None]]:
    """What each source calls each row."""
    given: list[list[str | None]] = [[] for _ in range(rows)]
    for one, at in zip(sources, numbers, strict=True):
        for row, label in zip(at.tolist(), one.labels, strict=True):
            given[row].append(label)
    return given


def _answers(source: SourceRows, at: np.ndarray, code: dict[str | None, int], splits: Sequence[str]) -> RunAnswers:
    predicted, own = np.full(len(splits), -1), [*splits]
    predicted[at] = [-1 if one is None else code[one] for one in source.predicted or ()]
    for number, split in zip(at.tolist(), source.splits, strict=False):
        own[number] = split
    own = own if own != [*splits] else []
    if source.probabilities is None:
        return RunAnswers(source.title, predicted, None, own)
    shares = np.full((len(splits), len(code) - (None in code)), np.nan)
    shares[at] = np.where(np.isnan(source.probabilities).any(axis=1), np.nan, 0.0)[:, None]
    shares[np.ix_(at, np.array([code[name] for name in source.classes], int))] = source.probabilities
    return RunAnswers(source.title, predicted, shares, own)


def _clusters(source: SourceRows, at: np.ndarray, rows: int) -> RowClusters:
    assert source.clusters is not None
    count = int(source.clusters.max(initial=-1)) + 1
    numbers = np.full(rows, count)
    numbers[at] = np.where(source.clusters < 0, count, source.clusters)
    return RowClusters(source.title, numbers, [f"cluster {number}" for number in range(count)])


def _spread(
    sources: Sequence[SourceRows], numbers: Sequence[np.ndarray], name: str, missing: float, rows: int
) -> np.ndarray | None:
    """A column of the first source that has it, over all rows."""
    given = [
        (values, at) for one, at in zip(sources, numbers, strict=True) if (values := getattr(one, name)) is not None
    ]
    if not given:
        return None
    column = np.full(rows, missing)
    for values, at in reversed(given):
        column[at] = values
    return column if name == "suspect" else column.astype(np.int64)


def _maps(sources: Sequence[SourceRows], numbers: Sequence[np.ndarray]) -> list[RowMap]:
    maps, run = [], 0
    for one, at in zip(sources, numbers, strict=True):
        for flat in one.maps:
            rows = at if flat.rows is None else at[flat.rows]
            maps.append(
                replace(flat, title=f"{one.title}: {flat.title}", rows=rows, answers=run if one.predicted else None)
            )
        run += bool(one.predicted)
    return maps
