"""Fine-tuning as a run: the split keeps contexts whole, the folder opens, the command prints."""

import json
import shutil
from functools import partial

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

import separatrix as sx
from separatrix.cli import app
from separatrix.errors import DataError, ModelError, OptionError, StoreError
from separatrix.heads.answers import squad_scores
from separatrix.heads.maps import load_for_maps, maps_of
from separatrix.heads.windows import WindowRule, cut_windows
from separatrix.learn.trainables.spans import load_span_model
from separatrix.models.load import load_backbone
from separatrix.recipe import ModelRecipe, TrainRecipe
from separatrix.recipe.heads import AnswerRecipe
from separatrix.texts.questions_answers import Example, read_material
from separatrix.training.methods.answers import (
    AnswerResult,
    answer_table,
    draw_examples,
    split_by_context,
    train_answers,
)
from separatrix.training.request import TrainingRequest
from separatrix.training.run import run_training


def test_split_keeps_contexts_whole():
    examples = [Example(str(row), "q", f"c{row // 3}", row // 3) for row in range(30)]
    train, held = split_by_context(examples, 0.2, 0)
    assert len(held) == 6
    assert len(train) == 24
    assert not {each.context for each in train} & {each.context for each in held}
    assert split_by_context(examples, 0.2, 0) == (train, held)
    with pytest.raises(DataError, match="one context cannot be split"):
        split_by_context(examples[:3], 0.2, 0)


def test_questions_without_answers_teach_nothing(tiny, tmp_path):
    """Regression: a table without the column `answers` was trained on as if no question had an answer."""
    path = tmp_path / "questions.csv"
    path.write_text("question,context\n" + "\n".join(f"where is it ?,the cat is in house {n}" for n in range(9)))
    with pytest.raises(DataError, match="no question with an answer, so there is nothing to learn"):
        sx.train(path, method="answers", model=str(tiny("bert")), out=tmp_path / "qa")
    assert not (tmp_path / "qa").exists()
    with pytest.raises(DataError, match="questions are read from a file or folder: got Texts"):
        sx.train(sx.Texts.of(["a", "b"], ["x", "y"]), method="answers", model=str(tiny("bert")), out=tmp_path / "qa")


def test_command(tiny, tmp_path, capsys):
    rows = [
        {"id": str(row), "question": "where is the cat ?", "context": f"the old cat is on the house {row // 2}",
         "answers": {"text": ["cat"], "answer_start": [8]}}
        for row in range(12)
    ]  # fmt: skip
    pd.DataFrame(rows).to_parquet(tmp_path / "train.parquet")
    words = [
        "heads-qa", str(tmp_path / "train.parquet"), "--model", str(tiny("bert")), "--out", str(tmp_path / "qa"),
        "--max-length", "30", "--max-query-length", "8", "--epochs", "1", "--device", "cpu", "--quiet", "--json",
    ]  # fmt: skip
    assert app.main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["scores"]["has_answer_total"] == 2
    assert found["scores"]["no_answer_exact"] is None
    assert 0 <= found["scores"]["f1"] <= 1
    assert found["windows"] == 10
    assert 0 <= found["share_empty"] <= 1
    assert found["baseline_exact"] == 0
    assert len(pd.read_parquet(tmp_path / "qa" / "answers.parquet")) == 2
    assert (tmp_path / "qa" / "model.safetensors").is_file()
    assert app.main(words) == 2
    assert "type --overwrite" in capsys.readouterr().err


def answered(golds, texts):
    """What a training gives whose model answers `texts` to questions with these right answers."""
    examples = [Example(str(row), "q", "c", 0, golds=tuple(gold)) for row, gold in enumerate(golds)]
    answers = {example.id: text for example, text in zip(examples, texts, strict=True)}
    return AnswerResult(squad_scores(examples, answers), (0.0,), 1, 0, answer_table(examples, answers))


def test_a_model_that_never_answers_is_called_so():
    """Seed 002 took the share of questions without an answer for a score."""
    [said] = answered([["cat"], [], []], ["", "", ""]).warnings
    assert "exact match of 0.667 is this share alone" in said
    [said] = answered([["cat"], []], ["dog", ""]).warnings
    assert "not learnt to answer" in said
    assert not answered([["cat"], []], ["the cat", "dog"]).warnings
    assert not answered([[], []], ["dog", ""]).warnings


def test_questions_asked_are_drawn_by_the_seed():
    examples = [Example(str(row), "q", "c", 0) for row in range(40)]
    few = draw_examples(examples, 10, 0)
    assert few != examples[:10]
    assert few == draw_examples(examples, 10, 0) != draw_examples(examples, 10, 1)
    assert draw_examples(examples, None, 0) == draw_examples(examples, 99, 0) == examples


WORDS = ["the", "a", "cat", "dog", "bird", "fish", "red", "blue", "old", "big", "is", "on"]
LENGTHS = {"max_length": 40, "stride": 16, "max_query_length": 6}


@pytest.fixture
def squad_file(tmp_path):
    """Six contexts with three questions each; every second question has no answer."""
    generator, paragraphs = np.random.default_rng(0), []
    for number in range(6):
        words = list(generator.choice(WORDS, size=12 + 12 * number))
        answer = [{"text": words[5], "answer_start": len(" ".join(words[:5])) + 1}]
        asked = [
            {"id": f"{number}.{row}", "question": f"where is {words[row]} ?", "answers": [] if row % 2 else answer}
            for row in range(3)
        ]
        paragraphs.append({"context": " ".join(words), "qas": asked})
    path = tmp_path / "squad.json"
    path.write_text(json.dumps({"data": [{"title": "animals", "paragraphs": paragraphs}]}))
    return path


def test_finetuning_learns_and_its_model_opens_again(tiny, tmp_path, squad_file):
    """A few steps on a planted task: the loss falls, the folder loads, its maps differ from those before."""
    material = read_material(squad_file)
    train = [example for example in material.examples if example.context < 4]
    test = [example for example in material.examples if example.context >= 4]
    recipe = AnswerRecipe(**LENGTHS, epochs=12, lr=3e-3, batch_size=8)
    model = ModelRecipe(model=str(tiny("bert")), device="cpu")
    found = train_answers(model, train, test, tmp_path / "qa", recipe)
    assert found.losses[-1] < found.losses[0] - 0.3
    assert found.scores.total == len(test)
    assert found.table["id"].tolist() == [example.id for example in test]
    assert json.loads(json.dumps(found.to_dict()))["scores"]["total"] == len(test)
    before, after = load_for_maps(model), load_for_maps(ModelRecipe(model=str(tmp_path / "qa"), device="cpu"))
    [window] = cut_windows(before, train[:1], WindowRule(40, 16, 6))[0][:1]
    assert cut_windows(after, train[:1], WindowRule(40, 16, 6))[0][0] == window
    assert float((maps_of(before, window) - maps_of(after, window)).abs().max()) > 1e-4
    with pytest.raises(DataError, match="share contexts"):
        train_answers(model, train, train[:1], tmp_path / "qa2", recipe)


def test_the_verb_trains_it_too(tiny, tmp_path, squad_file):
    options = {"method": "answers", "model": str(tiny("bert")), "device": "cpu", "epochs": 1, **LENGTHS}
    result = sx.train(squad_file, out=tmp_path / "qa", **options)
    assert json.loads((tmp_path / "qa" / "result.json").read_text()) == result.figures() | {"kind": "answers"}
    assert pd.read_parquet(tmp_path / "qa" / "answers.parquet")["id"].tolist() == result.table["id"].tolist()
    assert not (tmp_path / "qa" / "checkpoint.safetensors").exists()


def test_the_verb_holds_out_a_share_or_reads_a_file(tiny, tmp_path, squad_file):
    options = {"method": "answers", "model": str(tiny("bert")), "device": "cpu", "epochs": 1, **LENGTHS}
    half = sx.train(squad_file, out=tmp_path / "half", test=0.5, **options)
    assert half.scores.total == half.questions == 9
    content = json.loads(squad_file.read_text())
    for paragraph in content["data"][0]["paragraphs"]:
        paragraph["context"] += " red"
    (tmp_path / "other.json").write_text(json.dumps(content))
    whole = sx.train(squad_file, out=tmp_path / "whole", test=tmp_path / "other.json", test_examples=4, **options)
    assert (whole.scores.total, whole.questions) == (4, 18)
    for name, value, message in (
        ("test", 1.0, "test is out of range: got 1.0"), ("test", "none.json", "none.json"),
        ("validation", 0.2, "validation has no effect with method answers; leave it away"),
    ):  # fmt: skip
        with pytest.raises((OptionError, DataError), match=message):
            sx.train(squad_file, out=tmp_path / "no", **{name: value}, **options)
    assert not (tmp_path / "no").exists()
    with pytest.raises(OptionError, match="writes a whole model: got no out"):
        sx.train(squad_file, **options)
    with pytest.raises(OptionError, match="--tokens has no effect with --method answers"):
        sx.train(squad_file, out=tmp_path / "other", tokens=3, **options)


WRITTEN = ("config.json", "model.safetensors", "tokenizer.json", "answers.parquet", "recipe.json")


class StopAt:
    """Ends a training at a step of a stage, and keeps the training steps that it went through."""

    def __init__(self, stage="", step=0):
        self.last, self.steps = (stage, step), []

    def __call__(self, stage, done, total, note):
        if stage == "training":
            self.steps.append(done)
        if (stage, done) == self.last:
            raise KeyboardInterrupt("as control-C")


# Within an epoch, with the first step of another, with the last step, and while its answers are scored.
@pytest.mark.parametrize("stop", [("training", 2), ("training", 5), ("training", 8), ("evaluation", 6)])
def test_stopped_and_resumed_ends_with_the_same_bytes(tiny, tmp_path, squad_file, stop):
    options = {"model": str(tiny("bert")), "device": "cpu", "epochs": 2, "batch_size": 8, **LENGTHS, "lr": 3e-3}
    train = partial(sx.train, method="answers", checkpoint_seconds=0.0, **options)
    other = tmp_path / "other.json"
    other.write_text(squad_file.read_text().replace("where is", "what is"))
    counted = tmp_path / "halves"
    straight = train(squad_file, out=tmp_path / "straight", progress=(steps := StopAt()))
    assert steps.steps == list(range(1, 9))
    with pytest.raises(KeyboardInterrupt, match="as control-C"):
        train(squad_file, out=counted, progress=StopAt(*stop))
    with pytest.raises(StoreError, match="was not finished"):
        sx.load(counted)
    with pytest.raises(StoreError, match=r"begun with other options or other texts: got .*lr 0.1 instead of 0.003"):
        train(squad_file, out=counted, resume=True, lr=0.1)
    with pytest.raises(StoreError, match=r"begun with other options or other texts: got digest"):
        train(other, out=counted, resume=True)
    resumed = train(squad_file, out=counted, resume=True, checkpoint_seconds=9.0, progress=(rest := StopAt()))
    assert rest.steps == (list(range(stop[1], 9)) if stop[0] == "training" else [])
    assert resumed.losses == straight.losses
    for name in WRITTEN[:-1]:
        assert (counted / name).read_bytes() == (tmp_path / "straight" / name).read_bytes(), name
    assert not (counted / "checkpoint.safetensors").exists()


def test_a_finished_run_that_is_resumed_stays_as_it_is(tiny, tmp_path, squad_file, capsys):
    words = ["heads-qa", str(squad_file), "--model", str(tiny("bert")), "--out", str(tmp_path / "qa"), "--resume"]
    words += ["--max-length", "40", "--max-query-length", "6", "--device", "cpu", "--quiet"]
    assert app.main([*words, "--epochs", "1"]) == 0
    before = {name: (tmp_path / "qa" / name).read_bytes() for name in WRITTEN}
    assert app.main([*words, "--epochs", "1", "--checkpoint-seconds", "5"]) == 0
    assert "finished before: nothing was trained" in capsys.readouterr().out
    assert {name: (tmp_path / "qa" / name).read_bytes() for name in WRITTEN} == before
    assert app.main([*words, "--epochs", "2"]) == 2
    assert "epochs 2 instead of 1" in capsys.readouterr().err
    other = shutil.copytree(tiny("bert"), tmp_path / tiny("bert").name)  # the same name, and other weights
    weights = load_file(other / "model.safetensors")
    save_file({name: tensor * 2 for name, tensor in weights.items()}, other / "model.safetensors", {"format": "pt"})
    words[3] = str(other)
    assert app.main([*words, "--epochs", "1"]) == 2
    assert "begun with other options or other texts: got weights" in capsys.readouterr().err


def test_what_the_tokenizer_cannot_read_is_said(tiny, tmp_path, squad_file):
    content = json.loads(squad_file.read_text())
    for place, paragraph in enumerate(content["data"][0]["paragraphs"]):
        paragraph["qas"][0]["question"] = f"\u4e00 <eos> {place} ?"
    squad_file.write_text(json.dumps(content))
    options = {"model": str(tiny("bert")), "device": "cpu", "epochs": 1, **LENGTHS}
    sentences = []
    for name, escape in (("keep", {}), ("escape", {"special_tokens": "escape"})):
        with pytest.warns(sx.errors.SeparatrixWarning) as caught:
            result = sx.train(squad_file, method="answers", out=tmp_path / name, **options, **escape)
        sentences.append([str(one.message) for one in caught])
        assert result.warnings[: len(sentences[-1])] == sentences[-1]
        assert json.loads((tmp_path / name / "result.json").read_text())["warnings"] == result.warnings
        assert sx.load(tmp_path / name).warnings == result.warnings
    kept, escaped = (" ".join(line.partition(" texts ")[2][:18] for line in lines) for lines in sentences)
    assert kept.count("hold control token") == 2  # training and test
    assert kept.count("hold words that th") == 2
    assert "control" not in escaped
    with pytest.warns(sx.errors.SeparatrixWarning, match="6 of 18 texts hold words that the tok") as caught:
        result.predict(squad_file, device="cpu")
    assert len(caught) == 1  # what is read as text in training is read so in answers


def test_a_run_is_a_result_like_others(tiny, tmp_path, squad_file):
    options = {"model": str(tiny("bert")), "device": "cpu", "epochs": 1, **LENGTHS}
    made = sx.train(squad_file, method="answers", out=tmp_path / "qa", **options)
    for folder in (tmp_path / "qa", tmp_path / "copy"):
        again = sx.load(folder) if folder.exists() else (made.save(folder), sx.load(folder))[1]
        assert again.figures() == made.figures()
        pd.testing.assert_frame_equal(again.table.drop(columns="right"), made.table.drop(columns="right"))
        assert str(again).replace(str(folder), "") == str(made).replace(str(made.folder), "")
        assert "exact match" in again._repr_html_()
        answers = again.predict(squad_file, device="cpu")
        assert len(answers) == 18
        kept = answers[answers["id"].isin(made.table["id"])].reset_index(drop=True)
        assert kept["answer"].tolist() == made.table["answer"].tolist()
    result = json.loads((tmp_path / "qa" / "result.json").read_text())
    (tmp_path / "qa" / "result.json").write_text(json.dumps(result | {"scores": {"exact": "x"}}))
    with pytest.raises(StoreError, match=r"result.json is truncated"):
        sx.load(tmp_path / "qa")
    assert str(tmp_path) not in json.dumps(result)


def test_labelled_texts_are_refused(splits, tiny, capsys, tmp_path):
    with pytest.raises(OptionError, match="answers reads questions with contexts; type separatrix heads-qa"):
        run_training(TrainingRequest(splits, TrainRecipe(), "answers"))
    assert app.main(["train", "q.csv", "--method", "answers", "--out", str(tmp_path / "run")]) == 2
    assert "heads-qa" in capsys.readouterr().err


def test_a_family_without_a_span_head_is_refused(tiny, monkeypatch):
    import transformers

    def refuse(*places, **options):
        raise ValueError("Unrecognized configuration class")

    monkeypatch.setattr(transformers.AutoModelForQuestionAnswering, "from_pretrained", refuse)
    with pytest.raises(ModelError, match="bert models have no head for question answering"):
        load_span_model(load_backbone(ModelRecipe(model=str(tiny("bert")), device="cpu")), 0)
