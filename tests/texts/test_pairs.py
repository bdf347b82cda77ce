"""Two columns of texts as pairs: read, refused, audited, written."""

import pandas as pd
import pytest

from separatrix.errors import DataError, OptionError
from separatrix.texts import Texts, load_splits, load_texts
from separatrix.texts.audit import duplicates
from separatrix.texts.pairs import columns_of, join_pairs, split_pair, texts_of


def write(folder, *lines):
    path = folder / "a.csv"
    path.write_text("\n".join(("premise,hypothesis,label", *lines)) + "\n", encoding="utf-8")
    return path


def test_two_columns_are_read_as_pairs(tmp_path):
    path = write(tmp_path, "It rains.,It is wet.,yes", "It rains.,It is dry.,no")
    texts = load_texts(path, text=["premise", "hypothesis"])
    assert [split_pair(text) for text in texts.text] == [("It rains.", "It is wet."), ("It rains.", "It is dry.")]
    assert texts.to_frame().columns.tolist() == ["text", "text_pair", "label", "id"]
    again = Texts.from_frame(pd.read_csv(path), text=("premise", "hypothesis"))
    assert again.text == texts.text
    assert load_texts(path, text="premise").text == ("It rains.", "It rains.")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (["premise", "premise"], "--text cannot be this"),
        (["a", "b", "c"], "expected a column, or the two columns of pairs"),
        ([], "got nothing"),
    ],
)
def test_other_numbers_of_columns_are_refused(tmp_path, text, match):
    with pytest.raises(OptionError, match=match):
        load_texts(write(tmp_path, "a,b,c"), text=text)


def test_a_column_that_is_not_there_or_has_another_role(tmp_path):
    path = write(tmp_path, "a,b,c", "d,e,f")
    with pytest.raises(DataError, match=r"no column 'hypotheses'.*did you mean --text hypothesis\?"):
        load_splits(path, text=("premise", "hypotheses"))
    with pytest.raises(DataError, match="--text and --label name the same column"):
        load_texts(path, text=("premise", "label"))


def test_a_missing_side_is_refused_and_kept_blank_for_predictions(tmp_path):
    path = write(tmp_path, "a,b,x", "c,,y")
    with pytest.raises(DataError, match="1 of 2 rows have no text: got row 1"):
        load_texts(path, text=("premise", "hypothesis"))
    assert load_texts(path, text=("premise", "hypothesis"), keep_blank=True).text[1] == join_pairs("c", [""])[0]


def test_the_pair_is_what_repeats():
    texts = Texts.of(["a", "a", "A"], ["x", "x", "y"], pair=["b", "c", "b"])
    found = duplicates(texts)
    assert (found.exact, found.normalised, found.rows.tolist()) == (0, 1, [2])


def test_tables_of_pairs_come_back():
    pairs = join_pairs(["a", "c"], ["b", "d"])
    assert texts_of(pd.DataFrame(columns_of(pairs))) == list(pairs)
    assert texts_of(pd.DataFrame(columns_of(["a"]))) == ["a"]
