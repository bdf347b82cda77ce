"""Windows: what the model reads. A long context becomes several windows, and each knows its example and context.

A window is `question, piece of the context` between the model's own special tokens, cut as the BERT script for SQuAD
cut it: the question to `max_query_length` tokens, the context into pieces that begin `stride` tokens apart. Examples
and windows are two different numbers and are counted apart.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from separatrix.errors import ModelError, OptionError
from separatrix.models.backbone import Backbone
from separatrix.models.tokens import ESCAPE, UnreadCounts, count_unread, tokenizing
from separatrix.texts.questions_answers import Example

SENTENCE_END = frozenset(".?!")
_PUNCTUATION = re.compile(r"[^\w\s]+")


# What is known of a token. A corpus has hundreds of thousands of windows, and all stay in memory: 24 bytes a token.
TOKEN = np.dtype(
    [
        ("id", np.int32),
        ("segment", np.int32),
        ("offset", np.int32, (2,)),
        ("stop", np.int32),  # where its word ends in `text`
        ("type", np.int8),
        ("special", np.bool_),
        ("punctuation", np.bool_),
    ]
)


@dataclass(frozen=True, eq=False)
class Window:
    """One row of token ids, and what each token is."""

    example: int  # its number in the list given
    position: int  # of the window within its example
    tokens: NDArray[np.void]  # (tokens,) of `TOKEN`
    text: str  # the tokens, readable, one behind the other

    def __len__(self) -> int:
        return len(self.tokens)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Window):
            return NotImplemented
        mine, its = (self.example, self.position, self.text), (other.example, other.position, other.text)
        return mine == its and np.array_equal(self.tokens, other.tokens)

    @property
    def ids(self) -> NDArray[np.int32]:
        """Token ids (tokens,)."""
        return self.tokens["id"]

    @property
    def types(self) -> NDArray[np.int8]:
        """Token type ids (tokens,)."""
        return self.tokens["type"]

    @property
    def special(self) -> NDArray[np.bool_]:
        """Whether a token is the model's own (tokens,)."""
        return self.tokens["special"]

    @property
    def punctuation(self) -> NDArray[np.bool_]:
        """Whether a token is nothing but punctuation (tokens,)."""
        return self.tokens["punctuation"]

    @property
    def segments(self) -> NDArray[np.int32]:
        """0 question, 1 context; the number of the sentence in a single text; -1 special tokens (tokens,)."""
        return self.tokens["segment"]

    @property
    def offsets(self) -> NDArray[np.int32]:
        """Begin and end of a token in the second text (the first if it is alone); 0, 0 elsewhere (tokens, 2)."""
        return self.tokens["offset"]

    @property
    def words(self) -> tuple[str, ...]:
        """The tokens, readable, with the space before them."""
        stops = self.tokens["stop"].tolist()
        return tuple(self.text[start:stop] for start, stop in zip([0, *stops], stops, strict=False))


@dataclass(frozen=True)
class WindowRule:
    """How texts are cut. See `recipe.heads` for the meaning of the numbers."""

    max_length: int
    stride: int
    max_query_length: int


def fast_tokenizer(backbone: Backbone) -> Any:
    """The tokenizer's own engine, which knows the offset of every token.

    Raises:
        ModelError: the model has a slow tokenizer only.
    """
    engine = getattr(backbone.tokenizer, "backend_tokenizer", None)
    if engine is None:
        raise ModelError(f"model {backbone.source.name!r} has no fast tokenizer", expected="a tokenizer.json")
    engine.no_truncation()
    engine.no_padding()
    # Written in a text, a pad beyond the model's table is text.
    engine.encode_special_tokens = backbone.pad_is_beyond or backbone.recipe.special_tokens == ESCAPE
    return engine


