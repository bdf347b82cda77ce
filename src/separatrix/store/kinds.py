"""What a folder is: one table of all kinds of artefacts, and of the files that folders without a manifest hold."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from separatrix.errors import StoreError
from separatrix.store.files import TEMPORARY, read_json
from separatrix.store.folder import RESULT
from separatrix.store.lock import LOCK
from separatrix.store.manifest import MANIFEST

JUNK = (".DS_Store", "Thumbs.db")  # of the system; no reason to keep a folder


@dataclass(frozen=True)
class Kind:
    """A kind of artefact.

    `marks`: a folder without a manifest is of this kind if each of these patterns has a file in it. `files`: all that
    earlier versions wrote, and all that may be in an unfinished folder. `scratch`: what a training keeps to be gone on
    with; it is replaced with the folder, but is no part of it. A `*` stands for slashes too, a `|` for "or".
    `inner`: folders in it whose content has locks of its own; they are no part of it either.
    """

    marks: tuple[str, ...]
    files: tuple[str, ...] = ()
    scratch: tuple[str, ...] = ()
    inner: tuple[str, ...] = ()

    def is_scratch(self, name: str) -> bool:
        """Whether a file below the folder is no part of the artefact."""
        return name.partition("/")[0] in self.inner or any(fnmatch(name, pattern) for pattern in self.scratch)


_TRAINED = (
    "model.json",
    "model.safetensors",
    "encoder/*",
    "index/*",
    "estimator.json",
    "align_estimator.json",
    "auto_estimator.json",
)
# fmt: off
_MODEL_FOLDER = (
    "config.json", "generation_config.json", "model.safetensors", "model.safetensors.index.json",
    "model-*.safetensors", "tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt",
    "*.model", "chat_template.jinja",
)
# In the order in which folders without a manifest are tried.
KINDS = {
    "points": Kind(("blocks/*|pending/begun.json",), ("table.parquet", "blocks/*", "axes.safetensors"), ("pending/*",)),
    "atlas": Kind(
        ("recipe.json", "extract-*/*|points-*/*"),
        ("recipe.json", RESULT, "table.parquet", "atlas.html", "heads.parquet", "distances.safetensors", "pictures/*",
         "points-*/*", "features-*/*", "kmeans-*/*", "dbscan-*/*", "hdbscan-*/*", "again-*/*", "associations-*/*",
         "raw-*/*", "extract-*/*", "cluster-*/*", "atlas-*/*"),
    ),
    "sweep": Kind(
        ("grid.json",),
        ("grid.json", RESULT, "table.md", "table.csv", "runs.csv", "costs.csv", "*.png", "*.svg",
         "runs/.*.lock", "failed/*.json", "cache/*"),
        inner=("runs", "failed", "cache"),
    ),
    "answers": Kind(
        ("answers.parquet",), ("recipe.json", RESULT, "answers.parquet", *_MODEL_FOLDER), ("checkpoint.safetensors",)
    ),
    "run": Kind(
        ("recipe.json",),
        ("recipe.json", "metrics.jsonl", RESULT, "report.html", "trajectory/*", "predictions/*", "pictures/*",
         *_TRAINED),
        ("checkpoint.safetensors", "refit/*", "cache/*", "race.jsonl", "progress.json"),
    ),
    "model": Kind(("model.json",), _TRAINED),
    "onnx": Kind(("onnx/model.onnx",), (RESULT, "onnx/*", *_MODEL_FOLDER)),
    "headvis": Kind(
        ("scatter_data.json", "heads/L*.json"),
        ("config.json", "scatter_data.json", "server_config.json", "heads/*.json", "attributions/manifest.json"),
    ),
    "clusters": Kind(
        ("clusters.parquet",),
        (RESULT, "clusters.parquet", "choice.parquet", "curve.parquet", "tree.parquet", "sizes.png", "choice.png",
         "grid.png", "tree.png"),
    ),
    "map": Kind(("map.parquet",), (RESULT, "map.parquet", "map.png", "map.html", "variance.png", "variance.csv")),
    "association": Kind(("cells.parquet",), (RESULT, "cells.parquet", "association_*.png")),
    "suspects": Kind(
        ("suspects.parquet",), (RESULT, "suspects.parquet", "suspects.csv", "rows.parquet", "suspects.html")
    ),
    "compression": Kind(("steps.parquet",), (RESULT, "steps.parquet")),
    "score": Kind(("grid.parquet",), (RESULT, "table.parquet", "grid.parquet")),
    "plan": Kind(("stages.parquet",), (RESULT, "stages.parquet")),
    "ranking": Kind(("heatmap.csv",), (RESULT, "table.parquet", "heatmap.png", "heatmap.csv")),
    "comparison": Kind(
        (RESULT, "table.parquet"),
        (RESULT, "table.parquet", "pairs.parquet", "maps.parquet", "maps.png", "maps.csv", "variance.png",
         "variance.csv"),
    ),
}
# fmt: on


def kind_of(folder: Path) -> str | None:
    """The kind of an artefact, finished or not; None for anything else. No file is verified."""
    with suppress(StoreError):
        manifest = read_json(folder / MANIFEST)
        if isinstance(manifest, dict) and isinstance(manifest.get("kind"), str):
            return manifest["kind"]
    with suppress(StoreError):
        kind = read_json(folder / RESULT, {"kind": str})["kind"]
        if kind in KINDS:
            return str(kind)
    names = list(files_in(folder)) if folder.is_dir() else []
    for name, kind in KINDS.items():
        if all(any(fnmatch(file, part) for file in names for part in mark.split("|")) for mark in kind.marks):
            return name
    return None


def files_in(folder: Path) -> Iterator[str]:
    """Paths of all files (links too) below a folder, but for its manifest, temporary files and the system's own."""
    for root, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(root, name))]
        for name in sorted([*names, *links]):
            path = Path(root, name).relative_to(folder)
            if path.as_posix() not in (MANIFEST, LOCK) and name not in JUNK and not TEMPORARY.fullmatch(name):
                yield path.as_posix()


def is_filled(folder: Path) -> bool:
    """Whether there is a folder with anything in it but files of the system."""
    return folder.is_dir() and ((folder / MANIFEST).exists() or any(True for _ in files_in(folder)))
