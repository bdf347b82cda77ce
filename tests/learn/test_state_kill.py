"""A training killed with `kill -9` at random moments and gone on with ends with the same bytes."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from separatrix.store.files import TEMPORARY

EPOCHS, EPOCH = 3, 6  # 43 rows make 6 batches of at most 8
STEPS = EPOCHS * EPOCH

# One process imports everything (seconds) and computes nothing; each training is a fork of it, so that killing one
# costs no import. The number of each step comes back over a pipe.
HOST = """
import os, signal, sys, time, traceback
from pathlib import Path
import pyarrow.parquet, sklearn.linear_model, torch
import transformers.models.gpt2.modeling_gpt2
from separatrix import recipe as recipes
from separatrix.training.request import TrainingRequest
from separatrix.training.run import run_training
from separatrix.texts import Splits, Texts

torch.set_num_threads(1)
model, out = sys.argv[1], Path(sys.argv[2])
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
        run_training(TrainingRequest(splits, recipe, "prompt", Path(folder), report))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)

print("ready", flush=True)
for line in sys.stdin:
    folder, stop, pause = line.split()
    # What was killed last may have saved a later step than the one it was killed at.
    child, reader = start(folder, int(stop), float(pause))
    done = 0
    while step := os.read(reader, 1):
        done = step[0]
    os.close(reader)
    _, status = os.waitpid(child, 0)
    how = "killed" if os.WIFSIGNALED(status) else "done" if os.WEXITSTATUS(status) == 0 else "failed"
    print(how, done, flush=True)
"""


@pytest.fixture
def host(tiny, tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", HOST, str(tiny("gpt2")), str(tmp_path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout.readline() == "ready\n"

    def training(folder: Path, stop: int = 0, pause: float = 0.0) -> tuple[str, int]:
        """Whether it was killed or done, and its last step; killed so many lengths of a step after step `stop`."""
        process.stdin.write(f"{folder} {stop} {pause}\n")
        process.stdin.flush()
        how, done = process.stdout.readline().split()
        return how, int(done)

    yield training
    process.kill()
    process.stdin.close()
    process.stdout.close()
    process.wait()


def prints(folder):
    """A hash of every file of a run; the seconds it took are left out of its result."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if TEMPORARY.fullmatch(path.name):  # a save that was killed; the command sweeps it under the run's lock
            continue
        data = path.read_bytes() if path.is_file() else b"folder"
        if path.name == "result.json":
            data = json.dumps({key: value for key, value in json.loads(data).items() if key != "seconds"}).encode()
        found[str(path.relative_to(folder))] = hashlib.sha256(data).hexdigest()
    return found


def test_killed_runs_end_with_the_same_bytes(host, tmp_path):
    assert host(tmp_path / "straight") == ("done", STEPS)
    generator = np.random.default_rng(int.from_bytes(os.urandom(4), "little"))
    # One in each epoch, so that there are steps left after a kill.
    stops = (EPOCH * np.arange(EPOCHS) + generator.integers(1, EPOCH - 2, size=EPOCHS)).tolist()
    for stop in stops:  # a moment after this step: anywhere in the next ones, in a save, at an epoch's end
        how, _ = host(tmp_path / "killed", stop, float(generator.uniform(0, 2)))
        assert how == "killed", f"at steps {stops}"
        assert not (tmp_path / "killed" / "result.json").exists()
    assert host(tmp_path / "killed")[0] == "done"
    assert prints(tmp_path / "killed") == prints(tmp_path / "straight"), f"killed at steps {stops}"
