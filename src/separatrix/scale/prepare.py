"""Columns brought to one scale, as `geometry.prepare` does, from one or two readings of all rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from separatrix.errors import DataError, choose
from separatrix.geometry.checks import check_column, check_size, maybe_index
from separatrix.geometry.prepare import STEPS, constant_below, whitening
from separatrix.geometry.rowspace import shrinkage_of
from separatrix.scale import kernels
from separatrix.scale.blocks import BlockSource, parts
from separatrix.scale.job import BlockJob
from separatrix.scale.kernels import Preparation
from separatrix.scale.moments import Moments, moments

_HEAD = 1000  # rows that tell which columns may number the rows


def fit_preparation(source: BlockSource, how: str, job: BlockJob) -> Preparation:
    """Check all rows as `geometry.prepare.prepare` does, and learn how to prepare them.

    Raises:
        DataError: numbers too large or too small, a column that is a row number, rows that are all the same.
        OptionError: another `how`.
    """
    choose(how, STEPS, "--prepare")
    whole = moments(source, job, full="whiten" in STEPS[how])
    check_size(float(max(abs(whole.low.min()), abs(whole.high.max()))), "vectors")
    for column in maybe_index(source.read(0, _HEAD), whole.low, whole.high, whole.count):
        check_column(_column(source, column), column)
    deviation = np.sqrt(whole.variance)
    varies = ~constant_below(deviation, np.maximum(np.abs(whole.low), np.abs(whole.high)))
    if not varies.any():
        raise DataError("all rows are the same", got=f"{whole.count} equal rows", expected="rows that differ")
    constant = int((~varies).sum())
    if not STEPS[how]:
        return Preparation(how, constant=constant)
    scale = np.where(varies, 1 / np.where(varies, deviation, 1), 0.0)
    plain = Preparation("standardise", whole.mean, scale, None, constant)
    return plain if how == "standardise" else _whiten(source, plain, whole, job)


def _whiten(source: BlockSource, plain: Preparation, whole: Moments, job: BlockJob) -> Preparation:
    """Standardised columns turned and scaled so that their (shrunk) covariance becomes the identity."""
    assert plain.scale is not None
    tasks = [(part, plain) for _, part in parts(source)]
    fourth = float(sum(float(each["fourth"]) for each in job.run("whitening", kernels.fourth_powers, tasks)))
    varies = plain.scale > 0
    width = int(varies.sum())
    covariance = (whole.covariance * plain.scale * plain.scale[:, None])[np.ix_(varies, varies)]
    powers, axes = np.linalg.eigh(covariance)
    kept = powers > powers.max() * np.finfo(np.float64).eps * width
    powers, axes = powers[kept], axes[:, kept]  # (rank,), (width, rank)
    share, level = shrinkage_of(fourth, whole.count, powers, width), float(powers.sum()) / width
    rest, gain = whitening(powers, share, level)
    matrix = np.zeros((len(varies), len(varies)))
    matrix[np.ix_(varies, varies)] = rest * np.eye(width) + (axes * gain) @ axes.T
    return Preparation("whiten", plain.mean, plain.scale, matrix, plain.constant)


def _column(source: BlockSource, column: int) -> NDArray[np.float64]:
    pieces = [part.read(0, part.rows)[:, column] for _, part in parts(source)]
    return np.concatenate(pieces).astype(np.float64)
