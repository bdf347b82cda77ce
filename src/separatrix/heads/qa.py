"""Questions and contexts as windows of a model with a span head, and its answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from separatrix.codes import draw_some
from separatrix.errors import DataError
from separatrix.heads.answers import Span, answer, best_span, target_span
from separatrix.heads.maps import collate, forward, window_batches
from separatrix.heads.windows import Window, WindowRule, cut_windows, unread_in
from separatrix.models.backbone import Backbone
from separatrix.models.tokens import UnreadCounts
from separatrix.progress import Progress, silent
from separatrix.recipe.heads import AnswerRecipe
from separatrix.texts.questions_answers import Example

EVALUATION_CELLS = 1 << 19  # tokens squared of a batch
PAD_SCORE = -1e9


def training_windows(
    backbone: Backbone, train: Sequence[Example], recipe: AnswerRecipe
) -> tuple[list[Window], list[tuple[int, int]], int, UnreadCounts]:
    """Windows, the tokens of their answers, how many were left out for want of an offset, what could not be read.

    Raises:
        DataError: none is left.
    """
    windows, targets, left_out = [], [], 0
    cut = cut_windows(backbone, train, _rule(recipe))
    for example, group in zip(train, cut, strict=True):
        for window in group:
            target = target_span(window, example)
            if target is None:
                left_out += 1
            else:
                windows.append(window)
                targets.append(target)
    if not windows:
        raise DataError("no window can be trained on", got=f"{left_out} without a usable answer offset")
    order = draw_some(len(windows), recipe.train_windows or len(windows), recipe.seed)
    unread = unread_in(backbone, train, cut)
    return [windows[row] for row in order], [targets[row] for row in order], left_out, unread


def _rule(recipe: AnswerRecipe) -> WindowRule:
    return WindowRule(recipe.max_length, recipe.stride, recipe.max_query_length)


def span_scores(model: Any, backbone: Backbone, windows: Sequence[Window]) -> Tensor:
    """Scores of each token as start and as end of the answer, (rows, tokens, 2); pads have none."""
    batch = collate(windows, backbone)
    outputs = forward(model, backbone, batch)
    scores = torch.stack([outputs.start_logits, outputs.end_logits], dim=2).float()
    return scores.masked_fill(~batch.mask[:, :, None], PAD_SCORE)


@torch.no_grad()
def answer_questions(
    model: Any, backbone: Backbone, examples: Sequence[Example], recipe: AnswerRecipe, progress: Progress = silent
) -> tuple[dict[str, str], UnreadCounts]:
    """An answer to every question, by id; '' for none; and what could not be read."""
    groups = cut_windows(backbone, examples, _rule(recipe))
    windows = [window for group in groups for window in group]
    spans: dict[int, Span] = {}
    model.eval()
    for rows in window_batches(windows, EVALUATION_CELLS):
        scores = span_scores(model, backbone, [windows[row] for row in rows]).cpu().numpy()
        for row, table in zip(rows, scores, strict=True):
            start, end = table[: len(windows[row])].T  # (tokens,) each
            spans[row] = best_span(windows[row], start, end, recipe)
        progress("evaluation", len(spans), len(windows), "")
    ordered = iter([spans[row] for row in range(len(windows))])
    answers = {
        example.id: answer(example, [next(ordered) for _ in group], recipe.null_threshold)
        for example, group in zip(examples, groups, strict=True)
    }
    return answers, unread_in(backbone, examples, groups)
