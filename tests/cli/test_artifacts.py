"""What commands write, replace and believe, seen from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from command_line import Cli, check_mistake
from separatrix.cli.app import main
from separatrix.points import Points
from separatrix.store.points import write_points
from separatrix.store.writer import open_writer
from served import start_served, wait_until


@pytest.fixture
def points(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    x = rng.normal(size=(60, 8)) + 3 * np.eye(8)[labels]
    write_points(tmp_path / "points", Points.of(x.astype(np.float32), {"label": labels}), dtype="float32")
    return tmp_path / "points"


def flip(path: Path, every: int, bit: int = 1) -> None:
    data = bytearray(path.read_bytes())
    data[::every] = bytes(byte ^ bit for byte in data[::every])
    path.write_bytes(bytes(data))


def test_altered_shards_are_refused(cli: Cli, points: Path) -> None:
    quick = ("--permutations", "99", "--quiet")
    assert cli("score", points, *quick).code == 0
    flip(points / "blocks/vectors/00000.f32", 64)
    check_mistake(cli("score", points, *quick), "00000.f32 was altered")
    check_mistake(cli("cluster", points, "--k", 2, "--out", points.parent / "c", "--quiet"), "00000.f32 was altered")
    assert not (points.parent / "c").exists()
    assert cli("score", points, "--no-verify", *quick).code == 0


def test_altered_clusters_are_refused_unless_hashes_are_left_out(cli: Cli, points: Path, tmp_path: Path) -> None:
    clusters = tmp_path / "clusters"
    assert cli("cluster", points, "--k", 2, "--out", clusters, "--quiet").code == 0
    with (clusters / "sizes.png").open("r+b") as picture:
        picture.write(b"x")
    for words in (
        ("associate", clusters, "--with", "label", "--permutations", "19"),
        ("score", points, "--clusters", clusters, "--permutations", "99"),
        ("cluster", points, "--within", clusters, "--of", 0, "--k", 2, "--out", tmp_path / "within"),
    ):
        check_mistake(cli(*words, "--quiet"), "sizes.png was altered")
        assert cli(*words, "--no-verify", "--quiet").code == 0, words


def test_an_altered_run_is_read_where_hashes_are_left_out(
    cli: Cli, table: Path, quick: list[str], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert cli("train", table, *quick, "--out", run).code == 0
    for name in ("model.json", "recipe.json"):  # the same content in other bytes
        (run / name).write_text((run / name).read_text() + " ")
        manifest = json.loads((run / "manifest.json").read_text())
        manifest["files"][name]["bytes"] += 1
        (run / "manifest.json").write_text(json.dumps(manifest))
    for words, name in (
        (("extract", table, "--run", run, "--out", tmp_path / "points"), "model.json"),
        (("predict", run, table, "--out", tmp_path / "answers.csv"), "model.json"),
        (("suspects", run, "--out", tmp_path / "suspects"), "recipe.json"),
    ):
        check_mistake(cli(*words, "--quiet"), f"{name} was altered")
        assert cli(*words, "--no-verify", "--quiet").code == 0, words
    (run / "manifest.json").unlink()
    predict = ("predict", run, table, "--out", tmp_path / "answers.csv", "--overwrite", "--quiet")
    ran = cli(*predict)
    assert (ran.code, ran.err.count("has no manifest.json (early versions wrote none): its files cannot be")) == (0, 1)
    assert cli(*predict, "--no-verify").err == ""
    words = ("extract", table, "--model", "m", "--no-verify", "--out", tmp_path / "p")
    check_mistake(cli(*words), "--no-verify has no effect without --run; leave --no-verify away")


def test_an_altered_model_is_refused(cli: Cli, table: Path, quick: list[str], tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "answers.csv"
    assert cli("train", table, *quick, "--out", run).code == 0
    assert cli("predict", run, table, "--out", out, "--quiet").code == 0
    page = cli("report", run, "--out", table, "--overwrite", "--quiet")
    check_mistake(page, "cannot be written as a page: got .csv, expected .html")
    assert cli("report", run, "--quiet").code == 0  # pictures are drawn anew, and the manifest knows them
    assert cli("predict", run, table, "--out", out, "--overwrite", "--quiet").code == 0
    check_mistake(cli("predict", run, table, "--out", table, "--overwrite", "--quiet"), "the command reads it")
    check_mistake(cli("rank", table, "--out", run, "--overwrite", "--quiet"), "run is not empty and not replaced")
    before = (run / "model.safetensors").stat().st_size
    flip(run / "model.safetensors", before // 40)
    check_mistake(cli("predict", run, table, "--out", out, "--overwrite", "--quiet"), "model.safetensors was altered")
    (run / "result.json").write_text((run / "result.json").read_text().replace("0.", "1.", 1))
    check_mistake(cli("report", run, "--quiet"), "result.json was altered")


def test_files_are_replaced_by_their_own_kind_alone(cli: Cli, finished: Path, table: Path, tmp_path: Path) -> None:
    """Regression: any table, page or file of vectors was."""
    write_points(tmp_path / "points", Points.of(np.eye(3)))
    for name, words in (
        ("labels.csv", ("predict", finished, table)), ("labels.jsonl", ("predict", finished, table)),
        ("labels.parquet", ("predict", finished, table)), ("thesis.html", ("report", finished)),
        ("x.npy", ("export", tmp_path / "points")), ("y.safetensors", ("export", tmp_path / "points")),
        ("z.parquet", ("export", tmp_path / "points")),
    ):  # fmt: skip
        out = tmp_path / name
        out.write_text("mine,text\n")
        check_mistake(
            cli(*words, "--out", out, "--overwrite", "--quiet"), f"{name} is not replaced: it holds something"
        )
        assert out.read_text() == "mine,text\n"
        out.unlink()
        assert cli(*words, "--out", out, "--quiet").code == 0
        assert cli(*words, "--out", out, "--overwrite", "--quiet").code == 0
    (tmp_path / "x.rows.parquet").write_text("mine")
    check_mistake(
        cli("export", tmp_path / "points", "--out", tmp_path / "x.npy", "--overwrite", "--quiet"), "rows.parquet is not"
    )


def test_points_are_not_replaced_by_what_reads_them(cli: Cli, tiny: Callable[[str], Path], tmp_path: Path) -> None:
    """Regression: `extract` replaced the points whose table it read."""
    rows = {"text": ["a cat", "a dog", "a bird"], "label": ["x", "y", "x"]}
    points = tmp_path / "points"
    write_points(points, Points.of(np.eye(3), rows))
    for words in (
        ("extract", points / "table.parquet", "--model", tiny("bert")),
        ("compress", points, "--k", "1"),
    ):  # fmt: skip
        ran = cli(*words, "--out", points, "--overwrite", "--quiet")
        assert (ran.code, ran.err.count("points is not replaced: the command reads it")) == (2, 1), ran
    assert (points / "table.parquet").is_file()


def test_a_store_that_is_being_written_is_refused(
    cli: Cli, table: Path, tiny: Callable[[str], Path], tmp_path: Path
) -> None:
    words = ("extract", table, "--model", tiny("bert"), "--out", tmp_path / "p", "--quiet")
    with open_writer(tmp_path / "p", "key", window=2):
        check_mistake(cli(*words), "p is being written by another process")
    assert cli(*words).code == 0
    check_mistake(cli(*words, "--max-length", 7), "holds points of another request")


def test_a_corrected_command_is_not_refused(points: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import separatrix.analysis.cluster as module

    def boom(*_: object) -> None:
        raise ValueError("boom")

    words = ["cluster", str(points), "--k", "2", "--out", str(tmp_path / "c"), "--quiet"]
    with monkeypatch.context() as patch:
        patch.setattr(module.Clusters, "write", boom)
        assert main(words) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["points"]
    assert main(words) == 0


TERMINATED = """
import sys, time
import separatrix.analysis.cluster as module
from separatrix.cli.app import main

def wait(*_):
    print("inside", flush=True)
    time.sleep(60)
module.Clusters.write = wait
sys.exit(main(sys.argv[1:]))
"""


def test_sigterm_ends_as_ctrl_c_does(points: Path, tmp_path: Path) -> None:
    words = ["cluster", str(points), "--k", "2", "--out", str(tmp_path / "c"), "--quiet"]
    printed = tmp_path / "printed"
    process = start_served(TERMINATED, words, printed)
    wait_until(lambda: printed.read_text() == "inside\n", process)
    process.terminate()
    process.join(60)
    assert (process.exitcode, printed.read_text()) == (130, "inside\nseparatrix: stopped\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["points", "printed"]
