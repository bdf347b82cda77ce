"""What is refused of rows with several labels, what is taken off, and columns that only look joined."""

from __future__ import annotations

import pytest

from separatrix.errors import DataError, OptionError
from separatrix.texts import Splits, Texts, check_labels
from separatrix.texts.rare import settle_rare
from separatrix.texts.set_checks import joined_labels, one_label_each


def _texts(labels: list[object], separator: str | None = None) -> Texts:
    return Texts.of([f"text {row}" for row in range(len(labels))], labels, source="q.csv", label_separator=separator)


def test_labels_with_one_row_and_a_single_label_are_refused() -> None:
    with pytest.raises(DataError, match="a label has one row to learn from: got 'b'"):
        check_labels(_texts([["a"], ["a", "b"]]))
    with pytest.raises(DataError, match="two different ones or more: got only 'a'"):
        check_labels(_texts([["a"], ["a"], []]))


def test_a_rare_label_is_left_out_and_its_rows_stay() -> None:
    train = _texts([["a", "c"], ["a", "b"], ["b"]])
    kept = settle_rare(Splits(train, _texts([["c"], ["d", "a"]]), None, ()))
    assert kept.train.label is not None
    assert kept.train.label.tolist() == [("a",), ("a", "b"), ("b",)]
    assert kept.validation.label.tolist() == [(), ("a",)]  # type: ignore[union-attr]
    assert kept.train.warnings == (
        "q.csv: 2 labels with fewer than 2 training rows are left out, their rows stay: c, d",
    )
    with pytest.raises(OptionError, match="--rare merge is for one label a row"):
        settle_rare(Splits(train, train, None, ()), "merge")


def test_joined_columns_are_recognised() -> None:
    labels = ["joy", "anger", "joy,anger", "joy,fear", "anger,fear", "fear"]
    (line,) = joined_labels(_texts(labels))
    assert "3 labels are others joined by ','" in line
    assert "type --label-separator ," in line
    assert '--label-separator "|"' in joined_labels(_texts([label.replace(",", "|") for label in labels]))[0]
    assert joined_labels(_texts(labels, ",")) == ()


def test_labels_of_which_each_is_joined_are_recognised_by_the_parts_they_share() -> None:
    """Regression: kinds and their subkinds in one cell were 33 classes, without a word."""
    labels = [f"{kind},{kind[:2].lower()}{number}" for kind in ("ENTY", "HUM", "LOC") for number in range(5)]
    (line,) = joined_labels(_texts(labels))
    assert "15 of 15 labels share parts joined by ',' (such as 'ENTY,en0')" in line
    assert "type --label-separator ," in line
    assert len(joined_labels(_texts([",".join(reversed(label.split(","))) for label in labels]))) == 1
    assert joined_labels(_texts([*labels, *"abcdef"])) == ()  # names with a sign among others without


@pytest.mark.parametrize(
    "labels",
    [
        [f"Town {n}, {state}" for n, state in enumerate(["DC", "OR", "ME"] * 4)],
        [f"{area}/{sport}{n}" for n in range(5) for area, sport in [("sports", "ball"), ("arts", "film")]],  # paths
        [f"card_arrival_{n}" for n in range(9)],
        [f"Yes, please {verb}" for verb in ("stop", "go on", "wait")] + [f"No, {n} of them" for n in range(4)],
        [f"{whole},{5 * (whole % 2)}" for whole in range(9)],  # numbers with a decimal comma
        [f"Smith,{name}" for name in "abcdefg"],  # one part that all have
        [f"Lyon{n},Rhone{n}" for n in range(9)],
        ["Paris, France", "Lyon, France", "Rome, Italy", "Milan, Italy"],  # names with a comma
        ["and/or", "yes", "no"],
        ["a", "b", "a,b", "x,y", "z,w"],  # most parts stand nowhere else
        ["1", "2"],
    ],
)
def test_names_with_a_sign_are_left_alone(labels: list[str]) -> None:
    assert joined_labels(_texts(labels)) == ()


def test_verbs_with_one_label_a_row_say_so() -> None:
    with pytest.raises(DataError, match=r"q.csv: extract takes one label a row"):
        one_label_each(_texts([["a"], ["b"]]), "extract")
