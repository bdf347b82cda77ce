"""The study of prompt outputs: its ways of looking and its tables, without training anything."""

import numpy as np
import pandas as pd
import pytest
from studies.common import spell
from studies.prompt_outputs import look, tables
from studies.prompt_outputs.run import plans, read_options

from separatrix import recipe as recipes
from separatrix.geometry.resample import mean_interval
from separatrix.learn.job import Job
from separatrix.learn.prompt import train_prompt
from separatrix.recipe import TrainRecipe
from separatrix.texts import Texts


def across(rows=400, width=20, seed=0):
    """Two classes along one small direction, 3 deviations apart; the others are five times as long."""
    rng = np.random.default_rng(seed)
    gold = np.arange(rows) % 2
    x = 5 * rng.normal(size=(rows, width)) * np.linspace(1.2, 0.8, width)
    x[:, -1] = rng.normal(size=rows) + 3 * gold
    return x.astype(np.float32), gold


def test_the_shape_names_the_direction_that_tells_the_classes():
    x, gold = across()
    found = look.shape_of(x, gold)
    assert found["direction"] == 20
    assert found["told"] > 0.5 > 0.1 > found["told_first"]
    x[:, -1] *= 30
    assert look.shape_of(x, gold)["direction"] == 1
    assert look.shape_of(x, gold)["between"] > 0.3 > found["between"]


@pytest.mark.parametrize("loss", ["token", "centroid_ce"])
def test_outputs_are_read_as_states_and_as_logits_whatever_decided(planted, tiny, loss):
    """Regression: of a prompt that label words decide, the states were read as if they were logits of words."""
    texts = Texts.of(*(part[:40] for part in planted))
    recipe = recipes.replace(TrainRecipe(), model=str(tiny("gpt2")), loss=loss, tokens=2, epochs=1, device="cpu")
    recipe = recipes.replace(recipe, positions="last")
    model = train_prompt(Job(texts, texts.take(range(8)), recipe, lambda _scores, _targets: {"accuracy": 0.0})).model
    found = look.read_spaces(model, texts.text[:5], ("hidden", "logits"))
    assert found["hidden"].shape == (5, model.backbone.width)
    assert found["logits"].shape == (5, len(model.backbone.embedding))
    if loss == "token":
        own = found["logits"][:, model.words.numpy()]
        np.testing.assert_allclose(own, model.run(texts.text[:5]).outputs, rtol=1e-3, atol=1e-3)


def test_clusters_of_planted_classes_are_right_and_those_of_noise_are_chance():
    x, gold = across()
    x[:, -1] *= 30
    assert look.by_cluster(x, gold, 2, 0) > 0.9
    assert look.by_cluster(x, gold, 8, 0) > 0.9
    noise = np.random.default_rng(1).normal(size=(400, 5))
    assert 0.4 < look.by_cluster(noise, gold, 8, 0) < 0.6  # the majority of the same half would say more


def line(seed, pca, tsne, direction, loss="distance"):
    """A run as run.py writes it, with these accuracies."""
    accuracy = {"all dimensions": 0.9, "pca": pca, "tsne": tsne, "umap": 0.88, "k-means 2": 0.7, "k-means 8": 0.8}
    cells = [
        {"space": "hidden", "scaled": scaled, "glance": glance, "accuracy": value}
        for scaled in (False, True)
        for glance, value in accuracy.items()
    ]
    shape = {"between": 0.1, "first_two": 0.5, "direction": direction, "told": 0.6, "told_first": 0.1}
    return {
        "key": f"{loss} {seed}", "set": "sst2", "model": "minilm", "loss": loss, "seed": seed, "cells": cells,
        "rows": {"train": 400, "test": 400, "looked_at": 300}, "own": 0.9, "own_test": 0.9, "majority": 0.5,
        "shape": {"hidden": shape}, "train_cpu_seconds": 9.0, "cpu_seconds": 20.0, "versions": {"numpy": "2"},
    }  # fmt: skip


def test_the_answer_follows_the_figures():
    assert '"PCA misses what is there" does not hold' in tables.answer([line(n, 0.88, 0.88, 1) for n in range(3)])
    assert "holds here" in tables.answer([line(n, 0.6 + n / 100, 0.88, 9) for n in range(3)])
    seen = [line(n, 0.87, 0.88, 1, "cosine") for n in range(3)]
    missed = [*seen, *(line(n, 0.6 + n / 100, 0.88, 9) for n in range(3))]
    assert "PCA shows classes where training made them the largest difference" in tables.answer(missed)
    assert "3 samples that have both kinds PCA loses 0.260" in tables.answer(missed)
    turned = [*(line(n, 0.87, 0.88, 9, "cosine") for n in range(3)), *(line(n, 0.6, 0.88, 1) for n in range(3))]
    assert "it is not shown that where the classes lie explains what PCA loses" in tables.answer(turned)
    assert "nothing to compare that with" in tables.answer(seen)
    alone = tables.answer([line(0, 0.6, 0.88, 9), line(0, 0.6, 0.88, 9, "cosine")])
    assert "on 1 sample of rows" in alone
    assert '"PCA misses what is there" cannot be told from one sample.' in alone
    idle = {**line(0, 0.5, 0.5, 1), "own": 0.52}
    assert "nothing that a picture could miss" in tables.answer([idle, idle])


def test_prompts_on_the_same_rows_are_one_sample():
    """Ten prompts that were looked at on the rows of two seeds are two pieces of evidence, not ten."""
    apart = [line(n, 0.8 - 0.06 * n, 0.88, 1, loss) for n in range(2) for loss in "abcde"]
    said = tables.answer(apart)
    assert "Over 10 prompts" in said
    assert "on 2 samples of rows" in said
    gap = mean_interval([0.08, 0.14])  # as independent prompts: 0.110 [0.087, 0.133], and PCA would "miss"
    assert f"PCA loses {spell(gap, 3)} more than t-SNE" in said
    assert gap.low < 0
    assert "does not hold" in said


def test_tables_and_picture_are_made_from_lines_alone(tmp_path):
    runs = [line(seed, 0.7, 0.88, 9) for seed in range(3)]
    frame = {"id": range(20), "label": ["no", "yes"] * 10}
    rng = np.random.default_rng(0)
    frame |= {f"hidden/{method}/{axis}": rng.normal(size=20) for method in look.MAPS for axis in "xy"}
    (tmp_path / "maps").mkdir()
    pd.DataFrame(frame).to_parquet(tmp_path / "maps" / "sst2-minilm-distance.parquet")
    tables.write_tables(tmp_path, [*runs, runs[0]])  # a line that was written twice counts once
    text = (tmp_path / "RESULTS.md").read_text()
    assert "0.200 [0.200, 0.200]" in text
    assert (tmp_path / "maps-sst2.png").is_file()
    rows = pd.read_csv(tmp_path / "results.csv")
    assert set(rows["runs"]) == {3}
    assert rows.query("glance == 'pca' and scaled == False")["lost"].item() == pytest.approx(0.2)


def test_seeds_come_one_after_another_and_the_place_of_a_model_is_no_other_run():
    asked = plans(read_options(["--data", "x", "--lm", "here"]))
    assert [plan.seed for plan in asked] == sorted(plan.seed for plan in asked)
    assert len(asked) == 42
    assert len({plan.key for plan in asked}) == 42
    moved = plans(read_options(["--data", "x", "--lm", "there"]))
    assert [plan.key for plan in moved] == [plan.key for plan in asked]
    assert plans(read_options(["--data", "x", "--lm", "here", "--epochs", "1"]))[0].key != asked[0].key
