"""A head atlas as the data folder of HeadVis, the viewer of heads that Anthropic published in 2026.

The layout is that of the docstrings of its `data_pipeline.py`: `config.json`, `scatter_data.json` (a line a head) and
`heads/L{layer}H{head}.json` (texts by decile of the largest weight, their maps as sparse triples). Its rules are kept:
the first token never counts, neither as query nor as key; the largest weight of a text leaves out the diagonal too;
interval 10 is the highest tenth; numbers have four decimals. What an atlas does not keep is left out: scores before
the softmax (`logit_*`) and the cloud of queries, keys and values (`has_umap` is false).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from separatrix.analysis.heads.map_scores import METRICS, MapScores, SparseMap, largest_weights, sparse_maps
from separatrix.analysis.heads.result import HeadAtlas
from separatrix.analysis.inputs import opened
from separatrix.codes import draw_rows
from separatrix.errors import DataError, OptionError, StoreError, public_name
from separatrix.progress import Progress, silent
from separatrix.store.artifacts import write_artifact
from separatrix.store.files import read_tensors, write_bytes
from separatrix.store.result import Lines, Printed

KIND = "headvis"
INTERVALS, PER_INTERVAL = 10, 20  # as in the skeleton
TOKENS = 40  # lines of the tables of tokens
BINS = np.linspace(0, 1, 21)  # of the largest weights
OWN = {  # columns of the table of heads that stand beside them where the atlas has them
    "cluster": "cluster of the head in the atlas, -1 for noise",
    "induction": "induction score on repeated random tokens",
    "duplicate": "duplicate-token score on repeated random tokens",
    "gradient": "importance of the head by its gradient",
    "ablation": "change of the loss without the head",
}


@dataclass(frozen=True, repr=False)
class HeadVisFolder(Printed):
    """A data folder that was written."""

    path: Path
    heads: int
    texts: int
    bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {"heads": self.heads, "texts": self.texts, "bytes": self.bytes, "out": str(self.path)}

    def parts(self) -> list[Lines]:
        """The same, line by line."""
        return [list(self.to_dict().items())]


def export_atlas(
    atlas: HeadAtlas | str | Path,
    *,
    out: str | Path | None = None,
    overwrite: bool = False,
    verify: bool = True,
    seed: int = 0,
    progress: Progress | None = None,
) -> HeadVisFolder:
    """Write the data folder of HeadVis for an atlas that kept its maps (`heads --raw`).

    Args:
        atlas: a finished atlas, or its folder.
        out: the folder, HeadVis' `data`.
        overwrite: replace an earlier export there.
        verify: compare the atlas' files with their hashes.
        seed: of the texts that are drawn from each tenth.
        progress: is called with (stage, done, total, note).

    Raises:
        OptionError: no `out`.
        DataError: the atlas keeps no maps, or they are of other heads.
        StoreError: no atlas in the folder, or `out` is taken.
    """
    atlas, progress = opened(atlas, HeadAtlas, verify=verify), progress or silent
    if out is None:
        raise OptionError("an export is a folder", got="no out", hint="pass out=, or --out FOLDER")
    files, heads, folder = _raw_maps(atlas), atlas.head_table, atlas.page.parent
    with write_artifact(out, KIND, {"seed": seed}, overwrite=overwrite, inputs=(folder,)) as part:
        assert part is not None
        scores, words, largest = _read_all(files, len(heads), progress)
        drawn = [_by_decile(largest[:, head], seed) for head in range(len(heads))]
        kept = _sparse_maps(files, drawn, progress)
        lines = list[dict[str, Any]]()
        for head, line in enumerate(heads.to_dict("records")):
            indices: dict[str, Any] = {"layer": int(line["layer"]), "head": int(line["head"])}
            own = {name: line[name] for name in OWN if name in line}
            payload = _payload(drawn[head], words, kept[head], largest[:, head])
            _write(part / "heads" / f"L{indices['layer']}H{indices['head']}.json", payload)
            lines.append(indices | {name: _rounded(value) for name, value in (scores.metrics(head) | own).items()})
        _write(part / "scatter_data.json", lines)
        _write(part / "config.json", _config(atlas, lines))
        _write(part / "server_config.json", {})  # no server: the viewer asks for files alone
        _write(part / "attributions" / "manifest.json", {})
        size = sum(path.stat().st_size for path in part.rglob("*.json"))
    return HeadVisFolder(Path(out), len(lines), len(files), size)


def _read_all(
    files: Sequence[Path], heads: int, progress: Progress
) -> tuple[MapScores, list[list[str]], NDArray[np.float64]]:
    """The first pass over the maps: scores of the heads, words of the texts, largest weights (texts, heads)."""
    scores, words, largest = MapScores(heads), list[list[str]](), list[NDArray[np.float64]]()
    for number, path in enumerate(files):
        progress("maps", number, 2 * len(files), "")
        maps, text = _read(path, heads)
        scores.add(maps, text)
        words.append(text)
        largest.append(largest_weights(maps))
    return scores, words, np.stack(largest)


def _sparse_maps(
    files: Sequence[Path], drawn: Sequence[Mapping[int, int]], progress: Progress
) -> list[dict[int, SparseMap]]:
    """The second pass: of each head the maps of the texts that were drawn for it, by the numbers of the texts."""
    kept: list[dict[int, SparseMap]] = [{} for _ in drawn]
    for number, path in enumerate(files):
        progress("maps", len(files) + number, 2 * len(files), "")
        own = [head for head, texts in enumerate(drawn) if number in texts]
        if own:
            maps = _read(path, len(drawn))[0][own]
            for head, one in zip(own, sparse_maps(maps), strict=True):
                kept[head][number] = one
    progress("maps", 2 * len(files), 2 * len(files), "")
    return kept


def _raw_maps(atlas: HeadAtlas) -> list[Path]:
    """The files of the maps, in the order of the windows."""
    raw = atlas.page.parent / f"raw-{atlas.folders.get('points', '')}"
    files = sorted(raw.glob("w*.safetensors"), key=lambda path: int(path.stem[1:])) if raw.is_dir() else []
    if "atlas" not in atlas.steps:
        raise DataError(f"{atlas.page.parent} is not finished", hint="go on with separatrix heads ... --resume")
    if not files:
        raise DataError(
            f"{public_name(atlas.page.parent)} keeps no attention maps, which HeadVis shows",
            hint="make the atlas with --raw, of few and short windows: separatrix heads DATA --windows 200 "
            "--max-length 128 --raw --out ATLAS",
        )
    return files


def _read(path: Path, heads: int) -> tuple[NDArray[np.float64], list[str]]:
    """Maps (heads, tokens, tokens) and words of a window."""
    arrays, note = read_tensors(path, {"maps": ("layers", "heads", "tokens", "tokens")}, {"words": [str]})
    maps, words = arrays["maps"], note["words"]
    if maps.shape[0] * maps.shape[1] != heads or maps.shape[2] != len(words):
        raise StoreError(f"{path} holds other maps than the atlas", got=maps.shape, expected=f"{heads} heads")
    return maps.reshape(heads, *maps.shape[2:]).astype(np.float64), words


def _by_decile(largest: NDArray[np.float64], seed: int) -> dict[int, int]:
    """Texts that are shown of a head, the highest first: number -> interval, from 1 (the lowest tenth) to 10."""
    order, drawn = np.argsort(largest, kind="stable"), dict[int, int]()
    for interval in range(INTERVALS, 0, -1):
        low, high = (len(order) * each // INTERVALS for each in (interval - 1, interval))
        own = order[low:high][::-1]
        drawn |= {int(own[row]): interval for row in draw_rows(len(own), PER_INTERVAL, seed)}
    return drawn


def _payload(
    drawn: Mapping[int, int],
    words: Sequence[Sequence[str]],
    kept: Mapping[int, SparseMap],
    largest: NDArray[np.float64],
) -> dict[str, Any]:
    """What the file of a head holds."""
    sequences, distances = list[dict[str, Any]](), list[int]()
    masses = {"query": Counter[str](), "key": Counter[str]()}
    for number, interval in drawn.items():
        text, sparse = words[number], kept[number]
        sequences.append({
            "sequence_id": number, "interval": interval, "tokens": list(text),
            "attention_indices": sparse.indices.tolist(), "attention_values": sparse.values.tolist(),
            "seq_len": len(text), "max_activation": _rounded(largest[number]),
        })  # fmt: skip
        query, key = np.divmod(sparse.indices, len(text))
        for one, other, weight in zip(query.tolist(), key.tolist(), sparse.values.tolist(), strict=True):
            if one and other:  # the first token never counts
                masses["query"][text[one]] += weight
                masses["key"][text[other]] += weight
        distances += sparse.distances.tolist()
    return {
        "sequences": sequences,
        "qk_distance_histogram": _distances(distances),
        "top_query_tokens": _ranked(masses["query"]),
        "top_key_tokens": _ranked(masses["key"]),
        "histogram": {"bin_edges": BINS.round(4).tolist(), "bin_values": np.histogram(largest, BINS)[0].tolist()},
        "statistics": {"texts": len(largest), "mean_max_activation": _rounded(largest.mean())},
    }


def _distances(distances: Sequence[int]) -> dict[str, list[int]]:
    """Distances in classes that double: 0, 1, 2 to 3, 4 to 7, ..."""
    longest = max(distances, default=1)
    edges = [0, *(2**power for power in range(int(longest).bit_length() + 1))]
    return {"bin_edges": edges, "bin_values": np.histogram(distances, edges)[0].tolist()}


def _ranked(masses: Counter[str]) -> list[dict[str, Any]]:
    """Tokens by their share of the attention, the largest first."""
    total, order = sum(masses.values()) or 1.0, sorted(masses.items(), key=lambda each: (-each[1], each[0]))
    return [{"token": token, "weight": _rounded(mass / total)} for token, mass in order[:TOKENS]]


def _config(atlas: HeadAtlas, lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the viewer reads first."""
    names = [name for name in lines[0] if name not in ("layer", "head")]
    return {
        "model_name": public_name(atlas.model or "model"),
        "heads": [[line["layer"], line["head"]] for line in lines],
        "n_layers": atlas.layers,
        "n_heads": atlas.heads,
        "n_intervals": INTERVALS,
        "metrics": names,
        "metric_descriptions": {name: (METRICS | OWN)[name] for name in names},
        "head_data_pattern": "L{layer}H{head}.json",
        "has_umap": False,
        "umap_heads": [],
        "custom_plots": [
            {"key": "qk_distance_histogram", "label": "Distance between query and key"},
            {"key": "histogram", "label": "Largest weight of a text"},
        ],
        "custom_tables": [
            {"key": "top_query_tokens", "label": "Query tokens by their share of attention"},
            {"key": "top_key_tokens", "label": "Key tokens by their share of attention"},
        ],
        "statistics_display": {
            "texts": {"label": "Texts that were read", "format": "default"},
            "mean_max_activation": {"label": "Mean of the largest weights", "format": "default"},
        },
    }  # fmt: skip


def _rounded(value: Any) -> float | None:
    """Four decimals; None where there is no finite number, which JSON has no word for."""
    if isinstance(value, int):
        return value
    return round(float(value), 4) if np.isfinite(value) else None


def _write(path: Path, values: Any) -> None:
    """Compact JSON, nothing in it that JSON has no word for."""
    write_bytes(path, json.dumps(values, separators=(",", ":"), allow_nan=False).encode())
