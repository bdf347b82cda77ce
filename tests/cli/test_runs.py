"""What a training says to the person at the terminal, and a test part that is left out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file

from command_line import Cli, check_mistake, write_csv
from received import edit, hash_anew


@pytest.mark.parametrize("quiet", [True, False])
def test_a_warning_is_always_seen_and_once(
    cli: Cli, tmp_path: Path, table: Path, quick: list[str], quiet: bool
) -> None:
    """Regression: `--quiet` hid what the guards said; it is to hide progress."""
    words = [word for word in quick if quiet or word != "--quiet"]
    ran = cli("train", table, *words, "--max-length", 4, "--out", tmp_path / "run")
    assert ran.code == 0, ran.err
    warnings = json.loads((tmp_path / "run" / "result.json").read_text())["warnings"]
    assert any("texts were cut to 4 tokens" in line for line in warnings)
    for line in warnings:
        assert (ran.out + ran.err).count(line.splitlines()[0]) == 1
        assert f"warning  {line.splitlines()[0]}\n" in ran.out
    assert (ran.err == "") == quiet


def test_with_json_warnings_stand_in_the_object(cli: Cli, tmp_path: Path, table: Path, quick: list[str]) -> None:
    words = ["train", table, *quick, "--max-length", 4, "--json"]
    found = cli(*words, "--out", tmp_path / "quiet")
    assert found.err == ""
    loud = cli(*[word for word in words if word != "--quiet"], "--out", tmp_path / "loud")
    assert found.json["warnings"] == loud.json["warnings"] != []
    assert loud.err.count("warning: ") == len(loud.json["warnings"])


def test_a_test_part_whose_labels_are_secret_is_left_out(
    cli: Cli, tmp_path: Path, rows: list[tuple[str, str]], quick: list[str]
) -> None:
    """Regression: the error told to leave the part out, and no option did it; `--test 0` was ignored in silence."""
    data = write_csv(tmp_path / "data" / "train.csv", rows).parent
    write_csv(data / "test.csv", [(text, -1) for text, _ in rows[:9]])
    words = ["train", data, *quick, "--method", "probe", "--json"]
    words = [word for word in words if word not in ("--epochs", "--tokens", "--snapshots", "1", "2")]
    found = cli(*words, "--test", 0, "--out", tmp_path / "run").json
    assert found["scores"].keys() == {"validation"}
    assert "test: left out, as asked" in found["notes"]
    write_csv(data / "test.csv", rows[:9])
    assert cli(*words, "--test", 0, "--out", tmp_path / "again").json["scores"].keys() == {"validation"}


def test_a_finished_run_that_is_resumed_stays_as_it_is(cli: Cli, tmp_path: Path, table: Path, quick: list[str]) -> None:
    """Regression: its manifest was taken back, so it could not be read, then or later."""
    run, answers = tmp_path / "run", tmp_path / "answers.csv"
    words = ["train", table, *quick, "--out", run]
    assert cli(*words).code == 0
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.parent == run}
    ran = cli(*words, "--resume", "--checkpoint-seconds", 5)
    assert ran.code == 0, ran.err
    assert "this run was finished before: nothing was trained" in ran.out
    kept = ("model.json", "model.safetensors", "recipe.json", "result.json", "metrics.jsonl")
    assert all((run / name).read_bytes() == before[run / name] for name in kept)
    assert cli("predict", run, table, "--text", "text", "--out", answers).code == 0
    damaged = bytearray(before[run / "model.safetensors"])
    damaged[-1] ^= 1
    (run / "model.safetensors").write_bytes(damaged)
    assert cli(*words, "--resume").code == 2
    (run / "model.safetensors").write_bytes(before[run / "model.safetensors"])
    assert cli("predict", run, table, "--text", "text", "--out", answers, "--overwrite").code == 0


def test_a_run_whose_pictures_were_killed_goes_on(
    cli: Cli, tmp_path: Path, table: Path, quick: list[str], finished: Path
) -> None:
    """Regression: its manifest had no hashes yet, so `--resume` said "was not finished; go on with --resume"."""
    run, words = shutil.copytree(finished, tmp_path / "run"), ["train", table, *quick, "--out", tmp_path / "run"]
    edit(run / "manifest.json", lambda plain: plain.update(files=None))
    (run / "report.html").unlink()
    assert cli("predict", run, table, "--text", "text", "--out", tmp_path / "answers.csv").code == 2
    ran = cli(*words, "--resume")
    assert ran.code == 0, ran.err
    assert cli("predict", run, table, "--text", "text", "--out", tmp_path / "answers.csv").code == 0
    for name in ("model.safetensors", "result.json"):
        assert (run / name).read_bytes() == (finished / name).read_bytes()


def test_a_model_that_moved_is_the_same_and_another_of_its_name_is_not(
    cli: Cli, tmp_path: Path, table: Path, quick: list[str], finished: Path
) -> None:
    run, name = shutil.copytree(finished, tmp_path / "run"), Path(quick[1]).name
    moved = shutil.copytree(quick[1], tmp_path / "moved" / name)
    words = ["train", table, "--model", moved, *quick[2:], "--out", run, "--resume"]
    assert cli(*words).code == 0
    weights = load_file(moved / "model.safetensors")
    save_file({key: tensor * 2 for key, tensor in weights.items()}, moved / "model.safetensors", {"format": "pt"})
    check_mistake(cli(*words), "was begun with other options or other texts: got weights", "--overwrite")


def test_a_run_of_an_early_version_goes_on(
    cli: Cli, tmp_path: Path, table: Path, quick: list[str], finished: Path
) -> None:
    """Its recipe had the path of the model, and no hash of its weights."""
    run = shutil.copytree(finished, tmp_path / "run")
    edit(run / "recipe.json", lambda plain: [plain.pop("weights"), plain["backbone"].update(model=quick[1])])
    hash_anew(run)
    assert cli("train", table, *quick, "--out", run, "--resume").code == 0


def test_predict_says_how_many_of_the_answers_it_shows(cli: Cli, tmp_path: Path, finished: Path) -> None:
    data = tmp_path / "new.csv"
    for count, said in ((5, "rows  5\n"), (8, "rows  8, the first 5 shown\n")):
        data.write_text("text\n" + "".join(f"new text {number}\n" for number in range(count)))
        ran = cli("predict", finished, data, "--out", tmp_path / f"{count}.csv")
        assert said in ran.out
        assert ran.out.count("new text") == 5


def test_a_prompt_is_explained_on_labelled_rows(cli: Cli, tmp_path: Path, table: Path, finished: Path) -> None:
    answers = tmp_path / "answers.csv"
    words = ["predict", finished, table, "--text", "text", "--explain", "--out", answers]
    check_mistake(cli(*words), "--explain needs labels; name their column with --label")
    assert not answers.exists()
    told = cli(*words, "--label", "label", "--json").json["explanation"]
    assert len(told["vectors"]) == 2
    assert told["rows"] == told["scores"]["rows"]
    ran = cli(*words, "--label", "label", "--overwrite")
    assert "nearest words" in ran.out
    assert "accuracy lost without it" in ran.out