def check_rule(rule: WindowRule, backbone: Backbone, *, pairs: bool = True) -> None:
    """Refuse windows that the model cannot hold; without pairs there is no question that needs room.

    Raises:
        OptionError: windows longer than the model, or no room for the context beside the question.
    """
    longest = backbone.longest
    if longest is not None and rule.max_length > longest:
        raise OptionError(
            "--max-length is longer than the model", got=rule.max_length, expected=f"at most {longest}",
            hint=f"type --max-length {longest}",
        )  # fmt: skip
    special = backbone.tokenizer.num_special_tokens_to_add(pair=True)
    if pairs and rule.max_length <= rule.max_query_length + special:
        raise OptionError(
            "--max-length leaves no room beside the question",
            got=rule.max_length,
            expected=f"more than {rule.max_query_length + special}",
            hint=f"lower --max-query-length, or type --max-length {rule.max_query_length + special + 1}",
        )


def cut_windows(backbone: Backbone, examples: Sequence[Example], rule: WindowRule) -> list[list[Window]]:
    """The windows of each example, at least one each.

    Raises:
        OptionError: the rule does not fit the model.
        ModelError: no fast tokenizer.
    """
    check_rule(rule, backbone, pairs=any(example.second for example in examples))
    engine = fast_tokenizer(backbone)
    with tokenizing(backbone.source.name):
        return [_windows_of(engine, example, index, rule) for index, example in enumerate(examples)]


def unread_in(backbone: Backbone, examples: Sequence[Example], cut: Sequence[Sequence[Window]]) -> UnreadCounts:
    """What the tokenizer could not read in examples, by the windows of each."""
    texts = [f"{each.first}\n{each.second}" for each in examples]
    ids = [[number for window in windows for number in window.ids[~window.special].tolist()] for windows in cut]
    return count_unread(backbone.tokenizer, texts, ids, added=0)


def _windows_of(engine: Any, example: Example, index: int, rule: WindowRule) -> list[Window]:
    first = engine.encode(example.first, add_special_tokens=False)
    if not example.second:
        room = rule.max_length - engine.num_special_tokens_to_add(False)
        pieces = [(piece, None) for piece in _pieces(first, room, rule.stride)]
    else:
        first.truncate(rule.max_query_length)
        second = engine.encode(example.second, add_special_tokens=False)
        room = rule.max_length - len(first) - engine.num_special_tokens_to_add(True)
        pieces = [(first, piece) for piece in _pieces(second, room, rule.stride)]
    texts = (example.first, example.second)
    return [_window(*_assemble(engine, *pair), index, number, texts) for number, pair in enumerate(pieces)]


def _assemble(engine: Any, first: Any, second: Any | None) -> tuple[Any, NDArray[np.int32]]:
    """Texts with the model's special tokens around them, and which text each token is of: 0, 1, -1 special (tokens,).

    Counted from the lengths of the texts: tokenizers 0.23 reports no `sequence_ids` for the first text of a pair
    unless a text was cut.

    Raises:
        ModelError: the tokenizer changes the texts, or their order, when it joins them.
    """
    encoded = engine.post_process(first, second, True)
    texts = [text for text in (first, second) if text is not None]
    own = np.array(encoded.special_tokens_mask) == 0
    if np.array(encoded.ids)[own].tolist() != [token for text in texts for token in text.ids]:
        raise ModelError(
            "the tokenizer does not put the question before the context, unchanged", got=encoded.tokens[:8]
        )
    sequence = np.full(len(own), -1, dtype=np.int32)
    sequence[own] = np.repeat(np.arange(len(texts), dtype=np.int32), [len(text) for text in texts])
    return encoded, sequence


def _pieces(encoded: Any, room: int, stride: int) -> list[Any]:
    """Pieces of at most `room` tokens that begin `stride` tokens apart; the last one reaches the end."""
    if len(encoded) <= room:
        return [encoded]
    encoded.truncate(room, stride=max(room - stride, 0))
    return [encoded, *encoded.overflowing]


