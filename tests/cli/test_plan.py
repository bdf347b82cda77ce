"""`plan` in front of a command: its own options, and nothing is written."""

import json
from pathlib import Path

import pytest

from separatrix.scale.machine import Machine


@pytest.fixture
def rates(tmp_path: Path) -> Path:
    Machine("a slide rule", False, 2, 4 * 10**9, 1e8, 1e8, {"any": {"1": 1e9}}).save(tmp_path / "rates.json")
    return tmp_path / "rates.json"


def test_a_command_is_planned_with_its_own_options(cli, rates, tmp_path):
    words = ["--rows", "1000000", "--width", "64", "--machine", str(rates), "--memory", "200MiB"]
    ran = cli("plan", "cluster", *words, "--k", "3", "--out", str(tmp_path / "made"), "--json")
    assert (ran.code, ran.err.count("separatrix:")) == (0, 0)
    plan = json.loads(ran.out)
    assert (plan["verb"], plan["path"], plan["recipe"]["k"]) == ("cluster", "in blocks", 3)
    assert [path.name for path in tmp_path.iterdir()] == ["rates.json"]
    shown = cli("plan", "project", *words).out
    assert "products of columns" in shown
    assert "not measured" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "plan needs a verb"),
        (("cluster", "--k", "3"), "a plan needs points, or rows and width"),
        (("cluster", "nowhere", "--k", "3"), "nowhere is no folder"),
        (("cluster", "--kk", "3"), "unknown option"),
        (("extract", "--texts", "5"), "a plan needs data, or texts and tokens_per_text"),
        (("train", "nowhere.csv", "--method", "align", "--tokens", "4"), "--tokens has no effect with --method align"),
        (("train", "nowhere.csv"), "a plan of train is of one method: got auto"),
    ],
)
def test_what_cannot_be_planned_is_one_sentence(cli, words, message):
    ran = cli("plan", *words)
    assert ran.code == 2
    assert message in ran.err
    assert ran.err.strip().count("\n") == 0


def test_rates_replace_rates_alone(cli, rates, tmp_path, monkeypatch):
    """Regression: any file was replaced."""
    monkeypatch.setattr("separatrix.analysis.plan.rates.calibrate", lambda progress: Machine.load(rates))
    taken = tmp_path / "thesis.json"
    taken.write_text('{"chapter": 1}')
    ran = cli("plan", "--calibrate", "--out", str(taken), "--overwrite")
    assert (ran.code, ran.err.count("thesis.json is not replaced: it holds something else than this command")) == (2, 1)
    assert taken.read_text() == '{"chapter": 1}'
    out = ("plan", "--calibrate", "--out", str(tmp_path / "new.json"))
    assert cli(*out).code == 0
    assert (ran := cli(*out)).code == 2
    assert "new.json exists; type --overwrite to replace it" in ran.err
    assert cli(*out, "--overwrite").code == 0
