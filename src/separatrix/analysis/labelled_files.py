"""A labelled file before and after its labels are judged: its vectors, its rows with what is said of them, the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from separatrix import recipe as recipes
from separatrix.analysis.judged_rows import class_numbers
from separatrix.codes import draw_rows, encode
from separatrix.errors import DataError, OptionError, StoreError, readable
from separatrix.geometry.classes import deal_folds
from separatrix.points import Points
from separatrix.progress import Counter, Progress
from separatrix.recipe import ModelRecipe
from separatrix.recipe.cluster import SuspectsRecipe
from separatrix.recipe.load import LABEL, LoadRecipe
from separatrix.recipe.train import POOL_TEXTS
from separatrix.store.artifacts import write_file
from separatrix.store.files import write_bytes
from separatrix.texts import Splits, Texts, load_texts
from separatrix.texts.label_sets import free_separator, hold_out_sets, indicator, joined, set_names
from separatrix.texts.opened import split_name
from separatrix.texts.pairs import SECOND, shown
from separatrix.texts.rewrite import check_same_format, read_columns, without_rows
from separatrix.texts.set_checks import joined_labels
from separatrix.texts.table import refuse_equal

if TYPE_CHECKING:
    import pandas as pd

_POOL_FOLDS, _FEWEST = 4, 20


@dataclass(frozen=True, eq=False)
class ReadTexts:
    """Labelled texts with their vectors."""

    points: Points
    warnings: list[str]
    label: str  # column of the labels in the points
    separator: str | None  # between the labels of a row, where it may have several


def read_texts(source: Any, recipe: SuspectsRecipe, loading: LoadRecipe, progress: Progress) -> ReadTexts:
    """Points of the labelled rows of splits or of what `load_texts` reads, and warnings about the texts.

    Rows of splits stand one part after the other.

    Raises:
        DataError: the source cannot be read, or has no classes.
        ModelError: no such model.
    """
    import pandas as pd

    columns: dict[str, Any] = {"text": recipe.text, "label": recipe.label, "label_separator": recipe.label_separator}
    whole = reduce(Texts.join, source.parts.values()) if isinstance(source, Splits) else source
    texts = load_texts(whole, **columns, **recipes.to_dict(loading))
    if texts.label is None:
        raise DataError(f"{texts.source} was read without labels", hint="name their column with --label")
    refuse_equal(texts)
    if texts.kind != "sets":
        class_numbers(pd.Series(texts.label), recipe.label)  # refused before the model runs
    from separatrix.models.candidates import chosen_candidates
    from separatrix.models.extract import extract_blocks  # after the texts: torch is slow to load
    from separatrix.models.load import load_backbone
    from separatrix.models.precision import settled

    wanted = ModelRecipe(model=recipe.model, dtype=recipe.dtype, device=recipe.device)
    wanted, why = settled(wanted, texts.text, lambda one: chosen_candidates(one, recipe.pool))
    backbone = load_backbone(wanted)
    plans = chosen_candidates(backbone, recipe.pool)
    if len(plans) > 1 and len(texts) > POOL_TEXTS:  # of many texts, one block is held, not one of each pooling
        some = texts.take(draw_rows(len(texts), POOL_TEXTS, recipe.seed))
        tried, _ = extract_blocks(backbone, some.text, plans, Counter(progress, "vectors of a sample", len(some)))
        pool = best_pool(tried, some, recipe.seed)
        plans = tuple(plan for plan in plans if plan.name == pool)
    blocks, tokens = extract_blocks(backbone, texts.text, plans, Counter(progress, "vectors", len(texts)))
    pool = best_pool(blocks, texts, recipe.seed) if len(blocks) > 1 else next(iter(blocks))
    table = texts.to_frame().drop(columns=SECOND, errors="ignore")
    label = LABEL if recipe.label in table else recipe.label  # `id`, say, is the number of a row
    table = table.rename(columns={LABEL: label})
    table["text"] = list(map(shown, texts.text))
    separator = None
    if texts.kind == "sets":
        separator = recipe.label_separator or free_separator(texts.label.tolist())
        table[label] = joined(texts.label.tolist(), separator)
    alone = "type --label-separator {sign} to judge each label by itself"
    warnings = [*texts.warnings, *why, *joined_labels(texts, alone), *backbone.source.warnings, *tokens.unread.warn()]
    warnings += [f"{tokens.cut} of {len(texts)} texts were cut"] if tokens.cut else []
    return ReadTexts(Points.of({pool: blocks[pool]}, table), warnings, label, separator)


def best_pool(blocks: Mapping[str, NDArray[Any]], texts: Texts, seed: int) -> str:
    """The pooling whose linear probe is best on held-out rows; of many rows a sample is looked at."""
    from separatrix.geometry.baselines import LabelledBlocks, fit_linear

    if len(texts) < _FEWEST:
        return next(iter(blocks))
    assert texts.label is not None
    rows = draw_rows(len(texts), POOL_TEXTS, seed)
    if texts.kind == "sets":
        names: Sequence[Any] = set_names(texts.label, texts.source)
        labels = indicator(texts.label, names)
        held = hold_out_sets(labels[rows], 1 / _POOL_FOLDS, seed)
    else:
        labels, kinds = encode(texts.label, by_row=True)
        names = kinds.tolist()
        if len(names) < 2:
            return next(iter(blocks))
        held = deal_folds(labels[rows], _POOL_FOLDS, seed=seed) == 0
        if len(np.unique(labels[rows[~held]])) < 2:
            return next(iter(blocks))
    known, judged = (
        LabelledBlocks({name: block[some] for name, block in blocks.items()}, labels[some])
        for some in (rows[~held], rows[held])
    )
    return fit_linear(known, judged, len(names), seed).pool


@contextmanager
def cleaned_file(
    source: Any, drop: Path | None, loading: LoadRecipe, *, overwrite: bool
) -> Iterator[Callable[[Sequence[int]], dict[str, Any] | None]]:
    """Hold the file of rows without the suspects, and give what writes it; without one that does nothing.

    The writer takes the suspects' numbers, and gives how many they are and how many rows are left. What it may fail of
    is tried before: rows that cannot be told apart, and a place that cannot be written.

    Raises:
        OptionError: no file of texts, one of another format, or the file that is read.
        StoreError: the file is there, another process is writing it, or it cannot be written.
        DataError: the source cannot be read.
    """
    if drop is None:
        yield lambda _suspects: None
        return
    _check_drop(source, drop, overwrite=overwrite)
    if split_name(Path(source)).kind != ".parquet":  # of which nothing fails that is not read as texts before
        without_rows(Path(source), (), loading)

    def write(suspects: Sequence[int]) -> dict[str, Any]:
        data, left = without_rows(Path(source), suspects, loading)
        write_bytes(drop, data)
        return {"file": drop.name, "dropped": len(suspects), "left": left}

    with write_file(drop, overwrite=overwrite):
        yield write


def _check_drop(source: Any, drop: Path, *, overwrite: bool) -> None:
    if isinstance(source, str | Path) and not Path(source).exists():
        raise DataError(
            f"there is no file {readable(str(source))}", hint="--drop writes a file of texts again: name it"
        )
    if not isinstance(source, str | Path) or not Path(source).is_file():
        got = "a folder" if isinstance(source, str | Path) else type(source).__name__
        raise OptionError("--drop needs one file of texts", got=got, hint="leave --drop away")
    check_same_format(Path(source), drop)
    if drop.resolve() == Path(source).resolve():
        raise OptionError("--drop names the file that is read", got=str(drop), hint="name another file")
    if drop.exists() and not overwrite:
        raise StoreError(f"{drop} is there already", hint="name another file, or add --overwrite")


def label_issues(rows: pd.DataFrame, source: Any, loading: LoadRecipe) -> pd.DataFrame:
    """The rows of a source in its order with all columns of a file or frame, and four under the names of cleanlab."""
    import pandas as pd

    renamed = {"is_label_issue": "is_label_issue", "score": "label_quality", "label": "given_label"}
    issues = rows[[*renamed, "suggested"]].rename(columns=renamed | {"suggested": "predicted_label"})
    is_file = isinstance(source, str | Path) and Path(source).is_file()
    if is_file or isinstance(source, pd.DataFrame):
        whole = read_columns(Path(source), loading) if is_file else source
        given = whole.iloc[rows["id"].to_numpy()].reset_index(drop=True)
    else:
        given = rows[[name for name in ("id", "text", "group") if name in rows]]
    return pd.concat([given.drop(columns=[name for name in issues if name in given]), issues], axis=1)
