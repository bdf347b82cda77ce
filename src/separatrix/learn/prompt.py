"""Train a prompt behind frozen texts.

`train_prompt` shows the order: load the model, run every text once, start the prompt and the centroids, loop, calibrate
on validation. The model's weights are hashed before and after.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import torch
from torch import Tensor

from separatrix import recipe as recipes
from separatrix.codes import draw_some
from separatrix.errors import ModelError
from separatrix.geometry.calibrate import fit_calibration
from separatrix.learn import schedule
from separatrix.learn.guards import check_cache, check_frozen
from separatrix.learn.job import Job, TrainedModel, train_and_refit, training_rows
from separatrix.learn.loop import FitResult, Score, Training
from separatrix.learn.objectives import OBJECTIVES, Objective, ObjectiveEntry
from separatrix.learn.objectives.word_ranking import given_words, plain_words, word_notes
from separatrix.learn.objectives.words import WordObjective
from separatrix.learn.targets import Targets, encode
from separatrix.learn.trainables import EVALUATION_ROWS, EVALUATION_TOKENS, evaluate
from separatrix.learn.trainables.prompt import PromptTrainable
from separatrix.learn.trained.prompt import PromptModel
from separatrix.models.backbone import Backbone
from separatrix.models.batches import token_batches
from separatrix.models.cache import LAYER_MEAN, TextCache, build_cache, cache_note
from separatrix.models.load import load_backbone
from separatrix.models.suffix import SoftPrompt, prompt_of, start_form, with_instance
from separatrix.progress import Counter
from separatrix.recipe import TrainRecipe
from separatrix.texts import Texts

CACHE = "cache"
# Training rows whose outputs start the centroids and choose the label words; every class is in.
START_ROWS = 2000


def train_prompt(job: Job[TrainRecipe]) -> TrainedModel[PromptModel]:
    """Train a prompt (and the objective's centroids or head) on labelled texts.

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
    trained = train_and_refit(job, _train, ("calibration",))
    return replace(trained, notes=(*trained.notes, *_word_notes(trained)))


def _train(job: Job[TrainRecipe]) -> TrainedModel[PromptModel]:
    entry = OBJECTIVES[job.recipe.objective.loss]
    job = replace(job, recipe=_readout(job.recipe, entry))
    backbone = _load(job.recipe, entry)
    before = backbone.fingerprint()
    caches: dict[str, TextCache] = {}
    with _cache_folder(job, caches) as folder:
        targets = encode({"train": job.train, "validation": job.validation}, entry.task)
        training = _begin(job, backbone, targets, caches, folder)
        objective = training.objective
        check_cache(caches["train"], _prompt_of(training), backbone)
        weights = backbone.source.weights
        if isinstance(objective, WordObjective) and objective.words is not None:
            # They are chosen, not asked for: a training with others must not go on from the checkpoint.
            weights = f"{weights}, label words {objective.words.tolist()}"
        fitted = job.loop(training, weights).run()
        check_frozen(backbone, before)
        model = replace(_finish(training, targets, fitted, job.recipe), shared_texts=job.shared_texts)
        vectors = {part: cache.vectors for part, cache in caches.items() if cache.vectors is not None}
        ranking = objective.ranking if isinstance(objective, WordObjective) else None
        return TrainedModel(model, _notes(caches), fitted, vectors, words=ranking)


def start_prompt_model(recipe: TrainRecipe, train: Texts) -> PromptModel:
    """What a training begins with: a prompt at its start, and the objective started from some of these rows.

    Errors are those of `train_prompt`.
    """
    entry = OBJECTIVES[recipe.objective.loss]
    targets, recipe = encode({"train": train}, entry.task), _readout(recipe, entry)
    rows = start_rows(targets.values["train"], len(targets.names), recipe.loop.seed)
    # Nothing is validated: one row stands for the validation part.
    parts = {"train": rows, "validation": rows[:1]}
    targets = replace(targets, values={part: targets.values["train"][some] for part, some in parts.items()})
    job = Job(train.take(rows), train.take(rows[:1]), recipe, lambda _scores, _targets: {})
    backbone, caches = _load(recipe, entry), dict[str, TextCache]()
    with _cache_folder(job, caches) as folder:
        training = _begin(job, backbone, targets, caches, folder)
        shape, prompt = caches["train"].shape, _prompt_of(training)
    return PromptModel(backbone, shape, recipe, prompt, training.objective, targets.classes, targets.scaling)


def _begin(
    job: Job[TrainRecipe], backbone: Backbone, targets: Targets, caches: dict[str, TextCache], folder: Path
) -> Training:
    """Run the texts, start the prompt, and start the objective from what it gives."""
    objective = OBJECTIVES[job.recipe.objective.loss].build(job.recipe, len(targets.names))
    if isinstance(objective, WordObjective) and job.recipe.objective.words is not None:
        words = given_words(job.recipe.objective.words, targets.names, backbone)
        objective.words = words.to(backbone.device)
    return _start(job, _prepare(job, backbone, targets, caches, folder), objective, targets)


def _prompt_of(training: Training) -> SoftPrompt:
    assert isinstance(training.trainable, PromptTrainable)
    with torch.no_grad():
        return training.trainable.current()


@contextmanager
def _cache_folder(job: Job[TrainRecipe], caches: dict[str, TextCache]) -> Iterator[Path]:
    """Where caches on disk go, in the job's folder or a temporary one; afterwards it is gone and they are closed."""
    folder = Path(mkdtemp(prefix="separatrix-")) if job.folder is None else job.folder / CACHE
    try:
        yield folder
    finally:
        for cache in caches.values():
            cache.close()
        shutil.rmtree(folder, ignore_errors=True)


def _load(recipe: TrainRecipe, entry: ObjectiveEntry) -> Backbone:
    try:
        return load_backbone(recipe.backbone, logits=recipe.prompt.readout == "logits")
    except ModelError as error:
        if entry.readout == "logits" and "language-model head" in str(error):
            loss = recipe.objective.loss
            what = f"model {recipe.backbone.model!r} has no language-model head that --loss {loss} can use"
            hint = "use another --loss, or a --model with a language-model head"
            raise ModelError(what, hint=hint) from error
        raise


def _readout(recipe: TrainRecipe, entry: ObjectiveEntry) -> TrainRecipe:
    """Objectives over label words read logits; say so in the recipe."""
    if entry.readout != "logits" or recipe.prompt.readout == "logits":
        return recipe
    return recipes.replace(recipe, readout="logits", positions="last")


def _prepare(
    job: Job[TrainRecipe], backbone: Backbone, targets: Targets, caches: dict[str, TextCache], folder: Path
) -> PromptTrainable:
    """Run the texts (filling `caches`, which the caller closes) and start the prompt."""
    recipe = job.recipe
    for part, texts in (("train", job.train), ("validation", job.validation)):
        tokens = backbone.tokenize(texts.text, reserve=recipe.prompt.tokens)
        done, path = Counter(job.progress, f"texts ({part})", len(texts)), folder / part
        caches[part] = build_cache(
            backbone, tokens, recipe.text_cache, first=recipe.prompt.layer, folder=path, progress=done, beside=caches,
            shared=job.shared_texts,
        )  # fmt: skip
    form = start_form(recipe.prompt, backbone, names=targets.names, seed=recipe.loop.seed)
    prompt = prompt_of(recipe.prompt, backbone, caches["train"].shape, form)
    if recipe.prompt.instance:
        vectors = caches["train"].vectors
        assert vectors is not None
        prompt = with_instance(prompt, torch.from_numpy(vectors[LAYER_MEAN]), recipe.prompt.instance)
    return PromptTrainable(backbone, recipe, prompt, caches, form=form)


def _in_unit(score: Score, targets: Targets) -> Score:
    """Numbers are trained standardised, but their errors are given in their own unit."""
    if targets.classes is not None:
        return score
    restored = targets.scaling.restored
    return lambda scores, y: score(restored(scores), restored(y))


def _start(job: Job[TrainRecipe], trainable: PromptTrainable, objective: Objective, targets: Targets) -> Training:
    """The training, its objective started from the outputs of some training rows of every class."""
    loop, device = job.recipe.loop, trainable.backbone.device
    seen = {part: torch.from_numpy(values).to(device) for part, values in targets.trained.items()}
    rows = start_rows(targets.trained["train"], len(targets.names), loop.seed)
    order = partial(schedule.batches, trainable.lengths("train"), loop.batch_size, loop.seed)
    if isinstance(objective, WordObjective):
        if objective.words is None:
            _choose_words(objective, trainable, seen["train"], rows)
        trainable.columns = objective.words
    else:
        objective.start(training_rows(trainable, seen["train"], rows, loop.epochs * len(order(0)), job.weight(device)))
    score = _in_unit(job.score, targets)
    return Training(trainable, objective, seen, loop, order, len(targets.names), score, job.keep, job.weight(device))


@torch.no_grad()
def _choose_words(objective: WordObjective, trainable: PromptTrainable, labels: Tensor, rows: np.ndarray) -> None:
    """Rank the vocabulary on these rows; the logits of a batch are dropped before those of the next are made."""
    lengths, backbone = trainable.lengths("train")[rows], trainable.backbone
    batches = [rows[batch] for batch in token_batches(lengths, EVALUATION_TOKENS, EVALUATION_ROWS)]
    y = labels.cpu()[torch.from_numpy(np.concatenate(batches))]
    logits = (trainable.outputs("train", batch) for batch in batches)
    objective.choose(logits, y, plain_words(backbone.tokenizer, len(backbone.embedding)), backbone.device)


def start_rows(labels: np.ndarray, classes: int, seed: int) -> np.ndarray:
    """At most `START_ROWS` rows, sorted: the first row of each class and a seeded sample of the others."""
    first = np.unique(labels, axis=0, return_index=True)[1] if classes else ()
    return draw_some(len(labels), START_ROWS, [seed, 1], also=first)


def _finish(training: Training, targets: Targets, fitted: FitResult, recipe: TrainRecipe) -> PromptModel:
    trainable, best = training.trainable, fitted.tensors
    assert isinstance(trainable, PromptTrainable)
    prompt = trainable.current(best)
    training.objective.load({name: tensor.detach() for name, tensor in best.items()})
    shape, scaling = trainable.caches["train"].shape, targets.scaling
    model = PromptModel(trainable.backbone, shape, recipe, prompt, training.objective, targets.classes, scaling)
    if targets.classes is None:
        return model
    trainable.prompt, trainable.form = prompt, None
    scores = model.scores(evaluate(trainable, "validation").cpu().numpy())
    calibration = fit_calibration(scores, targets.values["validation"], seed=recipe.loop.seed)
    return replace(model, calibration=calibration)


def _word_notes(trained: TrainedModel[PromptModel]) -> tuple[str, ...]:
    model = trained.model
    if model.words is None or model.classes is None:
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
