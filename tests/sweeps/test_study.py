"""A study on disk: done once, stopped and gone on with, by several at once."""

import json
import shutil

import pytest

import separatrix as sx
from command_line import write_csv
from separatrix.errors import OptionError, StoreError
from served import start_served, wait_until

pytestmark = pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")


@pytest.fixture(scope="module")
def study(small, tmp_path_factory):
    out = tmp_path_factory.mktemp("studies") / "lengths"
    return sx.sweep(small(baselines=["majority", "probe", "knn"], reference="tokens=1"), out=out)


def test_a_line_for_each_row_with_its_interval_and_difference(study):
    table = study.table.set_index("label")
    assert list(table.index) == ["tokens=1", "tokens=2", "majority", "probe", "knn"]
    assert (table["runs"] == 2).all()
    assert table["test"].between(0, 1).all()
    assert table.loc["majority", "test"] == pytest.approx(1 / 3)
    longer = table.loc["tokens=2"]
    assert longer["difference"] == pytest.approx(longer["test"] - table.loc["tokens=1", "test"], abs=1e-5)
    assert longer["against"] == "tokens=1"
    assert (study.runs, study.done, study.failed) == (6, 6, 0)
    assert study.costs[1]["parameters"] > study.costs[0]["parameters"]
    assert "the best of 2 rows on validation" in study.best[0]
    assert study.best[0].count(" to ") == 2  # an interval is not left out of the sentence


def test_the_texts_of_a_split_run_once_for_all_rows(study):
    """Two seeds, each with three parts; two rows use them, the validation texts once more for their answers. A probe
    reads other vectors of the same parts, its validation texts once more too."""
    assert (study.cache["built"], study.cache["used"]) == (6 + 6, 16 + 8)
    assert not (study.folder / "cache").exists()


def test_a_probe_of_many_seeds_reads_the_same_texts_once(small, planted, tmp_path):
    """Regression: each seed read them anew, though no row differed."""
    rows, data = list(zip(*planted, strict=True)), tmp_path / "data"
    data.mkdir()
    for part, some in {"train": rows[:60], "validation": rows[60:75], "test": rows[75:90]}.items():
        write_csv(data / f"{part}.csv", some)
    seeds = [0, 1, 2]
    study = sx.sweep(small(data=str(data), grid={"tokens": [1]}, seeds=seeds, baselines=["probe"]), out=tmp_path / "s")
    assert study.cache["built"] == 3 + 3  # parts that a prompt reads, and a probe
    assert study.cache["used"] == len(seeds) * (4 + 4)
    for run in (study.folder / "runs").glob("[!.]*"):
        answer = sx.load(run).predictions["test"]
        assert sx.predict(run, data=data / "test.csv")["predicted"].tolist() == answer["predicted"].tolist()


def test_it_is_read_again_and_shown(study, tmp_path):
    again = sx.load(study.folder)
    assert again.to_dict()["table"] == study.to_dict()["table"]
    assert (
        "| tokens=1 |" in (study.folder / "table.md").read_text() or "| 1 |" in (study.folder / "table.md").read_text()
    )
    page = sx.report([study], out=tmp_path / "page.html")
    assert page.path.is_file()
    run = next((study.folder / "runs").glob("[!.]*"))
    assert sx.load(run).scores


def test_a_run_says_the_command_that_trains_it_alone(study):
    commands = {run.name: sx.load(run).command for run in (study.folder / "runs").glob("[!.]*")}
    for run, command in commands.items():
        assert command.startswith("separatrix train planted.csv --method p")  # prompt or probe
        assert f"--out {run}" in command
    assert sorted(command.count("--tokens 1 ") for command in commands.values()) == [0, 0, 0, 0, 1, 1]


def test_the_same_again_trains_nothing_and_another_grid_is_refused(study, small, monkeypatch):
    monkeypatch.setattr("separatrix.sweeps.work.carry_out", None)  # a run would fail
    same = small(baselines=["majority", "probe", "knn"], reference="tokens=1")
    before = (study.folder / "table.csv").read_bytes()
    assert sx.sweep(same, out=study.folder).done == 6
    assert (study.folder / "table.csv").read_bytes() == before
    assert sx.sweep(same, out=study.folder).cache == study.cache  # which nothing is left of
    with pytest.raises(StoreError, match=r"is the study of another grid: got 2 runs more \(tokens=4 with seed 0"):
        sx.sweep(same | {"grid": {"tokens": [1, 2, 4]}}, out=study.folder)
    with pytest.raises(StoreError, match=r"got epochs 2 instead of 1; type --extend"):
        sx.sweep(same | {"train": same["train"] | {"epochs": 2}}, out=study.folder)
    with pytest.raises(OptionError, match="the reference names no row: got 'tokens=7'"):
        sx.sweep(same, out=study.folder, reference="tokens=7")
    with pytest.raises(StoreError, match="is not empty and not replaced"):
        sx.sweep(same, out=study.folder / "runs")


def test_damaged_weights_of_a_run_leave_the_other_rows(study, small, tmp_path):
    """Regression: the table was refused as a whole, since its costs count the numbers in them."""
    shutil.copytree(study.folder, tmp_path / "s")
    run = next(run["run"] for run in study.by_seed if run["label"] == "tokens=2")
    weights = tmp_path / "s" / "runs" / run / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    same = small(baselines=["majority", "probe", "knn"], reference="tokens=1")
    result = sx.sweep(same, out=tmp_path / "s")
    assert result.states == {"done": 5, "failed": 1}
    assert result.failures[0].startswith(f"tokens=2, seed 0: runs/{run}/model.safetensors is damaged (")
    assert result.failures[0].endswith("; train it again with --retry")
    assert result.costs[0] == study.costs[0]


