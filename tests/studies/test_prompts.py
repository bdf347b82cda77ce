"""The study of stronger prompts: one toy run from end to end, and tables that say what the lines hold."""

import numpy as np
import pandas as pd
import pytest
import torch
from studies.common import read_runs
from studies.prompts import ensembles, tables
from studies.prompts.run import VARIANTS, fast_products, load_rows, main, plans, read_options


@pytest.fixture
def data(tmp_path, planted):
    """A folder with sst2 of two classes."""
    texts, labels = planted
    labels = ["positive" if label == "cat" else "negative" for label in labels]
    (tmp_path / "data" / "sst2").mkdir(parents=True)
    frame = pd.DataFrame({"text": [f"{text} {place}" for place, text in enumerate(texts * 2)], "label": labels * 2})
    for part, rows in {"train": slice(0, 320), "validation": slice(320, 340), "test": slice(340, 360)}.items():
        frame[rows].to_parquet(tmp_path / "data" / "sst2" / f"{part}.parquet")
    return tmp_path / "data"


@pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")  # a tiny model knows no numbers
def test_a_run_from_end_to_end(data, tmp_path, tiny):
    words = ["--data", str(data), "--out", str(tmp_path), "--lm", str(tiny("gpt2")), "--lm-only", "--sets", "sst2"]
    words += ["--seeds", "1", "--rows", "48", "--judged", "40", "--epochs", "1", "--variants"]
    variants = ["plain", "instance 8", "words: chosen", "words: good, bad"]
    words += variants
    assert main(words) == 0
    runs = read_runs(tmp_path / "runs.jsonl")
    assert [run["variant"] for run in runs] == variants
    assert runs[3]["words"] == ["bad", "good"]
    assert len(runs[2]["words"]) == 2
    assert {(run["rows"], run["judged"]) for run in runs} == {(48, 40)}
    assert main(words) == 0
    assert len(read_runs(tmp_path / "runs.jsonl")) == 4  # done already
    assert main(["--table", "--out", str(tmp_path)]) == 0
    text = (tmp_path / "RESULTS.md").read_text()
    assert "instance 8" in text
    table = text.split("label words\n")[1].split("\n##")[0]
    assert all(f"| {name}" in table for name in ("words: chosen", "words: good, bad", "none: centroids"))


def test_rows_that_train_choose_and_judge_are_disjoint(data):
    words = ["--data", str(data), "--rows", "48", "--judged", "40", "--sets", "sst2"]
    plan = plans(read_options(words))[0]
    splits, judged = load_rows(plan, data)
    parts = [set(part.id.tolist()) for part in (splits.train, splits.validation, judged)]
    assert list(map(len, parts)) == [48, 200, 40]
    assert not parts[0] & parts[1]
    assert not (parts[0] | parts[1]) & parts[2]


def test_every_variant_is_a_recipe():
    chosen = plans(read_options(["--data", "x", "--lm", "y", "--seeds", "1", "--rows", "9"]))
    assert {plan.variant for plan in chosen} >= set(VARIANTS)
    assert len({plan.key for plan in chosen}) == len(chosen)
    assert {plan.recipe.prompt.layer for plan in chosen if plan.model == "lm"} == {0, 10, 20}


def test_ways_are_chosen_on_one_part_and_judged_on_the_other():
    rng, gold = np.random.default_rng(0), np.arange(200) % 2
    good, noise = (6 * np.eye(2)[gold] - 3, rng.normal(size=(200, 2)))
    late = np.where(np.arange(200)[:, None] < 100, noise, good)
    ways, weight = ensembles.ways_of(np.stack([good, late]), noise, gold, chosen=100)
    assert (ways["best epoch"], ways["last epoch"], ways["best epoch and probe"], weight) == (1, 1, 1, 0)
    assert 0.3 < ways["probe"] < 0.7
    ways, weight = ensembles.ways_of(np.stack([noise]), good, gold, chosen=100)
    assert ways["best epoch and probe"] > 0.9 > ways["best epoch"]
    assert weight > 0


def test_an_ensemble_from_end_to_end(data, tmp_path, monkeypatch, tiny):
    from separatrix.recipe import DEFAULT_MODEL
    from stand_in import stand_in

    stand_in(monkeypatch, {DEFAULT_MODEL: tiny("bert")})
    words = ["--data", str(data), "--out", str(tmp_path), "--sets", "sst2", "--seeds", "1", "--rows", "48"]
    assert ensembles.main([*words, "--judged", "40", "--epochs", "2"]) == 0
    (run,) = read_runs(tmp_path / "ensembles.jsonl")
    assert {*run["ways"]} == {*ensembles.WAYS} - {"mean of the last 3"}
    assert [row["way"] for row in ensembles.rows_of([run])] == [way for way in ensembles.WAYS if way in run["ways"]]
    assert ensembles.main(["--table", "--out", str(tmp_path)]) == 0
    assert "| mean of the last 2" in (tmp_path / "ENSEMBLES.md").read_text()


def test_widened_products_are_those_of_bfloat16():
    generator = torch.Generator().manual_seed(0)
    rows, weight, bias = (torch.randn(*shape, generator=generator).bfloat16() for shape in ((6, 8), (4, 8), (4,)))

    def products():
        leaf = weight.clone().requires_grad_()
        out = torch.nn.functional.linear(rows, leaf, bias)
        out.float().square().mean().backward()
        heads = rows.view(1, 2, 3, 8)
        attended = torch.nn.functional.scaled_dot_product_attention(heads, heads, heads)
        return out.detach(), leaf.grad, rows @ weight.T, heads @ heads.mT, attended

    plain = products()
    with fast_products():
        wide = products()
    for exact, other in zip(plain, wide, strict=True):
        assert other.dtype == torch.bfloat16
        torch.testing.assert_close(other.float(), exact.float(), rtol=2**-7, atol=2**-7)


def line(variant, seed, accuracy):
    machine = {"cpu": "a processor", "threads": 1, "versions": {"torch": "2"}}
    return {
        "key": f"{variant} {seed}", "set": "sst2", "model": "lm", "variant": variant, "seed": seed,
        "accuracy": accuracy, "majority": 0.5, "validation": 0.8, "words": [], "cpu_seconds": 9.0, "seconds": 9.0,
        "machine": machine,
    }  # fmt: skip


def test_the_verdict_follows_the_figures():
    runs = [line("plain", seed, 0.8 + seed / 100) for seed in range(3)]
    runs += [line("late third", seed, 0.7 + seed / 100 + (seed == 1) / 500) for seed in range(3)]
    runs += [line("mixture", seed, 0.9 + seed / 100 + (seed == 1) / 500) for seed in range(3)]
    assert "Above the plain prompt, before correction: mixture; below it: late third" in tables.verdict(runs)
    assert "one seed" in tables.verdict(runs[:1] + runs[3:4])
    (row,) = (row for row in tables.rows_of(runs, "plain") if row["variant"] == "mixture")
    assert row["less plain"].startswith("0.1007")
