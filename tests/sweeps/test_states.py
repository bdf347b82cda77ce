"""States of runs, rounds, limits, changes of a grid: hydra#3328's list of what a sweep that resumes needs.

Nothing is trained here; `test_study` trains.
"""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

import separatrix as sx
from separatrix import recipe as recipes
from separatrix.errors import OptionError, StoreError
from separatrix.store.artifacts import resume_artifact
from separatrix.store.lock import locked
from separatrix.sweeps.study import RETRY, Study
from separatrix.sweeps.verb import SweepJob
from separatrix.training.folder import describe_training

pytestmark = pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")


def test_states_are_kept_and_nothing_is_done_twice(small, tmp_path, untrained):
    """Identity of a sweep, folders that no later command takes over, the five states."""
    out, grid = tmp_path / "s", small(grid={"tokens": [1, 2, 3]}, seeds=[0])
    untrained.broken = (2,)
    assert sx.sweep(grid, out=out, max_runs=2).states == {"done": 1, "failed": 1, "waiting": 1}
    first = {path.name for path in (out / "runs").iterdir()}
    untrained.broken = ()
    (waiting,) = [run for run, state in states(grid, out).items() if state == "waiting"]
    with locked(out / "runs" / waiting):
        assert sx.sweep(grid, out=out).states == {"done": 1, "failed": 1, "running": 1}
    untrained.stopped = (3,)
    with pytest.raises(KeyboardInterrupt, match="stopped here"):
        sx.sweep(grid, out=out)
    assert states(grid, out)[waiting] == "interrupted"
    untrained.stopped = ()
    result = sx.sweep(grid, out=out)
    assert result.states == {"done": 2, "failed": 1}
    assert result.failures == ["tokens=2, seed 0: RuntimeError: no such luck"]
    assert any("not all seeds are done of tokens=2" in note for note in result.notes)
    assert sx.sweep(grid, out=out, retry=True).states == {"done": 3}
    assert [tokens for tokens, _, _ in untrained] == [1, 2, 3, 3, 2]
    assert {path.name for path in (out / "runs").iterdir()} > first


def states(grid, out):
    job = SweepJob.of(grid, Study(out), sx.recipe.SweepRecipe(), "here", None, None)
    return job.study.states(job.plan)


def test_limits_in_time_and_runs_and_a_choice_of_rows(small, tmp_path, untrained):
    out, grid = tmp_path / "s", small()
    assert sx.sweep(grid, out=out, budget="0s").states == {"waiting": 4}
    with pytest.raises(OptionError, match="--budget cannot be this: got 'soon'"):
        sx.sweep(grid, out=out, budget="soon")
    with pytest.raises(OptionError, match="--only names no row: got 'tokens=3'"):
        sx.sweep(grid, out=out, only="tokens=3")
    assert sx.sweep(grid, out=out, only="tokens=2").states == {"done": 2, "waiting": 2}
    assert sx.sweep(grid, out=out, max_runs=1, budget="1h").states == {"done": 3, "waiting": 1}
    assert untrained == [(2, 0.03, 0), (2, 0.03, 1), (1, 0.03, 0)]
    table = sx.load(out)
    assert [(line["runs"], line["planned"]) for line in table.lines] == [(1, 2), (2, 2)]
    assert "| 1 | 1 of 2 |" in (out / "table.md").read_text()


def test_a_grid_that_changed_is_refused_by_what_changed_and_taken_when_told(small, tmp_path, untrained):
    out, grid = tmp_path / "s", small(seeds=[0])
    sx.sweep(grid, out=out)
    more = grid | {"grid": {"tokens": [2, 4]}}
    changed = r"got 1 runs more \(tokens=4 with seed 0\); 1 runs fewer \(tokens=1 with seed 0\); type --extend"
    with pytest.raises(StoreError, match=changed):
        sx.sweep(more, out=out)
    result = sx.sweep(more, out=out, extend=True)
    assert [line["label"] for line in result.lines] == ["tokens=2", "tokens=4"]
    assert len(untrained) == 3  # of tokens=2 there is a run already
    assert len([*(out / "runs").iterdir()]) == 3
    assert sx.sweep(more, out=out).done == 2
    assert sx.sweep(grid | {"reference": "tokens=1"}, out=out, extend=True).reference == "tokens=1"  # and back


