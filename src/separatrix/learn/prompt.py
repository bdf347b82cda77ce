"""Train a prompt behind frozen texts.

`train_prompt` is the story: load the model, run every text once, start the prompt and the centroids, loop, calibrate
on validation. The model's weights are hashed before and after.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from separatrix import recipe as recipes
from separatrix.errors import DataError, OptionError
from separatrix.geometry.calibrate import fit_temperature
from separatrix.learn import centroids
from separatrix.learn.guards import check_cache, check_frozen
from separatrix.learn.loop import CHECKPOINT, Fitted, Loop, Problem, Score, Task, evaluate
from separatrix.learn.losses import OBJECTIVES, Anchors, Objective
from separatrix.learn.prompted import PromptModel
from separatrix.learn.saved import Scaling
from separatrix.learn.trajectory import Recorder
from separatrix.learn.words import WordRanking, rank_words
from separatrix.models.backbone import Backbone, load_backbone
from separatrix.models.cache import TextCache, build_cache
from separatrix.models.suffix import SoftPrompt, read, run_prompt, start_prompt
from separatrix.recipe import TrainRecipe
from separatrix.texts import Classes, Texts

# Training rows whose outputs start the centroids and choose the label words; every class is in.
START_ROWS = 2000

Report = Callable[[str, int, int, str], None]  # (stage, done, total, note)


def silent(_stage: str, _done: int, _total: int, _note: str) -> None:
    """Report nothing."""


@dataclass
class PromptLearner:
    """A prompt behind two sets of cached texts, as the loop sees it."""

    backbone: Backbone
    recipe: TrainRecipe
    prompt: SoftPrompt
    caches: dict[str, TextCache]

    def groups(self) -> dict[str, dict[str, Tensor]]:
        """The prompt's tokens, and the vectors of the layers, each a learning-rate group."""
        named = self.prompt.named()
        return {"prompt": {"tokens": named["tokens"]}} | (
            {"layers": {"steer": named["steer"]}} if "steer" in named else {}
        )

    def outputs(self, part: str, rows: np.ndarray) -> Tensor:
        """Outputs of these rows, (rows, width) float32."""
        hidden = run_prompt(self.prompt, self.caches[part].batch(rows), self.backbone)
        return read(hidden, self.recipe.prompt, self.backbone)

    def lengths(self, part: str) -> np.ndarray:
        """Tokens of each text of a part."""
        return self.caches[part].lengths


@dataclass(frozen=True)
class TrainedPrompt:
    """What a training gives: the model, the metrics of every epoch, what is worth saying, the frozen vectors."""

    model: PromptModel
    fitted: Fitted
    notes: tuple[str, ...]
    vectors: dict[str, np.ndarray]  # part -> (rows, width): layer means of the frozen texts, for baselines
    words: WordRanking | None = None


@dataclass(frozen=True)
class Job:
    """One order: the texts, the recipe, where things go and who is told."""

    train: Texts
    validation: Texts
    recipe: TrainRecipe
    score: Score
    folder: Path | None = None
    report: Report = silent


@dataclass
class Bench:
    """A learner, its problem and its anchors on the bench: everything between loading and looping."""

    learner: PromptLearner
    problem: Problem
    classes: Classes | None
    scaling: Scaling
    held: dict[str, Tensor] = field(default_factory=dict)  # centroids, or weight and bias
    words: WordRanking | None = None


def train_prompt(job: Job) -> TrainedPrompt:
    """Train a prompt (and centroids or a head) on labelled texts.

    With a folder, the state is saved there as training goes on; called again on the same folder with the same job, it
    goes on and ends with the same bytes. Without one everything stays in memory.

    Raises:
        DataError: labels that do not fit the objective, texts without a token.
        ModelError: the model cannot be found, loaded or used; its weights changed; the cache changes the outputs.
        OptionError: label words or a start of the prompt that do not exist.
        StoreError: no room, or a checkpoint of another job in the folder.
    """
    objective = OBJECTIVES[job.recipe.objective.loss]
    job = replace(job, recipe=_readout(job.recipe, objective))
    backbone = load_backbone(job.recipe.backbone, logits=job.recipe.prompt.readout == "logits")
    before = backbone.fingerprint()
    caches: dict[str, TextCache] = {}
    try:
        bench = _prepare(job, backbone, objective, caches)
        check_cache(caches["train"], bench.learner.prompt, backbone)
        watcher = _Watcher(bench, job)
        contents = [_content(texts) for texts in (job.train, job.validation)]
        identity = recipes.digest(job.recipe, backbone.source.weights, *contents)
        place = None if job.folder is None else job.folder / CHECKPOINT
        loop = Loop(Task(bench.learner, bench.problem, job.recipe), bench.held, watcher, path=place, identity=identity)
        fitted = loop.run()
        check_frozen(backbone, before)
        model = _finish(bench, loop, fitted, job.recipe)
        vectors = {part: cache.vectors for part, cache in caches.items() if cache.vectors is not None}
        return TrainedPrompt(model, fitted, _notes(caches), vectors, bench.words)
    finally:
        for cache in caches.values():
            cache.close()


