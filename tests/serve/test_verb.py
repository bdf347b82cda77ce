import json
import re
import shutil

import numpy as np
import pytest

from separatrix.analysis.project import project
from separatrix.cli import main
from separatrix.errors import DataError, OptionError, StoreError
from separatrix.points import Points
from separatrix.reports.columns import section_data
from separatrix.serve.verb import explore
from separatrix.store.files import write_json
from separatrix.store.points import open_points


@pytest.fixture(scope="module")
def shown(points, running):
    exploration = explore(points)
    with running(exploration.server):
        yield exploration


def test_a_page_of_points_holds_places_and_no_text(shown, ask):
    answer, content = ask(shown.server)
    assert answer.status == 200
    assert b"Text number" not in content
    assert b"connect-src &#39;self&#39;" in content
    assert content.count(b'"type":"text"') == content.count(b'"served":') == 2  # texts and ids


def test_texts_are_whole_and_come_by_rows(shown, ask, points):
    texts = json.loads(ask(shown.server, "texts?column=0&start=5&rows=4")[1])
    whole = open_points(points).column("text")
    assert texts[0] == whole[5]
    assert texts[3] == whole[8]  # 50,006 signs
    assert texts[2] == "</script><script>document.body.dataset.evil=1</script>   \u4e2d\u6587"  # no sign that turns it
    assert json.loads(ask(shown.server, "texts?column=1&start=299&rows=50")[1]) == ["id-299"]


def test_words_are_searched_where_the_texts_are(shown, ask, points):
    mask = np.frombuffer(ask(shown.server, "search?column=0&start=0&rows=300&words=CLASS+2")[1], np.uint8)
    expected = ["class" in text.lower() and "2" in text for text in open_points(points).column("text")]
    assert mask.tolist() == [int(one) for one in expected]
    assert ask(shown.server, "search?column=0&start=8&rows=1&words=needle")[1] == b"\x01"


def test_neighbors_are_those_of_the_vectors(shown, ask, points):
    near = json.loads(ask(shown.server, "neighbors?row=17&k=4")[1])
    x = open_points(points).values
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    away = 1 - x @ x[17]
    away[17] = np.inf
    assert near["rows"] == np.argsort(away)[:4].tolist()
    assert np.allclose(near["distances"], np.sort(away)[:4], atol=1e-5)


def test_neighbors_of_points_that_were_replaced_are_refused(ask, running, tmp_path):
    """Regression: texts were refused, neighbors came from the new vectors."""
    folder, rng = tmp_path / "points", np.random.default_rng(0)
    for seed in range(2):
        rows = {"id": [f"{seed}-{row}" for row in range(30)], "text": [f"text {row}" for row in range(30)]}
        Points.of(rng.normal(size=(30, 4)), rows).save(folder, overwrite=seed > 0)
        if seed == 0:
            exploration = explore(folder)
    with running(exploration.server):
        answer, content = ask(exploration.server, "neighbors?row=3&k=4")
    assert (answer.status, b"was replaced since it was opened" in content) == (409, True)


def test_points_that_are_gone_are_said_to_be_gone(ask, running, tmp_path):
    """Regression: they were said to be damaged."""
    folder = tmp_path / "points"
    Points.of(np.eye(30), {"text": [f"text {row}" for row in range(30)]}).save(folder)
    with running(explore(folder).server) as server:
        shutil.rmtree(folder)
        for path in ("texts?column=0&start=0&rows=1", "neighbors?row=3&k=4"):
            answer, content = ask(server, path)
            assert (answer.status, b"table.parquet is not there any more" in content) == (409, True)


