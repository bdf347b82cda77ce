"""What a head is worth: how the loss changes when its output fades (gradient) or is taken away (ablation).

Michel et al. 2019, "Are sixteen heads really better than one?": every head gets a gate, 1 in the trained model. The
gradient score is the mean of |dL/dgate| over rows; the ablation score is the loss with the gate at 0, less the loss
as it is. A score needs a loss that the model was made for: `language` (next token, causal models) or `match` (which
context belongs to which text, for encoders of sentences).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from separatrix.errors import DataError, ModelError, choose
from separatrix.heads.maps import WindowBatch, by_layer, collate, forward, listening, shape_of, show_maps
from separatrix.heads.windows import Window, WindowRule, cut_windows
from separatrix.models.backbone import Backbone
from separatrix.models.load import load_backbone
from separatrix.texts.questions_answers import Example

TOKENS = 64  # of each text that is read for this
BATCH = 8
SCALE = 20.0  # of the cosines in `match`, as sentence encoders are trained

SCORES = {
    "gradient": "importance_gradient",
    "ablation": "importance_ablation",
}  # score -> its column of a table of heads

Loss = Callable[[Tensor], Tensor]  # gates (layers, heads) or (rows, layers, heads) -> loss (rows,)


@dataclass(frozen=True)
class Importance:
    """Scores of all heads."""

    loss: str
    gradient: NDArray[np.float64]  # (layers, heads)
    ablation: NDArray[np.float64]  # (layers, heads): loss without the head, less `base`
    base: float
    rows: int  # that the loss was computed for: a loss may leave some out

    @property
    def columns(self) -> dict[str, NDArray[np.float64]]:
        """Both scores by the names of `SCORES`, each (layers * heads,)."""
        return {SCORES["gradient"]: self.gradient.ravel(), SCORES["ablation"]: self.ablation.ravel()}


def usual_loss(backbone: Backbone, examples: Sequence[Example]) -> str:
    """The loss that suits: `language` for causal models with their head, `match` for others and pairs, else `none`."""
    if not by_layer(backbone.model):
        return "none"
    if backbone.causal and _has_head(backbone):
        return "language"
    return "match" if sum(bool(example.second) for example in examples) > 1 else "none"


def _has_head(backbone: Backbone) -> bool:
    """Whether the checkpoint says that it holds a language-model head; one that says nothing is tried."""
    names = getattr(backbone.model.config, "architectures", None) or ("LMHeadModel",)
    return any(name.endswith(("LMHeadModel", "CausalLM", "ConditionalGeneration")) for name in names)


def head_importance(backbone: Backbone, examples: Sequence[Example], loss: str, *, rows: int = 32) -> Importance:
    """Gradient and ablation scores of every head.

    Args:
        backbone: from `load_for_maps`; its weights stay as they are.
        examples: what is read; one of each context is taken.
        loss: `language` or `match`.
        rows: examples used, at most; `match` leaves out those without a pair and a last one alone, `language` those of
            one token.

    Raises:
        OptionError: another loss.
        DataError: fewer than two contexts, no pairs for `match`, or texts of one token only for `language`.
        ModelError: no language-model head for `language`, or a family whose heads cannot be weighed.
    """
    if not by_layer(backbone.model):
        raise ModelError(f"the heads of {backbone.kind} models cannot be weighed", hint="type --importance none")
    make = LOSSES[choose(loss, LOSSES, "--importance")]
    chosen = one_of_each(examples)[:rows]
    if len(chosen) < 2:
        raise DataError("too few contexts to weigh heads", got=len(chosen), expected="2 or more")
    layers, heads = shape_of(backbone.model)
    losses = make(backbone, chosen)
    gradient = torch.zeros(layers, heads, dtype=torch.float64)
    for one in losses:
        gradient += gate_gradients(one, layers, heads)
    ones = torch.ones(layers, heads)
    each = _each(losses, ones)  # (rows that were used,)
    base = float(each.mean())
    ablation = np.empty((layers, heads))
    for layer in range(layers):
        for head in range(heads):
            gates = ones.clone()
            gates[layer, head] = 0
            ablation[layer, head] = float(_each(losses, gates).mean()) - base
    return Importance(loss, (gradient / len(each)).numpy(), ablation, base, len(each))


def gate_gradients(loss: Loss, layers: int, heads: int) -> Tensor:
    """Sum over rows of |dL/dgate|, (layers, heads)."""
    with torch.no_grad():
        rows = len(loss(torch.ones(layers, heads)))
    gates = torch.ones(rows, layers, heads, requires_grad=True)
    loss(gates).sum().backward()
    assert gates.grad is not None
    return gates.grad.abs().sum(dim=0).double()


@torch.no_grad()
def _each(losses: Sequence[Loss], gates: Tensor) -> Tensor:
    """The loss of every row, (rows,)."""
    return torch.cat([loss(gates) for loss in losses]).double()


def one_of_each(examples: Sequence[Example]) -> list[Example]:
    """The first example of each context.

    >>> first, second = Example("a", "q", "c", 0), Example("b", "r", "c", 0)
    >>> [example.id for example in one_of_each([first, second])]
    ['a']
    """
    seen: dict[int, Example] = {}
    for example in examples:
        seen.setdefault(example.context, example)
    return list(seen.values())


def _read(backbone: Backbone, texts: Sequence[str]) -> list[Window]:
    """The beginnings of texts."""
    plain = [Example(str(index), text, "", index) for index, text in enumerate(texts)]
    most = min(TOKENS, backbone.longest or TOKENS)
    rule = WindowRule(most, most, 1)
    return [windows[0] for windows in cut_windows(backbone, plain, rule)]


def _language(backbone: Backbone, examples: Sequence[Example]) -> list[Loss]:
    """Next-token loss of each text."""
    speaking = load_backbone(replace(backbone.recipe), logits=True)
    show_maps(speaking)
    windows = [
        window for window in _read(speaking, [each.second or each.first for each in examples]) if len(window) > 1
    ]
    if not windows:
        raise DataError("the loss `language` needs texts of two tokens or more", hint="type --importance none")

    def loss_of(batch: WindowBatch) -> Loss:
        def loss(gates: Tensor) -> Tensor:
            with listening(None, gates.to(batch.ids.device)):
                logits = forward(speaking.model, speaking, batch).logits[:, :-1].float()
            real = batch.mask[:, 1:]
            each = cross_entropy(logits.transpose(1, 2), batch.ids[:, 1:], reduction="none") * real
            return (each.sum(dim=1) / real.sum(dim=1)).cpu()

        return loss

    return [loss_of(collate(windows[at : at + BATCH], speaking)) for at in range(0, len(windows), BATCH)]


def _match(backbone: Backbone, examples: Sequence[Example]) -> list[Loss]:
    """Cross-entropy of each text's own context among those of its batch, by the cosine of mean states."""
    pairs = [example for example in examples if example.second]
    if len(pairs) < 2:
        raise DataError("the loss `match` needs pairs of texts", hint="type --importance none")
    firsts = _read(backbone, [example.first for example in pairs])
    seconds = _read(backbone, [example.second for example in pairs])

    def vectors(batch: WindowBatch, gates: Tensor) -> Tensor:
        with listening(None, gates.to(batch.ids.device)):
            states = forward(backbone.body, backbone, batch).last_hidden_state.float()
        return normalize((states * batch.mask[..., None]).sum(dim=1), dim=-1)

    def loss_of(rows: slice) -> Loss:
        one, other = collate(firsts[rows], backbone), collate(seconds[rows], backbone)

        def loss(gates: Tensor) -> Tensor:
            scores = SCALE * vectors(one, gates) @ vectors(other, gates).T
            return cross_entropy(scores, torch.arange(len(scores), device=scores.device), reduction="none").cpu()

        return loss

    starts = range(0, len(pairs) - 1, BATCH)  # a last batch of one has nothing to choose from
    return [loss_of(slice(at, at + BATCH)) for at in starts]


LOSSES: dict[str, Callable[[Backbone, Sequence[Example]], list[Loss]]] = {"language": _language, "match": _match}
