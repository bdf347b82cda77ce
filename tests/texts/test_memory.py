"""A file is streamed: a wide column that is not asked for costs no memory."""

import json
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from separatrix.texts import load_texts

ROWS, WIDTH = 300, 100_000  # 30 MB beside 300 short texts


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wide")
    wide = "w" * WIDTH
    with (folder / "a.csv").open("w") as commas, (folder / "a.tsv").open("w") as tabs:
        commas.write("text,wide,label\n")
        tabs.write("text\twide\tlabel\n")
        for row in range(ROWS):
            commas.write(f"t{row},{wide},{row % 2}\n")
            tabs.write(f"t{row}\t{wide}\t{row % 2}\n")
    with (folder / "a.jsonl").open("w") as lines:
        lines.writelines(json.dumps({"text": f"t{r}", "wide": wide, "label": r % 2}) + "\n" for r in range(ROWS))
    columns = {
        "text": [f"t{r}" for r in range(ROWS)],
        "wide": [f"{r}{wide}" for r in range(ROWS)],
        "label": [0, 1] * (ROWS // 2),
    }
    pq.write_table(pa.table(columns), folder / "a.parquet", compression="none", use_dictionary=False)
    return folder


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl"])
def test_reading_keeps_only_the_named_columns(folder, ending):
    path = folder / f"a.{ending}"
    assert path.stat().st_size > 29_000_000
    tracemalloc.start()
    try:
        texts = load_texts(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(texts) == ROWS
    assert peak < 2_000_000


def test_parquet_reads_only_the_named_columns(folder):
    before = pa.default_memory_pool()
    pool = pa.proxy_memory_pool(before)
    pa.set_memory_pool(pool)
    try:
        texts = load_texts(folder / "a.parquet")
        narrow = pool.max_memory()
        load_texts(folder / "a.parquet", text="wide")
        wide = pool.max_memory()
    finally:
        pa.set_memory_pool(before)
    assert len(texts) == ROWS
    assert narrow < 1_000_000
    assert wide > 10_000_000  # the measure sees the column when it is asked for
