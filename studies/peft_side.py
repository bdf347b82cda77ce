"""The other side of every comparison: PEFT's prompt tuning, trained as well as we know how.

PEFT puts the prompt before the text, so every step runs and differentiates the whole text. All that is not PEFT's own
is kept equal to our side: the model, the rows, the number of prompt tokens, batches of similar length from the same
seeds, warm-up and decay, clipping, fused AdamW, no dropout, the epoch that is best on validation.

Two readouts, `pool`:

- `cls`: `AutoModelForSequenceClassification` as it comes. BERT's pooler reads position 0, which is the first prompt
  token once PEFT has put the prompt there; pooler and classifier are trained with the prompt.
- `mean`: the mean of the text's own last hidden states (what sentence-transformers models are made for), and a
  trained linear head on it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from studies.common import Clock
from torch import Tensor, nn

from separatrix.errors import choose
from separatrix.learn import schedule
from separatrix.models.source import resolve
from separatrix.recipe import DEFAULT_MODEL, ModelRecipe

EVALUATION_ROWS = 128


@dataclass(frozen=True)
class PeftRecipe:
    """A whole training on PEFT's side."""

    model: str = DEFAULT_MODEL
    max_length: int = 256
    tokens: int = 8
    pool: str = "mean"
    init: str = "SAMPLE_VOCAB"
    lr: float = 1e-2
    head_lr: float | None = None  # None: that of the prompt
    epochs: int = 10
    batch_size: int = 32
    warmup: float = 0.1
    clip: float = 1.0


@dataclass(frozen=True)
class TokenRows:
    """A split: token ids without padding, and class numbers (rows,)."""

    ids: list[list[int]]
    labels: np.ndarray

    @property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, (rows,)."""
        return np.array([len(row) for row in self.ids])


@dataclass(frozen=True)
class Check:
    """One look at validation."""

    seconds: float  # of training, all looks left out
    epoch: float
    accuracy: float


@dataclass(frozen=True)
class PeftRun:
    """The looks at validation, and the scores of other rows by the best tensors seen at one."""

    checks: list[Check]
    best: Check
    scores: Callable[[TokenRows], np.ndarray]


class PromptedModel(nn.Module):
    """PEFT's model with its readout: (ids, mask) -> logits (rows, classes)."""

    def __init__(self, recipe: PeftRecipe, classes: int) -> None:
        super().__init__()
        from peft import PromptTuningConfig
        from transformers import AutoModel, AutoModelForSequenceClassification

        choose(recipe.pool, ("mean", "cls"), "pool")
        folder = resolve(ModelRecipe(model=recipe.model)).folder
        task = "SEQ_CLS" if recipe.pool == "cls" else "FEATURE_EXTRACTION"
        config = PromptTuningConfig(task_type=task, num_virtual_tokens=recipe.tokens, prompt_tuning_init=recipe.init)
        self.peft = (
            load_quietly(AutoModelForSequenceClassification, folder, config, num_labels=classes)
            if recipe.pool == "cls"
            else load_quietly(AutoModel, folder, config)
        )
        width = self.peft.get_base_model().config.hidden_size
        self.head = nn.Linear(width, classes) if recipe.pool == "mean" else None
        self.tokens, self.pool = recipe.tokens, recipe.pool
        for name, tensor in self.peft.named_parameters():
            if recipe.pool == "cls" and any(part in name for part in (".pooler.", "classifier", "score")):
                tensor.requires_grad_(True)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Logits of a padded batch; ids and mask (rows, tokens)."""
        found = self.peft(input_ids=ids, attention_mask=mask)
        if self.head is None:
            return found.logits
        states = found.last_hidden_state[:, self.tokens :]  # (rows, tokens, width): the prompt's own are left out
        weight = mask[..., None].to(states.dtype)
        return self.head((states * weight).sum(1) / weight.sum(1))

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """The trained tensors: the prompt, and the head (with the pooler, for `cls`)."""
        trained = [(name, tensor) for name, tensor in self.named_parameters() if tensor.requires_grad]
        return {
            "prompt": [tensor for name, tensor in trained if "prompt_encoder" in name],
            "head": [tensor for name, tensor in trained if "prompt_encoder" not in name],
        }


def load_quietly(kind: Any, folder: Path, config: Any, **options: Any) -> Any:
    """A model with PEFT around it, without loading bars and the warning that a new head is untrained."""
    from peft import get_peft_model
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT asks transformers for an attribute under its old name
        return get_peft_model(kind.from_pretrained(folder, attn_implementation="sdpa", **options), config)


def tokenize(texts: Sequence[str], labels: np.ndarray, recipe: PeftRecipe) -> TokenRows:
    """Token ids of texts, cut as on our side."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(resolve(ModelRecipe(model=recipe.model)).folder)
    return TokenRows(tokenizer(list(texts), truncation=True, max_length=recipe.max_length)["input_ids"], labels)


