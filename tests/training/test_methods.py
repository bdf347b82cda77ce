"""The verb `train` and the registry of methods."""

import json
from html import escape

import pytest

import separatrix as sx
from separatrix.errors import OptionError, StoreError
from separatrix.recipe import ProbingRecipe
from separatrix.training.methods import METHODS, TrainingMethod, build_recipe, method_of, probe
from separatrix.training.request import METHOD_NAMES
from separatrix.training.result import TrainingResult

PROBE = {"method": "probe", "device": "cpu"}


def test_train_writes_a_run_that_is_read_again(splits, tiny, tmp_path):
    result = sx.train(splits, model=str(tiny("bert")), out=tmp_path / "run", **PROBE)
    assert (tmp_path / "run" / "report.html").is_file()
    written = json.loads((tmp_path / "run" / "result.json").read_text())
    assert written == {"kind": "run"} | result.figures()
    assert result.to_dict() == result.figures() | {"out": str(tmp_path / "run")}
    again = TrainingResult.open(tmp_path / "run", device="cpu")
    assert again.figures() == result.figures()
    assert again.recipe == result.recipe
    loaded = sx.load(str(tmp_path / "run"))
    assert loaded.figures() == result.figures()
    texts = list(splits.test.text)
    assert loaded.predict(texts)["predicted"].tolist() == result.predictions["test"]["predicted"].tolist()
    assert len(loaded.predict([])) == 0
    again.save(str(tmp_path / "copy"))
    copy = sx.load(tmp_path / "copy")
    assert copy.figures() == result.figures()
    assert "<title>copy" in copy.report.read_text()
    assert repr(again) == str(again)
    for name in ("result.json", "recipe.json", "metrics.jsonl", "model.safetensors", "predictions/test.parquet"):
        assert (tmp_path / "copy" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()
    assert set(result.table["method"]) == {"probe", *result.baselines}
    assert result.verdict in str(result)
    page = result._repr_html_()
    assert page.startswith(f"<p><strong>{escape(result.verdict)}</strong></p>\n<table>")
    assert all(f"<td>{escape(line)}</td>" in page for line in (*result.warnings, *result.notes))
    assert str(loaded.model).splitlines()[0] == "kind     ProbeModel"
    assert loaded.model.to_dict()["classes"] == result.classes


def test_a_training_in_memory_is_saved_with_its_report(splits, tiny, tmp_path):
    """Regression: `report` named a file that `save` did not write."""
    result = sx.train(splits, model=str(tiny("bert")), **PROBE)
    assert result.report is None
    result.save(tmp_path / "run")
    assert sx.load(tmp_path / "run").report == tmp_path / "run" / "report.html"
    (tmp_path / "run" / "result.json").write_text("{}")
    with pytest.raises(StoreError, match=r"result\.json is truncated"):
        sx.load(tmp_path / "run")


def test_a_run_that_was_stopped_before_its_manifest_is_gone_on_with(splits, tiny, tmp_path):
    """Regression: it said "go on with --resume", and said so again when told to."""
    result = sx.train(splits, model=str(tiny("bert")), out=tmp_path / "run", **PROBE)
    manifest = tmp_path / "run" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"files": None}))
    again = sx.train(splits, model=str(tiny("bert")), out=tmp_path / "run", resume=True, **PROBE)
    assert again.scores == result.scores
    assert sx.load(tmp_path / "run").scores == result.scores


def test_train_reads_a_file_with_its_columns(splits, tiny, tmp_path):
    lines = [f"{text},{label}" for text, label in zip(splits.train.text, splits.train.label, strict=True)]
    (tmp_path / "rows.csv").write_text("\n".join(["question,kind", *lines]))
    options = {"model": str(tiny("bert")), "text": "question", "label": "kind", "test": 0.0, "validation": 0.25}
    result = sx.train(str(tmp_path / "rows.csv"), **PROBE, **options)
    assert result.rows == {"train": 81, "validation": 27}
    assert result.folder is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "probes"}, "unknown method: got 'probes', .*did you mean 'probe'"),
        ({"tokns": 3}, "unknown option: got 'tokns', .*did you mean 'tokens'"),
        ({"method": "probe", "tokens": 3}, "--tokens has no effect with --method probe"),
        ({"method": "probe", "lr": 0.1}, "--lr has no effect with --method probe; leave --lr away"),
        (  # regression: of --epochs beside --budget it was said that --budget has no effect with a method nobody named
            {"budget": "60s", "epochs": 20},
            r"--budget has no effect with --method prompt, which --epochs chooses; leave --epochs away for a race, or "
            r"type --method prompt\|align\|finetune\|peft in the place of --budget",
        ),
        ({"tokens": 3, "pairs": "batch"}, "--pairs has no effect with --method prompt, which --tokens chooses; leave"),
        ({"method": "finetune", "loss": "nca"}, "finetune has one loss, linear: got nca"),
        ({"method": "align", "k": 3, "decision": "mean"}, "--k has no effect here"),
        ({"validation": 0.2}, "unknown option of splits that are read already: got 'validation'"),
    ],
)
def test_options_that_do_nothing_are_refused(splits, options, message):
    with pytest.raises(OptionError, match=message):
        sx.train(splits, **options)


