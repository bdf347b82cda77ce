import numpy as np
import pandas as pd
import pytest

from separatrix import recipe as recipes
from separatrix.analysis import labelled_files
from separatrix.analysis.project import project
from separatrix.analysis.suspects import suspects
from separatrix.errors import DataError, OptionError, SeparatrixWarning, StoreError
from separatrix.extraction.extract import extract
from separatrix.points import Points
from separatrix.store.files import write_json, write_tensors
from separatrix.store.points import write_points
from separatrix.store.table import read_table, write_table
from separatrix.texts import Texts, load_texts

NAMES = np.array(["cat", "dog", "owl"])


@pytest.fixture(scope="module")
def planted():
    """Three heaps, a tenth of the labels flipped, and one text that stands twice under two labels."""
    rng = np.random.default_rng(0)
    true = np.arange(360) % 3
    x = (3 * np.eye(6)[true] + rng.normal(size=(360, 6))).astype(np.float32)
    flipped = rng.random(360) < 0.1
    labels = np.where(flipped, (true + rng.integers(1, 3, 360)) % 3, true)
    flipped[1], labels[1] = True, 0
    x[1], true[1] = x[4], true[4]
    labels[4] = 1
    flipped[4] = False
    text = [f"row {i}" for i in range(360)]
    text[1] = "ROW  4"
    table = pd.DataFrame({"id": np.arange(360) + 1000, "text": text, "label": NAMES[labels], "split": "train"})
    return Points.of(x, table), flipped, NAMES[true]


@pytest.fixture(scope="module")
def found(planted, tmp_path_factory):
    out = tmp_path_factory.mktemp("suspects") / "s"
    return suspects(planted[0], near=0.9999, out=out), out


def test_planted_flips_stand_first(planted, found):
    points, flipped, true = planted
    made, _ = found
    wrong = dict(zip(points.table["id"], flipped, strict=True))
    hits = made.table["id"].map(wrong)
    share = flipped.mean()
    assert 0.07 < share < 0.14  # the precision of rows at random
    assert hits.mean() > 0.9
    assert hits.sum() / flipped.sum() > 0.7  # a short list: precision before recall
    assert hits[: int(flipped.sum())].mean() > 0.75
    right = dict(zip(points.table["id"], true, strict=True))
    good = made.table[hits.to_numpy()]
    assert (good["suggested"] == good["id"].map(right)).mean() > 0.9
    assert made.estimated_noise == pytest.approx(share, abs=0.05)
    assert made.table["score"].is_monotonic_increasing


def test_copies_with_two_labels_are_named(found):
    made, _ = found
    row = made.table.set_index("id").loc[1001]
    assert row["same_text_labels"] == "dog"
    assert row["near_id"] == "1004"
    assert "near duplicate of 1004" in row["reason"]
    assert "same text labelled dog" in row["reason"]


def test_the_folder_holds_tables_and_a_page(planted, found):
    made, out = found
    assert {path.name for path in out.iterdir()} == {
        "manifest.json", "suspects.parquet", "suspects.csv", "rows.parquet", "result.json", "suspects.html",
    }  # fmt: skip
    rows = read_table(out / "rows.parquet")
    assert rows["id"].tolist() == planted[0].table["id"].tolist()
    assert {"id", "text", "label", "split"} <= set(read_table(out / "suspects.parquet").columns)
    page = (out / "suspects.html").read_text()
    assert "Suspect labels" in page
    assert "http" not in page.split("<main>")[1].split("</main>")[0]
    assert made.models["knn"]["interval"][0] > made.models["knn"]["majority"]


def test_labels_that_mean_nothing_are_said_to_mean_nothing():
    rng = np.random.default_rng(0)
    points = Points.of(rng.normal(size=(120, 4)).astype(np.float32), {"label": rng.choice(NAMES, 120)})
    made = suspects(points)
    assert sum("is not above the majority baseline" in line for line in made.warnings) == 3


