"""Poolings that a frozen model's baselines choose among; all of them come from one pass over the text.

Encoders of sentence-transformers say in `modules.json` and `1_Pooling/config.json` how their vectors are made: that
pooling, normalised where it says so, is the first candidate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from separatrix.errors import OptionError, StoreError
from separatrix.models.backbone import Backbone
from separatrix.models.extract import layer_count
from separatrix.models.pool import Pooling, plan_poolings
from separatrix.recipe.train import BEST, OWN
from separatrix.recipe.vectors import POOLS, VectorsRecipe
from separatrix.store.files import read_json

NORMALISED = " normalised"
# sentence-transformers' names of poolings that exist here too.
MODES = {"cls": "cls", "cls_token": "cls", "mean": "mean", "mean_tokens": "mean", "max": "max", "max_tokens": "max"}
MODES |= {"lasttoken": "last"}


def candidates(backbone: Backbone) -> tuple[Pooling, ...]:
    """The poolings compared for a baseline: the encoder's own first, then those that suit some model or other.

    Of a causal model the first token has seen no other one, and of an encoder the last is a mark: neither takes part.
    """
    layers = layer_count(backbone.model.config)
    names = ["mean", "layer_mean", "last" if backbone.causal else "cls", "max"]
    names += [f"mean@{layers // 2}"] if layers > 1 else []
    own = own_pooling(backbone.source.folder)
    return tuple(named_pooling(name, layers) for name in dict.fromkeys([*([own] if own else []), *names]))


def chosen_candidates(backbone: Backbone, pool: str) -> tuple[Pooling, ...]:
    """The candidates of a probe for the option `pool`: all of them, its own alone, or the one named.

    Raises:
        OptionError: the encoder's own is asked for, and it does not say which that is.
    """
    if pool == BEST:
        return candidates(backbone)
    own = own_pooling(backbone.source.folder) if pool == OWN else pool
    if own is None:
        what = f"model {backbone.source.name!r} does not say how its vectors are pooled"
        raise OptionError(
            what, expected="modules.json with Transformer, Pooling and Normalize alone", hint="name a --pool"
        )
    return (named_pooling(own, layer_count(backbone.model.config)),)


def named_pooling(name: str, layers: int) -> Pooling:
    """The pooling that a block is named after, in a model with so many layers.

    Raises:
        OptionError: no pooling has this name.

    >>> named_pooling("mean@3 normalised", layers=6)
    Pooling(name='mean@3 normalised', pool='mean', layer=3, weights=None, normalised=True)
    """
    plain = name.removesuffix(NORMALISED)
    pool, _, layer = plain.partition("@")
    if layer and not layer.isdigit():
        raise OptionError("unknown pooling", got=name, expected=", ".join(POOLS))
    recipe = VectorsRecipe(pool=(pool,), layers=(int(layer),) if layer else None)
    return replace(plan_poolings(recipe, layers)[0], name=name, normalised=plain != name)


def own_pooling(folder: Path) -> str | None:
    """The pooling that a folder of sentence-transformers describes, by name; None where it describes none.

    None as well where it has other parts (a dense layer, several poolings side by side) or cannot be read: these
    vectors are not made here.
    """
    try:
        modules = read_json(folder / "modules.json")
        kinds = [str(module["type"]).rpartition(".")[2] for module in modules]
        if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
            return None
        path = str(modules[1]["path"])
        if path in ("", ".", "..") or Path(path).name != path:  # nothing outside the model's folder is read
            return None
        pool = _pool(read_json(folder / path / "config.json"))
    except (StoreError, KeyError, TypeError):
        return None
    return None if pool is None else pool + NORMALISED * (kinds[-1] == "Normalize")


def _pool(config: Mapping[str, Any]) -> str | None:
    """The one pooling of a config, old (a switch each) or new (a name)."""
    if (named := config.get("pooling_mode")) is not None:
        return MODES.get(named) if isinstance(named, str) else None
    on = [
        name.removeprefix("pooling_mode_")
        for name, value in config.items()
        if name.startswith("pooling_mode_") and value is True
    ]
    return MODES.get(on[0]) if len(on) == 1 else None
