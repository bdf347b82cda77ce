"""Plans: figures, the way that the verb takes, what is refused; no seconds are compared."""

from dataclasses import replace

import numpy as np
import pytest

import separatrix as sx
from separatrix.analysis.plan import models as plan_models
from separatrix.analysis.plan import points as plans
from separatrix.errors import OptionError, SeparatrixError
from separatrix.points import Points
from separatrix.scale import kernels
from separatrix.scale.machine import Machine
from separatrix.scale.memory import in_memory
from separatrix.scale.starts import sample_rows
from separatrix.texts import Texts

RATES = Machine(
    "a slide rule",
    False,
    2,
    4 * 10**9,
    1e8,
    1e8,
    {"any": {"1": 1e9}},
    tables={"cluster": (1.0, 1e-6), "map": (1.0, 0.0)},
)


@pytest.fixture
def points():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(240, 6)) + 4 * np.eye(6)[np.arange(240) % 3]
    return Points.of(rows.astype(np.float32), {"label": np.array(["a", "b", "c"])[np.arange(240) % 3]})


def test_the_way_is_that_of_the_verb(points):
    plan = sx.plan("cluster", points, k=3, permutations=19, machine=RATES)
    assert (plan.path, plan.approximate, plan.rows, plan.width) == ("in memory", [], 240, 6)
    assert plan.memory == in_memory(240, 6)
    small = sx.plan("cluster", rows=10**6, width=64, k=3, memory="100MiB", machine=RATES)
    assert small.path == "in blocks"
    assert any("starts of k-means" in line for line in small.approximate)
    assert small.memory < 100 * 2**20 < in_memory(10**6, 64)
    assert sx.cluster(points, k=3, permutations=19).approximate is None


def test_what_is_approximate_is_what_the_verb_says():
    rows = np.random.default_rng(0).normal(size=(100_000, 16)).astype(np.float16)
    options = {"k": 2, "starts": 1, "memory": "24MiB"}  # the rows take 24.4
    plan = sx.plan("cluster", rows=100_000, width=16, machine=replace(RATES, workers=1), **options)
    assert plan.path == "in blocks"
    result = sx.cluster(Points.of(rows), **options)
    assert list(result.approximate) == plan.approximate


def test_figures_of_a_large_kmeans():
    plan = sx.plan("cluster", rows=18_720_000, width=2048, k=35, machine=RATES)
    assert plan.bytes == 18_720_000 * 2048 * 2
    product = 2 * 2048 * 35
    starts = 10 * sample_rows(35) * product
    expected = 2 * 4 * 18_720_000 * 2048 + starts + (plans.PASSES + 1) * 18_720_000 * product
    assert plan.flop == pytest.approx(expected)
    assert plan.bytes_read == (plans.PASSES + 3) * plan.bytes
    assert sum(stage["seconds"] for stage in plan.stages) == pytest.approx(plan.seconds)
    assert f"{plans.PASSES} passes, assumed" in str(plan)


def test_seconds_of_passes_grow_with_the_rows():
    def pass_seconds(rows):
        plan = sx.plan("cluster", rows=rows, width=2048, k=35, machine=RATES)
        return [stage["seconds"] for stage in plan.stages if stage["name"] == "pass 2"]

    assert 4 * pass_seconds(10**6)[0] == pytest.approx(pass_seconds(4 * 10**6)[0])


def test_a_plan_of_points_measures_its_rates(points, monkeypatch):
    monkeypatch.setattr("separatrix.scale.calibrate.LEAST", 0.0)
    plan = sx.plan("cluster", points, k=3, permutations=19, executor="processes:1", starts=2)
    assert plan.measured
    assert 0 < plan.seconds < 600
    assert [stage["kernel"] for stage in plan.stages[:3]] == ["moments", "starts", "lloyd"]
    assert any("as on a sample" in line for line in plan.assumptions)
    assert plan.bytes_read == 240 * 6 * 4 * sum(stage["read"] > 0 for stage in plan.stages)


