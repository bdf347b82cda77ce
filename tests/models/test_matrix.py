"""Families of transformers x {vectors, prompt, heads}: equal to the plain forward, or refused in one sentence.

A third of the families a day, by a hash of the date, and those that were wrong once; all of them with
SEPARATRIX_FAMILIES=all (`make check-models`).
"""

import hashlib
import os
from datetime import date

import pytest
import transformers as hf

import families
import tiny_families

THIRDS = 3
ONCE_WRONG = ("mpnet", "data2vec-text", "roberta-prelayernorm", "t5gemma2", "bailing_hybrid")


def share(kind):
    return int(hashlib.sha256(kind.encode()).hexdigest(), 16) % THIRDS


def of_today():
    chosen = os.environ.get("SEPARATRIX_FAMILIES", "")
    if chosen == "all":
        return tiny_families.all_kinds()
    today = share(date.today().isoformat())
    return [kind for kind in tiny_families.all_kinds() if share(kind) == today or kind in ONCE_WRONG]


@pytest.fixture(scope="module")
def page():
    text = families.TABLE.read_text(encoding="utf-8")
    return text if f"transformers {hf.__version__} " in text else None


@pytest.mark.parametrize("kind", of_today())
def test_a_family_is_right_or_refused_and_the_page_says_so(kind, page):
    row = families.examine(kind)
    if page is not None:  # another version of transformers has another table
        assert row.line in page, f"{kind} changed; type: python tests/helpers/families.py --write"


def test_the_page_names_every_type(page):
    if page is None:
        pytest.skip("the page was written with another version of transformers")
    assert [kind for kind in tiny_families.all_kinds() if f"| `{kind}` |" not in page] == []
