"""Does the trials of a race, keeps each on disk, and chooses; an ordinary training of the winner follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from separatrix import recipe as recipes
from separatrix.codes import draw_some
from separatrix.errors import DataError, SeparatrixError, StoreError
from separatrix.geometry.baselines import LabelledBlocks, fit_linear
from separatrix.geometry.calibrate import fit_calibration
from separatrix.geometry.classes import KEPT
from separatrix.learn.targets import encode
from separatrix.models.backbone import Backbone
from separatrix.models.candidates import candidates
from separatrix.models.extract import extract_blocks
from separatrix.models.load import load_backbone
from separatrix.progress import under
from separatrix.recipe.auto import AutoRecipe
from separatrix.recipe.budget import read_budget
from separatrix.store.files import append_line, read_lines
from separatrix.store.folder import RACE
from separatrix.texts import Splits
from separatrix.texts.label_sets import sets_of
from separatrix.training.evaluate import Evaluator
from separatrix.training.folder import describe_texts
from separatrix.training.label_sets import for_labels
from separatrix.training.methods import METHODS
from separatrix.training.race.candidates import ENTRIES
from separatrix.training.race.decide import Pilot, Standing, Trial, trial_of
from separatrix.training.race.rows import RaceRows, Rung
from separatrix.training.race.story import race_figures
from separatrix.training.request import MethodRecipe, TrainingRequest

Clock = Callable[[], float]
PILOT_ROWS, WARM_ROWS = 64, 4
FIRST_SHARE = 0.25  # of the budget, for the first rung
FIRST_ROWS = 1000  # of the first rung at most
ALL_LEARNT = 200  # rows that are all learnt from in the end, which takes seconds, whatever is left of the budget
BUDGETS = (*range(1, 60), *range(60, 24 * 60 + 1, 60))  # minutes that are tried to say which would be enough
TRIAL = {"candidate": str, "rows": int, "fold": int, "seconds": float, "right": [int], "error": (str, None)}


@dataclass
class Journal:
    """The finished trials of a race on disk, which a race that was killed goes on from."""

    path: Path | None
    identity: str
    pilot: Pilot | None = None
    trials: dict[tuple[str, int, int], Trial] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path | None, identity: str) -> Journal:
        """What is on disk, or an empty one. Raises `StoreError`: it belongs to another race."""
        path = None if folder is None else folder / RACE
        journal = cls(path, identity)
        if path is None or not path.is_file():
            return journal
        first, *rest = read_lines(path)
        if first.get("identity") != identity:
            raise StoreError(f"{path} belongs to another race", hint="type --overwrite, or choose another --out")
        journal.pilot = Pilot(**first["pilot"])
        journal.trials = {trial.key: trial for trial in map(trial_of, rest)}
        return journal

    def begin(self, pilot: Pilot) -> Pilot:
        """Keep what the pilot measured."""
        self.pilot = pilot
        self._write({"identity": self.identity, "pilot": asdict(pilot)})
        return pilot

    def add(self, trial: Trial) -> Trial:
        """Keep a trial."""
        self.trials[trial.key] = trial
        self._write(asdict(trial))
        return trial

    def _write(self, line: dict[str, Any]) -> None:
        if self.path is not None:
            append_line(self.path, line)


@dataclass
class Race:
    """A race under way.

    Attributes:
        request: with the recipe of the race.
        rows: which are learnt from and which judge.
        journal: of finished trials.
        clock: seconds; another one than that of the system in tests.
    """

    request: TrainingRequest
    rows: RaceRows
    journal: Journal
    clock: Clock = monotonic
    backbone: Backbone | None = None
    vectors: dict[str, np.ndarray] = field(default_factory=dict)  # pooling -> (rows, width), of rows read so far
    read: np.ndarray = field(default_factory=lambda: np.empty(0, bool))  # (rows,)
    passes: float = inf  # forward of one row, that no trial has more of

    @property
    def auto(self) -> AutoRecipe:
        """The recipe of the race."""
        assert isinstance(self.request.recipe, AutoRecipe)
        return self.request.recipe

    def cost(self, name: str, rows: int, passes: float) -> float:
        """Passes forward of each row in a training that has time for so many."""
        return ENTRIES[name].cost(self.recipe(name, rows, passes), self.tokens)

    def recipe(self, name: str, rows: int, passes: float = inf) -> MethodRecipe:
        """The recipe of a training that has time for so many passes of each row."""
        return ENTRIES[name].recipe(self.auto, rows, passes, self.tokens)

    @property
    def tokens(self) -> float:
        """Of a text, on average."""
        assert self.journal.pilot is not None
        return self.journal.pilot.tokens

    def start(self) -> Standing:
        """The state before the first trial: the pilot is done."""
        splits, rows, sets = self.request.splits, self.rows, self.rows.texts.kind == "sets"
        entries = [name for name in ENTRIES if name in self.auto.race.candidates]
        suited = (name for name in entries if ENTRIES[name].suits(rows.most, rows.classes, sets=sets, beside=entries))
        names = [*suited]
        pilot = self.journal.pilot or self.journal.begin(self.measure())
        every = sum(map(len, splits.parts.values()))
        learnt = len(splits.train) + (0 if splits.limited else len(splits.validation))
        answered = every * (1 + self.request.compare) - len(splits.train)
        budget, seed = read_budget(self.auto.race.budget), self.auto.loop.seed
        model = self.auto.backbone.model
        ahead = {name: ENTRIES[name].expected(rows.most, rows.classes, model) for name in entries}
        standing = Standing(names or entries, self.cost, pilot, budget, learnt, answered, seed, ahead, self.refits)
        self.passes = standing.passes
        return standing

    @property
    def refits(self) -> bool:
        """Whether so few rows are given that the chosen candidate learns from all of them in the end."""
        return len(self.rows.texts) <= ALL_LEARNT and not self.request.splits.limited

    def measure(self) -> Pilot:
        """Load the model and run a few texts."""
        begun = self.clock()
        self.request.progress("race: measuring the model", 0, 0, "")
        backbone = self.loaded()
        again = self.clock()
        load_backbone(self.auto.backbone)  # the first time holds what is imported for it, which no trial needs
        load = self.clock()
        some = self.rows.texts.take(draw_some(len(self.rows.texts), PILOT_ROWS, [self.rows.seed, 12]))
        extract_blocks(backbone, some.text[:WARM_ROWS], candidates(backbone))
        warm = self.clock()
        _, tokens = extract_blocks(backbone, some.text, candidates(backbone))
        end = self.clock()
        length = float(np.mean([len(ids) for ids in tokens.ids]))
        return Pilot(load - again, (end - warm) / len(some), max(length, 1.0), end - begun)

    def loaded(self) -> Backbone:
        """The frozen model, loaded once."""
        if self.backbone is None:
            self.backbone = load_backbone(self.auto.backbone)
        return self.backbone

    def rungs(self, standing: Standing) -> list[Rung]:
        """From as many rows as fit into a quarter of the budget for all candidates."""
        rungs = self.rows.rungs(FIRST_ROWS)
        while True:
            smaller = self.rows.rungs(rungs[0].rows // 2)
            if standing.rung_seconds(rungs[0]) <= FIRST_SHARE * standing.budget or len(smaller) == len(rungs):
                return rungs
            rungs = smaller

    def run(self) -> tuple[Standing, str]:
        """Do the trials, rung by rung; gives the state at the end, and the name of the chosen candidate.

        Raises:
            SeparatrixError: what the last candidate failed with, where none could be trained.
        """
        standing = self.start()
        rungs = self.rungs(standing)
        done: dict[int, list[int]] = {}  # rows -> folds
        chosen = standing.alive[0]
        for number, rung in enumerate(rungs):
            affordable = standing.affords(rung, first=number == 0, leader=chosen if number else None)
            if len(standing.alive) == 1 or (number and not affordable):
                chosen = chosen if number else standing.alive[0]
                break
            folds = done.setdefault(rung.rows, [])
            folds += rung.folds
            for name in standing.alive:
                if number or not standing.too_dear(name, rung):
                    self.climb(standing, name, rung)
            if not standing.alive:
                raise DataError("no method could be trained", got="; ".join(why for _, why in standing.out.values()))
            standing.stop(rung.rows, folds)
            chosen = standing.leader(rung.rows, folds)
        return standing, chosen

    def more_time(self, standing: Standing) -> dict[str, Any] | None:
        """The shortest budget of `BUDGETS` in which more than one method would take part; None where none is.

        By what the pilot measured, with a tenth to spare.
        """
        for minutes in BUDGETS:
            longer = replace(standing, budget=60 * minutes / 1.1, trials=[], out={})
            affordable = 60 * minutes > standing.budget and longer.affords(self.rungs(longer)[0], first=True)
            if affordable and len(longer.alive) > 1:
                return {"budget": f"{minutes}min" if minutes < 60 else f"{minutes // 60}h", "names": longer.alive}
        return None

    def measure_alone(self, standing: Standing, chosen: str) -> None:
        """Trials with all rows of the only method that time left, if there is time for those with half of them too."""
        rung = Rung(self.rows.most, self.rows.rungs(FIRST_ROWS)[0].folds)
        half = replace(rung, rows=rung.rows // 2)
        needs = sum(standing.training_seconds(chosen, each.rows) * len(rung.folds) for each in (rung, half))
        enough = needs + standing.final_seconds(chosen, inf, refit=True) <= standing.left
        if enough and half.rows >= 2 * KEPT * self.rows.classes:
            self.climb(standing, chosen, rung)

    def extend_curve(self, standing: Standing, chosen: str) -> None:
        """Trials with half the rows, of the chosen method, of the probe and of fine-tuning, as far as time is left.

        They say what the last doubling of the rows brought; the choice has been made.
        """
        if standing.out and not standing.trials:
            self.measure_alone(standing, chosen)
        for name in dict.fromkeys((chosen, "probe", "finetune")):
            own = [trial for trial in standing.trials if trial.candidate == name and trial.error is None]
            sizes = {trial.rows for trial in own}
            if len(sizes) != 1 or (half := max(sizes) // 2) < 2 * KEPT * self.rows.classes:
                continue
            rung = Rung(half, tuple(trial.fold for trial in own))
            needs = standing.training_seconds(name, half) * len(rung.folds)
            if needs + standing.final_seconds(chosen, inf, refit=True) <= standing.left:
                self.climb(standing, name, rung)

    def climb(self, standing: Standing, name: str, rung: Rung) -> None:
        """The trials of a candidate in a rung; one that fails is out."""
        for fold in rung.folds:
            trial = self.trial(name, rung.rows, fold)
            standing.trials.append(trial)
            if trial.error is not None:
                standing.out[name] = ("failed", trial.error)
                return

    def trial(self, name: str, rows: int, fold: int) -> Trial:
        """Train a candidate once and judge it, or read what the journal says of it."""
        if (known := self.journal.trials.get((name, rows, fold))) is not None:
            return known
        begun, right, error = self.clock(), np.empty(0, bool), None
        try:
            right = self.judge(name, rows, fold)
        except SeparatrixError as caught:
            error = str(caught)
        seconds = self.clock() - begun
        return self.journal.add(Trial(name, rows, fold, seconds, tuple(right.astype(int).tolist()), error))

    def judge(self, name: str, rows: int, fold: int) -> np.ndarray:
        """Whether a candidate that learnt from so many rows answers each judged row right, (judged,) bool."""
        part, texts, entry = self.rows.trial(rows, fold), self.rows.texts, ENTRIES[name]
        title = f"race: {name}, {rows} rows" + (f", fold {fold + 1}" if self.rows.crossed else "")
        judged = texts.take(part.judged)
        assert judged.label is not None
        splits = Splits(texts.take(part.train), texts.take(part.inner), None, ())
        self.request.progress(title, 0, 0, "")
        targets = encode(splits.parts, "classify")
        if entry.method == "probe":
            parts = {"train": part.train, "validation": part.inner}
            blocks = {
                key: LabelledBlocks(self.frozen(each), targets.values[key], splits.parts[key].weight)
                for key, each in parts.items()
            }
            fitted = fit_linear(blocks["train"], blocks["validation"], len(targets.names), self.rows.seed)
            scores = fitted.model.scores(self.frozen(part.judged)[fitted.pool])
            assert targets.classes is not None
            if targets.sets:
                chosen = fit_calibration(fitted.scores(blocks["validation"]), targets.values["validation"])
                return np.asarray(sets_of(chosen.decide(scores), targets.classes.names) == judged.label, dtype=bool)
            return np.asarray(targets.classes.decode(scores.argmax(axis=1)) == judged.label, dtype=bool)
        recipe = self.recipe(name, rows, self.passes / rows)
        progress = under(self.request.progress, title)
        request = for_labels(TrainingRequest(splits, recipe, entry.method, None, progress, compare=False))
        score = Evaluator.of(targets.values["train"], targets.names, self.rows.seed).quick
        trained = METHODS[entry.method].train(request, targets, score)
        return np.asarray(trained.model.answer(judged.text).labels == judged.label, dtype=bool)

    def frozen(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Frozen vectors of rows by pooling; each row is run once in a race."""
        backbone = self.loaded()
        if not len(self.read):
            self.read = np.zeros(len(self.rows.texts), bool)
        new = rows[~self.read[rows]]
        if len(new):
            blocks, _ = extract_blocks(backbone, self.rows.texts.take(new).text, candidates(backbone))
            for name, block in blocks.items():
                self.vectors.setdefault(name, np.empty((len(self.read), block.shape[1]), np.float32))[new] = block
            self.read[new] = True
        return {name: block[rows] for name, block in self.vectors.items()}


