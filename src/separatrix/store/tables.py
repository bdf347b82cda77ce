"""Row tables of a store: who a row is, as a hash; and one Parquet file out of the tables of all shards."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from separatrix.errors import StoreError, system_refusal
from separatrix.points import ID
from separatrix.recipe import canonical
from separatrix.store.files import part_path

if TYPE_CHECKING:
    import pandas as pd

# Columns that say who a row is; the text stands in it as its hash.
IDENTITY = (ID, "text_hash", "split", "label", "group")


def text_hash(text: str) -> str:
    """Sixteen hexadecimal digits of the SHA-256 of a text.

    >>> text_hash("How far?")
    '08ba718d4d430550'
    """
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def identity_of(rows: pd.DataFrame) -> str:
    """SHA-256 over who the rows are, in their order.

    >>> import pandas as pd
    >>> identity_of(pd.DataFrame({"id": [0, 1]})) == identity_of(pd.DataFrame({"id": [1, 0]}))
    False
    """
    columns = {name: [_plain(value) for value in rows[name].tolist()] for name in IDENTITY if name in rows.columns}
    return hashlib.sha256(canonical(columns).encode()).hexdigest()


def _plain(value: object) -> object:
    # NaN is no JSON; what is neither text nor number is taken as it prints.
    if value is None or value != value:
        return None
    return value if isinstance(value, str | int | float | bool) else str(value)


def join_tables(parts: Sequence[Path], whole: Path) -> None:
    """One Parquet file with a row group for each part; only one part is in memory at a time.

    Raises:
        StoreError: a column changes its type on the way, or the disk refuses.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    aside = part_path(whole)
    try:
        # A column that is empty in one shard (no group, say) takes its type from the others.
        schema = pa.unify_schemas([pq.read_schema(part).remove_metadata() for part in parts])
        with pq.ParquetWriter(aside, schema) as writer:
            for part in parts:
                writer.write_table(pq.read_table(part).select(schema.names).cast(schema))
        aside.replace(whole)
    except (pa.ArrowException, KeyError) as error:
        aside.unlink(missing_ok=True)
        raise StoreError(f"the row tables do not fit together ({error})", hint="give columns of one type") from error
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise system_refusal(error, whole) from error
