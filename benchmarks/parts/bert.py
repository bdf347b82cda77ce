"""BERTs with random weights as model folders, and rows of random tokens for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from separatrix.models.backbone import Tokens

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@dataclass(frozen=True)
class BertSize:
    """Sizes of the model."""

    layers: int
    width: int
    heads: int
    inner: int
    vocabulary: int = 30522


MINI = BertSize(6, 384, 12, 1536)  # all-MiniLM-L6-v2
BASE = BertSize(12, 768, 12, 3072)
TINY = BertSize(2, 32, 4, 64, 512)


def save_bert(size: BertSize, folder: Path) -> Path:
    """Save config, random weights and a tokenizer of plain words."""
    import torch
    from tokenizers import Tokenizer, models
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast
    from transformers.utils import logging

    torch.manual_seed(0)
    logging.disable_progress_bar()
    config = BertConfig(
        vocab_size=size.vocabulary, hidden_size=size.width, num_hidden_layers=size.layers,
        num_attention_heads=size.heads, intermediate_size=size.inner,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    words = [*SPECIAL, *(f"w{place}" for place in range(len(SPECIAL), size.vocabulary))]
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="[UNK]"))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    return folder


def random_tokens(rows: int, size: BertSize, seed: int = 0) -> Tokens:
    """Rows of 8 to 64 random token ids."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(8, 65, rows)
    return Tokens(tuple(tuple(rng.integers(len(SPECIAL), size.vocabulary, n).tolist()) for n in lengths), 0)
