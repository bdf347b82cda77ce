"""What is to be said of a run beside its scores: what the guards found (warnings), and what else is true (notes)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from separatrix.geometry.baselines import Part
from separatrix.learn.saved import Answer, Predictor
from separatrix.texts import Splits, duplicates, overlap
from separatrix.training.judge import Yardstick

UNREAD = re.compile(r"(\w+): \d+ of \d+ texts (hold|have)\b")  # of `Unread.warnings`
CUT = re.compile(r"(\w+): (\d+) of (\d+) texts were cut")  # as trainings say it too
MUCH = 0.1  # share of a part's texts: if more of them are cut, the model reads other texts than the reader thinks


@dataclass(frozen=True, eq=False)
class Listener(Yardstick):
    """A yardstick that remembers the validation scores of each epoch, for runs that write no trajectory."""

    heard: list[np.ndarray] = field(default_factory=list)

    def quick(self, scores: np.ndarray, targets: np.ndarray) -> dict[str, float]:
        """Figures of an epoch, whose scores are kept."""
        self.heard.append(scores)
        return super().quick(scores, targets)


def in_unit(model: Predictor, answer: Answer) -> np.ndarray:
    """Scores in the unit of the targets."""
    return answer.scores if model.classes is not None else np.asarray(answer.labels, dtype=np.float64)[:, None]


def findings(
    model: Predictor,
    answers: Mapping[str, Answer],
    parts: Mapping[str, Part],
    yardstick: Yardstick,
    history: Sequence[np.ndarray],
) -> list[str]:
    """What the guards say of each split; `history` are the validation scores of every epoch."""
    said = []
    for part, answer in answers.items():
        past = history[:-1] if part == "validation" else []
        found = yardstick.findings(in_unit(model, answer), parts[part].targets, past)
        said += [f"{part}: {line}" for line in found]
    return said


def overlaps(splits: Splits) -> list[str]:
    """What is to be said of rows of other parts that are training rows as well."""
    warnings = []
    for part, texts in splits.parts.items():
        found = overlap(splits.train, texts) if part != "train" else None
        if found is not None and found.normalised:
            warnings.append(
                f"{part}: {found.normalised} of {found.total} rows stand in the training rows as well "
                f"({found.exact} letter by letter, {found.conflicting} with another label)"
            )
    return warnings


def repeated(splits: Splits) -> str:
    """How often training rows repeat each other."""
    found = duplicates(splits.train)
    return f"train: {found.normalised} repeated rows ({found.conflicting} texts with more than one label)"


def cut_texts(notes: Sequence[str], answers: Mapping[str, Answer]) -> tuple[list[str], list[str]]:
    """Warnings and notes: those of a training, and how many texts of each part were cut, each part once.

    A warning where more than a tenth of a part's texts was cut, else a note; what could not be read is a warning.

    >>> cut_texts(["train: 2 of 10 texts were cut to 4 tokens", "validation: 1 of 10 texts were cut", "more"], {})
    (['train: 2 of 10 texts were cut to 4 tokens; a larger --max-length reads more of them'], \
['validation: 1 of 10 texts were cut', 'more'])
    """
    lines = [
        *notes,
        *(f"{part}: {found.cut} of {len(found.scores)} texts were cut" for part, found in answers.items() if found.cut),
        *(f"{part}: {line}" for part, found in answers.items() for line in found.unread.warnings),
    ]
    warnings: list[str] = []
    kept: list[str] = []
    seen: set[str] = set()
    for line in dict.fromkeys(lines):
        found = CUT.match(line)
        if found is None:
            (warnings if UNREAD.match(line) else kept).append(line)
        elif found[1] not in seen:  # the training comes first, and says more
            seen.add(found[1])
            much = int(found[2]) > MUCH * int(found[3])
            (warnings if much else kept).append(line + "; a larger --max-length reads more of them" * much)
    return warnings, kept
