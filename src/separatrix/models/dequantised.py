"""Quantised weights, read back as float once and kept: a copy of a GGUF file as transformers saves models.

The copy lies beside the hub's cache, under the SHA-256 of the file, with the hash of each of its own files: a damaged
copy is made anew, and where none can be kept, one is made for this process. Two processes at once make it once.
"""

from __future__ import annotations

import atexit
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from time import sleep
from typing import Any

import torch

from separatrix.errors import LockedError, MissingExtra, SeparatrixError, StoreError, raise_interrupt, system_refusal
from separatrix.models.gguf_header import GGUFHeader, read_header, unreadable
from separatrix.models.quiet import quietly, save_pretrained
from separatrix.models.randomness import OwnRandomness
from separatrix.paths import text_path
from separatrix.store.artifacts import claimed
from separatrix.store.files import hash_file, part_path, read_json, write_json
from separatrix.store.lock import is_held

NOTE = "copy.json"
SCHEMA = {"source": str, "remarks": [str], "files": {"*": str}}
WAIT = 0.5  # seconds, while another process makes the copy
PATIENCE = 4  # such waits in a row, where no process of this machine makes it
# How these split texts, of which transformers knows nothing: numbers digit by digit, then as GPT-2.
DIGITS = ("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b")
GPT2 = ("gpt-2", "gpt2", "phi-2", "mpt", "olmo", "jais", "roberta-bpe", "trillion")
SAMPLES = (
    "The capital of France is Paris.",
    "  In 2024, 3.5% of\n\tit's  12 cafés \u2014 \u4e2d\u6587 \U0001f600!",
    "a",
)
_VERIFIED: dict[tuple[Path, int], FloatCopy] = {}  # a copy is compared with its hashes once in a process
_TEMPORARY: dict[str, FloatCopy] = {}  # copies of this process, by the file's hash


@dataclass(frozen=True)
class FloatCopy:
    """A model's folder in float32, and what is to be said of it."""

    folder: Path
    remarks: tuple[str, ...]


def cache_folder() -> Path:
    """Where copies are kept: in the folder of Hugging Face's caches (`HF_HOME`)."""
    from huggingface_hub.constants import HF_HOME

    return Path(HF_HOME) / "separatrix" / "gguf"


def dequantised(path: Path, digest: str) -> FloatCopy:
    """The copy of a GGUF file with this SHA-256, made if there is none.

    Raises:
        MissingExtra: the packages that read such a file are not installed.
        ModelError: a file that is damaged, or of a model that transformers cannot build.
        StoreError: there is no room for a copy.
    """
    if digest in _TEMPORARY:
        return _TEMPORARY[digest]
    folder, foreign = cache_folder() / digest, 0
    while (copy := _whole(folder, digest)) is None:
        try:
            with claimed(folder) as target:
                if _whole(target, digest) is None:
                    shutil.rmtree(target, ignore_errors=True)
                    _make(path, digest, target)
        except LockedError as error:
            if is_held(folder):
                foreign = 0
            elif (foreign := foreign + 1) > PATIENCE:  # a file that another machine left, perhaps long ago
                return _temporary(path, digest, str(error))
            sleep(WAIT)
        except StoreError as error:
            return _temporary(path, digest, str(error))
    return copy


