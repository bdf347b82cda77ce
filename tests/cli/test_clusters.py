"""`cluster`, `associate`, `suspects` through the parser, on points on disk."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from command_line import Cli, check_mistake, files_of
from separatrix.points import Points
from separatrix.store.points import write_points


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    true = np.arange(150) % 3
    x = (6 * np.eye(4)[true] + rng.normal(size=(150, 4))).astype(np.float32)
    labels = np.where(np.arange(150) < 9, (true + 1) % 3, true)
    table = {"text": [f"text {i}" for i in range(150)], "label": np.array(["a", "b", "c"])[labels]}
    table["split"] = ["train"] * 150
    folder = tmp_path_factory.mktemp("points") / "p"
    write_points(folder, Points.of(x, table))
    return folder


def test_the_story_with_the_keys_of_the_contract(cli: Cli, tmp_path: Path, store: Path) -> None:
    ran = cli("cluster", store, "--method", "kmeans", "--k", 3, "--out", tmp_path / "c", "--json")
    found = ran.json
    assert found.keys() >= {"clusters", "noise", "sizes", "rows_used", "inertia", "out"}
    assert (found["sizes"], found["noise"], found["rows_used"]) == ([50, 50, 50], 0, 150)
    assert found["assignment"]["matched"]["accuracy"] == pytest.approx(141 / 150)
    assert found["out"] == str(tmp_path / "c")

    found = cli("associate", tmp_path / "c", "--with", "label", "--json", "--permutations", 99).json
    assert found.keys() >= {"mutual_information", "cramers_v", "p_value"}
    assert found["p_value"] == 0.01

    words = ["--within", tmp_path / "c", "--of", 0, "--k", 2, "--out", tmp_path / "c0", "--json", "--quiet"]
    ran = cli("cluster", store, *words)
    assert (ran.json["rows"], ran.json["parent"], ran.err) == (50, "0", "")
    ran = cli("cluster", store, *words[:6], "--out", tmp_path / "c1")
    assert "50 rows" in ran.err or "50/50" in ran.err, ran.err
    assert "150" not in ran.err
    assert re.search(r"^inertia +\d+\.?\d*$", ran.out, re.MULTILINE)
    assert not re.search(r"\d\.\d{6}", ran.out)  # figures are printed with six digits

    found = cli("suspects", store, "--out", tmp_path / "s", "--json", "--near", 0.9999).json
    assert found.keys() >= {"suspects", "rows", "estimated_noise", "out"}
    assert 7 <= found["suspects"] < 25  # 9 were planted
    assert found["estimated_noise"] == pytest.approx(0.06, abs=0.04)


def test_suspects_of_a_file(cli: Cli, tmp_path: Path, table: Path, tiny: Callable[[str], Path]) -> None:
    words = ["suspects", table, "--model", tiny("bert"), "--pool", "mean", "--near", 1, "--out", tmp_path / "s"]
    found = cli(*words, "--json").json
    assert found.keys() >= {"suspects", "estimated_noise", "judges", "out"}
    assert (found["rows"], found["judged"]) == (90, "out-of-fold rows of the texts")
    assert (tmp_path / "s" / "suspects.html").is_file()
    check_mistake(cli("suspects", "nothing.csv", "--out", tmp_path / "t", "--quiet"), "there is no file nothing.csv")


def test_tables_for_people(cli: Cli, tmp_path: Path, store: Path) -> None:
    words = ["--method", "dbscan", "--choose", "--min-samples", 5]
    ran = cli("cluster", store, *words, "--out", tmp_path / "c")
    assert ran.code == 0
    assert "chosen  eps = " in ran.out
    assert "matched one to one" in ran.out
    assert "clustering (dbscan): 150 rows" in ran.err
    ran = cli("suspects", store, "--out", tmp_path / "s", "--near", 0.9999)
    assert "suggested" in ran.out
    ran = cli("associate", tmp_path / "c", "--with", "label", "--out", tmp_path / "a")
    assert "Holm" in ran.out
    assert (tmp_path / "a" / "association_0.png").is_file()


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["cluster", "P", "--k", "3"], ["--out requires an argument"]),
        (["cluster", "P", "--out", "O"], ["--method kmeans needs --k"]),
        (["cluster", "P", "--method", "dbscan", "--eps", "1", "--k", "3", "--out", "O"], ["--k has no effect"]),
        (["cluster", "P", "--k", "151", "--out", "O"], ["more clusters than rows: got k = 151, expected 150 or fewer"]),
        (["cluster", "P", "--k", "3", "--of", "0", "--out", "O"], ["--within and --of belong together"]),
        (["cluster", "nowhere", "--k", "3", "--out", "O"], ["nowhere is no folder"]),
        (["cluster", "P", "--method", "kmean", "--k", "3", "--out", "O"], ["did you mean 'kmeans'"]),
        (["associate", "P", "--with", "label"], ["holds no finished clusters"]),
        (["associate", "P"], ["no column to compare the clusters with"]),
        (["suspects", "P", "--label", "kind", "--out", "O"], ["no column 'kind'"]),
        (["suspects", "P", "--folds", "2", "--out", "O"], ["--folds is out of range"]),
    ],
)
def test_mistakes_are_one_sentence_and_leave_nothing(
    cli: Cli, tmp_path: Path, store: Path, words: list[str], parts: list[str]
) -> None:
    places = {"P": str(store), "O": str(tmp_path / "out")}
    check_mistake(cli(*(places.get(word, word) for word in words), "--quiet"), *parts)
    assert files_of(tmp_path) == {}


def test_nothing_is_overwritten(cli: Cli, tmp_path: Path, store: Path) -> None:
    words = ["cluster", store, "--k", 2, "--out", tmp_path / "c", "--quiet"]
    assert cli(*words).code == 0
    before = files_of(tmp_path)
    check_mistake(cli(*words), "exists; type --overwrite")
    assert files_of(tmp_path) == before
    assert cli(*words, "--overwrite").code == 0
