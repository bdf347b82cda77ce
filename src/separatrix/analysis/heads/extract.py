"""First stage of the head atlas: windows through the model, one row for every (window, layer, head).

Row number = (window * layers + layer) * heads + head. The files of numbers have their full size from the beginning and
are filled batch by batch; a note says how many batches are safe, so a killed extraction goes on there and ends with
the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from separatrix.errors import public_name
from separatrix.heads.extract import Clock, extract_features
from separatrix.heads.features import FEATURES, Feature, FeatureSetup
from separatrix.heads.maps import load_for_maps, maps_of, shape_of
from separatrix.heads.windows import Sample, Window, WindowRule, draw
from separatrix.models.backbone import Backbone
from separatrix.points import Points
from separatrix.progress import Progress
from separatrix.recipe import digest
from separatrix.recipe.heads import HeadsRecipe
from separatrix.store.blocks import create_block, open_block
from separatrix.store.files import read_json, write_json, write_tensors
from separatrix.store.table import read_table, write_table
from separatrix.store.tables import join_tables
from separatrix.texts.questions_answers import Material

PROGRESS, RESULT, TABLE = "progress.json", "result.json", "table.parquet"
IDENTITY = ("id", "example", "window", "context", "layer", "head", "length", "special")
DTYPES = {"descriptors": "float32"}  # the others: float16
FLUSH_SECONDS = 5.0
TABLE_WINDOWS = 4096  # windows whose rows are in memory while the table is written


@dataclass(frozen=True)
class Reading:
    """The model and what it is about to read."""

    backbone: Backbone
    sample: Sample
    notes: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """Layers and heads."""
        return shape_of(self.backbone.model)

    @property
    def windows(self) -> tuple[Window, ...]:
        """The windows in order."""
        return self.sample.windows


def prepare_reading(material: Material, recipe: HeadsRecipe) -> Reading:
    """Load the model and draw the windows.

    Raises:
        ModelError: the model cannot be loaded or shows no maps.
        OptionError: windows that the model cannot hold.
    """
    reading = recipe.reading
    backbone = load_for_maps(recipe.model)
    sample = draw(
        backbone, material.examples, WindowRule(reading.max_length, reading.stride, reading.max_query_length),
        windows=reading.windows, shards=reading.shards, how=reading.draw, seed=reading.seed,
    )  # fmt: skip
    return Reading(backbone, sample, material.notes)


def extract_digest(reading: Reading, recipe: HeadsRecipe) -> str:
    """Changes with the model's weights, the windows, and what is kept of a map."""
    kept = {name: getattr(recipe.maps, name) for name in ("cells", "values", "weights", "pixels", "frame", "scaling")}
    weights = reading.backbone.fingerprint()
    ids = sha256()  # piece by piece: the ids of a whole corpus as one text would be larger than all else
    for window in reading.windows:
        ids.update(len(window).to_bytes(4, "little") + window.ids.tobytes())
    examples = [example.id for example in reading.sample.examples]
    stored = list(recipe.maps.stored)
    return digest(weights, recipe.source.dtype, ids.hexdigest(), examples, kept, stored, recipe.maps.raw)


def extract_stage(folder: Path, reading: Reading, recipe: HeadsRecipe, progress: Progress) -> dict[str, Any]:
    """Fill the stage's folder, or go on filling it; what it found, as plain data.

    Raises:
        ModelError: the model shows no maps, or rows that do not sum to 1.
        StoreError: the disk is full.
    """
    if (folder / RESULT).is_file():
        return read_json(folder / RESULT, dict)
    begun, windows = monotonic(), reading.windows
    setup = feature_setup(recipe, reading.backbone)
    features = {name: FEATURES[name](setup) for name in recipe.maps.stored}
    layers, heads = reading.shape
    done = _progress(folder)
    blocks = _open_blocks(folder, features, len(windows) * layers * heads, fresh=done["batches"] == 0)
    clock, flushed, before = Clock(dict(done["seconds"])), monotonic(), done["wall"] - begun
    rows = RowWriter(blocks, layers * heads)
    for batch in extract_features(reading.backbone, windows, features, skip=done["batches"], clock=clock):
        rows.write(batch.places, batch.values)
        done = {
            "batches": done["batches"] + 1,
            "windows": done["windows"] + len(batch.places),
            "seconds": clock.seconds,
            "wall": monotonic() + before,
        }
        if monotonic() - flushed > FLUSH_SECONDS:
            rows.flush()
            write_json(folder / PROGRESS, done)
            flushed = monotonic()
        progress("maps", done["windows"], len(windows), "")
    rows.flush()
    write_json(folder / PROGRESS, done)
    write_rows(folder / TABLE, reading)
    if recipe.maps.raw:
        write_raw(folder / "raw", reading)
    found = _figures(reading, clock.seconds, done["wall"])
    write_json(folder / RESULT, found)
    return found


def feature_setup(recipe: HeadsRecipe, backbone: Backbone) -> FeatureSetup:
    """What the features need to know."""
    maps = recipe.maps
    return FeatureSetup(
        maps.cells, maps.values, maps.weights, maps.pixels, maps.frame, maps.scaling, recipe.reading.seed,
        backbone.device,
    )  # fmt: skip


