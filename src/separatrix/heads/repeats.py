"""Induction and duplicate-token scores: what each head does when random tokens come a second time.

Ordinary tokens are drawn without repetition and put twice, one behind the other, between the model's own special tokens
(Olsson et al. 2022, "In-context learning and induction heads"). Nothing but the repetition links the second half to
the first, so attention from a token to what followed its first occurrence is induction, and attention to that first
occurrence itself is that of a duplicate-token head. Even attention gives about one over the number of tokens.
"""

from __future__ import annotations

import re

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from separatrix.heads.maps import bare_batch, run_maps, shape_of
from separatrix.heads.windows import WindowRule, cut_windows, fast_tokenizer
from separatrix.models.backbone import Backbone
from separatrix.texts.questions_answers import Example

NAMES = (
    "induction",  # mass on the token behind the first occurrence
    "duplicate",  # mass on the first occurrence
    "previous_random",  # mass on the token before, where no grammar asks for it
)
LENGTH = 32  # tokens that are repeated; fewer where the model or its windows are shorter
WORD = re.compile(r"[^\W\d_]{2,}")  # two letters in a row
MARK = re.compile(r"[\[<].*[\]>]")  # [unused7], <0x0A>


def repeat_scores(maps: Tensor, start: int, length: int) -> Tensor:
    """Mean attention of the second repeat, in the order of `NAMES`.

    Args:
        maps: (..., tokens, tokens).
        start: where the first repeat begins.
        length: tokens of a repeat.

    Returns:
        (..., 3).
    """
    queries = start + length + torch.arange(length, device=maps.device)
    return torch.stack([maps[..., queries, queries + to].mean(dim=-1) for to in (1 - length, -length, -1)], dim=-1)


def measure_repeats(backbone: Backbone, *, draws: int, most: int, seed: int) -> dict[str, NDArray[np.float64]]:
    """The scores of all heads by the names of `NAMES`, each (layers * heads,): means over the draws.

    The cost is that of `draws` windows of 64 tokens and the model's special ones.

    Args:
        backbone: from `load_for_maps`.
        draws: sequences that are drawn; 0 measures nothing.
        most: tokens of a window, special ones included.
        seed: of the draws.

    Returns:
        Nothing where fewer than two tokens could be repeated.
    """
    before, behind, ids = *_special_ids(backbone), ordinary_ids(backbone)
    length = min(LENGTH, (min(most, backbone.longest or most) - len(before) - len(behind)) // 2, len(ids))
    if length < 2 or not draws:
        return {}
    generator = np.random.default_rng(seed)
    drawn = [generator.choice(ids, size=length, replace=False).tolist() for _ in range(draws)]
    total = torch.zeros(*shape_of(backbone.model), len(NAMES), dtype=torch.float64)

    def add(layer: int, maps: Tensor) -> None:
        total[layer] += repeat_scores(maps, len(before), length).double().sum(dim=0).cpu()

    for one in drawn:  # one at a time: memory holds a layer of one sequence
        run_maps(backbone, bare_batch([(*before, *one, *one, *behind)], backbone), add)
    means = (total / draws).flatten(0, 1).numpy()
    return {name: means[:, number] for number, name in enumerate(NAMES)}


def ordinary_ids(backbone: Backbone) -> NDArray[np.int64]:
    """Token ids of the vocabulary that hold letters and are no marks of the model, rising."""
    vocabulary = fast_tokenizer(backbone).get_vocab(with_added_tokens=False)
    rows, special = backbone.model.get_input_embeddings().weight.shape[0], set(backbone.tokenizer.all_special_ids)
    ids = [
        number for token, number in vocabulary.items()
        if number < rows and number not in special and WORD.search(token) and not MARK.fullmatch(token)
    ]  # fmt: skip
    return np.array(sorted(ids), dtype=np.int64)


def _special_ids(backbone: Backbone) -> tuple[list[int], list[int]]:
    """Tokens that the model puts before and behind a text."""
    window = cut_windows(backbone, [Example("", "a b", "", 0)], WindowRule(8, 8, 1))[0][0]
    own = np.flatnonzero(~window.special)
    ids = window.ids.tolist()
    return (ids[: own[0]], ids[own[-1] + 1 :]) if len(own) else (ids, [])
