"""Rows whose label is likely wrong, with the reason, the most suspect first.

Of points: a k-NN and a linear probe judge every row without having seen it; near duplicates and equal texts with
another label are pointed out; with a run on the same rows its training dynamics stand beside. Of a run alone: its
validation rows, which it never trained on. An outcome folder holds suspects.parquet and suspects.csv, rows.parquet (all
rows with all figures), result.json and suspects.html.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Unpack

import numpy as np
from numpy.typing import NDArray

from separatrix import recipe as recipes
from separatrix.analysis.suspect_evidence import (
    Case,
    dynamics_columns,
    epoch_columns,
    near_columns,
    reasons,
    run_file,
    text_columns,
)
from separatrix.errors import DataError, OptionError, StoreError
from separatrix.geometry.score import classification
from separatrix.geometry.suspects import confident_joint, make_folds, near_groups, out_of_fold
from separatrix.points import Points
from separatrix.progress import Progress, silent
from separatrix.recipe.cluster import SuspectsRecipe
from separatrix.recipe.options import SuspectsOptions
from separatrix.store.artifacts import write_artifact
from separatrix.store.files import reading, write_json
from separatrix.store.folder import RESULT
from separatrix.store.result import Lines, Listing, Result, out_line
from separatrix.store.results import read_result
from separatrix.store.table import read_table, write_table

if TYPE_CHECKING:
    import pandas as pd

SUSPECTS, ALL_ROWS, PAGE = "suspects.parquet", "rows.parquet", "suspects.html"
MOST_LINES = 10  # of the table that are printed

_MOST_CLASSES = 1000
_CROWD = 0.1  # share of the rows in one heap of near duplicates from which `near` says nothing
_EQUAL = 1 - 1e-6  # cosine of equal vectors


@dataclass(frozen=True, eq=False)
class Suspects(Result):
    """Rows whose label is likely wrong, and the figures of all rows."""

    kind: ClassVar[str] = "suspects"

    table: pd.DataFrame  # the suspects, most suspect first
    rows: pd.DataFrame = field(repr=False)  # every row with its figures, in the order given
    result: dict[str, Any] = field(repr=False)  # what result.json holds
    folder: Path | None = None

    @property
    def estimated_noise(self) -> float:
        """Estimated share of wrong labels."""
        return float(self.result["estimated_noise"])

    @property
    def warnings(self) -> list[str]:
        """What should be looked at before a suspect is believed."""
        return list(self.result["warnings"])

    def figures(self) -> dict[str, Any]:
        """What `result.json` holds."""
        return dict(self.result)

    def parts(self) -> list[Listing | Lines]:
        """The first suspects, and the figures."""
        cells = [
            [str(row["id"]), str(row["label"]), row["suggested"], f"{row['score']:.3f}", str(row.get("text", "-"))[:60]]
            for row in self.table.head(MOST_LINES).to_dict("records")
        ]
        keys = ("suspects", "rows", "estimated_noise", "judged")
        lines = [*((key, self.result[key]) for key in keys), *out_line(self.folder)]
        return [*([Listing(["id", "label", "suggested", "score", "text"], cells)] * bool(cells)), lines]

    def write(self, folder: Path) -> None:
        """Write tables, figures and the page into an empty folder."""
        from separatrix.reports.suspects import write_suspects

        write_table(folder / SUSPECTS, self.table)
        write_table(folder / "suspects.csv", self.table)
        write_table(folder / ALL_ROWS, self.rows)
        write_json(folder / RESULT, self.result | {"kind": self.kind})
        write_suspects(folder / PAGE, [dict(row) for _, row in self.table.iterrows()], self.result)


def suspects(
    source: Points | str | Path,
    *,
    recipe: SuspectsRecipe | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    verify: bool = True,
    progress: Progress = silent,
    **options: Unpack[SuspectsOptions],
) -> Suspects:
    """Find labels that are likely wrong.

    Args:
        source: points with a label column; or the folder of a run, whose validation rows are then judged.
        recipe: all options at once.
        out: folder to write; nothing is written without it.
        overwrite: replace earlier suspects there.
        verify: compare the files of a run with their hashes.
        progress: is called with (stage, done, total, note).
        options: single options of `SuspectsRecipe`, by name.

    Raises:
        DataError: no labels, one class, a number that is not finite, a run on other rows.
        StoreError: the place is taken, or the folder holds no run.

    >>> rng = np.random.default_rng(0)
    >>> heaps = np.repeat([[4.0, 0.0], [0.0, 4.0]], 40, axis=0) + rng.normal(size=(80, 2)) / 4
    >>> labels = ["a"] * 40 + ["b"] * 39 + ["a"]
    >>> found = suspects(Points.of(heaps, {"label": labels}), near=1.0)
    >>> found.table[["id", "label", "suggested"]].to_dict("records")
    [{'id': 79, 'label': 'a', 'suggested': 'b'}]
    """
    asked = recipes.replace(recipe or SuspectsRecipe(), **options)
    inputs = source.folders if isinstance(source, Points) else (source,)
    with write_artifact(out, Suspects.kind, asked, overwrite=overwrite, inputs=(*inputs, asked.run)) as folder:
        progress("suspect labels", 0, 1, "")
        judged = (
            _of_points(source, asked, verify) if isinstance(source, Points) else _of_run(Path(source), asked, verify)
        )
        if folder is not None:
            judged.write(folder)
        progress("suspect labels", 1, 1, "")
    return judged if out is None else replace(judged, folder=Path(out))


def open_suspects(folder: str | Path) -> Suspects:
    """Read what `suspects` wrote.

    Raises:
        StoreError: the folder holds no suspects.
    """
    place = Path(folder)
    with reading(place):
        result = read_result(place, {"estimated_noise": float, "warnings": [str]})
        return Suspects(read_table(place / SUSPECTS, ("id",)), read_table(place / ALL_ROWS, ("id",)), result, place)


def _of_points(points: Points, recipe: SuspectsRecipe, verify: bool) -> Suspects:
    chosen = points.pick(recipe.block) if recipe.block else points
    codes, names = _classes(chosen.table, recipe.label)
    known = codes >= 0
    kept, labels = (chosen, codes) if known.all() else (chosen.where(known), codes[known])
    vectors = kept.values
    warnings = [] if known.all() else [f"{(~known).sum()} rows have no label and are left out"]
    index, cosine, heaps = near_groups(vectors, near=recipe.near, k=recipe.k)
    crowd = np.bincount(heaps).max() / len(heaps)
    if crowd > _CROWD:
        warnings.append(
            f"{crowd:.0%} of the rows hang together by a cosine of {recipe.near} or more: these vectors lie close "
            "together, and near duplicates say little; raise --near"
        )
        heaps = near_groups(vectors, near=_EQUAL, k=recipe.k)[2]
    thin = [name for name, rows in zip(names, np.bincount(labels), strict=True) if rows < recipe.folds]
    if thin:
        warnings.append(f"classes with fewer rows than folds cannot be judged well: {', '.join(thin[:8])}")
    fold = make_folds(labels, heaps, recipe.folds, seed=recipe.seed)
    chances = out_of_fold(vectors, labels, fold, classes=len(names), k=recipe.k)
    case = Case(kept.table, labels, names, chances, recipe.seed, warnings)
    columns = near_columns(case, index, cosine, recipe.near) | text_columns(case)
    if recipe.run is not None:
        columns |= dynamics_columns(case, Path(recipe.run), recipe.label, verify)
    return _judge(case, columns, recipe, "out-of-fold rows of the points")


def _classes(table: pd.DataFrame, name: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Class number of each row (-1: no label) and the names."""
    import pandas as pd

    if name not in table.columns:
        got = ", ".join(map(str, table.columns))
        raise DataError(f"the rows have no column {name!r}", got=got, hint="name the labels with --label")
    codes, classes = pd.factorize(table[name])  # numbered by their first rows: no figure depends on a name
    if not 2 <= len(classes) <= _MOST_CLASSES:
        got = f"{len(classes)} different values"
        raise DataError(f"the column {name!r} holds no classes", got=got, expected=f"2 to {_MOST_CLASSES}")
    return codes.astype(np.int64), tuple(map(str, classes))


