import numpy as np
import pytest
from matplotlib import image

from atlas_pages import page_of
from chromium import Chromium
from separatrix.recipe import TrainRecipe, to_dict
from separatrix.reports import PictureFile, RunReport, write_report
from separatrix.reports.atlas import write_atlas
from separatrix.reports.by_run import by_run
from separatrix.reports.cluster_sizes import cluster_sizes
from separatrix.reports.collect import Sheet, sheet_section
from separatrix.reports.joined import SourceRows, join_rows
from separatrix.reports.map_page import write_map_page
from separatrix.reports.page import render, write_page
from separatrix.reports.rows import PageRows, RowMap
from separatrix.reports.sections import certainty, map_section, row_section
from separatrix.reports.suspects import write_suspects
from separatrix.reports.sweep_page import sweep_section
from separatrix.reports.together import Comparisons, comparison_sections
from separatrix.view import Frames
from separatrix.view.maps import Drawing

EVIL = (
    '<img src=x onerror="document.body.dataset.evil=1"> </script><script>document.body.dataset.evil=1</script>'
    " <b>bold</b> &lt; & %{x} \u2028 $x$ \ud800"
)

ARABIC, CHINESE, HEBREW = (
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0643\u0645",
    "\u4e2d\u6587\u6587\u672c",
    "\u05e9\u05dc\u05d5\u05dd 12",
)
LONG = "endless" * 15_000  # 105 kB without a place to break


@pytest.fixture(scope="session")
def evil():
    return EVIL


@pytest.fixture(scope="session")
def make_frames():
    def make(classes=3, rows=30, count=4, names=None, texts=None):
        rng = np.random.default_rng(0)
        labels = np.arange(rows) % classes
        angle = 2 * np.pi * np.arange(classes) / classes
        goal = 9 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        share = np.linspace(0.1, 1, count)[:, None, None]
        points, centroids = share * goal[labels] + 5 * rng.normal(size=(count, rows, 2)), share * goal
        distance = np.linalg.norm(points[:, :, None] - centroids[:, None], axis=-1)
        return Frames(
            points, centroids, labels, distance.argmin(axis=-1), names or tuple(f"class {k}" for k in range(classes)),
            tuple(f"epoch {index}" for index in range(count)), texts or tuple(f"text {row}" for row in range(rows)),
            ("PC 1", "PC 2"), "trustworthiness 0.93",
        )  # fmt: skip

    return make


def rows_of(frames):
    """The page's rows of frames, with probabilities that say how far a row is from each centroid."""
    away = np.linalg.norm(frames.points[-1][:, None] - frames.centroids[-1], axis=-1)
    shares = np.exp(-away) / np.exp(-away).sum(axis=1, keepdims=True)
    rows = len(frames.texts)
    ids, splits = [f"id-{row}" for row in range(rows)], ["validation"] * rows
    wrong = frames.predicted[-1] != frames.labels
    suspect = np.where(wrong, 0.6 + 0.3 * np.arange(rows) / rows, np.nan)
    unknown = (np.arange(rows) % 5 == 0) * 2
    return PageRows(
        frames.texts, frames.names, frames.labels, frames.predicted[-1], ids, splits, shares, suspect, unknown
    )


@pytest.fixture(scope="session")
def make_report(make_frames):
    def make(frames=None, **changes):
        frames = frames or make_frames()
        classes = len(frames.names)
        counts = np.zeros((classes, classes), dtype=int)
        np.add.at(counts, (frames.labels, frames.predicted[-1]), 1)
        own = {"accuracy": 0.9, "interval": (0.85, 0.94), "macro_f1": 0.89, "majority": 0.34, "rows": 30}
        values = {
            "title": "Questions",
            "summary": (("model", "tiny"), ("seconds", 41.3)),
            "scores": [
                {"method": "prompt", "split": "test", **own},
                {"method": "k-NN", "split": "test", "accuracy": 0.8},
                {"method": "majority", "split": "test", "accuracy": 0.34},
            ],
            "per_class": [{"class": name, "rows": 10, "recall": 0.9} for name in frames.names],
            "confusion": counts,
            "names": frames.names,
            "metrics": [{"epoch": 1, "loss": 0.9, "validation": {"accuracy": 0.8, "majority": 0.34}}],
            "confusion_part": "validation",
            "rows": rows_of(frames),
            "maps": [RowMap.of_frames("outputs", frames)],
            "recipe": to_dict(TrainRecipe()),
            "notes": ("3 texts were cut",),
        }
        return RunReport(**{**values, **changes})

    return make


@pytest.fixture(scope="session")
def texts(evil):
    return (evil, CHINESE, HEBREW, ARABIC, LONG, *(f"text {row}" for row in range(5, 30)))


SWEEP = {
    "table": [
        {"label": f"tokens={k}, lr={lr}", "tokens": k, "lr": lr, "runs": 1, "planned": 1, "chosen": k == 1,
         "validation": 0.9 - 0.1 * k, "validation_low": 0.6, "validation_high": 0.95, "test": 0.8}
        for k in (1, 2) for lr in (0.01, 0.03)
    ],
    "costs": [{"seconds": 1.5}] * 4, "metric": "accuracy", "columns": ["tokens", "lr"], "warnings": ["loud"],
    "states": {"done": 4}, "best": [f"tokens=1: {ARABIC}"], "failures": ["none, really"], "notes": ["a note"],
    "by_seed": [{"label": "tokens=1, lr=0.01", "seed": 0, "run": "r", "validation": 0.8, "test": 0.8}],
}  # fmt: skip


