"""Options of loading, and what a load says: swallowed lines, invisible characters, spellings, rows without a label."""

import bz2
import gzip
import json
import lzma
import warnings
import zipfile

import pandas as pd
import pyarrow as pa
import pytest

from separatrix.errors import DataError, OptionError, SeparatrixWarning
from separatrix.estimators.inputs import labelled
from separatrix.recipe import LoadRecipe
from separatrix.texts import Classes, Texts, load_splits, load_texts
from separatrix.texts.questions_answers import read_material


def write(folder, name, content):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# A double quote that opens the text of row 1, and one that ends that of row 3: three rows become one.
STRAY = 'text\tlabel\nplain\ta\n"quoted\tb\nlost\tb\nend"\tc\nlast\ta\n'


def test_a_quote_that_swallows_lines_is_said_with_file_and_row(tmp_path):
    path = write(tmp_path, "a.tsv", STRAY)
    with pytest.warns(
        SeparatrixWarning, match=r"a\.tsv: 1 row holds whole lines.*row 1 \(lines 3 to 5\).*--quoting none"
    ):
        texts = load_texts(path)
    assert (len(texts), len(texts.warnings)) == (3, 1)
    plain = load_texts(path, quoting="none")
    assert plain.text == ("plain", '"quoted', "lost", 'end"', "last")
    assert plain.warnings == ()
    assert plain.label.tolist() == ["a", "b", "b", "c", "a"]


def test_pairs_of_lines_that_become_one_are_all_counted(tmp_path):
    lines = [f'{row}\tfirst {row}\t"second {row}\n{row}\tthird {row}\tfourth {row}"' for row in range(31)]
    path = write(tmp_path, "pairs.tsv", "id\ttext\tpair\n" + "\n".join(lines) + "\n")
    with pytest.warns(SeparatrixWarning, match=r"31 rows hold whole lines .*row 0 .*, row 2 .* and 28 more"):
        assert len(load_texts(path, label=None)) == 31
    assert len(load_texts(path, label=None, quoting="none")) == 62


@pytest.mark.parametrize(
    "cell", ['"one, two\nthree, four"', '"a\nb"', '"a, b"', '"a\n\n,\nb"'], ids=["both", "line", "comma", "more lines"]
)
def test_texts_of_several_lines_are_no_swallowed_ones(tmp_path, cell):
    with warnings.catch_warnings(action="error"):
        assert len(load_texts(write(tmp_path, "a.csv", f"text,label\n{cell},x\nb,y\n"))) == 2


def test_a_quote_in_the_line_of_names_is_said(tmp_path):
    path = write(tmp_path, "a.csv", '"text,label\nx,a\ny",label\nz,b\n')
    with pytest.warns(SeparatrixWarning, match=r"the names of the columns \(lines 1 to 3\)"):
        load_texts(path, text="text,label\nx,a\ny")


@pytest.mark.parametrize(("name", "sep", "mark"), [("a.csv", ";", ";"), ("a.csv", "tab", "\t"), ("a.tsv", "|", "|")])
def test_other_separators(tmp_path, name, sep, mark):
    path = write(tmp_path, name, mark.join(["text", "label"]) + "\n" + mark.join(["x, y", "a"]) + "\n")
    assert load_texts(path, sep=sep).text == ("x, y",)
    with pytest.raises(
        DataError, match=rf"type --sep {'tab' if sep == 'tab' else f'.{sep}'}" if mark in ";\t|" else ""
    ):
        load_texts(write(tmp_path, "b.csv", mark.join(["text", "label"]) + "\n" + mark.join("xa") + "\n"))


def test_options_of_reading_are_checked(tmp_path):
    path = write(tmp_path, "a.csv", "text,label\nx,a\n")
    lines = write(tmp_path, "a.jsonl", '{"text": "x", "label": 1}\n')
    for wrong in ("", ";;", '"', "\n"):
        with pytest.raises(OptionError, match=r"--sep is no separator: .*expected one character, or tab"):
            load_texts(path, sep=wrong)
    with pytest.raises(OptionError, match=r"unknown --quoting: got 'non', .*did you mean 'none'"):
        load_texts(path, quoting="non")
    with pytest.raises(OptionError, match=r"unknown option: got 'separator'"):
        load_texts(path, separator=";")
    with pytest.raises(OptionError, match=r"--sep has no effect: .*a\.jsonl is no csv or tsv file"):
        load_texts(lines, sep=";")
    with pytest.raises(OptionError, match="--quoting has no effect: the data frame is no csv"):
        load_texts(pd.DataFrame({"text": ["x"], "label": [1]}), quoting="none")
    with pytest.raises(OptionError, match="--drop-unlabelled has no effect without labels"):
        load_texts(path, label=None, drop_unlabelled=True)
    with pytest.raises(OptionError, match="have an effect on csv and tsv files alone"):
        read_material(write(tmp_path, "q.jsonl", '{"question": "q", "context": "c"}\n'), reading=LoadRecipe(sep=";"))


