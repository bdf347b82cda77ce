"""Files and folders whose names the system's encoding does not know, as under LC_ALL=C."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from command_line import write_csv

PLAIN = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "OMP_NUM_THREADS": "1"}
# Every command in one process; the words of each stand in a line of the standard input, as bytes.
COMMANDS = """
import os, sys
sys.path[:0] = sys.argv[1:]
assert sys.getfilesystemencoding() == "ascii"
import pytest
from separatrix.cli import main
from undrawn import draw_nothing
draw_nothing(pytest.MonkeyPatch())
for line in sys.stdin.buffer.read().splitlines():
    words = [os.fsdecode(word) for word in line.split(b" ")]
    assert main(words) == 0, words
"""


def test_names_that_ascii_lacks(tiny: Callable[[str], Path], rows: list[tuple[str, str]], tmp_path: Path) -> None:
    """What PyArrow and tokenizers read and write goes by an open file or by a link."""
    home = tmp_path / "café_漢字"
    shutil.copytree(tiny("bert"), home / "modèle")
    write_csv(home / "données.csv", rows)
    numbers = [(number * 7 % 11, number % 7, name) for number, (_, name) in enumerate(rows)]
    write_csv(home / "zahlen_ü.csv", numbers, ("a", "b", "label"))
    lines = [
        f"import {home}/zahlen_ü.csv --keep-column label --out {home}/zähl --quiet",
        f"export {home}/zähl --to parquet --out {home}/é.parquet --quiet",
        f"import {home}/é.parquet --labels {home}/données.csv --out {home}/wieder_ü --quiet",
        f"cluster {home}/wieder_ü --k 2 --out {home}/grüppchen --quiet",
        f"train {home}/données.csv --model {home}/modèle --epochs 1 --quiet --method align --out {home}/läufe/ä",
        f"predict {home}/läufe/ä {home}/données.csv --out {home}/ä.parquet --quiet",
        f"extract {home}/données.csv --model {home}/läufe/ä/encoder --out {home}/vectors_é --quiet",
    ]
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, *sys.path], input="\n".join(lines).encode(), env=os.environ | PLAIN,
        check=False, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    for name in ("wieder_ü/manifest.json", "grüppchen/result.json", "ä.parquet", "vectors_é/manifest.json"):
        assert (home / name).is_file()
