"""Reading questions and contexts: official JSON, tables in every writing of answers, plain texts and pairs."""

import doctest
import json

import pandas as pd
import pytest

from separatrix.errors import DataError
from separatrix.recipe import LoadRecipe
from separatrix.texts import questions_answers
from separatrix.texts.questions_answers import Answer, read_material

CONTEXT = "The oil crisis began in October 1973."
QA = {
    "id": "a", "question": "When did it begin?",
    "answers": [{"text": "October 1973", "answer_start": 24}, {"text": "1973", "answer_start": 32}],
}  # fmt: skip


def write(path, qas, context=CONTEXT):
    content = {"data": [{"title": "oil", "paragraphs": [{"context": context, "qas": qas}]}]}
    path.write_text(json.dumps(content))
    return path


def test_official_json_keeps_ids_contexts_and_answers(tmp_path):
    found = read_material(write(tmp_path / "dev.json", [QA, {"id": "b", "question": "Who?", "answers": []}]))
    first, second = found.examples
    assert (first.id, first.first, first.second, first.title) == ("a", "When did it begin?", CONTEXT, "oil")
    assert first.answers == (Answer("October 1973", 24), Answer("1973", 32))
    assert (first.label, second.label) == ("answerable", "unanswerable")
    assert first.context == second.context
    assert (len(found), found.contexts, found.skipped) == (2, 1, {})


@pytest.mark.parametrize(
    "answers",
    [
        json.dumps({"text": ["1973"], "answer_start": [32]}),
        {"text": ["1973"], "answer_start": [32]},
        [{"text": "1973", "answer_start": 32}],
    ],
    ids=["json", "struct", "list"],
)
def test_parquet_with_any_writing_of_answers(tmp_path, answers):
    frame = pd.DataFrame({"id": ["a"], "question": ["When?"], "context": [CONTEXT], "answers": [answers]})
    frame.to_parquet(tmp_path / "validation.parquet")
    found = read_material(tmp_path)
    assert found.examples[0].answers == (Answer("1973", 32),)
    assert found.examples[0].label == "answerable"


def test_bad_offsets_are_counted_and_their_texts_kept(tmp_path):
    qa = QA | {"answers": {"text": ["1973", "1973", "1973"], "answer_start": [None, 7, 32]}}
    found = read_material(write(tmp_path / "x.json", [qa]))
    assert found.examples[0].answers == (Answer("1973", 32),)
    assert found.examples[0].golds == ("1973", "1973", "1973")
    assert found.skipped == {"answers without an offset": 1, "answers whose offset is wrong": 1}
    assert "1 answers without an offset" in found.notes


def test_missing_offsets_are_counted(tmp_path):
    found = read_material(write(tmp_path / "x.json", [QA | {"answers": {"text": ["1973", "x"], "answer_start": [32]}}]))
    assert found.examples[0].answers == (Answer("1973", 32),)
    assert found.skipped == {"answers without an offset": 1}
    for number, start in enumerate([None, [None], ["four"], [float("inf")], []]):
        qa = QA | {"answers": {"text": ["1973"], "answer_start": start}}
        assert read_material(write(tmp_path / f"{number}.json", [qa])).skipped == {"answers without an offset": 1}
    single = QA | {"answers": {"text": "1973", "answer_start": 32}}
    assert read_material(write(tmp_path / "single.json", [single])).examples[0].golds == ("1973",)


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ({"text": ["1973"], "answer_start": [3, 4]}, "1 texts and 2 offsets"),
        ({"answer_start": [32]}, "there is no 'text'"),
        ([{"answer_start": 32}], "there is no 'text'"),
        ('{"text": ["a"', "Expecting"),
        ({"text": [None], "answer_start": [1]}, "a text is None"),
        (7, "not iterable"),
        (["1973"], "cannot be read"),
        ({"text": ["1973"], "answer_start": 32}, "not iterable"),
    ],
)
def test_answers_in_no_known_writing_name_file_and_row(tmp_path, answers, why):
    path = write(tmp_path / "dev.json", [QA, {"id": "b7", "question": "Who?", "answers": answers}])
    with pytest.raises(DataError, match=rf"dev\.json, row 1 \(id b7\): the answers.*{why}"):
        read_material(path)
    rows = [{"question": "q", "context": "c", "answers": []}, {"question": "q", "context": "c", "answers": answers}]
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(DataError, match=r"x\.jsonl, row 1: the answers cannot be read"):
        read_material(tmp_path / "x.jsonl")