def _of_run(run: Path, recipe: SuspectsRecipe, verify: bool) -> Suspects:
    """The validation rows of a run: its calibrated probabilities, and its scores after every epoch."""
    if not run.is_dir():
        raise StoreError(f"{run} is no folder", expected="points or a run")
    if recipe.run is not None or recipe.block is not None:
        raise OptionError("--run and --block need points to judge", got=run, hint="give the points first")
    run_file(run, RESULT, verify)
    with reading(run):
        return _judge_run(run, recipe)


def _judge_run(run: Path, recipe: SuspectsRecipe) -> Suspects:
    result = read_result(run, {"classes": [str]})
    table = read_table(run / "predictions" / "validation.parquet", ("id", "label"))
    names = tuple(result["classes"])
    if not names:
        raise DataError(f"{run} predicts numbers", expected="a run with classes")
    place = {name: number for number, name in enumerate(names)}
    labels = np.array([place[str(label)] for label in table["label"]])
    chances = table[[f"probability_{name}" for name in names]].to_numpy(dtype=np.float64)
    kept = table[[name for name in ("id", "text", "label", "group") if name in table.columns]]
    case = Case(kept, labels, names, {"run": chances}, recipe.seed)
    columns = text_columns(case) | epoch_columns(case, run)
    return _judge(case, columns, recipe, "validation rows of the run")


