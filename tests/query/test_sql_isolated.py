"""SQL of whoever has a token: nothing of the machine is read, and no statement takes more than its share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import odin_graph as og
from odin_graph.config import Budget
from odin_graph.deadline import deadline
from odin_graph.query.sql.isolated import run_isolated
from odin_graph.query.sql.select import run_sql

IMAGES = pa.table({"id": ["a", "b", "c"], "age": [30, None, 50]})
BUDGET = Budget(memory=1 << 30, threads=2)


def run(sql: str, **params: Any) -> pa.Table:
    return run_isolated(sql, params, {"images": lambda: IMAGES, "models": lambda: pytest.fail("is not named")}, BUDGET)


def test_it_selects() -> None:
    assert run("SELECT * FROM images WHERE age > $age OR id = $id", age=40, id="a' --").equals(IMAGES.slice(2))
    assert run("SELECT 1 AS a, 2 AS a WHERE false").column_names == ["a", "a"]


FILE = "{folder}/secret.csv"
HOSTILE = [
    f"SELECT * FROM read_csv('{FILE}')",
    f"SELECT * FROM read_text('{FILE}')",
    f"SELECT * FROM read_blob('{FILE}')",
    f"SELECT * FROM read_parquet('{FILE}')",
    f"SELECT * FROM read_json('{FILE}')",
    f"SELECT * FROM sniff_csv('{FILE}')",
    f"SELECT * FROM '{FILE}'",
    f"FROM '{FILE}'",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM read_csv('/proc/self/environ')",
    "SELECT * FROM read_csv('https://example.com/a.csv')",
    f"SELECT * FROM query('SELECT * FROM read_text(''{FILE}'')')",
    f"SELECT * FROM query_table('{FILE}')",
    "COPY images TO '{folder}/stolen.csv'",
    "COPY (SELECT 1) TO '{folder}/stolen.csv'",
    "EXPLAIN ANALYZE COPY images TO '{folder}/stolen.csv'",
    "EXPORT DATABASE '{folder}/stolen'",
    "ATTACH '{folder}/stolen.db'",
    "ATTACH ':memory:' AS other",
    "INSTALL httpfs",
    "LOAD httpfs",
    "LOAD '{folder}/evil.duckdb_extension'",
    "PRAGMA enable_external_access=true",
    "PRAGMA database_list",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "SET memory_limit = '100GB'",
    "RESET lock_configuration",
    "SELECT set_config('memory_limit', '1GB')",
    "SELECT getenv('PATH')",
    "CREATE TABLE x AS SELECT 1",
    "CREATE SECRET s (TYPE s3)",
    "CREATE MACRO m(a) AS a",
    "INSERT INTO images VALUES ('d', 1)",
    "CALL pragma_version()",
    "CHECKPOINT",
    "SELECT 1; COPY images TO '{folder}/stolen.csv'",
    "SELECT * FROM sys.modules",
    "SELECT * FROM IMAGES_TABLE",
]


@pytest.mark.parametrize("statement", HOSTILE)
def test_nothing_but_the_tables_is_read_and_nothing_is_written(statement: str, tmp_path: Path) -> None:
    """As the process runs it, but here: to start one for each would take a minute."""
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    with pytest.raises((og.QueryError, og.ReadOnlyError)):
        run_sql(statement.replace("{folder}", str(tmp_path)), {}, {"images": lambda: IMAGES}, BUDGET, spill=False)
    assert [file.name for file in tmp_path.iterdir()] == ["secret.csv"]


def test_the_process_refuses_files(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    with pytest.raises(og.ReadOnlyError, match="no files"):
        run(f"EXPLAIN ANALYZE COPY (SELECT 1) TO '{tmp_path}/stolen.csv'")
    with pytest.raises(og.ReadOnlyError, match="no files"):
        run(f"SELECT * FROM read_text('{tmp_path}/secret.csv')")
    assert [file.name for file in tmp_path.iterdir()] == ["secret.csv"]


def test_the_process_knows_no_place_of_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/somewhere/else")
    found = run("SELECT value FROM duckdb_settings()").column("value").to_pylist()
    assert not [value for value in found if value and ("/somewhere" in value or str(Path.cwd()) in value)]


@pytest.mark.parametrize("statement", ["SELECT repeat('x', 1000000000) FROM range(2048)", "FROM range(1000000000)"])
def test_more_memory_than_its_share_is_refused(statement: str) -> None:
    with pytest.raises(og.errors.MemoryLimitError, match="memory"):
        run(statement)


def test_it_ends_at_the_time_limit() -> None:
    with pytest.raises(og.errors.TimeLimitError), deadline(1):
        run("SELECT count(*) FROM range(100000000) a, range(100000) b WHERE a.range = b.range + 1")


def test_tables_larger_than_its_share_are_refused() -> None:
    small = Budget(memory=64, threads=1)
    with pytest.raises(og.errors.MemoryLimitError, match="The tables images have"):
        run_isolated("FROM images", {}, {"images": lambda: IMAGES}, small)
