"""Labels for new texts from a finished run."""

import numpy as np
import pandas as pd
import pytest

import separatrix as sx
from separatrix.cli.app import main
from separatrix.errors import DataError, OptionError, StoreError
from separatrix.learn.trained.loading import load_model
from separatrix.learn.trained.probe import ProbeModel
from separatrix.learn.trained.prompt import PromptModel
from separatrix.learn.trained.saved import Predictions
from separatrix.store.table import read_table
from separatrix.texts import Classes, Splits, Texts
from separatrix.texts.rewrite import read_column
from separatrix.training.predict import answered_figures, predict, predict_texts, unknown_label_warnings, withhold
from separatrix.training.run import run_training

RUNS = {
    "prompt": ({}, PromptModel),
    "probe": ({"method": "probe"}, ProbeModel),
    "words": ({"loss": "token", "epochs": 1}, PromptModel),
}


@pytest.fixture(scope="module", params=RUNS)
def finished(request, make_order, tmp_path_factory):
    options, kind = RUNS[request.param]
    folder = tmp_path_factory.mktemp(request.param) / "run"
    run_training(make_order(folder, **options))
    return folder, kind


def test_predictions_equal_the_stored_ones(finished, splits):
    folder, kind = finished
    model = load_model(folder, device="cpu")
    assert isinstance(model, kind)
    for part in ("validation", "test"):
        stored = read_table(folder / "predictions" / f"{part}.parquet")
        pd.testing.assert_frame_equal(predict_texts(model, splits.parts[part]), stored)


def test_each_text_is_answered_by_itself(finished, splits):
    """Neither the order of the texts nor their neighbors change an answer."""
    model = load_model(finished[0], device="cpu")
    whole = predict_texts(model, splits.test)
    picked = [30, 2, 17, 9]
    some = predict_texts(model, splits.test.take(picked))
    assert some["predicted"].tolist() == whole["predicted"].iloc[picked].tolist()
    assert some["id"].tolist() == whole["id"].iloc[picked].tolist()
    for column in whole.columns[4:]:
        np.testing.assert_allclose(some[column], whole[column].iloc[picked], atol=2e-3)


def test_a_plain_list_of_texts_is_answered(finished, splits):
    """As the result's own `predict` does; columns of a table have no meaning then, and none of its rows is no row."""
    folder, texts = finished[0], [*splits.test.text[:3]]
    frame = predict(folder, texts)
    whole = predict_texts(load_model(folder, device="cpu"), splits.test)
    assert frame["predicted"].tolist() == whole["predicted"].iloc[:3].tolist()
    assert frame["text"].tolist() == texts
    for same in (pd.Series(texts, index=[7, 8, 9]), np.array(texts), np.array(texts, dtype=object)):
        pd.testing.assert_frame_equal(predict(folder, same), frame)
    with pytest.raises(DataError, match="texts cannot be read from this: got ndarray"):
        predict(folder, np.array([texts]))
    assert len(predict(folder, [])) == 0
    with pytest.raises(OptionError, match="--label has no effect: the texts are a list"):
        predict(folder, texts, label="kind")
    with pytest.raises(DataError, match=r"the list: a text is not a string: got int in row 1"):
        predict(folder, ["a", 3])


def test_what_is_no_list_of_texts_is_refused_by_results_and_models(finished, splits):
    """Regression: one string got an answer for each of its letters, a frame one for each of its columns."""
    result, model = sx.load(finished[0]), load_model(finished[0], device="cpu")
    for answer in (result.predict, model.answer):
        with pytest.raises(DataError, match=r"one string where a list of texts belongs; write it as \[text\]"):
            answer("Who?")
        with pytest.raises(DataError, match="a text is not a string: got int in row 1"):
            answer(["Who?", 3])
        with pytest.raises(DataError, match="one column of texts is needed: got shape"):
            answer(splits.test.to_frame())
    assert result.predict(pd.DataFrame({"body": ["the cat"]}))["text"].tolist() == ["the cat"]
    with pytest.raises(OptionError, match="trained on single texts: got pairs of texts"):
        result.predict([("Who?", "Me.")])
    with pytest.raises(DataError, match=r"new texts: a text is missing: got row 1 \(counted from 0\); use predict"):
        model.answer(["Who?", None])


