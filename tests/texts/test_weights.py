"""Weights of rows and classes: what is read, what is refused, what they become."""

import numpy as np
import pytest

from separatrix.errors import DataError, OptionError, SeparatrixWarning
from separatrix.texts import Splits, Texts, load_splits, load_texts
from separatrix.texts.weights import class_weights, weigh, weighing, weights_of


def write(folder, *lines, name="a.csv"):
    path = folder / name
    path.write_text("\n".join(("text,label,w", *lines)) + "\n", encoding="utf-8")
    return path


def test_a_column_of_weights_stays_with_its_rows(tmp_path):
    path = write(tmp_path, "one,a,2", "two,b,0.5", "three,a,0")
    texts = load_texts(path, weight="w")
    assert texts.weight.tolist() == [2, 0.5, 0]
    assert texts.take([2, 0]).weight.tolist() == [0, 2]
    assert texts.join(Texts.of(["four"], ["b"])).weight.tolist() == [2, 0.5, 0, 1]
    assert weighing(texts).text == ("one", "two")
    assert texts.to_frame()["weight"].tolist() == [2, 0.5, 0]


@pytest.mark.parametrize("cell", ["-1", "inf", "x", "1e999"])
def test_a_weight_that_cannot_be_used_is_named_with_file_and_row(tmp_path, cell):
    path = write(tmp_path, "one,a,1", f"two,b,{cell}")
    with pytest.raises(DataError, match=rf"a\.csv: the weight in row 1 .*cannot be used: got '{cell}'"):
        load_texts(path, weight="w")


def test_a_weight_that_is_missing_and_a_column_that_is_not_there(tmp_path):
    path = write(tmp_path, "one,a,1", "two,b,")
    with pytest.raises(DataError, match=r"1 of 2 rows have no weight: got row 1"):
        load_texts(path, weight="w")
    with pytest.raises(DataError, match=r"no column 'W'.*did you mean --weight w\?"):
        load_texts(path, weight="W")
    with pytest.raises(DataError, match="--text and --weight name the same column"):
        load_texts(path, text="w", weight="w")


def test_unlabelled_rows_need_no_weight(tmp_path):
    path = write(tmp_path, "one,a,3", "two,,", "three,b,1")
    with pytest.warns(SeparatrixWarning, match="1 of 3 row without a label is left out"):
        assert load_texts(path, weight="w", drop_unlabelled=True).weight.tolist() == [3, 1]


def test_a_test_part_needs_no_weights(tmp_path):
    for part in ("train", "validation"):
        write(tmp_path, "one,a,2", "two,b,1", name=f"{part}.csv")
    (tmp_path / "test.csv").write_text("text,label\nthree,a\n", encoding="utf-8")
    splits = load_splits(tmp_path, weight="w")
    assert splits.validation.weight.tolist() == [2, 1]
    assert splits.test.weight is None


def test_balanced_classes_weigh_alike_with_the_weights_of_their_rows():
    texts = Texts.of(["a", "b", "c", "d"], ["x", "x", "x", "y"], weight=[1, 2, 3, 2])
    by_class = class_weights(texts, texts.weight, ("balanced",))
    totals = {label: by_class[label] * texts.weight[texts.label == label].sum() for label in ("x", "y")}
    assert totals["x"] == pytest.approx(totals["y"]) == pytest.approx(4)


def test_balanced_is_that_of_scikit_learn():
    from sklearn.utils.class_weight import compute_class_weight

    labels = np.array(["a"] * 5 + ["b"] * 2 + ["c"], dtype=object)
    texts = Texts.of([f"t{row}" for row in range(8)], labels)
    theirs = compute_class_weight("balanced", classes=np.array(["a", "b", "c"]), y=labels)
    assert list(class_weights(texts, np.ones(8), ("balanced",)).values()) == pytest.approx(list(theirs))


@pytest.mark.parametrize(
    ("entry", "match"),
    [
        ("x", "cannot be this: got 'x', expected balanced alone, class=weight"),
        ("cat=0", "of 'cat' is out of range: got '0'"),
        ("cat=nan", "of 'cat' is out of range"),
        ("cats=2", "names a class that is not there: got 'cats', expected one of cat, dog; did you mean 'cat'"),
    ],
)
def test_a_wrong_class_weight_is_refused(entry, match):
    texts = Texts.of(["a", "b"], ["cat", "dog"])
    with pytest.raises((DataError, OptionError), match=match):
        class_weights(texts, np.ones(2), (entry,))


