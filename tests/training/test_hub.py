"""A run on the hub, with a client that keeps what it is given: a card with figures, no path of this machine."""

import shutil

import huggingface_hub
import pytest
import yaml

from separatrix.errors import ModelError, StoreError
from separatrix.learn.huggingface import PromptForSequenceClassification
from separatrix.recipe import replace
from separatrix.recipe.align import AlignRecipe
from separatrix.training.request import TrainingRequest
from separatrix.training.run import run_training


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """What was sent, by repository."""

    class Api:
        sent = {}  # noqa: RUF012

        def __init__(self, token=None):
            self.token = token

        def create_repo(self, name, private, exist_ok):
            if name == "no/rights":
                raise OSError("403 forbidden")
            return f"https://huggingface.co/{name}"

        def upload_folder(self, *, repo_id, folder_path, commit_message):
            self.sent[repo_id] = shutil.copytree(folder_path, tmp_path / "hub" / repo_id)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    return Api.sent


@pytest.fixture(scope="module")
def trained(make_order):
    return run_training(make_order(epochs=1))


def check(folder, *forbidden):
    """The front matter of the card; no file names a path of this machine."""
    for path in folder.rglob("*"):
        if path.suffix in (".json", ".md"):
            assert not [each for each in forbidden if each in path.read_text()], path
    card = (folder / "README.md").read_text()
    return yaml.safe_load(card.split("---")[1]), card


def test_a_prompt_with_its_card(trained, hub, tiny):
    assert trained.push_to_hub("me/animals", license="mit") == "https://huggingface.co/me/animals"
    matter, card = check(hub["me/animals"], str(tiny("bert").parent), "/tmp")
    assert (matter["library_name"], matter["pipeline_tag"], matter["license"]) == (
        "separatrix",
        "text-classification",
        "mit",
    )
    assert "base_model" not in matter  # a folder is none of the hub
    scores = trained.scores["test"]
    low, high = scores["interval"]
    assert f"| prompt | test | accuracy {scores['accuracy']:.3f} | {low:.3f} to {high:.3f} |" in card
    assert f"majority {scores['majority']:.3f}" in card
    assert "classes (3): bird, cat, dog" in card
    assert all(f"- warning: {line}" in card for line in trained.warnings)
    assert "License of the base model: not known here." in card
    back = PromptForSequenceClassification.from_pretrained(hub["me/animals"], base_model=tiny("bert"), device="cpu")
    assert back.prompt_model().answer(["a cat"]).scores.tolist() == trained.model.answer(["a cat"]).scores.tolist()
    with pytest.raises(ModelError, match="the transformer that this model was trained on was not found"):
        PromptForSequenceClassification.from_pretrained(hub["me/animals"], device="cpu")


def test_an_encoder_with_its_card(hub, splits, tiny):
    recipe = replace(AlignRecipe(), model=str(tiny("bert")), epochs=1, batch_size=32, device="cpu")
    result = run_training(TrainingRequest(splits, recipe, "align"))
    result.push_to_hub("me/encoder")
    matter, card = check(hub["me/encoder"], str(tiny("bert").parent), "/tmp")
    assert matter["library_name"] == "sentence-transformers"
    assert (hub["me/encoder"] / "modules.json").is_file()
    assert f"| align | test | accuracy {result.scores['test']['accuracy']:.3f} |" in card
    assert 'SentenceTransformer("me/encoder")' in card
    assert "of the run; not in this repository" in card
    assert "gives no scores" not in card
    assert "beside this folder" not in card


def test_what_cannot_be_published(trained, make_order, hub):
    with pytest.raises(StoreError, match=r"no/rights could not be written on the hub \(OSError: 403 forbidden\)"):
        trained.push_to_hub("no/rights")
    with pytest.raises(ModelError, match="only prompts and encoders go to the hub: got ProbeModel"):
        run_training(make_order(method="probe")).push_to_hub("me/probe")
    assert not hub


def test_the_license_of_the_base_stands_in_its_own_card(hub, tiny, tmp_path, make_order):
    base = shutil.copytree(tiny("bert"), tmp_path / "base")
    (base / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A model\n")
    run_training(make_order(epochs=1, loss="mse", data=numbers(), model=str(base))).push_to_hub("me/numbers")
    _, card = check(hub["me/numbers"], str(tmp_path / "base"))
    assert "License of the base model: apache-2.0." in card
    assert "| prompt | test | RMSE" in card


def numbers():
    from separatrix.texts import Splits, Texts

    texts = Texts.of([f"the {row % 9 + 1} cat" for row in range(40)], [float(row % 9) for row in range(40)])
    train, rest = texts.split(test=0.5, seed=0)
    return Splits(train, *rest.split(test=0.5, seed=0), ())
