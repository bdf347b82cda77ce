"""A run's files and figures: what the contract promises, and that each number is what it says."""

import doctest
import json
import math
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.preprocessing import StandardScaler

import separatrix as sx
from separatrix import recipe as recipes
from separatrix.errors import DataError, OptionError, StoreError
from separatrix.geometry import baselines
from separatrix.geometry.baselines import NEIGHBOURS, Part, fit_nearest
from separatrix.geometry.calibrate import ScoreCalibration, probabilities
from separatrix.geometry.reliability import reliability
from separatrix.learn.trained.loading import load_model
from separatrix.models.candidates import candidates
from separatrix.models.extract import extract, extract_blocks
from separatrix.recipe import ProbingRecipe
from separatrix.recipe.align import FINETUNE
from separatrix.reports.tables import reliability_lines
from separatrix.store.files import read_json, write_json
from separatrix.store.table import read_table
from separatrix.texts import Splits, Texts
from separatrix.training import diagnostics, run
from separatrix.training.diagnostics import misjudged
from separatrix.training.evaluate import Evaluator
from separatrix.training.folder import describe_request, write_recipe
from separatrix.training.label_sets import LabelSetEvaluator
from separatrix.training.request import TrainingRequest
from separatrix.training.run import run_training

CLASSES = ("bird", "cat", "dog")
SCORES = {"accuracy", "macro_f1", "majority", "interval", "rows", "confusion", "per_class"}
NUMBERS = {"rmse", "mae", "r2", "baseline_rmse", "interval", "rows"}


@pytest.fixture(scope="module")
def done(make_order, tmp_path_factory):
    """Runs by method, with their folders."""
    made = {}
    for method in ("prompt", "probe"):
        folder = tmp_path_factory.mktemp(method) / "run"
        made[method] = (folder, run_training(make_order(folder, method=method)))
    return made


@pytest.mark.parametrize("method", ["prompt", "probe"])
def test_result_has_what_the_contract_promises(done, method):
    folder, finished = done[method]
    result = read_json(folder / "result.json")
    assert result == {"kind": "run"} | json.loads(json.dumps(finished.figures()))
    assert {"method", "scores", "seconds", "warnings", "baselines", "notes", "rows", "model"} <= result.keys()
    assert result["method"] == method
    assert result["rows"] == {"train": 108, "validation": 36, "test": 36}
    assert result["classes"] == list(CLASSES)
    assert result["scores"].keys() == {"validation", "test"}
    nearest = next(k for k in result["baselines"] if k.startswith("k-NN"))
    # A probe is no baseline of itself.
    assert result["baselines"].keys() == {"prompt": {"linear probe", nearest}, "probe": {nearest}}[method]
    own = {"probe"} if method == "probe" else set()
    assert result["chosen"].keys() == result["baselines"].keys() | own
    for name, chosen in result["chosen"].items():
        assert chosen["pool_candidates"] == 5  # mean, layer_mean, cls, max, mean of the middle layer
        assert chosen["pool"] in ("mean", "layer_mean", "cls", "max", "mean@1")
        assert any(note.startswith(f"{name}: pooling {chosen['pool']} (best of 5 on val") for note in result["notes"])
    for table in (result["scores"], *result["baselines"].values()):
        for figures in table.values():
            assert figures.keys() >= SCORES
            low, high = figures["interval"]
            assert 0 <= low <= figures["accuracy"] <= high <= 1
            assert figures["majority"] == pytest.approx(1 / 3)
    assert "validation was held out" in result["notes"]
    assert result["seconds"] > 0


def test_the_folder_holds_what_the_docstring_says(done):
    folder, _ = done["prompt"]
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "recipe.json",
        "metrics.jsonl",
        "model.safetensors",
        "model.json",
        "trajectory",
        "predictions",
        "result.json",
    }
    assert sorted(path.name for path in (folder / "predictions").iterdir()) == [
        "plane.safetensors", "test.parquet", "validation.parquet",
    ]  # fmt: skip
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    for line in lines:
        assert {"loss", "lr", "parts", "grad_norm", "centroids"} < line.keys()
        assert {"loss", "accuracy", "macro_f1", "majority"} == line["validation"].keys()
        assert line["grad_norm"].keys() == {"prompt", "layers", "centroids"}


