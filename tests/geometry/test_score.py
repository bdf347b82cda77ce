import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics

from separatrix.errors import DataError, OptionError, ShapeError
from separatrix.geometry.resample import bootstrap_mean
from separatrix.geometry.score import ClassificationScores, classification, decide


def some_labels(classes, rows, seed=0, agree=0.6):
    rng = np.random.default_rng(seed)
    gold = rng.integers(classes, size=rows)
    guess = np.where(rng.random(rows) < agree, gold, rng.integers(classes, size=rows))
    return gold, guess


def some_probabilities(rows, classes, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(classes), size=rows)


def named(classes):
    return [f"class {number}" for number in range(classes)]


@pytest.mark.parametrize(("classes", "rows"), [(2, 1), (2, 7), (3, 40), (6, 500), (50, 300)])
def test_figures_equal_scikit_learn(classes, rows):
    gold, guess = some_labels(classes, rows)
    scores = classification(gold, guess, named(classes), resamples=10)
    assert scores.accuracy == pytest.approx(metrics.accuracy_score(gold, guess), abs=1e-12)
    assert scores.macro_f1 == pytest.approx(metrics.f1_score(gold, guess, average="macro", zero_division=0), abs=1e-12)
    expected = metrics.confusion_matrix(gold, guess, labels=range(classes))
    np.testing.assert_array_equal(scores.confusion, expected)
    report = metrics.classification_report(
        gold, guess, labels=range(classes), target_names=named(classes), output_dict=True, zero_division=0
    )
    for line in scores.per_class:
        found = report[line.name]
        assert (line.precision, line.recall, line.f1, line.rows) == pytest.approx(
            (found["precision"], found["recall"], found["f1-score"], found["support"]), abs=1e-12
        )
        assert line.predicted == (guess == named(classes).index(line.name)).sum()


def test_macro_f1_counts_only_classes_that_appear():
    # Class 2 has neither gold rows nor predictions: a third class that nobody met must not cost a third of the score.
    scores = classification([0, 1], [0, 1], ["a", "b", "c"], resamples=10)
    assert scores.macro_f1 == 1.0
    assert (scores.per_class[2].precision, scores.per_class[2].recall, scores.per_class[2].f1) == (0.0, 0.0, 0.0)
    # Answered though it has no gold rows: it counts, with 0.
    assert classification([0, 1], [0, 2], ["a", "b", "c"], resamples=10).macro_f1 == pytest.approx(1 / 3)


@pytest.mark.parametrize("classes", [2, 5])
def test_probabilities_add_log_loss_and_brier_equal_to_scikit_learn(classes):
    gold, _ = some_labels(classes, 60)
    p = some_probabilities(60, classes)
    scores = classification(gold, p.argmax(axis=1), named(classes), probabilities=p, resamples=10)
    assert scores.log_loss == pytest.approx(metrics.log_loss(gold, p, labels=range(classes)), rel=1e-10)
    expected = metrics.brier_score_loss(gold, p, labels=range(classes), scale_by_half=False)
    assert scores.brier == pytest.approx(expected, rel=1e-10)


def slow_calibration_error(gold, guess, p, bins=15):
    confidence = p[np.arange(len(gold)), guess]
    error = 0.0
    for number in range(bins):
        low, high = number / bins, (number + 1) / bins
        inside = [low <= c < high or (number == bins - 1 and c == 1) for c in confidence]
        if any(inside):
            right = np.mean((gold == guess)[inside])
            error += np.mean(inside) * abs(right - np.mean(confidence[inside]))
    return error


def test_calibration_error_equals_the_slow_loop():
    gold, _ = some_labels(4, 200)
    p = some_probabilities(200, 4)
    p[0] = [1, 0, 0, 0]
    scores = classification(gold, p.argmax(axis=1), named(4), probabilities=p, resamples=10)
    expected = slow_calibration_error(gold, p.argmax(axis=1), p)
    assert scores.expected_calibration_error == pytest.approx(expected, rel=1e-9)
    assert expected > 0.05


def test_sure_and_right_answers_have_no_calibration_error_and_sure_wrong_ones_have_all_of_it():
    p = np.eye(2)[[0, 1, 1]]
    right = classification([0, 1, 1], [0, 1, 1], ["a", "b"], probabilities=p, resamples=10)
    wrong = classification([1, 0, 0], [0, 1, 1], ["a", "b"], probabilities=p, resamples=10)
    assert (right.expected_calibration_error, right.brier, right.log_loss) == (0.0, 0.0, 0.0)
    assert (wrong.expected_calibration_error, wrong.brier) == (1.0, 2.0)
    assert wrong.log_loss > 30


