"""The typed options of the verbs are the fields of their recipes."""

import inspect
import re
from dataclasses import fields

import pytest

import separatrix as sx
from separatrix.analysis import associate, cluster, compare, compress, project, rank, score, suspects, transfer
from separatrix.analysis.heads import head_atlas
from separatrix.errors import OptionError
from separatrix.extraction import extract
from separatrix.folders import report
from separatrix.points import Points
from separatrix.recipe import options
from separatrix.recipe.auto import RaceRecipe
from separatrix.recipe.cluster import AssociateRecipe, ClusterRecipe, SuspectsRecipe
from separatrix.recipe.core import option_names, part_of
from separatrix.recipe.files import ClassifierRecipe, CompressRecipe, ExportRecipe, ImportRecipe
from separatrix.recipe.heads import HeadsRecipe
from separatrix.recipe.load import LoadRecipe
from separatrix.recipe.project import BlendRecipe, CompareRecipe, ProjectRecipe, ReportRecipe
from separatrix.recipe.score import RankRecipe, ScoreRecipe
from separatrix.recipe.sweep import SweepRecipe
from separatrix.recipe.vectors import ExtractRecipe
from separatrix.sweeps.verb import sweep
from separatrix.texts.load import SPLITTING
from separatrix.texts.training_parts import READING
from separatrix.training.export import export_classifier
from separatrix.training.methods import METHODS

LOADING = option_names(LoadRecipe())
# Verb, its options, the recipe, and what the verb takes as an argument of its own.
VERBS = {
    "extract": (extract.extract, options.ExtractOptions, ExtractRecipe, {"model"}),
    "score": (score.score, options.ScoreOptions, ScoreRecipe, set()),
    "rank": (rank.rank, options.RankOptions, RankRecipe, set(SPLITTING)),
    "project": (project.project, options.ProjectOptions, ProjectRecipe, {"method"}),
    "blend": (project.blend, options.BlendOptions, BlendRecipe, set()),
    "compare": (compare.compare, options.CompareOptions, CompareRecipe, set()),
    "cluster": (cluster.cluster, options.ClusterOptions, ClusterRecipe, {"method"}),
    "associate": (associate.associate, options.AssociateOptions, AssociateRecipe, set()),
    "suspects": (suspects.suspects, options.SuspectsOptions, SuspectsRecipe, set(LOADING)),
    "compress": (compress.compress, options.CompressOptions, CompressRecipe, set()),
    "import_vectors": (transfer.import_vectors, options.ImportOptions, ImportRecipe, set()),
    "export_vectors": (transfer.export_vectors, options.ExportOptions, ExportRecipe, set()),
    "export_classifier": (export_classifier, options.ClassifierOptions, ClassifierRecipe, set()),
    "head_atlas": (head_atlas, options.HeadsOptions, HeadsRecipe, set()),
    "report": (report, options.ReportOptions, ReportRecipe, set()),
    "sweep": (sweep, options.SweepOptions, SweepRecipe, set()),
}


def kinds(recipe):
    """Option -> its type as it is written; of a tuple, one value or any sequence."""
    for spec in fields(recipe):
        if part := part_of(spec):
            yield from kinds(part)
        else:
            yield spec.name, re.sub(r"tuple\[(.*), \.\.\.\]", r"\1 | Sequence[\1]", spec.type)


@pytest.mark.parametrize("name", VERBS)
def test_options_are_the_fields_of_the_recipe(name):
    _, typed, recipe, own = VERBS[name]
    written = {option: getattr(kind, "__forward_arg__", kind) for option, kind in typed.__annotations__.items()}
    given = {option: kind for option, kind in written.items() if option not in own}
    assert given == {option: kind for option, kind in kinds(recipe) if option not in own}
    reading = {options.RankOptions: {*SPLITTING}, options.SuspectsOptions: {*LOADING}}  # how the texts are read
    assert {*written} - {*given} == reading.get(typed, set())


def test_options_of_a_training_are_those_of_all_methods_and_of_the_texts():
    """Where methods have an option of one name, any value of each may be given."""
    written = {
        option: getattr(kind, "__forward_arg__", kind) for option, kind in options.TrainOptions.__annotations__.items()
    }
    every = [dict(kinds(type(method.recipe))) for method in METHODS.values()]
    assert all(written[option] == kind for recipe in every for option, kind in recipe.items())
    assert {*written} == {option for recipe in every for option in recipe} | READING


# Public functions that read or set something: no results of a work with options.
NO_VERBS = {
    "load",
    "load_demo",
    "load_model",
    "load_splits",
    "load_texts",
    "plan",
    "predict_texts",
    "select",
    "set_threads",
}
PLAIN = ("predict",)  # verbs without options of a recipe of their own


def test_every_public_function_that_is_no_reader_is_a_verb_with_options():
    public = {name for name in sx.__all__ if inspect.isfunction(getattr(sx, name))}
    assert public == NO_VERBS | {*VERBS} | {"train", *PLAIN}


@pytest.mark.parametrize("name", [*VERBS, "train", *PLAIN])
def test_verbs_have_one_signature(name):
    """Data first, by place; all else by name, with the same defaults. Some have no recipe."""
    parameters = inspect.signature(getattr(sx, name)).parameters
    common = {"recipe": None, "out": None, "overwrite": False, "progress": None}
    typed = options.TrainOptions if name == "train" else VERBS.get(name, (None, None))[1]
    if typed is None:
        del common["recipe"]
        assert "options" not in parameters
    else:
        assert str(parameters["options"].annotation) == f"Unpack[{typed.__name__}]"
    assert {one: parameters[one].default for one in common} == common
    assert {parameters[one].kind for one in common} == {inspect.Parameter.KEYWORD_ONLY}
    assert next(iter(parameters.values())).default is inspect.Parameter.empty
    assert str(parameters["progress"].annotation) == "Progress | None"


def test_an_atlas_needs_a_folder(tmp_path):
    with pytest.raises(OptionError, match="an atlas is a folder, whose steps restart: got no out"):
        sx.head_atlas(tmp_path / "x.csv")
    with pytest.raises(OptionError, match="did you mean 'windows'"):
        sx.head_atlas(tmp_path / "x.csv", out=tmp_path / "atlas", window=5)


def test_an_unknown_option_is_refused_with_the_nearest_name():
    points = Points.of([[0.0], [1.0]], {"label": ["a", "b"]})
    with pytest.raises(OptionError, match="did you mean 'permutations'"):
        score.score(points, permutatons=5)


def test_a_race_needs_time_and_a_sweep_may_begin_nothing():
    with pytest.raises(OptionError, match="--budget leaves no time: got '0s', expected a time as 10min, 1h or 90s"):
        RaceRecipe(budget="0s")
    assert SweepRecipe(budget="0s").budget == "0s"
