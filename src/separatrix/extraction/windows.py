"""Texts as frames of a limited number of rows, with the columns that identify a row; nothing else is in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from separatrix.errors import DataError, OptionError
from separatrix.models.tokens import plain_ids
from separatrix.points import ID
from separatrix.recipe.load import LoadOptions
from separatrix.store.table import text_hash
from separatrix.texts import Splits, Texts, load_texts
from separatrix.texts.columns import same_kind
from separatrix.texts.folder import find_parts
from separatrix.texts.set_checks import one_label_each

if TYPE_CHECKING:
    import pandas as pd

VERB = "extract"


@dataclass(frozen=True)
class Rows:
    """Texts to be read, part by part; a stream has one part and no length."""

    parts: tuple[tuple[str | None, Texts], ...] = ()
    stream: Iterable[str] | None = None

    @property
    def text(self) -> list[str]:
        """The texts of all parts. Raises `OptionError`: a stream, which is read once."""
        if self.stream is not None:
            what = "--dtype auto needs texts that can be read twice"
            raise OptionError(what, got="a stream", hint="name float32 or bfloat16")
        return [text for _, texts in self.parts for text in texts.text]

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about the sources, each sentence once."""
        return tuple(dict.fromkeys(line for _, texts in self.parts for line in texts.warnings))

    def __len__(self) -> int:
        """Rows in all; 0 of a stream."""
        return sum(len(texts) for _, texts in self.parts)

    def windows(self, size: int) -> Iterator[pd.DataFrame]:
        """Frames of at most `size` rows with the columns id, text_hash, text, split, label, group (where known).

        Ids count the rows of one table as they count there; those of several parts are made to differ.
        """
        if self.stream is not None:
            yield from _stream(self.stream, size)
            return
        start = 0
        for split, texts in self.parts:
            for low in range(0, len(texts), size):
                some = texts.take(np.arange(low, min(low + size, len(texts))))
                yield _frame(some, some.id + start, split)
            start += int(texts.id.max(initial=-1)) + 1 if len(self.parts) > 1 else 0


def _frame(texts: Texts, ids: np.ndarray, split: str | None) -> pd.DataFrame:
    import pandas as pd

    columns: dict[str, Any] = {ID: ids, "text_hash": [text_hash(text) for text in texts.text], "text": texts.text}
    columns |= {} if split is None else {"split": [split] * len(texts)}
    columns |= {} if texts.label is None else {"label": texts.label}
    columns |= {} if texts.group is None else {"group": texts.group}
    return pd.DataFrame(columns)


def _stream(texts: Iterable[str], size: int) -> Iterator[pd.DataFrame]:
    source, start = iter(texts), 0
    while some := list(islice(source, size)):
        chunk = Texts.of(some, source=f"the stream from row {start} on")
        yield _frame(chunk, chunk.id + start, None)
        start += len(some)


def read_rows(
    data: Any,
    *,
    text: str | Sequence[str] = "text",
    label: str | None = "label",
    group: str | None = None,
    **reading: Unpack[LoadOptions],
) -> Rows:
    """Rows of whatever holds texts.

    Args:
        data: `Texts`, `Splits`, a list of texts, an iterator of texts (read window by window), or anything that
            `load_texts` reads. The parts of `Splits` and of a folder of splits become the column `split`.
        text: column of the texts, or the two of pairs, where a file is read.
        label: column of the labels, or `None`.
        group: column of the groups, or `None`.
        reading: as for `load_texts`.

    Raises:
        DataError: texts that cannot be used.
    """
    if isinstance(data, Texts):
        return Rows(((None, one_label_each(data, VERB)),))
    if isinstance(data, Splits):
        return Rows(tuple((name, one_label_each(part, VERB)) for name, part in data.parts.items()))
    if isinstance(data, list | tuple):
        return Rows(((None, Texts.of(data)),))
    if isinstance(data, Iterator):
        return Rows(stream=data)
    if isinstance(data, str | Path) and Path(data).is_dir() and (files := find_parts(Path(data))):
        parts = {name: load_texts(path, text=text, label=label, group=group, **reading) for name, path in files.items()}
        for part in parts.values():
            one_label_each(part, VERB)
        labels = same_kind({name: texts.label for name, texts in parts.items() if texts.label is not None})
        return Rows(tuple((name, replace(texts, label=labels.get(name))) for name, texts in parts.items()))
    texts = load_texts(data, text=text, label=label, group=group, **reading)
    return Rows(((None, one_label_each(texts, VERB)),))


def token_rows(frame: pd.DataFrame, ids: tuple[tuple[int, ...], ...], tokenizer: Any) -> pd.DataFrame:
    """The row table of tokens: the columns of the text, the token's place in it, the token.

    Raises:
        DataError: as many texts as token lists are needed.
    """
    if len(ids) != len(frame):
        raise DataError("tokens do not fit the texts", got=len(ids), expected=len(frame))
    counts = [len(row) for row in ids]
    rows = frame.drop(columns="text").loc[np.repeat(np.arange(len(frame)), counts)].reset_index(drop=True)
    rows.insert(1, "index", np.concatenate([np.arange(count) for count in counts]))
    rows.insert(2, "token", tokenizer.convert_ids_to_tokens(plain_ids(token for row in ids for token in row)))
    return rows
