"""The verdict over several runs, in plain words."""

from separatrix.reports.page import render
from separatrix.reports.result import RunReport
from separatrix.reports.together import Comparisons, comparison_sections, judge_several


def line(name, accuracy, validation=None, low=None, majority=0.3):
    return {"source": name, "kind": "run", "method": "prompt", "accuracy": accuracy, "validation": validation,
            "low": accuracy - 0.05 if low is None else low, "high": accuracy + 0.05, "majority": majority,
            "rows": 500, "split": "test"}  # fmt: skip


def pair(a, b, difference, p):
    return {"a": a, "b": b, "difference": difference, "interval": (difference - 0.02, difference + 0.02), "p_holm": p,
            "rows": 500}  # fmt: skip


def test_the_one_that_validation_prefers_is_held_against_the_others():
    lines = [line("a", 0.90, 0.7), line("b", 0.85, 0.8), line("c", 0.86, 0.75)]
    verdict = judge_several(Comparisons(lines, [pair("a", "b", 0.05, 0.01), pair("b", "c", -0.01, 0.6)]))
    assert verdict.headline == "b, which validation prefers, is behind on test rows."
    assert "Behind a (-0.050, -0.070 to -0.030, p = 0.010 on 500 rows)" in verdict.detail
    assert "Not to be told from c (-0.010" in verdict.detail


def test_what_the_rows_cannot_tell_is_said():
    lines = [line("a", 0.90, 0.8), line("b", 0.89, 0.7), line("c", 0.5, 0.6)]
    verdict = judge_several(Comparisons(lines, [pair("a", "b", 0.01, 0.5), pair("a", "c", 0.4, 1e-9)]))
    assert verdict.headline == "a is ahead of 1 of 2 others; the rest cannot be told apart."
    assert judge_several(Comparisons(lines[:2], [pair("a", "b", 0.01, 0.5)])).headline == (
        "These rows do not tell which is better."
    )
    alone = judge_several(Comparisons(lines[:2]))
    assert "did not answer the same rows" in alone.detail
    assert "a has the highest figure, each on validation rows of its own" in alone.detail


def test_runs_that_learnt_nothing_are_named():
    lines = [line("a", 0.31, low=0.28), line("b", 0.30, low=0.27)]
    verdict = judge_several(Comparisons(lines, [pair("a", "b", 0.01, 0.5)]))
    assert verdict.tone == "no"
    assert "Not above always answering the largest class: a, b." in verdict.detail
    assert judge_several(Comparisons(lines[:1])) is None


def test_few_rows_do_not_say_that_runs_learnt_nothing():
    lines = [line("a", 0.6, low=0.2) | {"high": 1.0}, line("b", 0.9)]
    verdict = judge_several(Comparisons(lines, [pair("a", "b", -0.3, 0.5)]))
    assert verdict.tone == "mixed"
    assert "Not to be told, by these rows, from always answering the largest class: a." in verdict.detail


def test_the_table_has_the_difference_to_the_leader_and_foreign_names_are_text():
    lines = [line("<b>a</b>", 0.9, 0.8), line("b", 0.8, 0.7)]
    page = render(RunReport("both"), comparison_sections(Comparisons(lines, [pair("<b>a</b>", "b", 0.1, 0.001)])))
    assert "<b>a" not in page
    assert "p < 0.001 on 500 rows" in judge_several(Comparisons(lines, [pair("<b>a</b>", "b", 0.1, 4e-6)])).detail
    assert "-0.100" in page  # b less the leader
    assert "-0.120 to -0.080" in page


def test_a_small_p_value_is_no_zero():
    lines = [line("a", 0.9, 0.8), line("b", 0.8, 0.7)]
    page = render(RunReport("both"), comparison_sections(Comparisons(lines, [pair("a", "b", 0.1, 4e-6)])))
    assert '<td class="number">&lt; 0.001</td>' in page
    assert ">0.000<" not in page