@pytest.mark.parametrize("part", ["validation", "test"])
def test_scores_are_those_of_the_stored_predictions(done, part):
    folder, finished = done["prompt"]
    table, scores = read_table(folder / "predictions" / f"{part}.parquet"), finished.to_dict()["scores"][part]
    assert scores["accuracy"] == pytest.approx(accuracy_score(table["label"], table["predicted"]))
    assert scores["macro_f1"] == pytest.approx(f1_score(table["label"], table["predicted"], average="macro"))
    slow = confusion_matrix(table["label"], table["predicted"], labels=CLASSES)
    np.testing.assert_array_equal(scores["confusion"], slow)


def test_validation_scores_are_those_of_the_best_epoch(done):
    _, finished = done["prompt"]
    lines = [json.loads(line) for line in (done["prompt"][0] / "metrics.jsonl").read_text().splitlines()]
    best = lines[finished.to_dict()["best_epoch"] - 1]["validation"]
    assert finished.to_dict()["scores"]["validation"]["accuracy"] == pytest.approx(best["accuracy"])
    assert best["accuracy"] == max(line["validation"]["accuracy"] for line in lines)


def test_columns_of_the_predictions(done, splits):
    folder, _ = done["prompt"]
    table = read_table(folder / "predictions" / "test.parquet")
    expected = ["id", "text", "label", "predicted"]
    expected += [f"probability_{name}" for name in CLASSES] + [f"distance_{name}" for name in CLASSES]
    assert list(table.columns) == expected
    assert table["text"].tolist() == list(splits.test.text)
    assert table["id"].tolist() == splits.test.id.tolist()
    chance = table[[f"probability_{name}" for name in CLASSES]].to_numpy()
    np.testing.assert_allclose(chance.sum(axis=1), 1)
    distances = table[[f"distance_{name}" for name in CLASSES]].to_numpy()
    for decided in (chance.argmax(1), distances.argmin(1)):  # centroid_ce answers with the nearest centroid
        assert [CLASSES[place] for place in decided] == table["predicted"].tolist()
    probe = read_table(done["probe"][0] / "predictions" / "test.parquet")
    assert list(probe.columns) == expected[:7]


def test_baselines_equal_scikit_learn_on_the_same_vectors(done, splits):
    _, finished = done["prompt"]
    backbone = finished.model.backbone
    chosen, plans = finished.to_dict()["chosen"], candidates(backbone)
    blocks = {part: extract_blocks(backbone, texts.text, plans)[0] for part, texts in splits.parts.items()}
    pool = chosen["linear probe"]["pool"]
    x = {part: values[pool].astype(np.float64) for part, values in blocks.items()}
    y = {part: finished.model.classes.encode(texts.label) for part, texts in splits.parts.items()}
    scaler = StandardScaler().fit(x["train"])
    z = {part: scaler.transform(values) for part, values in x.items()}
    fits = [LogisticRegression(C=1 / p, max_iter=5000).fit(z["train"], y["train"]) for p in (100, 10, 1, 0.1, 0.01)]
    losses = [-np.log(fit.predict_proba(z["validation"])[range(36), y["validation"]]).mean() for fit in fits]
    probe = fits[int(np.argmin(losses))]
    table = finished.to_dict()["baselines"]
    for part in ("validation", "test"):
        assert table["linear probe"][part]["accuracy"] == pytest.approx(probe.score(z[part], y[part]), abs=1.01 / 36)
    k = int(next(name for name in table if name.startswith("k-NN")).split("=")[1].rstrip(")"))
    assert k in NEIGHBOURS
    x = {part: values[chosen[f"k-NN (k = {k})"]["pool"]] for part, values in blocks.items()}
    nearest = KNeighborsClassifier(k, metric="cosine").fit(x["train"], y["train"])
    ours = table[f"k-NN (k = {k})"]["test"]["accuracy"]
    assert ours == pytest.approx(nearest.score(x["test"], y["test"]), abs=2.01 / 36)  # ties are broken in another way


def test_probe_run_is_the_baseline_probe(done):
    """`--method probe` and the "linear probe" line of a prompt run are the same thing."""
    prompt, probe = done["prompt"][1].to_dict(), done["probe"][1].to_dict()
    for part in ("validation", "test"):
        ours, theirs = probe["scores"][part], prompt["baselines"]["linear probe"][part]
        assert ours["accuracy"] == pytest.approx(theirs["accuracy"], abs=1.01 / 36)


