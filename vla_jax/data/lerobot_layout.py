"""The layout of LeRobot v3.0: names of files and columns, and the shapes that readers expect."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from vla_jax.data.optional import need
from vla_jax.data.stats import FeatureStats

VERSION = "v3.0"
INFO_PATH = "meta/info.json"
STATS_PATH = "meta/stats.json"
TASKS_PATH = "meta/tasks.parquet"
_PLACE = "chunk-{chunk_index:03d}/file-{file_index:03d}"
EPISODES_PATH = f"meta/episodes/{_PLACE}.parquet"
DATA_PATH = f"data/{_PLACE}.parquet"
VIDEO_PATH = "videos/{video_key}/" + _PLACE + ".mp4"
STATE, ACTION = "observation.state", "action"
# The columns that every dataset has beside its own features.
INDEX_COLUMNS = {
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}


def task_table(tasks: dict[str, int]) -> Any:
    """The tasks as pandas writes a table whose index is their text: readers use pandas."""
    arrow = need("pyarrow")
    table = arrow.table({"task_index": list(tasks.values()), "task": list(tasks)})
    column = {"field_name": "task", "name": "task", "numpy_type": "object", "metadata": None}
    number = {"field_name": "task_index", "name": "task_index", "pandas_type": "int64"}
    notes = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": [
            number | {"numpy_type": "int64", "metadata": None},
            column | {"pandas_type": "unicode"},
        ],
        "pandas_version": "2.0.0",
    }
    return table.replace_schema_metadata({"pandas": json.dumps(notes)})


def stats_columns(stats: FeatureStats, count: int, picture: bool) -> dict[str, Any]:
    """In the format's shape: lists, and [3, 1, 1] for pictures."""
    found: dict[str, Any] = {}
    for name in ("min", "max", "mean", "std", "q01", "q99"):
        value = np.asarray(getattr(stats, name))
        found[name] = (value[:, None, None] if picture else value).tolist()
    return found | {"count": [count]}
