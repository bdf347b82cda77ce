"""Fine-tuning for question answering as a run on disk: a model folder, its answers, its scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pandas as pd

from separatrix.errors import DataError
from separatrix.heads.qa import Answered, finetune_qa
from separatrix.progress import Progress, silent
from separatrix.recipe import ModelRecipe, to_dict
from separatrix.recipe.heads import AnswerRecipe
from separatrix.store.artifacts import resume_artifact
from separatrix.store.files import write_json
from separatrix.store.folder import RECIPE, RESULT
from separatrix.store.table import write_table
from separatrix.texts.questions_answers import Example, read_material

ANSWERS = "answers.parquet"


def split_by_context(
    examples: Sequence[Example], share: float, seed: int
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Training and test examples; all questions about one context stay on one side.

    Raises:
        DataError: fewer than two contexts.
    """
    contexts = sorted({example.context for example in examples})
    if len(contexts) < 2:
        raise DataError("one context cannot be split", got=len(contexts), expected="2 or more")
    order = np.random.default_rng(seed).permutation(contexts)
    held = set(order[: min(max(1, round(share * len(contexts))), len(contexts) - 1)].tolist())
    train = tuple(example for example in examples if example.context not in held)
    return train, tuple(example for example in examples if example.context in held)


def answer_run(
    data: str | Path, out: str | Path, model: ModelRecipe, recipe: AnswerRecipe, *, test: str | Path | None = None,
    test_share: float = 0.2, overwrite: bool = False, progress: Progress = silent,
) -> dict[str, Any]:  # fmt: skip
    """Train a model to answer questions and score it.

    Args:
        data: questions with contexts.
        out: folder of the trained model, which `heads --model` opens.
        model: where to start from.
        recipe: how.
        test: questions to score on; by default, a share of the contexts of `data` is held out.
        test_share: that share.
        overwrite: replace what is in `out`.
        progress: told (stage, done, total, note).

    Raises:
        DataError: nothing to train on, or contexts in both parts.
        ModelError: a family without a span head.
        StoreError: `out` is taken.
    """
    begun, material = monotonic(), read_material(data)
    if test is None:
        train, held = split_by_context(material.examples, test_share, recipe.seed)
    else:
        train, held = material.examples, read_material(test).examples
    folder = Path(out)
    plain = {"model": to_dict(model), "answers": to_dict(recipe), "data": str(data)}
    inputs = (data, test, model.model)
    with resume_artifact(folder, "answers", plain, overwrite=overwrite, resume=None, inputs=inputs):
        found = finetune_qa(model, train, held, folder, recipe, progress)
        write_json(folder / RECIPE, plain)
        write_table(folder / ANSWERS, answer_table(held, found))
        result = found.to_dict() | {
            "notes": list(material.notes), "seconds": round(monotonic() - begun, 2), "questions": len(train),
            "share_empty": float(np.mean([not text for text in found.answers.values()])),
            "baseline_exact": found.scores.no_answer_total / max(1, found.scores.total),
            "warnings": doubts(found),
        }  # fmt: skip
        write_json(folder / RESULT, result)
    return result


def doubts(found: Answered) -> list[str]:
    """What the scores hide: a model that never answers scores the share of questions without an answer."""
    scores, answers = found.scores, list(found.answers.values())
    if answers and not any(answers):
        share = f"{scores.no_answer_total} of {scores.total} questions have no answer"
        return [f"every answer is empty, and {share}: the exact match of {scores.exact:.3f} is this share alone"]
    if scores.has_answer_total and not scores.has_answer_f1:
        return ["no question that has an answer got a word of it: the model has not learnt to answer"]
    return []


def answer_table(examples: Sequence[Example], found: Answered) -> pd.DataFrame:
    """One line a question that was asked."""
    asked = [example for example in examples if example.id in found.answers]
    return pd.DataFrame(
        {
            "id": [example.id for example in asked],
            "question": [example.first for example in asked],
            "context": [example.context for example in asked],
            "answer": [found.answers[example.id] for example in asked],
            "right": [list(example.golds) for example in asked],
        }
    )
