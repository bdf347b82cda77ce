"""`--method probe`: a linear probe on vectors of the frozen model, fitted in one go."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from separatrix.progress import Counter
from separatrix.recipe import ProbingRecipe, TrainRecipe, option_names
from separatrix.recipe.auto import AutoRecipe
from separatrix.recipe.train import BEST, MANY_TEXTS, POOL_TEXTS
from separatrix.training.methods.base import TrainingMethod
from separatrix.training.request import TrainingRequest

if TYPE_CHECKING:
    from separatrix.learn.job import TrainedModel
    from separatrix.learn.loop import Score
    from separatrix.learn.targets import Targets
    from separatrix.learn.trained.probe import ProbeModel
    from separatrix.models.backbone import Backbone
    from separatrix.models.pool import Pooling


def train(request: TrainingRequest, targets: Targets, _score: Score) -> TrainedModel[ProbeModel]:
    """Fit a probe; its penalty and calibration, and without a given pooling that too, are chosen on validation.

    With `refit` the same is fitted again on training and validation rows together.
    """
    from separatrix.geometry.baselines import LabelledBlocks, fit_linear, joined, refit_linear
    from separatrix.geometry.calibrate import ScoreCalibration, fit_calibration
    from separatrix.geometry.probe import Probe
    from separatrix.learn.job import TrainedModel
    from separatrix.learn.trained.probe import ProbeModel
    from separatrix.models.candidates import chosen_candidates
    from separatrix.models.extract import extract_blocks
    from separatrix.models.load import load_backbone

    recipe, backbone = request.recipe, load_backbone(request.recipe.backbone)
    assert isinstance(recipe, ProbingRecipe | TrainRecipe)
    pool = recipe.probe.pool if isinstance(recipe, ProbingRecipe) else BEST
    compared = len(chosen_candidates(backbone, pool))
    chosen, plans, notes = _poolings(request, targets, backbone, pool)
    frozen, parts = {}, {}
    for part in ("train", "validation"):
        texts = request.splits.parts[part]
        progress = Counter(request.progress, f"texts ({part})", len(texts))
        frozen[part], _ = extract_blocks(backbone, texts.text, plans, progress, request.shared_texts)
        vectors = {plan.name: frozen[part][plan.name] for plan in chosen}
        parts[part] = LabelledBlocks(vectors, targets.values[part], texts.weight)
    fitted = fit_linear(parts["train"], parts["validation"], len(targets.names), recipe.loop.seed)
    fitted = replace(fitted, pools=compared)
    assert isinstance(fitted.model, Probe)
    calibration = ScoreCalibration()
    if targets.classes is not None:
        scores = fitted.scores(parts["validation"])
        calibration = fit_calibration(scores, targets.values["validation"], seed=recipe.loop.seed)
    model = ProbeModel(
        backbone,
        fitted.model,
        targets.classes,
        calibration,
        fitted.pool,
        compared=tuple(plan.name for plan in plans),
        shared_texts=request.shared_texts,
    )
    trained = TrainedModel(model, vectors={"train": frozen["train"]}, baseline=fitted, notes=notes)
    if not recipe.loop.refit:
        return trained
    rows = joined(parts["train"], parts["validation"])
    again = refit_linear(fitted.model, rows.part(fitted.pool), len(targets.names), recipe.loop.seed)
    note = (
        f"fitted once more on all {len(rows.targets)} rows, with the pooling and penalty that validation chose; "
        "figures of the validation rows are those of the fit without them"
    )
    return replace(trained, model=replace(model, probe=again), judged=model, notes=(*notes, note))


def _poolings(
    request: TrainingRequest, targets: Targets, backbone: Backbone, pool: str
) -> tuple[tuple[Pooling, ...], tuple[Pooling, ...], tuple[str, ...]]:
    """Those that the probe chooses among, those whose vectors are held, and notes; of many rows both are one."""
    from separatrix.models.candidates import candidates, chosen_candidates

    chosen = chosen_candidates(backbone, pool)
    if len(request.splits.train) <= MANY_TEXTS:
        return chosen, tuple({plan.name: plan for plan in (*chosen, *candidates(backbone))}.values()), ()
    several = len(chosen) > 1
    chosen = _chosen_on_a_sample(request, targets, backbone, chosen) if several else chosen
    how = f"the pooling is the best on {POOL_TEXTS} of them, and " if several else ""
    return chosen, chosen, (f"train: more than {MANY_TEXTS} rows: {how}baselines have the probe's pooling",)


def _chosen_on_a_sample(
    request: TrainingRequest, targets: Targets, backbone: Backbone, plans: tuple[Pooling, ...]
) -> tuple[Pooling, ...]:
    """The pooling whose probe is best on validation, both of a sample of the rows."""
    from separatrix.codes import draw_rows
    from separatrix.geometry.baselines import LabelledBlocks, fit_linear
    from separatrix.models.extract import extract_blocks

    assert not isinstance(request.recipe, AutoRecipe)
    seed, parts = request.recipe.loop.seed, []
    for part in ("train", "validation"):
        texts = request.splits.parts[part]
        rows = draw_rows(len(texts), POOL_TEXTS, seed)
        some = texts.take(rows)
        blocks, _ = extract_blocks(backbone, some.text, plans, Counter(request.progress, f"sample ({part})", len(some)))
        parts.append(LabelledBlocks(blocks, targets.values[part][rows], some.weight))
    best = fit_linear(parts[0], parts[1], len(targets.names), seed).pool
    return tuple(plan for plan in plans if plan.name == best)


def idle(recipe: ProbingRecipe, given: Iterable[str]) -> list[tuple[str, str]]:
    """A probe has no loop and no objective but the one: other options of these change nothing."""
    used = {"seed", "refit", *option_names(recipe.backbone), *option_names(recipe.probe)}
    used |= {"loss"} if recipe.objective.loss == "mse" else {"class_weight", "order"}
    return [(name, "") for name in option_names(recipe) if name in set(given) - used]


METHOD = TrainingMethod(
    ProbingRecipe(),
    train,
    idle,
    tasks=("classify", "regress"),
    losses={"classify": "logistic regression", "regress": "ridge regression"},
)
