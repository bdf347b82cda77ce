"""The result of a training: its figures as fields, the model, and the files of a run's folder."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import pandas as pd

from separatrix.errors import warn
from separatrix.learn.plane import OutputPlane
from separatrix.learn.trained.loading import load_model
from separatrix.learn.trained.saved import Predictor
from separatrix.progress import Progress
from separatrix.recipe.arguments import checks_arguments
from separatrix.reports.race import race_listing
from separatrix.reports.tables import ordinal_listing, reliability_lines, score_rows
from separatrix.reports.verdict import judge
from separatrix.store.artifacts import new_folder
from separatrix.store.files import Schema, read_json, read_lines, write_json, write_lines
from separatrix.store.folder import METRICS, RECIPE, REPORT, SHOWN, TRAJECTORY
from separatrix.store.result import APART, Lines, Listing, Result, apart, digits, optional
from separatrix.store.table import read_table, write_table
from separatrix.texts import Texts
from separatrix.texts.pairs import SECOND
from separatrix.training.predict import listed_texts, predict_texts

if TYPE_CHECKING:
    from separatrix.training.explain import PromptExplanation

PREDICTIONS = "predictions"

# Heading, figure, and the figure whose interval stands behind it.
FIGURES = {
    "accuracy": "accuracy (95 % interval)",
    "micro_f1": "micro-F1 (95 % interval)",
    "macro_f1": "macro-F1",
    "subset_accuracy": "whole set right",
    "never_predicted": "never predicted",
    "majority": "majority",
    "rmse": "RMSE (95 % interval)",
    "mae": "MAE",
    "r2": "R2",
    "baseline_rmse": "RMSE of the mean",
    "rows": "rows",
}
WITH_INTERVAL = ("accuracy", "rmse", "micro_f1")


@dataclass(frozen=True, eq=False, repr=False)
class TrainingResult(Result):
    """A trained model with its figures; `result.json` has `transformer` as `model`, and `facts` one by one."""

    kind: ClassVar[str] = "run"
    schema: ClassVar[Schema] = {"method": str, "scores": dict, "warnings": [str], "notes": [str]}
    verified: ClassVar[Collection[str]] = SHOWN

    method: str
    scores: dict[str, Any]  # part -> figures
    transformer: dict[str, Any]  # identity of the model that was trained, or that the training stands behind
    warnings: list[str]
    notes: list[str]
    loss: str | None = None  # what earlier versions did not write is blank
    classes: list[str] = field(default_factory=list)  # empty: numbers are predicted
    rows: dict[str, int] = field(default_factory=dict)  # of each part
    baselines: dict[str, Any] = field(default_factory=dict)  # name -> part -> figures
    chosen: dict[str, Any] = field(default_factory=dict)  # name -> what was chosen on validation
    facts: dict[str, Any] = field(default_factory=dict)  # what the method adds: label words and their ranking
    best_epoch: int | None = None  # None: fitted in one go
    seconds: float = 0.0  # by the wall
    cpu_seconds: float | None = optional()  # of all cores; what else the machine did takes nothing of them
    groups: dict[str, Any] | None = optional()
    command: str | None = optional()  # that makes it again; paths are reduced to their names
    software: dict[str, str] | None = optional()  # versions that made it
    race: dict[str, Any] | None = optional()  # of `--method auto`: how the method was chosen
    model: Predictor = apart()
    metrics: Sequence[dict[str, Any]] = apart(())  # one line an epoch
    predictions: Mapping[str, pd.DataFrame] = field(default_factory=dict, metadata=APART)  # part -> a row a text
    plane: OutputPlane | None = apart()  # evaluated rows in the plane of the outputs
    recipe: Mapping[str, Any] = field(default_factory=dict, metadata=APART)  # method, options, texts

    @classmethod
    def stored(cls, folder: Path, plain: dict[str, Any]) -> dict[str, Any]:
        """The transformer, what the method added, and what stands in other files."""
        known = {spec.name for spec in fields(cls)} | {"model", "kind"}
        return {
            "transformer": plain.get("model", {}),
            "facts": {name: value for name, value in plain.items() if name not in known},
            "metrics": read_lines(folder / METRICS) if (folder / METRICS).is_file() else (),
            "predictions": {path.stem: read_table(path) for path in sorted((folder / PREDICTIONS).glob("*.parquet"))},
            "plane": OutputPlane.read(folder / PREDICTIONS),
            "recipe": read_json(folder / RECIPE, dict),
            "model": None,
        }

    @classmethod
    def open(
        cls, folder: str | Path, *, verify: bool = True, device: str = "auto", trust_remote_code: bool = False
    ) -> Self:
        """Read a run, and load its model.

        Args:
            folder: of the run.
            verify: compare the files with their hashes.
            device: where the model computes.
            trust_remote_code: run code that the transformer brings.

        Raises:
            StoreError: no finished run is there, or it is damaged.
            ModelError: the transformer has other weights now.
        """
        result = super().open(folder, verify=verify)
        model = load_model(folder, device=device, trust_remote_code=trust_remote_code, verify=verify)
        return replace(result, model=model)

    def save(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Write a run as `train` does with `out`: with pictures and report, and the trajectory where there is one.

        Raises:
            StoreError: the folder is there (with `overwrite`: and holds something else than a run).
        """
        from separatrix.training.pictures import show_run  # loads matplotlib

        with new_folder(folder, self.kind, self.recipe, overwrite=overwrite) as path:
            if self.folder is not None and (self.folder / TRAJECTORY).is_dir():
                shutil.copytree(self.folder / TRAJECTORY, path / TRAJECTORY)
            self.write(path)
            show_run(path, title=Path(folder).resolve().name)

    def write_files(self, folder: Path) -> None:
        """Write the files of a run but figures, trajectory, pictures and report."""
        self.model.write_files(folder)
        write_json(folder / RECIPE, self.recipe)
        write_lines(folder / METRICS, self.metrics)
        for part, frame in self.predictions.items():
            write_table(folder / PREDICTIONS / f"{part}.parquet", frame)
        if self.plane is not None:
            self.plane.write(folder / PREDICTIONS)

    def figures(self) -> dict[str, Any]:
        """What `result.json` holds."""
        plain = super().figures()
        return {"model": plain.pop("transformer"), **plain.pop("facts"), **plain}

    def predict(self, texts: Texts | Sequence[str], progress: Progress | None = None) -> pd.DataFrame:
        """Answers of the model, a row for each text, none for no text: see `predict_texts`."""
        given = texts if isinstance(texts, Texts) else listed_texts(texts)
        return predict_texts(self.model, given, progress=progress)

    @checks_arguments
    def explain(
        self, texts: Texts | None = None, *, classes: Sequence[str] = (), nearest: int = 5, seed: int = 0,
        progress: Progress | None = None,
    ) -> PromptExplanation:  # fmt: skip
        """Nearest words of each vector of a trained prompt, and what leaving it out costs.

        Args:
            texts: labelled; without them, the validation rows of the run (which chose the epoch). Those of another data
                set with the same classes say how far the prompt carries.
            classes: `THEIRS=OURS` of each label of these texts that has another name there; with any, rows whose label
                is no class of the run are left out, and a warning counts them.
            nearest: words of each vector.
            seed: of random vectors and intervals.
            progress: is called with (stage, done, total, note).

        Raises:
            ModelError: no prompt was trained.
            DataError: no labels, or one that is no class of the run.
        """
        from separatrix.training.explain import explain_prompt, with_classes

        if texts is not None and classes:
            known, earlier = () if self.model.classes is None else self.model.classes.values, len(texts.warnings)
            texts = with_classes(texts, classes, known)
            warn(texts.warnings[earlier:])
        if texts is None:
            rows = self.predictions["validation"]
            second = rows[SECOND].tolist() if SECOND in rows else None
            texts = Texts.of(rows["text"].tolist(), rows["label"].tolist(), source="validation", pair=second)
        return explain_prompt(self.model, texts, nearest=nearest, seed=seed, progress=progress)

    @checks_arguments
    def push_to_hub(
        self, repository: str, *, private: bool | None = None, token: str | None = None, license: str | None = None
    ) -> str:
        """Write the trained prompt or encoder into a repository of the hub, with a card of these figures.

        Args:
            repository: "owner/name"; made if need be.
            private: of a new repository.
            token: of the account; the stored one without it.
            license: of what is published, as the hub spells it; none is named without it.

        Returns:
            The address of the repository.

        Raises:
            ModelError: a probe was trained.
            StoreError: the hub refuses, or is not reached.
        """
        from separatrix.learn.hub import push_to_hub

        run = {name: getattr(self, name) for name in ("score_rows", "rows", "verdict", "warnings")}
        return push_to_hub(self.model, run, repository, private=private, token=token, license=license)

    def with_note(self, note: str) -> TrainingResult:
        """The same result with one more note."""
        return replace(self, notes=[*self.notes, note])

    @property
    def report(self) -> Path | None:
        """The report in the run's folder."""
        path = None if self.folder is None else self.folder / REPORT
        return path if path is not None and path.is_file() else None

    @property
    def score_rows(self) -> list[dict[str, Any]]:
        """The score table as plain rows: the trained method and its baselines on each split."""
        return score_rows(self.figures())

    @property
    def table(self) -> pd.DataFrame:
        """The score table: a row for the trained method and each baseline, on each split."""
        return pd.DataFrame(self.score_rows)

    @property
    def verdict(self) -> str:
        """Whether the classes separate, in one sentence."""
        return judge(self.score_rows, self.method).headline

    def parts(self) -> list[Listing | Lines]:
        """The score table, then the verdict, warnings and notes, and where the run is."""
        lines: list[tuple[str, object]] = [("verdict", self.verdict), *reliability_lines(self.scores)]
        lines += [("why", line) for line in (self.race or {}).get("why", ())]
        lines += [("warning", line.replace("\n", "\n" + " " * 9)) for line in self.warnings]
        lines += [("note", line) for line in self.notes]
        lines += [(name, path) for name, path in (("run", self.folder), ("report", self.report)) if path is not None]
        raced = [] if self.race is None else [race_listing(self.race["candidates"], self.score_rows)]
        ordered = ordinal_listing(self.score_rows, self.method)
        return [_score_table(self.score_rows, self.method), *([ordered] if ordered else []), *raced, lines]


def _score_table(rows: Sequence[Mapping[str, Any]], method: str) -> Listing:
    """The score table of a run: every method on every split, each figure beside its baseline."""
    keys = [key for key in FIGURES if any(key in row for row in rows)]
    cells = [[row["method"], row.get("pool", "-"), row["split"], *(_figure(row, key) for key in keys)] for row in rows]
    headings = ["method", "pooling", "split", *(FIGURES[key] for key in keys)]
    return Listing(headings, cells, [row["method"] == method for row in rows])


def _figure(row: Mapping[str, Any], key: str) -> str:
    if row.get(key) is None:
        return "-"
    if isinstance(row[key], int):
        return str(row[key])
    shown = digits(key)
    text = f"{row[key]:{shown}}"
    if key in WITH_INTERVAL and "interval" in row:
        low, high = row["interval"]
        text += f" ({low:{shown}} to {high:{shown}})"
    return text
