"""Pictures and report are made from the files of a run alone, and twice the same."""

import base64
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from separatrix import recipe as recipes
from separatrix.errors import StoreError
from separatrix.learn.trajectory import read_frames, read_train_frames
from separatrix.recipe.align import FINETUNE
from separatrix.reports.columns import section_data, unpack
from separatrix.store.table import read_table, write_table
from separatrix.texts import Splits
from separatrix.training.pictures import class_order, doubted, read_run, run_frames, score_rows, show_run
from separatrix.training.request import TrainingRequest
from separatrix.training.run import run_training

CLASSES = ("bird", "cat", "dog")


@pytest.fixture(scope="module")
def trained(make_order, tiny, tmp_path_factory):
    """A run whose model folder is gone: what follows cannot load it."""
    root = tmp_path_factory.mktemp("shown")
    model = shutil.copytree(tiny("bert"), root / "model")
    run_training(make_order(root / "run", model=str(model)))
    shutil.rmtree(model)
    return root / "run"


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def test_report_needs_no_model_and_is_the_same_twice(run, tmp_path):
    first = show_run(run).path.read_bytes()
    pictures = {path.name: path.read_bytes() for path in (run / "pictures").iterdir()}
    assert pictures.keys() == {
        "curves.png",
        "curves.csv",
        "confusion.png",
        "confusion.csv",
        "scatter.png",
        "scatter.csv",
        "training.gif",
    }
    again = show_run(run, tmp_path / "elsewhere.html")
    assert again.path == tmp_path / "elsewhere.html"
    assert again.path.read_bytes() == first
    assert {path.name: path.read_bytes() for path in (run / "pictures").iterdir()} == pictures
    assert b"validation was held out" in first
    assert b"linear probe" in first


def test_all_evaluated_rows_are_on_the_page(run, tmp_path):
    """Test rows as well as validation rows, each with its own id, answer and place on a map."""
    page = show_run(run, tmp_path / "page.html").path.read_text()
    said = section_data(page, "rows")
    back = {name: unpack(header, page) for name, header in said["columns"].items()}
    tables = [read_table(run / "predictions" / f"{part}.parquet") for part in ("test", "validation")]
    assert said["splits"] == ["test", "validation"]
    for column, stored in (("text", "text"), ("id", "id")):
        assert back[column] == [str(value) for table in tables for value in table[stored]]
    for column in ("label", "predicted"):
        assert [CLASSES[k] for k in back[column]] == [value for table in tables for value in table[column]]
    maps = section_data(page, "map")
    assert [len(one["titles"]) > 1 for one in maps["maps"]] == [True, False, False]
    outputs = {one["title"]: one for one in maps["maps"]}["outputs, all evaluated rows"]
    assert unpack(maps["columns"][outputs["rows"]], page).tolist() == list(range(sum(map(len, tables))))
    assert outputs["note"].startswith(f"PCA plane fitted on {len(tables[1])} validation rows, all others placed by it;")
    number = {one["title"]: one for one in maps["maps"]}["class probabilities, all evaluated rows"]
    assert unpack(maps["columns"][number["rows"]], page).tolist() == list(range(sum(map(len, tables))))
    assert "PCA plane of the log probabilities; trustworthiness" in number["note"]
    over = unpack(maps["columns"][maps["maps"][0]["rows"]], page)
    assert {said["splits"][back["split"][row]] for row in over} == {"validation"}


def test_frames_hold_the_stored_predictions(run):
    found = read_run(run)
    (frames, train), kept = run_frames(found), read_frames(run / "trajectory")
    table = read_table(run / "predictions" / "validation.parquet")
    assert train is None  # a prompt's training rows are not looked at again
    assert frames.names == CLASSES
    assert frames.texts == tuple(table["text"])
    assert [CLASSES[place] for place in frames.labels] == table["label"].tolist()
    assert frames.points.shape == (len(kept), 36, 2)
    assert frames.centroids.shape == (len(kept), 3, 2)
    np.testing.assert_array_equal(frames.predicted, np.stack([frame.predicted for frame in kept]))
    assert "trustworthiness 0." in frames.note
    assert "seed 0" in frames.note


def test_an_encoder_shows_its_training_rows_in_the_same_plane(tiny, splits, tmp_path):
    out = tmp_path / "run"
    recipe = recipes.replace(FINETUNE, model=str(tiny("bert")), epochs=2, device="cpu")
    run_training(TrainingRequest(splits, recipe, "finetune", out))
    (held_out, train), kept = run_frames(read_run(out)), read_train_frames(out / "trajectory")
    assert train.titles == ("epoch 1", "epoch 2")
    assert train.axes == held_out.axes
    table = read_table(out / "trajectory" / "train.parquet")
    assert train.texts == tuple(table["text"])
    assert [CLASSES[place] for place in train.labels] == table["label"].tolist()
    np.testing.assert_array_equal(train.predicted, np.stack([frame.predicted for frame in kept]))
    page = show_run(out).path.read_text()
    assert "outputs over the training, training rows" in page
    assert section_data(page, "rows")["splits"] == ["test", "validation", "train"]
    assert {"scatter-train.png", "scatter-train.csv"} <= {path.name for path in (out / "pictures").iterdir()}


def test_the_plane_is_one_and_fixed(run):
    """Distances in the plane never exceed those in the full space, in no frame: it is a projection, not a fit each."""
    (frames, _), kept = run_frames(read_run(run)), read_frames(run / "trajectory")
    for flat, frame in zip(frames.points, kept, strict=True):
        full = frame.outputs.astype(np.float64)
        near = np.linalg.norm(flat[:, None] - flat[None], axis=2)
        far = np.linalg.norm(full[:, None] - full[None], axis=2)
        assert (near <= far + 1e-3).all()
    moved = np.linalg.norm(np.diff(frames.points, axis=0), axis=2)
    full = np.linalg.norm(np.diff([frame.outputs.astype(np.float64) for frame in kept], axis=0), axis=2)
    assert (moved <= full + 1e-3).all()


