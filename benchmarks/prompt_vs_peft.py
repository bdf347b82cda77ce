"""A training step behind cached texts against a step of PEFT's prompt tuning, on a GPT-2 of small size.

    python benchmarks/prompt_vs_peft.py [--json]              steps, share of a plain matrix product, whole training
    python benchmarks/prompt_vs_peft.py --quality --data DIR  time to quality on trec coarse
    python benchmarks/prompt_vs_peft.py --model NAME          steps of a real causal model; also of late prompts
                                                              (--dtype bfloat16: both sides in it)

Random weights, batch 32, float32 unless --dtype says other, no dropout, no padding, all cores. PEFT's side is sequence
classification (the body, then a head of two columns on the last position): the least work that PEFT can do for a
label; the vocabulary is never multiplied. Its whole text goes forward and backward; ours was run once.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from benchmarks.parts.gpt2 import TINY, Size, random_labels, random_tokens, save_gpt2
from benchmarks.parts.suffix import TrainingData, train_suffix
from studies.common import machine, markdown
from studies.peft_side import load_quietly

from separatrix import recipe as recipes
from separatrix.errors import public_name
from separatrix.learn.objectives.centroids import centroid_ce
from separatrix.learn.objectives.movement import class_means
from separatrix.learn.trainables.prompt import PromptTrainable
from separatrix.models.backbone import DTYPES, Backbone
from separatrix.models.cache import build_cache
from separatrix.models.load import load_backbone
from separatrix.models.suffix import start_prompt
from separatrix.recipe import CacheRecipe, ModelRecipe, TrainRecipe

HERE = Path(__file__).resolve().parent
BATCH = 32
CASES = ((64, 20, 3.5), (64, 5, 10.0), (256, 20, 20.0))  # text tokens, prompt tokens, target of the ratio
WHOLE = (256, 20, 8.0)
REAL, REAL_TARGET, LATE_TARGET = (
    (64, 20),
    4.0,
    8.0,
)  # of `--model`: text and prompt tokens; prompts at the input, late ones
SHARE = 0.60
EPOCHS = 5
CLOCKS = {"wall": perf_counter, "processor": process_time}
CLOCK = ["wall"]
Step = Callable[[np.ndarray], None]  # one training step on these rows


@dataclass(frozen=True)
class Shape:
    """Text and prompt tokens of a case."""

    text: int
    prompt: int

    def __str__(self) -> str:
        return f"({self.text} text, {self.prompt} prompt)"


def suffix_step(backbone: Backbone, shape: Shape, size: Size, rows: int, layer: int = 0) -> Step:
    """Gather from the cache, prompt forward, `centroid_ce`, backward, AdamW on prompt and centroids."""
    recipe = recipes.replace(TrainRecipe(), tokens=shape.prompt, layer=layer)
    held = "bfloat16" if backbone.recipe.dtype == "bfloat16" else "float16"
    kept = CacheRecipe(cache="memory", cache_dtype=held)
    cache = build_cache(backbone, random_tokens(rows, shape.text, size), kept, first=layer)
    prompt = start_prompt(recipe.prompt, backbone, cache.shape)
    learner = PromptTrainable(backbone, recipe, prompt, {"train": cache})
    labels = torch.from_numpy(random_labels(rows))
    with torch.no_grad():
        centroids, _ = class_means(learner.outputs("train", np.arange(4)), labels[:4], 2)
    trained = [*prompt.named().values(), centroids]
    optimiser = torch.optim.AdamW([tensor.requires_grad_() for tensor in trained], lr=1e-3, fused=True)

    def step(batch: np.ndarray) -> None:
        z = learner.outputs("train", batch)
        value = centroid_ce(z, labels[torch.from_numpy(batch)], centroids, recipe.objective)["cross_entropy"]
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        optimiser.step()

    return step


def peft_step(folder: Path, shape: Shape, size: Size, rows: int, dtype: str = "float32") -> Step:
    """Prompt and text forward, cross-entropy of the head on the last position, backward, AdamW on prompt and head.

    In 16 bits its prompt and head are as well, which is the quickest way; ours stay in float32.
    """
    from peft import PromptTuningConfig
    from transformers import AutoModelForSequenceClassification

    config = PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=shape.prompt, prompt_tuning_init="SAMPLE_VOCAB")
    model = load_quietly(AutoModelForSequenceClassification, folder, config, num_labels=2).eval().to(DTYPES[dtype])
    inner = model.get_base_model().config
    inner.pad_token_id = size.vocabulary - 1 if inner.pad_token_id is None else inner.pad_token_id
    for name, tensor in model.named_parameters():
        tensor.requires_grad_("prompt_encoder" in name or "score" in name)
    trained = [tensor for tensor in model.parameters() if tensor.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1e-3, fused=True)
    ids = torch.tensor(random_tokens(rows, shape.text, size).ids)  # (rows, text)
    labels = torch.from_numpy(random_labels(rows))

    def step(batch: np.ndarray) -> None:
        picked = torch.from_numpy(batch)
        logits = model(input_ids=ids[picked], attention_mask=torch.ones_like(ids[picked])).logits.float()
        value = torch.nn.functional.cross_entropy(logits, labels[picked])
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        optimiser.step()

    return step


def step_flop(shape: Shape, size: Size) -> float:
    """Floating-point operations that a suffix step needs: nothing is counted that a better program could leave out.

    Matrix products: 2 per parameter and prompt token, forward and again backward (towards the activations only; the
    weights are frozen). Attention: forward q k and p v; backward towards p and q over text and prompt, towards k and v
    over the prompt alone.
    """
    rows, prompt, seen = BATCH, shape.prompt, shape.text + shape.prompt
    products = 2 * 2 * size.block_parameters * rows * prompt
    attention = 2 * size.layers * rows * prompt * size.width * (4 * seen + 2 * prompt)
    return float(products + attention)


def product_rate(side: int, repeats: int = 5) -> float:
    """FLOP per second of a plain matrix product, side x side, float32: the best of several."""
    a, b = torch.randn(side, side), torch.randn(side, side)
    return 2.0 * side**3 / min(seconds(lambda: torch.matmul(a, b)) for _ in range(repeats))


def seconds(work: Callable[[], Any]) -> float:
    """Seconds that a call takes, by the clock of `--clock`."""
    clock = CLOCKS[CLOCK[0]]
    begun = clock()
    work()
    return clock() - begun


def compare_steps(folder: Path, backbone: Backbone, size: Size, repeats: int) -> list[dict[str, Any]]:
    """Median seconds of a step of each side, measured in turn after a step to warm up; and the matrix product."""
    found = []
    for text, prompt, target in CASES:
        shape = Shape(text, prompt)
        print(f"steps {shape}", file=sys.stderr, flush=True)
        sides = {
            "suffix": suffix_step(backbone, shape, size, 2 * BATCH),
            "peft": peft_step(folder, shape, size, 2 * BATCH),
        }
        times: dict[str, list[float]] = {name: [] for name in sides}
        rates = []
        for place in range(repeats + 1):
            rows = np.arange(BATCH) + BATCH * (place % 2)
            for name, step in sides.items():
                times[name].append(seconds(lambda step=step, rows=rows: step(rows)))  # type: ignore[misc]
            rates.append(product_rate(min(2048, 32 * size.width // 12)))
        ours, theirs = median(times["suffix"][1:]), median(times["peft"][1:])
        rate, product = step_flop(shape, size) / ours, median(rates)
        line = {"case": f"step {shape}", "peft": theirs, "ours": ours, "ratio": theirs / ours, "target": target}
        found.append(line | {"shape": str(shape), "rate": rate, "product": product, "share": rate / product})
    return found


def compare_late_steps(name: str, layers: list[int], repeats: int, dtype: str) -> list[dict[str, Any]]:
    """A step of each entry layer against one of PEFT's, medians, measured in turn after a step to warm up."""
    backbone = load_backbone(ModelRecipe(model=name, device="cpu", dtype=dtype))
    config, shape = backbone.model.config, Shape(*REAL)
    size = Size(config.num_hidden_layers, config.hidden_size, config.num_attention_heads, config.vocab_size)
    sides: dict[str, Step] = {
        f"layer {layer}": suffix_step(backbone, shape, size, 2 * BATCH, layer) for layer in layers
    }
    sides["peft"] = peft_step(backbone.source.folder, shape, size, 2 * BATCH, dtype)
    times: dict[str, list[float]] = {side: [] for side in sides}
    for place in range(repeats + 1):
        print(f"{name}: round {place} of {repeats}", file=sys.stderr, flush=True)
        rows = np.arange(BATCH) + BATCH * (place % 2)
        for side, step in sides.items():
            times[side].append(seconds(lambda step=step, rows=rows: step(rows)))  # type: ignore[misc]
    theirs, lines = median(times.pop("peft")[1:]), []
    for layer, own in zip(layers, times.values(), strict=True):
        ours = median(own[1:])
        case = f"step {shape} of {public_name(backbone.source.name)}" + (f", prompt at layer {layer}" if layer else "")
        case += "" if dtype == "float32" else f", {dtype}"
        target = LATE_TARGET if layer else REAL_TARGET
        lines.append({"case": case, "peft": theirs, "ours": ours, "ratio": theirs / ours, "target": target})
    return lines


