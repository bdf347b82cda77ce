"""What a trained prompt is made of: the words nearest to its vectors, and what the scores are without each of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from separatrix.learn.objectives.metric import cosines
from separatrix.learn.trained.prompt import PREDICT_ROWS, PREDICT_TOKENS, PromptModel
from separatrix.models.batches import token_batches
from separatrix.models.cache import TextCache
from separatrix.models.suffix import read, run_prompt, start_prompt
from separatrix.recipe import CacheRecipe
from separatrix.recipe.core import Plain

DRAWS = 199  # random vectors of the null; the smallest p-value is 1 / 200
BLOCK = 64  # vectors that are compared with the whole vocabulary at a time


@dataclass(frozen=True)
class NearestWords(Plain):
    """The words of the vocabulary that a prompt vector is nearest to."""

    words: tuple[str, ...]  # nearest first
    cosines: tuple[float, ...]
    p_value: float  # share of random vectors that are as near to a word
    start: float  # cosine with the vector that training began with


@dataclass(frozen=True)
class WordNull(Plain):
    """Cosine of random vectors with the word that each is nearest to; they have the words' mean and spread."""

    mean: float
    highest: float  # 95 % lie below
    draws: int


@torch.no_grad()
def nearest_words(model: PromptModel, count: int = 5, seed: int = 0) -> tuple[list[NearestWords], WordNull]:
    """The nearest words of each vector of a prompt at the input, so many, beside random vectors."""
    backbone, recipe = model.backbone, model.recipe
    table = backbone.embedding.detach().float()  # (vocabulary, embedding width)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(DRAWS, table.shape[1], generator=generator).to(table.device)
    random = table.mean(dim=0) + noise * table.std(dim=0)
    null = torch.cat([cosines(block, table).amax(dim=1) for block in random.split(BLOCK)]).cpu().numpy()
    names = () if model.classes is None else model.classes.names
    begun = start_prompt(recipe.prompt, backbone, model.shape, names=names, seed=recipe.loop.seed).tokens
    own = torch.cat([cosines(block, table).topk(count, dim=1).values for block in model.prompt.tokens.split(BLOCK)])
    ids = torch.cat([cosines(block, table).topk(count, dim=1).indices for block in model.prompt.tokens.split(BLOCK)])
    moved = cosines(model.prompt.tokens, begun).diagonal().tolist()
    rows = [
        NearestWords(
            tuple(backbone.tokenizer.convert_ids_to_tokens(words)), tuple(near),
            float((1 + (null >= near[0]).sum()) / (1 + DRAWS)), start,
        )
        for words, near, start in zip(ids.tolist(), own.tolist(), moved, strict=True)
    ]  # fmt: skip
    return rows, WordNull(float(null.mean()), float(np.percentile(null, 95)), DRAWS)


@torch.no_grad()
def scores_without(
    model: PromptModel, texts: Sequence[str], progress: Callable[[int], None] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of texts (rows, classes), and those without each vector in turn (tokens, rows, classes).

    No other vector sees the one that is left out, and where it is read stands its mean over these texts: so every
    readout loses what the vector says of a text, and nothing else. Texts are run twice, whatever the number of vectors.
    """
    tokens = model.backbone.tokenize(texts, reserve=model.recipe.prompt.tokens)
    cache = TextCache(model.backbone, tokens, model.shape, CacheRecipe(cache_dtype=model.cache_dtype), "off")
    batches = list(token_batches(cache.lengths, PREDICT_TOKENS, PREDICT_ROWS))
    count, total, whole = len(model.prompt.tokens), torch.zeros(()), []
    for rows in batches:
        hidden = run_prompt(model.prompt, cache.batch(rows), model.backbone)  # (rows, tokens, width)
        total = total.to(hidden.device) + hidden.double().sum(dim=0)
        whole.append(_scores(model, hidden))
        _report(progress, rows)
    mean, left = (total / len(texts)).float(), []
    for rows in batches:
        batch, each = cache.batch(rows), []
        for vector in range(count):
            hidden = run_prompt(model.prompt, batch, model.backbone, vector)
            hidden[:, vector] = mean[vector].to(hidden.dtype)
            each.append(_scores(model, hidden))
        left.append(np.stack(each))  # (tokens, rows, classes)
        _report(progress, rows)
    back = np.argsort(np.concatenate(batches))
    return np.concatenate(whole)[back], np.concatenate(left, axis=1)[:, back]


def _scores(model: PromptModel, hidden: Tensor) -> np.ndarray:
    return model.objective.scores(read(hidden, model.recipe.prompt, model.backbone)).float().cpu().numpy()


def _report(progress: Callable[[int], None] | None, rows: np.ndarray) -> None:
    if progress is not None:
        progress(len(rows))
