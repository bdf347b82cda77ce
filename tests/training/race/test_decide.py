"""What records of trials say: a function of them alone."""

import numpy as np
import pytest

from separatrix.training.race.decide import Pilot, Standing, Trial
from separatrix.training.race.rows import Rung

PILOT = Pilot(load=1.0, forward=0.01, tokens=10.0, seconds=5.0)
COSTS = {"probe": 1.0, "align": 20.0, "finetune": 60.0}


def whole(name: str, _rows: int, _passes: float) -> float:
    """A training has all its epochs, whatever time there is."""
    return COSTS[name]


def standing(budget=1000.0, rows=400, names=("probe", "align", "finetune"), cost=whole, **ahead) -> Standing:
    return Standing(list(names), cost, PILOT, budget, rows, answered=100, ahead=ahead)


def trial(name, right, seconds=10.0, rows=100, fold=0) -> Trial:
    return Trial(name, rows, fold, seconds, tuple(right))


def answers(right: int, rows: int = 200) -> list[int]:
    return [1] * right + [0] * (rows - right)


def test_seconds_are_those_of_the_pilot_until_a_trial_is_measured():
    state = standing()
    assert state.training_seconds("align", 100) == pytest.approx(1 + 0.01 * 100 * 20)
    state.trials.append(trial("align", answers(100), seconds=41.0))
    assert state.training_seconds("align", 100) == pytest.approx(41.0)
    assert state.training_seconds("align", 200) == pytest.approx(81.0)
    assert state.seconds == pytest.approx(46.0)
    assert state.final_seconds("align", refit=True) - state.final_seconds("align") == pytest.approx(161.0)


def test_what_cannot_be_trained_in_the_time_that_is_left_is_left_out_with_a_sentence():
    state = standing(budget=130.0)
    assert state.affords(Rung(100, (0,)), first=True)
    assert state.alive == ["probe", "align"]
    kind, why = state.out["finetune"]
    assert kind == "left out"
    assert "all 400 rows would take about 242 s, 125 s are left" in why


def test_the_last_candidate_is_never_left_out():
    state = standing(budget=5.5)
    assert not state.affords(Rung(100, (0,)), first=True)
    assert state.alive == ["probe"]


def test_a_later_rung_is_refused_and_leaves_nobody_out_for_it():
    state = standing(budget=350.0)
    state.trials += [trial(name, answers(100), 20.0) for name in state.names]
    assert not state.affords(Rung(400, (0,)), first=False)
    assert state.alive == ["probe", "align", "finetune"]


def test_the_leader_is_never_left_out():
    """Regression: after a slow first rung it was, and was trained all the same."""
    state = standing(budget=130.0)
    state.trials += [trial("probe", answers(90), 2.0), trial("align", answers(180), 60.0)]
    assert not state.affords(Rung(400, (0,)), first=False, leader="align")
    assert state.alive == ["probe", "align"]


def test_what_is_not_tried_yet_is_left_out_where_it_would_take_the_time_of_the_best():
    state = standing(budget=300.0)
    state.trials += [trial("probe", answers(90), 2.0), trial("align", answers(180), 30.0)]
    assert state.training_seconds("finetune", 100) == pytest.approx(1 + 3 * 29)  # as slow a pass as align's
    assert state.too_dear("finetune", Rung(100, (0,)))
    assert state.out["finetune"][0] == "left out"
    assert not state.too_dear("align", Rung(100, (0,)))


def test_what_cannot_win_is_stopped_and_what_may_is_not():
    state = standing(rows=100)
    state.trials += [trial("align", answers(170)), trial("probe", answers(110)), trial("finetune", answers(168))]
    state.stop(100, [0])
    assert state.alive == ["align", "finetune"]
    assert state.out["probe"][0] == "stopped"
    assert "below align by 0.300" in state.out["probe"][1]
    assert state.leader(100, [0]) == "align"


def test_a_small_lead_on_few_of_the_rows_stops_nothing():
    """Each doubling that is left may win a point back."""
    for rows, left in ((100, ["align"]), (6400, ["align", "probe"])):
        state = standing(rows=rows, names=("align", "probe"))
        state.trials += [trial("align", answers(190)), trial("probe", answers(180))]
        state.stop(100, [0])
        assert state.alive == left


