"""The verb `extract`: points with their rows, nothing computed twice, and `kill -9` leaves something to go on with."""

import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import transformers as hf

from separatrix.errors import DataError, ModelError, OptionError, StoreError
from separatrix.extraction import extract as verb
from separatrix.extraction import workers
from separatrix.extraction.extract import Destination, extract, run_extraction
from separatrix.extraction.readers import frozen_model
from separatrix.extraction.windows import Rows, read_rows
from separatrix.models.backbone import Backbone
from separatrix.models.load import load_backbone
from separatrix.recipe import ModelRecipe
from separatrix.recipe.vectors import ExtractRecipe
from separatrix.scale.executors import Workers
from separatrix.store.points import open_points
from separatrix.texts import Texts
from separatrix.training.run import run_training
from served import run_served


@pytest.fixture
def model(tiny):
    return str(tiny("bert"))


@pytest.fixture
def small_windows(monkeypatch):
    monkeypatch.setattr(verb, "WINDOW_ROWS", 50)


@pytest.fixture
def texts(planted):
    return Texts.of(*planted, group=[f"g{row % 7}" for row in range(len(planted[0]))])


@pytest.fixture
def calls(monkeypatch):
    """Rows of every forward."""
    seen, run = [], Backbone.run

    def counted(self, **named):
        seen.append(len(named["ids"]))
        return run(self, **named)

    monkeypatch.setattr(Backbone, "run", counted)
    monkeypatch.setattr("separatrix.models.load.checked", lambda backbone: backbone)  # its short texts do not count
    return seen


