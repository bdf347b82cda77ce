"""What `make test` begins with."""

from pathlib import Path

from long_files_first import SECONDS, SERVED, TOGETHER, unit

ROOT = Path(__file__).parents[1]


def test_what_is_named_exists():
    assert [path for path in (*SECONDS, *SERVED, *TOGETHER) if not (ROOT / path).exists()] == []


def test_files_that_share_their_artefacts_are_one_unit():
    for folder in TOGETHER:
        assert {unit(f"{folder}/{path.name}") for path in (ROOT / folder).glob("test_*.py")} == {folder}
    assert {unit(path) for path in SERVED} == {SERVED[0]} < {*SECONDS}
    assert unit("tests/receivedness.py") == "tests/receivedness.py"
