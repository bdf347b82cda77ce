"""Any folder that a command wrote: `load` gives it back as a typed result, `report` puts several on one page."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Unpack, overload

from separatrix import recipe as recipes
from separatrix.errors import OptionError
from separatrix.points import Points
from separatrix.progress import Progress, silent
from separatrix.recipe.arguments import checks_arguments
from separatrix.recipe.core import shown
from separatrix.recipe.options import ReportOptions, StudyOptions
from separatrix.recipe.project import ReportRecipe
from separatrix.store.artifacts import resume_artifact, write_file
from separatrix.store.contents import open_artifact
from separatrix.store.manifest import read_manifest
from separatrix.store.result import Result

if TYPE_CHECKING:
    from separatrix.analysis.outputs import OutputStudy
    from separatrix.reports import ReportFile

Shown = str | Path | Points | Result  # what a page can show, or its folder

# Kind of an artefact -> module and function that read it.
READERS = {
    "points": ("store.points", "open_points"),
    "run": ("training.result", "TrainingResult.open"),
    "model": ("learn.trained.loading", "load_model"),
    "onnx": ("learn.trained.exported", "OnnxClassifier.open"),
    "clusters": ("analysis.cluster", "Clusters.open"),
    "atlas": ("analysis.heads", "HeadAtlas.open"),
    "map": ("analysis.project", "Projection.open"),
    "association": ("analysis.associate", "Associations.open"),
    "suspects": ("analysis.suspects", "Suspects.open"),
    "score": ("analysis.score", "Separation.open"),
    "plan": ("analysis.plan", "Plan.open"),
    "ranking": ("analysis.rank", "Ranking.open"),
    "sweep": ("sweeps.result", "SweepResult.open"),
    "answers": ("training.methods.answers", "AnswerResult.open"),
    "compression": ("analysis.compress", "Compression.open"),
    "comparison": ("analysis.compare", "Comparison.open"),
}


@checks_arguments
def load(folder: str | Path, *, verify: bool = True) -> Any:
    """Read what a command or `save` wrote, folders of earlier versions too.

    Args:
        folder: its manifest (of an earlier version: its files) says what it is.
        verify: compare the hashes of the files.

    Returns:
        `Points`, `Clusters`, `Projection`, ...: what the verb returned; of a saved estimator, its model.

    Raises:
        StoreError: nothing that a command wrote, not finished, or altered since.

    >>> from tempfile import TemporaryDirectory
    >>> from separatrix.points import Points
    >>> with TemporaryDirectory() as folder:
    ...     Points.of([[1.0, 0.0], [0.0, 1.0]]).save(f"{folder}/eye")
    ...     len(load(f"{folder}/eye"))
    2
    """
    artifact = open_artifact(folder, verify=False)  # the reader compares the hashes of what it reads
    if artifact.kind not in READERS:
        kinds = ", ".join(READERS)
        raise OptionError(f"{folder} cannot be loaded", got=artifact.kind, expected=kinds, hint="read its result.json")
    module, name = READERS[artifact.kind]
    return attrgetter(name)(import_module(f"separatrix.{module}"))(Path(folder), verify=verify)


@overload
def report(
    folders: Shown | Sequence[Shown], *, study: str, verify: bool = ..., recipe: ReportRecipe | None = ...,
    out: str | Path | None = ..., overwrite: bool = ..., progress: Progress | None = ...,
    **options: Unpack[StudyOptions],
) -> OutputStudy: ...  # fmt: skip
@overload
def report(
    folders: Shown | Sequence[Shown], *, study: None = ..., verify: bool = ..., recipe: ReportRecipe | None = ...,
    out: str | Path | None = ..., overwrite: bool = ..., progress: Progress | None = ...,
    **options: Unpack[StudyOptions],
) -> ReportFile: ...  # fmt: skip
@checks_arguments
def report(
    folders: Shown | Sequence[Shown],
    *,
    verify: bool = True,
    recipe: ReportRecipe | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Unpack[ReportOptions],
) -> ReportFile:
    """Write one HTML file that opens offline: of a run, over several results, or of a study of several runs.

    Args:
        folders: what verbs gave, or the folders that they wrote; the page shows them in this order.
        verify: compare the files with their hashes.
        recipe: all options at once.
        out: the .html file; of a single run, `report.html` in its folder if absent.
        overwrite: replace a file there.
        progress: is called with (stage, done, total, note) before and after the work.
        options: single options of `ReportRecipe`, by name. With `study="outputs"` maps and clusters of the outputs of
            finished runs are compared with their own decisions, and an `OutputStudy` is returned, a `ReportFile` with
            `runs`, `verdict` and `table`.

    Raises:
        OptionError: no folder, no file for a page over several, or one with another ending; a study of other things
            than runs with classes, validation and test rows.
        StoreError: a folder holds no result, or the file exists.
    """
    wanted = recipes.replace(recipe or ReportRecipe(), **options)
    several = [folders] if isinstance(folders, Shown) else list(folders)
    if not several:
        raise OptionError("report needs a folder", hint="give one that train or another command wrote")
    for one in several:
        if not isinstance(one, Shown):
            raise OptionError("this cannot be shown", got=shown(one), expected="a folder, points or a result of a verb")
    ending = ".html" if out is None else Path(out).suffix.lower()
    if ending not in (".html", ".htm"):  # what is replaced is a page at least
        raise OptionError(f"{out} cannot be written as a page", got=ending or "no ending", expected=".html")
    with TemporaryDirectory() as kept:
        paths = [_on_disk(one, Path(kept) / str(number)) for number, one in enumerate(several, 1)]
        _refuse_twice(paths)
        with nullcontext() if out is None else write_file(out, overwrite=overwrite, inputs=paths, own=_is_page):
            target = None if out is None else Path(out)
            if wanted.study is not None:
                return _study(paths, target, wanted, verify, progress or silent)
            (progress or silent)("report", 0, len(paths), "")
            written = _report(paths, target, verify)
            (progress or silent)("report", len(paths), len(paths), "")
    return written


def _refuse_twice(folders: Sequence[Path]) -> None:
    """Raise `OptionError` where two of the folders are one: beside itself nothing is to be seen."""
    earlier = dict[Path, Path]()
    for folder in folders:
        if (first := earlier.setdefault(folder.resolve(), folder)) is not folder:
            what = f"{folder} is given twice" if folder == first else f"{first} and {folder} are the same folder"
            raise OptionError(what, hint="name each folder once")


def _is_page(path: Path) -> bool:
    """Whether a file is a page as it is written here."""
    with path.open("rb") as file:
        return b"separatrix</title>" in file.read(4096)


def _on_disk(given: Any, kept: Path) -> Path:
    """A folder to be shown; what is in memory is saved for the time being."""
    if isinstance(given, str | Path):
        return Path(given)
    if isinstance(given, Result) and given.folder is not None:
        return given.folder
    if isinstance(given, Points) and len(given.folders) == 1:
        stored = Path(given.folders[0])
        if read_manifest(stored).rows == len(given):  # of all rows: nothing is copied
            return stored
    folder = kept / (given.kind if isinstance(given, Result) else "points")
    given.save(folder)
    return folder


def _study(
    folders: Sequence[Path], out: Path | None, recipe: ReportRecipe, verify: bool, progress: Progress
) -> ReportFile:
    from separatrix.analysis.outputs import study_outputs

    if out is None:
        raise OptionError("a study needs a file", hint="add --out FILE.html")
    return study_outputs(folders, out, recipe, verify=verify, progress=progress)


def _report(folders: Sequence[Path], out: Path | None, verify: bool) -> ReportFile:
    """One run with its pictures, which are drawn into its folder; or a page over several folders."""
    from separatrix.analysis.together import show_together
    from separatrix.store.folder import SHOWN
    from separatrix.training.pictures import is_run, show_run

    run = folders[0]
    if len(folders) > 1 or not is_run(run):
        if out is None:
            raise OptionError("a report of other things than one run needs a file", hint="add --out FILE.html")
        return show_together(folders, out, verify=verify)
    open_artifact(run, "run", verify=verify, only=SHOWN)
    with resume_artifact(run, "run", resume=True):
        return show_run(run, out)
