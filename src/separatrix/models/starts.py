"""How a prompt begins, and how its vectors follow from what is trained.

Every entry of `INITS` gives a `PromptForm`: tensors to train, and a function from them to the prompt's vectors. Most
train the vectors themselves. Whatever the form, a trained prompt is kept as plain vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from separatrix.errors import OptionError
from separatrix.recipe import PromptRecipe
from separatrix.recipe.registry import Registry
from separatrix.recipe.train import INITS as INIT_NAMES
from separatrix.texts.characters import plain_name

MIXED = 512  # words that a vector of `mixture` is made of
OWN_SHARE = 0.75  # of its first word, at the start


@dataclass(frozen=True)
class PromptForm:
    """What is trained of a prompt's vectors, by name, and the vectors that follow, (tokens, width)."""

    tensors: dict[str, Tensor]
    vectors: Callable[[Mapping[str, Tensor]], Tensor]


@dataclass(frozen=True)
class StartInputs:
    """What a start can draw on."""

    recipe: PromptRecipe
    table: Tensor  # (vocabulary, embedding width) float32
    names: Sequence[str]  # of the classes, in their order
    tokenize: Callable[[str], list[int]]
    generator: torch.Generator

    def words(self, text: str) -> list[int]:
        """The token ids of a text.

        Raises:
            OptionError: it has none.
        """
        if not (ids := self.tokenize(text)):
            raise OptionError("the text that starts the prompt has no token", got=repr(text))
        return ids


def plain(tokens: Tensor) -> PromptForm:
    """The vectors are trained themselves."""
    return PromptForm({"tokens": tokens}, lambda tensors: tensors["tokens"])


def from_vocabulary(inputs: StartInputs) -> PromptForm:
    """Embeddings of random words."""
    table = inputs.table
    return plain(table[torch.randint(len(table), (inputs.recipe.tokens,), generator=inputs.generator)])


def normal(inputs: StartInputs) -> PromptForm:
    """Random numbers of the embeddings' spread."""
    shape = inputs.recipe.tokens, inputs.table.shape[1]
    return plain(torch.randn(shape, generator=inputs.generator) * inputs.table.std())


def from_text(inputs: StartInputs, text: str | None = None) -> PromptForm:
    """Embeddings of a text's words; a short one is repeated, a long one cut."""
    ids = inputs.words(inputs.recipe.init_text or "" if text is None else text)
    return plain(inputs.table[torch.tensor([ids[index % len(ids)] for index in range(inputs.recipe.tokens)])])


def from_descriptions(inputs: StartInputs) -> PromptForm:
    """Embeddings of the words that describe the classes, spread over the tokens: each is the mean of a few words.

    Raises:
        OptionError: a class without a sentence, or a sentence of no class.
    """
    entries = [entry.partition("=")[::2] for entry in inputs.recipe.descriptions or ()]
    sentences = {plain_name(name): sentence for name, sentence in entries}
    if odd := [
        name for name in {**dict.fromkeys(inputs.names), **sentences} if (name in sentences) != (name in inputs.names)
    ]:
        what = "--descriptions give one sentence for each class"
        raise OptionError(
            what, got=", ".join(sorted(sentences)), expected=", ".join(inputs.names), hint=f"see {odd[0]!r}"
        )
    ids = [word for name in inputs.names for word in inputs.words(sentences[name])]
    ids *= -(-inputs.recipe.tokens // len(ids))
    groups = np.array_split(np.array(ids), inputs.recipe.tokens)
    return plain(torch.stack([inputs.table[torch.from_numpy(group)].mean(dim=0) for group in groups]))


def mixture(inputs: StartInputs) -> PromptForm:
    """Mixtures of random words, whose shares are trained; each vector begins with most of one word.

    After SuperPos (Ali et al. 2024), with shares that add up to 1.
    """
    count, table = inputs.recipe.tokens, inputs.table
    words = max(count, min(MIXED, len(table)))
    basis = table[torch.randint(len(table), (words,), generator=inputs.generator)]  # (words, width)
    shares = torch.full((count, words), 0.0)
    shares.fill_diagonal_(float(np.log(max(1, words - 1) * OWN_SHARE / (1 - OWN_SHARE))))
    return PromptForm(
        {"shares": shares}, lambda tensors: tensors["shares"].softmax(dim=1) @ basis.to(tensors["shares"].device)
    )


def residual(form: PromptForm, hidden: int, generator: torch.Generator) -> PromptForm:
    """Vectors that also go through a small network, which all of them share (Razdaibiedina et al. 2023).

    It begins as nothing: the prompt starts where it would start without it.
    """
    start = form.vectors(form.tensors)
    scale = float(start.std())
    down = torch.randn(start.shape[1], hidden, generator=generator) / (scale * start.shape[1] ** 0.5)
    network = {"residual.down": down, "residual.up": torch.zeros(hidden, start.shape[1])}

    def vectors(tensors: Mapping[str, Tensor]) -> Tensor:
        base = form.vectors(tensors)
        inner = (base @ tensors["residual.down"]).relu()  # (tokens, hidden)
        return base + inner @ tensors["residual.up"] * (scale / hidden**0.5)

    return PromptForm(form.tensors | network, vectors)


# what there is to begin with -> the form of the prompt
INITS: Registry[Callable[[StartInputs], PromptForm]] = Registry(
    INIT_NAMES,
    {
        "vocabulary": from_vocabulary,
        "text": from_text,
        "classes": lambda inputs: from_text(inputs, " ".join(inputs.names)),
        "descriptions": from_descriptions,
        "mixture": mixture,
        "normal": normal,
    },
)