def test_rows_without_label_and_crowded_vectors_are_said():
    rng = np.random.default_rng(0)
    x = (10 + rng.normal(size=(90, 4)) + np.eye(4)[np.arange(90) % 2] * 3).astype(np.float32)
    label = pd.Series(NAMES[np.arange(90) % 2]).where(np.arange(90) > 4, None)
    made = suspects(Points.of(x, {"label": label}), near=0.9)
    assert len(made.rows) == 85
    assert "5 rows have no label" in made.warnings[0]
    assert "lie close together" in made.warnings[1]


def make_run(folder, points, epochs=4):
    """What `suspects` reads of a run: training dynamics of the train rows, scores of the validation rows."""
    table = points.table
    labels = table["label"].tolist()
    codes = np.searchsorted(NAMES, labels)
    rng = np.random.default_rng(0)
    (folder / "trajectory").mkdir(parents=True)
    digest = recipes.digest(table["text"].tolist(), labels)
    write_json(folder / "recipe.json", {"data": {"train": {"digest": digest, "rows": len(table)}}})
    write_json(folder / "result.json", {"classes": list(NAMES), "scores": {"validation": {"accuracy": 0.9}}})
    for epoch in range(epochs):
        scores = (points.values[:, :3] + 0.1 * rng.normal(size=(len(table), 3))).astype(np.float32)
        p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        own = p[np.arange(len(table)), codes].astype(np.float16)
        write_tensors(folder / "trajectory" / f"epoch-{epoch:04d}.safetensors", {"scores": scores, "own": own})
    frame = table[["id", "text", "label"]].assign(**{f"probability_{n}": p[:, k] for k, n in enumerate(NAMES)})
    write_table(folder / "predictions" / "validation.parquet", frame)
    return folder


def test_training_dynamics_stand_beside_and_only_of_the_same_rows(planted, tmp_path):
    points, flipped, _ = planted
    run = make_run(tmp_path / "run", points)
    made = suspects(points, near=0.9999, run=str(run))
    confidence = made.rows["confidence"].to_numpy()
    assert confidence[flipped].mean() < 0.25
    assert confidence[~flipped].mean() > 0.7
    assert (made.rows["variability"] >= 0).all()
    assert made.table["reason"].str.contains("training confidence").mean() > 0.6
    renamed = Points.of(points.values, points.table.rename(columns={"label": "kind"}))
    again = suspects(renamed, near=0.9999, run=str(run), label="kind")
    assert again.rows["confidence"].tolist() == confidence.tolist()
    with pytest.raises(DataError, match="was trained on other rows: got 359 rows, expected the 360 rows"):
        suspects(points.take(np.arange(359)), run=str(run))
    with pytest.raises(DataError, match="was trained on other rows"):
        suspects(points.take(np.arange(360)[::-1]), run=str(run))


def test_a_run_alone_is_judged_on_its_validation_rows(planted, tmp_path):
    points, flipped, _ = planted
    run = make_run(tmp_path / "run", points)
    made = suspects(run, out=tmp_path / "s")
    assert made.judged == "validation rows of the run"
    hits = flipped[made.rows["run_flagged"].to_numpy()]
    assert hits.mean() > 0.6
    assert hits.sum() > 0.5 * flipped.sum()
    assert {"confidence", "variability", "correctness"} <= set(made.table.columns)
    with pytest.raises(OptionError, match="--run and --block need points"):
        suspects(run, run=str(run))
    for option in ({"label": "label"}, {"folds": 7}, {"k": 10}, {"near": 0.5}):
        with pytest.raises(OptionError, match=f"--{next(iter(option))} has no effect: it belongs to points; leave"):
            suspects(run, **option)
    with pytest.raises(DataError, match="holds nothing usable"):
        suspects(tmp_path)


