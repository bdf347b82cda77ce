"""The commands about attention heads: `heads` makes an atlas, `heads-qa` fine-tunes for question answering.

`heads finetune-qa` is another spelling of `heads-qa`; `app` reads it so.
"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from separatrix.cli import options as opts
from separatrix.cli.flags import ParsedOptions, verb
from separatrix.cli.progress import TerminalProgress
from separatrix.recipe.heads import AnswerRecipe, HeadsRecipe, MapModelRecipe
from separatrix.store.result import Result

DataArgument = Annotated[
    str,
    Parameter(
        name="DATA", help="a SQuAD json file, a table with question and context, a folder of them, or a hub name"
    ),
]


@verb(
    opts.ResumableFolder,
    opts.Steps,
    HeadsRecipe,
    opts.Extracting,
    opts.Figures,
    main="out overwrite resume model text windows max_length features cluster_feature method k importance device seed "
    "json",
)
def heads(parsed: ParsedOptions, progress: TerminalProgress, data: DataArgument, /) -> Result:
    """Every (window, layer, head) becomes a row of numbers that keeps its identity.

    For example:
        separatrix heads data/squad_v2 --windows 300 --out runs/heads
        separatrix heads data/squad_v2 --windows 300 --out runs/heads --resume --k 20
        separatrix heads reviews.csv --text body --model gpt2 --max-length 256 --out runs/gpt2
    """
    from separatrix.analysis.heads import head_atlas

    return head_atlas(data, progress=progress, **parsed.keywords())


@verb(
    opts.ResumableFolder,
    opts.Questions,
    MapModelRecipe,
    AnswerRecipe,
    main="out overwrite resume test model train_windows max_length epochs batch_size lr device seed json",
)
def heads_qa(parsed: ParsedOptions, progress: TerminalProgress, data: DataArgument, /) -> Result:
    """The defaults are the usual ones of SQuAD; `heads --model OUT` then shows the maps after the training.

    It may also be typed `heads finetune-qa`.

    For example:
        separatrix heads-qa train-v2.0.json --test dev-v2.0.json --model bert-base-uncased --out runs/qa
        separatrix heads-qa data/squad_v2 --train-windows 2000 --epochs 1 --out runs/short
    """
    folder, part = parsed.make(opts.ResumableFolder), parsed.make(opts.Questions)
    recipe, source = parsed.make(AnswerRecipe), parsed.make(MapModelRecipe)
    from separatrix.training.methods.answers import answer_run

    return answer_run(
        data, folder.out, source.of_length(recipe.max_length), recipe, test=part.test, test_share=part.test_share,
        overwrite=folder.overwrite, resume=folder.resume, progress=progress,
    )  # fmt: skip
