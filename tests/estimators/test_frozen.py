"""`FrozenClassifier`: heads on frozen vectors, its files, and scikit-learn's own checks."""

import functools
import json
import pickle
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from separatrix.cli import main
from separatrix.errors import DataError, ModelError, OptionError, StoreError, UnverifiedWarning
from separatrix.estimators import frozen
from separatrix.estimators.frozen import FrozenClassifier
from separatrix.geometry.neighbors import knn_predict
from separatrix.learn.trained.frozen import FITTERS, HeadData
from separatrix.learn.trained.loading import load_model
from separatrix.recipe import ModelRecipe
from separatrix.recipe.score import FrozenRecipe
from spelled import EXPECTED, spell, spelling, to_rounding


@pytest.fixture(scope="module")
def texts(planted):
    words, labels = planted
    return words[:90], labels[:90], words[90:120], labels[90:120]


@pytest.mark.parametrize("head", ["probe", "knn", "centroid"])
def test_every_head_beats_the_majority_and_survives_its_files(head, tiny, texts, tmp_path):
    train, labels, test, gold = texts
    clf = FrozenClassifier(str(tiny("bert")), pool="mean", layer=0, head=head).fit(train, labels)
    assert clf.score(test, gold) > 0.5  # a third is the majority; the animal's embedding is in the mean
    assert clf.scores_["accuracy"] > clf.scores_["majority"]
    assert clf.scores_["on"] == ("held-out rows" if head == "probe" else "leave-one-out")
    chance = clf.predict_proba(test)
    np.testing.assert_allclose(chance.sum(axis=1), 1)
    assert (clf.classes_[chance.argmax(axis=1)] == clf.predict(test)).all()
    clf.save(tmp_path / "saved")
    assert {path.name for path in (tmp_path / "saved").iterdir()} == {
        "manifest.json",
        "model.json",
        "model.safetensors",
    }
    again = FrozenClassifier.load(tmp_path / "saved")
    np.testing.assert_array_equal(again.predict_proba(test), chance)
    assert again.get_params()["head"] == head
    assert again.scores_ == json.loads(json.dumps(clf.scores_))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(clf)).predict_proba(test), chance)


def test_other_weights_and_other_files_are_refused(tiny, texts, tmp_path):
    train, labels, *_ = texts
    clf = FrozenClassifier(str(tiny("bert")), head="centroid").fit(train, labels)
    clf.save(tmp_path / "saved")
    with pytest.raises(ModelError, match="belongs to other weights"):
        FrozenClassifier.load(tmp_path / "saved", model=tiny("electra"))
    with pytest.raises(StoreError, match="exists; type --overwrite"):
        clf.save(tmp_path / "saved")
    with pytest.raises(StoreError, match="no trained model"):
        FrozenClassifier.load(tmp_path)


def test_neighbors_are_those_of_the_vectors(tiny, texts):
    train, labels, test, _ = texts
    clf = FrozenClassifier(str(tiny("gpt2")), head="knn", k=3, metric="euclidean").fit(train, labels)
    names, targets = np.unique(labels, return_inverse=True)
    votes = knn_predict(clf.transform(test), clf.transform(train), targets, 3, classes=len(names), metric="euclidean")
    np.testing.assert_array_equal(clf.predict(test), names[votes.argmax(axis=1)])
    written = {name: clf.model_.arrays[name] for name in ("vectors", "targets", "classes")}  # by earlier versions
    earlier = replace(clf.model_, arrays=written)
    np.testing.assert_array_equal(earlier.probabilities(earlier.scores(clf.transform(test))), votes)
    distance, index = clf.kneighbors(test, n_neighbors=2)
    assert distance.shape == index.shape == (len(test), 2)
    assert (distance[:, 0] <= distance[:, 1]).all()
    np.testing.assert_array_equal(clf.kneighbors(test, 2, return_distance=False), index)
    assert clf.kneighbors(train[:5])[1][:, 0].tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(OptionError, match="keeps no neighbors"):
        FrozenClassifier(str(tiny("gpt2")), head="centroid").fit(train, labels).kneighbors(test)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_votes_are_as_sure_as_their_rows_are_near(metric):
    """Probabilities are finer than counts and fit new rows better; the answers are those of the vote."""
    rng = np.random.default_rng(0)
    y, gold = np.arange(200) % 4, np.arange(400) % 4
    centres = rng.normal(size=(4, 5))
    x, new = (centres[own] + rng.normal(size=(len(own), 5)) for own in (y, gold))
    recipe, head = FrozenRecipe(head="knn", k=5, metric=metric), FITTERS["knn"]
    fitted = head.fit(HeadData(x, y, 4, None, recipe))
    votes = knn_predict(new, x, y, 5, classes=4, metric=metric)
    chance = fitted.calibration.probabilities(head.scores(fitted.arrays, new, recipe))
    np.testing.assert_array_equal(chance.argmax(axis=1), votes.argmax(axis=1))
    assert len(np.unique(votes.max(axis=1).round(3))) < 10
    assert len(np.unique(chance.max(axis=1).round(9))) > 0.9 * len(new)
    shares = (votes + 1 / 4) / (votes + 1 / 4).sum(axis=1, keepdims=True)
    here = np.arange(len(new))
    assert -np.log(chance[here, gold]).mean() < -np.log(shares[here, gold]).mean()
    far = fitted.calibration.probabilities(head.scores(fitted.arrays, 3.0 * new, recipe))
    assert np.allclose(far, chance) == (metric == "cosine")  # a cosine has no size


