"""Label words of a training: readable ones are chosen, it is told which, given ones are checked, no logit is kept."""

import json
import shutil
import tempfile
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
import transformers as hf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from separatrix import recipe as recipes
from separatrix.errors import ModelError, OptionError, StoreError
from separatrix.estimators import PromptClassifier
from separatrix.learn import prompt
from separatrix.learn.objectives import OBJECTIVES, word_ranking
from separatrix.learn.objectives.word_ranking import BLOCK_ROWS, NAMED, WordRanking, plain_words, rank_words, word_notes
from separatrix.learn.prompt import train_prompt
from separatrix.learn.trainables import EVALUATION_ROWS
from separatrix.learn.trained import prompt as trained_prompt
from separatrix.learn.trajectory import read_frames
from separatrix.recipe import LossRecipe, TrainRecipe
from separatrix.store.folder import TRAJECTORY
from separatrix.texts import Splits
from separatrix.training.request import TrainingRequest
from separatrix.training.run import run_training

CLASSES = ("bird", "cat", "dog")
UNREADABLE = ("[unused{}]", "<extra_id_{}>", "<|reserved_{}|>", "<0x{}>")
NEW = ["a cat", "the old dog was big", "bird", "what is new"]


@pytest.fixture(scope="module")
def chosen(train, few):
    """A training that chose its label words."""
    return train(few, loss="token", epochs=1)


# Which words are chosen


@pytest.fixture(scope="module")
def unreadable(tiny, tmp_path_factory):
    """A GPT-2 in whose vocabulary only the three animals can be read; its texts are full of unknown words."""
    folder = tmp_path_factory.mktemp("unreadable") / "gpt2"
    shutil.copytree(tiny("gpt2"), folder)
    path = folder / "tokenizer.json"
    notes = json.loads(path.read_text())
    held = notes["model"]["vocab"]
    notes["model"]["vocab"] = {
        name if place < 5 or name in CLASSES else UNREADABLE[place % 4].format(place): place
        for name, place in held.items()
        if place < len(held) - 2
    } | {" ": len(held) - 2, "\u200b": len(held) - 1}
    path.write_text(json.dumps(notes))
    return folder


def test_no_special_unused_or_blank_token_is_chosen(train, few, unreadable):
    trained = train(few, model=str(unreadable), loss="token", epochs=1)
    tokenizer = trained.model.backbone.tokenizer
    assert {tokenizer.decode([word]) for word in trained.model.words.tolist()} == set(CLASSES)
    assert [len(trained.words.top(k)) for k in range(3)] == [3, 3, 3]  # what was forbidden is no candidate


@pytest.mark.parametrize("name", ["gpt2", "roberta"])
def test_special_tokens_of_a_plain_vocabulary_are_never_chosen(train, few, name):
    trained = train(few, name, loss="token", epochs=1)
    special = trained.model.backbone.tokenizer.all_special_ids
    assert not torch.isfinite(trained.words.scores[:, special]).any()
    assert torch.isfinite(trained.words.scores).sum() == 3 * (trained.words.scores.shape[1] - len(special))


def test_parts_of_a_character_and_padding_columns_are_left_out():
    signs = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({sign: place for place, sign in enumerate(signs)}, []))
    inner.decoder = decoders.ByteLevel()
    allowed = plain_words(hf.PreTrainedTokenizerFast(tokenizer_object=inner), 300)
    assert {chr(b) for b in range(256) if allowed[signs.index(sign_of(b))]} == {chr(b) for b in range(33, 127)}
    assert allowed[256:].sum() == 0


