"""The result of a training: its figures as fields, the model, and the files of a run's folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from separatrix.learn.trained.loading import load_model
from separatrix.learn.trained.saved import Predictor
from separatrix.progress import Progress
from separatrix.reports.tables import score_rows
from separatrix.reports.verdict import judge
from separatrix.store.artifacts import new_folder
from separatrix.store.files import read_json, read_lines, write_json, write_lines
from separatrix.store.folder import METRICS, RECIPE, REPORT, RESULT
from separatrix.store.result import Lines, Listing, as_text
from separatrix.store.table import read_table, write_table
from separatrix.texts import Texts
from separatrix.training.predict import predict_texts

PREDICTIONS = "predictions"

# Heading, figure, and the figure whose interval stands behind it.
FIGURES = {
    "accuracy": "accuracy (95 % interval)",
    "macro_f1": "macro-F1",
    "never_predicted": "never predicted",
    "majority": "majority",
    "rmse": "RMSE (95 % interval)",
    "mae": "MAE",
    "r2": "R2",
    "baseline_rmse": "RMSE of the mean",
    "rows": "rows",
}
WITH_INTERVAL = ("accuracy", "rmse")


@dataclass(frozen=True, eq=False, repr=False)
class TrainingResult:
    """A trained model with its figures; the fields from `method` to `groups` are what `result.json` holds."""

    model: Predictor
    method: str
    transformer: dict[str, Any]  # identity of the model that was trained, or that the training stands behind
    loss: str
    classes: list[str]  # empty: numbers are predicted
    rows: dict[str, int]  # of each part
    scores: dict[str, Any]  # part -> figures
    baselines: dict[str, Any]  # name -> part -> figures
    chosen: dict[str, Any]  # name -> what was chosen on validation
    warnings: list[str]
    notes: list[str]
    facts: dict[str, Any]  # what the method adds: label words and their ranking
    best_epoch: int | None  # None: fitted in one go
    seconds: float
    groups: dict[str, Any] | None = None
    metrics: list[dict[str, Any]] = field(default_factory=list)  # one line an epoch
    predictions: Mapping[str, pd.DataFrame] = field(default_factory=dict)  # part -> a row a text
    recipe: dict[str, Any] = field(default_factory=dict)  # method, options, texts
    folder: Path | None = None

    @classmethod
    def read(
        cls, folder: Path, *, device: str = "auto", trust_remote_code: bool = False, verify: bool = True
    ) -> TrainingResult:
        """Read what `save` wrote.

        Raises:
            StoreError: no finished run is there, or it is damaged.
            ModelError: the transformer has other weights now.
        """
        plain = read_json(folder / RESULT, {"method": str, "scores": dict, "warnings": [str], "notes": [str]})
        known = {spec.name for spec in fields(cls)} - {"model"}
        blank: dict[str, Any] = dict.fromkeys(("loss", "best_epoch"))
        blank |= {"classes": [], "rows": {}, "baselines": {}, "chosen": {}, "seconds": 0.0}
        return cls(
            model=load_model(folder, device=device, trust_remote_code=trust_remote_code, verify=verify),
            transformer=plain.get("model", {}),
            facts={name: value for name, value in plain.items() if name not in known | {"model"}},
            metrics=read_lines(folder / METRICS) if (folder / METRICS).is_file() else [],
            predictions={path.stem: read_table(path) for path in sorted((folder / PREDICTIONS).glob("*.parquet"))},
            recipe=read_json(folder / RECIPE, dict),
            folder=folder,
            **blank | {name: value for name, value in plain.items() if name in known},
        )

    def save(self, folder: str | Path, *, overwrite: bool = False) -> None:
        """Write a run of its own, without trajectory, pictures and report.

        Raises:
            StoreError: the folder is there (with `overwrite`: and holds something else than a run).
        """
        with new_folder(folder, "run", self.recipe, overwrite=overwrite) as path:
            self.write_files(path)

    def write_files(self, folder: Path) -> None:
        """Write the files of a run but trajectory, pictures and report; `result.json` last."""
        self.model.save(folder)
        write_json(folder / RECIPE, self.recipe)
        write_lines(folder / METRICS, self.metrics)
        for part, frame in self.predictions.items():
            write_table(folder / PREDICTIONS / f"{part}.parquet", frame)
        write_json(folder / RESULT, self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """What `result.json` holds."""
        names = ("loss", "classes", "rows", "scores", "baselines", "chosen", "warnings", "notes")
        plain = {"method": self.method, "model": self.transformer, **{name: getattr(self, name) for name in names}}
        plain |= {**self.facts, "best_epoch": self.best_epoch, "seconds": self.seconds}
        return plain if self.groups is None else plain | {"groups": self.groups}

    def predict(self, texts: Texts | Sequence[str], progress: Progress | None = None) -> pd.DataFrame:
        """Answers of the model, a row for each text, none for no text: see `predict_texts`."""
        given = texts if isinstance(texts, Texts) else Texts.of(list(texts) or [""], keep_blank=True)
        answers = predict_texts(self.model, given, progress=progress)
        return answers if len(texts) else answers.iloc[:0]

    def with_note(self, note: str) -> TrainingResult:
        """The same result with one more note."""
        return replace(self, notes=[*self.notes, note])

    @property
    def report(self) -> Path | None:
        """Where the report of a run stands."""
        return None if self.folder is None else self.folder / REPORT

    @property
    def score_rows(self) -> list[dict[str, Any]]:
        """The score table as plain rows: the trained method and its baselines on each split."""
        return score_rows(self.to_dict())

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
        lines: list[tuple[str, object]] = [("verdict", self.verdict)]
        lines += [("warning", line.replace("\n", "\n" + " " * 9)) for line in self.warnings]
        lines += [("note", line) for line in self.notes]
        lines += [] if self.folder is None else [("run", self.folder), ("report", self.report)]
        return [_score_table(self.score_rows, self.method), lines]

    def __str__(self) -> str:
        return as_text(self.parts())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = "".join(f"<p>{escape(line)}</p>" for line in (self.verdict, *self.warnings))
        return self.table.to_html(index=False) + lines


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
    text = f"{row[key]:.3f}"
    if key in WITH_INTERVAL and "interval" in row:
        low, high = row["interval"]
        text += f" ({low:.3f} to {high:.3f})"
    return text
