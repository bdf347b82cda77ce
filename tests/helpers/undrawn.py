"""Pictures that take no time, but in the tests that look at them: drawing them is half of a small training."""

import pytest

DRAWN = (
    "tests/view/",
    "tests/training/test_pictures.py",
    "tests/analysis/test_associate.py",
    "tests/analysis/test_cluster.py",
    "tests/analysis/test_compare.py",
    "tests/analysis/test_project.py",
    "tests/analysis/test_rank.py",
    "tests/studies/test_boids.py",
    "tests/test_docs.py",  # which says itself when
)
_patch = pytest.MonkeyPatch()


def draw_nothing(patch: pytest.MonkeyPatch) -> None:
    """Every picture is made and written, of a few bytes; what they show is looked at in `DRAWN`."""
    from matplotlib.figure import Figure

    from separatrix.view import animation, canvas

    patch.setattr(Figure, "savefig", lambda figure, stream, **named: stream.write(b"picture" * 99))
    patch.setattr(canvas, "use_installed_fonts", lambda figure: None)  # lays all texts out
    patch.setitem(animation.WRITERS, ".gif", lambda frames, seconds: b"film" * 99)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Before the fixtures, those of a module as well; a session's are none that are looked at."""
    _patch.undo()
    if not item.nodeid.startswith(DRAWN):
        draw_nothing(_patch)
