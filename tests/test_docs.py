"""Every Python block of the README and of docs/ runs, page by page, as a reader would type it.

A tiny random model stands in for the named ones, so that a page takes seconds; a block below `<!-- slow -->` is left
out. With SEPARATRIX_SLOW=1 nothing stands in and every block runs. Commands of the command line are parsed, not run.
"""

import os
import re
import runpy
import shlex
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pytest
from cyclopts import CycloptsError

from separatrix.errors import OptionError
from separatrix.recipe import DEFAULT_MODEL, CentroidRecipe, LoopRecipe, LossRecipe, PromptRecipe, flag
from undrawn import draw_nothing

ROOT = Path(__file__).parents[1]
SLOW = os.environ.get("SEPARATRIX_SLOW") == "1"
BLOCK = re.compile(r"(?P<slow><!-- slow -->[ \t]*\n\s*)?^```python\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class CodeBlock:
    code: str
    line: int  # of its first line of code
    slow: bool


def blocks(text):
    return [
        CodeBlock(found["code"], text.count("\n", 0, found.start("code")) + 1, found["slow"] is not None)
        for found in BLOCK.finditer(text)
    ]


PAGES = [
    page
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    if blocks(page.read_text(encoding="utf-8"))
]


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
    """An empty folder with `questions.csv` in it; model names lead to tiny models, and no picture is drawn."""
    from separatrix.extraction import readers
    from separatrix.models import load

    questions = ROOT / "src/separatrix/texts/questions/validation.csv"  # the shortest part
    (tmp_path / "questions.csv").write_bytes(questions.read_bytes())
    monkeypatch.chdir(tmp_path)
    if not SLOW:
        draw_nothing(monkeypatch)
        places, resolve = {DEFAULT_MODEL: tiny("bert"), "gpt2": tiny("gpt2")}, load.resolve
        for module in (load, readers):
            monkeypatch.setattr(
                module,
                "resolve",
                lambda recipe, **more: resolve(
                    replace(recipe, model=str(places.get(recipe.model, recipe.model))), **more
                ),
            )
    return tmp_path


@pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")  # a random model deserves them
@pytest.mark.usefixtures("desk", "objectives")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_blocks_of_a_page_run(page):
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


# The command line's pages.


SHELL = re.compile(r"^```\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINES = [
    (page.name, line)
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    for block in SHELL.findall(page.read_text(encoding="utf-8"))
    for line in block.replace("\\\n", " ").splitlines()
    if line.startswith("separatrix ")
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
        build_recipe(bound.kwargs.get("method", "prompt"), bound.kwargs)


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
