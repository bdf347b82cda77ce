"""Vectors of texts: this library's extraction against sentence-transformers' `encode`, on a CPU.

    python benchmarks/extract_vs_sentence_transformers.py [--data FOLDER] [--json]

Both sides read the same files of all-MiniLM-L6-v2, cut at the same length, pool by the mean and normalise, and give
float32 vectors in memory; sides are taken in turn, medians count. `encode` runs with its defaults (32 rows a batch,
sorted by length). Ours computes in float32, and once more with `--dtype auto` where that takes another format here.
Beside them run the matrix products of the model's layers alone, on 1024 tokens in float32: their rate is the limit of
ours. Then: the share of time that writing takes; the 8-bit engine, with what its vectors lose; peak resident memory
for 10k and for 200k rows.
Without --data the shipped questions stand in, repeated.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from benchmarks.parts.extract_memory import save_words
from studies.common import machine, markdown

from separatrix.extraction.extract import Destination, extract, run_extraction
from separatrix.extraction.readers import frozen_model
from separatrix.extraction.windows import read_rows
from separatrix.geometry.neighbors import knn_predict
from separatrix.models.backbone import Backbone
from separatrix.models.batches import CPU_TOKENS, each_core
from separatrix.models.config import layer_count
from separatrix.models.extract import Engine, hidden_reader
from separatrix.models.frozen_blocks import plan_options
from separatrix.models.load import load_backbone
from separatrix.models.pool import plan_poolings
from separatrix.models.precision import settled
from separatrix.models.quantised import quantise
from separatrix.recipe import ModelRecipe
from separatrix.recipe.vectors import ExtractRecipe, VectorsRecipe
from separatrix.texts import Classes, Texts, load_demo, load_texts

SETS = {"sst2": (1.5, 6920), "imdb": (1.5, 1000)}  # target of the ratio, rows
AUTO_TARGETS = {"sst2": 3.0, "imdb": 2.0}  # where `--dtype auto` computes in bfloat16
PRODUCTS = 4  # passes of a core over the layers' products, each turn
SAME = 0.99999  # least cosine between the two sides' vectors of a text
WRITING = 0.05  # share of the time
FLAT = 0.95
K = 5
QUANTISED_ROWS = 2000
MEMORY_CASE = "resident memory, first over last number of rows"
WRITING_CASE = f"{WRITING:.0%} / share of time spent writing"
Side = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class Race:
    """What was measured on one set."""

    name: str
    rows: int
    tokens: float  # a row, mean
    theirs: float  # seconds
    ours: float
    cosine: float  # the lowest
    target: float
    cpu_ratio: float  # of the processes' seconds on all cores: hardly changes when the machine does something else
    share: float  # of the rate of plain products, by the processes' seconds
    dtype: str  # which number format `--dtype auto` took
    reason: str
    auto: float  # seconds in it
    auto_cosine: float  # to the vectors of `encode`, the lowest

    def line(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "set": self.name,
            "rows": self.rows,
            "tokens_per_row": self.tokens,
            "theirs_rows_per_second": self.rows / self.theirs,
            "ours_rows_per_second": self.rows / self.ours,
            "ratio": self.theirs / self.ours,
            "cpu_ratio": self.cpu_ratio,
            "target": self.target,
            "lowest_cosine": self.cosine,
            "share_of_product_rate": self.share,
            "auto_dtype": self.dtype,
            "auto_reason": self.reason,
            "auto_rows_per_second": self.rows / self.auto,
            "auto_ratio": self.theirs / self.auto,
            "auto_lowest_cosine": self.auto_cosine,
        }


def texts_of(data: Path | None, name: str, rows: int) -> list[str]:
    """So many texts of a set; of the shipped questions, repeated, where there is no data."""
    if data is not None and (data / name).is_dir():
        found = load_texts(data / name / "train.parquet").text
    else:
        found = tuple(text for part in load_demo().parts.values() for text in part.text)
    return [found[row % len(found)] for row in range(rows)]


def our_side(backbone: Backbone) -> Side:
    """The public verb, in memory, then unit length."""

    def run(texts: Sequence[str]) -> np.ndarray:
        values = extract(list(texts), model=backbone, pool="mean").values
        return values / np.linalg.norm(values, axis=1, keepdims=True)

    return run


def their_side(backbone: Backbone) -> Side:
    """`encode` with its defaults, over the same files and with the same greatest length."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(backbone.source.folder), device="cpu")
    model.max_seq_length = backbone.recipe.max_length
    return lambda texts: model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)


