"""Suspects where rows have several labels: planted mistakes, what is written, what cannot be judged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import separatrix as sx
from separatrix.analysis.label_set_suspects import judge_run_label_sets
from separatrix.analysis.suspects import Suspects, suspects
from separatrix.errors import DataError, OptionError
from separatrix.points import Points
from separatrix.texts import Texts

NAMES = ("cat", "dog", "owl", "yak")
ROWS = 400


@pytest.fixture(scope="module")
def planted() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors (rows, width) that say which labels a row has, marks with a wrong one in each twentieth row, the rows."""
    rng = np.random.default_rng(0)
    true = (rng.random((ROWS, len(NAMES))) < 0.4).astype(int)
    x = (6 * true @ np.eye(len(NAMES), 8) + rng.normal(size=(ROWS, 8))).astype(np.float32)
    rows = rng.choice(ROWS, ROWS // 20, replace=False)
    marks = true.copy()
    marks[rows, rng.integers(0, len(NAMES), len(rows))] ^= 1
    return x, marks, (marks != true).any(axis=1)


def cells(marks: np.ndarray) -> list[str]:
    return [", ".join(name for name, yes in zip(NAMES, row, strict=True) if yes) for row in marks]


def endings(count: int) -> list[str]:
    """So many different ends of a sentence, of words that the tiny models know."""
    words = ("the", "a", "cat", "dog", "red", "blue", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    return [f"{words[n % 2]} {words[6 + n % 9]} {words[6 + n // 9]}" for n in range(count)]


@pytest.fixture(scope="module")
def found(planted: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Suspects, Path]:
    x, marks, _ = planted
    out = tmp_path_factory.mktemp("sets") / "s"
    points = Points.of(x, {"labels": cells(marks)})
    return suspects(points, label="labels", label_separator=", ", near=0.99999, out=out), out


def test_planted_mistakes_stand_first(planted: Any, found: tuple[Suspects, Path]) -> None:
    made, wrong = found[0], planted[2]
    assert made.rows["is_label_issue"].sum() <= 1.5 * wrong.sum()
    assert wrong[made.table["id"]].mean() > 0.8
    assert wrong[made.table["id"]].sum() > 0.7 * wrong.sum()
    assert made.estimated_noise == pytest.approx(wrong.mean(), abs=0.03)
    assert made.table["score"].is_monotonic_increasing


def test_a_run_that_knows_the_labels_finds_the_same_mistakes(planted: Any) -> None:
    """Its probabilities of rows that it never trained on take the place of the judges; their copies are heeded."""
    _, marks, wrong = planted
    true = marks.copy()
    rng = np.random.default_rng(1)
    sets = [tuple(name for name, yes in zip(NAMES, row, strict=True) if yes) for row in marks]
    chances = np.clip(0.05 + 0.9 * true + rng.normal(size=true.shape) / 20, 0.01, 0.99)
    doubted = np.flatnonzero(wrong)
    columns = rng.integers(0, len(NAMES), len(doubted))
    chances[doubted, columns] = 1 - chances[doubted, columns]
    table = pd.DataFrame({"id": np.arange(ROWS), "label": sets})
    found = judge_run_label_sets(table, NAMES, chances, seed=0)
    assert set(found["table"]["id"]) == {*doubted.tolist()}
    first = found["table"].iloc[0]
    name = NAMES[columns[doubted.tolist().index(first["id"])]]
    assert name in first["missing"] + first["mistaken"]
    assert [*found["models"]] == ["run"]


def test_what_is_missing_and_what_is_mistaken_is_named(planted: Any, found: tuple[Suspects, Path]) -> None:
    """The suggested set is the given one with these labels added and taken away."""
    made = found[0]
    for row in made.table.to_dict("records"):
        given, suggested = (set(filter(None, row[name].split(", "))) for name in ("label", "suggested"))
        missing, mistaken = (set(filter(None, row[name].split(", "))) for name in ("missing", "mistaken"))
        assert suggested == (given | missing) - mistaken
        assert missing or mistaken
        assert not missing & given
        assert mistaken <= given
        assert all(f"not {name} (" in row["reason"] for name in mistaken)
    lines = {line["label"]: line for line in made.by_label or ()}
    assert list(lines) == list(NAMES)
    assert sum(line["missing"] for line in lines.values()) == sum(
        len(cell.split(", ")) for cell in made.table["missing"] if cell
    )


def test_the_folder_opens_again_with_its_labels(found: tuple[Suspects, Path]) -> None:
    made, out = found
    again = sx.load(out)
    assert again.by_label == made.by_label
    assert again.models["probe"]["micro_f1"] > again.models["probe"]["majority"]
    assert "by_label" in json.loads((out / "result.json").read_text())
    page = (out / "suspects.html").read_text()
    assert "missing" in page
    assert "more likely that any of its labels is wrong" in page


def test_the_order_of_names_and_rows_does_not_matter(planted: Any) -> None:
    """Judged in another order of the rows, the same rows are suspect but for the draw of the folds."""
    x, marks, wrong = planted
    turned = np.argsort(np.random.default_rng(1).random(ROWS))
    made = suspects(Points.of(x[turned], {"label": cells(marks[turned])}), label_separator=", ", near=0.99999)
    assert wrong[turned][made.table["id"]].mean() > 0.8


def test_a_file_keeps_its_columns_and_loses_its_suspects(tiny: Any, tmp_path: Path) -> None:
    rows = [{"body": f"red cat {more}", "tags": "red;cat", "n": n} for n, more in enumerate(endings(30))]
    rows += [{"body": f"blue dog {more}", "tags": "blue;dog", "n": n} for n, more in enumerate(endings(30))]
    rows[7]["tags"] = "blue;dog"
    file = tmp_path / "rows.csv"
    pd.DataFrame(rows).to_csv(file, index=False)
    made = sx.suspects(
        file, text="body", label="tags", label_separator=";", model=str(tiny("bert")), device="cpu", near=1.0,
        out=tmp_path / "s", drop=tmp_path / "clean.csv",
    )  # fmt: skip
    issues = pd.read_csv(tmp_path / "s" / "label_issues.csv")
    assert list(issues.columns[:3]) == ["body", "tags", "n"]
    assert issues["given_label"].tolist() == [";".join(sorted(row["tags"].split(";"))) for row in rows]
    assert made.table["id"].tolist()[0] == 7
    assert set(made.table["mistaken"].tolist()[0].split(";")) <= {"blue", "dog"}
    assert len(pd.read_csv(tmp_path / "clean.csv")) == len(rows) - len(made.table)


def test_a_column_of_lists_needs_no_separator(tiny: Any) -> None:
    labels = [["red", "a, b"] if n % 2 else ["blue"] for n in range(40)]
    texts = Texts.of([f"{'red' if n % 2 else 'blue'} {more}" for n, more in enumerate(endings(40))], labels)
    made = sx.suspects(texts, model=str(tiny("bert")), device="cpu", pool="mean")
    assert set(made.rows["label"]) == {"a, b; red", "blue"}


def test_labels_that_cannot_be_judged_doubt_no_row() -> None:
    """One that too few rows have, and one that has nothing to do with the vectors."""
    rng = np.random.default_rng(0)
    told, rare, chance = rng.random(200) < 0.5, np.arange(200) < 3, rng.random(200) < 0.3
    x = np.where(told, 4.0, -4.0)[:, None] + rng.normal(size=(200, 6))
    marks = np.column_stack([told, rare, chance, np.zeros(200, int)]).astype(int)
    made = suspects(Points.of(x.astype(np.float32), {"label": cells(marks)}), label_separator=", ", near=1.0)
    lines = {line["label"]: line for line in made.by_label or ()}
    assert lines["cat"]["estimated_noise"] is not None
    assert [lines[name]["estimated_noise"] for name in ("dog", "owl")] == [None, None]
    assert any(line.startswith("no row is doubted for dog, owl: too few rows") for line in made.warnings)
    assert len(made.table) <= 4


def test_no_label_at_all_can_be_judged() -> None:
    x = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    made = suspects(Points.of(x, {"label": ["cat, dog", "", "owl"] * 10}), label_separator=", ", near=1.0)
    assert made.table.empty
    assert made.models == {}
    assert made.warnings


def test_the_rest_is_refused(found: tuple[Suspects, Path], planted: Any) -> None:
    x, marks, _ = planted
    points = Points.of(x, {"label": cells(marks)})
    with pytest.raises(OptionError, match="--run is of one label a row"):
        suspects(points, label_separator=", ", run=str(found[1]))
    with pytest.raises(DataError, match="need two different ones or more"):
        suspects(Points.of(x, {"label": ["cat", ""] * (ROWS // 2)}), label_separator=", ")


@pytest.mark.parametrize("verb", ["rank", "suspects"])
def test_a_plan_counts_the_labels(tiny: Any, verb: str) -> None:
    labels = [["red", "cat"] if n % 2 else ["blue"] for n in range(60)]
    texts = Texts.of(endings(60), labels)
    model = str(tiny("bert"))
    plan = sx.plan(verb, texts, model=(model,) if verb == "rank" else model, device="cpu")
    assert plan.seconds > 0


def test_a_run_with_several_labels_a_row_is_judged(tiny: Any, tmp_path: Path) -> None:
    """Its validation rows, in the run's own words; the folder opens again."""
    rows = [{"text": f"red cat {more}", "label": "red;cat"} for more in endings(40)]
    rows += [{"text": f"blue dog {more}", "label": "blue;dog"} for more in endings(40)]
    file = tmp_path / "rows.csv"
    pd.DataFrame(rows).to_csv(file, index=False)
    run = sx.train(
        file, method="probe", model=str(tiny("bert")), label_separator=";", device="cpu", out=tmp_path / "run"
    )
    held = run.predictions["validation"]
    found = sx.suspects(tmp_path / "run", out=tmp_path / "s")
    again = sx.load(tmp_path / "s")
    assert again.judged == "validation rows of the run"
    assert sorted(again.rows["label"]) == sorted(", ".join(one) for one in held["label"])
    assert {line["label"] for line in again.by_label} == {"red", "cat", "blue", "dog"}
    assert len(found.table) == 0
    in_memory = sx.suspects(run)
    assert in_memory.by_label == found.by_label
