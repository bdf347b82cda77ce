"""Trained once more on all labelled rows: what validation chose stays, and nothing is judged on rows it has seen."""

from dataclasses import replace

import numpy as np
import torch

from separatrix.learn.align import train_encoder
from separatrix.learn.job import REFIT, Job
from separatrix.learn.prompt import train_prompt
from separatrix.recipe import replace as changed
from separatrix.recipe.align import AlignRecipe
from separatrix.texts import Texts
from separatrix.training.evaluate import Evaluator


def scripted(figures):
    left = iter(figures)
    return lambda _scores, _targets: {"accuracy": next(left)}


def test_the_second_prompt_sees_all_rows_for_the_epochs_that_validation_chose(make_job, few, loops):
    job = replace(make_job(few, epochs=4, refit=True), score=scripted([0.1, 0.8, 0.7, 0.7, 0.0, 0.0]))
    trained = train_prompt(job)
    first, second = loops
    assert len(first.training.targets["train"]) == len(few[0])
    assert len(second.training.targets["train"]) == len(few[0]) + len(few[1])
    assert (first.state.progress.epoch, second.state.progress.epoch) == (4, 2)
    assert torch.equal(trained.model.prompt.tokens, second.state.tensors["tokens"])
    assert torch.equal(trained.judge.prompt.tokens, first.state.best["tokens"])
    assert trained.model.temperature == trained.judge.temperature
    assert len(trained.fitted.metrics) == 4
    assert "once more on all 72 rows for 2 epochs" in trained.notes[-1]


def test_without_refit_the_model_is_its_own_judge(make_job, few, loops):
    trained = train_prompt(make_job(few, epochs=1))
    assert trained.judge is trained.model
    assert len(loops) == 1


def test_a_refit_that_was_stopped_goes_on(make_job, few, tmp_path, loops):
    whole = train_prompt(make_job(few, epochs=2, refit=True, folder=tmp_path / "a")).model
    train_prompt(make_job(few, epochs=2, refit=True, folder=tmp_path / "b"))
    (tmp_path / "b" / REFIT / "checkpoint.safetensors").unlink()
    loops.clear()
    again = train_prompt(make_job(few, epochs=2, refit=True, folder=tmp_path / "b")).model
    assert torch.equal(whole.prompt.tokens, again.prompt.tokens)
    assert not (tmp_path / "b" / REFIT / "trajectory").exists()


def test_a_refit_encoder_has_all_rows_in_its_index_and_the_vote_of_validation(tiny, planted):
    texts, labels = planted
    train, validation = Texts.of(texts[:120], labels[:120]).split(test=0.25, seed=0)
    options = {"model": str(tiny("bert")), "epochs": 2, "lr": 3e-3, "batch_size": 16, "device": "cpu", "refit": True}
    recipe = changed(AlignRecipe(), **options)
    trained = train_encoder(Job(train, validation, recipe, Evaluator(("bird", "cat", "dog")).quick))
    assert len(trained.model.index) == len(train) + len(validation)
    assert len(trained.judge.index) == len(train)
    assert set(trained.model.index.ids.tolist()) == {*train.id.tolist(), *validation.id.tolist()}
    assert trained.model.vote == trained.judge.vote
    assert trained.model.temperature == trained.judge.temperature
    # Rows of the index are their own nearest neighbors: figures of validation rows from this model would say nothing.
    near = trained.model.neighbors(trained.model.encode(validation.text), 1).index[:, 0]
    assert np.isin(trained.model.index.ids[near], validation.id).mean() > 0.5