def _content(texts: Texts) -> list[list[str]]:
    return [list(texts.text), [] if texts.label is None else list(map(str, texts.label))]


def _readout(recipe: TrainRecipe, objective: Objective) -> TrainRecipe:
    """Label words are logits; say so in the recipe."""
    if objective.needs != "words" or recipe.prompt.readout == "logits":
        return recipe
    return recipes.replace(recipe, readout="logits", positions="last")


def _targets(train: Texts, validation: Texts, task: str) -> tuple[Classes | None, Scaling, dict[str, Tensor]]:
    if train.label is None or validation.label is None:
        raise DataError(f"{train.source}: training needs labels", hint="name their column with --label")
    if task == "classify":
        classes = Classes.of(train.label, source=train.source)
        parts = {"train": train, "validation": validation}
        ids = {part: classes.encode(texts.label, source=texts.source) for part, texts in parts.items()}
        return classes, Scaling(), {part: torch.from_numpy(values) for part, values in ids.items()}
    if train.kind == "names":
        raise DataError(f"{train.source}: the loss mse needs numbers as labels", got="names", hint="use another --loss")
    y = np.asarray(train.label, dtype=np.float64)
    scaling = Scaling(float(y.mean()), float(y.std()) or 1.0)
    both = {"train": y, "validation": np.asarray(validation.label, dtype=np.float64)}
    return (
        None,
        scaling,
        {
            part: torch.from_numpy(((values - scaling.mean) / scaling.scale).astype(np.float32))
            for part, values in both.items()
        },
    )


def _prepare(job: Job, backbone: Backbone, objective: Objective, caches: dict[str, TextCache]) -> Bench:
    """Run the texts (filling `caches`, which the caller closes), start the prompt and the anchors."""
    recipe = job.recipe
    classes, scaling, targets = _targets(job.train, job.validation, objective.task)
    targets = {part: values.to(backbone.device) for part, values in targets.items()}
    for part, texts in (("train", job.train), ("validation", job.validation)):
        tokens = backbone.tokenize(texts.text, reserve=recipe.prompt.tokens)
        done = _Counter(job.report, f"texts ({part})", len(texts))
        place = None if job.folder is None else job.folder / "cache" / part
        caches[part] = build_cache(backbone, tokens, recipe.text_cache, folder=place, progress=done)
    names = () if classes is None else classes.names
    prompt = start_prompt(recipe.prompt, backbone, caches["train"].shape, names=names, seed=recipe.loop.seed)
    problem = Problem(objective, targets, 0 if classes is None else len(classes), job.score)
    return _start_anchors(Bench(PromptLearner(backbone, recipe, prompt, caches), problem, classes, scaling), recipe)


def _start_anchors(bench: Bench, recipe: TrainRecipe) -> Bench:
    """Centroids, head or label words, from the outputs of some training rows of every class."""
    problem, learner, device = bench.problem, bench.learner, bench.learner.backbone.device
    needs, seed = problem.objective.needs, recipe.loop.seed
    rows = start_rows(problem.targets["train"].cpu().numpy(), problem.classes, seed)
    z = evaluate(learner, "train", rows)
    y = problem.targets["train"][torch.from_numpy(rows).to(device)]
    if needs == "head":
        generator = torch.Generator().manual_seed(seed)
        weight = torch.randn(max(1, problem.classes), z.shape[1], generator=generator) / z.shape[1] ** 0.5
        bench.held = {"weight": weight.to(device), "bias": torch.zeros(len(weight), device=device)}
    elif needs == "words":
        ids = recipe.objective.words and _word_ids(bench, recipe.objective.words)
        bench.words = None if ids else rank_words(z, y, problem.classes)
        chosen = torch.tensor(ids) if ids else torch.as_tensor(bench.words.words)  # type: ignore[union-attr]
        if bench.words is not None:
            # Words differ far more in their usual logit than classes do: chosen ones are compared with their level.
            bench.held = {"bias": -torch.as_tensor(bench.words.levels, dtype=torch.float32).to(device)}
        bench.problem = replace(problem, words=chosen.to(device))
    else:
        name = "mean" if needs == "means" else recipe.centroids.start
        bench.held = {"centroids": centroids.start(name, z, y, problem.classes, seed).contiguous()}
    return bench


