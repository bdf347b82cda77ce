"""From hidden states of a padded batch to vectors: pure functions behind dictionaries.

`LAYER_POOLS` turns one layer into a vector a row. `pooled` serves several requests in one go and takes the mean of a
layer only once, however many of them need it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from separatrix.errors import OptionError
from separatrix.recipe import digest, vectors
from separatrix.recipe.registry import Registry
from separatrix.recipe.vectors import ALL_LAYERS, VectorsRecipe


def cls_of(state: Tensor, _mask: Tensor) -> Tensor:
    """The first token."""
    return state[:, 0]


def last_of(state: Tensor, mask: Tensor) -> Tensor:
    """The last real token."""
    rows = torch.arange(mask.shape[0], device=mask.device)  # len() would be a constant of an exported graph
    return state[rows, mask.sum(dim=1).long() - 1]


def mean_of(state: Tensor, mask: Tensor) -> Tensor:
    """The mean of the real tokens.

    >>> mean_of(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[1, 1, 0]])).tolist()
    [[2.0]]
    """
    weight = mask.to(state.dtype)[..., None]  # (rows, tokens, 1)
    return (state * weight).sum(dim=1) / weight.sum(dim=1)


def max_of(state: Tensor, mask: Tensor) -> Tensor:
    """The largest value of each coordinate over the real tokens."""
    return state.masked_fill(~mask.bool()[..., None], -torch.inf).amax(dim=1)


# (states of one layer (rows, tokens, width), mask (rows, tokens)) -> (rows, width)
LAYER_POOLS: Registry[Callable[[Tensor, Tensor], Tensor]] = Registry(
    vectors.POOLS, {"cls": cls_of, "mean": mean_of, "max": max_of, "last": last_of}
)


def pool_states(pool: str, states: Sequence[Tensor], mask: Tensor) -> Tensor:
    """One vector a row, (rows, width), with gradients: within the last layer, or over all layers with equal weight.

    `layer_mean` leaves the embeddings out, `weighted` does not.

    >>> pool_states("mean", [torch.tensor([[[1.0], [3.0], [9.0]]])], torch.tensor([[1, 1, 0]])).tolist()
    [[2.0]]
    """
    if pool in LAYER_POOLS:
        return LAYER_POOLS[pool](states[-1], mask)
    layers = states[1:] if pool == "layer_mean" else states
    return torch.stack([mean_of(state, mask) for state in layers]).mean(dim=0)


@dataclass(frozen=True)
class Pooling:
    """One block: its name, and how much each state (the embeddings first) counts in it.

    A pooling within one layer has `layer`; one over layers has `weights`, which sum to 1.
    """

    name: str
    pool: str
    layer: int | None = None
    weights: tuple[float, ...] | None = None
    normalised: bool = False  # to length 1


def plan_poolings(recipe: VectorsRecipe, layers: int) -> tuple[Pooling, ...]:
    """The blocks that a recipe asks of a model with so many layers, in a fixed order.

    Without `--layers` a block is called by its pooling (`mean`), else by pooling and layer (`mean@3`, `mean@0` of
    the embeddings). Poolings over all layers have one block; given weights stand in its name as a short hash.

    Raises:
        OptionError: a layer that the model does not have, or a wrong number of weights.

    >>> [one.name for one in plan_poolings(VectorsRecipe(pool=("cls", "layer_mean"), layers=(0, -1)), layers=6)]
    ['cls@0', 'cls@6', 'layer_mean']
    """
    chosen = plan_layers(recipe, layers)
    plans: dict[str, Pooling] = {}
    for pool in recipe.pool:
        if pool == "layer_mean":
            plans[pool] = Pooling(pool, pool, weights=(0.0, *[1 / layers] * layers))
        elif pool == "weighted":
            weights = _weights(recipe, layers + 1)
            name = pool if recipe.layer_weights is None else f"{pool}-{digest(list(weights))[:8]}"
            plans[name] = Pooling(name, pool, weights=weights)
        elif chosen is None:
            plans[pool] = Pooling(pool, pool, layer=layers)
        else:
            plans |= {f"{pool}@{layer}": Pooling(f"{pool}@{layer}", pool, layer=layer) for layer in chosen}
    return tuple(plans.values())


def plan_layers(recipe: VectorsRecipe, layers: int) -> tuple[int, ...] | None:
    """The layers named, counted from the embeddings (0); None where none is named, which means the last.

    Raises:
        OptionError: a layer that the model does not have.

    >>> plan_layers(VectorsRecipe(layers=("all",)), layers=2)
    (0, 1, 2)
    """
    if recipe.layers is None:
        return None
    named: list[int] = []
    for layer in recipe.layers:
        if layer == ALL_LAYERS:
            named += range(layers + 1)
            continue
        number = int(layer)
        if not -layers - 1 <= number <= layers:
            expected = f"0 (embeddings) to {layers}, or -1 (the last) to {-layers - 1}"
            raise OptionError("--layers names a layer that the model does not have", got=number, expected=expected)
        named.append(number if number >= 0 else layers + 1 + number)
    return tuple(dict.fromkeys(named))


def _weights(recipe: VectorsRecipe, states: int) -> tuple[float, ...]:
    given = recipe.layer_weights if recipe.layer_weights is not None else (1.0,) * states
    if len(given) != states:
        expected = f"{states}: the embeddings and {states - 1} layers"
        raise OptionError("--layer-weights do not fit the model", got=f"{len(given)} weights", expected=expected)
    return tuple(weight / sum(given) for weight in given)


def pooled(plans: Sequence[Pooling], states: Sequence[Tensor], mask: Tensor) -> dict[str, Tensor]:
    """The blocks of one padded batch by name, each (rows, width) float32."""
    means: dict[int, Tensor] = {}

    def mean_at(layer: int) -> Tensor:
        if layer not in means:
            means[layer] = mean_of(states[layer], mask).float()
        return means[layer]

    blocks: dict[str, Tensor] = {}
    for plan in plans:
        if plan.weights is not None:
            counted = [(weight, layer) for layer, weight in enumerate(plan.weights) if weight]
            blocks[plan.name] = torch.stack([weight * mean_at(layer) for weight, layer in counted]).sum(dim=0)
        elif plan.pool == "mean":
            blocks[plan.name] = mean_at(_layer(plan))
        else:
            blocks[plan.name] = LAYER_POOLS[plan.pool](states[_layer(plan)], mask).float()
        if plan.normalised:
            blocks[plan.name] = torch.nn.functional.normalize(blocks[plan.name], dim=1)
    return blocks


def _layer(plan: Pooling) -> int:
    return -1 if plan.layer is None else plan.layer
