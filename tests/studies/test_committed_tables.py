"""What a study commits is what its table command makes of its committed runs, whatever options came since."""

import shutil
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "studies"


@pytest.mark.parametrize(
    ("command", "tables"),
    [
        ("prompt_quality.run", ("RESULTS.md", "results.csv")),
        ("prompts.run", ("RESULTS.md", "results.csv")),
        ("prompts.ensembles", ("ENSEMBLES.md",)),
        ("auto.run", ("RESULTS.md",)),
        ("auto.shorter", ("SHORTER.md",)),
        ("alignment.run", ("RESULTS.md", "results.csv")),
        ("many_classes.run", ("RESULTS.md",)),
        ("few_rows.run", ("RESULTS.md",)),
        ("few_rows.forms", ("FORMS.md",)),
        ("alignment.groups", ("GROUPS.md",)),
        ("alignment.planted", ("PLANTED.md",)),
        ("alignment.carryover", ("CARRYOVER.md",)),
        ("centroids.run", ("RESULTS.md", "results.csv")),
        ("prompt_lengths.run", ("RESULTS.md",)),
        ("suspects.run", ("RESULTS.md",)),
        ("calibration.run", ("RESULTS.md",)),
        ("multilabel.run", ("RESULTS.md",)),
        ("language_model.run", ("RESULTS.md",)),
        ("language_model.late", ("LATE.md",)),
        ("frozen_encoders.run", ("RESULTS.md", "results.csv")),
        ("frozen_encoders.concat", ("CONCAT.md",)),
        ("head_atlas.run", ("RESULTS.md",)),
    ],
)
def test_a_committed_table_is_made_again_equal(command, tables, tmp_path):
    folder = ROOT / command.partition(".")[0]
    for path in (*folder.glob("*.jsonl"), *folder.glob("*_*.csv"), *folder.glob("re*d.csv"), *folder.glob("*.png")):
        shutil.copy(path, tmp_path)
    out = ["--runs", str(tmp_path / "runs.jsonl")] if "head_atlas" in command else ["--out", str(tmp_path)]
    import_module(f"studies.{command}").main(["--table", *out])
    for name in tables:
        assert (tmp_path / name).read_text(encoding="utf-8") == (folder / name).read_text(encoding="utf-8"), name
