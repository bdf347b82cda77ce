"""Features: slow loops as oracles, known maps with known numbers, independence of the batch."""

import doctest
import importlib
import math
import re

import numpy as np
import pytest
import torch

from separatrix.errors import ModelError, OptionError
from separatrix.heads import descriptors as numbers
from separatrix.heads.descriptors import NAMES, descriptors, head_distances
from separatrix.heads.features import FEATURES, FeatureSetup, extract_features, singular_values
from separatrix.heads.frames import FRAMES, SCALINGS, grid
from separatrix.heads.maps import WindowBatch, collate, maps_of, run_maps

MODULES = ["descriptors", "frames", "resnet", "windows", "importance", "sentences"]


def made(length, tokens=None, causal=False, special=(0,), punctuation=(), segments=None):
    """A batch of one window without a model."""
    tokens = tokens or length
    mask = torch.arange(tokens)[None] < length
    kinds = [torch.zeros(1, tokens, dtype=torch.bool) for _ in range(2)]
    kinds[0][0, list(special)] = True
    kinds[1][0, list(punctuation)] = True
    parts = torch.full((1, tokens), -1)
    parts[0, :length] = torch.tensor(segments if segments is not None else [0] * length)
    parts[0, list(special)] = -1
    ids = torch.zeros(1, tokens, dtype=torch.long)
    return WindowBatch(ids, mask, ids, kinds[0], kinds[1], parts, causal)


def named(maps, batch):
    return dict(zip(NAMES, descriptors(maps, batch)[0, 0].tolist(), strict=True))


def slow(one, window, causal):
    """The fifteen numbers of one map, query by query."""
    n, out = len(one), dict.fromkeys(NAMES, 0.0)
    keys = one.sum(0) / n
    reference = np.zeros(n)
    for i in range(n):
        row, seen = one[i], (i + 1 if causal else n)
        h = -sum(p * math.log(p) for p in row if p > 0)
        reference[:seen] += 1 / seen / n
        out["entropy"] += (h / math.log(seen) if seen > 1 else 0) / n
        out["confidence"] += max(row) / n
        out["information"] -= h / n
        out["self"] += row[i] / n
        for j in range(n):
            p = row[j]
            out["previous"] += p * (j == i - 1) / (n - 1)
            out["next"] += p * (j == i + 1) / (n - 1)
            out["first"] += p * (j == 0) / n
            out["special"] += p * window.special[j] / n
            out["punctuation"] += p * window.punctuation[j] / n
            out["distance"] += p * abs(i - j) / (n - 1) / n
            out["forward"] += p * (j > i) / n
            out["diagonal"] += p * (abs(i - j) <= max(1, 0.05 * n)) / n
            own = window.segments[i] == window.segments[j] and window.segments[i] >= 0
            out["block"] += (p - (1 / seen) * (j < seen)) * own / n
    out["information"] = (out["information"] - sum(p * math.log(p) for p in keys if p > 0)) / math.log(n)
    out["vertical"] = sum(p * math.log(p / r) for p, r in zip(keys, reference, strict=True) if p > 0) / math.log(n)
    out["peak"] = keys.max()
    return [out[name] for name in NAMES]


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_descriptors_equal_the_slow_loop(shown, windows, family):
    backbone, chosen = shown(family), windows(family)[:4]
    batch, kept = collate(chosen, backbone), []
    run_maps(backbone, batch, lambda _, maps: kept.append(descriptors(maps, batch)))
    for place, window in enumerate(chosen):
        alone = maps_of(backbone, window).numpy()
        for layer, head in [(0, 0), (2, 3)]:
            wanted = slow(alone[layer, head], window, backbone.causal)
            np.testing.assert_allclose(kept[layer][place, head].numpy(), wanted, atol=2e-5)


def test_known_maps_have_known_numbers():
    eye, even, first = torch.eye(8), torch.full((8, 8), 1 / 8), torch.zeros(8, 8)
    first[:, 0] = 1
    back = torch.eye(8).roll(1, 1)
    back[7] = torch.eye(8)[7]
    batch = made(8)
    own = named(eye[None, None], batch)
    assert own["self"] == 1
    assert own["diagonal"] == 1
    assert own["entropy"] == pytest.approx(0, abs=1e-6)
    assert own["information"] == pytest.approx(1, abs=1e-6)
    flat = named(even[None, None], batch)
    assert flat["entropy"] == pytest.approx(1, abs=1e-6)
    assert flat["vertical"] == pytest.approx(0, abs=1e-6)
    assert flat["block"] == pytest.approx(0, abs=1e-6)
    upright = named(first[None, None], batch)
    assert (upright["first"], upright["special"], upright["peak"]) == (1, 1, 1)
    assert upright["vertical"] == pytest.approx(1, abs=1e-6)
    assert upright["information"] == pytest.approx(0, abs=1e-6)
    assert named(back[None, None], batch)["next"] == pytest.approx(1)
    blocks = torch.zeros(8, 8)
    blocks[:4, :4] = blocks[4:, 4:] = 1 / 4
    inner = named(blocks[None, None], made(8, special=(), segments=[0] * 4 + [1] * 4))
    assert inner["block"] == pytest.approx(0.5)