def _temporary(path: Path, digest: str, why: str) -> FloatCopy:
    home = mkdtemp(prefix="separatrix-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    target = Path(home) / digest
    _make(path, digest, target)
    copy = _whole(target, digest)
    assert copy is not None  # it was written a moment ago
    remark = f"the weights are read back anew by every process, since a copy cannot be kept: {why}"
    return _TEMPORARY.setdefault(digest, FloatCopy(copy.folder, (*copy.remarks, remark)))


def _whole(folder: Path, digest: str) -> FloatCopy | None:
    """The copy in a folder, or None unless each of its files is as it was written, and no other is there."""
    try:
        note = read_json(folder / NOTE, SCHEMA)
        key = folder, (folder / NOTE).stat().st_mtime_ns
        if key in _VERIFIED:
            return _VERIFIED[key]
        same = note["source"] == digest and {*os.listdir(folder)} == {NOTE, *note["files"]}
        if not same or any(hash_file(folder / name) != own for name, own in note["files"].items()):
            return None
    except (StoreError, OSError):
        return None
    return _VERIFIED.setdefault(key, FloatCopy(folder, tuple(note["remarks"])))


def _make(path: Path, digest: str, target: Path) -> None:
    """Write the copy, whole or not at all."""
    part = part_path(target)
    try:
        model, tokenizer, remarks = _read(path)
        try:
            part.mkdir()
            save_pretrained(part, model, tokenizer)
            _check_tokenizer(path, part, tokenizer)
            files = {name: hash_file(part / name) for name in os.listdir(part)}
            write_json(part / NOTE, {"source": digest, "remarks": remarks, "files": files})
            part.rename(target)
        except OSError as error:
            raise system_refusal(error, target) from error
        except SeparatrixError:
            raise
        except Exception as error:  # safetensors has a class of its own for a full disk
            raise_interrupt(error)
            raise StoreError(f"{target} cannot be written ({error})", hint="free some space, or set HF_HOME") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _read(path: Path) -> tuple[Any, Any, list[str]]:
    """Model and tokenizer of a GGUF file, and what is to be said of them."""
    header = read_header(path)
    # The file alone, in a folder of its own: what lies beside it is not read.
    with TemporaryDirectory() as folder, quietly(), OwnRandomness(0), _tamed():
        link = Path(folder) / "model.gguf"
        link.symlink_to(path.resolve())
        try:
            model, tokenizer = _from_transformers(link, path)
        except SeparatrixError:
            raise
        except ImportError as error:
            hint = 'type: pip install "separatrix[lm]"'
            raise MissingExtra("reading a GGUF file needs the packages gguf and accelerate", hint=hint) from error
        except Exception as error:  # damaged files surface as almost any type
            raise_interrupt(error)
            raise unreadable(path, str(error).replace(str(link), path.name)) from error
    remarks = [f"{header.quantisation}, read back as float"] if header.quantisation else []
    if (count := sum(weight.numel() for weight in model.parameters())) != header.elements:
        remarks.append(f"of the {header.elements} numbers in the GGUF file, the model has {count}")
    return model, tokenizer, remarks + _split_texts(header, tokenizer)


def _from_transformers(link: Path, path: Path) -> tuple[Any, Any]:
    """What a link to a file gives; messages name the file."""
    import transformers as hf
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL

    options: dict[str, Any] = {"gguf_file": link.name, "local_files_only": True}
    config = hf.AutoConfig.from_pretrained(link.parent, **options)
    if config.model_type not in CAUSAL:
        raise unreadable(path, f"a {config.model_type} model is no causal language model")
    # Newer versions keep the weights packed, where they find kernels for it.
    packed = {"quantization_config": hf.GgufConfig(dequantize=True)} if hasattr(hf, "GgufConfig") else {}
    kind: Any = hf.AutoModelForCausalLM
    model, report = kind.from_pretrained(
        link.parent, config=config, dtype=torch.float32, output_loading_info=True, ignore_mismatched_sizes=True,
        **options, **packed,
    )  # fmt: skip
    if odd := [*sorted(report["missing_keys"]), *(name for name, *_ in sorted(report["mismatched_keys"]))]:
        raise unreadable(path, f"{odd[0]} is missing or has another shape", hint="give a complete file")
    return model, hf.PreTrainedTokenizerFast.from_pretrained(link.parent, **options)


@contextmanager
def _tamed() -> Iterator[None]:
    """Let transformers read a file's header once, draw no bar, and fetch no code from the hub.

    It fetches code for some families where the package `kernels` is installed.
    """
    import gguf
    from transformers import modeling_gguf_pytorch_utils as reading

    changes: list[tuple[Any, str, Any]] = [
        (gguf, "GGUFReader", cache(gguf.GGUFReader)),
        (gguf, "get_tensor_name_map", cache(gguf.get_tensor_name_map)),
        (reading, "tqdm", lambda tensors, **_options: tensors),
    ]
    with suppress(ImportError):  # earlier versions have none
        from transformers.integrations.gguf import kernels

        changes += [(kernels, "_gguf_kernel", False), (kernels, "is_kernels_available", lambda: False)]
    before = [getattr(module, name) for module, name, _ in changes]
    try:
        for module, name, value in changes:
            setattr(module, name, value)
        yield
    finally:
        for (module, name, _), value in zip(changes, before, strict=True):
            setattr(module, name, value)


def _split_texts(header: GGUFHeader, tokenizer: Any) -> list[str]:
    """Let a tokenizer of bytes split texts as its own did before its merges; a remark where that is not known."""
    from tokenizers import pre_tokenizers

    try:
        from transformers.integrations.gguf.gguf_tokenizer_mapping import GGUF_PRE_TOKENIZER_SPLITS as KNOWN
    except ImportError:  # an earlier version
        KNOWN = {}
    split = header.values.get("tokenizer.ggml.pre")
    if header.values.get("tokenizer.ggml.model") != "gpt2" or split in KNOWN or split in GPT2:
        return []
    if split in DIGITS:
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )
        return []
    return [f"its tokenizer splits texts in a way that is not known here ({split!r:.40}); they are split as by GPT-2"]


def _check_tokenizer(path: Path, folder: Path, tokenizer: Any) -> None:
    """Raise a `ModelError` unless the tokenizer that was saved reads texts as the one in memory does."""
    from transformers import AutoTokenizer

    try:
        with text_path(folder) as source:
            saved = AutoTokenizer.from_pretrained(source)
        same = all(saved(text)["input_ids"] == tokenizer(text)["input_ids"] for text in SAMPLES)
    except Exception as error:  # damaged ones fail in any way
        raise_interrupt(error)
        raise unreadable(path, f"its tokenizer: {error}") from error
    if not same:
        raise unreadable(path, "its tokenizer reads texts otherwise once it is saved")
