import base64
import hashlib
import html
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from separatrix.errors import ShapeError, StoreError
from separatrix.geometry.reliability import reliability
from separatrix.reports import PictureFile, RunReport, charts, render, sections, write_report
from separatrix.reports.columns import section_data, unpack
from separatrix.reports.page import ASSETS
from separatrix.view.curves import Line, Panel


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


def test_same_report_same_bytes_and_the_size_is_told(make_report, tmp_path):
    first, second = (write_report(tmp_path / name, make_report()) for name in ("a.html", "b.html"))
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.bytes == first.path.stat().st_size
    assert first.bytes < 200_000


def test_nothing_is_loaded_from_anywhere(make_report, tmp_path):
    (tmp_path / "a.gif").write_bytes(b"GIF89a")
    text = render(make_report(pictures=(PictureFile("film", tmp_path / "a.gif"),)))
    page = Page(text)
    assert all(load.startswith(("#", "data:image/")) for load in page.loads)
    assert "link" not in page.tags
    assert not re.search(r"https?:|//cdn|@import|url\(", text.replace("http://www.w3.org/2000/svg", ""))


def test_the_policy_names_its_style_and_its_script_by_their_hashes(make_report):
    """No inline script or style but these two, no eval, and no data written as HTML."""
    text = render(make_report())
    policy = html.unescape(re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1])
    assert policy.startswith("default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'")
    assert "unsafe" not in policy
    for kind, tag in (("script-src", "script"), ("style-src", "style")):
        (source,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}'" in policy
        assert not re.search(r"\beval\b|new Function|innerHTML|insertAdjacentHTML|document\.write", source)
    assert not re.search(r'<[^>]* (style|on[a-z]+)="', text.partition("<body>")[2].partition("<script>")[0])


def test_foreign_text_is_text_everywhere(make_report, make_frames, evil):
    calm = make_report(make_frames(), warnings=("w",), pictures=())
    frames = make_frames(names=(evil, "b", "c"), texts=(evil,) * 30)
    rows = [{"method": "prompt", "split": evil, "accuracy": 0.9, evil: evil}]
    loud = make_report(
        frames, title=evil, summary=((evil, evil),), scores=rows, warnings=(evil,), notes=(evil,), recipe={evil: evil},
        per_class=[{"class": evil, evil: 1}], interval=evil,
    )  # fmt: skip
    quiet_page, page = Page(render(calm)), Page(render(loud))
    assert page.tags.count("script") == quiet_page.tags.count("script")
    assert page.tags.count("img") == 0
    assert page.handlers == []
    assert "b" not in page.tags[: page.tags.index("script")]
    assert page.text.count("<b>bold</b>") > 10


def test_order_of_the_page(make_report):
    text = render(make_report(warnings=("all predictions are alike",)))
    ids = re.findall(r'<section id="(\w+)"', text)
    rest = ["scores", "map", "rows", "confusion", "classes", "suspects", "certainty", "curves", "recipe", "notes"]
    assert ids == ["warnings", "verdict", *rest]
    assert "better than with any baseline" in text
    assert 'role="alert"' in text
    assert "Read the 1 warning first." in text


def test_silence_of_the_guards_is_said(make_report):
    text = render(make_report())
    assert re.findall(r'<section id="(\w+)"', text)[:2] == ["verdict", "warnings"]
    assert "No warning." in text
    assert 'role="alert"' not in text


def test_report_of_nothing_but_a_title_needs_no_script(tmp_path):
    written = write_report(tmp_path / "a.html", RunReport("Empty"))
    assert written.bytes < 30_000
    text = written.path.read_text()
    assert "<script" not in text
    assert "No score was recorded." in text
    assert re.findall(r'<section id="(\w+)"', text) == ["verdict", "warnings"]


def test_512_rows_in_60_frames_stay_under_half_a_megabyte(make_report, make_frames):
    frames = make_frames(6, 512, 60, texts=tuple("a text of three hundred signs " * 10 for _ in range(512)))
    assert len(render(make_report(frames)).encode()) < 500_000


def test_scores_stand_beside_baselines_with_their_rulers(make_report):
    text = render(make_report())
    assert "k-NN" in text
    assert re.search(r'class="majority" x1="34"', text)
    assert re.search(r'class="interval" x="85" y="4" width="9"', text)
    assert text.count('<tr class="strong">') == 1


def test_probabilities_are_drawn_without_a_script(make_report):
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), size=300)
    figures = reliability(p, rng.integers(3, size=300)).to_dict()
    page = render(make_report(reliability=figures, reliability_part="test"))
    section = page[page.index('id="certainty"') : page.index('id="curves"')].partition('<script type="app')[0]
    assert section.count('class="dot"') == len(figures["curve"])
    assert f"error {figures['expected_calibration_error']:.3f}" in section
    assert "300 test rows" in section
    numbers = [float(one) for path in re.findall(r' d="([^"]+)"', section) for one in re.findall(r"-?[0-9.]+", path)]
    assert min(numbers) >= 0
    assert max(numbers) <= 260
    assert page.count("Accuracy against probability") == 2  # one picture: its title and its name for a screen reader
    assert "Accuracy against probability" not in render(make_report())