def test_combinations_are_drawn_once_for_all(small, tmp_path, untrained):
    axes = {"tokens": [1, 2, 3], "lr": {"low": 1e-3, "high": 1e-1, "log": True}}
    grid = small(seeds=[0], grid=axes, search={"samples": 4, "seed": 1})
    sx.sweep(grid, out=tmp_path / "s", max_runs=2)
    result = sx.sweep(grid, out=tmp_path / "s")
    assert len({*untrained}) == len(untrained) == result.done == 4
    assert all(0.001 <= rate <= 0.1 for _, rate, _ in untrained)


def test_halving_goes_on_with_the_best_on_validation(small, tmp_path, untrained):
    grid = small(seeds=[0], grid={"tokens": [1, 2, 3]}, search={"halving": "epochs", "factor": 3})
    grid["train"] = grid["train"] | {"epochs": 3}
    result = sx.sweep(grid, out=tmp_path / "s")
    assert result.runs == 4
    assert [(line["tokens"], line["epochs"]) for line in result.lines] == [("1", "1"), ("2", "1"), ("3", "3")]
    assert result.best[0].startswith("tokens=3, epochs=3: the best of 3 rows on validation")
    assert result.best[0].endswith("on test; one seed")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"seeds": [0, 7, 8]}, r"got seeds \[0, 7, 8\] instead of \[0, 1, 2\]; type --extend"),
        ({"search": {"halving": "seeds", "factor": 2}}, "got factor 2 instead of 3; type --extend"),
        ({"tune": ["tokens"]}, r"got tune \['tokens'\] instead of \[\]; type --extend"),
    ],
)
def test_a_grid_that_changed_beyond_its_first_round_is_refused(small, tmp_path, untrained, change, sentence):
    """Regression: other seeds were taken without a word, where the first round had the first of them alone."""
    out, grid = tmp_path / "s", small(seeds=[0, 1, 2], search={"halving": "seeds"})
    sx.sweep(grid, out=out)
    with pytest.raises(StoreError, match=sentence):
        sx.sweep(grid | change, out=out)
    assert sx.sweep(grid | change, out=out, extend=True).lines
    earlier = json.loads((out / "grid.json").read_text())
    del earlier["search"]
    (out / "grid.json").write_text(json.dumps(earlier))
    assert sx.sweep(grid, out=out).lines  # as an earlier version wrote it: it is not known


def test_an_option_that_grows_by_rounds_is_compared_with_all_of_them(small, tmp_path, untrained):
    out, grid = tmp_path / "s", small(seeds=[0], search={"halving": "epochs"})
    train = grid["train"]
    sx.sweep(grid | {"train": train | {"epochs": 3}}, out=out)
    with pytest.raises(StoreError, match=r"got rounds \[1, 3, 9\] instead of \[1, 3\]; type --extend"):
        sx.sweep(grid | {"train": train | {"epochs": 9}}, out=out)


def test_a_slower_process_does_not_overwrite_the_table_of_a_finished_study(small, tmp_path, untrained, monkeypatch):
    """Regression: figures were read before the folder was held, and written after another process had written more."""
    out, grid, written, calls = tmp_path / "s", small(seeds=[0]), Study.written, []

    def late(study, **options):
        calls.append(study)
        if len(calls) == 2:  # the table is about to be written
            assert sx.sweep(grid, out=out).done == 2
        return written(study, **options)

    monkeypatch.setattr(Study, "written", late)
    assert sx.sweep(grid, out=out, max_runs=1).done == 2
    assert sx.load(out).done == 2


@pytest.mark.parametrize("tune", [None, ["data", "tokens"]])
def test_halving_ranks_rows_of_one_data_set_alone(small, tmp_path, untrained, tune):
    """Regression: accuracies of two data sets were ranked together, and one of them left the study."""
    path = small()["data"]
    data = {"one": {"path": path}, "two": {"path": path, "test": 0.3}}
    axes = {"data": ["one", "two"], "tokens": [1, 2, 3]}
    grid = small(data=data, seeds=[0, 1, 2], grid=axes, tune=tune, search={"halving": "seeds"})
    result = sx.sweep(grid, out=tmp_path / "s")
    assert [line["label"] for line in result.lines if line["runs"] == 3] == ["data=one, tokens=3", "data=two, tokens=3"]
    assert [line.partition(":")[0] for line in result.best] == ["data=one, tokens=3", "data=two, tokens=3"]