def test_unsure_rows_are_left_unanswered_by_probability_or_by_share(finished, splits):
    model, texts = load_model(finished[0], device="cpu"), splits.test
    whole = predict_texts(model, texts)
    sure = whole.filter(like="probability_").max(axis=1)
    least = float(sure.median())
    some = predict_texts(model, texts, min_probability=least)
    assert some["answered"].tolist() == (sure >= least).tolist()
    assert some["predicted"].isna().tolist() == (sure < least).tolist()
    kept = some[some["answered"]]
    assert kept["predicted"].tolist() == whole["predicted"][kept.index].tolist()
    pd.testing.assert_frame_equal(some.filter(like="probability_"), whole.filter(like="probability_"))
    figures = answered_figures(some, model.classes)
    low, high = figures.pop("interval")
    right = (kept["predicted"] == kept["label"]).mean()
    assert low <= right <= high
    assert figures == {
        "answered": len(kept), "withheld": len(some) - len(kept), "labelled": len(kept), "unknown_labels": 0,
        "accuracy_answered": right,
    }  # fmt: skip
    share = predict_texts(model, texts, coverage=0.5)["answered"]
    assert 0.5 <= share.mean() < 0.6
    assert sure[share].min() > sure[~share].max()
    assert "answered" not in whole
    assert answered_figures(whole.drop(columns="label"), model.classes) == {}


def test_blank_texts_count_neither_as_answered_nor_as_withheld(finished):
    model = load_model(finished[0], device="cpu")
    table = predict_texts(model, Texts.of(["a cat", " "], keep_blank=True), min_probability=0.0)
    assert table["answered"].tolist() == [True, False]
    assert answered_figures(table, model.classes) == {"answered": 1, "withheld": 0}


def test_answers_are_judged_wherever_their_labels_are_known(finished, splits):
    """Regression: with labels and no limit, predict said how many rows there were and no more."""
    model = load_model(finished[0], device="cpu")
    table = predict_texts(model, splits.test)
    figures = answered_figures(table, model.classes)
    right = (table["predicted"] == table["label"]).mean()
    assert figures["accuracy"] == pytest.approx(right)
    assert figures["interval"][0] <= right <= figures["interval"][1]
    assert (figures["labelled"], figures["unknown_labels"]) == (len(table), 0)
    strange = table.assign(label=["emu", *table["label"][1:]])
    assert answered_figures(strange, model.classes)["unknown_labels"] == 1
    assert answered_figures(strange, model.classes)["accuracy"] == pytest.approx(
        (table["predicted"] == table["label"])[1:].mean()
    )
    assert unknown_label_warnings(table, model.classes) == []
    (line,) = unknown_label_warnings(strange, model.classes)
    assert line.startswith(f"1 of {len(table)} rows have a label that the model does not know")
    assert answered_figures(table.assign(label="emu"), model.classes) == {"labelled": 0, "unknown_labels": len(table)}


def test_several_labels_are_judged_by_micro_f1_and_numbers_by_their_error():
    classes = Classes(("blue", "cat", "red"))
    table = pd.DataFrame({"label": [("blue",), ("cat", "red"), ("dog",)], "predicted": [("blue",), ("cat",), ()]})
    figures = answered_figures(table, classes)
    assert figures["micro_f1"] == pytest.approx(0.8)
    assert (figures["labelled"], figures["unknown_labels"]) == (2, 1)
    plain = table.assign(label=["blue", "cat,red", "dog"])  # read without --label-separator
    assert unknown_label_warnings(plain, classes)[0].endswith(
        "figures: cat,red, dog; --label-separator names what joins several labels"
    )
    numbers = answered_figures(pd.DataFrame({"label": ["1.0", "2", "?"], "predicted": [1.0, 4.0, 0.0]}), None)
    assert numbers["rmse"] == pytest.approx(np.sqrt(2))
    assert numbers["unknown_labels"] == 1


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"min_probability": 0.5, "coverage": 0.5}, "say the same in two ways"),
        ({"min_probability": 1.5}, "--min-probability is out of range"),
        ({"coverage": -0.1}, "--coverage is out of range"),
    ],
)
def test_limits_that_cannot_be_are_refused_before_a_model_is_read(limits, said, tmp_path):
    with pytest.raises(OptionError, match=said):
        sx.predict(tmp_path / "no run", ["a"], **limits)


