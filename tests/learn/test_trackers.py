"""Callbacks that are given to `train`: they see every epoch, and those of other programs hand its figures on."""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest

import separatrix as sx
from separatrix import recipe as recipes
from separatrix.errors import MissingExtra, OptionError
from separatrix.learn.callbacks import Callback
from separatrix.learn.trackers import MLflow, TensorBoard
from separatrix.recipe import TrainRecipe

pytestmark = pytest.mark.filterwarnings("ignore::separatrix.errors.SeparatrixWarning")


class Keep(Callback):
    def __init__(self):
        self.lines, self.steps = [], 0

    def on_metrics(self, line):
        self.lines.append(dict(line))

    def on_step(self, done, total, loss):
        self.steps = done


class Stub(ModuleType):
    """Stands for mlflow and for torch.utils.tensorboard."""

    logged, SummaryWriter = (), None

    def __init__(self, name):
        super().__init__(name)
        self.__spec__ = ModuleSpec(name, None)  # others look whether it is there

    def log_metrics(self, figures, step):
        self.logged = (*self.logged, (step, figures))


class Writer:
    def __init__(self, folder):
        self.folder, self.scalars, self.flushed = folder, [], 0

    def add_scalar(self, name, value, step):
        self.scalars.append((name, value, step))

    def flush(self):
        self.flushed += 1


def train(splits, tiny, *callbacks, **options):
    recipe = recipes.replace(TrainRecipe(), model=str(tiny("bert")), tokens=2, epochs=2, batch_size=64, device="cpu")
    return sx.train(splits, recipe=recipe, callbacks=callbacks, **options)


def test_callbacks_see_every_epoch_and_change_nothing(splits, tiny, monkeypatch):
    stub, board = Stub("mlflow"), Stub("torch.utils.tensorboard")
    board.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "mlflow", stub)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", board)
    keep, tensorboard = Keep(), TensorBoard("logs")
    result = train(splits, tiny, keep, MLflow(), tensorboard, refit=True)  # the second training is not recorded
    assert keep.lines == list(result.metrics)
    assert keep.steps == 4
    assert [step for step, _ in stub.logged] == [1, 2]
    assert stub.logged[1][1]["validation/accuracy"] == result.metrics[1]["validation"]["accuracy"]
    assert (tensorboard.writer.folder, tensorboard.writer.flushed) == ("logs", 2)
    assert ("loss", result.metrics[0]["loss"], 1) in tensorboard.writer.scalars


def test_what_cannot_look_on_is_refused(splits, tiny):
    with pytest.raises(OptionError, match="train: this is no callback"):
        train(splits, tiny, print)
    with pytest.raises(OptionError, match="callbacks have no effect with --method probe"):
        sx.train(splits, method="probe", callbacks=[Keep()])


@pytest.mark.parametrize(
    ("make", "module"), [(MLflow, "mlflow"), (lambda: TensorBoard("logs"), "torch.utils.tensorboard")]
)
def test_a_program_that_is_missing_is_named(make, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match="is not installed"):
        make()
