"""`load_texts` and `load_splits` over parts: what is held out of what, label kinds, notes."""

import pandas as pd
import pytest

from separatrix.errors import DataError, OptionError
from separatrix.texts import Texts, check_labels, load_splits, load_texts
from separatrix.texts.questions_answers import read_material


def csv(folder, name, labels, houses=None):
    columns = {"text": [f"{name} {row}" for row in range(len(labels))], "label": labels}
    columns |= {} if houses is None else {"house": houses}
    pd.DataFrame(columns).to_csv(folder / f"{name}.csv", index=False)


def test_a_single_table_is_split_three_ways(tmp_path):
    csv(tmp_path, "all", ["a", "b", "c", "d", "e"] * 20)
    path = tmp_path / "all.csv"
    splits = load_splits(path, seed=5)
    assert [len(part) for part in splits.parts.values()] == [72, 8, 20]
    assert sorted(row for part in splits.parts.values() for row in part.id) == list(range(100))
    assert all((splits.test.label == name).sum() == 4 for name in "abcde")
    assert splits.notes == (
        "test: 20 of 100 rows of all.csv held out (stratified by label, seed 5)",
        "validation: 8 of 80 remaining rows of all.csv held out (stratified by label, seed 5)",
    )
    again = load_splits(path, seed=5)
    assert again.test.id.tolist() == splits.test.id.tolist()
    assert again.validation.id.tolist() == splits.validation.id.tolist()
    assert load_splits(path, seed=6).test.id.tolist() != splits.test.id.tolist()


def test_without_a_test_share_only_validation_is_held_out(tmp_path):
    csv(tmp_path, "all", [0.5, 1.5] * 10)
    splits = load_splits(tmp_path / "all.csv", test=0, validation=0.25)
    assert splits.test is None
    assert list(splits.parts) == ["train", "validation"]
    assert [len(part) for part in splits.parts.values()] == [15, 5]
    assert splits.notes == ("validation: 5 of 20 rows of all.csv held out (drawn plainly, seed 0)",)


