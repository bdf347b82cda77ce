"""Answers to texts that come line by line: JSON objects in, JSON objects out, in batches of bounded memory.

What has arrived is answered at once; a batch grows only while more is waiting. Answers keep the order of the lines.
"""

from __future__ import annotations

import select
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import BinaryIO

import numpy as np

from separatrix.errors import DataError
from separatrix.learn.trained.saved import Predictor, check_input_kind
from separatrix.models.tokens import UnreadCounts
from separatrix.store.table import json_lines
from separatrix.texts import Texts
from separatrix.texts.columns import Columns, is_broken, name_rows
from separatrix.texts.pairs import BETWEEN
from separatrix.texts.read import json_record
from separatrix.training.predict import answer_table, answer_texts, withhold

BATCH = 1024  # lines that are answered together at most
CHUNK = 1 << 16  # bytes that are read at a time
LONGEST = 1 << 24  # bytes of a line
SOURCE = "standard input"


@dataclass
class LineStream:
    """Lines of a byte stream, and what became of them.

    Attributes:
        source: where they come from.
        columns: the keys of the texts.
        skip_bad: pass over lines that cannot be read and count them; else the first one ends the stream.
        min_probability: leave rows unanswered whose answer has a lower probability.
    """

    source: BinaryIO
    columns: Columns
    skip_bad: bool = False
    min_probability: float | None = None
    lines: int = 0  # read
    rows: int = 0  # answered or not, those that could not be read included
    skipped: list[int] = field(default_factory=list)  # numbers of the lines
    cut: int = 0
    unread: UnreadCounts = field(default_factory=UnreadCounts)

    def answers(self, model: Predictor) -> Iterator[tuple[int, str]]:
        """How many rows were answered, and their JSON lines.

        Raises:
            DataError: a line that cannot be read, after the answers of those before it.
        """
        check_input_kind(model, [BETWEEN.join(self.columns.texts)])  # before the first line
        for batch in batches(self.source):
            texts, wrong = self._read(batch)
            if len(texts):
                yield len(texts), self._answer(model, texts)
            if wrong is not None:
                raise wrong

    def _answer(self, model: Predictor, texts: Texts) -> str:
        answer = answer_texts(model, texts.text)
        self.cut, self.unread = self.cut + answer.cut, self.unread + answer.unread
        frame = answer_table(texts, model.classes, withhold(answer, self.min_probability))
        if "reason" not in frame:
            return json_lines(frame)
        # A line does not depend on its batch: only a row without an answer has a reason.
        rows = (frame.iloc[[row]] for row in range(len(frame)))
        return "".join(json_lines(row if row["reason"].notna().all() else row.drop(columns="reason")) for row in rows)

    def _read(self, batch: list[bytes]) -> tuple[Texts, DataError | None]:
        """The texts of some lines, and the error of the first that cannot be read."""
        sides: list[list[str]] = [[] for _ in self.columns.texts]
        ids, wrong = [], None
        for line in batch:
            self.lines += 1
            if not line.strip():
                continue
            try:
                for side, text in zip(sides, self._texts(line), strict=True):
                    side.append(text)
            except DataError as error:
                if not self.skip_bad:
                    wrong = error
                    break
                self.skipped.append(self.lines)
            else:
                ids.append(self.rows)
            self.rows += 1
        pair = sides[1] if len(sides) > 1 else None
        texts = Texts.of(sides[0], source=SOURCE, keep_blank=True, pair=pair)
        return replace(texts, id=np.array(ids, dtype=np.int64)), wrong

    def _texts(self, line: bytes) -> list[str]:
        where = f"{SOURCE} line {self.lines}"
        try:
            record = json_record(line.decode("utf-8-sig" if self.lines == 1 else "utf-8"), where, self.columns.names)
        except UnicodeDecodeError as error:
            raise DataError(f"{where} is not UTF-8", got=f"0x{line[error.start]:02x}") from error
        self.columns.check(list(record), where)
        texts = [record[name] for name in self.columns.texts]
        for name, text in zip(self.columns.texts, texts, strict=True):
            if text is not None and not isinstance(text, str):
                raise DataError(f"{where}: {name!r} is no text", got=type(text).__name__, expected="a string")
            if text is not None and is_broken(text):
                raise DataError(f"{where}: {name!r} holds a NUL or half a surrogate pair")
        return ["" if text is None else text for text in texts]

    @property
    def warnings(self) -> list[str]:
        """What is worth saying at the end."""
        lines = [f"{self.cut} of {self.rows} texts were cut"] if self.cut else []
        if self.skipped:
            numbers = name_rows(self.skipped).replace("row", "line").replace("counted from 0", "counted from 1")
            lines.append(f"{len(self.skipped)} of {self.lines} lines could not be read and were skipped: {numbers}")
        return [*lines, *self.unread.warnings]


def batches(source: BinaryIO, most: int = BATCH) -> Iterator[list[bytes]]:
    """Whole lines as they come, at most so many at once; the last one may lack its line end.

    >>> import io
    >>> list(batches(io.BytesIO(b"a" + bytes([10]) + b"b"), 1))
    [[b'a'], [b'b']]
    """
    rest, lines = b"", list[bytes]()
    while chunk := source.read1(CHUNK):  # type: ignore[attr-defined]
        *whole, rest = (rest + chunk).split(b"\n")
        lines += whole
        if len(rest) > LONGEST:
            raise DataError(f"{SOURCE}: a line is longer than {LONGEST} bytes", hint="write one JSON object per line")
        while len(lines) >= most:
            yield lines[:most]
            del lines[:most]
        if lines and not _is_waiting(source):
            yield lines
            lines = []
    lines += [rest] if rest else []
    if lines:
        yield lines


def _is_waiting(source: BinaryIO) -> bool:
    """Whether more can be read without waiting; of what is no file of the system it can."""
    try:
        return bool(select.select([source.fileno()], [], [], 0)[0])
    except (OSError, ValueError, AttributeError):  # no file number, or a system that knows only sockets
        return True
