"""The served page is opened and used."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from chromium import Chromium
from separatrix.reports.live import LiveTraining
from separatrix.serve.verb import explore
from separatrix.store.files import append_line, write_json, write_lines
from separatrix.store.lock import locked

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium in PATH to open the page with"),
]
LINE = {"step": 15, "loss": 0.5, "validation": {"accuracy": 0.75, "majority": 0.25, "loss": 0.6}}


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


def test_points_are_used_with_texts_from_disk(browser, points, running):
    browser.events.clear()
    exploration = explore(points)
    with running(exploration.server):
        browser.open(exploration.address)
        browser.wait("document.querySelectorAll('.entry .text').length > 5")
        assert browser.run("document.querySelector('.entry .text').textContent") == "Text number 0 of class 0"
        browser.run("separatrix.table().then((table) => table.choose(8))")
        browser.wait("document.getElementById('map').dataset.near")
        assert browser.run("document.querySelector('.detail .words').textContent.length") == 50_006
        assert browser.run("document.querySelector('.detail .near li').textContent").startswith("Nearest rows by their")
        browser.run("separatrix.table().then((table) => table.choose(7))")
        browser.wait("document.querySelector('.detail .words').textContent.startsWith('</script>')")
        for typed, regex, count in (
            ("NEEDLE", False, "1"),
            ("number 12 of", False, "13"),
            ("number 1[0-9]? ", True, "11"),
        ):
            search(browser, typed, regex)
            browser.wait(f"document.body.dataset.selected === '{count}'")
        search(browser, "(", True)
        browser.wait("document.querySelector('.wrong-pattern').textContent.startsWith('This is no regular expression')")
        ids = browser.run("separatrix.table().then(async (table) => [await table.id(299), await table.id(0)])")
        assert ids == ["id-299", "id-0"]
        assert browser.run("document.body.dataset.evil") is None
        assert browser.console == []


def search(browser, typed, regex):
    browser.run(f"""(() => {{
      const [box, regex] = [document.querySelector(".search"), document.querySelector(".regex")];
      box.value = {typed!r}; regex.checked = {str(regex).lower()}; box.dispatchEvent(new Event("input"));
    }})()""")


def test_a_page_whose_server_has_ended_says_so(browser, points, running):
    exploration = explore(points)
    with running(exploration.server):
        browser.open(exploration.address)
    for number in range(9):  # a connection that the browser opened beforehand is answered still
        search(browser, f"needle {number}", False)
        try:
            browser.wait("document.querySelector('.wrong-pattern').textContent === 'separatrix explore has ended'", 4)
            break
        except TimeoutError:
            pass
    else:
        pytest.fail("nothing was said")


def test_a_training_is_followed_to_its_end(browser, running, tmp_path, make_run_files):
    browser.events.clear()
    folder = tmp_path / "run"
    folder.mkdir()
    write_json(folder / "manifest.json", {"kind": "run", "format": 2, "recipe": None, "files": None})
    write_json(folder / "recipe.json", {"method": "prompt", "loop": {"epochs": 3, "seed": 0}})
    with locked(folder):
        exploration = explore(folder)
        with running(exploration.server):
            browser.open(exploration.address)
            assert says(browser) == "The training has begun: no epoch is done yet."
            write_lines(folder / "metrics.jsonl", [{"epoch": 1, **LINE}])
            browser.wait("document.querySelector('.live svg')")
            assert says(browser) == "Epoch 1 of 3 is done; accuracy 0.750 on validation rows (majority 0.250)."
            pace = "training: 20 of 45 steps, 5.0 steps/s, 0:00:05 left, loss 0.412"
            write_json(folder / "progress.json", {"done": 20, "line": pace, "total": 45})
            browser.wait("document.querySelector('.pace')")
            assert browser.run("document.querySelector('.pace').textContent") == pace
            assert browser.run("document.querySelector('.live progress').value") == 20
            browser.run("window.table = document.querySelector('.live table'); true")
            write_json(folder / "progress.json", {"done": 25, "line": pace.replace("20", "25"), "total": 45})
            browser.wait("document.querySelector('.live progress').value === 25")
            assert browser.run("document.contains(window.table)")  # which is read undisturbed
            append_line(folder / "metrics.jsonl", {"epoch": 2, **LINE})
            with (folder / "metrics.jsonl").open("a") as half:
                half.write('{"epoch": 3, "lo')
            browser.wait("document.querySelector('.lead').textContent.startsWith('Epoch 2 of 3')")
            assert browser.run("document.querySelectorAll('.live svg').length") == 2
            make_run_files(folder)
            browser.wait("document.getElementById('verdict')")
            assert browser.run("document.querySelector('h1').textContent") == "run"
            assert browser.console == []


def test_a_run_whose_folder_is_gone_says_so_on_its_page(browser, running, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    write_json(folder / "manifest.json", {"kind": "run", "format": 2, "recipe": None, "files": None})
    with running(explore(folder).server) as server:
        browser.open(server.address)
        shutil.rmtree(folder)
        browser.wait("document.querySelector('.lost:not([hidden])')?.textContent === 'run is not there any more'")


def says(browser):
    return browser.run("document.querySelector('.live .lead').textContent")


def test_a_training_that_was_stopped_says_how_to_go_on():
    stopped = LiveTraining("run", "stopped", epochs=9, metrics=[{"epoch": 4, **LINE}])
    assert stopped.sentence == (
        "The training was stopped after epoch 4; accuracy 0.750 on validation rows (majority 0.250). "
        "The same command with --resume goes on."
    )


@pytest.fixture
def make_run_files():
    """The files of a finished run, in a folder."""
    import pandas as pd

    from separatrix.store.artifacts import resume_artifact
    from separatrix.store.lock import lock_path

    def make(folder: Path):
        labels = ["a", "b"] * 10
        table = {"id": np.arange(20), "text": [f"text {n}" for n in range(20)], "label": labels, "predicted": labels}
        (folder / "predictions").mkdir()
        frame = pd.DataFrame(table | {"probability_a": [0.9, 0.1] * 10, "probability_b": [0.1, 0.9] * 10})
        frame.to_parquet(folder / "predictions" / "validation.parquet")
        figures = {"accuracy": 1.0, "majority": 0.5, "confusion": [[10, 0], [0, 10]], "rows": 20}
        result = {
            "kind": "run", "method": "prompt", "loss": "linear", "classes": ["a", "b"], "rows": {"validation": 20},
            "model": {"name": "tiny", "origin": "folder", "weights": "0" * 64}, "scores": {"validation": figures},
            "baselines": {}, "warnings": [], "notes": [], "seconds": 1.0,
        }  # fmt: skip
        recipe = {"method": "prompt", "backbone": {"model": "tiny"}, "loop": {"epochs": 3, "seed": 0}}
        write_lines(folder / "metrics.jsonl", [{"epoch": epoch, **LINE} for epoch in (1, 2, 3)])
        write_json(folder / "recipe.json", recipe)
        write_json(folder / "result.json", result)
        lock_path(folder).unlink()
        with resume_artifact(folder, "run", resume=True):
            pass

    return make