@pytest.mark.parametrize(
    ("verb", "options", "path"),
    [
        ("project", {"memory": "100MiB"}, "in blocks"),
        ("project", {"method": "umap"}, "in memory"),
        ("cluster", {"method": "dbscan", "eps": 1.0}, "in memory"),
        ("cluster", {"method": "hdbscan"}, "in memory"),
        ("cluster", {"method": "hdbscan", "memory": "100MiB"}, "in blocks"),
        ("cluster", {"choose": True, "memory": "100MiB"}, "in blocks"),
        ("score", {}, "in memory"),
        ("score", {"memory": "100MiB"}, "on a sample"),
    ],
)
def test_every_verb_over_points_can_be_planned_on_paper(verb, options, path):
    plan = sx.plan(verb, rows=10**6, width=32, machine=RATES, **options)
    assert plan.path == path
    assert plan.seconds > 0
    assert plan.flop > 0 or options.get("method") == "umap"
    assert plan.machine == "a slide rule"
    assert "not measured" in str(plan)


def test_a_score_of_many_rows_is_planned_with_the_readings_of_all(points):
    parts = Points.of(points.values, points.table.assign(split=["train", "test"] * 120))
    kernels_of = {}
    for name, given in {"whole": points, "parts": parts}.items():
        plan = sx.plan("score", given, executor="processes:1", machine=RATES)
        kernels_of[name] = [stage["kernel"] for stage in plan.stages]
        assert any("discriminant" in line for line in plan.approximate) == (name == "parts")
    assert kernels_of["whole"] == ["neighbors", "score"]
    assert kernels_of["parts"] == ["neighbors", "score", "products", "moments", "eigh", "assign", "assign"]


def test_what_the_verb_refuses_is_refused_before():
    with pytest.raises(OptionError, match="dbscan holds all rows in memory"):
        sx.plan("cluster", rows=10**6, width=64, method="dbscan", eps=1.0, memory="1MiB", machine=RATES)
    with pytest.raises(OptionError, match="--memory is too small"):
        sx.plan("cluster", rows=10**6, width=64, k=3, memory="1MiB", machine=RATES)
    with pytest.raises(OptionError, match="no effect with --method kmeans"):
        sx.plan("cluster", rows=10, width=2, k=3, eps=1.0, machine=RATES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("clutser",), "did you mean 'cluster'"),
        (("cluster",), "a plan needs points, or rows and width"),
        (("extract",), "a plan needs data, or texts and tokens_per_text"),
    ],
)
def test_a_plan_needs_a_verb_and_a_size(arguments, message):
    with pytest.raises(SeparatrixError, match=message):
        sx.plan(*arguments, machine=RATES)


def test_options_are_those_of_the_verb():
    with pytest.raises(OptionError, match="did you mean 'starts'"):
        sx.plan("cluster", rows=10, width=2, k=3, start=5, machine=RATES)
    with pytest.raises(OptionError, match="the recipe is of another verb"):
        sx.plan("cluster", rows=10, width=2, recipe=sx.recipe.ScoreRecipe(), machine=RATES)


def test_a_plan_is_a_result(tmp_path):
    plan = sx.plan("project", rows=10**6, width=32, memory="100MiB", machine=RATES)
    plan.save(tmp_path / "plan")
    again = sx.load(tmp_path / "plan")
    assert again.figures() == plan.figures()
    assert list(plan.table["name"]) == [stage["name"] for stage in plan.stages]
    assert "<table>" in plan._repr_html_()
    assert str(tmp_path / "plan") in str(again)


@pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")  # words that a tiny model does not know
def test_texts_are_planned_from_a_few_of_them(tiny, monkeypatch):
    monkeypatch.setattr("separatrix.analysis.plan.models._SECONDS", 0.0)
    texts, options = ["the cat sat on the mat"] * 40, {"model": str(tiny("bert")), "pool": ("mean", "cls")}
    plan = sx.plan("extract", texts, **options)
    assert (plan.rows, plan.path) == (40, "in memory")
    assert [stage["kernel"] for stage in plan.stages] == ["loading", "forward"]
    assert plan.width == sum(block.shape[1] for block in sx.extract(texts, **options).blocks.values())
    assert sx.plan("extract", texts * 2, **options).flop == pytest.approx(2 * plan.flop)
    on_disk = sx.plan("extract", texts, out="nowhere", **options)
    assert on_disk.bytes_written == on_disk.bytes


@pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")
def test_workers_that_read_texts_are_planned_with_one_thread_and_a_model_each(tiny, monkeypatch):
    monkeypatch.setattr("separatrix.analysis.plan.models._SECONDS", 0.0)
    threads = []
    read = plan_models.PlannedReading._read_some
    monkeypatch.setattr(
        plan_models.PlannedReading, "_read_some",
        lambda self, workers: threads.append((kernels.threads(), workers)) or read(self, workers),
    )  # fmt: skip
    texts, options = ["the cat sat on the mat"] * 40, {"model": str(tiny("bert"))}
    here, shared = (sx.plan("extract", texts, executor=one, **options) for one in ("here", "processes:2"))
    assert threads[1] == (1, 1)
    assert shared.memory >= here.memory
    assert any("reads with one thread" in line for line in shared.assumptions)
    loading = shared.stages[0]
    assert loading["rows"] == 2
    assert loading["seconds"] > 0


