"""The speed of head features against the plain way, and against a vision network on every map.

    python benchmarks/heads_vs_plain.py [--data FOLDER/squad_v2] [--windows 12] [--json]

The plain way is what a notebook does: transformers with `output_attentions`, one window at a time, then the same
fifteen descriptors and the same grid computed map by map in NumPy. Ours is the library's extraction of the same
windows. Both sides run the same model in the same run. The vision network is a ResNet-50 (random weights unless
--weights names a file: they cost the same), whole-map scaling, 384 x 384, in batches of 16.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
from collections import Counter
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from studies.common import machine, markdown

from separatrix.analysis.heads.features import identity_scores
from separatrix.heads.features import FEATURES, FeatureSetup, extract_features
from separatrix.heads.frames import area_weights
from separatrix.heads.maps import load_for_maps
from separatrix.heads.windows import Window, WindowRule, cut_windows, draw
from separatrix.models.backbone import Backbone
from separatrix.recipe import DEFAULT_MODEL, ModelRecipe
from separatrix.texts.questions_answers import Example, read_material

TARGETS = {
    "plain way / ours, whole": 10.0,
    "plain way / ours, features only": 10.0,
    "ResNet-50 / descriptors, per map": 50.0,
    "4 GiB / peak memory": 1.0,
}
CELLS, BAND, TINY = 16, 0.05, 1e-30
WORDS = (  # noqa: SIM905
    "the oil crisis began in october when members of a group said that prices would rise , and so they did ."
).split()


def made_up(count: int) -> list[Example]:
    """Questions about contexts of random words, about as long as those of SQuAD."""
    generator = np.random.default_rng(0)

    def text(low: int, high: int) -> str:
        return " ".join(generator.choice(WORDS, size=int(generator.integers(low, high))))

    contexts = [text(80, 260) for _ in range(-(-count // 4))]
    return [Example(str(row), text(6, 14), contexts[row // 4], row // 4) for row in range(count)]


def plain_features(maps: np.ndarray, window: Window, causal: bool) -> np.ndarray:
    """Descriptors and grid of one map, as a notebook would: NumPy, one map."""
    n = len(maps)
    places = np.arange(n)
    ahead = places[None, :] - places[:, None]
    seen = places + 1 if causal else np.full(n, n)
    keys = maps.mean(axis=0)
    entropies = -(maps * np.log(np.maximum(maps, TINY))).sum(axis=1)
    most = np.where(seen > 1, np.log(np.maximum(seen, 2)), np.inf)
    reference = (np.tril(np.ones((n, n))) / seen[:, None]).mean(axis=0) if causal else np.full(n, 1 / n)
    segments = np.array(window.segments)
    own = (segments[:, None] == segments[None, :]) & (segments >= 0)[:, None]
    spread = -(keys * np.log(np.maximum(keys, TINY))).sum()
    log = np.log(max(n, 2))
    even = np.tril(own) if causal else own
    numbers = [
        (entropies / most).mean(), maps.max(axis=1).mean(), np.trace(maps) / n, np.trace(maps, -1) / (n - 1),
        np.trace(maps, 1) / (n - 1), keys[0], keys[np.array(window.special)].sum(),
        keys[np.array(window.punctuation)].sum(), (maps * np.abs(ahead)).sum() / (n - 1) / n,
        maps[ahead > 0].sum() / n, maps[np.abs(ahead) <= max(1, BAND * n)].sum() / n,
        (keys * np.log(np.maximum(keys, TINY) / np.maximum(reference, TINY))).sum() / log, keys.max(),
        maps[own].sum() / n - (even / seen[:, None]).sum() / n, (spread - entropies.mean()) / log,
    ]  # fmt: skip
    weights = area_weights(torch.tensor([n]), n, CELLS)[0].numpy()
    return np.concatenate([numbers, (weights @ maps @ weights.T * n).ravel()])


def plain_way(model: Any, windows: list[Window], causal: bool, typed: bool) -> tuple[np.ndarray, float]:
    """All rows, (windows, layers, heads, numbers), and the seconds spent behind the model."""
    rows, seconds = [], 0.0
    for window in windows:
        ids = torch.tensor([window.ids.tolist()], device=model.device)
        options = {"token_type_ids": torch.tensor([window.types.tolist()], device=model.device)} if typed else {}
        with torch.no_grad():
            layers = model(input_ids=ids, attention_mask=torch.ones_like(ids), output_attentions=True, **options)
        begun = perf_counter()
        maps = [layer[0].cpu().numpy() for layer in layers.attentions]
        rows.append([[plain_features(head, window, causal) for head in layer] for layer in maps])
        seconds += perf_counter() - begun
    return np.array(rows), seconds


def our_way(
    backbone: Backbone, windows: list[Window], names: tuple[str, ...], setup: FeatureSetup, clock: Counter[str]
) -> Any:
    """All rows by feature name, (windows, layers, heads, numbers)."""
    features = {name: FEATURES[name](setup) for name in names}
    parts = list(extract_features(backbone, windows, features))
    for part in parts:
        clock.update(part.seconds)
    order = np.argsort(np.concatenate([part.numbers for part in parts]))
    return {name: np.concatenate([part.values[name] for part in parts])[order] for name in names}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Both sides, and the network on some of the windows."""
    from transformers import AutoModel

    torch.set_num_threads(options.threads)
    backbone = load_for_maps(ModelRecipe(model=options.model, device=options.device))
    examples = read_material(options.data).examples if options.data else made_up(4 * options.windows)
    rule = WindowRule(options.max_length, 128, min(64, options.max_length // 4))
    sample = draw(backbone, examples, rule, windows=options.windows, shards=4, how="random", seed=0)
    cut = cut_windows(backbone, sample.examples, rule)
    windows = [window for windows in cut for window in windows][: options.windows]
    model = AutoModel.from_pretrained(backbone.source.folder, attn_implementation="eager").eval().to(backbone.device)
    typed = not backbone.causal and "token_type_ids" in backbone.tokenizer.model_input_names
    plain_way(model, windows[:1], backbone.causal, typed)
    our_way(backbone, windows[:1], ("descriptors", "grid"), FeatureSetup(cells=CELLS), Counter())
    clock, seconds = Counter[str](), dict[str, Any]()
    begun = perf_counter()
    ours = our_way(backbone, windows, ("descriptors", "grid"), FeatureSetup(cells=CELLS), clock)
    seconds["ours"] = perf_counter() - begun
    begun = perf_counter()
    plain, seconds["plain features"] = plain_way(model, windows, backbone.causal, typed)
    seconds["plain"] = perf_counter() - begun
    off = float(np.abs(plain - np.concatenate([ours["descriptors"], ours["grid"]], axis=-1)).max())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    maps = int(np.prod(ours["descriptors"].shape[:3]))
    network, scores = _network(backbone, windows[: options.resnet_windows], options)
    ours_per_map = clock["descriptors"] / maps
    ratios = {
        "plain way / ours, whole": seconds["plain"] / seconds["ours"],
        "plain way / ours, features only": seconds["plain features"] / (clock["descriptors"] + clock["grid"]),
        "ResNet-50 / descriptors, per map": network / ours_per_map,
        "4 GiB / peak memory": 4 / peak,
    }
    return {
        "ratios": ratios, "targets": TARGETS, "machine": machine(options.threads),
        "maps": maps, "windows": len(windows), "tokens": [len(window) for window in windows],
        "seconds": seconds,
        "seconds_by_part": clock, "resnet_seconds_per_map": network, "largest_difference": off,
        "peak_gib": peak, "ami": scores, "resnet_windows": options.resnet_windows, "weights": options.weights,
    }  # fmt: skip


def _network(backbone: Backbone, windows: list[Window], options: argparse.Namespace) -> tuple[float, dict[str, float]]:
    """Seconds a map of the ResNet-50, and how well either feature tells heads apart on the same windows."""
    setup = FeatureSetup(weights=options.weights, pixels=max(options.pixels, max(map(len, windows))))
    clock = Counter[str]()
    found = our_way(backbone, windows, ("descriptors", "resnet"), setup, clock)
    scores = {}
    for name, values in found.items():
        rows = values.reshape(-1, values.shape[-1])
        rows = (rows - rows.mean(axis=0)) / np.maximum(rows.std(axis=0), 1e-9)
        codes = np.tile(np.arange(values.shape[1] * values.shape[2]), len(values))
        if len(values) > 1:
            scores[name] = identity_scores(rows.astype(np.float32), codes, codes // values.shape[2])["ami_head"]
    return clock["resnet"] / int(np.prod(found["resnet"].shape[:3])), scores


def show(found: dict[str, Any]) -> str:
    """The table of the ratios, and what stands behind it."""
    rows = [
        {"case": case, "ratio": f"{found['ratios'][case]:.2f}", "target": f"{found['targets'][case]:g}"}
        for case in found["ratios"]
    ]
    speed = ", ".join(f"{side} {found['maps'] / found['seconds'][side]:.0f}" for side in ("ours", "plain"))
    ami = ", ".join(f"{name} {value:.3f}" for name, value in found["ami"].items())
    lines = [f"maps a second: {speed}", f"largest difference between the sides: {found['largest_difference']:.1e}",
             f"adjusted mutual information with the head: {ami or 'one window is not enough'}"]  # fmt: skip
    return "\n".join([markdown(rows), "", *lines])


def main(argv: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--data", default=None, help="a question-answering set (default: random words)")
    parser.add_argument("--windows", type=int, default=12)
    parser.add_argument("--resnet-windows", type=int, default=2)
    parser.add_argument("--max-length", type=int, default=384)
    parser.add_argument("--pixels", type=int, default=384)
    parser.add_argument("--weights", default="random")
    parser.add_argument("--threads", type=int, default=machine(0)["cores"], help="threads (default: all cores)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    found = measure(options)
    print(json.dumps(found) if options.json else show(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
