"""Every Python block of the README and of docs/ runs, page by page, as a reader would type it.

A tiny random model stands in for the named ones, so that a page takes seconds; a block below `<!-- slow -->` is left
out. With SEPARATRIX_SLOW=1 nothing stands in and every block runs. Commands of the command line are parsed, not run.
"""

import os
import re
import runpy
import shlex
import sys
from dataclasses import dataclass, fields, replace
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
from cyclopts import CycloptsError

import separatrix as sx
from separatrix.errors import OptionError
from separatrix.recipe import DEFAULT_MODEL, CentroidRecipe, LoopRecipe, LossRecipe, PromptRecipe, flag
from stand_in import stand_in
from undrawn import draw_nothing

ROOT = Path(__file__).parents[1]
SLOW = os.environ.get("SEPARATRIX_SLOW") == "1"
FENCE = re.compile(  # every block with both its fences, so that none is taken for the other
    r"(?P<slow><!-- slow -->[ \t]*\n\s*)?^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class CodeBlock:
    code: str
    line: int  # of its first line of code
    slow: bool


def blocks(text):
    return [
        CodeBlock(found["code"], text.count("\n", 0, found.start("code")) + 1, found["slow"] is not None)
        for found in FENCE.finditer(text)
        if found["language"] == "python"
    ]


WRITTEN = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES = [page for page in WRITTEN if blocks(page.read_text(encoding="utf-8"))]


def test_blocks_are_found_with_their_lines_and_marks():
    text = "one\n```python\na = 1\n```\n\n<!-- slow -->\n```python\nb = 2\nc = 3\n```\n```\nno python\n```\n"
    assert blocks(text) == [CodeBlock("a = 1\n", 3, False), CodeBlock("b = 2\nc = 3\n", 8, True)]
    assert blocks("no block yet") == []
    assert ROOT / "docs" / "python.md" in PAGES


@pytest.fixture
def objectives():
    """The objectives as they are; what a page adds is taken away again."""
    from separatrix.learn.objectives import OBJECTIVES

    yield OBJECTIVES
    for name in set(OBJECTIVES) - set(OBJECTIVES.choices.built_in):
        del OBJECTIVES[name]


@pytest.fixture
def desk(tmp_path, tiny, monkeypatch):
    """An empty folder; model names lead to tiny models, the demo is short, and no picture is drawn."""
    monkeypatch.chdir(tmp_path)
    if find_spec("fastapi") is None:  # no dependency of ours: its decorators leave a function as it is
        service = SimpleNamespace(post=lambda path: lambda function: function)
        monkeypatch.setitem(sys.modules, "fastapi", SimpleNamespace(FastAPI=lambda: service))
    if not SLOW:
        demo = sx.load_demo()
        few = replace(demo, train=demo.train.take(range(120)))
        monkeypatch.setattr(sx, "load_demo", lambda: few)
        draw_nothing(monkeypatch)
        stand_in(monkeypatch, {DEFAULT_MODEL: tiny("bert"), "gpt2": tiny("gpt2")})
    return tmp_path


# Pages of one verb, which take the file of "Your first five minutes". Every other page writes what it reads.
GIVEN_QUESTIONS = ("extract.md", "huggingface.md", "sweep.md")


@pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")  # a random model deserves them
@pytest.mark.usefixtures("objectives")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_blocks_of_a_page_run_in_an_empty_folder(page, desk):
    if page.name in GIVEN_QUESTIONS:
        questions = ROOT / "src/separatrix/texts/questions/validation.csv"  # the shortest part
        (desk / "questions.csv").write_bytes(questions.read_bytes())
    names = {"__name__": "page"}
    for block in blocks(page.read_text(encoding="utf-8")):
        if SLOW or not block.slow:
            # The empty lines in front make a traceback name the line of the page.
            exec(compile("\n" * (block.line - 1) + block.code, str(page), "exec"), names)


def test_the_figures_of_the_pages_are_those_of_the_committed_results(capsys, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from studies import claims

    assert claims.main(["--check"]) == 0, capsys.readouterr().out
    assert claims.claims("docs/claims.md").count("\n| ") == len(claims.CLAIMS)
    assert claims.claims("README.md").count("\n| ") == len(claims.MATTER)
    # Who is above us on a set stands in the row too.
    assert all(f"{name} " in claims.prompt_quality() for name in ("imdb", "sst2", "trec50", "trec6"))
    assert claims.prompt_quality().count("PEFT") == 4


CLAIM = re.compile(r"^\| (?P<claim>[^|]+) \| \[(?P<figures>.+)\]\((?P<table>[^)]+)\) \| `(?P<command>[^`]+)` \|$", re.M)


def links(page):
    """The files that a page of the repository leads to in one click."""
    found = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    return {(page.parent / one).resolve() for one in found}


def test_every_claim_is_two_clicks_from_its_table_and_shows_its_command():
    """README, then the page of claims, then the table; the command beside the claim can be typed as it stands."""
    from studies import claims

    page = ROOT / "docs" / "claims.md"
    assert page in links(ROOT / "README.md")
    found = list(CLAIM.finditer(page.read_text("utf-8")))
    assert len(found) == len(claims.CLAIMS)
    shared = [(ROOT / "studies" / name).read_text("utf-8") for name in ("common.py", "peft_side.py")]
    for row in found:
        table = (page.parent / row["table"]).resolve()
        assert table in links(page)
        assert table.is_file(), row["table"]
        python, script, *words = shlex.split(row["command"])
        assert python == "python"
        source = (ROOT / script).read_text("utf-8")
        flags = [word for word in words if word.startswith("--")]
        assert all(any(f'"{flag}"' in text for text in (source, *shared)) for flag in flags), row["command"]
        # Where the table stands, the command is written too: on its page, or on the one that explains the folder.
        about = [table, *(folder / "README.md" for folder in (table.parent, table.parent.parent))]
        told = [one.read_text("utf-8") for one in about if one.is_file() and one.suffix == ".md"]
        assert any(Path(script).name in text for text in told), row["claim"]


def test_make_bench_and_contributing_run_the_benchmarks_of_the_claims_as_they_are_typed_there():
    """Regression: one took a set where the claim had the folder of all sets, one had other rows than its figures."""
    from studies import claims

    typed = re.compile(r"^(?:\t\$\(BIN\)/)?(python benchmarks/.*?)(?: +#.*)?$", re.M)
    bench = typed.findall((ROOT / "Makefile").read_text("utf-8").replace("$(DATA)", "FOLDER"))
    assert typed.findall((ROOT / "CONTRIBUTING.md").read_text("utf-8")) == bench
    commands = [one for *_, line in claims.CLAIMS if isinstance(line, str) for one in line.split(" && ")]
    assert {one for one in commands if one.startswith("python benchmarks/")} <= {*bench}
    assert all(one.count(" FOLDER") <= 1 for one in commands)  # the word means one thing


def test_the_race_is_typed_with_the_seeds_that_its_figures_have():
    from studies import claims

    command, figures = claims.front_door_command(), claims.front_door()
    sizes = re.findall(r"(\d+) rows of each class \(\d+ sets?, (\d+) seeds?\)", figures)
    whole = re.findall(r"all rows \(\d+ sets?, (\d+) seeds?\)", figures)
    assert len(sizes) + len(whole) == command.count("python ")
    assert all(f"--per-class {rows} --seeds {seeds}" in command for rows, seeds in sizes)
    assert all(re.search(rf"--sets [\w ]+ --seeds {seeds}", command) for seeds in whole)


def test_every_page_stands_in_the_navigation_of_the_site():
    """A page that is written and not named in `zensical.toml` would be found by search alone."""
    places = re.findall(r'"([\w./-]+\.md)"', (ROOT / "zensical.toml").read_text("utf-8"))
    assert len(places) == len(set(places))
    studies = list((ROOT / "studies").glob("*/*.md"))
    missing = {str(page.relative_to(ROOT)) for page in [*WRITTEN[1:], *studies]} - set(places)
    assert missing == set(), "name them in zensical.toml"


def test_the_pages_of_the_api_name_every_public_name(tmp_path, monkeypatch):
    """Built from docstrings: a name without one, or a link into nothing, is found here before the site is built."""
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "site"))
    import api

    api.write(tmp_path)
    text = {page.name: page.read_text("utf-8") for page in tmp_path.glob("*.md")}
    anchors = {
        (name, anchor) for name, page in text.items() for anchor in re.findall(r"^##+ .*\{ #(\S+) \}$", page, re.M)
    }
    links = {link for page in text.values() for link in re.findall(r"\]\((\w+\.md)#([^)]+)\)", page)}
    assert links <= anchors
    modules = {"errors", "estimators", "recipe", "results", "__version__"}
    assert {name.lower() for name in sx.__all__} - modules <= {anchor for _, anchor in anchors}
    assert {name.lower() for name in (*sx.recipe.__all__, *sx.results.__all__)} <= {anchor for _, anchor in anchors}
    named = [
        name
        for names in api.public().values()
        for name, value in names.items()
        if callable(value) and not value.__doc__
    ]
    assert named == []


