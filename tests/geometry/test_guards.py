import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from separatrix.errors import DataError, OptionError, ShapeError
from separatrix.geometry import guards
from separatrix.geometry.guards import Finding, check_predictions, histogram

NAMES = ("negative", "positive")
GOLD = np.repeat([1, 0], [444, 428])  # sst2 validation, as in seed 003


def codes(*args, **options):
    return [finding.code for finding in check_predictions(*args, **options)]


def with_errors(gold, wrong, classes=2):
    """The gold labels with that many answers moved on to the next class, spread over the rows."""
    guess = gold.copy()
    at = np.linspace(0, len(gold) - 1, wrong).astype(int)
    guess[at] = (guess[at] + 1) % classes
    return guess


def test_histogram_counts_and_cuts():
    assert histogram([1] * 872, NAMES) == "positive 872 | negative 0"
    many = [f"c{number}" for number in range(12)]
    assert histogram([3, 3, 11, 0], many) == "c3 2 | c0 1 | c11 1 | c1 0 | c2 0 | c4 0 | c5 0 | c6 0 | 4 more classes 0"
    assert histogram([3, 3, 0], many[:4], most=3) == "c3 2 | c0 1 | c1 0 | 1 more class 0"


def test_seed_003_constant_answer_is_called_out_with_histogram_and_share():
    (finding,) = check_predictions(GOLD, np.zeros(872, int), NAMES)
    assert (finding.code, finding.level) == ("constant", "error")
    assert finding.message == (
        "every one of the 872 predictions is 'negative': the accuracy 0.4908 is only the share of that label\n"
        "predictions: negative 872 | positive 0; labels: positive 444 | negative 428"
    )


def test_seed_003_every_epoch_with_the_same_accuracy_is_called_out():
    constant = np.zeros(872, int)
    findings = check_predictions(GOLD, constant, NAMES, history=[constant, constant])
    assert [finding.code for finding in findings] == ["constant", "stuck"]
    assert "the accuracy has been 0.4908 for 3 epochs, not above the majority baseline 0.5092" in findings[1].message
    assert all(finding.level == "error" for finding in findings)


def test_a_good_classifier_is_left_alone():
    guess = with_errors(GOLD, 70)
    assert codes(GOLD, guess, NAMES) == []
    assert codes(GOLD, guess, NAMES, history=[with_errors(GOLD, 200), with_errors(GOLD, 100)]) == []


def test_nearly_one_answer_with_the_accuracy_of_a_class_share():
    guess = np.zeros(872, int)
    guess[[0, 1, 444, 445]] = 1  # two right, two wrong: 428 right, as many as label 0 has rows
    assert (guess == GOLD).sum() == 428
    (finding,) = check_predictions(GOLD, guess, NAMES)
    assert (finding.code, finding.level) == ("class_share", "warning")
    assert "exactly the share of label 'negative', and 868 of 872 predictions are 'negative'" in finding.message
    guess[2] = 1  # 429 right: no class share any more, though hardly a better answer
    assert codes(GOLD, guess, NAMES) == ["no_better"]


def test_an_accuracy_equal_to_a_share_by_accident_is_left_alone():
    # 60 % of the rows are class 0 and 60 % of the answers are right, but the answers are spread over three classes.
    gold = np.repeat([0, 1, 2], [600, 200, 200])
    guess = with_errors(gold, 400, classes=3)
    assert (guess == gold).sum() == 600
    assert "class_share" not in codes(gold, guess, ["a", "b", "c"])


def test_rare_positives_found_are_left_alone():
    # 98 % of the answers are one class because 98 % of the rows are.
    gold = np.repeat([0, 1], [2940, 60])
    guess = with_errors(gold, 5)
    assert codes(gold, guess, NAMES) == []


def test_stuck_below_the_baseline_needs_two_equal_epochs():
    wrong = 1 - with_errors(GOLD, 300)  # 300 right of 872
    other = wrong.copy()
    other[0] = 1 - other[0]
    same = wrong.copy()
    same[[0, 1]] = same[[1, 0]]
    assert codes(GOLD, wrong, NAMES) == ["no_better"]
    assert codes(GOLD, wrong, NAMES, history=[same]) == ["stuck", "no_better"]
    assert abs((other == GOLD).sum() - (wrong == GOLD).sum()) == 1
    assert codes(GOLD, wrong, NAMES, history=[other]) == ["no_better"]


