"""One artefact of each kind, made once by the command line, and copies of it to be altered."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import separatrix as sx
from command_line import Ran
from separatrix.cli import main
from separatrix.errors import SeparatrixError, SeparatrixWarning
from separatrix.scale.machine import Machine
from separatrix.store.manifest import MANIFEST

HOME = "jane-doe-7f3a"  # a folder above everything: a path that is written somewhere shows it
QUIET = ("--device", "cpu", "--quiet")
QA = ("--max-length", "24", "--max-query-length", "6", "--epochs", "1", "--batch-size", "4")


def run(*words: object) -> Ran:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code = main([str(word) for word in words])
    return Ran(code, out.getvalue(), err.getvalue())


def write_data(path: Path, planted: tuple[list[str], list[str]], rows: int) -> Path:
    """A csv of planted texts with labels; one text holds a character that nobody sees, of which it is warned."""
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *others = list(zip(*planted, strict=True))[:rows]
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("text", "label"), (first[0] + "\u200b", first[1]), *others])
    return path


def write_questions(path: Path, planted: tuple[list[str], list[str]]) -> Path:
    """Questions with contexts, in SQuAD's own layout; one holds a word that no tokenizer here knows."""
    paragraphs = []
    for row, context in enumerate(planted[0][:6]):
        word = context.split()[1]
        answer = {"text": word, "answer_start": context.index(word)}
        asked = {"question": "what is this ?" if row else "\u4e00 ?", "id": str(row), "answers": [answer]}
        paragraphs.append({"context": context, "qas": [asked]})
    path.write_text(json.dumps({"data": [{"title": "animals", "paragraphs": paragraphs}]}))
    return path


def write_grid(path: Path, data: Path, model: Path) -> Path:
    """A sweep of one row and one baseline."""
    path.parent.mkdir(exist_ok=True)
    train = f'model = "{model}"\nepochs = 1\nsnapshots = 0\ndevice = "cpu"\ntokens = 1\n'
    path.write_text(f'data = "{data}"\nbaselines = ["majority"]\n[train]\n{train}[[rows]]\nname = "one"\n')
    return path


def save_for_transformers(run: Path, folder: Path) -> None:
    """A trained prompt as transformers keeps it."""
    from separatrix.learn.huggingface import PromptForSequenceClassification

    PromptForSequenceClassification.from_run(run, device="cpu").save_pretrained(folder)


def make(root: Path, model: Path, planted: tuple[list[str], list[str]]) -> None:
    """Write every kind of artefact below `root`, in folders named after the kind."""
    data, new = write_data(root / "data.csv", planted, 120), write_data(root / "new.csv", planted, 6)
    base, asked = shutil.copytree(model, root / "base"), write_questions(root / "questions.json", planted)
    train = ("train", data, "--model", base, "--epochs", 1, *QUIET, "--out")
    heads = ("--windows", 12, "--max-length", 24, "--k", 3, "--min-cluster-size", 8, "--min-samples", 4, "--cells", 6)
    heads += ("--permutations", 19, "--components", 5, "--sentences", 2, "--importance-windows", 4)
    for words in (
        (*train, root / "prompt", "--tokens", 2),
        (*train[:4], *QUIET, "--out", root / "probe", "--method", "probe"),
        (*train, root / "align", "--method", "align"),
        ("heads-qa", asked, "--model", base, *QA, *QUIET, "--out", root / "answers"),
        ("predict", root / "prompt", new, "--out", root / "answers.csv", *QUIET),
        ("extract", data, "--model", base, "--out", root / "points", *QUIET),
        ("extract", data, "--run", root / "prompt", "--out", root / "outputs", *QUIET),
        ("rank", data, "--model", base, "--pool", "mean", "--out", root / "rank", *QUIET),
        ("score", root / "points", "--out", root / "score", "--quiet"),
        ("project", root / "points", "--method", "pca", "--out", root / "map", "--quiet"),
        ("cluster", root / "points", "--method", "kmeans", "--k", 4, "--out", root / "clusters", "--quiet"),
        ("associate", root / "clusters", "--with", "label", "--out", root / "associations", "--quiet"),
        ("suspects", root / "points", "--out", root / "suspects", "--quiet"),
        ("compare", root / "prompt", root / "probe", "--out", root / "comparison", "--quiet"),
        ("heads", data, "--text", "text", "--model", base, *heads, "--out", root / "heads", *QUIET),
        ("sweep", write_grid(root / "grid.toml", data, base), "--out", root / "study", "--quiet"),
        ("compress", root / "points", "--out", root / "compressed", "--quiet"),
        ("export", root / "points", "--out", root / "vectors.npy", "--quiet"),
        (
            "import",
            root / "vectors.npy",
            "--labels",
            root / "vectors.rows.parquet",
            "--out",
            root / "imported",
            "--quiet",
        ),
        ("report", root / "prompt", root / "points", root / "clusters", "--out", root / "page.html", "--quiet"),
    ):
        ran = run(*words)
        assert ran.code == 0, (words, ran)
    rates = Machine("a slide rule", False, 2, 4 * 10**9, 1e8, 1e8, {"any": {"1": 1e9}}, tables={"cluster": (0.1, 1e-6)})
    rates.save(root / "rates" / "rates.json")
    save_for_transformers(root / "prompt", root / "transformers")
    write_grid(root / "grids" / "grid.toml", data, base)


