"""A whole race: a run of the winner, a choice that can be told again, and one that goes on after a kill."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from separatrix import recipe as recipes
from separatrix.errors import DataError, ModelError, OptionError, StoreError
from separatrix.estimators import AlignClassifier
from separatrix.learn.trained.loading import load_model
from separatrix.recipe.auto import AutoRecipe
from separatrix.store.folder import RACE
from separatrix.texts import Splits
from separatrix.training import verb
from separatrix.training.diagnostics import few_steps
from separatrix.training.methods import build_recipe
from separatrix.training.race import candidates, decide
from separatrix.training.race import run as module
from separatrix.training.race.run import Race, choose_method
from separatrix.training.race.story import typed_entry
from separatrix.training.request import TrainingRequest
from separatrix.training.run import run_training
from separatrix.training.verb import train


class Ticks:
    """A clock that moves by one second whenever it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def read(value: str) -> object:
    """What is typed as a number, else the word."""
    return json.loads(value) if value[0].isdigit() else value


class Slow(Ticks):
    """A pass of the pilot's rows takes longer than anything else."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = iter([0.0, 0.0, 0.5, 0.0, 3.0])  # of the pilot, in order

    def __call__(self) -> float:
        self.now += next(self.steps, 0.1)
        return self.now


@pytest.fixture(scope="module")
def few(splits) -> Splits:
    """60 rows to learn from, 12 of them validation rows."""
    return Splits(splits.train.take(range(48)), splits.validation.take(range(12)), splits.test, ())


@pytest.fixture(scope="module")
def model(tiny) -> str:
    return str(tiny("bert"))


@pytest.fixture
def request_of(few, model):
    """`request_of(folder, budget=...)`."""

    def make(folder=None, data=few, **options) -> TrainingRequest:
        recipe = recipes.replace(AutoRecipe(), model=model, device="cpu", **options)
        return TrainingRequest(data, recipe, "auto", folder)

    return make


@pytest.fixture
def judged(monkeypatch):
    """Trials that train nothing: the share of right answers is that of the name. Gives the trials that were done."""
    done, shares = [], {"probe": 0.5, "align": 0.9, "align_few": 0.9, "prompt": 0.8, "finetune": 0.1}

    def judge(self, name, rows, fold):
        done.append((name, rows, fold))
        count = len(self.rows.trial(rows, fold).judged)
        return np.arange(count) < round(shares[name] * count)

    monkeypatch.setattr(Race, "judge", judge)
    return done, shares


def test_the_race_is_a_run_of_the_winner(few, model, tmp_path):
    """Real trainings: what is written is read by everything that reads a run."""
    out = tmp_path / "run"
    result = train(few, method="auto", candidates=["probe", "align"], model=model, device="cpu", out=out)
    race = result.race
    assert [line["name"] for line in race["candidates"]] == ["probe", "align"]
    assert result.method in ("probe", "align")
    assert {line["name"]: line["state"] for line in race["candidates"]}[race["winner"]] == "chosen"
    for line in race["candidates"]:
        low, high = line["interval"]
        assert 0 <= low <= line["accuracy"] <= high <= 1
    assert race["held_out"] == {"rows": 60, "folds": 5}
    plain = json.loads((out / "result.json").read_text())
    assert plain["race"] == json.loads(json.dumps(race))
    assert json.loads((out / "recipe.json").read_text())["method"] == "auto"
    assert race["recipe"]["method"] == result.method
    assert "trained once more on all 60 rows" in str(result.notes) or "fitted once more on all 60 rows" in str(
        result.notes
    )
    assert not (out / RACE).exists()
    answers = load_model(out, device="cpu").answer(few.test.text)
    assert (answers.labels == result.predictions["test"]["predicted"]).all()
    assert all(sentence in str(result) for sentence in race["why"])
    again = train(few, method="auto", candidates=["probe", "align"], model=model, device="cpu", out=out, resume=True)
    assert again.race == plain["race"]
    with pytest.raises(StoreError, match="budget"):
        train(few, method="auto", candidates=["probe", "align"], model=model, device="cpu", out=out, resume=True,
              budget="1min")  # fmt: skip


def test_the_best_is_chosen_and_its_training_learns_from_all_rows(request_of, judged):
    request, race = choose_method(request_of(budget="10h"), Ticks())
    assert (race["winner"], request.method, request.recipe.loop.refit) == ("align_few", "align", True)
    states = {line["name"]: line["state"] for line in race["candidates"]}
    assert states["align_few"] == "chosen"
    assert states["finetune"] == "stopped"
    assert race["second"] == "prompt"
    assert "align_few was chosen of 4 methods by cross-validation over 60 rows" in race["why"][0]
    assert judged[0].count(("align_few", 48, 4)) == 1
    assert ("finetune", 48, 2) not in judged[0]  # stopped after the first folds
    for name, folds in (("align_few", 5), ("probe", 2), ("finetune", 2)):  # what the last doubling of the rows brought
        assert len([trial for trial in judged[0] if trial[:2] == (name, 24)]) == folds
    gains = {line["name"]: line["gain"] for line in race["curve"]}
    assert (gains["align_few"]["from"], gains["align_few"]["to"], gains["prompt"]) == (24, 48, None)
    assert race["why"][1].startswith("From 24 to 48 rows it gained 0.000")
    assert race["why"][1].endswith("fine-tuning stayed below it from 24 to 48 rows.")


def test_a_method_of_which_more_is_expected_wins_by_few_rows_and_says_so(request_of, judged, model, monkeypatch):
    monkeypatch.setattr(decide, "PRIOR_ROWS", 100)
    judged[1].update(probe=0.7, align_few=0.6, prompt=0.3)
    assert choose_method(request_of(budget="10h"), Ticks())[1]["winner"] == "probe"  # nothing is known of this model
    monkeypatch.setattr(candidates, "DEFAULT_MODEL", model)
    why = choose_method(request_of(budget="10h"), Ticks())[1]["why"][0]
    assert why.startswith("align_few was chosen of 4 methods")
    assert "; probe was 0.083 (" in why
    assert why.endswith(" above it, but with so few rows more is expected of align_few.")
    judged[1].update(probe=0.6)
    why = choose_method(request_of(budget="10h"), Ticks())[1]["why"][0]
    assert why.endswith("with 48 rows, level with probe.")


def test_a_model_of_few_rows_of_each_class_learns_from_no_others(request_of, judged, few):
    """Regression: `--per-class 8` trained on the 545 validation rows too, and its 0.88 was none of 48 rows."""
    request, race = choose_method(request_of(budget="10h", data=replace(few, limited=True)), Ticks())
    assert not request.recipe.loop.refit
    assert race["held_out"] == {"rows": 12, "folds": 1}
    assert {trial[1:] for trial in judged[0] if trial[0] == "align_few"} >= {(48, 0)}


def test_the_same_records_give_the_same_choice_and_a_killed_race_goes_on(request_of, judged, tmp_path, monkeypatch):
    """What was measured on the first try holds on the second, however fast the machine has become."""
    done, _ = judged
    _, whole = choose_method(request_of(tmp_path, budget="10h"), Ticks())
    lines = (tmp_path / RACE).read_text().splitlines(keepends=True)
    every = [*done]
    done.clear()
    (tmp_path / RACE).write_text("".join(lines[:4]))  # the pilot and three trials
    monkeypatch.setattr(Race, "measure", lambda _self: pytest.fail("the pilot was measured before"))
    clock = Ticks()
    _, again = choose_method(request_of(tmp_path, budget="10h"), clock)
    assert done == every[3:]
    assert again == whole
    assert (tmp_path / RACE).read_text() == "".join(lines)
    clock.now = 1e9
    assert choose_method(request_of(tmp_path, budget="10h"), clock)[1] == whole


def test_a_race_of_other_rows_is_not_gone_on_with(request_of, judged, few, tmp_path):
    choose_method(request_of(tmp_path, budget="10h"), Ticks())
    other = replace(few, train=few.train.take(range(40)))
    with pytest.raises(StoreError, match="belongs to another race"):
        choose_method(request_of(tmp_path, other, budget="10h"), Ticks())


def test_a_budget_that_is_too_short_for_training_leaves_the_dear_ones_out(request_of, judged):
    request, race = choose_method(request_of(budget="40s"), Ticks())
    out = {line["name"]: line["why"] for line in race["candidates"] if line["state"] == "left out"}
    assert "finetune" in out
    assert all("s are left" in why for why in out.values())
    assert request.recipe.loop.refit == (race["recipe"]["loop"]["refit"])


def test_where_time_leaves_one_method_the_budget_for_a_race_is_named_and_its_curve_is_measured(request_of, judged):
    """Regression: "it is the only method that is left", and what more rows would bring was not measured."""
    _, race = choose_method(request_of(budget="40s", candidates=("probe", "finetune")), Slow())
    assert [line["state"] for line in race["candidates"]] == ["chosen", "left out"]
    named = re.fullmatch(
        r"probe is trained without a race: it is the only method that is left; "
        r"with --budget (\d+min) finetune would take part.",
        race["why"][0],
    )
    assert race["more_time"] == {"budget": named[1], "names": ["probe", "finetune"]}
    assert judged[0] == [("probe", 48, 0), ("probe", 48, 1), ("probe", 24, 0), ("probe", 24, 1)]
    assert race["why"][1].startswith("From 24 to 48 rows it gained")
    _, longer = choose_method(request_of(budget=named[1], candidates=("probe", "finetune")), Slow())
    assert longer["more_time"] is None
    assert longer["second"] == "finetune"


def test_a_winner_has_as_many_epochs_as_there_is_time_for_and_says_so(request_of, judged, monkeypatch):
    """Regression: ten minutes did not reach for six epochs of an encoder, and another method was chosen."""
    monkeypatch.setattr(candidates, "FEWEST_STEPS", 1)
    request, race = choose_method(request_of(budget="90s", candidates=("align",)), Slow())
    assert race["epochs"] == {"trained": request.recipe.loop.epochs, "usual": 6}
    assert 1 <= request.recipe.loop.epochs < 6
    assert race["why"][0].endswith(
        f"It is trained for {request.recipe.loop.epochs} epochs; time does not reach for its usual 6."
    )
    assert choose_method(request_of(budget="10h", candidates=("align",)), Slow())[1]["epochs"] is None


def test_a_budget_that_was_overrun_is_a_warning(few, model):
    """Regression: it was the last of the notes."""
    result = train(few, method="auto", candidates=["probe"], budget="0.1s", model=model, device="cpu")
    assert [line for line in result.warnings if "for a budget of 0 s: steps were slower than reckoned" in line]
    assert not [line for line in result.notes if "for a budget of" in line]


def test_one_candidate_is_trained_without_a_race(request_of, judged):
    request, race = choose_method(request_of(candidates=("prompt",)), Ticks())
    assert request.method == "prompt"
    assert judged[0] == []
    assert race["why"][0] == "prompt is trained without a race: it is the only method that is left."


@pytest.mark.parametrize("name", candidates.ENTRIES)
def test_the_method_that_a_race_chose_is_named_in_words_that_work_when_typed(name):
    """Regression: "raise --epochs" after a race chose another method, or was refused beside --budget."""
    if name == "probe":
        return
    words = few_steps([{"step": 12}], typed_entry(name))[0].split(": type ")[1].split(" without ")[0].split()
    typed = {flag[2:].replace("-", "_"): value for flag, value in zip(words[::2], words[1::2], strict=True)}
    entry = candidates.ENTRIES[name]
    built = build_recipe(typed.pop("method"), {key: read(value) for key, value in typed.items()})
    assert built.loop.epochs == 5
    assert recipes.replace(built, **entry.options) == built


def test_a_method_that_is_asked_for_is_trained_where_it_does_not_suit_the_rows(request_of, judged):
    """Regression: where none suited, a probe was trained and nothing said so."""
    request, race = choose_method(request_of(candidates=("align_many",)))
    assert judged[0] == []
    assert (request.method, request.recipe.head_at_means, race["winner"]) == ("align", True, "align_many")


def test_what_fails_is_out_with_its_error(request_of, judged, monkeypatch):
    usual = Race.judge

    def judge(self, name, rows, fold):
        if name == "align_few":
            raise ModelError("it has no weights to train")
        return usual(self, name, rows, fold)

    monkeypatch.setattr(Race, "judge", judge)
    _, race = choose_method(request_of(budget="10h"), Ticks())
    failed = next(line for line in race["candidates"] if line["name"] == "align_few")
    assert (failed["state"], failed["why"]) == ("failed", "it has no weights to train")
    assert race["winner"] == "prompt"
    monkeypatch.setattr(Race, "judge", lambda *_: (_ for _ in ()).throw(ModelError("none of it works")))
    with pytest.raises(DataError, match="no method could be trained: got none of it works"):
        choose_method(request_of(budget="10h"), Ticks())


def test_the_test_part_decides_nothing(request_of, judged, few, monkeypatch):
    """Another test part, the same race; and no trial reads it."""
    seen, usual = [], module.extract_blocks
    monkeypatch.setattr(module, "extract_blocks", lambda backbone, texts, plans: seen.extend(texts) or usual(
        backbone, texts, plans))  # fmt: skip
    _, one = choose_method(request_of(budget="10h"), Ticks())
    _, other = choose_method(request_of(data=replace(few, test=few.test.take([0, 1])), budget="10h"), Ticks())
    assert {line["name"]: line["accuracy"] for line in one["candidates"]} == {
        line["name"]: line["accuracy"] for line in other["candidates"]
    }
    assert set(seen) <= {*few.train.text, *few.validation.text}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": "soon"}, "--budget cannot be this: got 'soon', expected a time as 30min, 2h or 90s"),
        ({"budget": "90sec"}, "--budget cannot be this: got '90sec', expected a time as 30min, 2h or 90s"),
        ({"candidates": []}, "--candidates is empty"),
        ({"candidates": ["prob"]}, "unknown --candidates"),
        ({"tokens": 3}, "--tokens has no effect with --method auto"),
        ({"callbacks": [object()]}, "this is no callback"),
    ],
)
def test_refused(few, options, message):
    with pytest.raises(OptionError, match=message):
        train(few, method="auto", **options)


def test_estimators_read_a_raced_run(request_of, judged, tmp_path, monkeypatch):
    """The folder is an ordinary run of the winner's method."""
    usual = module.ENTRIES["align"].recipe
    monkeypatch.setattr(
        type(module.ENTRIES["align"]), "recipe",
        lambda self, auto, rows, *_: recipes.replace(usual(auto, rows), epochs=1, snapshots=1),
    )  # fmt: skip
    request = request_of(tmp_path / "run", budget="10h", candidates=("align", "probe"))
    with verb.run_artifact(request):
        result = run_training(request)
    assert result.method == "align"
    clf = AlignClassifier.load(tmp_path / "run", device="cpu")
    assert clf.predict(request.splits.test.text).tolist() == result.predictions["test"]["predicted"].tolist()
