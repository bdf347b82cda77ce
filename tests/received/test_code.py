"""A folder that came from somebody else runs no code, whatever it says of itself: permission is typed, never read."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from received import QUIET, READ, edit, hash_anew, read, run
from separatrix.errors import ModelError
from separatrix.estimators import AlignClassifier, FrozenClassifier, PromptClassifier
from separatrix.learn.trained.loading import load_model
from separatrix.store.manifest import MANIFEST

CODE = """
from pathlib import Path
Path({canary!r}).write_text("ran")
import transformers as hf


class Config(hf.BertConfig):
    model_type = "own"


class Model(hf.BertModel):
    config_class = Config
"""


def permit(value: object) -> None:
    """Set every `trust_remote_code` in plain data."""
    if isinstance(value, dict):
        for key in value:
            if key == "trust_remote_code":
                value[key] = True
            permit(value[key])
    elif isinstance(value, list):
        for one in value:
            permit(one)


def poison(folder: Path, canary: Path) -> None:
    """Give a model's folder code of its own; the weights stay."""
    code = {"AutoConfig": "own.Config", "AutoModel": "own.Model", "AutoModelForMaskedLM": "own.Model"}
    edit(folder / "config.json", lambda config: config.update(model_type="own", auto_map=code))
    edit(
        folder / "tokenizer_config.json", lambda config: config.update(auto_map={"AutoTokenizer": ["own.Config", None]})
    )
    (folder / "own.py").write_text(CODE.format(canary=str(canary)))


@pytest.fixture
def received(artefacts, tmp_path, monkeypatch) -> tuple[Path, Path]:
    """Artefacts that ask for permission everywhere, over models with code; and the file that the code would write."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    root, canary = shutil.copytree(artefacts, tmp_path / "received"), tmp_path / "canary"
    for place in ("base", "align/encoder"):
        poison(root / place, canary)
    for path in root.rglob("*.json"):
        content = json.loads(path.read_text().replace(str(artefacts), str(root)))
        permit(content)
        path.write_text(json.dumps(content))
    for manifest in root.rglob(MANIFEST):
        hash_anew(manifest.parent)
    return root, canary


def test_no_verb_runs_code_of_a_received_folder(received, tmp_path):
    root, canary = received
    for kind, commands in READ.items():
        for number, words in enumerate(commands):
            ran = read(root, kind, words, tmp_path / f"{kind}-{number}")
            assert ran.code in (0, 2), (words, ran)
            assert not canary.exists(), words


@pytest.mark.parametrize("kind", ["prompt", "probe", "align"])
def test_permission_holds_only_where_it_is_typed(received, tmp_path, kind):
    root, canary = received
    words = ("predict", root / kind, root / "new.csv", "--out", tmp_path / "answers.csv", *QUIET)
    ran = run(*words)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert not canary.exists()
    run(*words, "--trust-remote-code")
    assert canary.exists()


CLASSES = {"prompt": PromptClassifier.load, "align": AlignClassifier.load}


@pytest.mark.parametrize("kind", ["prompt", "probe", "align"])
def test_loading_in_python_runs_none_either(received, kind):
    root, canary = received
    for load in (load_model, CLASSES.get(kind, load_model)):
        with pytest.raises(ModelError, match=r"cannot be loaded|code"):
            load(root / kind, device="cpu")
        assert not canary.exists()


def test_a_saved_estimator_cannot_permit_it(received, artefacts, planted, tmp_path):
    """Neither when it is loaded nor when it is then fitted again."""
    root, canary = received
    texts, labels = (part[:60] for part in planted)
    FrozenClassifier(str(artefacts / "base")).fit(texts, labels).save(tmp_path / "saved")
    notes = tmp_path / "saved" / "model.json"
    content = json.loads(notes.read_text().replace(str(artefacts), str(root)))
    permit(content)
    notes.write_text(json.dumps(content))
    hash_anew(tmp_path / "saved")
    with pytest.raises(ModelError, match=r"cannot be loaded|code"):
        FrozenClassifier.load(tmp_path / "saved", device="cpu")
    estimator = FrozenClassifier.load(tmp_path / "saved", model=artefacts / "base", device="cpu")
    assert not estimator.recipe.trust_remote_code
    assert not canary.exists()
