"""The atlas page: its data, foreign text, and - in a browser - a click on a head, zoom, words, no request."""

import base64
import re
import shutil

import numpy as np
import pytest

from atlas_pages import EVIL, HEADS, LAYERS, TOKENS, page_of
from chromium import Chromium
from separatrix.errors import ShapeError
from separatrix.reports.atlas import WindowMaps, atlas_data, render_atlas, write_atlas
from separatrix.view.palette import contrast


def test_data_hold_what_the_page_shows():
    page = page_of()
    data = atlas_data(page)
    assert (data["layers"], data["heads"]) == (LAYERS, HEADS)
    assert set(data["measures"]) == {"entropy", "previous"}
    # Nearest first, never the head itself.
    assert [other for other, _ in data["nearest"][0]] == [1, 2, 3, 4, 5]
    assert data["nearest"][2][0][1] == pytest.approx(0.1)
    raw = np.frombuffer(base64.b64decode(data["windows"][0]["maps"]), np.uint8).reshape(LAYERS * HEADS, TOKENS, TOKENS)
    assert (raw == page.windows[0].levels).all()
    # Eight bits of the root keep a row's sum to about a hundredth.
    np.testing.assert_allclose(((raw / 255) ** 2).sum(-1), 1, atol=0.02)


def test_deciles_are_packed_to_a_step_of_their_descriptor():
    page = page_of()
    packed = atlas_data(page)["deciles"]
    shape = page.deciles.windows.shape
    windows, steps = (
        np.frombuffer(base64.b64decode(packed[name]), "<u2").reshape(shape) for name in ("windows", "values")
    )
    assert (np.array(packed["numbers"])[windows] == page.deciles.windows).all()
    low, high = (np.array(packed[name])[:, None] for name in ("low", "high"))
    np.testing.assert_allclose(low + steps / 65535 * (high - low), page.deciles.values, atol=1e-4)
    assert packed["texts"][0].startswith("begins 0")
    assert atlas_data(page_of(deciles=None))["deciles"] is None


def test_parts_without_data_are_left_out():
    text = render_atlas(page_of(deciles=None, clusters=()))
    assert 'class="deciles"' not in text
    assert 'class="clusters"' not in text
    assert 'class="thumbnails"' in text


def test_numbers_of_clusters_can_be_read_on_their_colours():
    data = atlas_data(page_of())
    assert data["inks"].keys() == data["colours"].keys()
    assert all(contrast(colour, data["inks"][name]) > 4 for name, colour in data["colours"].items())


def test_sorted_keys_are_shown_in_the_order_of_reading():
    line = {
        "with": "layer",
        "cramers_v_corrected": 0.1,
        "null_mean": 0.2,
        "p_heads": 0.3,
        "p_value": 0.4,
        "verdict": "no",
    }
    text = render_atlas(page_of(association=[dict(sorted(line.items()))]))
    section = text.partition('id="association"')[2].partition("</section>")[0]
    headings = re.findall(r'<th scope="col"[^>]*>([^<]*)', section)
    assert headings == ["clusters with", "verdict", "Cramer&#39;s V", "null", "p", "p, heads"]


def test_importance_has_a_section_only_where_it_was_measured():
    assert 'id="importance"' not in render_atlas(page_of())
    line = {"observed": 0.1, "mean": 0.05, "high": 0.2, "p_value": 0.3, "by_layer": 0.4}
    cluster = {"cluster": "0", "heads": 2, "gradient": 0.5, "ablation": -0.25, "harmless": 1}
    found = {"gradient": line, "ablation": line, "by_cluster": [cluster], "answer": f"No. {EVIL}"}
    text = render_atlas(page_of(importance=found))
    section = text.partition('<section id="importance"')[2].partition("</section>")[0]
    assert "No. &lt;/script&gt;" in section
    assert "-0.250" in section
    assert EVIL not in text


def test_foreign_text_stays_text(tmp_path):
    written = write_atlas(tmp_path / "atlas.html", page_of())
    text = (tmp_path / "atlas.html").read_text()
    assert written.bytes == len(text.encode())
    assert EVIL not in text
    assert "default-src &#39;none&#39;" in text
    assert "more than chance" in text
    assert not re.search(r"(src|href)=\"http", text)
    assert render_atlas(page_of()) == render_atlas(page_of())


def test_maps_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="do not fit their words"):
        WindowMaps("x", ("a", "b"), np.zeros((6, 3, 3), np.uint8))
    with pytest.raises(ShapeError, match="another number of heads"):
        render_atlas(page_of(windows=[WindowMaps("x", ("a",), np.zeros((4, 1, 1), np.uint8))]))


