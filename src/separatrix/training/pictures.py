"""Pictures and report of a run, made from the files in its directory alone: nothing is trained, no model is loaded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from separatrix.errors import StoreError, public_name
from separatrix.geometry.noise import fit_noise
from separatrix.geometry.order import class_groups
from separatrix.geometry.project import Plane, faithfulness, fit_plane
from separatrix.learn.plane import OutputPlane
from separatrix.learn.trajectory import Frame, read_frames, read_train_frames, subsample
from separatrix.reports import PictureFile, ReportFile, RunReport, write_report
from separatrix.reports.rows import MANY, ClassOrder, PageRows, RowMap
from separatrix.reports.sections import AGAINST
from separatrix.reports.tables import PER_CLASS, PER_LABEL, score_rows
from separatrix.store.files import read_lines, reading
from separatrix.store.folder import METRICS, RECIPE, REPORT, RESULT, TRAIN_ROWS, TRAJECTORY, has_result
from separatrix.store.kinds import kind_of
from separatrix.store.result import read_run_files
from separatrix.store.table import read_table
from separatrix.texts.pairs import shown, texts_of
from separatrix.training.command import origin_lines
from separatrix.view import Frames, Numbers, against, animate, confusion, curves, save, scatter, write_data

METRICS_LINE = {"epoch?": int, "step?": int, "loss?": float, "validation?": dict}
LEAST_SHARE = 1e-4  # below which probabilities count as equal on their map
LEAST_CHANCE = 1e-12  # below which a run says no more of a label, as in the verb `suspects`
LIKELY = 0.5  # probability from which on a label is doubted, as there
FEWEST = 20  # rows from which on labels are doubted
NUMBERS_PICTURE = "numbers.png"


@dataclass(frozen=True, eq=False)
class RunFiles:
    """What a run's directory says."""

    folder: Path
    recipe: dict[str, Any]
    result: dict[str, Any]
    metrics: list[dict[str, Any]]
    validation: pd.DataFrame


def read_run(folder: Path) -> RunFiles:
    """Read a finished run. Raises `StoreError`: the directory holds no finished run."""
    if not has_result(folder):
        hint = "go on with --resume" if (folder / RECIPE).is_file() else "give the folder that train wrote"
        raise StoreError(f"{folder} holds no finished run", expected=RESULT, hint=hint)
    lines = read_lines(folder / METRICS, METRICS_LINE) if (folder / METRICS).is_file() else []
    metrics = [line for line in lines if "loss" in line]  # a probe has no course to draw
    validation = read_table(folder / "predictions" / "validation.parquet", ("id", "text", "label", "predicted"))
    return RunFiles(folder, *read_run_files(folder), metrics, validation)


def has_sets(run: RunFiles) -> bool:
    """Whether rows have several labels: they have no confusion matrix, and no class to colour them by."""
    return "per_label" in run.result["scores"]["validation"]


def is_run(folder: Path) -> bool:
    """Whether a folder holds a training, finished or not, or nothing that any command wrote."""
    return kind_of(folder) in ("run", None)


def show_run(folder: Path, out: Path | None = None, *, title: str | None = None) -> ReportFile:
    """Draw the pictures of a run and write its report (to `report.html` in the run's directory, or elsewhere).

    The title is the name of the folder if it is absent.
    """
    run = read_run(folder)
    with reading(folder):
        held_out, train = run_frames(run)
        pictures = _draw(run, held_out, train)
        page = _report(run, held_out, train, pictures, title or folder.resolve().name)
        return write_report(out or folder / REPORT, page)


def run_report(folder: Path) -> RunReport:
    """What the report of a finished run shows; nothing is written."""
    run = read_run(folder)
    with reading(folder):
        numbers = folder / "pictures" / NUMBERS_PICTURE
        pictures = [PictureFile(AGAINST, numbers)] if numbers.is_file() else []
        return _report(run, *run_frames(run), pictures, folder.resolve().name)