def _window(encoded: Any, sequence: NDArray[np.int32], example: int, index: int, texts: tuple[str, str]) -> Window:
    words = readable(encoded, sequence, texts)
    tokens = np.zeros(len(words), dtype=TOKEN)
    tokens["id"], tokens["type"] = encoded.ids, encoded.type_ids
    tokens["special"] = special = np.array(encoded.special_tokens_mask, dtype=bool)
    tokens["punctuation"] = [_PUNCTUATION.fullmatch(word.strip()) is not None for word in words] & ~special
    tokens["segment"] = sequence if texts[1] else sentences(words, special.tolist())
    tokens["offset"] = np.array(encoded.offsets) * (sequence == (1 if texts[1] else 0))[:, None]
    tokens["stop"] = np.cumsum([len(word) for word in words])
    return Window(example, index, tokens, "".join(words))


def readable(encoded: Any, sequence: NDArray[np.int32], texts: tuple[str, str]) -> list[str]:
    """The tokens as they stand in the text; one that begins a word has a space before it."""
    words, ended = [], (-1, 0)
    for token, text, (start, stop) in zip(encoded.tokens, sequence.tolist(), encoded.offsets, strict=True):
        if text < 0 or stop == start:
            words.append(f" {token}")
            continue
        word = texts[text][start:stop]
        glued = ended == (text, start) or word[:1].isspace()
        words.append(word if glued else f" {word}")
        ended = (text, stop)
    return words


def sentences(words: Sequence[str], special: Sequence[bool]) -> tuple[int, ...]:
    """Number of the sentence of each token: a new one begins behind . ? and !; -1 at special tokens.

    >>> sentences(["[CLS]", "Go", "!", "Now", "[SEP]"], [True, False, False, False, True])
    (-1, 0, 0, 1, -1)
    """
    number, numbers = 0, []
    for word, flag in zip(words, special, strict=True):
        numbers.append(-1 if flag else number)
        if not flag and word.strip() in SENTENCE_END:
            number += 1
    return tuple(numbers)


@dataclass(frozen=True, eq=False)
class ExampleSample:
    """Examples drawn, in their order, and how many windows they give."""

    examples: tuple[Example, ...]
    windows: int
    shards: NDArray[np.int64]  # (examples,) which shard each came from


def draw(
    backbone: Backbone, examples: Sequence[Example], rule: WindowRule, *, windows: int, shards: int, how: str, seed: int
) -> ExampleSample:
    """Draw whole examples, equally from every shard, until there are enough windows.

    The examples are divided, in their order, into `shards` parts of equal size. Each gives one example in turn: from a
    random place on, one after the other (`consecutive`: they share contexts, so that the influence of
    the context can be measured), or drawn at random (`random`).

    Raises:
        OptionError: the rule does not fit the model.
    """
    check_rule(rule, backbone, pairs=any(example.second for example in examples))
    engine, generator = fast_tokenizer(backbone), np.random.default_rng(seed)
    split = np.array_split(np.arange(len(examples)), min(shards, len(examples)))
    queues = [list(_order(part, how, generator)) for part in split]
    chosen: list[tuple[int, int]] = []  # (example, shard)
    count, turn = 0, 0
    while count < windows and turn < max(map(len, queues)):
        for shard, queue in enumerate(queues):
            if turn < len(queue) and count < windows:
                with tokenizing(backbone.source.name):
                    count += len(_windows_of(engine, examples[queue[turn]], 0, rule))
                chosen.append((queue[turn], shard))
        turn += 1
    chosen.sort()
    numbers, parts = zip(*chosen, strict=True)
    return ExampleSample(tuple(examples[number] for number in numbers), count, np.array(parts, dtype=np.int64))


def _order(part: NDArray[np.int64], how: str, generator: np.random.Generator) -> NDArray[np.int64]:
    if how == "random":
        return generator.permutation(part)
    return np.roll(part, -int(generator.integers(len(part))))
