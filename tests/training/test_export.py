"""Runs as ONNX: the same answers without PyTorch, whatever decides; what has no graph is refused."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file, save_file

import separatrix as sx
from separatrix.cli.app import main
from separatrix.errors import DataError, ModelError, OptionError, StoreError
from separatrix.learn.trained import exported
from separatrix.texts import Texts
from separatrix.training.export import FAITHFUL

pytest.importorskip("onnxruntime", reason='needs pip install "separatrix[onnx]"')
onnx = pytest.importorskip("onnx", reason='needs pip install "separatrix[onnx]"')
ENCODER = {"device": "cpu", "epochs": 1, "batch_size": 16}
CASES = {
    "probe": {"method": "probe", "device": "cpu"},
    "first token": {"method": "probe", "device": "cpu", "pool": "cls"},
    "head": {"method": "finetune", **ENCODER},
    "votes": {"method": "align", **ENCODER, "k": 5, "vote": "uniform"},
    "votes by distance": {"method": "align", **ENCODER, "k": 5, "vote": "distance"},
    "votes by similarity": {"method": "align", **ENCODER, "k": 5, "vote": "softmax"},
    "head and votes": {"method": "align", **ENCODER, "decision": "both", "head_weight": 0.5},
    "class means": {"method": "align", **ENCODER, "decision": "mean", "pool": "layer_mix"},
}


@pytest.mark.parametrize("case", CASES)
def test_the_exported_classifier_answers_as_the_run(case, splits, tiny, tmp_path):
    result = sx.train(splits, model=str(tiny("bert")), out=tmp_path / "run", **CASES[case])
    exported = sx.export_classifier(result, out=tmp_path / "out")
    texts = [*splits.test.text, " ", "a"]
    answer = result.predict(texts)
    wanted = answer[[name for name in answer if name.startswith("probability_")]].to_numpy()
    np.testing.assert_allclose(exported.predict_proba(texts), wanted, atol=1e-4)
    labels = exported.predict(texts).tolist()
    assert labels.pop(-2) is None
    assert labels == answer["predicted"].drop(len(texts) - 2).tolist()
    assert exported.classes_.tolist() == result.classes
    figures = exported.graphs["onnx/model.onnx"]
    assert figures["same_answer"] == 1
    assert figures["largest_difference"] < 1e-4
    assert figures["accuracy"] == figures["accuracy_of_the_run"] == result.scores["test"]["accuracy"]


@pytest.mark.parametrize("family", ["roberta", "gpt2"])
def test_other_families(family, splits, tiny, tmp_path):
    sx.train(splits, model=str(tiny(family)), out=tmp_path / "run", method="probe", device="cpu")
    assert sx.export_classifier(tmp_path / "run", out=tmp_path / "out").table["same_answer"].tolist() == [1]


def test_eight_bits_and_files_that_others_read(splits, tiny, tmp_path, capsys):
    sx.train(splits, model=str(tiny("bert")), out=tmp_path / "run", method="probe", device="cpu")
    words = ["export", str(tmp_path / "run"), "--onnx", "--int8", "--out", str(tmp_path / "out"), "--json"]
    assert main(words) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [*printed["graphs"]] == ["onnx/model.onnx", "onnx/model_quantized.onnx"]
    again = sx.load(tmp_path / "out")
    assert again.graphs == printed["graphs"]
    texts = list(splits.test.text)
    small = again.quantised().predict_proba(texts)
    assert np.abs(small - again.predict_proba(texts)).max() > 0
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["id2label"] == {str(number): name for number, name in enumerate(again.classes_)}
    assert config["architectures"] == ["BertForSequenceClassification"]
    assert str(tmp_path) not in "".join(path.read_text() for path in (tmp_path / "out").glob("*.json"))
    again.save(tmp_path / "copy")
    assert sx.load(tmp_path / "copy").predict(texts).tolist() == again.predict(texts).tolist()


def test_columns_that_hardly_differ_do_not_spoil_the_eight_bits(splits, tiny, tmp_path):
    """Regression: all-MiniLM-L6-v2 ends in columns of 1e-33; their standardised weights took the whole range."""
    shutil.copytree(tiny("bert"), model := tmp_path / "model")
    weights = load_file(model / "model.safetensors")
    for name in weights:
        if "layer.2.output.LayerNorm" in name:
            weights[name][[3, 7]] *= 1e-33
    save_file(weights, model / "model.safetensors", {"format": "pt"})
    sx.train(splits, model=str(model), out=tmp_path / "run", method="probe", pool="mean", device="cpu")
    graphs = sx.export_classifier(tmp_path / "run", out=tmp_path / "out", int8=True)
    assert graphs.table["same_answer"].min() > FAITHFUL
    assert not graphs.warnings


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_all_products_of_the_transformer_are_in_eight_bits(family, splits, tiny, tmp_path):
    """Regression: gpt2's layers are exported as a linear head is, and stayed as they were with it."""
    sx.train(splits, model=str(tiny(family)), out=tmp_path / "run", method="probe", pool="mean", device="cpu")
    sx.export_classifier(tmp_path / "run", out=tmp_path / "out", int8=True)
    nodes = onnx.load(tmp_path / "out" / "onnx" / "model_quantized.onnx").graph.node
    small = [node.name for node in nodes if node.op_type == "MatMulInteger"]
    assert len(small) >= 12  # three layers
    assert not any(name.startswith("/head/") for name in small)