PACKED = "text,label\n" + "".join(f"text {row},{'ab'[row % 2]}\n" for row in range(40))


def packed(folder, name):
    path, raw = folder / name, PACKED.encode()
    if name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("inner.csv", raw)
    elif name.endswith((".zst", ".lz4")):
        with pa.output_stream(str(path), compression="zstd" if name.endswith(".zst") else "lz4") as file:
            file.write(raw)
    else:
        path.write_bytes({"gz": gzip, "bz2": bz2, "xz": lzma}[name.rpartition(".")[2]].compress(raw))
    return path


@pytest.mark.parametrize("ending", ["gz", "bz2", "xz", "zst", "lz4", "zip"])
def test_packed_files_are_read_and_damaged_ones_refused(tmp_path, ending):
    path = packed(tmp_path, f"train.csv.{ending}")
    assert [len(part) for part in load_splits(path).parts.values()] == [29, 3, 8]
    assert [len(part) for part in load_splits(tmp_path).parts.values()] == [36, 4]  # a part of a folder
    for damaged in (path.read_bytes()[:-20], b"no archive at all", path.read_bytes()[:9] + b"\xff" * 40):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"train\.csv\.\w+ (cannot be|line)") as caught:
            load_texts(path)
        assert "\n" not in str(caught.value)


def test_packed_tables_of_every_kind(tmp_path):
    frame = pd.DataFrame({"text": ["é", "y"], "label": ["a", "b"]})
    frame.to_csv(tmp_path / "a.tsv.gz", sep="\t", index=False)
    frame.to_json(tmp_path / "a.jsonl.gz", orient="records", lines=True)
    frame.to_json(tmp_path / "a.json.bz2", orient="records")
    frame.to_parquet(tmp_path / "a.parquet")
    write(tmp_path, "b.parquet.gz", gzip.compress((tmp_path / "a.parquet").read_bytes()))
    for name in ("a.tsv.gz", "a.jsonl.gz", "a.json.bz2", "b.parquet.gz"):
        assert load_texts(tmp_path / name).text == ("é", "y"), name
    with pytest.raises(DataError, match=r"b\.csv\.gz is not UTF-8: byte 11, line 2"):
        load_texts(write(tmp_path, "b.csv.gz", gzip.compress(b"text,label\n\xff,1\n")))
    with zipfile.ZipFile(tmp_path / "two.csv.zip", "w") as archive:
        archive.writestr("a.csv", "x")
        archive.writestr("b.csv", "x")
    with pytest.raises(DataError, match="holds 2 files: expected one; unpack it"):
        load_texts(tmp_path / "two.csv.zip")
    questions = json.dumps({"question": "q", "context": "c", "answers": {"text": ["c"], "answer_start": [0]}}) + "\n"
    assert read_material(write(tmp_path, "q.jsonl.gz", gzip.compress(questions.encode()))).examples[0].golds == ("c",)


@pytest.mark.parametrize("start", ["", "\ufeff", "\n \n", "\ufeff\n"])
def test_a_json_array_is_read(tmp_path, start):
    rows = [{"text": "x", "label": 1}, {"label": 2, "text": "y"}]
    for name, content in (("a.json", json.dumps(rows, indent=1)), ("b.jsonl", json.dumps(rows))):
        texts = load_texts(write(tmp_path, name, start + content))
        assert (texts.text, texts.label.tolist()) == (("x", "y"), [1, 2])
    lines = start + "\n".join(map(json.dumps, rows))
    assert load_texts(write(tmp_path, "c.json", lines)).text == ("x", "y")
    with pytest.raises(DataError, match=r"a\.json item 1 has the key 'text' twice|has the key 'text' twice"):
        load_texts(write(tmp_path, "a.json", '[{"text": "x", "label": 1}, {"text": "x", "text": "y", "label": 1}]'))


def test_questions_as_a_json_array(tmp_path):
    rows = [{"id": 7, "question": "q", "context": "c"}]
    assert read_material(write(tmp_path, "a.json", json.dumps(rows))).examples[0].second == "c"
    lines = "\n".join(json.dumps({**rows[0], "id": row}) for row in range(2))
    assert len(read_material(write(tmp_path, "b.json", lines))) == 2


# Invisible characters and spellings.


@pytest.mark.parametrize("mark", ["\u200b", "\u2060", "\u00ad", "\ufeff", "\u200e", "\u200b\u2060"])
def test_labels_that_look_alike_are_one_class(mark):
    with pytest.warns(SeparatrixWarning, match=r"2 of 4 labels hold invisible .*U\+.*: rows 1, 3 \(counted from 0\)"):
        texts = load_texts(pd.DataFrame({"text": list("abcd"), "label": ["spam", f"spam{mark}", "ham", f"{mark}ham"]}))
    assert texts.label.tolist() == ["spam", "spam", "ham", "ham"]


