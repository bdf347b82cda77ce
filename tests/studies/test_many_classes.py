"""The study of many classes: ideas against loops written out, ways to decide, which runs there are, its table."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from studies.many_classes import decisions, ideas
from studies.many_classes import run as study

from separatrix import recipe as recipes
from separatrix.learn.objectives.base import LossBatch, TrainingRows
from separatrix.recipe.align import AlignRecipe
from separatrix.texts import Texts

LABELS = torch.tensor([0, 0, 0, 1, 2, 2])
OUTPUTS = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))


def started(kind, **changes):
    recipe = recipes.replace(AlignRecipe(), **(ideas.HEAD | changes))
    objective = kind(recipe, 3)
    rows = TrainingRows(lambda rows: OUTPUTS if rows is None else OUTPUTS[rows], LABELS, np.arange(6), 10)
    objective.start(rows)
    return objective


def batch(size=None):
    return LossBatch(LABELS, torch.arange(6), 0, size)


def logs(objective, outputs=OUTPUTS):
    return (outputs @ objective.weight.T + objective.bias).log_softmax(1)


def test_a_prior_that_is_taken_out_is_added_in_training():
    objective = started(ideas.PriorLoss)
    shares = [0.5, 1 / 6, 1 / 3]
    total = 0.0
    for row, label in enumerate(LABELS.tolist()):
        logits = [float(OUTPUTS[row] @ objective.weight[k]) + np.log(shares[k]) for k in range(3)]
        total += np.log(np.exp(logits).sum()) - logits[label]
    assert float(objective.loss(OUTPUTS, batch()).total) == pytest.approx(total / 6, abs=1e-5)


def test_two_passes_are_asked_to_agree():
    objective = started(ideas.TwoPasses)
    assert objective.companions(np.array([3, 1])).tolist() == [3, 1]
    both = torch.cat([OUTPUTS, OUTPUTS.flip(1)])
    value = objective.loss(both, LossBatch(LABELS.repeat(2), torch.arange(6).repeat(2), 0, 6))
    one, two = logs(objective), logs(objective, OUTPUTS.flip(1))
    apart = sum(float(((p - q) * (p.exp() - q.exp())).sum()) for p, q in zip(one, two, strict=True)) / 12
    assert float(value.parts["apart"]) == pytest.approx(apart, abs=1e-5)


def test_hard_rows_count_more():
    objective = started(ideas.Focal, loss="nca", head_weight=1.0)
    plain = started(ideas.AlignObjective, loss="nca", head_weight=1.0)
    single = [-float(logs(plain)[row, label]) for row, label in enumerate(LABELS.tolist())]
    hard = [1 - np.exp(-value) for value in single]
    gap = sum(h * s for h, s in zip(hard, single, strict=True)) / sum(hard) - np.mean(single)
    more = objective.loss(OUTPUTS, batch()).total - plain.loss(OUTPUTS, batch()).total
    assert float(more) == pytest.approx(gap, abs=1e-5)


def test_a_head_starts_at_the_class_means():
    objective = started(ideas.MeanStart)
    unit = OUTPUTS / OUTPUTS.norm(dim=1, keepdim=True)
    means = torch.stack([unit[label == LABELS].sum(0) for label in range(3)])
    means = means / means.norm(dim=1, keepdim=True)
    wanted = means - means.mean(0)
    cosines = torch.nn.functional.cosine_similarity(objective.weight, wanted)
    torch.testing.assert_close(cosines, torch.ones(3))


def test_a_second_head_learns_the_coarse_classes():
    objective = started(lambda recipe, classes: ideas.Coarse(recipe, classes, names=["A:x", "B:y", "A:z"]))
    weight, bias = objective.second.values()
    logits = (OUTPUTS @ weight.T + bias).log_softmax(1)
    coarse = -np.mean([float(logits[row, [0, 1, 0][label]]) for row, label in enumerate(LABELS.tolist())])
    head = -np.mean([float(logs(objective)[row, label]) for row, label in enumerate(LABELS.tolist())])
    assert float(objective.loss(OUTPUTS, batch()).total) == pytest.approx(head + ideas.COARSE * coarse, abs=1e-5)
    assert set(objective.parameters()["head"]) == {"weight", "bias", "second.weight", "second.bias"}


def test_a_slow_encoder_follows_and_fills_the_bank():
    class Stub:
        def __init__(self, value):
            self.encoder, self.tensor = self, torch.full((2,), value)

        def named(self):
            return {"weight": self.tensor}

        def outputs(self, _part, rows, _step):
            return OUTPUTS[rows] * self.tensor[0]

    objective = started(ideas.SlowBank, **ideas.JOINT)
    objective.trained, objective.slow = Stub(1.0), Stub(-1.0)
    objective.after_step(OUTPUTS, batch())
    assert objective.slow.tensor.tolist() == pytest.approx([-1 + 2 * ideas.FOLLOWS] * 2)
    stored = objective.bank.stored_rows(LABELS).vectors
    torch.testing.assert_close(stored, -torch.nn.functional.normalize(OUTPUTS), atol=1e-2, rtol=0)


def test_class_names_are_rows_in_words():
    train = Texts.of(["a", "b", "c"], ["card_lost", "pin", "card_lost"])
    rows = ideas.name_rows(train)
    assert (rows.text, rows.label.tolist(), rows.id.tolist()) == (("card lost", "pin"), ["card_lost", "pin"], [3, 4])
    assert len(train.join(rows)) == 5


def test_ways_to_decide_are_chosen_on_validation_and_balanced_ones_take_shares_out():
    generator = np.random.default_rng(0)
    vectors = {part: generator.normal(size=(12, 4)) for part in ("train", "validation", "test")}
    labels = {part: np.arange(12) % 4 // 2 * (np.arange(12) % 3 > 0) for part in vectors}
    head = (generator.normal(size=(2, 4)), np.zeros(2))
    got = decisions.decisions(ideas.TrainedParts(vectors, head, []), labels, 2)
    share = np.bincount(labels["train"]) / 12
    logits = vectors["test"] @ head[0].T
    assert got["head"]["test"].tolist() == logits.argmax(1).tolist()
    assert got["head balanced"]["test"].tolist() == (logits - np.log(share)).argmax(1).tolist()
    right = {way: np.mean(by["validation"] == labels["validation"]) for way, by in got.items()}
    assert right["head and votes"] >= right["head"]


def test_every_idea_has_a_recipe_and_a_key_of_its_own():
    plans = [study.ManyPlan(row, "banking77", 0) for row in study.IDEAS]
    assert len({plan.key for plan in plans}) == len(plans)
    assert study.ManyPlan("longer", "banking77", 0).recipe.loop.epochs == 8
    assert replace(plans[0], seed=1).key != plans[0].key


def test_the_table_pairs_seeds_and_names_the_way_that_validation_chose(tmp_path):
    def line(row, seed, head, votes):
        accuracy = {"head": {"validation": 0.5, "test": head}, "knn": {"validation": 0.6, "test": votes}}
        return {
            "key": f"{row}{seed}", "row": row, "set": "banking77", "seed": seed, "per_class": None, "fold": None,
            "folds": None, "screen": False, "accuracy": accuracy, "rows": {"train": 9, "validation": 1, "test": 5},
            "prior_shift": 0.1, "cpu_seconds": 2.0, "machine": {"cpu": "some processor"},
        }  # fmt: skip

    runs = [line("finetune", seed, 0.5, 0.5) for seed in (0, 1)] + [line("joint", seed, 0.4, 0.75) for seed in (0, 1)]
    (tmp_path / "runs.jsonl").write_text("".join(json.dumps(run) + "\n" for run in runs))
    study.main(["--table", "--out", str(tmp_path)])
    text = (tmp_path / "RESULTS.md").read_text()
    assert "## banking77, all rows, test part" in text
    joint = next(row for row in text.splitlines() if row.startswith("| joint "))
    assert "(knn)" in joint
    assert "| +0.2500 [0.2500, 0.2500] |" in joint
