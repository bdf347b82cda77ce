"""The map as Embedding Atlas documents it: columns x, y, a text, and `neighbors` of {ids, distances}, ids from 0."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from separatrix.analysis.project import Projection, project
from separatrix.errors import OptionError
from separatrix.points import Points


@pytest.fixture
def points():
    rng = np.random.default_rng(0)
    return Points.of(
        rng.normal(size=(40, 5)), {"id": [f"id-{n}" for n in range(40)], "text": [f"text {n}" for n in range(40)]}
    )


def test_the_layout_is_the_documented_one(points, tmp_path):
    project(points, k=5, nearest=3, out=tmp_path / "map")
    table = pq.read_table(tmp_path / "map" / "map.parquet")
    assert {"x", "y", "text", "neighbors"} <= {*table.column_names}
    assert all(pa.types.is_floating(table.schema.field(axis).type) for axis in "xy")
    kind = table.schema.field("neighbors").type
    assert [field.name for field in kind] == ["distances", "ids"] or [field.name for field in kind] == [
        "ids",
        "distances",
    ]
    assert pa.types.is_integer(kind.field("ids").type.value_type)
    assert pa.types.is_floating(kind.field("distances").type.value_type)
    x = points.values / np.linalg.norm(points.values, axis=1, keepdims=True)
    away = 1 - x @ x.T
    np.fill_diagonal(away, np.inf)
    for row, near in enumerate(table.column("neighbors").to_pylist()):
        assert near["ids"] == np.argsort(away[row])[:3].tolist()
        assert np.allclose(near["distances"], np.sort(away[row])[:3], atol=1e-5)


def test_such_a_map_is_read_again_and_without_it_there_is_no_column(points, tmp_path):
    project(points, k=5, nearest=2, out=tmp_path / "map")
    again = Projection.open(tmp_path / "map")
    assert again.table["neighbors"].iloc[0]["ids"].tolist()[0] in range(1, 40)
    again.save(tmp_path / "copy")
    assert pq.read_schema(tmp_path / "copy" / "map.parquet").field("neighbors")
    assert "neighbors" not in project(points, k=5).row_table.columns


@pytest.mark.parametrize("nearest", [-1, 101, 40])
def test_more_than_there_are_is_refused(points, nearest):
    with pytest.raises(OptionError, match=r"--nearest is (out of range|too large)"):
        project(points, k=5, nearest=nearest)
