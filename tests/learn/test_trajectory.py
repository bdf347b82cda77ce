"""A training as it went by: in bounded room, the same rows all the time, readable."""

import numpy as np
import pytest
import torch

from separatrix.learn import trajectory
from separatrix.learn.schedule import frame_steps
from separatrix.learn.trajectory import Recorder, read_dynamics, read_epoch_scores, read_frames, subsample
from separatrix.store.files import read_tensors


def test_frames_epochs_and_dynamics_of_a_real_training(train, few, tmp_path):
    rows, held = few
    trained = train(few, folder=tmp_path, epochs=3, batch_size=8, snapshots=2)
    frames = read_frames(tmp_path / "trajectory")
    assert [frame.step for frame in frames] == sorted({0, *frame_steps(21, 6)})
    assert frames[0].title == "start"
    assert frames[-1].title == "epoch 3.00"
    for frame in frames:
        assert frame.outputs.shape == (len(held), 32)
        assert frame.outputs.dtype == np.float16
        assert frame.centroids.shape == (3, 32)
        assert set(frame.predicted.tolist()) <= {0, 1, 2}
    # The pictures show the training: the last one is the last epoch's outputs and decisions.
    last, _ = read_tensors(tmp_path / "trajectory" / "epoch-0003.safetensors")
    np.testing.assert_array_equal(frames[-1].outputs, last["outputs"])
    np.testing.assert_array_equal(frames[-1].predicted, last["scores"].argmax(1))
    assert np.abs(frames[-1].outputs - frames[0].outputs).max() > 0.1
    right = trained.model.classes.encode(held.label)
    assert (last["scores"].argmax(1) == right).mean() == trained.fitted.metrics[-1]["validation"]["accuracy"]
    assert [scores.shape for scores in read_epoch_scores(tmp_path / "trajectory")] == [(len(held), 3)] * 3
    dynamics = read_dynamics(tmp_path / "trajectory")
    assert dynamics.shape == (3, len(rows))
    assert ((dynamics >= 0) & (dynamics <= 1)).all()
    assert dynamics[2].mean() > dynamics[0].mean() + 0.05  # its own class becomes likelier


def test_dynamics_are_the_probability_of_the_own_class(train, few, tmp_path):
    """With a rate of 0 nothing moves, so the note of a row must be what the model says of it."""
    trained = train(few, folder=tmp_path, loss="linear", lr=0.0, epochs=1)
    scores = trained.model.answer(few[0].text).scores
    chance = torch.tensor(scores).softmax(1).numpy()
    own = chance[np.arange(len(scores)), trained.model.classes.encode(few[0].label)]
    np.testing.assert_allclose(read_dynamics(tmp_path / "trajectory")[0], own, atol=2e-3)


@pytest.mark.parametrize("loss", ["cosine", "mse"])
def test_no_dynamics_without_probabilities(train, few, numbers, tmp_path, loss):
    """Regression: recording the predicted numbers of `mse` failed, because the head wants gradients."""
    parts = few if loss == "cosine" else (numbers[0].take(range(32)), numbers[1])
    train(parts, folder=tmp_path, loss=loss, epochs=1)
    assert np.isnan(read_dynamics(tmp_path / "trajectory")).all()
    assert len(read_frames(tmp_path / "trajectory")) > 1


def test_frames_are_bounded_whatever_the_length_of_the_training(make_job, few, tmp_path):
    from separatrix.learn.prompt import train_prompt

    for steps, planned in ((10, 3), (5, 9), (100_000, 120)):
        plan = frame_steps(steps, planned)
        assert len(plan) <= min(planned, steps)
        assert max(plan) == steps
    assert frame_steps(10, 0) == frozenset()
    train_prompt(make_job(few, folder=tmp_path, epochs=2, snapshots=100, batch_size=4, tokens=1))
    assert len(read_frames(tmp_path / "trajectory")) <= 121  # 200 were asked for
    train_prompt(make_job(few, folder=tmp_path / "none", epochs=1, snapshots=0, batch_size=64, tokens=1))
    assert read_frames(tmp_path / "none" / "trajectory") == []


