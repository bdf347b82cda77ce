"""Pages over several results and of sweeps in a real browser: every link between their views."""

import shutil

import numpy as np
import pytest

from separatrix.reports.by_run import by_run
from separatrix.reports.cluster_sizes import cluster_sizes
from separatrix.reports.joined import SourceRows, join_rows
from separatrix.reports.page import render, write_page
from separatrix.reports.result import RunReport
from separatrix.reports.rows import RowMap
from separatrix.reports.sections import certainty, map_section, row_section
from separatrix.reports.sweep_page import sweep_section
from separatrix.reports.together import Comparisons, comparison_sections

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium in PATH to open the page with"),
]
CLASSES = ("no", "yes")


def run_rows(title, right, seed):
    """A run that answers 40 rows, of which the first `right` rightly."""
    rng = np.random.default_rng(seed)
    gold = [CLASSES[k % 2] for k in range(40)]
    predicted = [one if k < right else CLASSES[1 - CLASSES.index(one)] for k, one in enumerate(gold)]
    sure = rng.uniform(0.6, 0.9, 40)
    shares = np.where(np.array(predicted)[:, None] == np.array(CLASSES), sure[:, None], 1 - sure[:, None])
    flat = RowMap("outputs", rng.normal(size=(1, 40, 2)).astype(np.float32), ("x", "y"), f"plane of {title}")
    ids = [str(k) for k in range(40)]
    return SourceRows(title, ids, [f"text {k}" for k in ids], gold, ["test"] * 40, predicted, shares, CLASSES, [flat])


@pytest.fixture
def several(browser, run_views, tmp_path):
    """Two runs and clusters of their first ten rows."""
    a, b = run_rows("<i>a</i>", 30, 0), run_rows("b", 20, 1)
    clusters = SourceRows("clusters", a.ids[:10], a.texts[:10], a.labels[:10], clusters=np.arange(10) % 3)
    rows, maps = join_rows([a, b, clusters])
    lines = [
        {"source": name, "kind": "run", "accuracy": one, "low": one - 0.1, "high": one + 0.1, "majority": 0.5,
         "validation": one, "rows": 40} for name, one in (("<i>a</i>", 0.75), ("b", 0.5))
    ]  # fmt: skip
    pair = {"a": "<i>a</i>", "b": "b", "difference": 0.25, "interval": (0.1, 0.4), "p_holm": 0.002, "rows": 40}
    sure = certainty(RunReport("", rows=rows))
    views = by_run([run_views(one, CLASSES, rows) for one in (a, b)])
    head = comparison_sections(Comparisons(lines, [pair]))
    sections = [*head, map_section(maps, rows), row_section(rows), cluster_sizes(rows), *views, sure]
    browser.events.clear()
    browser.open(write_page(tmp_path / "several.html", render(RunReport("both"), sections)).path.as_uri())
    yield browser
    assert browser.console == []


def data(browser, section, name):
    return browser.run(f"document.getElementById('{section}').dataset.{name}")


def change(browser, selector, value):
    browser.run(f"(() => {{ const one = document.querySelector('{selector}'); one.value = '{value}'; "
                "one.dispatchEvent(new Event('change')); })()")  # fmt: skip


def test_points_glide_to_the_map_of_the_other_run_and_all_views_show_its_answers(several):
    browser = several
    assert data(browser, "map", "wrong") == "10"
    assert browser.run("document.querySelector('.headline').textContent") == "<i>a</i> is ahead of b."
    browser.run("document.querySelector('[data-only=wrong]').click()")
    assert browser.run("document.body.dataset.selected") == "10"
    change(browser, ".which", 1)
    browser.wait("document.getElementById('map').dataset.map === '1' && separatrix.maps[0].moment === 1")
    assert data(browser, "map", "wrong") == "20"
    assert browser.run("document.body.dataset.selected") == "20"  # wrong ones of b now
    assert browser.run("document.querySelector('.answers').value") == "1"
    assert data(browser, "certainty", "rows") == "20"
    change(browser, ".answers", 0)
    browser.wait("document.body.dataset.selected === '10'")


def test_rows_on_which_runs_differ_are_selected(several):
    several.run("document.querySelector('[data-only=differ]').click()")
    assert several.run("document.body.dataset.selected") == "10"  # 20 to 29: a is right, b is wrong
    assert "accuracy 1.000" in several.run("document.querySelector('.selection p').textContent")
    change(several, ".answers", 1)
    several.wait("document.querySelector('.selection p').textContent.includes('accuracy 0.000')")


