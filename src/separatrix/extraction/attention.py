"""Attention heads as points: one row for each (window, layer, head), read off the maps while the model runs.

Rows stand in the order of windows, layers, heads. Each knows its window, the example (a text, or a question with its
context), the number of its context, and the window's position in the example. Blocks are features of the map.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from separatrix.errors import OptionError
from separatrix.extraction.readers import ReaderRequest, VectorSource, source_origin
from separatrix.extraction.windows import Rows, read_rows
from separatrix.heads.features import CELLS, FEATURES, Feature, FeatureSetup, extract_features
from separatrix.heads.maps import load_for_maps, shape_of, window_batches
from separatrix.heads.windows import Window, WindowRule, cut_windows, unread_in
from separatrix.models.backbone import Backbone
from separatrix.models.batches import groups
from separatrix.models.config import read_config, text_config
from separatrix.models.device import pick_device
from separatrix.models.extract import RowsDone
from separatrix.models.load import drop_weights
from separatrix.models.source import resolve
from separatrix.models.tokens import ESCAPE, TokenPart, UnreadCounts
from separatrix.points import ID
from separatrix.recipe import LoadRecipe, record
from separatrix.recipe.train import AUTO
from separatrix.recipe.vectors import ExtractRecipe
from separatrix.store.files import hash_file
from separatrix.store.table import text_hash
from separatrix.texts.questions_answers import Example, read_questions

if TYPE_CHECKING:
    import pandas as pd

CONTEXT, EXAMPLE = "context", "example"
_LOADING = tuple(spec.name for spec in fields(LoadRecipe))
EXACT = ("descriptors",)  # features that are kept in float32


@dataclass(frozen=True, eq=False)
class ExampleRows:
    """Questions with their contexts, or texts, as frames; `shards` (examples,) are the parts they were drawn from."""

    examples: Sequence[Example]
    shards: NDArray[np.int64] | None = None
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.examples)

    def windows(self, size: int) -> Iterator[pd.DataFrame]:
        """Frames of at most `size` examples: id, text_hash, text (a pair), example, context [, group, label, shard]."""
        import pandas as pd

        titled, labelled = (any(getattr(each, name) for each in self.examples) for name in ("title", "label"))
        for low in range(0, len(self.examples), size):
            some = self.examples[low : low + size]
            columns: dict[str, Any] = {
                ID: np.arange(low, low + len(some)),
                "text_hash": [text_hash(f"{each.first}\n{each.second}") for each in some],
                "text": [(each.first, each.second) for each in some],
                EXAMPLE: [each.id for each in some],
                CONTEXT: np.array([each.context for each in some], np.int32),
            }
            columns |= {"group": [each.title for each in some]} if titled else {}
            columns |= {"label": [each.label for each in some]} if labelled else {}
            columns |= {} if self.shards is None else {"shard": self.shards[low : low + size].astype(np.int32)}
            yield pd.DataFrame(columns)


def attention_rows(data: Any, **reading: Any) -> Rows | ExampleRows:
    """Questions with their contexts where the data hold them (and no column of texts is named), else texts.

    Args:
        data: as for `read_rows`, a SQuAD JSON file, or a table with the columns `question` and `context`.
        reading: as for `read_rows`.

    Raises:
        DataError: nothing that can be read.
        OptionError: columns of labels or groups are named, and the data hold questions, which bring their own.
    """
    if isinstance(data, str | Path) and "text" not in reading:
        material = read_questions(data, LoadRecipe(**{name: reading[name] for name in _LOADING if name in reading}))
        if material is not None:
            label, group = reading.get("label", "label"), reading.get("group")
            if group is not None or label not in ("label", "", None):
                flag = "--label" if group is None else "--group"
                what = f"{flag} has no effect on questions with contexts, which bring labels and titles of their own"
                raise OptionError(what, got=repr(group or label), hint=f"leave {flag} away")
            examples = material.examples if label else [replace(each, label="") for each in material.examples]
            return ExampleRows(examples, warnings=material.notes)
    return read_rows(data, **reading)


@dataclass(eq=False)
class CutWindows:
    """The windows of some texts; `example` of each counts in these."""

    windows: list[Window]
    cut: int = 0
    unread: UnreadCounts = UnreadCounts()


@dataclass(eq=False)
class AttentionReader:
    """Windows of texts, or of questions with their contexts, and the features of their maps."""

    backbone: Backbone
    rule: WindowRule
    features: Mapping[str, Feature]
    seconds_per_map: dict[str, float]  # by feature and of the model; gets them as maps are read
    seconds: dict[str, float] = field(default_factory=dict)
    maps: int = 0

    def tokenize(self, texts: Sequence[Any]) -> Any:
        """Windows of texts, or of pairs of them."""
        pairs = [(text, "") if isinstance(text, str) else text for text in texts]
        examples = [Example("", first, second, 0) for first, second in pairs]
        cut = cut_windows(self.backbone, examples, self.rule)
        return CutWindows(
            [window for windows in cut for window in windows], unread=unread_in(self.backbone, examples, cut)
        )

    def read(self, tokens: Any, names: Sequence[str], progress: RowsDone | None = None) -> dict[str, NDArray[Any]]:
        """Each feature named, (windows * layers * heads, width) float32."""
        windows, rows = tokens.windows, int(np.prod(shape_of(self.backbone.model)))
        features = {name: self.features[name] for name in names}
        blocks = {name: np.empty((len(windows), rows, each.width), np.float32) for name, each in features.items()}
        for batch in extract_features(self.backbone, windows, features):
            for name, values in batch.values.items():
                blocks[name][batch.numbers] = values.reshape(len(batch.numbers), rows, -1)
            self.maps += len(batch.numbers) * rows
            for name, seconds in batch.seconds.items():
                self.seconds[name] = self.seconds.get(name, 0.0) + seconds
            if progress is not None:
                progress(sum(windows[number].position == 0 for number in batch.numbers))  # examples
        self.seconds_per_map |= {name: spent / self.maps for name, spent in self.seconds.items()}
        return {name: block.reshape(len(windows) * rows, -1) for name, block in blocks.items()}

    def parts(self, tokens: Any) -> Iterator[TokenPart]:
        """The windows in parts that give the same numbers when each is read alone."""
        cells = np.arange(np.prod(shape_of(self.backbone.model)))
        device = self.backbone.recipe.device
        kind = pick_device(device).type if device == AUTO else device.partition(":")[0]  # of the workers, perhaps
        for numbers in groups(window_batches(tokens.windows, CELLS[kind])):
            windows = [tokens.windows[number] for number in numbers]
            rows = (numbers[:, None] * len(cells) + cells).ravel()
            yield TokenPart(CutWindows(windows), rows, sum(window.position == 0 for window in windows))


def attention_source(
    model: str | Backbone, recipe: ExtractRecipe, *, loaded: Backbone | None = None, weights: bool = True
) -> VectorSource:
    """Features of the maps of a model, by its name, or of a loaded one, which is loaded again for its maps.

    Args:
        recipe: what is read.
        loaded: the same model, from `load_for_maps`, where it is loaded already.
        weights: False: for tokens and table alone.

    Raises:
        ModelError: no such model, or weights of the ResNet-50 that cannot be read.
    """
    backbone = model.recipe if isinstance(model, Backbone) else replace(recipe.backbone, model=str(model))
    source, attention = resolve(backbone) if loaded is None else loaded.source, recipe.attention
    config = text_config(read_config(source, backbone) if loaded is None else loaded.model.config)
    layers, heads = int(config.num_hidden_layers), int(config.num_attention_heads)
    setup = FeatureSetup(
        attention.cells, attention.values, attention.resnet_weights, attention.pixels, attention.frame,
        attention.scaling, device=pick_device(backbone.device if weights else "cpu"),
    )  # fmt: skip
    features = {name: FEATURES[name](setup) for name in attention.features}
    rule = WindowRule(backbone.max_length, attention.stride, attention.max_query_length)
    origin: dict[str, Any] = {**source_origin(source), "layers": layers, "heads": heads}
    clock = dict[str, float]()

    @cache
    def reader() -> AttentionReader:
        maps = loaded or load_for_maps(backbone if weights else replace(backbone, device="cpu"))
        maps = maps if weights else replace(drop_weights(maps), recipe=backbone)
        return AttentionReader(maps, rule, features, clock)

    how: dict[str, dict[str, Any]] = {
        name: {"columns": list(each.columns)} | FEATURES.own_code(name) for name, each in features.items()
    }
    for name in EXACT:
        how |= {name: {**how[name], "store_dtype": "float32"}} if name in how else {}
    options = {name: value for name, value in record(attention).items() if name != "features"}
    if os.path.isfile(attention.resnet_weights):
        options["resnet_weights"] += f" ({hash_file(Path(attention.resnet_weights))})"
    identity = {"weights": source.weights, "max_length": backbone.max_length, "dtype": backbone.dtype}
    identity |= {"what": "attention", "attention": options}
    identity |= {"special_tokens": ESCAPE} if backbone.special_tokens == ESCAPE else {}
    width = layers * heads * -(-sum(each.width for each in features.values()) // len(features))

    def table(frame: pd.DataFrame, tokens: Any, _: Any, start: int) -> pd.DataFrame:
        return head_rows(frame, tokens.windows, (layers, heads), start)

    plain = VectorSource(recipe.vectors, attention.features, width, how, identity, origin, reader, table, clock)
    request = None if isinstance(model, Backbone) else ReaderRequest(replace(recipe, backbone=backbone))
    planner = None if loaded or not weights else partial(attention_source, model, weights=False)
    return replace(plain, request=request, planner=planner)


def head_rows(frame: pd.DataFrame, windows: Sequence[Window], shape: tuple[int, int], start: int) -> pd.DataFrame:
    """The row table of the windows of a frame of texts; `start` rows stand before it: windows count over all frames."""
    cells, width = shape[0] * shape[1], shape[1]
    texts = frame.drop(columns=["text", "text_hash"])
    named = texts if EXAMPLE in texts.columns else texts.rename(columns={ID: EXAMPLE}).assign(context=texts[ID])
    lines = named.drop(columns=ID, errors="ignore").iloc[[window.example for window in windows]].reset_index(drop=True)
    for name in lines.columns:  # texts that come again are stored once
        lines[name] = lines[name].astype("category") if lines[name].dtype.kind not in "iufb" else lines[name]
    numbers = {
        "window": start // cells + np.arange(len(windows)),
        "position": [window.position for window in windows],
        "length": [len(window) for window in windows],
        "special": [int(window.special.sum()) for window in windows],
    }
    lines = lines.assign(**{name: np.asarray(values, np.int32) for name, values in numbers.items()})
    table = lines.loc[lines.index.repeat(cells)].reset_index(drop=True)
    cell = np.tile(np.arange(cells, dtype=np.int32), len(lines))
    table["layer"], table["head"] = cell // width, cell % width
    names = [f".l{number // width}.h{number % width}" for number in range(cells)]
    table.insert(0, ID, [f"w{window}{name}" for window in lines["window"] for name in names])
    return table
