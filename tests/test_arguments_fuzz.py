"""Any value of any argument of the public functions ends in a result or in one sentence, and nothing half written.

The arguments come from the signatures and the typed options, so a new one is drawn from at once. A long run by hand:

    SEPARATRIX_FUZZ=5000 SEPARATRIX_FUZZ_SEED=7 python -m pytest tests/test_arguments_fuzz.py
"""

from __future__ import annotations

import inspect
import os
import random
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import separatrix as sx
from separatrix.errors import OptionError, SeparatrixError, SeparatrixWarning
from separatrix.models.load import load_backbone
from separatrix.recipe import ModelRecipe, TrainRecipe, options
from separatrix.recipe.align import AlignRecipe
from separatrix.scale.machine import Machine
from separatrix.store.points import write_points

DRAWS = int(os.environ.get("SEPARATRIX_FUZZ", "1200"))
SEED = int(os.environ.get("SEPARATRIX_FUZZ_SEED", "0"))


@dataclass
class Call:
    """A public function with arguments that are right, and where its options are listed."""

    function: Callable[..., Any]
    right: dict[str, Any]
    weight: int = 10
    fixed: tuple[str, ...] = ()  # arguments that are not drawn

    @property
    def names(self) -> list[str]:
        """What can be given."""
        names = []
        for name, parameter in inspect.signature(self.function).parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                typed = re.fullmatch(r"Unpack\[(\w+)\]", str(parameter.annotation))
                if typed is not None and hasattr(options, typed[1]):
                    names += list(getattr(options, typed[1]).__annotations__)
            else:
                names.append(name)
        return [name for name in dict.fromkeys(names) if name not in ("self", "cls", *self.fixed)]


def wrong_values(folder: Path) -> list[Any]:
    """What nobody would give."""
    return [
        None, 5, -1, 0, 1.5, float("inf"), float("nan"), "x", "", [], {}, (), object(), np.array([1.0, 2.0]),
        np.array(3), np.float32("nan"), folder, folder / "taken", b"x", int, 10**30, -(10**30), True, "a\0b", {"a": 1},
        [None], ["x", 3],
        [[1.0], [2.0]], pd.Series([1, None]), np.array(["a", None], dtype=object), 1j, "é" * 300, range(3), {1, 2},
    ]  # fmt: skip


def fit(kind: type, X: Any, y: Any, validation: Any = None, **params: Any) -> Any:
    return kind(**params).fit(X, y, validation=validation)


