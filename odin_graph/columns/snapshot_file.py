"""Metadata columns on disk, so that the next process need not read the graph again."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import Final

import pyarrow as pa
from pyarrow import feather

from odin_graph.folder import make_near

_TOKEN: Final = b"odin_graph.token.2"  # the files of before had floats as they were stored, -0.0 among them


def load(file: Path, token: str) -> pa.Table | None:
    """The table that was saved under this token; None where there is none, or it is damaged."""
    try:
        table = feather.read_table(file, memory_map=True)
    except (OSError, pa.ArrowInvalid):
        return None
    return table if (table.schema.metadata or {}).get(_TOKEN) == token.encode() else None


def save(file: Path, table: pa.Table, token: str) -> None:
    """Save a table under a token, in the place of the one before. A failure costs only time."""
    with contextlib.suppress(OSError):
        make_near(file.parent)
        with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as temporary:
            # Uncompressed: a mapped table takes no memory of ours, and pages that nobody reads are never loaded.
            tagged = table.replace_schema_metadata({_TOKEN: token.encode()})
            feather.write_feather(tagged, temporary, compression="uncompressed", chunksize=max(1, table.num_rows))
        Path(temporary.name).replace(file)
