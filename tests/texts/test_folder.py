"""Folders: parts as files, class folders, and class folders in parts."""

import pytest

from separatrix.errors import DataError
from separatrix.texts import load_splits, load_texts


def fill(folder, files):
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def test_class_folders_are_read_in_sorted_order(tmp_path):
    fill(
        tmp_path, {"pos/2.txt": "good\r\n", "pos/1.txt": b"\xef\xbb\xbffine", "neg/1.txt": "bad", "pos/readme.md": "x"}
    )
    fill(tmp_path, {"unsup/1.txt": "unknown", ".cache/1.txt": "x", "empty/readme.md": "x"})
    texts = load_texts(tmp_path)
    assert texts.text == ("bad", "fine", "good\r\n")
    assert texts.label.tolist() == ["neg", "pos", "pos"]
    assert texts.id.tolist() == [0, 1, 2]
    assert load_texts(tmp_path, label=None).label is None


def test_class_folders_in_parts_as_imdb_comes(tmp_path):
    files = {f"train/{kind}/{row}.txt": f"{kind} {row}" for kind in ("pos", "neg") for row in range(20)}
    fill(tmp_path, files | {"test/pos/0.txt": "pos test", "test/neg/0.txt": "neg test", "train/unsup/1.txt": "x"})
    splits = load_splits(tmp_path)
    assert [len(part) for part in splits.parts.values()] == [36, 4, 2]
    assert splits.test.label.tolist() == ["neg", "pos"]
    assert sorted(splits.validation.label) == ["neg", "neg", "pos", "pos"]
    assert "validation: 4 of 40 rows" in splits.notes[0]


@pytest.mark.parametrize("name", ["validation", "valid", "val", "dev"])
def test_names_of_the_validation_part(tmp_path, name):
    csv = "text,label\nx,a\ny,b\n"
    fill(tmp_path, {"train.csv": csv, f"{name}.tsv": csv.replace(",", "\t"), "README.md": "x", "extra.csv": "x"})
    splits = load_splits(tmp_path)
    assert splits.validation.source == str(tmp_path / f"{name}.tsv")
    assert splits.test is None


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ({"train.csv": "text\nx", "train.jsonl": "{}"}, r"has two train parts: got train\.csv and train\.jsonl; keep"),
        ({"dev.csv": "text\nx", "val.csv": "text\nx"}, r"has two validation parts: got dev\.csv and val\.csv"),
        ({"notes.md": "x", "data.csv": "x"}, r"holds nothing usable: got data\.csv, notes\.md, expected train\.csv"),
        ({f"{i}.md": "x" for i in range(9)}, "holds nothing usable: got 0.md, .* and 4 more"),
        ({"train/data.csv": "text\nx"}, "holds nothing usable: got train"),
        ({"pos/1.txt": " \n", "neg/1.txt": "x"}, r"pos/1\.txt holds no text; fill it in or remove it"),
        ({"pos/1.txt": b"ab\xff", "neg/1.txt": "x"}, r"pos/1\.txt is not UTF-8: byte 2, line 1"),
        ({"pos/1.txt": "a\0b"}, "hold a NUL"),
    ],
)
def test_bad_folders_are_refused(tmp_path, files, match):
    with pytest.raises(DataError, match=match):
        load_texts(fill(tmp_path, files))


def test_an_empty_folder_and_wrong_columns_are_refused(tmp_path):
    with pytest.raises(DataError, match="holds nothing usable: got an empty folder"):
        load_texts(tmp_path)
    fill(tmp_path, {"pos/1.txt": "x", "neg/1.txt": "y"})
    with pytest.raises(
        DataError, match=r"no column 'kind': got columns text, label; name the column, .* --label label"
    ):
        load_texts(tmp_path, label="kind")
    with pytest.raises(DataError, match="no column 'house'"):
        load_texts(tmp_path, group="house")


def test_classes_named_like_parts_are_classes(tmp_path):
    fill(tmp_path, {"train/1.txt": "by rail", "plane/1.txt": "by air"})
    assert load_texts(tmp_path).label.tolist() == ["plane", "train"]