def test_majority_is_the_best_that_one_answer_reaches_on_these_rows():
    """Regression: parts of other groups have other majorities; the share of the training rows' class was shown."""
    gold = [0, 0, 0, 1]
    own = classification(gold, [1, 1, 1, 1], ["a", "b"], resamples=10)
    assert own.majority == 0.75
    assert own.majority_macro_f1 == pytest.approx(metrics.f1_score(gold, [0] * 4, average="macro", zero_division=0))


def slow_bootstrap(gold, guess, resamples, seed):
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(resamples):
        rows = rng.integers(len(gold), size=len(gold))
        f1 = metrics.f1_score(gold[rows], guess[rows], average="macro", zero_division=0)
        drawn.append([np.mean(gold[rows] == guess[rows]), f1])
    return np.percentile(drawn, [2.5, 97.5], axis=0)


def test_interval_agrees_with_drawing_rows_one_by_one():
    gold, guess = some_labels(3, 150)
    scores = classification(gold, guess, named(3), resamples=4000)
    low, high = slow_bootstrap(gold, guess, 400, seed=1)
    np.testing.assert_allclose([scores.interval, scores.macro_f1_interval], np.transpose([low, high]), atol=0.02)
    # Both ends are where the binomial puts them.
    reach = 1.96 * np.sqrt(scores.accuracy * (1 - scores.accuracy) / 150)
    assert scores.interval == pytest.approx((scores.accuracy - reach, scores.accuracy + reach), abs=0.015)


def test_interval_shrinks_with_the_rows_and_costs_no_more():
    gold, guess = some_labels(2, 100)
    few = classification(gold, guess, named(2))
    many = classification(np.tile(gold, 10_000), np.tile(guess, 10_000), named(2))
    width = few.interval[1] - few.interval[0]
    assert many.interval[1] - many.interval[0] == pytest.approx(width / 100, rel=0.2)
    assert many.above_majority


def test_bootstrap_does_not_depend_on_its_blocks(monkeypatch):
    gold, guess = some_labels(5, 80)
    whole = classification(gold, guess, named(5), resamples=50)
    monkeypatch.setattr("separatrix.geometry.score._BLOCK_CELLS", 100)
    parts = classification(gold, guess, named(5), resamples=50)
    assert (parts.interval, parts.macro_f1_interval) == (whole.interval, whole.macro_f1_interval)


def test_resamples_too_count_only_classes_that_appear():
    gold = np.repeat([1, 2], 2000)
    assert classification(gold, gold, ["a", "b", "c"]).macro_f1_interval == pytest.approx((0.999, 1.0), abs=1e-3)


@pytest.mark.parametrize(("rows", "least"), [(3, 0.292), (54, 0.934), (1000, 0.996), (10**6, 1.0)])
def test_rows_that_are_all_right_or_all_wrong_leave_an_interval_with_a_width(rows, least):
    """Regression: 54 of 54 had "1.000 (1.000 to 1.000)", and so were better than a baseline with 53."""
    gold = np.arange(rows) % 2
    right, wrong = (classification(gold, answers, ["a", "b"]) for answers in (gold, 1 - gold))
    exact = binomtest(rows, rows).proportion_ci(0.95)
    assert right.interval == right.macro_f1_interval == pytest.approx((exact.low, exact.high), abs=1e-3)
    assert right.interval[0] == pytest.approx(least, abs=1e-3)
    assert wrong.interval == pytest.approx((0, 1 - right.interval[0]), abs=1e-3)
    assert right.interval[0] < 1
    assert bootstrap_mean(np.ones(rows, bool)) == right.interval


def test_an_interval_never_leaves_its_figure_outside():
    gold, guess = some_labels(3, 20)
    for seed in range(20):  # a single draw lies on one side of the figure
        scores = classification(gold, guess, named(3), resamples=1, seed=seed)
        assert scores.interval[0] <= scores.accuracy <= scores.interval[1]
        assert scores.macro_f1_interval[0] <= scores.macro_f1 <= scores.macro_f1_interval[1]


def test_above_majority_asks_the_whole_interval_not_the_figure():
    gold = np.repeat([0, 1], 50)
    hardly, clearly = (classification(gold, np.r_[gold[:right], 1 - gold[right:]], ["a", "b"]) for right in (52, 80))
    assert hardly.accuracy > hardly.majority
    assert not hardly.above_majority
    assert clearly.above_majority


labels = st.integers(2, 5).flatmap(
    lambda classes: st.tuples(
        st.just(classes),
        st.lists(st.tuples(st.integers(0, classes - 1), st.integers(0, classes - 1)), min_size=1, max_size=30),
        st.integers(0, 2**31),
    )
)


@given(labels)
@settings(max_examples=60, deadline=None)
def test_order_of_rows_changes_nothing_and_intervals_contain_the_figure(case):
    classes, pairs, seed = case
    gold, guess = np.array(pairs).T
    order = np.random.default_rng(seed).permutation(len(gold))
    scores = classification(gold, guess, named(classes), seed=seed, resamples=40)
    shuffled = classification(gold[order], guess[order], named(classes), seed=seed, resamples=40)
    assert scores.to_dict() == shuffled.to_dict()
    for figure, (low, high) in (
        (scores.accuracy, scores.interval),
        (scores.macro_f1, scores.macro_f1_interval),
    ):
        assert 0 <= low <= figure <= high <= 1


