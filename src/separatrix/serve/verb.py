"""The verb `explore`: what a folder shows, as a page that a server on this machine gives out."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from separatrix.analysis.inputs import opened
from separatrix.errors import OptionError, StoreError
from separatrix.folders import report
from separatrix.points import Points
from separatrix.progress import Progress, silent
from separatrix.recipe.arguments import checks_arguments
from separatrix.recipe.core import checked
from separatrix.serve.server import HTML, PageServer, Reply, Route
from separatrix.serve.training import RunView
from separatrix.serve.vectors import VectorView, read_map
from separatrix.store.kinds import kind_of
from separatrix.store.remote import url_of
from separatrix.store.result import Lines, Printed

MOST_PORT = 65535


@dataclass(frozen=True, repr=False)
class Exploration(Printed):
    """A server that shows a page, and listens already; `serve` answers until it is stopped."""

    server: PageServer
    shows: str  # kind of what is shown

    @property
    def address(self) -> str:
        """Of the page, with its token."""
        return self.server.address

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {"address": self.address, "shows": self.shows}

    def parts(self) -> Sequence[Lines]:
        """Where the page is, and how it ends."""
        return [[*self.to_dict().items(), ("end", "Ctrl-C")]]

    def serve(self, *, browser: bool = False) -> None:
        """Answer until Ctrl-C.

        Args:
            browser: open the page in the user's browser, if there is one with windows.
        """
        if browser and has_windows():
            webbrowser.open(self.address)
        try:
            self.server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Listen no more."""
        self.server.server_close()


def has_windows() -> bool:
    """Whether a browser would open in a window, and not take the terminal."""
    return sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    )


@checks_arguments
def explore(
    folder: Points | str | Path,
    *,
    map_: str | Path | None = None,
    method: str | None = None,
    block: str | None = None,
    port: int = 0,
    verify: bool = True,
    progress: Progress | None = None,
) -> Exploration:
    """Show a run, points, a map or any other result on a page of this machine.

    Args:
        folder: that a command wrote; of a run, also while it is being trained.
        map_: of points, a folder that `project` wrote of them; without it they are projected now.
        method: of points without a map: `pca`, `tsne`, `umap` or `lda`.
        block: of points with several blocks.
        port: to listen on; 0 takes a free one.
        verify: compare the files with their hashes.
        progress: is called with (stage, done, total, note).

    Raises:
        OptionError: an option that has no effect on what is shown.
        StoreError: nothing that a command wrote, or the port is taken.
    """
    given = {"map": map_, "method": method, "block": block}
    port = checked("port", port, int, low=0, high=MOST_PORT)
    shows = "points" if isinstance(folder, Points) or url_of(folder) else kind_of(Path(folder))
    if shows is None:
        raise StoreError(
            f"{folder} holds nothing that can be shown", hint="give a folder that a command wrote or is writing"
        )
    for name, value in given.items():
        if value is not None and shows != "points":
            raise OptionError(f"--{name} has no effect here", got=f"{folder}: {shows}", expected="points")
    if map_ is not None and method is not None:
        raise OptionError("--method has no effect with --map", hint="leave one of them away")
    server = PageServer({}, port)  # before the work: a port that is taken is said at once
    try:
        server.routes = _routes(folder, shows, given, verify, progress or silent)
    except BaseException:
        server.server_close()
        raise
    return Exploration(server, shows)


def _routes(
    folder: Points | str | Path, shows: str, given: Mapping[str, Any], verify: bool, progress: Progress
) -> Mapping[str, Route]:
    if shows == "points":
        points = opened(folder, Points, verify=verify)
        points = points if given["block"] is None else points.pick(given["block"])
        points = points.pick(points.name)
        flat = None if given["map"] is None else read_map(given["map"], verify=verify)
        return VectorView.of_points(points, flat, given["method"], progress).routes
    path = Path(str(folder))
    if shows == "map":
        return VectorView(read_map(path, verify=verify)).routes
    if shows == "run":
        return RunView(path, verify).routes
    with TemporaryDirectory() as kept:
        written = report(
            path, verify=verify, out=Path(kept) / f"{path.resolve().name}.html", progress=progress
        ).path.read_bytes()
    return {"": lambda _query: Reply(written, HTML)}