def run_frames(run: RunFiles) -> tuple[Frames | None, Frames | None]:
    """Validation rows and (of encoders) training rows in one plane that is fixed over the whole run.

    None where none were recorded, or for numbers.
    """
    frames, seed = read_frames(run.folder / TRAJECTORY), run.recipe["loop"]["seed"]
    if not frames or not run.result["classes"] or has_sets(run):
        return None, None
    plane = fit_plane(_wide(frames[-1].outputs))  # that of the last frame, held over the run: what moves has moved
    rows = subsample(len(run.validation), len(frames[0].outputs), seed)
    held_out = _in_plane(run, frames, run.validation.iloc[rows], plane)
    trained = read_train_frames(run.folder / TRAJECTORY)
    return held_out, _in_plane(run, trained, read_table(run.folder / TRAIN_ROWS), plane) if trained else None


def _in_plane(run: RunFiles, frames: list[Frame], table: pd.DataFrame, plane: Plane) -> Frames:
    names = tuple(run.result["classes"])
    ids = {name: number for number, name in enumerate(names)}
    points = np.stack([plane.place(_wide(frame.outputs)) for frame in frames])
    return Frames(
        points=points.astype(np.float32),
        centroids=_centroids(frames, plane.place),
        labels=np.array([ids[str(label)] for label in table["label"]]),
        predicted=np.stack([frame.predicted for frame in frames]),
        names=names,
        titles=tuple(frame.title for frame in frames),
        texts=tuple(map(shown, texts_of(table))),
        axes=tuple(f"PC {n} ({share:.1%} of variance)" for n, share in enumerate(plane.explained, 1)),  # type: ignore[arg-type]
        note=_note(_wide(frames[-1].outputs), points[-1], run.recipe["loop"]["seed"]),
    )


def _wide(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)


def _centroids(frames: list[Frame], project: Any) -> np.ndarray | None:
    tracks = [frame.centroids for frame in frames]
    if any(track is None for track in tracks):
        return None
    return np.stack([project(_wide(track)) for track in tracks if track is not None]).astype(np.float32)


def page_rows(run: RunFiles, train: Frames | None) -> tuple[PageRows, dict[str, np.ndarray]] | None:
    """All rows of a run that were evaluated, test rows first, then training rows that were recorded.

    Also the numbers of the rows of each split; None where numbers are predicted.
    """
    names = tuple(run.result["classes"])
    if not names or has_sets(run):
        return None
    ids = {name: number for number, name in enumerate(names)}
    tables = {"validation": run.validation}
    if "test" in run.result["scores"]:
        tables = {"test": read_table(run.folder / "predictions" / "test.parquet")} | tables
    parts = [_answers(table, ids) for table in tables.values()]
    if train is not None:
        none = np.full((len(train.texts), len(names)), np.nan)
        unread = np.zeros(len(train.texts), int)
        parts.append((train.texts, ["-"] * len(train.texts), train.labels, train.predicted[-1], none, unread))
    splits = [*tables, "train"][: len(parts)]
    counts = [len(part[0]) for part in parts]
    starts = np.cumsum([0, *counts])
    numbers = {split: np.arange(starts[at], starts[at + 1]) for at, split in enumerate(splits)}
    texts, own, labels, predicted, shares, unknown = zip(*parts, strict=True)
    truth, chances = np.concatenate(labels), np.concatenate(shares)
    rows = PageRows(
        [*chain(*texts)], names, truth, np.concatenate(predicted), [*chain(*own)],
        [split for split in splits for _ in numbers[split]], chances,
        suspect=np.concatenate([doubted(part[2], part[3], part[4]) for part in parts]), unknown=np.concatenate(unknown),
        groups=class_order(names, truth, chances),
    )  # fmt: skip
    return rows, numbers


def _answers(table: pd.DataFrame, ids: dict[str, int]) -> tuple[Any, ...]:
    """Texts, ids, labels, predicted classes, probabilities and counts of unknown tokens of one split."""
    columns = [f"probability_{name}" for name in ids]
    known = set(columns) <= set(table.columns)
    shares = table[columns].to_numpy(np.float64) if known else np.full((len(table), len(ids)), np.nan)
    labels, predicted = ([ids[str(value)] for value in table[name]] for name in ("label", "predicted"))
    unknown = table.get("unknown_tokens", pd.Series(0, table.index)).to_numpy(int)  # written where there are any
    texts = list(map(shown, texts_of(table)))
    return texts, table["id"].tolist(), np.array(labels), np.array(predicted), shares, unknown


