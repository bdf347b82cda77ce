"""A run on the hub: the prompt or the encoder, and a card with the figures of the run. No path of this machine goes."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from separatrix.errors import ModelError, StoreError, raise_interrupt
from separatrix.learn.huggingface import PromptForSequenceClassification
from separatrix.learn.trained.card import encoder_card, render_card, text_limit, write_encoder
from separatrix.learn.trained.encoder import AlignModel
from separatrix.learn.trained.prompt import PromptModel
from separatrix.learn.trained.saved import one_label_each
from separatrix.models.source import Source
from separatrix.store.files import write_bytes

ON_HUB = ("hub", "wheel")  # origins of models whose names are the hub's


def push_to_hub(
    model: Any, run: dict[str, Any], repository: str, *, private: bool | None, token: str | None, license: str | None
) -> str:
    """Write a model with its card into a repository of the hub, made if need be; its address.

    Args:
        model: a trained prompt or an aligned encoder.
        run: `score_rows`, `rows`, `verdict` and `warnings` of its run, as plain data.
        repository: "owner/name".
        private: of a new repository; None: as the account's settings say.
        token: of the account; None: the one that is stored.
        license: of what is published.

    Raises:
        ModelError: another kind of model.
        StoreError: the hub refuses, or is not reached.
    """
    with TemporaryDirectory() as folder:
        write_repository(Path(folder) / "model", model, run | {"license": license}, repository)
        from huggingface_hub import HfApi

        api = HfApi(token=token)
        try:
            address = api.create_repo(repository, private=private, exist_ok=True)
            api.upload_folder(repo_id=repository, folder_path=str(Path(folder) / "model"), commit_message="separatrix")
        except Exception as error:  # network, rights and names have no common base class
            raise_interrupt(error)
            what = f"{repository} could not be written on the hub ({type(error).__name__}: {error})"
            raise StoreError(" ".join(what.split()), hint="type hf auth login, or look at the name") from error
    return str(address)


def write_repository(folder: Path, model: Any, run: dict[str, Any], address: str) -> None:
    """Write what `push_to_hub` sends."""
    one_label_each(model, "a repository of the hub")
    source = model.backbone.source
    if isinstance(model, PromptModel):
        run = run | _base(source)
        whole = PromptForSequenceClassification.from_run(model)
        whole.config = whole.public_config()
        whole.save_pretrained(folder)
        names, limit = (
            () if model.classes is None else model.classes.names,
            model.backbone.room(model.recipe.prompt.tokens),
        )
        values = {"recipe": model.recipe, "base": model.backbone.identity, "names": names, "limit": limit}
        card = render_card("prompt", run=run, address=address, **values)
    elif isinstance(model, AlignModel):
        run = run | {"on_hub": model.base.get("origin") in ON_HUB, "base_license": None}
        limit, names = text_limit(model.encoder, model.recipe), model.classes.names
        write_encoder(folder, model.encoder, model.recipe, model.base, names)
        card = encoder_card(model.recipe, model.base, names, limit, len(model.index), run, address)
    else:
        hint = "train with --method prompt or align"
        raise ModelError("only prompts and encoders go to the hub", got=type(model).__name__, hint=hint)
    write_bytes(folder / "README.md", card.encode())


def _base(source: Source) -> dict[str, Any]:
    """Whether the name of the base model is the hub's, and the license that its own card names."""
    license = None
    with suppress(Exception):  # no card, or one that is none
        from huggingface_hub import ModelCard

        license = ModelCard.load(source.folder / "README.md").data.to_dict().get("license")
    return {"on_hub": source.origin in ON_HUB, "base_license": license if isinstance(license, str) else None}
