"""What a tokenizer cannot read is said by everything that runs texts: as a warning, and in the result; once."""

import warnings

import pandas as pd
import pytest

import separatrix as sx
from separatrix.errors import SeparatrixWarning
from separatrix.estimators import AlignClassifier, FrozenClassifier, PromptClassifier
from separatrix.recipe import replace
from separatrix.recipe.align import AlignRecipe
from separatrix.texts import Splits, Texts

SAID = ("hold words that the tokenizer", "have the same tokens as", "hold control tokens")


def said(run, *, strict=True):
    """What a call gives, and the sentences of its warnings that are about tokens, with where they point."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = run()
    lines = [str(one.message) for one in caught if any(words in str(one.message) for words in SAID)]
    if strict:
        assert len(lines) == len(caught), [str(one.message) for one in caught]
    assert {one.filename for one in caught} <= {__file__}
    assert all(issubclass(one.category, SeparatrixWarning) for one in caught)
    return result, lines


@pytest.fixture(scope="module")
def strange():
    """Texts with two unknown words in three rows, of which one has a control token."""
    return ["\u4e00 cat", "\u4e01 cat", "dog <eos> \u4e02"]


@pytest.fixture(scope="module")
def labelled(planted):
    """Rows that can be read, and as many of which some cannot."""
    texts, labels = (list(part[:90]) for part in planted)
    return texts, labels, [f"{text} \u4e00" if row < 9 else text for row, text in enumerate(texts)]


def test_maps_of_texts_that_cannot_be_read_say_it(tiny, strange, planted):
    model = str(tiny("bert"))
    points, lines = said(lambda: sx.extract(strange, model=model, what="attention", max_length=64))
    assert [line.partition(" texts ")[0] for line in lines] == ["3 of 3", "1 of 3", "1 of 3"]
    assert points.warnings == tuple(lines)
    escape = {"special_tokens": "escape", "max_length": 64}
    escaped, lines = said(lambda: sx.extract(strange, model=model, what="attention", **escape))
    assert [line.partition(" texts ")[0] for line in lines] == ["3 of 3", "1 of 3"]
    assert escaped.column("length").max() > points.column("length").max()
    assert said(lambda: sx.extract(planted[0][:5], model=model, what="attention", max_length=64))[1] == []


def test_an_atlas_says_it(tiny, strange, tmp_path):
    """Regression: an atlas said nothing of texts that the tokenizer cannot read, and had no --special-tokens."""
    pd.DataFrame({"text": strange}).to_csv(tmp_path / "rows.csv", index=False)
    options = {"text": "text", "model": str(tiny("bert")), "max_length": 24, "windows": 3, "steps": ("extract",)}
    atlas, lines = said(lambda: sx.head_atlas(tmp_path / "rows.csv", out=tmp_path / "kept", **options))
    assert [line.partition(" texts ")[0] for line in lines] == ["3 of 3", "1 of 3", "1 of 3"]
    assert {*lines} <= {*atlas.notes}
    options["special_tokens"] = "escape"
    _, lines = said(lambda: sx.head_atlas(tmp_path / "rows.csv", out=tmp_path / "escaped", **options))
    assert not any(SAID[2] in line for line in lines)


def test_extract_says_it_in_memory_and_on_disk(tiny, strange, planted, tmp_path):
    model = str(tiny("bert"))
    points, lines = said(lambda: sx.extract(strange, model=model))
    assert len(lines) == 3
    assert tuple(lines) == points.warnings
    for line, sentence in zip(
        lines, ("3 of 3 texts hold", "1 of 3 texts have", "1 of 3 texts hold control"), strict=True
    ):
        assert line.startswith(sentence)
    for _ in range(2):  # the second time nothing is computed
        stored, again = said(lambda: sx.extract(strange, model=model, out=tmp_path / "p"))
        assert (again, stored.warnings, sx.load(tmp_path / "p").warnings) == (lines, tuple(lines), tuple(lines))
    points, none = said(lambda: sx.extract(planted[0], model=model))
    assert none == []
    assert points.warnings == ()


@pytest.mark.parametrize("head", ["knn", "probe", "centroid"])
def test_a_frozen_classifier_says_it(tiny, strange, labelled, head):
    texts, labels, spoilt = labelled
    made = FrozenClassifier(str(tiny("bert")), head=head, k=3)
    _, lines = said(lambda: made.fit(spoilt, labels, validation=(spoilt[:9], labels[:9])))
    assert [line.split(" (")[0] for line in lines] == [
        "training data: 9 of 90 texts hold words that the tokenizer does not know",
        "validation data: 9 of 9 texts hold words that the tokenizer does not know",
    ]
    fitted, none = said(lambda: made.fit(texts, labels))
    assert none == []
    check_new(fitted, ("predict", "predict_proba", "transform"), strange, texts)


def check_new(fitted, methods, strange, texts):
    """Each method on new texts says it, and of ordinary texts or none at all nothing."""
    for name in methods:
        method = getattr(fitted, name)
        _, lines = said(lambda method=method: method(strange))
        assert [line[:17] for line in lines] == ["new texts: 3 of 3"] + ["new texts: 1 of 3"] * 2, name
        assert said(lambda method=method: method(texts[:5]))[1] == [], name
        assert said(lambda method=method: method([]))[1] == [], name


@pytest.mark.parametrize("kind", ["prompt", "align"])
def test_trained_estimators_say_it_once(tiny, strange, labelled, kind):
    texts, labels, spoilt = labelled
    if kind == "prompt":
        made = PromptClassifier(str(tiny("bert")), tokens=2, epochs=1)
        methods = ("predict", "predict_proba", "transform", "distances")
    else:
        made = AlignClassifier(str(tiny("bert")), epochs=1, recipe=replace(AlignRecipe(), batch_size=32))
        methods = ("predict", "predict_proba", "transform", "kneighbors")
    fitted, lines = said(lambda: made.fit(spoilt, labels, validation=(texts[:30], labels[:30])), strict=False)
    assert lines == ["train: 9 of 90 texts hold words that the tokenizer does not know (9 of 741 tokens)"]
    assert lines[0] in fitted.warnings_
    check_new(fitted, methods, strange, texts)
    if kind == "align":
        _, lines = said(lambda: fitted.add(strange, labels[:3]))
        assert [line[:16] for line in lines] == ["new rows: 3 of 3"] + ["new rows: 1 of 3"] * 2


@pytest.mark.parametrize("method", ["prompt", "probe", "align"])
def test_train_and_predict_say_it_once(tiny, strange, labelled, method):
    texts, labels, spoilt = labelled
    parts = Splits(Texts.of(texts, labels), Texts.of(spoilt, labels), None, ())
    options = {} if method == "probe" else {"epochs": 1}
    result, lines = said(lambda: sx.train(parts, method=method, model=str(tiny("bert")), **options), strict=False)
    assert lines == ["validation: 9 of 90 texts hold words that the tokenizer does not know (9 of 741 tokens)"]
    assert result.warnings.count(lines[0]) == 1
    _, lines = said(lambda: result.predict(strange))
    assert [line[:6] for line in lines] == ["3 of 3", "1 of 3", "1 of 3"]
    assert said(lambda: result.predict(texts[:5]))[1] == []


def test_suspects_and_rank_say_it(tiny, labelled, tmp_path):
    texts, labels, spoilt = labelled
    model, sentence = str(tiny("bert")), "9 of 90 texts hold words that the tokenizer does not know (9 of 741 tokens)"
    for some, expected in ((spoilt, [sentence]), (texts, [])):
        pd.DataFrame({"text": some, "label": labels}).to_csv(tmp_path / "a.csv", index=False)
        result, lines = said(lambda: sx.suspects(tmp_path / "a.csv", model=model), strict=False)
        assert lines == expected
        assert [line for line in result.warnings if SAID[0] in line] == expected
    parts = Splits(Texts.of(spoilt, labels), Texts.of(texts, labels), None, ())
    result, lines = said(lambda: sx.rank(parts, model=(model,), k=3), strict=False)
    assert len(lines) == 1
    assert lines[0].startswith("bert: 9 of 180 texts hold words that the tokenizer does not know (9 of ")
    assert lines[0] in result.warnings


def test_the_command_line_says_it_once(cli, tiny, strange, tmp_path):
    pd.DataFrame({"text": strange}).to_csv(tmp_path / "a.csv", index=False)
    options = ["--label", "", "--model", str(tiny("bert")), "--out", str(tmp_path / "p")]
    done = cli("extract", str(tmp_path / "a.csv"), *options)
    for words in SAID:
        assert (done.out + done.err).count(words) == 1


@pytest.mark.parametrize("words", [(), ("--quiet",), ("--json",), ("--json", "--quiet")])
def test_the_command_says_it_once_whatever_is_hidden(cli, tiny, strange, tmp_path, words):
    """Regression: `extract --quiet` said it nowhere, and the object of `--json` did not hold it."""
    pd.DataFrame({"text": strange, "label": ["a", "a", "b"]}).to_csv(tmp_path / "rows.csv", index=False)
    ran = cli("extract", tmp_path / "rows.csv", "--model", tiny("bert"), "--out", tmp_path / "p", *words)
    assert ran.code == 0, ran.err
    for sentence in SAID:
        assert ran.out.count(sentence) == ("--quiet" in words or "--json" in words)
        assert ran.err.count(sentence) == ("--quiet" not in words)
    if "--json" in words:
        assert len(ran.json["warnings"]) == len(SAID)
