"""Runs pages as their reader would, and writes what they print into them: `python docs/site/outputs.py PAGE ...`.

A block of Python or of commands is followed by a block named `text`: what that block printed on stdout. All blocks of
a page run in one empty folder, in their order, Python in one interpreter. So no output of a page is typed by hand.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


def rerun(text: str) -> str:
    """The page with the outputs of its blocks as they are now."""
    names: dict[str, Any] = {"__name__": "page"}
    printed = ""

    def renewed(block: re.Match[str]) -> str:
        nonlocal printed
        if block["language"] == "text":
            return f"```text\n{printed}\n```"
        printed = run_python(block["code"], names) if block["language"] == "python" else run_commands(block["code"])
        return block[0]

    return FENCE.sub(renewed, text)


def run_python(code: str, names: dict[str, Any]) -> str:
    """What a block of Python prints."""
    with contextlib.redirect_stdout(io.StringIO()) as stream:
        exec(compile(code, "page", "exec"), names)
    return tidy(stream.getvalue())


def run_commands(code: str) -> str:
    """What the commands of a block print."""
    lines = [line for line in code.replace("\\\n", " ").splitlines() if line.strip()]
    shell = ["bash", "-ec", "\n".join(lines)]
    environment = os.environ | {"COLUMNS": "100", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(shell, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return tidy(done.stdout)


def tidy(printed: str) -> str:
    """Without empty lines at both ends and spaces at the ends of lines."""
    return "\n".join(line.rstrip() for line in printed.strip("\n").splitlines())


if __name__ == "__main__":
    for page in map(Path, sys.argv[1:]):
        page, text = page.resolve(), page.read_text("utf-8")
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            text = rerun(text)
        page.write_text(text, "utf-8")
