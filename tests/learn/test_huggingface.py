"""The prompt as a model of transformers: the same logits, trained by its Trainer, saved and loaded by its functions."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel, pipeline

import separatrix as sx
from prompt_kinds import STRONGER
from separatrix import recipe as recipes
from separatrix.errors import DataError, ModelError, OptionError, ShapeError, StoreError
from separatrix.learn.huggingface import PromptConfig, PromptForSequenceClassification
from separatrix.learn.objectives import OBJECTIVES
from separatrix.learn.objectives.base import random_head
from separatrix.learn.prompt import start_prompt_model
from separatrix.learn.targets import Scaling
from separatrix.learn.trained.loading import load_model
from separatrix.learn.trained.prompt import PromptModel
from separatrix.models.batches import pad_tokens
from separatrix.models.cache import attention_shape
from separatrix.models.suffix import read
from separatrix.recipe import TrainRecipe
from separatrix.texts import Classes, Texts
from suffix_oracle import ROWS, outputs, some_prompt

TEXTS = ["a cat", "the old dog was big . who is it ?", "bird", "what is new and good"]
OPTIONS = {"tokens": 3, "device": "cpu", "batch_size": 8}
KINDS = {
    "centroids": {"loss": "centroid_ce", "positions": "all"},
    "means": {"loss": "cosine", "positions": "mean"},
    "head": {"loss": "linear", "prompt_layers": "input"},
    "words": {"loss": "token"},
    "numbers": {"loss": "mse"},
    **STRONGER,
}


@pytest.fixture(scope="module")
def begun(tiny, planted):
    """`begun("gpt2", **options)` is a prompt model before its training, its vectors moved off their start."""

    def build(family="gpt2", **options):
        texts, labels = planted
        labels = [float(len(text)) for text in texts] if options.get("loss") == "mse" else labels
        recipe = recipes.replace(TrainRecipe(), model=str(tiny(family)), **OPTIONS | options)
        model = start_prompt_model(recipe, Texts.of(texts[:24], labels[:24]))
        generator = torch.Generator().manual_seed(1)
        for tensor in model.prompt.named().values():
            tensor += 0.3 * torch.randn(tensor.shape, generator=generator)
        return model

    return build


def encoded(model, texts, **options):
    return model.tokenizer(texts, return_tensors="pt", truncation=True, padding=True, **options)


@torch.no_grad()
def logits(model, texts, **options):
    return model(**encoded(model, texts, **options)).logits.numpy()


def test_logits_are_ours_alone_and_in_padded_batches_in_every_family(loaded, family):
    backbone = loaded(family)
    shape, recipe = attention_shape(backbone), recipes.replace(TrainRecipe(), tokens=4, loss="linear")
    head = OBJECTIVES["linear"].build(recipe, 3)
    head.load(dict(zip(("weight", "bias"), random_head(3, 4 * backbone.width, 0, backbone.device), strict=True)))
    ours = PromptModel(backbone, shape, recipe, some_prompt(backbone, shape), head, Classes(("a", "b", "c")))
    model = PromptForSequenceClassification.from_run(ours)
    states = outputs(backbone, ours.prompt, recipe=recipe.text_cache)
    wanted = torch.from_numpy(ours.scores(read(states, recipe.prompt, backbone).numpy()))
    near = {"rtol": 0, "atol": 1e-4 * max(1.0, float(states.abs().max()))}
    ids, mask = pad_tokens(list(ROWS.ids), backbone)
    with torch.no_grad():
        torch.testing.assert_close(model(ids, mask).logits, wanted, **near)
        lengths = mask.sum(1, keepdim=True)
        left = (torch.arange(ids.shape[1])[None] + lengths) % ids.shape[1]  # pads first
        torch.testing.assert_close(model(ids.gather(1, left), mask.gather(1, left)).logits, wanted, **near)
        alone = torch.cat([model(torch.tensor([row])).logits for row in ROWS.ids])
    torch.testing.assert_close(alone, wanted, **near)


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded_by_auto_model(begun, tmp_path, kind):
    ours = begun(**KINDS[kind])
    model = PromptForSequenceClassification.from_run(ours)
    model.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path, device="cpu")
    assert isinstance(loaded, PromptForSequenceClassification)
    assert not loaded.training
    np.testing.assert_array_equal(logits(model, TEXTS), logits(loaded, TEXTS))
    answer = ours.answer(TEXTS)
    if kind == "numbers":
        assert loaded.config.problem_type == "regression"
        np.testing.assert_allclose(logits(loaded, TEXTS)[:, 0], answer.labels, rtol=1e-4)
    else:
        assert loaded.config.id2label == {0: "bird", 1: "cat", 2: "dog"}
        assert [loaded.config.id2label[row] for row in logits(loaded, TEXTS).argmax(1)] == answer.labels.tolist()


def test_numbers_beside_a_large_mean_are_those_of_the_run(begun):
    """Regression: in float32, times in seconds lay on a grid of 128, as answers and as labels."""
    scaling = Scaling(1.7e9, 100.0)
    ours = replace(begun(loss="mse"), scaling=scaling)
    model, own = PromptForSequenceClassification.from_run(ours), ours.answer(TEXTS)
    np.testing.assert_allclose(logits(model, TEXTS)[:, 0], own.labels, rtol=0, atol=0.1)
    labels = torch.tensor([1.7e9 + 10 * row for row in range(len(TEXTS))], dtype=torch.float64)
    missed = own.scores[:, 0] - scaling.standardised(labels.numpy())
    assert model(**encoded(model, TEXTS), labels=labels).loss.item() == pytest.approx((missed**2).mean(), rel=1e-3)


def test_the_folder_holds_the_prompt_and_no_transformer(begun, tmp_path):
    model = PromptForSequenceClassification.from_run(begun())
    model.save_pretrained(tmp_path)
    names = {"prompt.tokens", "prompt.steer", "centroids"}
    assert {name for name, _ in model.named_parameters()} == set(model.state_dict()) == names
    notes = json.loads((tmp_path / "config.json").read_text())["prompt"]
    assert len(notes["base_model"]["weights"]) == 64
    assert (tmp_path / "model.safetensors").stat().st_size < 20_000
    assert {path.stat().st_mode for path in tmp_path.iterdir()} == {(tmp_path / "config.json").stat().st_mode}


def test_back_to_a_run(begun, tmp_path):
    ours = begun()
    folder = f"{tmp_path}/back"
    PromptForSequenceClassification.from_run(ours).prompt_model().save(folder)
    back = load_model(folder, kind="prompt", device="cpu")  # and warns of nothing
    np.testing.assert_array_equal(back.answer(TEXTS).scores, ours.answer(TEXTS).scores)
    assert sx.PromptClassifier.load(folder, device="cpu").predict(TEXTS).tolist() == ours.answer(TEXTS).labels.tolist()
    again = PromptForSequenceClassification.from_run(folder, device="cpu")
    np.testing.assert_array_equal(logits(again, TEXTS), logits(PromptForSequenceClassification.from_run(ours), TEXTS))


def test_a_pipeline_reads_it(begun, tmp_path):
    ours = begun()
    model = PromptForSequenceClassification.from_run(ours)
    classify = pipeline("text-classification", model=model, tokenizer=model.tokenizer, device="cpu")
    assert [row["label"] for row in classify(TEXTS)] == ours.answer(TEXTS).labels.tolist()
    long = "the cat is here " * 100  # cut as a run cuts it
    assert classify([long], truncation=True)[0]["label"] == ours.answer([long]).labels[0]
    model.save_pretrained(tmp_path)
    by_folder = pipeline("text-classification", model=str(tmp_path), device="cpu")  # which gives a dtype on
    assert by_folder(TEXTS) == classify(TEXTS)


def test_the_loss_is_the_objectives(begun):
    ours = begun()
    model = PromptForSequenceClassification.from_run(ours)
    labels = torch.tensor([1, 2, 0, 1])
    with torch.no_grad():
        loss = model(**encoded(model, TEXTS), labels=labels).loss
        loss_alone = model(**encoded(model, TEXTS), labels=labels, return_dict=False)[0]
    scores = torch.from_numpy(ours.scores(ours.run(TEXTS).outputs))
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(scores, labels), rtol=1e-4, atol=1e-5)
    assert loss == loss_alone


def dataset(model, texts, labels):
    ids = {name: place for place, name in model.config.id2label.items()}
    return [{**model.tokenizer(text), "labels": ids[label]} for text, label in zip(texts, labels, strict=True)]


def test_the_trainer_trains_it_and_goes_on_from_its_checkpoint(tiny, planted, tmp_path):
    pytest.importorskip("accelerate")
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

    texts, labels = planted
    model = PromptForSequenceClassification.start(texts, labels, model=str(tiny("gpt2")), positions="last", **OPTIONS)
    frozen = model.source.backbone.fingerprint()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    rows = dataset(model, texts, labels)
    arguments = TrainingArguments(
        output_dir=str(tmp_path), num_train_epochs=3, learning_rate=0.1, per_device_train_batch_size=32,
        report_to=[], save_strategy="epoch", eval_strategy="epoch", load_best_model_at_end=True, disable_tqdm=True,
        use_cpu=True,
    )  # fmt: skip
    trainer = Trainer(
        model=model, args=arguments, train_dataset=rows[:144], eval_dataset=rows[144:],
        data_collator=DataCollatorWithPadding(model.tokenizer),
    )  # fmt: skip
    first = trainer.evaluate()["eval_loss"]
    trainer.train()
    assert trainer.evaluate()["eval_loss"] < 0.9 * first
    assert all(not torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert model.source.backbone.fingerprint() == frozen
    checkpoint = max(tmp_path.glob("checkpoint-*"), key=lambda path: int(path.name.partition("-")[2]))
    loaded = PromptForSequenceClassification.from_pretrained(checkpoint, device="cpu")
    assert set(loaded.state_dict()) == set(before)
    trainer.train(resume_from_checkpoint=str(checkpoint))


@pytest.mark.parametrize("options", [{"loss": "cosine"}, {"mover": "ema"}, {"push": 0.1}], ids=str)
def test_what_only_our_loop_trains_is_refused_in_training_alone(begun, options):
    model = PromptForSequenceClassification.from_run(begun(**options))
    batch, labels = encoded(model, TEXTS), torch.tensor([1, 2, 0, 1])
    assert torch.isfinite(model(**batch, labels=labels).loss)
    with pytest.raises(OptionError, match="the Trainer cannot train this objective"):
        model.train()(**batch, labels=labels)


def test_hidden_text_moves_training_steps_alone(begun):
    model = PromptForSequenceClassification.from_run(begun(text_dropout=0.5))
    still = logits(model, TEXTS)
    model.train()
    torch.manual_seed(0)
    assert np.abs(logits(model, TEXTS) - still).max() > 1e-3
    np.testing.assert_array_equal(logits(model.eval(), TEXTS), still)


def test_the_transformer_moves_with_its_prompt_and_that_of_the_run_stays(begun):
    ours = begun()
    answer = ours.answer(TEXTS).scores
    model = PromptForSequenceClassification.from_run(ours).to(torch.float64)
    assert {tensor.dtype for tensor in model.source.backbone.model.parameters()} == {torch.float64}
    assert model.source.backbone.device == model.device
    assert ours.backbone.dtype == torch.float32
    np.testing.assert_array_equal(ours.answer(TEXTS).scores, answer)


@pytest.fixture(scope="module")
def saved(begun, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prompt")
    PromptForSequenceClassification.from_run(begun()).save_pretrained(folder)
    return folder


def load(folder, **options):
    return PromptForSequenceClassification.from_pretrained(folder, device="cpu", **options)


def test_other_weights_below_are_refused(saved, tiny):
    with pytest.raises(ModelError, match=r"belongs to other weights.*trained on with base_model"):
        load(saved, base_model=tiny("opt"))
    with pytest.raises(ModelError, match=r"was not found: got 'nowhere'; say where it is now with base_model"):
        load(saved, base_model="nowhere")
    with pytest.raises(ModelError, match=r"gpt2 holds no prompt: got a model of the kind gpt2; use from_run, or start"):
        load(tiny("gpt2"))
    assert load(saved, base_model=tiny("gpt2")).config.num_labels == 3


def test_a_folder_cannot_permit_code(saved, tmp_path):
    plain = json.loads((saved / "config.json").read_text())
    plain["prompt"]["recipe"]["backbone"]["trust_remote_code"] = True
    (tmp_path / "config.json").write_text(json.dumps(plain))
    (tmp_path / "model.safetensors").write_bytes((saved / "model.safetensors").read_bytes())
    assert not load(tmp_path).source.recipe.backbone.trust_remote_code
    assert load(tmp_path, trust_remote_code=True).source.recipe.backbone.trust_remote_code


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda notes: notes.update(format=9), "written by a newer version"),
        (lambda notes: notes.update(temperature="warm"), "is damaged"),
        (lambda notes: notes["recipe"]["prompt"].update(tokens=5), r"prompt\.(tokens|steer) has the shape"),
        (lambda notes: notes.update(kind="probe"), "it holds a probe"),
    ],
)
def test_damaged_notes_are_refused(saved, tmp_path, change, message):
    plain = json.loads((saved / "config.json").read_text())
    change(plain["prompt"])
    (tmp_path / "config.json").write_text(json.dumps(plain))
    (tmp_path / "model.safetensors").write_bytes((saved / "model.safetensors").read_bytes())
    with pytest.raises(StoreError, match=message):
        load(tmp_path)


def test_altered_tensors_are_refused(saved, tmp_path):
    """Regression: a flipped bit was another prompt."""
    for path in saved.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    tensors = tmp_path / "model.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1] + b"\1")
    with pytest.raises(StoreError, match=r"model\.safetensors is damaged \(it was altered\)"):
        load(tmp_path)
    tensors.unlink()
    with pytest.raises(StoreError, match=r"model\.safetensors does not exist"):
        load(tmp_path)


def test_no_path_of_this_machine_goes_to_the_hub(begun, tiny, tmp_path, monkeypatch):
    """Regression: transformers' own way took the config as it is saved here."""
    monkeypatch.setattr(PreTrainedModel, "push_to_hub", lambda self, _name: self.save_pretrained(tmp_path / "hub"))
    model = PromptForSequenceClassification.from_run(begun())
    model.push_to_hub("me/animals")
    home = str(tiny("gpt2").parent)
    assert home not in (tmp_path / "hub" / "config.json").read_text()
    model.save_pretrained(tmp_path / "here")
    assert home in (tmp_path / "here" / "config.json").read_text()
    with pytest.raises(OptionError, match=r"got push_to_hub=True; call model\.push_to_hub"):
        model.save_pretrained(tmp_path / "here", push_to_hub=True)


