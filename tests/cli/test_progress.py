"""Where there is no terminal, a line about every half minute says how far, how fast and how long still."""

from __future__ import annotations

import pytest

from separatrix.cli.progress import PAUSE, TerminalProgress

LEFT = ["0:04:30", "0:04:00", "0:03:30", "0:03:00", "0:02:30", "0:02:00", "0:01:30", "0:01:00", "0:00:30"]


class FakeClock:
    """Stands still until it is told to go on."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def told(reports: list[tuple[float, str, int, int, str]], capsys: pytest.CaptureFixture[str], **options) -> list[str]:
    """The lines of a progress that gets these reports, each some seconds after the one before."""
    clock = FakeClock()
    with TerminalProgress(clock=clock, **options) as progress:
        for seconds, *report in reports:
            clock.now += seconds
            progress(*report)
    return capsys.readouterr().err.splitlines()


def test_a_line_about_every_half_minute_with_rate_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    # Two steps a second, from step 400 on, as after a resume: the steps before are no speed of ours.
    reports = [(0.5, "training", done, 1000, f"loss {1 - done / 2000:.3f}") for done in range(400, 1001)]
    assert told(reports, capsys) == [
        "training: 1000 steps",
        *(
            f"training: {done} of 1000 steps, 2.0 steps/s, {left} left, loss {1 - done / 2000:.3f}"
            for done, left in zip(range(460, 1000, 60), LEFT, strict=True)
        ),
    ]


def test_a_stage_whose_end_is_not_known_says_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    reports = [(1.0, "import", rows, 0, "") for rows in range(100, 7000, 100)]  # a shard a second
    assert told(reports, capsys) == ["import", *(f"import: {n} rows, 100.0 rows/s" for n in (3100, 6100))]


def test_a_short_stage_has_one_line_and_stages_keep_their_own_time(capsys: pytest.CaptureFixture[str]) -> None:
    reports = [
        (0, "texts (train)", 32, 96, ""),
        (20, "texts (train)", 64, 96, ""),
        (20, "texts (validation)", 8, 9, ""),
    ]
    assert told([*reports, (1, "texts (train)", 80, 96, "")], capsys) == [
        "texts (train): 96 texts",
        "texts (validation): 9 texts",
        "texts (train): 80 of 96 texts, 1.2 texts/s, 0:00:14 left",
    ]


@pytest.mark.parametrize(
    ("stage", "counted"),
    [("extraction: bert", "texts"), ("association tests", "columns"), ("comparison", "folders"), ("score", "rows")],
)
def test_a_stage_says_what_it_counts(stage: str, counted: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert told([(0, stage, 0, 7, "")], capsys) == [f"{stage}: 7 {counted}"]
    assert told([(0, stage, 0, 1, "")], capsys) == [stage]


def test_a_slow_stage_says_how_long_one_takes_and_one_that_stands_still_says_no_rate(
    capsys: pytest.CaptureFixture[str],
) -> None:
    reports = [(0, "clusters", 0, 4, "k-means"), (PAUSE, "clusters", 0, 4, ""), (90, "clusters", 1, 4, "dbscan")]
    assert told(reports, capsys) == [
        "clusters: 4 steps",
        "clusters: 0 of 4 steps",
        "clusters: 1 of 4 steps, 120 s each, 0:06:00 left, dbscan",
    ]


def test_the_end_of_a_stage_and_quiet_add_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    reports = [(0, "training", 1, 2, ""), (10 * PAUSE, "training", 2, 2, "")]
    assert told(reports, capsys) == ["training: 2 steps"]
    assert told([*reports[:1], (10 * PAUSE, "training", 1, 2, "")], capsys, quiet=True) == []


def test_a_stage_that_begins_again_has_a_time_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """With --refit there are two trainings; the second one's speed is not that of both."""
    first = [(10, "training", done, 100, "") for done in (0, 50, 100)]
    assert told([*first, *((20, "training", done, 50, "") for done in (0, 10, 20))], capsys) == [
        "training: 100 steps",
        "training: 50 steps",
        "training: 20 of 50 steps, 0.5 steps/s, 0:01:00 left",
    ]
