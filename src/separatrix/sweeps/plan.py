"""Settings x seeds: the runs, each under the hash of its recipe, its texts and its model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from separatrix import recipe as recipes
from separatrix.errors import DataError, ModelError, SeparatrixError, public_name
from separatrix.learn.targets import encode
from separatrix.models.config import check_entry, read_config
from separatrix.models.source import Source, resolve
from separatrix.progress import Progress
from separatrix.recipe import flag
from separatrix.sweeps.grid import Grid, Mistakes
from separatrix.sweeps.settings import MODEL, Setting
from separatrix.texts import Splits
from separatrix.training.command import typed_command
from separatrix.training.folder import describe_texts, describe_training, difference
from separatrix.training.label_sets import for_labels
from separatrix.training.methods import METHODS
from separatrix.training.request import Recipe, TrainingRequest, predicts_numbers
from separatrix.training.verb import read_splits

LAYERS = ("depth", "layer")  # options that count the layers of a model
KEPT = 4  # data sets, each with its rows drawn by one seed, that are held at a time


@dataclass
class TextReader:
    """Reads the texts of runs, and holds those of the last few.

    One serves one sweep: until the next one begins, a file may be written anew and a frame changed.
    """

    held: dict[str, tuple[Splits, Mapping[str, Any]]] = field(default_factory=dict)

    def read(self, source: Any, recipe: Recipe, reading: Mapping[str, Any]) -> tuple[Splits, Mapping[str, Any]]:
        """The texts of a run, and what `describe_texts` says of them."""
        name = str(source) if isinstance(source, str | Path) else f"object {id(source)}"
        key = recipes.canonical([name, dict(reading), recipe.loop.seed, predicts_numbers(recipe)])
        if key not in self.held:
            while len(self.held) >= KEPT:
                del self.held[next(iter(self.held))]
            splits = read_splits(source, recipe, reading)
            self.held[key] = splits, describe_texts(splits)
        return self.held[key]


@dataclass(frozen=True)
class Run:
    """One training. Its `id` names its folder.

    Attributes:
        id: hash of the recipe, the texts and the weights of the model; of a run that an earlier version began, the
            hash that it had there.
        label: the first setting that asks for it, for messages.
        method, recipe: what is trained; the recipe holds the seed.
        source, reading: the texts, as `read_splits` takes them.
        texts: what the texts of the id were, as `describe_texts` gives it.
        compare: whether baselines on frozen vectors are fitted too.
    """

    id: str
    label: str
    method: str
    recipe: Recipe
    source: Any
    reading: Mapping[str, Any]
    texts: Mapping[str, Any]
    compare: bool = False

    @property
    def seed(self) -> int:
        """Of every random choice."""
        return self.recipe.loop.seed

    def without_paths(self, text: str) -> str:
        """A message as tables keep it: model and texts by their names."""
        for path in (self.recipe.backbone.model, self.source):
            if isinstance(path, str | Path) and Path(path).exists():
                text = text.replace(str(path), public_name(str(path)))
        return text

    def request(
        self, folder: Path, progress: Progress, texts: Path | None = None, reader: TextReader | None = None
    ) -> TrainingRequest:
        """The training in its folder, whose command trains this run alone.

        Args:
            folder: of the run.
            progress: is called with (stage, done, total, note).
            texts: where the text caches are that it shares with others.
            reader: holds texts that were read before; without it they are read here.

        Raises:
            DataError: the texts are no longer those that the id is made of.
        """
        splits, current = (reader or TextReader()).read(self.source, self.recipe, self.reading)
        if current != self.texts:
            what, hint = "the texts have changed since the sweep began", "start the command again"
            raise DataError(what, got=difference(self.texts, current), hint=hint)
        command = typed_command(self.source, self.method, self.recipe, self.reading, folder)
        return TrainingRequest(
            splits,
            self.recipe,
            self.method,
            folder,
            progress,
            compare=self.compare,
            shared_texts=texts,
            command=command,
        )


@dataclass(frozen=True)
class SweepLine:
    """One line of the table: a setting, and its run for each seed; none where its model is not on this machine."""

    setting: Setting
    runs: Mapping[int, str]  # seed -> id
    sets: bool = False  # whether rows have several labels


@dataclass(frozen=True)
class SweepPlan:
    """All that a sweep trains."""

    lines: Sequence[SweepLine]
    runs: Mapping[str, Run]  # by id; what two lines share is trained once
    identities: Mapping[str, Mapping[str, Any]]  # id -> what it is the hash of

    @property
    def inputs(self) -> set[str]:
        """Paths that are read, and names of the hub."""
        sources = {str(run.source) for run in self.runs.values() if isinstance(run.source, str | Path)}
        return sources | {run.recipe.backbone.model for run in self.runs.values()}


def run_key(identity: Mapping[str, Any]) -> str:
    """The hash of what makes two runs the same; `identity` as `describe_training` gives it, or gave it earlier."""
    return recipes.digest(recipes.decisive(METHODS[identity["method"]].recipe, identity))


def entry_of(recipe: Recipe) -> int:
    """The layer that a prompt enters at."""
    return recipe.prompt.layer if isinstance(recipe, recipes.TrainRecipe) else 0


def check_layers(source: Source, recipe: Recipe) -> None:
    """Refuse layers that a model does not have; its config is read only where some are named.

    Raises:
        OptionError: `depth` or `layer` is out of range.
    """
    if recipe.backbone.depth is not None or entry_of(recipe):
        check_entry(read_config(source, recipe.backbone), entry_of(recipe))


@dataclass
class Planner:
    """Reads texts and finds models, each once; what is wrong with them goes to the mistakes."""

    grid: Grid
    mistakes: Mistakes
    begun: Mapping[str, str] = field(default_factory=dict)  # key -> id of runs that the study has already
    reader: TextReader = field(default_factory=TextReader)
    texts: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, str | None] = field(default_factory=dict)

    def plan(self, settings: Sequence[Setting], seeds: Sequence[int]) -> SweepPlan:
        """The runs, seed by seed, so that a sweep that stops early has whole seeds.

        Args:
            settings: what is trained.
            seeds: with which; baselines are trained with all of the grid.

        Raises:
            OptionError: with all that is wrong with the grid.
        """
        runs, identities = dict[str, Run](), dict[str, Mapping[str, Any]]()
        ids: list[dict[int, str]] = [{} for _ in settings]
        sets = [self._has_sets(setting) for setting in settings]
        for seed in self.grid.seeds:
            for setting, of_seed in zip(settings, ids, strict=True):
                if seed not in seeds and setting.baseline is None:
                    continue
                recipe = recipes.replace(setting.recipe, seed=seed)
                identity = self._identity(setting, recipe)
                if identity is None:
                    continue
                key = run_key(identity)
                key = self.begun.get(key, key)
                compare = setting.method == "probe"  # which is the baseline of all others
                texts = (setting.data.source, setting.reading, identity["data"])
                runs.setdefault(key, Run(key, setting.label, setting.method, recipe, *texts, compare))
                identities[key], of_seed[seed] = identity, key
        self.mistakes.check()
        return SweepPlan([SweepLine(*line) for line in zip(settings, ids, sets, strict=True)], runs, identities)

    def _has_sets(self, setting: Setting) -> bool:
        """Whether the rows of a setting have several labels; a loss that has no use for its labels is a mistake."""
        recipe = recipes.replace(setting.recipe, seed=self.grid.seeds[0])  # whose texts are read anyway
        if self._texts(setting, recipe) is None:
            return False
        splits, _ = self.reader.read(setting.data.source, recipe, setting.reading)
        try:
            for_labels(TrainingRequest(splits, recipe, setting.method))
            if predicts_numbers(recipe):
                encode(splits.parts, "regress")
        except SeparatrixError as error:
            self._refuse(setting, "loss", error)
        return splits.train.kind == "sets"

    def _identity(self, setting: Setting, recipe: Recipe) -> Mapping[str, Any] | None:
        """What the hash of a run is made of; None where its texts or its model cannot be used."""
        weights, texts = self._weights(setting, recipe), self._texts(setting, recipe)
        if weights is None or texts is None:
            return None
        return describe_training(setting.method, recipe, weights, texts)

    def _weights(self, setting: Setting, recipe: Recipe) -> str | None:
        key = recipes.canonical([recipes.to_dict(recipe.backbone), entry_of(recipe)])
        if key not in self.weights:
            self.weights[key] = None
            try:
                source = resolve(recipe.backbone)
            except SeparatrixError as error:
                if not (self.grid.skip_absent and isinstance(error, ModelError)):
                    self._refuse(setting, MODEL, error)
                return None
            try:
                check_layers(source, recipe)
            except SeparatrixError as error:
                option = next((name for name in LAYERS if str(error).startswith(flag(name))), MODEL)
                self._refuse(setting, option, error)
                return None
            self.weights[key] = source.weights
        return self.weights[key]

    def _refuse(self, setting: Setting, option: str, error: SeparatrixError) -> None:
        self.mistakes.add("grid" if option in setting.coordinates else "train", option, error)

    def _texts(self, setting: Setting, recipe: Recipe) -> Mapping[str, Any] | None:
        reading, data = setting.reading, setting.data
        key = recipes.canonical([data.name, reading, recipe.loop.seed, predicts_numbers(recipe)])
        if key not in self.texts:
            self.texts[key] = None
            try:
                _, self.texts[key] = self.reader.read(data.source, recipe, reading)
            except SeparatrixError as error:
                table = "data" if len(self.grid.data) == 1 else f"data.{data.name}"
                self.mistakes.add(table, "", error)
        return self.texts[key]
