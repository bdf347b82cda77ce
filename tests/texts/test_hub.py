"""Objects of the `datasets` library, and hub names with the fetching replaced: no network is needed."""

import subprocess
import sys

import pytest

from separatrix.errors import DataError, MissingExtra, OptionError, SeparatrixWarning
from separatrix.texts import load_splits, load_texts

datasets = pytest.importorskip("datasets", reason="the datasets library is an extra")


def data(rows=20, labels=None):
    feature = datasets.ClassLabel(names=["neg", "pos"])
    kinds = datasets.Features({"text": datasets.Value("string"), "label": feature, "n": datasets.Value("int64")})
    labels = [row % 2 for row in range(rows)] if labels is None else labels
    return datasets.Dataset.from_dict(
        {"text": [f"t{row}" for row in range(rows)], "label": labels, "n": list(range(rows))}, features=kinds
    )


def test_class_numbers_become_names():
    texts = load_texts(data(4))
    assert texts.text == ("t0", "t1", "t2", "t3")
    assert texts.label.tolist() == ["neg", "pos", "neg", "pos"]
    assert load_texts(data(2), label="n", group="label").group.tolist() == ["neg", "pos"]
    assert load_texts(data(3).with_format("numpy"), label="n").label.tolist() == [0, 1, 2]


def test_parts_of_a_dataset_dict():
    both = datasets.DatasetDict({"test": data(4), "train": data(40), "unsupervised": data(2)})
    splits = load_splits(both)
    assert [len(part) for part in splits.parts.values()] == [36, 4, 4]
    assert splits.notes[-1] == "left out: unsupervised"
    assert len(load_texts(both)) == 44


def test_secret_labels_are_refused_unless_their_part_is_left_out():
    both = datasets.DatasetDict({"train": data(40), "test": data(3, labels=[-1, -1, -1])})
    with pytest.raises(DataError, match=r"\(test\): 3 of 3 rows are unlabelled \(-1\)"):
        load_splits(both)
    left = load_splits(both, test=0)
    assert left.parts.keys() == {"train", "validation"}
    assert left.notes[-1] == "test: left out, as asked"
    with pytest.raises(DataError, match="1 of 3 rows have no label: got row 1"):
        load_texts(data(3, labels=[0, None, 1]))


def test_wrong_parts_and_columns_are_refused():
    with pytest.raises(DataError, match="no column 'txt': got columns text, label, n"):
        load_texts(data(2), text="txt")
    with pytest.raises(DataError, match="has two validation parts: got dev and validation"):
        load_texts(datasets.DatasetDict({"dev": data(2), "validation": data(2)}))
    with pytest.raises(DataError, match="no part that is known: got other, expected one of train"):
        load_texts(datasets.DatasetDict({"other": data(2)}))
    with pytest.raises(DataError, match="cannot be read from this: got IterableDataset"):
        load_texts(data(2).to_iterable_dataset())


def test_hub_names_are_fetched_by_the_library(monkeypatch):
    asked = []

    def fetch(path, name=None, *, revision=None):
        asked.append((path, name, revision))
        return datasets.DatasetDict({"train": data(20)})

    monkeypatch.setattr(datasets, "load_dataset", fetch)
    assert load_texts("owner/name").source == "owner/name (train)"
    load_texts("owner/name:small", revision="v2")
    load_splits("owner/name:small@v2")
    assert asked == [("owner/name", None, None), ("owner/name", "small", "v2"), ("owner/name", "small", "v2")]
    with pytest.raises(OptionError, match="the revision is given twice: got v1 and v2"):
        load_texts("owner/name@v1", revision="v2")


def test_what_cannot_be_fetched_is_one_sentence(monkeypatch):
    def fetch(path, name=None, *, revision=None):
        raise ConnectionError("no route\nmore lines")

    monkeypatch.setattr(datasets, "load_dataset", fetch)
    with pytest.raises(
        DataError, match="owner/name is no file here and cannot be loaded from the hub: got no route more lines;"
    ):
        load_texts("owner/name")


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtra, match=r"hub names need the datasets library; pip install 'separatrix\[hub\]'"):
        load_texts("owner/name")


def test_importing_the_room_is_cheap():
    heavy = {"pandas", "pyarrow", "datasets", "sklearn", "torch"}
    code = f"import sys, separatrix.texts; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# Folders of `save_to_disk`.


def test_saved_data_sets_are_read(tmp_path):
    data(4).save_to_disk(tmp_path / "one")
    assert load_texts(tmp_path / "one").label.tolist() == ["neg", "pos", "neg", "pos"]
    datasets.DatasetDict({"train": data(40), "test": data(4)}).save_to_disk(tmp_path / "both")
    assert [len(part) for part in load_splits(tmp_path / "both").parts.values()] == [36, 4, 4]
    data(4, labels=[0, -1, 1, -1]).save_to_disk(tmp_path / "secret")
    with pytest.warns(SeparatrixWarning, match="2 of 4 rows without a label are left out: rows 1, 3"):
        assert load_texts(tmp_path / "secret", drop_unlabelled=True).label.tolist() == ["neg", "pos"]


def test_damaged_saved_data_sets_are_refused(tmp_path):
    data(4).save_to_disk(tmp_path)
    state, arrow = tmp_path / "state.json", next(tmp_path.glob("*.arrow"))
    whole = state.read_text()
    for name in ("../x.arrow", "/etc/passwd"):
        state.write_text(whole.replace(arrow.name, name))
        with pytest.raises(DataError, match=r"state\.json names a file outside its folder"):
            load_texts(tmp_path)
    for content in ("", "null", "[]", "[" * 100_000, '{"_data_files": [3]}'):
        state.write_text(content)
        with pytest.raises(DataError, match=r"state\.json is damaged"):
            load_texts(tmp_path)
    state.write_text(whole)
    arrow.write_bytes(arrow.read_bytes()[:-200])
    with pytest.raises(DataError, match="cannot be loaded as a saved data set"):
        load_texts(tmp_path)
