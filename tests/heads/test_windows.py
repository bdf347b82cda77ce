"""Windows: counts, identity, stride as the seed's script had it, sampling of whole examples."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from separatrix.errors import ModelError, OptionError
from separatrix.heads.windows import WindowRule, cut_windows, draw
from separatrix.recipe import ModelRecipe
from separatrix.texts.questions_answers import Example


def test_windows_cover_the_context_with_the_stride_asked_for(shown):
    text = " ".join(f"{number % 10}" for number in range(50))
    example = Example("a", "where is the old red big cat ?", text, 0)
    [found] = cut_windows(shown("bert"), [example], WindowRule(30, 10, 4))
    room = 30 - 4  # the tiny tokenizer adds nothing to a pair
    starts = [window.offsets[4][0] // 2 for window in found]
    assert starts == list(range(0, 10 * len(found), 10))
    assert starts[-1] + room >= 50 > starts[-2] + room
    assert [window.position for window in found] == list(range(len(found)))
    assert all(len(window) <= 30 and not window.segments[:4].any() for window in found)
    told = {tuple(offset) for window in found for offset in window.offsets[4:].tolist()}
    assert told == {(2 * at, 2 * at + 1) for at in range(50)}
    assert not any(window.offsets[:4].any() for window in found)


def test_a_stride_above_the_room_loses_no_token(shown):
    text = " ".join(f"{number % 10}" for number in range(50))
    [found] = cut_windows(shown("bert"), [Example("a", "cat", text, 0)], WindowRule(12, 99, 2))
    assert {start // 2 for window in found for start in window.offsets[1:, 0].tolist()} == set(range(50))


def test_tokens_are_told_apart(shown):
    [[window]] = cut_windows(shown("bert"), [Example("a", "the cat ? is . old", "", 0)], WindowRule(20, 8, 4))
    assert window.special.tolist() == [True, False, False, False, False, False, False, True]
    assert window.words == (" <bos>", " the", " cat", " ?", " is", " .", " old", " <eos>")
    assert window.punctuation.tolist() == [False, False, False, True, False, True, False, False]
    assert window.segments.tolist() == [-1, 0, 0, 0, 1, 1, 2, -1]


def test_windows_that_the_model_cannot_hold_are_refused(shown):
    example = [Example("a", "cat", "dog", 0)]
    with pytest.raises(OptionError, match=r"longer than the model.*128.*--max-length 128"):
        cut_windows(shown("bert"), example, WindowRule(129, 8, 4))
    with pytest.raises(
        OptionError, match=r"no room beside the question.*lower --max-query-length, or type --max-length"
    ):
        cut_windows(shown("bert"), example, WindowRule(20, 8, 20))


def test_plain_texts_need_no_room_for_a_question(shown):
    """Regression: `--text` with `--max-length 48` was refused because of the 64 tokens of a question."""
    [[window]] = cut_windows(shown("bert"), [Example("a", "the cat", "", 0)], WindowRule(20, 8, 64))
    assert len(window) == 4


@pytest.mark.parametrize("how", ["consecutive", "random"])
def test_sampling_takes_whole_examples_equally_from_the_shards(shown, material, how):
    def sample(seed):
        return draw(shown("bert"), material.examples, WindowRule(40, 16, 6), windows=9, shards=3, how=how, seed=seed)

    found = sample(0)
    counts = np.bincount(found.shards)
    assert counts.max() - counts.min() <= 1
    assert found.windows >= 9
    # Every window of a drawn example is counted.
    assert found.windows == sum(map(len, cut_windows(shown("bert"), found.examples, WindowRule(40, 16, 6))))
    assert found.examples == sample(0).examples
    assert any(
        [each.id for each in sample(seed).examples] != [each.id for each in found.examples] for seed in (1, 2, 3)
    )


def test_consecutive_examples_share_contexts(shown, material):
    def contexts(how):
        rule = WindowRule(40, 16, 6)
        drawn = [draw(shown("bert"), material.examples, rule, windows=8, shards=2, how=how, seed=s) for s in range(6)]
        return np.mean([len({each.context for each in one.examples}) / len(one.examples) for one in drawn])

    assert contexts("consecutive") < contexts("random")


def test_a_window_takes_little_memory(shown):
    """Regression: tuples of numbers and words took some 250 bytes a token, in memory for every window at once."""
    text = " ".join("cat" for _ in range(100))
    [[window]] = cut_windows(shown("bert"), [Example("a", text, "", 0)], WindowRule(110, 8, 4))
    assert len(window) == 102
    assert window.tokens.nbytes + len(window.text) < 32 * len(window)
    assert window.words[1:-1] == (" cat",) * 100
    assert window.text == "".join(window.words)


def pair_tokenizer():
    """A tokenizer that puts special tokens around a pair, as BERT's does."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    names = ["<unk>", "[CLS]", "[SEP]", "who", "is", "tom", "?", "a", "cat", "."]
    engine = Tokenizer(models.WordLevel({name: number for number, name in enumerate(names)}, unk_token="<unk>"))
    engine.normalizer = normalizers.Lowercase()
    engine.pre_tokenizer = pre_tokenizers.Whitespace()
    special = [("[CLS]", 1), ("[SEP]", 2)]
    engine.add_special_tokens(["[CLS]", "[SEP]"])
    engine.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=special
    )
    return engine


def cut_with(engine, question, context, rule):
    tokenizer = SimpleNamespace(backend_tokenizer=engine, num_special_tokens_to_add=lambda pair: 3)
    backbone = SimpleNamespace(
        tokenizer=tokenizer, longest=64, pad_is_beyond=False, recipe=ModelRecipe(), source=SimpleNamespace(name="small")
    )
    [windows] = cut_windows(backbone, [Example("a", question, context, 0)], rule)
    return windows


@pytest.mark.parametrize("question", ["Who is Tom?", "Who", "Who is [SEP] Tom?"])
@pytest.mark.parametrize("times", [1, 9])  # one window, several windows
@pytest.mark.parametrize("longest_question", [2, 8])  # the question cut, or whole
def test_question_and_context_have_their_segments(question, times, longest_question):
    """Regression: in a pair that fitted into one window, no token of the question had a segment."""
    windows = cut_with(pair_tokenizer(), question, "Tom is a cat." * times, WindowRule(18, 5, longest_question))
    assert (len(windows) == 1) == (times == 1)
    asked = re.findall(r"\[SEP\]|\w+|\?", question)[:longest_question]
    for window in windows:
        size = len(asked)
        assert window.segments.tolist() == [-1] + size * [0] + [-1] + (len(window) - size - 3) * [1] + [-1]
        assert [
            word.strip() for word in window.words[1 : size + 1]
        ] == asked  # as it stands in the text, upper case too
        assert not window.offsets[: size + 2].any()
        assert window.types.tolist() == (size + 2) * [0] + (len(window) - size - 2) * [1]


def test_a_tokenizer_that_turns_the_pair_round_is_refused():
    from tokenizers import processors

    engine = pair_tokenizer()
    engine.post_processor = processors.TemplateProcessing(single="$A", pair="$B $A", special_tokens=[])
    with pytest.raises(ModelError, match="question before the context"):
        cut_with(engine, "Who?", "Tom is a cat.", WindowRule(18, 5, 8))