def test_rows_are_compared_within_their_data_set(small, tmp_path, untrained):
    path = small()["data"]
    data = {"one": {"path": path}, "two": {"path": path, "test": 0.3}}
    result = sx.sweep(small(data=data, reference="tokens=1", baselines=["majority"]), out=tmp_path / "s")
    compared = {(line["label"], line.get("against")) for line in result.lines}
    for name in data:
        assert (f"data={name}, tokens=2", f"data={name}, tokens=1") in compared
        assert (f"majority, data={name}", f"data={name}, tokens=1") in compared
    against_one = sx.sweep(small(data=data, reference="data=one", baselines=["majority"]), out=tmp_path / "t")
    assert not any("against" in line for line in against_one.lines)


def test_a_rate_is_chosen_with_one_seed_and_trained_with_all(small, tmp_path, untrained):
    """A group goes on when it is done itself; a rate that was dropped is not chosen, however good its one seed."""
    axes = {"tokens": [1, 2], "lr": [0.01, 0.03, 0.1]}
    grid = small(seeds=[2, 0, 1], grid=axes, tune=["lr"], search={"halving": "seeds"})
    half = sx.sweep(grid, out=tmp_path / "s", only=["tokens=1"])
    assert [(line["runs"], line["planned"]) for line in half.lines] == [(1, 1), (3, 3), (1, 1), *[(0, 1)] * 3]
    result = sx.sweep(grid, out=tmp_path / "s")
    assert [line["lr"] for line in result.lines if line["chosen"]] == ["0.03", "0.03"]
    assert [line["tries"] for line in result.lines] == [3] * 6
    assert len(untrained) == result.runs == 6 + 2 * 2


def test_a_sweep_that_is_stopped_between_rounds_has_its_table(small, tmp_path, untrained):
    """Regression: while the rate of the reference was trained with its seeds, it named no row, and no table came."""
    axes, rows = {"lr": [0.01, 0.03]}, [{"name": "one", "tokens": 1}, {"name": "two", "tokens": 2}]
    grid = small(seeds=[0, 1, 2], grid=axes, rows=rows, tune=["lr"], search={"halving": "seeds"}, reference="one")
    for _ in range(8):
        half = sx.sweep(grid, out=tmp_path / "s", max_runs=1)
        assert sum(line["runs"] for line in half.lines) == half.done
    assert len({line["against"] for line in half.lines if line.get("against")}) == 1


def test_models_that_are_not_here_are_named_in_the_table(small, tmp_path, untrained):
    rows = [{"name": "here"}, {"name": "large", "model": "somebody/large"}]
    grid = small(rows=rows, seeds=[0])
    with pytest.raises(OptionError, match="model 'somebody/large' was found neither as a folder nor on the hub"):
        sx.sweep(grid, out=tmp_path / "s")
    result = sx.sweep(grid | {"skip_absent": True, "baselines": ["majority"]}, out=tmp_path / "s")
    assert (result.runs, result.done, len(result.lines)) == (3, 3, 5)
    assert "not run here, since the model is not on this machine: somebody/large" in result.notes
    assert (tmp_path / "s" / "table.md").read_text().count("| not run here |") == 1
    with pytest.raises(OptionError, match="skip_absent: true or false: got 'yes'"):
        sx.sweep(grid | {"skip_absent": "yes"}, out=tmp_path / "t")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": {"loss": "mse"}}, r"\[train\] loss: .*planted.csv: the loss mse needs numbers as labels: got names"),
        ({"train": {"method": "probe"}, "grid": {"pool": ["mean", "max"]}, "search": {"halving": "epochs"}},
         r"the grid, \[search\] halving: --epochs has no effect with --method probe"),
        ({"train": {"epochs": 1}, "search": {"halving": "epochs", "least": 50}},
         r"the grid, \[search\] least: --least is out of range: got 50, expected 1 to 1, the epochs of all"),
        ({"seeds": [0, 1], "search": {"halving": "seeds", "least": 3}}, "expected 1 to 2, the seeds of all"),
        ({"reference": ""}, "the grid, reference: the reference names no row: got '', expected a row"),
    ],
)  # fmt: skip
def test_mistakes_that_only_texts_and_whole_rows_show_are_refused_before_anything_runs(
    small, tmp_path, change, message
):
    grid = small()
    train = {key: grid["train"][key] for key in ("model", "device")} | change.get("train", {})
    with pytest.raises(OptionError, match=message):
        sx.sweep(grid | change | {"train": train}, out=tmp_path / "s")
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("option", [{"only": [""]}, {"reference": ""}])
def test_an_empty_name_is_no_row(small, tmp_path, option):
    """Regression: it was every row."""
    with pytest.raises(OptionError, match="names no row: got ''"):
        sx.sweep(small(), out=tmp_path / "s", **option)