# The command line's pages.


LINES = [
    (page.name, line)
    for page in WRITTEN
    for block in FENCE.finditer(page.read_text(encoding="utf-8"))
    if not block["language"]
    for line in block["code"].replace("\\\n", " ").splitlines()
    if line.startswith("separatrix ") and "--plugin" not in line  # the modules of that page run in test_plugins.py
]


@pytest.mark.parametrize(("page", "line"), LINES, ids=lambda value: value.removeprefix("separatrix ")[:60])
def test_the_commands_of_a_page_are_understood(page, line):
    """Every option exists, with a value that it takes; of a training none is without effect."""
    from separatrix.cli.app import build
    from separatrix.cli.commands import spelled
    from separatrix.training.methods import build_recipe

    words = spelled(shlex.split(line, comments=True)[1:])
    _, bound, _ = build(words).parse_args(words, exit_on_error=False, print_error=False)
    if words[0] == "train":
        build_recipe(bound.kwargs.get("method"), bound.kwargs)


def test_a_command_that_is_not_understood_is_found():
    line = "separatrix train q.csv --out r --loss linear --mover ema"
    with pytest.raises(OptionError, match="--mover has no effect here: expected --loss centroid_ce"):
        test_the_commands_of_a_page_are_understood("a page", line)
    with pytest.raises(CycloptsError, match="--movers"):
        test_the_commands_of_a_page_are_understood("a page", "separatrix train q.csv --out r --movers ema")


