"""How processes begin: on Linux as copies of a server that has loaded the large libraries, once for all of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from multiprocessing import forkserver, get_context
from typing import Any

METHOD = "forkserver" if sys.platform == "linux" else "spawn"
# What takes seconds to load, and starts no thread; of these a new process has what this one has.
LIBRARIES = ("torch", "scipy.linalg", "transformers.modeling_utils", "distributed")
OF_MODELS = LIBRARIES[:3]  # what a process needs in which a transformer runs


def process_context(needed: Collection[str] = ()) -> Any:
    """The context of `multiprocessing` in which processes begin.

    The server begins to load with the first call and does not wait: a caller that knows what its processes will need,
    and does something else before it starts them, says so in `needed`.

    A copy of this process, which has threads, might hang; the server has none. It loads no module of separatrix or of
    the user, whose code may change while this process lives.
    """
    context = get_context(METHOD)
    if METHOD == "forkserver":
        context.set_forkserver_preload([name for name in LIBRARIES if name in needed or name in sys.modules])
        safe_path = os.environ.get("PYTHONSAFEPATH")
        os.environ["PYTHONSAFEPATH"] = "1"  # a file torch.py in the current folder is not PyTorch
        try:
            forkserver.ensure_running()
        finally:
            del os.environ["PYTHONSAFEPATH"]
            if safe_path is not None:
                os.environ["PYTHONSAFEPATH"] = safe_path
    return context
