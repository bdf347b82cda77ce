"""The pages of the API, made from the docstrings of the public names: `python docs/site/api.py FOLDER`.

Public is what `separatrix.__init__.pyi` names and what the modules `recipe`, `errors`, `results` and `estimators` list.
A name in backticks that is one of these becomes a link.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import separatrix as sx
from separatrix import errors, estimators, recipe, results

PAGES = {
    "verbs": ("Verbs", "Functions that do the work; all have one signature ([in Python](../python.md#the-verbs))."),
    "texts": ("Texts, points, folders", "What goes into the verbs, and what reads it."),
    "estimators": ("Estimators", "scikit-learn faces of the trainings ([in Python](../python.md#the-estimator))."),
    "results": ("Results", "What the verbs return; the classes stand in `sx.results`."),
    "recipe": ("Recipes", "The options of every stage: `sx.recipe`. On the command line with `-` for `_`."),
    "errors": ("Errors and warnings", "All of `sx.errors`; each message says what to type next."),
}  # fmt: skip
SECTIONS = ("Args", "Returns", "Yields", "Raises", "Attributes")
LOADERS = {"load", "load_demo", "load_model", "load_splits", "load_texts", "set_threads"}


def public() -> dict[str, dict[str, Any]]:
    """Name of a page -> its public names with their objects, in order."""
    pages: dict[str, dict[str, Any]] = {name: {} for name in PAGES}
    for name in sx.__all__:
        value = getattr(sx, name)
        if inspect.isfunction(value):
            pages["texts" if name in LOADERS else "verbs"][name] = value
        elif inspect.isclass(value) and name not in estimators.__all__:
            pages["texts"][name] = value
    pages["estimators"] = {name: getattr(estimators, name) for name in estimators.__all__}
    pages["results"] = {name: getattr(results, name) for name in results.__all__}
    pages["recipe"] = {name: getattr(recipe, name) for name in recipe.__all__}
    pages["errors"] = {
        name: value
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.SeparatrixError | errors.SeparatrixWarning)
    }
    return pages


def write(folder: Path) -> None:
    """Write a page for each part of the public names, and the index of all of them."""
    pages = public()
    links = {name: f"{page}.md#{name.lower()}" for page, names in pages.items() for name in names}
    plain_words = {name for name, value in pages["recipe"].items() if inspect.isfunction(value)}  # "check", "option"
    folder.mkdir(parents=True, exist_ok=True)
    index = ["# Public names", "", "Made from the docstrings. `import separatrix as sx` gives all of them.", ""]
    for page, names in pages.items():
        title, about = PAGES[page]
        lines = [f"# {title}", "", about, ""]
        for name, value in names.items():
            lines += entry(name, value, {other: link for other, link in links.items() if other not in plain_words})
        (folder / f"{page}.md").write_text("\n".join(lines), "utf-8")
        index += [f"## [{title}]({page}.md)", "", "| name | |", "|---|---|"]
        index += [
            f"| [`{name}`]({links[name]}) | {linked(summary(value), links)} |" for name, value in names.items()
        ] + [""]
    (folder / "index.md").write_text("\n".join(index), "utf-8")


def entry(name: str, value: Any, links: dict[str, str]) -> Iterator[str]:
    """A public name: heading, signature, docstring, options, methods."""
    yield from (f"## {name} {{ #{name.lower()} }}", "")
    if not callable(value):
        yield from ("```python", f"{name} = {value!r}", "```", "")
        return
    if is_recipe(value):
        yield from described(inspect.getdoc(value) or "", links)
        yield from options(value, links)
        return
    if not (inspect.isclass(value) and issubclass(value, Warning)):
        yield from ("```python", signature(name, value), "```", "")
    yield from described(inspect.getdoc(value) or "", links)
    if inspect.isclass(value) and not issubclass(value, Exception):
        for member, method in members(value):
            yield from (f"### {name}.{member} {{ #{name.lower()}.{member.lower()} }}", "")
            if isinstance(method, property):
                yield from described(inspect.getdoc(method) or "", links)
                continue
            yield from ("```python", signature(member, method), "```", "")
            yield from described(inspect.getdoc(method) or "", links)


def options(value: Any, links: dict[str, str]) -> Iterator[str]:
    """The options of a recipe as a table; of one that is made of others, those."""
    yield from ("| option | default | what it does |", "|---|---|---|")
    for field in dataclasses.fields(value):
        if not field.metadata:
            part = type(field.default).__name__
            yield f"| `{field.name}` | {linked(f'`{part}`', links)} | the options of that part |"
            continue
        text = linked(field.metadata["text"].replace("|", "\\|"), links)
        choices = ", ".join(f"`{one}`" for one in field.metadata["choices"] or ())
        yield f"| `{field.name}` | `{field.default!r}` | {text}{': ' if choices else ''}{choices} |"
    yield ""


def is_recipe(value: Any) -> bool:
    """Whether a class is one of the recipes, whose fields carry their texts."""
    return (
        inspect.isclass(value) and value.__module__.startswith("separatrix.recipe") and dataclasses.is_dataclass(value)
    )


def members(kind: type) -> Iterator[tuple[str, Any]]:
    """Public methods and properties of a class that were written in this library and have a docstring."""
    for name, value in inspect.getmembers_static(kind):
        method = value.__func__ if isinstance(value, classmethod | staticmethod) else value
        home = method.fget if isinstance(method, property) else method
        if name.startswith("_") or not (inspect.isfunction(home) and home.__module__.startswith("separatrix.")):
            continue
        if home.__doc__:
            yield name, method


def signature(name: str, value: Any) -> str:
    """A signature as one would write it, a line for each parameter where it is long."""
    full = inspect.signature(value)
    rows, named = [], False
    for one in full.parameters.values():
        if one.name in ("self", "cls"):
            continue
        if one.kind is one.KEYWORD_ONLY and not named:
            rows.append("*")
        named = named or one.kind in (one.KEYWORD_ONLY, one.VAR_POSITIONAL)
        stars = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
        kind = "" if one.annotation is one.empty else f": {typed(one.annotation)}"
        default = "" if one.default is one.empty else f" = {one.default!r}".replace("<factory>", "...")
        rows.append(stars + one.name + kind + default)
    back = (
        "" if inspect.isclass(value) or full.return_annotation is full.empty else f" -> {typed(full.return_annotation)}"
    )
    line = f"{name}({', '.join(rows)}){back}"
    return line if len(line) <= 100 else "\n".join([f"{name}(", *(f"    {row}," for row in rows), f"){back}"])


def typed(annotation: Any) -> str:
    """An annotation as it is written."""
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def summary(value: Any) -> str:
    """The first sentence of a docstring, on one line."""
    text = inspect.getdoc(value) if callable(value) else ""
    return " ".join((text or "").split("\n\n")[0].split()).replace("|", "\\|")


def described(text: str, links: dict[str, str]) -> Iterator[str]:
    """A docstring as Markdown: paragraphs, sections with their entries, examples."""
    for block in re.split(r"\n\n+", text):
        head, _, rest = block.partition("\n")
        if head.rstrip(":") in SECTIONS and head.endswith(":"):
            yield from (f"**{head.rstrip(':')}**", "")
            yield from (f"- {linked(item, links)}" for item in items(rest))
        elif block.startswith(">>>"):
            yield from ("```pycon", block, "```")
        elif all(line.startswith("    ") for line in block.splitlines()) or re.search(
            r"^\w+ {2,}\w", block, re.MULTILINE
        ):
            yield from ("```text", inspect.cleandoc(block), "```")
        else:
            yield linked(block, links)
        yield ""


def items(text: str) -> Iterator[str]:
    """The entries of a section, each on one line: `name: what it is`, further lines indented."""
    entries: list[str] = []
    for line in inspect.cleandoc("\n" + text).splitlines():
        if line.startswith(" ") and entries:
            entries[-1] += " " + line.strip()
        else:
            entries.append(line)
    for one in entries:
        name, colon, rest = one.partition(": ")
        yield f"`{name}`: {rest}" if colon and re.fullmatch(r"[\w*, ]+", name) else one


def linked(text: str, links: dict[str, str]) -> str:
    """Names in backticks that are public become links."""
    return re.sub(
        r"(?<![\[`])`([A-Za-z_][\w.]*)`",
        lambda name: f"[{name[0]}]({links[last]})" if (last := name[1].rpartition(".")[2]) in links else name[0],
        text,
    )


if __name__ == "__main__":
    write(Path(sys.argv[1]))