def test_four_rows_of_eight_stop_nothing():
    """Regression: an interval drawn from so few rows leaves 0 out, though four answers to none may be chance."""
    state = standing(rows=12, names=("probe", "align"))
    state.trials += [trial("probe", answers(8, 8), rows=12), trial("align", answers(4, 8), rows=12)]
    assert state.difference(np.array(answers(8, 8), bool), np.array(answers(4, 8), bool)).interval[0] > 0
    state.stop(12, [0])
    assert state.alive == ["probe", "align"]


def test_of_equal_ones_the_first_leads():
    state = standing()
    state.trials += [trial("align", answers(150)), trial("probe", answers(150))]
    assert state.leader(100, [0]) == "probe"


@pytest.mark.parametrize(("judged", "leader"), [(16, "align"), (400, "probe")])
def test_what_is_expected_decides_where_few_rows_judge_and_not_where_many_do(judged, leader):
    """Regression: with eight rows of each class a probe was often chosen by a row or two, 5 points below an encoder."""
    state = standing(align=0.15)
    state.trials += [trial("probe", answers(judged * 5 // 8, judged)), trial("align", answers(judged // 2, judged))]
    assert state.leader(100, [0]) == leader


def test_what_is_expected_is_tried_first_where_time_is_short():
    state = standing(budget=130.0, align=0.1, probe=0.0)
    assert state.affords(Rung(100, (0,)), first=True)
    assert state.alive == ["probe", "align"]
    short = standing(budget=100.0, align=0.1, probe=0.0)
    short.affords(Rung(100, (0,)), first=True)
    assert short.alive == ["align"]
    assert "with so few rows least is expected of this one" in short.out["probe"][1]
    level = standing(budget=100.0)
    level.affords(Rung(100, (0,)), first=True)
    assert level.alive == ["probe"]
    assert "this one takes longest" in level.out["align"][1]


def test_the_probe_stays_where_hardly_more_is_expected_of_what_there_is_no_time_to_try():
    """Regression: a prompt was trained untried, 27 points below the probe that was fitted beside it as a baseline."""
    state = standing(budget=100.0, align=0.02)
    state.affords(Rung(100, (0,)), first=True)
    assert state.alive == ["probe"]
    assert "this one takes longest" in state.out["align"][1]


@pytest.mark.parametrize("ahead", [{}, {"align": 0.15, "finetune": 0.05}])
def test_with_more_time_never_less_is_expected_of_what_is_left(ahead):
    """Of what is raced, or of the one that is trained without a race."""
    best = []
    for budget in range(10, 1000, 10):
        state = standing(budget=float(budget), rows=100, **ahead)
        state.affords(Rung(80, (0, 1)), first=True)
        best.append((max(ahead.get(name, 0.0) for name in state.alive), "probe" in state.alive))
    assert [each for each, _ in best] == sorted(each for each, _ in best)
    assert all(has_probe for each, has_probe in best if each < 0.1)
    assert state.alive == ["probe", "align", "finetune"]


def test_answers_are_those_of_all_folds_or_none():
    state = standing()
    state.trials += [trial("probe", [1, 0], fold=1), trial("probe", [1, 1], fold=0)]
    np.testing.assert_array_equal(state.answers("probe", 100, [0, 1]), [True, True, True, False])
    assert state.answers("probe", 100, [0, 2]) is None
    assert state.answers("align", 100, [0]) is None


def test_a_second_training_that_will_come_is_reckoned_with():
    """Regression: few rows are learnt from twice whatever is left, and time for one training only was kept."""
    state = standing(budget=130.0)
    state.refits = True
    assert state.final_seconds("align") == state.final_seconds("align", refit=True)
    assert state.affords(Rung(100, (0,)), first=True)
    assert "align" in state.out


def by_epochs(name: str, _rows: int, passes: float) -> float:
    """Of up to six epochs with three passes each, two at least; a probe has one pass."""
    return 1.0 if name == "probe" else 1.0 + 3 * min(6, max(2, int(min(passes, 99) - 1) // 3))


def test_a_training_that_takes_too_long_has_fewer_epochs_and_is_raced_with_them():
    """Regression: with ten minutes an encoder was left out that needs eight, and a worse method was chosen."""
    state = standing(budget=195.0, rows=400, names=("probe", "align"), cost=by_epochs)
    assert state.passes == pytest.approx(6400)  # a third of the budget, without the time to load the model
    assert state.affords(Rung(100, (0,)), first=True)
    assert state.alive == ["probe", "align"]
    assert state.training_seconds("align", 400) == pytest.approx(1 + 4 * 16)  # five of six epochs
    assert state.training_seconds("align", 100) == pytest.approx(1 + 19)  # with fewer rows all six
    assert state.training_seconds("align", 400, 0.0) == pytest.approx(1 + 4 * 7)
    short = standing(budget=20.0, rows=400, names=("probe", "align"), cost=by_epochs)
    short.leave_out()
    assert short.out["align"][1].startswith("its shortest training on all 400 rows would take about 30 s")


def test_in_the_end_there_are_as_many_epochs_as_time_is_left_for():
    state = standing(budget=195.0, rows=400, names=("probe", "align"), cost=by_epochs)
    assert state.passes_left("align") == pytest.approx((190 - 1 - 1) / 4)
    assert state.cost("align", 400, state.passes_left("align")) == 19
    state.trials.append(trial("align", answers(170), seconds=100.0, rows=400))
    assert state.cost("align", 400, state.passes_left("align")) == 13  # 88 s of 6.2 s a pass
    state.refits = True
    assert state.cost("align", 400, state.passes_left("align")) == 7


def test_a_second_training_for_which_there_is_no_time_keeps_no_candidate_out():
    state = standing(budget=300.0, rows=400, cost=by_epochs)
    state.trials += [trial("probe", answers(90), 2.0), trial("align", answers(180), 39.0)]
    assert state.final_seconds("align", refit=True) > state.left - state.training_seconds("finetune", 100)
    assert not state.too_dear("finetune", Rung(100, (0,)))


def test_a_second_rung_is_done_where_a_second_training_does_not_fit_anyway():
    """Regression: trec's kinds in ten minutes were chosen by 613 rows, and a third of the time was left."""
    state = standing(budget=195.0, rows=480, names=("probe", "align"), cost=by_epochs)
    state.trials += [trial("probe", answers(90), 2.0), trial("align", answers(91), 21.0)]
    assert state.final_seconds("align", 99.0, refit=True) + state.rung_seconds(Rung(200, (0,))) > state.left
    assert state.affords(Rung(200, (0,)), first=False, leader="align")
    assert state.alive == ["probe", "align"]


def test_a_clock_that_stands_still_ends_no_race():
    state = standing(cost=by_epochs)
    state.pilot = Pilot(load=1.0, forward=0.0, tokens=10.0, seconds=0.0)
    state.trials.append(trial("align", answers(90), 0.0))
    assert state.passes > 1e9
    assert state.passes_left("align") > 1e9


def test_of_equally_dear_ones_the_last_is_left_out_first():
    state = standing(
        budget=65.0, names=("probe", "align", "finetune"), cost=lambda name, *_: 1.0 + 9 * (name != "probe")
    )
    state.affords(Rung(100, (0,)), first=True)
    assert state.alive == ["probe", "align"]


@pytest.mark.parametrize("rows", [2000, 3300, 10000])
def test_with_more_time_no_candidate_is_too_dear_that_was_not(rows):
    """Regression: where both of two short trainings just fitted, time was kept for a second one that never comes."""
    tried = []
    for budget in range(60, 1200, 20):
        state = standing(budget=float(budget), rows=rows, names=("probe", "align", "prompt"), cost=by_epochs)
        state.trials += [trial("probe", answers(90), 2.0), trial("align", answers(150), 20.0)]
        whole_twice = state.final_seconds("align", 99.0, refit=True)
        if budget - 30 < whole_twice:  # beyond, a second training is kept time for
            tried.append(not state.too_dear("prompt", Rung(100, (0,))))
    assert tried == sorted(tried)
