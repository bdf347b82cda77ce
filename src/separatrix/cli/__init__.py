"""The command line: parse, call a verb, print.

commands   the table of commands, and their other spellings
flags      functions -> commands, recipe dataclasses -> flags: names, defaults, texts and limits come from there
options    the options that belong to the commands rather than to a recipe
app        `main`: parse the words, run one command
runs       demo, train, predict, report, sweep: each a few lines over the verbs
points, heads    the commands over vectors and over attention heads, likewise
progress   what goes on, to stderr
results    what came out, to stdout: a table, or one JSON object
mistakes   errors -> one sentence and an exit code: 0 done, 1 failed, 2 the user's mistake, 130 stopped
"""

from separatrix.cli.app import main

__all__ = ["main"]