# A reader who clicks a head, reads a word, zooms in, and changes the text.
READER = """(async () => {
const atlas = document.getElementById("atlas"), say = (name, value) => { document.body.dataset[name] = value; };
const ink = () => atlas.querySelector(".map").getContext("2d").getImageData(300, 300, 1, 1).data[0];
  say("first", atlas.dataset.head + "/" + atlas.dataset.cluster);
  atlas.querySelectorAll(".heads button")[5].click();
  say("clicked", atlas.dataset.head + "/" + atlas.dataset.cluster);
  say("name", atlas.querySelector(".name").textContent);
  atlas.querySelectorAll(".words span")[1].click();
  say("readout", atlas.querySelector(".readout").textContent);
  say("shade", atlas.querySelectorAll(".words span")[2].style.getPropertyValue("--share") > 0);
  say("ink", ink());
  atlas.querySelector(".nearer").click();
  say("seen", atlas.dataset.seen);
  atlas.querySelector(".nearest button").click();
  say("near", atlas.dataset.head);
  const select = atlas.querySelector(".measure");
  select.value = "entropy";
  select.dispatchEvent(new Event("change"));
  say("key", atlas.querySelector(".scale").textContent);
  const text = atlas.querySelector(".window");
  text.value = "1";
  text.dispatchEvent(new Event("change"));
  say("words", atlas.querySelector(".words").textContent.trim());
  say("text", text.options[0].textContent);
  const clusters = [...atlas.querySelectorAll(".clusters button")];
  say("clusters", clusters.map((button) => button.textContent).join("|"));
  clusters[1].click();
  const every = [...atlas.querySelectorAll(".heads button")];
  say("outlined", every.map((button) => Number(button.classList.contains("marked"))).join(""));
  clusters[1].click();
  say("cleared", atlas.querySelectorAll(".marked").length);
  say("stops", every.filter((button) => button.tabIndex === 0).length);
  const kind = atlas.querySelector(".deciles select");
  kind.value = "1";
  kind.dispatchEvent(new Event("change"));
  const rows = [...atlas.querySelectorAll(".deciles tbody tr")], three = (row) => [...row.cells].slice(0, 3);
  say("deciles", rows.map((row) => three(row).map((cell) => cell.textContent).join(" ")).join("|"));
  atlas.querySelector(".deciles tbody button").click();
  say("opened", atlas.dataset.window + " " + text.value);
  const pictures = atlas.querySelector(".thumbnails");
  pictures.scrollIntoView();
  while (atlas.dataset.thumbnails !== "2") await new Promise((done) => setTimeout(done, 20));
  const box = pictures.getBoundingClientRect(), cell = (box.width - 22) / 3;
  const middle = { clientX: box.left + 22 + 1.5 * cell, clientY: box.top + 22 + 1.5 * cell };
  pictures.dispatchEvent(new MouseEvent("click", middle));
  say("thumbnail", atlas.dataset.head + " " + atlas.dataset.thumbnails);
  pictures.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowUp" }));
  say("above", atlas.dataset.head + " " + atlas.querySelector(".does").textContent);
  say("inner", atlas.querySelectorAll("script[src], .does *, .clusters b").length);
  return { ...document.body.dataset };
})()"""


@pytest.mark.browser
@pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium in PATH to open the page with")
def test_a_click_shows_the_head_and_nothing_is_requested(tmp_path):
    path = tmp_path / "atlas.html"
    write_atlas(path, page_of())
    with Chromium(tmp_path) as browser:
        browser.open(path.as_uri() + "#layer=0&head=1")
        said = browser.run(READER)
    assert browser.console == []
    assert browser.requests == []
    assert said["first"] == "1/0"
    assert said["clicked"] == "5/11"
    assert said["name"] == "Layer 1, head 2 - cluster 11"
    weights = (page_of().windows[0].levels[5, 1] / 255) ** 2
    most = int(weights.argmax())
    assert said["readout"].startswith("\u201cone\u201d (1) most to")
    shown = said["readout"].split("most to ")[1]
    assert shown.startswith("\u201c" + page_of().windows[0].words[most].strip())
    assert f"{100 * weights.max():.0f} %" in shown
    assert said["shade"] == "true"
    assert int(said["ink"]) < 255
    assert float(said["seen"]) == 4
    assert said["near"] == "4"
    assert said["key"].startswith("entropy: 0")
    assert said["words"] == "a b c d e"
    assert said["text"].startswith("one twos </script>")
    assert said["text"].endswith("(5 tokens)")
    assert said["clusters"].split("|")[1:] == [
        "1looks away; 2 heads",
        "11looks on; 2 heads",
        "-no clear pattern; 2 heads",
    ]
    assert said["outlined"] == "001100"
    assert (said["cleared"], said["stops"]) == ("0", "1")
    # Head 4, second descriptor: windows (4 + 1 + place) mod 4, whose values are window / 8 + 1 / 4.
    assert said["deciles"] == "lowest 0.375 1|decile 1 0.500 2|highest 0.625 3"
    assert said["opened"] == "0 0"
    assert said["thumbnail"] == "4 2"
    assert said["above"] == f"1 sentence 1 {EVIL}"
    assert said["inner"] == "0"
    assert "evil" not in said
