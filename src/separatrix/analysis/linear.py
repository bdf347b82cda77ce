"""Nearest centroid and linear discriminant of all rows of points that are read in blocks: sums say all of them."""

from __future__ import annotations

import numpy as np

from separatrix.analysis.blocks import ScaleOptions
from separatrix.analysis.rows import PARTS, Split
from separatrix.analysis.shape import Figures, Nulls, answered, beside
from separatrix.codes import encode
from separatrix.points import Points
from separatrix.recipe.score import ScoreRecipe
from separatrix.scale.blocks import BlockSource
from separatrix.scale.classes import LINEAR, class_sums
from separatrix.scale.executors import parse_executor
from separatrix.scale.kernels import threads
from separatrix.scale.memory import budget, in_blocks
from separatrix.scale.moments import WIDEST


def linear_figures(points: Points, split: Split, recipe: ScoreRecipe, options: ScaleOptions) -> tuple[Figures, Nulls]:
    """What the classifiers reach from all training rows on all rows of the other parts.

    Without a part `train` there are none; nor where memory does not hold the products of all columns.

    Args:
        points: one block, with labels of classes.
        split: of a sample of them.
        recipe: which column the labels are, how many shuffles.
        options: who computes.
    """
    figures: Figures = {}
    nulls: Nulls = {}
    source = BlockSource.of_points(points)
    workers = parse_executor(options.executor)[1] or threads()
    least = in_blocks(source.rows, source.width, workers, squares=source.width)
    if not split.others or source.width > WIDEST or least > budget(options.memory):
        return figures, nulls
    codes, names = encode(points.series(recipe.label), by_row=True)
    part = points.series("split")
    with options.job(source, squares=source.width) as job:
        sums = class_sums(source, np.where(part == PARTS[0], codes, -1), len(names), job)
        for name, fit in LINEAR.items():
            answers = fit(sums).answers(source, job)
            for other in split.others:
                rows = np.flatnonzero((part == other) & (codes >= 0))
                answered(f"{name}_{other}", codes[rows], answers[rows], split, recipe, (figures, nulls))
    return beside(figures, nulls), nulls
