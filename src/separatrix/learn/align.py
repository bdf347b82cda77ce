"""Train an encoder so that rows of one class stand together: class-driven alignment (seed 004), and plain fine-tuning.

`train_encoder` is the story: load the model, say what of it is trained, fill the bank, loop, put the best weights back,
encode the training rows once more for the index, choose k on validation. Training and prediction measure by the same
cosine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from separatrix.learn import gradcache, pairs, sampler, schedule
from separatrix.learn.aligned import AlignModel, check_index, finish_model
from separatrix.learn.bank import Bank, ClassMemory, class_cosines
from separatrix.learn.encoder import EncoderLearner, check_trained, start_encoder
from separatrix.learn.job import Job
from separatrix.learn.loop import Fitted, Loop
from separatrix.learn.losses import OBJECTIVES, Anchors, LossValue
from separatrix.learn.losses.aligned import ALIGNED, unit
from separatrix.learn.measure import evaluate
from separatrix.learn.nuisance import NUISANCES, Adversary, group_numbers, ramp, ridge
from separatrix.learn.pairs import Crowd
from separatrix.learn.perturb import and_uphill
from separatrix.learn.shape import shape_figures
from separatrix.learn.targets import Targets, encode
from separatrix.learn.task import Problem, Task
from separatrix.learn.trajectory import Recorder, subsample
from separatrix.learn.voting import Voters
from separatrix.learn.watch import RunWatcher
from separatrix.models.backbone import load_backbone
from separatrix.recipe.align import CHUNK_TOKENS, AlignRecipe

EPOCH_ROWS = 1000  # validation rows whose shape is measured
CONTRASTS = ("nca", "supcon")  # objectives to which a row without a partner of its own class says nothing
ALONE = "steps_without_positives"  # share of the steps of an epoch, in its metrics


@dataclass(frozen=True, eq=False)
class TrainedEncoder:
    """What a training gives: the model, the metrics of every epoch, what is worth saying."""

    model: AlignModel
    fitted: Fitted
    notes: tuple[str, ...]
    judged: AlignModel | None = None  # with `refit`: the model that has not seen the validation rows

    @property
    def judge(self) -> AlignModel:
        """The model that answers for the validation rows."""
        return self.judged or self.model


@dataclass(frozen=True, eq=False)
class AlignLesson:
    """A step: which rows, whom they meet, what is asked of them, what is remembered."""

    learner: EncoderLearner
    recipe: AlignRecipe
    y: Tensor  # (train rows,) class numbers
    classes: int
    bank: Bank | None = None
    memory: ClassMemory | None = None
    group: Tensor | None = None  # (train rows,) group numbers
    adversary: Adversary | None = None

    @cached_property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self.recipe.loop.epochs * len(self.batches(0))

    def batches(self, epoch: int) -> list[np.ndarray]:
        """All rows in shuffled batches of similar length, or balanced batches."""
        loop, pairing = self.recipe.loop, self.recipe.pairing
        if pairing.sampler != "shuffled":
            group = self.group.cpu().numpy() if pairing.sampler == "cells" and self.group is not None else None
            y = self.y.cpu().numpy()
            return sampler.balanced(y, loop.batch_size, pairing.class_rows, loop.seed, epoch, group)
        return schedule.batches(self.learner.lengths("train"), loop.batch_size, loop.seed, epoch)

    def backward(self, rows: np.ndarray, step: int, anchors: Anchors) -> tuple[Tensor, LossValue]:
        """Run the batch (and the stored rows that are run again), in chunks if it is large; perturbed once more."""
        places = np.concatenate([rows, self._again(rows)])
        lengths, limit = self.learner.lengths("train")[places], self.recipe.encoder.chunk_rows
        chunks = gradcache.chunked(lengths, limit, CHUNK_TOKENS)

        def forward(part: np.ndarray, chunk: int) -> Tensor:
            return self.learner.outputs("train", places[part], step, chunk)

        run = partial(gradcache.backward, forward, chunks, partial(self._loss, places, len(rows), step, anchors))
        encoder = self.learner.encoder
        z, value = and_uphill(run, encoder.backbone.embedding, encoder.recipe.perturbation)
        self._remember(rows, z[: len(rows)], step)
        return z[: len(rows)], value

    def figures(self, z: Tensor, y: Tensor, scores: Tensor) -> dict[str, float]:
        """The shape of the validation vectors; of a sample, since a file is often sorted by class."""
        rows = torch.from_numpy(subsample(len(z), EPOCH_ROWS, self.recipe.loop.seed)).to(z.device)
        return shape_figures(unit(z[rows]), y[rows], scores[rows])

    def _again(self, rows: np.ndarray) -> np.ndarray:
        """Stored rows outside the batch that `datapoint` runs again."""
        if self.memory is None or self.recipe.pairing.pairs != "datapoint":
            return np.empty(0, dtype=np.int64)
        stored = self.memory.rows.cpu().numpy()
        return np.setdiff1d(stored[stored >= 0], rows)

    def _loss(self, places: np.ndarray, size: int, step: int, anchors: Anchors, z: Tensor) -> LossValue:
        """Objective, head and group term of the vectors of all rows that were run."""
        ran = self._crowd(places, z)
        batch = Crowd(
            ran.vectors[:size], ran.y[:size], ran.rows[:size], None if ran.group is None else ran.group[:size]
        )
        aim, parts = self.recipe.objective, {}
        terms: list[Tensor] = []
        if aim.loss != "linear":
            value = self._aim(batch, ran, step)
            terms, parts = [value.total], dict(value.parts)
        if self.bank is not None:
            parts["staleness"] = self.bank.staleness(batch.rows, z[:size])
        if self.recipe.has_head:
            scores = OBJECTIVES["linear"].scores(z[:size], anchors, self.recipe.as_training.objective)
            head = functional.cross_entropy(scores, batch.y)
            terms.append(head if aim.loss == "linear" else self.recipe.answers.head_weight * head)
            parts["head"] = head.detach()
        if (nuisance := self._nuisance(batch, step)) is not None:
            terms.append(self.recipe.grouping.group_weight * nuisance)
            parts["group"] = nuisance.detach()
        return LossValue(torch.stack(terms).sum(), parts)

    def _aim(self, batch: Crowd, ran: Crowd, step: int) -> LossValue:
        aim = self.recipe.objective
        if aim.loss == "centroid_ce":
            assert self.bank is not None
            near = class_cosines(batch.vectors, batch.y, batch.rows, self.bank.crowd(self.y), self.classes)
            value = functional.cross_entropy(near / aim.temperature, batch.y)
            return LossValue(value, {"centroid_ce": value.detach()})
        meeting = pairs.SCHEMES[self.recipe.pairing.pairs](batch, self._stored(ran))
        if self.recipe.grouping.invariance == "pairs":
            meeting = pairs.across_groups(meeting, batch)
        if self.recipe.pairing.draw == "one":
            generator = torch.Generator().manual_seed(self.recipe.loop.seed * 1_000_003 + step)
            meeting = pairs.Meeting(meeting.others, pairs.draw_one(meeting.pairs, generator))
        contrast = aim.loss in CONTRASTS
        # Later steps may have what the first one lacks, and a head learns of every row: there it is counted instead.
        pairs.check_pairs(meeting.pairs, step, positives=contrast and step == 0 and not self.recipe.has_head)
        found = ALIGNED[aim.loss](batch.vectors @ meeting.others.vectors.T, meeting.pairs, aim.temperature)
        alone = {ALONE: (~meeting.pairs.positive.any()).float()} if contrast else {}
        return LossValue(found.total, found.parts | alone)

    def _stored(self, ran: Crowd) -> Crowd:
        """What the scheme remembers: nothing, the bank, the class memory, or its rows as they are now."""
        if self.memory is None:
            return ran if self.bank is None else self.bank.crowd(self.y, self.group)
        stored = self.memory.crowd(self.group)
        if self.recipe.pairing.pairs != "datapoint":
            return stored
        here = (ran.rows[None, :] == stored.rows[:, None]).long().argmax(dim=1)  # (stored,) places in what was run
        return Crowd(ran.vectors[here], stored.y, stored.rows, stored.group)

    def _crowd(self, places: np.ndarray, z: Tensor) -> Crowd:
        rows = torch.from_numpy(places).to(self.y.device)
        return Crowd(unit(z), self.y[rows], rows, None if self.group is None else self.group[rows])

    def _nuisance(self, batch: Crowd, step: int) -> Tensor | None:
        invariance = self.recipe.grouping.invariance
        if invariance in NUISANCES:
            return NUISANCES[invariance](batch)
        if invariance == "ridge" and self.bank is not None:
            return ridge(batch, self.bank.crowd(self.y, self.group))
        if self.adversary is not None:
            return self.adversary.loss(batch, ramp(step, self.steps))
        return None

    def _remember(self, rows: np.ndarray, z: Tensor, step: int) -> None:
        batch = self._crowd(rows, z)
        if self.bank is not None:
            self.bank.write(batch.rows, z, step)
        if self.memory is not None:
            self.memory.write(batch)


def train_encoder(job: Job[AlignRecipe]) -> TrainedEncoder:
    """Train an encoder: the whole story.

    With `refit` it is trained a second time, on the validation rows too, which join the index; k, weights and
    temperature stay those that the first training chose.

    Raises:
        DataError: labels or groups that cannot be used.
        OptionError: an option out of range, or one that does not fit the others.
        ModelError: a model that cannot be found or trained.
        StoreError: no room, or a checkpoint of another job in the folder.
    """
    first = _train(job)
    if not job.recipe.loop.refit:
        return first
    epochs, chosen = first.fitted.best_epoch, first.model
    model = replace(_train(job.again(epochs)).model, vote=chosen.vote, temperature=chosen.temperature, said=chosen.said)
    return replace(first, model=model, judged=chosen, notes=(*first.notes, job.said(epochs)))


def _train(job: Job[AlignRecipe]) -> TrainedEncoder:
    recipe = job.recipe
    check_index(recipe.answers, len(job.train))
    parts = {"train": job.train, "validation": job.validation}
    targets = encode(parts, "classify")
    notes = sampler.check_classes(
        targets.values["train"], targets.names, recipe.loop.batch_size, alone=recipe.pairing.pairs == "batch"
    )
    backbone = load_backbone(recipe.backbone)
    tokens = {part: backbone.tokenize(texts.text) for part, texts in parts.items()}
    notes += [f"{part}: {rows.cut} of {len(rows)} texts were cut" for part, rows in tokens.items() if rows.cut]
    notes += [f"{part}: {line}" for part, rows in tokens.items() for line in rows.unread.warnings]
    learner = EncoderLearner(start_encoder(backbone, recipe.encoder), tokens, recipe.loop.seed)
    check_trained(learner.encoder, head=recipe.has_head)
    lesson, more = _lesson(job, learner, targets)
    loop = _loop(job, learner, lesson, targets)
    fitted = loop.run()
    best = fitted.tensors
    with torch.no_grad():
        for name, tensor in learner.encoder.named().items():
            tensor.copy_(best[name])
        if learner.encoder.mix is not None:
            learner.encoder.mix.copy_(best["pooling.mix"])
    vectors = {part: learner.encoder.encode(rows) for part, rows in tokens.items()}
    head = loop.anchors(best) if recipe.has_head else None
    model = finish_model(learner.encoder, recipe, targets, vectors, job.train.id, head, job.score)
    return TrainedEncoder(model, fitted, (*notes, *more, *_alone(fitted), model.said))


def _alone(fitted: Fitted) -> list[str]:
    """What is worth saying of steps that taught the objective nothing."""
    share = float(np.mean([line["parts"].get(ALONE, 0.0) for line in fitted.metrics]))
    if not share:
        return []
    return [
        f"in {share:.1%} of the steps no row met another of its own class, so the objective learnt nothing of them "
        "(raise --batch-size, or type --pairs bank or --sampler balanced)"
    ]


def _lesson(job: Job[AlignRecipe], learner: EncoderLearner, targets: Targets) -> tuple[AlignLesson, list[str]]:
    """What is remembered and who looks for groups; the bank is filled where the objective reads it from the start."""
    recipe, backbone = job.recipe, learner.encoder.backbone
    device, width, labels = backbone.device, backbone.width, targets.values["train"]
    aim, scheme = recipe.objective.loss, recipe.pairing.pairs
    reads_bank = aim == "centroid_ce" or (aim in ALIGNED and scheme == "bank")
    reads_bank = reads_bank or recipe.grouping.invariance == "ridge"
    bank = memory = group = adversary = None
    notes: list[str] = []
    if reads_bank or recipe.answers.decision != "head":
        bank = Bank.empty(len(labels), width, device)
    if reads_bank and bank is not None:
        bank.write(torch.arange(len(labels), device=device), evaluate(learner, "train"), 0)
    if aim in ALIGNED and scheme in ("memory", "mixed", "datapoint"):
        memory = ClassMemory.empty(len(targets.names), width, device)
    if recipe.needs_groups:
        numbers, notes = group_numbers(job.train.group, labels, job.train.source)
        group = torch.from_numpy(numbers).to(device)
        if recipe.grouping.invariance == "reversal":
            adversary = Adversary.start(int(numbers.max()) + 1, width, device)
            learner.others["adversary"] = adversary.named
    y = torch.from_numpy(labels).to(device)
    return AlignLesson(learner, recipe, y, len(targets.names), bank, memory, group, adversary), notes


def _loop(job: Job[AlignRecipe], learner: EncoderLearner, lesson: AlignLesson, targets: Targets) -> Loop:
    recipe, backbone = job.recipe, learner.encoder.backbone
    seen = {part: torch.from_numpy(values).to(backbone.device) for part, values in targets.trained.items()}
    voters = _voters(lesson)
    objective = OBJECTIVES["linear"] if voters is None else voters.objective(recipe.objective.loss)
    problem = Problem(objective, seen, lesson.classes, job.score)
    task = Task(learner, problem, recipe.as_training, lesson, job.keep)
    held = {name: tensor for kept in (lesson.bank, lesson.memory) if kept for name, tensor in kept.named.items()}
    if recipe.has_head:
        generator = torch.Generator().manual_seed(recipe.loop.seed)
        weight = torch.randn(lesson.classes, backbone.width, generator=generator) / backbone.width**0.5
        bias = torch.zeros(lesson.classes, device=backbone.device)
        held |= {"weight": weight.to(backbone.device), "bias": bias}
    recorder = Recorder(job.trajectory, len(job.train), len(job.validation), recipe.loop.seed)
    watcher = RunWatcher(task, recorder, job.report, train_map=True, judge=None if voters is None else voters.scores)
    return Loop(task, held, watcher, path=job.checkpoint, identity=job.identity(backbone.source.weights))


def _voters(lesson: AlignLesson) -> Voters | None:
    """Who decides within training: the bank as it stands, or nobody where the head does."""
    answers, aim = lesson.recipe.answers, lesson.recipe.objective
    if answers.decision == "head" or lesson.bank is None:
        return None
    return Voters(lesson.bank, lesson.y, lesson.classes, answers.decision, aim.temperature)
