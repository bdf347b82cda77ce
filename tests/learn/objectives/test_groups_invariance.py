"""What an invariance term does: a fresh probe for a planted group, before and after, and the class beside it."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.preprocessing import normalize

from align_steps import steps_of
from separatrix.errors import DataError
from separatrix.learn.align import train_encoder
from separatrix.texts import Texts

FILL = ["the", "a", "fish", "tree", "house", "river", "green", "old", "new", "who", "what", "where", "how", "is", "was"]


def publishers(rows, seed):
    """Texts of two classes, a word each; and of two publishers, a word each, three times, whatever the class."""
    generator = np.random.default_rng(seed)
    label, group = generator.integers(2, size=(2, rows))
    texts = []
    for one, two in zip(label, group, strict=True):
        words = [("cat", "dog")[one], *[("red", "blue")[two]] * 3, *generator.choice(FILL, generator.integers(1, 5))]
        texts.append(" ".join(generator.permutation(words)))
    return Texts.of(texts, np.array(["cat", "dog"])[label], np.array(["red", "blue"])[group])


@pytest.fixture(scope="module")
def figures(order):
    """`figures(**options)`: accuracy of a fresh probe for the publisher, and of the class."""

    def of(**options):
        train, held = publishers(200, 0), publishers(300, 100)
        settings = {"epochs": 6, "lr": 1e-3, "batch_size": 16, "seed": 0} | options
        model = train_encoder(order(parts=(train, held), **settings)).model
        probe = cross_val_score(LogisticRegression(max_iter=2000), normalize(model.encode(held.text)), held.group)
        return probe.mean(), (model.answer(held.text).labels == held.label).mean()

    return of


@pytest.mark.parametrize("aim", [{"loss": "nca"}, {"loss": "linear", "decision": "head"}], ids=["nca", "finetune"])
def test_ridge_takes_the_group_out_and_leaves_the_class(figures, aim):
    plain, _ = figures(**aim)
    probe, accuracy = figures(**aim, invariance="ridge", group_weight=0.1)  # here nothing speaks for the group
    assert plain > 0.8  # the group is there to be found: chance is 0.5
    assert probe < 0.68
    assert accuracy > 0.95


def test_cells_batches_say_nothing_of_the_class_by_the_group(order):
    """Each publisher prefers a class, nine rows of ten; in the batches of `cells` all four kinds of rows come alike."""
    texts = publishers(400, 0)
    agree = (texts.label == "cat") == (texts.group == "red")
    kept = np.flatnonzero(agree | (np.arange(400) % 9 == 0))
    leaning = texts.take(kept)
    job = order(parts=(leaning, texts), sampler="cells", class_rows=4, batch_size=16)
    steps = steps_of(job)
    rows = np.concatenate([batch for epoch in range(3) for batch in steps.batches(epoch)])
    _, counts = np.unique(list(zip(leaning.label[rows], leaning.group[rows], strict=True)), axis=0, return_counts=True)
    assert len(counts) == 4
    assert counts.max() <= 1.1 * counts.min()
    assert all(len(np.unique(batch)) == len(batch) == 16 for batch in steps.batches(0))


def test_cells_need_groups(order):
    with pytest.raises(DataError, match=r"needs groups.*--group"):
        train_encoder(order(sampler="cells"))
