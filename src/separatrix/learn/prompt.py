"""Train a prompt behind frozen texts.

`train_prompt` is the story: load the model, run every text once, start the prompt and the centroids, loop, calibrate
on validation. The model's weights are hashed before and after.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import torch
from torch import Tensor

from separatrix import recipe as recipes
from separatrix.errors import ModelError
from separatrix.geometry.calibrate import fit_temperature
from separatrix.learn import centroids
from separatrix.learn.guards import check_cache, check_frozen
from separatrix.learn.job import Job
from separatrix.learn.loop import Fitted, Loop
from separatrix.learn.losses import OBJECTIVES, Objective
from separatrix.learn.measure import EVALUATION_ROWS, EVALUATION_TOKENS, evaluate
from separatrix.learn.prompted import PromptModel
from separatrix.learn.targets import Targets, encode
from separatrix.learn.task import Problem, Score, Task
from separatrix.learn.trajectory import Recorder
from separatrix.learn.watch import RunWatcher
from separatrix.learn.words import WordRanking, given_words, plain_words, rank_words, word_notes
from separatrix.models.backbone import Backbone, load_backbone
from separatrix.models.batches import token_batches
from separatrix.models.cache import TextCache, build_cache, cache_note
from separatrix.models.suffix import SoftPrompt, read, run_prompt, start_prompt
from separatrix.progress import Counter
from separatrix.recipe import TrainRecipe

CACHE = "cache"
# Training rows whose outputs start the centroids and choose the label words; every class is in.
START_ROWS = 2000


@dataclass
class PromptLearner:
    """A prompt behind two sets of cached texts, as the loop sees it."""

    backbone: Backbone
    recipe: TrainRecipe
    prompt: SoftPrompt
    caches: dict[str, TextCache]
    words: Tensor | None = None  # (classes,) ids of the label words; once they are known, outputs are their logits

    def groups(self) -> dict[str, dict[str, Tensor]]:
        """The prompt's tokens, and the vectors of the layers, each a learning-rate group."""
        named = self.prompt.named()
        return {"prompt": {"tokens": named["tokens"]}} | (
            {"layers": {"steer": named["steer"]}} if "steer" in named else {}
        )

    def outputs(self, part: str, rows: np.ndarray, step: int | None = None) -> Tensor:
        """Outputs of these rows, (rows, width) float32; in a training step some of the text may be hidden."""
        text, share = self.caches[part].batch(rows), self.recipe.prompt.text_dropout
        if step is not None and share:
            text.hide(share, np.random.default_rng([self.recipe.loop.seed, step]))
        hidden = run_prompt(self.prompt, text, self.backbone)
        z = read(hidden, self.recipe.prompt, self.backbone)
        return z if self.words is None else z[:, self.words]

    def lengths(self, part: str) -> np.ndarray:
        """Tokens of each text of a part."""
        return self.caches[part].lengths


@dataclass(frozen=True)
class TrainedPrompt:
    """What a training gives: the model, the metrics of every epoch, what is worth saying, the frozen vectors."""

    model: PromptModel
    fitted: Fitted
    notes: tuple[str, ...]
    vectors: dict[str, dict[str, np.ndarray]]  # part -> pooling -> (rows, width) of the frozen texts, for baselines
    words: WordRanking | None = None  # of the model, where its label words were chosen
    judged: PromptModel | None = None  # with `refit`: the model that has not seen the validation rows

    @property
    def judge(self) -> PromptModel:
        """The model that answers for the validation rows."""
        return self.judged or self.model


@dataclass
class Bench:
    """A learner, its problem and its anchors on the bench: everything between loading and looping."""

    learner: PromptLearner
    problem: Problem
    targets: Targets
    held: dict[str, Tensor] = field(default_factory=dict)  # centroids, or weight and bias
    words: WordRanking | None = None


def train_prompt(job: Job[TrainRecipe]) -> TrainedPrompt:
    """Train a prompt (and centroids or a head) on labelled texts.

    With a folder, the state is saved there as training goes on; called again on the same folder with the same job, it
    goes on and ends, on one machine, with the same bytes. Without one nothing is left on disk: a text cache that goes
    there lies in a temporary folder (TMPDIR says where). With `refit` the model is trained a second time, on the
    validation rows too; the calibration stays that of the first training.

    Raises:
        DataError: labels that do not fit the objective, texts without a token.
        ModelError: the model cannot be found, loaded or used; its weights changed; the cache changes the outputs.
        OptionError: label words or a start of the prompt that do not exist.
        StoreError: no room, or a checkpoint of another job in the folder.
    """
    trained = _train(job)
    if job.recipe.loop.refit:
        epochs, judged = trained.fitted.best_epoch, trained.model
        again = _train(job.again(epochs))
        model = replace(again.model, temperature=judged.temperature)
        notes = (*trained.notes, job.said(epochs))
        trained = replace(trained, model=model, judged=judged, words=again.words, notes=notes)
    return replace(trained, notes=(*trained.notes, *_word_notes(trained)))


