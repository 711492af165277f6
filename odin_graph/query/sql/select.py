"""SQL over Arrow tables, through DuckDB in memory: it reads the given tables, and nothing else."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import duckdb
import pyarrow as pa

from odin_graph.arguments import read_text
from odin_graph.config import Budget
from odin_graph.errors import MemoryLimitError, QueryError, ReadOnlyError

_CLOSED: Final = (
    "SET enable_external_access = false",
    "SET python_enable_replacements = false",  # a table's name is never a variable of the program
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET lock_configuration = true",
)
_READ: Final = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)


def run_sql(
    sql: str,
    params: Mapping[str, Any],
    tables: Mapping[str, Callable[[], pa.Table]],
    budget: Budget,
    *,
    timeout: float | None = None,
    spill: bool = True,
) -> pa.Table:
    """Run one SELECT.

    Args:
        sql: The statement; values go in as ``$name``.
        params: The values.
        tables: The tables by name; made only if the statement contains the name.
        budget: For DuckDB's memory and threads.
        timeout: Seconds after which it is given up.
        spill: Whether DuckDB may write what exceeds the memory into temporary files.

    Raises:
        ReadOnlyError: It is no SELECT, or reads files.
        MemoryLimitError: It needs more memory than the budget has.
        QueryError: DuckDB refuses it, or it took too long.
    """
    with duckdb.connect(":memory:") as base:
        _check(base, sql)
        base.execute(f"SET threads = {budget.threads}")
        base.execute(f"SET memory_limit = '{budget.memory // (1 << 20)}MiB'")
        if not spill:
            base.execute("SET temp_directory = ''")
        for name in names_in(sql, tables):
            base.register(name, tables[name]())
        for setting in _CLOSED:
            base.execute(setting)
        with _translated(tables, timeout), _interrupted(base, timeout):
            return base.sql(sql, params=dict(params)).to_arrow_table()


def names_in(sql: str, tables: Iterable[str]) -> list[str]:
    """The tables whose names a statement contains; only these are made."""
    return [name for name in tables if re.search(rf"\b{re.escape(name)}\b", sql, re.IGNORECASE)]


def _check(base: duckdb.DuckDBPyConnection, sql: str) -> None:
    try:
        statements = base.extract_statements(read_text("The SQL", sql))
    except (duckdb.Error, TypeError) as error:  # a TypeError for a lone surrogate
        raise QueryError(f"The SQL cannot be read: {error!s:.300}") from error
    if len(statements) != 1 or statements[0].type not in _READ:
        raise ReadOnlyError("db.sql() runs one SELECT; data is changed through db.images, db.datasets and the like.")


@contextmanager
def _interrupted(base: duckdb.DuckDBPyConnection, timeout: float | None) -> Iterator[None]:
    if timeout is None:
        yield
        return
    timer = threading.Timer(timeout, base.interrupt)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def _translated(tables: Iterable[str], timeout: float | None) -> Iterator[None]:
    try:
        yield
    except duckdb.InterruptException as error:
        raise QueryError(f"The SQL took longer than {timeout} seconds: narrow it, or give it more.") from error
    except duckdb.OutOfMemoryException as error:
        raise MemoryLimitError(
            "The SQL needs more memory than it may have: select fewer rows or columns, or aggregate them."
        ) from error
    except duckdb.PermissionException as error:
        raise ReadOnlyError(f"db.sql() reads the workspace's tables and no files: {error}") from error
    except duckdb.CatalogException as error:
        raise QueryError(f"{error}\nThere are the tables {', '.join(tables)}.") from error
    except duckdb.Error as error:
        raise QueryError(f"DuckDB refuses the SQL: {error}") from error