def compared(texts):
    """The parts of a page over two runs on the same rows."""
    names, rng = (CHINESE, ARABIC), np.random.default_rng(0)
    gold = [names[k % 2] for k in range(len(texts))]
    sources = []
    for title, right in (("<i>a</i>", 25), (HEBREW, 15)):
        predicted = [one if k < right else names[1 - names.index(one)] for k, one in enumerate(gold)]
        shares = np.where(np.array(predicted)[:, None] == np.array(names), 0.8, 0.2)
        places = rng.normal(size=(1, len(texts), 2)).astype(np.float32)
        flat = RowMap("outputs", places, ("x", "y"), f"plane of {title}")
        ids, split = [str(k) for k in range(len(texts))], ["test"] * len(texts)
        sources.append(SourceRows(title, ids, list(texts), gold, split, predicted, shares, names, [flat]))
    grouped = SourceRows("k", sources[0].ids, list(texts), gold, clusters=np.arange(len(texts)) % 4 - 1)
    rows, maps = join_rows([*sources, grouped])
    views = by_run([views_of(one, names, rows) for one in sources])
    lines = [{"source": one.title, "kind": "run", "accuracy": 0.7, "low": 0.6, "high": 0.8, "majority": 0.5,
              "validation": 0.7, "rows": 30} for one in sources]  # fmt: skip
    pair = {"a": "<i>a</i>", "b": HEBREW, "difference": 0.25, "interval": (0.1, 0.4), "p_holm": 0.002, "rows": 30}
    sure = certainty(RunReport("", rows=rows))
    listed = [map_section(maps, rows), row_section(rows), cluster_sizes(rows), *views, sure]
    return [*comparison_sections(Comparisons(lines, [pair])), *listed]


def views_of(source, names, rows):
    """What a run on a page over several says of its classes."""
    gold, predicted = ([names.index(one) for one in column] for column in (source.labels, source.predicted))
    counts = np.zeros((len(names), len(names)), int)
    np.add.at(counts, (gold, predicted), 1)
    table = [{"name": name, "rows": int(counts[k].sum()), "f1": 0.5} for k, name in enumerate(names)]
    return RunReport(source.title, confusion=counts, names=names, confusion_part="test", per_class=table, rows=rows)


@pytest.fixture(scope="session")
def run_views():
    return views_of


@pytest.fixture(scope="session")
def pages(tmp_path_factory, make_report, make_frames, texts):
    """One page of each kind, by its name."""
    folder = tmp_path_factory.mktemp("pages")
    frames = make_frames(names=(CHINESE, ARABIC, "third"), texts=texts)
    report = make_report(frames, maps=[RowMap.of_frames("outputs", frames)], warnings=(f"of {ARABIC}",))
    places = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    drawing = Drawing(places, np.arange(30) % 2, ("no", HEBREW), ("a", "b"), "rows", "drawn at random")
    rows = [
        {"id": str(k), "label": CHINESE, "suggested": "b", "score": -k / 9, "reason": "far", "text": text}
        for k, text in enumerate(texts)
    ]
    counts = {
        "models": {"probe": {"accuracy": 0.9}},
        "rows": 99,
        "suspects": 30,
        "estimated_noise": 0.1,
        "judged": "all",
    }
    ids, zeros = [str(k) for k in range(len(texts))], np.zeros(len(texts), int)
    judged = PageRows(texts, (CHINESE, "b"), zeros, zeros + 1, ids, suspect=np.linspace(0.5, 1, len(texts)))
    image.imsave(folder / "picture.png", np.zeros((4, 900, 3)))
    pictures = (PictureFile("map", folder / "picture.png"),)
    table = [{"method": name, "accuracy": 0.95, "interval": [0.9, 0.97]} for name in ("prompt", ARABIC)]
    sheet = sheet_section(
        Sheet("maps/m", "map", (("model", CHINESE),), table, (True, False), ("loud",), pictures=pictures), 3
    )
    return {
        "run": write_report(folder / "run.html", report).path,
        "points": write_map_page(folder / "points.html", drawing, texts),
        "atlas": write_atlas(folder / "atlas.html", page_of()).path,
        "sweep": write_page(
            folder / "sweep.html", render(RunReport("sweep"), [sweep_section("s", 1, folder, SWEEP, folder)])
        ).path,
        "comparison": write_page(folder / "both.html", render(RunReport("both"), [*compared(texts), sheet])).path,
        "suspects": write_suspects(
            folder / "suspects.html", rows, counts | {"warnings": []}, judged, RowMap("v", places[None], ("x", "y"), "")
        ).path,
    }


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """One browser for the tests of a file; no page that they opened asked for anything."""
    with Chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser
        browser.close()  # its log of the network is complete then
    assert browser.requests == []


PAGE_NAMES = ("<i>tilted</i>", "b & c", "class 2")


@pytest.fixture(scope="session")
def page(make_report, make_frames, evil, tmp_path_factory):
    """The report of a run with foreign names and texts, and its page."""
    texts = (evil, "\u4e2d\u6587\u6587\u672c", "\u05e9\u05dc\u05d5\u05dd", *(f"text {row}" for row in range(3, 30)))
    frames = make_frames(names=PAGE_NAMES, texts=texts)
    half = RowMap("every other row", frames.points[-1:, ::2][:, :, ::-1], ("a", "b"), "a note", np.arange(0, 30, 2))
    report = make_report(frames, maps=[RowMap.of_frames("outputs", frames), half])
    return report, write_report(tmp_path_factory.mktemp("page") / "page.html", report).path


@pytest.fixture
def open_page(browser, page):
    """The page, opened afresh at a place; its console was silent when the test ends."""

    def go(place="", **size):
        browser.events.clear()
        browser.open(page[1].as_uri() + place, **size)
        return browser

    yield go
    assert browser.console == []
