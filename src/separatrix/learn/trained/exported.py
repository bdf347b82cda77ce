"""A trained classifier as files that ONNX Runtime runs by itself: written, compared with the model, and in use.

The folder is one that transformers.js and optimum read as a model for text classification:

    config.json, tokenizer*.json      of the transformer, with the classes
    onnx/model.onnx                   `input_ids` and `attention_mask` in, `logits` out
    onnx/model_quantized.onnx         the same with weights in 8 bits, where that was asked for
    result.json                       what was compared, and how far apart it was
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from scipy.special import expit

from separatrix.errors import ModelError, OptionError
from separatrix.geometry.calibrate import ScoreCalibration, probabilities
from separatrix.learn.trained.encoder import AlignModel
from separatrix.learn.trained.graph import INPUTS, OUTPUT, classifier_graph
from separatrix.learn.trained.probe import ProbeModel
from separatrix.learn.trained.saved import CLASSES, Predictor
from separatrix.learn.unanswered import run_answerable
from separatrix.models.backbone import Backbone
from separatrix.models.graph import TRACED, drawn_batch, export_graph, open_session, quantise_graph, run_session
from separatrix.models.quiet import quietly
from separatrix.models.tokens import ESCAPE, NoTokens
from separatrix.paths import text_path
from separatrix.store.files import Schema
from separatrix.store.folder import RESULT
from separatrix.store.manifest import MANIFEST
from separatrix.store.result import Lines, Listing, Result, apart, optional, out_line
from separatrix.texts import Classes
from separatrix.texts.arrays import NEW, new_texts
from separatrix.texts.label_sets import sets_of
from separatrix.texts.pairs import is_pair

WHOLE, SMALL = "onnx/model.onnx", "onnx/model_quantized.onnx"  # where transformers.js looks for them
CHECKED = (3, 9)  # rows and tokens of the drawn batch that is compared
NEAR = 1e-4  # of probabilities
_BATCH = 64  # rows of one run


@dataclass(frozen=True, eq=False, repr=False)
class OnnxClassifier(Result):
    """An exported classifier: predicts with `onnxruntime` and `tokenizers`; neither PyTorch nor the run is read."""

    kind: ClassVar[str] = "onnx"
    schema: ClassVar[Schema] = {
        "classes": (CLASSES, None), "max_length": int, "graphs": {"*": dict}, "pad": int,
    }  # fmt: skip

    classes: Mapping[str, Any] | None  # as `Classes.to_dict`; None where numbers are predicted
    max_length: int  # tokens kept of a text
    pad: int  # id of what fills rows up; it is masked
    transformer: Mapping[str, Any]  # identity of the model under it
    graphs: Mapping[str, Mapping[str, Any]]  # file -> bytes, and how it compares with the trained model
    thresholds: Sequence[float] | None = optional()  # of several labels a row: the probability from which each is given
    warnings: Sequence[str] = ()
    used: str = apart(WHOLE)  # the graph that predicts

    @property
    def classes_(self) -> np.ndarray:
        """The classes, in the order of the columns of `predict_proba`, as scikit-learn calls them."""
        if self.classes is None:
            raise OptionError("numbers are predicted here, not classes", hint="call predict")
        return np.array(Classes.from_dict(dict(self.classes)).values)

    def quantised(self) -> OnnxClassifier:
        """The same with weights in 8 bits. Raises `OptionError`: it was exported without."""
        if SMALL not in self.graphs:
            raise OptionError("there is no graph in 8 bits", hint="export with int8=True, or --int8")
        return self.using(SMALL)

    def using(self, graph: str) -> OnnxClassifier:
        """The same with another of its graphs, named by its file."""
        return replace(self, used=graph)

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Calibrated probabilities (rows, classes); NaN for texts with nothing in them.

        Raises:
            OptionError: numbers are predicted, or pairs of texts given.
            DataError: no column of strings.
        """
        self.classes_  # noqa: B018  # refuses a regression
        chances = probabilities if self.thresholds is None else expit
        return self._answers(texts, lambda some: np.asarray(chances(self._logits(some)), np.float64))

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """Labels (rows,), None for texts with nothing in them; of a regression numbers, or NaN.

        Of several labels a row (rows, labels) of 0 and 1, by their thresholds; -1 for texts with nothing in them.

        Raises:
            OptionError: pairs of texts.
            DataError: no column of strings.
        """
        if self.classes is None:
            return self._answers(texts, lambda some: self._logits(some)[:, 0].astype(np.float64))
        if self.thresholds is not None:
            cuts = np.array(self.thresholds)
            return self._answers(texts, lambda some: (expit(self._logits(some)) >= cuts).astype(np.int64))
        classes = Classes.from_dict(dict(self.classes))
        return self._answers(texts, lambda some: classes.decode(self._logits(some).argmax(axis=1)))

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def _answers(self, texts: Any, run: Callable[[list[str]], np.ndarray]) -> np.ndarray:
        some = new_texts(texts, NEW).text
        if any(map(is_pair, some)):
            raise OptionError("the exported model reads single texts", got="pairs of texts", hint="give one text a row")
        return run_answerable(run, some)[0]

    def _logits(self, texts: Sequence[str]) -> np.ndarray:
        """(rows, classes) float32, or numbers (rows, 1) float64, of texts, in batches of similar length."""
        encoded = [one.ids for one in self._tokenizer.encode_batch(list(texts))]
        if empty := [row for row, ids in enumerate(encoded) if not ids]:
            raise NoTokens(empty, texts)
        order = np.argsort([len(ids) for ids in encoded], kind="stable")
        logits: np.ndarray | None = None
        for rows in np.array_split(order, -(-len(order) // _BATCH)):
            longest = len(encoded[rows[-1]])
            table = np.full((len(rows), longest), self.pad, np.int64)
            mask = np.zeros_like(table)
            for line, row in enumerate(rows):
                table[line, : len(encoded[row])] = encoded[row]
                mask[line, : len(encoded[row])] = 1
            batch = dict(zip(INPUTS, (torch.from_numpy(table), torch.from_numpy(mask)), strict=True))
            values = run_session(self._session, batch)[0].numpy()
            logits = np.empty((len(encoded), values.shape[1]), values.dtype) if logits is None else logits
            logits[rows] = values
        assert logits is not None
        return logits

    @cached_property
    def _session(self) -> Any:
        assert self.folder is not None
        return open_session(self.folder / self.used)

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        assert self.folder is not None
        tokenizer = Tokenizer.from_file(str(self.folder / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.enable_truncation(self.max_length)
        return tokenizer

    @property
    def table(self) -> pd.DataFrame:
        """A row for each graph: bytes, and how it compares with the trained model."""
        return pd.DataFrame([{"file": name, **values} for name, values in self.graphs.items()])

    def write_files(self, folder: Path) -> None:
        """Copy them from where they were written."""
        assert self.folder is not None
        if folder != self.folder:
            shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns(RESULT, MANIFEST), dirs_exist_ok=True)

    def parts(self) -> list[Listing | Lines]:
        """The graphs, and where they are."""
        frame = self.table
        rows = [[_cell(value) for value in row] for row in frame.itertuples(index=False)]
        return [Listing([str(name).replace("_", " ") for name in frame.columns], rows), out_line(self.folder)]


def write_classifier(model: ProbeModel | AlignModel, folder: Path, *, int8: bool = False) -> dict[str, Path]:
    """Write config, tokenizer and graphs of a trained model into a folder; the graphs by their names.

    Raises:
        ModelError: a tokenizer without a file, or a graph that answers otherwise.
    """
    backbone, graph = model.backbone, classifier_graph(model)
    (folder / WHOLE).parent.mkdir()
    _write_config(model, folder)
    example = _batch(backbone, TRACED)
    export_graph(graph, example, (OUTPUT,), folder / WHOLE)
    _check(graph, folder / WHOLE, _batch(backbone, CHECKED), model)
    if int8:
        quantise_graph(folder / WHOLE, folder / SMALL, keep="head")  # of `ClassifierGraph`
    return {name: folder / name for name in (WHOLE, SMALL)[: 1 + int8]}


def exported_notes(model: Predictor) -> dict[str, Any]:
    """What an `OnnxClassifier` keeps of its model."""
    backbone = model.backbone
    warnings = []
    if backbone.recipe.special_tokens == ESCAPE:
        warnings.append("control tokens in texts act as such in the exported files, other than in the run")
    return {
        "classes": None if model.classes is None else model.classes.to_dict(), "max_length": backbone.room(0),
        "pad": backbone.pad, "transformer": backbone.identity, "warnings": warnings, "thresholds": thresholds_of(model),
    }  # fmt: skip


def thresholds_of(model: Predictor) -> tuple[float, ...] | None:
    """The probabilities from which labels are given, where a row has several."""
    calibration = getattr(model, "calibration", None)
    return calibration.thresholds if isinstance(calibration, ScoreCalibration) and calibration.sets else None


def compare_answers(
    model: OnnxClassifier, answer: Any, texts: Sequence[str], labels: Sequence[Any] | None
) -> dict[str, Any]:
    """How the exported answers to some texts compare with those of the trained model, which are given."""
    own, got = answer.labels, model.predict(texts)
    if model.thresholds is not None:
        got = sets_of(got, Classes.from_dict(dict(model.classes or {})).names)
    figures: dict[str, Any] = {"rows": len(texts)}
    if model.classes is None:
        return figures | {"largest_difference": float(np.nanmax(np.abs(got - own)))}
    apart = np.abs(model.predict_proba(texts) - answer.probabilities)
    figures |= {"largest_difference": float(np.nanmax(apart)), "same_answer": _share(got, own)}
    if labels is not None:
        figures |= {"accuracy": _share(got, labels), "accuracy_of_the_run": _share(own, labels)}
    return figures


def _share(answers: Sequence[Any] | np.ndarray, labels: Sequence[Any] | np.ndarray) -> float:
    """Of the rows whose answer is the label; of several labels, the whole set of them."""
    plain = (tuple(one) if isinstance(one, np.ndarray | list) else one for one in labels)
    return float(np.mean([one == other for one, other in zip(answers, plain, strict=True)]))


def _write_config(model: Predictor, folder: Path) -> None:
    backbone = model.backbone
    config = copy.deepcopy(backbone.body.config)
    names = ["number"] if model.classes is None else list(model.classes.names)
    config.id2label = dict(enumerate(names))
    config.label2id = {name: number for number, name in enumerate(names)}
    several = "multi" if thresholds_of(model) is not None else "single"
    config.problem_type = "regression" if model.classes is None else f"{several}_label_classification"
    kind = (config.architectures or [type(backbone.body).__name__])[0]
    config.architectures = [kind.removesuffix("Model").removesuffix("ForMaskedLM") + "ForSequenceClassification"]
    tokenizer = copy.deepcopy(backbone.tokenizer)
    tokenizer.model_max_length = backbone.room(0)
    with quietly(), text_path(folder) as path:
        config.save_pretrained(path)
        tokenizer.save_pretrained(path)
    if not (folder / "tokenizer.json").is_file():
        what = f"the tokenizer of {backbone.source.name!r} is written in Python and has no tokenizer.json"
        raise ModelError(what, expected="a tokenizer of the tokenizers library")


def _batch(backbone: Backbone, shape: tuple[int, int]) -> dict[str, torch.Tensor]:
    drawn = drawn_batch(backbone, shape)
    return dict(zip(INPUTS, (drawn["ids"], drawn["mask"]), strict=True))


def _check(graph: torch.nn.Module, path: Path, batch: dict[str, torch.Tensor], model: Predictor) -> None:
    """Compare with the module on a batch of another shape: an export may have a length or a mask cast into it."""
    with torch.inference_mode():
        wanted, exported = graph(**batch), run_session(open_session(path), batch)[0]
    one, two = wanted, exported
    if thresholds_of(model) is not None:
        one, two = wanted.sigmoid(), exported.sigmoid()
    elif wanted.shape[1] > 1:
        one, two = wanted.softmax(1), exported.softmax(1)
    if not (apart := float((one - two).abs().max())) <= NEAR * max(1.0, float(one.abs().max())):
        name = model.backbone.source.name
        raise ModelError(f"the export of model {name!r} answers otherwise than the model", got=f"{apart:.2g} apart")


def _cell(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