def test_a_study_is_replaced_only_if_nothing_else_is_in_it(small, tmp_path):
    """Regression: whatever stood among its runs went with them, and texts that the new one reads too."""
    out, tiny = tmp_path / "study", small(grid={"tokens": [1]}, seeds=[0])
    sx.sweep(tiny, out=out)
    sx.sweep(tiny, out=out, overwrite=True)
    run = next((out / "runs").glob("[!.]*"))
    for name in ("runs/photo.png", "runs/mine/photo.png", f"runs/{run.name}/photo.png", "failed/photo.png"):
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text("mine")
        with pytest.raises(StoreError, match=f"study is not replaced: it holds {name}, which this command did not"):
            sx.sweep(tiny, out=out, overwrite=True)
        (out / name).unlink()
    with pytest.raises(StoreError, match="study is not replaced: the command reads it"):
        sx.sweep(tiny | {"data": str(run / "predictions" / "test.parquet")}, out=out, overwrite=True)
    assert run.is_dir()


def test_altered_rows_of_a_shared_cache_are_run_again(small, tmp_path):
    """Regression: they were believed."""
    grid = small(grid={"tokens": [1]}, seeds=[0])
    whole = sx.sweep(grid, out=tmp_path / "study", keep_cache=True)
    for part in sorted((tmp_path / "study" / "cache").glob("*")):
        for name in ("text.cache", "vectors.safetensors"):
            path = part / name
            data = bytearray(path.read_bytes())
            data[-2] ^= 0xFF
            path.write_bytes(data)
    again = sx.sweep(grid | {"grid": {"tokens": [2]}}, out=tmp_path / "study", keep_cache=True, extend=True)
    alone = sx.sweep(grid | {"grid": {"tokens": [2]}}, out=tmp_path / "alone")
    assert (whole.cache["built"], again.cache["built"]) == (3, 6)
    assert again.table["test"].tolist() == alone.table["test"].tolist()


def test_a_damaged_line_of_the_caches_own_log_stops_nothing(small, tmp_path):
    """Regression: a process killed as it wrote one left a study without its table."""
    grid = small(grid={"tokens": [1]}, seeds=[0])
    sx.sweep(grid, out=tmp_path / "s", keep_cache=True)
    for log in (tmp_path / "s" / "cache").glob("*/uses.jsonl"):
        log.write_text(log.read_text() + '{"built": tr')
    assert sx.sweep(grid, out=tmp_path / "s", keep_cache=True).done == 1


SWEEP = """
import json, sys, warnings
import separatrix as sx
warnings.simplefilter("ignore")
sx.sweep(json.load(open(sys.argv[1])), out=sys.argv[2])
"""


def test_a_killed_sweep_ends_as_an_uninterrupted_one(small, tmp_path, study):
    """Killed at any moment and started again, until it ends; benchmarks/sweep.py does it at random, ten times."""
    path, out = tmp_path / "grid.json", tmp_path / "s"
    path.write_text(json.dumps(small(seeds=[0])))
    for files in (1, 4):
        process = start_served(SWEEP, [path, out], tmp_path / "printed")
        wait_until(lambda files=files: len([*out.glob("runs/*/*.json")]) >= files, process)
        process.kill()
        process.join()
        assert process.exitcode == -9
    assert sx.sweep(json.loads(path.read_text()), out=out).done == 2
    assert_same_runs(out, study.folder)


def test_two_commands_at_once_share_the_runs(small, tmp_path, study):
    path, out = tmp_path / "grid.json", tmp_path / "s"
    path.write_text(json.dumps(small()))
    processes = [start_served(SWEEP, [path, out], tmp_path / name) for name in ("one", "two")]
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert_same_runs(out, study.folder)
    epochs = [path.read_text().count("\n") for path in out.glob("runs/*/metrics.jsonl")]
    assert epochs == [1] * 4  # nobody trained a run a second time


def test_workers_do_the_same_runs(small, tmp_path, study):
    assert sx.sweep(small(seeds=[1]), out=tmp_path / "s", executor="processes:2").done == 2
    assert_same_runs(tmp_path / "s", study.folder)


def assert_same_runs(folder, other):
    """Every figure of every run is that of the same run elsewhere."""
    own, all_of_them = (sx.load(each).by_seed for each in (folder, other))
    assert len(own) == len([*folder.glob("runs/[!.]*/manifest.json")])
    assert all(line in all_of_them for line in own)


def test_the_command_prints_the_table_and_counts(small, tmp_path, cli):
    lines = ["seeds = [0]", f'data = "{small()["data"]}"', "[train]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in small()["train"].items()]
    (tmp_path / "grid.toml").write_text("\n".join([*lines, "[grid]", "tokens = [1]"]))
    code, out, err = cli("sweep", tmp_path / "grid.toml", "--out", tmp_path / "s", "--json")
    assert code == 0
    assert {"runs": 1, "done": 1, "failed": 0}.items() <= json.loads(out).items()
    assert "done: tokens=1, seed 0" in err
    code, _, err = cli("sweep", tmp_path / "nowhere.toml", "--out", tmp_path / "t")
    assert (code, "nowhere.toml does not exist" in err) == (2, True)
