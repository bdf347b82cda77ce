"""A small question-answering set, tiny models, and their windows."""

from __future__ import annotations

import json

import numpy as np
import pytest

from separatrix.heads.maps import load_for_maps
from separatrix.heads.windows import WindowRule, cut_windows
from separatrix.recipe import ModelRecipe
from separatrix.texts.questions_answers import read_material

WORDS = "the a cat dog bird fish tree house river red blue green old new big small is was in on at to".split()  # noqa: SIM905
RULE = WindowRule(40, 16, 6)


def squad(paragraphs=6, questions=3, seed=0):
    """The official layout; every second question has no answer, and answers stand where their offset says."""
    generator = np.random.default_rng(seed)
    made = []
    for number in range(paragraphs):
        words = list(generator.choice(WORDS, size=int(generator.integers(12, 90))))
        context = " ".join(words) + " ."
        asked = []
        for place in range(questions):
            start = context.index(words[5])
            answers = [] if place % 2 else [{"text": words[5], "answer_start": start}]
            question = f"where is the {generator.choice(WORDS)} ?"
            asked.append({"id": f"q{number}.{place}", "question": question, "answers": answers,
                          "is_impossible": bool(place % 2)})  # fmt: skip
        made.append({"context": context, "qas": asked})
    return {"version": "v2.0", "data": [{"title": "animals", "paragraphs": made}]}


@pytest.fixture(scope="session")
def squad_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("squad") / "dev-v2.0.json"
    path.write_text(json.dumps(squad()))
    return path


@pytest.fixture(scope="session")
def material(squad_file):
    return read_material(squad_file)


@pytest.fixture(scope="session")
def shown(tiny):
    """`shown("bert")` is a tiny model that shows its maps, shared by all tests: do not change it."""
    made = {}

    def load(family):
        if family not in made:
            made[family] = load_for_maps(ModelRecipe(model=str(tiny(family)), device="cpu", max_length=64))
        return made[family]

    return load


@pytest.fixture(scope="session")
def windows(shown, material):
    """`windows("bert")` are all windows of the set."""

    def cut(family, rule=RULE):
        return [window for group in cut_windows(shown(family), material.examples, rule) for window in group]

    return cut