def test_a_vote_of_all_rows_has_no_evidence():
    x, y = np.eye(3), np.array([0, 1, 1])
    recipe = FrozenRecipe(head="knn", k=3)
    fitted = FITTERS["knn"].fit(HeadData(x, y, 2, None, recipe))
    assert set(fitted.arrays) == {"vectors", "targets", "classes"}
    np.testing.assert_array_equal(FITTERS["knn"].scores(fitted.arrays, x, recipe), knn_predict(x, x, y, 3, classes=2))


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_equally_near_means_are_decided_by_no_name(metric):
    """Class 2 stands where class 0 does, class 1 mirrors them: rows on the axis are as far from all three."""
    x = np.array([[1.0, 2.0], [1.0, -2.0], [1.0, 2.0], [1.0, -2.0], [1.0, 2.0], [1.0, 2.0]])
    y, asked = np.array([2, 1, 0, 1, 0, 2]), np.array([[3.0, 0.0], [0.0, 0.0], [1.0, 2.0], [1.0, -2.0]])
    recipe, head = FrozenRecipe(head="centroid", metric=metric), FITTERS["centroid"]
    for names in ([0, 1, 2], [2, 0, 1], [1, 2, 0], [2, 1, 0]):
        own = np.array(names)
        fitted = head.fit(HeadData(x, own[y], 3, None, recipe))
        scores = head.scores(fitted.arrays, asked, recipe)
        assert scores.argmax(axis=1).tolist() == own[[2, 2, 2, 1]].tolist()
        assert fitted.judged[1].tolist() == own[[2, 1, 2, 1, 2, 2]].tolist()


def test_centroid_leave_one_out_is_what_a_loop_finds():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 4)), np.arange(30) % 3
    y[-1] = 3  # alone in its class: without itself the class has no mean
    recipe = FrozenRecipe(head="centroid", metric="euclidean")
    _, answers = FITTERS["centroid"].fit(HeadData(x, y, 4, None, recipe)).judged
    for row in range(30):
        rest = np.arange(30) != row
        means = [
            x[rest & (y == name)].mean(axis=0) if (rest & (y == name)).any() else np.full(4, np.inf)
            for name in range(4)
        ]
        assert answers[row] == np.argmin([np.linalg.norm(x[row] - mean) for mean in means])


def test_options_are_checked_before_the_model_is_loaded(texts):
    train, labels, *_ = texts
    with pytest.raises(OptionError, match="did you mean 'knn'"):
        FrozenClassifier("no/such-model", head="kn").fit(train, labels)
    with pytest.raises(DataError, match="two classes"):
        FrozenClassifier("no/such-model").fit(train, ["one"] * len(train))


def test_more_neighbors_than_rows_and_unknown_layers_are_refused(tiny, texts):
    train, labels, *_ = texts
    with pytest.raises(DataError, match="fewer rows than neighbors"):
        FrozenClassifier(str(tiny("bert")), head="knn", k=91).fit(train, labels)
    with pytest.raises(OptionError, match="layer that the model does not have"):
        FrozenClassifier(str(tiny("bert")), pool="mean", layer=9).fit(train, labels)
    with pytest.raises(OptionError, match="recipe is not a recipe"):
        FrozenClassifier(str(tiny("bert")), recipe=FrozenRecipe()).fit(train, labels)


def test_the_model_of_a_recipe_holds_beside_the_default_argument(tiny, texts):
    train, labels, *_ = texts
    recipe = ModelRecipe(model=str(tiny("bert")), device="cpu")
    for given, family in (({}, "bert"), ({"model": tiny("gpt2")}, "gpt2")):
        clf = FrozenClassifier(head="centroid", recipe=recipe, **given).fit(train, labels)
        assert clf.model_.backbone.source.name == str(tiny(family))


