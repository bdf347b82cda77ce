"""Checks of a model before its vectors are used: a text alone, beside another, by the model's own plain forward.

Families differ in how they take a mask, and from where they count positions. So every loaded model runs two short texts
before its first batch: the fast path (our attention, our positions) must give each text, alone and padded, the states
that the family gives it alone by itself. Where it does not, the family's own forward is used, if padding leaves its
states alone; where that fails too, the model is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from textwrap import shorten

import torch
from torch import Tensor

from separatrix.errors import ModelError, raise_interrupt
from separatrix.models import attention
from separatrix.models.backbone import Backbone
from separatrix.models.batches import pad_tokens

LONG, SHORT = 9, 4  # tokens; the short text is the beginning of the long one
# How far a token's states may be apart, in units of their length. In half precision the two paths round differently
# (and a router may send a single token to another expert), so there the median over the tokens counts.
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 5e-2, torch.float16: 1e-2}
NO_CHANGE = 1e-5  # of states that only rounding may move, in units of the largest number

States = Sequence[Tensor]  # of one text: each layer's (tokens, width), the embeddings first


@torch.inference_mode()
def checked(backbone: Backbone) -> Backbone:
    """The same model, to be run by the fast path or by its own forward, whichever gives the right states.

    Raises:
        ModelError: a family that cannot be run on texts, or whose states depend on the padding.
    """
    plain = replace(backbone, plain=True)
    attention.use(backbone.model, attention.OWN)
    try:
        texts = [some_ids(backbone, LONG), some_ids(backbone, SHORT)]
        alone = [_run(plain, [text])[0] for text in texts]
    except ModelError:
        raise
    except Exception as error:  # a forward that wants other inputs fails in any way
        raise_interrupt(error)
        what = f"{backbone.kind} models cannot be run on texts ({shorten(str(error), 160)})"
        raise ModelError(what, hint="choose another model") from error
    if not all(bool(state.isfinite().all()) for states in alone for state in states):
        what = f"model {backbone.source.name!r} gives states that are not finite numbers"
        raise ModelError(what, hint="give a complete checkpoint, or another --dtype")
    causal = _is_causal(plain, alone[0])
    backbone, plain = (replace(path, causal=causal) for path in (backbone, plain))
    attention.use(backbone.model, attention.NAME)
    if _gives(backbone, texts, alone):
        return backbone
    attention.use(backbone.model, attention.OWN)
    if apart := distance(_run(plain, texts), alone, backbone.dtype):
        what = f"model {backbone.source.name!r} gives a text other vectors beside a longer one than alone"
        limit = f"at most {TOLERANCE[backbone.dtype]:g} of their length"
        raise ModelError(what, got=f"{apart:.2g}", expected=limit, hint="choose another model")
    return plain


def _is_causal(plain: Backbone, states: States) -> bool:
    """Whether other tokens behind a text leave its states alone: by the mask that is applied, not by the type's name.

    Both texts are of one length, so that they are rounded alike in any number format.
    """
    ids = some_ids(plain, 2 * LONG - SHORT)
    other = (*ids[:SHORT], *ids[LONG:])
    if other == ids[:LONG]:  # a tokenizer of hardly any words
        return plain.causal
    pairs = zip(_run(plain, [other])[0], states, strict=True)
    return all(
        torch.allclose(one[:SHORT], two[:SHORT], rtol=0, atol=NO_CHANGE * float(two.abs().max())) for one, two in pairs
    )


def _gives(backbone: Backbone, texts: Sequence[tuple[int, ...]], wanted: Sequence[States]) -> bool:
    """Whether the fast path gives these states, alone and padded."""
    try:
        runs = [_run(backbone, [text])[0] for text in texts], _run(backbone, texts)
    except Exception as error:  # arguments or attention that the family does not know
        raise_interrupt(error)
        return False
    return all(same_states(run, wanted, backbone.dtype) for run in runs)


def some_ids(backbone: Backbone, count: int) -> tuple[int, ...]:
    """Tokens of a text: those that the tokenizer adds to every one, then some drawn by a fixed seed, none special."""
    tokenizer = backbone.tokenizer
    special = {*tokenizer.all_special_ids, getattr(backbone.model.config, "pad_token_id", None)}
    order = torch.randperm(len(tokenizer), generator=torch.Generator().manual_seed(0)).tolist()
    usual = [number for number in order if number not in special] or order
    added = tokenizer("")["input_ids"][: SHORT - 1]
    return (*added, *(usual[index % len(usual)] for index in range(count)))[:count]


def _run(backbone: Backbone, texts: Sequence[tuple[int, ...]]) -> list[States]:
    """The states of each text, without its pads."""
    ids, mask = pad_tokens(list(texts), backbone)
    states = backbone.run(ids=ids, mask=mask)
    return [[state[row, : len(text)] for state in states] for row, text in enumerate(texts)]


def same_states(one: Sequence[States], other: Sequence[States], dtype: torch.dtype) -> bool:
    """Whether two ways to run texts agree, up to rounding."""
    return not distance(one, other, dtype)


def distance(one: Sequence[States], other: Sequence[States], dtype: torch.dtype) -> float:
    """How far the states of texts are apart, in units of their length; 0 if it is rounding, infinity if not finite."""
    apart = []
    for left, right in zip(one, other, strict=True):
        for here, there in zip(left, right, strict=True):
            apart.append((here.float() - there.float()).norm(dim=-1) / there.float().norm(dim=-1).clamp_min(1e-12))
    each = torch.stack([layer.max() if dtype == torch.float32 else layer.median() for layer in apart])
    if not bool(each.isfinite().all()):
        return float("inf")
    return worst if (worst := float(each.max())) > TOLERANCE[dtype] else 0.0
