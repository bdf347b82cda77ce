"""How rows are decided within a training: by their nearest stored rows or class means, never by themselves."""

import math

import numpy as np
import pytest
import torch

from align_steps import steps_of
from separatrix import recipe as recipes
from separatrix.learn.align import train_encoder
from separatrix.learn.objectives import alignment
from separatrix.learn.objectives.alignment import AlignObjective
from separatrix.learn.objectives.bank import FLOOR, Bank
from separatrix.learn.objectives.contrast import unit
from separatrix.learn.trajectory import read_train_frames
from separatrix.recipe.align import AlignRecipe
from separatrix.texts import Texts

ROWS, CLASSES = 30, 3


def stored(written, decision):
    """A bank of 30 rows, of which some are written, and outputs of all rows as they are now."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(ROWS) % CLASSES
    bank = Bank.empty(ROWS, 5, torch.device("cpu"))
    bank.write(written, torch.randn(len(written), 5, generator=generator), 0)
    recipe = recipes.replace(AlignRecipe(), decision=decision, temperature=0.1)
    voters = AlignObjective(recipe, CLASSES, bank=bank)
    voters._y = y
    return voters, torch.randn(ROWS, 5, generator=generator)


def by_loop(voters, vector, row):
    """Scores of one row by those of the bank that are not the row."""
    others = [place for place in range(ROWS) if voters.bank.written[place] >= 0 and place != row]
    near = {place: float(vector @ voters.bank.vectors[place]) for place in others}
    if voters.recipe.answers.decision == "knn":
        first = sorted(others, key=lambda place: -near[place])[:20]
        votes = {place: math.exp(near[place] / voters.recipe.objective.temperature) for place in first}
        own = [sum(votes[place] for place in first if voters._y[place] == label) for label in range(CLASSES)]
        return [math.log((1 - FLOOR) * value / sum(own) + FLOOR / CLASSES) for value in own]
    # A class mean of which a row is no member has it in no case: only its own class loses it.
    means = [
        sum(voters.bank.vectors[place] for place in others if voters._y[place] == label) for label in range(CLASSES)
    ]
    return [float(vector @ mean / mean.norm()) / voters.recipe.objective.temperature for mean in means]


@pytest.mark.parametrize("written", [ROWS, 24, 12])
@pytest.mark.parametrize("decision", ["knn", "mean"])
def test_training_rows_are_decided_by_the_others_as_a_loop_says(decision, written):
    """Also where the bank has holes, and where it has fewer rows than voters."""
    places = torch.randperm(ROWS, generator=torch.Generator().manual_seed(1))[:written].sort().values
    voters, z = stored(places, decision)
    rows = np.random.default_rng(2).permutation(ROWS)[:20]
    got = voters.scores(z[rows], rows)
    vectors = unit(z)
    expected = torch.tensor([by_loop(voters, vectors[row], row) for row in rows.tolist()])
    assert torch.allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize("decision", ["knn", "mean"])
def test_other_rows_are_decided_by_all(decision):
    voters, z = stored(torch.arange(ROWS), decision)
    got = voters.scores(z)
    expected = torch.tensor([by_loop(voters, vector, row=-1) for vector in unit(z)])
    assert torch.allclose(got, expected, atol=1e-4)


def test_a_row_that_is_alone_has_no_vote():
    voters, z = stored(torch.tensor([4]), "knn")
    assert voters.scores(z[4:5], np.array([4])).exp().tolist()[0] == pytest.approx([FLOOR / CLASSES] * CLASSES)


@pytest.mark.parametrize("decision", ["knn", "mean"])
def test_the_map_of_training_rows_does_not_show_what_they_say_of_themselves(decision, order, few_animals, tmp_path):
    """Regression (acceptance row 66): with noise as labels the map showed them nearly all right."""
    train, validation = few_animals
    noise = np.random.default_rng(0).permutation(train.label)
    parts = (Texts.of(list(train.text), list(noise)), validation)
    train_encoder(order(tmp_path, parts=parts, decision=decision, lr=1e-6, temperature=0.01, epochs=1))
    (frame,) = read_train_frames(tmp_path / "trajectory")
    told = np.unique(noise)[frame.predicted]
    assert (told == noise).mean() < 0.5


def test_the_shape_of_a_sorted_file_is_that_of_all_its_classes(order):
    """Regression: the first 1,000 rows of a file that is sorted by class are of one class, without any collapse."""
    steps = steps_of(order())
    y = torch.arange(3).repeat_interleave(alignment.EPOCH_ROWS + 200)
    z = torch.randn(len(y), 8, generator=torch.Generator().manual_seed(0)) + 3 * torch.eye(3, 8)[y]
    found = steps.objective.figures(z, y, z[:, :3])
    assert {"nc1", "nc2_norm", "nc2_angle", "nc4"} <= set(found)
    assert found == steps.objective.figures(z, y, z[:, :3])
    few = steps.objective.figures(z[::9], y[::9], z[::9, :3])  # all rows of a smaller file
    assert found["nc1"] == pytest.approx(few["nc1"], rel=0.3)
    assert found["alignment"] == pytest.approx(few["alignment"], rel=0.1)