def test_models_with_one_name_are_told_apart_by_named_rows(small, tmp_path, untrained):
    grid = small(seeds=[0])
    model = Path(grid["train"].pop("model"))
    shutil.copytree(model, tmp_path / model.name)
    models = [str(model), str(tmp_path / model.name)]
    with pytest.raises(OptionError, match=r"2 rows are called 'model=bert'; write \[\[rows\]\], each with a name of"):
        sx.sweep(grid | {"grid": {"model": models}}, out=tmp_path / "s")
    rows = [{"name": name, "model": path} for name, path in zip("ab", models, strict=True)]
    assert len(sx.sweep(grid | {"grid": {}, "rows": rows}, out=tmp_path / "s").lines) == 2
    with pytest.raises(OptionError, match="2 rows are called 'knn, model=bert'; give one of the models another name"):
        sx.sweep(grid | {"grid": {}, "rows": rows, "baselines": ["knn"]}, out=tmp_path / "t")


def test_rows_that_are_level_on_validation_are_counted(small, tmp_path, untrained):
    grid = small(seeds=[0], grid={"tokens": [1], "batch_size": [8, 16, 32]})
    grid["train"].pop("batch_size")
    level = "the best of 3 rows on validation (level with 2 others; the first of them is taken), 0."
    assert sx.sweep(grid, out=tmp_path / "s").best[0].startswith(f"tokens=1, batch_size=8: {level}")
    two = grid | {"grid": {"tokens": [1, 2], "batch_size": [8]}}
    assert "level" not in sx.sweep(two, out=tmp_path / "t").best[0]


def test_a_study_of_an_earlier_version_keeps_its_runs(small, tmp_path, untrained, monkeypatch):
    """Regression: an option that came later, at its default, gave other hashes; what was done was trained again."""
    out, grid = tmp_path / "s", small(grid={"tokens": [1, 2]}, seeds=[0])
    with monkeypatch.context() as earlier:
        earlier.setattr("separatrix.sweeps.plan.describe_training", without_what_came_later)
        earlier.setattr("separatrix.sweeps.plan.run_key", lambda identity: recipes.digest("earlier", identity))
        assert sx.sweep(grid, out=out, max_runs=1).states == {"done": 1, "waiting": 1}
    before = {*json.loads((out / "grid.json").read_text())["runs"]}
    assert sx.sweep(grid, out=out, max_runs=1).states == {"done": 2}
    assert {path.name for path in (out / "runs").iterdir()} == before
    assert [tokens for tokens, _, _ in untrained] == [1, 2]
    assert sx.sweep(grid | {"grid": {"tokens": [2, 3]}}, out=out, extend=True).states == {"done": 2}
    assert sx.sweep(grid, out=out, extend=True).states == {"done": 2}  # found among the runs; the grid had lost it
    assert [tokens for tokens, _, _ in untrained] == [1, 2, 3]
    with pytest.raises(StoreError, match="got depth 1 instead of None"):
        sx.sweep(grid | {"train": grid["train"] | {"depth": 1}}, out=out)


def without_what_came_later(*parts):
    return recipes.without_later(describe_training(*parts), recipes.TrainRecipe)


def test_layers_that_a_model_does_not_have_are_refused_before_anything_runs(small, tmp_path):
    grid = small(grid={"layer": [0, 1, 99], "depth": [2, 77]})
    with pytest.raises(OptionError, match=r"depth is out of range: got 77, .*layer names a layer .* got 99") as refused:
        sx.sweep(grid, out=tmp_path / "s")
    assert "[grid] layer" in str(refused.value)
    assert not (tmp_path / "s").exists()


def test_a_failure_names_no_path_of_this_machine(small, tmp_path, untrained, monkeypatch):
    grid = small(grid={"tokens": [1]}, seeds=[0])

    def fail(request, **_):
        raise RuntimeError(f"{request.recipe.backbone.model} and {grid['data']} are gone")

    monkeypatch.setattr("separatrix.sweeps.work.carry_out", fail)
    result = sx.sweep(grid, out=tmp_path / "s")
    assert result.failures == ["tokens=1, seed 0: RuntimeError: bert and planted.csv are gone"]


