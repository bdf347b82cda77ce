"""`--method probe`: a linear probe on vectors of the frozen model, fitted in one go."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from separatrix.progress import Counter
from separatrix.recipe import ProbingRecipe, TrainRecipe, option_names
from separatrix.recipe.train import BEST
from separatrix.training.methods.base import TrainingMethod
from separatrix.training.request import TrainingRequest

if TYPE_CHECKING:
    from separatrix.learn.job import TrainedModel
    from separatrix.learn.loop import Score
    from separatrix.learn.targets import Targets
    from separatrix.learn.trained.probe import ProbeModel


def train(request: TrainingRequest, targets: Targets, _score: Score) -> TrainedModel[ProbeModel]:
    """Fit a probe; its penalty and calibration, and without a given pooling that too, are chosen on validation.

    With `refit` the same is fitted again on training and validation rows together.
    """
    from separatrix.geometry.baselines import LabelledBlocks, fit_linear, joined, refit_linear
    from separatrix.geometry.calibrate import ScoreCalibration, fit_calibration
    from separatrix.geometry.probe import Probe
    from separatrix.learn.job import TrainedModel
    from separatrix.learn.trained.probe import ProbeModel
    from separatrix.models.candidates import candidates, chosen_candidates
    from separatrix.models.extract import extract_blocks
    from separatrix.models.load import load_backbone

    recipe, backbone = request.recipe, load_backbone(request.recipe.backbone)
    assert isinstance(recipe, ProbingRecipe | TrainRecipe)
    chosen = chosen_candidates(backbone, recipe.probe.pool if isinstance(recipe, ProbingRecipe) else BEST)
    plans = {plan.name: plan for plan in (*chosen, *candidates(backbone))}
    frozen, parts = {}, {}
    for part in ("train", "validation"):
        texts = request.splits.parts[part]
        progress = Counter(request.progress, f"texts ({part})", len(texts))
        frozen[part], _ = extract_blocks(backbone, texts.text, tuple(plans.values()), progress)
        vectors = {plan.name: frozen[part][plan.name] for plan in chosen}
        parts[part] = LabelledBlocks(vectors, targets.values[part], texts.weight)
    fitted = fit_linear(parts["train"], parts["validation"], len(targets.names), recipe.loop.seed)
    assert isinstance(fitted.model, Probe)
    calibration = ScoreCalibration()
    if targets.classes is not None:
        scores = fitted.scores(parts["validation"])
        calibration = fit_calibration(scores, targets.values["validation"], seed=recipe.loop.seed)
    model = ProbeModel(backbone, fitted.model, targets.classes, calibration, fitted.pool)
    trained = TrainedModel(model, vectors={"train": frozen["train"]}, baseline=fitted)
    if not recipe.loop.refit:
        return trained
    rows = joined(parts["train"], parts["validation"])
    again = refit_linear(fitted.model, rows.part(fitted.pool), len(targets.names), recipe.loop.seed)
    note = (
        f"fitted once more on all {len(rows.targets)} rows, with the pooling and penalty that validation chose; "
        "figures of the validation rows are those of the fit without them"
    )
    return replace(trained, model=replace(model, probe=again), judged=model, notes=(note,))


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