def layer_products(backbone: Backbone) -> tuple[Side, float]:
    """A side that multiplies, on every core, 1024 tokens by the weights of all layers; and its FLOP."""
    weights = [part.weight for part in backbone.body.modules() if isinstance(part, torch.nn.Linear)]
    inputs = {weight.shape[1]: torch.randn(CPU_TOKENS, weight.shape[1]) for weight in weights}
    cores = torch.get_num_threads()

    @torch.inference_mode()
    def multiply(_: int) -> None:
        for weight in weights:
            torch.nn.functional.linear(inputs[weight.shape[1]], weight)

    def run(_: Sequence[str]) -> np.ndarray:
        for _done in each_core(range(PRODUCTS * cores), multiply, backbone.device):
            pass
        return np.empty(0)

    return run, 2.0 * PRODUCTS * cores * CPU_TOKENS * sum(weight.numel() for weight in weights)


def products_of(backbone: Backbone, texts: Sequence[str]) -> float:
    """FLOP of the matrix products that texts need: those of the layers, and of the attention."""
    parts = backbone.body.named_modules()
    weights = [
        part.weight.numel() for name, part in parts if isinstance(part, torch.nn.Linear) and "pooler" not in name
    ]
    lengths = np.array([len(ids) for ids in backbone.tokenize(texts).ids], float)
    attention = 4 * layer_count(backbone.model.config) * backbone.width
    return float(2 * sum(weights) * lengths.sum() + attention * (lengths**2).sum())


def race(name: str, texts: list[str], sides: tuple[Side, Side], backbone: Backbone, repeats: int) -> Race:
    """All sides in turn, after a warm-up on a few texts."""
    recipe, (why,) = settled(
        replace(backbone.recipe, dtype="auto"), texts, lambda one: plan_options(one, ("mean",), None)
    )
    product, flop = layer_products(backbone)
    turns = {"ours": sides[0], "product": product, "theirs": sides[1]}
    if recipe.dtype != backbone.recipe.dtype:
        turns["auto"] = our_side(load_backbone(recipe))
    for encode in turns.values():
        encode(texts[:32])
    wall: dict[str, list[float]] = {name: [] for name in turns}
    cpu: dict[str, list[float]] = {name: [] for name in turns}
    cosine = dict.fromkeys(turns, 1.0)
    for turn in range(repeats):
        print(f"{name}: turn {turn + 1} of {repeats}", file=sys.stderr, flush=True)
        vectors = {}
        for side in sorted(turns, reverse=bool(turn % 2)):
            begun, used = perf_counter(), process_time()
            vectors[side] = turns[side](texts)
            wall[side].append(perf_counter() - begun)
            cpu[side].append(process_time() - used)
        for side in {"ours", "auto"} & {*turns}:
            cosine[side] = min(cosine[side], float((vectors[side] * vectors["theirs"]).sum(axis=1).min()))
    tokens = float(np.mean([len(ids) for ids in backbone.tokenize(texts).ids]))
    taken = {side: median(seconds) for side, seconds in cpu.items()}
    share = products_of(backbone, texts) / taken["ours"] / (flop / taken["product"])
    auto = "auto" if "auto" in turns else "ours"
    return Race(
        name, len(texts), tokens, median(wall["theirs"]), median(wall["ours"]), cosine["ours"], SETS[name][0],
        taken["theirs"] / taken["ours"], share, recipe.dtype, why, median(wall[auto]), cosine[auto],
    )  # fmt: skip


def writing(backbone: Backbone, texts: list[str]) -> dict[str, float]:
    """Seconds of an extraction to disk, and of its writing."""
    recipe = ExtractRecipe(backbone.recipe, VectorsRecipe(pool=("mean",)))
    material = frozen_model(backbone, ExtractRecipe(vectors=recipe.vectors))
    with tempfile.TemporaryDirectory() as place:
        found = run_extraction(material, read_rows(texts), Destination(Path(place) / "points"))
    return {"seconds": found.seconds, "writing": found.writing_seconds, "share": found.writing_seconds / found.seconds}


