"""`--method answers`: a span head and the model under it learn to answer questions; exact match and F1 as usual."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

from separatrix.errors import DataError, OptionError, public_name, warn
from separatrix.progress import Progress, silent
from separatrix.recipe import ModelRecipe, checked, decisive, digest, record, to_dict
from separatrix.recipe.heads import AnswerRecipe, AnswerTrainingRecipe
from separatrix.store.artifacts import resume_artifact
from separatrix.store.files import Schema, damaged, read_json, read_recipe
from separatrix.store.folder import CHECKPOINT, FINISHED, RECIPE, can_resume, has_result
from separatrix.store.manifest import MANIFEST
from separatrix.store.result import NUMBER, Lines, Listing, Result, apart, cell, out_line
from separatrix.training.methods.base import TrainingMethod

if TYPE_CHECKING:
    import pandas as pd

    from separatrix.heads.answers import SquadScores
    from separatrix.texts.questions_answers import Example

ANSWERS = "answers.parquet"
TOTALS = ("total", "has_answer_total", "no_answer_total")


@dataclass(frozen=True, eq=False, repr=False)
class AnswerResult(Result):
    """A trained model, where it is, and how well it answers."""

    kind: ClassVar[str] = "answers"
    schema: ClassVar[Schema] = {
        "scores": {"exact": float, "f1": float, **dict.fromkeys(TOTALS, int), "*": NUMBER},
        "losses": [float], "windows": int, "left_out": int, "questions": int, "unread?": [str], "notes": [str],
        "seconds": float,
    }  # fmt: skip

    scores: SquadScores
    losses: Sequence[float]  # mean of each epoch
    windows: int  # trained on
    left_out: int  # training windows whose answer has no usable offset
    table: pd.DataFrame = apart()  # a row for each question of the test: id, question, context, answer, right answers
    questions: int = 0  # trained on
    unread: Sequence[str] = ()  # what the tokenizer cannot read
    notes: Sequence[str] = ()
    seconds: float = 0.0

    @classmethod
    def stored(cls, folder: Path, plain: dict[str, Any]) -> dict[str, Any]:
        """The scores and the answers."""
        from separatrix.heads.answers import SquadScores
        from separatrix.store.table import read_table

        table = read_table(folder / ANSWERS, COLUMNS)
        if not all(isinstance(answer, str) for answer in table["answer"]):
            raise damaged(folder / ANSWERS, "an answer is no text")
        return {"scores": SquadScores(**plain["scores"]), "table": table}

    @property
    def warnings(self) -> list[str]:
        """What could not be read, and what the scores hide: never to answer scores the share without an answer."""
        scores, answers = self.scores, self.table["answer"]
        if len(answers) and not any(answers):
            share = f"{scores.no_answer_total} of {scores.total} questions have no answer"
            empty = f"every answer is empty, and {share}: the exact match of {scores.exact:.3f} is this share alone"
            return [*self.unread, empty]
        if scores.has_answer_total and not scores.has_answer_f1:
            return [*self.unread, "no question that has an answer got a word of it: the model has not learnt to answer"]
        return [*self.unread]

    def predict(
        self, data: str | Path | Sequence[Example], *, device: str = "auto", progress: Progress | None = None
    ) -> pd.DataFrame:
        """Answers to questions with contexts: a row for each, as in `table`.

        Raises:
            DataError: no questions with contexts.
        """
        from separatrix.heads.maps import load_for_maps
        from separatrix.heads.qa import answer_questions
        from separatrix.learn.trainables.spans import load_span_model
        from separatrix.texts.questions_answers import read_material

        assert self.folder is not None, "the model lies in a folder"
        plain, path = read_json(self.folder / RECIPE, {"model": dict, "answers": dict}), self.folder / RECIPE
        recipe = read_recipe(AnswerRecipe, plain["answers"], path)
        model = read_recipe(ModelRecipe, plain["model"], path).at(str(self.folder), device)
        examples = read_material(data).examples if isinstance(data, (str, Path)) else data
        backbone = load_for_maps(model)
        answering = load_span_model(backbone, recipe.seed)
        answers, unread = answer_questions(answering, backbone, examples, recipe, progress or silent)
        unread.warn()
        return answer_table(examples, answers)

    def figures(self) -> dict[str, Any]:
        """What `result.json` holds; the answers are written apart."""
        answers = self.table["answer"]
        return super().figures() | {
            "share_empty": float((answers == "").mean()) if len(answers) else 0.0,
            "baseline_exact": self.scores.no_answer_total / max(1, self.scores.total), "warnings": self.warnings,
        }  # fmt: skip

    def write_files(self, folder: Path) -> None:
        """Write the answers, and into another folder the model too."""
        from separatrix.store.table import write_table  # loads pandas

        if self.folder is not None and self.folder != folder:
            shutil.copytree(self.folder, folder, dirs_exist_ok=True, ignore=lambda *_: [MANIFEST])
        write_table(folder / ANSWERS, self.table)

    def parts(self) -> list[Listing | Lines]:
        """What is printed: the scores, then notes and figures."""
        scores = asdict(self.scores)
        kinds = {"all": ("exact", "f1", "total")}
        kinds |= {name: (f"{name}_exact", f"{name}_f1", f"{name}_total") for name in ("has_answer", "no_answer")}
        rows = [[name.replace("_", " "), *(cell(scores[key]) for key in keys)] for name, keys in kinds.items()]
        lines: list[tuple[str, object]] = [("note", note) for note in self.notes]
        lines += [("windows trained on", self.windows), ("left out", self.left_out), *out_line(self.folder)]
        return [Listing(["questions", "exact match", "F1", "number"], rows), lines]


COLUMNS = ("id", "question", "context", "answer", "right")


def answer_table(examples: Sequence[Example], answers: Mapping[str, str]) -> pd.DataFrame:
    """A row for each question: id, question, context, answer, right answers."""
    import pandas as pd  # here, so that the names of the methods are known without it

    lines = [(one.id, one.first, one.second, answers[one.id], list(one.golds)) for one in examples]
    return pd.DataFrame(lines, columns=list(COLUMNS))


def answer_run(
    data: str | Path, out: str | Path, model: ModelRecipe, recipe: AnswerRecipe, *, test: str | Path | None = None,
    test_share: float = 0.2, overwrite: bool = False, resume: bool = False, progress: Progress = silent,
) -> AnswerResult:  # fmt: skip
    """Train a model to answer questions and score it.

    Args:
        data: questions with contexts.
        out: folder of the trained model, which `heads --model` opens.
        model: where to start from.
        test: questions to score on; by default, a share of the contexts of `data` is held out.
        test_share: that share.
        resume: go on with the training in `out`, or start where there is none.

    Raises:
        DataError: nothing to train on, or contexts in both parts.
        ModelError: a family without a span head.
        StoreError: `out` is taken, or was begun with other options or questions.
    """
    from separatrix.models.source import resolve
    from separatrix.texts.questions_answers import read_material
    from separatrix.training.folder import drop_states, write_recipe

    if not isinstance(data, (str, Path)):
        raise DataError("questions are read from a file or folder", got=type(data).__name__, hint="give its path")
    begun, material = monotonic(), read_material(data)
    if not any(example.golds for example in material.examples):
        hint = "give answers in a column `answers`, as SQuAD has them"
        raise DataError(f"{public_name(data)} has no question with an answer, so there is nothing to learn", hint=hint)
    if test is None:
        train, held_out = split_by_context(material.examples, test_share, recipe.seed)
    else:
        train, held_out = material.examples, read_material(test).examples
    folder, inputs = Path(out), (data, test, model.model)
    texts = {"train": describe_examples(data, train), "test": describe_examples(test or data, held_out)}
    options = {"model": record(model), "answers": to_dict(recipe), "weights": resolve(model).weights}
    plain = {**options, "data": texts}
    with resume_artifact(folder, "answers", plain, overwrite=overwrite, resume=resume, keep=can_resume, inputs=inputs):
        write_recipe(folder, AnswerTrainingRecipe(), plain)
        if has_result(folder):
            result = AnswerResult.open(folder)
            result = replace(result, notes=[*result.notes, FINISHED])
        else:
            result = train_answers(model, train, held_out, folder, recipe, progress)
            result = replace(result, notes=material.notes, seconds=round(monotonic() - begun, 2))
            result.write(folder)
        drop_states(folder)
    warn(result.unread)
    return result


def describe_examples(source: str | Path, examples: Sequence[Example]) -> dict[str, Any]:
    """The name of where questions came from, how many they are, and a digest of all that is read of them."""
    content = [[one.id, one.first, one.second, one.golds, [asdict(each) for each in one.answers]] for one in examples]
    return {"source": public_name(source), "rows": len(examples), "digest": digest(content)}


def train_answers(
    model: ModelRecipe, train: Sequence[Example], test: Sequence[Example], folder: Path, recipe: AnswerRecipe,
    progress: Progress = silent,
) -> AnswerResult:  # fmt: skip
    """Train a span head and the model under it, save both, and evaluate.

    Args:
        model: where to start from.
        train, test: questions with contexts; no context should be in both.
        folder: of the trained model (safetensors and tokenizer), which opens as any other, and of the state of the
            training, which goes on from it.

    Raises:
        ModelError: the family has no span head.
        DataError: no training window is left, or training and test share a context.
        StoreError: the state in the folder belongs to another training.
    """
    from separatrix.heads.answers import squad_scores
    from separatrix.heads.maps import load_for_maps
    from separatrix.heads.qa import answer_questions, span_scores, training_windows
    from separatrix.learn.answers import save_span_model, train_spans
    from separatrix.learn.trainables.spans import load_span_model

    if shared := {example.second for example in train} & {example.second for example in test}:
        raise DataError("training and test share contexts", got=f"{len(shared)} of them", hint="split by context")
    backbone = load_for_maps(replace(model, max_length=recipe.max_length))
    answering = load_span_model(backbone, recipe.seed)
    windows, targets, left_out, unread = training_windows(backbone, train, recipe)
    identity = digest(decisive(recipe), backbone.source.weights, describe_examples("", train))
    fitted = train_spans(
        answering, lambda rows: span_scores(answering, backbone, [windows[row] for row in rows]),
        [len(window) for window in windows], targets, recipe.loop, progress,
        checkpoint=folder / CHECKPOINT, identity=identity,
    )  # fmt: skip
    save_span_model(answering, backbone, folder)
    questions = draw_examples(test, recipe.test_examples, recipe.seed)
    answers, of_test = answer_questions(answering, backbone, questions, recipe, progress)
    losses = tuple(line["loss"] for line in fitted.metrics)
    scores = squad_scores(questions, answers)
    table = answer_table(questions, answers)
    lines = [f"{part}: {line}" for part, each in (("train", unread), ("test", of_test)) for line in each.warnings]
    return AnswerResult(scores, losses, len(windows), left_out, table, len(train), lines, folder=folder)


def split_by_context(
    examples: Sequence[Example], share: float, seed: int
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Training and test examples; all questions about one context stay on one side.

    Raises:
        DataError: fewer than two contexts.
    """
    import numpy as np

    contexts = sorted({example.context for example in examples})
    if len(contexts) < 2:
        raise DataError("one context cannot be split", got=len(contexts), expected="2 or more")
    order = np.random.default_rng(seed).permutation(contexts)
    chosen = set(order[: min(max(1, round(share * len(contexts))), len(contexts) - 1)].tolist())
    train = tuple(example for example in examples if example.context not in chosen)
    return train, tuple(example for example in examples if example.context in chosen)


