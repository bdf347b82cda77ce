"""Runs of a sweep that are written and not trained, where a test asks what becomes of them."""

import pytest

from separatrix.models.source import resolve
from separatrix.store.files import write_json
from separatrix.store.folder import CHECKPOINT
from separatrix.training.folder import describe_request, run_artifact


@pytest.fixture
def untrained(monkeypatch):
    """Runs are written and nothing is trained: accuracy is best at a rate of 0.03, grows with tokens, epochs and seed.

    `untrained` lists the trainings; those whose tokens are in `untrained.broken` fail, in `untrained.stopped` stop.
    """

    class Trainings(list):
        broken = stopped = ()

    trainings = Trainings()

    def carry_out(request, **_):
        recipe = request.recipe
        tokens, rate = getattr(recipe, "prompt", None) and recipe.prompt.tokens, recipe.loop.lr
        trainings.append((tokens, rate, recipe.loop.seed))
        if tokens in trainings.broken:
            raise RuntimeError("no such luck")
        accuracy = 0.5 + (tokens or 0) / 100 - abs(rate - 0.03) + recipe.loop.seed / 1000 + recipe.loop.epochs / 500
        scores = {
            part: {"accuracy": accuracy + more, "majority": 0.4} for part, more in (("validation", 0), ("test", 0.001))
        }
        result = {"kind": "run", "method": "prompt", "loss": "linear", "model": {"name": "tiny"}, "scores": scores}
        with run_artifact(request, resume=True) as folder:
            write_json(folder / "recipe.json", describe_request(request, resolve(recipe.backbone).weights))
            (folder / CHECKPOINT).write_bytes(b"a state")
            if tokens in trainings.stopped:
                raise KeyboardInterrupt("stopped here")
            (folder / CHECKPOINT).unlink()
            write_json(folder / "result.json", result)

    monkeypatch.setattr("separatrix.sweeps.work.carry_out", carry_out)
    return trainings
