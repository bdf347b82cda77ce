import numpy as np
import pytest

from separatrix.reports import judge


def row(method, accuracy, split="test", **more):
    return {"method": method, "split": split, "accuracy": accuracy, **more}


OWN = row("prompt", 0.9, interval=(0.85, 0.94), majority=0.3, rows=200)
CASES = [
    ([OWN], "yes", "no other method was scored"),
    ([OWN, row("k-NN", 0.84)], "yes", "better than with any baseline"),
    ([OWN, row("k-NN", 0.86)], "yes", "k-NN with 0.860 lies within the interval 0.850 to 0.940"),
    ([OWN, row("k-NN", 0.93)], "yes", "k-NN with 0.930 lies within the interval 0.850 to 0.940, so these rows do not"),
    ([OWN, row("k-NN", 0.95)], "mixed", "but k-NN does better"),
    ([OWN, row("k-NN", 0.95, split="validation")], "yes", "no other method was scored"),
    ([{**OWN, "accuracy": 0.35, "interval": (0.29, 0.42)}], "no", "not better than always answering the largest class"),
    ([{**OWN, "interval": (0.29, 0.94)}], "mixed", "Not known - 200 rows cannot tell this from always answering the"),
    ([{**OWN, "majority": None}, row("majority", 0.95)], "no", "not better than always answering the largest class"),
    ([{**OWN, "interval": None}, row("probe", 0.91)], "mixed", "but probe does better"),
    ([row("k-NN", 0.9)], "mixed", "No score was recorded"),
    ([row("prompt", float("nan"))], "mixed", "No score was recorded"),
    ([], "mixed", "No score was recorded"),
]


@pytest.mark.parametrize(("scores", "tone", "words"), CASES)
def test_classification(scores, tone, words):
    found = judge(scores, "prompt", "interval")
    assert found.tone == tone
    assert words in found.headline


FOUND = {"macro_f1": 0.8, "never_predicted": 0, "classes": 28}


@pytest.mark.parametrize(
    ("more", "tone", "words"),
    [
        ({"macro_f1": 0.5}, "yes", "Yes - the classes separate"),
        ({"macro_f1": 0.499}, "mixed", "only in part: macro-F1 is 0.499."),
        ({"never_predicted": 1}, "mixed", "only in part: macro-F1 is 0.800, 1 of 28 classes is never predicted."),
        ({"macro_f1": 0.22, "never_predicted": 6}, "mixed", "macro-F1 is 0.220, 6 of 28 classes are never predicted."),
        ({"macro_f1": 0.22, "interval": (0.2, 0.4)}, "no", "not better than always answering the largest class"),
    ],
)
def test_yes_asks_for_macro_f1_and_for_every_class(more, tone, words):
    found = judge([{**OWN, **FOUND, **more}])
    assert found.tone == tone
    assert words in found.headline
    assert ("Yes" in found.headline) == (tone == "yes")
    figures = dict(found.figures)
    assert figures["macro-F1"] == f"{({**FOUND, **more})['macro_f1']:.3f}"
    assert figures["classes never predicted"] == f"{({**FOUND, **more})['never_predicted']} of 28"


def test_the_best_baseline_is_the_one_that_validation_chose():
    probe, nearest = row("linear probe", 0.8), row("k-NN", 0.95)
    held = [row("linear probe", 0.7, "validation"), row("k-NN", 0.6, "validation")]
    assert judge([OWN, probe, nearest]).headline == "The classes separate, but k-NN does better."
    found = judge([OWN, probe, nearest, *held])
    assert found.headline == "Yes - the classes separate, better than with linear probe."
    assert found.figures[-1] == ("best baseline: linear probe", "0.800")
    assert judge([OWN, probe, nearest, held[0]]).headline == "The classes separate, but k-NN does better."
    numbers = [
        {"method": method, "split": split, "rmse": error, "interval": (0.4, 0.6), "baseline_rmse": 1.0}
        for method, split, error in [
            ("prompt", "test", 0.5), ("ridge", "test", 0.7), ("k-NN", "test", 0.3),
            ("ridge", "validation", 0.6), ("k-NN", "validation", 0.8),
        ]
    ]  # fmt: skip
    assert judge(numbers).figures[-1] == ("best baseline: ridge", "0.7")
    assert judge(numbers).tone == "yes"


def test_what_does_better_is_said_of_a_part_too():
    found = judge([{**OWN, **FOUND, "macro_f1": 0.3}, row("k-NN", 0.95)])
    assert found.headline == "The classes separate only in part: macro-F1 is 0.300; k-NN does better."


def test_a_probe_is_not_compared_with_itself():
    own, same = row("probe", 0.9, interval=(0.85, 0.94), majority=0.3), row("linear probe", 0.9)
    assert "no other method was scored" in judge([own, same], "probe").headline  # as runs of earlier versions wrote it
    pools = [{**own, "pool": "cls"}, {**same, "pool": "cls"}, row("k-NN", 0.8)]
    assert judge(pools, "probe").figures[-1] == ("best baseline: k-NN", "0.800")
    other = [{**own, "pool": "cls"}, {**same, "pool": "mean", "accuracy": 0.97}]
    assert judge(other, "probe").headline == "The classes separate, but linear probe does better."
    numbers = [{"method": "probe", "rmse": 0.5, "baseline_rmse": 1.0}, {"method": "ridge", "rmse": 0.5}]
    assert len(judge(numbers, "probe").figures) == 3


def test_numbers_stand_beside_their_baselines():
    found = judge([OWN, row("k-NN", 0.84), row("probe", np.float64(0.841))], "prompt", "95 % interval")
    assert found.figures == (
        ("accuracy", "0.900"),
        ("95 % interval", "0.850 to 0.940"),
        ("always the largest class", "0.300"),
        ("best baseline: probe", "0.841"),
    )
    assert found.detail == "Method: prompt, measured on 200 test rows."


