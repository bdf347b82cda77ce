"""What `score` and `rank` leave on disk: all figures as JSON, tables, and the heat map with its data beside it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from separatrix.analysis.rank import Ranking
from separatrix.store.files import write_json
from separatrix.store.folder import RESULT
from separatrix.store.table import write_table
from separatrix.view.canvas import save
from separatrix.view.heatmap_plot import heatmap

if TYPE_CHECKING:
    import pandas as pd

    from separatrix.analysis.score import Separation

TITLES = {
    "knn_loo": "{unit} of k-NN, leave-one-out on the training rows",
    "knn_validation": "{unit} of k-NN on the validation rows",
    "probe_validation": "{unit} of a linear probe on the validation rows",
}
TABLE, GRID, PICTURE, DATA = "table.parquet", "grid.parquet", "heatmap.png", "heatmap.csv"


def write_score(found: Separation, folder: Path) -> None:
    """Write `result.json`, the figures as a table and the k-NN grid into an empty folder."""
    import pandas as pd

    write_json(folder / RESULT, {"kind": "score"} | found.to_dict())
    lines = [{"figure": name, **_two(figure.to_dict())} for name, figure in found.metrics.items()]
    write_table(folder / TABLE, pd.DataFrame(lines))
    write_table(folder / GRID, pd.DataFrame([dict(line) for line in found.grid]))


def _two(figure: dict[str, Any]) -> dict[str, Any]:
    """An interval as two columns."""
    low, high = figure.pop("interval") or (None, None)
    return figure | {"low": low, "high": high}


def write_ranking(found: Ranking, folder: Path) -> None:
    """Write `result.json`, the table, and the heat map of the criterion with its data into an empty folder."""
    write_json(folder / RESULT, {"kind": "ranking"} | found.to_dict())
    write_table(folder / TABLE, found.frame)
    cells = cells_of(found)
    write_table(folder / DATA, cells.rename_axis("model").reset_index())
    values = cells.to_numpy(dtype=np.float64)
    # The table stands in the order of the criterion: its first row is the recommendation.
    row, column = _place(found.table[0])
    place = (list(cells.index).index(row), list(cells.columns).index(column))
    figure = heatmap(
        values,
        (list(map(str, cells.index)), list(map(str, cells.columns))),
        title=TITLES[found.criterion].format(unit=found.unit),
        note=_note(found),
        best=place,
    )
    save(figure, folder / PICTURE)


def _note(found: Ranking) -> str:
    best = found.best
    sure = f"framed: recommended, the best in {best['probability_best']:.0%} of bootstrap samples"
    return f"{found.rows['train']} training rows; {sure}"


def cells_of(found: Ranking) -> pd.DataFrame:
    """The criterion as a frame: a line for each model and layer, a column for each pooling."""
    import pandas as pd

    rows = [(*_place(row), row[found.criterion]) for row in found.table]
    frame = pd.DataFrame(rows, columns=["model", "pool", "value"])
    models = list(found.grid.model)
    # As the models were named; all layers first, then the layers by number.
    lines = sorted(
        found.table, key=lambda row: (models.index(row["model"]), -1 if row["layer"] is None else row["layer"])
    )
    order = list(dict.fromkeys(_place(row)[0] for row in lines))
    pools = [pool for pool in dict.fromkeys(found.grid.pool) if pool in set(frame["pool"])]
    return frame.pivot(index="model", columns="pool", values="value").loc[order, pools]


def _place(row: Any) -> tuple[str, str]:
    """Line and column of a row of the table in the heat map."""
    layer = "all layers" if row["layer"] is None else f"layer {row['layer']}"
    return f"{Path(row['model']).name}, {layer}", row["pool"]