@given(labels)
@settings(max_examples=40, deadline=None)
def test_renaming_the_classes_renames_the_table(case):
    classes, pairs, seed = case
    gold, guess = np.array(pairs).T
    renamed = np.random.default_rng(seed).permutation(classes)
    scores = classification(gold, guess, named(classes), resamples=1)
    moved = classification(renamed[gold], renamed[guess], named(classes), resamples=1)
    assert (moved.accuracy, moved.macro_f1) == pytest.approx((scores.accuracy, scores.macro_f1), abs=1e-12)
    np.testing.assert_array_equal(moved.confusion[np.ix_(renamed, renamed)], scores.confusion)


def test_to_dict_is_plain_json_with_the_keys_of_the_contract():
    gold, guess = some_labels(3, 20)
    scores = classification(gold, guess, named(3), probabilities=some_probabilities(20, 3))
    plain = json.loads(json.dumps(scores.to_dict(), allow_nan=False))
    assert plain == scores.to_dict()
    assert {"accuracy", "macro_f1", "majority", "interval"} <= set(plain)
    assert len(plain["interval"]) == 2
    assert plain["per_class"][0]["name"] == "class 0"
    assert isinstance(scores, ClassificationScores)
    assert classification(gold, guess, named(3)).to_dict()["log_loss"] is None


@pytest.mark.parametrize(
    ("gold", "guess", "options", "error", "message"),
    [
        ([0, 1], [0], {}, ShapeError, "labels and predictions differ in length: got 2 and 1 rows"),
        ([], [], {}, DataError, "labels have no rows"),
        ([0, 2], [0, 1], {}, DataError, "labels: row 1 is outside the classes: got 2"),
        ([0, 1], [0, -1], {}, DataError, "predictions: row 1 has no class"),
        ([0, 1], [[0.2, 0.8], [0.5, 0.5]], {}, ShapeError, "predictions must be one class number per row"),
        ([0, 1], [0, 1], {"resamples": 0}, OptionError, "resamples is out of range"),
        ([0, 1], [0, 1], {"probabilities": [[1.0, 0.0]]}, ShapeError, "labels and probabilities differ"),
        ([0, 1], [0, 1], {"probabilities": [[1.0], [1.0]]}, ShapeError, "1 column for 2 classes"),
        ([0, 1], [0, 1], {"probabilities": [[1, 0], [0.5, 0.4]]}, DataError, "row 1 is no distribution"),
        ([0, 1], [0, 1], {"probabilities": [[1.5, -0.5], [1, 0]]}, DataError, "row 0 is no distribution"),
    ],
)
def test_impossible_input_is_refused(gold, guess, options, error, message):
    with pytest.raises(error, match=message):
        classification(gold, guess, ["a", "b"], **options)


def test_one_class_is_refused():
    with pytest.raises(DataError, match="one class only: got 'a'"):
        classification([0], [0], ["a"])


def test_decide_takes_the_first_of_equals():
    assert decide([[1.0, 1.0, 0.0], [0.0, 2.0, 2.0]], 3).tolist() == [0, 1]


def test_seed_003_one_output_column_scores_the_share_of_label_0_and_is_refused():
    gold = np.repeat([1, 0], [444, 428])
    outputs = np.where(gold == 1, 1.0, 0.1)[:, None]  # a model that separates the classes perfectly
    as_in_the_seed = outputs.argmax(axis=1)  # of one column: always 0
    scores = classification(gold, as_in_the_seed, ["negative", "positive"])
    assert scores.accuracy == 0.4908256880733945
    assert scores.accuracy == scores.per_class[0].rows / scores.rows
    assert not scores.above_majority
    for refused in (outputs, outputs[:, 0]):
        with pytest.raises(ShapeError, match=r"1 column for 2 classes; a one-column output is a regression"):
            decide(refused, 2)
    fixed = np.hstack([1 - outputs, outputs])
    assert classification(gold, decide(fixed, 2), ["negative", "positive"]).accuracy == 1.0


@pytest.mark.parametrize("predicted", [[0, 1, 0, 1], [1, 0, 1, 0], [0, 0, 0, 0]])
def test_counts_are_whole_numbers_however_wrong_the_answers_are(predicted):
    """Regression: where no answer was right they were floats, and the result on disk could not be read again."""
    scores = classification([0, 1, 0, 1], predicted, ["a", "b"])
    counts = [(line.rows, line.predicted) for line in scores.per_class]
    assert all(type(count) is int for pair in counts for count in pair)
    assert [rows for rows, _ in counts] == [2, 2]