def test_a_row_without_answers_among_others_is_none(tmp_path):
    rows = [{"question": "q", "context": "c1973", "answers": {"text": ["1973"], "answer_start": [1]}},
            {"question": "q", "context": "d"}]  # fmt: skip
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert [example.golds for example in read_material(tmp_path / "x.jsonl").examples] == [("1973",), ()]


def test_empty_contexts_and_repeated_ids_are_counted_and_skipped(tmp_path):
    frame = pd.DataFrame(
        {"id": ["a", "a", "b", "c"], "question": ["q", "q", "q", " "], "context": ["c", "c", " ", "c"]}
    )
    frame.to_parquet(tmp_path / "x.parquet")
    found = read_material(tmp_path / "x.parquet")
    assert [example.id for example in found.examples] == ["a"]
    assert sum(found.skipped.values()) == 3
    assert found.skipped["rows left out: empty context"] == 1


ROWS = [["q1", "Who?", "Ann came.", '{"text": ["Ann"], "answer_start": [0]}'], ["q2", "When?", "Ann came.", ""]]


@pytest.mark.parametrize(("name", "sep"), [("x.csv", ","), ("x.tsv", "\t"), ("x.csv.gz", ","), ("train.csv", ",")])
def test_a_csv_of_questions_with_and_without_answers(tmp_path, name, sep):
    names, path = ["id", "question", "context", "answers"], tmp_path / name
    source = tmp_path if name == "train.csv" else path
    pd.DataFrame(ROWS, columns=names).to_csv(path, index=False, sep=sep)
    first, second = read_material(source).examples
    assert (first.id, first.first, first.second, first.label) == ("q1", "Who?", "Ann came.", "answerable")
    assert [(answer.text, answer.start) for answer in first.answers] == [("Ann", 0)]
    assert (second.label, second.answers, second.context) == ("unanswerable", (), first.context)
    pd.DataFrame(ROWS, columns=names).drop(columns="answers").to_csv(path, index=False, sep=sep)
    first, second = read_material(source).examples  # maps need no answers
    assert (first.first, first.label, first.golds, second.first) == ("Who?", "", (), "When?")


def test_a_csv_of_questions_is_read_as_it_is_asked_for(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('question;context\n"Who?;Ann came.\n')
    (example,) = read_material(path, reading=LoadRecipe(sep=";", quoting="none")).examples
    assert (example.first, example.second) == ('"Who?', "Ann came.")
    path.write_text("question,context,answers\nWho?,Ann came.,Ann\n")
    with pytest.raises(DataError, match=r"x\.csv, row 0: the answers cannot be read .*: got 'Ann', expected \{"):
        read_material(path)
    path.write_text("question,context\n")
    with pytest.raises(DataError, match=r"x\.csv has no column 'text': got columns question, context"):
        read_material(path)


def test_plain_texts_and_pairs(tmp_path):
    pd.DataFrame({"body": ["one", "two"], "reply": ["yes", "no"]}).to_csv(tmp_path / "x.csv", index=False)
    alone = read_material(tmp_path / "x.csv", text="body")
    assert [(example.first, example.second) for example in alone.examples] == [("one", ""), ("two", "")]
    assert alone.contexts == 2
    pairs = read_material(tmp_path / "x.csv", text="body", pair="reply")
    assert [example.second for example in pairs.examples] == ["yes", "no"]


def test_text_names_a_column_of_a_question_set_too(tmp_path):
    pd.DataFrame({"question": ["q"], "context": ["c"], "text": ["t"]}).to_parquet(tmp_path / "x.parquet")
    assert read_material(tmp_path / "x.parquet").examples[0].second == "c"
    assert read_material(tmp_path / "x.parquet", text="text").examples[0].second == ""


def test_mistakes(tmp_path):
    (tmp_path / "x.json").write_text('{"data": [{"title": "no paragraphs"}]}')
    with pytest.raises(DataError, match=r"no SQuAD file.*paragraphs"):
        read_material(tmp_path / "x.json")
    (tmp_path / "y.json").write_text("{")
    with pytest.raises(DataError, match=r"y\.json is not valid JSON"):
        read_material(tmp_path / "y.json")
    with pytest.raises(DataError, match="does not exist"):
        read_material(tmp_path / "z.json")
    with pytest.raises(DataError, match=r"leaves no row.*empty context"):
        read_material(write(tmp_path / "e.json", [QA], context=" "))


def test_examples_in_docstrings():
    result = doctest.testmod(questions_answers)
    assert result.attempted > 0
    assert result.failed == 0
