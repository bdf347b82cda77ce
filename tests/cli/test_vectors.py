"""The command `extract`: the contract's keys, what is refused, what goes on."""

import numpy as np
import pytest

from command_line import check_mistake, files_of, write_csv
from separatrix.errors import OptionError
from separatrix.folders import load
from separatrix.points import Points
from separatrix.store.points import open_points


@pytest.fixture
def model(tiny):
    return ["--model", tiny("bert"), "--device", "cpu"]


def test_extract_prints_the_contract_and_reuses(cli, table, model, tmp_path):
    words = [
        "extract",
        table,
        *model,
        "--pool",
        "cls",
        "mean",
        "--layers",
        "0",
        "-1",
        "--out",
        tmp_path / "p",
        "--json",
    ]
    found = cli(*words).json
    assert (found["rows"], found["width"], found["computed"], found["cut"]) == (90, 128, 90, 0)
    assert found["blocks"] == {"cls@0": 32, "cls@3": 32, "mean@0": 32, "mean@3": 32}
    assert found["seconds"] > 0
    assert found["rows_per_second"] > 0
    assert found["reused"] is False
    assert found["bytes"] == sum(
        len(data) for name, data in files_of(tmp_path / "p").items() if name != "manifest.json"
    )
    assert open_points(tmp_path / "p", verify=True).column("label")[0] in ("cat", "dog", "bird")
    before = files_of(tmp_path / "p")
    assert cli(*words).json["reused"] is True
    ran = cli(*words[:-1])
    assert ran.code == 0
    assert "cls@0 (32), cls@3 (32)" in ran.out
    assert files_of(tmp_path / "p") == before


def test_what_stands_in_the_way_is_refused_and_goes_only_with_overwrite(cli, table, model, tmp_path):
    words = ["extract", table, *model, "--quiet", "--out", tmp_path / "p"]
    assert cli(*words).code == 0
    before = files_of(tmp_path / "p")
    check_mistake(cli(*words, "--max-length", "9"), "holds points of another request", "type --overwrite")
    check_mistake(cli(*words, "--layers", "9", "--pool", "cls", "--overwrite"), "got 9", "0 (embeddings) to 3")
    assert files_of(tmp_path / "p") == before
    assert cli(*words, "--max-length", "9", "--overwrite").code == 0
    assert open_points(tmp_path / "p").origin["max_length"] == 9


def test_what_was_stopped_goes_on_with_resume(cli, table, model, tmp_path):
    words = ["extract", table, *model, "--quiet", "--out", tmp_path / "p"]
    assert cli(*words, "--resume").code == 0
    whole = files_of(tmp_path / "p")
    (tmp_path / "q/pending").mkdir(parents=True)
    key = open_key(whole)
    (tmp_path / "q/pending/begun.json").write_text(f'{{"format": 1, "key": "{key}", "window": 4096}}')
    again = [*words[:-1], tmp_path / "q"]
    check_mistake(cli(*again), "were not finished", "--resume")
    assert cli(*again, "--resume").code == 0
    assert files_of(tmp_path / "q") == whole


def open_key(files):
    import json

    return json.loads(files["manifest.json"])["key"]


def test_texts_without_labels_and_texts_that_are_cut(cli, model, tmp_path):
    data = write_csv(tmp_path / "plain.csv", [["the cat is in the old house"], ["a bird"]], header=["text"])
    ran = cli(
        "extract",
        data,
        "--label",
        "",
        *model,
        "--what",
        "tokens",
        "--max-length",
        "5",
        "--out",
        tmp_path / "p",
        "--json",
    )
    assert (ran.json["rows"], ran.json["cut"]) == (9, 1)
    assert "1 of 2 texts were cut" in ran.err
    assert "label" not in open_points(tmp_path / "p").table.columns


def test_mistakes_are_one_sentence(cli, table, model, tmp_path):
    out = ["--out", tmp_path / "p"]
    check_mistake(cli("extract", table, *model, "--pool", "men", *out), "--pool", "did you mean 'mean'")
    check_mistake(cli("extract", table, *model, "--top", "3", *out), "--top has no effect with --what hidden")
    check_mistake(cli("extract", table, *model, "--run", tmp_path, *out), "--model has no effect with --run")
    check_mistake(cli("extract", table, "--model", tmp_path / "nothing", *out), "was found neither")
    check_mistake(cli("extract", tmp_path / "nothing.csv", *model, *out), "nothing.csv")
    assert not (tmp_path / "p").exists()
    assert "--layers" in cli("extract", "--help").out


def test_of_several_blocks_the_option_is_named(cli, tmp_path):
    """Python has `pick` as well; nobody can type it."""
    Points.of({"a": np.eye(4), "b": np.eye(4)}, {"label": list("xyxy")}).save(tmp_path / "both")
    ran = cli("score", tmp_path / "both", "--quiet")
    check_mistake(ran, "these points hold several blocks: got a, b; choose one with --block")
    with pytest.raises(OptionError, match="choose one with `pick` or --block"):
        np.asarray(load(tmp_path / "both").values)