def _train(job: Job[TrainRecipe]) -> TrainedPrompt:
    objective = OBJECTIVES[job.recipe.objective.loss]
    job = replace(job, recipe=_readout(job.recipe, objective))
    backbone = _load(job.recipe, objective)
    before = backbone.fingerprint()
    caches: dict[str, TextCache] = {}
    with _place(job, caches) as place:
        bench = _prepare(job, backbone, objective, caches, place)
        check_cache(caches["train"], bench.learner.prompt, backbone)
        loop = _loop(bench, job, backbone.source.weights)
        fitted = loop.run()
        check_frozen(backbone, before)
        model = _finish(bench, loop, fitted, job.recipe)
        vectors = {part: cache.vectors for part, cache in caches.items() if cache.vectors is not None}
        return TrainedPrompt(model, fitted, _notes(caches), vectors, bench.words)


@contextmanager
def _place(job: Job[TrainRecipe], caches: dict[str, TextCache]) -> Iterator[Path]:
    """Where caches on disk go, in the job's folder or a temporary one; afterwards it is gone and they are closed."""
    place = Path(mkdtemp(prefix="separatrix-")) if job.folder is None else job.folder / CACHE
    try:
        yield place
    finally:
        for cache in caches.values():
            cache.close()
        shutil.rmtree(place, ignore_errors=True)


def _load(recipe: TrainRecipe, objective: Objective) -> Backbone:
    try:
        return load_backbone(recipe.backbone, logits=recipe.prompt.readout == "logits")
    except ModelError as error:
        if objective.needs == "words" and "language-model head" in str(error):
            what = f"model {recipe.backbone.model!r} has no language-model head that --loss {objective.name} can use"
            hint = "use another --loss, or a --model with a language-model head"
            raise ModelError(what, hint=hint) from error
        raise


def _loop(bench: Bench, job: Job[TrainRecipe], weights: str) -> Loop:
    """The loop of a job; its checkpoint belongs to this recipe, these weights and these texts alone."""
    if (words := bench.learner.words) is not None:  # they are chosen, not asked for: others must not go on from it
        weights = f"{weights}, label words {words.tolist()}"
    task = Task(bench.learner, bench.problem, job.recipe, keep=job.keep)
    recorder = Recorder(job.trajectory, len(job.train), len(job.validation), job.recipe.loop.seed)
    watcher = RunWatcher(task, recorder, job.report)
    return Loop(task, bench.held, watcher, path=job.checkpoint, identity=job.identity(weights))


def _readout(recipe: TrainRecipe, objective: Objective) -> TrainRecipe:
    """Label words are logits; say so in the recipe."""
    if objective.needs != "words" or recipe.prompt.readout == "logits":
        return recipe
    return recipes.replace(recipe, readout="logits", positions="last")


def _prepare(
    job: Job[TrainRecipe], backbone: Backbone, objective: Objective, caches: dict[str, TextCache], folder: Path
) -> Bench:
    """Run the texts (filling `caches`, which the caller closes), start the prompt and the anchors."""
    recipe = job.recipe
    parts = {"train": job.train, "validation": job.validation}
    targets = encode(parts, objective.task)
    given = recipe.objective.words if objective.needs == "words" else None
    words = None if given is None else given_words(given, targets.names, backbone)
    for part, texts in parts.items():
        tokens = backbone.tokenize(texts.text, reserve=recipe.prompt.tokens)
        done, place = Counter(job.report, f"texts ({part})", len(texts)), folder / part
        caches[part] = build_cache(backbone, tokens, recipe.text_cache, folder=place, progress=done, beside=caches)
    shape, seed = caches["train"].shape, recipe.loop.seed
    prompt = start_prompt(recipe.prompt, backbone, shape, names=targets.names, seed=seed)
    seen = {part: torch.from_numpy(values).to(backbone.device) for part, values in targets.trained.items()}
    problem = Problem(objective, seen, len(targets.names), _in_unit(job.score, targets))
    learner = PromptLearner(backbone, recipe, prompt, caches, words)
    return _start_anchors(Bench(learner, problem, targets), recipe)