def quantised(backbone: Backbone, sides: tuple[Side, Side], data: Path | None, rows: int | None) -> dict[str, Any]:
    """The 8-bit engine against `encode`: rows a second, cosine to the exact vectors, and what k-NN loses.

    k-NN (cosine, k = 5) answers the sst2 validation rows from so many training rows (of the shipped questions, their
    kinds). The vectors of both parts are 8-bit ones, as they would be in use.
    """
    small = Engine(backbone, run=quantise(backbone).run)
    reader = hidden_reader(small, plan_poolings(VectorsRecipe(pool=("mean",)), layer_count(backbone.model.config)))

    def run(texts: Sequence[str]) -> np.ndarray:
        values = reader.read(reader.tokenize(list(texts)), ["mean"])["mean"]
        return values / np.linalg.norm(values, axis=1, keepdims=True)

    train, held = labelled(data, rows)
    classes = Classes.of(train.label)
    gold = classes.encode(held.label)
    run(train.text[:32])
    found: dict[str, dict[str, Any]] = {}
    for name, side in (("encode", sides[1]), ("exact", sides[0]), ("8 bits", run)):
        begun = perf_counter()
        vectors = side(train.text)
        seconds = perf_counter() - begun
        votes = knn_predict(side(held.text), vectors, classes.encode(train.label), K, classes=len(classes))
        right = float((votes.argmax(axis=1) == gold).mean())
        found[name] = {"vectors": vectors, "rows_per_second": len(train) / seconds, "knn": right}
    cosine = (found["exact"].pop("vectors") * found["8 bits"].pop("vectors")).sum(axis=1)
    found["encode"].pop("vectors")
    majority = float(np.bincount(gold).max() / len(gold))
    return {
        "rows": len(train),
        "held_out_rows": len(held),
        "majority": majority,
        "sides": found,
        "mean_cosine": float(cosine.mean()),
        "lowest_cosine": float(cosine.min()),
    }


def labelled(data: Path | None, rows: int | None) -> tuple[Texts, Texts]:
    """Training and validation rows of sst2, or of the shipped questions."""
    if data is not None and (data / "sst2").is_dir():
        train, held = load_texts(data / "sst2" / "train.parquet"), load_texts(data / "sst2" / "validation.parquet")
    else:
        demo = load_demo()
        train, held = demo.train, demo.validation
    few = min(rows or QUANTISED_ROWS, len(train))
    return train.take(np.arange(few)), held.take(np.arange(min(few, len(held))))


