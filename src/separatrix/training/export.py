"""A finished run as files for other programs: the whole classifier as ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import pandas as pd

from separatrix import recipe as recipes
from separatrix.errors import OptionError
from separatrix.learn.trained.exported import OnnxClassifier, compare_answers, exported_notes, write_classifier
from separatrix.learn.trained.graph import with_graph
from separatrix.learn.trained.loading import load_model
from separatrix.models.graph import check_installed
from separatrix.progress import Progress, silent
from separatrix.recipe.arguments import checks_arguments
from separatrix.recipe.files import ClassifierRecipe
from separatrix.recipe.options import ClassifierOptions
from separatrix.store.artifacts import write_artifact
from separatrix.store.contents import open_artifact
from separatrix.store.table import read_table
from separatrix.training.predict import answer_texts
from separatrix.training.result import PREDICTIONS, TrainingResult

MOST = 500  # texts that are compared
FAITHFUL = 0.9  # share of equal answers below which a graph is warned of
STEPS = 3


@checks_arguments
def export_classifier(
    run: TrainingResult | str | Path,
    *,
    recipe: ClassifierRecipe | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    verify: bool = True,
    progress: Progress | None = None,
    **options: Unpack[ClassifierOptions],
) -> OnnxClassifier:
    """Encoder, pooling and head (or index) of a run in one ONNX file, which answers as the run does.

    The graphs are compared with the run on up to 500 of its own test texts (validation texts where there is no test
    part): the largest difference of a probability, the share of equal answers, both accuracies.

    Args:
        run: of `--method probe`, `align` or `finetune`: its folder, or what `train` gave with `out`.
        recipe: all options at once.
        out: the folder.
        overwrite: replace an earlier export there.
        verify: compare the run's files with their hashes.
        progress: is called with (stage, done, total, note).
        options: single options of `ClassifierRecipe`, by name.

    Raises:
        OptionError: no `out`, or a run in memory alone.
        ModelError: a prompt, or a graph that answers otherwise than the run.
        MissingExtra: onnx or onnxruntime is not installed.
        StoreError: no run in the folder, or `out` is taken.
    """
    wanted, progress = recipes.replace(recipe or ClassifierRecipe(), **options), progress or silent
    folder = run.folder if isinstance(run, TrainingResult) else Path(run)
    if folder is None:
        raise OptionError("the run is in memory alone", hint="save it first: result.save(FOLDER)")
    if out is None:
        raise OptionError("an export is a folder", got="no out", hint="pass out=, or --out FOLDER")
    check_installed("an export to ONNX")
    artifact = open_artifact(folder, verify=False)  # the model's files are compared where they are read
    model = load_model(folder, device="cpu", verify=verify)
    if getattr(model, "pairs", False):
        hint = "predict with the run itself: separatrix predict, or sx.load"
        raise OptionError("a run of text pairs cannot be exported: its graph reads one text", hint=hint)
    model = with_graph(model)
    with write_artifact(out, OnnxClassifier.kind, wanted, overwrite=overwrite, inputs=(folder,)) as part:
        assert part is not None
        rows = _known_texts(folder) if artifact.kind == "run" else None
        progress("ONNX", 0, STEPS, "")
        answer = None if rows is None else answer_texts(model, rows["text"].tolist())
        progress("ONNX", 1, STEPS, "")
        files = write_classifier(model, part, int8=wanted.int8)
        progress("ONNX", 2, STEPS, "")
        graphs: dict[str, dict[str, Any]] = {name: {"bytes": path.stat().st_size} for name, path in files.items()}
        result = OnnxClassifier(**exported_notes(model), graphs=graphs, folder=part)
        if rows is not None:
            for name in graphs:
                labels = rows["label"].tolist() if "label" in rows else None
                graphs[name] |= compare_answers(result.using(name), answer, rows["text"].tolist(), labels)
            result = replace(result, warnings=[*result.warnings, *_unfaithful(graphs)])
        result.write(part)
    progress("ONNX", STEPS, STEPS, "")
    return OnnxClassifier.open(out)


def _unfaithful(graphs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A sentence for each graph that often answers otherwise than the run."""
    shares = {name: figures.get("same_answer", 1.0) for name, figures in graphs.items()}
    what = "of the answers are those of the run; use the other graph, or compare them on texts of your own"
    return [f"{name}: {share:.0%} {what}" for name, share in shares.items() if share < FAITHFUL]


def _known_texts(folder: Path) -> pd.DataFrame | None:
    """Test rows of a run, or its validation rows, with labels where they were known; None where it kept none."""
    for part in ("test", "validation"):
        path = folder / PREDICTIONS / f"{part}.parquet"
        if path.is_file():
            return read_table(path, ("text",)).head(MOST)
    return None
