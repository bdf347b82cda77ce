"""Characters that no font has are boxes, and that is said."""

import pytest
from matplotlib import font_manager

from separatrix.errors import PictureWarning
from separatrix.view import canvas


def picture(text):
    figure = canvas.new_figure(2, 1)
    canvas.headline(figure.add_subplot(), text)
    return figure


def test_characters_without_a_font_are_said(tmp_path, monkeypatch):
    monkeypatch.setattr(canvas, "FALLBACKS", ())
    with pytest.warns(PictureWarning, match=r"pictures show 2 characters as boxes.*U\+4E2D, U\+6587.*Noto Sans CJK"):
        canvas.save(picture("中文"), tmp_path / "a.png")
    canvas.save(picture("été"), tmp_path / "b.png")  # warnings are errors here


def test_an_installed_font_is_used(monkeypatch):
    monkeypatch.setattr(font_manager, "get_font_names", lambda: ["DejaVu Sans", "Noto Sans CJK JP"])
    figure = picture("中文")
    canvas.use_installed_fonts(figure)
    texts = [text for text in figure.findobj(canvas.Text) if text.get_text() == "中文"]
    assert [text.get_fontfamily() for text in texts] == [["DejaVu Sans", "Noto Sans CJK JP"]]
