"""Texts with their labels, groups and row numbers: one small frozen table, always together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from separatrix.codes import encode, ranks_in_class, rows_of_mask
from separatrix.errors import DataError, OptionError, ShapeError, choose, public_name
from separatrix.recipe.arguments import checks_arguments
from separatrix.recipe.core import checked, shown
from separatrix.recipe.load import BY
from separatrix.texts.characters import plain_name
from separatrix.texts.columns import (
    Columns,
    as_columns,
    group_column,
    is_unlabelled,
    label_column,
    name_rows,
    name_warnings,
    plain_cells,
    text_column,
    text_warnings,
    weight_column,
)
from separatrix.texts.label_sets import (
    hold_out_sets,
    holds_lists,
    indicator,
    is_set_column,
    separator_warnings,
    set_column,
    set_names,
)
from separatrix.texts.pairs import columns_of, join_pairs
from separatrix.texts.split import hold_out_groups, hold_out_rows, hold_out_stratified, text_numbers

if TYPE_CHECKING:
    import pandas as pd

KINDS = {"O": "names", "i": "integers", "f": "floats"}


@dataclass(frozen=True, eq=False, repr=False)
class Texts:
    """A labelled table of texts. Make one with `load_texts`, `Texts.of` or `Texts.from_frame`.

    Attributes:
        text: (rows,) the texts, none empty; of pairs as `separatrix.texts.pairs` says.
        label: (rows,) object array of str, int64 or float64; of several labels a row, sorted tuples of str; `None` = no
            labels.
        group: (rows,) object array of str; `None` = no groups.
        id: (rows,) int64, the row number in `source`, counted from 0 over the whole source.
        source: where the rows come from (a file, a folder, a hub name, "memory").
        warnings: about the source, one sentence each: lines that a stray quote swallowed, characters
            that nobody sees, labels whose spelling was changed, rows that were left out.
        weight: (rows,) float64, what each row counts in training; `None` = all alike.

    >>> texts = Texts.of(["How far?", "Who?"], ["number", "human"])
    >>> len(texts), texts.kind, texts.take([1]).text, texts.take([1]).id.tolist()
    (2, 'names', ('Who?',), [1])
    """

    text: tuple[str, ...]
    label: np.ndarray | None
    group: np.ndarray | None
    id: np.ndarray
    source: str
    warnings: tuple[str, ...] = ()
    weight: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name in ("label", "group", "id", "weight"):
            column = getattr(self, name)
            if column is not None and column.shape != (len(self.text),):
                got, rows = column.shape, len(self.text)
                raise ShapeError(f"{self.source}: {name} does not fit the texts", got=got, expected=f"({rows},)")
        if self.label is not None and self.label.dtype not in (
            np.dtype(object),
            np.dtype(np.int64),
            np.dtype(np.float64),
        ):
            expected, hint = "object (names), int64 or float64", "make the table with Texts.of"
            raise ShapeError(f"{self.source}: wrong type of label", got=self.label.dtype, expected=expected, hint=hint)

    @classmethod
    @checks_arguments
    def of(
        cls,
        text: Sequence[str] | str,
        label: Any = None,
        group: Any = None,
        *,
        source: str = "memory",
        label_separator: str | None = None,
        drop_unlabelled: bool = False,
        keep_blank: bool = False,
        warnings: Sequence[str] = (),
        weight: Any = None,
        pair: Any = None,
    ) -> Texts:
        """Check and type plain columns (lists, arrays); rows are numbered from 0.

        Args:
            text: (rows,) the texts.
            label: (rows,) names or numbers, or None; or a list of names for each row. Names are composed (NFC) and lose
                characters that nobody sees.
            group: (rows,) names, or None.
            source: the name used in errors.
            label_separator: what joins several labels in one name.
            drop_unlabelled: leave out rows without a label; the others keep their numbers.
            keep_blank: keep rows whose text is missing, with the text "".
            warnings: about the source, from reading it.
            weight: (rows,) what each row counts in training: finite numbers, 0 or more; or None.
            pair: (rows,) second texts, which make pairs of them, see `separatrix.texts.pairs`; or None.

        Raises:
            DataError: empty or broken texts, missing or mixed labels, missing groups, lengths that differ, weights
                that are no numbers.

        >>> Texts.of(["a", "b"], [1, 2.5]).label
        array([1. , 2.5])
        """
        if isinstance(text, str):
            raise DataError(f"{source}: one string where a list of texts belongs", hint="write it as [text]")
        for name, column in (("label", label), ("group", group), ("weight", weight), ("pair", pair)):
            if column is not None and not is_column(column):
                raise DataError(f"{source}: {name} is no column", got=shown(column), expected=f"a list of {name}s")
            if column is not None and len(column) != len(text):
                raise DataError(f"{source}: as many {name}s as texts are needed", got=len(column), expected=len(text))
        cells = {"text": list(text), "label": label, "group": group, "weight": weight, "pair": pair}
        cells = {name: plain_cells(column) for name, column in cells.items() if column is not None}
        labelled = _labelled(cells, source) if drop_unlabelled and label is not None else None
        texts = text_column(cells["text"], source, keep_blank=keep_blank)
        if "pair" in cells:
            texts = join_pairs(texts, text_column(cells["pair"], source, keep_blank=keep_blank))
        sets = "label" in cells and (label_separator is not None or holds_lists(cells["label"]))
        labels = None
        if "label" in cells:
            labels = (set_column if sets else label_column)(cells["label"], source, *[label_separator] * sets)
        groups = group_column(cells["group"], source) if "group" in cells else None
        weights = weight_column(cells["weight"], source) if "weight" in cells else None
        lines = [*warnings, *text_warnings(texts, source)]
        lines += separator_warnings(labels, public_name(source), label_separator) if sets and labels is not None else []
        lines += [line for name in ("label", "group") for line in name_warnings(cells.get(name, ()), source, name)]
        table = cls(texts, labels, groups, np.arange(len(texts), dtype=np.int64), source, tuple(lines), weights)
        return table if labelled is None or labelled.all() else _without_unlabelled(table, labelled)

    @classmethod
    def from_cells(
        cls, cells: Mapping[str, Sequence[Any]], columns: Columns, source: str, *, warnings: Sequence[str] = ()
    ) -> Texts:
        """The table of raw cells, by the names of their columns."""
        return cls.of(
            cells[columns.texts[0]],
            None if columns.label is None else cells[columns.label],
            None if columns.group is None else cells[columns.group],
            source=source,
            label_separator=columns.label_separator,
            drop_unlabelled=columns.reading.drop_unlabelled,
            keep_blank=columns.keep_blank,
            warnings=warnings,
            weight=None if columns.weight is None else cells[columns.weight],
            pair=cells[columns.texts[1]] if len(columns.texts) > 1 else None,
        )

    @classmethod
    @checks_arguments
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        text: str | Sequence[str] = "text",
        label: str | None = "label",
        group: str | None = None,
        source: str = "the data frame",
    ) -> Texts:
        """Take the named columns of a pandas frame; its index is ignored, rows are numbered from 0.

        Two columns of texts make pairs.

        >>> import pandas as pd
        >>> Texts.from_frame(pd.DataFrame({"q": ["Who?"], "n": [3]}), text="q", label="n").label
        array([3])
        """
        return read_frame(frame, Columns(as_columns(text), label, group), source)

    @property
    def kind(self) -> str | None:
        """What the labels are: "names", "integers", "floats", "sets" (several a row) or None."""
        if is_set_column(self.label):
            return "sets"
        return None if self.label is None else KINDS[self.label.dtype.kind]

    @property
    def name(self) -> str:
        """The source as notes, warnings and results name it: without the path."""
        return public_name(self.source)

    def __len__(self) -> int:
        return len(self.text)

    def __repr__(self) -> str:
        columns = ", ".join(name for name in ("id", "text", "label", "group") if getattr(self, name) is not None)
        return f"Texts: {len(self)} rows of {self.source}\n    {columns}"

    def take(self, rows: Sequence[int] | np.ndarray) -> Texts:
        """The rows at these positions, in this order; each keeps its id.

        Raises:
            ShapeError: positions that are no whole numbers or lie outside the table.
        """
        index = np.asarray(rows, dtype=np.int64 if np.size(rows) == 0 else None)
        if index.ndim != 1 or index.dtype.kind not in "iu":
            raise ShapeError(
                "take needs row positions", got=f"{index.dtype} {index.shape}", hint="use where for a mask"
            )
        if index.size and not -len(self) <= index.min() <= index.max() < len(self):
            got = f"{index.min()} to {index.max()}"
            raise ShapeError("a row position lies outside the table", got=got, expected=f"0 to {len(self) - 1}")
        text = tuple(self.text[row] for row in index.tolist())
        label = None if self.label is None else self.label[index]
        group = None if self.group is None else self.group[index]
        weight = None if self.weight is None else self.weight[index]
        return replace(self, text=text, label=label, group=group, id=self.id[index], weight=weight)

    @checks_arguments
    def join(self, other: Texts) -> Texts:
        """These rows and those of another table below them; a group that one of them lacks is dropped, a weight is 1.

        Rows keep their ids; where both tables use the same ones, those of `other` are shifted above the largest here.

        >>> both = Texts.of(["a"], [0]).join(Texts.of(["b"], [1]))
        >>> both.text, both.label.tolist(), both.id.tolist()
        (('a', 'b'), [0, 1], [0, 1])
        """
        label, group = _below(self.label, other.label), _below(self.group, other.group)
        shift = int(self.id.max(initial=-1)) + 1 if np.intersect1d(self.id, other.id).size else 0
        ids = np.concatenate([self.id, other.id + shift])
        lines = tuple(dict.fromkeys(self.warnings + other.warnings))
        weight = joined_weights((self, other))
        return replace(
            self, text=self.text + other.text, label=label, group=group, id=ids, warnings=lines, weight=weight
        )

    def where(self, mask: Sequence[bool] | np.ndarray) -> Texts:
        """The rows where the mask, (rows,) bool, is true."""
        return self.take(rows_of_mask(mask, len(self)))

    def split(self, test: float = 0.2, seed: int = 0, by: str = "label") -> tuple[Texts, Texts]:
        """Hold out a seeded share of the rows; both sides keep the order of the source.

        Rows with one text, up to case and white space, stand on one side, if there are texts enough; whole groups are
        held out as they are.

        Args:
            test: share of the rows to hold out, between 0 and 1.
            seed: the same seed gives the same rows.
            by: "label" keeps the class shares, or those of each label (one with one row stays in training; floats and
                unlabelled rows are drawn plainly); "group" holds out whole groups; "rows" draws plainly.

        Returns:
            The training rows and the held-out rows.

        >>> train, test = Texts.of(["a", "b", "c", "d"], [0, 1, 0, 1]).split(test=0.5)
        >>> sorted(train.label.tolist()), sorted(test.label.tolist())
        ([0, 1], [0, 1])
        """
        choose(by, BY, "way to split")
        test, seed = checked("test", test, float, low=0, high=1), checked("seed", seed, int, low=0)
        if by == "group":
            if self.group is None:
                raise DataError(f"{self.source}: a split by group needs groups", hint="name their column with --group")
            classes = self.label if self.kind in ("names", "integers") else None
            mask = hold_out_groups(self.group, classes, test, seed, source=self.source)
        else:
            mask = self._drawn_texts(test, seed, by)
        return self.where(~mask), self.where(mask)

    def _drawn_texts(self, share: float, seed: int, by: str) -> np.ndarray:
        """A mask of rows to hold out, (rows,) bool, which has all rows of a text or none."""
        text = text_numbers(self.text)
        if not text.any():  # one text in all rows
            text = np.arange(len(self))
        if by == "label" and self.label is not None and self.kind == "sets":
            marks = indicator(self.label, set_names(self.label, self.source))
            few = np.flatnonzero(np.bincount(text) <= max(share * len(self) / 4, 1))  # texts; one of many rows stays
            if not len(few):  # all have many: rows are drawn as if none was a copy
                text = few = np.arange(len(self))
            of_texts = np.zeros((int(text.max()) + 1, marks.shape[1]), dtype=marks.dtype)
            np.maximum.at(of_texts, text, marks)
            return np.isin(text, few[hold_out_sets(of_texts[few], share, seed)])
        if by == "label" and self.label is not None and self.kind != "floats":
            return hold_out_stratified(self.label, share, seed, text=text, source=self.source)
        return hold_out_rows(len(self), share, seed, text=text, source=self.source)

    def to_frame(self) -> pd.DataFrame:
        """A pandas frame with the columns text, label, group, weight (those that are there) and id."""
        import pandas as pd

        columns: dict[str, Any] = dict(columns_of(self.text))
        columns |= {} if self.label is None else {"label": self.label}
        columns |= {} if self.group is None else {"group": self.group}
        columns |= {} if self.weight is None else {"weight": self.weight}
        return pd.DataFrame(columns | {"id": self.id})


def joined_weights(tables: Sequence[Texts]) -> np.ndarray | None:
    """The weights of tables, one below the other: 1 where one has none, `None` where none has any."""
    if all(table.weight is None for table in tables):
        return None
    return np.concatenate([np.ones(len(one)) if one.weight is None else one.weight for one in tables])


def is_column(value: Any) -> bool:
    """Whether a value has as many cells as its length says."""
    return (
        hasattr(value, "__len__") and not isinstance(value, str | bytes | type) and getattr(value, "shape", (1,)) != ()
    )


def read_frame(frame: pd.DataFrame, columns: Columns, source: str = "the data frame") -> Texts:
    """The named columns of a pandas frame."""
    columns.check(list(frame.columns), source)
    return Texts.from_cells({name: _cells(frame[name]) for name in columns.names}, columns, source)


def _labelled(cells: dict[str, list[Any]], source: str) -> np.ndarray:
    """Which rows have a label, (rows,) bool.

    The cells of the others are replaced by cells that pass every check, so that whatever is checked next finds nothing
    in them and numbers the rows as the source does.
    """
    labelled = ~np.array(is_unlabelled(cells["label"]), dtype=bool)
    if not labelled.any():
        hint = "leave --drop-unlabelled away"
        raise DataError(f"{source}: no row has a label", got=f"{len(labelled)} rows", hint=hint)
    fill = {"label": plain_name(cells["label"][int(labelled.argmax())]), "weight": 1.0}
    for name, column in cells.items():
        column[:] = [cell if has else fill.get(name, "-") for cell, has in zip(column, labelled.tolist(), strict=True)]
    return labelled


def _without_unlabelled(table: Texts, labelled: np.ndarray) -> Texts:
    left_out = np.flatnonzero(~labelled).tolist()
    verb = "row without a label is" if len(left_out) == 1 else "rows without a label are"
    line = f"{table.name}: {len(left_out)} of {len(table)} {verb} left out: {name_rows(left_out)}"
    return replace(table.where(labelled), warnings=(*table.warnings, line))


def _cells(column: pd.Series[Any]) -> list[Any]:
    # Frames mark missing cells in four ways (None, NaN, NaT, pd.NA): make them one.
    return [None if gone else value for value, gone in zip(column.tolist(), column.isna().tolist(), strict=True)]


def _below(above: np.ndarray | None, below: np.ndarray | None) -> np.ndarray | None:
    return None if above is None or below is None else np.concatenate([above, below])


def refuse_equal(texts: Texts) -> None:
    """Raise a `DataError` where all rows, two or more, have one text, so that nothing can tell them apart.

    >>> refuse_equal(Texts.of(["a", "a"], ["x", "y"], source="a.csv"))
    Traceback (most recent call last):
        ...
    separatrix.errors.DataError: a.csv: the texts to learn from are all equal: got 2 rows of one text, expected two different texts or more; name another column with --text
    """  # noqa: E501
    if len(texts) > 1 and all(text == texts.text[0] for text in texts.text):
        got, expected = f"{len(texts)} rows of one text", "two different texts or more"
        raise DataError(
            f"{texts.source}: the texts to learn from are all equal",
            got=got,
            expected=expected,
            hint="name another column with --text",
        )


def few(texts: Texts, per_class: int, seed: int = 0) -> Texts:
    """At most `per_class` rows of each class, in the order of the source; a smaller class gives all its rows.

    Raises:
        DataError: no labels, or numbers to predict.
        OptionError: fewer than one row a class.

    >>> few(Texts.of(["a", "b", "c", "d"], ["x", "x", "x", "y"]), 2).label.tolist()
    ['x', 'x', 'y']
    """
    if per_class < 1:
        raise OptionError("--per-class is out of range", got=per_class, expected="1 or more")
    if texts.label is None or texts.kind in ("floats", "sets"):
        hint = "leave --per-class away" if texts.kind == "sets" else "name their column with --label"
        raise DataError(f"{texts.source}: a few rows of each class need one class a row", hint=hint)
    order = np.random.default_rng([seed, 4]).permutation(len(texts))
    codes = encode(texts.label)[0][order]
    by_class = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes)
    return texts.take(np.sort(order[by_class[ranks_in_class(sizes) < per_class]]))
