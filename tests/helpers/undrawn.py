"""Pictures that take no time, where a test asks something else: drawing them is half of a small training."""

import pytest


def draw_nothing(patch: pytest.MonkeyPatch) -> None:
    """Every picture is made and written, of a few bytes; what they show is looked at in `tests/view`."""
    from matplotlib.figure import Figure

    from separatrix.view import animation, canvas

    patch.setattr(Figure, "savefig", lambda figure, stream, **named: stream.write(b"picture" * 99))
    patch.setattr(canvas, "use_installed_fonts", lambda figure: None)  # lays all texts out
    patch.setitem(animation.WRITERS, ".gif", lambda frames, seconds: b"film" * 99)


@pytest.fixture
def undrawn(monkeypatch):
    draw_nothing(monkeypatch)
