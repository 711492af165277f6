"""SQL of the holder of a token, in a process of its own that has its tables and nothing else.

DuckDB's own limit does not count all that a function may allocate (``repeat``, ``range``), so the system bounds the
process: its memory, its time, and that it writes no file. Its environment is empty.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, Final

import pyarrow as pa

from odin_graph import errors
from odin_graph.config import Budget
from odin_graph.deadline import out_of_time, remaining
from odin_graph.errors import MemoryLimitError, QueryError
from odin_graph.query.plan.json_values import to_json
from odin_graph.query.sql.select import names_in

_log = logging.getLogger(__name__)
_MEMORY: Final = 1 << 30
"""Bytes that a statement may allocate, and that its tables may have, unless the budget is smaller."""
_ANSWER: Final = 256 << 20
"""Bytes of the largest answer."""
_THREADS: Final = 4
_SECONDS: Final = 300.0
"""The time of a statement where no limit is set."""
_places: Final = threading.BoundedSemaphore(2)
"""How many run at once."""


def run_isolated(
    sql: str, params: Mapping[str, Any], tables: Mapping[str, Callable[[], pa.Table]], budget: Budget
) -> pa.Table:
    """Run one SELECT as `run_sql` does, in a process of its own, until the time limit of the context.

    Args:
        sql: The statement; values go in as ``$name``.
        params: The values.
        tables: The tables by name; made only if the statement contains the name.
        budget: Of this process; the statement gets a part of it.

    Raises:
        ReadOnlyError: It is no SELECT, or reads files.
        MemoryLimitError: The statement, its tables or its answer take more memory than one may have.
        TimeLimitError: It takes too long.
        QueryError: DuckDB refuses it.
    """
    memory = min(_MEMORY, budget.memory // 4)
    with _place(), tempfile.TemporaryFile() as given:
        made = {name: tables[name]() for name in names_in(sql, tables)}
        if (size := sum(table.nbytes for table in made.values())) > memory:
            raise MemoryLimitError(
                f"The tables {', '.join(made)} have {size >> 20:,} MiB, and a server runs SQL on {memory >> 20:,} MiB "
                "at most: ask by query, as in db.images().where(...), or where the workspace is."
            )
        limits = {"memory": memory, "threads": min(_THREADS, budget.threads), "answer": _ANSWER}
        seconds = remaining() or _SECONDS
        names = {"known": list(tables), "tables": list(made)}
        request = {"sql": sql, "params": to_json(params), "seconds": seconds, **names, **limits}
        given.write(json.dumps(request).encode() + b"\n")
        for table in made.values():
            with pa.ipc.new_stream(given, table.schema) as writer:
                writer.write_table(table)
        made.clear()
        given.seek(0)
        return _run(given, seconds)


@contextmanager
def _place() -> Iterator[None]:
    seconds = remaining() or _SECONDS
    if not _places.acquire(timeout=seconds):
        raise out_of_time(seconds)
    try:
        yield
    finally:
        _places.release()


def _run(given: IO[bytes], seconds: float) -> pa.Table:
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "odin_graph.query.sql.process"],
        stdin=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        env=_environment(),
    ) as process:
        try:
            answer, log = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as error:
            raise out_of_time(seconds) from error
        finally:
            process.kill()
    head, _, body = answer.partition(b"\n")
    if process.returncode or not head:
        _log.warning("SQL ended with %s: %s", process.returncode, log[-2000:].decode(errors="replace"))
        raise MemoryLimitError(
            "The SQL was ended, since it needs more memory or time than it may have: select fewer rows or columns, or "
            "aggregate them."
        )
    if failed := json.loads(head):
        class_ = getattr(errors, str(failed["type"]), QueryError)
        raise (class_ if isinstance(class_, type) and issubclass(class_, errors.OdinError) else QueryError)(
            str(failed["message"])
        )
    return pa.ipc.open_stream(body).read_all()


def _environment() -> dict[str, str]:
    """What Python needs to find the same packages, and nothing of this process."""
    found = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    return {**found, **{name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}}
