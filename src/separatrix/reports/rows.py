"""Rows that a page lists and maps: every row that was evaluated, and where each map puts them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from separatrix.errors import ShapeError
from separatrix.reports.columns import MISSING, Column, in_steps, share_steps
from separatrix.reports.pack import cut, printable
from separatrix.rowtable import ColumnTexts
from separatrix.view.frames import MARGIN, Frames
from separatrix.view.palette import ClassStyle, group_look, look, mix

TEXT_LIMIT = 2000  # signs of a text that the page keeps
MANY = 12  # classes up to which their colours follow their order
BEST = 5  # most probable classes of a row that the page keeps
RIGHT, WRONG = ("#3f90da", "circle"), ("#bd1f01", "diamond")  # colours of "right or wrong"


@dataclass(frozen=True, eq=False)
class ClassOrder:
    """Many classes in an order in which neighbors are alike, and in groups."""

    order: Sequence[int]  # (classes,) class numbers
    group: Sequence[int]  # (classes,) number of the group
    titles: Sequence[str]  # (groups,)

    @classmethod
    def of(cls, names: Sequence[str], order: np.ndarray, group: np.ndarray, middle: np.ndarray) -> ClassOrder:
        """The order of `geometry.order.class_groups`, with names of the groups."""
        return cls(order.tolist(), group.tolist(), group_titles(names, group.tolist(), middle.tolist()))

    def with_class(self, title: str) -> ClassOrder:
        """One class more, in a group of its own."""
        return ClassOrder([*self.order, len(self.order)], [*self.group, len(self.titles)], [*self.titles, title])

    def looks(self) -> list[ClassStyle]:
        """How each class is drawn: one colour a group."""
        members = {one: [k for k in self.order if self.group[k] == one] for one in set(self.group)}
        return [group_look(one, members[one].index(number), len(members[one])) for number, one in enumerate(self.group)]

    def plain(self) -> dict[str, Any]:
        """What the scripts read."""
        return {"order": list(self.order), "group": list(self.group), "groups": list(self.titles)}


def group_titles(names: Sequence[str], group: Sequence[int], middle: Sequence[int]) -> list[str]:
    """Groups of classes by a word that half of their names share and not all do, else by the class in their middle.

    >>> group_titles(["card_lost", "card_stolen", "pin", "top-up"], [0, 0, 1, 1], [0, 2])
    ['card (2 classes)', 'pin and 1 more']
    """
    words = [{word for word in re.split(r"[\W_]+", name.casefold()) if len(word) > 2} for name in names]
    everywhere = Counter(word for one in words for word in one)
    titles = []
    for number, core in enumerate(middle):
        own = [k for k, one in enumerate(group) if one == number]
        counts = Counter(word for k in own for word in words[k])
        shared = [
            word for word, count in counts.items()
            if 2 * count >= len(own) > 1 and count > 1 and 2 * everywhere[word] <= len(names)
        ]  # fmt: skip
        word = max(shared, key=lambda one: (counts[one] ** 2 / everywhere[one], one), default=None)
        rest = f" and {len(own) - 1} more" if len(own) > 1 else ""
        titles.append(f"{names[core]}{rest}" if word is None else f"{word} ({len(own)} classes)")
    return titles


@dataclass(frozen=True, eq=False)
class PageRows:
    """Rows with what is known of them.

    Raises:
        ShapeError: lengths that do not fit each other.
    """

    texts: Sequence[str]
    names: Sequence[str]  # (classes,) class names
    labels: np.ndarray  # (rows,) class numbers
    predicted: np.ndarray | None = None  # (rows,) class numbers, or None where nothing was predicted
    ids: Sequence[object] | None = None  # the user's own; row numbers without them
    splits: Sequence[str] = ()  # (rows,) or empty
    probabilities: np.ndarray | None = None  # (rows, classes), NaN where a row has none
    suspect: np.ndarray | None = None  # (rows,) probability that the label is wrong; NaN: no reason to doubt it
    unknown: np.ndarray | None = None  # (rows,) tokens that the tokenizer does not know
    groups: ClassOrder | None = None  # which classes are alike, where they are many
    whole: bool = False  # texts are read when they are shown, from a server: none is cut
    answers: Sequence[RunAnswers] = ()  # of several runs
    first: int = 0  # number of the answers that are shown first, which `predicted` and `probabilities` are
    clusterings: Sequence[RowClusters] = ()

    def __post_init__(self) -> None:
        for name in ("labels", "predicted", "ids", "splits", "probabilities", "suspect", "unknown"):
            values = getattr(self, name)
            if values is not None and len(values) not in ({0, len(self)} if name == "splits" else {len(self)}):
                raise ShapeError(f"{name} of the page's rows do not fit", got=len(values), expected=len(self))

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def split_names(self) -> list[str]:
        """Names of the splits in the order of their first row."""
        return list(dict.fromkeys([*self.splits, *(split for one in self.answers for split in one.splits)]))

    def columns(self) -> dict[str, Column]:
        """The columns of the page."""
        columns: dict[str, Column] = {"label": self.labels.astype(np.uint16)}
        if self.predicted is not None and not self.answers:
            columns |= answer_columns(self.predicted, self.probabilities)
        for number, one in enumerate(self.answers):
            columns |= answer_columns(one.predicted, one.probabilities, f"-{number}")
        if len(self.answers) > 1:
            columns["differ"] = differ([one.predicted for one in self.answers]).astype(np.uint8)
        for number, clusters in enumerate(self.clusterings):
            columns[f"cluster-{number}"] = clusters.numbers.astype(np.uint16)
        if self.splits:
            columns |= self._split_columns()
        if self.suspect is not None and np.isfinite(self.suspect).any():
            columns["suspect"] = share_steps(self.suspect)
        if self.unknown is not None and self.unknown.any():
            columns["unknown"] = np.minimum(self.unknown, 255).astype(np.uint8)
        ids = range(len(self)) if self.ids is None else self.ids
        if self.whole:
            names = self.ids if isinstance(self.ids, ColumnTexts) else [*map(str, ids)]
            return columns | {"text": PrintableTexts(self.texts), "id": names}
        columns["text"] = [cut(text, TEXT_LIMIT) for text in self.texts]
        lengths = np.array([len(printable(text)) if len(text) > TEXT_LIMIT else 0 for text in self.texts], np.uint32)
        if (lengths > TEXT_LIMIT).any():
            columns["signs"] = np.where(lengths > TEXT_LIMIT, lengths, 0).astype(np.uint32)  # of texts that are cut
        columns["id"] = [str(row) for row in ids]  # as they are: rows are found again by them
        return columns

    def _split_columns(self) -> dict[str, Column]:
        """Of the rows, and of each run that splits them otherwise."""
        numbers = {name: number for number, name in enumerate(self.split_names)}
        given = {"split": self.splits} | {
            f"split-{at}": one.splits for at, one in enumerate(self.answers) if one.splits
        }
        return {key: np.array([numbers[name] for name in splits], np.uint8) for key, splits in given.items()}


@dataclass(frozen=True, eq=False)
class PrintableTexts(Sequence[str]):
    """Texts without control signs, of which only those that are asked for are read."""

    texts: Sequence[str]

    def __len__(self) -> int:
        return len(self.texts)

    @overload
    def __getitem__(self, rows: int) -> str: ...
    @overload
    def __getitem__(self, rows: slice) -> list[str]: ...
    def __getitem__(self, rows: int | slice) -> str | list[str]:
        if isinstance(rows, slice):
            return [printable(str(text)) for text in self.texts[rows]]
        return printable(str(self.texts[rows]))


@dataclass(frozen=True, eq=False)
class RunAnswers:
    """What one of several runs answered."""

    title: str
    predicted: np.ndarray  # (rows,) class numbers, -1 where it was not asked
    probabilities: np.ndarray | None = None  # (rows, classes), NaN where it was not asked
    splits: Sequence[str] = ()  # (rows,) the run's own, where they are not those of the page's rows


@dataclass(frozen=True, eq=False)
class RowClusters:
    """Clusters of the rows, to colour and to select them by."""

    title: str
    numbers: np.ndarray  # (rows,), `len(names)` where a row is in none of them
    names: Sequence[str]


def answer_columns(predicted: np.ndarray, probabilities: np.ndarray | None, end: str = "") -> dict[str, Column]:
    """Predicted classes (65535: none), their probability, and the most probable classes with theirs."""
    columns: dict[str, Column] = {f"predicted{end}": np.where(predicted < 0, MISSING, predicted).astype(np.uint16)}
    if probabilities is None:
        return columns
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :BEST]
    top = np.take_along_axis(probabilities, np.maximum(predicted, 0)[:, None], axis=1)[:, 0]
    shares = np.take_along_axis(probabilities, best, axis=1)
    more = {"top": share_steps(top), "best": best.astype(np.uint16), "best_p": share_steps(shares)}
    return columns | {f"{name}{end}": column for name, column in more.items()}


def differ(answers: Sequence[np.ndarray]) -> np.ndarray:
    """(rows,) bool, whether two that were asked answered differently.

    >>> differ([np.array([0, 1, -1]), np.array([0, 2, 1])]).tolist()
    [False, True, False]
    """
    all_of = np.stack(answers)
    highest = all_of.max(axis=0)
    return ((all_of >= 0) & (all_of != highest)).any(axis=0)


@dataclass(frozen=True, eq=False)
class RowMap:
    """Where rows lie, at one or more moments."""

    title: str
    positions: np.ndarray  # (moments, rows of the map, 2 or 3)
    axes: Sequence[str]
    note: str  # how it was made, and how faithful it is
    rows: np.ndarray | None = None  # (rows of the map,) numbers of the page's rows; None: all of them, in order
    titles: Sequence[str] = ("",)  # (moments,)
    scores: Sequence[str] = ()  # (moments,) what a moment shows in numbers
    predicted: np.ndarray | None = None  # (moments, rows of the map) class numbers; None: as in the page's rows
    centroids: np.ndarray | None = None  # (moments, classes, 2)
    pale: np.ndarray | None = None  # (rows of the map,) bool: whose labels drew the map
    answers: int | None = None  # of several runs, whose answers the page then shows

    @classmethod
    def of_frames(cls, title: str, frames: Frames, rows: np.ndarray | None = None) -> RowMap:
        """A training in one plane; `rows` (rows of the frames,) are their numbers on the page."""
        scores = [frames.score(index) for index in range(len(frames.titles))]
        return cls(
            title, frames.points, frames.axes, frames.note, rows, frames.titles, scores, frames.predicted,
            frames.centroids,
        )  # fmt: skip

    def plain(self, number: int) -> tuple[dict[str, Any], dict[str, Column]]:
        """What the script must know of the map, and its columns."""
        parts = [self.positions] if self.centroids is None else [self.positions, self.centroids]
        flat = np.concatenate([part.reshape(-1, self.positions.shape[2]) for part in parts]).astype(np.float64)
        low, high = flat.min(axis=0), flat.max(axis=0)
        span = np.where(high > low, high - low, np.where(low == 0, 1.0, np.abs(low)))
        low, high = low - MARGIN * span, high + MARGIN * span
        columns: dict[str, Column] = {"positions": in_steps(self.positions, low, high)}
        if self.rows is not None:
            columns["rows"] = self.rows.astype(np.uint32)
        if self.predicted is not None:
            columns["predicted"] = self.predicted.astype(np.uint16)
        if self.centroids is not None:
            columns["marks"] = in_steps(self.centroids, low, high)
        if self.pale is not None:
            columns["pale"] = self.pale.astype(np.uint8)
        header = {
            "title": self.title, "note": self.note, "axes": list(self.axes), "titles": list(self.titles),
            "scores": list(self.scores), "dims": self.positions.shape[2], "spans": (high - low).tolist(),
            "answers": self.answers,
        }  # fmt: skip
        return header | {name: f"{name}-{number}" for name in columns}, {
            f"{key}-{number}": columns[key] for key in columns
        }


def class_looks(
    names: Sequence[str], groups: ClassOrder | None = None, paper: str = "#ffffff"
) -> tuple[list[str], list[tuple[str, str]]]:
    """Names and looks by kind: the classes, the same pale, right and wrong. Classes that are alike look alike."""
    styles = [look(number) for number in range(len(names))] if groups is None else groups.looks()
    own = [(style.colour, style.symbol) for style in styles]
    pale = [(mix(colour, paper, 0.65), symbol) for colour, symbol in own]
    return [*names, *names, "right", "wrong"], [*own, *pale, RIGHT, WRONG]