def test_spellings_of_unicode_are_one_class_and_one_group():
    table = Texts.of(list("abcd"), ["été", "e\u0301te\u0301", "x", "x"], ["Å", "A\u030a", "\u212b", "b"])
    assert table.label.tolist() == ["été", "été", "x", "x"]
    assert table.group.tolist() == ["Å", "Å", "Å", "b"]
    assert "1 of 4 labels is not written in composed Unicode (NFC)" in table.warnings[0]
    assert "2 of 4 groups are not written" in table.warnings[1]
    assert Classes.of(["été", "x"]).encode(["e\u0301te\u0301", "x"]).tolist() == [1, 0]
    rows = labelled(list("abcd"), ["été", "e\u0301te\u0301", "x", "x"], "training data")
    assert rows.classes.tolist() == ["x", "été"]


def test_emoji_and_scripts_with_joiners_stay_as_they_are():
    labels = ["👩\u200d🔬", "👩🔬", "می\u200cخواهم", "❤\ufe0f"]
    with warnings.catch_warnings(action="error"):
        table = Texts.of([*labels[:3], "x"], labels)
    assert table.label.tolist() == labels
    assert table.warnings == ()


@pytest.mark.parametrize("blank", ["\u200b", "\ufeff \u2060", "\u00ad", "\u200d", "\ufe0f", "\u3164", "\u00a0\t"])
def test_a_text_of_invisible_characters_is_blank(tmp_path, blank):
    path = write(tmp_path, "a.csv", f"text,label\nx,a\n{blank},b\n")
    with pytest.raises(DataError, match="1 of 2 rows have no text: got row 1"):
        load_texts(path)
    with pytest.raises(DataError, match="1 of 2 rows have no label: got row 1"):
        Texts.of(["x", "y"], ["a", blank])
    assert load_texts(path, keep_blank=True).text == ("x", "")


def test_texts_with_invisible_characters_are_counted_and_kept():
    with pytest.warns(
        SeparatrixWarning, match=r"2 of 3 texts hold invisible characters \(U\+00AD, U\+200B\).*rows 0, 2"
    ):
        texts = load_texts(pd.DataFrame({"text": ["a\u200bb", "c", "so\u00adft"], "label": [1, 2, 3]}))
    assert texts.text == ("a\u200bb", "c", "so\u00adft")


# Rows without a label.


def test_rows_without_a_label_are_left_out_and_counted(tmp_path):
    path = write(tmp_path, "a.csv", "text,label,house\nx,a,1\n,,\ny,,2\nz,b,1\n")
    lost = write(tmp_path, "e.csv", "text,label\nx,a\ny,\n")
    with pytest.warns(SeparatrixWarning, match=r"2 of 4 rows without a label are left out: rows 1, 2"):
        texts = load_texts(path, group="house", drop_unlabelled=True)
    assert (texts.text, texts.label.tolist(), texts.id.tolist()) == (("x", "z"), ["a", "b"], [0, 3])
    with pytest.raises(DataError, match="1 of 3 rows have no text: got row 2"):  # rows count as in the file
        load_texts(write(tmp_path, "b.csv", "text,label\nx,a\ny,\n,b\n"), drop_unlabelled=True)
    with pytest.raises(DataError, match=r"have no label: .*or type --drop-unlabelled"):
        load_texts(lost)
    with pytest.raises(DataError, match="no row has a label: got 1 rows"):
        load_texts(write(tmp_path, "c.csv", "text,label\nx,\n"), drop_unlabelled=True)
    with warnings.catch_warnings(action="error"):
        load_texts(write(tmp_path, "d.csv", "text,label\nx,a\n"), drop_unlabelled=True)


def test_secret_labels_are_left_out(tmp_path):
    frame = pd.DataFrame({"text": list("abcd"), "label": [0, -1, 1, -1]})
    with pytest.warns(SeparatrixWarning, match="2 of 4 rows without a label are left out"):
        assert load_texts(frame, drop_unlabelled=True).label.tolist() == [0, 1]
    assert load_texts(frame.assign(label=[0, -2, -1, 1]), drop_unlabelled=True).label.tolist() == [0, -2, -1, 1]


def test_warnings_of_every_part_reach_the_splits(tmp_path):
    rows = "".join(f"text {row},{'ab'[row % 2]}\n" for row in range(20))
    write(tmp_path, "train.csv", f"text,label\n{rows}x\u200b,a\n")
    write(tmp_path, "test.csv", "text,label\nx,a\u200b\ny,b\nz,\n")
    with pytest.warns(SeparatrixWarning) as caught:
        splits = load_splits(tmp_path, drop_unlabelled=True)
    assert len(caught) == len(splits.warnings) == 3
    assert [line.partition(": ")[2][:11] for line in splits.warnings] == ["1 of 21 tex", "1 of 3 labe", "1 of 3 row "]
