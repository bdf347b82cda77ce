"""Every Python block of the README and of docs/ runs, page by page, as a reader would type it.

A tiny random model stands in for the named ones, so that a page takes seconds; a block below `<!-- slow -->` is left
out. With SEPARATRIX_SLOW=1 nothing stands in and every block runs.
"""

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from separatrix.recipe import DEFAULT_MODEL

ROOT = Path(__file__).parents[1]
SLOW = os.environ.get("SEPARATRIX_SLOW") == "1"
BLOCK = re.compile(r"(?P<slow><!-- slow -->[ \t]*\n\s*)?^```python\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    code: str
    line: int  # of its first line of code
    slow: bool


def blocks(text):
    return [
        Block(found["code"], text.count("\n", 0, found.start("code")) + 1, found["slow"] is not None)
        for found in BLOCK.finditer(text)
    ]


PAGES = [
    page
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    if blocks(page.read_text(encoding="utf-8"))
]


def test_blocks_are_found_with_their_lines_and_marks():
    text = "one\n```python\na = 1\n```\n\n<!-- slow -->\n```python\nb = 2\nc = 3\n```\n```\nno python\n```\n"
    assert blocks(text) == [Block("a = 1\n", 3, False), Block("b = 2\nc = 3\n", 8, True)]
    assert blocks("no block yet") == []
    assert ROOT / "docs" / "python.md" in PAGES


@pytest.fixture
def desk(tmp_path, tiny, monkeypatch):
    """An empty folder with `questions.csv` in it; the model names of the pages lead to tiny models."""
    from separatrix.models import backbone
    from separatrix.study import readers

    questions = ROOT / "src/separatrix/texts/questions/validation.csv"  # the shortest part
    (tmp_path / "questions.csv").write_bytes(questions.read_bytes())
    monkeypatch.chdir(tmp_path)
    if not SLOW:
        places, resolve = {DEFAULT_MODEL: tiny("bert"), "gpt2": tiny("gpt2")}, backbone.resolve
        for module in (backbone, readers):
            monkeypatch.setattr(
                module,
                "resolve",
                lambda recipe: resolve(replace(recipe, model=str(places.get(recipe.model, recipe.model)))),
            )
    return tmp_path


@pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")  # a random model deserves them
@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_blocks_of_a_page_run(page):
    names = {"__name__": "page"}
    for block in blocks(page.read_text(encoding="utf-8")):
        if SLOW or not block.slow:
            # The empty lines in front make a traceback name the line of the page.
            exec(compile("\n" * (block.line - 1) + block.code, str(page), "exec"), names)


def test_the_figures_of_the_readme_are_those_of_the_committed_results(capsys, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from studies import claims

    assert claims.main(["--check"]) == 0, capsys.readouterr().out
    assert claims.claims().count("\n| ") >= len(claims.CLAIMS)