def test_the_page_of_options_is_up_to_date():
    table = runpy.run_path(str(ROOT / "docs" / "options.py"))
    written = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")
    assert written == table["page"](), "type: python docs/options.py > docs/options.md"
    rows = {line.split("|")[1].strip(): line for line in written.splitlines() if line.startswith("| `--")}
    assert rows["`--warmup`"].split("|")[2:4] == [" 0.1 ", " number, 0 to 1 "]
    assert rows["`--push-rule`"].split("|")[3] == " `away`, `origin` "
    assert rows["`--epochs`"].split("|")[2] == " 10; align, finetune: 6 "
    methods = {name: rows[f"`--{name}`"].split("|")[-2].strip() for name in ("seed", "mover", "centroid-lr", "pairs")}
    assert methods == {"seed": "", "mover": "prompt", "centroid-lr": "prompt", "pairs": "align, finetune"}


def test_every_choice_of_objective_and_prompt_stands_in_the_page_of_objectives():
    """`options.md` lists every option; what the choices do is said here."""
    from separatrix.recipe.align import AimRecipe

    page = (ROOT / "docs" / "objectives.md").read_text(encoding="utf-8")
    for recipe in (PromptRecipe, LossRecipe, CentroidRecipe, LoopRecipe, AimRecipe):
        for spec in fields(recipe):
            assert flag(spec.name) in page, spec.name
            for choice in spec.metadata["choices"] or ():
                assert f"`{choice}`" in page, (spec.name, choice)
