"""Fine-tuning for question answering: a plain span head on the model, trained as is usual.

The result is a model folder that everything else here opens, so that maps before and after compare. The loop is a
dozen lines: batches of windows, two cross-entropies, AdamW, a rate that falls in a straight line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from separatrix.errors import DataError, ModelError
from separatrix.heads.answers import Span, SquadScores, answer, best_span, squad_scores, target_span
from separatrix.heads.maps import collate, forward, load_for_maps, window_batches
from separatrix.heads.windows import Window, WindowRule, cut_windows
from separatrix.models.backbone import Backbone
from separatrix.models.quiet import quietly
from separatrix.models.randomness import OwnRandomness
from separatrix.progress import Progress, silent
from separatrix.recipe import ModelRecipe
from separatrix.recipe.heads import AnswerRecipe
from separatrix.texts.questions_answers import Example

EVALUATION_CELLS = 1 << 19  # tokens squared of a batch


@dataclass(frozen=True)
class Answered:
    """A trained model, where it is, and how well it answers."""

    folder: Path
    scores: SquadScores
    losses: tuple[float, ...]  # mean of each epoch
    windows: int  # trained on
    left_out: int  # training windows whose answer has no usable offset
    answers: dict[str, str]  # question id -> answer

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; the answers are written apart."""
        kept = {"folder": str(self.folder), "losses": list(self.losses)}
        return kept | {"windows": self.windows, "left_out": self.left_out, "scores": asdict(self.scores)}


def finetune_qa(
    model: ModelRecipe, train: Sequence[Example], test: Sequence[Example], folder: Path, recipe: AnswerRecipe,
    progress: Progress = silent,
) -> Answered:  # fmt: skip
    """Train a span head and the model under it, evaluate, and save both.

    Args:
        model: where to start from.
        train, test: questions with contexts; no context should be in both.
        folder: of the trained model (safetensors and tokenizer).
        recipe: how.
        progress: told (stage, done, total, note).

    Raises:
        ModelError: the family has no span head.
        DataError: no training window is left, or training and test share a context.
    """
    if shared := {example.second for example in train} & {example.second for example in test}:
        raise DataError("training and test share contexts", got=f"{len(shared)} of them", hint="split by context")
    backbone = load_for_maps(replace(model, max_length=recipe.max_length))
    answering = load_span_model(backbone, recipe.seed)
    windows, targets, left_out = training_windows(backbone, train, recipe)
    losses = train_spans(answering, backbone, windows, targets, recipe, progress)
    folder.mkdir(parents=True, exist_ok=True)
    with quietly():
        answering.save_pretrained(folder)
        backbone.tokenizer.save_pretrained(folder)
    asked = some(test, recipe.test_examples, recipe.seed)
    answers = answer_questions(answering, backbone, asked, recipe, progress)
    return Answered(folder, squad_scores(asked, answers), losses, len(windows), left_out, answers)


def some(examples: Sequence[Example], most: int | None, seed: int) -> list[Example]:
    """At most so many examples, drawn by the seed, in their order.

    >>> some([Example(str(row), "q", "c", 0) for row in range(9)], 3, 0) == some([], 3, 0)
    False
    """
    if most is None or most >= len(examples):
        return list(examples)
    places = np.sort(np.random.default_rng([seed, 6]).permutation(len(examples))[:most])
    return [examples[place] for place in places]


def load_span_model(backbone: Backbone, seed: int) -> Any:
    """The backbone's checkpoint with a span head; a head that the checkpoint lacks is drawn by the seed.

    Raises:
        ModelError: the family has no span head.
    """
    from transformers import AutoModelForQuestionAnswering

    try:
        with quietly(), OwnRandomness(seed):
            made = AutoModelForQuestionAnswering.from_pretrained(
                backbone.source.folder,
                attn_implementation="eager",
                use_safetensors=True,
                trust_remote_code=backbone.recipe.trust_remote_code,
            )
    except ValueError as error:
        kind = backbone.model.config.model_type
        raise ModelError(f"{kind} models have no head for question answering", hint="give an encoder") from error
    return made.to(backbone.device)


