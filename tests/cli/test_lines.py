"""`predict RUN -`: lines of standard input, answered on lines of standard output."""

import io
import json
from types import SimpleNamespace

import pytest


@pytest.fixture
def typed(monkeypatch):
    """`typed(b"...")` is what stands in standard input."""
    return lambda data: monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(data)))


def test_lines_are_answered_and_nothing_else_is_on_stdout(cli, finished, typed):
    typed(b'{"text": "the cat"}\n{"text": "a dog"}\n')
    ran = cli("predict", finished, "-", "--jsonl", "--device", "cpu", "--quiet")
    assert ran.code == 0
    assert [json.loads(line)["id"] for line in ran.out.splitlines()] == [0, 1]


def test_a_bad_line_is_a_mistake_behind_the_answers_before_it(cli, finished, typed):
    typed(b'{"text": "the cat"}\n{"texts": "a dog"}\n')
    ran = cli("predict", finished, "-", "--jsonl", "--device", "cpu", "--quiet")
    assert ran.code == 2
    assert len(ran.out.splitlines()) == 1
    assert "standard input line 2 has no column 'text'" in ran.err


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (("-",), "type --jsonl behind -"),
        (("-", "--jsonl", "--label", "x"), "--label has no effect on lines of standard input"),
        (("-", "--jsonl", "--json"), "--json has no effect on lines of standard input"),
        (("a.csv", "--jsonl", "--out", "b.csv"), "--jsonl has no effect: it belongs to standard input"),
        (("a.csv",), "predict writes a file: got no --out; add --out answers.csv"),
    ],
)
def test_options_that_do_not_belong_together_are_refused(cli, finished, words, match):
    ran = cli("predict", finished, *words)
    assert (ran.code, ran.out) == (2, "")
    assert match in ran.err