@pytest.mark.parametrize(
    ("options", "method"),
    [
        ((), "auto"),
        (("model", "seed", "device", "max_length", "budget", "label", "text", "out"), "auto"),
        (("tokens",), "prompt"),
        (("loss", "lr", "epochs"), "prompt"),
        (("seed", "refit"), "prompt"),
        (("pairs",), "align"),
        (("frozen_layers", "epochs"), "align"),
        (("pool",), "align"),
        (("decision", "budget"), "align"),  # what a race has is then refused, with what chose the method
        (("tokens", "pairs"), "prompt"),  # no method has both: the refusal names the one that is idle
    ],
)
def test_the_options_say_which_method_it_is_where_none_is_named(options, method):
    assert method_of(options) == method


def test_a_recipe_says_which_method_it_is_of():
    for name in ("auto", "prompt", "align", "probe", "peft"):
        assert method_of(["model"], METHODS[name].recipe) == name


def test_scripts_of_before_still_train_a_prompt_and_a_note_says_so(splits, tiny):
    options = {"model": str(tiny("gpt2")), "device": "cpu", "tokens": 1, "epochs": 1, "snapshots": 0}
    result = sx.train(splits, **options)
    assert result.method == "prompt"
    note = (
        "method prompt, which has the options that were given (--tokens --epochs --snapshots); --method names another, "
        "and without them the methods are raced (auto)"
    )
    assert result.notes.count(note) == 1
    assert note not in sx.train(splits, method="prompt", **options).notes
    raced = sx.train(splits, model=str(tiny("gpt2")), device="cpu", candidates="probe")
    assert (raced.race["winner"], raced.method) == ("probe", "probe")
    assert note not in raced.notes


def test_an_entry_is_a_method_at_once(splits, tiny):
    """A user's own: a probe of one pooling, by another name."""
    METHODS["mean_probe"] = TrainingMethod(sx.recipe.replace(ProbingRecipe(), pool="mean"), probe.train, probe.idle)
    try:
        assert "mean_probe" in METHOD_NAMES
        assert build_recipe("mean_probe", {"seed": 3}).probe.pool == "mean"
        result = sx.train(splits, method="mean_probe", model=str(tiny("bert")), device="cpu")
    finally:
        del METHODS["mean_probe"]
    assert result.method == "mean_probe"
    assert result.chosen["mean_probe"]["pool"] == "mean"


@pytest.mark.parametrize("pool", ["best", "mean"])
def test_of_many_rows_one_pooling_is_held(pool, splits, tiny, monkeypatch):
    """It is chosen on a sample; where it is named, the probe is that of few rows."""
    monkeypatch.setattr(probe, "MANY_TEXTS", 60)
    monkeypatch.setattr(probe, "POOL_TEXTS", 50)
    large = sx.train(splits, model=str(tiny("bert")), pool=pool, **PROBE)
    assert large.chosen["probe"]["pool_candidates"] == (1 if pool == "mean" else 5)
    assert {one["pool"] for one in large.chosen.values()} == {large.chosen["probe"]["pool"]}
    rule = "the pooling is the best on 50 of them, and " if pool == "best" else ""
    assert f"train: more than 60 rows: {rule}baselines have the probe's pooling" in large.notes
    monkeypatch.undo()
    if pool == "mean":
        assert sx.train(splits, model=str(tiny("bert")), pool=pool, **PROBE).scores["test"] == large.scores["test"]
