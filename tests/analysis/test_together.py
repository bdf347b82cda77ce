"""Folders of several kinds on one page: which can be compared, what each brings, and odd ones."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from matplotlib import image

from separatrix.analysis.cluster import cluster
from separatrix.analysis.compare import compare
from separatrix.analysis.seeds import SeedRun, over_seeds
from separatrix.analysis.suspects import suspects
from separatrix.analysis.together import show_together
from separatrix.errors import StoreError
from separatrix.points import Points
from separatrix.reports.columns import section_data, unpack
from separatrix.store.files import write_json, write_lines
from separatrix.store.table import write_table

ROWS = 60


def save_run(folder, right, seed=0, lr=0.1, **figures):
    """A run as `train` leaves it, in little: no trajectory, answers to `ROWS` test rows and as many validation rows."""
    gold = np.array(["no", "yes"])[np.arange(ROWS) % 2]
    wrong = np.random.default_rng(seed).permutation(ROWS) >= round(right * ROWS)
    predicted = np.where(wrong, np.where(gold == "no", "yes", "no"), gold)
    for part in ("test", "validation"):
        texts = [f"{part} {n}" for n in range(ROWS)]
        table = pd.DataFrame({"id": range(ROWS), "text": texts, "label": gold, "predicted": predicted})
        write_table(folder / "predictions" / f"{part}.parquet", table)
    scores = {
        "accuracy": right,
        "interval": [right - 0.1, min(1, right + 0.1)],
        "majority": 0.5,
        "rows": ROWS,
    } | figures
    result = {"method": "prompt", "model": {"name": "tiny"}, "loss": "linear", "classes": ["no", "yes"], "seconds": 1.0}
    more = {"baselines": {}, "warnings": [], "notes": [], "command": f"separatrix train q.csv --out {folder.name}"}
    write_json(folder / "result.json", result | more | {"scores": {"test": scores, "validation": scores}})
    write_json(
        folder / "recipe.json",
        {"loop": {"seed": seed, "lr": lr}, "data": {"train": {"source": "a.csv", "rows": 9, "digest": str(seed)}}},
    )
    return folder


@pytest.fixture
def points(tmp_path):
    """Vectors of the runs' test rows."""
    rng, kind = np.random.default_rng(0), np.arange(ROWS) % 2
    table = {"id": range(ROWS), "text": [f"test {n}" for n in range(ROWS)], "label": np.array(["no", "yes"])[kind]}
    made = Points.of(4 * np.eye(6)[kind] + rng.normal(size=(ROWS, 6)), pd.DataFrame(table))
    made.save(tmp_path / "points")
    return tmp_path / "points"


def test_runs_points_clusters_and_suspects_share_their_rows(points, tmp_path):
    a, b = save_run(tmp_path / "a", 0.9), save_run(tmp_path / "b", 0.6, seed=1)
    cluster(points, "kmeans", k=2, out=tmp_path / "clusters")
    suspects(points, out=tmp_path / "suspects")
    folders = [a, b, points, tmp_path / "clusters", tmp_path / "suspects"]
    page = show_together(folders, tmp_path / "page.html").path.read_text()
    rows = section_data(page, "rows")
    assert rows["rows"] == 2 * ROWS  # test rows of both runs, of the points, clusters and suspects are one
    assert rows["answers"] == ["a", "b"]
    assert rows["clusterings"][0]["names"] == ["cluster 0", "cluster 1"]
    clusters = unpack(rows["columns"]["cluster-0"], page)
    assert sorted(np.bincount(clusters)) == sorted([30, 30, ROWS])  # validation rows are in no cluster
    assert [one["title"] for one in section_data(page, "map")["maps"]] == ["points: map"]
    assert "a is ahead of b." in page


def test_the_page_opens_on_the_leader_and_has_the_classes_of_each_run(tmp_path):
    classes = [
        dict.fromkeys(("rows", "precision", "recall", "f1", "predicted"), 1) | {"name": one} for one in ("no", "yes")
    ]
    more = {"confusion": [[20, 10], [1, 29]], "per_class": classes}
    a, b = save_run(tmp_path / "a", 0.6, **more), save_run(tmp_path / "b", 0.9, seed=1, **more)
    (a / "pictures").mkdir()
    for stem in ("confusion", "curves"):
        image.imsave(a / "pictures" / f"{stem}.png", np.zeros((4, 4, 3)))
    write_lines(a / "metrics.jsonl", [{"epoch": 1, "step": 3, "loss": 0.5, "validation": {"accuracy": 0.6}}])
    page = show_together([a, b], tmp_path / "page.html").path.read_text()
    assert page.count('class="chart"') == 2  # loss and score of a
    assert section_data(page, "rows")["first"] == 1
    assert "<img" not in page  # of what is alive
    for name in "ab":
        assert f"<code>separatrix train q.csv --out {name}</code>" in page
    for section in ("confusion", "classes"):
        assert section_data(page, section)["draw"] == section
        assert [part["names"] for part in section_data(page, section)["parts"]] == [["no", "yes"]] * 2
    assert [part["split"] for part in section_data(page, "confusion")["parts"]] == ["test"] * 2