def test_many_classes_are_shown_by_groups_as_in_files(ask, running, tmp_path):
    kind = np.arange(200) % 20
    rows = np.random.default_rng(0).normal(size=(200, 4)) / 9 + np.eye(4)[kind // 5]
    points = Points.of(rows, {"label": [f"class {k:02}" for k in kind]})
    project(points, page=True, out=tmp_path / "map")
    own = section_data((tmp_path / "map" / "map.html").read_text(), "map")
    with running(explore(points).server) as server:
        data = section_data(ask(server)[1].decode(), "map")
    for name in ("group", "groups", "order", "looks"):
        assert data[name] == own[name]
    assert 1 < len(data["groups"]) < 20


RANGES = ["texts?column=2&start=0&rows=1", "texts?column=0&start=300&rows=1", "texts?column=0&start=0&rows=0"]
RANGES += ["texts?column=0&start=0&rows=9999999", "search?column=0", "neighbors?row=300&k=1", "neighbors?row=0&k=99"]


@pytest.mark.parametrize("path", RANGES)
def test_ranges_outside_are_refused(shown, ask, path):
    assert ask(shown.server, path)[0].status == 400


def test_a_map_that_was_made_before_is_shown_and_must_be_of_these_rows(points, tmp_path):
    project(points, k=5, out=tmp_path / "map")
    with_vectors = explore(points, map_=tmp_path / "map")
    alone = explore(tmp_path / "map")
    assert ("neighbors" in with_vectors.server.routes, "neighbors" in alone.server.routes) == (True, False)
    other = Points.of(np.random.default_rng(1).normal(size=(300, 6)), {"text": ["x"] * 300})
    with pytest.raises(DataError, match="the map is one of other rows: got 300, expected the 300 of the points"):
        explore(other, map_=tmp_path / "map")
    for one in (with_vectors, alone):
        one.close()


def test_options_without_effect_and_odd_folders_are_refused(points, tmp_path):
    project(points, k=5, out=tmp_path / "map")
    with pytest.raises(OptionError, match="--method has no effect here"):
        explore(tmp_path / "map", method="pca")
    with pytest.raises(OptionError, match="--method has no effect with --map"):
        explore(points, map_=tmp_path / "map", method="pca")
    with pytest.raises(StoreError, match="nowhere holds nothing that can be shown"):
        explore(tmp_path / "nowhere")
    with pytest.raises(OptionError, match="--port is out of range"):
        explore(points, port=70_000)
    with explore(tmp_path / "map").server as taken, pytest.raises(StoreError, match=f"port {taken.port} cannot be use"):
        explore(points, port=taken.port, progress=lambda *_: pytest.fail("it worked before it knew that it cannot"))


def test_a_run_whose_folder_is_gone_is_not_one_that_was_stopped(tmp_path, ask, running):
    folder = tmp_path / "run"
    folder.mkdir()
    write_json(folder / "manifest.json", {"kind": "run", "format": 2, "recipe": None, "files": None})
    with running(explore(folder).server) as server:
        assert b"The training was stopped" in ask(server)[1]
        shutil.rmtree(folder)
        for path in ("", "progress?seen=x"):
            answer, content = ask(server, path)
            assert (answer.status, content) == (409, b"run is not there any more")


def test_other_results_are_shown_as_their_report(points, tmp_path, ask, running):
    from separatrix.analysis.score import score

    score(points, permutations=19, folds=3, out=tmp_path / "score")
    exploration = explore(tmp_path / "score")
    with running(exploration.server) as server:
        assert b"<h1>score</h1>" in ask(server)[1]
    assert exploration.shows == "score"


def test_the_command_prints_the_address_and_ctrl_c_ends_it_well(points, capsys, monkeypatch):
    served = []

    def serve(self, poll_interval):
        served.append(self.port)
        raise KeyboardInterrupt

    monkeypatch.setattr("separatrix.serve.server.PageServer.serve_forever", serve)
    monkeypatch.setattr("webbrowser.open", served.append)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    assert main(["explore", str(points), "--json", "--quiet"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert re.fullmatch(rf"http://127\.0\.0\.1:{served[0]}/[\w-]{{24}}/", printed["address"])
    monkeypatch.setenv("DISPLAY", ":0")
    assert main(["explore", str(points), "--quiet"]) == 0
    assert main(["explore", str(points), "--quiet", "--no-browser"]) == 0
    assert len(served) == 4
    assert served[1].startswith("http://127.0.0.1:")
