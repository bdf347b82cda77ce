"""A GPT-2 of small size with random weights as a model folder, and texts of random tokens for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from separatrix.models.backbone import Tokens


@dataclass(frozen=True)
class Size:
    """Sizes of the model; the defaults are those of GPT2Config, the small GPT-2."""

    layers: int = 12
    width: int = 768
    heads: int = 12
    vocabulary: int = 50257

    @property
    def block_parameters(self) -> int:
        """Parameters of the matrix products of all layers: attention 4 width^2, feed-forward 8 width^2 in each."""
        return self.layers * 12 * self.width**2


# To see that a script runs; its figures mean nothing.
TINY = Size(layers=2, width=32, heads=4, vocabulary=512)


def save_gpt2(size: Size, folder: Path) -> Path:
    """Save config, random weights and a tokenizer of plain words (which no benchmark uses)."""
    import torch
    from tokenizers import Tokenizer, models
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
    from transformers.utils import logging

    torch.manual_seed(0)
    last = size.vocabulary - 1
    config = GPT2Config(
        vocab_size=size.vocabulary,
        n_embd=size.width,
        n_layer=size.layers,
        n_head=size.heads,
        bos_token_id=last,
        eos_token_id=last,
        pad_token_id=last,
        use_cache=False,
    )
    logging.disable_progress_bar()
    GPT2LMHeadModel(config).save_pretrained(folder)
    words = Tokenizer(models.WordLevel({f"w{place}": place for place in range(size.vocabulary)}, unk_token="w0"))
    PreTrainedTokenizerFast(tokenizer_object=words, eos_token=f"w{last}", unk_token="w0").save_pretrained(folder)
    return folder


def random_tokens(rows: int, tokens: int, size: Size, seed: int = 0) -> Tokens:
    """Rows of equally many random token ids."""
    ids = np.random.default_rng(seed).integers(0, size.vocabulary - 1, size=(rows, tokens))
    return Tokens(tuple(tuple(row) for row in ids.tolist()), 0)


def random_labels(rows: int, seed: int = 0) -> np.ndarray:
    """Two classes in random order, as even as can be, (rows,)."""
    return np.random.default_rng(seed).permutation(np.arange(rows) % 2)