def test_even_attention_looks_alike_at_any_length():
    """Length must not pass for behaviour: even maps of any length get the same numbers."""
    found = []
    for length in (10, 40):
        even = torch.full((1, 1, length, length), 1 / length)
        found.append((named(even, made(length)), grid(even, made(length), 4)))
    for name in ("entropy", "vertical", "information"):
        assert found[0][0][name] == pytest.approx(found[1][0][name], abs=1e-5)
    torch.testing.assert_close(found[0][1], found[1][1])
    assert found[0][1].mean().item() == pytest.approx(1)


@pytest.mark.parametrize("family", ["bert", "gpt2", "modernbert"])
@pytest.mark.parametrize("name", ["descriptors", "grid", "singular"])
def test_alone_and_in_a_padded_batch_features_are_equal(shown, windows, family, name):
    """The issue's measure: 1e-4."""
    backbone, feature = shown(family), FEATURES[name](FeatureSetup(cells=6, values=4))
    chosen = sorted(windows(family), key=len)[::5]
    batch, together = collate(chosen, backbone), []
    run_maps(backbone, batch, lambda _, maps: together.append(feature.compute(maps, batch)))
    assert len({len(window) for window in chosen}) > 1
    for place, window in enumerate(chosen):
        own, alone = collate([window], backbone), []
        run_maps(backbone, own, lambda _, maps, own=own, alone=alone: alone.append(feature.compute(maps, own)))
        for layer, values in enumerate(alone):
            assert values.shape == (1, 4, feature.width)
            torch.testing.assert_close(together[layer][place], values[0], atol=1e-4, rtol=1e-4)


def test_extraction_puts_every_window_where_it_belongs(shown, windows):
    backbone, chosen = shown("bert"), windows("bert")
    features = {"descriptors": FEATURES["descriptors"](FeatureSetup())}
    seen = []
    for found in extract_features(backbone, chosen, features):
        seen += found.numbers.tolist()
        for place, values in zip(found.numbers, found.values["descriptors"], strict=True):
            if place % 7 == 0:
                own, alone = collate([chosen[place]], backbone), []
                run_maps(backbone, own, lambda _, maps, own=own, alone=alone: alone.append(descriptors(maps, own)[0]))
                np.testing.assert_allclose(values, torch.stack(alone).numpy(), atol=1e-4)
    assert sorted(seen) == list(range(len(chosen)))


def test_grid_equals_the_slow_loop():
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(1, 2, 7, 7, generator=generator)
    padded = torch.nn.functional.pad(maps, (0, 3, 0, 3))
    found = grid(padded, made(7, tokens=10), 3).reshape(2, 3, 3)
    fine = maps.repeat_interleave(3, 2).repeat_interleave(3, 3)  # 21 x 21: a cell is 7 x 7 of them
    for row in range(3):
        for column in range(3):
            cell = fine[0, :, 7 * row : 7 * row + 7, 7 * column : 7 * column + 7].mean(dim=(1, 2)) * 7
            torch.testing.assert_close(found[:, row, column], cell)


def test_singular_values():
    found = singular_values(torch.eye(4)[None, None], made(4), 6)[0, 0]
    torch.testing.assert_close(found, torch.tensor([1.0, 1, 1, 1, 0, 0, 1]))
    assert float(singular_values(torch.full((1, 1, 4, 4), 0.25), made(4), 2)[0, 0, -1]) == pytest.approx(0.25, abs=1e-5)


def test_head_distances_equal_scipy():
    from scipy.spatial.distance import jensenshannon

    maps = torch.softmax(3 * torch.randn(3, 5, 5, generator=torch.Generator().manual_seed(1)), -1)
    found = head_distances(maps, queries=99)
    for one in range(3):
        for other in range(3):
            wanted = np.mean([jensenshannon(maps[one, row], maps[other, row], base=2) for row in range(5)])
            assert float(found[one, other]) == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("name", SCALINGS)
def test_scaling_ignores_pads(name):
    """Seed 002 scaled every column by itself, pads and all; here the ranges are those of the real square."""
    maps = torch.rand(1, 2, 4, 4, generator=torch.Generator().manual_seed(0)) * 0.5 + 0.25
    padded = torch.nn.functional.pad(maps, (0, 2, 0, 2))
    alone, within = SCALINGS[name](maps, made(4)), SCALINGS[name](padded, made(4, tokens=6))
    torch.testing.assert_close(within[..., :4, :4], alone)
    assert float(within[..., 4:].abs().sum()) == 0
    if name != "none":
        dims = (-2,) if name == "column" else (-2, -1)
        assert alone.amin(dim=dims).abs().max() == 0
        assert torch.allclose(alone.amax(dim=dims), torch.tensor(255.0))