def test_labelled_texts_need_no_other_verb_before(tiny, tmp_path):
    """The same rows as points of the same vectors: the same suspects; a wrong label is among them."""
    words, kinds = ("cat", "dog", "bird"), np.arange(150) % 3
    rng = np.random.default_rng(0)
    others = ["the", "is", "in", "house", "red", "big", "old", "on"]
    texts = [" ".join([*[words[kind]] * 6, *rng.choice(others, 4)]) for kind in kinds]
    labels = [words[kind] for kind in kinds]
    for row in (4, 30, 77, 110):
        labels[row] = words[(kinds[row] + 1) % 3]
    data = tmp_path / "texts.csv"
    pd.DataFrame({"body": texts, "kind": labels}).to_csv(data, index=False)
    own = {"label": "kind", "pool": "mean", "near": 1.0}
    result = suspects(data, text="body", model=str(tiny("bert")), out=tmp_path / "s", device="cpu", **own)
    points = extract(load_texts(data, text="body", label="kind"), model=str(tiny("bert")), pool="mean")
    again = suspects(Points.of(points.values, points.table.rename(columns={"label": "kind"})), label="kind", near=1.0)
    assert 4 in result.table["id"].tolist()
    assert "bird" in str(result)  # the label that was judged is shown, whatever its column is called
    assert ">label<" in (tmp_path / "s" / "suspects.html").read_text()
    assert "bird" in str(again)
    assert result.table[["id", "suggested"]].equals(again.table[["id", "suggested"]])
    assert {"suspects", "estimated_noise", "judges", "out"} <= set(result.to_dict())
    assert result.to_dict()["judges"] == result.models
    assert {*result.models} == {"knn", "probe", "directions"}
    with pytest.raises(OptionError, match="--pool has no effect: it belongs to texts; leave --pool away"):
        suspects(points, pool="mean")
    with pytest.raises(OptionError, match="--text has no effect: it belongs to texts; leave --text away"):
        suspects(points, text="text")  # given, if only as the default
    with pytest.raises(DataError, match="no column 'text'"):
        suspects(data, label="kind")
    write_points(tmp_path / "points", points)
    assert suspects(str(tmp_path / "points")).judged == "out-of-fold rows of the points"


def test_a_file_comes_back_whole_with_what_is_said_and_without_the_suspects(tiny, tmp_path):
    words, kinds = ("cat", "dog", "bird"), np.arange(150) % 3
    rng = np.random.default_rng(0)
    texts = [" ".join([*[words[kind]] * 6, *rng.choice(["the", "red", "house", "old"], 3)]) for kind in kinds]
    labels = [words[kind] for kind in kinds]
    wrong = [4, 30, 77, 110]
    for row in wrong:
        labels[row] = words[(kinds[row] + 1) % 3]
    data, clean = tmp_path / "texts.csv", tmp_path / "clean.csv"
    frame = pd.DataFrame({"code": [f"{n:03d}" for n in range(150)], "body": texts, "kind": labels, "id": "mine"})
    frame.to_csv(data, index=False)
    options = {"text": "body", "label": "kind", "model": str(tiny("bert")), "device": "cpu"}
    result = suspects(data, out=tmp_path / "s", drop=clean, **options)
    issues = pd.read_csv(tmp_path / "s" / "label_issues.csv", dtype={"code": str})
    assert issues["code"].tolist() == frame["code"].tolist()  # the rows of the file, in its order
    assert list(issues.columns) == [
        "code", "body", "kind", "id", "is_label_issue", "label_quality", "given_label", "predicted_label",
    ]  # fmt: skip
    assert issues["given_label"].tolist() == labels
    assert issues["label_quality"].between(0, 1).all()
    flagged = np.flatnonzero(issues["is_label_issue"])
    assert {*wrong} <= {*flagged}
    assert len(flagged) <= 3 * len(wrong)
    assert [issues["predicted_label"][row] for row in wrong] == [words[kinds[row]] for row in wrong]
    assert result.table["id"].tolist()[: len(wrong)] != []
    kept = pd.read_csv(clean, dtype=str)
    pd.testing.assert_frame_equal(kept, frame.drop(index=flagged).reset_index(drop=True))
    assert result.dropped == {"file": "clean.csv", "dropped": len(flagged), "left": len(kept)}
    assert f"{len(kept)} rows in clean.csv ({len(flagged)} of {len(kept) + len(flagged)} dropped, " in str(result)
    assert result.estimated_errors <= 3 * len(wrong)
    assert result.expected_precision.keys() == {"20", "50", "100"}
    assert "expected to be wrong" in str(result)
    with pytest.raises(StoreError, match=r"clean\.csv is there already"):
        suspects(data, drop=clean, **options)
    with pytest.raises(OptionError, match="--drop names the file that is read"):
        suspects(data, drop=data, overwrite=True, **options)
    with pytest.raises(OptionError, match="--drop needs one file of texts"):
        suspects(Points.of(np.eye(3)), drop=clean)
    with pytest.raises(OptionError, match="--drop needs one file of texts: got a folder"):
        suspects(tmp_path, drop=tmp_path / "other.csv")
    with pytest.raises(DataError, match=r"there is no file .*nowhere\.csv"):
        suspects(tmp_path / "nowhere.csv", drop=tmp_path / "other.csv")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"kind": ["a"] * 30}, "the rows have no column 'label'"),
        ({"label": ["a"] * 30}, "the column 'label' holds no classes: got 1 different values"),
    ],
)
def test_what_has_no_classes_is_refused(table, message):
    with pytest.raises(DataError, match=message):
        suspects(Points.of(np.random.default_rng(0).normal(size=(30, 2)), table))


