"""One process that extracts a stream of made-up texts with a toy model, and says how much memory it took.

python -m benchmarks.parts.extract_memory MODEL OUT ROWS
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

WORDS = 500


def save_words(folder: Path, **changes: int) -> Path:
    """A random encoder over plain words, of two layers unless the config is changed."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast
    from transformers.utils import logging

    torch.manual_seed(0)
    logging.disable_progress_bar()
    sizes: dict[str, Any] = {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 128,
    } | changes
    BertModel(BertConfig(vocab_size=WORDS + 2, pad_token_id=0, **sizes)).save_pretrained(folder)
    names = {"<pad>": 0, "<unk>": 1} | {f"w{place}": place + 2 for place in range(WORDS)}
    words = Tokenizer(models.WordLevel(names, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", unk_token="<unk>").save_pretrained(folder)
    return folder


def stream(rows: int, seed: int = 0, longest: int = 40) -> Iterator[str]:
    """Texts of 4 to `longest` random words, made one by one."""
    generator = np.random.default_rng(seed)
    for _ in range(rows):
        yield " ".join(
            f"w{word}" for word in generator.integers(0, WORDS, size=int(generator.integers(4, longest + 1)))
        )


def peak_mib() -> float:
    """Peak resident memory of this process so far."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    found = [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")]
    return found[0] if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(arguments: list[str]) -> int:
    """Extract, and print peak memory at the start and at the end."""
    from separatrix.extraction.extract import Destination, extract, run_extraction
    from separatrix.extraction.readers import frozen_model
    from separatrix.extraction.windows import read_rows
    from separatrix.models.load import load_backbone
    from separatrix.recipe import ModelRecipe
    from separatrix.recipe.vectors import ExtractRecipe, VectorsRecipe

    model, out, rows = arguments[0], arguments[1], int(arguments[2])
    backbone = load_backbone(ModelRecipe(model=model, device="cpu"))
    extract(list(stream(64, seed=1)), model=backbone)  # whatever is loaded at the first use
    start = peak_mib()
    material = frozen_model(backbone, ExtractRecipe(vectors=VectorsRecipe(pool=("mean", "cls"))))
    found = run_extraction(material, read_rows(stream(rows)), Destination(Path(out)))
    print(json.dumps({"start_mib": start, "peak_mib": peak_mib(), "width": found.width, "rows": found.rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