@pytest.mark.parametrize("pool", ["cls", "max"])
def test_a_probe_reads_the_pooling_asked_for(done, splits, tiny, tmp_path, pool):
    """`--pool`: that pooling decides, in training and when the run is loaded; a better probe stays as its baseline."""
    recipe = recipes.replace(ProbingRecipe(), model=str(tiny("bert")), device="cpu", pool=pool)
    finished = run_training(TrainingRequest(splits, recipe, "probe", tmp_path / "run"))
    assert finished.model.pool == finished.to_dict()["chosen"]["probe"]["pool"] == pool
    assert finished.to_dict()["chosen"]["probe"]["pool_candidates"] == 1
    best = done["probe"][1].to_dict()["chosen"]["probe"]["pool"]
    assert ("linear probe" in finished.to_dict()["baselines"]) == (best != pool)
    vectors = extract(finished.model.backbone, splits.test.text, pool=pool).values
    expected = finished.model.probe.scores(vectors)
    loaded = load_model(tmp_path / "run", device="cpu")
    np.testing.assert_allclose(loaded.answer(splits.test.text).scores, expected, atol=1e-4)
    note = next(note for note in finished.to_dict()["notes"] if note.startswith("probe: "))
    assert note.startswith(f"probe: pooling {pool} (given), penalty ")


def test_a_result_below_its_own_probe_and_few_steps_are_warned_of(make_order):
    """Two epochs at a rate of nearly nothing: the probe of the same model is far better, and 8 steps are few."""
    result = run_training(make_order(None, lr=1e-6, tokens=1)).to_dict()
    own, probe = (table["test"]["accuracy"] for table in (result["scores"], result["baselines"]["linear probe"]))
    assert own < probe
    said = (
        f"test: the accuracy of prompt, {own:.4f}, is below that of the linear probe on the frozen model, {probe:.4f}"
    )
    assert said in result["warnings"]
    assert "only 8 optimiser steps in all: raise --epochs or lower --batch-size" in result["warnings"]


def judged_figures(said, right, rows=200):
    """Reliability of so many rows of two classes that are answered with one probability, and so often rightly."""
    gold = np.where(np.arange(rows) < right * rows, 0, 1)
    return {"test": {"reliability": reliability(np.tile([said, 1 - said], (rows, 1)), gold).to_dict()}}


@pytest.mark.parametrize(("said", "right", "words"), [(0.6, 1.0, "0.40 too low"), (0.95, 0.6, "0.35 too high")])
def test_probabilities_that_are_far_off_are_warned_of_with_their_direction(said, right, words):
    """Regression: all 50 answers were right, --min-probability 0.8 answered six, and no guard spoke."""
    (line,) = misjudged(judged_figures(said, right))
    assert f"probabilities are {words} on average" in line
    assert "predict --coverage 0.8" in line
    assert f"probabilities are {words} on average" in reliability_lines(judged_figures(said, right))[0][1]


def test_probabilities_that_few_rows_cannot_fault_are_not_warned_of():
    assert misjudged(judged_figures(0.6, 0.62)) == []
    assert "average" not in reliability_lines(judged_figures(0.6, 0.62))[0][1]
    assert misjudged(judged_figures(0.7, 0.9, rows=10)) == []
    assert misjudged({"validation": {}}) == []


def test_classes_without_rows_or_answers_are_warned_of(make_order, splits):
    """The test part has no bird; of the validation rows, no dog is found by a prompt that never sees one called so."""
    test = splits.test.take(np.flatnonzero(splits.test.label != "bird"))
    result = run_training(make_order(None, replace(splits, test=test))).to_dict()
    said = [line for line in result["warnings"] if "no row" in line]
    assert said == ["test: 1 of 3 classes have no row, so nothing is known of them: bird"]


def test_probe_probabilities_are_calibrated_on_validation(done, splits):
    _, finished = done["probe"]
    answer = finished.model.answer(splits.test.text)
    np.testing.assert_allclose(answer.probabilities, probabilities(answer.scores, finished.model.temperature))
    assert finished.model.temperature != 1.0