def test_matrix_and_classes_are_those_of_the_run_whose_answers_are_shown(several):
    """A press on them selects as on the page of a run, and a cell that is selected stays one when the run changes."""
    shown = "[...document.querySelectorAll('#confusion .of-run')].filter((one) => !one.hidden)"
    assert several.run(f"{shown}.map((one) => one.dataset.run).join()") == "0"
    cell = f'{shown}[0].querySelector(\'.cell[data-gold="1"][data-guess="0"]\')'
    several.run(f"{cell}.dispatchEvent(new MouseEvent('click', {{ bubbles: true }}))")
    assert several.run("document.body.dataset.selected") == "5"
    change(several, "#confusion .answers", 1)
    several.wait(f"{shown}[0].dataset.run === '1' && document.body.dataset.selected === '10'")
    assert several.run(f"{cell}.classList.contains('on')")
    assert several.run("document.querySelector('#rows .answers').value") == "1"
    several.run("document.querySelector('.chips button').click()")
    several.run("document.querySelector('#classes .of-run:not([hidden]) .pick').click()")
    assert several.run("document.body.dataset.selected") == "20"


def test_clusters_colour_the_map_and_select_rows(several):
    change(several, ".colour", "cluster-0")
    kinds = several.run("[...new Set(separatrix.maps[0].kinds)].map((kind) => separatrix.maps[0].options.names[kind])")
    assert sorted(kinds) == ["cluster 0", "cluster 1", "cluster 2", "no cluster"]
    change(several, ".cluster", "0/1")
    assert several.run("document.body.dataset.selected") == "3"
    assert data(several, "map", "kept") == "3"
    several.run("document.querySelector('.chips button').click()")
    assert several.run("document.querySelector('.cluster').value") == ""


def test_a_cluster_is_selected_by_its_size_and_every_view_follows(several):
    sizes = "[...document.querySelectorAll('#clusters tbody tr')]"
    assert several.run(f"{sizes}.map((line) => line.cells[0].textContent + ' ' + line.cells[1].textContent)") == [
        "cluster 0 4", "cluster 1 3", "cluster 2 3", "no cluster 30"
    ]  # fmt: skip
    several.run(f"{sizes}[1].querySelector('button').click()")
    assert several.run("document.body.dataset.selected") == data(several, "map", "kept") == "3"
    assert several.run("document.querySelector('.cluster').value") == "0/1"
    assert several.run(f"{sizes}.map((line) => line.cells[2].textContent).join()") == "0,3,0,0"
    assert several.run(f"{sizes}[1].classList.contains('on')")
    several.run("document.querySelectorAll('.legend button')[0].click()")
    kept = several.run("document.body.dataset.selected")
    assert several.run(f"{sizes}[1].cells[2].textContent") == kept
    several.run(f"{sizes}[1].querySelector('button').click()")
    assert several.run("document.querySelector('.cluster').value") == ""


def test_the_table_of_results_sorts_and_foreign_names_are_text(several):
    head = "document.querySelectorAll('#compared .sort')"
    several.run(f"[...{head}].find((one) => one.textContent.startsWith('accuracy')).click()")
    first = "document.querySelector('#compared tbody tr').cells[0].textContent"
    assert several.run(first) == "<i>a</i>"
    several.run(f"[...{head}].find((one) => one.textContent.startsWith('accuracy')).click()")
    assert several.run(first) == "b"
    assert several.run("document.querySelectorAll('main i:not(.answers i)').length") == 0


def swept():
    """A sweep of three numbers of tokens and two rates, two seeds each; validation prefers the lower rate."""
    lines, runs = [], []
    for tokens in (1, 4, 16):
        for lr in (0.01, 0.1):
            label = f"tokens={tokens}, lr={lr}"
            seeds = [0.5 + tokens / 100 - lr + seed / 50 for seed in (0, 1)]
            mean = sum(seeds) / 2
            ends = {"low": mean - 0.1, "high": mean + 0.1}
            figures = dict.fromkeys(("validation", "test"), mean)
            figures |= {f"{part}_{end}": value for part in ("validation", "test") for end, value in ends.items()}
            setting = {"label": label, "tokens": str(tokens), "lr": str(lr), "chosen": lr == 0.01, "tries": 2}
            lines.append(setting | {"runs": 2, "planned": 2} | figures)
            for seed, one in enumerate(seeds):
                runs.append(
                    {"label": label, "seed": seed, "run": f"{tokens}-{lr}-{seed}", "validation": one, "test": one}
                )
    majority = {"label": "majority", "row": "majority", "baseline": "majority", "chosen": False}
    lines.append(majority | {"runs": 2, "planned": 2, "validation": 0.3, "test": 0.3})
    return {
        "table": lines, "by_seed": runs, "costs": [], "metric": "accuracy", "tune": ["lr"],
        "warnings": ["nothing learnt"], "columns": ["row", "tokens", "lr"], "states": {"done": 12},
        "best": ["tokens=16, lr=0.01: the best of 6"],
    }  # fmt: skip