def test_it_works_in_a_grid_search(tiny, texts):
    train, labels, *_ = texts
    clf = FrozenClassifier(str(tiny("bert")), head="knn", recipe=ModelRecipe(device="cpu"))
    assert clone(clf).get_params() == clf.get_params()
    found = GridSearchCV(clf, {"pool": ["cls", "mean"], "layer": [0]}, cv=2).fit(train, labels)
    assert found.best_params_ == {"layer": 0, "pool": "mean"}  # the first token of every text is the same


REFUSING = EXPECTED | {"check_class_weight_classifiers": "class means count every row alike, and refuse class weights"}


@spelling
class SpelledFrozen(FrozenClassifier):
    """Reads a matrix as texts."""

    def fit(self, X, y, *, validation=None):
        return super().fit(spell(X), y, validation=validation)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.one_d_array = True, False
        return tags


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([SpelledFrozen(head="centroid")], expected_failed_checks=lambda _: REFUSING, xfail_strict=True)
def test_scikit_learn_checks(estimator, check, tiny, monkeypatch):
    monkeypatch.setattr(frozen, "load_backbone", functools.cache(frozen.load_backbone))
    to_rounding(check, monkeypatch)
    check(estimator.set_params(model=str(tiny("gpt2"))))


@pytest.mark.parametrize("head", ["probe", "knn", "centroid"])
def test_a_saved_one_labels_new_texts_from_the_command_line_too(head, tiny, texts, tmp_path):
    train, labels, test, _ = texts
    clf = FrozenClassifier(str(tiny("bert")), pool="mean", layer=0, head=head).fit(
        train, [name == "cat" for name in labels]
    )
    clf.save(tmp_path / "saved")
    pd.DataFrame({"text": test}).to_csv(tmp_path / "new.csv", index=False)
    out = tmp_path / "answers.csv"
    assert main(["predict", str(tmp_path / "saved"), str(tmp_path / "new.csv"), "--out", str(out), "--quiet"]) == 0
    table = pd.read_csv(out)
    assert table["predicted"].tolist() == clf.predict(test).tolist()
    np.testing.assert_allclose(table[["probability_False", "probability_True"]], clf.predict_proba(test), rtol=1e-3)
    assert ("neighbours" in table) == (head == "knn")
    assert load_model(tmp_path / "saved").answer([]).labels.tolist() == []


def test_files_of_earlier_versions_are_read(tiny, texts, tmp_path):
    """They held the labels as the user had written them, and no names of classes."""
    train, labels, test, _ = texts
    clf = FrozenClassifier(str(tiny("bert")), head="centroid").fit(train, [name == "cat" for name in labels])
    clf.save(tmp_path)
    notes = json.loads((tmp_path / "model.json").read_text())
    notes["classes"]["classes"] = notes.pop("labels")
    (tmp_path / "model.json").write_text(json.dumps(notes))
    (tmp_path / "manifest.json").unlink()
    with pytest.warns(UnverifiedWarning, match=r"has no manifest\.json"):
        again = FrozenClassifier.load(tmp_path)
    assert again.classes_.dtype == bool
    assert again.model_.classes.values == ("False", "True")
    assert again.predict(test).tolist() == clf.predict(test).tolist()


def test_a_model_that_moved_and_an_unknown_kind_are_said(tiny, texts, tmp_path):
    train, labels, test, _ = texts
    shutil.copytree(tiny("bert"), tmp_path / "here")
    clf = FrozenClassifier(str(tmp_path / "here"), head="centroid").fit(train, labels)
    clf.save(tmp_path / "saved")
    (tmp_path / "here").rename(tmp_path / "there")
    with pytest.raises(
        ModelError, match=r"was trained on was not found: got '.*here'; say where it is now with --model"
    ):
        load_model(tmp_path / "saved")
    moved = load_model(tmp_path / "saved", model=str(tmp_path / "there"))
    assert moved.answer(test).labels.tolist() == clf.predict(test).tolist()
    notes = json.loads((tmp_path / "saved/model.json").read_text()) | {"kind": "oracle"}
    (tmp_path / "saved/model.json").write_text(json.dumps(notes))
    (tmp_path / "saved/manifest.json").unlink()
    with pytest.raises(StoreError, match="unknown kind: got 'oracle', expected prompt, align, probe, peft, frozen"):
        load_model(tmp_path / "saved")


