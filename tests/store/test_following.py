"""How far a run is, as another process reads it."""

import json

from separatrix.progress import silent
from separatrix.store.following import FollowedProgress, read_progress


def test_a_stage_is_written_at_once_and_then_once_a_second(tmp_path):
    path, times, passed = tmp_path / "progress.json", iter([0.0, 0.5, 1.25, 1.5, 2.0, 2.2]), []
    progress = FollowedProgress(path, lambda *report: passed.append(report), lambda: next(times))
    seen = []
    for report in (
        ("training", 10, 100, "loss 0.9"), ("training", 11, 100, "loss 0.8"), ("training", 15, 100, "loss 0.7"),
        ("training", 16, 100, "loss 0.6"), ("evaluation (test)", 0, 8, ""), ("model: tiny", 0, 0, ""),
    ):  # fmt: skip
        progress(*report)
        seen.append(read_progress(path)[0])
    assert len(passed) == 6
    assert seen == [
        "training: 10 of 100 steps, loss 0.9",
        "training: 10 of 100 steps, loss 0.9",
        "training: 15 of 100 steps, 4.0 steps/s, 0:00:21 left, loss 0.7",
        "training: 15 of 100 steps, 4.0 steps/s, 0:00:21 left, loss 0.7",
        "evaluation (test): 0 of 8 rows",
        "model: tiny",
    ]
    assert [one.name for one in tmp_path.iterdir()] == ["progress.json"]


def test_what_cannot_be_written_or_read_stops_nothing(tmp_path):
    FollowedProgress(tmp_path / "gone" / "progress.json", silent)("training", 1, 2, "")
    path = tmp_path / "progress.json"
    for content in ("", "{", json.dumps({"line": 5}), json.dumps([])):
        path.write_text(content)
        assert read_progress(path) == ("", 0, 0)
