"""Trainings whose classes have an order: what is measured and shown, that nothing else changes, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

import separatrix as sx
from separatrix.errors import DataError, OptionError, StoreError
from separatrix.texts import Splits, Texts

QUICK = {"device": "cpu", "epochs": 1, "snapshots": 0}


@pytest.fixture(scope="module")
def grades(splits: Splits) -> tuple[str, ...]:
    """The classes of the planted task in an order that is not that of the alphabet."""
    names = sorted({str(label) for label in splits.train.label.tolist()})  # type: ignore[union-attr]
    return (*names[1:], names[0])


@pytest.fixture(scope="module")
def run(splits: Splits, grades: tuple[str, ...], tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ordinal") / "run"
    sx.train(splits, model=str(tiny("bert")), out=out, method="probe", order=grades, device="cpu")
    return out


def test_every_split_has_its_figures_and_so_have_the_baselines(run: Path, grades: tuple[str, ...]) -> None:
    plain, result = json.loads((run / "result.json").read_text()), sx.load(run)
    frame = result.predictions["test"]
    gold, answers = ([grades.index(str(one)) for one in frame[name]] for name in ("label", "predicted"))
    figures = plain["scores"]["test"]["ordinal"]
    assert figures["mean_absolute_error"] == pytest.approx(np.abs(np.subtract(gold, answers)).mean())
    kappa = cohen_kappa_score(gold, answers, labels=list(range(len(grades))), weights="quadratic")
    assert figures["quadratic_kappa"] == pytest.approx(kappa, abs=1e-9)
    assert "ordinal" in plain["scores"]["validation"]
    assert all("ordinal" in split for baseline in plain["baselines"].values() for split in baseline.values())
    assert json.loads((run / "recipe.json").read_text())["evaluation"] == {"order": list(grades)}


def test_the_table_the_print_and_the_page_show_them(run: Path, grades: tuple[str, ...]) -> None:
    result = sx.load(run)
    assert {"class_error", "kappa", "spearman", "majority_error", "median_error"} <= {*result.table.columns}
    assert "error in classes (95 % interval)" in str(result)
    page = (run / "report.html").read_text()
    assert "Errors in classes" in page
    assert " &lt; ".join(grades) in page


@pytest.mark.parametrize("method", ["probe", "prompt", "align"])
def test_training_and_answers_stay_as_they_are(
    method: str, splits: Splits, grades: tuple[str, ...], tiny: Any, tmp_path: Path
) -> None:
    options = {"device": "cpu"} if method == "probe" else QUICK
    plain, ordered = (
        sx.train(splits, model=str(tiny("bert")), method=method, **options, **order)
        for order in ({}, {"order": grades})
    )
    for part in ("validation", "test"):
        assert plain.predictions[part].equals(ordered.predictions[part])
        figures = {name: value for name, value in ordered.scores[part].items() if name != "ordinal"}
        assert json.dumps(figures) == json.dumps(plain.scores[part])
    assert "class_error" not in plain.table.columns
    assert "ordered classes" not in str(plain)


def test_classes_that_are_numbers_may_be_named_by_numbers(tiny: Any) -> None:
    parts = [Texts.of([f"the {word} cat" for word in ("red", "blue", "dog")] * 6, [1, 2, 10] * 6) for _ in range(2)]
    result = sx.train(Splits(*parts, None, ()), model=str(tiny("bert")), method="probe", order=[10, 2, 1], device="cpu")
    assert "ordinal" in result.scores["validation"]


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"order": ("nothing",)}, DataError, "--order names a class that is not there: got 'nothing'"),
        ({"order": ()}, DataError, "--order leaves out"),
        ({"loss": "mse"}, OptionError, "--order has no effect"),
    ],
)
def test_an_order_without_effect_or_of_others_is_refused(
    change: dict[str, Any], error: type[Exception], match: str, splits: Splits, grades: tuple[str, ...], tiny: Any,
    tmp_path: Path,
) -> None:  # fmt: skip
    options = {"order": grades} | change
    with pytest.raises(error, match=match):
        sx.train(splits, model=str(tiny("bert")), method="probe", out=tmp_path / "run", device="cpu", **options)
    assert not (tmp_path / "run").exists()


def test_rows_with_several_labels_have_no_order(tiny: Any) -> None:
    several = Texts.of(["the red cat", "the blue dog"] * 10, [["a", "b"], ["b"]] * 10)
    with pytest.raises(OptionError, match="--order ranks single labels, and these rows have several"):
        sx.train(Splits(several, several, None, ()), model=str(tiny("bert")), method="probe", order=["a", "b"])


def test_a_run_with_another_order_is_not_taken_for_this_one(
    run: Path, splits: Splits, grades: tuple[str, ...], tiny: Any
) -> None:
    with pytest.raises(StoreError, match="was begun with other options or other texts: got order"):
        sx.train(
            splits, model=str(tiny("bert")), out=run, method="probe", order=grades[::-1], device="cpu", resume=True
        )
