"""What the page of an atlas shows: sentences, scores on repeated tokens, windows, own texts, deciles."""

from html import unescape

import numpy as np
import pytest

from head_atlases import CELLS, reading_of, recipe_of
from separatrix.analysis.heads import head_atlas
from separatrix.analysis.heads.deciles import window_deciles
from separatrix.analysis.heads.page import pick_windows, shown_windows, window_lines
from separatrix.analysis.together import show_together
from separatrix.errors import OptionError
from separatrix.folders import load
from separatrix.heads.descriptors import NAMES
from separatrix.heads.maps import maps_of
from separatrix.heads.windows import cut_windows
from separatrix.recipe import replace
from separatrix.recipe.heads import HeadsRecipe
from separatrix.reports.collect import read_sheet
from separatrix.texts.questions_answers import Example

pytestmark = pytest.mark.filterwarnings("ignore:.*joblib will operate in serial mode")


def test_clusters_and_heads_have_a_sentence(made):
    """Printed, in the result, in the table of heads, and on the page."""
    lines, heads = made.cluster_sentences, made.head_table
    counts = made.table["cluster"].value_counts(normalize=True)
    assert {line["cluster"] for line in lines} == set(counts.index)
    assert sum(line["heads"] for line in lines) == CELLS
    for line in lines:
        assert line["share"] == pytest.approx(counts[line["cluster"]])
        assert line["heads"] == (heads["cluster"] == line["cluster"]).sum()
        assert line["sentence"] in unescape(made.page.read_text())
        assert line["sentence"] in str(made)
    assert heads["sentence"].str.len().min() > 0


def test_scores_on_repeated_tokens_are_columns_and_measures(made):
    heads = made.head_table
    for name in ("induction", "duplicate", "previous_random"):
        assert heads[name].between(0, 1).all()
        assert heads[name].std() > 0
        assert f'"{name}":' in made.page.read_text()


def test_own_texts_stand_before_the_windows(made, data, tiny):
    reading, lines = reading_of(data, recipe_of(tiny("bert"))), window_lines(load(made.part("points")))
    page = recipe_of(tiny("bert"), sentence=("the cat is big", "a dog")).page
    shown = shown_windows(reading, lines, page)
    assert [window.title for window in shown[:2]] == ["your text 1, window 0", "your text 2, window 0"]
    assert "".join(shown[0].words).split()[1:3] == ["the", "cat"]
    assert [window.number is None for window in shown] == [True, True, False, False]
    maps = maps_of(reading.backbone, cut_windows(reading.backbone, [Example("", "a dog", "", 0)], reading.rule)[0][0])
    np.testing.assert_allclose((shown[1].levels / 255) ** 2, maps.flatten(0, 1).numpy(), atol=5e-3)
    with pytest.raises(OptionError, match="--sentence is empty"):
        replace(page, sentence=("a", " "))


def test_windows_lie_at_their_deciles(made):
    points = load(made.part("points"))
    found = window_deciles(points, CELLS)
    values = np.asarray(points.blocks["descriptors"][:]).reshape(made.windows, CELLS, len(NAMES))
    assert found.windows.shape == (CELLS, len(NAMES), len(found.labels)) == (CELLS, len(NAMES), 12)
    heads, numbers = np.indices((CELLS, len(NAMES)))
    np.testing.assert_array_equal(found.values, values[found.windows, heads[..., None], numbers[..., None]])
    np.testing.assert_array_equal(found.values[..., 0], values.min(axis=0))
    np.testing.assert_array_equal(found.values[..., -1], values.max(axis=0))
    assert (np.diff(found.values, axis=-1) >= 0).all()
    below = (values[..., None] < found.values[None]).mean(axis=0)  # share of windows below each place
    assert (below[..., 1:11] <= (np.arange(10) + 0.5) / 10 + 1e-9).all()
    assert window_deciles(points.pick("grid"), CELLS) is None


def test_atlases_stand_on_one_page_with_their_clusters_in_words(made, tmp_path):
    made.save(tmp_path / "other")
    show_together([made.folder, tmp_path / "other"], tmp_path / "page.html")
    text = unescape((tmp_path / "page.html").read_text())
    for line in made.cluster_sentences:
        assert text.count(f"{line['sentence']}<") == 2
    assert text.count(f"<dd>{made.layers} x {made.heads}</dd>") == 2
    assert text.count('alt="Cluster of each head"') == 2
    assert text.count('<div class="models">') == 1  # side by side
    assert f">{made.folder.name}<" in text
    assert ">other<" in text


def test_an_unfinished_atlas_stands_on_a_page_without_clusters(data, tiny, tmp_path):
    first = head_atlas(data, recipe=recipe_of(tiny("bert"), windows=4), out=tmp_path / "first", steps=("extract",))
    sheet = read_sheet(first.folder)
    assert (sheet.kind, list(sheet.rows), sheet.pictures) == ("atlas", [], ())
    assert dict(sheet.figures)["windows"] == first.windows


def test_no_map_on_the_page_is_larger_than_asked_for():
    lengths, page = np.array([60, 80, *[1024] * 8]), replace(HeadsRecipe(), page_tokens=96).page
    assert pick_windows(lengths, range(10), page) == [1, 0, 5]  # of median length: shown in part
    assert pick_windows(lengths, range(10), replace(page, sentences=1)) == [1]
    assert pick_windows(lengths, [0] * 10, replace(page, sentences=2)) == [1, 5]
    assert pick_windows(lengths[2:], range(8), page) == [0, 4]


def test_long_windows_are_shown_in_part(made, data, tiny):
    reading, lines = reading_of(data, recipe_of(tiny("bert"))), window_lines(load(made.part("points")))
    shown = shown_windows(reading, lines, recipe_of(tiny("bert"), page_tokens=12).page)
    assert all(len(window.words) <= 12 for window in shown)
    assert "first 12 of" in shown[0].title
    whole = shown_windows(reading, lines, recipe_of(tiny("bert"), page_tokens=40).page)
    assert max(len(window.words) for window in whole) > 12
    # The weights are those of the whole window, not of one that was cut before it was read.
    windows = (reading.window(*line) for line in zip(lines["number"], lines["position"], strict=True))
    window = next(window for window in windows if window.words[:12] == shown[0].words)
    maps = maps_of(reading.backbone, window).flatten(0, 1).numpy()
    np.testing.assert_allclose((shown[0].levels / 255) ** 2, maps[:, :12, :12], atol=5e-3)
