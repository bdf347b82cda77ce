"""The command that shows a page until it is stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from separatrix.cli import options as opts
from separatrix.cli.flags import ParsedOptions, verb
from separatrix.cli.progress import TerminalProgress
from separatrix.cli.results import Printout

ShownArgument = Annotated[
    Path, Parameter(name="FOLDER", help="a run, finished or not, points, a map, or what another command wrote")
]


@verb(opts.Exploring, opts.Verification)
def explore(parsed: ParsedOptions, progress: TerminalProgress, folder: ShownArgument, /) -> Printout:
    """The page is that of report, with two things that a file cannot do. Of a run that is being trained, it shows how
    far the training is, and its report when it is finished. Of points and maps, texts and neighbors are read from disk
    when they are shown, so that a million rows open at once.

    It listens on this machine alone, and answers only who knows the address that it prints. Ctrl-C ends it.

    For example:
        separatrix explore runs/questions
        separatrix explore points/trec --map maps/trec
        separatrix explore points/trec --method umap --port 8000 --no-browser
    """
    options = parsed.make(opts.Exploring)
    from separatrix.serve.verb import explore as run

    shown = run(folder, verify=parsed.verify, progress=progress, **parsed.keywords("no_browser"))
    return Printout(shown.to_dict(), shown.parts(), after=lambda: shown.serve(browser=not options.no_browser))