def test_a_baseline_of_numbers_that_is_ahead_is_named_where_the_mean_is_not_beaten():
    own = {"method": "prompt", "split": "test", "rmse": 1.0, "interval": (0.9, 1.1), "baseline_rmse": 1.0}
    ridge = {"method": "ridge", "split": "test", "rmse": 0.2}
    assert judge([own, ridge], "prompt").headline.endswith("the mean; ridge does better.")
    assert "ridge with 0.95 is ahead" in judge([own, ridge | {"rmse": 0.95}], "prompt").headline


def test_the_test_part_goes_before_validation():
    scores = [row("prompt", 0.5, interval=(0.4, 0.6), majority=0.1), row("prompt", 0.9, split="validation")]
    assert judge(scores).figures[0] == ("accuracy", "0.500")
    assert judge(scores[1:]).detail == "Method: prompt, measured on validation rows."


def test_seed_003_a_score_equal_to_a_class_share_is_no_success():
    found = judge([row("prompt", 0.4908, interval=(0.46, 0.52), majority=0.5092)])
    assert found.tone == "no"


@pytest.mark.parametrize(
    ("own", "other", "tone", "words"),
    [
        ({"rmse": 0.5, "interval": (0.4, 0.6), "baseline_rmse": 1.0}, 0.7, "yes", "better than by their mean"),
        ({"rmse": 1.0, "interval": (0.9, 1.1), "baseline_rmse": 1.0}, 0.7, "no", "No - this is not better than always"),
        (
            {"rmse": 0.5, "interval": (0.4, 1.1), "baseline_rmse": 1.0},
            0.7,
            "mixed",
            "Not known - these rows cannot tell",
        ),
        ({"rmse": 0.5, "interval": (0.4, 0.6), "baseline_rmse": 1.0}, 0.3, "mixed", "but probe does better"),
    ],
)
def test_regression_wants_a_small_error(own, other, tone, words):
    found = judge([{"method": "prompt", **own}, {"method": "probe", "rmse": other}])
    assert found.tone == tone
    assert words in found.headline
    assert found.figures[2] == ("always the mean", "1")


def test_five_rows_cannot_say_no():
    """Regression: 3 of 5 rows right, of 200 other rows 137, and the verdict was No."""
    found = judge([row("align", 0.6, "validation", interval=(0.2, 1.0), majority=0.2, rows=5)], "align")
    assert found.tone == "mixed"
    assert found.headline == (
        "Not known - 5 rows cannot tell this from always answering the largest class; more held-out rows can."
    )


@pytest.mark.parametrize(
    ("rows", "majority", "interval", "tone"),
    [
        (200, 0.5, (0.43, 0.57), "no"),  # at the level of chance
        (1000, 0.25, (0.22, 0.28), "no"),
        (2000, 0.9, (0.887, 0.913), "no"),
        (20, 0.5, (0.3, 0.7), "mixed"),
        (5, 1.0, (0.478, 1.0), "mixed"),  # rows of one class cannot show that another is known
    ],
)
def test_no_asks_for_rows_that_could_have_told(rows, majority, interval, tone):
    assert judge([row("prompt", majority, interval=interval, majority=majority, rows=rows)]).tone == tone


@pytest.mark.parametrize(("rows", "interval", "tone"), [(200, (0.855, 0.94), "no"), (20, (0.75, 1.0), "mixed")])
def test_answers_that_are_all_the_largest_class_are_told_by_fewer_rows(rows, interval, tone):
    more = {"macro_f1": 0.47, "never_predicted": 1, "classes": 2}
    assert judge([row("prompt", 0.9, interval=interval, majority=0.9, rows=rows, **more)]).tone == tone


def sets(method, micro, macro, split="test", **more):
    return {"method": method, "split": split, "micro_f1": micro, "macro_f1": macro, **more}


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"micro": 0.5, "macro": 0.3, "interval": (0.45, 0.55)}, "only in part: macro-F1 is 0.300; k-NN does better."),
        (
            {"micro": 0.5, "macro": 0.3, "interval": (0.4, 0.7)},
            "only in part: macro-F1 is 0.300; k-NN with 0.600 is ahead, within the interval.",
        ),
        (
            {"micro": 0.5, "macro": 0.3, "interval": (0.45, 0.55), "never_predicted": 1, "classes": 9},
            "macro-F1 is 0.300, 1 of 9 labels are never given; k-NN does better.",
        ),
        (
            {"micro": 0.1, "macro": 0.1, "interval": (0.05, 0.15)},
            "No - this is not better than always answering the most frequent set of labels; k-NN does better.",
        ),
        ({"micro": 0.65, "macro": 0.3, "interval": (0.6, 0.7)}, "only in part: macro-F1 is 0.300."),
    ],
)
def test_a_baseline_that_is_ahead_is_named_for_several_labels_too(own, words):
    """Regression: below its own baselines, a run of several labels was said to be right in part, and no more."""
    micro, macro = own.pop("micro"), own.pop("macro")
    found = judge([sets("align", micro, macro, majority=0.2, rows=200, **own), sets("k-NN", 0.6, 0.5)], "align")
    assert found.headline.endswith(words)


def test_few_rows_say_neither_yes_nor_no_of_several_labels():
    found = judge([sets("align", 0.4, 0.4, interval=(0.1, 0.8), majority=0.2, rows=6)], "align")
    assert found.headline.startswith("Not known - 6 rows cannot tell this from always answering the most frequent set")
    assert found.tone == "mixed"