def test_a_gpu_is_planned_from_its_rates_alone(tiny):
    options = {"rows": 10**6, "width": 16, "k": 3, "device": "cuda:1"}
    with pytest.raises(OptionError, match="a plan measures processors, not a GPU: got --device cuda:1; pass --machine"):
        sx.plan("cluster", **options)
    assert sx.plan("cluster", machine=RATES, **options).path == "in blocks"
    texts = {"texts": 100, "tokens_per_text": 8, "model": str(tiny("bert")), "device": "cuda:1"}
    assert sx.plan("extract", machine=RATES, **texts).rows == 100


def test_maps_are_planned_on_paper(tiny):
    model = str(tiny("bert"))
    options = {"model": model, "max_length": 64}
    features = ("descriptors", "resnet")
    plan = sx.plan("heads", texts=100, tokens_per_text=32, features=features, machine=RATES, **options)
    shape = sx.extract(["the cat"], what="attention", features="descriptors", **options)
    assert plan.rows == 100 * len(shape)
    assert plan.width == 15 + 2048 + 16 * 16  # grids are always kept
    resnet = next(stage for stage in plan.stages if stage["kernel"] == "resnet")
    assert resnet["flop"] == pytest.approx(plan.rows * 8.2e9 * (384 / 224) ** 2)
    assert "associations" in plan.assumptions[-1]


@pytest.mark.parametrize("verb", ["rank", "suspects"])
def test_verbs_of_labelled_texts_are_planned(verb, tiny, planted):
    """As many rows as the verb reads; each stage has its seconds; nothing of the verb is done."""
    texts = Texts.of(planted[0][:90], planted[1][:90])
    options = {"model": str(tiny("bert")), "device": "cpu"} | ({"most_rows": 40} if verb == "rank" else {})
    plan = sx.plan(verb, texts, machine=RATES, **options)
    width = plan.stages[0]["width"]
    pairs = 40 * plan.rows * 3 if verb == "rank" else 90**2  # three poolings
    near = next(stage for stage in plan.stages if stage["name"] == "neighbors")
    assert near["flop"] == 2 * pairs * width
    assert plan.rows == (40 + 7 + 18 if verb == "rank" else 90)
    if verb == "rank":
        assert any("40 of 65 rows" in line for line in plan.assumptions), plan.assumptions


def test_suspects_of_many_texts_read_a_sample_first(tiny):
    few, many = (
        sx.plan("suspects", texts=rows, tokens_per_text=9, model=str(tiny("bert")), device="cpu", machine=RATES)
        for rows in (3_000, 30_000)
    )
    flop = [plan.stages[1]["flop"] for plan in (few, many)]
    assert flop[1] == pytest.approx(11 * flop[0])  # a tenth more: the sample
    assert any("the pooling is chosen on 3000 rows" in line for line in many.assumptions)
    assert not any("the pooling is chosen" in line for line in few.assumptions)


def test_a_plan_of_labelled_texts_measures_its_rates(tiny, monkeypatch):
    monkeypatch.setattr("separatrix.analysis.plan.labelled._SIZES", (30, 60))
    monkeypatch.setattr("separatrix.analysis.plan.labelled._NEAR_ROWS", 100)
    monkeypatch.setattr("separatrix.analysis.plan.models._SECONDS", 0.01)
    for verb in ("rank", "suspects"):
        plan = sx.plan(verb, texts=200, tokens_per_text=9, model=str(tiny("bert")), device="cpu")
        assert plan.measured
        assert plan.seconds > 0


@pytest.mark.parametrize(
    ("verb", "options", "message"),
    [
        ("rank", {"model": ("a", "b")}, "a plan of rank is of one model: got 2 models"),
        ("suspects", {"memory": "1GiB"}, "--memory has no effect: suspects has no such option"),
        ("suspects", {"texts": None}, "a plan needs data, or texts and tokens_per_text"),
    ],
)
def test_what_cannot_be_planned_of_labelled_texts_is_refused(verb, options, message):
    with pytest.raises(OptionError, match=message):
        sx.plan(verb, machine=RATES, **{"texts": 100, "tokens_per_text": 9} | options)


