"""The benchmark of sweeps keeps to the contract; its sides do the same runs at a toy size."""

import json

import pytest
from benchmarks import sweep as bench
from benchmarks.parts.sweep_side import loop_side, sweep_side

pytestmark = pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")


def test_it_prints_the_contract(capsys, tiny, monkeypatch):
    cache = {"built": 3, "used": 48, "ratio": 9.5}
    side = {"seconds": 10.0, "cpu_seconds": 9.0, "training_seconds": 9.0, "done": 12, "cache": cache}
    monkeypatch.setattr(bench.Bench, "run", lambda self, grid, **how: (side, self.folder))
    monkeypatch.setattr(
        bench, "kills", lambda bench, count: {"ratios": {"same tables after kills": 1.0}, "killed": count}
    )
    parts = ["--parts", "kills", "overhead", "cache", "--kills", "2"]
    assert bench.main(["--json", "--model", str(tiny("bert")), *parts]) == 0
    found = json.loads(capsys.readouterr().out)
    texts = "text seconds by runs of their own over those spent"
    same = {
        "same tables after kills": 1.0,
        "sweep over its trainings, processor seconds": 1.0,
        "texts run once for 12 runs": 1.0,
    }
    assert found["ratios"] == same | {texts: 9.5, "sweep over loop, processor seconds": 1.0}
    assert found["targets"] == same | {"sweep over its trainings, processor seconds": 1.03}
    assert "9.500" in bench.show(found)


def test_a_loop_does_the_runs_of_a_sweep(tiny, tmp_path):
    grid = bench.make_grid(tmp_path, str(tiny("bert")), 1) | {"seeds": [0], "grid": {"tokens": [1], "lr": [0.1]}}
    sides = sweep_side(grid, tmp_path / "sweep", "here"), loop_side(grid, tmp_path / "loop")
    assert [side["done"] for side in sides] == [1, 1]
    assert 0 < sides[0]["training_seconds"] <= sides[0]["cpu_seconds"]
    (one,), (two,) = (sorted(tmp_path.glob(f"{name}/**/metrics.jsonl")) for name in ("sweep", "loop"))
    assert json.loads(one.read_text())["validation"] == json.loads(two.read_text())["validation"]
