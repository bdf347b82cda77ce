"""A training that is interrupted anywhere and gone on with ends with the same bytes as one that was not."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open

from prompt_kinds import STRONGER
from separatrix import recipe as recipes
from separatrix.errors import StoreError
from separatrix.learn.prompt import train_prompt
from separatrix.store.files import read_tensors, write_tensors
from separatrix.store.folder import CHECKPOINT

SHORT = {"epochs": 2, "batch_size": 8, "checkpoint_seconds": 0.0}
STEPS = 14  # 54 rows make 7 batches of 8


class Interrupted(BaseException):
    """As a power cut: nothing catches it."""


def prints(folder):
    """A hash of every file of a finished training."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def stop_at(count):
    def report(stage, done, _total, _note):
        if stage == "training" and done == count:
            raise Interrupted("power cut")

    return report


def finish(job):
    trained = train_prompt(job)
    trained.model.write_files(job.folder)
    return trained


KINDS = {
    "gradient": {"loss": "centroid_ce", "centroid_lr": 0.02},
    "momentum": {"loss": "centroid_ce", "mover": "momentum", "push": 0.1},
    "means": {"loss": "cosine"},
    "words": {"loss": "token"},
    "head": {"loss": "linear", "weight_decay": 0.1, "text_dropout": 0.2},
    "numbers": {"loss": "mse", "patience": 1},
    "mixture": STRONGER["mixture"],
    "all": STRONGER["all"],
}


@pytest.mark.parametrize("kind", KINDS)
def test_interrupted_training_ends_with_the_same_bytes(make_job, few, numbers, tmp_path, kind):
    parts = few if kind != "numbers" else (numbers[0].take(range(54)), numbers[1].take(range(18)))
    job = make_job(parts, folder=tmp_path / "straight", **SHORT, **KINDS[kind])
    straight = finish(job)
    generator = np.random.default_rng(len(kind))
    first = int(generator.integers(1, 7))  # within the first epoch
    second = int(generator.integers(8, STEPS))  # within the second
    other = replace(job, folder=tmp_path / "broken")
    for place in (first, 7, second):  # 7: after the last step of the first epoch, before it is closed
        with pytest.raises(Interrupted, match="power cut"):
            train_prompt(replace(other, progress=stop_at(place)))
    resumed = finish(other)
    assert prints(tmp_path / "broken") == prints(tmp_path / "straight")
    assert resumed.fitted.metrics == straight.fitted.metrics
    assert resumed.fitted.best_epoch == straight.fitted.best_epoch
    assert resumed.model.temperature == straight.model.temperature


def test_the_state_is_really_used(make_job, few, tmp_path):
    """The other tests would pass as well if every training began again: count the steps that are done twice."""
    job = make_job(few, folder=tmp_path / "run", **SHORT)
    with pytest.raises(Interrupted, match="power cut"):
        train_prompt(replace(job, progress=stop_at(5)))
    seen = []
    train_prompt(replace(job, progress=lambda stage, done, _total, _note: stage == "training" and seen.append(done)))
    assert seen == list(range(5, STEPS + 1))


def test_a_state_changed_by_hand_shows(make_job, few, tmp_path):
    """Tampering with Adam's second moments in the checkpoint changes the end: they are loaded, not made anew."""
    ends = []
    for name in ("kept", "changed"):
        job = make_job(few, folder=tmp_path / name, **SHORT)
        with pytest.raises(Interrupted, match="power cut"):
            train_prompt(replace(job, progress=stop_at(5)))
        path = job.folder / CHECKPOINT
        arrays, note = read_tensors(path)
        if name == "changed":
            arrays["adam/exp_avg_sq/tokens"] = arrays["adam/exp_avg_sq/tokens"] * 4
            write_tensors(path, arrays, note)
        ends.append(train_prompt(job).fitted.tensors["tokens"])
    assert not np.array_equal(ends[0].detach(), ends[1].detach())


def test_optimiser_counts_steps_as_a_scalar(make_job, few, tmp_path):
    job = make_job(few, folder=tmp_path / "run", **SHORT)
    train_prompt(job)
    with safe_open(job.folder / CHECKPOINT, framework="numpy") as file:
        assert file.get_tensor("adam/step/tokens").item() == STEPS


def test_a_finished_training_is_not_trained_again(make_job, few, tmp_path):
    job = make_job(few, folder=tmp_path / "run", **SHORT)
    first = finish(job)
    before = prints(job.folder)
    seen = []
    again = finish(replace(job, progress=lambda stage, *_: seen.append(stage)))
    assert "training" not in seen
    assert prints(job.folder) == before
    assert again.fitted.metrics == first.fitted.metrics


@pytest.mark.parametrize("change", ["recipe", "texts", "labels"])
def test_the_state_of_another_training_is_refused(make_job, few, tmp_path, change):
    job = make_job(few, folder=tmp_path / "run", epochs=1)
    train_prompt(job)
    before = prints(job.folder)
    if change == "recipe":
        other = replace(job, recipe=recipes.replace(job.recipe, lr=0.2))
    elif change == "texts":
        other = replace(job, train=replace(few[0], text=("cat cat", *few[0].text[1:])))
    else:
        other = replace(job, train=replace(few[0], label=np.roll(few[0].label, 1)))
    with pytest.raises(StoreError, match=r"belongs to a training with other options or other data; use --overwrite"):
        train_prompt(other)
    assert prints(job.folder) == before


def test_a_damaged_state_is_refused(make_job, few, tmp_path):
    job = make_job(few, folder=tmp_path / "run", epochs=1)
    train_prompt(job)
    path = job.folder / CHECKPOINT
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(StoreError, match=r"checkpoint.safetensors is damaged"):
        train_prompt(job)