def test_equal_accuracy_above_the_baseline_is_left_alone():
    a, b = with_errors(GOLD, 70), np.flip(with_errors(np.flip(GOLD), 70))
    assert codes(GOLD, a, NAMES, history=[b, a]) == []
    assert codes(GOLD, a, NAMES, history=[a]) == []  # two equal epochs at the end of a training are nothing odd


def test_answers_that_never_moved_are_called_out_only_while_there_is_something_to_learn():
    guess = with_errors(GOLD, 70)
    (finding,) = check_predictions(GOLD, guess, NAMES, history=[guess, guess])
    assert (finding.code, finding.level) == ("frozen", "warning")
    assert "not one of the 872 predictions has changed since the first of 3 epochs" in finding.message
    assert codes(GOLD, guess, NAMES, history=[with_errors(GOLD, 71), guess, guess]) == []
    assert codes(GOLD, GOLD, NAMES, history=[GOLD, GOLD, GOLD]) == []


def test_an_interval_that_holds_the_baseline_is_called_out():
    rng = np.random.default_rng(0)
    (finding,) = check_predictions(GOLD, rng.integers(2, size=872), NAMES)
    assert (finding.code, finding.level) == ("no_better", "warning")
    assert "is not above the majority baseline 0.5092" in finding.message
    assert "95 % interval" in finding.message
    assert "\npredictions: " in finding.message


def test_a_class_that_is_never_the_answer_is_named():
    """Class 2 has rows and no answer; class 3 has neither, and its silence is right."""
    gold, guess = [0, 0, 1, 1, 2, 0, 1], [0, 0, 1, 1, 1, 0, 1]
    [found] = check_predictions(gold, guess, ["a", "b", "c", "d"])
    assert found.code == "never_predicted"
    assert found.message == "1 of 3 classes with rows is never predicted: c"
    assert codes([0, 1, 2], [0, 1, 2], ["a", "b", "c", "d"]) == []


def test_rows_of_one_class_all_answered_right_are_left_alone():
    assert codes([1, 1, 1], [1, 1, 1], NAMES) == []


@given(st.integers(2, 4), st.integers(0, 3), st.integers(1, 200))
@settings(max_examples=40, deadline=None)
def test_a_constant_answer_is_always_caught(classes, answer, rows):
    gold = np.arange(rows) % classes
    guess = np.full(rows, answer % classes)
    found = codes(gold, guess, [f"c{n}" for n in range(classes)])
    assert ("constant" in found) == (not np.array_equal(gold, guess))


@pytest.mark.parametrize(
    ("gold", "guess", "history", "error", "message"),
    [
        ([0, 1], [0], [], ShapeError, "labels and predictions differ in length"),
        ([0, 1], [0, 2], [], DataError, "predictions: row 1 is outside the classes"),
        ([0, 1], [0, 1], [[0]], ShapeError, "labels and predictions of epoch 1 differ in length"),
        ([0, 1], [0, 1], [[0, 1], [0, 7]], DataError, "predictions of epoch 2: row 1 is outside the classes"),
        ([], [], [], DataError, "labels have no rows"),
    ],
)
def test_impossible_input_is_refused(gold, guess, history, error, message):
    with pytest.raises(error, match=message):
        check_predictions(gold, guess, NAMES, history)


def test_findings_are_plain_and_levels_closed():
    assert Finding("a", "b").level == "warning"
    with pytest.raises(OptionError, match="unknown level"):
        Finding("a", "b", "fatal")


def test_the_raising_guards_stand_here_too():
    with pytest.raises(ShapeError, match="1 column for 2 classes"):
        guards.check_output_width(1, 2)
    with pytest.raises(DataError, match="row 0 has no class"):
        guards.check_labels([-1], 2)
    with pytest.raises(DataError, match="row 1 is not finite"):
        guards.check_finite([0.0, np.nan], "loss")
