"""The directory of a run: refused, replaced or gone on with; a mistake leaves nothing half written."""

import pytest

from separatrix.errors import DataError, ModelError, StoreError
from separatrix.store.folder import CHECKPOINT, RECIPE, RESULT, run_folder
from separatrix.training.run import train_run


def begin_and_fail(folder, error, name=RECIPE, **options):
    """Work that writes one file and then meets an error."""
    with run_folder(folder, **options) as place:
        place.mkdir(exist_ok=True)
        (place / name).write_text("half")
        raise error


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def run(tmp_path):
    """What looks like a finished run."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / RECIPE).write_text("{}")
    (folder / RESULT).write_text("old")
    return folder


@pytest.mark.parametrize("options", [{}, {"overwrite": True}, {"resume": True}])
def test_a_new_or_empty_folder_is_taken(tmp_path, options):
    with run_folder(tmp_path / "deep" / "new", **options) as place:
        assert place == tmp_path / "deep" / "new"
    (tmp_path / "empty").mkdir()
    with run_folder(tmp_path / "empty", **options) as place:
        assert place.is_dir()


def test_a_folder_that_exists_is_refused(run):
    before = files(run)
    with (
        pytest.raises(StoreError, match=r"run exists; type --overwrite to replace it, --resume to go on, or choose"),
        run_folder(run),
    ):
        pytest.fail("entered")
    assert files(run) == before


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "run").write_text("mine")
    for options in ({}, {"overwrite": True}, {"resume": True}):
        with (
            pytest.raises(StoreError, match="is a file: expected a folder for the run; choose another --out"),
            run_folder(tmp_path / "run", **options),
        ):
            pytest.fail("entered")
    assert (tmp_path / "run").read_text() == "mine"


def test_overwrite_replaces_a_run_and_nothing_else(run, tmp_path):
    with run_folder(run, overwrite=True) as place:
        assert files(place) == {} if place.exists() else True
        place.mkdir(exist_ok=True)
        (place / RECIPE).write_text("new")
    assert files(run) == {RECIPE: b"new"}
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.txt").write_text("years of work")
    with (
        pytest.raises(StoreError, match="home is not empty and not a run, so it is not replaced; choose another --out"),
        run_folder(home, overwrite=True),
    ):
        pytest.fail("entered")
    assert files(home) == {"thesis.txt": b"years of work"}


def test_resume_keeps_what_is_there(run):
    before = files(run)
    with run_folder(run, resume=True) as place:
        assert files(place) == before
    with pytest.raises(ModelError, match="no such model"), run_folder(run, resume=True):
        raise ModelError("no such model")
    assert files(run) == before


def test_a_mistake_removes_what_was_begun(tmp_path):
    with pytest.raises(DataError, match="one class"):
        begin_and_fail(tmp_path / "run", DataError("one class"))
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_puts_the_replaced_run_back(run, tmp_path):
    before = files(run)
    with pytest.raises(ModelError, match="no such model"):
        begin_and_fail(run, ModelError("no such model"), overwrite=True)
    assert files(run) == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_saved_state_is_kept_after_a_mistake(tmp_path):
    """A NaN in epoch 9 must not cost the eight before it."""
    with pytest.raises(DataError, match="late"):
        begin_and_fail(tmp_path / "run", DataError("late"), CHECKPOINT)
    assert files(tmp_path / "run") == {CHECKPOINT: b"half"}


def test_an_interruption_keeps_everything(tmp_path):
    """Control and C is not a mistake: --resume goes on from there."""
    with pytest.raises(KeyboardInterrupt, match="by hand"):
        begin_and_fail(tmp_path / "run", KeyboardInterrupt("by hand"))
    assert files(tmp_path / "run") == {RECIPE: b"half"}


STOPS = [KeyboardInterrupt("by hand"), RuntimeError("a bug"), SystemExit("ended")]


@pytest.mark.parametrize("stop", STOPS, ids=lambda stop: type(stop).__name__)
def test_whatever_stops_an_overwrite_puts_the_old_run_back(run, tmp_path, stop):
    """Regression: after Ctrl-C neither the old run nor anything of the new one was left."""
    before = files(run)
    with pytest.raises(type(stop), match=str(stop)):
        begin_and_fail(run, stop, overwrite=True)
    assert files(run) == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("stop", [*STOPS, DataError("late")], ids=lambda stop: type(stop).__name__)
def test_an_overwrite_that_can_be_resumed_stays(run, tmp_path, stop):
    with pytest.raises(type(stop), match=str(stop)):
        begin_and_fail(run, stop, CHECKPOINT, overwrite=True)
    assert files(run) == {CHECKPOINT: b"half"}
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_an_overwrite_that_was_stopped_before_it_wrote_puts_the_old_run_back(run, tmp_path):
    before = files(run)
    with pytest.raises(KeyboardInterrupt, match="at once"), run_folder(run, overwrite=True):
        raise KeyboardInterrupt("at once")
    assert files(run) == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_killed_overwrite_does_not_cost_the_old_run(run, tmp_path):
    """A kill leaves no time to put anything back: the next overwrite still knows which run is the old one."""
    before = files(run)
    run.rename(tmp_path / ".run.replaced")
    run.mkdir()
    (run / RECIPE).write_text("half")
    with pytest.raises(KeyboardInterrupt, match="again"):
        begin_and_fail(run, KeyboardInterrupt("again"), overwrite=True)
    assert files(run) == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_real_training_that_fails_leaves_nothing(make_order, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(ModelError, match="found neither as a folder nor on the hub"), run_folder(out) as place:
        train_run(make_order(place, model=str(tmp_path / "no-such-model")))
    assert not out.exists()
    with pytest.raises(Exception, match="the gradient is zero"), run_folder(out) as place:
        train_run(make_order(place, loss="centroid", attraction=0.0, repulsion=0.0))
    assert not out.exists()
