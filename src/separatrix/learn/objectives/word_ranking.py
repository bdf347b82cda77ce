"""One label word per class, chosen by the data: nobody has to guess that "good" and "bad" are the words to look for.

Every entry of the vocabulary is scored by how well its logit tells a class from the rest on training rows; then each
class gets its own word such that the total score is as high as it can be. The logits are seen once, block by block;
only sums per class and word are kept. A constant added to all logits of a row decides nothing, so each row is centred
first: otherwise a class with longer texts, whose logits all lie lower, would make every word look like a label word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional

from separatrix.errors import DataError, OptionError, ShapeError
from separatrix.learn.objectives.base import check_labels
from separatrix.models.backbone import Backbone

Logits = Tensor | np.ndarray

# Differences below this share of a logit's size are rounding of float32, not separation.
RESOLUTION = 1e-6
# Rows that are turned into float64 at a time: a vocabulary is wide.
BLOCK_ROWS = 64
# Entries of a vocabulary that stand in no text: [unused12], <extra_id_3>, <|reserved_7|>, a byte as <0x0A>.
MARKER = re.compile(r"\[\w+\]|<[/|]?[\w ]+\|?>")
LOST = "\N{REPLACEMENT CHARACTER}"  # what a part of a character decodes to
NAMED = 10  # classes that a note names


@dataclass(frozen=True)
class WordRanking:
    """How well each word separates each class, and the words chosen."""

    words: Tensor  # `(classes,)` ids, one word per class, all different
    # `(classes, vocabulary)`: mean of the centred logit in the class less its mean in the rest, over the standard
    # deviation within both. Forbidden words have minus infinity.
    scores: Tensor
    # `(classes,)` the chosen words' usual centred logits (each class counts the same). Words differ in this by
    # far more than classes do; `-levels` as the bias of the words takes it out of the decision.
    levels: Tensor

    def top(self, k: int, n: int = 10) -> list[tuple[int, float]]:
        """Return the n best words for class k, as (id, score), the best first; forbidden ones are not among them."""
        best = self.scores[k].topk(min(n, int(self.scores[k].isfinite().sum())))
        return list(zip(best.indices.tolist(), best.values.tolist(), strict=True))

    def named(self, names: Sequence[str], tokenizer: Any) -> dict[str, list[dict[str, Any]]]:
        """The best words of each class by its name, the best first: text, id and score."""
        return {
            name: [{"word": tokenizer.decode([w]), "id": w, "separation": round(s, 4)} for w, s in self.top(k)]
            for k, name in enumerate(names)
        }


@dataclass(frozen=True)
class _Sums:
    """Per class: rows `(classes,)`, and sums and sums of squares of centred logits `(classes, vocabulary)`, float64."""

    rows: Tensor
    first: Tensor
    second: Tensor

    def plus(self, other: _Sums) -> _Sums:
        """Both together."""
        return _Sums(self.rows + other.rows, self.first + other.first, self.second + other.second)


def rank_words(
    logits: Logits | Iterable[Logits], labels: Logits, classes: int, allowed: Tensor | None = None
) -> WordRanking:
    """Score every word of the vocabulary for every class and choose one word per class.

    Args:
        logits: `(rows, vocabulary)`, torch or NumPy, or blocks of it in the order of `labels`; one is held at a time,
            and few of its rows in float64.
        labels: `(rows,)` class numbers.
        allowed: `(vocabulary,)` mask of the words that may be chosen (say, those that start with a space).

    Raises:
        DataError: if a class has no row, or there are fewer words than classes.
        ShapeError: if blocks and labels do not fit.

    >>> logits = torch.tensor([[5.0, 1.0, 0.0], [5.5, 0.0, 0.0], [1.0, 5.0, 0.0], [0.0, 5.5, 0.0]])
    >>> rank_words(logits, torch.tensor([0, 0, 1, 1]), classes=2).words
    tensor([0, 1])
    """
    blocks = [logits] if isinstance(logits, (Tensor, np.ndarray)) else logits
    sums = _collect(blocks, torch.as_tensor(labels), classes)
    scores = _separation(sums)
    if allowed is not None:
        if allowed.shape != scores.shape[1:]:
            raise ShapeError("the mask does not fit", got=tuple(allowed.shape), expected=tuple(scores.shape[1:]))
        scores = scores.masked_fill(~allowed.cpu().bool(), -torch.inf)
    words = _assign(scores)
    levels = (sums.first / sums.rows[:, None]).mean(0)[words]
    return WordRanking(words, scores.float(), levels.float())


def plain_words(tokenizer: Any, size: int) -> Tensor:
    """Mask `(size,)` of the vocabulary's entries that can be read: label words are chosen among these.

    Left out are special tokens, markers (`[unused12]`, `<0x0A>`), what decodes to blanks or to nothing, parts of a
    character, and columns behind the tokenizer's last entry (some models pad their vocabulary).
    """
    added = tokenizer.added_tokens_decoder.items()
    special = {*tokenizer.all_special_ids, *(token_id for token_id, token in added if token.special)}
    texts = tokenizer.batch_decode([[token_id] for token_id in range(min(size, len(tokenizer)))])
    allowed = torch.zeros(size, dtype=torch.bool)
    allowed[: len(texts)] = torch.tensor(
        [token_id not in special and _readable(text) for token_id, text in enumerate(texts)]
    )
    return allowed


def _readable(text: str) -> bool:
    shown = any(sign.isprintable() and not sign.isspace() for sign in text)
    return shown and LOST not in text and not MARKER.fullmatch(text.strip())


def given_words(words: Sequence[str], names: Sequence[str], backbone: Backbone) -> Tensor:
    """The first token of the label word of each class, `(classes,)`.

    Raises:
        OptionError: another number of words than classes, a word without a token, or two that begin with the same one.
    """
    if len(words) != len(names):
        hint = "give the words in this order: sorted by the name of the class"
        expected = f"{len(names)}: {', '.join(names)}"
        raise OptionError("one label word per class is needed", got=len(words), expected=expected, hint=hint)
    spelt = [_spell(word, backbone) for word in words]
    if not all(spelt):
        got = next(repr(word) for word, ids in zip(words, spelt, strict=True) if not ids)
        raise OptionError("the tokenizer has no token for a label word", got=got, hint="choose another")
    firsts = [ids[0] for ids in spelt]
    if len(set(firsts)) < len(firsts):
        raise OptionError("two label words begin with the same token", got=", ".join(words), hint="choose others")
    return torch.tensor(firsts, device=backbone.device)


def _spell(word: str, backbone: Backbone) -> list[int]:
    """Token ids of a label word as it stands in running text; none where the tokenizer does not know it.

    Some tokenizers make a token of the space before a word: it is dropped, for it would be the first of every word.
    """
    space = " " if backbone.causal else ""
    ids = backbone.tokenizer(space + word.strip(), add_special_tokens=False)["input_ids"]
    while ids and not backbone.tokenizer.decode(ids[:1]).strip():
        ids = ids[1:]
    return [] if backbone.tokenizer.unk_token_id in ids[:1] else list(ids)


def word_notes(words: WordRanking | Sequence[str], names: Sequence[str], backbone: Backbone) -> tuple[str, ...]:
    """Notes about label words: which were chosen, or of which given ones only the first token counts."""
    if isinstance(words, WordRanking):
        return (_chosen(words, names, backbone),)
    spelt = {word: _spell(word, backbone) for word in words}
    return tuple(
        f"label word {word!r} has {len(ids)} tokens, of which only the first counts: {_shown(ids[0], backbone)!r}"
        for word, ids in spelt.items()
        if len(ids) > 1
    )


def _chosen(ranking: WordRanking, names: Sequence[str], backbone: Backbone) -> str:
    """The word of each class, and the best one for it that was chosen for none."""
    chosen = ranking.words.tolist()
    rest = []
    for k, name in enumerate(names):
        left = [word for word, _ in ranking.top(k, len(chosen) + 1) if word not in chosen]
        rest += [(left[0], name)] if left else []
    text = f"label words: {_listed(list(zip(chosen, names, strict=True)), backbone)}"
    return text + (f"; the next best: {_listed(rest, backbone)}" if rest else "")


def _listed(words: Sequence[tuple[int, str]], backbone: Backbone) -> str:
    text = ", ".join(f"{_shown(word, backbone)} for {name}" for word, name in words[:NAMED])
    return text + (f" and {len(words) - NAMED} more" if len(words) > NAMED else "")


def _shown(word: int, backbone: Backbone) -> str:
    return str(backbone.tokenizer.decode([word])).strip()


def _collect(blocks: Iterable[Logits], labels: Tensor, classes: int) -> _Sums:
    """Add the blocks up; float64, since a variance is a small difference of large sums."""
    sums, at = None, 0
    for block in map(torch.as_tensor, blocks):
        own = labels[at : at + len(block)]
        if block.ndim != 2 or len(own) < len(block):
            raise ShapeError(
                "blocks and labels do not fit", got=tuple(block.shape), expected=f"{len(labels)} rows in all"
            )
        for part, y in zip(block.split(BLOCK_ROWS), own.split(BLOCK_ROWS), strict=True):
            more = _sums(part, y, classes)
            sums = more if sums is None else sums.plus(more)
        at += len(block)
    if sums is None or at != len(labels):
        raise ShapeError("blocks and labels do not fit", got=f"{at} rows", expected=f"{len(labels)} rows")
    if not sums.second.isfinite().all():
        raise DataError("the logits are not finite", hint="run the model in float32")
    missing = (sums.rows == 0).nonzero().flatten().tolist()
    if missing or classes < 2:
        raise DataError("each of two or more classes needs rows", got=f"no rows of class {(missing or [1])[0]}")
    return sums


def _sums(block: Tensor, labels: Tensor, classes: int) -> _Sums:
    check_labels(block, labels, classes)
    rows = block.detach().double()  # (rows, vocabulary)
    rows = rows - rows.mean(1, keepdim=True)
    member = functional.one_hot(labels.long().to(block.device), classes).T.double()  # (classes, rows)
    return _Sums(member.sum(1).cpu(), (member @ rows).cpu(), (member @ rows.square_()).cpu())


def _separation(sums: _Sums) -> Tensor:
    """One class against the rest: difference of means over the pooled standard deviation, `(classes, vocabulary)`."""
    rows, rest = sums.rows[:, None], sums.rows.sum() - sums.rows[:, None]  # (classes, 1)
    inside, outside = sums.first / rows, (sums.first.sum(0) - sums.first) / rest  # (classes, vocabulary)
    within = sums.second.sum(0) - rows * inside.square() - rest * outside.square()
    deviation = (within.clamp(min=0) / (rows + rest - 2).clamp(min=1)).sqrt()
    return (inside - outside) / (deviation + RESOLUTION * (1 + inside.abs() + outside.abs()))


def _assign(scores: Tensor) -> Tensor:
    """Choose one word per class, all different, with the highest total score.

    The best `classes` words of each class are candidates enough: the other classes take at most classes - 1 of them.
    """
    classes = len(scores)
    best = scores.topk(min(classes, scores.shape[1]), dim=1).indices.flatten().unique()
    best = best[scores[:, best].isfinite().all(0)]
    if len(best) < classes:
        raise DataError("fewer words than classes", got=len(best), expected=f"{classes} or more")
    _, chosen = linear_sum_assignment(scores[:, best].numpy(), maximize=True)
    return best[torch.from_numpy(chosen)]
