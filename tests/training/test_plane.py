"""Evaluated rows in the plane of a model's outputs: which rows fit it, which are placed by it."""

import numpy as np
import pytest

from separatrix.errors import StoreError
from separatrix.geometry.project import fit_plane
from separatrix.learn.job import TrainedModel
from separatrix.learn.plane import FILE, OutputPlane
from separatrix.learn.trained.probe import ProbeModel
from separatrix.learn.trained.saved import Predictions
from separatrix.training.plane import place_outputs


def answered(rows, seed, outputs=True):
    values = np.random.default_rng(seed).normal(size=(rows, 5)).astype(np.float32)
    none = np.zeros((rows, 2))
    return Predictions(np.zeros(rows), none, none, None, values if not outputs else -values, 0,
                       outputs=values if outputs else None)  # fmt: skip


def test_test_rows_are_placed_by_the_plane_of_the_validation_rows():
    answers = {"validation": answered(30, 0), "test": answered(12, 1)}
    plane = place_outputs(TrainedModel(None), answers, 0)
    fitted = fit_plane(answers["validation"].outputs)
    for part, answer in answers.items():
        np.testing.assert_allclose(plane.coordinates[part], fitted.place(answer.outputs), atol=1e-5)
    assert plane.note.startswith("PCA plane fitted on 30 validation rows, all others placed by it; trustworthiness 0.")
    assert "42 rows" in plane.note


def test_a_probe_has_the_plane_of_its_training_rows():
    probe = object.__new__(ProbeModel)
    object.__setattr__(probe, "pool", "cls")
    train = np.random.default_rng(2).normal(size=(50, 5)).astype(np.float32)
    answers = {"validation": answered(8, 0, outputs=False)}
    plane = place_outputs(TrainedModel(probe, vectors={"train": {"cls": train}}), answers, 0)
    np.testing.assert_allclose(
        plane.coordinates["validation"], fit_plane(train).place(answers["validation"].vectors), atol=1e-5
    )
    assert plane.note == (
        "PCA plane fitted on 50 training rows, all others placed by it; too few rows to say how faithful it is"
    )


def test_it_comes_back_and_a_damaged_file_is_refused(tmp_path):
    plane = place_outputs(TrainedModel(None), {"validation": answered(30, 0), "test": answered(12, 1)}, 0)
    plane.write(tmp_path)
    back = OutputPlane.read(tmp_path)
    assert (back.note, back.axes) == (plane.note, plane.axes)
    assert all((back.coordinates[part] == plane.coordinates[part]).all() for part in ("validation", "test"))
    assert OutputPlane.read(tmp_path / "none") is None
    (tmp_path / FILE).write_bytes(b"nothing")
    with pytest.raises(StoreError, match=FILE):
        OutputPlane.read(tmp_path)


def test_outputs_that_are_no_numbers_and_too_few_rows_have_no_plane():
    broken = answered(30, 0)
    broken.outputs[3, 1] = np.nan
    assert place_outputs(TrainedModel(None), {"validation": broken}, 0) is None
    assert place_outputs(TrainedModel(None), {"validation": answered(2, 0)}, 0) is None