def test_mistyped_options_are_refused(saved, begun):
    with pytest.raises(OptionError, match="did you mean 'base_model'"):
        load(saved, base_mdel="x")
    with pytest.raises(OptionError, match="did you mean 'tokens'"):
        PromptForSequenceClassification.start(["a", "b"], [0, 1], tokns=3)
    for options in ({"residual": 4}, {"init": "mixture"}):
        with pytest.raises(OptionError, match="the Trainer trains a prompt's vectors themselves"):
            PromptForSequenceClassification.start(["a", "b"], [0, 1], **options)
    with pytest.raises(OptionError, match=r"dtype is that of the run: got torch\.float16, expected auto"):
        load(saved, dtype=torch.float16)
    with pytest.raises(ModelError, match="not made from a config alone"):
        PromptForSequenceClassification(AutoConfig.from_pretrained(saved))
    with pytest.raises(ModelError, match="was found neither as a folder nor on the hub"):
        load("nobody/nothing")


def test_batches_that_cannot_be_read_are_refused(begun):
    model = PromptForSequenceClassification.from_run(begun())
    ids = torch.ones(2, 127, dtype=torch.long)
    with pytest.raises(ShapeError, match="a text leaves no room for the prompt: got 127, expected 125"):
        model(input_ids=ids)
    with pytest.raises(ShapeError, match="a text has no token: got row 1"):
        model(input_ids=ids[:, :3], attention_mask=torch.tensor([[1, 1, 1], [0, 0, 0]]))
    with pytest.raises(ShapeError, match="a prompt stands behind one text"):
        model(input_ids=ids[:, :3], token_type_ids=torch.tensor([[0, 0, 1]] * 2))
    with pytest.raises(DataError, match="labels are class numbers"):
        model(input_ids=ids[:, :3], labels=torch.ones(2))
    with pytest.raises(DataError, match="a label is not a class number: got 3"):
        model(input_ids=ids[:, :3], labels=torch.tensor([0, 3]))


def test_the_config_is_known_to_auto_config(saved):
    config = AutoConfig.from_pretrained(saved)
    assert isinstance(config, PromptConfig)
    assert config.num_labels == 3


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft's
def test_prompts_of_peft_stand_before_the_text(begun, tiny, tmp_path):
    """So a suffix cannot be one of its files; this fails once peft can place a prompt behind."""
    peft = pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(tiny("gpt2")).eval()
    options = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    assert not [name for name in vars(options) if "position" in name or "suffix" in name]
    model = peft.get_peft_model(base, options)
    seen = []
    base.transformer.register_forward_pre_hook(
        lambda _, args, kwargs: seen.append(kwargs["inputs_embeds"]), with_kwargs=True
    )
    ids = torch.tensor([[7, 8, 9]])
    model(input_ids=ids)
    torch.testing.assert_close(seen[0][:, 3:], base.get_input_embeddings()(ids), rtol=0, atol=0)
    model.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="is an adapter of peft, whose prompts stand before the text"):
        load(tmp_path)
