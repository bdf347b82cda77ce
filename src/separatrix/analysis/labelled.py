"""Labelled texts as points in memory: the vectors of a frozen model, for verbs that take a file of texts at once."""

from __future__ import annotations

from pathlib import Path

from separatrix.points import Points
from separatrix.progress import Counter, Progress
from separatrix.recipe import ModelRecipe
from separatrix.recipe.cluster import SuspectsRecipe
from separatrix.texts import load_texts


def read_points(source: str | Path, recipe: SuspectsRecipe, progress: Progress) -> tuple[Points, list[str]]:
    """Points of the labelled rows of a source that `load_texts` reads, and what is to be said of the texts.

    Raises:
        DataError: the source cannot be read.
        ModelError: no such model.
    """
    texts = load_texts(source, text=recipe.text, label=recipe.label)
    from separatrix.models.extract import extract  # after the texts: torch is slow to load
    from separatrix.models.load import load_backbone

    backbone = load_backbone(ModelRecipe(model=recipe.model, device=recipe.device))
    vectors = extract(backbone, texts.text, pool=recipe.pool, progress=Counter(progress, "vectors", len(texts)))
    table = texts.to_frame().rename(columns={"label": recipe.label})
    warnings = [*texts.warnings, *vectors.unread.warn()]
    warnings += [f"{vectors.cut} of {len(texts)} texts were cut"] if vectors.cut else []
    return Points.of({recipe.pool: vectors.values}, table), warnings