def test_rows_of_weight_0_are_left_out_of_training_alone():
    texts = Texts.of(["a", "b", "c", "d"], ["x", "x", "y", "y"], weight=[0, 1, 2, 1])
    splits = weigh(Splits(texts, texts, texts, ()), ("x=3",))
    assert splits.train.text == ("b", "c", "d")
    assert splits.train.weight.tolist() == [1.5, 1, 0.5]  # 3, 2 and 1, divided by their mean
    assert splits.validation.weight.tolist() == [0, 1.5, 1, 0.5]
    assert splits.test is texts
    assert any("1 rows of weight 0 are not learnt from" in note for note in splits.notes)


@pytest.mark.parametrize("class_weight", [None, ("balanced",), ("x=1e-200", "y=3e-200")])
@pytest.mark.parametrize("scale", [1e-160, 1e-6, 1e307])
def test_only_the_ratios_of_weights_count(scale, class_weight):
    """Validation rows that have none weigh what the average training row does, in a second training too."""
    plain = Texts.of(["a", "b", "c", "d"], ["x", "x", "y", "y"], weight=[0.5, 1.5, 2, 0])
    scaled = Texts.of(plain.text, plain.label, weight=scale * plain.weight)
    held = Texts.of(["e", "f"], ["x", "y"])
    one, other = (weigh(Splits(train, held, None, ()), class_weight) for train in (plain, scaled))
    for part in ("train", "validation"):
        np.testing.assert_allclose(one.parts[part].weight, other.parts[part].weight)
    assert other.train.weight.mean() == pytest.approx(1)
    if class_weight is None:
        assert other.validation.weight.tolist() == [1, 1]


def test_weights_of_the_mean_1_stay_to_the_last_digit():
    texts = Texts.of(["a", "b", "c"], ["x", "x", "y"], weight=[0.3, 0.7, 2.0])
    assert weigh(Splits(texts, texts, None, ()), None).train.weight.tolist() == [0.3, 0.7, 2.0]


def test_weights_that_a_sum_cannot_hold_together_are_refused_with_their_file():
    texts = Texts.of(["a", "b"], ["x", "y"], weight=[1e-300, 1e300], source="q.csv")
    with pytest.raises(DataError, match=r"q\.csv: weights of rows are too far apart: got 1e-300 to 1e\+300"):
        weigh(Splits(texts, texts, None, ()), None)
    even = Texts.of(["a", "b"], ["x", "y"])
    for weights in (("x=1e300", "y=1e-300"), ("x=1e308",)):
        with pytest.raises(DataError, match="weights of rows are too far apart"):
            weights_of(even, weights)


def test_a_class_without_any_weight_is_refused():
    texts = Texts.of(["a", "b", "c", "d"], ["x", "x", "y", "y"], weight=[0, 0, 2, 1], source="q.csv")
    with pytest.raises(DataError, match=r"q\.csv: all training rows of the class 'x' have weight 0: got row 0"):
        weigh(Splits(texts, texts, None, ()), None)
    none = Texts.of(["a", "b"], [1.5, 2.5], weight=[0, 0])
    with pytest.raises(DataError, match="all training rows have weight 0"):
        weigh(Splits(none, none, None, ()), None)


def test_without_weights_nothing_changes():
    texts = Texts.of(["a", "b"], ["x", "y"])
    splits = Splits(texts, texts, None, ())
    assert weigh(splits, None) is splits


def test_a_class_is_named_in_any_spelling_that_looks_alike():
    texts = Texts.of(["a", "b"], ["caf\u00e9", "tea"])
    assert list(class_weights(texts, np.ones(2), ["cafe\u0301=2", "te\u200ba=3"]).values()) == [2, 3]
    with pytest.raises(OptionError, match="names a class twice: got 'caf\u00e9'"):
        class_weights(texts, np.ones(2), ["cafe\u0301=2", "caf\u00e9=3"])


def test_a_class_has_one_weight_and_balanced_stands_alone():
    texts = Texts.of(["a", "b"], ["x", "y"])
    with pytest.raises(OptionError, match="--class-weight names a class twice: got 'x'"):
        class_weights(texts, np.ones(2), ["x=2", "x=3"])
    with pytest.raises(OptionError, match="got 'balanced', expected balanced alone"):
        class_weights(texts, np.ones(2), ["balanced", "x=3"])