@pytest.fixture
def sweep(browser, tmp_path):
    page = tmp_path / "study" / "runs" / "4-0.01-1" / "report.html"
    page.parent.mkdir(parents=True)
    page.write_text("a run")
    section = sweep_section("study", 1, tmp_path / "study", swept(), tmp_path)
    browser.events.clear()
    browser.open(write_page(tmp_path / "sweep.html", render(RunReport("study"), [section])).path.as_uri())
    yield browser
    assert browser.console == []


def test_a_point_shows_its_seeds_and_is_marked_in_curve_heat_map_and_table(sweep):
    label = "tokens=4, lr=0.01"
    named = f"(one) => one.getAttribute('aria-label').startsWith('{label}')"
    dot = f"[...document.querySelectorAll('.curve-plot .dot')].find({named})"
    sweep.run(f"{dot}.dispatchEvent(new PointerEvent('pointerenter'))")
    tip = sweep.run("document.querySelector('.tip').textContent")
    assert tip.startswith(f"{label}: validation 0.540 (0.440 to 0.640), test 0.540")
    assert "seed 0 0.530, seed 1 0.550" in tip
    sweep.run(f"{dot}.dispatchEvent(new MouseEvent('click'))")
    assert data(sweep, "part-1", "marked") == "2"
    assert sweep.run("document.querySelector('tbody tr.on').rowIndex") == 3
    assert sweep.run("document.querySelectorAll('.heat .cell.on').length") == 1
    assert sweep.run("document.querySelectorAll('.curve-plot .seed').length") == 2
    assert sweep.run("[...document.querySelectorAll('.runs a')].map((one) => one.getAttribute('href'))") == [
        "study/runs/4-0.01-1/report.html"
    ]
    assert sweep.run("document.querySelector('.runs li').textContent").startswith(
        "seed 0: validation 0.530, test 0.530"
    )


def test_a_line_of_the_table_and_a_cell_mark_the_same(sweep):
    sweep.run("document.querySelectorAll('tbody tr')[0].click()")
    assert sweep.run("document.querySelectorAll('.curve-plot .dot.on').length") == 1
    sweep.run("document.querySelectorAll('tbody tr')[0].click()")  # once more takes it back
    assert data(sweep, "part-1", "marked") == ""
    sweep.run("document.querySelectorAll('.heat .cell')[1].dispatchEvent(new MouseEvent('click'))")
    assert data(sweep, "part-1", "marked") == "1"
    assert sweep.run("document.querySelector('tbody tr.on').hidden")  # validation chose another rate
    sweep.run("document.querySelector('.chosen').click()")
    assert not sweep.run("document.querySelector('tbody tr.on').hidden")
    assert sweep.run("document.querySelectorAll('.curve-plot .dot').length") == 6


def test_choice_and_test_figures_are_kept_apart_and_the_guards_stand_on_top(sweep):
    assert data(sweep, "part-1", "part") == "validation"
    assert sweep.run("document.querySelectorAll('.curve-plot .dot').length") == 3  # the rate that validation chose
    assert sweep.run("document.querySelectorAll('.heat .cell').length") == 6
    sweep.run("document.querySelectorAll('.part')[1].click()")
    assert data(sweep, "part-1", "part") == "test"
    assert "which no choice has seen" in sweep.run("document.querySelector('.heat-note').textContent")
    order = sweep.run("document.querySelector('.alarm').compareDocumentPosition(document.querySelector('.curve-plot'))")
    assert order & 4  # the warning stands before
    sweep.run("[...document.querySelectorAll('.sort')].find((one) => one.textContent.startsWith('validation')).click()")
    assert sweep.run("document.querySelector('tbody tr').cells[1].textContent") == "16"


def test_the_names_of_near_baselines_do_not_lie_on_each_other(browser, tmp_path):
    study = swept()
    near = study["table"][-1] | {"label": "probe", "row": "probe", "baseline": "probe", "validation": 0.31}
    study["table"].append(near)
    page = render(RunReport("study"), [sweep_section("study", 1, tmp_path, study, tmp_path)])
    browser.open(write_page(tmp_path / "sweep.html", page).path.as_uri())
    texts = "[...document.querySelectorAll('.curve-plot text')]"
    boxes = [
        browser.run(f"{texts}.find((one) => one.textContent === '{name}').getBoundingClientRect().toJSON()")
        for name in ("probe", "majority")
    ]
    assert boxes[0]["bottom"] <= boxes[1]["top"] + 2


def test_a_page_of_one_part_has_no_list_of_parts(sweep):
    assert sweep.run("document.querySelector('nav')") is None
    assert sweep.run("document.querySelector('thead th').className") == ""  # as its column, which begins on the left


@pytest.mark.parametrize("width", [400, 1400])
def test_nothing_is_wider_than_the_window(sweep, width):
    sweep.size(width)
    assert sweep.run("document.documentElement.scrollWidth") == width
