"""The card and the files beside a trained encoder: true in every case, and read alike by sentence-transformers."""

import os
from dataclasses import replace

import numpy as np
import pytest
import torch

from separatrix import recipe as recipes
from separatrix.learn.trainables.encoder import start_encoder
from separatrix.learn.trained.card import write_encoder
from separatrix.models.load import load_backbone
from separatrix.recipe import ModelRecipe
from separatrix.recipe.align import FINETUNE, AlignRecipe

TEXTS = ["the cat", "a dog who what where", "the bird", "the red house ? how many old fish is it"]
BASE = {"name": "tiny", "weights": "0123456789abcdef"}
NAMES = ("bird", "cat", "dog")


@pytest.fixture
def card(tiny, tmp_path):
    """`card(recipe, rows=None, **options)` is the text of the card."""
    backbone = load_backbone(ModelRecipe(model=str(tiny("bert")), device="cpu"))

    def made(start=None, rows=None, **options):
        recipe = recipes.replace(start or AlignRecipe(), **options)
        write_encoder(tmp_path / "encoder", start_encoder(backbone, recipe.encoder), recipe, BASE, NAMES, rows)
        return (tmp_path / "encoder" / "README.md").read_text()

    return made


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "modernbert", "gpt2"])
@pytest.mark.parametrize("pool", ["layer_mean", "layer_mix"])
def test_sentence_transformers_mixes_the_layers_alike(pool, family, tiny, tmp_path):
    library = pytest.importorskip("sentence_transformers")
    recipe = recipes.replace(AlignRecipe(), model=str(tiny(family)), device="cpu", max_length=6, pool=pool)
    encoder = start_encoder(load_backbone(recipe.backbone), recipe.encoder)
    if encoder.mix is not None:
        encoder.mix.copy_(torch.tensor([0.5, -1.0, 2.0]))
    write_encoder(tmp_path / "encoder", encoder, recipe, BASE, NAMES)
    theirs = library.SentenceTransformer(str(tmp_path / "encoder"), device="cpu").encode(TEXTS)
    ours = encoder.encode(encoder.backbone.tokenize(TEXTS))
    last = replace(encoder, recipe=replace(encoder.recipe, pool="mean"), mix=None)
    assert np.abs(theirs - unit(last.encode(encoder.backbone.tokenize(TEXTS)))).max() > 1e-3  # the layers count
    assert np.abs(theirs - unit(ours)).max() < 1e-5


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_vectors_of_a_plain_fine_tuning_keep_their_length(tiny, tmp_path):
    """Its linear head reads them as they are; a cosine would lose what it needs."""
    library = pytest.importorskip("sentence_transformers")
    recipe = recipes.replace(FINETUNE, model=str(tiny("bert")), device="cpu", max_length=6)
    encoder = start_encoder(load_backbone(recipe.backbone), recipe.encoder)
    write_encoder(tmp_path / "encoder", encoder, recipe, BASE, NAMES)
    theirs = library.SentenceTransformer(str(tmp_path / "encoder"), device="cpu").encode(TEXTS)
    ours = encoder.encode(encoder.backbone.tokenize(TEXTS))
    assert np.abs(np.linalg.norm(ours, axis=1) - 1).min() > 0.1
    assert np.abs(theirs - ours).max() < 1e-5 * np.abs(ours).max()


@pytest.mark.parametrize("pool", ["mean", "cls", "layer_mean", "layer_mix"])
def test_every_pooling_has_its_modules(pool, card, tmp_path):
    text = card(pool=pool)
    assert (tmp_path / "encoder" / "modules.json").is_file()
    assert f"- pooling: {pool}; texts are cut to 128 tokens" in text  # what the model holds, below the recipe's 256
    assert "SentenceTransformer(" in text


def test_the_card_of_an_aligned_encoder(card):
    text = card(rows=270)
    assert "# An encoder aligned to classes" in text
    assert "- objective: nca, temperature 0.07, pairs from bank (all)\n" in text
    assert "- decision: the nearest stored rows, by cosine (`index` beside this folder, 270 rows)\n" in text
    assert "- training: 6 epochs planned, the best on validation kept, batch 32" in text
    assert "compare by cosine" in text
    assert "beside this folder)" in card()
    assert "the nearest mean of a class" in card(decision="mean")


def test_the_card_of_a_fine_tuned_encoder_promises_no_cosines(card):
    text = card(FINETUNE)
    assert "# An encoder fine-tuned with a linear head" in text
    assert "- objective: cross-entropy of the linear head\n" in text
    assert "- decision: a linear head (`model.safetensors` beside this folder)\n" in text
    for untrue in ("aligned", "temperature", "pairs from", "stand together", "compare by cosine", "similarity"):
        assert untrue not in text
    assert "compare by cosine" in card(loss="linear")  # neighbors decide here


def test_the_card_says_only_what_the_objective_reads(card):
    assert "temperature" not in card(loss="cosine_mse")
    assert "pairs from" not in card(loss="centroid_ce")
    text = card(head_weight=0.5, decision="head")
    assert "aligned to classes" in text
    assert "cross-entropy of a linear head with weight 0.5" in text
    assert "- decision: a linear head" in text


def test_no_card_points_to_scores_that_may_not_be_there(card):
    for text in (card(), card(FINETUNE)):
        assert "`result.json` beside" not in text
        assert "This card gives no scores" in text


def test_a_second_training_is_named(card):
    assert "trained anew on training and validation rows for as many as validation chose" in card(refit=True)
    assert "anew" not in card()


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_every_file_has_the_rights_that_a_new_file_has(tiny, tmp_path, umask):
    """safetensors writes for the owner alone."""
    backbone = load_backbone(ModelRecipe(model=str(tiny("bert")), device="cpu"))
    before = os.umask(umask)
    try:
        write_encoder(tmp_path / "encoder", start_encoder(backbone, FINETUNE.encoder), FINETUNE, BASE, NAMES)
    finally:
        os.umask(before)
    rights = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "encoder").rglob("*") if path.is_file()}
    assert "model.safetensors" in rights
    assert set(rights.values()) == {0o666 & ~umask}
