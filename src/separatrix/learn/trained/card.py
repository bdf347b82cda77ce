"""A trained encoder on disk as others read it: transformers, sentence-transformers, and people (README.md)."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined

from separatrix.learn.trainables.encoder import Encoder
from separatrix.models.config import layer_count
from separatrix.models.quiet import save_pretrained
from separatrix.recipe.align import AlignRecipe
from separatrix.store.files import write_bytes, write_json, write_tensors

# sentence-transformers' poolings of tokens by its own names. Where several layers count, their tokens are mixed first.
MODES = (
    "pooling_mode_cls_token",
    "pooling_mode_mean_tokens",
    "pooling_mode_max_tokens",
    "pooling_mode_mean_sqrt_len_tokens",
)
TEMPLATE = Path(__file__).with_name("card.md.j2")  # Markdown: nothing is escaped
HEATED = ("nca", "supcon", "centroid_ce")  # losses that divide cosines by the temperature
PAIRED = ("nca", "supcon", "cosine_mse")  # losses that compare rows with rows


def write_encoder(
    folder: Path, encoder: Encoder, recipe: AlignRecipe, base: dict[str, Any], names: tuple, rows: int | None = None
) -> None:
    """Write weights, config, tokenizer, the card, and the files that sentence-transformers reads.

    Args:
        folder: where to; what stands there is replaced.
        encoder: what was trained.
        recipe: of the training.
        base: identity of the model that training began with.
        names: the classes.
        rows: rows of the index beside the folder, if the card is to name their number.
    """
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    save_pretrained(part, encoder.backbone.body, encoder.backbone.tokenizer)
    limit = text_limit(encoder, recipe)
    _write_modules(part, encoder, recipe, limit)
    write_bytes(part / "README.md", encoder_card(recipe, base, names, limit, rows).encode())
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


def text_limit(encoder: Encoder, recipe: AlignRecipe) -> int:
    """Tokens that are left of a text."""
    longest, limit = encoder.backbone.longest, recipe.backbone.max_length
    return limit if longest is None else min(limit, longest)


def _shares(encoder: Encoder, recipe: AlignRecipe) -> np.ndarray | None:
    """How much each layer counts, (layers,) without the embeddings; None where the last one alone does."""
    if encoder.mix is not None:
        return encoder.mix.detach().softmax(dim=0).cpu().numpy()
    layers = layer_count(encoder.backbone.model.config)
    return np.full(layers, 1 / layers, dtype=np.float32) if recipe.encoder.pool == "layer_mean" else None


def _write_modules(folder: Path, encoder: Encoder, recipe: AlignRecipe, limit: int) -> None:
    width, shares = {"word_embedding_dimension": encoder.backbone.width}, _shares(encoder, recipe)
    options: dict[str, Any] = {"max_seq_length": limit, "do_lower_case": False}
    paths = {"Transformer": "", "Pooling": "1_Pooling"}
    if shares is not None:
        paths = {"Transformer": "", "WeightedLayerPooling": "1_WeightedLayerPooling", "Pooling": "2_Pooling"}
        options["config_args"] = {"output_hidden_states": True}
        layers = {"layer_start": 1, "num_hidden_layers": len(shares)}  # layer 0 are the embeddings
        write_json(folder / paths["WeightedLayerPooling"] / "config.json", width | layers)
        write_tensors(folder / paths["WeightedLayerPooling"] / "model.safetensors", {"layer_weights": shares})
    if _by_cosine(recipe):
        paths["Normalize"] = f"{len(paths)}_Normalize"  # unit vectors, as the index beside the folder holds them
        (folder / paths["Normalize"]).mkdir()  # the module has no settings
    mode = "pooling_mode_cls_token" if recipe.encoder.pool == "cls" else "pooling_mode_mean_tokens"
    write_json(folder / paths["Pooling"] / "config.json", width | {name: name == mode for name in MODES})
    write_json(folder / "sentence_bert_config.json", options)
    modules = [
        {"idx": idx, "name": str(idx), "path": path, "type": f"sentence_transformers.models.{name}"}
        for idx, (name, path) in enumerate(paths.items())
    ]
    write_json(folder / "modules.json", modules)


def _by_cosine(recipe: AlignRecipe) -> bool:
    """Whether the vectors are compared by cosine; of a plain fine-tuning the head reads them as they are."""
    return recipe.objective.loss != "linear" or recipe.answers.decision != "head"


def encoder_card(
    recipe: AlignRecipe, base: dict[str, Any], names: tuple, limit: int, rows: int | None,
    run: dict[str, Any] | None = None, address: str = "FOLDER",
) -> str:  # fmt: skip
    """README.md; without figures of a run, the paths in it are those that `AlignModel.save` writes."""
    return render_card(
        "align", recipe=recipe, base=base, names=names, limit=limit, rows=rows, by_cosine=_by_cosine(recipe), run=run,
        address=address,
    )  # fmt: skip


def render_card(kind: str, **values: Any) -> str:
    """The card of a trained prompt or encoder ("align"); `run` holds its figures, or is None."""
    environment = Environment(keep_trailing_newline=True, undefined=StrictUndefined, finalize=_on_one_line)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(kind=kind, heated=HEATED, paired=PAIRED, **values)


def _on_one_line(value: Any) -> Any:
    """What others named (classes, a model, a license) cannot begin a line of the card."""
    return re.sub(r"\s*[\r\n]\s*", " ", value) if isinstance(value, str) else value