def test_a_graph_that_answers_otherwise_is_told_of(splits, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(exported, "quantise_graph", lambda whole, small, keep: small.write_bytes(spoilt(whole)))
    sx.train(splits, model=str(tiny("bert")), out=tmp_path / "run", method="probe", device="cpu")
    (warning,) = sx.export_classifier(tmp_path / "run", out=tmp_path / "out", int8=True).warnings
    assert re.match(r"onnx/model_quantized.onnx: \d+% of the answers are those of the run; use the other", warning)


def spoilt(graph):
    """The bytes of a graph whose first class wins."""
    model = onnx.load(graph)
    (head,) = (node for node in model.graph.node if node.op_type == "Gemm")
    (bias,) = (one for one in model.graph.initializer if one.name == head.input[2])
    values = onnx.numpy_helper.to_array(bias).copy()
    values[0] = 1e6
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    return model.SerializeToString()


def test_a_regression(tiny, tmp_path):
    texts = sx.Texts.of([f"{'a ' * (1 + row % 5)}cat" for row in range(60)], [float(row % 5) for row in range(60)])
    splits = sx.Splits(texts.take(range(40)), texts.take(range(40, 50)), texts.take(range(50, 60)), ())
    result = sx.train(splits, model=str(tiny("bert")), out=tmp_path / "run", method="probe", loss="mse", device="cpu")
    exported = sx.export_classifier(tmp_path / "run", out=tmp_path / "out")
    np.testing.assert_allclose(exported.predict(["a cat"]), result.predict(["a cat"])["predicted"], atol=1e-3)
    with pytest.raises(OptionError, match="numbers are predicted here, not classes; call predict"):
        exported.predict_proba(["a cat"])
    with pytest.raises(OptionError, match=r"there is no graph in 8 bits; export with int8=True"):
        exported.quantised()


def test_an_exported_regression_tells_numbers_apart_beside_a_large_mean(tiny, tmp_path):
    """Regression: in float32, the answers to times in seconds lay on a grid of 128."""
    texts = [f"{'a ' * (1 + row % 5)}cat" for row in range(60)]
    part = sx.Texts.of(texts, [1.7e9 + 100 * (row % 5) for row in range(60)])
    splits = sx.Splits(part.take(range(40)), part.take(range(40, 60)), None, ())
    result = sx.train(splits, model=str(tiny("bert")), out=tmp_path / "run", method="probe", loss="mse", device="cpu")
    exported, own = sx.export_classifier(tmp_path / "run", out=tmp_path / "out", int8=True), result.predict(texts[:5])
    np.testing.assert_allclose(exported.predict(texts[:5]), own["predicted"], rtol=0, atol=1.0)
    assert len(np.unique(exported.quantised().predict(texts[:5]))) == 5


def test_an_exported_classifier_takes_columns_of_strings_as_the_estimators_do(splits, tiny, tmp_path):
    """Regression: a string got an answer for each of its letters, a frame for each of its names, a tuple as a pair."""
    sx.train(splits, model=str(tiny("bert")), out=tmp_path / "run", method="probe", pool="mean", device="cpu")
    classifier = sx.export_classifier(tmp_path / "run", out=tmp_path / "out")
    labels = classifier.predict(["the cat", None, "a dog"]).tolist()
    frame = pd.DataFrame({"body": ["the cat", None, "a dog"]})
    for texts in (frame, frame["body"], frame.to_numpy(), ["the cat", float("nan"), "a dog"]):
        assert classifier.predict(texts).tolist() == labels
    assert classifier.predict_proba([]).shape == (0, len(classifier.classes_))
    for answers in (classifier.predict, classifier.predict_proba):
        with pytest.raises(
            DataError, match=r"new texts: one string where a list of texts belongs; write it as \[text\]"
        ):
            answers("the cat")
        with pytest.raises(DataError, match=r"new texts: a text is not a string: got int in row 0"):
            answers([3])
        with pytest.raises(DataError, match=r"one column of texts is needed: got shape \(3, 3\)"):
            answers(pd.concat([frame] * 3, axis=1))
        with pytest.raises(OptionError, match="the exported model reads single texts: got pairs of texts"):
            answers([("the cat", "a dog")])


def test_a_saved_model_of_pairs_is_not_exported_as_one_of_single_texts(tiny, tmp_path):
    """Regression: only the rows that a run keeps said that they are pairs; a model alone has none."""
    texts = Texts.of(["the cat", "a dog"] * 6, ["cat", "dog"] * 6, pair=["is red", "is big"] * 6)
    result = sx.train(sx.Splits(texts, texts, None, ()), model=str(tiny("bert")), method="probe", pool="mean")
    result.model.save(tmp_path / "model")
    with pytest.raises(OptionError, match="a run of text pairs cannot be exported: its graph reads one text"):
        sx.export_classifier(tmp_path / "model", out=tmp_path / "out")


def test_what_cannot_be_exported_is_refused(splits, tiny, tmp_path, capsys):
    result = sx.train(splits, model=str(tiny("bert")), tokens=1, epochs=1, device="cpu")
    with pytest.raises(OptionError, match=r"the run is in memory alone; save it first"):
        sx.export_classifier(result, out=tmp_path / "out")
    result.save(tmp_path / "run")
    with pytest.raises(OptionError, match=r"an export is a folder: got no out"):
        sx.export_classifier(tmp_path / "run")
    steps: list[object] = []
    with pytest.raises(ModelError, match=r"a PromptModel cannot be written as ONNX: a prompt is no part"):
        sx.export_classifier(tmp_path / "run", out=tmp_path / "out", progress=lambda *step: steps.append(step))
    assert not steps  # "3 steps" were begun before it was refused
    assert not (tmp_path / "out").exists()
    with pytest.raises(StoreError, match=r"nowhere"):
        sx.export_classifier(tmp_path / "nowhere", out=tmp_path / "out")
    run, out = str(tmp_path / "run"), ["--out", str(tmp_path / "out")]
    for words, said in (
        (["export", run, "--to", "npy", *out], "holds a run: got --to npy, expected --to onnx"),
        (["export", run, "--block", "a", *out], "--block has no effect with a run"),
        (["export", str(tmp_path), "--int8", *out], "holds no run that could be written as ONNX"),
    ):
        assert main(words) == 2
        assert said in capsys.readouterr().err
