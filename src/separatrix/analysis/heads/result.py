"""A head atlas as a result: its figures, and the folders of its steps."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from separatrix.errors import StoreError
from separatrix.store.files import Schema, write_json
from separatrix.store.folder import RESULT
from separatrix.store.manifest import MANIFEST
from separatrix.store.result import Lines, Listing, Result, cell, optional, out_line, read_result
from separatrix.store.table import read_table

if TYPE_CHECKING:
    import pandas as pd

PAGE, HEADS, TABLE, PICTURES, DISTANCES = (
    "atlas.html", "heads.parquet", "table.parquet", "pictures", "distances.safetensors"
)  # fmt: skip
Record = Mapping[str, Any]
# What is printed as a table: field -> (key of a line, heading); a column that no line has is left out.
LISTINGS = {
    "cluster_sentences": (("cluster", "cluster"), ("sentence", "what its heads do")),
    "features": (("feature", "feature"), ("width", "columns"), ("ami_head", "AMI with head"),
                 ("ami_layer", "with layer"), ("ami_shuffled", "shuffled")),
    "association": (("with", "cluster with"), ("adjusted_mutual_information", "adjusted MI"),
                    ("mutual_information", "MI (nats)"), ("null_mean", "of shuffles"), ("p_value", "p"),
                    ("null_heads", "of shuffled heads"), ("p_heads", "p, heads")),
    "by_cluster": (("cluster", "cluster"), ("heads", "heads"), ("gradient", "gradient"),
                   ("ablation", "loss without a head"), ("harmless", "no higher without")),
}  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class HeadAtlas(Result):
    """A finished atlas, or as much of it as was asked for: what a later step gives is None before it."""

    kind: ClassVar[str] = "atlas"
    schema: ClassVar[Schema] = {"steps?": [str], "folders?": {"*": str}}

    steps: Sequence[str] = ()
    folders: Mapping[str, str] = field(default_factory=dict)  # artefact -> its subfolder, which `load` opens
    notes: Sequence[str] = ()
    seconds_whole: float = 0.0
    maps: int | None = optional()
    windows: int | None = optional()
    examples: int | None = optional()
    contexts: int | None = optional()
    layers: int | None = optional()
    heads: int | None = optional()  # of a layer
    tokens: int | None = optional()
    maps_per_second: float | None = optional()
    seconds_per_map: Record | None = optional()  # by feature, and of the model
    model: str | None = optional()
    weights: str | None = optional()  # their hash
    causal: bool | None = optional()
    features: Sequence[Record] | None = optional()  # a line for each: heads told apart, seconds a map
    variance: Mapping[str, Sequence[float]] | None = optional()  # feature -> share of each component
    clusters: Record | None = optional()  # method, count, noise; figures of kmeans, dbscan, hdbscan, again
    cluster_sentences: Sequence[Record] | None = optional()  # a line for each: sentence, layers, heads, share of rows
    noise_by_layer: Mapping[str, Sequence[Record]] | None = optional()
    association: Sequence[Record] | None = optional()  # a line for each column
    controls: Sequence[Record] | None = optional()
    importance: Record | None = optional()
    page_bytes: int | None = optional()

    @classmethod
    def read(cls, folder: Path) -> HeadAtlas:
        """What stands in a folder, finished or not."""
        plain, names = read_result(folder, cls.schema), {spec.name for spec in fields(cls)}
        return cls(**{name: value for name, value in plain.items() if name in names}, folder=folder)

    @property
    def page(self) -> Path:
        """The page."""
        return self._inside(PAGE)

    @property
    def table(self) -> pd.DataFrame:
        """One line a row: example, window, context, layer, head, length, clusters."""
        return read_table(self._inside(TABLE))

    @property
    def head_table(self) -> pd.DataFrame:
        """One line a head: layer, head, mean descriptors, cluster, noise, importance, sentence."""
        return read_table(self._inside(HEADS))

    def part(self, name: str) -> Path:
        """Folder of an artefact: `points`, `features`, `kmeans`, `dbscan`, `again`, `hdbscan`, `associations`."""
        if name not in self.folders:
            raise StoreError(f"{self.folder} holds no {name}", expected=", ".join(self.folders) or "a step")
        return self._inside(self.folders[name])

    def _inside(self, name: str) -> Path:
        assert self.folder is not None, "an atlas lies in a folder"
        return self.folder / name

    def figures(self) -> dict[str, Any]:
        """What `result.json` holds."""
        return super().figures() | ({"page": PAGE} if self.page_bytes else {})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return super().to_dict() | ({"page": str(self.page)} if self.page_bytes else {})

    def parts(self) -> list[Listing | Lines]:
        """Features, associations, importance by cluster, figures."""
        parts = list[Listing | Lines]()
        for name, columns in LISTINGS.items():
            lines: Any = (self.importance or {}).get(name) or getattr(self, name, None) or ()
            shown = [(key, heading) for key, heading in columns if any(key in line for line in lines)]
            if shown:
                rows = [[cell(line.get(key)) for key, _ in shown] for line in lines]
                parts.append(Listing([heading for _, heading in shown], rows))
        answers = [("removed", self.importance["answer"])] if self.importance else []
        notes = [("note", note) for note in self.notes]
        known = ("maps", "windows", "examples", "contexts", "maps_per_second")
        counts = [(name.replace("_", " "), getattr(self, name)) for name in known if getattr(self, name) is not None]
        pages = [("page", self.page)] if self.page_bytes else []
        return [*parts, [*answers, *notes, *counts, *pages, *out_line(self.folder), ("seconds", self.seconds_whole)]]

    def write_files(self, folder: Path) -> None:
        """Copy the atlas."""
        top = self._inside("")
        shutil.copytree(
            top, folder, dirs_exist_ok=True, ignore=lambda path, _names: [MANIFEST] if Path(path) == top else []
        )

    def written(self, **changes: Any) -> HeadAtlas:
        """With other figures, which are brought to the disk; no path among them: results are given away."""
        atlas = replace(self, **changes)
        write_json(atlas._inside(RESULT), {"kind": self.kind} | atlas.figures())
        return atlas