def train_peft(
    train: TokenRows,
    validation: TokenRows,
    classes: int,
    recipe: PeftRecipe,
    *,
    seed: int,
    looks: int = 1,
    clock: Clock | None = None,
) -> PeftRun:
    """Train prompt and head.

    Args:
        train: rows to learn from.
        validation: rows to choose the best tensors by.
        classes: number of classes.
        recipe: everything else.
        seed: of prompt, head and batches.
        looks: times that validation is looked at in an epoch, the last time at its end.
        clock: what counts the seconds; the wall's if absent.
    """
    torch.manual_seed(seed)  # PEFT and torch.nn draw their starts from the global state
    model = PromptedModel(recipe, classes).eval()  # eval: no dropout
    training = _Training(model, train, validation, recipe, clock or Clock())
    for epoch in range(recipe.epochs):
        order = schedule.batches(train.lengths, recipe.batch_size, seed, epoch)
        due = look_steps(len(order), looks)
        for place, rows in enumerate(order, start=1):
            training.clock.go()
            training.step(rows, recipe.epochs * len(order))
            if place in due:
                training.clock.pause()
                training.look(epoch + place / len(order))
    return training.finish()


class _Training:
    """Optimiser, clock and the best tensors of one training."""

    def __init__(
        self, model: PromptedModel, train: TokenRows, validation: TokenRows, recipe: PeftRecipe, clock: Clock
    ) -> None:
        self.model, self.train, self.validation, self.recipe = model, train, validation, recipe
        self.labels = torch.from_numpy(train.labels)
        groups = model.groups()
        rates = {"prompt": recipe.lr, "head": recipe.lr if recipe.head_lr is None else recipe.head_lr}
        options = [{"params": tensors, "lr": rates[name], "top": rates[name]} for name, tensors in groups.items()]
        self.optimiser = torch.optim.AdamW(options, weight_decay=0.0, fused=True)
        self.trained = [tensor for tensors in groups.values() for tensor in tensors]
        self.best: list[Tensor] = []
        self.checks: list[Check] = []
        self.clock, self.done = clock, 0

    def step(self, rows: np.ndarray, steps: int) -> None:
        """Learn from one batch; `steps` in all set the learning rate."""
        factor = schedule.rate(self.done, steps, self.recipe.warmup)
        for group in self.optimiser.param_groups:
            group["lr"] = group["top"] * factor
        loss = nn.functional.cross_entropy(self.model(*pad(self.train, rows)), self.labels[torch.from_numpy(rows)])
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if self.recipe.clip:
            nn.utils.clip_grad_norm_(self.trained, self.recipe.clip)
        self.optimiser.step()
        self.done += 1

    def look(self, epoch: float) -> None:
        """Score validation, and keep the tensors if they are the best so far."""
        right = score_rows(self.model, self.validation).argmax(1) == self.validation.labels
        past = [check.accuracy for check in self.checks]
        self.checks.append(Check(self.clock.seconds, epoch, float(right.mean())))
        if self.checks[-1].accuracy > max(past, default=-1.0):
            self.best = [tensor.detach().clone() for tensor in self.trained]

    @torch.no_grad()
    def finish(self) -> PeftRun:
        """Go back to the best tensors."""
        for tensor, kept in zip(self.trained, self.best, strict=True):
            tensor.copy_(kept)
        best = max(self.checks, key=lambda check: check.accuracy)  # the first of equals, as `look` keeps
        return PeftRun(self.checks, best, lambda rows: score_rows(self.model, rows))


def look_steps(steps: int, looks: int) -> frozenset[int]:
    """The steps of an epoch after which validation is looked at, counted from 1; the last one always.

    >>> sorted(look_steps(10, 4))
    [2, 5, 8, 10]
    """
    return schedule.frame_steps(steps, looks)


def pad(part: TokenRows, rows: np.ndarray) -> tuple[Tensor, Tensor]:
    """Right-padded ids and mask of the rows named, each (rows, longest); what is padded with plays no part."""
    longest = max(len(part.ids[row]) for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros(len(rows), longest, dtype=torch.long)
    for place, row in enumerate(rows):
        length = len(part.ids[row])
        ids[place, :length] = torch.tensor(part.ids[row])
        mask[place, :length] = 1
    return ids, mask


@torch.no_grad()
def score_rows(model: PromptedModel, part: TokenRows) -> np.ndarray:
    """Logits of all rows in their own order, (rows, classes)."""
    order = np.argsort(part.lengths, kind="stable")
    blocks = [
        model(*pad(part, order[place : place + EVALUATION_ROWS])) for place in range(0, len(order), EVALUATION_ROWS)
    ]
    scores = np.empty((len(order), blocks[0].shape[1]), np.float32)
    scores[order] = torch.cat(blocks).numpy()
    return scores