def test_parts_are_taken_as_they_are(tmp_path):
    for name, rows in [("train", 20), ("validation", 6), ("test", 4)]:
        csv(tmp_path, name, ["a", "b"] * (rows // 2))
    splits = load_splits(tmp_path)
    assert [len(part) for part in splits.parts.values()] == [20, 6, 4]
    assert splits.test.id.tolist() == [0, 1, 2, 3]
    assert splits.notes == (
        "validation: the 6 rows of validation.csv",
        "test: the 4 rows of test.csv",
    )
    whole = load_texts(tmp_path)
    assert whole.text == splits.train.text + splits.validation.text + splits.test.text
    assert whole.id.tolist() == list(range(30))
    assert whole.source == str(tmp_path)


def test_a_missing_test_part_stays_away(tmp_path):
    csv(tmp_path, "train", ["a", "b"] * 50)
    splits = load_splits(tmp_path)
    assert splits.test is None
    assert [len(part) for part in splits.parts.values()] == [90, 10]
    assert splits.notes[0].startswith("validation: 10 of 100 rows of ")
    assert splits.notes[1] == f"test: none, because {tmp_path.name} has no test part"


def test_a_split_by_group_keeps_houses_apart_and_says_where_it_cannot(tmp_path):
    houses = [f"h{row // 5}" for row in range(100)]
    csv(tmp_path, "all", ["a", "b", "a", "b", "a"] * 20, houses)
    splits = load_splits(tmp_path / "all.csv", group="house", by="group")
    sides = [set(part.group) for part in splits.parts.values()]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 20
    assert "(whole groups, seed 0)" in splits.notes[0]
    (tmp_path / "all.csv").rename(tmp_path / "train.csv")
    csv(tmp_path, "test", ["a", "b"] * 11, [*(f"h{row}" for row in range(20)), "new", "new"])
    splits = load_splits(tmp_path, group="house", by="group")
    assert 17 <= len(set(splits.train.group)) < 20
    assert f"{len(set(splits.train.group))} groups stand in both train and test" in splits.notes


def test_names_without_a_second_row_are_not_taken_for_numbers(tmp_path):
    csv(tmp_path, "all", ["entity", "number"])
    with pytest.raises(DataError, match=r"no class has two rows.*; give more rows$"):
        load_splits(tmp_path / "all.csv")


def test_plain_draws_for_integers_that_are_numbers(tmp_path):
    csv(tmp_path, "all", list(range(1900, 1950)))
    with pytest.raises(DataError, match=r"no class has two rows.*decimal point if they are numbers"):
        load_splits(tmp_path / "all.csv")
    splits = load_splits(tmp_path / "all.csv", by="rows")
    assert [len(part) for part in splits.parts.values()] == [36, 4, 10]


def test_untyped_labels_of_several_parts_are_brought_to_one_kind(tmp_path):
    csv(tmp_path, "train", ["1", "2", "x", "x"])
    csv(tmp_path, "validation", ["1", "2"])
    splits = load_splits(tmp_path)
    assert splits.validation.label.tolist() == ["1", "2"]
    csv(tmp_path, "train", [1.5, 2.5])
    assert load_splits(tmp_path).validation.kind == "floats"
    csv(tmp_path, "validation", ["a", "b"])
    with pytest.raises(DataError, match="labels of different kinds: got floats in train, names in validation"):
        load_splits(tmp_path)


def test_a_test_part_without_labels_is_refused_with_its_rows(tmp_path):
    csv(tmp_path, "train", [0, 1] * 10)
    csv(tmp_path, "test", [-1] * 7)
    with pytest.raises(
        DataError, match=r"test\.csv: 7 of 7 rows are unlabelled \(-1\).*leave a test part out with --test 0"
    ):
        load_splits(tmp_path)
    assert len(load_splits(tmp_path, label=None).test) == 7


@pytest.mark.parametrize("broken", [[-1] * 7, ["", "0"], None], ids=["secret", "missing", "no column"])
def test_a_test_share_of_0_leaves_a_test_part_unread(tmp_path, broken):
    """Regression: GLUE's secret test labels stopped every training, and `--test 0` did nothing."""
    csv(tmp_path, "train", [0, 1] * 10)
    csv(tmp_path, "validation", [0, 1])
    csv(tmp_path, "test", broken or [1])
    if broken is None:
        (tmp_path / "test.csv").write_text("text\na\n")
    splits = load_splits(tmp_path, test=0)
    assert splits.parts.keys() == {"train", "validation"}
    assert splits.notes[-1] == "test: left out, as asked"
    (tmp_path / "test.csv").unlink()
    assert load_splits(tmp_path, test=0).notes[-1] == f"test: none, because {tmp_path.name} has no test part"


def test_a_class_of_two_rows_is_left_whole(tmp_path):
    csv(tmp_path, "all", ["cat", "dog"] * 20 + ["fish", "house"] * 2)
    for seed in range(5):
        train = load_splits(tmp_path / "all.csv", seed=seed).train
        assert check_labels(train) == ()
        assert {name: train.label.tolist().count(name) for name in ("fish", "house")} == {"fish": 2, "house": 2}


def test_a_source_without_train_is_refused(tmp_path):
    csv(tmp_path, "test", ["a", "b"])
    with pytest.raises(DataError, match="has no train part: got test; to split one part, give its file"):
        load_splits(tmp_path)
    assert len(load_texts(tmp_path)) == 2


def test_bad_options_are_refused_before_anything_is_read():
    for options, match in [
        ({"validation": 0}, "validation is out of range: got 0, expected a share between"),
        ({"test": 1}, "test is out of range: got 1, expected a share from 0"),
        ({"by": "houses"}, "unknown way to split: got 'houses'"),
        ({"by": "group"}, "a split by group needs groups; name their column with --group"),
    ]:
        with pytest.raises(OptionError, match=match):
            load_splits("nothing.csv", **options)
    with pytest.raises(OptionError, match=r"a revision belongs to a hub name: got 'nothing\.csv'"):
        load_texts("nothing.csv", revision="main")
    with pytest.raises(DataError, match="cannot be read from this: got int, expected texts, a file"):
        load_texts(3)


def test_texts_that_are_read_already_are_split_as_they_are():
    texts = Texts.of(["one", "two"] * 20, ["a", "b"] * 20)
    splits = load_splits(texts, seed=1)
    assert {name: len(part) for name, part in splits.parts.items()} == {"train": 29, "validation": 3, "test": 8}
    assert load_texts(texts).text == texts.text
    assert load_texts(texts, label=None).label is None
    with pytest.raises(OptionError, match="these are read already"):
        load_splits(texts, text="question")


def test_a_mistyped_path_is_not_looked_for_on_the_hub(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="there is no file data/trek"):
        load_texts("data/trek")


def test_pandas_frames(tmp_path):
    frame = pd.DataFrame({"q": ["x", "y"] * 10, "k": ["a", "b"] * 10})
    splits = load_splits(frame, text="q", label="k")
    assert [len(part) for part in splits.parts.values()] == [14, 2, 4]
    assert load_texts(frame, text="q", label="k").source == "the data frame"


@pytest.mark.parametrize("read", [load_texts, load_splits, read_material])
@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_is_not_the_working_directory(read, name, tmp_path, monkeypatch):
    """Regression: `train "$DATA"` without such a variable read whatever lay there."""
    (tmp_path / "train.csv").write_text("text,label\na,x\nb,y\n" * 3)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="the texts have no name"):
        read(name)