def compare_whole(
    folder: Path, backbone: Backbone, size: Size, rows: int, step_seconds: float | None
) -> dict[str, Any]:
    """Five epochs on both sides, ours with building the cache; PEFT's from one step's seconds if these are given."""
    shape = Shape(*WHOLE[:2])
    print(f"whole training {shape}, {rows} rows", file=sys.stderr, flush=True)
    labels = random_labels(rows)
    tokens = {"train": random_tokens(rows, shape.text, size), "validation": random_tokens(2, shape.text, size, seed=1)}
    recipe = recipes.replace(TrainRecipe(), tokens=shape.prompt, epochs=EPOCHS, batch_size=BATCH, memory_gib=8.0)
    material = TrainingData(tokens, {"train": labels, "validation": np.array([0, 1])}, 2)
    ours = train_suffix(backbone, material, recipe)
    batches = [np.arange(rows)[place : place + BATCH] for place in range(0, rows, BATCH)] * EPOCHS
    if step_seconds is None:
        step = peft_step(folder, shape, size, rows)
        theirs, note = seconds(lambda: [step(batch) for batch in batches]), ""
    else:
        theirs, note = step_seconds * sum(map(len, batches)) / BATCH, ", PEFT side extrapolated from its step"
    return {
        "case": f"whole training {shape}, {EPOCHS} epochs with the cache{note}",
        "peft": theirs,
        "ours": ours.seconds,
        "ratio": theirs / ours.seconds,
        "target": WHOLE[2],
        "cache_seconds": ours.cache_seconds,
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Steps, shares and the whole training; with `--model`, its steps alone."""
    if options.model:
        lines = compare_late_steps(options.model, options.layers, options.repeats, options.dtype)
        ratios, targets = ({line["case"]: line[name] for line in lines} for name in ("ratio", "target"))
        return {"ratios": ratios, "targets": targets, "measured": lines}
    size = TINY if options.tiny else Size()
    with tempfile.TemporaryDirectory() as place:
        folder = save_gpt2(size, Path(place) / "gpt2")
        backbone = load_backbone(ModelRecipe(model=str(folder), device="cpu"))
        steps = compare_steps(folder, backbone, size, options.repeats)
        one = next(line["peft"] for line in steps if line["shape"] == str(Shape(*WHOLE[:2])))
        whole = compare_whole(folder, backbone, size, options.rows, one if options.extrapolate else None)
    lines = [*steps, whole]
    ratios = {line["case"]: line["ratio"] for line in lines}
    targets = {line["case"]: line["target"] for line in lines}
    ratios |= {f"share of a plain matrix product {line['shape']}": line["share"] for line in steps}
    targets |= {f"share of a plain matrix product {line['shape']}": SHARE for line in steps}
    return {"ratios": ratios, "targets": targets, "measured": lines}


def show(found: dict[str, Any]) -> str:
    """The tables as text."""
    parts = []
    if found.get("measured"):
        lines = found["measured"]
        named = {"peft": "PEFT, s", "ours": "ours, s", "ratio": "ratio", "target": "target"}
        parts.append(
            markdown([{"case": x["case"]} | {text: f"{x[name]:.4g}" for name, text in named.items()} for x in lines])
        )
    if shares := [line for line in found.get("measured", ()) if "share" in line]:
        parts.append(
            markdown(
                [
                    {
                        "our step": line["shape"],
                        "GFLOP/s": f"{line['rate'] / 1e9:.1f}",
                        "plain matrix product, GFLOP/s": f"{line['product'] / 1e9:.1f}",
                        "share": f"{line['share']:.2f}",
                        "target": f"{SHARE:.2f}",
                    }
                    for line in shares
                ]
            )
        )
        parts.append(f"Building the cache of the whole training: {lines[-1]['cache_seconds']:.1f} s of ours.")
    parts += found.get("said", [])
    info = found["machine"]
    parts.append(f"{info['cpu']}, {info['cores']} cores, {info['threads']} threads, torch {info['versions']['torch']}")
    return "\n\n".join(parts)


def quality(options: argparse.Namespace) -> dict[str, Any]:
    """Time to quality, or a sentence where there is no data."""
    from benchmarks.parts.quality import CASE, TARGET, time_to_quality

    if options.data is None or not (options.data / "trec").is_dir():
        return {
            "ratios": {},
            "targets": {},
            "said": ["Time to quality is skipped: --data needs a folder with trec in it."],
        }
    ratio, table = time_to_quality(options.data, options.lines, epochs=options.epochs, rows=options.quality_rows)
    verdict = "our side never passes PEFT's best" if ratio is None else f"ratio {ratio:.1f}, target {TARGET:.0f}"
    return {"ratios": {CASE: ratio}, "targets": {CASE: TARGET}, "said": [table, f"{CASE}: {verdict}"]}


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    parser.add_argument("--repeats", type=int, default=3, help="timed steps of each side and case (default 3)")
    parser.add_argument("--rows", type=int, default=96, help="training rows of the whole training (default 96)")
    parser.add_argument(
        "--extrapolate", action="store_true", help="PEFT's whole training from its step; the case says so"
    )
    parser.add_argument(
        "--threads", type=int, default=machine(0)["cores"], help="threads of torch (default: all cores)"
    )
    parser.add_argument("--model", help="a real causal model in place of the random GPT-2: steps alone")
    parser.add_argument(
        "--layers", type=int, nargs="+", default=[0, 10, 20], help="of --model: where the prompt enters"
    )
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32", help="of --model: both sides")
    parser.add_argument(
        "--clock", choices=list(CLOCKS), default="wall",
        help="processor: seconds of the cores, with --threads 1 on a machine that does other work as well",
    )  # fmt: skip
    parser.add_argument("--quality", action="store_true", help="only the time to quality on trec coarse")
    parser.add_argument("--data", type=Path, help="for --quality: folder with trec/train.parquet and trec/test.parquet")
    parser.add_argument("--lines", type=Path, default=HERE / "results" / "time_to_quality.jsonl", help="its runs")
    parser.add_argument("--epochs", type=int, default=10, help="for --quality (default 10)")
    parser.add_argument("--quality-rows", type=int, help="training rows, for a trial of the script")
    parser.add_argument("--tiny", action="store_true", help="a toy model, for a trial of the script: measures nothing")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    CLOCK[0] = options.clock
    found = quality(options) if options.quality else measure(options)
    found["machine"] = machine(options.threads)
    if options.clock != "wall":
        found["clock"] = f"{options.clock} seconds"
    print(json.dumps(found, indent=1) if options.json else show(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