def test_texts_without_labels(finished):
    seen = []
    model = load_model(finished[0], device="cpu")
    table = predict_texts(model, Texts.of(["a cat", "the dog"]), progress=lambda *one: seen.append(one))
    assert list(table.columns[:3]) == ["id", "text", "predicted"]
    assert "label" not in table
    assert set(table["predicted"]) <= {"bird", "cat", "dog"}
    assert seen[-1] == ("prediction", 2, 2, "")


def test_integers_stay_integers(make_order, splits, tmp_path):
    ids = {"bird": 10, "cat": 9, "dog": 2}
    parts = [Texts.of(p.text, [ids[label] for label in p.label]) for p in splits.parts.values()]
    run_training(make_order(tmp_path / "run", Splits(*parts, ()), epochs=1))
    table = read_table(tmp_path / "run" / "predictions" / "test.parquet")
    assert table["predicted"].dtype == np.int64
    assert [name for name in table.columns if name.startswith("probability")] == [
        f"probability_{number}" for number in (2, 9, 10)
    ]
    model = load_model(tmp_path / "run", device="cpu")
    assert predict_texts(model, parts[2])["predicted"].tolist() == table["predicted"].tolist()


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(StoreError, match="holds no trained model"):
        load_model(tmp_path)


def test_a_result_a_model_and_a_folder_give_the_same_table(finished, splits, tmp_path):
    folder, texts = finished[0], splits.test.take(range(5))
    expected = predict_texts(load_model(folder, device="cpu"), texts)
    for given in (sx.load(folder), load_model(folder, device="cpu"), folder, str(folder)):
        pd.testing.assert_frame_equal(sx.predict(given, texts), expected)
    pd.testing.assert_frame_equal(predict_texts(sx.load(folder), texts), expected)
    frame = pd.DataFrame({"body": ["a cat", " "], "kind": ["cat", "dog"]})
    table = sx.predict(folder, frame, text="body", label="kind", out=tmp_path / "answers.csv")
    assert table["label"].tolist() == ["cat", "dog"]
    assert pd.isna(table["predicted"][1])
    assert pd.read_csv(tmp_path / "answers.csv")["label"].tolist() == ["cat", "dog"]
    with pytest.raises(StoreError, match=r"answers\.csv"):
        sx.predict(folder, frame, text="body", out=tmp_path / "answers.csv")
    with pytest.raises(OptionError, match=r"answers\.txt"):
        sx.predict(folder, frame, out=tmp_path / "answers.txt")


def test_numbers_have_no_probability_to_be_unsure_by():
    numbers = Predictions(np.array([1.5]), np.array([[1.5]]), None, None, np.zeros((1, 2)), 0)
    assert withhold(numbers, None) is numbers
    with pytest.raises(OptionError, match="numbers have no probability"):
        withhold(numbers, 0.5)