def memory(counts: Sequence[int]) -> list[dict[str, float]]:
    """Peak resident memory of a process that extracts so many rows, MiB; a toy model, so that rows are what counts."""
    found = []
    with tempfile.TemporaryDirectory() as place:
        model = save_words(Path(place) / "model")
        for rows in counts:
            print(f"memory: {rows} rows", file=sys.stderr, flush=True)
            out = str(Path(place) / str(rows))
            command = [sys.executable, "-m", "benchmarks.parts.extract_memory", str(model), out, str(rows)]
            root = Path(__file__).resolve().parents[1]
            done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=root)
            found.append({"rows": rows, **json.loads(done.stdout)})
    return found


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Races, writing, memory."""
    backbone = load_backbone(
        ModelRecipe(device="cpu") if options.model is None else ModelRecipe(options.model, device="cpu")
    )
    sides = (our_side(backbone), their_side(backbone))
    races = []
    for name, (_, usual) in SETS.items():
        texts = texts_of(options.data, name, options.rows or usual)
        races.append(race(name, texts, sides, backbone, options.repeats))
    written = writing(backbone, texts_of(options.data, "sst2", options.rows or SETS["sst2"][1]))
    print("8 bits", file=sys.stderr, flush=True)
    small = quantised(backbone, sides, options.data, options.rows)
    resident = memory(options.memory_rows)
    ratios = {one.name: one.theirs / one.ours for one in races}
    ratios |= {
        WRITING_CASE: WRITING / written["share"],
        MEMORY_CASE: resident[0]["peak_mib"] / resident[-1]["peak_mib"],
    }
    targets = {one.name: one.target for one in races} | {WRITING_CASE: 1.0, MEMORY_CASE: FLAT}
    for one in races:
        if one.dtype != backbone.recipe.dtype:
            ratios[f"{one.name}, --dtype auto"] = one.theirs / one.auto
            targets[f"{one.name}, --dtype auto"] = AUTO_TARGETS[one.name]
    return {
        "ratios": ratios,
        "targets": targets,
        "measured": [one.line() for one in races],
        "same_vectors": min(one.cosine for one in races) >= SAME,
        "writing": written,
        "quantised": small,
        "memory": resident,
        "texts": "of --data" if options.data is not None else "the shipped questions, repeated",
    }


def show(found: dict[str, Any]) -> str:
    """The tables as text."""
    lines = [
        {
            "set": line["set"],
            "rows": line["rows"],
            "tokens a row": f"{line['tokens_per_row']:.1f}",
            "encode, rows/s": f"{line['theirs_rows_per_second']:.1f}",
            "ours, rows/s": f"{line['ours_rows_per_second']:.1f}",
            "ratio": f"{line['ratio']:.2f}",
            "ratio of CPU seconds": f"{line['cpu_ratio']:.2f}",
            "target": f"{line['target']:.1f}",
            "lowest cosine": f"{line['lowest_cosine']:.7f}",
            "of the rate of plain products": f"{line['share_of_product_rate']:.0%}",
        }
        for line in found["measured"]
    ]
    auto = [
        {
            "set": line["set"],
            "--dtype auto ran": line["auto_dtype"],
            "rows/s": f"{line['auto_rows_per_second']:.1f}",
            "ratio": f"{line['auto_ratio']:.2f}",
            "lowest cosine": f"{line['auto_lowest_cosine']:.7f}",
            "why": line["auto_reason"],
        }
        for line in found["measured"]
    ]
    share = f"Writing takes {found['writing']['share']:.2%} of the time (at most {WRITING:.0%} is the target)."
    resident = [
        {
            "rows": f"{line['rows']:,}",
            "peak, MiB": f"{line['peak_mib']:.0f}",
            "before the first row, MiB": f"{line['start_mib']:.0f}",
        }
        for line in found["memory"]
    ]
    small = found["quantised"]
    bits = [
        {
            "side": name,
            "rows/s": f"{side['rows_per_second']:.1f}",
            f"k-NN (k = {K}) on held-out rows": f"{side['knn']:.4f}",
        }
        for name, side in small["sides"].items()
    ]
    eight = (
        f"8-bit engine, {small['rows']} rows of training texts, {small['held_out_rows']} held out (majority "
        f"{small['majority']:.4f}): cosine to the exact vectors {small['mean_cosine']:.4f} in the mean, "
        f"{small['lowest_cosine']:.4f} at least."
    )
    info = found["machine"]
    said = f"Texts: {found['texts']}. Same vectors (cosine {SAME} or more): {'yes' if found['same_vectors'] else 'no'}."
    where = f"{info['cpu']}, {info['cores']} cores, {info['threads']} threads, torch {info['versions']['torch']}"
    return "\n\n".join([markdown(lines), said, markdown(auto), share, eight, markdown(bits), markdown(resident), where])


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    parser.add_argument("--data", type=Path, help="folder with sst2/train.parquet and imdb/train.parquet")
    parser.add_argument("--rows", type=int, help="rows of each set (default: 6920 of sst2, 1000 of imdb)")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each side (default 3)")
    parser.add_argument("--model", help="another model folder, for a trial of the script")
    parser.add_argument("--memory-rows", type=int, nargs="+", default=[10_000, 200_000], help="rows of the memory runs")
    parser.add_argument(
        "--threads", type=int, default=machine(0)["cores"], help="threads of torch (default: all cores)"
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    found = measure(options)
    found["machine"] = machine(options.threads)
    print(json.dumps(found, indent=1) if options.json else show(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
