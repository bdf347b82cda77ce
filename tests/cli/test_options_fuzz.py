"""Any value of any option of any command ends in an answer or in one sentence: never a traceback, never exit code 1.

The draws come from the commands' own flags, so a new option is drawn from at once. Two kinds: thousands against data
that are not there (what is refused is refused before any work), and some against small points, where the work runs.
A long run by hand, of as many draws as wanted, beginning with another seed:

    SEPARATRIX_FUZZ=20000 SEPARATRIX_FUZZ_SEED=7 python -m pytest tests/cli/test_options_fuzz.py
"""

from __future__ import annotations

import inspect
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np

from command_line import Cli
from separatrix.cli.app import COMMANDS, find
from separatrix.cli.plan import PLANS
from separatrix.points import Points
from separatrix.recipe import flag
from separatrix.scale.machine import Machine
from separatrix.store.points import write_points

DRAWS = int(os.environ.get("SEPARATRIX_FUZZ", "250"))  # of words alone; a tenth of it with work behind
SEED = int(os.environ.get("SEPARATRIX_FUZZ_SEED", "0"))
NUMBERS = ["0", "1", "-1", "2", "3", "7", "0.5", "-0.0", "1e-400", "1e-320", "1e16", "1e17", "1e308", "1e400", "-1e400"]
NUMBERS += ["inf", "-inf", "nan", "NaN", "Infinity", "2147483647", "2147483648", "9" * 20, "-" + "9" * 20, "9" * 5000]
NUMBERS += ["1_0", "0x10", "1e3", "5.", "+3", "²"]
WORDS = [
    *NUMBERS,
    "",
    " ",
    "x",
    "é",
    "None",
    "true",
    "cat,dog",
    "a/b",
    "..",
    "\N{ZERO WIDTH SPACE}",
]
FIXED = {"out", "overwrite", "json", "quiet", "machine"}  # typed by the test


def options_of(name: str) -> dict[str, Any]:
    """The flags of a command that are drawn, with their kinds."""
    command, _, part = name.partition(" ")
    found = inspect.signature(find(command).parts[part] if part else find(command)).parameters.values()
    keywords = [item for item in found if item.kind is inspect.Parameter.KEYWORD_ONLY and item.name not in FIXED]
    return {item.name: get_args(item.annotation)[0] for item in keywords}


def values_of(kind: Any) -> list[str]:
    """What is drawn for an option: odd words, and its choices."""
    inner = [part for part in get_args(kind) if part is not type(None)]
    return [
        *WORDS,
        *(word for word in inner if isinstance(word, str)),
        *(word for one in inner for word in choices(one)),
    ]


def choices(kind: Any) -> list[str]:
    return [word for word in get_args(kind) if isinstance(word, str)]


def draws(names: list[str], count: int, most: int, pool: list[str] | None = None) -> Iterator[tuple[str, list[str]]]:
    """Commands with one to `most` options each."""
    dice = random.Random(SEED)
    known = {name: options_of(name) for name in names}
    for _ in range(count):
        name = dice.choice(names)
        words: list[str] = []
        for option in dice.sample(sorted(known[name]), min(dice.randint(1, most), len(known[name]))):
            kind = known[name][option]
            if kind is bool:
                words.append(flag(option))
                continue
            several = dice.randint(1, 3) if "tuple" in str(kind) else 1
            drawn = dice.choices(values_of(kind) if pool is None else [*pool, *values_of(kind)], k=several)
            words += [flag(option), *drawn]
        yield name, words


def check(ran: Any, words: list[str]) -> None:
    """An answer, or one sentence."""
    said = f"{words}: {ran.code} {ran.err}"
    assert ran.code in (0, 2), said
    assert "Traceback" not in ran.err, said
    assert "Warning" not in ran.err, said
    if ran.code == 2:
        assert len(ran.err.strip().splitlines()) == 1, said
        assert ran.err.startswith("separatrix: "), said


def test_words_of_any_kind_are_refused_in_one_sentence(cli: Cli, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "thesis.txt").write_text("mine")
    for name, words in draws(list(COMMANDS), DRAWS, 4):
        place = {"demo": [], "predict": ["no-run", "nothing.csv"], "compare": ["nothing", "nowhere"]}.get(
            name, ["nothing.csv"]
        )
        out = ["--out", taken if name == "demo" else "answers.csv" if name == "predict" else "made"]
        ran = cli(name, *place, *words, *out, "--quiet")
        check(ran, [name, *words])
        assert ran.code == 2, [name, *words]
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


SIZES = ["1", "7", "300", "90000", "18720000", "9223372036854775807", *NUMBERS]


def test_plans_of_any_size_end_in_an_answer_or_a_sentence(cli: Cli, tmp_path: Path, monkeypatch: Any) -> None:
    """Nothing of the work is done, so sizes are drawn without bounds."""
    monkeypatch.chdir(tmp_path)
    Machine("a slide rule", False, 2, 4 * 10**9, 1e8, 1e8, {"any": {"1": 1e9}}).save("rates.json")
    dice = random.Random(SEED)
    for name, words in draws([f"plan {verb}" for verb in PLANS], DRAWS // 10, 3):
        kinds = ("texts", "tokens-per-text") if name.split()[1] in ("extract", "heads") else ("rows", "width")
        sizes = [f"--{kind}={dice.choice(SIZES if dice.random() < 0.4 else SIZES[:5])}" for kind in kinds]
        check(cli(*name.split(), *words, *sizes, "--machine", "rates.json", "--quiet"), [name, *words, *sizes])
    assert [path.name for path in tmp_path.iterdir()] == ["rates.json"]


# Work that grows with the number is not tried with large ones.
SMALL = ["1", "2", "3", "5", "20", "0.5", "0.1", "label", "group", "id"]
COSTLY = re.compile(r"--(permutations|resamples|starts|threads|folds|rows|resolution) (\d{4,}|1e\d+)")


def test_work_on_small_points_ends_in_an_answer_or_a_sentence(cli: Cli, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    label = np.array(["a", "b", "c"])[np.arange(36) % 3]
    rows = rng.normal(size=(36, 5)) + 3 * np.eye(5)[np.arange(36) % 3]
    table = {"label": label, "group": ["g", "h"] * 18, "text": [f"text {row}" for row in range(36)]}
    write_points("points", Points.of(rows, table))
    assert cli("cluster", "points", "--k", "3", "--out", "clusters", "--permutations", "19", "--quiet").code == 0
    verbs = ["score", "project", "cluster", "associate", "suspects", "compare"]
    for place, (name, words) in enumerate(draws(verbs, DRAWS // 10, 3, SMALL * 3)):
        if COSTLY.search(" ".join(words)):
            continue
        start = (
            []
            if "--permutations" in words or name not in ("score", "cluster", "associate")
            else ["--permutations", "19"]
        )
        source = (
            ["clusters", *([] if "--with" in words else ["--with", "label"])] if name == "associate" else ["points"]
        )
        source = ["points", "points"] if name == "compare" else source
        check(cli(name, *source, *words, *start, "--out", f"out{place}", "--quiet"), [name, *words])