@pytest.mark.parametrize("method", ["prompt", "probe"])
def test_numbers(make_order, figures, tmp_path, method):
    finished = run_training(make_order(tmp_path / "run", figures, method=method, loss="mse", epochs=4))
    scores = finished.to_dict()["scores"]["test"]
    table = read_table(tmp_path / "run" / "predictions" / "test.parquet")
    assert list(table.columns) == ["id", "text", "label", "predicted"]
    assert scores.keys() >= NUMBERS
    rmse = math.sqrt(((table["label"] - table["predicted"]) ** 2).mean())
    assert scores["rmse"] == pytest.approx(rmse)
    baseline = math.sqrt(((table["label"] - figures.train.label.mean()) ** 2).mean())
    assert scores["baseline_rmse"] == pytest.approx(baseline)
    assert finished.to_dict()["classes"] == []
    table = finished.to_dict()["baselines"]
    name = next(name for name in table if name != "ridge")
    assert table.keys() == {"ridge", name} - ({"ridge"} if method == "probe" else set())
    k = int(name.removeprefix("k-NN (k = ").removesuffix(")"))
    backbone, pool = finished.model.backbone, finished.to_dict()["chosen"][name]["pool"]
    plans = candidates(backbone)
    parts = {part: extract_blocks(backbone, texts.text, plans)[0][pool] for part, texts in figures.parts.items()}
    nearest = KNeighborsRegressor(k, metric="cosine").fit(parts["train"], figures.train.label)
    for part in ("validation", "test"):
        slow = np.sqrt(np.mean((nearest.predict(parts[part]) - figures.parts[part].label) ** 2))
        assert table[name][part]["rmse"] == pytest.approx(slow, abs=0.2 * baseline)  # ties go another way
    assert finished.to_dict()["loss"] == ("mse" if method == "prompt" else "ridge regression")
    x = extract(finished.model.backbone, figures.train.text).values.astype(np.float64)
    assert np.isfinite(Ridge().fit(x, figures.train.label).score(x, figures.train.label))
    ridge = scores if method == "probe" else finished.to_dict()["baselines"]["ridge"]["test"]
    assert ridge["rmse"] < 0.7 * baseline


def test_groups_of_rows_with_numbers_tell_no_gap(make_order, figures, tmp_path):
    """Regression: an error about classes after the whole training."""
    groups = {
        name: np.array(["x", "y"], dtype=object)[np.arange(len(part)) % 2] for name, part in figures.parts.items()
    }
    grouped = replace(figures, **{name: replace(figures.parts[name], group=group) for name, group in groups.items()})
    finished = run_training(make_order(tmp_path / "run", grouped, method="probe", loss="mse"))
    assert finished.groups is None
    assert finished.scores["test"]["rmse"] > 0


def test_a_constant_predictor_is_caught(make_order, splits):
    """Eleven of twelve rows are "yes" whatever they say: the trained model says yes to all, and 0.9167 looks well."""
    label = np.array(["no" if n % 12 == 0 else "yes" for n in range(108)], dtype=object)
    train, held = replace(splits.train, label=label), replace(splits.validation, label=label[:36])
    result = run_training(make_order(None, Splits(train, held, None, ()), loss="linear", lr=0.02)).to_dict()
    assert result["scores"]["validation"]["accuracy"] == pytest.approx(33 / 36)
    assert [line for line in result["warnings"] if line.startswith("validation: ")] == [
        "validation: every one of the 36 predictions is 'yes': the accuracy 0.9167 is only the share of that label\n"
        "predictions: yes 36 | no 0; labels: yes 33 | no 3",
        "validation: the accuracy has been 0.9167 for 2 epochs, not above the majority baseline 0.9167: "
        "nothing is being learnt\npredictions: yes 36 | no 0; labels: yes 33 | no 3",
    ]


def test_labels_without_relation_to_the_text_are_called_no_better(make_order, splits):
    generator = np.random.default_rng(0)
    mixed = [replace(part, label=generator.permutation(part.label)) for part in splits.parts.values()]
    finished = run_training(make_order(None, Splits(*mixed, ()), epochs=1))
    loud = [line for line in finished.to_dict()["warnings"] if line.startswith("test: ")]
    assert loud
    assert "not above the majority baseline 0.3333" in loud[0]
    assert "labels: bird 12 | cat 12 | dog 12" in loud[0]


def test_a_good_run_has_no_warnings(done):
    assert done["probe"][1].to_dict()["warnings"] == []


