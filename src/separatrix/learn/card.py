"""A trained encoder on disk as others read it: transformers, sentence-transformers, and people (README.md)."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from separatrix.learn.encoder import Encoder
from separatrix.models.quiet import quietly
from separatrix.models.source import hash_files
from separatrix.recipe.align import AlignRecipe
from separatrix.store.files import write_bytes, write_json

# Poolings that sentence-transformers knows, by its own names.
POOLINGS = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token"}
MODES = (
    "pooling_mode_cls_token",
    "pooling_mode_mean_tokens",
    "pooling_mode_max_tokens",
    "pooling_mode_mean_sqrt_len_tokens",
)


def write_encoder(folder: Path, encoder: Encoder, recipe: AlignRecipe, base: dict[str, Any], names: tuple) -> None:
    """Write weights, config, tokenizer, the card, and (for poolings that it knows) sentence-transformers' files."""
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    with quietly():
        encoder.backbone.body.save_pretrained(part)
        encoder.backbone.tokenizer.save_pretrained(part)
    known = recipe.encoder.pool in POOLINGS
    if known:
        _write_modules(part, encoder, recipe)
    write_bytes(part / "README.md", _card(recipe, base, names, known).encode())
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


def weights_of(folder: Path) -> str:
    """SHA-256 over the weights in a folder."""
    return hash_files(sorted(folder.glob("*.safetensors")))


def _write_modules(folder: Path, encoder: Encoder, recipe: AlignRecipe) -> None:
    backbone = encoder.backbone
    module = "sentence_transformers.models"
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": f"{module}.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": f"{module}.Pooling"},
    ]
    write_json(folder / "modules.json", modules)
    limit = (
        recipe.backbone.max_length if backbone.longest is None else min(recipe.backbone.max_length, backbone.longest)
    )
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": limit, "do_lower_case": False})
    mode = POOLINGS[recipe.encoder.pool]
    pooling = {"word_embedding_dimension": backbone.width} | {name: name == mode for name in MODES}
    write_json(folder / "1_Pooling" / "config.json", pooling)


def _card(recipe: AlignRecipe, base: dict[str, Any], names: tuple, known: bool) -> str:
    aim, pairing, loop = recipe.objective, recipe.pairing, recipe.loop
    shown = ", ".join(map(str, names[:60])) + (", ..." if len(names) > 60 else "")
    partners = "" if aim.loss in ("linear", "centroid_ce") else f", pairs from {pairing.pairs} ({pairing.draw})"
    reading = (
        ["from sentence_transformers import SentenceTransformer", 'SentenceTransformer("FOLDER").encode(["a text"])']
        if known
        else [
            "from transformers import AutoModel",
            f'AutoModel.from_pretrained("FOLDER")  # pooling: {recipe.encoder.pool}',
        ]
    )
    lines = [
        "---",
        "library_name: sentence-transformers" if known else "library_name: transformers",
        "pipeline_tag: sentence-similarity",
        "tags: [separatrix, text-classification, embeddings]",
        "---",
        "",
        "# An encoder aligned to classes",
        "",
        f"{base['name']} (weights {base['weights'][:12]}), trained by separatrix so that the vectors of one class "
        "stand together: texts of one class have a high cosine, texts of different classes a low one.",
        "",
        f"- classes ({len(names)}): {shown}",
        f"- objective: {aim.loss}, temperature {aim.temperature:g}{partners}",
        f"- training: {loop.epochs} epochs, batch {loop.batch_size}, learning rate {loop.lr:g}, seed {loop.seed}",
        f"- pooling: {recipe.encoder.pool}; texts are cut to {recipe.backbone.max_length} tokens; compare by cosine",
        "",
        "```python",
        *reading,
        "```",
        "",
        "The vectors know these classes and little else: for other texts than those of the training data they are",
        "untested. Scores with their intervals stand in `result.json` beside this folder.",
        "",
    ]
    return "\n".join(lines)
