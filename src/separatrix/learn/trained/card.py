"""A trained encoder on disk as others read it: transformers, sentence-transformers, and people (README.md)."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from separatrix.learn.trainables.encoder import Encoder
from separatrix.models.config import layer_count
from separatrix.models.quiet import save_pretrained
from separatrix.models.source import hash_files
from separatrix.recipe.align import AlignRecipe
from separatrix.store.files import write_bytes, write_json, write_tensors

# sentence-transformers' poolings of tokens by its own names. Where several layers count, their tokens are mixed first.
MODES = (
    "pooling_mode_cls_token",
    "pooling_mode_mean_tokens",
    "pooling_mode_max_tokens",
    "pooling_mode_mean_sqrt_len_tokens",
)
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
    limit = _limit(encoder, recipe)
    _write_modules(part, encoder, recipe, limit)
    write_bytes(part / "README.md", _card(recipe, base, names, limit, rows).encode())
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


def weights_of(folder: Path) -> str:
    """SHA-256 over the weights in a folder."""
    return hash_files(sorted(folder.glob("*.safetensors")))


def _limit(encoder: Encoder, recipe: AlignRecipe) -> int:
    """Tokens that are left of a text."""
    longest, asked = encoder.backbone.longest, recipe.backbone.max_length
    return asked if longest is None else min(asked, longest)


def _shares(encoder: Encoder, recipe: AlignRecipe) -> np.ndarray | None:
    """How much each layer counts, (layers,) without the embeddings; None where the last one alone does."""
    if encoder.mix is not None:
        return encoder.mix.detach().softmax(dim=0).cpu().numpy()
    layers = layer_count(encoder.backbone.model.config)
    return np.full(layers, 1 / layers, dtype=np.float32) if recipe.encoder.pool == "layer_mean" else None


def _write_modules(folder: Path, encoder: Encoder, recipe: AlignRecipe, limit: int) -> None:
    width, shares = {"word_embedding_dimension": encoder.backbone.width}, _shares(encoder, recipe)
    options: dict[str, Any] = {"max_seq_length": limit, "do_lower_case": False}
    places = {"Transformer": "", "Pooling": "1_Pooling"}
    if shares is not None:
        places = {"Transformer": "", "WeightedLayerPooling": "1_WeightedLayerPooling", "Pooling": "2_Pooling"}
        options["config_args"] = {"output_hidden_states": True}
        layers = {"layer_start": 1, "num_hidden_layers": len(shares)}  # layer 0 are the embeddings
        write_json(folder / places["WeightedLayerPooling"] / "config.json", width | layers)
        write_tensors(folder / places["WeightedLayerPooling"] / "model.safetensors", {"layer_weights": shares})
    if _by_cosine(recipe):
        places["Normalize"] = f"{len(places)}_Normalize"  # unit vectors, as the index beside the folder holds them
        (folder / places["Normalize"]).mkdir()  # the module has no settings
    mode = "pooling_mode_cls_token" if recipe.encoder.pool == "cls" else "pooling_mode_mean_tokens"
    write_json(folder / places["Pooling"] / "config.json", width | {name: name == mode for name in MODES})
    write_json(folder / "sentence_bert_config.json", options)
    modules = [
        {"idx": idx, "name": str(idx), "path": path, "type": f"sentence_transformers.models.{name}"}
        for idx, (name, path) in enumerate(places.items())
    ]
    write_json(folder / "modules.json", modules)


def _by_cosine(recipe: AlignRecipe) -> bool:
    """Whether the vectors are compared by cosine; of a plain fine-tuning the head reads them as they are."""
    return recipe.objective.loss != "linear" or recipe.answers.decision != "head"


def _card(recipe: AlignRecipe, base: dict[str, Any], names: tuple, limit: int, rows: int | None) -> str:
    loop, tuned, decision = recipe.loop, recipe.objective.loss == "linear", recipe.answers.decision
    shown = ", ".join(map(str, names[:60])) + (", ..." if len(names) > 60 else "")
    metric = "; compare by cosine" if _by_cosine(recipe) else ""
    lines = [
        "---",
        "library_name: sentence-transformers",
        f"pipeline_tag: {'feature-extraction' if tuned else 'sentence-similarity'}",
        "tags: [separatrix, text-classification, embeddings]",
        "---",
        "",
        "# An encoder fine-tuned with a linear head" if tuned else "# An encoder aligned to classes",
        "",
        f"{base['name']} (weights {base['weights'][:12]}), trained by separatrix {_purpose(tuned)}",
        "",
        f"- classes ({len(names)}): {shown}",
        f"- objective: {_objective(recipe)}",
        f"- decision: {_decider(decision, rows)}",
        f"- training: {_length(recipe)}, batch {loop.batch_size}, learning rate {loop.lr:g}, seed {loop.seed}",
        f"- pooling: {recipe.encoder.pool}; texts are cut to {limit} tokens{metric}",
        "",
        "```python",
        "from sentence_transformers import SentenceTransformer",
        'SentenceTransformer("FOLDER").encode(["a text"])',
        "```",
        "",
        "The vectors know these classes and little else: for other texts than those of the training data they are",
        "untested. This card gives no scores; a run of `separatrix train` has them, with intervals, in `result.json`.",
        "",
    ]
    return "\n".join(lines)


def _purpose(tuned: bool) -> str:
    if tuned:
        return "so that a linear head tells the classes apart; the vectors of one class need not have a high cosine."
    return (
        "so that the vectors of one class stand together: texts of one class have a high cosine, texts of different "
        "classes a low one."
    )


def _objective(recipe: AlignRecipe) -> str:
    aim, pairing, answers = recipe.objective, recipe.pairing, recipe.answers
    if aim.loss == "linear":
        return "cross-entropy of the linear head"
    parts = [aim.loss]
    parts += [f"temperature {aim.temperature:g}"] if aim.loss in HEATED else []
    parts += [f"pairs from {pairing.pairs} ({pairing.draw})"] if aim.loss in PAIRED else []
    parts += [f"cross-entropy of a linear head with weight {answers.head_weight:g}"] if answers.head_weight else []
    return ", ".join(parts)


def _decider(decision: str, rows: int | None) -> str:
    """Who decides, and where it stands; the paths are those that `AlignModel.save` writes."""
    if decision == "head":
        return "a linear head (`model.safetensors` beside this folder)"
    held = "`index` beside this folder" + ("" if rows is None else f", {rows} rows")
    return f"{'the nearest stored rows' if decision == 'knn' else 'the nearest mean of a class'}, by cosine ({held})"


def _length(recipe: AlignRecipe) -> str:
    planned = f"{recipe.loop.epochs} epochs planned, "
    if recipe.loop.refit:
        return planned + "trained anew on training and validation rows for as many as validation chose"
    return planned + "the best on validation kept"