def training_plan(tiny, method, **options):
    return sx.plan("train", method=method, model=str(tiny(options.pop("kind", "bert"))), device="cpu", **options)


@pytest.mark.parametrize(
    ("method", "forwards", "stages"),
    [
        # of 720, 80 and 200 texts: learnt from, of validation, of test
        ("probe", 720 + 80 + 280, ["k-NN, a baseline", "pooling of the probe", "linear probe"]),
        ("prompt", 720 + 80 + 280, ["training, 230 steps", "k-NN, a baseline"]),
        # baselines, bank, validation of six epochs, nineteen pictures, index, answers
        ("finetune", 1000 + 720 + 6 * 80 + 19 * 380 + 800 + 280, ["training, 138 steps", "k-NN, a baseline"]),
        ("align", 1000 + 720 + 6 * 80 + 19 * 380 + 800 + 280, ["training, 138 steps", "k-NN, a baseline"]),
    ],
)
def test_a_training_is_planned_by_its_method(method, forwards, stages, tiny):
    plan = training_plan(tiny, method, texts=1000, tokens_per_text=9, machine=RATES)
    assert [stage["name"] for stage in plan.stages][2 : 2 + len(stages)] == stages
    one = sx.plan("suspects", texts=1, tokens_per_text=9, model=str(tiny("bert")), device="cpu", machine=RATES)
    each = one.stages[1]["flop"]
    assert plan.stages[1]["flop"] == pytest.approx(forwards * each)
    if method in ("finetune", "align"):
        assert plan.stages[2]["flop"] == pytest.approx(3 * 32 * 138 * each)  # forward, backward twice
    if method == "prompt":
        forward = 720 + 80 * 10 + 31 * 80  # the start, ten epochs, their pictures
        assert plan.stages[2]["flop"] == pytest.approx((2 * 32 * 230 + forward) * each * 8 / 9)  # eight behind nine
    assert plan.rows == 1000


def test_a_second_training_and_more_epochs_are_counted(tiny):
    sizes = {"texts": 1000, "tokens_per_text": 9, "machine": RATES}
    plain, longer, twice = (
        training_plan(tiny, "finetune", **sizes, **options).stages[2]["flop"]
        for options in ({}, {"epochs": 12}, {"refit": True})
    )
    assert longer == 2 * plain
    assert twice == pytest.approx(plain * (23 + 25) / 23)  # steps of 720 rows, and of 800


def test_a_probe_of_many_texts_chooses_its_pooling_on_a_sample(tiny):
    few, many = (training_plan(tiny, "probe", texts=n, tokens_per_text=9, machine=RATES) for n in (20_000, 100_000))
    assert any("the pooling is chosen on 3000 rows" in line for line in many.assumptions)
    assert not any("the pooling is chosen" in line for line in few.assumptions)
    choice = {plan.rows: plan.stages[3]["rows"] for plan in (few, many)}
    assert len(set(choice.values())) == 1  # no more rows are compared than 2,000 of each pooling


@pytest.mark.parametrize(("method", "kind"), [("align", "bert"), ("finetune", "bert"), ("prompt", "gpt2")])
@pytest.mark.parametrize("there", [True, False], ids=["texts", "made-up texts"])
def test_the_steps_of_a_training_are_measured(method, kind, there, tiny, planted, monkeypatch):
    monkeypatch.setattr("separatrix.analysis.plan.labelled._SIZES", (30, 60))
    monkeypatch.setattr("separatrix.analysis.plan.labelled._NEAR_ROWS", 100)
    monkeypatch.setattr("separatrix.analysis.plan.models._SECONDS", 0.01)
    data = {"data": Texts.of(planted[0][:90], planted[1][:90])} if there else {"texts": 90, "tokens_per_text": 9}
    plan = training_plan(tiny, method, kind=kind, batch_size=8, **data)
    assert plan.measured
    assert plan.stages[2]["name"].startswith("training, ")
    assert plan.stages[2]["seconds"] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "a plan of train is of one method: got auto, expected probe, align, finetune, prompt; a race"),
        ({"method": "peft"}, "a plan of train is of one method: got peft"),
        ({"method": "align", "tokens": 3}, "unknown option: got 'tokens'"),
        ({"method": "align", "memory": "1GiB"}, "--memory has no effect: train has no such option"),
        ({"method": "prompt", "loss": "mse"}, "a plan of train is of classes: got --loss mse, of numbers"),
        ({"method": "align", "rare": "keep"}, "rare.*got 'keep'"),
        ({"method": "align", "recipe": 3}, "this recipe is of no training that is planned: got int"),
    ],
)
def test_a_training_that_cannot_be_planned_is_refused(options, message):
    with pytest.raises(OptionError, match=message):
        sx.plan("train", texts=100, tokens_per_text=9, machine=RATES, **options)