def _in_unit(score: Score, targets: Targets) -> Score:
    """Numbers are trained standardised, but their errors are told in their own unit."""
    if targets.classes is not None:
        return score
    mean, scale = targets.scaling.mean, targets.scaling.scale
    return lambda scores, y: score(scores * scale + mean, y * scale + mean)


def _start_anchors(bench: Bench, recipe: TrainRecipe) -> Bench:
    """Centroids, head or label words, from the outputs of some training rows of every class."""
    problem, learner, device = bench.problem, bench.learner, bench.learner.backbone.device
    needs, seed = problem.objective.needs, recipe.loop.seed
    rows = start_rows(problem.targets["train"].cpu().numpy(), problem.classes, seed)
    if needs == "words":
        return _start_words(bench, rows)
    z = evaluate(learner, "train", rows)
    y = problem.targets["train"][torch.from_numpy(rows).to(device)]
    if needs == "head":
        generator = torch.Generator().manual_seed(seed)
        weight = torch.randn(max(1, problem.classes), z.shape[1], generator=generator) / z.shape[1] ** 0.5
        bench.held = {"weight": weight.to(device), "bias": torch.zeros(len(weight), device=device)}
    else:
        name = "mean" if needs == "means" else recipe.centroids.start
        bench.held = {"centroids": centroids.start(name, z, y, problem.classes, seed).contiguous()}
    return bench


def _start_words(bench: Bench, rows: np.ndarray) -> Bench:
    """The label words given, or those that tell the classes of these rows apart; from now on they are all outputs."""
    problem, learner, device = bench.problem, bench.learner, bench.learner.backbone.device
    if learner.words is None:
        bench.words = _choose_words(learner, rows, problem)
        learner.words = bench.words.words.to(device)
        # Words differ far more in their usual logit than classes do: chosen ones are compared with their level.
        bench.held = {"bias": -bench.words.levels.to(device)}
    bench.problem = replace(problem, words=torch.arange(problem.classes, device=device))
    return bench


@torch.no_grad()
def _choose_words(learner: PromptLearner, rows: np.ndarray, problem: Problem) -> WordRanking:
    """Rank the vocabulary on these rows; the logits of a batch are dropped before those of the next are made."""
    lengths, backbone = learner.lengths("train")[rows], learner.backbone
    batches = [rows[batch] for batch in token_batches(lengths, EVALUATION_TOKENS, EVALUATION_ROWS)]
    y = problem.targets["train"].cpu()[torch.from_numpy(np.concatenate(batches))]
    logits = (learner.outputs("train", batch) for batch in batches)
    return rank_words(logits, y, problem.classes, plain_words(backbone.tokenizer, len(backbone.embedding)))


def start_rows(labels: np.ndarray, classes: int, seed: int) -> np.ndarray:
    """At most `START_ROWS` rows, sorted: the first row of each class and a seeded sample of the others."""
    if len(labels) <= START_ROWS:
        return np.arange(len(labels))
    drawn = np.random.default_rng([seed, 1]).permutation(len(labels))[:START_ROWS]
    first = [int(np.flatnonzero(labels == label)[0]) for label in range(classes)] if classes else []
    return np.unique(np.concatenate([drawn, np.array(first, dtype=np.int64)]))


def _finish(bench: Bench, loop: Loop, fitted: Fitted, recipe: TrainRecipe) -> PromptModel:
    best = fitted.tensors
    prompt = SoftPrompt(best["tokens"], best.get("steer"))
    anchors = replace(loop.anchors(best), words=bench.learner.words)
    shape = bench.learner.caches["train"].shape
    classes, scaling = bench.targets.classes, bench.targets.scaling
    model = PromptModel(bench.learner.backbone, shape, recipe, prompt, anchors, classes, scaling)
    if classes is None:
        return model
    bench.learner.prompt = prompt
    scores = model.scores(evaluate(bench.learner, "validation").cpu().numpy())
    return replace(model, temperature=fit_temperature(scores, bench.problem.targets["validation"].cpu().numpy()))


def _word_notes(trained: TrainedPrompt) -> tuple[str, ...]:
    model = trained.model
    if model.anchors.words is None or model.classes is None:
        return ()
    return word_notes(trained.words or model.recipe.objective.words or (), model.classes.names, model.backbone)


def _notes(caches: dict[str, TextCache]) -> tuple[str, ...]:
    notes = []
    for part, cache in caches.items():
        if cache.tokens.cut:
            limit = int(cache.lengths.max())
            notes.append(f"{part}: {cache.tokens.cut} of {len(cache.tokens)} texts were cut to {limit} tokens")
        notes += [f"{part}: {line}" for line in cache.tokens.unread.warnings]
    return (*notes, cache_note(caches))
