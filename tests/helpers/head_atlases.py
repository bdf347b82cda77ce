"""A small question-answering set, a small recipe, and what an atlas of it reads."""

import numpy as np

from separatrix.analysis.heads.reading import AtlasSource
from separatrix.heads.maps import load_for_maps
from separatrix.heads.windows import WindowRule, draw
from separatrix.recipe import replace
from separatrix.recipe.heads import HeadsRecipe
from separatrix.texts.questions_answers import read_material

CELLS = 12  # heads of the tiny models


def squad(paragraphs=8, questions=3):
    generator = np.random.default_rng(0)
    words = "the a cat dog bird fish tree house river red blue green old new big small is was".split()  # noqa: SIM905
    made = []
    for number in range(paragraphs):
        context = " ".join(generator.choice(words, size=int(generator.integers(8, 60))))
        asked = [{"id": f"q{number}.{place}", "question": f"where is the {words[place]} ?", "answers": []}
                 for place in range(questions)]  # fmt: skip
        made.append({"context": context, "qas": asked})
    return {"data": [{"title": "animals", "paragraphs": made}]}


def recipe_of(model, **changes):
    small = {
        "model": str(model), "device": "cpu", "windows": 24, "max_length": 40, "stride": 16, "max_query_length": 6,
        "shards": 4, "cells": 6, "k": 4, "min_cluster_size": 8, "min_samples": 4, "permutations": 19, "sentences": 2,
        "page_tokens": 30, "importance_windows": 4, "components": 5,
    }  # fmt: skip
    return replace(HeadsRecipe(), **small | changes)


def reading_of(data, recipe):
    """What the atlas of this recipe reads, and its windows one after the other."""
    backbone, rule = load_for_maps(recipe.model), WindowRule(40, 16, 6)
    sample = draw(backbone, read_material(data).examples, rule, windows=24, shards=4, how="consecutive", seed=0)
    return AtlasSource(backbone, sample, rule)