def choose_method(request: TrainingRequest, clock: Clock = monotonic) -> tuple[TrainingRequest, dict[str, Any]]:
    """The training of the method that wins the race, and what the result says of the race.

    Raises:
        SeparatrixError: anything that the user can mend.
    """
    assert isinstance(request.recipe, AutoRecipe)
    seed = request.recipe.loop.seed
    rows = RaceRows.of(request.splits, seed)
    identity = recipes.digest(recipes.decisive(request.recipe), describe_texts(request.splits))
    race = Race(request, rows, Journal.open(request.folder, identity), clock)
    standing, name = race.run()
    more_time = None if standing.trials or not standing.out else race.more_time(standing)
    race.extend_curve(standing, name)
    spare = standing.final_seconds(name, inf, refit=True) <= standing.left
    refit = race.refits or (spare and not request.splits.limited)
    entry, learnt = ENTRIES[name], len(request.splits.train)
    recipe = recipes.replace(race.recipe(name, learnt), refit=refit)
    usual, fit = recipe.loop.epochs, race.recipe(name, standing.rows, standing.passes_left(name)).loop.epochs
    epochs = None
    if fit < min(usual, race.recipe(name, standing.rows).loop.epochs):
        epochs, recipe = {"trained": fit, "usual": usual}, recipes.replace(recipe, epochs=fit)
    if request.splits.train.kind == "sets":
        note = "in the race a row counts as right where its whole set of labels is"
        request = replace(request, splits=replace(request.splits, notes=(*request.splits.notes, note)))
    winner = for_labels(replace(request, method=entry.method, recipe=recipe))
    record = {"method": entry.method, **recipes.record(winner.recipe)}
    return winner, race_figures(
        standing, rows, name, {"refit": refit, "recipe": record, "more_time": more_time, "epochs": epochs}
    )
