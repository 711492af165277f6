"""Arrow tables as segments: IPC files, which keep every Arrow type as it is."""

from __future__ import annotations

import pyarrow as pa

from odin_graph.arrays.contents import check_digest, digest_of
from odin_graph.arrays.files import Files
from odin_graph.arrays.segment import SegmentInfo
from odin_graph.errors import StoreError


def to_bytes(table: pa.Table) -> pa.Buffer:
    """A table as a compressed IPC file."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    return sink.getvalue()


def read(files: Files, info: SegmentInfo) -> pa.Table:
    """The table of a segment.

    Raises:
        StoreError: It is missing or damaged.
    """
    data = files.read(info.uri)
    check_digest(files.path(info.uri), info.digest, digest_of([("", data)]))
    try:
        table = pa.ipc.open_file(pa.BufferReader(data)).read_all()
        table.validate(full=True)
    except (pa.ArrowInvalid, OSError) as error:  # Arrow's decompression fails with a plain OSError
        raise StoreError(f"{files.path(info.uri)} is damaged: {error}. Run `odin doctor`.") from error
    return table