def test_more_rows_are_recorded_where_more_are_wanted_and_a_training_keeps_to_its_number(tmp_path):
    """A training that is gone on with has one film, whatever is typed then."""
    recorder = Recorder(tmp_path, train_rows=900, validation_rows=800, seed=1, most=500)
    assert (len(recorder.frame_rows), len(recorder.map_rows)) == (500, 500)
    recorder.keep_own()
    again = Recorder(tmp_path, train_rows=900, validation_rows=800, seed=1)
    np.testing.assert_array_equal(again.frame_rows, recorder.frame_rows)
    np.testing.assert_array_equal(again.map_rows, recorder.map_rows)
    assert trajectory.begun_with(tmp_path, 50) == 500
    assert trajectory.begun_with(tmp_path / "none", 50) == 50


def test_many_rows_are_sampled_and_wide_outputs_are_narrowed(tmp_path, monkeypatch):
    """The room of a frame is rows x width; both are limited, and distances survive the projection."""
    monkeypatch.setattr(trajectory, "WIDEST", 1000)
    recorder = Recorder(tmp_path, train_rows=7, validation_rows=5000, seed=1)
    assert len(recorder.frame_rows) == trajectory.FRAME_ROWS
    assert len(recorder.epoch_rows) == trajectory.EPOCH_ROWS
    generator = np.random.default_rng(0)
    wide = generator.normal(size=(5000, 1200)).astype(np.float32)
    wide[:2500] += 1.0
    centroids = torch.from_numpy(np.stack([wide[:2500].mean(0), wide[2500:].mean(0)]))
    picked = wide[recorder.frame_rows]
    recorder.frame(3, "epoch 0.10", picked, np.zeros(300, dtype=np.int64), centroids.numpy())
    recorder.epoch(1, wide, np.zeros((5000, 2), np.float32))
    (frame,) = read_frames(tmp_path)
    assert (frame.step, frame.title) == (3, "epoch 0.10")
    assert frame.outputs.shape == (300, trajectory.NARROWED)
    assert frame.centroids.shape == (2, trajectory.NARROWED)
    before = np.linalg.norm(picked[:40, None] - centroids.numpy()[None], axis=2)
    after = np.linalg.norm(frame.outputs[:40, None].astype(np.float32) - frame.centroids[None], axis=2)
    assert np.abs(after / before - 1).max() < 0.25
    epoch, _ = read_tensors(tmp_path / "epoch-0001.safetensors")
    assert epoch["outputs"].shape == (trajectory.EPOCH_ROWS, trajectory.NARROWED)
    np.testing.assert_array_equal(epoch["rows"], recorder.epoch_rows)


def test_outputs_beyond_half_precision_stay_finite(tmp_path):
    """Regression: numbers above 65504 became infinite in the files."""
    recorder = Recorder(tmp_path, 2, 2, seed=0)
    recorder.frame(0, "start", np.array([[1e6, -1e6], [1.0, 2.0]]), np.zeros(2))
    np.testing.assert_array_equal(read_frames(tmp_path)[0].outputs, [[65504, -65504], [1, 2]])


def test_subsample_is_sorted_seeded_and_within_limits():
    assert subsample(5, 10, 0).tolist() == [0, 1, 2, 3, 4]
    picked = subsample(1000, 10, 0)
    assert len(set(picked.tolist())) == 10
    assert (np.diff(picked) > 0).all()
    assert picked.tolist() == subsample(1000, 10, 0).tolist()
    assert picked.tolist() != subsample(1000, 10, 1).tolist()


def test_without_a_folder_nothing_is_written(train, few, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained = train(few, epochs=1)
    assert list(tmp_path.iterdir()) == []
    assert len(trained.fitted.metrics) == 1
    assert read_dynamics(tmp_path).shape == (0, 0)
