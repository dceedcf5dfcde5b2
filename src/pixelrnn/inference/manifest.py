"""The outcome of every file, as a Parquet dataset to which rows are added a file at a time."""

import io
import secrets
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import PurePath
from typing import TYPE_CHECKING

from .batch import Row
from .files import Files
from .planning import Pair
from .remote import fetch, put

if TYPE_CHECKING:
    import pyarrow

ROWS, SECONDS = 5000, 60.0  # rows are written after so many of them, or after so many seconds
BEFORE = "it was there before this run, without a row"  # the note of a file that an earlier run completed


def schema() -> "pyarrow.Schema":
    """The columns: what --json prints, and the time. Of several rows of a path, the latest counts."""
    import pyarrow as pa

    region = {"box": pa.list_(pa.int32()), "pixels": pa.int64(), "confidence": pa.float64(), "kept": pa.bool_()}
    return pa.schema(
        {
            "path": pa.string(),
            "output": pa.string(),
            "width": pa.int32(),
            "height": pa.int32(),
            "missing": pa.float64(),
            "mask_source": pa.string(),
            "regions": pa.list_(pa.struct(region)),
            "log_likelihood": pa.list_(pa.float64()),
            "notes": pa.list_(pa.string()),
            "error": pa.string(),
            "seconds": pa.float64(),
            "time": pa.timestamp("us", tz="UTC"),
        }
    )


class Manifest:
    """Rows in a folder of a file system, to which each run adds its own files."""

    def __init__(self, files: Files, folder: PurePath) -> None:
        self._files, self._folder = files, folder
        self._run = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
        self._rows: list[Row] = []
        self._parts, self._written = 0, time.monotonic()

    def add(self, row: Row) -> None:
        """Add a row with the present time, and write the rows where there are enough of them."""
        self._rows.append({"notes": [], "error": None, **row, "time": datetime.now(UTC)})
        if len(self._rows) >= ROWS or time.monotonic() - self._written > SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the rows that were added since the last write."""
        import pyarrow as pa
        from pyarrow import parquet

        self._written = time.monotonic()
        if not self._rows:
            return
        data = io.BytesIO()
        parquet.write_table(pa.Table.from_pylist(self._rows, schema()), data)
        put(self._files.url(self._folder / f"{self._run}-{self._parts:05}.parquet"), data.getvalue())
        self._parts, self._rows = self._parts + 1, []

    def outputs(self) -> Iterator[str]:
        """Yield the outputs of all rows without an error."""
        from pyarrow import parquet

        for name in sorted(self._files.names(self._folder)):
            if name.endswith(".parquet") and name[0] != ".":
                read = parquet.read_table(fetch(self._files.url(self._folder / name)), columns=["output", "error"])
                yield from (row["output"] for row in read.to_pylist() if row["error"] is None)

    def add_missing(self, done: Iterable[Pair], sources: Files) -> None:
        """Add rows for completed files that have none: a run was killed between writing the file and its row."""
        known = set(self.outputs())
        for source, target in done:
            if (output := self._files.url(target)) not in known:
                self.add({"path": sources.url(source), "output": output, "notes": [BEFORE]})
        self.flush()
