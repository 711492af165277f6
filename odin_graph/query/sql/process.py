"""The process that runs one statement: limits itself, reads the request and its tables, and writes the answer.

In: a line of JSON, and an Arrow stream for each table. Out: a line of JSON, ``null`` or an error, and an Arrow stream.
"""

from __future__ import annotations

import json
import resource
import sys
from functools import partial
from math import ceil
from typing import Any, BinaryIO, Final

import psutil
import pyarrow as pa

from odin_graph.config import Budget
from odin_graph.errors import MemoryLimitError, OdinError
from odin_graph.query.plan.json_values import from_json
from odin_graph.query.sql.select import run_sql

_OWN: Final = 512 << 20
"""Bytes of addresses beside those of the statement: stacks of threads, and libraries that are loaded late."""


def main(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer the request of a stream.

    Args:
        source: The request and its tables.
        sink: Where the answer goes.
    """
    request = json.loads(source.readline())
    tables = {name: pa.ipc.open_stream(source).read_all() for name in request["tables"]}
    _limit(request)
    try:
        answer = _selected(request, tables)
    except OdinError as error:
        sink.write(json.dumps({"type": type(error).__name__, "message": str(error)}).encode() + b"\n")
        return
    sink.write(b"null\n")
    with pa.ipc.new_stream(sink, answer.schema) as writer:
        writer.write_table(answer)


def _limit(request: dict[str, Any]) -> None:
    """Bound memory and time; no file can be written, and nothing of the memory is dumped."""
    memory = psutil.Process().memory_info().vms + request["memory"] + _OWN
    seconds = ceil(request["seconds"] * request["threads"]) + 1  # if nobody is left who would end this process
    limits = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
    }
    for limit, value in limits.items():
        resource.setrlimit(limit, (value, value))


def _selected(request: dict[str, Any], tables: dict[str, pa.Table]) -> pa.Table:
    budget = Budget(memory=request["memory"] // 2, threads=request["threads"])  # the rest is for what DuckDB counts not
    makers = {name: partial(tables.__getitem__, name) for name in request["known"]}
    try:
        found = run_sql(request["sql"], from_json(request["params"]), makers, budget, spill=False)
    except MemoryError as error:  # of Arrow, or of Python
        raise MemoryLimitError("The SQL needs more memory than it may have: select less, or aggregate it.") from error
    if found.nbytes > request["answer"]:
        raise MemoryLimitError(
            f"The answer has {found.nbytes >> 20:,} MiB, and at most {request['answer'] >> 20:,} MiB travel: select "
            "fewer rows or columns, or aggregate them."
        )
    return found


if __name__ == "__main__":
    main(sys.stdin.buffer, sys.stdout.buffer)