def test_a_model_that_is_here_and_does_not_fit_is_not_called_absent(small, tmp_path):
    grid = small(grid={"depth": [77]}, skip_absent=True)
    with pytest.raises(OptionError, match=r"\[grid\] depth: --depth is out of range: got 77"):
        sx.sweep(grid, out=tmp_path / "s")


def test_a_sweep_of_which_every_run_failed_ends_as_a_mistake(small, tmp_path, untrained, cli):
    """Regression: it ended with 0, so that no script could see it."""
    lines = ["seeds = [0]", f'data = "{small()["data"]}"', "[train]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in small()["train"].items()]
    (tmp_path / "grid.toml").write_text("\n".join([*lines, "[grid]", "tokens = [1, 2]"]))
    words = ["sweep", tmp_path / "grid.toml", "--out", tmp_path / "s"]
    untrained.broken = (1, 2)
    code, out, err = cli(*words)
    assert (code, "no run could be trained: got 2 failed" in err, "2 failed" in out) == (2, True, True)
    untrained.broken = (1,)
    assert cli(*words, "--retry")[0] == 0


def relabelled(path):
    """The same file with two of its classes exchanged."""
    text = path.read_text()
    path.write_text(text.replace(",cat", ",CAT").replace(",dog", ",cat").replace(",CAT", ",dog"))


def test_texts_are_read_anew_by_every_call(small, tmp_path, untrained):
    """Regression: a file written anew, or a frame changed in place, was trained on as an earlier call had read it."""
    path = tmp_path / "own.csv"
    path.write_bytes(Path(small()["data"]).read_bytes())
    frame = pd.read_csv(path)
    grids = [small(data=str(path), seeds=[0]), small(data={"path": frame}, seeds=[0])]
    for out, grid in zip("ab", grids, strict=True):
        sx.sweep(grid, out=tmp_path / out)
    relabelled(path)
    frame["label"] = frame["label"].replace({"cat": "dog", "dog": "cat"})
    for out, grid in zip("ab", grids, strict=True):
        with pytest.raises(StoreError, match=r"is the study of another grid: got digest \w+ instead of"):
            sx.sweep(grid, out=tmp_path / out)


def test_texts_that_change_while_a_sweep_runs_fail_the_runs_that_would_read_them(small, tmp_path, untrained):
    """Regression: they were trained on under the hash of the old ones, and one mean was taken over both."""
    path = tmp_path / "own.csv"
    path.write_bytes(Path(small()["data"]).read_bytes())
    grid = small(data=str(path), seeds=[0, 1, 2, 3, 4, 5], grid={"tokens": [1]})

    def change(stage, *_):
        if stage == "done: tokens=1, seed 0":
            relabelled(path)

    result = sx.sweep(grid, out=tmp_path / "s", progress=change)
    assert result.done + result.failed == 6
    assert result.failed >= 2  # seeds that are not held any more
    assert "the texts have changed since the sweep began: got digest" in result.failures[0]
    assert result.failures[0].endswith("; start the command again")


def cut(path):
    """Leave half of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize("name", ["result.json", "recipe.json"])
def test_a_damaged_run_is_a_failure_of_its_own_and_retry_trains_it_anew(small, tmp_path, untrained, name):
    """Regression: it stopped the whole study, with the advice to write it again with --overwrite."""
    out, grid = tmp_path / "s", small(grid={"tokens": [1, 2, 3]})
    whole = sx.sweep(grid, out=out)
    run = next(run["run"] for run in whole.by_seed if run["tokens"] == "2" and run["seed"] == 1)
    cut(out / "runs" / run / name)
    result = sx.sweep(grid, out=out)
    assert result.states == {"done": 5, "failed": 1}
    (failure,) = result.failures
    assert failure.startswith(f"tokens=2, seed 1: runs/{run}/{name} is truncated: got ")
    assert failure.endswith("; train it again with --retry")
    assert [line["runs"] for line in result.lines] == [2, 1, 2]
    assert [result.lines[0], result.lines[2]] == [whole.lines[0], whole.lines[2]]
    assert len(untrained) == 6
    assert sx.sweep(grid, out=out, retry=True).lines == whole.lines
    assert untrained[6:] == [(2, 0.03, 1)]


def test_rounds_wait_for_a_damaged_run(small, tmp_path, untrained):
    """Else a row that was dropped would be trained in its place."""
    out, grid = tmp_path / "s", small(seeds=[0], grid={"tokens": [1, 2, 3]}, search={"halving": "epochs"})
    grid["train"] = grid["train"] | {"epochs": 3}
    whole = sx.sweep(grid, out=out)
    short = (path for path in (out / "runs").glob("*/recipe.json") if '"epochs": 1,' in path.read_text())
    cut(next(path.parent for path in short if '"tokens": 3' in path.read_text()) / "result.json")
    assert sx.sweep(grid, out=out).states == {"done": 2, "failed": 1}
    assert len(untrained) == 4
    assert sx.sweep(grid, out=out, retry=True).lines == whole.lines
    assert len(untrained) == 5


def test_a_run_that_failed_is_trained_anew_and_never_what_no_command_wrote(small, tmp_path, untrained):
    out, grid = tmp_path / "s", small(grid={"tokens": [1]}, seeds=[0])
    untrained.stopped = (1,)
    with pytest.raises(KeyboardInterrupt, match="stopped here"):
        sx.sweep(grid, out=out)
    untrained.stopped, untrained.broken = (), (1,)
    assert sx.sweep(grid, out=out).failed == 1
    (folder,) = (out / "runs").glob("[!.]*")
    (folder / "photo.png").write_text("mine")
    (warning,) = sx.sweep(grid, out=out, retry=True).warnings
    assert "is not cleared away: it holds photo.png, which no command wrote; move that file elsewhere" in warning
    (folder / "photo.png").unlink()
    (folder / "metrics.jsonl").write_text('{"epoch": 1, "lo')
    untrained.broken = ()
    assert sx.sweep(grid, out=out, retry=True).states == {"done": 1}
    assert not (folder / "metrics.jsonl").exists()


def test_a_run_that_cannot_be_cleared_away_stops_no_other(small, tmp_path, untrained):
    """Regression: the sweep ended there, of a link with an internal error."""
    out, grid = tmp_path / "s", small(seeds=[0])
    sx.sweep(grid, out=out)
    one, other = sorted((out / "runs").glob("[!.]*"))
    for folder in (one, other):
        cut(folder / "result.json")
    one.rename(tmp_path / "elsewhere")
    one.symlink_to(tmp_path / "elsewhere")
    result = sx.sweep(grid, out=out, retry=True)
    assert result.states == {"done": 1, "failed": 1}
    assert result.warnings[0].endswith("is not cleared away: it is a link; remove the link")
    assert [*(tmp_path / "elsewhere").iterdir()]


def test_damaged_notes_of_a_study_stop_nothing(small, tmp_path, untrained):
    """Regression: a cut grid.json or note of a failure stopped every later command."""
    out, grid = tmp_path / "s", small(seeds=[0])
    untrained.broken = (2,)
    sx.sweep(grid, out=out)
    before = (out / "grid.json").read_bytes()
    (note,) = (out / "failed").iterdir()
    for path in (out / "grid.json", note):
        cut(path)
    result = sx.sweep(grid, out=out)
    assert result.states == {"done": 1, "failed": 1}
    assert result.failures == [f"tokens=2, seed 0: failed/{note.name}, which says why, is damaged; {RETRY}"]
    assert (out / "grid.json").read_bytes() == before
    (done,) = (out / "runs").glob("*/recipe.json")
    done.write_text(json.dumps(json.loads(done.read_text()) | {"method": ["a list"]}))
    assert sx.sweep(grid, out=out).failures[0].startswith(f"tokens=1, seed 0: runs/{done.parent.name}/recipe.json is ")


def test_a_run_on_other_texts_than_its_name_says_is_not_counted(small, tmp_path, untrained):
    out, grid = tmp_path / "s", small(grid={"tokens": [1]}, seeds=[0])
    sx.sweep(grid, out=out)
    (recipe,) = (out / "runs").glob("*/recipe.json")
    own = json.loads(recipe.read_text())
    own["data"]["train"]["digest"] = "0123456789abcdef"
    recipe.write_text(json.dumps(own))
    (recipe.parent / "manifest.json").unlink()
    write_manifest(recipe.parent)
    result = sx.sweep(grid, out=out)
    assert result.failures[0].startswith(f"tokens=1, seed 0: runs/{recipe.parent.name} was trained on other texts: got")
    assert sx.sweep(grid, out=out, retry=True).states == {"done": 1}


def write_manifest(folder):
    """Of a run whose files were altered on purpose."""
    with resume_artifact(folder, "run", resume=True):
        for path in folder.iterdir():
            path.touch()