# What reads an artefact -> the kinds that it reads. OUT stands for a new place, NEW for unlabelled texts. `answer` is
# what Python alone offers: the answers of a run of `heads-qa`; so is `logits`, of a prompt as transformers keeps it.
# Folders that have no manifest hold files that are read by themselves.
READ = {
    "prompt": (
        ("predict", "RUN", "NEW", "--out", "OUT.csv", *QUIET),
        ("report", "RUN", "--out", "OUT.html", "--quiet"),
        ("report", "RUN", "points", "--out", "OUT.html", "--quiet"),
        ("compare", "RUN", "probe", "--out", "OUT", "--quiet"),
        ("suspects", "RUN", "--out", "OUT", "--quiet"),
        ("extract", "NEW", "--run", "RUN", "--out", "OUT", *QUIET),
    ),
    "probe": (
        ("predict", "RUN", "NEW", "--out", "OUT.csv", *QUIET),
        ("report", "RUN", "--out", "OUT.html", "--quiet"),
        ("compare", "RUN", "prompt", "--out", "OUT", "--quiet"),
        ("suspects", "RUN", "--out", "OUT", "--quiet"),
    ),
    "align": (
        ("predict", "RUN", "NEW", "--out", "OUT.csv", *QUIET),
        ("report", "RUN", "--out", "OUT.html", "--quiet"),
        ("compare", "RUN", "probe", "--out", "OUT", "--quiet"),
        ("suspects", "RUN", "--out", "OUT", "--quiet"),
    ),
    "answers": (
        ("answer", "RUN", "questions.json"),
        ("heads-qa", "questions.json", "--model", "base", *QA, *QUIET, "--resume", "--out", "RUN"),
        ("extract", "NEW", "--model", "RUN", "--out", "OUT", *QUIET),
        ("report", "RUN", "points", "--out", "OUT.html", "--quiet"),
    ),
    "points": (
        ("score", "RUN", "--quiet"),
        ("project", "RUN", "--method", "pca", "--out", "OUT", "--quiet"),
        ("cluster", "RUN", "--method", "kmeans", "--k", "4", "--out", "OUT", "--quiet"),
        ("cluster", "RUN", "--within", "clusters", "--of", "0", "--k", "2", "--out", "OUT", "--quiet"),
        ("suspects", "RUN", "--out", "OUT", "--quiet"),
        ("compare", "RUN", "map", "--out", "OUT", "--quiet"),
        ("report", "RUN", "--out", "OUT.html", "--quiet"),
    ),
    "map": (
        ("compare", "RUN", "points", "--out", "OUT", "--quiet"),
        ("report", "RUN", "--out", "OUT.html", "--quiet"),
    ),
    "clusters": (
        ("associate", "RUN", "--with", "label", "--out", "OUT", "--quiet"),
        ("cluster", "points", "--within", "RUN", "--of", "0", "--k", "2", "--out", "OUT", "--quiet"),
        ("score", "points", "--clusters", "RUN", "--quiet"),
        ("report", "RUN", "--out", "OUT.html", "--quiet"),
    ),
    **dict.fromkeys(
        ("rank", "score", "associations", "suspects", "comparison"),
        (("report", "RUN", "points", "--out", "OUT.html", "--quiet"),),
    ),
    **dict.fromkeys(
        ("compressed", "imported", "outputs"),
        (("score", "RUN", "--permutations", "19", "--quiet"), ("report", "RUN", "--out", "OUT.html", "--quiet")),
    ),
    "study": (
        ("report", "RUN", "--out", "OUT.html", "--quiet"),
        ("sweep", "grid.toml", "--out", "RUN", "--quiet"),
        ("sweep", "grid.toml", "--out", "RUN", "--retry", "--extend", "--reference", "one", "--quiet"),
    ),
    "grids": (("sweep", "RUN/grid.toml", "--max-runs", "1", "--out", "OUT", "--quiet"),),
    "rates": (
        ("plan", "cluster", "--rows", "90000", "--width", "7", "--k", "3", "--machine", "RUN/rates.json"),
        ("plan", "score", "points", "--machine", "RUN/rates.json", "--memory", "1GiB"),
    ),
    "transformers": (("logits", "RUN"),),
    "heads": (
        ("report", "RUN", "points", "--out", "OUT.html", "--quiet"),
        (
            "heads", "data.csv", "--text", "text", "--model", "base", "--windows", "12", "--max-length", "24",
            "--k", "3", "--min-cluster-size", "8", "--min-samples", "4", "--cells", "6", "--permutations", "19",
            "--components", "5", "--sentences", "2", "--importance-windows", "4", "--resume", "--out", "RUN", *QUIET,
        ),
    ),
}  # fmt: skip