@pytest.fixture(scope="module")
def calls(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> list[Call]:
    folder, model = tmp_path_factory.mktemp("fuzz"), str(tiny("bert"))
    rng, kinds = np.random.default_rng(0), np.arange(36) % 3
    texts = [f"the {('cat', 'dog', 'bird')[kind]} {row}" for row, kind in enumerate(kinds)]
    labels = [("cat", "dog", "bird")[kind] for kind in kinds]
    table = {"label": labels, "group": ["g", "h"] * 18, "text": texts}
    points = sx.Points.of(rng.normal(size=(36, 5)) + 3 * np.eye(5)[kinds], table)
    both = points.join(points, prefixes=("a", "b"))
    write_points(folder / "points", points)
    clusters = sx.cluster(points, "kmeans", k=3, permutations=19)
    frame = clusters.table
    pd.DataFrame({"text": texts, "label": labels}).to_csv(folder / "texts.csv", index=False)
    rows = sx.Texts.of(texts, labels, ["g", "h"] * 18)
    splits = sx.Splits(rows.take(range(24)), rows.take(range(24, 36)), None, ())
    backbone = load_backbone(ModelRecipe(model=model))
    with warnings.catch_warnings(action="ignore"):
        frozen = sx.FrozenClassifier(model, head="knn", k=3).fit(texts, labels)
        aligned = sx.AlignClassifier(model, epochs=1).fit(texts, labels)
        prompt = sx.PromptClassifier(model, tokens=1, epochs=1).fit(texts, labels)
        explained = sx.train(splits, model=model, tokens=1, epochs=1)
    frozen.save(folder / "frozen")
    prompt.save(folder / "prompt")
    np.save(folder / "vectors.npy", np.eye(3))
    machine = Machine("a slide rule", False, 2, 4 * 10**9, 1e8, 1e8, {"any": {"1": 1e9}})
    grid = {"data": splits, "train": {"model": model, "epochs": 1, "tokens": 1, "snapshots": 0}}
    quick = {"model": model, "epochs": 1}
    fits = [
        Call(fit_of(kind), {"X": texts, "y": y, **quick} | more, 2)
        for kind, y, more in (
            (sx.PromptClassifier, labels, {"tokens": 1}),
            (sx.AlignClassifier, labels, {"recipe": None}),
            (sx.PromptRegressor, list(map(len, texts)), {"tokens": 1}),
        )
    ]
    return [
        *fits,
        Call(fit_of(sx.FrozenClassifier), {"X": texts, "y": labels, "model": model, "head": "centroid"}, 4),
        Call(sx.score, {"points": points, "permutations": 19, "resamples": 5}),
        Call(sx.project, {"points": points, "method": "pca", "k": 5}, fixed=("page",)),
        Call(sx.blend, {"points": both}),
        Call(sx.cluster, {"points": points, "method": "kmeans", "k": 3, "permutations": 19}),
        Call(sx.associate, {"clusters": frame, "columns": "label", "permutations": 19}),
        Call(sx.suspects, {"source": points, "near": 0.99}),
        Call(sx.compare, {"sources": [folder / "points", folder / "points"]}, 3),
        Call(sx.rank, {"data": splits, "model": model, "pool": "mean", "resamples": 5}, 2),
        Call(sx.extract, {"data": texts, "model": backbone}),
        Call(sx.train, {"data": splits, "method": "probe", "model": model, "pool": "mean"}, 4),
        Call(sx.head_atlas, {"data": "nothing.csv", "out": "atlas"}),
        Call(sx.plan, {"verb": "cluster", "rows": 100, "width": 5, "k": 3, "machine": machine}),
        Call(sx.compress, {"points": points, "k": 2, "queries": 5, "resamples": 100}),
        Call(sx.import_vectors, {"path": folder / "vectors.npy"}),
        Call(sx.export_vectors, {"points": points, "out": "vectors.npy", "overwrite": True}, 4),
        Call(sx.sweep, {"grid": grid, "out": "study", "max_runs": 1, "overwrite": True}, 2, ("max_runs",)),
        Call(explained.explain, {}, 2),
        Call(sx.load, {"folder": folder / "points"}),
        Call(sx.select, {"data": points, "selection": [0]}),
        Call(sx.report, {"folders": folder / "points", "out": "page.html", "overwrite": True}, 3),
        Call(sx.load_model, {"folder": folder / "frozen"}, 4),
        Call(sx.predict, {"model": frozen.model_, "data": rows}, 4),
        Call(sx.predict_texts, {"model": frozen.model_, "texts": rows}, 4),
        Call(sx.load_texts, {"source": folder / "texts.csv"}),
        Call(sx.load_splits, {"source": folder / "texts.csv"}),
        Call(sx.set_threads, {"count": 1}, 1),
        Call(sx.Points.of, {"values": np.eye(3)}),
        Call(points.take, {"places": [1]}),
        Call(points.where, {"mask": [True] * 36}),
        Call(both.pick, {"name": "avectors"}),
        Call(points.column, {"name": "label"}),
        Call(points.save, {"folder": "saved-points", "overwrite": True}, 2),
        Call(points.join, {"other": both}),
        Call(sx.Texts.of, {"text": texts, "label": labels}),
        Call(sx.Texts.from_frame, {"frame": pd.DataFrame(table)}),
        Call(rows.split, {"test": 0.2}),
        Call(rows.take, {"rows": [1]}),
        Call(rows.where, {"mask": [True] * 36}),
        Call(rows.join, {"other": rows}),
        *(
            Call(method, {"X": texts[:3]}, 3)
            for each in (frozen, aligned, prompt)
            for method in (each.predict, each.transform)
        ),
        Call(frozen.kneighbors, {"X": texts[:3]}, 3),
        Call(aligned.kneighbors, {"X": texts[:3]}, 3),
        Call(sx.FrozenClassifier.load, {"folder": folder / "frozen"}, 4),
        Call(sx.PromptClassifier.load, {"folder": folder / "prompt"}, 4),
        Call(prompt.save, {"folder": "saved"}, 4),
    ]


def fit_of(kind: type) -> Callable[..., Any]:
    """Constructor and `fit` as one function."""

    def call(**arguments: Any) -> Any:
        own = {
            name: arguments.pop(name)
            for name in ("X", "y", "sample_weight", "validation", "group")
            if name in arguments
        }
        return kind(**arguments).fit(**own)

    own, made = inspect.signature(kind.fit).parameters, inspect.signature(kind).parameters
    call.__signature__ = inspect.Signature([  # type: ignore[attr-defined]
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in {**own, **made}.items() if name != "self"
    ])  # fmt: skip
    call.__name__ = kind.__name__
    return call


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_right_arguments_are_right(calls: list[Call], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else every draw would be refused, whatever it is."""
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings(action="ignore", category=SeparatrixWarning):
        for call in calls:
            if call.right.get("data") != "nothing.csv":
                call.function(**call.right)


def test_arguments_of_any_kind_give_a_result_or_one_sentence(
    calls: list[Call], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("mine")
    dice, values, faults, refused = random.Random(SEED), wrong_values(tmp_path), list[str](), 0
    weights = [call.weight for call in calls]
    for _ in range(DRAWS):
        call = dice.choices(calls, weights)[0]
        names = dice.sample(call.names, min(dice.choice([1, 1, 1, 2]), len(call.names)))
        drawn = {name: dice.choice(values) for name in names}
        if callable(drawn.get("progress")):
            continue  # what it raises is its own
        before = files(tmp_path)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                warnings.simplefilter("ignore", SeparatrixWarning)
                call.function(**call.right | drawn)
        except SeparatrixError as error:
            refused += 1
            sentence = str(error)
            if "\n" in sentence or not 10 < len(sentence) < 900:
                faults.append(f"{call.function.__qualname__}({drawn}): {sentence!r}")
            if files(tmp_path) != before:
                faults.append(f"{call.function.__qualname__}({drawn}) left {files(tmp_path) - before}")
        except Exception as error:
            faults.append(f"{call.function.__qualname__}({drawn}): {type(error).__name__}: {error}" + where(error))
    assert not faults, f"{len(faults)} of {DRAWS}:\n" + "\n".join(sorted(faults))
    assert refused > DRAWS / 3
    assert (tmp_path / "taken" / "thesis.txt").read_text() == "mine"


EYE = sx.Points.of(np.eye(2))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sx.score(5), "score: points cannot be this: got 5, expected Points"),
        (lambda: sx.score(EYE, recipe=5), "recipe cannot be this: got 5, expected ScoreRecipe"),
        (lambda: sx.score(EYE, out=5), "out cannot be this: got 5, expected a text, a path or None"),
        (lambda: sx.score(EYE, overwrite="no"), "overwrite cannot be this: got 'no', expected True or"),
        (lambda: sx.score(EYE, progress=3), "progress cannot be this: got 3, expected a function or"),
        (lambda: sx.score(EYE, kk=3), "unknown option: got 'kk'"),
        (lambda: sx.load("a\0b"), "load: folder cannot be this: got 'a.x00b'"),
        (lambda: sx.load("x", verfy=True), "unknown argument of load: got 'verfy'.*did you mean 'verify'"),
        (lambda: sx.extract("gpt2", ["a"]), r"extract: too many positional arguments; write extract\(data, model=..."),
        (lambda: sx.FrozenClassifier().fit(["a"], ["x"], validation=5), "validation is not a pair: got int"),
        (lambda: sx.FrozenClassifier(np.ones(2)).fit(["a"], ["x"]), "--model cannot be this: got"),
        (lambda: sx.PromptClassifier(recipe=AlignRecipe()).fit(["a"], ["x"]), "recipe is not a recipe: got Align"),
        (lambda: sx.AlignClassifier(recipe=TrainRecipe()).fit(["a"], ["x"]), "recipe is not a recipe: got Train"),
    ],
)  # fmt: skip
def test_the_sentence_names_the_argument(call: Callable[[], Any], words: str) -> None:
    with pytest.raises(SeparatrixError, match=words):
        call()


def test_numbers_of_numpy_pass_for_numbers() -> None:
    texts = sx.Texts.of(["a", "b"] * 20, ["x", "y"] * 20)
    assert len(texts.split(np.float32(0.25), np.int64(3))[1]) == 10
    with pytest.raises(OptionError, match="--seed is out of range: got True, expected a whole number"):
        texts.split(0.25, True)


def where(error: BaseException) -> str:
    """The innermost line of the library that raised."""
    import traceback

    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/src/separatrix/" in frame.filename]
    return f" [{Path(frames[-1].filename).name}:{frames[-1].lineno}]" if frames else ""