def _judge(case: Case, columns: dict[str, Any], recipe: SuspectsRecipe, which: str) -> Suspects:
    joints = {name: confident_joint(chances, case.labels) for name, chances in case.chances.items()}
    mean = confident_joint(np.mean(list(case.chances.values()), axis=0), case.labels)
    rows = case.table.reset_index(drop=True).assign(
        suggested=[case.names[k] for k in mean.suggested], score=mean.margin, self_confidence=mean.self_confidence
    )
    for name, joint in joints.items():
        rows[f"{name}_suggested"] = [case.names[k] for k in joint.suggested]
        rows[f"{name}_self_confidence"] = joint.self_confidence
        rows[f"{name}_flagged"] = joint.flagged
    rows = rows.assign(**columns, reason=reasons(case, joints, columns))
    found = rows[rows["reason"] != ""].sort_values("score", kind="stable").reset_index(drop=True)
    quality = {name: _quality(case, chances) for name, chances in case.chances.items()}
    warnings = case.warnings + [
        f"the {name} is not above the majority baseline, so what it doubts means nothing"
        for name, figures in quality.items()
        if figures["interval"][0] <= figures["majority"]
    ]
    result = {
        "suspects": len(found),
        "rows": len(rows),
        "judged": which,
        "estimated_noise": mean.noise,
        "estimated_noise_by_model": {name: joint.noise for name, joint in joints.items()},
        "flagged": {name: int(joint.flagged.sum()) for name, joint in joints.items()},
        "flagged_by_all": int(np.logical_and.reduce([joint.flagged for joint in joints.values()]).sum()),
        "models": quality,
        "classes": list(case.names),
        "joint": mean.joint.tolist(),
        "recipe": json.loads(recipes.canonical(recipe)),
        "warnings": warnings,
    }
    return Suspects(found, rows, result)


def _quality(case: Case, chances: NDArray[np.float64]) -> dict[str, Any]:
    """How good a judge is: its accuracy against the labels given, with baseline and interval."""
    found = classification(case.labels, chances.argmax(axis=1), case.names, seed=case.seed)
    return {"accuracy": found.accuracy, "interval": list(found.interval), "majority": found.majority}
