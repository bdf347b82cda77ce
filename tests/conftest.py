"""Tiny random-weight transformers of every family, saved as real model folders, and a small planted task."""

from __future__ import annotations

import gc
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"  # before any import of the hub's client: nothing here may need the network

from collections.abc import Callable
from pathlib import Path

import pytest

from separatrix.threads import VARIABLE, set_threads

THREADS = set_threads()  # before PyTorch is loaded, as a command does: what waits for a thread soon sleeps

os.fsync = lambda _: None  # a kill leaves all that was written; what the power cut leaves is not tested
gc.disable()  # while modules are imported and tests collected, hardly anything is garbage

pytest_plugins = ["training_fixtures", "long_files_first", "undrawn", "untrained", "read_once"]  # tests/helpers


def pytest_collection_finish() -> None:
    """What is loaded by now stays; each collection of garbage would look at all of it again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)  # of what tests leave, little is in cycles
    gc.enable()


CAUSAL = ("gpt2", "gpt_neox", "llama", "qwen2", "opt")
ENCODERS = ("bert", "roberta", "electra", "distilbert", "modernbert")
FAMILIES = CAUSAL + ENCODERS

WORDS = (  # noqa: SIM905
    "the a cat dog bird fish tree house river red blue green old new big small who what where when why how many is was "
    "are did does it that this of in on at to from and or not good bad great awful fine dull 1 2 3 4 5 6 7 8 9 ? . ,"
).split()
SIZES = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
SPECIAL = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


def tiny_config(family: str) -> object:
    """A config of three layers of width 32, with positions for 128 tokens."""
    import transformers as hf

    vocabulary = len(WORDS) + 5
    sizes = SIZES | SPECIAL | {"vocab_size": vocabulary, "max_position_embeddings": 128}
    made = {
        "gpt2": lambda: hf.GPT2Config(
            vocab_size=vocabulary, n_embd=32, n_layer=3, n_head=4, n_positions=128, **SPECIAL
        ),
        "gpt_neox": lambda: hf.GPTNeoXConfig(**sizes),
        "llama": lambda: hf.LlamaConfig(**sizes, num_key_value_heads=2),
        "qwen2": lambda: hf.Qwen2Config(**sizes, num_key_value_heads=2),
        "opt": lambda: hf.OPTConfig(
            **SPECIAL,
            vocab_size=vocabulary,
            hidden_size=32,
            num_hidden_layers=3,
            num_attention_heads=4,
            ffn_dim=64,
            word_embed_proj_dim=32,
            max_position_embeddings=128,
        ),
        "bert": lambda: hf.BertConfig(**sizes),
        "roberta": lambda: hf.RobertaConfig(**sizes | {"pad_token_id": 1, "bos_token_id": 0}),
        "electra": lambda: hf.ElectraConfig(**sizes, embedding_size=16),
        "distilbert": lambda: hf.DistilBertConfig(
            vocab_size=vocabulary,
            dim=32,
            n_layers=3,
            n_heads=4,
            hidden_dim=64,
            max_position_embeddings=128,
            pad_token_id=0,
        ),
        "modernbert": lambda: hf.ModernBertConfig(
            **sizes, local_attention=8, global_attn_every_n_layers=2, cls_token_id=1, sep_token_id=2
        ),
    }
    return made[family]()


def save_tiny(family: str, folder: Path, seed: int = 0) -> Path:
    """Save a random model of the family with a word-level tokenizer; weights are large enough to tell inputs apart.

    States are of size 10, so that tests which compare two ways to one state allow 5e-5: on some processors 1e-5 was
    less than the rounding of float32.
    """
    import torch
    import transformers as hf
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    torch.manual_seed(seed)
    kind = hf.AutoModelForCausalLM if family in CAUSAL else hf.AutoModelForMaskedLM
    model = kind.from_config(tiny_config(family)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.25)
    model.save_pretrained(folder)
    pad, bos = ("<bos>", "<pad>") if family == "roberta" else ("<pad>", "<bos>")
    names = [pad, bos, "<eos>", "<unk>", "<mask>", *WORDS]
    tokenizer = Tokenizer(models.WordLevel({name: place for place, name in enumerate(names)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if family in ENCODERS:
        pair = [("<bos>", names.index("<bos>")), ("<eos>", 2)]
        tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A <eos>", special_tokens=pair)
    hf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<bos>",
        eos_token="<eos>",
        unk_token="<unk>",
        mask_token="<mask>",
        cls_token="<bos>",
        sep_token="<eos>",
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`tiny("gpt2")` is the folder of a tiny random model of that family."""
    root = tmp_path_factory.mktemp("models")

    def folder(family: str) -> Path:
        place = root / family
        return place if place.is_dir() else save_tiny(family, place)

    return folder


@pytest.fixture(scope="session", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    """Each of the ten families in turn."""
    return request.param


@pytest.fixture(scope="session")
def loaded(tiny: Callable[[str], Path]) -> Callable[..., object]:
    """`loaded("bert", logits=True, max_length=20)` is a backbone, shared by all tests: do not change it."""
    from separatrix.models.load import load_backbone
    from separatrix.recipe import ModelRecipe

    made: dict[object, object] = {}

    def load(family: str, *, logits: bool = False, **options: object) -> object:
        key = (family, logits, *sorted(options.items()))
        if key not in made:
            recipe = ModelRecipe(model=str(tiny(family)), **{"device": "cpu", **options})
            made[key] = load_backbone(recipe, logits=logits)
        return made[key]

    return load


@pytest.fixture(scope="session")
def planted() -> tuple[list[str], list[str]]:
    """180 short texts whose class is planted: the animal named decides (cat, dog or bird)."""
    import numpy as np

    generator = np.random.default_rng(0)
    filler = [word for word in WORDS if word not in ("cat", "dog", "bird", ".", "?", ",")]
    texts, labels = [], []
    for place in range(180):
        label = ("cat", "dog", "bird")[place % 3]
        words = list(generator.choice(filler, size=int(generator.integers(2, 9))))
        words.insert(int(generator.integers(0, len(words) + 1)), label)
        texts.append(" ".join(words))
        labels.append(label)
    return texts, labels


@pytest.fixture(autouse=True)
def _same_threads():
    """Commands, benchmarks and studies set the number of threads; the tests after them would take other sums, and CPUs.

    A command sets it in every library, and in the environment from which the next command takes it.
    """
    yield
    torch = sys.modules.get("torch")
    if os.environ.get(VARIABLE) != str(THREADS) or (torch and torch.get_num_threads() != THREADS):
        set_threads(THREADS)
