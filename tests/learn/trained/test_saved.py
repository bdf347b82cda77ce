"""A saved model says the same as the one that was saved, and belongs to one transformer."""

import json
import shutil
from functools import partial

import numpy as np
import pytest

from prompt_kinds import STRONGER
from separatrix import recipe as recipes
from separatrix.errors import ModelError, StoreError
from separatrix.geometry.calibrate import ScoreCalibration
from separatrix.geometry.probe import fit_probe, fit_ridge
from separatrix.learn.targets import Scaling
from separatrix.learn.trained.loading import load_model
from separatrix.learn.trained.probe import ProbeModel
from separatrix.learn.trained.prompt import PromptModel
from separatrix.learn.trained.saved import FORMAT, NOTES, TENSORS
from separatrix.models.extract import extract
from separatrix.models.load import load_backbone
from separatrix.recipe import ModelRecipe
from separatrix.store.files import read_json, write_json
from separatrix.texts import Classes

load_prompt, load_probe = (partial(load_model, kind=kind) for kind in ("prompt", "probe"))
KINDS = {
    "centroids": ("gpt2", {"loss": "centroid_ce", "temperature": 2.0}),
    "means": ("bert", {"loss": "cosine", "positions": "all"}),
    "head": ("bert", {"loss": "linear", "prompt_layers": "input"}),
    "words": ("gpt2", {"loss": "token"}),
    "words by hand": ("bert", {"loss": "token", "words": ("good", "bad", "red")}),
    "numbers": ("gpt2", {"loss": "mse"}),
    **{name: ("gpt2", options) for name, options in STRONGER.items()},
}
NEW = ["a cat", "the old dog was big", "bird", "what is new"]


@pytest.mark.parametrize("kind", KINDS)
def test_loaded_prompt_says_the_same(train, few, numbers, tmp_path, kind):
    family, options = KINDS[kind]
    parts = few if kind != "numbers" else (numbers[0].take(range(40)), numbers[1])
    model = train(parts, family, epochs=1, **options).model
    model.write_files(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [NOTES, TENSORS]
    loaded = load_prompt(tmp_path, device="cpu")
    ours, theirs = model.answer(NEW), loaded.answer(NEW)
    np.testing.assert_array_equal(ours.scores, theirs.scores)
    np.testing.assert_array_equal(ours.labels, theirs.labels)
    np.testing.assert_array_equal(ours.vectors, theirs.vectors)
    if kind == "numbers":
        assert ours.probabilities is theirs.probabilities is None
        assert loaded.scaling == model.scaling != Scaling()
        assert loaded.classes is None
    else:
        np.testing.assert_array_equal(ours.probabilities, theirs.probabilities)
        np.testing.assert_allclose(ours.probabilities.sum(1), 1)
        assert loaded.classes == model.classes
    assert (ours.distances is None) == (kind in ("head", "words", "words by hand", "numbers"))


def test_distances_are_those_to_the_centroids(train, few):
    model = train(few, epochs=1).model
    outputs = model.run(NEW).outputs
    slow = np.linalg.norm(outputs[:, None] - model.objective.centroids.detach().numpy()[None], axis=2)
    np.testing.assert_allclose(model.distances(outputs), slow, rtol=1e-4)


@pytest.fixture(scope="module")
def saved(train, few, tmp_path_factory):
    """A saved prompt; tests copy the folder before they touch it."""
    folder = tmp_path_factory.mktemp("saved")
    train(few, epochs=1).model.write_files(folder)
    return folder


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "copy")


def change(folder, **entries):
    write_json(folder / NOTES, read_json(folder / NOTES) | entries)


def test_notes_name_the_model(saved, tiny):
    notes = json.loads((saved / NOTES).read_text())
    base = notes["base_model"]
    assert base["name"] == "gpt2"
    assert base["origin"] == "folder"
    assert base["revision"] is None
    assert len(base["weights"]) == 64
    assert (notes["format"], notes["kind"], notes["prompt_position"]) == (FORMAT, "prompt", "suffix")
    assert notes["classes"] == {"classes": ["bird", "cat", "dog"]}


def test_the_model_may_lie_elsewhere_but_not_be_another(copy, tiny, tmp_path):
    moved = shutil.copytree(tiny("gpt2"), tmp_path / "moved")
    assert isinstance(load_prompt(copy, model=str(moved), device="cpu"), PromptModel)
    with pytest.raises(ModelError, match=r"belongs to other weights: got .*opt with .*, expected .*gpt2 with "):
        load_prompt(copy, model=str(tiny("opt")), device="cpu")


def test_weights_changed_on_disk_are_refused(copy, tiny, tmp_path):
    moved = shutil.copytree(tiny("gpt2"), tmp_path / "moved")
    data = bytearray((moved / "model.safetensors").read_bytes())
    data[-100] ^= 1
    (moved / "model.safetensors").write_bytes(data)
    with pytest.raises(ModelError, match="belongs to other weights"):
        load_prompt(copy, model=str(moved), device="cpu")


def test_a_newer_format_is_refused(copy):
    change(copy, format=FORMAT + 1)
    with pytest.raises(StoreError, match=r"written by a newer version: got format 2, expected format 1 or older"):
        load_prompt(copy)