def test_overlap_and_duplicates_are_counted(make_order, splits):
    text = (*splits.test.text[:-3], splits.train.text[0], splits.train.text[1].upper(), splits.train.text[2])
    label = splits.test.label.copy()
    label[-3:] = [splits.train.label[0], splits.train.label[1], next(c for c in CLASSES if c != splits.train.label[2])]
    test = replace(splits.test, text=text, label=label)
    train = replace(splits.train, text=(*splits.train.text[:-2], *splits.train.text[3:5]))
    result = run_training(make_order(None, Splits(train, splits.validation, test, ()), method="probe")).to_dict()
    assert (
        "test: 3 of 36 rows stand in the training rows as well (2 letter by letter, 1 with another label)"
        in result["warnings"]
    )
    assert any(note.startswith("train: 2 repeated rows (") for note in result["notes"])
    assert diagnostics.repeated(Splits(splits.train.take(range(2)), splits.validation, None, ())) == []


def test_cut_texts_are_counted_once(make_order, splits):
    """Regression: validation was said twice, and nothing ever became the warning that the docs promise."""
    result = run_training(make_order(None, splits, epochs=1, max_length=4)).to_dict()
    said = [line for line in [*result["warnings"], *result["notes"]] if "texts were cut" in line]
    assert sorted(line.partition(":")[0] for line in said) == ["test", "train", "validation"]
    assert any("texts were cut to 4 tokens" in line for line in said if line.startswith("train: "))


def test_many_cut_texts_are_a_warning_and_few_are_a_note(make_order, splits):
    long = ("the cat " * 40).strip()
    few = replace(splits.test, text=(*splits.test.text[:-3], long, long, long))  # 3 of 36
    many = replace(splits.train, text=(*splits.train.text[:-11], *[long] * 11))  # 11 of 108
    result = run_training(make_order(None, Splits(many, splits.validation, few, ()), epochs=1, max_length=40)).to_dict()
    assert "test: 3 of 36 texts were cut" in result["notes"]
    assert (
        "train: 11 of 108 texts were cut to 40 tokens; a larger --max-length reads more of them" in result["warnings"]
    )
    said = [line for line in [*result["warnings"], *result["notes"]] if "were cut" in line]
    assert len(said) == 2


STILL = {"epochs": 4, "lr": 1e-9, "device": "cpu"}  # a training that learns nothing


@pytest.mark.parametrize(("name", "refit"), [(None, False), (None, True), ("run", True)])
def test_predictions_that_no_epoch_changes_are_found_without_a_folder(make_order, tmp_path, name, refit):
    """Regression: what the epochs answered was read from the trajectory, which only a folder has."""
    order = make_order(name and tmp_path / name, **STILL, centroid_lr=1e-9, refit=refit)
    first = "validation: not one of the 36 predictions has changed since the first of 4 epochs"
    assert run_training(order).to_dict()["warnings"][0].startswith(first)


def test_an_encoder_that_learns_nothing_is_found_without_a_folder(tiny, splits, tmp_path):
    recipe = recipes.replace(FINETUNE, model=str(tiny("bert")), head_lr=1e-9, **STILL)
    found = [
        run_training(TrainingRequest(splits, recipe, "finetune", out)).to_dict()["warnings"]
        for out in (None, tmp_path / "run")
    ]
    assert found[0] == found[1]
    assert any("for 4 epochs, not above the majority baseline" in line for line in found[0])