def read(root: Path, kind: str, words: tuple[str, ...], scratch: Path) -> Ran:
    """Run a command that reads the artefact of a kind below `root`."""
    names = {"RUN": root / kind, "NEW": root / "new.csv"}
    names |= {name: root / name for name in (*READ, "data.csv", "questions.json", "base", "grid.toml")}
    filled = [scratch.with_suffix(word[3:]) if word.startswith("OUT") else word for word in words]
    places = [names.get(str(word), str(word).replace("RUN/", f"{root / kind}/")) for word in filled[1:]]
    return BY_PYTHON[words[0]](*places) if words[0] in BY_PYTHON else run(words[0], *places)


def as_command(function: Callable[..., object]) -> Callable[..., Ran]:
    """A function of Python whose errors are those that the command line would print."""

    def call(*places: object) -> Ran:
        with warnings.catch_warnings(action="ignore", category=SeparatrixWarning):
            try:
                return Ran(0, str(function(*places)), "")
            except SeparatrixError as error:
                return Ran(2, "", f"separatrix: {error}\n")

    return call


def answer(folder: Path, questions: Path) -> str:
    """The answers of a run."""
    return sx.load(folder).predict(questions, device="cpu").to_csv()


def logits(folder: Path) -> object:
    """What a prompt says of a text, as transformers asks it."""
    from separatrix.learn.huggingface import PromptForSequenceClassification

    model = PromptForSequenceClassification.from_pretrained(folder, device="cpu")
    return model(**model.tokenizer(["the cat is here"], return_tensors="pt")).logits


BY_PYTHON = {"answer": as_command(answer), "logits": as_command(logits)}


def edit(path: Path, change: Callable[[dict], object]) -> None:
    """Change a JSON object in a file."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def hash_anew(folder: Path) -> None:
    """Give the files of an artefact the sizes and hashes that they have now, as a sender would who alters them."""

    def entry(path: Path) -> dict[str, object]:
        return {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}

    def change(content: dict) -> None:
        listed = content.get("files") or {}
        listed.update({name: entry(folder / name) for name in listed})
        if "table" in content:  # of points
            content["table"] = entry(folder / "table.parquet")
        for number, shard in enumerate(content.get("shards") or ()):
            for name in shard["files"]:
                (path,) = (folder / "blocks" / name).glob(f"{number:05d}.*")
                shard["files"][name] = entry(path)

    edit(folder / MANIFEST, change)
