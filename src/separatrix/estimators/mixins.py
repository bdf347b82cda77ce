"""What the estimators share: their input are texts, and what they have learnt is pickled as the bytes of its files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

T = TypeVar("T")


class TextsIn:
    """Tells scikit-learn that X is one column of texts; stands before its mixins."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.no_validation = True
        tags.transformer_tags.preserves_dtype = []
        return tags


class ModelBytes:
    """Pickles `model_`, what was trained, as the bytes of its files; a class says how these are read again.

    The transformer itself is among them only where it was trained; a frozen one is found again when they are read, and
    refused if it has other weights. Stands before scikit-learn's mixins.
    """

    _read_model: Callable[..., Any]  # reads what `model_.save` wrote into a folder; a static method

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(super().__getstate__())  # type: ignore[call-overload]
        if (model := state.pop("model_", None)) is not None:
            backbone = model.backbone.recipe
            options = {"device": backbone.device, "trust_remote_code": backbone.trust_remote_code}
            state |= {"_files": files_of(model.save), "_options": options}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        # A pickle is code already: what it says of the permission is believed, unlike what a folder says.
        held, options = state.pop("_files", None), state.pop("_options", {})
        super().__setstate__(state)  # type: ignore[misc]
        if held is not None:
            self.model_ = from_files(held, lambda folder: self._read_model(folder, **options))


def files_of(save: Callable[[Path], Any]) -> dict[str, bytes]:
    """The files that `save` writes into a folder, by their place in it.

    >>> files_of(lambda folder: (folder / "a").write_bytes(b"1"))
    {'a': b'1'}
    """
    with TemporaryDirectory() as place:
        folder = Path(place)
        save(folder)
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def from_files(files: dict[str, bytes], load: Callable[[Path], T]) -> T:
    """What `load` makes of a folder with these files.

    >>> from_files({"deep/a": b"1"}, lambda folder: (folder / "deep" / "a").read_bytes())
    b'1'
    """
    with TemporaryDirectory() as place:
        folder = Path(place)
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        return load(folder)
