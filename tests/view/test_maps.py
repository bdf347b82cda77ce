"""Pictures of maps: every row is there, colours mean the same everywhere, the same drawing gives the same bytes."""

import numpy as np
import pytest

from separatrix.errors import ShapeError
from separatrix.reports import map_page
from separatrix.reports.columns import section_data, unpack
from separatrix.reports.map_page import render_map_page
from separatrix.view import save
from separatrix.view.curves import draw_variance
from separatrix.view.maps import Drawing, draw_grid, draw_map, grid_rows, legend_entries
from separatrix.view.palette import MUTED, look, rgb


def drawing(names=("no", "yes"), dimensions=2, rows=40, **changes):
    points = np.random.default_rng(0).normal(size=(rows, dimensions)).astype(np.float32)
    axes = tuple(f"axis {n}" for n in range(dimensions))
    values = {"points": points, "labels": np.arange(rows) % len(names), "names": names, "axes": axes}
    return Drawing(**{**values, "title": "runs/cosine", "note": "pca, seed 0, trustworthiness 0.9", **changes})


def drawn_rows(figure):
    return sum(len(part.get_offsets()) for axes in figure.axes for part in axes.collections)


def colours_of(figure):
    return {
        tuple(colour[:3].round(3))
        for axes in figure.axes
        for part in axes.collections
        for colour in part.get_facecolors()
    }


def share(colour):
    return tuple(np.round(np.array(rgb(colour)) / 255, 3))


@pytest.mark.parametrize("dimensions", [2, 3])
def test_every_row_is_drawn_with_its_colour_and_the_note_stands_below(dimensions):
    labels = np.arange(40) % 3 - 1
    figure = draw_map(drawing(dimensions=dimensions, labels=labels))
    assert drawn_rows(figure) == 40
    assert "trustworthiness 0.9" in " ".join(text.get_text() for text in figure.texts)
    assert figure.texts[0].get_text() == "runs/cosine"
    if dimensions == 2:
        assert colours_of(figure) == {share(MUTED), share(look(0).colour), share(look(1).colour)}


def test_rows_that_guided_the_map_are_pale():
    figure = draw_map(drawing(pale=np.arange(40) < 30))
    sizes = {part.get_alpha(): len(part.get_offsets()) for part in figure.axes[0].collections}
    assert sizes == {0.15: 30, 0.7: 10}


def test_the_same_drawing_gives_the_same_bytes(tmp_path):
    one, other = (save(draw_map(drawing()), tmp_path / f"{n}.png").read_bytes() for n in range(2))
    assert one == other


def test_a_long_legend_is_cut_and_missing_labels_are_counted():
    _, texts = legend_entries([str(n) for n in range(50)], np.repeat(np.arange(-1, 50), 2))
    assert texts[0] == "0 (2)"
    assert texts[-2:] == ["and 29 more classes", "no label (2)"]


def test_a_class_has_one_colour_in_all_panels_of_a_grid():
    one, other = drawing(("no", "yes")), drawing(("yes", "maybe"), labels=np.zeros(40, int), title="other")
    figure = draw_grid([[one, None], [other, one]])
    assert len(figure.axes) == 3
    second = {tuple(colour[:3].round(3)) for colour in figure.axes[1].collections[0].get_facecolors()}
    assert second == {share(look(1).colour)}  # "yes", as in the first panel
    rows = list(grid_rows([[one, None], [other, one]]))
    assert len(rows) == 120
    assert (rows[40]["title"], rows[40]["line"], rows[40]["column"], rows[40]["label"]) == ("other", 1, 0, "yes")
    assert rows[0]["x"] == float(one.points[0, 0])


def test_impossible_drawings_are_refused():
    with pytest.raises(ShapeError, match="a map has finite places"):
        drawing(points=np.full((40, 2), np.nan))
    with pytest.raises(ShapeError, match="a map needs a label for each row and a name for each axis"):
        drawing(labels=np.zeros(3, int))
    with pytest.raises(ShapeError, match="a label has no name: got 2, expected 0 to 1"):
        drawing(labels=np.full(40, 2))
    with pytest.raises(ShapeError, match="a grid needs rows of one length with a map in them"):
        draw_grid([[None, None]])
    with pytest.raises(ShapeError, match="a map page needs a text for each row: got 1, expected 40"):
        render_map_page(drawing(), ["one"])


def test_explained_variance_says_how_many_directions_it_takes():
    figure = draw_variance({"points": np.array([0.5, 0.3, 0.15, 0.05]), "flat": np.zeros(2), "none": np.zeros(0)})
    texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert texts == ["points: 90% in 3, 80% in 2", "flat: 0% in 2", "none: 0% in 0"]


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_page_has_every_row_and_its_text_in_two_or_three_dimensions(dimensions):
    shown = drawing(dimensions=dimensions, labels=np.arange(40) % 3 - 1, pale=np.arange(40) < 30)
    page = render_map_page(shown, ["</script>"] * 39 + ["last"])
    assert "unsafe" not in page.partition("<style>")[0]
    said = section_data(page, "map")
    assert said["maps"][0]["dims"] == dimensions
    assert unpack(said["columns"]["positions-0"], page).shape == (1, 40, dimensions)
    assert unpack(said["columns"]["pale-0"], page).sum() == 30
    rows = section_data(page, "rows")
    assert rows["names"] == ["no", "yes", "no label"]
    assert unpack(rows["columns"]["label"], page).tolist()[:4] == [2, 0, 1, 2]
    assert unpack(rows["columns"]["text"], page)[-2:] == ["</script>", "last"]
    assert "trustworthiness 0.9" in page


def test_a_page_of_too_many_rows_shows_evenly_spread_ones_and_says_so(monkeypatch):
    monkeypatch.setattr(map_page, "MOST", 4)
    page = render_map_page(drawing(), [f"text {row}" for row in range(40)])
    rows = section_data(page, "rows")
    assert rows["rows"] == 4
    assert unpack(rows["columns"]["text"], page) == ["text 0", "text 13", "text 26", "text 39"]
    assert unpack(rows["columns"]["id"], page) == ["0", "13", "26", "39"]
    assert "4 of 40 rows are on the page" in page