def test_column_scaling_is_that_of_the_seed():
    from sklearn.preprocessing import MinMaxScaler

    one = np.random.default_rng(0).random((5, 5)).astype(np.float32)
    wanted = MinMaxScaler((0, 255)).fit_transform(one)
    found = SCALINGS["column"](torch.from_numpy(one)[None, None], made(5))[0, 0]
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-4, atol=1e-3)


def test_frames():
    maps = torch.nn.functional.pad(torch.rand(1, 1, 4, 4), (0, 2, 0, 2))
    batch = made(4, tokens=6)
    padded = FRAMES["pad"](maps, batch, 5)
    torch.testing.assert_close(padded[..., :4, :4], maps[..., :4, :4])
    assert padded.shape == (1, 1, 5, 5)
    fitted = FRAMES["fit"](maps, batch, 8)
    torch.testing.assert_close(fitted[0, 0, ::2, ::2], maps[0, 0, :4, :4])


def test_unknown_feature_names_are_refused():
    from separatrix.recipe.vectors import AttentionRecipe

    with pytest.raises(OptionError, match=r"unknown feature.*grids.*descriptors, grid"):
        AttentionRecipe(features=("grids",))


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    result = doctest.testmod(importlib.import_module(f"separatrix.heads.{name}"))
    assert result.attempted > 0
    assert result.failed == 0


def test_resnet_vectors_do_not_depend_on_the_batch():
    from separatrix.heads.resnet import load_resnet, resnet_vectors

    network = load_resnet("random", torch.device("cpu"))
    maps = torch.softmax(torch.randn(1, 4, 20, 20, generator=torch.Generator().manual_seed(0)), -1)
    whole = resnet_vectors(network, maps, made(20), pixels=32)
    assert whole.shape == (1, 4, 2048)
    again = resnet_vectors(network, maps, made(20), pixels=32)
    single = resnet_vectors(network, maps[:, 1:2], made(20), pixels=32)
    torch.testing.assert_close(whole, again, atol=0, rtol=0)
    # Fifty layers of random weights: one value may drown in the rounding of its batch, a whole vector may not.
    assert (whole[:, 1:2] - single).norm() <= 1e-3 * single.norm()
    assert not network.model.training
    with pytest.raises(OptionError, match="longer than the picture"):
        resnet_vectors(network, torch.zeros(1, 1, 40, 40), made(40), pixels=32)


def test_resnet_weights_in_the_naming_of_torchvision(tmp_path):
    """Renamed weights give the same vectors; weights of something else are refused."""
    from safetensors.torch import save_file

    from separatrix.heads.resnet import load_resnet

    network = load_resnet("random", torch.device("cpu"), seed=3)
    there = {}
    for name, tensor in network.model.state_dict().items():
        short = name.replace("embedder.embedder.convolution", "conv1").replace("embedder.embedder.normalization", "bn1")
        found = re.match(r"encoder\.stages\.(\d)\.layers\.(\d+)\.(.*)", short)
        if found:
            stage, block, rest = int(found[1]) + 1, found[2], found[3]
            rest = rest.replace("shortcut.convolution", "downsample.0").replace(
                "shortcut.normalization", "downsample.1"
            )
            rest = re.sub(r"layer\.(\d)\.convolution", lambda m: f"conv{int(m[1]) + 1}", rest)
            rest = re.sub(r"layer\.(\d)\.normalization", lambda m: f"bn{int(m[1]) + 1}", rest)
            short = f"layer{stage}.{block}.{rest}"
        there[short] = tensor.clone()
    there["fc.weight"] = torch.zeros(2, 2048)
    save_file(there, tmp_path / "weights.safetensors")
    loaded = load_resnet(str(tmp_path / "weights.safetensors"), torch.device("cpu"), seed=4)
    for name, tensor in network.model.state_dict().items():
        torch.testing.assert_close(loaded.model.state_dict()[name], tensor, atol=0, rtol=0)

    save_file({"layer1.0.conv1.weight": torch.zeros(3, 3)}, tmp_path / "other.safetensors")
    with pytest.raises(ModelError, match="holds no weights of a ResNet-50"):
        load_resnet(str(tmp_path / "other.safetensors"), torch.device("cpu"))
    (tmp_path / "junk.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ModelError, match="is no safetensors file"):
        load_resnet(str(tmp_path / "junk.safetensors"), torch.device("cpu"))
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_resnet("./nothing-here", torch.device("cpu"))


def test_names_are_in_order():
    assert len(NAMES) == len(set(NAMES)) == 15
    assert numbers.NAMES is NAMES
