"""Bad before, good after: every objective separates what it could not separate untrained."""

import numpy as np
import pytest

UNTRAINED = {"lr": 0.0, "epochs": 1, "batch_size": 512}


def best(trained, name="accuracy"):
    return trained.fitted.metrics[trained.fitted.best_epoch - 1]["validation"][name]


CASES = [  # family, options, untrained at most, trained at least
    ("gpt2", {"loss": "centroid_ce"}, 0.55, 0.95),
    ("gpt2", {"loss": "centroid_ce", "prompt_layers": "input", "positions": "all"}, 0.75, 0.9),
    ("gpt2", {"loss": "linear"}, 0.4, 0.95),
    ("gpt2", {"loss": "token"}, 0.55, 0.9),
    ("gpt2", {"loss": "cosine"}, 0.55, 0.95),
    ("gpt2", {"loss": "distance", "repulsion": 30.0}, 0.55, 0.95),
    ("gpt2", {"loss": "centroid", "repulsion": 30.0}, 0.55, 0.9),
    ("gpt2", {"loss": "attract_repel", "repulsion": 30.0}, 0.55, 0.9),
    ("bert", {"loss": "centroid_ce", "start": "random"}, 0.45, 0.9),
    ("bert", {"loss": "linear"}, 0.45, 0.95),
]


@pytest.mark.parametrize(("family", "options", "low", "high"), CASES, ids=lambda v: v if isinstance(v, str) else None)
def test_trained_separates_what_untrained_does_not(train, animals, family, options, low, high):
    before = best(train(animals, family, **options, **UNTRAINED))
    trained = train(animals, family, **options)
    majority = trained.fitted.metrics[0]["validation"]["majority"]
    assert majority == pytest.approx(1 / 3, abs=0.02)  # copies of a text are held out together
    assert before <= low
    assert best(trained) >= high
    assert best(trained) >= before + 0.15


def test_numbers_are_predicted_far_better_than_by_their_mean(train, numbers):
    held = numbers[1]
    baseline = float(np.std(held.label))  # error of always answering the mean: 26
    before = best(train(numbers, "bert", loss="mse", **UNTRAINED), "rmse")
    trained = train(numbers, "bert", loss="mse", epochs=9)
    assert before > 0.95 * baseline
    assert best(trained, "rmse") < 0.7 * baseline
    # The metrics and the model answer in the unit of the labels.
    answers = np.asarray(trained.model.answer(held.text).labels, dtype=float)
    assert np.sqrt(np.mean((answers - held.label) ** 2)) == pytest.approx(best(trained, "rmse"), rel=1e-3)


def test_label_words_given_by_hand_are_used(train, animals):
    words = ("good", "bad", "red")
    trained = train(animals, "gpt2", loss="token", words=words, epochs=3)
    tokenizer = trained.model.backbone.tokenizer
    assert tokenizer.convert_ids_to_tokens(trained.model.words.tolist()) == list(words)
    assert trained.words is None
    assert best(trained) > 0.6


def test_automatic_label_words_are_reported_and_all_different(train, animals):
    trained = train(animals, "gpt2", loss="token", epochs=1)
    assert trained.words is not None
    assert len(set(trained.model.words.tolist())) == 3


def test_the_place_of_the_cache_changes_nothing(train, few, tmp_path):
    options = {"loss": "attract_repel", "epochs": 2, "batch_size": 8}
    memory = train(few, "gpt2", cache="memory", **options)
    for place in ("disk", "off"):
        other = train(few, "gpt2", cache=place, folder=tmp_path / place, **options)
        assert any(note.startswith(f"text cache: {place}") for note in other.notes)
        assert not (tmp_path / place / "cache").exists()
        for ours, theirs in zip(memory.fitted.metrics, other.fitted.metrics, strict=True):
            assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-3)
            assert ours["validation"]["loss"] == pytest.approx(theirs["validation"]["loss"], rel=2e-3)
        for name, tensor in memory.fitted.tensors.items():
            np.testing.assert_allclose(tensor.detach(), other.fitted.tensors[name].detach(), atol=5e-3)