def test_a_folder_without_a_model_is_refused(tmp_path):
    for load in (load_prompt, load_probe):
        with pytest.raises(StoreError, match=r"holds no trained model: expected model\.json and model\.safetensors"):
            load(tmp_path)


def test_a_prompt_is_no_probe(copy):
    with pytest.raises(StoreError, match="holds a model of another kind: got prompt, expected probe"):
        load_probe(copy)


DAMAGE = {
    "tensors cut": (TENSORS, lambda data: data[: len(data) // 2], "model.safetensors is damaged"),
    "tensors empty": (TENSORS, lambda data: b"", "model.safetensors is damaged"),
    "notes cut": (NOTES, lambda data: data[:50], "model.json is damaged"),
    "notes no text": (NOTES, lambda data: b"\xff\xfe\x00", "model.json is damaged"),
    "notes a list": (NOTES, lambda data: b"[1, 2]", r"model.json is damaged \(it is a list\)"),
    "notes of nothing": (NOTES, lambda data: b"{}", r"model.json is damaged \(format is missing\)"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damaged_files_are_refused(copy, case):
    name, damage, message = DAMAGE[case]
    path = copy / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(StoreError, match=message):
        load_prompt(copy, device="cpu")


def test_missing_entries_are_named(copy):
    notes = read_json(copy / NOTES)
    for name in ("recipe", "scaling", "temperature"):
        write_json(copy / NOTES, {key: value for key, value in notes.items() if key != name})
        with pytest.raises(StoreError, match=rf"model.json is damaged \({name} is missing\)"):
            load_prompt(copy)
    write_json(copy / NOTES, notes)
    (copy / TENSORS).unlink()
    with pytest.raises(StoreError, match=r"model\.safetensors does not exist"):
        load_prompt(copy, device="cpu")


def test_an_unknown_option_in_the_notes_is_named(copy):
    recipe = read_json(copy / NOTES)["recipe"]
    change(copy, recipe=recipe | {"centroid": {}})
    with pytest.raises(
        StoreError,
        match=r"model.json is damaged .unknown option of TrainRecipe: got 'centroid', .*did you mean 'centroids'",
    ):
        load_prompt(copy)


def test_a_calibration_is_saved_and_one_of_other_classes_refused(tiny, few, tmp_path):
    backbone = load_backbone(ModelRecipe(model=str(tiny("bert")), device="cpu"))
    x, classes = extract(backbone, few[0].text).values, Classes.of(few[0].label)
    probe = fit_probe(x, classes.encode(few[0].label), len(classes))
    vector = ScoreCalibration("vector", 1.5, tuple(np.linspace(0.5, 1.5, len(classes))), (0.1,) * len(classes))
    model = ProbeModel(backbone, probe, classes, vector, pool="layer_mean")
    model.write_files(tmp_path)
    loaded = load_probe(tmp_path, device="cpu")
    assert loaded.calibration == vector
    np.testing.assert_array_equal(loaded.answer(few[1].text).probabilities, model.answer(few[1].text).probabilities)
    notes = read_json(tmp_path / NOTES)
    write_json(tmp_path / NOTES, notes | {"calibration": {"method": "vector", "weight": [1.0], "bias": [0.0]}})
    with pytest.raises(StoreError, match="its calibration does not fit the classes"):
        load_probe(tmp_path, device="cpu")
    write_json(tmp_path / NOTES, notes | {"calibration": {"method": "oracle"}})
    with pytest.raises(StoreError, match="calibration is an object"):
        load_probe(tmp_path, device="cpu")


@pytest.mark.parametrize("task", ["classes", "numbers"])
def test_loaded_probe_says_the_same(tiny, few, tmp_path, task):
    backbone = load_backbone(ModelRecipe(model=str(tiny("bert")), device="cpu"))
    x = extract(backbone, few[0].text).values
    classes = Classes.of(few[0].label) if task == "classes" else None
    probe = fit_ridge(x, x[:, 0]) if classes is None else fit_probe(x, classes.encode(few[0].label), len(classes))
    model = ProbeModel(backbone, probe, classes, calibration=ScoreCalibration(temperature=1.7))
    model.write_files(tmp_path)
    loaded = load_probe(tmp_path, device="cpu")
    ours, theirs = model.answer(NEW), loaded.answer(NEW)
    np.testing.assert_array_equal(ours.scores, theirs.scores)
    np.testing.assert_array_equal(ours.labels, theirs.labels)
    assert loaded.temperature == 1.7
    assert loaded.probe.penalty == probe.penalty
    with pytest.raises(ModelError, match="belongs to other weights"):
        load_probe(tmp_path, model=str(tiny("gpt2")), device="cpu")
    with pytest.raises(StoreError, match="another kind: got probe, expected prompt"):
        load_prompt(tmp_path)
    (tmp_path / TENSORS).write_bytes(b"\x00")
    with pytest.raises(StoreError, match=r"model.safetensors is damaged"):
        load_probe(tmp_path, device="cpu")


def test_the_recipe_survives_the_notes(train, few, tmp_path):
    model = train(few, loss="token", words=("good", "bad", "red"), epochs=1).model
    model.write_files(tmp_path)
    assert recipes.canonical(load_prompt(tmp_path, device="cpu").recipe) == recipes.canonical(model.recipe)
