"""Several results in one page: each under its own name, foreign text harmless, nothing loaded."""

import re

import numpy as np
from matplotlib import image

from separatrix.reports import PictureFile
from separatrix.reports.collect import Sheet, render_collection, write_collection


def sheets(tmp_path, evil="plain"):
    image.imsave(tmp_path / "map.png", np.zeros((4, 4, 3)))
    rows = [{"method": "prompt", "accuracy": 0.95, "interval": [0.9, 0.97]}, {"method": evil, "accuracy": 0.5}]
    return [
        Sheet("runs/a", "run", (("model", evil),), rows, (True, False), (f"loud {evil}",), (evil,)),
        Sheet("maps/b", "map", (("trustworthiness", 0.91234),), pictures=(PictureFile("map", tmp_path / "map.png"),)),
    ]


def test_every_result_stands_under_the_name_of_its_folder(tmp_path):
    """Seed 000 showed one file's figure under another's heading."""
    text = render_collection("both", sheets(tmp_path))
    first, second = re.findall(r'<h2 id="part-\d-title">(.*?)<', text)
    assert (first.strip(), second.strip()) == ("runs/a", "maps/b")
    parts = text.split("<section ")
    assert "0.950" in parts[1]
    assert "loud plain" in parts[1]
    assert "0.912" in parts[2]
    assert "data:image/png;base64," in parts[2]
    assert "data:image" not in parts[1]


def test_the_page_loads_nothing_and_foreign_text_is_text(tmp_path):
    evil = "<script>alert(1)</script><img src=http://x>"
    text = render_collection(evil, sheets(tmp_path, evil))
    assert "<script" not in text
    assert "<img src=http" not in text
    assert all(source.startswith("data:") for source in re.findall(r'src="([^"]*)', text))


def test_the_same_results_give_the_same_bytes(tmp_path):
    written = [write_collection(tmp_path / name, "both", sheets(tmp_path)) for name in ("a.html", "b.html")]
    assert written[0].path.read_bytes() == written[1].path.read_bytes()
    assert written[0].bytes == written[0].path.stat().st_size
