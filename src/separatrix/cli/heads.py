"""The commands about attention heads: `heads` makes an atlas, `heads-qa` fine-tunes for question answering.

`heads finetune-qa` is another spelling of `heads-qa`; `app` reads it so.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from separatrix.cli import options as opts
from separatrix.cli.flags import ParsedOptions, takes
from separatrix.cli.mistakes import mendable
from separatrix.cli.progress import ProgressReporter
from separatrix.cli.results import print_json, print_lines, print_table
from separatrix.recipe import ModelRecipe, option
from separatrix.recipe.heads import STEPS, AnswerRecipe, HeadsRecipe, MapModelRecipe
from separatrix.store.result import Listing

DataArgument = Annotated[
    str,
    Parameter(
        name="DATA", help="a SQuAD json file, a table with question and context, a folder of them, or a hub name"
    ),
]


@dataclass(frozen=True)
class HeadsOptions:
    """What is done, and where it goes."""

    out: Path = option(dataclasses.MISSING, "folder of the atlas")  # noqa: RUF009 - a field, as in the recipes
    steps: tuple[str, ...] = option(STEPS, "steps to do, those before them included: " + ", ".join(STEPS))
    overwrite: bool = option(False, "replace the atlas that is in --out")
    resume: bool = option(False, "go on with the atlas in --out, or start where there is none")


@takes(HeadsOptions, HeadsRecipe, opts.OutputOptions)
def heads(parsed: ParsedOptions, data: DataArgument, /) -> None:
    """Every (window, layer, head) becomes a row of numbers that keeps its identity.

    For example:
        separatrix heads data/squad_v2 --windows 300 --out runs/heads
        separatrix heads data/squad_v2 --windows 300 --out runs/heads --resume --k 20
        separatrix heads reviews.csv --text body --model gpt2 --max-length 256 --out runs/gpt2
    """
    options, output = parsed.make(HeadsOptions), parsed.make(opts.OutputOptions)
    recipe = parsed.recipe(HeadsRecipe())
    from separatrix.analysis.heads import head_atlas

    with ProgressReporter(quiet=output.quiet) as progress, mendable():
        made = head_atlas(
            data, options.out, recipe, steps=options.steps, overwrite=options.overwrite, resume=options.resume,
            progress=progress,
        )  # fmt: skip
    print_json(made.result) if output.json else _print_atlas(made.result)


# What of the result is printed as a table: key -> (key of a line, heading); a column that no line has is left out.
TABLES = {
    "features": (("feature", "feature"), ("width", "columns"), ("ami_head", "AMI with head"),
                 ("ami_layer", "with layer"), ("ami_shuffled", "shuffled")),
    "association": (("with", "cluster with"), ("adjusted_mutual_information", "adjusted MI"),
                    ("mutual_information", "MI (nats)"), ("null_mean", "of shuffles"), ("p_value", "p"),
                    ("null_heads", "of shuffled heads"), ("p_heads", "p, heads")),
    "by_cluster": (("cluster", "cluster"), ("heads", "heads"), ("gradient", "gradient"),
                   ("ablation", "loss without a head"), ("harmless", "no higher without")),
}  # fmt: skip


def _print_atlas(result: dict[str, Any]) -> None:
    weighed = result.get("importance", {})
    for name, columns in TABLES.items():
        lines = weighed.get(name) or result.get(name) or []
        shown = [(key, heading) for key, heading in columns if any(key in line for line in lines)]
        if shown:
            rows = [[_cell(line.get(key)) for key, _ in shown] for line in lines]
            print_table(Listing([heading for _, heading in shown], rows))
    answers = [("removed", weighed["answer"])] if "answer" in weighed else []
    known = ("maps", "windows", "examples", "contexts", "maps_per_second", "page", "out", "seconds_whole")
    lines = [(name.replace("_", " "), result[name]) for name in known if name in result]
    print_lines([*answers, *_notes(result), *lines])


def _notes(result: dict[str, Any]) -> list[tuple[str, object]]:
    """What was left out of the data, a line each."""
    return [("note", note) for note in result.get("notes", ())]


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class AnswerOptions:
    """Where it goes, and what it is scored on."""

    out: Path = option(dataclasses.MISSING, "folder of the trained model")  # noqa: RUF009 - a field, as in the recipes
    test: str | None = option(None, "questions to score on (default: contexts of DATA are held out)")
    test_share: float = option(0.2, "share of the contexts that is held out", low=0.01, high=0.9)
    overwrite: bool = option(False, "replace the model that is in --out")


@takes(AnswerOptions, MapModelRecipe, AnswerRecipe, opts.OutputOptions)
def heads_qa(parsed: ParsedOptions, data: DataArgument, /) -> None:
    """The defaults are the usual ones of SQuAD; `heads --model OUT` then shows the maps after the training.

    It may also be typed `heads finetune-qa`.

    For example:
        separatrix heads-qa train-v2.0.json --test dev-v2.0.json --model bert-base-uncased --out runs/qa
        separatrix heads-qa data/squad_v2 --train-windows 2000 --epochs 1 --out runs/short
    """
    options, output = parsed.make(AnswerOptions), parsed.make(opts.OutputOptions)
    recipe, source = parsed.make(AnswerRecipe), parsed.make(MapModelRecipe)
    model = ModelRecipe(
        source.model, source.revision, recipe.max_length, source.dtype, source.device, source.trust_remote_code
    )
    from separatrix.analysis.heads.qa import answer_run

    with ProgressReporter(quiet=output.quiet) as progress, mendable():
        found = answer_run(
            data, options.out, model, recipe, test=options.test, test_share=options.test_share,
            overwrite=options.overwrite, progress=progress,
        )  # fmt: skip
    print_json(found) if output.json else _print_answers(found)


def _print_answers(found: dict[str, Any]) -> None:
    scores = found["scores"]
    kinds = {"all": ("exact", "f1", "total")}
    kinds |= {name: (f"{name}_exact", f"{name}_f1", f"{name}_total") for name in ("has_answer", "no_answer")}
    rows = [[name.replace("_", " "), *(_cell(scores[key]) for key in keys)] for name, keys in kinds.items()]
    print_table(Listing(["questions", "exact match", "F1", "number"], rows))
    figures = [("windows trained on", found["windows"]), ("left out", found["left_out"]), ("model", found["folder"])]
    print_lines([*_notes(found), *figures])
