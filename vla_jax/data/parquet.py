"""Reading parquet files of strangers: bounded, and with complaints that name file and fix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vla_jax.data.optional import need

MAX_ROWS = 50_000_000
_MAX_BYTES = 4 * 2**30  # of the columns that are read from one file, uncompressed


def open_parquet(path: Path) -> Any:
    """A pyarrow ParquetFile; ValueError if it is missing or damaged."""
    arrow, parquet = need("pyarrow"), need("pyarrow.parquet")
    if not path.is_file():
        raise ValueError(f"{path} is missing: download the whole dataset")
    try:
        return parquet.ParquetFile(path)
    except (arrow.ArrowException, OSError) as error:
        raise ValueError(f"{path} is no readable parquet file ({error}): fetch it again") from None


def read_table(path: Path, columns: list[str] | None = None) -> Any:
    """A pyarrow table of a parquet file.

    Args:
        path: the file.
        columns: names, or None for all.

    Raises:
        ValueError: the file is missing, damaged or huge, or lacks a column.
    """
    file = open_parquet(path)
    known: list[str] = file.schema_arrow.names
    columns = known if columns is None else columns
    if missing := [name for name in columns if name not in known]:
        raise ValueError(f"{path} lacks the columns {', '.join(missing)}: it has {known[:20]}")
    size = _uncompressed(file.metadata, set(columns))
    if size > _MAX_BYTES or file.metadata.num_rows > MAX_ROWS:
        raise ValueError(
            f"{path} holds {file.metadata.num_rows} rows in {size} bytes: too large to be read; "
            "split it"
        )
    try:
        return file.read(columns=columns)
    except (need("pyarrow").ArrowException, OSError) as error:
        raise ValueError(f"{path} is damaged ({error}): fetch it again") from None


def _uncompressed(meta: Any, columns: set[str]) -> int:
    """Bytes of the named columns; what lies nested in one is stored under "name.…"."""
    size = 0
    for i in range(meta.num_row_groups):
        group = meta.row_group(i)
        for j in range(group.num_columns):
            name = group.column(j).path_in_schema
            if name in columns or any(name.startswith(f"{column}.") for column in columns):
                size += group.column(j).total_uncompressed_size
    return size


def integers(table: Any, name: str, path: Path) -> np.ndarray:
    """A column as i64[rows]; ValueError if it is not whole numbers."""
    column = table.column(name)
    if not need("pyarrow").types.is_integer(column.type) or column.null_count:
        raise ValueError(f"{path}: column {name} is {column.type}, whole numbers are meant")
    return column.to_numpy().astype(np.int64)


def vectors(table: Any, name: str, size: int, path: Path) -> np.ndarray:
    """A column of lists, or of single numbers, as f32[rows, size].

    Raises:
        ValueError: rows of another size, no numbers, or numbers that are not finite.
    """
    types = need("pyarrow").types
    column = table.column(name).combine_chunks()
    if not size or not len(column):
        return np.zeros((len(column), size), np.float32)
    kind = column.type
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        lengths = need("pyarrow.compute").list_value_length(column)
        values = column.flatten()
        if column.null_count or set(lengths.unique().to_pylist()) != {size}:
            raise ValueError(f"{path}: rows of {name} do not have {size} numbers: repair them")
    else:
        values = column
    number = types.is_floating(values.type) or types.is_integer(values.type)
    if not number or len(values) != len(column) * size:
        raise ValueError(f"{path}: column {name} is {kind}, {size} numbers a row are meant")
    found = values.to_numpy(zero_copy_only=False).astype(np.float32).reshape(-1, size)
    if not np.isfinite(found).all():
        row = int(np.argmin(np.isfinite(found).all(1)))
        raise ValueError(f"{path}: {name} of row {row} is not finite: repair or drop its episode")
    return found


def texts(table: Any) -> list[str]:
    """Names of the columns that hold text."""
    types = need("pyarrow").types
    return [
        field.name
        for field in table.schema
        if types.is_string(field.type) or types.is_large_string(field.type)
    ]
