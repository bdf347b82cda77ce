"""Windows: what the model reads. A long context becomes several windows, and each knows its example and context.

A window is `question, piece of the context` between the model's own special tokens, cut as the BERT script for SQuAD
cut it: the question to `max_query_length` tokens, the context into pieces that begin `stride` tokens apart. Examples
and windows are two different numbers (seed 002 mixed them up) and are counted apart.
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
from separatrix.texts.questions_answers import Example

SENTENCE_END = frozenset(".?!")
_PUNCTUATION = re.compile(r"[^\w\s]+")


@dataclass(frozen=True)
class Window:
    """One row of token ids, and what each token is."""

    example: int  # place of the example in the list given
    place: int  # of the window within its example
    ids: tuple[int, ...]
    types: tuple[int, ...]  # token type ids
    special: tuple[bool, ...]
    punctuation: tuple[bool, ...]
    segments: tuple[int, ...]  # 0 question, 1 context; sentences of a single text; -1 special
    offsets: tuple[
        tuple[int, int], ...
    ]  # signs of the second text (first text if there is no second); (0, 0) elsewhere
    words: tuple[str, ...]  # the tokens, readable, with the space before them

    def __len__(self) -> int:
        return len(self.ids)


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
    return engine


def check_rule(rule: WindowRule, backbone: Backbone) -> None:
    """Refuse windows that the model cannot hold.

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
    if rule.max_length <= rule.max_query_length + special:
        raise OptionError(
            "--max-length leaves no room beside the question",
            got=rule.max_length,
            expected=f"more than {rule.max_query_length + special}",
        )


def cut_windows(backbone: Backbone, examples: Sequence[Example], rule: WindowRule) -> list[list[Window]]:
    """The windows of each example, at least one each.

    Raises:
        OptionError: the rule does not fit the model.
        ModelError: no fast tokenizer.
    """
    check_rule(rule, backbone)
    engine = fast_tokenizer(backbone)
    return [_windows_of(engine, example, place, rule) for place, example in enumerate(examples)]


def _windows_of(engine: Any, example: Example, place: int, rule: WindowRule) -> list[Window]:
    first = engine.encode(example.first, add_special_tokens=False)
    if not example.second:
        room = rule.max_length - engine.num_special_tokens_to_add(False)
        whole = [engine.post_process(piece, None, True) for piece in _pieces(first, room, rule.stride)]
    else:
        first.truncate(rule.max_query_length)
        second = engine.encode(example.second, add_special_tokens=False)
        room = rule.max_length - len(first) - engine.num_special_tokens_to_add(True)
        whole = [engine.post_process(first, piece, True) for piece in _pieces(second, room, rule.stride)]
    texts = (example.first, example.second)
    return [_window(encoded, place, number, texts) for number, encoded in enumerate(whole)]


def _pieces(encoded: Any, room: int, stride: int) -> list[Any]:
    """Pieces of at most `room` tokens that begin `stride` tokens apart; the last one reaches the end."""
    if len(encoded) <= room:
        return [encoded]
    encoded.truncate(room, stride=max(room - stride, 0))
    return [encoded, *encoded.overflowing]


def _window(encoded: Any, example: int, place: int, texts: tuple[str, str]) -> Window:
    special = tuple(bool(flag) for flag in encoded.special_tokens_mask)
    sequences, words = encoded.sequence_ids, readable(encoded, texts)
    main = 1 if texts[1] else 0
    offsets = tuple(
        (start, stop) if sequence == main else (0, 0)
        for sequence, (start, stop) in zip(sequences, encoded.offsets, strict=True)
    )
    pair = [-1 if sequence is None else int(sequence) for sequence in sequences]
    return Window(
        example,
        place,
        tuple(encoded.ids),
        tuple(encoded.type_ids),
        special,
        tuple(
            not flag and _PUNCTUATION.fullmatch(word.strip()) is not None
            for flag, word in zip(special, words, strict=True)
        ),
        tuple(pair) if texts[1] else sentences(words, special),
        offsets,
        tuple(words),
    )


def readable(encoded: Any, texts: tuple[str, str]) -> list[str]:
    """The tokens as they stand in the text; one that begins a word has a space before it."""
    words, ended = [], (None, 0)
    for token, sequence, (start, stop) in zip(encoded.tokens, encoded.sequence_ids, encoded.offsets, strict=True):
        if sequence is None or stop == start:
            words.append(f" {token}")
            continue
        word = texts[sequence][start:stop]
        glued = ended == (sequence, start) or word[:1].isspace()
        words.append(word if glued else f" {word}")
        ended = (sequence, stop)
    return words


def sentences(words: Sequence[str], special: Sequence[bool]) -> tuple[int, ...]:
    """Number of the sentence of each token: a new one begins behind . ? and !; -1 at special tokens.

    >>> sentences(["[CLS]", "Go", "!", "Now", "[SEP]"], [True, False, False, False, True])
    (-1, 0, 0, 1, -1)
    """
    number, found = 0, []
    for word, flag in zip(words, special, strict=True):
        found.append(-1 if flag else number)
        if not flag and word.strip() in SENTENCE_END:
            number += 1
    return tuple(found)


@dataclass(frozen=True, eq=False)
class Sample:
    """Examples drawn and their windows, in order of the examples."""

    examples: tuple[Example, ...]
    windows: tuple[Window, ...]  # `example` counts in `examples`
    shards: NDArray[np.int64]  # (examples,) which shard each came from


def draw(
    backbone: Backbone, examples: Sequence[Example], rule: WindowRule, *, windows: int, shards: int, how: str, seed: int
) -> Sample:
    """Draw whole examples, equally from every shard, until there are enough windows.

    The examples are divided, in their order, into `shards` parts of equal size. Each gives one example in turn: from a
    random place on, one after the other (`consecutive`: they share contexts, as in seed 002, so that the influence of
    the context can be measured), or drawn at random (`random`).

    Raises:
        OptionError: the rule does not fit the model.
    """
    check_rule(rule, backbone)
    engine, generator = fast_tokenizer(backbone), np.random.default_rng(seed)
    parts = np.array_split(np.arange(len(examples)), min(shards, len(examples)))
    queues = [list(_order(part, how, generator)) for part in parts]
    chosen: list[tuple[int, int]] = []  # (example, shard)
    count, turn = 0, 0
    while count < windows and turn < max(map(len, queues)):
        for shard, queue in enumerate(queues):
            if turn < len(queue) and count < windows:
                count += len(_windows_of(engine, examples[queue[turn]], 0, rule))
                chosen.append((queue[turn], shard))
        turn += 1
    chosen.sort()
    kept = tuple(examples[place] for place, _ in chosen)
    cut = [window for place, example in enumerate(kept) for window in _windows_of(engine, example, place, rule)]
    return Sample(kept, tuple(cut), np.array([shard for _, shard in chosen], dtype=np.int64))


def _order(part: NDArray[np.int64], how: str, generator: np.random.Generator) -> NDArray[np.int64]:
    if how == "random":
        return generator.permutation(part)
    return np.roll(part, -int(generator.integers(len(part))))