def draw_examples(examples: Sequence[Example], most: int | None, seed: int) -> list[Example]:
    """At most so many examples, drawn by the seed, in their order.

    >>> from separatrix.texts.questions_answers import Example
    >>> draw_examples([Example(str(row), "q", "c", 0) for row in range(9)], 3, 0) == draw_examples([], 3, 0)
    False
    """
    from separatrix.codes import draw_some

    return [examples[row] for row in draw_some(len(examples), most or len(examples), [seed, 6])]


def run(
    data: Any, out: str | Path, recipe: AnswerTrainingRecipe, *, test: float | str | Path | None = None, **options: Any
) -> AnswerResult:
    """`answer_run` with a whole recipe; `test` is the share of contexts to hold out, or a file of other questions.

    Raises:
        OptionError: a share that is none.
    """
    if test is None or isinstance(test, str | Path):
        return answer_run(data, out, recipe.backbone, recipe.answers, test=test, **options)
    share = checked("test", test, float, low=0, high=1)
    if share in (0, 1):
        raise OptionError("test is out of range", got=share, expected="a share between 0 and 1, both excluded")
    return answer_run(data, out, recipe.backbone, recipe.answers, test_share=share, **options)


METHOD = TrainingMethod(AnswerTrainingRecipe(), run=run)