@pytest.mark.parametrize("method", ["probe", "prompt", "align", "finetune"])
def test_trainings_of_several_labels_are_planned(tiny, tmp_path, method):
    rows = "".join(f"the {'cat' if n % 2 else 'dog'} {n % 9} {n},{'b;c' if n % 2 else 'b'}\n" for n in range(60))
    (tmp_path / "rows.csv").write_text("text,label\n" + rows)
    plan = sx.plan("train", tmp_path / "rows.csv", method=method, label_separator=";", model=str(tiny("bert")))
    assert plan.seconds > 0


def test_a_plan_reads_the_rows_that_the_training_would(tiny, tmp_path):
    """A class with one row is left out of it, and a pooling that is named is not searched for."""
    rows = [("the cat", "a"), ("the dog", "b")] * 20 + [("a bird", "once")]
    (tmp_path / "rows.csv").write_text(
        "text,label\n" + "".join(f"{text} {n},{label}\n" for n, (text, label) in enumerate(rows))
    )
    options = {"method": "probe", "model": str(tiny("bert")), "device": "cpu", "machine": RATES}
    best = sx.plan("train", tmp_path / "rows.csv", **options)
    kept = sx.plan("train", tmp_path / "rows.csv", pool="mean", **options)
    merged = sx.plan("train", tmp_path / "rows.csv", per_class=4, **options)
    assert (best.rows, kept.rows) == (40, 40)
    assert merged.rows < 40
    choice = [next(one for one in plan.stages if one["kernel"] == "pooling")["rows"] for plan in (best, kept)]
    assert choice[0] > 0 == choice[1]


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        (
            ["the cat,a", "the dog,b"] * 20 + ["a bird,once"],
            {"rare": "refuse"},
            "has one row to learn from",
        ),
        (["the cat,a", "the dog,a"] * 20, {}, "a classifier needs two classes or more"),
        (["the cat,0.5", "the dog,1.5"] * 20, {}, "labels are numbers to predict, not classes"),
    ],
)
def test_a_plan_refuses_the_labels_that_the_training_refuses(lines, options, message, tiny, tmp_path):
    """Regression: a probe of them was planned."""
    rows = "".join(line.replace(",", f" {number},", 1) + "\n" for number, line in enumerate(lines))
    (tmp_path / "rows.csv").write_text("text,label\n" + rows)
    given = {"method": "probe", "model": str(tiny("bert")), "device": "cpu", **options}
    with pytest.raises(SeparatrixError, match=message):
        sx.plan("train", tmp_path / "rows.csv", machine=RATES, **given)
    with pytest.raises(SeparatrixError, match=message):
        sx.train(tmp_path / "rows.csv", **given)


def test_a_plan_by_groups_holds_out_seen_rows_as_the_training_does(tiny, planted, tmp_path):
    rows = "".join(f"{text},{label},{n // 10}\n" for n, (text, label) in enumerate(zip(*planted, strict=True)))
    (tmp_path / "rows.csv").write_text("text,label,group\n" + rows)
    given = {"method": "probe", "model": str(tiny("bert")), "device": "cpu", "group": "group", "by": "group"}
    plan = sx.plan("train", tmp_path / "rows.csv", machine=RATES, **given)
    run = sx.train(tmp_path / "rows.csv", **given)
    assert next(one for one in plan.stages if one["kernel"] == "probe")["rows"] == run.rows["train"]


def test_the_command_and_the_verb_plan_the_same_methods():
    from separatrix.analysis.plan.training import PLANNED
    from separatrix.cli.plan import _METHODS

    assert {*_METHODS} == {*PLANNED}


@pytest.mark.parametrize("verb", ["train", "suspects", "rank", "extract"])
def test_no_texts_at_all_are_refused(verb):
    options = {"method": "probe"} if verb == "train" else {}
    with pytest.raises(OptionError, match="--texts is out of range: got 0, expected a whole number, 1 or more"):
        sx.plan(verb, texts=0, tokens_per_text=9, machine=RATES, **options)