def test_score_rows_put_the_baselines_beside_the_method(run):
    result = read_run(run).result
    rows = score_rows(result)
    assert len(rows) == 6
    assert [row["split"] for row in rows] == ["test"] * 3 + ["validation"] * 3
    assert rows[0]["method"] == "prompt"
    assert {row["method"].split(" (")[0] for row in rows[:3]} == {"prompt", "linear probe", "k-NN"}
    for row in rows:
        figures = (result["scores"] if row["method"] == "prompt" else result["baselines"][row["method"]])[row["split"]]
        for name in ("accuracy", "interval", "macro_f1", "majority", "rows"):
            assert row[name] == figures[name]


@pytest.mark.parametrize("method", ["prompt", "probe"])
def test_a_run_on_numbers_is_shown(make_order, figures, tmp_path, method):
    run_training(make_order(tmp_path / "run", figures, method=method, loss="mse", epochs=1))
    page = show_run(tmp_path / "run").path.read_text()
    assert "ridge" in page
    assert "baseline" in page
    assert run_frames(read_run(tmp_path / "run")) == (None, None)
    pictures = {path.name: path.read_bytes() for path in (tmp_path / "run" / "pictures").iterdir()}
    assert pictures.keys() >= {"numbers.png", "numbers.csv"}
    assert page.count('id="numbers"') == 1
    assert page.count(base64.b64encode(pictures["numbers.png"]).decode()) == 1  # not among the other pictures as well
    drawn = pd.read_csv(tmp_path / "run" / "pictures" / "numbers.csv")
    table = read_table(tmp_path / "run" / "predictions" / "test.parquet")
    assert list(drawn.columns) == ["id", "true", "predicted"]
    for column, stored in (("id", "id"), ("true", "label"), ("predicted", "predicted")):
        np.testing.assert_allclose(drawn[column], table[stored], rtol=1e-12)


def test_numbers_without_a_test_part_are_those_of_validation(make_order, figures, tmp_path):
    run_training(make_order(tmp_path / "run", replace(figures, test=None), method="probe", loss="mse"))
    show_run(tmp_path / "run")
    drawn = pd.read_csv(tmp_path / "run" / "pictures" / "numbers.csv")
    assert drawn["id"].tolist() == figures.validation.id.tolist()


def test_a_probe_run_is_shown(make_order, tmp_path):
    run_training(make_order(tmp_path / "run", method="probe"))
    page = show_run(tmp_path / "run").path.read_text()
    assert "logistic regression" in page
    maps = section_data(page, "map")["maps"]
    assert [one["title"] for one in maps] == [
        "vectors that the probe reads, all evaluated rows", "class probabilities, all evaluated rows",
    ]  # fmt: skip
    assert "training rows, all others placed by it" in maps[0]["note"]
    assert {path.name for path in (tmp_path / "run" / "pictures").iterdir()} == {"confusion.png", "confusion.csv"}


def test_what_is_no_run_is_refused(tmp_path, run):
    with pytest.raises(StoreError, match=r"holds no finished run: expected result\.json; give the folder that train"):
        show_run(tmp_path)
    (run / "result.json").unlink()
    with pytest.raises(StoreError, match=r"holds no finished run: expected result\.json; go on with --resume"):
        show_run(run)


def test_few_rows_say_that_nothing_can_be_said(make_order, splits, tmp_path):
    few = Splits(splits.train, splits.validation.take(range(12)), None, ())
    run_training(make_order(tmp_path / "run", few, epochs=1))
    frames, _ = run_frames(read_run(tmp_path / "run"))
    assert frames.note == "12 rows are too few to say how faithful the plane is"


def test_labels_that_the_run_is_sure_to_be_wrong_are_doubted():
    labels = np.repeat([0, 1], 50)
    labels[:3] = 1
    shares = np.where(np.repeat([0, 1], 50)[:, None] == np.arange(2), 0.99, 0.01)
    doubt = doubted(labels, shares.argmax(axis=1), shares)
    assert np.flatnonzero(np.isfinite(doubt)).tolist() == [0, 1, 2]
    assert (doubt[:3] > 0.5).all()
    assert np.isnan(doubted(labels[:10], labels[:10], shares[:10])).all()  # too few rows to fit a noise


def test_many_classes_are_ordered_and_few_are_not():
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(20), 200)
    labels, names = np.arange(200) % 20, tuple(f"class {k}" for k in range(20))
    groups = class_order(names, labels, shares)
    assert sorted(groups.order) == list(range(20))
    assert len(groups.titles) == len(set(groups.group)) <= 10
    looks = groups.looks()
    assert len({(one.colour, one.symbol) for one in looks}) == 20
    assert class_order(names[:3], labels % 3, shares[:, :3]) is None


def test_unknown_words_stand_with_the_answers(run, tmp_path):
    table = read_table(run / "predictions" / "validation.parquet")
    write_table(run / "predictions" / "validation.parquet", table.assign(unknown_tokens=[2] + [0] * (len(table) - 1)))
    page = show_run(run, tmp_path / "page.html").path.read_text()
    said = section_data(page, "rows")
    counts = unpack(said["columns"]["unknown"], page)
    splits = np.array(said["splits"])[unpack(said["columns"]["split"], page)]
    assert counts[splits == "validation"].tolist() == [2] + [0] * (len(table) - 1)
    assert not counts[splits == "test"].any()
