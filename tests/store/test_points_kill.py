"""A writer that is killed at every single one of its file operations, and opened again, ends with the same bytes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

# One process imports everything; each attempt is a fork of it that kills itself before its n-th file operation.
HOST = """
import hashlib, json, os, shutil, signal, sys
from pathlib import Path
import numpy as np, pandas as pd, pyarrow.parquet
from separatrix.store.points import open_points
from separatrix.store.writer import open_writer

ROWS, WINDOW, SHARDS = 5, 3, 2
os.fsync = lambda _: None  # a kill loses nothing that was written; only the order of the operations counts
values = np.random.default_rng(0).normal(size=(ROWS, 4)).astype(np.float32)
table = pd.DataFrame({"id": np.arange(ROWS), "label": list("abaca")})

def write(folder, names, overwrite=False):
    with open_writer(folder, "key", window=WINDOW, overwrite=overwrite) as writer:
        for place in range(SHARDS):
            part = slice(place * WINDOW, (place + 1) * WINDOW)
            rows = table.iloc[part].reset_index(drop=True)
            if missing := writer.missing(place, rows, names):
                writer.add(place, rows, {name: values[part] * len(name) for name in missing})
        writer.finish(SHARDS, {"by": "test"})

def killed(work, at):
    # True if the work was killed, False if it ended before its `at`-th operation.
    child = os.fork()
    if not child:
        left = [at]
        def armed(call):
            def run(*places, **options):
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*places, **options)
            return run
        os.replace, os.rename, os.fsync = map(armed, (os.replace, os.rename, os.fsync))
        os.unlink, shutil.rmtree = armed(os.unlink), armed(shutil.rmtree)
        work()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)

def state(folder):
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(Path(folder).rglob("*")) if path.is_file()}

root, wrong, kills = Path(sys.argv[1]), [], {}
write(root / "one", ["a"])
write(root / "two", ["a"]); write(root / "two", ["a", "bb"])
def fresh(folder): pass
def some(folder): write(folder, ["a"])
def other(folder): write(folder, ["zzz", "a"])
STORIES = {
    "from nothing": (fresh, ["a"], False, "one"),
    "adding a block": (some, ["a", "bb"], False, "two"),
    "replacing": (other, ["a"], True, "one"),
}
for story, (before, names, overwrite, like) in STORIES.items():
    before(root / story)
    for at in range(1000):
        folder = root / f"{story}-{at}"
        if (root / story).exists():
            shutil.copytree(root / story, folder)
        if not killed(lambda: write(folder, names, overwrite), at):
            break
        # The same command once more: what is gone on with may not be replaced half way.
        write(folder, names, overwrite)
        if state(folder) != state(root / like):
            wrong.append([story, at])
        open_points(folder, verify=True)
    kills[story] = at
print(json.dumps({"wrong": wrong, "kills": kills}))
"""


def test_killed_at_every_file_operation(tmp_path: Path):
    done = subprocess.run([sys.executable, "-W", "error", "-c", HOST, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    # Two shards of (block, table, note), each written, synced and renamed, and what comes before and after.
    assert found["kills"]["from nothing"] > 18
    assert found["kills"]["adding a block"] > 12
    assert found["kills"]["replacing"] > 20


if sys.platform == "win32":
    pytest.skip("kill -9 belongs to POSIX", allow_module_level=True)