def test_a_broken_vector_is_named():
    x = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    x[11, 1] = np.inf
    with pytest.raises(DataError, match="vectors: row 11 is not finite"):
        suspects(Points.of(x, {"label": ["a", "b"] * 15}))


def test_neighbors_that_a_map_lists_are_taken_and_give_the_same(planted, found, tmp_path):
    points = planted[0]
    project(points, "pca", nearest=90, out=tmp_path / "map")
    again = suspects(points, near=0.9999, neighbors=str(tmp_path / "map"))
    pd.testing.assert_frame_equal(again.rows, found[0].rows, atol=1e-6)


@pytest.mark.parametrize(
    ("nearest", "change", "message"),
    [
        (0, None, "lists no neighbors"),
        (4, None, "lists too few neighbors: got 4, expected 10"),
        (20, "rows", "is a map of other rows: got 360 rows"),
        (20, "vectors", "lists neighbors of other vectors"),
    ],
)
def test_a_map_of_something_else_is_refused(nearest, change, message, planted, tmp_path):
    points = planted[0]
    project(points, "pca", nearest=nearest, out=tmp_path / "map")
    if change == "rows":
        points = points.take(np.arange(300))
    if change == "vectors":
        points = Points.of(np.random.default_rng(1).normal(size=(360, 6)), points.table)
    with pytest.raises((DataError, StoreError), match=message):
        suspects(points, neighbors=str(tmp_path / "map"))


def test_what_holds_no_map_is_refused(planted, tmp_path):
    write_points(tmp_path / "points", planted[0])
    with pytest.raises(StoreError, match="holds no map"):
        suspects(planted[0], neighbors=str(tmp_path / "points"))


def test_few_misread_rows_are_no_sign_of_weak_judges():
    """One wrong label of 90 rows: of the first 20 rows 19 are right, and the judges are right as well."""
    rng = np.random.default_rng(0)
    heaps = np.repeat(6 * np.eye(3), 30, axis=0) + rng.normal(size=(90, 3))
    labels = np.repeat(NAMES, 30)
    labels[0] = "owl"
    result = suspects(Points.of(heaps, {"label": labels}), near=1.0)
    assert result.table["id"].tolist() == [0]
    assert not [line for line in result.warnings if "weak" in line]


def test_few_rows_and_a_long_list_of_suspects_are_warned_of(planted, found, tmp_path):
    """Regression: of 48 rows 10 suspects went without a word."""
    points, _, _ = planted
    few = suspects(points.take(np.arange(60)), near=0.9999)
    assert any(line.startswith("60 rows are few to tell wrong labels from hard rows") for line in few.warnings)
    made = found[0]
    assert not any("rows are few" in line for line in made.warnings)
    share = f"{len(made.table)} of 360 rows are suspects ({len(made.table) / 360:.0%})"
    assert any(line.startswith(share) for line in made.warnings) == (len(made.table) > 36)


