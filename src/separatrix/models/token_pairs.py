"""Token ids of pairs of texts, in the tokenizer's own form for two texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from separatrix.errors import OptionError
from separatrix.models.tokens import ESCAPE, NoTokens, Tokens, count_unread, plain_ids, tokenizing
from separatrix.texts.pairs import split_pair

JOINT = "\n"  # between the texts of a pair where the tokenizer puts nothing there, as that of GPT-2


def tokenize_pairs(backbone: Any, pairs: Sequence[str], room: int) -> Tokens:
    """Token ids of pairs, each cut to `room` tokens from the end of the longer text first.

    Raises:
        OptionError: no room for a token of each text.
        NoTokens: pairs without a single token.
    """
    tokenizer = backbone.tokenizer
    added = tokenizer.num_special_tokens_to_add(pair=True)
    if room < added + 2:
        raise OptionError("--max-length leaves no room for pairs of texts", got=room, expected=f"{added + 2} or more")
    first, second = map(list, zip(*map(split_pair, pairs), strict=True))
    if puts_nothing_between(backbone):
        second = [JOINT + text for text in second]
    options = {"split_special_tokens": backbone.recipe.special_tokens == ESCAPE, "verbose": False}
    with tokenizing(backbone.source.name):
        batch = tokenizer(
            first, second, truncation="longest_first", max_length=room, return_attention_mask=False,
            return_token_type_ids=True, **options,
        )  # fmt: skip
        full = [row for row, ids in enumerate(batch["input_ids"]) if len(ids) >= room]
        sides = [[side[row] for row in full] for side in (first, second)]
        whole = tokenizer(*sides, **options)["input_ids"] if full else []
    rows = len(backbone.embedding) if backbone.pad_is_beyond else None
    types = batch["token_type_ids"] if backbone.has_types else [[0] * len(ids) for ids in batch["input_ids"]]
    encoded = [
        tuple(
            -1 - number if kind else number for number, kind in zip(*row, strict=True) if rows is None or number < rows
        )
        for row in zip(batch["input_ids"], types, strict=True)
    ]
    if empty := [row for row, ids in enumerate(encoded) if not ids]:
        raise NoTokens(empty, pairs)
    unread = count_unread(tokenizer, pairs, list(map(plain_ids, encoded)), added=added)
    return Tokens(tuple(encoded), sum(len(ids) > room for ids in whole), unread)


def puts_nothing_between(backbone: Any) -> bool:
    """Whether the tokenizer's form of two texts is the one text behind the other."""
    tokenizer = backbone.tokenizer
    return bool(tokenizer.num_special_tokens_to_add(pair=True) <= tokenizer.num_special_tokens_to_add())


def pair_rule(backbone: Any) -> str:
    """How the model reads pairs, in one sentence."""
    how = "a line break between them" if puts_nothing_between(backbone) else "the tokenizer's form for two texts"
    types = ", token types 0 and 1" if backbone.has_types else ""
    return f"pairs of texts: {how}{types}; of a pair that is too long, the longer text is cut first"
