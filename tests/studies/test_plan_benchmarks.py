"""The benchmarks of plans run from end to end at a toy size; the plan on paper is the formulas'."""

import doctest
import json
import sys

import pytest
from benchmarks import atlas_scaled, large_files, paper_plan, plan_vs_run

from separatrix import cli
from separatrix.scale.machine import Machine


def test_plans_stand_beside_the_work(capsys, monkeypatch):
    monkeypatch.setattr("separatrix.scale.calibrate.LEAST", 0.0)
    words = ["--cases", "dbscan", "--dense-rows", "600", "--threads", "1", "--json"]
    assert plan_vs_run.main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["ratios"]) == set(found["targets"]) == {"dbscan"}
    assert found["ratios"]["dbscan"] > 0
    assert "| dbscan" in plan_vs_run.show(found)


@pytest.mark.parametrize("name", ["two_rtx_3090.json", "h200.json"])
def test_published_rates_say_that_they_are_not_measured(name):
    rates = Machine.load(paper_plan.MACHINES / name)
    assert not rates.measured
    assert rates.source


def test_the_plan_on_paper_covers_every_job(monkeypatch):
    rates = Machine("two cores", True, 2, 2**34, 1e9, 1e9, {"any": {"1": 1e10}, "starts": {"256": 1e10}})
    monkeypatch.setattr(paper_plan.Machine, "load", lambda path: rates if "laptop" in str(path) else load(path))
    table = paper_plan.table()
    assert "18,720,000 x 2,048 float16 are 76.7 GB" in table
    assert table.count("(not measured)") == 4  # in the heading, and with their source
    assert all(name in table for name in paper_plan.jobs())


load = Machine.load


def test_the_scaled_atlas_has_the_shape_of_the_large_one():
    assert paper_plan.SHAPE.rows == 100 * atlas_scaled.ROWS
    assert paper_plan.SHAPE.width == atlas_scaled.WIDTH
    assert doctest.testmod(paper_plan).failed == 0


def test_large_files_are_planned_and_done(capsys, monkeypatch):
    def run(*words):
        assert cli.main([*words, "--json", "--quiet"]) == 0
        return json.loads(capsys.readouterr().out), 2.0, 300.0

    monkeypatch.setattr("separatrix.scale.calibrate.LEAST", 0.0)
    monkeypatch.setattr(large_files, "run", run)
    assert large_files.main(["--rows", "240", "--verbs", "suspects", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (line,) = found["lines"]
    assert (line["verb"], line["rows"]) == ("suspects", 240)
    assert 0 < line["planned_mib"] < line["peak_mib"] == 300
    assert found["ratios"] == {"suspects, 240 rows, planned over taken": line["planned"] / 2}
    table = large_files.texts(500)
    assert table["label"].nunique() == 6
    assert table.equals(large_files.texts(500))


def test_each_command_is_measured_in_a_process_of_its_own(tmp_path, monkeypatch):
    python = tmp_path / "python"
    python.write_text(
        f"#!{sys.executable}\nimport json, sys, time\ntaken = bytearray(2**28)\ntime.sleep(0.2)\n"
        "print(json.dumps(sys.argv[1:]))\nsys.exit('broken' in sys.argv)\n"
    )
    python.chmod(0o755)
    monkeypatch.setattr(large_files.sys, "executable", str(python))
    words, seconds, peak = large_files.run("rank", "q.csv")
    assert words == ["-m", "separatrix", "rank", "q.csv", "--json", "--quiet"]
    assert seconds > 0.2
    assert 256 < peak < 2**15  # MiB; a process begins with what its parent holds
    with pytest.raises(SystemExit, match="separatrix rank broken failed"):
        large_files.run("rank", "broken")