def test_texts_may_be_read_in_another_number_format(tiny, tmp_path, monkeypatch):
    """`auto` asks what the texts allow and says why; points have no number format to choose."""
    texts = load_texts(write_few(tmp_path / "few.csv"))
    own = {"model": str(tiny("bert")), "pool": "mean", "device": "cpu"}
    monkeypatch.setattr("separatrix.models.precision.computes_bfloat16", lambda _device: False)
    result = suspects(texts, dtype="auto", **own)
    assert any("number format float32: the processor has no instructions" in line for line in result.warnings)
    assert any("so that float32 is faster" in line for line in suspects(texts, dtype="bfloat16", **own).warnings)
    assert not any("number format" in line for line in suspects(texts, **own).warnings)
    with pytest.raises(OptionError, match="--dtype has no effect: it belongs to texts"):
        suspects(extract(texts, pool="mean", model=own["model"]), dtype="bfloat16")


def write_few(path):
    """Thirty texts of three kinds."""
    words = ("cat", "dog", "bird")
    rows = [
        {"text": f"{words[row % 3]} the house is red {'old ' * (row % 5)}", "label": words[row % 3]}
        for row in range(30)
    ]
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


@pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")  # words that a tiny model does not know
def test_of_many_texts_the_pooling_is_chosen_on_a_sample(tiny, monkeypatch):
    """All poolings of a sample, one of all rows: memory holds one block."""
    texts = [f"{word} {row}" for row in range(30) for word in ("red", "blue")]
    table = Texts.of(texts, ["x", "y"] * 30)
    from separatrix.models import extract as reading

    read, blocks = reading.extract_blocks, list[tuple[int, int]]()

    def counted(backbone, some, plans, progress):
        blocks.append((len(some), len(plans)))
        return read(backbone, some, plans, progress)

    monkeypatch.setattr(reading, "extract_blocks", counted)
    whole = suspects(table, model=str(tiny("bert")), device="cpu")
    monkeypatch.setattr(labelled_files, "POOL_TEXTS", 40)
    sampled = suspects(table, model=str(tiny("bert")), device="cpu")
    assert [rows for rows, _ in blocks] == [60, 40, 60]
    assert [pools > 1 for _, pools in blocks] == [True, True, False]
    assert len(sampled.rows) == len(whole.rows)


@pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")
def test_labels_that_look_joined_are_told_of(tiny):
    table = Texts.of([f"text {n}" for n in range(40)], ["a", "b", "a,b", "b,a"] * 10)
    lines = suspects(table, model=str(tiny("bert")), device="cpu", pool="mean").warnings
    assert any(
        "joined by ','" in line and "type --label-separator , to judge each label by itself" in line for line in lines
    ), lines


def test_of_many_rows_some_judge_all(planted):
    """A third of the rows judges; the flips are found still, and which rows judge is said."""
    points, flipped, _ = planted
    few = suspects(points, near=0.9999, most_rows=120)  # three classes
    assert few.judged.endswith("by 150 of 360 rows: 50 of each class, and its share (--most-rows 0: by all)")
    assert len(few.rows) == 360
    named = few.table["id"].to_numpy() - 1000
    assert flipped[named].mean() > 0.7
    assert np.isin(np.flatnonzero(flipped), named).mean() > 0.7
    whole = suspects(points, near=0.9999, most_rows=0)
    assert whole.judged == "out-of-fold rows of the points"


def test_a_file_is_read_as_train_reads_it(tiny, tmp_path):
    """Regression: `--sep` and `--drop-unlabelled` were advised, and unknown."""
    rows = [f"{'cat' if n % 2 else 'dog'} {n % 9};{'a' if n % 2 else 'b'}" for n in range(40)]
    rows[5] = "the owl;"
    (tmp_path / "rows.csv").write_text("text;label\n" + "\n".join(rows) + "\n")
    options = {"model": str(tiny("bert")), "device": "cpu", "pool": "mean"}
    with pytest.warns(SeparatrixWarning):
        made = suspects(
            tmp_path / "rows.csv",
            sep=";",
            drop_unlabelled=True,
            out=tmp_path / "s",
            drop=tmp_path / "clean.csv",
            **options,
        )
    assert len(made.rows) == 39
    issues = pd.read_csv(tmp_path / "s" / "label_issues.csv")
    assert issues["text"].tolist()[5] == rows[6].split(";")[0]
    assert (tmp_path / "clean.csv").read_text().startswith("text;label\n")
    with pytest.raises(OptionError, match="--sep has no effect: it belongs to texts"):
        suspects(Points.of(np.eye(6), {"label": list("ababab")}), sep=";")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0.5, 1.25] * 20, "holds numbers, not classes: got fractions"),
        ([f"id{n}" for n in range(40)], "holds no classes: got 40 different values in 40 rows, expected 2 to 20"),
        (["a", "b"], "in the column 'label' are too few to judge each other: got 2, expected 4 or more"),
    ],
)
def test_columns_that_hold_no_classes_are_refused_before_the_model_runs(labels, message):
    texts = Texts.of([f"text {n}" for n in range(len(labels))], labels)
    with pytest.raises(DataError, match=message):
        suspects(texts, model="no/such-model")