def test_wrong_predictions_stand_there_without_a_script(make_report, make_frames):
    frames = make_frames()
    wrong = np.flatnonzero(frames.predicted[-1] != frames.labels)
    table = render(make_report(frames)).partition('<section id="rows"')[2].partition("</table>")[0]
    listed = re.findall(r'<td dir="auto">text (\d+)</td>', table)
    assert [int(row) for row in listed] == wrong.tolist()
    assert len(wrong) > 0
    assert f"Rows ({len(wrong)} of {len(frames.labels)} rows of validation wrong)" in render(make_report(frames))


def test_rows_and_maps_come_back_from_the_page(make_report, make_frames):
    """What the script reads, read in Python: all columns of the rows, and the places of a map."""
    report = make_report(make_frames())
    text, rows, frames = render(report), report.rows, make_frames()
    said = section_data(text, "rows")
    back = {name: unpack(header, text) for name, header in said["columns"].items()}
    assert (said["rows"], said["splits"], said["names"]) == (30, ["validation"], list(frames.names))
    assert back["text"] == list(rows.texts)
    assert back["id"] == rows.ids
    np.testing.assert_array_equal(back["label"], rows.labels)
    np.testing.assert_array_equal(back["predicted"], rows.predicted)
    top = np.take_along_axis(rows.probabilities, rows.predicted[:, None], 1)[:, 0]
    np.testing.assert_allclose(back["top"] / 65534, top, atol=1e-4)
    np.testing.assert_array_equal(back["best"][:, 0], rows.probabilities.argmax(axis=1))
    drawn = section_data(text, "map")
    (one,) = drawn["maps"]
    steps = unpack(drawn["columns"][one["positions"]], text)
    low = np.concatenate([frames.points, frames.centroids], axis=1).min(axis=(0, 1)) - 0.05 / 1.1 * np.array(
        one["spans"]
    )
    np.testing.assert_allclose(low + steps / 65535 * one["spans"], frames.points, atol=2e-2)
    assert unpack(drawn["columns"][one["marks"]], text).shape == (4, 3, 2)
    np.testing.assert_array_equal(unpack(drawn["columns"][one["predicted"]], text), frames.predicted)
    assert one["scores"][-1] == frames.score(3)


def test_charts_read_without_a_script(make_report):
    text = render(make_report())
    assert re.search(r'<svg class="chart"[^>]*aria-label="Loss, loss, over epoch: train from 0.9 to 0.9"', text)
    matrix = text.partition('<svg class="matrix"')[2].partition("</svg>")[0]
    counts = make_report().confusion
    cells = re.findall(r'data-gold="(\d)" data-guess="(\d)"', matrix)
    assert cells == [(str(i), str(j)) for i, j in np.argwhere(counts > 0)]
    assert f"class 0 taken for class 0: {counts[0, 0]} of 10 rows" in matrix
    pairs = text.partition('<ol class="pairs">')[2].partition("</ol>")[0]
    assert len(re.findall("<li>", pairs)) == np.count_nonzero(counts - np.diag(np.diag(counts)))


@pytest.mark.parametrize("classes", [28, 77, 150])
def test_many_classes_are_told_apart_and_only_their_cells_are_drawn(make_report, make_frames, classes):
    frames = make_frames(classes, 3 * classes, 2)
    text = render(make_report(frames))
    looks = {tuple(one) for one in section_data(text, "rows")["looks"][:classes]}
    assert len(looks) == classes
    matrix = text.partition('<svg class="matrix"')[2].partition("</svg>")[0]
    assert matrix.count('role="button"') == np.count_nonzero(make_report(frames).confusion)
    assert len(text.encode()) < 500_000


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
    assert drawn == {"map", "rows", "confusion", "classes", "certainty", "table"}
    assert drawn | {"by_run", "clusters", "sorted", "sweep"} == set(re.findall(r"separatrix\.draw\.(\w+) =", text))


def test_confusion_needs_a_name_per_class():
    with pytest.raises(ShapeError, match="every class of the confusion matrix needs a name: got 1, expected 2"):
        RunReport("x", confusion=np.eye(2), names=("a",))


def test_place_that_cannot_be_written(make_report, tmp_path):
    (tmp_path / "a.html").mkdir()
    with pytest.raises(StoreError, match=r"a.html cannot be written"):
        write_report(tmp_path / "a.html", RunReport("x"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]


def test_every_line_of_a_chart_has_a_colour_of_its_own():
    """Regression: the fifth curve of an encoder's vectors looked like the first."""
    style = (ASSETS / "page.css").read_text()
    colours = re.findall(r"\.line-(\d) { --line: ([^;]+);", style)
    assert [int(number) for number, _ in colours] == list(range(charts.COLOURS))
    assert len({colour for _, colour in colours}) == charts.COLOURS
    assert f"loop.index0 % {charts.COLOURS}" in (ASSETS / "curves.html").read_text()
    assert f"COLOURS = {charts.COLOURS};" in (ASSETS / "sweep.js").read_text()


def test_the_baseline_of_one_epoch_is_a_line():
    """Regression: a line of one point is not drawn, so that a chart of one epoch had no majority."""
    drawn = str(charts.line_chart(Panel("Score", "epoch", "score", (Line("majority", (1.0,), (0.3,), baseline=True),))))
    ends = re.search(r'class="even" points="([^"]+)"', drawn)[1].split()
    assert len(ends) == 2
    assert ends[0].split(",")[1] == ends[1].split(",")[1]