def test_weights_belong_to_the_probe(tiny, planted):
    texts, labels = planted
    one = FrozenClassifier(str(tiny("bert")), head="knn", k=3)
    with pytest.raises(OptionError, match="the head 'knn' counts every row alike: sample_weight has no effect"):
        one.fit(texts, labels, sample_weight=[1] * len(texts))
    plain, other, alike = (
        FrozenClassifier(str(tiny("bert"))).fit(texts, labels, sample_weight=weight).predict_proba(texts[:5])
        for weight in (None, [1 + 9 * (row % 2) for row in range(len(texts))], [1e-160] * len(texts))
    )
    assert not np.allclose(plain, other)
    np.testing.assert_allclose(plain, alike, atol=1e-6)


def test_class_weights_are_those_of_scikit_learn(tiny, planted, tmp_path):
    """By name or balanced, multiplied with the weights of rows, kept in files and clones."""
    texts, labels = planted[0][:60], np.array(planted[1][:60]) == planted[1][0]  # booleans

    def chances(class_weight=None, sample_weight=None):
        one = FrozenClassifier(str(tiny("bert")), class_weight=class_weight)
        return one.fit(texts, labels, sample_weight=sample_weight)

    new = planted[0][60:80]
    plain, heavy = chances().predict_proba(new), chances({True: 5}).predict_proba(new)
    assert heavy[:, 1].mean() > plain[:, 1].mean() + 0.02
    by_rows = chances(sample_weight=np.where(labels, 5.0, 1.0)).predict_proba(new)
    np.testing.assert_allclose(heavy, by_rows)
    rows = np.linspace(1, 2, len(labels))
    both = chances({True: 5}, rows).predict_proba(new)
    np.testing.assert_allclose(both, chances(sample_weight=np.where(labels, 5.0, 1.0) * rows).predict_proba(new))
    share = labels.mean()
    balanced = chances(sample_weight=np.where(labels, 0.5 / share, 0.5 / (1 - share))).predict_proba(new)
    np.testing.assert_allclose(chances("balanced").predict_proba(new), balanced)
    saved = chances({True: 5})
    saved.save(tmp_path / "model")
    again = FrozenClassifier.load(tmp_path / "model")
    assert again.class_weight == ("True=5",)
    np.testing.assert_allclose(clone(again).fit(texts, labels).predict_proba(new), heavy)


@pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")
def test_class_weights_name_classes_as_y_spells_them(tiny, planted):
    texts, first = planted[0][:60], np.array(planted[1][:60]) == planted[1][0]
    composed, apart = (
        FrozenClassifier(str(tiny("bert")), class_weight={name: 5}).fit(texts, np.where(first, name, "tea"))
        for name in ("caf\u00e9", "cafe\u0301")
    )
    np.testing.assert_array_equal(composed.predict_proba(texts), apart.predict_proba(texts))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": "knn", "class_weight": "balanced"}, "counts every row alike: class_weight has no effect"),
        ({"class_weight": {"nobody": 2}}, "names a class that is not there: got 'nobody'"),
        ({"class_weight": "even"}, "cannot be this: got 'even'"),
        ({"class_weight": {"red": 0}}, "is out of range|names a class that is not there"),
    ],
)
def test_class_weights_that_mean_nothing_are_refused(options, message, tiny, planted):
    with pytest.raises((OptionError, DataError), match=message):
        FrozenClassifier(str(tiny("bert")), **options).fit(planted[0][:40], planted[1][:40])


@pytest.mark.parametrize("routing", [False, True])
def test_weights_of_rows_go_through_a_pipeline_and_a_search(routing, tiny, planted):
    """By the step's name, or by metadata routing; both fit what a plain fit with these weights fits."""
    texts, labels = np.array(planted[0][:60], dtype=object), np.array(planted[1][:60])
    weight = np.where(labels == labels[0], 9.0, 1.0)
    direct = FrozenClassifier(str(tiny("bert"))).fit(texts, labels, sample_weight=weight).predict_proba(texts[:9])
    with config_context(enable_metadata_routing=routing):
        one = FrozenClassifier(str(tiny("bert")))
        one = one.set_fit_request(sample_weight=True).set_score_request(sample_weight=True) if routing else one
        named = {"sample_weight": weight} if routing else {"classify__sample_weight": weight}
        piped = Pipeline([("classify", one)]).fit(texts, labels, **named)
        np.testing.assert_allclose(piped.predict_proba(texts[:9]), direct)
        search = GridSearchCV(one, {"pool": ["mean"]}, cv=2, error_score="raise")
        search.fit(texts, labels, sample_weight=weight)
        other = FrozenClassifier(str(tiny("bert")), pool="mean").fit(texts, labels, sample_weight=weight)
        np.testing.assert_allclose(search.predict_proba(texts[:9]), other.predict_proba(texts[:9]))