def start_rows(labels: np.ndarray, classes: int, seed: int) -> np.ndarray:
    """At most `START_ROWS` rows, sorted: the first row of each class and a seeded sample of the others."""
    if len(labels) <= START_ROWS:
        return np.arange(len(labels))
    drawn = np.random.default_rng([seed, 1]).permutation(len(labels))[:START_ROWS]
    first = [int(np.flatnonzero(labels == label)[0]) for label in range(classes)] if classes else []
    return np.unique(np.concatenate([drawn, np.array(first, dtype=np.int64)]))


def _word_ids(bench: Bench, words: tuple[str, ...]) -> list[int]:
    """The first token of each label word, with the space before it that running text has."""
    names = bench.classes.names if bench.classes else ()
    if len(words) != len(names):
        raise OptionError(
            "one label word per class is needed", got=len(words), expected=f"{len(names)}: {', '.join(names)}"
        )
    tokenizer = bench.learner.backbone.tokenizer
    space = " " if bench.learner.backbone.causal else ""
    ids = [tokenizer(space + word, add_special_tokens=False)["input_ids"][0] for word in words]
    if len(set(ids)) < len(ids):
        raise OptionError("two label words begin with the same token", got=", ".join(words), hint="choose others")
    return ids


def _finish(bench: Bench, loop: Loop, fitted: Fitted, recipe: TrainRecipe) -> PromptModel:
    best = fitted.tensors
    prompt = SoftPrompt(best["tokens"], best.get("steer"))
    anchors = loop.anchors(best)
    shape = bench.learner.caches["train"].shape
    model = PromptModel(bench.learner.backbone, shape, recipe, prompt, anchors, bench.classes, bench.scaling)
    if bench.classes is None:
        return model
    bench.learner.prompt = prompt
    scores = model.scores(evaluate(bench.learner, "validation").cpu().numpy())
    return replace(model, temperature=fit_temperature(scores, bench.problem.targets["validation"].cpu().numpy()))


def _notes(caches: dict[str, TextCache]) -> tuple[str, ...]:
    notes = []
    for part, cache in caches.items():
        if cache.tokens.cut:
            limit = int(cache.lengths.max())
            notes.append(f"{part}: {cache.tokens.cut} of {len(cache.tokens)} texts were cut to {limit} tokens")
    cache = caches["train"]
    notes.append(f"text cache: {cache.place}, {cache.nbytes / 2**20:.0f} MiB for the training texts")
    return tuple(notes)


@dataclass
class _Counter:
    """Turns "so many more" into a report with a total."""

    report: Report
    stage: str
    total: int
    done: int = 0

    def __call__(self, more: int) -> None:
        self.done += more
        self.report(self.stage, self.done, self.total, "")


class _Watcher:
    """Writes the trajectory and reports progress."""

    def __init__(self, bench: Bench, job: Job) -> None:
        self.bench, self.recipe, self.report = bench, job.recipe, job.report
        place = None if job.folder is None else job.folder / "trajectory"
        self.recorder = Recorder(place, len(job.train), len(job.validation), job.recipe.loop.seed)

    def on_step(self, done: int, total: int, loss: float) -> None:
        self.report("training", done, total, f"loss {loss:.3f}")

    def on_rows(self, _epoch: int, rows: np.ndarray, own: np.ndarray) -> None:
        self.recorder.rows(rows, own)

    def on_save(self) -> None:
        self.recorder.keep_own()

    def on_frame(self, step: int, title: str, anchors: Anchors) -> None:
        if self.recorder.folder is None:
            return
        z = evaluate(self.bench.learner, "validation", self.recorder.frame_rows)
        problem = self.bench.problem
        scores = problem.objective.scores(z, anchors, self.recipe.objective)
        predicted = scores.argmax(1) if problem.classes else scores[:, 0]
        self.recorder.frame(step, title, z.cpu().numpy(), predicted.cpu().numpy(), anchors)

    def on_epoch(self, epoch: int, outputs: np.ndarray, scores: np.ndarray) -> None:
        self.recorder.epoch(epoch, outputs, scores)