def test_what_guards_said_of_a_run_stands_above_the_verdict_with_its_name(tmp_path):
    """Regression: the verdict over several runs came first, and the warnings pages below it."""
    a, b = save_run(tmp_path / "a", 0.6), save_run(tmp_path / "b", 0.9, seed=1)
    for folder, lines in ((a, ["2 rows <overlap>"]), (b, ["2 rows <overlap>", "only 12 steps"])):
        result = json.loads((folder / "result.json").read_text())
        write_json(folder / "result.json", result | {"warnings": lines})
    page = show_together([a, b], tmp_path / "page.html").path.read_text()
    first = page[: page.index('id="verdict"')]
    assert "a, b: 2 rows &lt;overlap&gt;" in first
    assert "b: only 12 steps" in first


def test_seeds_of_one_recipe_are_one_line(tmp_path):
    rights = {0.1: (0.9, 0.85), 0.2: (0.7, 0.6)}
    folders = [
        save_run(tmp_path / f"{lr}-{seed}", right, seed, lr)
        for lr, both in rights.items()
        for seed, right in enumerate(both)
    ]
    page = show_together(folders, tmp_path / "page.html").path.read_text()
    assert "Over seeds of one recipe" in page
    assert "0.1-0 less 0.2-0 +0.225" in page
    assert "over 2 shared seeds" in page


def test_few_rows_are_shown_and_not_drawn(points, tmp_path):
    a, b = save_run(tmp_path / "a", 0.9), save_run(tmp_path / "b", 0.8)
    Points.of(np.eye(3), {"label": ["x", "y", "x"]}).save(tmp_path / "few")
    page = show_together([a, b, tmp_path / "few", points], tmp_path / "page.html").path.read_text()
    assert [one["title"] for one in section_data(page, "map")["maps"]] == ["points: map"]
    assert page.count('<section id="part-') == 4


def test_parts_of_folders_with_one_name_are_told_apart(tmp_path):
    for folder in ("maps/trec", "points/trec"):
        Points.of(np.eye(3), {"label": ["x", "y", "x"]}).save(tmp_path / folder)
    page = show_together([tmp_path / "maps/trec", tmp_path / "points/trec"], tmp_path / "page.html").path.read_text()
    assert re.findall(r'<h2 id="part-\d-title">(.*?)<', page) == ["maps/trec", "points/trec"]


def test_compare_writes_the_same_page(tmp_path):
    a, b = save_run(tmp_path / "a", 0.9), save_run(tmp_path / "b", 0.6, seed=1)
    compare([a, b], out=tmp_path / "out")
    page = (tmp_path / "out" / "compared.html").read_text()
    assert "a is ahead of b." in page
    assert section_data(page, "rows")["answers"] == ["a", "b"]
    assert str(tmp_path) not in page


def test_nothing_is_written_where_a_folder_holds_no_result(points, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="empty holds no result"):
        show_together([points, tmp_path / "empty"], tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_seeds_of_one_recipe_are_found_whatever_version_wrote_them():
    """Regression: options that came later, at their defaults, made another recipe of a run."""
    before = {"method": "prompt", "backbone": {"model": "m"}, "loop": {"lr": 0.1, "seed": 0}}
    since = {
        **before,
        "backbone": {"model": "m", "depth": None},
        "loop": {"lr": 0.1, "seed": 1, "class_weight": None},
        "evaluation": {"order": None},
    }
    recipes, _ = over_seeds([SeedRun("a", before, "test", 0.8), SeedRun("b", since, "test", 0.9)])
    assert [(one["recipe"], one["runs"]) for one in recipes] == [("a", 2)]
    deeper = since | {"backbone": {"model": "m", "depth": 2}}
    assert over_seeds([SeedRun("a", before, "test", 0.8), SeedRun("b", deeper, "test", 0.9)]) == ([], [])