def doubted(labels: np.ndarray, predicted: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Probability that the label of a row is wrong, (rows,), by the run's own probabilities; NaN where it is below 1/2.

    Rows that the run was trained on have no probabilities, and none is doubted.
    """
    if len(labels) < FEWEST or not np.isfinite(shares).all():
        return np.full(len(labels), np.nan)
    error = fit_noise({"run": np.log(np.maximum(shares, LEAST_CHANCE))}, labels).error
    return np.where((error > LIKELY) & (predicted != labels), error, np.nan)


def class_order(names: tuple[str, ...], labels: np.ndarray, shares: np.ndarray) -> ClassOrder | None:
    """Many classes by closeness of the mean log probabilities of their rows; None of few, or without probabilities."""
    known = np.isfinite(shares).all(axis=1)
    if len(names) <= MANY or known.sum() < len(names):
        return None
    alike = class_groups(_logs(shares[known]), labels[known], len(names))
    return ClassOrder.of(names, alike.order, alike.group, alike.middle)


def _maps(
    run: RunFiles, frames: Frames | None, train: Frames | None, rows: PageRows, at: dict[str, Any]
) -> list[RowMap]:
    """The training on the validation rows, all evaluated rows by their class probabilities, and the training rows."""
    maps, seed = [], run.recipe["loop"]["seed"]
    if frames is not None:
        chosen = subsample(len(at["validation"]), len(frames.texts), seed)
        shown = RowMap.of_frames("outputs over the training, validation rows", frames, at["validation"][chosen])
        maps.append(_recorded(shown, len(chosen), len(at["validation"]), "validation"))
    judged = np.concatenate([at[split] for split in ("test", "validation") if split in at])
    plane = OutputPlane.read(run.folder / "predictions")
    if plane is not None and {*plane.coordinates} == {*at} - {"train"}:
        flat = np.concatenate([plane.coordinates[split] for split in ("test", "validation") if split in at])
        what = "vectors that the probe reads" if run.result["method"] == "probe" else "outputs"
        maps.append(RowMap(f"{what}, all evaluated rows", flat[None], plane.axes, plane.note, judged))
    if rows.probabilities is not None and (by := _probability_map(rows.probabilities[judged], judged, seed)):
        maps.append(by)
    if train is not None:
        shown = RowMap.of_frames("outputs over the training, training rows", train, at["train"])
        maps.append(_recorded(shown, len(at["train"]), run.result["rows"]["train"], "training"))
    return maps


def _recorded(flat: RowMap, rows: int, total: int, part: str) -> RowMap:
    """A map of a training that says how many of the rows it shows, and which option shows more."""
    if rows >= total:
        return flat
    return replace(flat, note=f"{flat.note}; {rows:,} of {total:,} {part} rows were recorded (train --frame-rows)")


def _probability_map(shares: np.ndarray, rows: np.ndarray, seed: int) -> RowMap | None:
    """Rows by the logarithms of their class probabilities, in the plane of the largest variance."""
    if len(rows) < 3 or not np.isfinite(shares).all():
        return None
    logs = _logs(shares)
    plane = fit_plane(logs)
    flat = plane.place(logs)
    axes = [f"PC {n} ({share:.1%} of variance)" for n, share in enumerate(plane.explained, 1)]
    note = _note(logs, flat, seed).replace("PCA plane fixed over the run", "PCA plane of the log probabilities")
    return RowMap("class probabilities, all evaluated rows", flat[None].astype(np.float32), axes, note, rows)


def _logs(shares: np.ndarray) -> np.ndarray:
    """Logarithms of class probabilities (rows, classes) around 0 in each row."""
    logs = np.log(np.maximum(shares, LEAST_SHARE))
    return (logs - logs.mean(axis=1, keepdims=True)).astype(np.float32)


def _note(outputs: np.ndarray, flat: np.ndarray, seed: int) -> str:
    if len(outputs) < 25:
        return f"{len(outputs)} rows are too few to say how faithful the plane is"
    fidelity = faithfulness(outputs, flat, seed=seed)
    return (
        f"PCA plane fixed over the run; trustworthiness {fidelity.trustworthiness:.2f}, "
        f"k-NN overlap {fidelity.knn_overlap:.2f} (k = {fidelity.k}, {fidelity.rows} rows, seed {fidelity.seed})"
    )


def _draw(run: RunFiles, frames: Frames | None, train: Frames | None) -> list[PictureFile]:
    folder = run.folder / "pictures"
    folder.mkdir(exist_ok=True)
    pictures = []
    if run.metrics:
        save(curves(run.metrics), folder / "curves.png")
        write_data(run.metrics, folder / "curves.csv")
    if run.result["classes"] and not has_sets(run):
        part = "test" if "test" in run.result["scores"] else "validation"
        matrix = np.array(run.result["scores"][part]["confusion"])
        names = tuple(run.result["classes"])
        save(confusion(matrix, names), folder / "confusion.png")
        write_data(matrix, folder / "confusion.csv", names)
    elif not run.result["classes"]:
        pictures.append(_draw_numbers(run, folder))
    if frames is not None:
        save(scatter(frames), folder / "scatter.png")
        write_data(frames, folder / "scatter.csv")
        animate(frames, folder / "training.gif")
    if train is not None:
        save(scatter(train), folder / "scatter-train.png")
        write_data(train, folder / "scatter-train.csv")
    return pictures


def _draw_numbers(run: RunFiles, folder: Path) -> PictureFile:
    """Predicted against true numbers, of the test rows where there are some."""
    part = "test" if "test" in run.result["scores"] else "validation"
    table, scores = read_table(run.folder / "predictions" / f"{part}.parquet"), run.result["scores"][part]
    error, mean = scores["rmse"], scores["baseline_rmse"]
    note = f"{len(table)} {part} rows; RMSE {error:.4g}, of always answering the mean {mean:.4g}"
    truth, predicted = (table[name].to_numpy(dtype=np.float64) for name in ("label", "predicted"))
    save(against(Numbers(truth, predicted, note)), folder / NUMBERS_PICTURE)
    rows = zip(table["id"].tolist(), truth.tolist(), predicted.tolist(), strict=True)
    write_data([{"id": row, "true": gold, "predicted": guess} for row, gold, guess in rows], folder / "numbers.csv")
    return PictureFile(AGAINST, folder / NUMBERS_PICTURE)


def _report(
    run: RunFiles, frames: Frames | None, train: Frames | None, pictures: list[PictureFile], title: str
) -> RunReport:
    result = run.result
    part = "test" if "test" in result["scores"] else "validation"
    main = result["scores"][part]
    counts = ", ".join(f"{count} {name}" for name, count in result["rows"].items())
    model = result["model"]
    summary = [
        ("model", f"{model['name']} ({model['origin']}, weights {model['weights'][:12]})"),
        ("method", f"{result['method']}, loss {result['loss']}"),
        ("rows", counts),
        ("seconds", result["seconds"]),
    ]
    listed = page_rows(run, train)
    rows, maps = (None, []) if listed is None else (listed[0], _maps(run, frames, train, *listed))
    if result.get("words"):
        summary.insert(2, ("label words", ", ".join(result["words"])))
    return RunReport(
        title=title,
        summary=tuple(summary),
        scores=score_rows(result),
        method=result["method"],
        per_class=[{key: line[key] for key in PER_CLASS} for line in main.get("per_class", ())]
        or [{key: line[key] for key in PER_LABEL} for line in main.get("per_label", ())],
        confusion=np.array(main["confusion"]) if "confusion" in main else None,
        names=tuple(result["classes"]),
        reliability=main.get("reliability", {}),
        reliability_part=part,
        metrics=run.metrics,
        confusion_part=part if "confusion" in main else "",
        rows=rows,
        maps=maps,
        warnings=tuple(result["warnings"]),
        recipe=_recipe(run),
        command=result.get("command") or "",
        origin=origin_lines(result, run.recipe),
        notes=tuple(result["notes"]),
        pictures=tuple(pictures),
        race=result.get("race"),
    )


def _recipe(run: RunFiles) -> dict[str, Any]:
    """The options, and those of the method that a race chose."""
    backbone = run.recipe["backbone"]
    recipe = run.recipe | {"backbone": backbone | {"model": public_name(backbone["model"])}}
    return recipe | ({"winner": run.result["race"]["recipe"]} if "race" in run.result else {})