def test_the_ids_of_a_file_stay_its_own(finished, tmp_path):
    """Regression: `id` of the answers counted rows, so that they were joined to the wrong rows of a file with ids."""
    rows = pd.DataFrame({"id": [7, 3, 5], "text": ["the cat", "the dog", "a bird"]})
    rows.to_csv(tmp_path / "rows.csv", index=False)
    rows.to_json(tmp_path / "rows.jsonl", orient="records", lines=True)
    rows.to_parquet(tmp_path / "rows.parquet")
    for source in (rows, *(tmp_path / f"rows.{kind}" for kind in ("csv", "jsonl", "parquet"))):
        answers = sx.predict(finished[0], source)
        assert [int(one) for one in answers["id"]] == [7, 3, 5]
        assert answers["row"].tolist() == [0, 1, 2]
    without = sx.predict(finished[0], rows.drop(columns="id"))
    assert without["id"].tolist() == [0, 1, 2]
    assert "row" not in without


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_ids_of_any_type_are_written_in_any_form(finished, tmp_path, ending):
    """Regression: ids of several types were refused by Parquet after all texts had been answered."""
    path = tmp_path / f"answers.{ending}"
    of_several_types, with_a_gap, too_large = ["q7", 3, None], [7, 3, None], [2**70, 1]
    strings = ["q7", "3", None], [str(2**70), "1"]
    for ids, written in ((of_several_types, strings[0]), (with_a_gap, with_a_gap), (too_large, strings[1])):
        rows = pd.DataFrame({"id": pd.Series(ids, dtype=object), "text": ["the cat", "the dog", "a bird"][: len(ids)]})
        assert sx.predict(finished[0], rows, out=path, overwrite=True)["id"].tolist() == ids
        cells = {"csv": ["" if one is None else str(one) for one in ids], "jsonl": ids, "parquet": written}
        assert read_column(path, "id") == cells[ending]


def test_what_cannot_be_written_is_refused_before_any_text_is_answered(tiny, tmp_path, monkeypatch):
    """Regression: labels that hold the separator, and ids that no file can, were refused after the last text."""
    texts = Texts.of(["the cat", "the dog", "the cat dog"] * 6, [["a, b"], ["c"], ["a, b", "c"]] * 6)
    run = sx.train(Splits(texts, texts, None, ()), method="probe", model=str(tiny("bert")), pool="mean", device="cpu")
    run.save(tmp_path / "run")
    pd.DataFrame({"text": ["the cat"], "kind": ["c"]}).to_csv(tmp_path / "new.csv", index=False)
    (tmp_path / "new.jsonl").write_text('{"id": "a", "text": "the cat"}\n{"id": "\\ud800", "text": "the dog"}\n')
    words = ["predict", str(tmp_path / "run"), str(tmp_path / "new.csv"), "--out", str(tmp_path / "answers.csv")]
    assert main([*words, "--label-separator", ";", "--quiet"]) == 0
    monkeypatch.setattr(ProbeModel, "answer", lambda *_: pytest.fail("texts were answered"))
    match = "the label 'a, b' holds the separator ','; write .parquet or .jsonl, or name another --label-separator"
    with pytest.raises(DataError, match=match):
        sx.predict(run, ["the cat"], out=tmp_path / "out.csv")
    with pytest.raises(DataError, match="1 of 2 rows hold a NUL or half a surrogate pair in the id: got row 1"):
        sx.predict(run, tmp_path / "new.jsonl")
    with pytest.raises(DataError, match="the data frame has 2 columns named 'id': expected one"):
        sx.predict(run, pd.DataFrame([["a", "b", "the cat"]], columns=["id", "id", "text"]))
    assert main([*words, "--overwrite"]) == 2
    assert not (tmp_path / "out.csv").exists()


def test_limits_are_refused_before_any_text_is_read(several_labels_run, monkeypatch):
    def answered(*_):
        raise AssertionError("texts were read")

    monkeypatch.setattr("separatrix.training.predict.answer_texts", answered)
    with pytest.raises(OptionError, match="several labels a row are decided one by one"):
        sx.predict(several_labels_run, Texts.of(["the cat"]), min_probability=0.5)


@pytest.fixture
def several_labels_run(tiny, tmp_path):
    texts = Texts.of(["the cat", "the dog", "the cat dog"] * 6, [["cat"], ["dog"], ["cat", "dog"]] * 6)
    return sx.train(Splits(texts, texts, None, ()), method="probe", model=str(tiny("bert")), device="cpu")
