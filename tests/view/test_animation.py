import io
import os
import stat
import sys

import numpy as np
import pytest
from PIL import Image

from separatrix.errors import MissingExtra, OptionError, StoreError
from separatrix.view import animate
from separatrix.view.animation import pictures


def test_film_has_one_picture_per_frame_and_two_renders_are_equal(make_frames, tmp_path):
    first = animate(make_frames(count=6), tmp_path / "a.gif")
    second = animate(make_frames(count=6), tmp_path / "b.gif")
    assert first.read_bytes() == second.read_bytes()
    with Image.open(io.BytesIO(first.read_bytes())) as film:
        assert film.n_frames == 6
        assert film.info["duration"] == 150
        assert film.info["loop"] == 0
        film.seek(5)
        assert film.info["duration"] == 2000


def test_frames_that_stand_still_are_not_dropped(make_frames, tmp_path):
    frames = make_frames(count=5, points=np.ones((5, 30, 2)), centroids=None, titles=("same",) * 5)
    frames.predicted[:] = 0
    with Image.open(animate(frames, tmp_path / "a.gif")) as film:
        assert film.n_frames == 5


def test_seed_001_faded_what_was_drawn_and_a_second_play_differed(make_frames):
    frames = make_frames(count=8)
    forth = list(pictures(frames, range(8)))
    back = list(pictures(frames, range(7, -1, -1)))[::-1]
    for index in range(8):
        np.testing.assert_array_equal(forth[index], back[index])
    np.testing.assert_array_equal(next(pictures(frames, [5])), forth[5])
    assert any((forth[index] != forth[index + 1]).any() for index in range(7))


def test_axes_do_not_move(make_frames):
    # The numbers of the left axis stand in the first columns; points never reach them.
    first, *others = (shot[60:, :66] for shot in pictures(make_frames(), range(4)))
    assert first.min() < 200
    for other in others:
        np.testing.assert_array_equal(first, other)


def test_axes_enclose_the_last_frame_from_the_start(make_frames):
    points = make_frames().points * np.array([1, 1, 1, 100])[:, None, None]
    shots = pictures(make_frames(points=points, centroids=None), range(4))
    inside = [shot[55:450, 75:590].astype(int) for shot in shots]  # between the axes
    coloured = [int((np.ptp(area, axis=2) > 60).sum()) for area in inside]
    # The early rows are one small heap, the last ones stand apart and are all there.
    assert 0 < coloured[0] < 500 < 1500 < coloured[-1]


def test_film_of_one_frame_without_centroids(make_frames, tmp_path):
    with Image.open(animate(make_frames(count=1, centroids=None), tmp_path / "a.gif")) as film:
        assert film.n_frames == 1


def test_unknown_kind_and_odd_times_are_refused(make_frames, tmp_path):
    with pytest.raises(OptionError, match=r"unknown kind of film: got '.giff', .* did you mean '.gif'"):
        animate(make_frames(), tmp_path / "a.giff")
    for seconds in (0.0, float("nan"), 61):
        with pytest.raises(OptionError, match="seconds_per_frame is out of range"):
            animate(make_frames(), tmp_path / "a.gif", seconds_per_frame=seconds)
    assert not list(tmp_path.iterdir())


def test_mp4_without_ffmpeg_says_what_to_do(make_frames, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingExtra, match=r"needs the program ffmpeg; install ffmpeg, or name the file .gif"):
        animate(make_frames(), tmp_path / "a.mp4")


def fake_ffmpeg(folder, body):
    program = folder / "ffmpeg"
    program.write_text(f"#!{sys.executable}\nimport sys\n{body}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def test_mp4_gets_every_picture_at_the_asked_rate(make_frames, tmp_path, monkeypatch):
    fake_ffmpeg(tmp_path, "open(sys.argv[-1], 'wb').write(repr(sys.argv).encode() + b'|' + sys.stdin.buffer.read())")
    monkeypatch.setenv("PATH", str(tmp_path) + os.pathsep + os.environ["PATH"])
    frames = make_frames()
    film = animate(frames, tmp_path / "a.mp4", seconds_per_frame=0.5).read_bytes()
    command, _, raw = film.partition(b"|")
    assert b"'-s', '800x540', '-r', '2.000000'" in command
    assert raw == b"".join(shot.tobytes() for shot in pictures(frames, range(4)))


def test_failing_ffmpeg_leaves_the_old_film(make_frames, tmp_path, monkeypatch):
    fake_ffmpeg(tmp_path, "sys.stdin.buffer.read(); sys.exit('no such codec')")
    monkeypatch.setenv("PATH", str(tmp_path) + os.pathsep + os.environ["PATH"])
    (tmp_path / "a.mp4").write_bytes(b"old")
    with pytest.raises(StoreError, match=r"ffmpeg could not write the film: got no such codec; name the file .gif"):
        animate(make_frames(), tmp_path / "a.mp4")
    assert (tmp_path / "a.mp4").read_bytes() == b"old"
