"""A training killed with `kill -9` at random moments and gone on with ends with the same bytes."""

import hashlib
import json
import os

import numpy as np

from separatrix.store.files import TEMPORARY
from served import run_served

EPOCHS, EPOCH = 3, 6  # 43 rows make 6 batches of at most 8
STEPS = EPOCHS * EPOCH

# One process imports everything and computes nothing; each training is a fork of it, so that killing one costs no
# import. The number of each step comes back over a pipe. What is killed last may have saved a later step than the one
# it was killed at.
HOST = """
import os, signal, sys, time, traceback, warnings
from pathlib import Path
import pyarrow.parquet, sklearn.linear_model, torch
import transformers.models.gpt2.modeling_gpt2
from separatrix import recipe as recipes
from separatrix.training.request import TrainingRequest
from separatrix.training.run import run_training
from separatrix.texts import Splits, Texts

warnings.simplefilter("ignore")
torch.set_num_threads(1)
model, out, *trainings = sys.argv[1:]
words = "the a fish tree house river red blue green old".split()
labels = ["cat", "dog", "bird"] * 24
texts = [" ".join([words[n % 10], label, words[n * 7 % 10]][: 2 + n % 2]) for n, label in enumerate(labels)]
train, rest = Texts.of(texts, labels).split(test=0.4, seed=0)
validation, test = rest.split(test=0.5, seed=0)
options = dict(model=model, epochs=3, tokens=2, lr=0.05, batch_size=8, device="cpu", cache="disk",
               mover="momentum", checkpoint_seconds=0.0)
recipe = recipes.replace(recipes.TrainRecipe(), **options)
splits = Splits(train, validation, test, ())

def start(folder, stop, pause):
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        return child, reader
    try:
        os.close(reader)
        last = [None]
        def report(stage, done, total, note):
            if stage == "training":
                os.write(writer, bytes([done]))
                before, last[0] = last[0], time.process_time()
                # In the process's own seconds, which a busy machine does not stretch; the signal ends it anywhere.
                if 0 < stop <= done and not signal.getitimer(signal.ITIMER_PROF)[0]:
                    length = last[0] - before if before else 0.001
                    signal.setitimer(signal.ITIMER_PROF, max(pause * length, 1e-6))
        run_training(TrainingRequest(splits, recipe, "prompt", folder, report))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)

for training in trainings:
    name, stop, pause = training.split()
    folder = Path(out, name)
    child, reader = start(folder, int(stop), float(pause))
    done = 0
    while step := os.read(reader, 1):
        done = step[0]
    os.close(reader)
    _, status = os.waitpid(child, 0)
    how = "killed" if os.WIFSIGNALED(status) else "done" if os.WEXITSTATUS(status) == 0 else "failed"
    print(name, how, done, (folder / "result.json").exists(), flush=True)
"""


def prints(folder):
    """A hash of every file of a run; the seconds it took are left out of its result."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if TEMPORARY.fullmatch(path.name):  # a save that was killed; the command sweeps it under the run's lock
            continue
        data = path.read_bytes() if path.is_file() else b"folder"
        if path.name == "result.json":
            timed = ("seconds", "cpu_seconds")
            data = json.dumps({key: value for key, value in json.loads(data).items() if key not in timed}).encode()
        found[str(path.relative_to(folder))] = hashlib.sha256(data).hexdigest()
    return found


def test_killed_runs_end_with_the_same_bytes(tiny, tmp_path):
    generator = np.random.default_rng(int.from_bytes(os.urandom(4), "little"))
    # One in each epoch, so that there are steps left after a kill.
    stops = (EPOCH * np.arange(EPOCHS) + generator.integers(1, EPOCH - 2, size=EPOCHS)).tolist()
    # A moment after this step, in lengths of a step: anywhere in the next ones, in a save, at an epoch's end.
    kills = [f"killed {stop} {generator.uniform(0, 2)}" for stop in stops]
    words = [tiny("gpt2"), tmp_path, "straight 0 0", *kills, "killed 0 0"]
    straight, *killed, last = run_served(HOST, words, tmp_path / "printed").splitlines()
    assert straight == f"straight done {STEPS} True"
    for line in killed:
        name, how, _, finished = line.split()
        assert (name, how, finished) == ("killed", "killed", "False"), f"at steps {stops}: {line}"
    assert len(killed) == EPOCHS
    assert last.startswith("killed done ")
    assert prints(tmp_path / "killed") == prints(tmp_path / "straight"), f"killed at steps {stops}"
