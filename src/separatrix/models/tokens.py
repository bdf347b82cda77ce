"""Token ids of texts, and what a tokenizer could not read in them: unknown words, control tokens, lost differences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

import numpy as np
from numpy.typing import NDArray

from separatrix.errors import DataError, ModelError, raise_interrupt, warn
from separatrix.texts.characters import normalise
from separatrix.texts.pairs import shown

MUCH = 0.01  # share of texts with an unknown token from which on there is a warning
ESCAPE = "escape"  # --special-tokens: control tokens in a text are read as text
UNKNOWN = "hold words that the tokenizer does not know"
EQUAL = "have the same tokens as an earlier, different text: the model cannot tell them apart"
CONTROL = "hold control tokens of the tokenizer, which act as such: --special-tokens escape reads them as text"


class NoTokens(DataError):
    """Texts without a single token; `rows` are their places."""

    def __init__(self, rows: Sequence[int], texts: Sequence[str]) -> None:
        more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
        what = f"row {rows[0]}{more}: the tokenizer finds no token in {shown(texts[rows[0]])!r}"
        super().__init__(what, hint="remove the row" + "s" * (len(rows) > 1))
        self.rows = tuple(rows)


@contextmanager
def tokenizing(model: str) -> Iterator[None]:
    """What a damaged tokenizer says of a text, as a sentence about its model.

    Raises:
        ModelError: the tokenizer cannot read a text.
    """
    try:
        yield
    except Exception as error:
        raise_interrupt(error)
        if type(error) is not Exception:  # the library has no class of its own
            raise
        why = shorten(str(error), 120)
        raise ModelError(
            f"the tokenizer of model {model!r} cannot read a text ({why})", hint="save it again"
        ) from error


@dataclass(frozen=True)
class UnreadCounts:
    """What a tokenizer could not read, or read as something else, in so many texts."""

    texts: int = 0
    tokens: int = 0
    unknown: int = 0  # tokens
    unknown_texts: int = 0  # texts with such a token
    equal: int = 0  # texts with the tokens of an earlier, different text
    control: int = 0  # texts with control tokens of their own

    def __add__(self, other: UnreadCounts) -> UnreadCounts:
        return UnreadCounts(**{name: count + getattr(other, name) for name, count in vars(self).items()})

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings, one sentence each.

        >>> UnreadCounts(texts=3, tokens=9, unknown=2, unknown_texts=1).warnings
        ('1 of 3 texts hold words that the tokenizer does not know (2 of 9 tokens)',)
        """
        lines = {
            f"{UNKNOWN} ({self.unknown} of {self.tokens} tokens)": (
                self.unknown_texts if self.unknown_texts > MUCH * self.texts else 0
            ),
            EQUAL: self.equal,
            CONTROL: self.control,
        }
        return tuple(f"{count} of {self.texts} texts {line}" for line, count in lines.items() if count)

    def warn(self, source: str = "") -> list[str]:
        """Issue the warnings, each behind the name of the texts, and give them for a result."""
        lines = [f"{source}: {line}" if source else line for line in self.warnings]
        warn(lines)
        return lines


def is_unread(line: str) -> bool:
    """Whether a warning is one of `UnreadCounts`.

    >>> is_unread("train: " + UnreadCounts(texts=1, equal=1).warnings[0]), is_unread("train: 1 of 3 texts were cut")
    (True, False)
    """
    return any(f" texts {words}" in line for words in (UNKNOWN, EQUAL, CONTROL))


def plain_ids(ids: Iterable[int]) -> list[int]:
    """Token ids as the vocabulary numbers them: those of a second text (see `Tokens`) are turned back.

    >>> plain_ids([101, -1, -8])
    [101, 0, 7]
    """
    return [number if number >= 0 else -1 - number for number in ids]


@dataclass(frozen=True)
class Tokens:
    """Token ids of texts, without padding, and what became of the texts.

    Of pairs, in models that tell first and second texts apart by a type of token, an id of the second is -1 - id:
    `Backbone.run` reads type and id off it.
    """

    ids: tuple[tuple[int, ...], ...]
    cut: int  # how many texts were longer than max_length
    unread: UnreadCounts = UnreadCounts()

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: NDArray[np.int64]) -> Tokens:
        """Those of some texts."""
        return Tokens(tuple(self.ids[row] for row in rows), 0)


@dataclass(frozen=True, eq=False)
class TokenPart:
    """Tokens whose batches are those of the whole, so that they can be read apart from the rest."""

    tokens: Any  # as a reader takes them
    rows: NDArray[np.int64]  # the rows of the whole's blocks that they give, in their order
    texts: int


def count_unread(
    tokenizer: Any, texts: Sequence[str], encoded: Sequence[Sequence[int]], *, added: int | None = None
) -> UnreadCounts:
    """Count what could not be read in texts and their token ids.

    Args:
        tokenizer: of the model.
        texts: what it read.
        encoded: token ids of each text.
        added: control tokens among them that are not of the text; as many as the tokenizer adds if absent.
    """
    counts, unknown = count_unknown(tokenizer, encoded), _unknown_id(tokenizer)
    return UnreadCounts(
        len(texts),
        sum(map(len, encoded)),
        sum(counts),
        sum(map(bool, counts)),
        _count_equal(texts, encoded),
        _count_control(tokenizer, texts, encoded, unknown, added),
    )


def count_unknown(tokenizer: Any, encoded: Sequence[Sequence[int]]) -> list[int]:
    """Tokens of each text, (texts,), that stand for what the tokenizer does not know."""
    unknown = _unknown_id(tokenizer)
    return [0] * len(encoded) if unknown is None else [plain_ids(ids).count(unknown) for ids in encoded]


def _unknown_id(tokenizer: Any) -> int | None:
    """The id that stands for an unknown word, and for nothing else."""
    named = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.cls_token_id}
    # GPT-2 has one token for all of these: it knows every byte, so that its "unknown" one stands for nothing.
    return None if tokenizer.unk_token_id in named else tokenizer.unk_token_id


def _count_equal(texts: Sequence[str], encoded: Sequence[Sequence[int]]) -> int:
    """Texts with the tokens of an earlier one that differs from it in more than case and white space."""
    first: dict[tuple[int, ...], str] = {}
    pairs = ((text, first.setdefault(tuple(ids), text)) for text, ids in zip(texts, encoded, strict=True))
    return sum(text != earlier and normalise(text) != normalise(earlier) for text, earlier in pairs)


def _count_control(
    tokenizer: Any, texts: Sequence[str], encoded: Sequence[Sequence[int]], unknown: int | None, own: int | None
) -> int:
    """Texts with more control tokens among their ids than are not theirs."""
    added = getattr(tokenizer, "added_tokens_decoder", {})
    ids = {number for number, token in added.items() if token.special} | set(tokenizer.all_special_ids)
    ids -= {unknown}
    words = {str(word) for word in tokenizer.convert_ids_to_tokens(sorted(ids))}
    if not words:
        return 0
    written = re.compile("|".join(map(re.escape, sorted(words))))
    own = tokenizer.num_special_tokens_to_add() if own is None else own
    rows = [row for row, text in enumerate(texts) if written.search(text)]
    return sum(sum(number in ids for number in encoded[row]) > own for row in rows)