def training_windows(
    backbone: Backbone, train: Sequence[Example], recipe: AnswerRecipe
) -> tuple[list[Window], list[tuple[int, int]], int]:
    """Windows, the tokens of their answers, and how many were left out for want of an offset.

    Raises:
        DataError: none is left.
    """
    windows, targets, left_out = [], [], 0
    for example, group in zip(train, cut_windows(backbone, train, _rule(recipe)), strict=True):
        for window in group:
            target = target_span(window, example)
            if target is None:
                left_out += 1
            else:
                windows.append(window)
                targets.append(target)
    if not windows:
        raise DataError("no window can be trained on", got=f"{left_out} without a usable answer offset")
    kept = len(windows) if recipe.train_windows is None else min(recipe.train_windows, len(windows))
    order = np.sort(np.random.default_rng(recipe.seed).permutation(len(windows))[:kept])
    return [windows[place] for place in order], [targets[place] for place in order], left_out


def _rule(recipe: AnswerRecipe) -> WindowRule:
    return WindowRule(recipe.max_length, recipe.stride, recipe.max_query_length)


def train_spans(
    model: Any, backbone: Backbone, windows: Sequence[Window], targets: Sequence[tuple[int, int]],
    recipe: AnswerRecipe, progress: Progress,
) -> tuple[float, ...]:  # fmt: skip
    """Train in place; the mean loss of each epoch."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)
    steps = recipe.epochs * -(-len(windows) // recipe.batch_size)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_share(step, steps, recipe.warmup))
    generator, losses, done = np.random.default_rng(recipe.seed), [], 0
    dropout = OwnRandomness(recipe.seed)
    for epoch in range(recipe.epochs):
        total, order = 0.0, generator.permutation(len(windows))
        for start in range(0, len(order), recipe.batch_size):
            places = order[start : start + recipe.batch_size]
            with dropout:
                loss = span_loss(model.train(), backbone, [windows[p] for p in places], [targets[p] for p in places])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip if recipe.clip > 0 else torch.inf)
            optimizer.step()
            schedule.step()
            total, done = total + float(loss.detach()) * len(places), done + 1
            progress("training", done, steps, f"epoch {epoch + 1}, loss {float(loss.detach()):.3f}")
        losses.append(total / len(order))
    model.eval()
    return tuple(losses)


def rate_share(step: int, steps: int, warmup: float) -> float:
    """Share of the learning rate: up in a straight line, then down to 0.

    >>> [round(rate_share(step, 10, 0.2), 3) for step in (0, 1, 2, 6, 10)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    rising = int(warmup * steps)
    if step < rising:
        return step / rising
    return max(0.0, (steps - step) / max(1, steps - rising))


def span_loss(model: Any, backbone: Backbone, windows: Sequence[Window], targets: Sequence[tuple[int, int]]) -> Tensor:
    """Mean of the cross-entropies of start and end."""
    goal = torch.tensor(targets, device=backbone.device)  # (rows, 2)
    start, end = span_scores(model, backbone, windows)
    return (cross_entropy(start, goal[:, 0]) + cross_entropy(end, goal[:, 1])) / 2


def span_scores(model: Any, backbone: Backbone, windows: Sequence[Window]) -> tuple[Tensor, Tensor]:
    """Scores of start and end, each (rows, tokens); pads have none."""
    batch = collate(windows, backbone)
    found = forward(model, backbone, batch)
    pads = ~batch.mask
    return found.start_logits.float().masked_fill(pads, -1e9), found.end_logits.float().masked_fill(pads, -1e9)


def answer_questions(
    model: Any, backbone: Backbone, examples: Sequence[Example], recipe: AnswerRecipe, progress: Progress = silent
) -> dict[str, str]:
    """An answer to every question, by id; '' for none."""
    groups = cut_windows(backbone, examples, _rule(recipe))
    windows = [window for group in groups for window in group]
    spans: list[Span | None] = [None] * len(windows)
    done = 0
    model.eval()
    with torch.no_grad():
        for places in window_batches(windows, EVALUATION_CELLS):
            start, end = span_scores(model, backbone, [windows[place] for place in places])
            for row, place in enumerate(places):
                size = len(windows[place])
                first, last = (table[row, :size].cpu().numpy() for table in (start, end))
                spans[place] = best_span(windows[place], first, last, recipe)
            done += len(places)
            progress("evaluation", done, len(windows), "")
    answers, at = {}, 0
    for example, group in zip(examples, groups, strict=True):
        own = [span for span in spans[at : at + len(group)] if span is not None]
        answers[example.id] = answer(example, own, recipe.null_threshold)
        at += len(group)
    return answers