def files(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_points_in_memory_and_on_disk_are_the_same(model, texts, tmp_path, small_windows):
    kept = extract(texts, model=model, pool=("mean", "cls"), layers=(0, 2))
    assert sorted(kept.blocks) == ["cls@0", "cls@2", "mean@0", "mean@2"]
    assert list(kept.table.columns) == ["id", "text_hash", "text", "label", "group"]
    assert kept.column("text").tolist() == list(texts.text)
    assert kept.column("label").tolist() == texts.label.tolist()
    exact = extract(texts, model=model, pool=("mean", "cls"), layers=(0, 2), out=tmp_path / "p", store_dtype="float32")
    for name, values in kept.blocks.items():
        np.testing.assert_array_equal(exact.blocks[name][:], values)
    pd.testing.assert_frame_equal(exact.table, kept.table)
    assert len(list((tmp_path / "p/blocks/mean@2").iterdir())) == 4
    how = json.loads((tmp_path / "p/manifest.json").read_text())["blocks"]["mean@2"]["how"]
    assert how == {"pool": "mean", "layer": 2}
    weights = load_backbone(ModelRecipe(model=model, device="cpu")).source.weights
    assert (kept.origin["weights"], exact.origin["weights"]) == (weights, weights)
    assert exact.origin["model"] == "bert"


def test_vectors_do_not_depend_on_the_windows(model, texts, monkeypatch):
    whole = extract(texts, model=model).values
    for rows in (1, 7):
        monkeypatch.setattr(verb, "WINDOW_ROWS", rows)
        np.testing.assert_allclose(extract(texts.take(range(20)), model=model).values, whole[:20], rtol=0, atol=5e-5)
    monkeypatch.setattr(verb, "WINDOW_BYTES", 1)
    assert extract(texts.take([3]), model=model).values.shape == (1, 32)


def test_the_same_request_loads_and_another_layer_is_added(model, texts, tmp_path, calls, small_windows):
    out = tmp_path / "p"
    first = extract(texts, model=model, pool=("mean", "layer_mean"), out=out)
    assert sum(calls) == len(texts)
    before = files(out)
    calls.clear()
    again = extract(texts, model=model, pool="mean", out=out)
    assert calls == []
    assert list(again.blocks) == ["mean"]
    np.testing.assert_array_equal(again.values, first.blocks["mean"][:])
    assert files(out) == before
    # Another layer: run once more, only the new block is written.
    both = extract(texts, model=model, pool=("mean", "cls"), layers=(1,), out=out)
    assert sum(calls) == len(texts)
    assert list(both.blocks) == ["mean@1", "cls@1"]
    after = files(out)
    assert {name for name in before if after[name] != before[name]} == {"manifest.json"}
    assert sorted(open_points(out, verify=True).blocks) == ["cls@1", "layer_mean", "mean", "mean@1"]
    alone = extract(texts, model=model, pool=("mean", "cls"), layers=(1,), out=tmp_path / "q")
    for name in both.blocks:
        np.testing.assert_array_equal(both.blocks[name][:], alone.blocks[name][:])


def test_the_figures_say_what_was_done(model, texts, tmp_path, small_windows):
    def run(pool):
        material = frozen_model(model, verb.recipes.replace(verb.ExtractRecipe(), pool=pool, max_length=6))
        return run_extraction(material, read_rows(texts), Destination(tmp_path / "p"))

    first, second = run("mean"), run("mean")
    cut = sum(len(text.split()) > 4 for text in texts.text)
    assert (first.rows, first.width, first.blocks, first.computed, first.cut) == (180, 32, {"mean": 32}, 180, cut)
    assert (second.computed, second.cut, second.writing_seconds) == (0, cut, 0)
    assert (
        first.bytes
        == second.bytes
        == sum(
            path.stat().st_size
            for path in (tmp_path / "p").rglob("*")
            if path.name != "manifest.json" and path.is_file()
        )
    )
    assert 0 < first.writing_seconds < first.seconds


@pytest.mark.usefixtures("small_windows")
def test_another_request_is_refused_and_nothing_changes(model, tiny, texts, tmp_path, calls):
    out = tmp_path / "p"
    extract(texts, model=model, out=out)
    before = files(out)
    calls.clear()
    changed = Texts.of(["the bird", *texts.text[1:]], texts.label, texts.group)
    relabelled = Texts.of(texts.text, ["cat", *texts.label[1:]][::-1], texts.group)
    for other, message in (
        (lambda: extract(changed, model=model, out=out), r"holds other rows \(shard 0, which begins here with id 0\)"),
        (lambda: extract(relabelled, model=model, out=out), "holds other rows"),
        (
            lambda: extract(texts.take(range(50)), model=model, out=out),
            "holds more rows than were given now: got 4 shards",
        ),
        (lambda: extract(texts, model=str(tiny("electra")), out=out), "holds points of another request"),
        (lambda: extract(texts, model=model, out=out, max_length=8), "holds points of another request"),
        (lambda: extract(texts, model=model, out=out, store_dtype="int8"), "holds points of another request"),
        (lambda: extract(texts, model=model, out=out, engine="onnx-int8"), "holds points of another request"),
    ):
        with pytest.raises(StoreError, match=message):
            other()
    assert calls == []
    assert files(out) == before
    more = Texts.of([*texts.text, "a"] * 2, [*texts.label, "cat"] * 2, [*texts.group, "g0"] * 2)
    with pytest.raises(StoreError, match="holds other rows"):
        extract(more, model=model, out=out)
    assert open_points(out, verify=True).values.shape == (180, 32)
    extract(texts, model=str(tiny("electra")), out=out, overwrite=True)
    assert open_points(out).origin["model"] == "electra"


def test_parts_become_the_column_split(model, splits, tmp_path):
    points = extract(splits, model=model, out=tmp_path / "p")
    assert points.column("split").tolist() == ["train"] * 108 + ["validation"] * 36 + ["test"] * 36
    assert len(set(points.column("id").tolist())) == 180
    for name, part in splits.parts.items():
        frame = pd.DataFrame({"text": part.text, "label": part.label})
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    read = read_rows(tmp_path)
    frame = pd.concat(read.windows(1000), ignore_index=True)
    assert (len(read), frame["id"].tolist()) == (180, list(range(180)))
    assert frame["split"].tolist() == points.column("split").tolist()
    assert frame["label"].tolist() == points.column("label").tolist()
    assert [len(some) for some in read.windows(100)] == [100, 8, 36, 36]


def test_a_stream_is_read_window_by_window(model, texts, tmp_path, small_windows):
    taken = []

    def stream():
        for text in texts.text:
            taken.append(text)
            yield text

    frames = Rows(stream=stream()).windows(50)
    assert next(frames)["id"].tolist() == list(range(50))
    assert len(taken) == 50
    streamed = extract(stream(), model=model, out=tmp_path / "p")
    np.testing.assert_array_equal(streamed.values, extract(list(texts.text), model=model, out=tmp_path / "q").values)
    assert extract(iter(texts.text), model=model, out=tmp_path / "p").values.shape == (180, 32)


def test_tokens_are_rows_with_their_text_and_place(model, texts, tmp_path, small_windows):
    points = extract(texts, model=model, what="tokens", layers=(3,), out=tmp_path / "p")
    table = points.table
    assert list(table.columns) == ["id", "index", "token", "text_hash", "label", "group"]
    first = table[table["id"] == 57]
    assert first["token"].tolist() == ["<bos>", *texts.text[57].split(), "<eos>"]
    assert first["index"].tolist() == list(range(len(first)))
    means = pd.DataFrame(points.values).groupby(table["id"]).mean().to_numpy()
    np.testing.assert_allclose(means, extract(texts, model=model, pool="mean").values, rtol=0, atol=2e-3)


def test_logits_and_their_tokens(tiny, texts, tmp_path):
    model = str(tiny("gpt2"))
    whole = extract(texts, model=model, what="logits").values
    top = extract(texts, model=model, what="logits", top=2, out=tmp_path / "p")
    assert sorted(top.blocks) == ["logits_top", "logits_top_ids"]
    np.testing.assert_array_equal(top.blocks["logits_top_ids"][:][:, 0], whole.argmax(axis=1))


def test_a_model_without_a_head_gives_no_logits(tiny, texts, tmp_path):
    folder = tmp_path / "headless"
    hf.AutoModel.from_pretrained(tiny("bert")).save_pretrained(folder)
    hf.AutoTokenizer.from_pretrained(tiny("bert")).save_pretrained(folder)
    with pytest.raises(ModelError, match="has no language-model head that can be used; type --what hidden"):
        extract(texts, model=str(folder), what="logits", out=tmp_path / "p")
    assert not (tmp_path / "p").exists()
    assert extract(texts.take([0]), model=str(folder)).values.shape == (1, 32)


@pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")
def test_outputs_of_a_trained_prompt(make_order, splits, tmp_path, monkeypatch):
    run, trained = tmp_path / "run", run_training(make_order(tmp_path / "run", family="gpt2"))
    outputs = trained.model.run(splits.test.text).outputs
    points = extract(splits.test, run=run, out=tmp_path / "p", store_dtype="float32")
    np.testing.assert_allclose(points.values, outputs, rtol=0, atol=5e-5)
    assert points.column("predicted").tolist() == trained.model.answer(splits.test.text).labels.tolist()
    assert json.loads((tmp_path / "p/manifest.json").read_text())["blocks"]["prompt"]["how"]["decides"] is True
    logits = extract(splits.test, run=run, what="logits")
    assert logits.blocks["prompt_logits"].shape == (36, len(trained.model.backbone.tokenizer))
    assert logits.column("predicted").tolist() == points.column("predicted").tolist()
    monkeypatch.setattr(workers, "open_workers", lambda _: nullcontext(Workers(2, lambda: ThreadPoolExecutor(2))))
    extract(splits.test, run=run, out=tmp_path / "q", store_dtype="float32", executor="processes:2")
    assert files(tmp_path / "q") == files(tmp_path / "p")
    for options, message in (
        ({"what": "tokens"}, "--run reads prompts: got --what tokens"),
        ({"pool": "cls"}, "--pool and --layers have no effect with --run"),
    ):
        with pytest.raises(OptionError, match=message):
            extract(splits.test, run=run, **options)
    probe = tmp_path / "probe"
    run_training(make_order(probe, method="probe"))
    with pytest.raises(OptionError, match="probe trained no prompt"):
        extract(splits.test, run=probe)


def test_mistakes_are_named(model, loaded, texts, tmp_path, monkeypatch):
    for options, message in (
        ({"layers": (4,)}, r"does not have: got 4, expected 0 \(embeddings\) to 3"),
        ({"poll": "cls"}, "unknown option: got 'poll'.*did you mean 'pool'"),
    ):
        with pytest.raises(OptionError, match=message):
            extract(texts, model=model, out=tmp_path / "p", **options)
    with pytest.raises(OptionError, match="either a model or a run is read: got both"):
        extract(texts, model=model, run=tmp_path)
    with pytest.raises(OptionError, match=r"extract: too many positional arguments; write extract\(data, model=..., "):
        extract(model, texts)
    with pytest.raises(OptionError, match="a loaded model cannot be loaded otherwise"):
        extract(texts, model=loaded("bert"), max_length=5)
    assert extract(texts.take([1]), model=loaded("bert")).values.shape == (1, 32)
    with pytest.raises(DataError, match="there are no rows to read"):
        extract(iter([]), model=model)
    monkeypatch.setattr(verb, "WINDOW_ROWS", 50)
    comma = loaded("bert").tokenizer.convert_tokens_to_ids(",")
    monkeypatch.setattr(Backbone, "run", broken(Backbone.run, comma))
    spoilt = [*texts.text[:77], "a bird , a fish", *texts.text[78:]]
    for out in (None, tmp_path / "p"):
        with pytest.raises(DataError, match="'mean' holds NaN or infinity in the row with id 77"):
            extract(spoilt, model=loaded("bert"), pool="mean", out=out)
    # What was whole before the mistake is kept, to go on with; nothing that looks finished is left.
    with pytest.raises(StoreError, match="holds no finished points"):
        open_points(tmp_path / "p")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}},
            "contains custom code.*add --trust-remote-code",
        ),
        ({"num_hidden_layers": 10**6}, "asks for more than its weights hold .num_hidden_layers."),
        (
            {"model_type": "resnet", "num_hidden_layers": None},
            "resnet models have no layers that read texts: expected a language model",
        ),
    ],
)
def test_a_config_that_cannot_be_used_is_one_sentence_for_every_verb(tiny, texts, tmp_path, change, message):
    """The config is read before the model is loaded, to plan the blocks: with the same refusal."""
    folder = shutil.copytree(tiny("bert"), tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    (folder / "own.py").write_text("raise SystemExit('the code was run')")
    for run in (lambda: extract(texts, model=str(folder)), lambda: load_backbone(ModelRecipe(model=str(folder)))):
        with pytest.raises(ModelError, match=message):
            run()


def broken(run, comma):
    """A model to which a comma is not a number."""

    def spoilt(self, **named):
        states = run(self, **named)
        for state in states:
            state[(named["ids"] == comma).any(dim=1)] = float("nan")
        return states

    return spoilt


def test_a_text_without_a_token_is_named(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(verb, "WINDOW_ROWS", 2)
    monkeypatch.setattr(
        Backbone,
        "tokenize",
        lambda self, texts, tokenize=Backbone.tokenize: tokenize(self, [t.strip("\t_") for t in texts]),
    )
    with pytest.raises(DataError, match="among the texts with ids 2 to 3, row 1: the tokenizer finds no token"):
        extract(["a", "cat", "dog", "_", "bird"], model=str(tiny("gpt2")), out=tmp_path / "p")


HOST = """
import os, signal, sys
from pathlib import Path
os.environ["TOKENIZERS_PARALLELISM"] = "false"
import pyarrow.parquet, torch
import transformers.models.bert.modeling_bert
from separatrix.store.writer import PointsWriter
from separatrix.extraction import extract as verb

torch.set_num_threads(1)
verb.WINDOW_ROWS = 4
os.fsync = lambda _: None
model, root = sys.argv[1], Path(sys.argv[2])
words = "the a fish tree house river red blue green old".split()
texts = [" ".join(words[: 1 + (7 * n) % 10]) for n in range(22)]

def run(folder, pools):
    verb.extract(texts, model=model, pool=pools, layers=(1, 2), out=folder, device="cpu")

def killed(folder, pools, at):
    child = os.fork()
    if not child:
        add, left = PointsWriter.add, [at]
        def armed(self, *places, **named):
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            add(self, *places, **named)
        PointsWriter.add = armed
        run(folder, pools)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)

def again(folder, pools):
    child = os.fork()
    if not child:
        run(folder, pools)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0

# What is loaded by the first use, once for all children; its tokenizer starts no thread.
verb.extract(texts[:1], model=model, pool=("cls",), device="cpu")
again(root / "whole", ("cls", "mean"))
for at in (0, 1, 3, 5):
    assert killed(root / str(at), ("cls", "mean"), at)
    again(root / str(at), ("cls", "mean"))
# Another request in between, killed as well; then the first one, and the rest.
assert killed(root / "mixed", ("mean",), 4)
assert killed(root / "mixed", ("cls", "mean"), 2)
again(root / "mixed", ("cls",))
again(root / "mixed", ("cls", "mean"))
print("done")
"""


def test_killed_and_gone_on_with_ends_with_the_same_bytes(model, tmp_path):
    assert run_served(HOST, [model, tmp_path], tmp_path / "printed").endswith("done\n")
    whole = files(tmp_path / "whole")
    assert len(whole) == 2 + 4 * 6  # manifest, table, six shards of each block, the last one of two rows
    for name in ("0", "1", "3", "5", "mixed"):
        assert files(tmp_path / name) == whole, name


@pytest.fixture
def bfloat16(monkeypatch):
    """A processor with the instructions for bfloat16, and texts that keep their vectors in it."""
    monkeypatch.setattr("separatrix.models.precision.computes_bfloat16", lambda _: True)
    monkeypatch.setattr("separatrix.models.precision.LEAST_COSINE", 0.9)
    monkeypatch.setattr("separatrix.models.precision.LEAST_KEPT", 0.0)


def no_bfloat16(monkeypatch):
    monkeypatch.setattr("separatrix.models.precision.computes_bfloat16", lambda _: False)


def test_auto_takes_bfloat16_and_says_why(model, texts, tmp_path, bfloat16):
    points = extract(texts, model=model, dtype="auto", store_dtype="float32", out=tmp_path / "p")
    assert points.origin["dtype"] == "bfloat16"
    assert points.origin["number_format"].startswith("bfloat16: of 64 texts read in both formats")
    typed = extract(texts, model=model, dtype="bfloat16")
    np.testing.assert_array_equal(points.values, typed.values)


@pytest.mark.parametrize("what", [{"what": "tokens"}, {"what": "logits"}, {"what": "logits", "top": 3}])
def test_auto_is_checked_by_what_is_read(tiny, texts, bfloat16, what):
    points = extract(texts.take(range(20)), model=str(tiny("gpt2")), dtype="auto", **what)
    assert points.origin["number_format"].startswith("bfloat16: of 20 texts")


def test_auto_without_the_instructions_gives_the_store_of_float32(model, texts, tmp_path, monkeypatch):
    no_bfloat16(monkeypatch)
    points = extract(texts, model=model, dtype="auto", out=tmp_path / "p")
    assert points.origin["number_format"] == "float32: the processor has no instructions for bfloat16"
    extract(texts, model=model, out=tmp_path / "typed")
    written, typed = files(tmp_path / "p"), files(tmp_path / "typed")
    assert {name for name in typed if written[name] != typed[name]} == {"manifest.json"}
    assert extract(texts, model=model, out=tmp_path / "p").origin == points.origin


def test_a_finished_store_is_gone_on_with_in_its_format_and_checked_no_more(
    model, texts, tmp_path, bfloat16, monkeypatch
):
    first = extract(texts, model=model, dtype="auto", pool="mean", out=tmp_path / "p")
    no_bfloat16(monkeypatch)
    more = extract(texts, model=model, dtype="auto", pool=("mean", "cls"), out=tmp_path / "p")
    assert more.origin == first.origin
    want = extract(texts, model=model, dtype="bfloat16", pool="cls", out=tmp_path / "cls")
    np.testing.assert_array_equal(more.blocks["cls"][:], want.blocks["cls"][:])


def test_a_store_begun_in_one_format_never_takes_vectors_of_another(
    model, texts, tmp_path, bfloat16, small_windows, monkeypatch
):
    recipe = ExtractRecipe(ModelRecipe(model, dtype="auto", device="cpu"))
    place, rows = Destination(tmp_path / "p"), read_rows(texts)
    material = verb.vector_source(model, recipe, rows, place)
    with pytest.raises(KeyboardInterrupt, match="stopped"):
        run_extraction(material, Broken(((None, texts),)), place)
    no_bfloat16(monkeypatch)
    with pytest.raises(StoreError, match="holds points of another request"):
        extract(texts, model=model, dtype="float32", device="cpu", out=tmp_path / "p")
    points = extract(texts, model=model, dtype="auto", device="cpu", out=tmp_path / "p")
    assert points.origin["number_format"] == "bfloat16: the store was begun in it"
    whole = extract(texts, model=model, dtype="bfloat16", device="cpu", out=tmp_path / "whole")
    np.testing.assert_array_equal(points.values, whole.values)
    fresh = extract(texts, model=model, dtype="auto", device="cpu", out=tmp_path / "p", overwrite=True)
    assert fresh.origin["dtype"] == "float32"


@dataclass(frozen=True)
class Broken(Rows):
    """Rows that end with a kill after the second window."""

    def windows(self, size):
        yield from list(super().windows(size))[:2]
        raise KeyboardInterrupt("stopped")


def test_auto_needs_texts_that_stay_and_vectors_of_the_usual_engine(model):
    with pytest.raises(OptionError, match="texts that can be read twice"):
        extract(iter(["a text"]), model=model, dtype="auto")
    for options in ({"what": "attention"}, {"engine": "onnx-int8"}):
        with pytest.raises(OptionError, match="--dtype auto has no effect with"):
            extract(["a text"], model=model, dtype="auto", **options)
