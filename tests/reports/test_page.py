import re
from html.parser import HTMLParser

import numpy as np
import pytest
from plotly.offline import get_plotlyjs

from separatrix.errors import ShapeError, StoreError
from separatrix.reports import PictureFile, RunReport, render, sections, write_report


class Page(HTMLParser):
    """Elements, what they load, and the text outside scripts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.loads, self.text, self.handlers, self.inside = [], [], "", [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.inside = tag
        self.loads += [value for name, value in attrs if name in ("src", "href", "srcset", "action", "data", "poster")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data):
        if self.inside not in ("script", "style"):
            self.text += data

    def handle_endtag(self, tag):
        self.inside = ""


def without_bundle(text):
    return text.replace(get_plotlyjs(), "")


def test_same_report_same_bytes_and_the_size_is_told(make_report, tmp_path):
    first, second = (write_report(tmp_path / name, make_report()) for name in ("a.html", "b.html"))
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.bytes == first.path.stat().st_size
    assert 4_000_000 < first.bytes < 6_000_000


def test_nothing_is_loaded_from_anywhere(make_report, tmp_path):
    (tmp_path / "a.gif").write_bytes(b"GIF89a")
    text = without_bundle(render(make_report(pictures=(PictureFile("film", tmp_path / "a.gif"),))))
    page = Page(text)
    assert all(load.startswith(("#", "data:image/")) for load in page.loads)
    assert "link" not in page.tags
    assert not re.search(r"https?:|//cdn|@import|url\(", text)
    assert "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:" in text.replace(
        "&#39;", "'"
    )


def test_foreign_text_is_text_everywhere(make_report, make_frames, evil):
    calm = make_report(make_frames(), warnings=("w",), pictures=())
    frames = make_frames(names=(evil, "b", "c"), texts=(evil,) * 30)
    rows = [{"method": "prompt", "split": evil, "accuracy": 0.9, evil: evil}]
    loud = make_report(
        frames, title=evil, summary=((evil, evil),), scores=rows, warnings=(evil,), notes=(evil,), recipe={evil: evil},
        per_class=[{"class": evil, evil: 1}], interval=evil,
    )  # fmt: skip
    quiet_page, page = Page(without_bundle(render(calm))), Page(without_bundle(render(loud)))
    assert page.tags.count("script") == quiet_page.tags.count("script")
    assert page.tags.count("img") == 0
    assert page.handlers == []
    assert "b" not in page.tags[: page.tags.index("script")]
    assert page.text.count("<b>bold</b>") > 10


def test_order_of_the_page(make_report):
    text = render(make_report(warnings=("all predictions are alike",)))
    ids = re.findall(r'<section id="(\w+)"', text)
    assert ids == ["verdict", "warnings", "scores", "map", "curves", "confusion", "classes", "recipe", "notes"]
    assert "better than with any baseline" in text
    assert 'role="alert"' in text
    assert "Read the 1 warning first." in text


def test_silence_of_the_guards_is_said(make_report):
    text = render(make_report())
    assert "No warning." in text
    assert 'role="alert"' not in text


def test_report_of_nothing_but_a_title_needs_no_plotting_library(tmp_path):
    written = write_report(tmp_path / "a.html", RunReport("Empty"))
    assert written.bytes < 60_000
    text = written.path.read_text()
    assert "No score was recorded." in text
    assert re.findall(r'<section id="(\w+)"', text) == ["verdict", "warnings"]


def test_512_rows_in_60_frames_stay_under_2_mb(make_report, make_frames):
    frames = make_frames(6, 512, 60, texts=tuple("a text of three hundred signs " * 10 for _ in range(512)))
    text = render(make_report(frames))
    assert len(text.encode()) - len(get_plotlyjs().encode()) < 2_000_000


def test_scores_stand_beside_baselines_with_their_rulers(make_report):
    text = render(make_report())
    assert "k-NN" in text
    assert re.search(r'class="majority" style="left:34.0%"', text)
    assert re.search(r'class="interval" style="left:85.0%;width:9.0%"', text)
    assert text.count('<tr class="strong">') == 1


def test_wrong_predictions_are_listed_with_their_place(make_report, make_frames):
    frames = make_frames()
    wrong = np.flatnonzero(frames.predicted[-1] != frames.labels)
    listed = re.findall(r'<a href="#map=map&amp;row=(\d+)">', render(make_report(frames)))
    assert [int(row) for row in listed] == wrong.tolist()
    assert len(wrong) > 0


def test_a_section_is_one_function_and_one_entry(make_report, monkeypatch):
    def clusters(report):
        return sections.Section("clusters", "Clusters", "notes.html", {"notes": (f"of {report.title}",)})

    monkeypatch.setitem(sections.SECTIONS, "clusters", clusters)
    text = render(make_report())
    assert re.search(r'<section id="clusters".*<li>of Questions</li>', text, re.DOTALL)
    assert '<a href="#clusters">Clusters</a>' in text


def test_every_drawing_has_its_script(make_report):
    text = render(make_report())
    drawn = set(re.findall(r'data-draw="(\w+)"', text))
    assert drawn == {"map", "curves", "confusion"}
    assert drawn == set(re.findall(r"separatrix\.draw\.(\w+) =", text))


def test_confusion_needs_a_name_per_class():
    with pytest.raises(ShapeError, match="every class of the confusion matrix needs a name: got 1, expected 2"):
        RunReport("x", confusion=np.eye(2), names=("a",))


def test_place_that_cannot_be_written(make_report, tmp_path):
    (tmp_path / "a.html").mkdir()
    with pytest.raises(StoreError, match=r"a.html cannot be written"):
        write_report(tmp_path / "a.html", RunReport("x"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]