def sign_of(byte):
    """How a byte-level tokenizer writes a byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in plain]
    return chr(byte) if byte in plain else chr(256 + others.index(byte))


# What is told of them


def test_the_choice_is_told_in_one_note(chosen):
    said = [note for note in chosen.notes if note.startswith("label words: ")]
    assert len(said) == 1
    decode = chosen.model.backbone.tokenizer.decode
    spelt = [decode([word]) for word in chosen.model.words.tolist()]
    first, _, second = said[0].partition("; the next best: ")
    assert first == "label words: " + ", ".join(f"{word} for {name}" for word, name in zip(spelt, CLASSES, strict=True))
    rest = [part.split(" for ") for part in second.split(", ")]
    assert [name for _, name in rest] == list(CLASSES)
    assert not {word for word, _ in rest} & set(spelt)


def test_after_a_refit_the_words_told_are_those_of_the_model(train, few):
    trained = train(few, loss="token", epochs=1, refit=True)
    assert trained.words.words.tolist() == trained.model.words.tolist()
    decode = trained.model.backbone.tokenizer.decode
    first = decode([int(trained.model.words[0])])
    assert sum(note.startswith(f"label words: {first} for bird, ") for note in trained.notes) == 1


def test_the_note_of_many_classes_is_cut(chosen):
    many = NAMED + 5
    ranking = WordRanking(torch.arange(5, 5 + many), torch.rand(many, 60), torch.zeros(many))
    (said,) = word_notes(ranking, [f"k{n}" for n in range(many)], chosen.model.backbone)
    assert said.count(" for ") == 2 * NAMED
    assert said.count(" and 5 more") == 2


def test_the_ranking_stands_in_the_result(tiny, few, tmp_path):
    options = {"model": str(tiny("gpt2")), "loss": "token", "epochs": 1, "tokens": 2, "device": "cpu"}
    splits = Splits(few[0], few[1], few[1], ())
    run_training(TrainingRequest(splits, recipes.replace(TrainRecipe(), **options), folder=tmp_path))
    found = json.loads((tmp_path / "result.json").read_text())
    assert list(found["word_ranking"]) == list(CLASSES)
    for ranked in found["word_ranking"].values():
        scores = [line["separation"] for line in ranked]
        assert len(ranked) == 10
        assert scores == sorted(scores, reverse=True)
    best = {line["word"] for ranked in found["word_ranking"].values() for line in ranked}
    assert set(found["words"]) <= best
    assert sum(note.startswith("label words: ") for note in found["notes"]) == 1
    options["words"] = ("good", "bad", "red")
    given = run_training(TrainingRequest(splits, recipes.replace(TrainRecipe(), **options))).to_dict()
    assert (given["words"], given["word_ranking"]) == (["good", "bad", "red"], None)


# Words that are given


@pytest.mark.parametrize("name", ["gpt2", "bert"])
@pytest.mark.parametrize("word", ["", "  ", "zebra"])
def test_a_word_without_a_token_is_refused_before_any_text_is_run(train, few, name, word):
    reports = []
    with pytest.raises(OptionError, match=f"the tokenizer has no token for a label word: got '{word}'; choose another"):
        train(few, name, loss="token", words=(word, "good", "bad"), progress=lambda *told: reports.append(told))
    assert not reports


def test_a_word_of_several_tokens_is_told(train, few):
    trained = train(few, loss="token", words=("good dog", "bad dog", "red"), epochs=1)
    said = [note for note in trained.notes if note.startswith("label word")]
    assert said == [
        "label word 'good dog' has 2 tokens, of which only the first counts: 'good'",
        "label word 'bad dog' has 2 tokens, of which only the first counts: 'bad'",
    ]


def test_the_order_of_the_words_is_said(train, few):
    text = next(spec.metadata["text"] for spec in fields(LossRecipe) if spec.name == "words")
    assert "one per class in the order of the sorted class names" in text
    with pytest.raises(
        OptionError, match="expected 3: bird, cat, dog; give the words in this order: sorted by the name"
    ):
        train(few, loss="token", words=("good", "bad"))


# A model without a head


def test_without_a_head_the_hint_can_be_followed(train, few, tiny, tmp_path):
    folder = shutil.copytree(tiny("bert"), tmp_path / "bert")
    hf.AutoModel.from_pretrained(folder).save_pretrained(folder)
    wanted = "--loss token can use; use another --loss, or a --model with a language-model head"
    with pytest.raises(ModelError, match=wanted):
        train(few, model=str(folder), loss="token")
    with pytest.raises(ModelError, match="use --readout hidden"):
        train(few, model=str(folder), readout="logits")


# Memory


def test_logits_are_ranked_block_by_block(train, animals, monkeypatch):
    blocks, parts, kept = [], [], {}

    def watched(logits, *rest):
        def passing():
            for block in logits:
                blocks.append(block.clone())
                yield block

        kept["ranking"] = rank_words(passing(), *rest)
        kept["whole"] = rank_words(torch.cat(blocks), *rest)
        return kept["ranking"]

    sums = word_ranking._sums
    monkeypatch.setattr("separatrix.learn.objectives.words.rank_words", watched)
    monkeypatch.setattr(word_ranking, "_sums", lambda rows, *rest: parts.append(len(rows)) or sums(rows, *rest))
    train(animals, loss="token", epochs=1)
    assert sum(map(len, blocks)) == len(animals[0]) > EVALUATION_ROWS
    assert max(map(len, blocks)) <= EVALUATION_ROWS
    assert max(parts) <= BLOCK_ROWS  # also where a whole table is given
    assert kept["ranking"].words.tolist() == kept["whole"].words.tolist()
    torch.testing.assert_close(kept["ranking"].scores, kept["whole"].scores)


@pytest.mark.parametrize("options", [{}, {"words": ("good", "bad", "red")}], ids=["chosen", "given"])
def test_only_the_columns_of_the_label_words_are_kept(train, few, tmp_path, monkeypatch, options):
    widths, evaluate = [], prompt.evaluate
    monkeypatch.setattr(prompt, "evaluate", lambda *a: widths.append((z := evaluate(*a)).shape[1]) or z)
    model = train(few, loss="token", epochs=1, folder=tmp_path, **options).model
    assert set(widths) == {3}
    assert {frame.outputs.shape[1] for frame in read_frames(tmp_path / TRAJECTORY)} == {3}
    columns = model.run(NEW).outputs
    whole = replace(model, objective=OBJECTIVES["linear"].build(model.recipe, 3))  # one that reads all columns
    logits = whole.run(NEW).outputs
    assert columns.shape == (4, 3)
    assert logits.shape == (4, len(model.backbone.embedding))
    np.testing.assert_array_equal(columns, logits[:, model.words])
    np.testing.assert_array_equal(model.scores(columns), model.scores(logits))
    bias = 0 if options else model.objective.bias.detach().numpy()
    np.testing.assert_array_equal(model.scores(columns), columns + bias)


def test_new_texts_are_run_in_batches_of_bounded_rows(chosen, monkeypatch):
    whole = chosen.model.run(NEW * 3).outputs
    seen, read = [], trained_prompt.read
    monkeypatch.setattr("separatrix.learn.trained.prompt.PREDICT_ROWS", 5)
    monkeypatch.setattr("separatrix.learn.trained.prompt.read", lambda h, *rest: seen.append(len(h)) or read(h, *rest))
    np.testing.assert_allclose(chosen.model.run(NEW * 3).outputs, whole, atol=1e-4)
    assert seen == [5, 5, 2]


def test_a_checkpoint_of_other_label_words_is_not_gone_on_with(make_job, few, tmp_path, monkeypatch):
    job = make_job(few, loss="token", epochs=1, folder=tmp_path)
    taken = train_prompt(job).model.words
    assert train_prompt(job).model.words.tolist() == taken.tolist()
    others = prompt.plain_words
    monkeypatch.setattr(prompt, "plain_words", lambda *a: others(*a).index_fill(0, taken, value=False))
    with pytest.raises(StoreError, match="belongs to a training with other options or other data"):
        train_prompt(job)


# A cache on disk without a folder


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("options", [{"cache": "disk"}, {"cache": "auto", "memory_gib": 0}], ids=["disk", "auto"])
@pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")
def test_an_estimator_may_keep_its_cache_on_disk(tiny, few, temporary, options):
    recipe = recipes.replace(TrainRecipe(), **options)
    clf = PromptClassifier(str(tiny("gpt2")), tokens=2, epochs=1, recipe=recipe).fit(few[0].text, few[0].label)
    assert any(note.startswith("text cache: disk") for note in clf.notes_)
    assert not list(temporary.iterdir())


def test_nothing_is_left_of_a_training_that_fails(make_job, few, temporary):
    def stop(stage, *_):
        if stage == "training":
            assert [path.name for path in temporary.glob("*/train/*")] == ["text.cache"]
            raise KeyboardInterrupt("here")

    with pytest.raises(KeyboardInterrupt, match="here"):
        train_prompt(make_job(few, cache="disk", progress=stop))
    assert not list(temporary.iterdir())
