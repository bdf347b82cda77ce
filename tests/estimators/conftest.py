"""Two estimators that learnt something, and one whose fit takes a blink."""

import pytest

from separatrix.estimators import PromptClassifier, PromptRegressor


@pytest.fixture(scope="session")
def parts(planted):
    """135 texts to fit and 45 to score."""
    texts, labels = planted
    return texts[:135], labels[:135], texts[135:], labels[135:]


@pytest.fixture(scope="session")
def fitted(tiny, parts):
    texts, labels, _, _ = parts
    return PromptClassifier(str(tiny("bert")), tokens=8, epochs=12, lr=0.1).fit(texts, labels)


@pytest.fixture(scope="session")
def measured(tiny, parts):
    texts, _, _, _ = parts
    lengths = [10 * len(text.split()) for text in texts]
    return PromptRegressor(str(tiny("gpt2")), tokens=4, epochs=8, lr=0.05).fit(texts, lengths)


@pytest.fixture
def quick(tiny):
    """A classifier whose fit takes a blink."""
    return PromptClassifier(str(tiny("gpt2")), tokens=2, epochs=1, batch_size=64)
