"""transformers without its bars and tables on the screen, one model at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

from separatrix.paths import text_path

# While transformers loads a model it exchanges methods of its classes (that no weights are tied, say) and puts them
# back; two threads that load at once can leave the exchanged ones behind, for the whole process.
_LOADING = RLock()


@contextmanager
def quietly() -> Iterator[None]:
    """Keep transformers' bars and its tables of unused or new weights off the screen; our own checks speak instead.

    Only one thread is inside at a time.
    """
    from transformers.utils import logging

    with _LOADING:
        level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            yield
        finally:
            logging.set_verbosity(level)
            if bar:
                logging.enable_progress_bar()


def save_pretrained(folder: Path, model: Any, tokenizer: Any) -> None:
    """Save a model and its tokenizer, every file with the rights that a new file has here."""
    with quietly(), text_path(folder) as path:
        model.save_pretrained(path)
        tokenizer.save_pretrained(path)
    usual_rights(folder)


def usual_rights(folder: Path) -> None:
    """Give the weights of a saved model the rights that its other files have.

    safetensors writes for the owner alone, which nobody notices until a colleague cannot open the model.
    """
    usual = (folder / "config.json").stat().st_mode
    for file in folder.glob("*.safetensors"):
        file.chmod(usual)