@dataclass(frozen=True)
class RowWriter:
    """Puts the features of windows where they belong."""

    blocks: Mapping[str, np.memmap[Any, Any]]
    maps: int  # of a window

    def write(self, places: NDArray[np.int64], values: Mapping[str, NDArray[np.float32]]) -> None:
        """Values by name, each (windows, layers, heads, width), of the windows at these places."""
        rows = (places[:, None] * self.maps + np.arange(self.maps)).ravel()
        for name, block in self.blocks.items():
            block[rows] = values[name].reshape(len(rows), -1)

    def flush(self) -> None:
        """Bring everything to the disk."""
        for block in self.blocks.values():
            block.flush()


def write_raw(folder: Path, reading: Reading) -> None:
    """The maps themselves, one safetensors file a window, (layers, heads, tokens, tokens) float16.

    Raises:
        StoreError: the disk is full; at 384 tokens and 144 heads a window takes 42 MB.
    """
    for place, window in enumerate(reading.windows):
        maps = maps_of(reading.backbone, window).half().cpu().numpy()
        write_tensors(folder / f"w{place}.safetensors", {"maps": maps}, {"words": list(window.words)})


def _progress(folder: Path) -> dict[str, Any]:
    begun = read_json(folder / PROGRESS, {"*": object}) if (folder / PROGRESS).is_file() else {}
    return {"batches": 0, "windows": 0, "seconds": {}, "wall": 0.0} | begun


def _open_blocks(
    folder: Path, features: Mapping[str, Feature], rows: int, *, fresh: bool
) -> dict[str, np.memmap[Any, Any]]:
    paths = {name: folder / f"{name}.npy" for name in features}
    if not fresh:
        return {name: open_block(path, fill=True) for name, path in paths.items()}
    return {
        name: create_block(path, rows, features[name].width, DTYPES.get(name, "float16"))
        for name, path in paths.items()
    }


def window_table(reading: Reading, windows: slice = slice(None)) -> pd.DataFrame:
    """One line a window; texts that come again are stored once."""
    sample, chosen = reading.sample, reading.windows[windows]
    examples = [sample.examples[window.example] for window in chosen]
    texts = {
        "example": [example.id for example in examples],
        "group": [example.title for example in examples],
        "label": [example.label for example in examples],
    }
    numbers = {
        "window": np.arange(len(reading.windows))[windows],
        "place": [window.place for window in chosen],
        "context": [example.context for example in examples],
        "length": [len(window) for window in chosen],
        "special": [int(window.special.sum()) for window in chosen],
        "shard": [int(sample.shards[window.example]) for window in chosen],
    }
    columns = {name: pd.Series(values, dtype="category") for name, values in texts.items()}
    return pd.DataFrame(columns | {name: np.asarray(values, dtype=np.int32) for name, values in numbers.items()})


def row_table(reading: Reading, windows: slice = slice(None)) -> pd.DataFrame:
    """One line a row of numbers: example, window, context, layer, head, length, number of special tokens."""
    lines, (layers, heads) = window_table(reading, windows), reading.shape
    table = lines.loc[lines.index.repeat(layers * heads)].reset_index(drop=True)
    cell = np.tile(np.arange(layers * heads, dtype=np.int32), len(lines))
    table["layer"], table["head"] = cell // heads, cell % heads
    names = [f".l{layer}.h{head}" for layer in range(layers) for head in range(heads)]
    table.insert(0, "id", [f"w{window}{name}" for window in lines["window"] for name in names])
    return table


def write_rows(path: Path, reading: Reading) -> None:
    """The row table, a piece of it in memory at a time."""
    starts = range(0, len(reading.windows), TABLE_WINDOWS)
    parts = [path.with_name(f"{path.stem}-{start}.parquet") for start in starts]
    for start, part in zip(starts, parts, strict=True):
        write_table(part, row_table(reading, slice(start, start + TABLE_WINDOWS)))
    join_tables(parts, path)
    for part in parts:
        part.unlink()


def _figures(reading: Reading, seconds: Mapping[str, float], whole: float) -> dict[str, Any]:
    layers, heads = reading.shape
    windows = reading.windows
    maps = len(windows) * layers * heads
    return {
        "maps": maps,
        "windows": len(windows),
        "examples": len(reading.sample.examples),
        "contexts": len({example.context for example in reading.sample.examples}),
        "layers": layers,
        "heads": heads,
        "tokens": int(sum(map(len, windows))),
        "seconds": round(whole, 3),
        "maps_per_second": round(maps / max(whole, 1e-9), 1),
        "seconds_by_part": {name: round(value, 4) for name, value in seconds.items()},
        "model": public_name(reading.backbone.source.name),
        "weights": reading.backbone.source.weights,
        "causal": reading.backbone.causal,
        "notes": list(reading.notes),
    }


def open_rows(folder: Path, names: tuple[str, ...]) -> Points:
    """The rows of a finished extraction, numbers on disk.

    Raises:
        StoreError: the stage is not finished.
    """
    blocks = {name: open_block(folder / f"{name}.npy") for name in names}
    return Points(blocks, read_table(folder / TABLE), read_json(folder / RESULT, dict))
