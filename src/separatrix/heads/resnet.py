"""ResNet-50 as a feature extractor, for Barlow Twins weights, say, no classifier, 2,048 numbers a map.

Two things are fixed here. The network is in evaluation mode - its normalisation uses the statistics
it was trained with - so a map's numbers do not depend on the batch. And the scaling is named: whole map or column.
The network is that of transformers; weights in torchvision's naming (as Barlow Twins published them) are renamed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from separatrix.errors import ModelError, OptionError
from separatrix.heads.frames import FRAMES, SCALINGS
from separatrix.heads.maps import WindowBatch
from separatrix.models.randomness import OwnRandomness

RANDOM = "random"
IMAGES = 16  # pictures in the network at a time
# torchvision's names -> those of transformers
NAMES = (
    (r"^conv1\.", "embedder.embedder.convolution."),
    (r"^bn1\.", "embedder.embedder.normalization."),
    (r"^layer(\d)\.(\d+)\.downsample\.0\.", r"encoder.stages.\1.layers.\2.shortcut.convolution."),
    (r"^layer(\d)\.(\d+)\.downsample\.1\.", r"encoder.stages.\1.layers.\2.shortcut.normalization."),
    (r"^layer(\d)\.(\d+)\.conv(\d)\.", r"encoder.stages.\1.layers.\2.layer.\3.convolution."),
    (r"^layer(\d)\.(\d+)\.bn(\d)\.", r"encoder.stages.\1.layers.\2.layer.\3.normalization."),
)
HEADS = ("fc.", "classifier.", "projector.")  # not part of the extractor


@dataclass(frozen=True)
class ResNet:
    """The network in evaluation mode."""

    model: Any
    width: int = 2048


def load_resnet(weights: str, device: torch.device, *, seed: int = 0) -> ResNet:
    """A frozen ResNet-50.

    Args:
        weights: a safetensors file (torchvision's or transformers' naming), the hub name of a ResNet-50, or `random`.

    Raises:
        ModelError: not the weights of a ResNet-50.
    """
    from transformers import ResNetConfig, ResNetModel

    if weights == RANDOM or Path(weights).is_file():
        with OwnRandomness(seed):
            model = ResNetModel(ResNetConfig())  # the defaults are those of ResNet-50
        if weights != RANDOM:
            _fill(model, Path(weights))
    else:
        model = _from_hub(weights)
    frozen: Any = model.eval().requires_grad_(False)
    return ResNet(frozen.to(device))


def _from_hub(name: str) -> Any:
    from transformers import AutoConfig, ResNetModel

    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=False)
        if config.model_type != "resnet" or list(config.depths) != [3, 4, 6, 3] or config.hidden_sizes[-1] != 2048:
            raise ModelError(f"{name!r} is no ResNet-50", got=config.model_type)
        return ResNetModel.from_pretrained(name, use_safetensors=True)
    except (OSError, ValueError) as error:
        hint = "give a safetensors file of ResNet-50 weights, a hub name, or `random`"
        raise ModelError(
            f"weights {name!r} cannot be loaded ({' '.join(str(error).split())[:160]})", hint=hint
        ) from error


def _fill(model: Any, path: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        hint = "save other formats once with safetensors.torch.save_file(torch.load(FILE, weights_only=True), NAME)"
        raise ModelError(f"{path} is no safetensors file ({error})", hint=hint) from error
    renamed = {rename(name): tensor for name, tensor in tensors.items() if not rename(name).startswith(HEADS)}
    wanted = model.state_dict()
    wrong = [
        name for name, tensor in wanted.items()
        if "num_batches_tracked" not in name and (name not in renamed or renamed[name].shape != tensor.shape)
    ]  # fmt: skip
    if wrong:
        name = wrong[0]
        got = "nothing" if name not in renamed else tuple(renamed[name].shape)
        raise ModelError(
            f"{path} holds no weights of a ResNet-50: {len(wrong)} of {len(wanted)} do not fit, first {name}",
            got=got, expected=tuple(wanted[name].shape),
        )  # fmt: skip
    model.load_state_dict({name: renamed.get(name, tensor) for name, tensor in wanted.items()})


def rename(name: str) -> str:
    """A weight's name in transformers' ResNet.

    >>> rename("module.layer1.0.conv2.weight"), rename("layer4.0.downsample.1.bias")
    ('encoder.stages.0.layers.0.layer.1.convolution.weight', 'encoder.stages.3.layers.0.shortcut.normalization.bias')
    """
    name = re.sub(r"^(module\.)?(backbone\.|resnet\.)?", "", name)
    for pattern, there in NAMES:
        match = re.match(pattern, name)
        if match is None:
            continue
        numbers = [str(int(number) - 1) for number in match.groups()]
        if len(numbers) > 1:
            numbers[1] = match.group(2)  # blocks count from 0, stages and convolutions from 1
        for group, number in enumerate(numbers, start=1):
            there = there.replace(f"\\{group}", number)
        return there + name[match.end() :]
    return name


@torch.no_grad()
def resnet_vectors(
    network: ResNet, maps: Tensor, batch: WindowBatch, *, pixels: int, frame: str = "pad", scaling: str = "map"
) -> Tensor:
    """Pooled last features of each map, (rows, heads, 2048); the rest as in `recipe.heads`.

    Raises:
        OptionError: a window longer than the picture that should hold it.
    """
    longest = int(batch.lengths.max())
    if frame == "pad" and longest > pixels:
        raise OptionError("a window is longer than the picture", got=longest, expected=f"at most {pixels}")
    rows, heads = maps.shape[:2]
    scaled = SCALINGS[scaling](maps, batch)
    pictures = FRAMES[frame](scaled, batch, pixels).flatten(0, 1)  # (rows * heads, pixels, pixels)
    vectors = [
        network.model(part[:, None].expand(-1, 3, -1, -1)).pooler_output.flatten(1) for part in pictures.split(IMAGES)
    ]
    return torch.cat(vectors).reshape(rows, heads, network.width)


@torch.no_grad()
def seconds_per_picture(weights: str, pixels: int, pictures: int = 4) -> float:
    """How long the network takes for one of several pictures, on all cores."""
    network, batch = load_resnet(weights, torch.device("cpu")).model, torch.rand(pictures, 3, pixels, pixels)
    network(batch[:1])
    begun = perf_counter()
    network(batch)
    return (perf_counter() - begun) / pictures
