"""The command line: parse, call a verb, print.

flags      recipe dataclasses -> flags: names, defaults, help texts, choices and limits all come from there
options    the options that belong to the commands rather than to a recipe
app        the list of commands, and `main`
runs       demo, train, predict, report: each a few lines over the verbs
vectors, ranking, maps, clusters, heads    the commands over points, likewise
progress   what goes on, to stderr
results    what came out, to stdout: a table, or one JSON object
mistakes   errors -> one sentence and an exit code: 0 done, 1 failed, 2 the user's mistake, 130 stopped
"""

from separatrix.cli.app import main

__all__ = ["main"]