def test_a_probe_leaves_one_line_of_metrics(make_order, splits, tmp_path):
    run_training(make_order(tmp_path / "run", splits, method="probe"))
    (line,) = [json.loads(text) for text in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert line["epoch"] == 1
    assert (
        line["validation"]["accuracy"]
        == read_json(tmp_path / "run" / "result.json")["scores"]["validation"]["accuracy"]
    )


def test_a_class_with_one_row_is_refused(make_order, splits, tmp_path):
    label = splits.train.label.copy()
    label[0] = "worm"
    order = make_order(tmp_path / "run", replace(splits, train=replace(splits.train, label=label)), method="probe")
    with pytest.raises(DataError, match="the class 'worm' has one row to learn from"):
        run_training(order)
    assert not (tmp_path / "run").exists()


def test_mistakes_leave_nothing_behind(make_order, splits, tmp_path):
    one = replace(splits, train=replace(splits.train, label=np.array(["a"] * 108, dtype=object)))
    with pytest.raises(DataError, match="a classifier needs two classes or more: got only 'a' in 108 rows"):
        run_training(make_order(tmp_path / "run", one))
    unseen = replace(splits, test=replace(splits.test, label=np.array(["worm"] * 36, dtype=object)))
    with pytest.raises(DataError, match="unknown label in row 0 and 35 more"):
        run_training(make_order(tmp_path / "run", unseen))
    with pytest.raises(DataError, match="the loss mse needs numbers as labels"):
        run_training(make_order(tmp_path / "run", loss="mse"))
    with pytest.raises(DataError, match="has no labels"):
        run_training(make_order(tmp_path / "run", replace(splits, test=replace(splits.test, label=None))))
    with pytest.raises(OptionError, match=r"unknown --method: got 'prompts', .*did you mean 'prompt'"):
        make_order(tmp_path / "run", method="prompts")
    assert not (tmp_path / "run").exists()


def test_a_run_of_an_earlier_version_lacks_options_that_came_since(make_order, tmp_path):
    request = make_order(tmp_path)
    current = describe_request(request, "weights")
    write_json(tmp_path / "recipe.json", recipes.without_later(current, request.recipe))
    write_recipe(tmp_path, request.recipe, current)
    deeper = recipes.replace(request.recipe, depth=1)
    with pytest.raises(StoreError, match=r"begun with other options or other texts: got depth 1 instead of no such"):
        write_recipe(tmp_path, deeper, describe_request(make_order(tmp_path, depth=1), "weights"))


def test_another_order_does_not_touch_a_run(done, make_order, splits):
    """Regression: recipe.json was overwritten before the other options were refused."""
    folder, _ = done["prompt"]
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(StoreError, match=r"was begun with other options or other texts: got lr 0\.5 instead of 0\.05"):
        run_training(make_order(folder, lr=0.5))
    other = replace(splits, train=splits.train.take(range(100)))
    with pytest.raises(StoreError, match="was begun with other options or other texts"):
        run_training(make_order(folder, other))
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_the_same_order_again_gives_the_same_result(make_order, tmp_path):
    results = [run_training(make_order(tmp_path / name)).figures() for name in ("one", "two")]
    again = run_training(make_order(tmp_path / "one")).figures()
    assert again == results[0] | {"notes": [*results[0]["notes"], "this run was finished before: nothing was trained"]}
    for result in results:
        assert min(result.pop("seconds"), result.pop("cpu_seconds")) > 0
    assert results[0] == results[1]
    for name in ("model.safetensors", "metrics.jsonl", "predictions/test.parquet", "recipe.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize("options", [{}, {"refit": True}])
def test_states_go_once_the_result_stands_and_their_timing_does_not_count(options, make_order, tmp_path, monkeypatch):
    """A finished run kept a checkpoint of thrice its model; another --checkpoint-seconds was another run."""
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(run, "fit_baselines", lambda *_, **__: 1 / 0)  # killed after the training
        with pytest.raises(ZeroDivisionError, match="division by zero"):
            run_training(make_order(folder, checkpoint_seconds=0.0, **options))
    assert len(list(folder.rglob("checkpoint.safetensors"))) == 1 + bool(options)
    run_training(make_order(folder, checkpoint_seconds=50.0, **options))
    assert not list(folder.rglob("checkpoint.safetensors"))
    assert not (folder / "refit").exists()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.name != "recipe.json" and path.is_file()}
    again = run_training(make_order(folder, checkpoint_seconds=7.0, **options))
    assert "nothing was trained" in again.to_dict()["notes"][-1]
    assert before == {path: path.read_bytes() for path in before}
    assert again.model.answer(["the cat"]).labels.tolist() == ["cat"]


def test_a_refit_model_is_not_judged_on_rows_it_has_seen(make_order, done, tmp_path):
    folder, plain = done["prompt"][0], done["prompt"][1].to_dict()
    found = run_training(make_order(tmp_path, refit=True))
    assert found.to_dict()["scores"]["validation"] == plain["scores"]["validation"]
    assert found.to_dict()["scores"]["test"] != plain["scores"]["test"]
    assert found.to_dict()["rows"] == plain["rows"]
    assert any("once more on all 144 rows" in note for note in found.to_dict()["notes"])
    kept = pd.read_parquet(tmp_path / "predictions" / "validation.parquet")
    known = pd.read_parquet(folder / "predictions" / "validation.parquet")
    pd.testing.assert_frame_equal(kept, known)


def test_k_is_chosen_on_validation():
    """Three copies of each point and one wrong neighbor: k = 1 falls for it, k = 3 does not."""
    generator = np.random.default_rng(0)
    angles = np.concatenate([generator.normal(0.3, 0.05, 30), generator.normal(1.2, 0.05, 30)])
    y = np.repeat([0, 1], 30)
    x = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    noisy = y.copy()
    noisy[::5] = 1 - noisy[::5]
    clean = Part(x + generator.normal(0, 0.01, x.shape), y)
    fitted = fit_nearest(Part(x, noisy), clean, 2)
    assert fitted.k > 1
    assert (fitted.scores(clean.vectors).argmax(1) == y).mean() > 0.95


def test_k_of_numbers_is_chosen_on_validation():
    """Neighbors whose numbers are noisy: the mean of many is nearer to the truth than the nearest."""
    generator = np.random.default_rng(0)
    x, clean = generator.normal(size=(2, 60, 3))
    x[:, 0], clean[:, 0] = np.abs(x[:, 0]) + 9, np.abs(clean[:, 0]) + 9
    train = Part(x, 5 + generator.normal(size=60))
    held = Part(clean, np.full(60, 5.0))
    fitted = fit_nearest(train, held, 0)
    assert fitted.k == 20
    for k in NEIGHBOURS:
        slow = KNeighborsRegressor(k, metric="cosine").fit(x, train.targets).predict(clean)
        np.testing.assert_allclose(replace(fitted, k=k).scores(clean)[:, 0], slow)
    assert fit_nearest(train, Part(x, train.targets), 0).k == 1
    few = Part(x[:4], train.targets[:4])
    assert fit_nearest(few, held, 0).k <= 3  # not more neighbors than rows


def test_quick_figures_equal_the_full_ones():
    generator = np.random.default_rng(0)
    y, scores = generator.integers(0, 3, 50), generator.normal(size=(50, 3))
    evaluator = Evaluator.of(np.array([2, 2, 1, 0]), CLASSES, seed=0)
    quick, full = evaluator.quick(scores, y), evaluator.full(scores, y)
    for name in ("accuracy", "macro_f1", "majority"):
        assert quick[name] == pytest.approx(full[name])
    assert full["majority"] == np.bincount(y).max() / 50  # the best constant answer here, whatever training rows say
    numbers = Evaluator.of(np.array([1.0, 3.0]), (), seed=0)
    answers, gold = scores[:, :1], scores[:, 1]
    assert numbers.quick(answers, gold)["rmse"] == pytest.approx(numbers.full(answers, gold)["rmse"])
    assert numbers.full(answers, gold)["baseline_rmse"] == pytest.approx(math.sqrt(((gold - 2) ** 2).mean()))
    assert "is not below that of always answering the mean" in numbers.findings(answers + 9, gold, [])[0]
    assert numbers.findings(gold[:, None], gold, []) == []


def test_a_figure_whose_interval_decides_stands_beside_it():
    """Regression: "the error 1735 is not below that of always answering the mean, 2033", since its interval is not."""
    gold = np.array([0.0, 1.0, 2.0, 3.0])
    (error,) = Evaluator((), mean=1.5).findings(np.array([[0.0], [1.0], [2.0], [1.0]]), gold, [])
    beside = r"the {} {} \(95 % interval {} to {}\) is not {} that of always answering {}"
    number = r"[\d.]+"
    assert re.fullmatch(beside.format("error", "1", number, number, "below", "the mean, 1.118"), error)
    marks = np.array([[1, 0], [1, 0], [1, 0], [0, 1]])
    sets = LabelSetEvaluator(("a", "b"), 0).deciding(ScoreCalibration("labels", thresholds=(0.5, 0.5)))
    (score,) = sets.findings(np.where(marks, 9.0, -9.0), marks, [])
    assert re.fullmatch(beside.format("micro-F1", "1.0000", number, "1.0000", "above", r"a, 0\.7500"), score)


def test_the_examples_are_true():
    for module in (baselines, diagnostics):
        assert doctest.testmod(module).failed == 0


def test_a_run_of_which_no_answer_is_right_is_finished_and_read_again(tiny, tmp_path):
    """Regression: its counts were floats, so that neither the report nor --resume could read it."""
    train = Texts.of(["the cat", "the dog"] * 6, ["a", "b"] * 6)
    turned = Texts.of(["the cat", "the dog"] * 3, ["b", "a"] * 3)
    splits, model = Splits(train, turned, turned, ()), str(tiny("bert"))
    made = sx.train(splits, method="probe", model=model, device="cpu", out=tmp_path / "run")
    again = sx.load(tmp_path / "run")
    assert again.scores["test"]["accuracy"] == made.scores["test"]["accuracy"] == 0.0
    assert (tmp_path / "run" / "report.html").is_file()
