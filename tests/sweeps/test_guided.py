"""A search that is led by what earlier combinations reached, by Optuna's ask and tell."""

import json
import math

import pytest

import separatrix as sx
from separatrix.errors import OptionError, StoreError
from separatrix.sweeps.ask import GuidedSearch
from separatrix.sweeps.search import Distribution, Search

pytestmark = pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")
AXES = {"tokens": [1, 2, 3], "lr": {"low": 1e-3, "high": 1.0, "log": True}}
TPE = {"samples": 16, "sampler": "tpe", "seed": 1}


def test_it_is_refused_where_optuna_is_not_installed(small, tmp_path, monkeypatch):
    monkeypatch.setattr("separatrix.sweeps.ask.find_spec", lambda _: None)
    with pytest.raises(
        OptionError, match=r"\[search\]: optuna is not installed; type: pip install .separatrix\[search"
    ):
        sx.sweep(small(grid=AXES, search=TPE), out=tmp_path / "s")


@pytest.mark.parametrize(
    ("search", "sentence"),
    [
        ({"sampler": "tpe"}, "a sampler needs to know how many it may try; add samples = 20"),
        ({"samples": 4, "sampler": "tp"}, "unknown sampler: got 'tp', expected one of random, tpe; did you mean 'tpe'"),
        ({"samples": 4, "sampler": "tpe", "halving": "epochs"}, "tpe learns from whole trainings; leave halving away"),
    ],
)
def test_searches_that_cannot_be(search, sentence):
    with pytest.raises(OptionError, match=sentence):
        Search.of(search)


def distance(values):
    return abs(math.log10(values["lr"] / 0.03)) + (values["words"] != ["good", "bad"])


def test_it_finds_more_than_chance_and_asks_each_once():
    pytest.importorskip("optuna")
    axes = {"lr": Distribution(1e-4, 10.0, log=True), "words": [["good", "bad"], ["a", "b"]]}
    ends = []
    for seed in range(5):
        search = GuidedSearch(axes, Search(samples=30, sampler="tpe", seed=seed), maximize=False)
        asked, count = [], 10
        while new := search.ask(count):
            for values in new:
                search.tell(values, distance(values))
            asked, count = [*asked, *new], 1
        assert len({json.dumps(one) for one in asked}) == len(asked) == 30
        assert all(one["lr"] == float(f"{one['lr']:.3g}") for one in asked)
        ends.append((sum(map(distance, asked[:10])), sum(map(distance, asked[20:]))))
    first, last = map(sum, zip(*ends, strict=True))
    assert last < 0.6 * first


def test_axes_of_few_values_are_asked_until_none_is_left():
    pytest.importorskip("optuna")
    search = GuidedSearch({"tokens": [1, 2], "lr": [0.1, 0.2]}, Search(samples=20, sampler="tpe"), maximize=True)
    asked = search.ask(10)
    while asked:
        for values in asked:
            search.tell(values, values["lr"])
        asked = search.ask(1)
    assert len(search.scores) == 4


def test_a_guided_sweep_is_stopped_and_goes_on_to_the_same_table(small, tmp_path, untrained):
    pytest.importorskip("optuna")
    grid = small(grid=AXES, search=TPE, baselines=["majority"])
    whole = sx.sweep(grid, out=tmp_path / "whole")
    assert (whole.done, len(whole.lines)) == (2 * 16 + 2, 17)
    assert len({*untrained}) == len(untrained)
    for _ in range(30):
        part = sx.sweep(grid, out=tmp_path / "parts", max_runs=3)
        if part.states == {"done": 34}:
            break
        assert any("combinations are chosen so far" in note for note in part.notes) or part.states["waiting"]
    for name in ("table.csv", "runs.csv", "table.md"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    trained = len(untrained)
    assert sx.sweep(grid, out=tmp_path / "whole").done == 34
    assert len(untrained) == trained
    for key, value in {"seed": 2, "samples": 17}.items():
        with pytest.raises(StoreError, match=f"is the study of another grid: got {key} {value} instead of"):
            sx.sweep(grid | {"search": TPE | {key: value}}, out=tmp_path / "whole")


def test_each_row_is_a_search_of_its_own_and_failures_are_told(small, tmp_path, untrained):
    pytest.importorskip("optuna")
    untrained.broken = (2,)
    rows = [{"name": "a"}, {"name": "b", "loss": "linear"}]
    grid = small(grid=AXES, rows=rows, seeds=[0], search=TPE | {"samples": 6})
    one = sx.sweep(grid, out=tmp_path / "s", only=["a"])
    assert {line["row"] for line in one.lines if line["runs"]} == {"a"}
    assert "b: 3 of 6 combinations are chosen so far" in one.notes
    result = sx.sweep(grid, out=tmp_path / "s")
    assert len(result.lines) == result.runs == 12
    assert result.failed == sum(line["tokens"] == "2" for line in result.lines) > 0
    two = small(grid=AXES, search=TPE, data={"x": {"path": grid["data"]}, "y": {"path": grid["data"]}})
    with pytest.raises(OptionError, match="sampler: tpe compares combinations on one data set"):
        sx.sweep(two, out=tmp_path / "t")