def test_texts_that_are_all_equal_are_refused_before_the_model_runs():
    with pytest.raises(DataError, match=r"learn from are all equal: got 40 rows of one text, .* column with --text"):
        suspects(Texts.of(["same"] * 40, ["a", "b"] * 20), model="no/such-model")


def test_texts_without_labels_are_refused():
    with pytest.raises(DataError, match="was read without labels; name their column"):
        suspects(Texts.of(["a", "b", "c"]))


def test_a_run_takes_no_separator_of_labels(planted, tmp_path):
    """Regression: it was passed over in silence."""
    with pytest.raises(OptionError, match="--label-separator has no effect: it belongs to points"):
        suspects(make_run(tmp_path / "run", planted[0]), label_separator=",")


def test_the_noise_counts_what_copies_say():
    """Regression: it was what the judges alone said, 0.0001 beside fifteen estimated errors."""
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(100, 5)), 2, axis=0).astype(np.float32)
    labels = np.repeat(NAMES[(x[::2, 0] > 0).astype(int)], 2)
    labels[:20:2] = np.where(labels[:20:2] == "cat", "dog", "cat")
    made = suspects(Points.of(x, {"label": labels, "text": [f"row {n // 2}" for n in range(200)]}))
    assert made.estimated_noise == pytest.approx(made.estimated_errors / 200, abs=0.003)
    assert made.estimated_noise > 0.03


def test_a_row_whose_class_no_other_row_shows_is_never_doubted(tmp_path):
    """Regression: it had the quality 0.000, stood first, and was dropped together with its class."""
    rng = np.random.default_rng(0)
    heaps = np.repeat(6 * np.eye(4), [40, 40, 1, 2], axis=0) + rng.normal(size=(83, 4))
    heaps[82] = heaps[81]  # both rows of a class are one
    labels = np.repeat([*NAMES, "eel"], [40, 40, 1, 2])
    labels[3] = "dog"  # wrong
    made = suspects(Points.of(heaps, {"label": labels}), near=1.0, out=tmp_path / "s")
    assert made.table["id"].tolist() == [3]
    assert np.flatnonzero(made.rows["score"].isna()).tolist() == [80, 81, 82]
    assert made.rows["suggested"].tolist()[80:] == ["owl", "eel", "eel"]
    assert not made.rows["knn_flagged"][80:].any()
    assert made.estimated_errors == 1
    assert made.expected_precision["20"] < 0.1
    assert made.accuracy > 0.97
    assert "no row is doubted for owl, eel: 2 classes (3 rows) that no other row shows to the judges" in made.warnings
    assert read_table(tmp_path / "s" / "rows.parquet")["score"].isna().sum() == 3


@pytest.mark.parametrize(("sizes", "several"), [([3] * 10, 0), ([25, 1], 1)])
def test_one_class_beside_single_rows_is_refused(sizes, several):
    labels = np.repeat([*"abcdefghij"][: len(sizes)], sizes)
    x = np.repeat(np.eye(10)[: len(sizes)], sizes, axis=0)
    x += np.random.default_rng(0).normal(size=x.shape) * (several > 0)  # else the rows of a class are copies
    with pytest.raises(DataError, match=f"too few classes have two different rows: got {several} of {len(sizes)}"):
        suspects(Points.of(x, {"label": labels}))
