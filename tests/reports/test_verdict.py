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
    ([{**OWN, "interval": (0.29, 0.94)}], "no", "not better than always answering the largest class"),
    ([{**OWN, "majority": None}, row("majority", 0.86)], "no", "not better than always answering the largest class"),
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
        ({"macro_f1": 0.22, "interval": (0.2, 0.94)}, "no", "not better than always answering the largest class"),
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
    assert judge(numbers).figures[-1] == ("best baseline: ridge", "0.700")
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
        ({"rmse": 0.5, "interval": (0.4, 1.1), "baseline_rmse": 1.0}, 0.7, "no", "always answering the mean"),
        ({"rmse": 0.5, "interval": (0.4, 0.6), "baseline_rmse": 1.0}, 0.3, "mixed", "but probe does better"),
    ],
)
def test_regression_wants_a_small_error(own, other, tone, words):
    found = judge([{"method": "prompt", **own}, {"method": "probe", "rmse": other}])
    assert found.tone == tone
    assert words in found.headline
    assert found.figures[2] == ("always the mean", "1.000")
