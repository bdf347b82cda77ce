"""The rows of a token table that some texts use, trained in the table's stead.

A word that no training text has gets no gradient and stays as it is. Yet with the whole table trained, every step
fills, measures and moves all its rows: of 30,522, a set of questions uses some three thousand. Here those alone learn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from separatrix.models.backbone import Backbone


class TokenRows:
    """The used rows of a table, (used, width), as a leaf; the table itself is no longer trained, and lags behind it.

    Args:
        modules: all that look tokens up in one table, (vocabulary, width).
        ids: of the tokens that are used; in any order, doubles allowed.
    """

    def __init__(self, modules: Sequence[nn.Embedding], ids: np.ndarray) -> None:
        self.modules, self.table = modules, modules[0].weight
        device = self.table.device
        self.ids = torch.from_numpy(np.unique(ids)).to(device)  # (used,)
        self._places = torch.full((len(self.table),), -1, device=device)  # (vocabulary,); an index of -1 is refused
        self._places[self.ids] = torch.arange(len(self.ids), device=device)
        self._pads = [None if (pad := one.padding_idx) is None else int(self._places[pad]) for one in modules]
        self.table.requires_grad_(False)
        self.rows = nn.Parameter(self.table.detach()[self.ids].clone())

    @contextmanager
    def standing_in(self) -> Iterator[None]:
        """Look tokens up in the rows inside the block, with gradient."""
        pads = [one.padding_idx for one in self.modules]
        hooks = [one.register_forward_pre_hook(self._place) for one in self.modules]
        for module, pad in zip(self.modules, self._pads, strict=True):
            module.weight, module.padding_idx = self.rows, pad
        try:
            yield
        finally:
            for module, pad, hook in zip(self.modules, pads, hooks, strict=True):
                hook.remove()
                module.weight, module.padding_idx = self.table, pad

    def write_back(self) -> None:
        """Bring the table up to date."""
        with torch.no_grad():
            self.table.index_copy_(0, self.ids, self.rows.detach())

    def _place(self, _module: nn.Module, values: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self._places[values[0]], *values[1:])


def used_rows(backbone: Backbone, texts: Iterable[tuple[int, ...]]) -> TokenRows | None:
    """The rows that texts and special tokens use; None where the table is frozen, or looked up in an unusual way."""
    table = backbone.embedding
    modules = [one for one in backbone.body.modules() if getattr(one, "weight", None) is table]
    if not table.requires_grad or not modules or not all(_is_usual(one) for one in modules):
        return None
    ids = np.fromiter((one for text in texts for one in text), dtype=np.int64)
    ids = np.where(ids < 0, -1 - ids, ids)  # tokens of second texts
    special = np.array([one for one in _special(backbone) if 0 <= one < len(table)], dtype=np.int64)
    return TokenRows(modules, np.concatenate([ids, special]))


def _is_usual(module: nn.Module) -> bool:
    usual = isinstance(module, nn.Embedding) and module.max_norm is None
    return usual and not module.sparse and not module.scale_grad_by_freq


def _special(backbone: Backbone) -> list[int]:
    """Tokens that a family may put in by itself: pads to a whole block, the ends of a text."""
    config, tokenizer = backbone.model.config, backbone.tokenizer
    ends = ("pad", "bos", "eos", "sep", "cls", "decoder_start")
    named = [getattr(config, f"{name}_token_id", None) for name in ends]
    flat = [one for value in named for one in (value if isinstance(value, list) else [value])]
    pads = [one.padding_idx for one in backbone.body.modules() if isinstance(one, nn.Embedding)]
    return [one for one in [*flat, *pads, *tokenizer.all_special_ids, backbone.pad] if one is not None]
